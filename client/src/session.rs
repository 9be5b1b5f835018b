//! Leave to connect that is renewed until it ends.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::select;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::authority::unix_seconds;
use crate::boarding::Boarding;
use crate::client::Client;
use crate::connect::{ConnectError, ConnectRequest};

/// The longest sleep before the clock is read again: a machine that was suspended must not use what has ended.
const LONGEST_SLEEP_SECONDS: u64 = 5;

/// The pause after a failed renewal that names none.
const RETRY_SECONDS: u64 = 1;

/// Why a session has ended. End the MCP session too, and close its streams.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SessionEnd {
    /// The cluster forbids it. Do not reconnect.
    #[error("hard stop, {code}: {detail}")]
    HardStop {
        /// One of [`HARD_STOPS`](crate::HARD_STOPS).
        code: String,
        /// The sentence for humans.
        detail: String,
    },
    /// The server is reached at another endpoint now, to which a running MCP session cannot move. Open another.
    #[error("the server has moved to {endpoint}")]
    Moved {
        /// Where it is now.
        endpoint: String,
    },
    /// The descriptor ended before it could be renewed.
    #[error("not renewed in time: {last}")]
    Expired {
        /// What the last try came to.
        last: String,
    },
}

/// Leave to connect to one server, renewed in the background
/// [`REFRESH_BEFORE_SECONDS`](crate::REFRESH_BEFORE_SECONDS) before it ends, until the cluster refuses. Dropping it
/// stops that.
///
/// Take [`Session::boarding`] for every request, so that each carries the newest descriptor; a guard that has bound
/// an MCP session to the one before is renewed by it.
#[derive(Debug)]
pub struct Session {
    state: watch::Receiver<State>,
    wanted: Arc<Notify>,
    background: AbortHandle,
}

type State = Result<Boarding, SessionEnd>;

impl Drop for Session {
    fn drop(&mut self) {
        self.background.abort();
    }
}

impl Client {
    /// Connects, and keeps the leave fresh from then on.
    ///
    /// # Errors
    ///
    /// [`ConnectError`], of the first connect.
    pub async fn open(&self, request: ConnectRequest) -> Result<Session, ConnectError> {
        let boarding = self.connect(&request).await?;
        let (sender, state) = watch::channel(Ok(boarding.clone()));
        let wanted = Arc::<Notify>::default();
        let renewal = Renewal { client: self.clone(), request, wanted: Arc::clone(&wanted), state: sender };
        let background = tokio::spawn(renewal.run(boarding)).abort_handle();
        Ok(Session { state, wanted, background })
    }
}

impl Session {
    /// The newest leave, for the next request.
    ///
    /// # Errors
    ///
    /// [`SessionEnd`], once there is none: end the MCP session.
    pub fn boarding(&self) -> Result<Boarding, SessionEnd> {
        self.state.borrow().clone()
    }

    /// To be called when the MCP server asks for a fresh descriptor: `exp` is that of its notice
    /// `notifications/connect/refresh_required`, or of its header `MCP-Connect-Refresh`. If the newest leave ends
    /// later, nothing is asked for: the next request brings it.
    pub fn refresh_required(&self, exp: u64) {
        let is_news = self.boarding().is_ok_and(|boarding| boarding.expires_at() <= exp);
        if is_news {
            self.wanted.notify_one();
        }
    }

    /// Waits for the next leave; to push it to the MCP server by `notifications/connect/refresh`.
    ///
    /// # Errors
    ///
    /// [`SessionEnd`], once there is no next one.
    pub async fn renewed(&mut self) -> Result<Boarding, SessionEnd> {
        // It fails only when the sender is gone, and that goes with an end.
        let _ = self.state.changed().await;
        self.boarding()
    }

    /// Waits for the end.
    pub async fn ended(&self) -> SessionEnd {
        let mut state = self.state.clone();
        let end = state.wait_for(Result::is_err).await.ok().and_then(|state| state.as_ref().err().cloned());
        end.unwrap_or_else(|| SessionEnd::Expired { last: "the renewal has stopped".to_owned() })
    }
}

/// What runs in the background.
struct Renewal {
    client: Client,
    request: ConnectRequest,
    wanted: Arc<Notify>,
    state: watch::Sender<State>,
}

impl Renewal {
    async fn run(self, mut boarding: Boarding) {
        loop {
            self.until_due(&boarding).await;
            match self.renew(&boarding).await {
                Ok(fresh) => boarding = fresh,
                Err(end) => {
                    tracing::info!(server = self.request.server_ref, %end, "the session has ended");
                    self.state.send_modify(|state| *state = Err(end));
                    return;
                }
            }
            self.state.send_modify(|state| *state = Ok(boarding.clone()));
        }
    }

    async fn until_due(&self, boarding: &Boarding) {
        while let Some(seconds) = remaining(boarding.refresh_at()) {
            select! {
                () = sleep(Duration::from_secs(seconds.min(LONGEST_SLEEP_SECONDS))) => {}
                () = self.wanted.notified() => return,
            }
        }
    }

    /// Tries until there is a fresh leave, or there can be none.
    async fn renew(&self, old: &Boarding) -> Result<Boarding, SessionEnd> {
        loop {
            let error = match self.client.connect(&self.request).await {
                Ok(fresh) if fresh.endpoint == old.endpoint => return Ok(fresh),
                Ok(fresh) => return Err(SessionEnd::Moved { endpoint: fresh.endpoint }),
                Err(error) => error,
            };
            tracing::debug!(server = self.request.server_ref, %error, "the session was not renewed");
            let last = error.to_string();
            let pause = after(error, remaining(old.expires_at()))?;
            sleep(Duration::from_secs(pause)).await;
            if remaining(old.expires_at()).is_none() {
                return Err(SessionEnd::Expired { last });
            }
        }
    }
}

/// How long until an instant, in seconds; `None` when it has come.
fn remaining(instant: u64) -> Option<u64> {
    instant.checked_sub(unix_seconds()).filter(|seconds| *seconds > 0)
}

/// How long to wait after a failed try, when the leave lasts for so many more seconds; or the end.
///
/// A refusal that will not change while we wait is not asked for again: the leave lasts until its end.
fn after(error: ConnectError, remaining: Option<u64>) -> Result<u64, SessionEnd> {
    let last = error.to_string();
    let Some(remaining) = remaining else { return Err(SessionEnd::Expired { last }) };
    let wish = match error {
        ConnectError::HardStop { code, detail } => return Err(SessionEnd::HardStop { code, detail }),
        ConnectError::RateLimited { retry_after }
        | ConnectError::RetryBudgetSpent { retry_after }
        | ConnectError::Unavailable { retry_after, .. } => retry_after.as_secs() + 1,
        ConnectError::Refused(_) => remaining,
        ConnectError::Descriptor(_) | ConnectError::NoAuthority(_) | ConnectError::Malformed(_) => {
            RETRY_SECONDS
        }
    };
    Ok(wish.clamp(RETRY_SECONDS, remaining))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    fn unavailable(seconds: u64) -> ConnectError {
        let retry_after = Duration::from_secs(seconds);
        ConnectError::Unavailable { retry_after, detail: "none answered".into() }
    }

    #[test]
    fn a_hard_stop_ends_it_at_once() {
        let (code, detail) = ("server_revoked".to_owned(), "It was revoked.".to_owned());
        let error = ConnectError::HardStop { code: code.clone(), detail: detail.clone() };
        assert_eq!(after(error, Some(20)), Err(SessionEnd::HardStop { code, detail }));
    }

    #[test]
    fn a_failure_is_waited_out_while_the_leave_lasts() {
        assert_eq!(after(unavailable(5), Some(20)), Ok(6));
        assert_eq!(after(unavailable(5), Some(3)), Ok(3));
        assert_eq!(after(unavailable(0), Some(20)), Ok(1));
        let last = "unavailable: none answered".to_owned();
        assert_eq!(after(unavailable(5), None), Err(SessionEnd::Expired { last }));
    }

    #[test]
    fn a_spent_budget_is_waited_for() {
        let error = ConnectError::RetryBudgetSpent { retry_after: Duration::from_millis(7_500) };
        assert_eq!(after(error, Some(20)), Ok(8));
    }
}
