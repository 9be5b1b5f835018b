//! Certificates that clients prove themselves by: mutual TLS (RFC 8705).

use crate::{Caller, ClientId, Registry, Rejection, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The most that one client may be known by: for each of its places, one in use and one that follows it.
const MAX_CERTIFICATES: usize = 16;

/// The longest URI, in bytes; SPIFFE's ids have the same bound.
const MAX_URI: usize = 2_048;

/// The longest DNS name, in bytes.
const MAX_DNS: usize = 253;

/// How many characters of base64url a SHA-256 takes.
const THUMBPRINT_CHARS: usize = 43;

/// What a certificate is known by. New kinds are added at the end: the order is the form in the log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CertificateName {
    /// A URI among its alternative names, such as a SPIFFE id; byte by byte.
    #[serde(rename = "san_uri")]
    Uri(String),
    /// A DNS name among them, in lower case.
    #[serde(rename = "san_dns")]
    Dns(String),
    /// The SHA-256 of the whole certificate (DER), in base64url.
    #[serde(rename = "x5t#S256")]
    Thumbprint(String),
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri(uri) => write!(f, "san_uri {uri}"),
            Self::Dns(name) => write!(f, "san_dns {name}"),
            Self::Thumbprint(hash) => write!(f, "x5t#S256 {hash}"),
        }
    }
}

impl CertificateName {
    /// The same as it is compared: letters of DNS names count in either case.
    pub fn normalised(self) -> Self {
        match self {
            Self::Dns(name) => Self::Dns(name.to_ascii_lowercase()),
            other => other,
        }
    }

    fn check(&self) -> Result<(), Rejection> {
        let (is_sound, form) = match self {
            Self::Uri(uri) => (is_uri(uri), "an absolute URI of at most 2048 visible ASCII characters"),
            Self::Dns(name) => (is_dns(name), "a DNS name in lower case, without a `*`"),
            Self::Thumbprint(hash) => (is_sha256(hash), "a SHA-256 in base64url, which has 43 characters"),
        };
        if is_sound { Ok(()) } else { Err(Rejection::Invalid(format!("`{self}`: write {form}"))) }
    }
}

fn is_uri(text: &str) -> bool {
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    let of_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let is_absolute =
        scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(of_scheme);
    is_absolute && text.len() <= MAX_URI && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_dns(text: &str) -> bool {
    let label = |label: &str| {
        let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        (1..=63).contains(&label.len()) && label.bytes().all(inside)
    };
    text.len() <= MAX_DNS && text.split('.').all(label)
}

/// 43 characters hold 258 bits: the last one has two to spare, which are zero.
fn is_sha256(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let ends_even = text.ends_with(|last: char| "AEIMQUYcgkosw048".contains(last));
    text.len() == THUMBPRINT_CHARS && text.bytes().all(is_digit) && ends_even
}

/// That somebody has shown in a TLS handshake that it holds the key of a certificate which our authorities vouch for.
///
/// Whoever makes this has verified the certificate. Whose it is (still), is judged like a token: on the state that decides.
/// It holds nothing secret, so that it can be handed to another node, which the handshake itself could not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateProof {
    /// All that the certificate may be known by, normalised.
    pub names: Vec<CertificateName>,
    /// When it ends. A connection may outlive it.
    pub expires_at: Timestamp,
}

impl Registry {
    /// What a client may be known by from now on: sound, few enough, and nobody else's.
    pub(crate) fn check_certificates(
        &self,
        id: &ClientId,
        names: &[CertificateName],
    ) -> Result<(), Rejection> {
        if names.len() > MAX_CERTIFICATES {
            return Err(Rejection::Invalid(format!("a client has at most {MAX_CERTIFICATES} certificates")));
        }
        for name in names {
            name.check()?;
            if let Some(other) = self.certificates.get(name).filter(|other| *other != id) {
                return Err(Rejection::CertificateTaken { name: name.to_string(), client: other.clone() });
            }
        }
        Ok(())
    }

    /// Keeps in mind whose the certificates of a client are, and that its former ones are nobody's.
    pub(crate) fn index_certificates(&mut self, id: &ClientId, names: &[CertificateName]) {
        let former = self.client(id).map(|client| client.certificates.clone()).unwrap_or_default();
        for name in former {
            self.certificates.remove(&name);
        }
        for name in names {
            self.certificates.insert(name.clone(), id.clone());
        }
    }

    /// Puts back what a snapshot has beside the client itself.
    pub(crate) fn restore_certificates(&mut self, id: &ClientId, names: &[CertificateName]) {
        if let Some(client) = self.client(id).cloned() {
            self.put_client_record(id, crate::Client { certificates: names.to_vec(), ..client });
        }
    }

    /// The client whom a certificate is registered for now. One that leads to two of them proves neither.
    pub(crate) fn shown_by(&self, proof: &CertificateProof, now: Timestamp) -> Option<Caller> {
        let mut known = proof.names.iter().filter_map(|name| self.certificates.get(name));
        let id = known.next()?;
        let leads_to_one = known.all(|other| other == id);
        if leads_to_one && now < proof.expires_at { self.client_as_caller(id) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_forms_that_certificates_give_them() {
        let hash = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
        for (name, is_sound) in [
            (CertificateName::Uri("spiffe://acme.example/agent".into()), true),
            (CertificateName::Uri("urn:uuid:7".into()), true),
            (CertificateName::Uri("agent".into()), false),
            (CertificateName::Uri("://x".into()), false),
            (CertificateName::Uri("spiffe://acme.example/an agent".into()), false),
            (CertificateName::Uri(format!("x:{}", "y".repeat(MAX_URI))), false),
            (CertificateName::Dns("agent.acme.example".into()), true),
            (CertificateName::Dns("Agent.acme.example".into()), false),
            (CertificateName::Dns("*.acme.example".into()), false),
            (CertificateName::Dns("agent..example".into()), false),
            (CertificateName::Dns(String::new()), false),
            (CertificateName::Thumbprint(hash.into()), true),
            (CertificateName::Thumbprint(hash[1..].into()), false),
            (CertificateName::Thumbprint(hash.replace('U', "V")), false),
            (CertificateName::Thumbprint(hash.replace('-', "+")), false),
        ] {
            assert_eq!(name.check().is_ok(), is_sound, "{name}");
        }
    }
}
