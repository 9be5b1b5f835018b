//! How publishers prove who they are without an API token, as they do to the official registry.
//!
//! A proof is verified here, at the node that it comes to; what it grants is signed ([`crate::publisher_token`]) and
//! believed everywhere. Whoever asks is a stranger and makes this node fetch and verify: so all of it is bounded, in
//! number and at a time, and a refusal says to the stranger no more than what a good proof is made of. Why this one
//! is none stands in the log.

mod domain;
mod github;
mod key_record;
mod oidc;
mod signed_time;

pub(crate) use oidc::OidcIssuer;
#[cfg(test)]
pub(crate) use oidc::OidcRule;
pub(crate) use signed_time::{Place, SignedTime, hex_bytes};

use crate::{
    config,
    oidc::{Issuer, Origin, Verifier},
    outbound::Outside,
    publisher_token::Proven,
};
use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use hapi_raft::Reading;
use hapi_registry_state::Timestamp;
use serde::{Deserialize, Serialize};
use std::{num::NonZeroU32, sync::Arc, time::Duration};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Proofs that are verified at a time: each may wait for somebody else's server.
const PLACES: usize = 32;

/// A way to prove who publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Method {
    /// A domain, by a TXT record.
    Dns,
    /// A host, by a file on it.
    Http,
    /// What an identity provider says.
    Oidc,
    /// A workflow of GitHub Actions.
    GithubOidc,
    /// An account at GitHub.
    GithubAt,
    /// Nothing: anybody may publish in one namespace.
    None,
}

impl Method {
    pub(crate) const ALL: [Self; 6] =
        [Self::Dns, Self::Http, Self::Oidc, Self::GithubOidc, Self::GithubAt, Self::None];

    /// The name in paths, settings and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Http => "http",
            Self::Oidc => "oidc",
            Self::GithubOidc => "github-oidc",
            Self::GithubAt => "github-at",
            Self::None => "none",
        }
    }
}

/// Why nothing was proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// This registry does not take such proofs.
    Disabled,
    /// The request is not what it should be; told to whoever sent it.
    Malformed(String),
    /// The proof proves nothing; for the log.
    Unproven(String),
    /// Who has to be asked does not answer; for the log.
    Unavailable(String),
    /// There are too many proofs at a time.
    Busy,
    /// There were too many proofs of late.
    RateLimited(Duration),
}

type Rate =
    RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<<MonotonicClock as Clock>::Instant>>;

/// All that proofs are verified with.
pub(crate) struct PublisherAuth {
    methods: Vec<Method>,
    github_api: String,
    github_client_id: Option<String>,
    outside: Arc<dyn Outside>,
    actions: Verifier,
    issuers: Vec<(OidcIssuer, Verifier)>,
    rate: Rate,
    places: Semaphore,
}

impl PublisherAuth {
    pub(crate) fn new(settings: &config::PublisherAuth, outside: Arc<dyn Outside>) -> Self {
        let audience = settings.github_audience.as_deref().unwrap_or_default();
        let verifier = |issuer: &OidcIssuer| {
            let jwks_url = issuer.jwks_url.as_deref();
            let of = Issuer::of_publishers(&issuer.issuer, &issuer.audience, jwks_url);
            (issuer.clone(), Verifier::new(of))
        };
        let per_minute = NonZeroU32::new(settings.per_minute).unwrap_or(NonZeroU32::MIN);
        Self {
            methods: settings.methods.clone(),
            github_api: settings.github_api.trim_end_matches('/').to_owned(),
            github_client_id: settings.github_client_id.clone(),
            outside,
            actions: Verifier::new(Issuer::of_publishers(&settings.github_issuer, audience, None)),
            issuers: settings.oidc.iter().map(verifier).collect(),
            rate: RateLimiter::direct_with_clock(Quota::per_minute(per_minute), MonotonicClock),
            places: Semaphore::new(PLACES),
        }
    }

    pub(crate) fn offers(&self, method: Method) -> bool {
        self.methods.contains(&method)
    }

    /// By which application clients get the tokens that prove accounts at GitHub.
    pub(crate) fn github_client_id(&self) -> Option<&str> {
        self.github_client_id.as_deref().filter(|_| self.offers(Method::GithubAt))
    }

    /// A place in which one proof may be verified. All callers count together: behind a proxy they have one address, and
    /// a stranger who wants many addresses has them.
    pub(crate) fn admit(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        let early = self.rate.check();
        early.map_err(|early| Refusal::RateLimited(early.wait_time_from(MonotonicClock.now())))?;
        self.places.try_acquire().map_err(|_| Refusal::Busy)
    }

    /// Somebody who holds a domain.
    pub(crate) async fn domain(
        &self,
        proof: &SignedTime,
        place: Place,
        now: Timestamp,
    ) -> Result<Proven, Refusal> {
        proof.prove(place, &*self.outside, now).await
    }

    /// Whom an identity provider knows.
    pub(crate) async fn oidc(&self, token: &str, now: &Reading) -> Result<Proven, Refusal> {
        let origin = Origin::of(token)
            .ok_or_else(|| Refusal::Malformed("`oidc_token` is no JWT with an `iss`".into()))?
            .iss;
        let known = self.issuers.iter().find(|(issuer, _)| issuer.issuer == origin);
        let (issuer, verifier) =
            known.ok_or_else(|| Refusal::Unproven(format!("{origin:?} is no issuer that is set")))?;
        issuer.proven(&verifier.verify(token, &self.outside, now).await?)
    }

    /// A workflow of GitHub Actions.
    pub(crate) async fn github_oidc(&self, token: &str, now: &Reading) -> Result<Proven, Refusal> {
        github::workflow(&self.actions.verify(token, &self.outside, now).await?)
    }

    /// An account at GitHub.
    pub(crate) async fn github_at(&self, token: &str) -> Result<Proven, Refusal> {
        github::prove(token, &self.github_api, &*self.outside).await
    }

    /// Anybody. The namespace is that of the official registry, so that its clients' examples work.
    pub(crate) fn nobody(&self) -> Result<Proven, Refusal> {
        let glob = "io.modelcontextprotocol.anonymous".parse().ok();
        Proven::new("none", "anonymous", glob).ok_or(Refusal::Disabled)
    }
}

#[cfg(test)]
mod tests;
