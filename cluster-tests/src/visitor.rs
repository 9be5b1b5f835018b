//! Who uses the web console without a browser: every header is the test's to choose.

use reqwest::{Client, Method, RequestBuilder, header, redirect};
use serde_json::Value;
use std::time::Duration;

/// What a visitor has got to see.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The HTTP status.
    pub status: u16,
    /// All headers.
    pub headers: header::HeaderMap,
    /// The page, or what a script is given.
    pub text: String,
}

impl Seen {
    /// A header's text; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The page as JSON, if it is some.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// What the hidden field of that name holds.
    pub fn field(&self, name: &str) -> Option<&str> {
        let (_, behind) = self.text.split_once(&format!("name=\"{name}\" value=\""))?;
        behind.split_once('"').map(|(value, _)| value)
    }

    /// Cookies that it sets, as `name=value`.
    pub fn cookies(&self) -> Vec<&str> {
        let lines = self.headers.get_all(header::SET_COOKIE).iter();
        lines.filter_map(|line| line.to_str().ok()?.split(';').next()).collect()
    }
}

/// Somebody at the console of one node, who follows no redirect.
#[derive(Clone, Debug)]
pub struct Visitor {
    http: Client,
    base: String,
    /// What is sent as `Cookie`.
    pub cookie: String,
    /// What forms bring along.
    pub csrf: String,
}

impl Visitor {
    /// Somebody who is not signed in.
    ///
    /// # Panics
    /// When no HTTP client can be made.
    pub fn new(base: &str) -> Self {
        // A second installation finds the first, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http =
            Client::builder().redirect(redirect::Policy::none()).timeout(Duration::from_secs(60)).no_proxy();
        let http = http.tls_danger_accept_invalid_certs(true).build().expect("an HTTP client can be made");
        Self { http, base: base.to_owned(), cookie: String::new(), csrf: String::new() }
    }

    /// Somebody who has signed in with `token`.
    ///
    /// # Panics
    /// With what was answered, when that is not so.
    pub async fn signed_in(base: &str, token: &str) -> Self {
        let mut visitor = Self::new(base);
        let seen = visitor.sign_in(token).await;
        assert_eq!(seen.status, 303, "{}", seen.text);
        visitor
    }

    /// Shows a token, and keeps the cookie that comes of it.
    pub async fn sign_in(&mut self, token: &str) -> Seen {
        let seen = self.post("/console/sign-in", &[("token", token)]).await;
        if let Some(cookie) = seen.cookies().first() {
            self.cookie = (*cookie).to_owned();
            self.csrf = self.get("/console").await.field("csrf").unwrap_or_default().to_owned();
        }
        seen
    }

    /// The same session at another node.
    #[must_use]
    pub fn at(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }

    /// The same with something else that forms bring along.
    #[must_use]
    pub fn bringing(&self, csrf: &str) -> Self {
        Self { csrf: csrf.to_owned(), ..self.clone() }
    }

    /// A request as a page of the console sends it, to be completed by the caller.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        if self.cookie.is_empty() { request } else { request.header(header::COOKIE, &self.cookie) }
    }

    /// Sends it.
    ///
    /// # Panics
    /// When nobody answers.
    pub async fn send(&self, request: RequestBuilder) -> Seen {
        let response = request.send().await.expect("the node answers");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Seen { status, headers, text: response.text().await.expect("the answer is complete") }
    }

    /// A page.
    pub async fn get(&self, path: &str) -> Seen {
        self.send(self.request(Method::GET, path)).await
    }

    /// A form of this session.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Seen {
        self.send(self.form(path, fields).header(header::ORIGIN, &self.base)).await
    }

    /// The same without a word of where it comes from.
    pub fn form(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let csrf = ("csrf", self.csrf.as_str());
        let encode = |(name, value): (&str, &str)| format!("{}={}", encoded(name), encoded(value));
        let body: Vec<_> = [csrf].into_iter().chain(fields.iter().copied()).map(encode).collect();
        self.request(Method::POST, path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body.join("&"))
    }
}

fn encoded(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let encode = |byte: u8| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}
