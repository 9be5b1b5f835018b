//! The arguments of every verb that talks to nodes.

use super::session::Session;
use super::{Failure, Output, secret_file};
use crate::oidc;
use hapi_client::{Builder, Client};
use hapi_registry_state::PresentedToken;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long one exchange may take. An act that must bind every node waits for the slowest of them.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// How a certificate begins in PEM.
const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// Where the nodes are, who calls, and how to print the answer.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Nodes and credential")]
pub(crate) struct Remote {
    /// The base URL of a node. Several (repeat the flag, or use commas) are tried in this order
    #[arg(
        long = "node",
        value_name = "URL",
        env = "HAPI_NODES",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:8080"
    )]
    pub(crate) nodes: Vec<String>,
    /// The file with the API token, or with a token of an identity provider; else HAPI_TOKEN, else the file that HAPI_TOKEN_FILE names. A token is
    /// never an argument itself, because everybody on the machine can read the arguments of a process
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// An authority in PEM that nodes' certificates may be of, beside the public ones
    #[arg(long, value_name = "FILE", env = "HAPI_CA")]
    pub(crate) ca: Option<PathBuf>,
    /// The form of the answer
    #[arg(long, value_enum, env = "HAPI_OUTPUT", default_value_t)]
    pub(crate) output: Output,
}

impl Remote {
    /// Sets up the client. It connects to nothing yet.
    ///
    /// # Errors
    /// A node that is no URL, or a token file that cannot be read or holds no token.
    pub(crate) fn session(&self) -> Result<Session, Failure> {
        let builder = trusting(self.ca.as_deref())?.nodes(&self.nodes).timeout(TIMEOUT);
        let token = self.token()?;
        let names_requests = token.as_deref().is_none_or(|text| text.parse::<PresentedToken>().is_ok());
        let builder = match token {
            Some(token) => builder.credential(token),
            None => builder,
        };
        Ok(Session::new(builder.build()?, self.output, names_requests))
    }

    /// The token, if there is one. It is checked before it goes anywhere: a wrong file name must not send
    /// what happens to be in that file across the network.
    pub(crate) fn token(&self) -> Result<Option<String>, Failure> {
        let Some(text) = self.token_text(|name| std::env::var(name).ok())? else { return Ok(None) };
        if oidc::has_form(&text) {
            return Ok(Some(text));
        }
        text.parse::<PresentedToken>()
            .map_err(|error| Failure::usage(format!("the given credential is {error}")))?;
        Ok(Some(text))
    }

    fn token_text(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Option<String>, Failure> {
        let given =
            |name: &str| variable(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let file = match (&self.token_file, given("HAPI_TOKEN")) {
            (Some(file), _) => Some(file.clone()),
            (None, Some(token)) => return Ok(Some(token)),
            (None, None) => given("HAPI_TOKEN_FILE").map(PathBuf::from),
        };
        file.map(|file| secret_file::read(&file)).transpose()
    }
}

/// The beginning of a client that trusts the authorities in a file, too.
///
/// # Errors
/// A file that cannot be read, or holds no certificate: without it every node would look like an impostor.
pub(super) fn trusting(ca: Option<&Path>) -> Result<Builder, Failure> {
    let Some(path) = ca else { return Ok(Client::builder()) };
    let failed = |why: String| Failure::usage(format!("--ca: {}: {why}", path.display()));
    let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    if !pem.windows(BEGIN.len()).any(|window| window == BEGIN) {
        return Err(failed("there is no certificate in it".into()));
    }
    Ok(Client::builder().root_certificates(pem))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    fn remote(token_file: Option<PathBuf>) -> Remote {
        Remote { nodes: vec!["http://127.0.0.1:1".into()], token_file, ca: None, output: Output::Table }
    }

    #[test]
    fn the_flag_wins_over_the_token_and_the_token_over_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        std::fs::write(&one, "from-flag\n").unwrap();
        std::fs::write(&two, "from-file\n").unwrap();
        let variable = |name: &str| match name {
            "HAPI_TOKEN" => Some("from-variable".to_owned()),
            _ => Some(two.display().to_string()),
        };
        let only_file = |name: &str| (name == "HAPI_TOKEN_FILE").then(|| two.display().to_string());
        assert_eq!(remote(Some(one)).token_text(variable).unwrap().as_deref(), Some("from-flag"));
        assert_eq!(remote(None).token_text(variable).unwrap().as_deref(), Some("from-variable"));
        assert_eq!(remote(None).token_text(only_file).unwrap().as_deref(), Some("from-file"));
        assert_eq!(remote(None).token_text(|_| None).unwrap(), None);
    }

    #[test]
    fn what_is_no_token_is_refused_and_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("id_ed25519");
        std::fs::write(&file, "PRIVATE KEY").unwrap();
        let failure = remote(Some(file)).token().unwrap_err();
        assert!(!failure.message.contains("PRIVATE"), "{}", failure.message);
    }

    #[test]
    fn an_authority_that_is_none_is_told_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        assert!(trusting(None).is_ok());
        let said = |failure: Failure| failure.message;
        assert!(trusting(Some(&file)).err().map(said).unwrap().contains("ca.pem"));
        std::fs::write(&file, "PRIVATE KEY").unwrap();
        assert!(trusting(Some(&file)).err().map(said).unwrap().contains("no certificate in it"));
    }
}
