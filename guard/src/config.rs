//! How a guard is set up.

use std::time::Duration;

use http::Uri;
use thiserror::Error;

/// How old the feed may grow in strict mode, unless said otherwise: some missed messages and a fail-over.
pub const FEED_STALE_AFTER: Duration = Duration::from_secs(5);

/// How often the feed is asked while no stream brings its news, unless said otherwise. Half of the second within which
/// a revocation is to bite.
pub const FEED_POLL: Duration = Duration::from_millis(500);

/// How often the feed is asked while a stream brings its news: for the proof alone that it is fresh. An address that
/// takes a question and never answers costs two seconds, one that takes no connection another: with this pause the next
/// address still answers before [`FEED_STALE_AFTER`].
const FEED_PROOF: Duration = Duration::from_millis(1500);

/// How many sessions are kept at once, unless said otherwise.
pub const MAX_SESSIONS: usize = 10_000;

/// How many sessions one client may have at once, unless said otherwise: a tenth of all.
pub const MAX_SESSIONS_PER_CLIENT: usize = 1_000;

/// How many verified descriptors are remembered, unless said otherwise; in some 10 MB.
pub const MAX_CACHED: usize = 8_192;

/// What a guard needs to know. Start with [`Config::new`] and change what does not suit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The issuer that descriptors must name, byte for byte.
    pub issuer: String,
    /// This server's id in the registry, `namespace/name`.
    pub server: String,
    /// This server's endpoint URL, byte for byte as it stands in the registry: the `aud` of descriptors and the
    /// `resource` of RFC 9728.
    pub audience: String,
    /// The addresses of registry nodes. They are tried in turn, and none is trusted beyond what it signs; the key
    /// set is not signed, so they should be `https`.
    pub registries: Vec<String>,
    /// Certificates to trust beside Mozilla's roots, as PEM.
    pub root_certificates: Vec<Vec<u8>>,
    /// Whether a request without a descriptor is refused. When `false`, one that is presented in `MCP-Connect` must
    /// still be good.
    pub descriptor_required: bool,
    /// What a silent revocation feed means.
    pub feed: FeedPolicy,
    /// How often the feed is asked while no stream brings its news.
    pub feed_poll: Duration,
    /// Which requests need a descriptor.
    pub mode: Mode,
    /// How many sessions one client may have at once, so that it cannot take the places of all others.
    pub max_sessions_per_client: usize,
    /// How many verified descriptors are remembered; 0 remembers none.
    pub max_cached: usize,
}

/// What it means when the revocation feed is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedPolicy {
    /// Nobody comes in once the feed is older than this: what cannot be known to be alive is not.
    Strict {
        /// How old the feed may be.
        stale_after: Duration,
    },
    /// Descriptors count until their end. A revocation then takes as long as the rest of their life.
    BestEffort,
}

impl FeedPolicy {
    /// Strict, with the usual bound.
    pub fn strict() -> Self {
        Self::Strict { stale_after: FEED_STALE_AFTER }
    }
}

/// Which requests need a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Every request: MCP 2026-07-28, which has no sessions.
    Stateless,
    /// The one that opens a session; later ones of the session live on its descriptor, while it is renewed: MCP
    /// 2025-06-18 and 2025-11-25. Requests that belong to no session are checked as in [`Mode::Stateless`].
    Sessions {
        /// How many sessions there may be at once.
        max: usize,
    },
}

impl Mode {
    /// Sessions, with the usual bound.
    pub fn sessions() -> Self {
        Self::Sessions { max: MAX_SESSIONS }
    }

    pub(crate) fn max_sessions(self) -> Option<usize> {
        match self {
            Self::Stateless => None,
            Self::Sessions { max } => Some(max),
        }
    }
}

/// Why a guard cannot be set up.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// Without an issuer nothing can be verified.
    #[error("the issuer is empty")]
    Issuer,
    /// Without an id a descriptor for another server behind the same endpoint would do.
    #[error("the server is not `namespace/name`")]
    Server,
    /// The audience is not the URL of an endpoint.
    #[error("the audience is not an `http` or `https` URL")]
    Audience,
    /// There is no registry to fetch keys from, or an address is not a URL.
    #[error("not the address of a registry: {0:?}")]
    Registry(String),
    /// A root certificate is not sound.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The HTTP client could not be set up.
    #[error("HTTP: {0}")]
    Http(#[from] reqwest::Error),
}

impl Config {
    /// The safe choice of everything else: a descriptor on every request, and nobody comes in while the feed is
    /// silent.
    pub fn new(
        issuer: impl Into<String>,
        server: impl Into<String>,
        audience: impl Into<String>,
        registries: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self {
            issuer: issuer.into(),
            server: server.into(),
            audience: audience.into(),
            registries: registries.into_iter().map(Into::into).collect(),
            root_certificates: Vec::new(),
            descriptor_required: true,
            feed: FeedPolicy::strict(),
            feed_poll: FEED_POLL,
            mode: Mode::Stateless,
            max_sessions_per_client: MAX_SESSIONS_PER_CLIENT,
            max_cached: MAX_CACHED,
        }
    }

    /// How often the feed is asked while a stream brings its news: three times in the time for which it may be
    /// silent, so that a question may fail, and never more often than without a stream.
    pub(crate) fn feed_proof(&self) -> Duration {
        let stale_after = match self.feed {
            FeedPolicy::Strict { stale_after } => stale_after,
            FeedPolicy::BestEffort => FEED_STALE_AFTER,
        };
        FEED_PROOF.min(stale_after / 10 * 3).max(self.feed_poll)
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.issuer.is_empty() {
            return Err(ConfigError::Issuer);
        }
        if self.server.split('/').filter(|part| !part.is_empty()).count() != 2 {
            return Err(ConfigError::Server);
        }
        if !is_web(&self.audience) {
            return Err(ConfigError::Audience);
        }
        match self.registries.iter().find(|url| !is_web(url)) {
            Some(url) => Err(ConfigError::Registry(url.clone())),
            None if self.registries.is_empty() => Err(ConfigError::Registry(String::new())),
            None => Ok(()),
        }
    }
}

fn is_web(url: &str) -> bool {
    let uri = url.parse::<Uri>().ok();
    uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(issuer: &str, server: &str, audience: &str, registries: &[&str]) -> Result<(), ConfigError> {
        Config::new(issuer, server, audience, registries.iter().copied()).check()
    }

    #[test]
    fn what_cannot_guard_is_refused() {
        let (server, audience, registry) =
            ("ai.acme/weather", "https://weather.example/mcp", "https://r.example");
        assert!(config("i", server, audience, &[registry]).is_ok());
        assert!(matches!(config("", server, audience, &[registry]), Err(ConfigError::Issuer)));
        for server in ["", "weather", "ai.acme/", "a/b/c"] {
            assert!(
                matches!(config("i", server, audience, &[registry]), Err(ConfigError::Server)),
                "{server}"
            );
        }
        for audience in ["", "/mcp", "weather.example", "ftp://weather.example"] {
            let error = config("i", server, audience, &[registry]);
            assert!(matches!(error, Err(ConfigError::Audience)), "{audience}");
        }
        assert!(matches!(config("i", server, audience, &[]), Err(ConfigError::Registry(_))));
        assert!(matches!(config("i", server, audience, &[registry, "r"]), Err(ConfigError::Registry(_))));
    }

    #[test]
    fn a_fresh_feed_is_proved_more_than_once_in_the_time_of_its_silence() {
        let proof = |stale_after| {
            let mut config = Config::new("i", "a/b", "https://a.example", ["https://r.example"]);
            config.feed = FeedPolicy::Strict { stale_after };
            config.feed_proof().as_millis()
        };
        assert_eq!(
            [1, 3, 5, 3600].map(|seconds| proof(Duration::from_secs(seconds))),
            [500, 900, 1500, 1500]
        );
        assert_eq!(proof(Duration::MAX), 1500);
    }
}
