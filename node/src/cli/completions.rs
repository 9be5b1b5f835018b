//! `completions`: what a shell needs to complete a line.

use super::{Failure, say};
use clap_complete::{Shell, generate};

/// For bash clap_complete 4.6 writes a hyphen in the program's name in two ways, so that nothing behind the first verb
/// is completed (clap-rs/clap#6421). Here the one becomes the other.
const BASH_LABEL: &str = "hapi__subcmd__registry";
const BASH_FUNCTION: &str = "hapi__registry";

/// Print the script by which a shell completes verbs and flags.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  hapi-registry completions bash > ~/.local/share/bash-completion/completions/hapi-registry
      From the next shell on, the tab key knows every verb.")]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Result<(), Failure> {
        // Into memory: the generator panics where a pipe is closed early.
        let mut script = Vec::new();
        generate(self.shell, &mut super::command(), "hapi-registry", &mut script);
        let script = String::from_utf8_lossy(&script);
        say(&script.replace(BASH_LABEL, BASH_FUNCTION))
    }
}
