//! No answer is believed.

use hapi_client::{Client, ConnectError, ConnectRequest};
use hapi_descriptor::{Claims, Refusal, Signer};

use crate::node::{Node, Reply, SERVER, claims, client, dead, grant, signer};

async fn connect_to(reply: Reply, server_ref: &str) -> Result<(), ConnectError> {
    let node = Node::start([reply]).await;
    client([&node.url]).connect(&ConnectRequest::new(server_ref)).await.map(drop)
}

/// The refusal of a well-signed descriptor but for one change of its claims.
async fn refusal_of(change: impl FnOnce(&mut Claims)) -> Refusal {
    let mut claims = claims();
    change(&mut claims);
    refusal(connect_to(grant(&signer(), &claims), SERVER).await)
}

fn refusal(result: Result<(), ConnectError>) -> Refusal {
    match result {
        Err(ConnectError::Descriptor(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn claims_must_be_for_this_server_here_and_now() {
    assert_eq!(refusal_of(|claims| claims.aud = "https://evil.example/mcp".into()).await, Refusal::Audience);
    assert_eq!(refusal_of(|claims| claims.iss = "https://evil.example".into()).await, Refusal::Issuer);
    assert_eq!(refusal_of(|claims| claims.server.id = "ai.acme/weather".into()).await, Refusal::Server);
    assert_eq!(
        refusal_of(|claims| (claims.iat, claims.exp) = (claims.iat - 100, claims.exp - 100)).await,
        Refusal::Expired
    );
    assert_eq!(refusal_of(|claims| claims.exp += 3600).await, Refusal::Lifetime);
}

#[tokio::test]
async fn the_version_that_was_asked_for_is_the_one_that_is_granted() {
    let granted = || grant(&signer(), &claims());
    assert!(connect_to(granted(), "ai.acme/payments@2.1.0").await.is_ok());
    assert_eq!(refusal(connect_to(granted(), "ai.acme/payments@2.0.0").await), Refusal::Server);
}

#[tokio::test]
async fn a_changed_descriptor_is_refused() {
    let Reply::Json(200, mut body) = grant(&signer(), &claims()) else { unreachable!() };
    let descriptor = body["descriptor"].as_str().unwrap();
    let (input, _) = descriptor.rsplit_once('.').unwrap();
    let other = signer().sign(&Claims { exp: claims().exp - 1, ..claims() });
    body["descriptor"] = format!("{input}.{}", other.rsplit('.').next().unwrap()).into();
    assert_eq!(refusal(connect_to(Reply::Json(200, body), SERVER).await), Refusal::Signature);
}

#[tokio::test]
async fn an_unknown_key_is_looked_for_once() {
    let new = Signer::from_seed([2; 32].into());
    let node = Node::start([grant(&signer(), &claims()), grant(&new, &claims())]).await;
    let client = client([&node.url]);
    client.connect(&ConnectRequest::new(SERVER)).await.unwrap();
    node.publish(&[&signer(), &new]);
    assert_eq!(client.connect(&ConnectRequest::new(SERVER)).await.unwrap().kid, new.kid());
    assert_eq!(node.count("jwks.json"), 2);
}

#[tokio::test]
async fn forged_keys_do_not_make_the_client_hammer_the_key_set() {
    let forger = Signer::from_seed([3; 32].into());
    let node = Node::start(std::iter::repeat_n(grant(&forger, &claims()), 3)).await;
    let client = client([&node.url]);
    for _ in 0..3 {
        let result = client.connect(&ConnectRequest::new(SERVER)).await.map(drop);
        assert_eq!(refusal(result), Refusal::UnknownKey);
    }
    assert_eq!(node.count("jwks.json"), 2, "the first fetch, and one for the unknown key");
}

#[tokio::test]
async fn a_pinned_issuer_is_not_asked_for() {
    let node = Node::start([]).await;
    let client = Client::builder().nodes([&node.url]).issuer("https://other.example").build().unwrap();
    let result = client.connect(&ConnectRequest::new(SERVER)).await.map(drop);
    assert_eq!(refusal(result), Refusal::Issuer);
    assert_eq!(node.count("mcp-connect-authority"), 0);
}

#[tokio::test]
async fn the_keys_come_from_any_node() {
    let node = Node::start([]).await;
    let client = client([dead().await, node.url.clone()]);
    client.connect(&ConnectRequest::new(SERVER)).await.unwrap();
    assert_eq!(
        node.asked(),
        ["POST /v1/connect", "GET /.well-known/mcp-connect-authority", "GET /.well-known/jwks.json"]
    );
}
