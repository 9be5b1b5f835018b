//! From the `Authorization` header to a caller whom one state of the registry knows.

use crate::{api::Api, clock, problem::Problem};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use hapi_registry_state::{
    Caller, Command, Credential, NewToken, PresentedToken, Principal, RequestKey, Right,
};
use sha2::{Digest, Sha256};
use std::{sync::Arc, time::Duration};

/// What the `Authorization` header carries, if it is of a token's form.
pub(crate) fn credential(headers: &HeaderMap) -> Result<Option<Credential>, Problem> {
    Ok(presented(headers)?.map(Credential::Token))
}

pub(crate) fn presented(headers: &HeaderMap) -> Result<Option<PresentedToken>, Problem> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let token = value.to_str().ok().and_then(bearer).and_then(|text| text.parse().ok());
    token.map(Some).ok_or_else(Problem::unauthenticated)
}

/// RFC 6750 §2.1; the scheme's name is case-insensitive (RFC 9110 §11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, text) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| text.trim())
}

/// A caller with a valid token, of whatever role.
#[derive(Clone, Debug)]
pub(crate) struct Authenticated {
    caller: Caller,
    token: PresentedToken,
    /// How long the caller wants to wait for a seal, if it says so.
    wait: Option<Duration>,
    /// The caller's own name for the request.
    name: Option<Arc<str>>,
}

/// How long a deny-type write waits for its seal unless the caller wants something else. Above the time in
/// which the leases of a node that is gone run out.
const WAIT: Duration = Duration::from_secs(10);

/// The longest that anybody may wait.
const MOST_WAIT: Duration = Duration::from_secs(60);

impl Authenticated {
    /// Checks the role before anything is done in the caller's name. Writes are judged once more at their
    /// place in the log; this check spares the log what would be rejected there.
    pub(crate) fn require(&self, right: Right) -> Result<(), Problem> {
        permit(&self.caller, right)
    }

    /// Lets a governor read what is not stale: a majority is asked first, and the credential judged anew on
    /// the state that answers, since it may have been revoked in what this node had not seen.
    pub(crate) async fn govern(&self, api: &Api) -> Result<(), Problem> {
        self.require(Right::ReadGovernance)?;
        api.replica.read_index().await?;
        let credential = Credential::Token(self.token.clone());
        let caller = api.replica.state().authenticate(&credential, clock::now());
        permit(&caller.ok_or_else(Problem::unauthenticated)?, Right::ReadGovernance)
    }

    /// How long to wait for the seal of a write.
    pub(crate) fn wait(&self) -> Duration {
        self.wait.unwrap_or(WAIT)
    }

    /// How long the caller wants to wait, if it says so.
    pub(crate) fn preferred_wait(&self) -> Option<Duration> {
        self.wait
    }

    /// The caller's name for this request, with what the request asks for. What is made anew at each try, a
    /// token's id and hash, is no part of that.
    pub(crate) fn request_key(&self, command: &Command) -> Option<RequestKey> {
        let name = self.name.clone()?;
        let asked = match command {
            Command::CreateToken(NewToken { role, client, tenant, namespaces, .. }) => {
                serde_json::to_vec(&("token", role, client, tenant, namespaces))
            }
            command => serde_json::to_vec(command),
        };
        Some(RequestKey { name, fingerprint: Sha256::digest(asked.ok()?).into() })
    }

    /// Whether the caller may be repeating a request that was done: then only the log has the answer.
    pub(crate) fn may_repeat(&self) -> bool {
        self.name.is_some()
    }

    pub(crate) fn principal(&self) -> Principal {
        Principal::Token(self.token.id.clone())
    }
}

fn permit(caller: &Caller, right: Right) -> Result<(), Problem> {
    if caller.role.may(right) {
        Ok(())
    } else {
        Err(Problem::forbidden(format!("this act needs the right to {right}")))
    }
}

impl FromRequestParts<Arc<Api>> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let token = presented(&parts.headers)?.ok_or_else(Problem::unauthenticated)?;
        let caller = authenticate(api, &Credential::Token(token.clone())).await?;
        let (wait, name) = (preferred_wait(&parts.headers)?, request_name(&parts.headers)?);
        Ok(Self { caller, token, wait, name })
    }
}

/// `Prefer: wait=SECONDS` (RFC 7240 §4.3). Other preferences are not ours to judge.
fn preferred_wait(headers: &HeaderMap) -> Result<Option<Duration>, Problem> {
    let texts = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut preferences = texts.flat_map(|text| text.split([',', ';'])).map(str::trim);
    let Some(seconds) = preferences.find_map(|preference| preference.strip_prefix("wait=")) else {
        return Ok(None);
    };
    let wait = seconds.trim_matches('"').parse().map(Duration::from_secs);
    let wait = wait.ok().filter(|wait| *wait <= MOST_WAIT);
    wait.map(Some).ok_or_else(|| {
        Problem::invalid(format!(
            "`Prefer: wait={seconds}`: write whole seconds, at most {}",
            MOST_WAIT.as_secs()
        ))
    })
}

/// `Idempotency-Key`: the same key, caller and request within a day is done once.
fn request_name(headers: &HeaderMap) -> Result<Option<Arc<str>>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let text = value.to_str().ok().map(|text| text.trim_matches('"'));
    let name =
        text.filter(|text| (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()));
    name.map(|name| Some(name.into())).ok_or_else(|| {
        Problem::invalid("`Idempotency-Key`: write 1 to 255 visible ASCII characters without spaces")
    })
}

/// The caller behind `credential`. A token that this node does not know yet may have been made on
/// another node a moment ago: one quorum read decides.
pub(crate) async fn authenticate(api: &Api, credential: &Credential) -> Result<Caller, Problem> {
    if let Some(caller) = api.replica.state().authenticate(credential, clock::now()) {
        return Ok(caller);
    }
    api.replica.read_index().await?;
    api.replica.state().authenticate(credential, clock::now()).ok_or_else(Problem::unauthenticated)
}

/// A caller, or nobody where the cluster lets anyone read its public catalog.
#[derive(Clone, Debug)]
pub(crate) struct Reader(pub(crate) Option<Caller>);

impl Reader {
    pub(crate) fn viewer(&self) -> hapi_registry_state::Viewer<'_> {
        match &self.0 {
            Some(caller) => hapi_registry_state::Viewer::Caller(caller),
            None => hapi_registry_state::Viewer::Anonymous,
        }
    }
}

impl FromRequestParts<Arc<Api>> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        api.catch_up().await?;
        match credential(&parts.headers)? {
            Some(credential) => authenticate(api, &credential).await.map(|caller| Self(Some(caller))),
            None if api.replica.state().settings().anonymous_reads => Ok(Self(None)),
            None => Err(Problem::unauthenticated()),
        }
    }
}
