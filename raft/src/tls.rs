//! The two ends of the peer plane's TLS.

use crate::{
    ClusterSecret,
    certificate::{Authority, CertificateError, Subject},
};
use rcgen::KeyPair;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::Resumption,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::TLS13,
};
use std::sync::Arc;
use thiserror::Error;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The protocol both ends must name, so that a stranger on the port is turned away within the handshake.
const PROTOCOL: &[u8] = b"hapi-peer/1";

/// Why TLS cannot be set up.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A certificate cannot be made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// rustls refuses the settings.
    #[error("TLS: {0}")]
    Settings(String),
    /// No secret was given.
    #[error("no cluster secret was given")]
    NoSecret,
}

/// Accepts and makes connections whose both ends prove a secret of the cluster.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) connector: TlsConnector,
}

impl Tls {
    /// The first secret signs our certificate, all verify those of others.
    pub(crate) fn new(secrets: &[ClusterSecret], subject: Subject, key: &KeyPair) -> Result<Self, TlsError> {
        let authorities = secrets.iter().map(Authority::from_secret).collect::<Result<Vec<_>, _>>()?;
        let own = authorities.first().ok_or(TlsError::NoSecret)?.sign(subject, key)?;
        let roots = Arc::new(roots(&authorities)?);
        Ok(Self {
            acceptor: Arc::new(server(&roots, own.clone(), key)?).into(),
            connector: Arc::new(client(&roots, own, key)?).into(),
        })
    }
}

fn roots(authorities: &[Authority]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.certificate().clone()).map_err(settings)?;
    }
    Ok(roots)
}

fn server(
    roots: &Arc<RootCertStore>,
    own: CertificateDer<'static>,
    key: &KeyPair,
) -> Result<ServerConfig, TlsError> {
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots.clone(), provider()).build().map_err(settings)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(settings)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![own], private(key))
        .map_err(settings)?;
    config.alpn_protocols = vec![PROTOCOL.into()];
    // Connections live for long; a resumed session would only spare a handshake that hardly ever happens.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn client(
    roots: &Arc<RootCertStore>,
    own: CertificateDer<'static>,
    key: &KeyPair,
) -> Result<ClientConfig, TlsError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(settings)?
        .with_root_certificates(roots.clone())
        .with_client_auth_cert(vec![own], private(key))
        .map_err(settings)?;
    config.alpn_protocols = vec![PROTOCOL.into()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.serialize_der()).into()
}

fn settings(error: impl std::fmt::Display) -> TlsError {
    TlsError::Settings(error.to_string())
}
