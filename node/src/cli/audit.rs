//! `audit`: the record of every act.

mod chain;
mod export;
mod live;
mod saved;
mod verify;

use super::failure::Exit;
use super::output::tell;
use super::session::Session;
use super::{Failure, Output, Remote, output, table};
use serde_json::Value;
use std::time::Duration;

/// The most records that one page of the API has.
const PAGE: u64 = 1_000;

/// Rest between two looks for new records.
const LOOK: Duration = Duration::from_secs(1);

const COLUMNS: &[table::Column] = &[
    ("INDEX", "/index"),
    ("AT", "/at"),
    ("ACTOR", "/actor"),
    ("ACT", "/act"),
    ("SUBJECT", "/subject"),
    ("OUTCOME", "/outcome"),
    ("REASON", "/reason"),
];

/// Show the record of every act, with an auditor, moderator or operator token: who, what, on what, and why.
///
/// The records form a chain, of which `head` is the hash: h(n) = SHA-256(h(n-1) || RFC 8785 JSON of record n), from
/// 32 zero bytes.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "Example:
  hapi-registry audit --after 1000 --limit 50
      The 50 records behind index 1000, the oldest first.")]
pub(crate) struct Audit {
    #[command(subcommand)]
    act: Option<Act>,
    /// Only records behind this index
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    after: u64,
    /// At most so many records, the oldest first
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Show all records, and then each that comes, until it is interrupted; as JSON one a line
    #[arg(long, conflicts_with = "limit")]
    follow: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Subcommand)]
enum Act {
    Export(export::Export),
    Verify(verify::Verify),
}

impl Audit {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self.act {
            Some(Act::Export(export)) => return export.run().await,
            Some(Act::Verify(verify)) => return verify.run().await,
            None => {}
        }
        let session = self.remote.session()?;
        if self.follow {
            return follow(&session, self.after).await;
        }
        let answer = stretch(&session, self.after, self.limit).await?;
        session.show(&answer, |answer| format!("{}\nhead: {}", rows(answer), table::cell(answer.get("head"))))
    }
}

async fn page(session: &Session, after: u64, limit: u64) -> Result<Value, Failure> {
    session.get(&format!("/v1/audit?after={after}&limit={limit}")).await
}

/// Follows the pages until `limit` records are there. The head is that of the last page.
async fn stretch(session: &Session, mut after: u64, limit: u64) -> Result<Value, Failure> {
    let mut found = Vec::new();
    loop {
        let wanted = PAGE.min(limit - found.len() as u64);
        let mut answer = page(session, after, wanted).await?;
        let records = records(&mut answer);
        let is_last = (records.len() as u64) < wanted;
        after = last_index(&records).unwrap_or(after);
        found.extend(records);
        if is_last || found.len() as u64 >= limit {
            answer["records"] = found.into();
            return Ok(answer);
        }
    }
}

/// Shows what there is and what comes, for as long as somebody reads. Once it has begun, no node answering is no
/// reason to give up.
async fn follow(session: &Session, mut after: u64) -> Result<(), Failure> {
    let mut began = false;
    loop {
        let records = match page(session, after, PAGE).await {
            Ok(mut answer) => records(&mut answer),
            Err(failure) if began && failure.exit == Exit::Unreachable => {
                output::note(&format!("{}; trying again", failure.message));
                Vec::new()
            }
            Err(failure) => return Err(failure),
        };
        if !records.is_empty() && !tell(&lines(session.output(), &records, !began))? {
            return Ok(());
        }
        began = true;
        after = last_index(&records).unwrap_or(after);
        if (records.len() as u64) < PAGE {
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn records(answer: &mut Value) -> Vec<Value> {
    match answer["records"].take() {
        Value::Array(records) => records,
        _ => Vec::new(),
    }
}

fn last_index(records: &[Value]) -> Option<u64> {
    records.last()?["index"].as_u64()
}

fn rows(answer: &Value) -> String {
    table::table(COLUMNS, answer["records"].as_array().into_iter().flatten())
}

/// Records as they are followed; those that come first have the heading above them.
fn lines(output: Output, records: &[Value], with_heading: bool) -> String {
    match output {
        Output::Json => records.iter().map(|record| format!("{record}\n")).collect(),
        Output::Table => {
            let table = table::table(COLUMNS, records);
            let heading_end = if with_heading { 0 } else { table.find('\n').map_or(0, |end| end + 1) };
            table[heading_end..].to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use axum::{Json, Router, extract::RawQuery, routing::get};
    use hapi_client::Client;
    use serde_json::json;

    /// As many records as there are, of which a page holds what is asked for.
    const RECORDS: u64 = 2_500;

    async fn answer(RawQuery(query): RawQuery) -> Json<Value> {
        let query = query.unwrap();
        let part = |name: &str| {
            let value = query.split('&').find_map(|pair| pair.strip_prefix(name)).unwrap();
            value.parse::<u64>().unwrap()
        };
        let records = (part("after=") + 1..=RECORDS).take(part("limit=") as usize);
        let records: Vec<_> = records.map(|index| json!({"index": index, "act": "publish"})).collect();
        Json(json!({"records": records, "head": "00ff", "index": RECORDS}))
    }

    async fn session() -> Session {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/audit", get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Session::new(Client::builder().nodes([url]).build().unwrap(), Output::Table, true)
    }

    #[tokio::test]
    async fn a_stretch_is_longer_than_a_page_and_has_no_gap() {
        let session = session().await;
        for (after, limit, first, last) in [
            (0, 100, 1, 100),
            (10, 2_000, 11, 2_010),
            (10, 9_999, 11, RECORDS),
            (1_500, 1_000, 1_501, RECORDS),
        ] {
            let answer = stretch(&session, after, limit).await.unwrap();
            let indices: Vec<_> =
                answer["records"].as_array().unwrap().iter().map(|r| r["index"].clone()).collect();
            assert_eq!(indices, (first..=last).map(Value::from).collect::<Vec<_>>());
            assert_eq!(answer["head"], "00ff");
        }
    }

    #[test]
    fn what_is_followed_has_one_heading_and_as_json_a_line_each() {
        let records = [json!({"index": 7, "actor": "token/a", "act": "publish", "outcome": "published"})];
        insta::assert_snapshot!(lines(Output::Table, &records, true), @r"
        INDEX  AT  ACTOR    ACT      SUBJECT  OUTCOME    REASON
        7      -   token/a  publish  -        published  -
        ");
        assert!(lines(Output::Table, &records, false).starts_with("7 "));
        assert_eq!(lines(Output::Json, &records, true), format!("{}\n", records[0]));
    }
}
