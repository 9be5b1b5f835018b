//! `/v1/seals`: whether an entry binds every node yet.

use super::{Api, body::Path, receipt::Receipt};
use crate::{
    auth::Authenticated,
    problem::{Problem, ProblemBody},
};
use axum::{Json as Answer, extract::State};
use hapi_raft::SealError;
use hapi_registry_state::Right;
use std::{sync::Arc, time::Duration};

/// Without a wish of the caller, a look is a look.
const NO_WAIT: Duration = Duration::from_secs(0);

/// The leader must have the time to answer, even to who does not want to wait for the seal.
const ANSWER: Duration = Duration::from_millis(500);

/// Show how every node was covered. `Prefer: wait=SECONDS` waits for that (RFC 7240).
#[utoipa::path(
    get, path = "/v1/seals/{index}", tag = "governance", params(("index" = u64, Path)),
    responses(
        (status = 200, description = "No node issues against the entry any more", body = Receipt),
        (status = 202, description = "Some node may still", body = ProblemBody),
        (status = "default", body = ProblemBody),
    )
)]
pub(crate) async fn show(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Path(index): Path<u64>,
) -> Result<Answer<Receipt>, Problem> {
    caller.require(Right::ReadGovernance)?;
    let wait = caller.preferred_wait().unwrap_or(NO_WAIT).max(ANSWER);
    match api.replica.sealed(index, wait).await {
        Ok(receipt) => Ok(Answer(Receipt::sealed(index, &receipt.nodes))),
        Err(SealError::Pending(index)) => Err(Problem::not_sealed(index)),
        Err(SealError::Beyond(_)) => {
            Err(Problem::not_found("not_found", format!("the log has no entry at index {index} yet")))
        }
    }
}
