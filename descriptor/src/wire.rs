//! The claim set as it stands in the signed payload: written whole, read member by member.

use serde::Serialize;
use serde_json::Value;

use crate::claims::{Claims, ClientClaim, Jti, SCOPE_CONNECT, ServerClaim, TRANSPORT};
use crate::json::Object;
use crate::refusal::Refusal;
use crate::seq::Seq;

/// How far `nbf` lies before `iat`, in seconds.
///
/// Stock verifiers compare `nbf` with their own clock and allow no leeway by default. A server whose clock is
/// a little behind ours would turn away a client that comes at once; five seconds are this crate's own
/// leeway, seen from there.
const NOT_BEFORE_SECONDS: u64 = 5;

/// The payload's members, in the order in which they are written.
#[derive(Serialize)]
pub(crate) struct Wire<'a> {
    iss: &'a str,
    sub: String,
    client_id: &'a str,
    aud: &'a str,
    iat: u64,
    nbf: u64,
    exp: u64,
    jti: Jti,
    scope: &'a str,
    mcp: Mcp<'a>,
    client: &'a ClientClaim,
    seq: Seq,
}

#[derive(Serialize)]
struct Mcp<'a> {
    transport: &'a str,
    endpoint: &'a str,
    server: &'a ServerClaim,
}

impl<'a> From<&'a Claims> for Wire<'a> {
    fn from(claims: &'a Claims) -> Self {
        Self {
            iss: &claims.iss,
            sub: subject(&claims.client.id),
            client_id: &claims.client.id,
            aud: &claims.aud,
            iat: claims.iat,
            nbf: claims.iat.saturating_sub(NOT_BEFORE_SECONDS),
            exp: claims.exp,
            jti: claims.jti,
            scope: &claims.scope,
            mcp: Mcp { transport: TRANSPORT, endpoint: &claims.aud, server: &claims.server },
            client: &claims.client,
            seq: claims.seq,
        }
    }
}

fn subject(client_id: &str) -> String {
    format!("client:{client_id}")
}

/// A claim set as read. `nbf` is kept only to be compared with the clock: the issuer derives it from `iat`.
pub(crate) struct Read {
    pub(crate) claims: Claims,
    pub(crate) nbf: u64,
}

/// Reads a payload: every claim present, of its type, and in agreement with those that repeat it. Members
/// that are not known are ignored, so that an issuer can add one before the verifiers know it.
pub(crate) fn read(payload: &Object) -> Result<Read, Refusal> {
    let mcp = object(payload, "mcp")?;
    let claims = Claims {
        iss: text(payload, "iss")?,
        aud: text(payload, "aud")?,
        iat: integer(payload, "iat")?,
        exp: integer(payload, "exp")?,
        jti: Jti::parse(&text(payload, "jti")?).ok_or(Refusal::ClaimMalformed("jti"))?,
        scope: text(payload, "scope")?,
        server: server(object(mcp, "mcp.server")?)?,
        client: client(object(payload, "client")?)?,
        seq: Seq::new(integer(payload, "seq")?).ok_or(Refusal::ClaimMalformed("seq"))?,
    };
    agree(payload, "sub", &subject(&claims.client.id))?;
    agree(payload, "client_id", &claims.client.id)?;
    agree(mcp, "mcp.endpoint", &claims.aud)?;
    agree(mcp, "mcp.transport", TRANSPORT)?;
    if !claims.scope.split(' ').any(|scope| scope == SCOPE_CONNECT) {
        return Err(Refusal::ClaimConflict("scope"));
    }
    Ok(Read { nbf: integer(payload, "nbf")?, claims })
}

fn server(object: &Object) -> Result<ServerClaim, Refusal> {
    Ok(ServerClaim {
        id: text(object, "mcp.server.id")?,
        version: text(object, "mcp.server.version")?,
        verified: flag(object, "mcp.server.verified")?,
        jwks_uri: optional_text(object, "mcp.server.jwks_uri")?,
        tls_pin_sha256: optional_text(object, "mcp.server.tls_pin_sha256")?,
    })
}

fn client(object: &Object) -> Result<ClientClaim, Refusal> {
    Ok(ClientClaim { id: text(object, "client.id")?, tenant: optional_text(object, "client.tenant")? })
}

/// Finds a claim by its full name (`mcp.server.id`) in the object that holds it, so that a refusal can name
/// it.
fn find<'a>(object: &'a Object, claim: &'static str) -> Option<&'a Value> {
    object.get(claim.rsplit('.').next().unwrap_or(claim))
}

pub(crate) fn required<'a>(object: &'a Object, claim: &'static str) -> Result<&'a Value, Refusal> {
    find(object, claim).ok_or(Refusal::ClaimMissing(claim))
}

/// A string with something in it: an empty identifier identifies nothing.
pub(crate) fn text(object: &Object, claim: &'static str) -> Result<String, Refusal> {
    non_empty(required(object, claim)?, claim)
}

fn optional_text(object: &Object, claim: &'static str) -> Result<Option<String>, Refusal> {
    find(object, claim).map(|value| non_empty(value, claim)).transpose()
}

fn non_empty(value: &Value, claim: &'static str) -> Result<String, Refusal> {
    let text = value.as_str().filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or(Refusal::ClaimMalformed(claim))
}

/// A whole number below 2^53. RFC 7519 would allow fractions of seconds; ours are whole, and the bound keeps
/// every later addition far from overflow.
pub(crate) fn integer(object: &Object, claim: &'static str) -> Result<u64, Refusal> {
    let value = required(object, claim)?.as_u64().filter(|value| *value <= Seq::MAX.get());
    value.ok_or(Refusal::ClaimMalformed(claim))
}

pub(crate) fn flag(object: &Object, claim: &'static str) -> Result<bool, Refusal> {
    required(object, claim)?.as_bool().ok_or(Refusal::ClaimMalformed(claim))
}

pub(crate) fn object<'a>(object: &'a Object, claim: &'static str) -> Result<&'a Object, Refusal> {
    required(object, claim)?.as_object().ok_or(Refusal::ClaimMalformed(claim))
}

fn agree(object: &Object, claim: &'static str, expected: &str) -> Result<(), Refusal> {
    let agrees = text(object, claim)? == expected;
    agrees.then_some(()).ok_or(Refusal::ClaimConflict(claim))
}
