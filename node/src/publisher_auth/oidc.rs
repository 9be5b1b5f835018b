//! What identity providers may be set to prove of publishers: whose tokens, and what their claims grant.

use super::Refusal;
use crate::{oidc::OidcError, publisher_token::Proven};
use hapi_registry_state::Glob;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

/// An issuer whose tokens publishers may show, as it is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OidcIssuer {
    /// The `iss` of its tokens, character by character.
    pub(crate) issuer: String,
    /// What must be among the `aud` of its tokens: a token for another service proves nothing to this one.
    pub(crate) audience: String,
    /// Where its keys are; absent means where its `/.well-known/openid-configuration` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jwks_url: Option<String>,
    /// What its tokens grant.
    pub(crate) rules: Vec<OidcRule>,
}

/// Tokens with this claim may publish in these namespaces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OidcRule {
    /// The name of the claim.
    pub(crate) claim: String,
    /// What the claim must be, or contain if it is a list.
    pub(crate) value: String,
    /// Globs over namespaces.
    pub(crate) namespaces: Vec<Glob>,
}

impl OidcRule {
    fn fits(&self, claims: &Map<String, Value>) -> bool {
        match claims.get(&self.claim) {
            Some(Value::String(text)) => *text == self.value,
            Some(Value::Array(values)) => values.iter().any(|value| value.as_str() == Some(&self.value)),
            _ => false,
        }
    }
}

impl OidcIssuer {
    /// What `claims` of a verified token grant.
    pub(super) fn proven(&self, claims: &Map<String, Value>) -> Result<Proven, Refusal> {
        let unproven = |why: &str| Refusal::Unproven(format!("{}: {why}", self.issuer));
        let sub =
            claims.get("sub").and_then(Value::as_str).ok_or_else(|| unproven("the token has no `sub`"))?;
        let host = Url::parse(&self.issuer).ok().and_then(|url| url.host_str().map(str::to_owned));
        let who = format!("{}:{sub}", host.as_deref().unwrap_or(&self.issuer));
        let rules = self.rules.iter().filter(|rule| rule.fits(claims));
        let globs = rules.flat_map(|rule| rule.namespaces.iter().cloned());
        Proven::new("oidc", &who, globs).ok_or_else(|| unproven("no rule grants anything to this token"))
    }
}

impl From<OidcError> for Refusal {
    fn from(error: OidcError) -> Self {
        match error {
            OidcError::Malformed => Self::Malformed("`oidc_token` is no JWT".into()),
            OidcError::Unproven(why) => Self::Unproven(why),
            OidcError::Unavailable(why) => Self::Unavailable(why),
        }
    }
}
