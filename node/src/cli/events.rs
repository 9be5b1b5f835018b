//! `events`: what was done, as it is done.

use super::failure::Exit;
use super::output::tell;
use super::session::Session;
use super::{Failure, Output, Remote, output, table};
use serde_json::Value;
use std::time::Duration;

/// The most events that one page of the API has.
const PAGE: u64 = 1_000;

/// How long a node holds back an empty page, in seconds, and the rest after no node has answered.
const WAIT: u64 = 20;
const REST: Duration = Duration::from_secs(1);

const COLUMNS: &[table::Column] = &[
    ("INDEX", "/index"),
    ("AT", "/at"),
    ("ACTOR", "/actor"),
    ("ACT", "/act"),
    ("SUBJECT", "/subject"),
    ("REASON", "/reason"),
];

/// Show what was done, with an auditor, moderator or operator token: every act that changed something, once and in order.
///
/// What was refused or changed nothing is in `audit` alone. Whoever reads keeps the last index, and goes on from there at
/// any node.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  hapi-registry events --since 1000 --follow --output json
      One line for each act behind index 1000, and for each that comes.")]
pub(crate) struct Events {
    /// Only events behind this index
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    since: u64,
    /// At most so many events, the oldest first
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=PAGE))]
    limit: u64,
    /// Show all events, and then each that comes, until it is interrupted; as JSON one a line
    #[arg(long, conflicts_with = "limit")]
    follow: bool,
    #[command(flatten)]
    remote: Remote,
}

impl Events {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let session = self.remote.session()?;
        if self.follow {
            return follow(&session, self.since).await;
        }
        let answer = page(&session, self.since, self.limit, 0).await?;
        session.show(&answer, |answer| {
            let rows = table::table(COLUMNS, answer["events"].as_array().into_iter().flatten());
            format!("{rows}\nnext: {}", answer["next"])
        })
    }
}

async fn page(session: &Session, since: u64, limit: u64, wait: u64) -> Result<Value, Failure> {
    session.get(&format!("/v1/events?since={since}&limit={limit}&wait={wait}")).await
}

/// Shows what there is and what comes, for as long as somebody reads. Once it has begun, no node answering is no reason to
/// give up.
async fn follow(session: &Session, mut since: u64) -> Result<(), Failure> {
    let mut began = false;
    loop {
        let mut answer = match page(session, since, PAGE, WAIT).await {
            Ok(answer) => answer,
            Err(failure) if began && failure.exit == Exit::Unreachable => {
                output::note(&format!("{}; trying again", failure.message));
                tokio::time::sleep(REST).await;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        since = answer["next"].as_u64().unwrap_or(since);
        let Value::Array(events) = answer["events"].take() else { continue };
        if !events.is_empty() && !tell(&lines(session.output(), &events, !began))? {
            return Ok(());
        }
        began = true;
    }
}

/// Events as they are followed; those that come first have the heading above them.
fn lines(output: Output, events: &[Value], with_heading: bool) -> String {
    match output {
        Output::Json => events.iter().map(|event| format!("{event}\n")).collect(),
        Output::Table => {
            let table = table::table(COLUMNS, events);
            let heading_end = if with_heading { 0 } else { table.find('\n').map_or(0, |end| end + 1) };
            table[heading_end..].to_owned()
        }
    }
}
