//! Callers whom an identity provider vouches for: from the text of a token to a grant that any state can judge.

use crate::{
    oidc::{Application, Issuer, OidcError, Origin, Verifier},
    outbound::Outside,
    publisher_token,
};
use hapi_raft::Reading;
use hapi_registry_state::{
    ClientId, Glob, IdentityProvider, IdentityProviderId, OidcGrant, PublisherGrant, Registry, Role,
    RoleRule, SigningAlgorithm, TenantId, TenantRule, Timestamp,
};
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Why a token makes nobody a caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IdentityError {
    /// No provider that this state knows has such tokens: it may have been made elsewhere a moment ago.
    #[error("{0:?} is no issuer of a provider that is set, or the token is for somebody else")]
    Unknown(String),
    #[error(transparent)]
    Token(#[from] OidcError),
    /// The token is good, and its claims make nothing of its bearer.
    #[error("{provider}: {why}")]
    Claims { provider: IdentityProviderId, why: String },
}

/// The providers' verifiers, which keep their keys.
pub(crate) struct Identities {
    outside: Arc<dyn Outside>,
    verifiers: Mutex<HashMap<IdentityProviderId, (u64, Arc<Verifier>)>>,
    /// The applications by which people sign in at the console.
    applications: Mutex<HashMap<IdentityProviderId, (u64, Arc<Application>)>>,
}

impl Identities {
    pub(crate) fn new(outside: Arc<dyn Outside>) -> Self {
        Self { outside, verifiers: Mutex::default(), applications: Mutex::default() }
    }

    /// The way out, to which all that is fetched of providers goes.
    pub(crate) fn outside(&self) -> &Arc<dyn Outside> {
        &self.outside
    }

    /// The application at a provider by which people sign in at the console, and the entry that made its settings; nothing
    /// if it has none.
    pub(crate) fn application(
        &self,
        id: &IdentityProviderId,
        state: &Registry,
    ) -> Option<(u64, Arc<Application>)> {
        let provider = state.identity_provider(id)?;
        let client_id = provider.settings.console_client_id.clone()?;
        let mut applications = self.applications.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = applications.get(id).filter(|(index, _)| *index == provider.index) {
            return Some(known.clone());
        }
        let issuer = Issuer { audience: client_id, ..issuer(provider) };
        let made = (provider.index, Arc::new(Application::new(issuer)));
        applications.insert(id.clone(), made.clone());
        Some(made)
    }

    /// What a token grants, by the providers that `state` knows. Whether that still counts, is judged where it is used.
    pub(crate) async fn grant(
        &self,
        token: &str,
        state: &Registry,
        now: &Reading,
    ) -> Result<OidcGrant, IdentityError> {
        let origin = Origin::of(token).ok_or(OidcError::Malformed)?;
        let is_its = |provider: &IdentityProvider| {
            provider.settings.issuer == origin.iss && origin.is_for(&provider.settings.audience)
        };
        let known = state.identity_providers().find(|(_, provider)| is_its(provider));
        let (id, provider) = known.ok_or_else(|| IdentityError::Unknown(origin.iss.clone()))?;
        let claims = self.verifier(id, provider).verify(token, &self.outside, now).await?;
        let granted = read(id, provider, &Claims(&claims));
        granted.map_err(|why| IdentityError::Claims { provider: id.clone(), why })
    }

    /// Of these settings, and of no former ones: what they keep is forgotten with them.
    fn verifier(&self, id: &IdentityProviderId, provider: &IdentityProvider) -> Arc<Verifier> {
        let mut verifiers = self.verifiers.lock().unwrap_or_else(PoisonError::into_inner);
        match verifiers.get(id).filter(|(index, _)| *index == provider.index) {
            Some((_, verifier)) => verifier.clone(),
            None => {
                let verifier = Arc::new(Verifier::new(issuer(provider)));
                verifiers.insert(id.clone(), (provider.index, verifier.clone()));
                verifier
            }
        }
    }
}

fn issuer(IdentityProvider { settings, .. }: &IdentityProvider) -> Issuer {
    let algorithm = |algorithm: &SigningAlgorithm| match algorithm {
        SigningAlgorithm::Rs256 => Algorithm::RS256,
        SigningAlgorithm::Es256 => Algorithm::ES256,
        SigningAlgorithm::EdDsa => Algorithm::EdDSA,
    };
    Issuer {
        issuer: settings.issuer.clone(),
        audience: settings.audience.clone(),
        jwks_url: settings.jwks_url.clone(),
        algorithms: settings.algorithms.iter().map(algorithm).collect(),
        grace: 0,
    }
}

/// The claims of a token that was verified.
struct Claims<'a>(&'a Map<String, Value>);

impl Claims<'_> {
    /// The claim of that name, or what a JSON pointer (RFC 6901) leads to.
    fn get(&self, name: &str) -> Option<&Value> {
        let Some(path) = name.strip_prefix('/') else { return self.0.get(name) };
        let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
        let first = self.0.get(&first.replace("~1", "/").replace("~0", "~"))?;
        rest.map_or(Some(first), |rest| first.pointer(&format!("/{rest}")))
    }

    fn text(&self, name: &str) -> Result<&str, String> {
        self.get(name).and_then(Value::as_str).ok_or_else(|| format!("the token has no text at `{name}`"))
    }

    fn fits(&self, rule: &RoleRule) -> bool {
        match self.get(&rule.claim) {
            Some(Value::String(text)) => *text == rule.value,
            Some(Value::Array(values)) => values.iter().any(|value| value.as_str() == Some(&rule.value)),
            _ => false,
        }
    }
}

/// What the claims make of their bearer; else why they make nothing of it.
fn read(
    id: &IdentityProviderId,
    IdentityProvider { settings, index }: &IdentityProvider,
    claims: &Claims<'_>,
) -> Result<OidcGrant, String> {
    let sub = claims.text("sub")?;
    let fitting = || settings.roles.iter().filter(|rule| claims.fits(rule));
    let role = fitting().next().ok_or("no rule fits this token")?.role;
    let client = (role == Role::Client).then(|| client(claims, &settings.client_claim)).transpose()?;
    let tenant = match (&client, &settings.tenant) {
        (Some(_), Some(rule)) => Some(tenant(claims, rule)?),
        _ => None,
    };
    let of_role = fitting().filter(|rule| rule.role == role);
    Ok(OidcGrant {
        provider: id.clone(),
        of: *index,
        subject: publisher_token::subject("oidc", &format!("{id}/{sub}")).ok_or("its `sub` has no form")?,
        role,
        client,
        tenant,
        namespaces: namespaces(of_role),
        // The verifier has seen to it that there is one. A fraction of a second is not given.
        expires_at: Timestamp::from_seconds(
            claims.get("exp").and_then(Value::as_f64).unwrap_or_default() as u64
        ),
    })
}

fn client(claims: &Claims<'_>, name: &str) -> Result<ClientId, String> {
    let text = claims.text(name)?;
    text.parse().map_err(|error| format!("`{name}` names no client: {error}"))
}

fn tenant(claims: &Claims<'_>, rule: &TenantRule) -> Result<TenantId, String> {
    match rule {
        TenantRule::Fixed(tenant) => Ok(tenant.clone()),
        TenantRule::Claim(name) => {
            claims.text(name)?.parse().map_err(|error| format!("`{name}` names no tenant: {error}"))
        }
    }
}

fn namespaces<'a>(rules: impl Iterator<Item = &'a RoleRule>) -> Vec<Glob> {
    let mut namespaces = Vec::new();
    for glob in rules.flat_map(|rule| &rule.namespaces) {
        if namespaces.len() < PublisherGrant::MAX_NAMESPACES && !namespaces.contains(glob) {
            namespaces.push(glob.clone());
        }
    }
    namespaces
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use hapi_registry_state::ProviderSettings;
    use serde_json::json;

    fn rule(claim: &str, value: &str, role: Role, namespaces: &[&str]) -> RoleRule {
        let namespaces = namespaces.iter().map(|glob| glob.parse().unwrap()).collect();
        RoleRule { claim: claim.into(), value: value.into(), role, namespaces }
    }

    fn provider(tenant: Option<TenantRule>) -> IdentityProvider {
        let settings = ProviderSettings {
            issuer: "https://idp.example".into(),
            audience: "registry".into(),
            algorithms: vec![SigningAlgorithm::Es256],
            jwks_url: None,
            roles: vec![
                rule("groups", "operators", Role::Operator, &[]),
                rule("/realm/roles", "agent", Role::Client, &[]),
                rule("team", "core", Role::Publisher, &["com.core"]),
                rule("groups", "writers", Role::Publisher, &["com.docs", "com.core"]),
            ],
            client_claim: "azp".into(),
            clients: vec!["*".parse().unwrap()],
            tenant,
            console_client_id: None,
        };
        IdentityProvider { settings, index: 7 }
    }

    fn granted(tenant: Option<TenantRule>, claims: &Value) -> Result<OidcGrant, String> {
        read(&"corp".parse().unwrap(), &provider(tenant), &Claims(claims.as_object().unwrap()))
    }

    #[test]
    fn the_first_rule_that_fits_gives_the_role_and_others_of_it_their_namespaces() {
        let of = |claims: Value| {
            let grant = granted(None, &claims).unwrap();
            let namespaces: Vec<_> = grant.namespaces.iter().map(Glob::to_string).collect();
            (grant.role, grant.client.map(|client| client.to_string()), namespaces.join(" "))
        };
        let both = json!({ "sub": "ann", "exp": 9, "groups": ["writers", "operators"], "team": "core" });
        assert_eq!(of(both), (Role::Operator, None, String::new()));
        let writer = json!({ "sub": "ann", "exp": 9, "groups": ["writers"], "team": "core" });
        assert_eq!(of(writer), (Role::Publisher, None, "com.core com.docs".into()));
        let agent = json!({ "sub": "bot", "exp": 9, "azp": "agent-7", "realm": { "roles": ["agent"] } });
        assert_eq!(of(agent), (Role::Client, Some("agent-7".into()), String::new()));
    }

    #[test]
    fn a_grant_says_who_it_is_by_which_settings_and_until_when() {
        let grant = granted(None, &json!({ "sub": "a b", "exp": 9.75, "groups": "operators" })).unwrap();
        assert_eq!((grant.subject.as_str(), grant.of), ("oidc:corp/a%20b", 7));
        assert_eq!(grant.expires_at, Timestamp::from_seconds(9));
    }

    #[test]
    fn claims_that_make_nothing_of_their_bearer_are_told_to_the_operator() {
        let client = json!({ "sub": "bot", "exp": 9, "azp": "agent-7", "realm": { "roles": "agent" } });
        let with = |name: &str, value: Value| {
            let mut claims = client.clone();
            claims[name] = value;
            claims
        };
        let by_claim = || Some(TenantRule::Claim("/org/id".into()));
        let fixed = || Some(TenantRule::Fixed("acme".parse().unwrap()));
        let why = |tenant, claims: Value| granted(tenant, &claims).unwrap_err();
        assert!(why(None, with("sub", json!(7))).contains("`sub`"));
        assert!(why(None, json!({ "sub": "x", "exp": 9 })).contains("no rule"));
        assert!(why(None, with("azp", json!("Not An Id"))).contains("`azp` names no client"));
        assert!(why(None, with("azp", json!(["agent-7"]))).contains("no text at `azp`"));
        assert!(why(by_claim(), client.clone()).contains("no text at `/org/id`"));
        let told = granted(by_claim(), &with("org", json!({ "id": "acme" }))).unwrap();
        assert_eq!(told.tenant, granted(fixed(), &client).unwrap().tenant);
    }

    #[test]
    fn a_pointer_leads_to_names_with_slashes_too() {
        let claims = json!({ "https://corp.example/roles": ["x"], "a": [{ "b/c": "y" }] });
        let claims = Claims(claims.as_object().unwrap());
        assert_eq!(claims.get("https://corp.example/roles"), Some(&json!(["x"])));
        assert_eq!(claims.get("/https:~1~1corp.example~1roles/0"), Some(&json!("x")));
        assert_eq!(claims.get("/a/0/b~1c"), Some(&json!("y")));
        assert_eq!(claims.get("/a/1"), None);
    }
}
