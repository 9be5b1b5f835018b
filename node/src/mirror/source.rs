//! Another registry, asked for its pages.
//!
//! It may be slow, broken or hostile: it is asked through [`crate::outbound`], so that it can lead nobody inside, what
//! it sends is bounded in size and time, and every fault is one sentence that says whose it is.

use crate::outbound::{Ask, Fetched, Outbound, OutboundError, Outside};
use axum::http::{
    HeaderMap, StatusCode,
    header::{DATE, LOCATION, RETRY_AFTER},
};
use hapi_registry_state::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::time::Duration;
use time::{OffsetDateTime, format_description::well_known::Rfc2822};
use url::Url;

/// The registry that others are mirrors of.
pub(crate) const OFFICIAL: &str = "https://registry.modelcontextprotocol.io";

/// Where the API may be, the newest first.
const VERSIONS: [&str; 2] = ["v0.1", "v0"];

/// Entries of a page: the most that the API gives.
const PAGE: usize = 100;

/// How much is taken of one source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The largest page, in bytes. A hundred entries of the official registry are some 200 KB.
    pub(crate) bytes: usize,
    /// How long one page may take, from the question to its last byte.
    pub(crate) patience: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { bytes: 16 << 20, patience: Duration::from_secs(30) }
    }
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error(
        "`{0}` is no base URL of a registry: write http:// or https://, a host, and a path if there is one, with \
         nothing behind it"
    )]
    Url(String),
    #[error("{url} cannot be reached: {cause}")]
    Unreachable { url: String, cause: String },
    #[error("{url} has not answered in full within {} s", .patience.as_secs_f32())]
    Slow { url: String, patience: Duration },
    #[error("{url} answers {status}{}", excerpt(.said))]
    Status { url: String, status: StatusCode, said: String, retry_after: Option<Duration> },
    #[error("{url} leads to {to}, and nobody is followed elsewhere: name that registry itself")]
    Redirect { url: String, to: String },
    #[error("{url} answers with more than {} MiB", .limit >> 20)]
    TooLarge { url: String, limit: usize },
    #[error("{url} answers with no ServerList: {why}")]
    NoList { url: String, why: String },
    #[error("{url} has no end: {why}")]
    Endless { url: String, why: &'static str },
}

impl SourceError {
    /// Whether the source does not know (any more) what was asked for, as far as one answer can tell.
    pub(crate) fn is_refusal(&self) -> bool {
        let refusals = [
            StatusCode::BAD_REQUEST,
            StatusCode::NOT_FOUND,
            StatusCode::GONE,
            StatusCode::UNPROCESSABLE_ENTITY,
        ];
        matches!(self, Self::Status { status, .. } if refusals.contains(status))
    }

    /// Whether to begin anew is the only way on.
    pub(crate) fn is_endless(&self) -> bool {
        matches!(self, Self::Endless { .. })
    }

    /// For how long the source wants to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Question {
    /// Only what changed later; without it, everything.
    pub(crate) since: Option<Timestamp>,
    /// Where the page begins; without it, the first.
    pub(crate) cursor: Option<String>,
}

/// A page of the source's catalog.
#[derive(Debug)]
pub(crate) struct Page {
    /// Each as it was written.
    pub(crate) entries: Vec<Box<RawValue>>,
    /// Where the next page begins, if there is one.
    pub(crate) next: Option<String>,
    /// When the source answered, by its own clock.
    pub(crate) date: Option<Timestamp>,
}

#[derive(Deserialize)]
struct ServerList {
    // A registry that has none may say `null`.
    #[serde(deserialize_with = "or_default")]
    servers: Vec<Box<RawValue>>,
    #[serde(default, deserialize_with = "or_default")]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(rename = "nextCursor", alias = "next_cursor", default)]
    next: Option<String>,
}

fn or_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(value: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or_default())
}

/// Another registry.
#[derive(Clone)]
pub(crate) struct Source {
    outbound: Outbound,
    base: Url,
    bounds: Bounds,
    /// Which of [`VERSIONS`] it speaks, as far as that is known.
    version: usize,
}

impl Source {
    pub(crate) fn new(url: &str, bounds: Bounds, outbound: &Outbound) -> Result<Self, SourceError> {
        let outbound = outbound.clone().patient(bounds.patience);
        Ok(Self { outbound, base: base_url(url)?, bounds, version: 0 })
    }

    /// The base URL, without a slash at its end.
    pub(crate) fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Asks for a page.
    pub(crate) async fn page(&mut self, question: &Question) -> Result<Page, SourceError> {
        loop {
            let answer = self.ask(question).await;
            let is_older = matches!(&answer, Err(SourceError::Status { status, .. }) if *status == StatusCode::NOT_FOUND);
            if !is_older || self.version + 1 == VERSIONS.len() {
                return answer;
            }
            self.version += 1;
        }
    }

    async fn ask(&self, question: &Question) -> Result<Page, SourceError> {
        let ask = Ask {
            url: self.page_url(question),
            headers: HeaderMap::new(),
            form: None,
            most_bytes: self.bounds.bytes,
        };
        let found = self.outbound.fetch(ask).await.map_err(|error| self.broken(error))?;
        let Fetched { status, headers, body } = found;
        if status.is_redirection() {
            return Err(self.redirect(&headers));
        }
        let (retry_after, date) = (retry_after(&headers), date(&headers));
        if status != StatusCode::OK {
            let said = String::from_utf8_lossy(&body).into_owned();
            return Err(SourceError::Status { url: self.shown(), status, said, retry_after });
        }
        let list: ServerList = serde_json::from_slice(&body)
            .map_err(|error| SourceError::NoList { url: self.shown(), why: error.to_string() })?;
        let next = list.metadata.next.filter(|cursor| !cursor.is_empty());
        Ok(Page { entries: list.servers, next, date })
    }

    fn page_url(&self, Question { since, cursor }: &Question) -> Url {
        let mut url = self.base.clone();
        let version = VERSIONS[self.version];
        url.set_path(&format!("{}/{version}/servers", self.base.path().trim_end_matches('/')));
        let mut query = url.query_pairs_mut();
        query.append_pair("limit", &PAGE.to_string());
        match since {
            Some(since) => query.append_pair("updated_since", &since.to_string()),
            // The other question has them anyway.
            None => query.append_pair("include_deleted", "true"),
        };
        if let Some(cursor) = cursor {
            query.append_pair("cursor", cursor);
        }
        drop(query);
        url
    }

    /// The URL without what varies from page to page.
    fn shown(&self) -> String {
        format!("{}/{}/servers", self.url(), VERSIONS[self.version])
    }

    fn broken(&self, error: OutboundError) -> SourceError {
        let url = self.shown();
        match error {
            OutboundError::Slow(patience) => SourceError::Slow { url, patience },
            OutboundError::TooLarge(limit) => SourceError::TooLarge { url, limit },
            error => SourceError::Unreachable { url, cause: error.to_string() },
        }
    }

    fn redirect(&self, headers: &HeaderMap) -> SourceError {
        let to = headers.get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
        SourceError::Redirect { url: self.shown(), to: to.chars().take(200).collect() }
    }

    /// Says that the source goes on without an end.
    pub(crate) fn endless(&self, why: &'static str) -> SourceError {
        SourceError::Endless { url: self.shown(), why }
    }
}

/// What may be put before `/v0.1/servers`.
pub(crate) fn base_url(text: &str) -> Result<Url, SourceError> {
    let url = Url::parse(text).ok().filter(|url| {
        let plain = url.username().is_empty() && url.password().is_none();
        let bare = url.query().is_none() && url.fragment().is_none();
        matches!(url.scheme(), "http" | "https") && url.has_host() && plain && bare
    });
    url.ok_or_else(|| SourceError::Url(text.chars().take(200).collect()))
}

/// The first line of what was said, not too much of it, and nothing that steers a terminal.
fn excerpt(said: &str) -> String {
    let line: String = said.trim().chars().take_while(|char| !char.is_control()).take(200).collect();
    if line.is_empty() { line } else { format!(": {line}") }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let date = OffsetDateTime::parse(headers.get(DATE)?.to_str().ok()?, &Rfc2822).ok()?;
    u64::try_from(date.unix_timestamp()).ok().map(Timestamp::from_seconds)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use crate::config;
    use axum::http::HeaderValue;

    fn url(base: &str, since: Option<u64>, cursor: Option<&str>) -> String {
        let outbound = Outbound::new(&config::Config::default().outbound).unwrap();
        let source = Source::new(base, Bounds::default(), &outbound).unwrap();
        let question =
            Question { since: since.map(Timestamp::from_seconds), cursor: cursor.map(str::to_owned) };
        source.page_url(&question).into()
    }

    #[test]
    fn a_page_is_asked_for_below_the_base() {
        assert_eq!(
            url("https://a.example", None, None),
            "https://a.example/v0.1/servers?limit=100&include_deleted=true"
        );
        assert_eq!(
            url("https://a.example/mcp/", Some(0), Some("a/b:1 &")),
            "https://a.example/mcp/v0.1/servers?limit=100&updated_since=1970-01-01T00%3A00%3A00Z&cursor=a%2Fb%3A1+%26"
        );
    }

    #[test]
    fn what_is_no_base_is_refused_with_what_would_be() {
        for text in [
            "registry.example",
            "ftp://registry.example",
            "https://user:secret@registry.example",
            "https://registry.example/?a=b",
            "https://registry.example/#a",
            "",
        ] {
            assert!(base_url(text).unwrap_err().to_string().contains("no base URL"), "{text}");
        }
    }

    #[test]
    fn the_date_of_an_answer_is_read() {
        let mut headers = HeaderMap::new();
        headers.insert(DATE, HeaderValue::from_static("Thu, 26 Nov 2026 07:12:31 GMT"));
        assert_eq!(date(&headers).unwrap().to_string(), "2026-11-26T07:12:31Z");
        headers.insert(DATE, HeaderValue::from_static("yesterday"));
        assert_eq!(date(&headers), None);
    }

    #[test]
    fn what_a_source_says_cannot_steer_the_terminal() {
        assert_eq!(excerpt("no\u{1b}[2J"), ": no");
        assert_eq!(excerpt("<html>\n<body>"), ": <html>");
        assert_eq!(excerpt("  "), "");
    }
}
