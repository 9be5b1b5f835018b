//! One cluster, one caller, one form of answer.

use super::table::{Column, table};
use super::{Failure, Output, say};
use crate::clock;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hapi_client::{ApiError, Client, Extras, Method};
use serde_json::{Value, value::RawValue};
use std::time::Duration;

/// How often a write is sent whose outcome is not known, and the rest before it is sent again.
const WRITE_TRIES: usize = 3;
const REST: Duration = Duration::from_secs(1);

/// What a verb talks through.
pub(crate) struct Session {
    client: Client,
    output: Output,
    /// Whether the caller's token is one by whose id nodes remember what its requests were called.
    names_requests: bool,
}

impl Session {
    pub(super) fn new(client: Client, output: Output, names_requests: bool) -> Self {
        Self { client, output, names_requests }
    }

    /// The client itself, for what is more than a request.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Reads `path`.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.act(Method::GET, path).await
    }

    /// Reads `path` and shows the list under `field`, for people as a table.
    pub(crate) async fn list(&self, path: &str, field: &str, columns: &[Column]) -> Result<(), Failure> {
        let answer = self.get(path).await?;
        self.show(&answer, |answer| table(columns, answer[field].as_array().into_iter().flatten()))
    }

    /// Sends `body` to `path`.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Value) -> Result<Value, Failure> {
        Ok(self.client.request(method, path, Some(body)).await?)
    }

    /// Sends an act of governance, again if it is not known whether it was done: it has a key, and is done once
    /// at most. Without a key it is sent once. The node may hold back its answer for `wait` seconds, until every node is
    /// bound.
    pub(super) async fn write(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        wait: u64,
    ) -> Result<Value, Failure> {
        let key = self.names_requests.then(random_key);
        let tries = if key.is_some() { WRITE_TRIES } else { 1 };
        let extras = Extras { idempotency_key: key, wait_seconds: Some(wait) };
        let send = || self.client.request_with(method.clone(), path, body.clone(), &extras);
        let mut answer = send().await;
        for _ in 1..tries {
            if !matches!(answer, Err(ApiError::OutcomeUnknown(_))) {
                break;
            }
            tokio::time::sleep(REST).await;
            answer = send().await;
        }
        Ok(answer?)
    }

    /// Reads `path`; the node may hold back its answer for `wait` seconds.
    pub(super) async fn wait_for(&self, path: &str, wait: u64) -> Result<Value, Failure> {
        let extras = Extras { wait_seconds: Some(wait), ..Extras::default() };
        Ok(self.client.request_with(Method::GET, path, None, &extras).await?)
    }

    /// Sends a document byte for byte.
    pub(crate) async fn send_raw(
        &self,
        method: Method,
        path: &str,
        document: &RawValue,
    ) -> Result<Value, Failure> {
        Ok(self.client.request_raw(method, path, document).await?)
    }

    /// Posts `fields` as a form.
    pub(super) async fn post_form(&self, path: &str, fields: &[(&str, &str)]) -> Result<Value, Failure> {
        Ok(self.client.request_form(path, fields).await?)
    }

    /// Reads `path`, whose answer is no JSON.
    pub(super) async fn text(&self, path: &str) -> Result<String, Failure> {
        Ok(self.client.text(path).await?)
    }

    /// Asks for `method` on `path`, which needs no body.
    pub(crate) async fn act(&self, method: Method, path: &str) -> Result<Value, Failure> {
        Ok(self.client.request(method, path, None).await?)
    }

    /// The form of answers.
    pub(super) fn output(&self) -> Output {
        self.output
    }

    /// Prints an answer: as it came for programs, else as `people` want it.
    pub(crate) fn show(&self, answer: &Value, people: impl FnOnce(&Value) -> String) -> Result<(), Failure> {
        match self.output {
            Output::Json => say(&format!("{answer:#}")),
            Output::Table => say(&people(answer)),
        }
    }
}

fn random_key() -> String {
    let mut bytes = [0; 16];
    clock::fill_random(&mut bytes);
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
