//! Asking for leave to connect.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hapi_descriptor::Refusal;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::api::node_failure;
use crate::authority::VerifyError;
use crate::boarding::Boarding;
use crate::client::{Client, Inner};
use crate::history::History;
use crate::problem::Problem;
use crate::transport::Answer;

const CONNECT_PATH: &str = "/v1/connect";

/// What to ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ConnectRequest {
    /// `namespace/name`, or `namespace/name@version`.
    pub server_ref: String,
    /// Values for the placeholders in the server's URL.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// The wished life of the descriptor, in seconds; the cluster clamps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u64>,
    /// Decide from nothing older than this log index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_index: Option<u64>,
}

impl ConnectRequest {
    /// Asks for a server, and leaves the rest to the cluster.
    pub fn new(server_ref: impl Into<String>) -> Self {
        Self { server_ref: server_ref.into(), ..Self::default() }
    }

    /// The server's id and, where asked for, its version.
    fn target(&self) -> (&str, Option<&str>) {
        match self.server_ref.split_once('@') {
            Some((id, version)) => (id, Some(version)),
            None => (&self.server_ref, None),
        }
    }
}

/// Why there is no leave, by what to do about it.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The cluster forbids it. End the session and do not reconnect; later calls for this server answer the
    /// same without asking, until [`Client::forget`].
    #[error("hard stop, {code}: {detail}")]
    HardStop {
        /// One of [`HARD_STOPS`](crate::HARD_STOPS).
        code: String,
        /// The sentence for humans.
        detail: String,
    },
    /// The client or its tenant asks too often. No other node was tried, since each gives its share of one budget;
    /// and none is asked for anything until the wait is over.
    #[error("rate limited; try again in {} s", .retry_after.as_secs())]
    RateLimited {
        /// How long to wait.
        retry_after: Duration,
    },
    /// Too many tries in vain; none was made now.
    #[error("retry budget spent; try again in {} s", .retry_after.as_secs())]
    RetryBudgetSpent {
        /// How long until the next try is allowed.
        retry_after: Duration,
    },
    /// No node could decide, or the MCP server is down. Back off.
    #[error("unavailable: {detail}")]
    Unavailable {
        /// How long to wait.
        retry_after: Duration,
        /// The last cause.
        detail: String,
    },
    /// The request has to be changed first: it is malformed, not authenticated, or names no server.
    #[error("refused, {}: {} (HTTP {})", .0.code, .0.detail, .0.status)]
    Refused(Problem),
    /// A node's descriptor does not verify. Do not use it, and tell the operator.
    #[error("the descriptor does not verify: {0}")]
    Descriptor(Refusal),
    /// The issuer or its keys could not be learned, so no descriptor can be verified.
    #[error("cannot verify: {0}")]
    NoAuthority(String),
    /// A node's answer makes no sense.
    #[error("unexpected answer: {0}")]
    Malformed(String),
}

impl From<VerifyError> for ConnectError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Refused(refusal) => Self::Descriptor(refusal),
            VerifyError::NoAuthority(cause) => Self::NoAuthority(cause),
        }
    }
}

impl From<&Problem> for ConnectError {
    fn from(problem: &Problem) -> Self {
        match problem.status {
            _ if problem.is_hard_stop() => {
                Self::HardStop { code: problem.code.clone(), detail: problem.detail.clone() }
            }
            429 => Self::RateLimited { retry_after: problem.wait() },
            500.. => Self::Unavailable { retry_after: problem.wait(), detail: problem.detail.clone() },
            _ => Self::Refused(problem.clone()),
        }
    }
}

/// The body of a 200. What it says beside the descriptor is not signed, so only what cannot harm is read.
#[derive(Deserialize)]
struct Granted {
    descriptor: String,
    endpoint: String,
    index: Option<u64>,
    #[serde(default)]
    warnings: Vec<String>,
}

impl Client {
    /// Asks for leave to connect to a server, and verifies the answer. Calls for one `server_ref` go one at a
    /// time.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]; each kind says what to do.
    pub async fn connect(&self, request: &ConnectRequest) -> Result<Boarding, ConnectError> {
        let history = self.0.histories.of(&request.server_ref);
        let mut history = history.lock().await;
        if let Some(stop) = &history.stop {
            return Err(stop.into());
        }
        if let Some(retry_after) = self.0.pause.left(Instant::now()) {
            return Err(ConnectError::RateLimited { retry_after });
        }
        let answer = self.0.ask(request, &mut history).await?;
        let boarding = self.0.judge(request, &answer, &mut history).await?;
        history.budget.succeed();
        Ok(boarding)
    }

    /// Lifts a remembered hard stop, so that the next call asks the cluster again. Call it only on the
    /// decision of a human or of a program that knows what has changed, never as a part of retrying. The
    /// retry budget stays.
    pub async fn forget(&self, server_ref: &str) {
        self.0.histories.of(server_ref).lock().await.stop = None;
    }
}

impl Inner {
    /// Asks one node after the other, each try within the budget, until one answers for the cluster. Unlike
    /// other writes this one may be repeated: a descriptor that is lost on the way harms nobody, and ends
    /// soon.
    async fn ask(&self, request: &ConnectRequest, history: &mut History) -> Result<Answer, ConnectError> {
        let body = serde_json::to_vec(request).map_err(|error| ConnectError::Malformed(error.to_string()))?;
        let mut failure = None;
        for node in self.nodes.order() {
            if let Err(retry_after) = history.budget.take(Instant::now()) {
                return Err(failure.unwrap_or(ConnectError::RetryBudgetSpent { retry_after }));
            }
            match self.ask_node(node, &body).await {
                Ok(answer) => {
                    // Its budget is its own share. What stands between may be wrong about us, too.
                    if answer.status == 429 {
                        self.nodes.failed(node);
                    }
                    return Ok(answer);
                }
                Err(error) => failure = Some(error),
            }
            self.nodes.failed(node);
        }
        Err(failure.unwrap_or_else(|| ConnectError::NoAuthority("there is no node".to_owned())))
    }

    /// An error is a failure of this node; a refusal by the cluster is an answer.
    async fn ask_node(&self, node: usize, body: &[u8]) -> Result<Answer, ConnectError> {
        let url = self.nodes.url(node);
        let problem = match self.transport.send(url, Method::POST, CONNECT_PATH, Some(body)).await {
            Ok(answer) => match node_failure(&answer) {
                Some(problem) => ConnectError::from(&problem),
                None => return Ok(answer),
            },
            Err(error) => ConnectError::Unavailable {
                retry_after: crate::DEFAULT_RETRY_AFTER,
                detail: error.to_string(),
            },
        };
        tracing::debug!(node = %url, error = %problem, "this node cannot decide");
        Err(problem)
    }

    async fn judge(
        &self,
        request: &ConnectRequest,
        answer: &Answer,
        history: &mut History,
    ) -> Result<Boarding, ConnectError> {
        if answer.status == 200 {
            return self.board(request, answer).await;
        }
        let problem = Problem::parse(answer);
        let error = ConnectError::from(&problem);
        if problem.is_hard_stop() {
            history.stop = Some(problem);
        } else if problem.code == "rate_limited" {
            self.pause.extend(Instant::now(), problem.wait());
        }
        Err(error)
    }

    /// Verifies what was granted: signed by the cluster, for the endpoint that is named, and for the server
    /// and version that were asked for.
    async fn board(&self, request: &ConnectRequest, answer: &Answer) -> Result<Boarding, ConnectError> {
        let granted: Granted = serde_json::from_slice(&answer.body)
            .map_err(|error| ConnectError::Malformed(error.to_string()))?;
        let (server, version) = request.target();
        let verified = self.verify(&granted.descriptor, &granted.endpoint, server).await?;
        if version.is_some_and(|version| version != verified.claims.server.version) {
            return Err(ConnectError::Descriptor(Refusal::Server));
        }
        Ok(Boarding::new(granted.descriptor, verified, granted.index, granted.warnings))
    }
}
