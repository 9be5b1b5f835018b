//! The two ends of the peer plane's TLS, under the secrets that are in force.

use crate::{
    ClusterSecret,
    certificate::{Authority, CertificateError, Peer, Subject, copy_of},
    secrets::SecretsInForce,
};
use arc_swap::{ArcSwap, Guard};
use hapi_registry_state::SecretFingerprint;
use http::HeaderValue;
use rcgen::KeyPair;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::Resumption,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    version::TLS13,
};
use std::{sync::Arc, time::Duration};
use thiserror::Error;
use tokio::sync::watch;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The protocol both ends must name, so that a stranger on the port is turned away within the handshake.
const PROTOCOL: &[u8] = b"hapi-peer/1";

/// For how long requests under way may go on over a connection from before an exchange of secrets. Longer than a
/// proposal takes, so that none is left with an outcome that nobody knows.
const LAST_ANSWERS: Duration = Duration::from_secs(15);

/// The same where the other end has proven a secret that is in force no more.
const NOTICE: Duration = Duration::from_secs(1);

/// An instant within the validity of every certificate: membership ends trust here, not a calendar.
const ANY_TIME: Duration = Duration::from_secs(1_800_000_000);

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
    /// More secrets than a rotation needs.
    #[error("{0} cluster secrets were given; one, or two while it is being changed")]
    TooManySecrets(usize),
    /// The same secret twice.
    #[error("both cluster secrets are the same, {0}: give the other one, or one alone")]
    SameSecret(SecretFingerprint),
}

/// Accepts and makes connections whose both ends prove a secret of the cluster. Clones share it.
#[derive(Clone)]
pub(crate) struct Tls(Arc<Inner>);

struct Inner {
    subject: Subject,
    key: KeyPair,
    keys: ArcSwap<Keys>,
    /// How often the secrets were exchanged.
    exchanges: watch::Sender<u64>,
}

/// What follows from the secrets that are in force together.
pub(crate) struct Keys {
    /// Which exchange of secrets brought them.
    exchange: u64,
    pub(crate) secrets: Vec<ClusterSecret>,
    pub(crate) in_force: SecretsInForce,
    /// The same, as every message tells it.
    pub(crate) header: HeaderValue,
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) connector: TlsConnector,
    judges: Vec<(SecretFingerprint, Arc<dyn ClientCertVerifier>)>,
}

impl Tls {
    /// The first secret signs our certificate, all verify those of others.
    pub(crate) fn new(secrets: &[ClusterSecret], subject: Subject, key: &KeyPair) -> Result<Self, TlsError> {
        let keys = ArcSwap::from_pointee(Keys::new(secrets, subject, key)?);
        let exchanges = watch::Sender::new(0);
        Ok(Self(Arc::new(Inner { subject, key: copy_of(key)?, keys, exchanges })))
    }

    /// Takes other secrets for all connections from now on. Those from before end: they may have proven what
    /// counts no more, and the others are to be shown our new certificate. `false` if nothing changes.
    pub(crate) fn exchange(&self, secrets: &[ClusterSecret]) -> Result<bool, TlsError> {
        let mut keys = Keys::new(secrets, self.0.subject, &self.0.key)?;
        Ok(self.0.exchanges.send_if_modified(|exchanges| {
            let differs = keys.in_force != self.0.keys.load().in_force;
            if differs {
                *exchanges += 1;
                keys.exchange = *exchanges;
                self.0.keys.store(Arc::new(keys));
            }
            differs
        }))
    }

    pub(crate) fn keys(&self) -> Guard<Arc<Keys>> {
        self.0.keys.load()
    }

    pub(crate) fn are_current(&self, keys: &Keys) -> bool {
        self.keys().exchange == keys.exchange
    }

    /// Resolves once `keys` are no longer those for new connections.
    pub(crate) async fn exchanged(&self, keys: &Keys) {
        let mut exchanges = self.0.exchanges.subscribe();
        // Its sender lives as long as this.
        let _ = exchanges.wait_for(|exchange| *exchange != keys.exchange).await;
    }

    /// How long an old connection to `peer` may take for what is under way.
    pub(crate) fn farewell(&self, peer: &Peer) -> Duration {
        if self.keys().in_force.verifies.contains(&peer.secret) { LAST_ANSWERS } else { NOTICE }
    }
}

impl Keys {
    fn new(secrets: &[ClusterSecret], subject: Subject, key: &KeyPair) -> Result<Self, TlsError> {
        let in_force = in_force(secrets)?;
        let authorities = secrets.iter().map(Authority::from_secret).collect::<Result<Vec<_>, _>>()?;
        let own = authorities.first().ok_or(TlsError::NoSecret)?.sign(subject, key)?;
        let all = Arc::new(roots(&authorities)?);
        let judge = |(secret, authority): (&ClusterSecret, &Authority)| {
            let judge = verifier(&Arc::new(roots(std::slice::from_ref(authority))?))?;
            Ok((secret.fingerprint(), judge))
        };
        Ok(Self {
            exchange: 0,
            secrets: secrets.to_vec(),
            header: in_force.header(),
            in_force,
            acceptor: Arc::new(server(&all, own.clone(), key)?).into(),
            connector: Arc::new(client(&all, own, key)?).into(),
            judges: secrets.iter().zip(&authorities).map(judge).collect::<Result<_, TlsError>>()?,
        })
    }

    /// Who is at the other end of a finished handshake, and which secret it has proven.
    pub(crate) fn peer(&self, chain: Option<&[CertificateDer<'_>]>) -> Result<Peer, CertificateError> {
        let foreign = || CertificateError::Foreign("no secret that is in force has signed it".into());
        let certificate = chain.and_then(<[_]>::first).ok_or_else(foreign)?;
        let at = UnixTime::since_unix_epoch(ANY_TIME);
        let signed =
            |judge: &Arc<dyn ClientCertVerifier>| judge.verify_client_cert(certificate, &[], at).is_ok();
        let judge = self.judges.iter().find(|(_, judge)| signed(judge));
        Peer::of(certificate, judge.ok_or_else(foreign)?.0)
    }
}

fn in_force(secrets: &[ClusterSecret]) -> Result<SecretsInForce, TlsError> {
    let fingerprints: Vec<_> = secrets.iter().map(ClusterSecret::fingerprint).collect();
    match fingerprints[..] {
        [] => Err(TlsError::NoSecret),
        [first, second] if first == second => Err(TlsError::SameSecret(first)),
        [signs] | [signs, _] => Ok(SecretsInForce { signs, verifies: fingerprints.into_iter().collect() }),
        _ => Err(TlsError::TooManySecrets(secrets.len())),
    }
}

fn roots(authorities: &[Authority]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.certificate().clone()).map_err(settings)?;
    }
    Ok(roots)
}

fn verifier(roots: &Arc<RootCertStore>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    WebPkiClientVerifier::builder_with_provider(roots.clone(), provider()).build().map_err(settings)
}

fn server(
    roots: &Arc<RootCertStore>,
    own: CertificateDer<'static>,
    key: &KeyPair,
) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(settings)?
        .with_client_cert_verifier(verifier(roots)?)
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
