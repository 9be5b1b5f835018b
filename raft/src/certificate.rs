//! Certificates out of the cluster secret: mutual TLS without any ceremony.
//!
//! Every node derives the same authority from the secret and signs its own certificate with it. A valid
//! chain therefore proves the secret and nothing more; *who* speaks is settled by pinning the key.

use crate::ClusterSecret;
use hapi_registry_state::SecretFingerprint;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use std::fmt;
use thiserror::Error;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// The name under which every peer plane can be dialled: before the first answer a node knows an address
/// but not whose it is. The node's own name stands beside it and is compared after the handshake.
pub(crate) const ANY_PEER: &str = "peer.hapi.internal";
const OPERATOR: &str = "operator.hapi.internal";
const NODE_PREFIX: &str = "node-";
const NODE_SUFFIX: &str = ".hapi.internal";

/// PKCS#8 v1 of an Ed25519 key up to its seed (RFC 8410, section 7).
const PKCS8_ED25519: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// A certificate that cannot be made or read.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// Making a key or a certificate failed.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// The peer's certificate is not one of ours.
    #[error("not a certificate of this cluster: {0}")]
    Foreign(String),
}

/// Whom a certificate speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The node with this id.
    Node(u64),
    /// A command-line tool that was given the secret.
    Operator,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(id) => write!(f, "{NODE_PREFIX}{id:016x}{NODE_SUFFIX}"),
            Self::Operator => f.write_str(OPERATOR),
        }
    }
}

impl Subject {
    fn parse(name: &str) -> Option<Self> {
        if name == OPERATOR {
            return Some(Self::Operator);
        }
        let digits = name.strip_prefix(NODE_PREFIX)?.strip_suffix(NODE_SUFFIX)?;
        let id = u64::from_str_radix(digits, 16).ok()?;
        (digits.len() == 16 && id != 0).then_some(Self::Node(id))
    }
}

/// Who stands at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) subject: Subject,
    pub(crate) key_sha256: [u8; 32],
    /// The secret that its certificate proves.
    pub(crate) secret: SecretFingerprint,
}

impl Peer {
    /// Reads a certificate that `secret` has signed.
    pub(crate) fn of(der: &CertificateDer<'_>, secret: SecretFingerprint) -> Result<Self, CertificateError> {
        let foreign = |text: &str| CertificateError::Foreign(text.into());
        let (_, certificate) =
            X509Certificate::from_der(der).map_err(|error| CertificateError::Foreign(error.to_string()))?;
        let names = certificate.subject_alternative_name().ok().flatten();
        let names = names.ok_or_else(|| foreign("it has no alternative names"))?;
        let subject = names.value.general_names.iter().find_map(|name| match name {
            GeneralName::DNSName(name) => Subject::parse(name),
            _ => None,
        });
        let subject = subject.ok_or_else(|| foreign("it names no node"))?;
        let key_sha256 = Sha256::digest(certificate.public_key().raw).into();
        Ok(Self { subject, key_sha256, secret })
    }
}

/// The authority that a secret stands for, equal on every node down to the bytes of its certificate:
/// key, names, serial number and validity are derived or fixed, and Ed25519 signatures are deterministic.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    pub(crate) fn from_secret(secret: &ClusterSecret) -> Result<Self, CertificateError> {
        let key = key_from_seed(&secret.derive("peer plane authority"))?;
        let fingerprint = Sha256::digest(key.public_key_raw());
        let mut params = params(&format!(
            "hapi cluster {:02x}{:02x}{:02x}",
            fingerprint[0], fingerprint[1], fingerprint[2]
        ));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.serial_number = Some(SerialNumber::from_slice(&[1]));
        let certificate = params.self_signed(&key)?.der().clone();
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Signs a certificate for `subject` and `key`.
    pub(crate) fn sign(
        &self,
        subject: Subject,
        key: &KeyPair,
    ) -> Result<CertificateDer<'static>, CertificateError> {
        let mut params = params(&subject.to_string());
        params.subject_alt_names =
            CertificateParams::new([subject.to_string(), ANY_PEER.into()])?.subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(SerialNumber::from_slice(&key_sha256(key)[..16]));
        Ok(params.signed_by(key, &self.issuer)?.der().clone())
    }
}

/// An Ed25519 key pair out of its 32-byte seed (RFC 8032, section 5.1.5).
pub(crate) fn key_from_seed(seed: &[u8; 32]) -> Result<KeyPair, CertificateError> {
    let der = [&PKCS8_ED25519[..], seed].concat();
    Ok(KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(der), &PKCS_ED25519)?)
}

/// The same key pair once more.
pub(crate) fn copy_of(key: &KeyPair) -> Result<KeyPair, CertificateError> {
    let der = PrivatePkcs8KeyDer::from(key.serialize_der());
    Ok(KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519)?)
}

/// SHA-256 of the key's SubjectPublicKeyInfo, by which members pin each other.
pub(crate) fn key_sha256(key: &KeyPair) -> [u8; 32] {
    use rcgen::PublicKeyData;
    Sha256::digest(key.subject_public_key_info()).into()
}

/// Validity is deliberately unbounded (RFC 5280, section 4.1.2.5, speaks of 99991231235959Z): membership
/// ends trust here, not a calendar, and a cluster must not stop because a date has passed.
fn params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(9999, 12, 31);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;

    fn secret(text: &str) -> ClusterSecret {
        ClusterSecret::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn two_nodes_derive_the_same_authority_and_another_secret_another_one() {
        let a = Authority::from_secret(&secret("q3Zs0Yb7vF1xJp9uK2mWc8RtLh4NdAe6gXiO")).unwrap();
        let b = Authority::from_secret(&secret("q3Zs0Yb7vF1xJp9uK2mWc8RtLh4NdAe6gXiO\n")).unwrap();
        let c = Authority::from_secret(&secret("Q3Zs0Yb7vF1xJp9uK2mWc8RtLh4NdAe6gXiO")).unwrap();
        assert_eq!(a.certificate(), b.certificate());
        assert_ne!(a.certificate(), c.certificate());
    }

    #[test]
    fn a_certificate_tells_node_and_key() {
        let authority = Authority::from_secret(&secret("q3Zs0Yb7vF1xJp9uK2mWc8RtLh4NdAe6gXiO")).unwrap();
        let key = key_from_seed(&[7; 32]).unwrap();
        let der = authority.sign(Subject::Node(0xabc), &key).unwrap();
        let signer = SecretFingerprint([1; 6]);
        let peer = Peer::of(&der, signer).unwrap();
        assert_eq!((peer.subject, peer.key_sha256), (Subject::Node(0xabc), key_sha256(&key)));
        let der = authority.sign(Subject::Operator, &key).unwrap();
        assert_eq!(Peer::of(&der, signer).unwrap().subject, Subject::Operator);
    }

    #[test]
    fn a_certificate_that_names_no_node_is_foreign() {
        let authority = Authority::from_secret(&secret("q3Zs0Yb7vF1xJp9uK2mWc8RtLh4NdAe6gXiO")).unwrap();
        assert!(Peer::of(authority.certificate(), SecretFingerprint([1; 6])).is_err());
        assert_eq!(Subject::parse("node-0000000000000000.hapi.internal"), None);
        assert_eq!(Subject::parse("node-1.hapi.internal"), None);
    }
}
