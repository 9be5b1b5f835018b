//! An authority for certificates, as a company has one.

use crate::Options;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use reqwest::{Certificate, Client, ClientBuilder, Identity};
use std::{
    fs,
    path::PathBuf,
    time::{Duration, SystemTime},
};

const DAY: Duration = Duration::from_secs(86_400);

/// An authority, in whose folder there is a certificate for a server on loopback.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// One that nobody else knows.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("it signs itself");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let authority = Self { issuer, folder };
        authority.write("ca.pem", &authority.issuer.pem());
        authority.renew();
        authority
    }

    /// A file in its folder: `ca.pem`, `cert.pem`, `key.pem`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file can be written");
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Another certificate for the server.
    pub fn renew(&self) {
        let (certificate, key) = self.certify(vec![SanType::IpAddress([127, 0, 0, 1].into())]);
        self.write("key.pem", &key);
        self.write("cert.pem", &certificate);
    }

    /// A certificate with these names, and its key.
    pub fn certify(&self, names: Vec<SanType>) -> (String, String) {
        self.certify_until(names, SystemTime::now() + DAY)
    }

    /// The same until then, as of the day before.
    pub fn certify_until(&self, names: Vec<SanType>, end: SystemTime) -> (String, String) {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.subject_alt_names = names;
        params.not_before = (end - DAY - DAY).into();
        params.not_after = end.into();
        let key = KeyPair::generate().expect("a key can be made");
        (params.signed_by(&key, &self.issuer).expect("it signs").pem(), key.serialize_pem())
    }

    /// Settings of a node that shows this authority's certificate.
    pub fn settings(&self, options: Options) -> Options {
        let path = |name: &str| self.path(name).display().to_string();
        options.set("HAPI_HTTP_TLS_CERT", &path("cert.pem")).set("HAPI_HTTP_TLS_KEY", &path("key.pem"))
    }

    /// Settings of a node that verifies clients by this authority.
    pub fn of_clients(&self, options: Options) -> Options {
        options.set("HAPI_HTTP_CLIENT_CA", &self.path("ca.pem").display().to_string())
    }

    /// A client that believes this authority alone, and begins a connection for each request.
    pub fn client(&self) -> ClientBuilder {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let root = Certificate::from_pem(self.pem().as_bytes()).expect("it is a certificate");
        Client::builder().no_proxy().tls_certs_only([root]).pool_max_idle_per_host(0)
    }
}

/// What a client shows.
///
/// # Panics
/// If the two are no certificate and key.
pub fn identity((certificate, key): &(String, String)) -> Identity {
    Identity::from_pem(format!("{key}{certificate}").as_bytes()).expect("they belong together")
}
