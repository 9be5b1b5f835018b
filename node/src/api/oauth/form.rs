//! Form bodies: bounded, then parsed once.

use crate::{
    api::body::{self, SMALL},
    problem::OAuthProblem,
};
use axum::{
    extract::Request,
    http::{HeaderMap, header},
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use url::form_urlencoded;

/// The parameters of a form body of at most [`SMALL`] bytes.
pub(super) struct Form {
    parameters: Map<String, Value>,
    /// What stood there more than once, which RFC 6749 §3.2 forbids.
    repeated: Option<String>,
}

impl Form {
    /// Reads headers and body. What is wrong with the parameters is not said before the caller is known.
    pub(super) async fn read(request: Request) -> Result<(HeaderMap, Self), OAuthProblem> {
        let headers = request.headers().clone();
        let bytes = body::read(request, SMALL).await?;
        if !bytes.is_empty() && !is_form(&headers) {
            return Err(OAuthProblem::invalid("send parameters as application/x-www-form-urlencoded"));
        }
        Ok((headers, Self::parse(&bytes)))
    }

    /// A parameter without a value counts as none (RFC 6749 §3.1).
    fn parse(bytes: &[u8]) -> Self {
        let mut form = Self { parameters: Map::new(), repeated: None };
        for (name, value) in form_urlencoded::parse(bytes).filter(|(_, value)| !value.is_empty()) {
            let former = form.parameters.insert(name.clone().into_owned(), value.into());
            if former.is_some() {
                form.repeated = Some(name.into_owned());
            }
        }
        form
    }

    /// The parameters that `T` names; others are ignored, as OAuth asks.
    pub(super) fn parameters<T: DeserializeOwned>(&self) -> Result<T, OAuthProblem> {
        let parameters = Value::Object(self.parameters.clone());
        serde_json::from_value(parameters).map_err(|error| OAuthProblem::invalid(error.to_string()))
    }

    /// Refuses what stood there twice. Two resources are two servers, and a descriptor is for one.
    pub(super) fn check_repetition(&self) -> Result<(), OAuthProblem> {
        match self.repeated.as_deref() {
            None => Ok(()),
            Some("resource") => {
                Err(OAuthProblem::invalid_resource("name one resource: a token is for one server"))
            }
            Some(name) => Err(OAuthProblem::invalid(format!("the parameter {name} stands there twice"))),
        }
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

/// One value in the encoding of forms, as the parts of `client_secret_basic` are (RFC 6749 §2.3.1).
pub(super) fn decode(text: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(text.as_bytes());
    let (name, value) = pairs.next()?;
    (value.is_empty() && pairs.next().is_none()).then(|| name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_without_a_value_is_none_and_one_that_stands_twice_is_remembered() {
        let form = Form::parse(b"a=1&b=&b=2&resource=https%3A%2F%2Fa.example%2Fmcp&a=1");
        assert_eq!(form.parameters.get("b"), Some(&"2".into()));
        assert_eq!(form.parameters.get("resource"), Some(&"https://a.example/mcp".into()));
        assert_eq!(form.repeated.as_deref(), Some("a"));
    }

    #[test]
    fn a_part_of_a_basic_credential_is_one_encoded_value() {
        assert_eq!(decode("agent-7").as_deref(), Some("agent-7"));
        assert_eq!(decode("a%3Ab+c").as_deref(), Some("a:b c"));
        assert_eq!(decode("a&b"), None);
        assert_eq!(decode(""), None);
    }
}
