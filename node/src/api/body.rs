//! Request bodies: bounded, then parsed once.

use crate::{
    limits::{Arrival, Limit, Limits},
    problem::Problem,
};
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
use std::{error::Error, sync::Arc, time::Duration};

/// The largest body of an ordinary request, in bytes.
pub(crate) const SMALL: usize = 16 * 1024;

/// A JSON body of at most [`SMALL`] bytes.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        read_json(request, SMALL).await.map(Self)
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
    match limits(&request) {
        None => read_within(request, limit, None).await,
        Some(limits) => {
            let settings = &limits.settings;
            let patience = Duration::from_millis(settings.body_timeout_ms);
            let read = read_within(request, limit.min(settings.body_bytes), Some(patience)).await;
            read.inspect_err(|problem| match problem.code() {
                "payload_too_large" => limits.counters.count(Limit::BodySize),
                "timeout" => limits.counters.count(Limit::BodyTimeout),
                _ => {}
            })
        }
    }
}

fn limits(request: &Request) -> Option<Arc<Limits>> {
    Arrival::of(request.extensions()).map(|arrival| arrival.limits.clone())
}

/// Reads a JSON body of at most `limit` bytes, and parses it if it is not nested too deeply.
pub(crate) async fn read_json<T: DeserializeOwned>(request: Request, limit: usize) -> Result<T, Problem> {
    let limits = limits(&request);
    let bytes = read(request, limit).await?;
    if let Some(limits) = limits
        && is_deeper(&bytes, limits.settings.json_depth)
    {
        limits.counters.count(Limit::JsonDepth);
        let depth = limits.settings.json_depth;
        return Err(Problem::invalid(format!("the body is nested more than {depth} levels deep")));
    }
    parse(&bytes)
}

/// Whether objects and lists stand in each other more than `most` deep. Parsers that pass over what they do not know
/// look at no depth, and others run out of stack.
fn is_deeper(json: &[u8], most: usize) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => depth += 1,
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth > most {
            return true;
        }
    }
    false
}

async fn read_within(request: Request, limit: usize, patience: Option<Duration>) -> Result<Bytes, Problem> {
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(Problem::too_large(limit));
    }
    let collected = collect(request.into_body(), limit);
    let Some(patience) = patience else { return collected.await };
    let late = || Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body took too long");
    tokio::time::timeout(patience, collected).await.unwrap_or_else(|_| Err(late()))
}

async fn collect(body: Body, limit: usize) -> Result<Bytes, Problem> {
    body::to_bytes(body, limit).await.map_err(|error| {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_of_texts() {
        assert!(!is_deeper(br#"{"a":[{}],"b":[[]]}"#, 3));
        assert!(is_deeper(br#"{"a":[{}]}"#, 2));
        assert!(!is_deeper(br#"{"a":"[[[[\"[[[["}"#, 1));
        assert!(is_deeper("[".repeat(10_000).as_bytes(), 64));
        assert!(!is_deeper(b"]]]]{}", 1), "what is no JSON is told by the parser");
    }
}
