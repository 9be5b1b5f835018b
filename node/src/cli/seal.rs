//! Acts that must bind every node: sent, and followed until they do.

use super::failure::Exit;
use super::session::Session;
use super::{Failure, Output, table};
use hapi_client::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// For how long a node is asked to hold back one answer, in seconds. Well below the time-out of an exchange.
const ONE_WAIT: u64 = 10;

/// The least time between two looks: a node that answers at once is not asked in a loop.
const LOOK: Duration = Duration::from_secs(1);

/// How each node came to be bound.
const COVERS: &[table::Column] = &[("NODE", "/node"), ("COVER", "/cover"), ("MS", "/ms")];

/// For how long an act is followed.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Follow {
    /// Wait for up to so many seconds until every node is bound; 0 does not wait
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
}

impl Default for Follow {
    fn default() -> Self {
        Self { wait: 60 }
    }
}

impl Follow {
    /// Sends an act, and waits until every node is bound by it. Gives the answer, or the receipt if it had to be
    /// asked for later.
    pub(crate) async fn write(
        self,
        session: &Session,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, Failure> {
        let deadline = self.deadline();
        let answer = session.write(method, path, body, self.wait.min(ONE_WAIT)).await?;
        until_sealed(session, answer, deadline).await
    }

    /// Waits until every node is bound by the act at `index`, and gives its receipt.
    pub(super) async fn seal(self, session: &Session, index: u64) -> Result<Value, Failure> {
        let deadline = self.deadline();
        let answer = session.wait_for(&path(index), self.wait.min(ONE_WAIT)).await?;
        until_sealed(session, answer, deadline).await
    }

    fn deadline(self) -> Instant {
        Instant::now() + Duration::from_secs(self.wait)
    }
}

async fn until_sealed(session: &Session, mut answer: Value, deadline: Instant) -> Result<Value, Failure> {
    while let Some(index) = unsealed(&answer) {
        let left = deadline.saturating_duration_since(Instant::now()).as_secs();
        if left == 0 {
            return Err(not_sealed(session, &answer, index));
        }
        let next = Instant::now() + LOOK;
        match session.wait_for(&path(index), left.min(ONE_WAIT)).await {
            Ok(later) => answer = later,
            // The act is in the log; that no node answers now is no reason to give up early.
            Err(failure) if failure.exit == Exit::Unreachable => {}
            Err(failure) => return Err(failure.hint(how_to_follow(index))),
        }
        if unsealed(&answer).is_some() {
            sleep_until(next.min(deadline)).await;
        }
    }
    Ok(answer)
}

fn path(index: u64) -> String {
    format!("/v1/seals/{index}")
}

/// The index of the act, if the answer says that some node may not be bound yet.
fn unsealed(answer: &Value) -> Option<u64> {
    (answer["code"] == json!("not_sealed")).then(|| answer["index"].as_u64().unwrap_or_default())
}

fn not_sealed(session: &Session, answer: &Value, index: u64) -> Failure {
    if session.output() == Output::Json
        && let Err(failure) = session.show(answer, Value::to_string)
    {
        return failure;
    }
    let message = format!("done at index {index}, but some node may not be bound by it yet");
    Failure::new(Exit::NotSealed, message).hint(how_to_follow(index))
}

fn how_to_follow(index: u64) -> String {
    format!("follow it with `hapi-registry cluster seal {index}`")
}

/// How each node came to be bound, as a table below what is said of the act; nothing if nobody knows any more.
pub(super) fn covers(receipt: &Value) -> String {
    match receipt["nodes"].as_array() {
        Some(nodes) if !nodes.is_empty() => format!("\n\n{}", table::table(COVERS, nodes)),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use axum::{
        Router,
        extract::State,
        http::{HeaderMap, Method as Asked, StatusCode, Uri},
    };
    use hapi_client::Client;
    use std::{
        collections::VecDeque,
        sync::{Arc, Mutex},
    };

    /// What a node answers in turn, and what it was asked.
    #[derive(Default)]
    struct Script {
        answers: VecDeque<(u16, Value)>,
        asked: Vec<String>,
    }

    type Shared = Arc<Mutex<Script>>;

    async fn answer(
        State(script): State<Shared>,
        method: Asked,
        uri: Uri,
        headers: HeaderMap,
    ) -> (StatusCode, String) {
        let mut script = script.lock().unwrap();
        let wait = headers.get("prefer").map(|value| value.to_str().unwrap()).unwrap_or_default();
        let key = if headers.contains_key("idempotency-key") { " with a key" } else { "" };
        script.asked.push(format!("{method} {uri} {wait}{key}"));
        let (status, body) = script.answers.pop_front().unwrap();
        (StatusCode::from_u16(status).unwrap(), body.to_string())
    }

    async fn node(answers: impl IntoIterator<Item = (u16, Value)>) -> (Session, Shared) {
        let script = Shared::default();
        script.lock().unwrap().answers.extend(answers);
        let router = Router::new().fallback(answer).with_state(script.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (Session::new(Client::builder().nodes([url]).build().unwrap(), Output::Table, true), script)
    }

    fn pending() -> (u16, Value) {
        (202, json!({"status": 202, "code": "not_sealed", "index": 17, "seal": "/v1/seals/17"}))
    }

    fn receipt() -> Value {
        json!({"index": 17, "sealed": true, "nodes": []})
    }

    async fn suspend(session: &Session, wait: u64) -> Result<Value, Failure> {
        Follow { wait }.write(session, Method::POST, "/v1/moderation", Some(json!({}))).await
    }

    #[tokio::test]
    async fn an_act_that_binds_at_once_is_sent_once() {
        let (session, script) = node([(200, receipt())]).await;
        assert_eq!(suspend(&session, 60).await.unwrap(), receipt());
        assert_eq!(script.lock().unwrap().asked, ["POST /v1/moderation wait=10 with a key"]);
    }

    #[tokio::test]
    async fn an_act_is_followed_until_it_binds_even_while_no_node_answers() {
        let silent = (503, json!({"code": "no_leader"}));
        let (session, script) = node([pending(), pending(), silent, (200, receipt())]).await;
        assert_eq!(suspend(&session, 5).await.unwrap(), receipt());
        let asked = script.lock().unwrap().asked.clone();
        assert_eq!((asked[0].as_str(), asked.len()), ("POST /v1/moderation wait=5 with a key", 4));
        assert!(asked[1..].iter().all(|look| look.starts_with("GET /v1/seals/17 wait=")), "{asked:?}");
    }

    #[tokio::test]
    async fn an_act_that_does_not_bind_in_time_has_its_own_exit_code() {
        let (session, script) = node([pending()]).await;
        let failure = suspend(&session, 0).await.unwrap_err();
        assert_eq!(failure.exit, Exit::NotSealed);
        insta::assert_snapshot!(
            format!("{}\n{}", failure.message, failure.hint.unwrap()),
            @"
        done at index 17, but some node may not be bound by it yet
        follow it with `hapi-registry cluster seal 17`
        "
        );
        assert_eq!(script.lock().unwrap().asked, ["POST /v1/moderation wait=0 with a key"]);
    }

    #[tokio::test]
    async fn a_refusal_on_the_way_says_how_to_go_on() {
        let (session, _) = node([pending(), (403, json!({"code": "forbidden", "detail": "no"}))]).await;
        let failure = suspend(&session, 5).await.unwrap_err();
        assert_eq!((failure.exit, failure.hint.unwrap()), (Exit::Refused, how_to_follow(17)));
    }

    #[tokio::test]
    async fn a_seal_is_looked_up_without_any_write() {
        let (session, script) = node([(200, receipt())]).await;
        assert_eq!(Follow { wait: 3 }.seal(&session, 17).await.unwrap(), receipt());
        assert_eq!(script.lock().unwrap().asked, ["GET /v1/seals/17 wait=3"]);
    }

    #[test]
    fn covers_stand_below_the_sentence() {
        let nodes = json!([
            {"node": "00000000000000a1", "cover": "confirmed", "ms": 2},
            {"node": "00000000000000b2", "cover": "lease_expired", "ms": 3100},
        ]);
        insta::assert_snapshot!(format!("done{}", covers(&json!({"nodes": nodes}))), @r"
        done

        NODE              COVER          MS
        00000000000000a1  confirmed      2
        00000000000000b2  lease_expired  3100
        ");
        assert_eq!(covers(&receipt()), "");
    }
}
