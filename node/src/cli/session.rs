//! One cluster, one caller, one form of answer.

use super::table::{Column, table};
use super::{Failure, Output, say};
use hapi_client::{Client, Method};
use serde_json::{Value, value::RawValue};

/// What a verb talks through.
pub(crate) struct Session {
    client: Client,
    output: Output,
}

impl Session {
    pub(super) fn new(client: Client, output: Output) -> Self {
        Self { client, output }
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

    /// Posts a document byte for byte.
    pub(crate) async fn post_raw(&self, path: &str, document: &RawValue) -> Result<Value, Failure> {
        Ok(self.client.request_raw(Method::POST, path, document).await?)
    }

    /// Asks for `method` on `path`, which needs no body.
    pub(crate) async fn act(&self, method: Method, path: &str) -> Result<Value, Failure> {
        Ok(self.client.request(method, path, None).await?)
    }

    /// Prints an answer: as it came for programs, else as `people` want it.
    pub(crate) fn show(&self, answer: &Value, people: impl FnOnce(&Value) -> String) -> Result<(), Failure> {
        match self.output {
            Output::Json => say(&format!("{answer:#}")),
            Output::Table => say(&people(answer)),
        }
    }
}
