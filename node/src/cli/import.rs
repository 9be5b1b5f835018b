//! `import`: the catalog of another registry, from a file.

use super::{Failure, Remote, progress, publish, table};
use hapi_client::Method;
use serde::{Deserialize, Serialize};
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};
use std::path::PathBuf;

/// So many entries go in one request: few enough that the bar moves, and that no request meets the time-out.
const CHUNK: usize = 100;

/// Take over the entries of another registry, with an operator token.
///
/// The file is a ServerList, as `GET /v0.1/servers` of any registry gives it. Entries that break a rule are
/// reported and left out, those that are there already too; all others are taken over, each with its status
/// and dates.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  hapi-registry import servers.json --token-file operator.token
      Takes over the entries and lists those that it did not.")]
pub(crate) struct Import {
    /// The ServerList
    file: PathBuf,
    #[command(flatten)]
    remote: Remote,
}

/// What the file holds; each entry stays as it was written.
#[derive(Deserialize)]
struct ServerList {
    servers: Vec<Box<RawValue>>,
}

/// A part of it, as one request.
#[derive(Serialize)]
struct Chunk<'a> {
    servers: &'a [Box<RawValue>],
}

impl Import {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let ServerList { servers } = publish::read_json(&self.file)?;
        let session = self.remote.session()?;
        let bar = progress::entries(servers.len());
        let mut total = Total::default();
        for chunk in servers.chunks(CHUNK) {
            let body =
                to_raw_value(&Chunk { servers: chunk }).map_err(|error| Failure::usage(error.to_string()))?;
            let answer = session.send_raw(Method::POST, "/v1/import", &body).await;
            total.add(answer.map_err(|failure| total.interrupted(failure))?);
            bar.inc(chunk.len() as u64);
        }
        bar.finish_and_clear();
        session.show(&total.to_json(), Total::report)
    }
}

/// What all requests together came to.
#[derive(Default)]
struct Total {
    index: u64,
    imported: u64,
    flawed: u64,
    rejected: Vec<Value>,
}

impl Total {
    fn add(&mut self, mut answer: Value) {
        let count = |name: &str| answer[name].as_u64().unwrap_or(0);
        self.index = self.index.max(count("index"));
        self.imported += count("imported");
        self.flawed += count("flawed");
        if let Value::Array(rejected) = answer["rejected"].take() {
            self.rejected.extend(rejected);
        }
    }

    /// An import may be repeated: what is there already is left alone.
    fn interrupted(&self, failure: Failure) -> Failure {
        match (self.imported, &failure.hint) {
            (0, Some(_)) => failure,
            (done, _) => {
                failure.hint(format!("{done} entries were taken over before; the import may be repeated"))
            }
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "index": self.index, "imported": self.imported, "flawed": self.flawed, "rejected": self.rejected,
        })
    }

    fn report(total: &Value) -> String {
        let rejected = total["rejected"].as_array().map(Vec::as_slice).unwrap_or_default();
        let summary = format!(
            "imported {}, left out {}, flawed {}",
            total["imported"],
            rejected.len(),
            total["flawed"],
        );
        if rejected.is_empty() {
            return summary;
        }
        let columns = [("NAME", "/name"), ("VERSION", "/version"), ("CODE", "/code"), ("REASON", "/reason")];
        format!("{}{summary}", table::table(&columns, rejected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_add_up() {
        let mut total = Total::default();
        total.add(json!({"index": 7, "imported": 2, "flawed": 1, "rejected": []}));
        total.add(json!({"index": 9, "imported": 3, "rejected": [
            {"name": "a.b/c", "version": "1", "code": "version_exists", "reason": "It is there."}
        ]}));
        insta::assert_snapshot!(Total::report(&total.to_json()), @r"
        NAME   VERSION  CODE            REASON
        a.b/c  1        version_exists  It is there.
        imported 5, left out 1, flawed 1
        ");
    }
}
