//! Leave that is renewed until it ends.

use std::time::Duration;

use hapi_client::{ConnectRequest, HARD_STOPS, REFRESH_BEFORE_SECONDS, Session, SessionEnd};
use hapi_descriptor::Claims;
use tokio::time::timeout;

use crate::node::{Node, Reply, SERVER, claims, client, grant, granted, problem, signer};

/// A grant that is to be renewed at once, and lasts for so many seconds.
fn due(lasts: u64) -> Reply {
    let claims = claims();
    grant(&signer(), &Claims { exp: claims.iat + lasts.min(REFRESH_BEFORE_SECONDS), ..claims })
}

async fn open(nodes: &[&Node]) -> Session {
    let nodes = nodes.iter().map(|node| node.url.clone());
    client(nodes).open(ConnectRequest::new(SERVER)).await.unwrap()
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.unwrap()
}

#[tokio::test]
async fn a_session_is_renewed_before_its_descriptor_ends() {
    let node = Node::start([due(20), granted()]).await;
    let mut session = open(&[&node]).await;
    let first = session.boarding().unwrap();
    let second = within(session.renewed()).await.unwrap();
    assert!(second.expires_at() > first.expires_at());
    assert_eq!((session.boarding(), node.connects()), (Ok(second), 2));
}

#[tokio::test]
async fn a_hard_stop_ends_a_session_at_once() {
    for code in HARD_STOPS {
        let node = Node::start([due(20), problem(403, code)]).await;
        let session = open(&[&node]).await;
        let end = within(session.ended()).await;
        assert_eq!(end, SessionEnd::HardStop { code: code.into(), detail: format!("because {code}") });
        assert_eq!((session.boarding(), node.connects()), (Err(end), 2), "and is not asked about again");
    }
}

#[tokio::test]
async fn what_the_server_asks_for_is_fetched_once() {
    let longer = grant(&signer(), &Claims { exp: claims().iat + 120, ..claims() });
    let node = Node::start([granted(), longer]).await;
    let mut session = open(&[&node]).await;
    let exp = session.boarding().unwrap().expires_at();
    session.refresh_required(exp);
    let fresh = within(session.renewed()).await.unwrap();
    assert!(fresh.expires_at() > exp);
    session.refresh_required(exp);
    assert_eq!(node.connects(), 2, "the next request brings what is here already");
}

#[tokio::test]
async fn a_session_that_cannot_be_renewed_ends_with_its_descriptor() {
    let node = Node::start([due(2), problem(404, "server_not_found")]).await;
    let session = open(&[&node]).await;
    assert!(session.boarding().is_ok());
    let SessionEnd::Expired { last } = within(session.ended()).await else { panic!("another end") };
    assert!(last.contains("server_not_found"), "{last}");
}

#[tokio::test]
async fn a_failing_node_is_left_for_the_next() {
    let (a, b) = (Node::start([due(20), problem(503, "no_serving_lease")]).await, Node::start([]).await);
    let mut session = open(&[&a, &b]).await;
    assert!(within(session.renewed()).await.is_ok());
    assert_eq!((a.connects(), b.connects()), (2, 1));
}

#[tokio::test]
async fn a_server_that_has_moved_ends_the_session() {
    let claims = Claims { aud: "https://payments-2.acme.example/mcp".into(), ..claims() };
    let mut moved = grant(&signer(), &claims);
    if let Reply::Json(_, body) = &mut moved {
        body["endpoint"] = claims.aud.clone().into();
    }
    let node = Node::start([due(20), moved]).await;
    let end = within(open(&[&node]).await.ended()).await;
    assert_eq!(end, SessionEnd::Moved { endpoint: claims.aud });
}
