//! How a verb ends when it does not succeed: one line of what, one line of what to do, and an exit code.

use crate::config::ConfigError;
use hapi_client::{ApiError, BuildError, ConnectError, Problem};
use std::io::Write;
use std::process::ExitCode;

/// What every long help says about exit codes.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused, or failed on the way
  2  wrong usage or configuration; nothing was done
  3  no node could be reached, or none could decide
  4  hard stop: the cluster forbids this connection until a human changes something
  5  done, but some node may not be bound by it yet: `cluster seal INDEX` follows it
  6  `doctor` has found an error or a warning";

/// The exit code, by who has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The cluster said no, or the way to it broke.
    Refused = 1,
    /// The caller typed or configured something that cannot be.
    Usage = 2,
    /// Nobody answers.
    Unreachable = 3,
    /// The cluster forbids the connection: do not try again.
    HardStop = 4,
    /// It is done, and will bind every node, but not yet.
    NotSealed = 5,
    /// The doctor has found something.
    Trouble = 6,
}

/// Why a verb did not succeed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// What went wrong.
    pub(crate) message: String,
    /// What can be done about it.
    pub(crate) hint: Option<String>,
    /// Whether it stands in the log already, in the form that whoever reads the log expects.
    logged: bool,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None, logged: false }
    }

    /// The cluster said no, or the way to it broke.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(Exit::Refused, message)
    }

    /// The caller typed or configured something that cannot be.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Nobody answers.
    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(Exit::Unreachable, message)
            .hint("is a node running there? name others with --node or HAPI_NODES")
    }

    /// Adds what can be done about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Writes it to the log, whose readers take whole lines of one form, instead of the text that people read.
    pub(super) fn log(self) -> Self {
        tracing::error!(hint = self.hint, exit_code = self.exit as u8, "{}", self.message);
        Self { logged: true, ..self }
    }

    /// Prints it to stderr and gives the exit code. Nobody can be told that stderr is closed.
    pub(super) fn report(&self) -> ExitCode {
        if !self.logged {
            let _ = std::io::stderr().write_all(self.text().as_bytes());
        }
        ExitCode::from(self.exit as u8)
    }

    fn text(&self) -> String {
        let mut text: String = self.message.lines().map(|line| format!("error: {line}\n")).collect();
        if let Some(hint) = &self.hint {
            text.push_str(&format!("hint: {hint}\n"));
        }
        text
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
            .hint("`hapi-registry serve --help` lists every key, its variable and its flag")
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        Self::usage(error.to_string())
            .hint("name nodes as --node http://HOST:PORT, or in HAPI_NODES with commas")
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Refused(problem) => refusal(&problem),
            ApiError::Unreachable(_) => unreached(error.to_string()),
            ApiError::OutcomeUnknown(_) => {
                Self::refused(error.to_string()).hint("it may have been done: look before you repeat it")
            }
            other => Self::refused(other.to_string()),
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let message = error.to_string();
        match error {
            ConnectError::HardStop { .. } => Self::new(Exit::HardStop, message)
                .hint("do not try again until a moderator or operator has changed something"),
            ConnectError::Refused(problem) => refusal(&problem),
            ConnectError::Unavailable { .. } | ConnectError::NoAuthority(_) => Self::unreachable(message),
            _ => Self::refused(message),
        }
    }
}

/// A node whose certificate is not believed is running, and what to do stands in the message.
fn unreached(message: String) -> Failure {
    if message.contains("TLS certificate") {
        Failure::new(Exit::Unreachable, message)
    } else {
        Failure::unreachable(message)
    }
}

/// What a node said, with its machine code for whoever looks it up.
fn refusal(problem: &Problem) -> Failure {
    let message = format!("{} ({}, HTTP {})", problem.detail, problem.code, problem.status);
    let failure =
        if problem.is_node_failure() { Failure::unreachable(message) } else { Failure::refused(message) };
    match (problem.status, problem.code.as_str()) {
        (401, _) => failure.hint("give a token with --token-file FILE, HAPI_TOKEN_FILE or HAPI_TOKEN"),
        (403, "forbidden") => {
            failure.hint("this needs a token of another role: `tokens create --help` lists them")
        }
        (_, "version_exists") => {
            failure.hint("a published version never changes: raise `version` and publish again")
        }
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_a_message_is_an_error_and_the_hint_comes_last() {
        let failure = Failure::usage("one\ntwo").hint("three");
        assert_eq!(failure.text(), "error: one\nerror: two\nhint: three\n");
    }

    #[test]
    fn a_hard_stop_has_its_own_exit_code() {
        let stop =
            ConnectError::HardStop { code: "server_revoked".into(), detail: "It is suspended.".into() };
        let failure = Failure::from(stop);
        assert_eq!(failure.exit, Exit::HardStop);
        assert_eq!(failure.message, "hard stop, server_revoked: It is suspended.");
    }

    #[test]
    fn nobody_answering_is_told_from_a_refusal() {
        assert_eq!(Failure::from(ApiError::Unreachable("refused".into())).exit, Exit::Unreachable);
        assert_eq!(Failure::from(ApiError::OutcomeUnknown("broke".into())).exit, Exit::Refused);
    }
}
