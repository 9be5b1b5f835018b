//! Which TLS certificates are believed.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, Error, RootCertStore};

/// The TLS of this crate's clients, for other connections of the same process.
///
/// # Errors
/// [`Error`], if the library cannot be set up.
pub fn tls_config() -> Result<ClientConfig, Error> {
    config(&[])
}

/// Mozilla's roots, and what the caller adds. The machine's own store is not read: small containers have
/// none, and a client should not fail there, nor trust more on one machine than on another.
pub(crate) fn config(additional_pem: &[Vec<u8>]) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for pem in additional_pem {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate.map_err(|error| Error::General(error.to_string()))?)?;
        }
    }
    // Named here rather than installed for the process: a library must not decide that for its callers.
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
