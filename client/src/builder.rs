//! How a client is set up.

use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;
use thiserror::Error;
use url::Url;

use crate::client::Client;
use crate::nodes::Nodes;
use crate::tls;
use crate::transport::Transport;

/// How long one exchange may take, unless said otherwise. A node may wait 2 s for `min_index`, and two
/// exchanges must fit into the [`REFRESH_BEFORE_SECONDS`](crate::REFRESH_BEFORE_SECONDS) that a refresh has.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait for a connection. Shorter than an exchange: a node that is gone should cost little.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Collects what a [`Client`] needs.
pub struct Builder {
    nodes: Vec<String>,
    credential: Option<String>,
    issuer: Option<String>,
    root_certificates: Vec<Vec<u8>>,
    start_at: usize,
    timeout: Duration,
}

/// Why a client cannot be built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// No node was given.
    #[error("at least one node is needed")]
    NoNodes,
    /// A node's address is not an `http` or `https` URL of a host, free of user name, query and fragment.
    #[error("not the address of a node: {0}")]
    Node(String),
    /// The credential cannot stand in a header.
    #[error("the credential has characters that it cannot have")]
    Credential,
    /// An additional root certificate is not sound.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The HTTP client could not be set up.
    #[error("HTTP: {0}")]
    Http(#[from] reqwest::Error),
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            credential: None,
            issuer: None,
            root_certificates: Vec::new(),
            start_at: 0,
            timeout: DEFAULT_TIMEOUT,
        }
    }
}

impl Builder {
    /// The addresses of the nodes, in the order of fail-over.
    pub fn nodes(mut self, urls: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.nodes = urls.into_iter().map(Into::into).collect();
        self
    }

    /// The bearer credential. It goes to every node, so every address should be `https` or a private
    /// network's.
    pub fn credential(mut self, credential: impl Into<String>) -> Self {
        self.credential = Some(credential.into());
        self
    }

    /// The issuer that descriptors must name. Without it the cluster is asked, once.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Certificates to trust beside Mozilla's roots, as PEM: an organisation's own authority.
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates.push(pem.into());
        self
    }

    /// Which node is asked first, counted from 0, modulo their number. A fleet of clients spreads its load by
    /// giving each a random number here.
    pub fn start_at(mut self, node: usize) -> Self {
        self.start_at = node;
        self
    }

    /// How long one exchange with one node may take; 5 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Builds the client. It connects to nothing yet.
    ///
    /// # Errors
    ///
    /// [`BuildError`], when something given cannot be used.
    pub fn build(self) -> Result<Client, BuildError> {
        let urls = self.nodes.iter().map(|url| parse_node(url)).collect::<Result<Vec<_>, _>>()?;
        if urls.is_empty() {
            return Err(BuildError::NoNodes);
        }
        let authorization = self.credential.as_deref().map(authorization).transpose()?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::config(&self.root_certificates)?)
            .connect_timeout(CONNECT_TIMEOUT.min(self.timeout))
            .timeout(self.timeout)
            // No node redirects, and the credential must not follow one who does.
            .redirect(Policy::none())
            .build()?;
        let nodes = Nodes::new(urls, self.start_at);
        Ok(Client::new(nodes, Transport::new(http, authorization), self.issuer))
    }
}

fn parse_node(text: &str) -> Result<Url, BuildError> {
    let url = Url::parse(text).ok().filter(|url| {
        let web = matches!(url.scheme(), "http" | "https") && url.has_host();
        let plain = url.username().is_empty() && url.password().is_none();
        web && plain && url.query().is_none() && url.fragment().is_none()
    });
    url.ok_or_else(|| BuildError::Node(text.to_owned()))
}

fn authorization(credential: &str) -> Result<HeaderValue, BuildError> {
    let mut value =
        HeaderValue::try_from(format!("Bearer {credential}")).map_err(|_| BuildError::Credential)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    #[test]
    fn debug_shows_no_credential() {
        let client =
            Client::builder().nodes(["http://127.0.0.1:1"]).credential("hapi_client_secret").build().unwrap();
        let shown = format!("{client:?}");
        assert!(shown.contains("127.0.0.1") && !shown.contains("secret"), "{shown}");
    }

    #[test]
    fn only_plain_web_addresses_are_nodes() {
        for url in [
            "",
            "node-1:8080",
            "ftp://a",
            "https://user@a",
            "https://user:pw@a",
            "https://a?b",
            "https://a#b",
        ] {
            let built = Client::builder().nodes([url]).build();
            assert!(matches!(built, Err(BuildError::Node(_))), "{url}");
        }
        assert!(
            Client::builder().nodes(["https://a.example/registry/", "http://[::1]:8080"]).build().is_ok()
        );
    }

    #[test]
    fn a_client_needs_a_node_and_a_credential_that_fits_a_header() {
        let none: [&str; 0] = [];
        assert!(matches!(Client::builder().nodes(none).build(), Err(BuildError::NoNodes)));
        let built = Client::builder().nodes(["http://a"]).credential("two\nlines").build();
        assert!(matches!(built, Err(BuildError::Credential)));
    }

    #[test]
    fn a_root_certificate_must_be_one() {
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let built = Client::builder().nodes(["https://a"]).root_certificates(pem).build();
        assert!(matches!(built, Err(BuildError::Tls(_))));
    }
}
