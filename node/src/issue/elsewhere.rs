//! A connect that this node may not decide: the leader may, or a lease may come.

use super::{Ask, Counted, Desk, Issued};
use crate::{api::ConnectAnswer, metrics::Metrics, problem::Problem};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use hapi_raft::{HandoverError, Replica};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Rest between two looks for a lease or a leader.
const LOOK: Duration = Duration::from_millis(10);

/// A leader that does not answer for so long is asked again, or the next one.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// Who answered a connect.
pub(crate) enum Answered {
    /// This node.
    Here(Box<Issued>),
    /// The leader.
    Elsewhere(Handed),
}

/// An answer of the leader, to be passed on as it is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Handed {
    status: u16,
    retry_after: Option<u32>,
    body: String,
}

impl Desk {
    /// Decides here; else lets the leader decide, which is one hop; else waits a little for either.
    pub(crate) async fn issue(
        &self,
        replica: &Replica,
        metrics: &Metrics,
        ask: &Ask,
        mut counted: Counted,
    ) -> Result<Answered, Problem> {
        match self.issue_here(replica, ask, &mut counted).await? {
            Some(issued) => Ok(Answered::Here(Box::new(issued))),
            None => Box::pin(self.issue_elsewhere(replica, metrics, ask, counted)).await,
        }
    }

    async fn issue_elsewhere(
        &self,
        replica: &Replica,
        metrics: &Metrics,
        ask: &Ask,
        mut counted: Counted,
    ) -> Result<Answered, Problem> {
        let deadline = Instant::now() + self.handover_wait;
        let mut waited = false;
        loop {
            let handed = hand_over(replica, ask, deadline).await;
            metrics.handover(label(&handed));
            if let Ok(handed) = handed {
                metrics.waited(waited.then_some("leader"));
                return Ok(Answered::Elsewhere(handed));
            }
            if Instant::now() >= deadline {
                metrics.waited(Some("timeout"));
                return Err(Problem::no_serving_lease());
            }
            waited = true;
            sleep(LOOK).await;
            if let Some(issued) = self.issue_here(replica, ask, &mut counted).await? {
                metrics.waited(Some("lease"));
                return Ok(Answered::Here(Box::new(issued)));
            }
        }
    }

    /// Answers what another node handed over. `None` if this node may not decide either: a connect is never
    /// handed on.
    pub(crate) async fn answer_handover(
        &self,
        replica: &Replica,
        metrics: &Metrics,
        request: &[u8],
    ) -> Option<Vec<u8>> {
        let ask: Ask = serde_json::from_slice(request).ok()?;
        let issued = self.issue_here(replica, &ask, &mut Counted::default()).await.transpose()?;
        metrics.decision(issued.as_ref().map_or_else(Problem::code, |_| "ok"));
        let handed = match issued {
            Ok(issued) => Handed {
                status: 200,
                retry_after: None,
                body: serde_json::to_string(&ConnectAnswer::from(issued)).ok()?,
            },
            Err(problem) => {
                let (status, retry_after, body) = problem.parts();
                Handed { status, retry_after, body: serde_json::to_string(&body).ok()? }
            }
        };
        serde_json::to_vec(&handed).ok()
    }
}

async fn hand_over(replica: &Replica, ask: &Ask, deadline: Instant) -> Result<Handed, HandoverError> {
    let failed = |error: serde_json::Error| HandoverError::Failed(error.to_string());
    let request = serde_json::to_vec(ask).map_err(failed)?;
    let left = deadline.saturating_duration_since(Instant::now()).min(ANSWER_TIMEOUT);
    let answer = replica.hand_to_leader(request, left).await?;
    serde_json::from_slice(&answer).map_err(failed)
}

fn label(handed: &Result<Handed, HandoverError>) -> &'static str {
    match handed {
        Ok(_) => "answered",
        Err(HandoverError::NoLeader) => "no_leader",
        Err(HandoverError::NoLease) => "refused",
        Err(HandoverError::Failed(_)) => "failed",
    }
}

impl Handed {
    /// What the leader said: the body of a yes, or that of a no.
    pub(crate) fn read<Yes: DeserializeOwned, No: DeserializeOwned>(&self) -> Option<Result<Yes, No>> {
        if self.status == 200 {
            serde_json::from_str(&self.body).ok().map(Ok)
        } else {
            serde_json::from_str(&self.body).ok().map(Err)
        }
    }
}

impl IntoResponse for Handed {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let kind = if status.is_success() { "application/json" } else { "application/problem+json" };
        let mut response = (status, [(header::CONTENT_TYPE, kind)], self.body).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
