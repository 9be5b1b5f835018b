//! What a verb prints to stdout.

use super::Failure;
use std::io::{ErrorKind, Write};

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// Aligned columns, for people.
    #[default]
    Table,
    /// The answer of the API, for programs.
    Json,
}

/// Prints `text` and a line end. A reader that has seen enough (`| head`) is no failure.
pub(crate) fn say(text: &str) -> Result<(), Failure> {
    tell(text).map(drop)
}

/// The same, and whether somebody still reads: who goes on and on must know.
pub(super) fn tell(text: &str) -> Result<bool, Failure> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.trim_end().as_bytes()).and_then(|()| stdout.write_all(b"\n"));
    match written.and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::refused(format!("cannot write the answer: {error}"))),
    }
}

/// Prints `text` to stderr, beside the answer. It is lost without harm when nobody listens.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
