//! A write of governance that is asked for until it is acknowledged.

use crate::{Answer, Door, PATIENCE, boot_ns};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long one try may take: longer than a node lets its caller wait.
const TRY: Duration = Duration::from_secs(15);

/// Rest before the next door.
const REST: Duration = Duration::from_millis(20);

/// An act, and the doors at which it is asked for in turn.
#[derive(Clone, Debug)]
pub struct Deny {
    doors: Vec<Door>,
    method: Method,
    path: String,
    body: Option<Value>,
}

/// What the acknowledgement said.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    /// The entry.
    pub index: u64,
    /// When it was first asked for, `CLOCK_BOOTTIME` in nanoseconds.
    pub asked_at: u64,
    /// When the acknowledgement had arrived.
    pub at: u64,
    /// How each node was covered.
    pub nodes: Value,
}

impl Deny {
    /// An act of moderation on a server, with a moderator's doors.
    pub fn moderate(doors: Vec<Door>, act: &str, server: &str) -> Self {
        let subject = json!({ "kind": "server", "id": server });
        let body = json!({ "act": act, "subject": subject, "reason": "a trial" });
        Self { doors, method: Method::POST, path: "/v1/moderation".into(), body: Some(body) }
    }

    /// The revocation of a token, with an operator's doors.
    pub fn revoke_token(doors: Vec<Door>, token: &str) -> Self {
        let id = token.split('_').nth(2).expect("a token holds its id");
        Self { doors, method: Method::DELETE, path: format!("/v1/tokens/{id}"), body: None }
    }

    /// The revocation of a signing key, with an operator's doors.
    pub fn revoke_key(doors: Vec<Door>, kid: &str) -> Self {
        let body = Some(json!({ "reason": "a trial" }));
        Self { doors, method: Method::POST, path: format!("/v1/keys/{kid}/revoke"), body }
    }

    /// The removal of a node, with an operator's doors.
    pub fn remove_member(doors: Vec<Door>, id: &str) -> Self {
        Self { doors, method: Method::DELETE, path: format!("/v1/cluster/members/{id}"), body: None }
    }

    /// Asks, at the next door after each failure, until the act is sealed.
    ///
    /// # Panics
    /// When it is refused, which repeating does not change.
    pub async fn until_acknowledged(self) -> Acknowledged {
        let (asked_at, begun) = (boot_ns(), Instant::now());
        let mut pending = None;
        for door in self.doors.iter().cycle() {
            let request = pending.map_or_else(|| self.request(door), |index| seal(door, index));
            let answer = door.try_send(request.timeout(TRY)).await;
            let at = boot_ns();
            match answer {
                Ok(answer) if answer.status == 200 => return acknowledged(&answer, asked_at, at),
                Ok(answer) if answer.status == 202 => pending = answer.body["index"].as_u64(),
                Ok(answer) if answer.status < 500 => panic!("{}: {}", self.path, answer.text),
                // The next door may know more.
                _ => tokio::time::sleep(REST).await,
            }
            assert!(begun.elapsed() < PATIENCE, "{} was not acknowledged in {PATIENCE:?}", self.path);
        }
        unreachable!("at least one door is given")
    }

    fn request(&self, door: &Door) -> RequestBuilder {
        let request = door.request(self.method.clone(), &self.path);
        match &self.body {
            Some(body) => request.json(body),
            None => request,
        }
    }
}

fn acknowledged(answer: &Answer, asked_at: u64, at: u64) -> Acknowledged {
    assert_eq!(answer.body["sealed"], true, "{}", answer.text);
    let index = answer.body["index"].as_u64().expect("a receipt names its index");
    Acknowledged { index, asked_at, at, nodes: answer.body["nodes"].clone() }
}

fn seal(door: &Door, index: u64) -> RequestBuilder {
    door.request(Method::GET, &format!("/v1/seals/{index}")).header("prefer", "wait=10")
}
