//! Well-signed descriptors whose claims are absent, of the wrong type, in conflict, for elsewhere or out of
//! time.

use hapi_descriptor::Refusal;
use serde_json::{Value, json};

use crate::forge::{AUD, ISS, NOW, b64, jwks, with_payload};
use crate::vector::Vector;

/// Every required claim, with values of the wrong type or out of range.
const REQUIRED: [(&str, &[&str]); 19] = [
    ("iss", &["1", "null", "\"\""]),
    ("sub", &["1"]),
    ("client_id", &["1"]),
    ("aud", &["1", "[\"https://payments.acme.example/mcp\"]"]),
    ("iat", &["\"1800000000\"", "1800000000.5", "-1", "9007199254740992"]),
    ("nbf", &["\"1799999995\"", "true"]),
    ("exp", &["\"1800000060\"", "1.8e9", "18446744073709551616"]),
    ("jti", &["1", "\"AAAAAAAAAAAAAAAAAAAA\"", "\"AAAAAAAAAAAAAAAAAAAAAAA\"", "\"AAAAAAAAAAAAAAAAAAAAA!\""]),
    ("scope", &["[\"mcp:connect\"]"]),
    ("mcp", &["[]", "null"]),
    ("mcp.transport", &["1"]),
    ("mcp.endpoint", &["{}"]),
    ("mcp.server", &["\"ai.acme/payments\""]),
    ("mcp.server.id", &["1", "\"\""]),
    ("mcp.server.version", &["2.1"]),
    ("mcp.server.verified", &["\"true\"", "1"]),
    ("client", &["\"agent-7\""]),
    ("client.id", &["7", "\"\""]),
    ("seq", &["\"48121\"", "-1", "1.0", "9007199254740992"]),
];

/// The claims that may be absent, but not of another type.
const OPTIONAL: [(&str, &[&str]); 3] = [
    ("mcp.server.jwks_uri", &["1", "null"]),
    ("mcp.server.tls_pin_sha256", &["[]"]),
    ("client.tenant", &["null", "\"\""]),
];

pub(crate) fn vectors() -> Vec<Vector> {
    [missing(), malformed(), conflicts(), elsewhere(), times()].concat()
}

fn reject(name: &str, what: &str, refusal: Refusal, change: impl FnOnce(&mut Value)) -> Vector {
    Vector::accept(name, what, jwks(), with_payload(change)).refused(refusal)
}

fn slug(claim: &str) -> String {
    claim.replace('.', "-")
}

/// The object that holds a claim, and the claim's key in it.
fn holder<'a, 'c>(payload: &'a mut Value, claim: &'c str) -> (&'a mut Value, &'c str) {
    match claim.rsplit_once('.') {
        Some((path, key)) => (payload.pointer_mut(&format!("/{}", path.replace('.', "/"))).unwrap(), key),
        None => (payload, claim),
    }
}

fn missing() -> Vec<Vector> {
    let vector = |claim| {
        let what = format!("claim {claim} is absent");
        reject(&format!("missing_{}", slug(claim)), &what, Refusal::ClaimMissing(claim), |payload| {
            let (object, key) = holder(payload, claim);
            assert!(object.as_object_mut().unwrap().remove(key).is_some());
        })
    };
    REQUIRED.map(|(claim, _)| vector(claim)).to_vec()
}

fn malformed() -> Vec<Vector> {
    let claims = REQUIRED.iter().chain(&OPTIONAL);
    claims
        .flat_map(|(claim, values)| values.iter().enumerate().map(|(i, value)| wrong_value(claim, i, value)))
        .collect()
}

fn wrong_value(claim: &'static str, number: usize, json: &str) -> Vector {
    // Written into the text: a number such as 1.8e9 would lose its spelling on the way through a parsed
    // value.
    let payload = with_placeholder(claim).replace("\"@\"", json);
    let descriptor = crate::forge::seal(&crate::forge::header().to_string(), &payload);
    let (name, what) =
        (format!("malformed_{}_{}", slug(claim), number + 1), format!("claim {claim} is {json}"));
    Vector::accept(&name, &what, jwks(), descriptor).refused(Refusal::ClaimMalformed(claim))
}

fn with_placeholder(claim: &str) -> String {
    let mut payload = crate::forge::payload();
    let (object, key) = holder(&mut payload, claim);
    object[key] = json!("@");
    payload.to_string()
}

fn conflicts() -> Vec<Vector> {
    use Refusal::ClaimConflict;
    vec![
        reject("conflict_sub", "sub names another client", ClaimConflict("sub"), |p| {
            p["sub"] = json!("client:agent-8")
        }),
        reject("conflict_sub_kind", "sub names something else than a client", ClaimConflict("sub"), |p| {
            p["sub"] = json!("agent-7")
        }),
        reject("conflict_client_id", "client_id names another client", ClaimConflict("client_id"), |p| {
            p["client_id"] = json!("agent-8")
        }),
        reject("conflict_endpoint", "mcp.endpoint is not aud", ClaimConflict("mcp.endpoint"), |p| {
            p["mcp"]["endpoint"] = json!("https://evil.example/mcp");
        }),
        reject(
            "conflict_transport",
            "the transport is not streamable_http",
            ClaimConflict("mcp.transport"),
            |p| {
                p["mcp"]["transport"] = json!("sse");
            },
        ),
        reject("scope_without_connect", "the scope lacks mcp:connect", ClaimConflict("scope"), |p| {
            p["scope"] = json!("openid")
        }),
        reject(
            "scope_longer_word",
            "mcp:connect is a whole word of the scope",
            ClaimConflict("scope"),
            |p| {
                p["scope"] = json!("mcp:connected xmcp:connect");
            },
        ),
    ]
}

fn elsewhere() -> Vec<Vector> {
    let to = |aud: &'static str| {
        move |p: &mut Value| {
            p["aud"] = json!(aud);
            p["mcp"]["endpoint"] = json!(aud);
        }
    };
    let audience = |name: &str, what: &str, aud| reject(name, what, Refusal::Audience, to(aud));
    vec![
        audience("aud_other", "another endpoint", "https://weather.acme.example/mcp"),
        audience(
            "aud_slash",
            "a trailing slash makes another audience",
            "https://payments.acme.example/mcp/",
        ),
        audience("aud_case", "letter case makes another audience", "https://PAYMENTS.acme.example/mcp"),
        audience("aud_prefix", "a prefix is another audience", "https://payments.acme.example"),
        reject("iss_other", "another issuer", Refusal::Issuer, |p| p["iss"] = json!("https://evil.example")),
        reject("iss_slash", "a trailing slash makes another issuer", Refusal::Issuer, |p| {
            p["iss"] = json!(format!("{ISS}/"))
        }),
        reject("server_other", "another server behind the same endpoint", Refusal::Server, |p| {
            p["mcp"]["server"]["id"] = json!("ai.acme/other");
        }),
        reject("iss_before_aud", "the issuer is compared before the audience", Refusal::Issuer, |p| {
            p["iss"] = json!(AUD)
        })
        .expecting(|expect| expect.aud = "https://elsewhere.example/mcp".into()),
    ]
}

fn times() -> Vec<Vector> {
    use Refusal::{Expired, Lifetime, NotYetValid};
    vec![
        reject(
            "exp_first_dead_second",
            "exp + 5 s is the first instant at which it is dead",
            Expired,
            |_| {},
        )
        .at(NOW + 65),
        reject("exp_long_ago", "it ended an hour ago", Expired, |_| {}).at(NOW + 3660),
        reject("exp_at_the_end_of_time", "the clock shows the highest number", Expired, |_| {}).at(u64::MAX),
        reject("iat_one_second_early", "a clock 6 s behind the issuer's", NotYetValid, |_| {}).at(NOW - 6),
        reject("nbf_one_second_early", "nbf is 6 s ahead", NotYetValid, |p| p["nbf"] = json!(NOW + 6)),
        reject("lifetime_121", "a life of 121 s", Lifetime, |p| p["exp"] = json!(NOW + 121)),
        reject("lifetime_years", "a life of years", Lifetime, |p| p["exp"] = json!(NOW + 100_000_000)),
        reject("lifetime_zero", "exp equals iat", Lifetime, |p| p["exp"] = json!(NOW)),
        reject("lifetime_negative", "iat is after exp", Lifetime, |p| p["iat"] = json!(NOW + 61)),
        reject("lifetime_hidden_in_jti", "a jti does not make up for a long life", Lifetime, |p| {
            p["jti"] = json!(b64([0; 16]));
            p["iat"] = json!(NOW - 3600);
        }),
    ]
}
