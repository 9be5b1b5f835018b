//! Which node is asked, how often, and when no more.

use std::time::Duration;

use hapi_client::{Client, ConnectError, ConnectRequest};

use crate::node::{ENDPOINT, Node, Reply, SERVER, client, dead, granted, problem};

fn request() -> ConnectRequest {
    ConnectRequest::new(SERVER)
}

#[tokio::test]
async fn a_granted_connection_is_verified_and_complete() {
    let node = Node::start([]).await;
    let boarding = client([&node.url]).connect(&request()).await.unwrap();
    assert_eq!((boarding.endpoint.as_str(), boarding.claims.server.id.as_str()), (ENDPOINT, SERVER));
    assert_eq!((boarding.index, boarding.warnings.as_slice()), (Some(42), &["old".to_owned()][..]));
    assert_eq!(boarding.expires_at() - boarding.refresh_at(), 20);
    let signature = boarding.descriptor.rsplit('.').next().unwrap();
    assert!(!format!("{boarding:?}").contains(signature), "Debug must not show what boards");
}

#[tokio::test]
async fn a_node_that_works_is_kept() {
    let (a, b) = (Node::start([]).await, Node::start([]).await);
    let client = client([&a.url, &b.url]);
    for _ in 0..5 {
        client.connect(&request()).await.unwrap();
    }
    assert_eq!((a.connects(), b.connects()), (5, 0));
    assert_eq!((a.count("jwks.json"), a.count("mcp-connect-authority")), (1, 1), "both are cached");
}

#[tokio::test]
async fn start_at_says_who_is_asked_first() {
    let (a, b) = (Node::start([]).await, Node::start([]).await);
    let client = Client::builder().nodes([&a.url, &b.url]).start_at(3).build().unwrap();
    client.connect(&request()).await.unwrap();
    assert_eq!((a.connects(), b.connects()), (0, 1));
}

#[tokio::test]
async fn a_503_sends_the_client_on_at_once() {
    let a = Node::start([problem(503, "no_serving_lease")]).await;
    let b = Node::start([]).await;
    let client = client([&a.url, &b.url]);
    client.connect(&request()).await.unwrap();
    client.connect(&request()).await.unwrap();
    assert_eq!((a.connects(), b.connects()), (1, 2), "and it stays with the one that answers");
}

#[tokio::test]
async fn nodes_are_tried_in_order() {
    let lease = || problem(503, "no_serving_lease");
    let nodes = [Node::start([lease()]).await, Node::start([lease()]).await, Node::start([]).await];
    client(nodes.each_ref().map(|node| &node.url)).connect(&request()).await.unwrap();
    assert_eq!(nodes.each_ref().map(Node::connects), [1, 1, 1]);
}

#[tokio::test]
async fn a_dead_node_is_passed_over() {
    let b = Node::start([]).await;
    client([dead().await, b.url.clone()]).connect(&request()).await.unwrap();
    assert_eq!(b.connects(), 1);
}

#[tokio::test]
async fn a_silent_node_is_passed_over_after_its_time() {
    let (a, b) = (Node::start([Reply::Silence]).await, Node::start([]).await);
    let client =
        Client::builder().nodes([&a.url, &b.url]).timeout(Duration::from_millis(200)).build().unwrap();
    client.connect(&request()).await.unwrap();
    assert_eq!((a.connects(), b.connects()), (1, 1));
}

#[tokio::test]
async fn a_proxys_bad_gateway_is_a_nodes_failure() {
    let (a, b) = (Node::start([Reply::Json(502, "Bad Gateway".into())]).await, Node::start([]).await);
    client([&a.url, &b.url]).connect(&request()).await.unwrap();
    assert_eq!((a.connects(), b.connects()), (1, 1));
}

#[tokio::test]
async fn after_three_tries_in_vain_none_is_made() {
    let nodes = [(); 4].map(|()| std::iter::repeat_n(problem(503, "no_serving_lease"), 9));
    let mut started = Vec::new();
    for replies in nodes {
        started.push(Node::start(replies).await);
    }
    let client = client(started.iter().map(|node| &node.url));

    let first = client.connect(&request()).await.unwrap_err();
    assert!(matches!(&first, ConnectError::Unavailable { .. }), "{first:?}");
    let second = client.connect(&request()).await.unwrap_err();
    let ConnectError::RetryBudgetSpent { retry_after } = second else { panic!("{second:?}") };
    assert!(
        Duration::from_secs(50) < retry_after && retry_after <= Duration::from_secs(60),
        "{retry_after:?}"
    );
    assert_eq!(started.iter().map(Node::connects).sum::<usize>(), 3);

    let other = client.connect(&ConnectRequest::new("ai.acme/weather")).await.unwrap_err();
    assert!(matches!(other, ConnectError::Unavailable { .. }), "each server has its own budget: {other:?}");
}

#[tokio::test]
async fn calls_at_the_same_time_share_the_budget() {
    let node = Node::start(std::iter::repeat_n(problem(503, "no_serving_lease"), 99)).await;
    let client = client([&node.url]);
    let request = request();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            tokio::spawn({
                let (client, request) = (client.clone(), request.clone());
                async move { client.connect(&request).await.is_err() }
            })
        })
        .collect();
    for call in calls {
        assert!(call.await.unwrap());
    }
    assert_eq!(node.connects(), 3);
}

#[tokio::test]
async fn failures_on_the_way_to_success_are_forgiven() {
    let refused = || problem(503, "no_serving_lease");
    let a = Node::start((0..10).flat_map(|_| [refused(), granted()])).await;
    let b = Node::start((0..10).flat_map(|_| [granted(), refused()])).await;
    let client = client([&a.url, &b.url]);
    for _ in 0..10 {
        client.connect(&request()).await.unwrap();
    }
    assert_eq!((a.connects(), b.connects()), (10, 10), "every call met one failure");
}
