//! `man`: the manual, made of what `--help` says.

use super::{Failure, say};
use clap_mangen::{Man as Page, generate_to};
use std::io;
use std::path::{Path, PathBuf};

/// Print the manual page of the program, or write one page for each verb.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  hapi-registry man --dir /usr/local/share/man/man1
      Afterwards `man hapi-registry-servers-list` explains that verb.")]
pub(crate) struct Man {
    /// Write the pages of the program and of each verb into this folder, instead of printing one
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.dir {
            Some(dir) => write(&dir)
                .map_err(|error| Failure::usage(format!("cannot write into {}: {error}", dir.display()))),
            None => {
                let page =
                    page().map_err(|error| Failure::refused(format!("the page cannot be made: {error}")))?;
                say(&String::from_utf8_lossy(&page))
            }
        }
    }
}

fn page() -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    // As in the folder of pages: there is none of `help`.
    Page::new(super::command().disable_help_subcommand(true)).render(&mut page)?;
    Ok(page)
}

fn write(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    generate_to(super::command(), dir)
}
