//! From the `Authorization` header to a caller whom one state of the registry knows.

use crate::{
    api::Api,
    clock,
    identity::IdentityError,
    limits::{Certificate, Origin},
    oidc::{self, OidcError},
    problem::Problem,
    publisher_token,
};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use hapi_registry_state::{
    Caller, CertificateProof, Command, Credential, NewToken, OidcGrant, PresentedToken, Principal,
    PublisherGrant, Registry, Rejection, RequestKey, Right, ServerName,
};
use sha2::{Digest, Sha256};
use std::{sync::Arc, time::Duration};

/// What the `Authorization` header carries, if it is of a form that connects: an API token, or the token of an identity
/// provider; without that header, the certificate of the connection. So a token decides, and a certificate beside it says
/// nothing. Whether it counts is judged on the state that decides.
pub(crate) async fn credential(
    api: &Api,
    from: Origin,
    certificate: &Certificate,
    headers: &HeaderMap,
) -> Result<Option<Credential>, Problem> {
    let Ok(text) = bearer_text(headers) else { return guessed(api, from) };
    let Some(text) = text else { return Ok(shown(api, certificate)) };
    match text.parse() {
        Ok(token) => Ok(Some(Credential::Token(token))),
        Err(_) if publisher_token::has_form(text) => guessed(api, from),
        // Boxed, so that the future of the usual way stays small.
        Err(_) => Ok(Some(Credential::Oidc(Box::pin(vouched_for(api, from, text)).await?))),
    }
}

/// What somebody has proven in the handshake.
pub(crate) fn shown(api: &Api, Certificate(certificate): &Certificate) -> Option<Credential> {
    let credential = Credential::Certificate(CertificateProof::clone(certificate.as_deref()?));
    let is_known = api.replica.state().authenticate(&credential, clock::now()).is_some();
    api.metrics.certificate(if is_known { "granted" } else { "unknown" });
    Some(credential)
}

/// The answer to what is no credential here at all.
fn guessed<T>(api: &Api, from: Origin) -> Result<T, Problem> {
    api.limits.guess(from.0)?;
    Err(Problem::unauthenticated())
}

/// What the header bears, whatever it is.
fn bearer_text(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    value.to_str().ok().and_then(bearer).map(Some).ok_or_else(Problem::unauthenticated)
}

/// RFC 6750 §2.1; the scheme's name is case-insensitive (RFC 9110 §11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, text) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| text.trim())
}

/// What a caller has shown: an API token, of which the state knows the hash, or a publisher token or one of an identity
/// provider, whose signature was verified. Whether it counts is judged on a state.
#[derive(Clone, Debug)]
enum Proof {
    Token(PresentedToken),
    Publisher(PublisherGrant),
    Oidc(OidcGrant),
}

impl Proof {
    fn caller(&self, state: &Registry) -> Option<Caller> {
        match self {
            Self::Token(token) => state.authenticate(&Credential::Token(token.clone()), clock::now()),
            Self::Publisher(grant) => state.granted(grant, clock::now()),
            Self::Oidc(grant) => state.authenticate(&Credential::Oidc(grant.clone()), clock::now()),
        }
    }

    fn principal(&self) -> Principal {
        match self {
            Self::Token(token) => Principal::Token(token.id.clone()),
            Self::Publisher(grant) => Principal::Publisher(grant.clone()),
            Self::Oidc(grant) => Principal::Oidc(grant.clone()),
        }
    }
}

/// A caller with a valid token, of whatever role.
#[derive(Clone, Debug)]
pub(crate) struct Authenticated {
    caller: Caller,
    proof: Proof,
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
        self.governs(&api.replica.state())
    }

    /// Lets a governor read what this node has, by the word of the very state that is read.
    pub(crate) fn governs(&self, state: &Registry) -> Result<(), Problem> {
        let caller = self.proof.caller(state);
        permit(&caller.ok_or_else(Problem::unauthenticated)?, Right::ReadGovernance)
    }

    /// Spares the log what it would refuse to the bearer of a publisher token, or of one of an identity provider. Anybody
    /// who holds a domain can become one, and a refusal is an entry on every disk too. The token itself says where it may publish, so that nothing can have
    /// changed meanwhile; what an operator's token may is known to the log alone.
    pub(crate) fn check_namespace(&self, command: &Command) -> Result<(), Problem> {
        let says_itself = matches!(self.proof, Proof::Publisher(_) | Proof::Oidc(_));
        let Some(name) = command.published().filter(|_| says_itself) else { return Ok(()) };
        if self.publishes(name) {
            Ok(())
        } else {
            Err(Rejection::NamespaceForbidden(name.namespace().to_string()).into())
        }
    }

    /// Whether the caller may publish under this name, by what this node knows.
    pub(crate) fn publishes(&self, name: &ServerName) -> bool {
        self.caller.publishes(&name.namespace())
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
        self.proof.principal()
    }
}

fn permit(caller: &Caller, right: Right) -> Result<(), Problem> {
    if caller.role.may(right) {
        Ok(())
    } else {
        Err(Problem::forbidden(format!("this act needs the right to {right}")))
    }
}

impl Authenticated {
    /// The caller behind a token that came otherwise than in the header, judged like one that came in it.
    pub(crate) async fn by(api: &Api, from: Origin, text: &str) -> Result<Self, Problem> {
        let (caller, proof) = known(api, from, text).await?;
        Ok(Self { caller, proof, wait: None, name: None })
    }

    /// The same caller, that waits for seals no longer than this.
    pub(crate) fn waiting(self, wait: Duration) -> Self {
        Self { wait: Some(wait), ..self }
    }

    /// The same caller under a name of its own for the request, if it is one that lasts for the names to be kept by.
    pub(crate) fn naming(self, name: Arc<str>) -> Self {
        let name = Some(name).filter(|_| matches!(self.proof, Proof::Token(_)));
        Self { name, ..self }
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }
}

impl FromRequestParts<Arc<Api>> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let (caller, proof) = bearer_of(api, parts).await?.ok_or_else(Problem::unauthenticated)?;
        let (wait, name) = (preferred_wait(&parts.headers)?, request_name(&parts.headers)?);
        if name.is_some() && !matches!(proof, Proof::Token(_)) {
            // The names of a caller's requests are kept under the id of its token, which lasts; others do not.
            return Err(Problem::invalid("`Idempotency-Key` goes with an API token, and with no other"));
        }
        Ok(Self { caller, proof, wait, name })
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
/// another node a moment ago: one quorum read decides. How often, is bounded for the address that asks: whoever shows
/// what is known here is never counted.
pub(crate) async fn authenticate(
    api: &Api,
    from: Origin,
    credential: &Credential,
) -> Result<Caller, Problem> {
    let look = || api.replica.state().authenticate(credential, clock::now());
    let caller = match look() {
        Some(caller) => caller,
        None => {
            api.limits.guess(from.0)?;
            api.replica.read_index().await?;
            look().ok_or_else(Problem::unauthenticated)?
        }
    };
    note_use(api, credential);
    Ok(caller)
}

/// Remembers that a credential was good here.
pub(crate) fn note_use(api: &Api, credential: &Credential) {
    if let Credential::Token(token) = credential {
        api.token_uses.note(&token.id, clock::now());
    }
}

/// The caller behind what the header bears, and what it has shown.
async fn bearer_of(api: &Api, parts: &Parts) -> Result<Option<(Caller, Proof)>, Problem> {
    let Some(text) = bearer_text(&parts.headers)? else { return Ok(None) };
    known(api, Origin::of(&parts.extensions), text).await.map(Some)
}

/// The caller behind a token of any kind, and what it has shown.
async fn known(api: &Api, from: Origin, text: &str) -> Result<(Caller, Proof), Problem> {
    if let Ok(token) = text.parse::<PresentedToken>() {
        let caller = authenticate(api, from, &Credential::Token(token.clone())).await?;
        return Ok((caller, Proof::Token(token)));
    }
    if publisher_token::has_form(text) {
        let proof = Proof::Publisher(granted(api, from, text).await?);
        let caller = proof.caller(&api.replica.state()).ok_or_else(Problem::unauthenticated)?;
        return Ok((caller, proof));
    }
    let grant = Box::pin(vouched_for(api, from, text)).await?;
    let caller = authenticate(api, from, &Credential::Oidc(grant.clone())).await?;
    Ok((caller, Proof::Oidc(grant)))
}

/// What the token of an identity provider grants. A provider that this node does not know may have been made elsewhere
/// a moment ago: one quorum read decides.
async fn vouched_for(api: &Api, from: Origin, text: &str) -> Result<OidcGrant, Problem> {
    if !oidc::has_form(text) {
        return guessed(api, from);
    }
    let grant = async || api.identities.grant(text, &api.replica.state(), &clock::clocks()).await;
    let granted = match grant().await {
        Err(IdentityError::Unknown(_)) => {
            api.limits.guess(from.0)?;
            api.replica.read_index().await?;
            grant().await
        }
        known => known,
    };
    let outcome = match &granted {
        Ok(_) => "granted",
        Err(IdentityError::Token(OidcError::Unavailable(_))) => "unavailable",
        Err(_) => "refused",
    };
    api.metrics.identity_token(outcome);
    if outcome == "refused" {
        api.limits.guess(from.0)?;
    }
    granted.map_err(|error| {
        if outcome == "unavailable" {
            tracing::warn!(why = %error, "the token of an identity provider could not be verified");
            return Problem::identity_provider_unavailable();
        }
        tracing::info!(why = %error, "the token of an identity provider was not taken");
        Problem::unauthenticated()
    })
}

/// What a publisher token grants. A key that this node does not know may have been published elsewhere a moment ago:
/// one quorum read decides.
async fn granted(api: &Api, from: Origin, text: &str) -> Result<PublisherGrant, Problem> {
    let (issuer, now) = (&api.desk.issuer, clock::now().seconds());
    let read = || publisher_token::read(text, &api.replica.state(), issuer, now);
    let mut known = read();
    if let Err(fault) = &known {
        api.limits.guess(from.0)?;
        if fault.is_ignorance() {
            api.replica.read_index().await?;
            known = read();
        }
    }
    known.map_err(|fault| {
        tracing::debug!(%fault, "a bearer token was not taken");
        Problem::unauthenticated()
    })
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
        if let Some((caller, _)) = bearer_of(api, parts).await? {
            return Ok(Self(Some(caller)));
        }
        // Everybody in a mesh may hold a certificate: who is nobody's client by it reads like anybody else.
        let shown = shown(api, &Certificate::of(&parts.extensions));
        let state = api.replica.state();
        match shown.and_then(|credential| state.authenticate(&credential, clock::now())) {
            Some(caller) => Ok(Self(Some(caller))),
            None if state.settings().anonymous_reads => Ok(Self(None)),
            None => Err(Problem::unauthenticated()),
        }
    }
}
