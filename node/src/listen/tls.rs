//! TLS of the public port: certificate and key in files, read at the start, and again on SIGHUP or once they have changed.

use crate::{
    config,
    limits::{Counters, Limits, Place},
};
use arc_swap::ArcSwap;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hapi_raft::Lingering;
use hapi_registry_state::{CertificateName, CertificateProof, Timestamp};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{VerifierBuilderError, WebPkiClientVerifier},
};
use sha2::{Digest, Sha256};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{signal::unix::Signal, task::spawn_blocking, time::sleep};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use x509_parser::{extensions::GeneralName, parse_x509_certificate, prelude::X509Certificate};
use zeroize::Zeroizing;

/// What ALPN calls HTTP/2.
pub(super) const HTTP_2: &[u8] = b"h2";

/// How often the files are looked at. A change counts when a second look finds the same: then whoever writes them is
/// done.
const LOOK: Duration = Duration::from_secs(2);

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublicTlsError {
    #[error("{path} cannot be read: {source}", path = path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{path} holds no {what} in PEM", path = path.display())]
    Empty { path: PathBuf, what: &'static str },
    #[error("{path}: {reason}", path = path.display())]
    Pem { path: PathBuf, reason: String },
    #[error("{cert} and {key} cannot be used: {source}", cert = cert.display(), key = key.display())]
    Pair { cert: PathBuf, key: PathBuf, source: rustls::Error },
    #[error("no client can be verified by {path}: {source}", path = path.display())]
    Clients { path: PathBuf, source: VerifierBuilderError },
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    #[error("the files were not read: {0}")]
    Stopped(#[from] tokio::task::JoinError),
}

/// The files that the settings name.
#[derive(Clone, Debug)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

/// Tells one state of the files from another.
type Look = [u8; 32];

/// The TLS of the public port.
pub(crate) struct PublicTls {
    files: Files,
    in_force: ArcSwap<InForce>,
}

struct InForce {
    config: Arc<ServerConfig>,
    /// When the certificate ends, in seconds since 1970.
    ends: i64,
    look: Look,
}

impl PublicTls {
    /// None, if no certificate is set.
    pub(crate) fn open(settings: &config::Http) -> Result<Option<Self>, PublicTlsError> {
        let (Some(cert), Some(key)) = (settings.tls_cert.clone(), settings.tls_key.clone()) else {
            return Ok(None);
        };
        let files = Files { cert, key, client_ca: settings.client_ca.clone() };
        let in_force = ArcSwap::from_pointee(files.read()?);
        Ok(Some(Self { files, in_force }))
    }

    /// The handshake, and whose certificate the client has shown.
    pub(super) async fn accept(
        &self,
        stream: Lingering<Place>,
    ) -> io::Result<(TlsStream<Lingering<Place>>, Option<CertificateProof>)> {
        let stream = TlsAcceptor::from(self.in_force.load().config.clone()).accept(stream).await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let certificate = shown.map(identify).transpose().map_err(io::Error::other)?;
        Ok((stream, certificate))
    }

    /// Takes over what is in the files, on SIGHUP or when it has changed, until the process ends. What cannot be used
    /// leaves in force what was there before. Connections go on with what they began with.
    pub(crate) async fn keep(self: Arc<Self>, mut hangups: Signal, limits: Arc<Limits>) {
        let counters = &limits.counters;
        counters.certificate_ends.set(self.in_force.load().ends);
        let mut last = self.in_force.load().look;
        let mut tried = last;
        loop {
            let asked = tokio::select! {
                hangup = hangups.recv() => hangup.is_some(),
                () = sleep(LOOK) => false,
            };
            let files = self.files.clone();
            let Ok(look) = spawn_blocking(move || files.look()).await else { return };
            if asked || (look == last && look != tried) {
                tried = look;
                self.take_over(counters).await;
            }
            last = look;
        }
    }

    async fn take_over(&self, counters: &Counters) {
        let files = self.files.clone();
        let read = spawn_blocking(move || files.read()).await.map_err(PublicTlsError::from).flatten();
        let result = match read {
            Ok(read) if read.look == self.in_force.load().look => "unchanged",
            Ok(read) => {
                tracing::info!(certificate = %self.files.cert.display(), "another certificate is in force");
                counters.certificate_ends.set(read.ends);
                self.in_force.store(Arc::new(read));
                "exchanged"
            }
            Err(error) => {
                tracing::error!(%error, "the certificate was not taken over: the one from before stays in force");
                "refused"
            }
        };
        counters.reloaded(result);
    }
}

impl Files {
    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.cert, &self.key].into_iter().chain(&self.client_ca)
    }

    fn look(&self) -> Look {
        let mut digest = Sha256::new();
        for path in self.all() {
            match content(path) {
                Ok(bytes) => digest.update(Sha256::digest(bytes.as_slice())),
                Err(error) => digest.update(error.to_string()),
            }
        }
        digest.finalize().into()
    }

    fn read(&self) -> Result<InForce, PublicTlsError> {
        // Before the files are read: what changes meanwhile is a change.
        let look = self.look();
        let chain = certificates(&self.cert)?;
        let ends =
            chain.first().and_then(|first| Some(parse_x509_certificate(first).ok()?.1.validity.not_after));
        let ends = ends.map_or(0, |time| time.timestamp());
        let key = PrivateKeyDer::from_pem_slice(&content(&self.key)?)
            .map_err(|error| PublicTlsError::Pem { path: self.key.clone(), reason: error.to_string() })?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions()?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path)? {
                    roots.add(certificate)?;
                }
                // A token is as good: who has no certificate shows one.
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
                    .allow_unauthenticated()
                    .build()
                    .map_err(|source| PublicTlsError::Clients { path: path.clone(), source })?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|source| PublicTlsError::Pair {
            cert: self.cert.clone(),
            key: self.key.clone(),
            source,
        })?;
        config.alpn_protocols = vec![HTTP_2.to_vec(), b"http/1.1".to_vec()];
        Ok(InForce { config: Arc::new(config), ends, look })
    }
}

/// The key's bytes are wiped when they have been read.
fn content(path: &Path) -> Result<Zeroizing<Vec<u8>>, PublicTlsError> {
    let bytes = std::fs::read(path).map(Zeroizing::new);
    bytes.map_err(|source| PublicTlsError::File { path: path.into(), source })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PublicTlsError> {
    let bytes = content(path)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let read = read.map_err(|error| PublicTlsError::Pem { path: path.into(), reason: error.to_string() })?;
    if read.is_empty() {
        return Err(PublicTlsError::Empty { path: path.into(), what: "certificate" });
    }
    Ok(read)
}

/// The most alternative names of a client's certificate that count. Each is looked for with every request.
const MOST_NAMES: usize = 16;

/// What a verified certificate says of its holder.
fn identify(certificate: &CertificateDer<'_>) -> Result<CertificateProof, String> {
    let (_, parsed) = parse_x509_certificate(certificate).map_err(|error| error.to_string())?;
    let thumbprint = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(certificate));
    let mut names = vec![CertificateName::Thumbprint(thumbprint)];
    let alternative = alternative_names(&parsed)?.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(CertificateName::Uri((*uri).to_owned())),
        GeneralName::DNSName(name) => Some(CertificateName::Dns((*name).to_owned()).normalised()),
        _ => None,
    });
    names.extend(alternative.take(MOST_NAMES));
    // The last second belongs to it (RFC 5280 §4.1.2.5).
    let last = u64::try_from(parsed.validity.not_after.timestamp()).unwrap_or_default();
    Ok(CertificateProof { names, expires_at: Timestamp::from_seconds(last.saturating_add(1)) })
}

fn alternative_names<'a>(certificate: &'a X509Certificate<'_>) -> Result<&'a [GeneralName<'a>], String> {
    let extension = certificate.subject_alternative_name().map_err(|error| error.to_string())?;
    Ok(extension.map_or(&[], |extension| &extension.value.general_names))
}
