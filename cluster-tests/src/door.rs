//! A caller at the public API of one node.

use reqwest::{Client, Method, RequestBuilder, header};
use serde_json::{Value, json};
use std::time::Duration;

/// A node's public API, entered with one token.
#[derive(Clone, Debug)]
pub struct Door {
    client: Client,
    base: String,
    token: Option<String>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; `null` if it is no JSON.
    pub body: Value,
    /// The body as text.
    pub text: String,
}

impl Answer {
    /// The code of a problem, or `ok`.
    pub fn code(&self) -> &str {
        if self.status < 300 { "ok" } else { self.body["code"].as_str().unwrap_or("none") }
    }

    /// The body of a success.
    ///
    /// # Panics
    /// With the whole answer, if it is none.
    pub fn ok(self) -> Value {
        assert!(self.status < 300, "status {}: {}", self.status, self.text);
        self.body
    }
}

impl Door {
    /// A door that lets one request take a minute.
    pub fn new(base: &str, token: Option<&str>) -> Self {
        // A second installation finds the first, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        // Whoever tests certificates brings a client that is strict about them.
        let client = Client::builder().timeout(Duration::from_secs(60)).no_proxy();
        let client = client.tls_danger_accept_invalid_certs(true).build();
        let client = client.unwrap_or_else(|error| panic!("an HTTP client cannot be made: {error}"));
        Self { client, base: base.to_owned(), token: token.map(str::to_owned) }
    }

    /// The same node, entered with another token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Makes a request; an error is one of transport.
    pub async fn try_send(&self, request: RequestBuilder) -> reqwest::Result<Answer> {
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or_default();
        Ok(Answer { status, body, text })
    }

    /// A request to this node with this token, to be completed by the caller.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// A POST of a form to this node with this token, to be completed by the caller.
    pub fn form(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let fields = fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
        let body = fields.collect::<Vec<_>>().join("&");
        self.request(Method::POST, path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body)
    }

    async fn send(&self, request: RequestBuilder) -> Answer {
        self.try_send(request).await.unwrap_or_else(|error| panic!("{}: {error:?}", self.base))
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// POST with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// PUT with a JSON body.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PUT, path).json(body)).await
    }

    /// PATCH with a JSON body.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PATCH, path).json(body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Asks to connect to `server`.
    pub async fn connect(&self, server: &str) -> Answer {
        self.post("/v1/connect", &json!({ "server_ref": server })).await
    }

    /// An act of moderation, as `("suspend", "server", "ai.acme/weather")`.
    pub async fn moderate(&self, act: &str, kind: &str, id: &str) -> Answer {
        let subject = json!({ "kind": kind, "id": id });
        self.post("/v1/moderation", &json!({ "act": act, "subject": subject, "reason": "a test" })).await
    }
}

fn encoded(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let encode = |byte: u8| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}
