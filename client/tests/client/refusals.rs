//! What the client does with a refusal.

use std::time::Duration;

use hapi_client::{ConnectError, ConnectRequest, HARD_STOPS};

use crate::node::{Node, Reply, SERVER, client, problem, problem_body};

fn request() -> ConnectRequest {
    ConnectRequest::new(SERVER)
}

#[tokio::test]
async fn a_hard_stop_ends_the_asking_until_it_is_forgotten() {
    for code in HARD_STOPS {
        let (a, b) = (Node::start([problem(403, code)]).await, Node::start([]).await);
        let client = client([&a.url, &b.url]);
        for _ in 0..3 {
            let error = client.connect(&request()).await.unwrap_err();
            let ConnectError::HardStop { code: got, detail } = error else { panic!("{error:?}") };
            assert_eq!((got.as_str(), detail), (code, format!("because {code}")));
        }
        assert_eq!((a.connects(), b.connects()), (1, 0), "asked once, of one node");

        client.connect(&ConnectRequest::new("ai.acme/weather")).await.unwrap_err();
        assert_eq!(a.connects(), 2, "another server may still be asked for");

        client.forget(SERVER).await;
        client.connect(&request()).await.unwrap();
    }
}

#[tokio::test]
async fn a_rate_limit_is_not_taken_to_another_node() {
    let limited = |seconds| Reply::RetryAfter(429, seconds, problem_body(429, "rate_limited"));
    let (a, b) = (Node::start([limited(17)]).await, Node::start([]).await);
    let error = client([&a.url, &b.url]).connect(&request()).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::RateLimited { retry_after } if retry_after == Duration::from_secs(17)),
        "{error:?}"
    );
    assert_eq!((a.connects(), b.connects()), (1, 0));
}

#[tokio::test]
async fn a_rate_limit_is_waited_out_for_whatever_server() {
    let limited = Reply::RetryAfter(429, 3, problem_body(429, "rate_limited"));
    let node = Node::start([limited]).await;
    let client = client([&node.url]);
    let mut wait = Duration::from_secs(3);
    for server in [SERVER, SERVER, "ai.acme/weather"] {
        let error = client.connect(&ConnectRequest::new(server)).await.unwrap_err();
        let ConnectError::RateLimited { retry_after } = error else { panic!("{error:?}") };
        assert!(retry_after <= wait);
        wait = retry_after;
    }
    assert_eq!(node.connects(), 1, "asked once, and then not at all");
    tokio::time::sleep(wait).await;
    client.connect(&request()).await.unwrap();
}

#[tokio::test]
async fn an_mcp_server_that_is_down_is_down_for_every_node() {
    let down = Reply::RetryAfter(503, 9, problem_body(503, "server_unavailable"));
    let (a, b) = (Node::start([down]).await, Node::start([]).await);
    let error = client([&a.url, &b.url]).connect(&request()).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::Unavailable { retry_after, .. } if retry_after == Duration::from_secs(9)),
        "{error:?}"
    );
    assert_eq!((a.connects(), b.connects()), (1, 0));
}

#[tokio::test]
async fn other_refusals_are_handed_on_and_not_remembered() {
    let refusals = [(400, "variable_required"), (401, "unauthenticated"), (404, "server_not_found")];
    let node = Node::start(refusals.map(|(status, code)| problem(status, code))).await;
    for (status, code) in refusals {
        // A client each: these too count as tries in vain.
        let error = client([&node.url]).connect(&request()).await.unwrap_err();
        let ConnectError::Refused(problem) = error else { panic!("{error:?}") };
        assert_eq!((problem.status, problem.code.as_str()), (status, code));
    }
    client([&node.url]).connect(&request()).await.unwrap();
}

#[tokio::test]
async fn an_answer_without_sense_is_no_grant() {
    let node = Node::start([Reply::Raw("<html>"), Reply::Raw("{}"), Reply::Json(204, "".into())]).await;
    let client = client([&node.url]);
    for _ in 0..2 {
        let error = client.connect(&request()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Malformed(_)), "{error:?}");
    }
    let error = client.connect(&request()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused(_)), "{error:?}");
}
