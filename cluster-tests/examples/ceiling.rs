//! The ceiling for issuing: a bare route that reads the same body and makes the same signature, and does
//! nothing else. Prints its address; `hapi-registry load --node ADDRESS --path /bare …` loads it.
#![allow(clippy::print_stdout, clippy::expect_used, reason = "a program for measurements")]

use axum::{Router, body::Bytes, extract::State, routing::post};
use hapi_descriptor::{Claims, ClientClaim, Jti, SCOPE_CONNECT, Seq, ServerClaim, Signer};
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

async fn bare(State(signer): State<Arc<Signer>>, body: Bytes) -> String {
    let request: serde_json::Value = serde_json::from_slice(&body).expect("the load sends JSON");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let text = |value: &str| value.to_owned();
    let descriptor = signer.sign(&Claims {
        iss: text("https://registry.example"),
        aud: text("https://mcp.skylark.example/weather"),
        iat: now,
        exp: now + 60,
        jti: Jti::new(rand::random()),
        scope: text(SCOPE_CONNECT),
        server: ServerClaim {
            id: request["server_ref"].as_str().unwrap_or_default().to_owned(),
            version: text("2.1.0"),
            verified: true,
            jwks_uri: None,
            tls_pin_sha256: None,
        },
        client: ClientClaim { id: text("demo"), tenant: Some(text("dev")) },
        seq: Seq::from_parts(1, 1).expect("small"),
    });
    serde_json::json!({ "descriptor": descriptor, "expires_in": 60 }).to_string()
}

#[tokio::main]
async fn main() {
    let signer = Arc::new(Signer::from_seed([7; 32].into()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    println!("http://{}", listener.local_addr().expect("it is bound"));
    let router = Router::new().route("/bare", post(bare)).with_state(signer);
    axum::serve(listener, router).await.expect("it serves");
}
