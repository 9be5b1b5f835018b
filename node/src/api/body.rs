//! Request bodies: bounded, then parsed once.

use crate::problem::Problem;
use axum::{
    body::{self, Body},
    extract::{self, FromRequest, FromRequestParts, Request},
    http::{StatusCode, header, request::Parts},
};
use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned},
};
use serde_json::{Map, Value};
use std::{error::Error, time::Duration};

/// The largest body of an ordinary request, in bytes.
pub(crate) const SMALL: usize = 16 * 1024;

/// A client that takes longer to send its body is cut off.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A JSON body of at most [`SMALL`] bytes.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        parse(&read(request, SMALL).await?).map(Self)
    }
}

/// Query parameters; what is wrong with them is a problem like any other.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = extract::Query::from_request_parts(parts, state).await;
        query.map(|extract::Query(query)| Self(query)).map_err(|error| Problem::invalid(error.body_text()))
    }
}

/// Parts of the path, likewise.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = extract::Path::from_request_parts(parts, state).await;
        path.map(|extract::Path(path)| Self(path)).map_err(|error| Problem::invalid(error.body_text()))
    }
}

/// Reads a body of at most `limit` bytes. One that announces more is refused before a byte is read.
pub(crate) async fn read(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(Problem::too_large(limit));
    }
    collect(request.into_body(), limit).await
}

async fn collect(body: Body, limit: usize) -> Result<Bytes, Problem> {
    let read = tokio::time::timeout(BODY_TIMEOUT, body::to_bytes(body, limit)).await;
    let read =
        read.map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body took too long"))?;
    read.map_err(|error| {
        let too_large = error.source().is_some_and(|cause| cause.is::<http_body_util::LengthLimitError>());
        if too_large { Problem::too_large(limit) } else { Problem::invalid("the body ended early") }
    })
}

/// Parses JSON; the error says which field is wrong, or at which place the text broke.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // Serde would take a list for a structure, its fields in the order of the code.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(Problem::invalid("the body is a list: an object with named fields is expected"));
    }
    // Keeping track of the path costs as much as parsing: only what is wrong is parsed once more for it.
    serde_json::from_slice(bytes).or_else(|_| parse_with_path(bytes))
}

/// For a field that is an object, and not a list of what would stand in one.
pub(crate) fn object<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let fields = Map::<String, Value>::deserialize(deserializer)?;
    T::deserialize(Value::Object(fields)).map_err(de::Error::custom)
}

fn parse_with_path<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut text = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut text).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { String::new() } else { format!(" in `{path}`") };
        Problem::invalid(format!("the body is not as expected{field}: {}", error.into_inner()))
    })?;
    match text.end() {
        Ok(()) => Ok(value),
        Err(error) => Err(Problem::invalid(format!("the body goes on behind its JSON: {error}"))),
    }
}
