//! The plain door.

use std::time::Duration;

use hapi_client::{ApiError, Client, Extras, Method};
use serde_json::{Value, json};

use crate::node::{CREDENTIAL, Node, Reply, client, dead, problem, problem_body};

#[tokio::test]
async fn a_request_carries_credential_and_body() {
    let node = Node::start([]).await;
    let echo = client([format!("{}/", node.url)])
        .request(Method::POST, "/echo", Some(json!({"a": 1})))
        .await
        .unwrap();
    let authorization = format!("Bearer {CREDENTIAL}");
    assert_eq!(
        echo,
        json!({"authorization": authorization, "body": {"a": 1}, "content-type": "application/json"})
    );
    assert_eq!(node.asked(), ["POST /echo"]);
}

#[tokio::test]
async fn a_form_is_sent_as_one() {
    let node = Node::start([]).await;
    let echo = client([&node.url]).request_form("/echo", &[("token", "a&b"), ("hint", "ü")]).await.unwrap();
    assert_eq!(echo["body"], "token=a%26b&hint=%C3%BC");
    assert_eq!(echo["content-type"], "application/x-www-form-urlencoded");
}

#[tokio::test]
async fn a_text_is_given_as_it_is_and_a_refusal_is_none() {
    let node = Node::start([Reply::Raw("a.b.c"), problem(404, "not_found")]).await;
    let client = client([&node.url]);
    assert_eq!(client.text("/v1/revocations").await.unwrap(), "a.b.c");
    let refused = client.text("/v1/revocations").await;
    assert!(matches!(&refused, Err(ApiError::Refused(problem)) if problem.status == 404), "{refused:?}");
}

#[tokio::test]
async fn a_refusal_is_parsed() {
    let node = Node::start([Reply::RetryAfter(409, 3, problem_body(409, "version_exists"))]).await;
    let error =
        client([&node.url]).request(Method::POST, "/v0.1/publish", Some(json!({}))).await.unwrap_err();
    assert_eq!(error.to_string(), "version_exists: because version_exists (HTTP 409)");
    let ApiError::Refused(problem) = error else { panic!("{error:?}") };
    assert_eq!((problem.status, problem.retry_after), (409, Some(Duration::from_secs(3))));
    assert_eq!(problem.body["type"], "about:blank");
}

#[tokio::test]
async fn a_get_goes_on_to_the_next_node() {
    let a = Node::start([problem(503, "no_serving_lease")]).await;
    let b = Node::start([Reply::Json(200, json!({"servers": []}))]).await;
    let answer = client([dead().await, a.url.clone(), b.url.clone()])
        .request(Method::GET, "/v0.1/servers?limit=1", None)
        .await;
    assert_eq!(answer.unwrap(), json!({"servers": []}));
    assert_eq!((a.asked(), b.asked().len()), (vec!["GET /v0.1/servers?limit=1".to_owned()], 1));
}

#[tokio::test]
async fn a_write_goes_on_only_while_nothing_was_sent() {
    let refusing = Node::start([problem(503, "no_leader")]).await;
    let spare = Node::start([]).await;
    let client = client([dead().await, refusing.url.clone(), spare.url.clone()]);
    let error = client.request(Method::POST, "/v0.1/publish", Some(json!({}))).await.unwrap_err();
    assert!(matches!(&error, ApiError::Refused(problem) if problem.status == 503), "{error:?}");
    assert_eq!((refusing.asked().len(), spare.asked().len()), (1, 0));
}

#[tokio::test]
async fn a_write_without_an_answer_may_have_been_done() {
    let (silent, spare) = (Node::start([Reply::Silence]).await, Node::start([]).await);
    let client = Client::builder()
        .nodes([&silent.url, &spare.url])
        .timeout(Duration::from_millis(200))
        .build()
        .unwrap();
    let error = client.request(Method::DELETE, "/v1/things/1", None).await.unwrap_err();
    assert!(matches!(error, ApiError::OutcomeUnknown(_)), "{error:?}");
    assert_eq!(spare.asked().len(), 0);
}

fn repeatable() -> Extras {
    Extras { idempotency_key: Some("k-1".into()), wait_seconds: Some(7) }
}

#[tokio::test]
async fn key_and_wait_go_into_headers() {
    let node = Node::start([]).await;
    let echo = client([&node.url]).request_with(Method::DELETE, "/echo", None, &repeatable()).await.unwrap();
    assert_eq!((&echo["idempotency-key"], &echo["prefer"]), (&json!("k-1"), &json!("wait=7")));
    let broken = Extras { idempotency_key: Some("two\nlines".into()), ..Extras::default() };
    let refused = client([&node.url]).request_with(Method::DELETE, "/echo", None, &broken).await;
    assert!(matches!(refused, Err(ApiError::IdempotencyKey)), "{refused:?}");
}

#[tokio::test]
async fn a_write_with_a_key_goes_on_to_the_next_node() {
    let silent = Node::start([Reply::Silence]).await;
    let refusing = Node::start([problem(503, "no_leader")]).await;
    let able = Node::start([Reply::Json(200, json!({"index": 9}))]).await;
    let client = Client::builder()
        .nodes([&silent.url, &refusing.url, &able.url])
        .timeout(Duration::from_millis(200))
        .build()
        .unwrap();
    let answer = client.request_with(Method::POST, "/v1/moderation", None, &repeatable()).await;
    assert_eq!(answer.unwrap(), json!({"index": 9}));
}

#[tokio::test]
async fn a_write_that_one_node_may_have_done_is_not_reported_as_not_done() {
    let silent = Node::start([Reply::Silence, Reply::Silence]).await;
    for next in [dead().await, Node::start([problem(503, "no_leader")]).await.url] {
        let client = Client::builder()
            .nodes([&silent.url, &next])
            .timeout(Duration::from_millis(200))
            .build()
            .unwrap();
        let error = client.request_with(Method::POST, "/v1/moderation", None, &repeatable()).await;
        assert!(matches!(error, Err(ApiError::OutcomeUnknown(_))), "{error:?}");
    }
}

#[tokio::test]
async fn a_cluster_that_is_gone_says_so() {
    let error = client([dead().await, dead().await]).request(Method::GET, "/", None).await.unwrap_err();
    assert!(matches!(&error, ApiError::Unreachable(cause) if cause.contains("refused")), "{error:?}");
}

#[tokio::test]
async fn an_empty_answer_is_null_and_a_page_is_none() {
    let node = Node::start([Reply::Raw(""), Reply::Raw("<html>")]).await;
    let client = client([&node.url]);
    assert_eq!(client.request(Method::GET, "/a", None).await.unwrap(), Value::Null);
    assert!(matches!(client.request(Method::GET, "/b", None).await, Err(ApiError::Malformed)));
}

#[tokio::test]
async fn a_path_cannot_leave_the_host() {
    let error =
        client(["http://127.0.0.1:1"]).request(Method::GET, "@evil.example/", None).await.unwrap_err();
    assert!(matches!(error, ApiError::Path), "{error:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let node = Node::start([Reply::Json(307, json!({"code": "moved"}))]).await;
    let error = client([&node.url]).request(Method::GET, "/a", None).await.unwrap_err();
    assert!(matches!(&error, ApiError::Refused(problem) if problem.status == 307), "{error:?}");
}
