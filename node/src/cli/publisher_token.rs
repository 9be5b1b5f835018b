//! `publisher-token`: a proof of a domain for a token of five minutes.

use super::{Failure, Remote, output::note, secret_file};
use crate::{api::hex, clock, publisher_auth::hex_bytes};
use aws_lc_rs::{
    encoding::{AsBigEndian, EcPublicKeyCompressedBin},
    rand::SystemRandom,
    signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use hapi_client::Method;
use serde_json::json;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Prove that you hold a domain, for a token that publishes in its namespace for five minutes.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum PublisherToken {
    /// By a TXT record of the domain, for its namespace and all below it
    #[command(after_help = "Example:
  hapi-registry publisher-token dns --domain example.com --private-key-file key.pem > publisher.token
      A token for com.example and com.example.*, for `hapi-registry publish --token-file publisher.token`.
      The record that the domain must have is said on stderr.")]
    Dns(Domain),
    /// By the file /.well-known/mcp-registry-auth of the domain, for its namespace
    #[command(after_help = "Example:
  hapi-registry publisher-token http --domain example.com --private-key-file key.pem > publisher.token
      A token for com.example. What the file must say is said on stderr.")]
    Http(Domain),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Domain {
    /// The domain, such as example.com
    #[arg(long)]
    domain: String,
    /// The file with its private key: Ed25519 or ECDSA P-384 as PEM (PKCS #8), or the 64 hexadecimal digits of an
    /// Ed25519 seed
    #[arg(long, value_name = "FILE")]
    private_key_file: PathBuf,
    #[command(flatten)]
    remote: Remote,
}

impl PublisherToken {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let (method, Domain { domain, private_key_file, remote }) = match self {
            Self::Dns(domain) => ("dns", domain),
            Self::Http(domain) => ("http", domain),
        };
        let text = Zeroizing::new(secret_file::read(&private_key_file)?);
        let unusable =
            || Failure::usage(format!("{} holds no key that can be used", private_key_file.display()));
        let key = PrivateKey::read(&text).ok_or_else(unusable)?;
        note(&format!("{domain} must publish: {}", key.record().ok_or_else(unusable)?));
        let timestamp = clock::now().to_string();
        let signature = key.sign(timestamp.as_bytes()).ok_or_else(unusable)?;
        let proof = json!({ "domain": domain, "timestamp": timestamp, "signed_timestamp": hex(&signature) });
        let session = remote.session()?;
        let answer = session.send(Method::POST, &format!("/v0.1/auth/{method}"), proof).await?;
        session.show(&answer, |answer| answer["registry_token"].as_str().unwrap_or_default().to_owned())
    }
}

/// A key that a domain may publish the other half of.
enum PrivateKey {
    Ed25519(Ed25519KeyPair),
    P384(EcdsaKeyPair),
}

impl PrivateKey {
    fn read(text: &str) -> Option<Self> {
        if let Some(seed) = hex_bytes(text).map(Zeroizing::new).filter(|seed| seed.len() == 32) {
            return Ed25519KeyPair::from_seed_unchecked(&seed).ok().map(Self::Ed25519);
        }
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
        let document = BASE64_STANDARD.decode(Zeroizing::new(lines.collect::<String>()).as_bytes()).ok();
        let document = Zeroizing::new(document?);
        let ed25519 = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&document).ok().map(Self::Ed25519);
        let p384 = || EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &document).ok();
        ed25519.or_else(|| p384().map(Self::P384))
    }

    fn record(&self) -> Option<String> {
        let (kind, public) = match self {
            Self::Ed25519(key) => ("ed25519", key.public_key().as_ref().to_vec()),
            Self::P384(key) => {
                let point =
                    AsBigEndian::<EcPublicKeyCompressedBin<'_>>::as_be_bytes(key.public_key()).ok()?;
                ("ecdsap384", point.as_ref().to_vec())
            }
        };
        Some(format!("v=MCPv1; k={kind}; p={}", BASE64_STANDARD.encode(public)))
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Ed25519(key) => Some(key.sign(message).as_ref().to_vec()),
            Self::P384(key) => Some(key.sign(&SystemRandom::new(), message).ok()?.as_ref().to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    fn pem(document: &[u8]) -> String {
        let text = BASE64_STANDARD.encode(document);
        let (first, rest) = text.split_at(40);
        format!("-----BEGIN PRIVATE KEY-----\n{first}\n{rest}\n-----END PRIVATE KEY-----\n")
    }

    #[test]
    fn keys_are_read_in_the_forms_that_publishers_have_them_in() {
        let seed = PrivateKey::read(&"07".repeat(32)).unwrap();
        let expected = "v=MCPv1; k=ed25519; p=6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=";
        assert_eq!(seed.record().as_deref(), Some(expected));
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        assert!(matches!(PrivateKey::read(&pem(document.as_ref())), Some(PrivateKey::Ed25519(_))));
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let key = PrivateKey::read(&pem(document.as_ref())).unwrap();
        assert!(key.record().unwrap().starts_with("v=MCPv1; k=ecdsap384; p=A"));
        assert_eq!(key.sign(b"x").unwrap().len(), 96);
        for text in ["", "07", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"] {
            assert!(PrivateKey::read(text).is_none(), "{text}");
        }
    }
}
