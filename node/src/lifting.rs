//! Suspensions that lift themselves: the leader proposes what is due, and the log decides whether it is.
//!
//! What is due stands in the state, so that the next leader finds it there, and a restarted one too. A clock that is
//! behind makes a lift late. One that is ahead of the log makes none early: the entry carries that same instant, and
//! everybody who reads the state then sees it past the end.

use crate::clock;
use hapi_raft::{Committed, ProposeError, ReadError, Replica, Role};
use hapi_registry_state::{Command, Outcome, Principal, Registry, Subject};
use std::time::Duration;
use tokio::time::sleep;

/// The first release whose programs know of it.
const SINCE: &str = "0.2";

/// How often it is looked whether something is due.
const LOOK: Duration = Duration::from_secs(1);

/// Rest after a proposal that did not go through.
const REST: Duration = Duration::from_secs(5);

/// Why nothing was lifted.
#[derive(Debug, thiserror::Error)]
enum LiftError {
    #[error(transparent)]
    Propose(#[from] ProposeError),
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Lifts what is due while this node leads, until the process ends.
pub(crate) async fn keep(replica: Replica) {
    replica.formed().await;
    loop {
        let rest = match lift_first(&replica).await {
            Ok(true) => continue,
            Ok(false) => LOOK,
            Err(error) => {
                tracing::debug!(%error, "what is to be lifted stays for now");
                REST
            }
        };
        sleep(rest).await;
    }
}

/// Lifts what has come to its end first; `false` if there is nothing to go on with at once.
async fn lift_first(replica: &Replica) -> Result<bool, LiftError> {
    if first_due(&replica.state()).is_none() || replica.status().role != Role::Leader {
        return Ok(false);
    }
    // What an earlier leader lifted last may not be applied here yet.
    replica.read_index().await?;
    let state = replica.state();
    let Some((subject, index)) = first_due(&state) else { return Ok(false) };
    if !replica.all_run(SINCE) {
        return Ok(false);
    }
    let command = Command::Lift { subject: subject.clone(), index };
    let Committed { index, outcome, .. } = replica.propose(Principal::System, command).await?;
    tell(subject, index, &outcome);
    // After a rejection one waits: each leaves a record in the audit chain.
    Ok(outcome.changed())
}

/// What is due by this node's clock. Entries are never earlier than the state, whatever the clock says.
fn first_due(state: &Registry) -> Option<(&Subject, u64)> {
    state.ended_moderations(clock::now().max(state.at())).next()
}

fn tell(subject: &Subject, index: u64, outcome: &Outcome) {
    match outcome {
        Outcome::Rejected(rejection) => tracing::debug!(%subject, %rejection, "not lifted"),
        _ => tracing::info!(%subject, index, "lifted, since it has come to its end"),
    }
}
