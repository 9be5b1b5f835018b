//! Proofs of a domain: the time, signed with the key that the domain publishes.

use super::{Refusal, domain::Domain, key_record::KeyRecord};
use crate::{
    outbound::{Ask, OutboundError, Outside},
    publisher_token::Proven,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use hapi_registry_state::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;

/// How far the publisher's clock and ours may differ, in seconds. It bounds as well for how long a proof that was
/// overheard is of use.
const WINDOW: u64 = 15;

/// A record takes some 60 bytes; the official registry reads as much of the file.
const FILE_BYTES: usize = 4_096;

/// The most keys of a domain that a signature is tried with: each costs a verification, and changing keys takes two.
const MOST_KEYS: usize = 8;

/// The time, signed by who holds a domain.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(crate) struct SignedTime {
    /// The domain, such as `example.com`.
    #[schema(example = "example.com")]
    domain: String,
    /// The present time (RFC 3339).
    #[schema(example = "2026-01-31T12:00:00Z")]
    timestamp: String,
    /// The signature of the text of `timestamp`, in hexadecimal digits.
    signed_timestamp: String,
}

/// Where a domain publishes its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In TXT records of the domain itself. Who writes these holds the domains below as well.
    Dns,
    /// At `https://<domain>/.well-known/mcp-registry-auth`. Who holds a host holds nothing below it.
    Http,
}

impl Place {
    fn method(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Http => "http",
        }
    }
}

/// The parts of a proof, well-formed and of the present.
struct Parts<'a> {
    domain: Domain,
    message: &'a [u8],
    signature: Vec<u8>,
}

impl SignedTime {
    /// Proves the domain by the keys that it publishes at `place`.
    pub(crate) async fn prove(
        &self,
        place: Place,
        outside: &dyn Outside,
        now: Timestamp,
    ) -> Result<Proven, Refusal> {
        let Parts { domain, message, signature } = self.parts(now)?;
        let texts = match place {
            Place::Dns => outside.texts(domain.as_str()).await,
            Place::Http => file(outside, &domain).await,
        };
        let unproven = |why: String| Refusal::Unproven(format!("{}: {why}", domain.as_str()));
        let texts = texts.map_err(|error| unproven(error.to_string()))?;
        let keys: Vec<_> = texts.iter().filter_map(|text| KeyRecord::find(text)).take(MOST_KEYS).collect();
        if keys.is_empty() {
            return Err(unproven("it publishes no key".into()));
        }
        if !keys.iter().any(|key| key.verifies(message, &signature)) {
            return Err(unproven(format!(
                "the signature is of none of the {} keys that it publishes",
                keys.len()
            )));
        }
        let globs = domain.globs(place == Place::Dns);
        Proven::new(place.method(), domain.as_str(), globs)
            .ok_or_else(|| unproven("the domain is longer than any namespace".into()))
    }

    fn parts(&self, now: Timestamp) -> Result<Parts<'_>, Refusal> {
        let domain = self
            .domain
            .parse()
            .map_err(|error: super::domain::DomainError| Refusal::Malformed(error.to_string()))?;
        let malformed = |text: &str| Refusal::Malformed(text.into());
        let signature = hex_bytes(&self.signed_timestamp)
            .filter(|bytes| matches!(bytes.len(), 64 | 96))
            .ok_or_else(|| {
                malformed("`signed_timestamp` must be a signature of 64 or 96 bytes, in hexadecimal digits")
            })?;
        let at = Timestamp::parse(&self.timestamp)
            .ok_or_else(|| malformed("`timestamp` must be a time such as 2026-01-31T12:00:00Z"))?;
        if at.0.abs_diff(now.0) > Timestamp::from_seconds(WINDOW).0 {
            return Err(Refusal::Unproven(format!("the time that was signed is {at}, and it is {now}")));
        }
        Ok(Parts { domain, message: self.timestamp.as_bytes(), signature })
    }
}

/// The lines of the domain's file.
async fn file(outside: &dyn Outside, domain: &Domain) -> Result<Vec<String>, OutboundError> {
    let url = format!("https://{}/.well-known/mcp-registry-auth", domain.as_str());
    let url = url.parse().map_err(|_| OutboundError::NoHost(url))?;
    let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("text/plain"))]);
    let found = outside.fetch(Ask { url, headers, form: None, most_bytes: FILE_BYTES }).await?;
    if found.status != StatusCode::OK {
        return Err(OutboundError::Exchange(format!("it answers {}", found.status)));
    }
    Ok(String::from_utf8_lossy(&found.body).lines().map(str::to_owned).collect())
}

/// The bytes of hexadecimal digits.
pub(crate) fn hex_bytes(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?);
    digits.as_bytes().chunks(2).map(pair).collect()
}
