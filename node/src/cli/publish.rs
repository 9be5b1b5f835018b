//! `publish`: one new version of a server.

use super::{Failure, Remote, table};
use hapi_client::Method;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::path::{Path, PathBuf};

/// Publish a version of a server, with a publisher token for its namespace.
///
/// What clients connect by never changes in a published version: raise `version` and publish again. The rest can be
/// changed by `servers edit`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  hapi-registry publish server.json --token-file publisher.token
      Publishes what `hapi-registry validate server.json` finds no error in.")]
pub(crate) struct Publish {
    /// The `server.json` document
    file: PathBuf,
    #[command(flatten)]
    remote: Remote,
}

impl Publish {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let document: Box<RawValue> = read_json(&self.file)?;
        let session = self.remote.session()?;
        let answer = session.send_raw(Method::POST, "/v0.1/publish", &document).await?;
        session.show(&answer, |answer| {
            let part = |pointer| table::cell(answer.pointer(pointer));
            format!("published {}@{}", part("/server/name"), part("/server/version"))
        })
    }
}

/// Reads a file of JSON.
pub(super) fn read_json<T: DeserializeOwned>(file: &Path) -> Result<T, Failure> {
    let bytes = read(file)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Failure::usage(format!("{} is not the JSON that is needed: {error}", file.display()))
    })
}

/// Reads a file.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| Failure::usage(format!("cannot read {}: {error}", file.display())))
}
