//! The first act on a new cluster, from the command line.

use crate::{
    ClusterSecret,
    certificate::{Subject, key_from_seed},
    peer::{
        dial::Dialer,
        link::{AskError, Link},
        message::{Bootstrap, ProposeAnswer},
        resolve::Names,
    },
    propose::ProposeError,
    tls::{Tls, TlsError},
};
use hapi_registry_state::{Command, Outcome};
use std::time::Duration;
use thiserror::Error;
use tokio::time::{Instant, sleep};

/// How long to look for the leader.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(10);
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// How long the leader may take to commit.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(12);

/// Why the command was not carried out.
#[derive(Debug, Error)]
pub enum BootstrapError {
    /// The given node cannot be reached, or has another secret.
    #[error("{0}")]
    Unreachable(String),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The cluster has no leader, or is not formed yet.
    #[error("the cluster has no leader within {} s", SEARCH_TIMEOUT.as_secs())]
    NoLeader,
    /// It may or may not have been carried out.
    #[error("it is not known whether the command was carried out: {0}")]
    Unknown(String),
    /// Refused.
    #[error("{0}")]
    Refused(String),
}

/// Proposes `command` as someone who proved `secret`, at `peer` (`host:port` of a peer plane) or wherever
/// the leader is. The state machine says which commands such a proof allows.
///
/// # Errors
/// See [`BootstrapError`]; after [`BootstrapError::Unknown`] look before repeating.
pub async fn propose_bootstrap(
    secret: &ClusterSecret,
    peer: &str,
    command: Command,
) -> Result<Outcome, BootstrapError> {
    crate::propose::check_size(&command)
        .map_err(|error: ProposeError| BootstrapError::Refused(error.to_string()))?;
    let dialer = operator(secret)?;
    let message = Bootstrap(command);
    let deadline = Instant::now() + SEARCH_TIMEOUT;
    let mut target = peer.to_owned();
    loop {
        let answer = ask(&dialer, &target, &message).await?;
        match answer {
            ProposeAnswer::Committed { outcome, .. } => return Ok(outcome),
            ProposeAnswer::Unknown(reason) => return Err(BootstrapError::Unknown(reason)),
            ProposeAnswer::Ending => return Err(BootstrapError::Unknown("the leader is stopping".into())),
            ProposeAnswer::Refused(reason) => return Err(BootstrapError::Refused(reason)),
            ProposeAnswer::Unfit(unfit) => return Err(BootstrapError::Refused(unfit.to_string())),
            ProposeAnswer::NotLeader { leader } => {
                target = leader.map_or_else(|| peer.to_owned(), |(_, address)| address);
            }
        }
        if Instant::now() >= deadline {
            return Err(BootstrapError::NoLeader);
        }
        sleep(RETRY_PAUSE).await;
    }
}

/// A dialler whose certificate speaks for the holder of the secret. Its key is derived, too: whoever has
/// the secret can make any such certificate anyway.
fn operator(secret: &ClusterSecret) -> Result<Dialer, BootstrapError> {
    let key = key_from_seed(&secret.derive("operator key")).map_err(TlsError::from)?;
    let tls = Tls::new(std::slice::from_ref(secret), Subject::Operator, &key)?;
    Ok(Dialer { names: Names::system(), tls })
}

async fn ask(dialer: &Dialer, target: &str, message: &Bootstrap) -> Result<ProposeAnswer, BootstrapError> {
    let (dialer, address) = (dialer.clone(), target.to_owned());
    let link = Link::new(move || {
        let (dialer, address) = (dialer.clone(), address.clone());
        async move { dialer.dial(&address, |_| Ok(())).await }
    });
    match link.ask(message, COMMIT_TIMEOUT).await {
        Ok(reply) => Ok(reply.answer),
        Err(AskError::Refused(refusal)) => Err(BootstrapError::Refused(refusal.to_string())),
        Err(error) if error.is_harmless() => Err(BootstrapError::Unreachable(format!("{target}: {error}"))),
        Err(error) => Err(BootstrapError::Unknown(error.to_string())),
    }
}
