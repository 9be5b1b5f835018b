//! Which client asks, by any of the ways that the metadata promises.

use super::{
    assertion::{self, Assertion},
    form::{self, Form},
};
use crate::{
    api::Api,
    auth,
    limits::{Certificate, Origin},
    problem::OAuthProblem,
};
use axum::http::{HeaderMap, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hapi_registry_state::{Caller, Credential};
use serde::Deserialize;
use utoipa::ToSchema;

/// What a client proves itself by, unless the `Authorization` header does. `client_id` alone goes with a certificate
/// (`tls_client_auth`).
#[derive(Default, Deserialize, ToSchema)]
pub(crate) struct ClientForm {
    /// The client's id.
    client_id: Option<String>,
    /// One of its API tokens (`client_secret_post`).
    client_secret: Option<String>,
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`.
    client_assertion_type: Option<String>,
    /// A statement signed with one of its registered keys (`private_key_jwt`).
    client_assertion: Option<String>,
}

/// Which other credential an endpoint takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Bearer {
    /// None: at the token endpoint a bearer token is no way of OAuth's.
    Refused,
    /// An API token, or a token of an identity provider, of any role.
    Taken,
}

/// One way of proving, as it was shown.
enum Shown {
    /// A client's id and one of its API tokens.
    Secret(String, String),
    /// A statement that the client signed.
    Assertion(String),
    /// A client's id, and a certificate of the connection.
    Certificate(String, Credential),
    /// A bearer token alone.
    Bearer(Credential),
}

/// The caller, and the credential by which the decision will judge it again.
pub(super) async fn authenticate(
    api: &Api,
    from: Origin,
    certificate: &Certificate,
    headers: &HeaderMap,
    form: &Form,
    bearer: Bearer,
) -> Result<(Credential, Caller), OAuthProblem> {
    let parameters: ClientForm = form.parameters()?;
    let named = parameters.client_id.clone();
    let (credential, id) = match shown(api, from, certificate, headers, parameters, bearer).await? {
        Shown::Bearer(credential) => (credential, None),
        Shown::Certificate(id, credential) => (credential, Some(id)),
        Shown::Secret(id, secret) => {
            let token = secret.parse().or_else(|_| guessed(api, from))?;
            (Credential::Token(token), Some(id))
        }
        Shown::Assertion(text) => {
            let assertion = Assertion::parse(&text).map_or_else(|| guessed(api, from), Ok)?;
            let proof = assertion::prove(api, from, &assertion).await?;
            let id = proof.client.to_string();
            (Credential::Key(proof), Some(id))
        }
    };
    let caller = auth::authenticate(api, from, &credential).await?;
    let is = |id: &str| caller.client.as_ref().is_some_and(|client| client.as_str() == id);
    if [named, id].iter().flatten().all(|id| is(id)) {
        Ok((credential, caller))
    } else {
        Err(OAuthProblem::invalid_client())
    }
}

/// The answer to what is no credential at all.
fn guessed<T>(api: &Api, from: Origin) -> Result<T, OAuthProblem> {
    api.limits.guess(from.0)?;
    Err(OAuthProblem::invalid_client())
}

/// The one way that the client used: RFC 6749 §2.3 forbids more than one. A certificate beside another way is none, since
/// a mesh gives everybody one.
async fn shown(
    api: &Api,
    from: Origin,
    certificate: &Certificate,
    headers: &HeaderMap,
    form: ClientForm,
    bearer: Bearer,
) -> Result<Shown, OAuthProblem> {
    let ClientForm { client_id, client_secret, client_assertion_type, client_assertion } = form;
    let by_header = headers.contains_key(header::AUTHORIZATION);
    match (by_header, client_secret, client_assertion) {
        (true, None, None) => by_authorization(api, from, headers, bearer).await,
        (false, Some(secret), None) => {
            client_id.map(|id| Shown::Secret(id, secret)).ok_or_else(OAuthProblem::invalid_client)
        }
        (false, None, Some(assertion)) => {
            assertion::check_type(client_assertion_type.as_deref())?;
            Ok(Shown::Assertion(assertion))
        }
        // RFC 8705 §2.1 wants the id, so that the certificate is that client's and no other's.
        (false, None, None) => match client_id.zip(auth::shown(api, certificate)) {
            Some((id, credential)) => Ok(Shown::Certificate(id, credential)),
            None => Err(OAuthProblem::invalid_client()),
        },
        _ => Err(OAuthProblem::invalid("a client proves itself in one way, and this request shows several")),
    }
}

async fn by_authorization(
    api: &Api,
    from: Origin,
    headers: &HeaderMap,
    bearer: Bearer,
) -> Result<Shown, OAuthProblem> {
    if let Some((id, secret)) =
        headers.get(header::AUTHORIZATION).and_then(|value| basic(value.to_str().ok()?))
    {
        return Ok(Shown::Secret(id, secret));
    }
    if bearer == Bearer::Refused {
        return Err(OAuthProblem::invalid_client());
    }
    let credential = auth::credential(api, from, &Certificate::default(), headers).await?;
    credential.map(Shown::Bearer).ok_or_else(OAuthProblem::invalid_client)
}

/// `client_secret_basic`.
fn basic(value: &str) -> Option<(String, String)> {
    let (scheme, text) = value.split_once(' ')?;
    let bytes = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(text.trim()))?.ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((form::decode(id)?, form::decode(secret)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_basic_credential_is_an_id_and_a_secret_each_encoded_as_in_a_form() {
        let value = |text: &str| basic(&format!("bAsIc {}", STANDARD.encode(text)));
        assert_eq!(value("agent-7:hapi_x"), Some(("agent-7".into(), "hapi_x".into())));
        assert_eq!(value("a%2E7:hapi%5Fx"), Some(("a.7".into(), "hapi_x".into())));
        assert_eq!(value("agent-7"), None);
        assert_eq!(basic("Basic !!!"), None);
        assert_eq!(basic("Bearer YTpi"), None);
    }
}
