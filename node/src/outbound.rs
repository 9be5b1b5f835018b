//! The way out: everything that this process fetches from where somebody else may have chosen.
//!
//! Whoever can make a server fetch can make it fetch from where only that server gets to: the machine itself, its
//! network, the cloud's metadata. So a name is looked up here, every address that it has must be a public one, and
//! just those addresses are connected to: a name that answers otherwise a moment later (DNS rebinding) is not asked
//! again. No redirect is followed, no proxy of the environment is used, and time and size are bounded.

mod address;
mod names;

pub(crate) use names::NamesError;

use crate::config;
use async_trait::async_trait;
use axum::http::{HeaderMap, Method, StatusCode, header};
use names::Names;
use std::{error::Error, net::IpAddr, sync::Arc, time::Duration};
use url::{Host, Url};

/// How long one exchange may take, from the look-up to the last byte, unless more is asked for.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long connecting may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);

/// The world outside, as those see it who need it; tests bring one of their own.
#[async_trait]
pub(crate) trait Outside: Send + Sync {
    /// The TXT records of `name`, each as one text. No record is no error.
    async fn texts(&self, name: &str) -> Result<Vec<String>, OutboundError>;

    /// What is found at a URL, whatever the status.
    async fn fetch(&self, ask: Ask) -> Result<Fetched, OutboundError>;
}

/// What is to be fetched.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    /// A form that is sent there, encoded; without one it is only asked for.
    pub(crate) form: Option<String>,
    /// A larger body is an error.
    pub(crate) most_bytes: usize,
}

/// What was found.
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// The head of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
}

/// Why nothing was found. For the operator's log: told to strangers it would describe this network to them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OutboundError {
    #[error("`{0}` has no host that could be asked")]
    NoHost(String),
    #[error("`{0}` is not https, and `outbound.allow_private` is not set")]
    Plain(String),
    #[error("{host} is at {address}, which is not public, and `outbound.allow_private` is not set")]
    Private { host: String, address: IpAddr },
    #[error("{host} cannot be looked up: {reason}")]
    Lookup { host: String, reason: String },
    #[error("{0}")]
    Exchange(String),
    /// It has answered, and not with what was asked for.
    #[error("{url} answers {status}")]
    Status { url: String, status: StatusCode },
    #[error("no answer in full within {} s", .0.as_secs_f32())]
    Slow(Duration),
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
}

/// Why there is no way out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetUpError {
    #[error(transparent)]
    Names(#[from] NamesError),
    #[error(transparent)]
    Tls(#[from] hapi_client::TlsError),
    #[error(transparent)]
    Http(#[from] reqwest::Error),
}

/// The real world outside.
#[derive(Clone)]
pub(crate) struct Outbound {
    names: Arc<Names>,
    http: reqwest::Client,
    allow_private: bool,
    /// How long one exchange may take.
    patience: Duration,
}

impl Outbound {
    pub(crate) fn new(settings: &config::Outbound) -> Result<Self, SetUpError> {
        let names = Arc::new(Names::new(settings)?);
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(hapi_client::tls_config()?)
            .dns_resolver(names.clone())
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .https_only(!settings.allow_private)
            .connect_timeout(CONNECT_PATIENCE)
            // A connection that stays open would outlive what its name stood for.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("hapi-registry/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { names, http, allow_private: settings.allow_private, patience: PATIENCE })
    }

    /// The same with another patience, for what takes longer than a proof.
    pub(crate) fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Posts `body` to a URL; the status of the answer, of which nothing else is read.
    pub(crate) async fn post(
        &self,
        url: Url,
        headers: HeaderMap,
        body: String,
    ) -> Result<StatusCode, OutboundError> {
        self.send(Method::POST, url, headers, body).await.map(|head| head.status)
    }

    /// Sends `body` to a URL; the head of the answer, whose body is not read.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: String,
    ) -> Result<Head, OutboundError> {
        self.check(&url)?;
        let request = self.http.request(method, url).headers(headers).body(body).timeout(self.patience);
        let answer = request.send().await.map_err(|error| self.failed(&error))?;
        Ok(Head { status: answer.status(), headers: answer.headers().clone() })
    }

    /// A name that leads inside is found out about where it is looked up, deep inside of the exchange.
    fn failed(&self, error: &reqwest::Error) -> OutboundError {
        match cause(error).downcast_ref::<OutboundError>() {
            Some(refused) => refused.clone(),
            None if error.is_timeout() && !error.is_connect() => OutboundError::Slow(self.patience),
            None => OutboundError::Exchange(innermost(error)),
        }
    }

    /// An address that stands in the URL itself is never looked up, and judged here.
    pub(crate) fn check(&self, url: &Url) -> Result<(), OutboundError> {
        let address = match url.host() {
            None => return Err(OutboundError::NoHost(url.to_string())),
            Some(Host::Domain(_)) => None,
            Some(Host::Ipv4(ip)) => Some(IpAddr::from(ip)),
            Some(Host::Ipv6(ip)) => Some(IpAddr::from(ip)),
        };
        if self.allow_private {
            return Ok(());
        }
        if url.scheme() != "https" {
            return Err(OutboundError::Plain(url.to_string()));
        }
        match address.filter(|address| !address::is_public(*address)) {
            None => Ok(()),
            Some(address) => Err(OutboundError::Private { host: address.to_string(), address }),
        }
    }

    async fn exchange(&self, ask: Ask) -> Result<Fetched, OutboundError> {
        let failed = |error: reqwest::Error| self.failed(&error);
        let request = match ask.form {
            None => self.http.get(ask.url),
            Some(form) => self
                .http
                .post(ask.url)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form),
        };
        let request = request.headers(ask.headers).timeout(self.patience);
        let mut answer = request.send().await.map_err(failed)?;
        if answer.content_length().is_some_and(|length| length > ask.most_bytes as u64) {
            return Err(OutboundError::TooLarge(ask.most_bytes));
        }
        let (status, headers, mut body) = (answer.status(), answer.headers().clone(), Vec::new());
        while let Some(piece) = answer.chunk().await.map_err(failed)? {
            if body.len() + piece.len() > ask.most_bytes {
                return Err(OutboundError::TooLarge(ask.most_bytes));
            }
            body.extend_from_slice(&piece);
        }
        Ok(Fetched { status, headers, body })
    }
}

#[async_trait]
impl Outside for Outbound {
    async fn texts(&self, name: &str) -> Result<Vec<String>, OutboundError> {
        let late = || OutboundError::Exchange(format!("no name server answers in {} s", PATIENCE.as_secs()));
        tokio::time::timeout(PATIENCE, self.names.texts(name)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn fetch(&self, ask: Ask) -> Result<Fetched, OutboundError> {
        self.check(&ask.url)?;
        self.exchange(ask).await
    }
}

/// The cause below all wrappings, such as `Connection refused`.
pub(crate) fn innermost(error: &(dyn Error + 'static)) -> String {
    cause(error).to_string()
}

fn cause<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
