//! `/v1/restore`: a registry that was restored issues nothing until somebody has looked at it.

use super::{Api, receipt::Receipt};
use crate::{
    auth::Authenticated,
    problem::{Problem, ProblemBody},
};
use axum::{Json as Answer, extract::State};
use hapi_registry_state::{Command, Right};
use std::sync::Arc;

/// Confirm the moderation state of a restored registry: from then on it issues descriptors.
///
/// Whatever was suspended or revoked after the backup was taken is not in it: do that again *before* this. Refused as
/// long as a descriptor that was issued before the restore may still be valid.
#[utoipa::path(
    post, path = "/v1/restore/confirm", tag = "cluster",
    responses(
        (status = 200, description = "Descriptors are issued", body = Receipt),
        (status = 409, description = "Nothing waits for it, or it is too early", body = ProblemBody),
        (status = "default", body = ProblemBody),
    )
)]
pub(crate) async fn confirm(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
) -> Result<Answer<Receipt>, Problem> {
    caller.require(Right::Operate)?;
    Ok(Answer(api.write(&caller, Command::ConfirmRestore).await?.into()))
}
