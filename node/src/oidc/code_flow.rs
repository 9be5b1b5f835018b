//! Signing people in at an identity provider: the authorization code flow (OpenID Connect Core §3.1) with PKCE (RFC 7636).
//!
//! This is a public client: it has no secret, which would have to stand in the log. What a code is worth is known to whoever
//! holds the verifier, which the browser keeps for us where only we can read it.

use super::{Issuer, OidcError, Verifier, keys};
use crate::outbound::{OutboundError, Outside};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hapi_raft::Reading;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::{sync::Arc, time::Duration};
use tokio::sync::Mutex;
use url::{Url, form_urlencoded};

/// What a provider says of itself is believed for so long.
const FRESH: Duration = Duration::from_secs(300);

/// One that did not answer is asked again no sooner: whoever follows links here must not make this node hammer it.
const REST: Duration = Duration::from_secs(5);

/// What is asked for beside `openid`, from providers that know it: some put groups and roles into tokens for these alone.
const SCOPES: [&str; 3] = ["profile", "groups", "roles"];

/// What a provider says of itself.
#[derive(Clone, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    #[serde(default)]
    scopes_supported: Vec<String>,
}

/// When the provider was last asked, and what it said.
#[derive(Default)]
struct Kept {
    at: Option<Duration>,
    metadata: Option<Arc<Metadata>>,
}

/// An application at a provider, by which people sign in here.
pub(crate) struct Application {
    issuer: String,
    client_id: String,
    verifier: Verifier,
    kept: Mutex<Kept>,
}

/// What is sent along to the provider and back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent<'a> {
    pub(crate) redirect_uri: &'a str,
    pub(crate) state: &'a str,
    pub(crate) nonce: &'a str,
    pub(crate) code_verifier: &'a str,
}

/// What a provider gives for a code.
#[derive(Deserialize)]
struct Given {
    id_token: String,
    access_token: Option<String>,
}

impl Application {
    /// That of `issuer` whose audience is the id of the application.
    pub(crate) fn new(issuer: Issuer) -> Self {
        Self {
            issuer: issuer.issuer.clone(),
            client_id: issuer.audience.clone(),
            verifier: Verifier::new(issuer),
            kept: Mutex::default(),
        }
    }

    async fn metadata(&self, outside: &dyn Outside, now: &Reading) -> Result<Arc<Metadata>, OidcError> {
        let unavailable = |why: &str| OidcError::Unavailable(format!("{}: {why}", self.issuer));
        // One asks, the others wait for what it is told.
        let mut kept = self.kept.lock().await;
        let age = kept.at.map(|at| now.boot.saturating_sub(at));
        if let Some(metadata) = kept.metadata.clone().filter(|_| age.is_some_and(|age| age < FRESH)) {
            return Ok(metadata);
        }
        if kept.metadata.is_none() && age.is_some_and(|age| age < REST) {
            return Err(unavailable("it did not answer a moment ago"));
        }
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let asked = keys::sent::<Metadata>(outside, &url, None).await;
        *kept = Kept { at: Some(now.boot), metadata: None };
        let metadata = asked.map_err(|error| unavailable(&error.to_string()))?;
        if metadata.issuer != self.issuer {
            return Err(unavailable("its metadata are of another issuer"));
        }
        let metadata = Arc::new(metadata);
        kept.metadata = Some(metadata.clone());
        Ok(metadata)
    }

    /// Where a browser is sent to sign in.
    pub(crate) async fn begin(
        &self,
        outside: &dyn Outside,
        sent: Sent<'_>,
        now: &Reading,
    ) -> Result<Url, OidcError> {
        let metadata = self.metadata(outside, now).await?;
        let is_web = |url: &Url| matches!(url.scheme(), "https" | "http") && url.has_host();
        let url = Url::parse(&metadata.authorization_endpoint).ok().filter(is_web);
        let mut url = url.ok_or_else(|| {
            OidcError::Unavailable(format!("{}: `authorization_endpoint` is no URL of the web", self.issuer))
        })?;
        let known =
            SCOPES.into_iter().filter(|scope| metadata.scopes_supported.iter().any(|known| known == scope));
        let scope = known.fold("openid".to_owned(), |scopes, scope| format!("{scopes} {scope}"));
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(sent.code_verifier));
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", sent.redirect_uri)
            .append_pair("scope", &scope)
            .append_pair("state", sent.state)
            .append_pair("nonce", sent.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(url)
    }

    /// The tokens that a code is worth, those for others first. That it was given to this browser is shown by the nonce in
    /// the ID token, which is verified like any token.
    pub(crate) async fn redeem(
        &self,
        outside: &Arc<dyn Outside>,
        code: &str,
        sent: Sent<'_>,
        now: &Reading,
    ) -> Result<Vec<String>, OidcError> {
        let metadata = self.metadata(&**outside, now).await?;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", sent.redirect_uri)
            .append_pair("client_id", &self.client_id)
            .append_pair("code_verifier", sent.code_verifier)
            .finish();
        let given = keys::sent::<Given>(&**outside, &metadata.token_endpoint, Some(form)).await;
        let Given { id_token, access_token } = given.map_err(|error| match error {
            // The provider has answered, and gives nothing for this code.
            error @ OutboundError::Status { status, .. } if status.is_client_error() => {
                OidcError::Unproven(error.to_string())
            }
            error => OidcError::Unavailable(format!("{}: {error}", self.issuer)),
        })?;
        let claims = self.verifier.verify(&id_token, outside, now).await?;
        if claims.get("nonce").and_then(|nonce| nonce.as_str()) != Some(sent.nonce) {
            return Err(OidcError::Unproven(format!("{}: the ID token is for another sign-in", self.issuer)));
        }
        Ok(access_token.into_iter().chain([id_token]).collect())
    }

    /// Whose application it is.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }
}
