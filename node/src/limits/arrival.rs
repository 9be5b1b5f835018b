//! How a request came here.

use super::Limits;
use axum::{
    extract::FromRequestParts,
    http::{Extensions, request::Parts},
};
use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

/// The connection that a request came by; it stands in the request's extensions.
#[derive(Clone)]
pub(crate) struct Arrival {
    /// The other end: behind a proxy, the proxy.
    pub(crate) address: IpAddr,
    /// What the other end has proven to hold, in mutual TLS.
    pub(crate) certificate: Option<Arc<ClientCertificate>>,
    pub(crate) limits: Arc<Limits>,
}

/// Whose certificate a client has shown, verified by `http.client_ca`, with a key that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientCertificate {
    /// The URIs among its alternative names, such as `spiffe://example.com/agent`.
    pub(crate) uris: Vec<String>,
    /// The DNS names among them.
    pub(crate) names: Vec<String>,
    /// SHA-256 of its public key (SubjectPublicKeyInfo, DER).
    pub(crate) key: [u8; 32],
}

impl Arrival {
    /// None in tests that use a handler without a listener.
    pub(crate) fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }
}

/// Where a request came from; an address of nobody if nothing says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin(pub(crate) IpAddr);

impl Origin {
    pub(crate) fn of(extensions: &Extensions) -> Self {
        Self(Arrival::of(extensions).map_or(Ipv4Addr::UNSPECIFIED.into(), |arrival| arrival.address))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions))
    }
}
