//! How a request came here.

use super::Limits;
use axum::{
    extract::FromRequestParts,
    http::{Extensions, request::Parts},
};
use hapi_registry_state::CertificateProof;
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
    pub(crate) certificate: Option<Arc<CertificateProof>>,
    pub(crate) limits: Arc<Limits>,
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

/// What the other end has proven to hold, in mutual TLS: read once for each connection, and shared by its requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Certificate(pub(crate) Option<Arc<CertificateProof>>);

impl Certificate {
    pub(crate) fn of(extensions: &Extensions) -> Self {
        Self(Arrival::of(extensions).and_then(|arrival| arrival.certificate.clone()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Certificate {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions))
    }
}
