//! The head of the audit chain, signed: what a node says that all records up to an index hash to.
//!
//! The same keys sign descriptors; the type in the header keeps them apart. A head has no end: it says what the chain was
//! at an index, which stays so. Who keeps one can show later that nobody has rewritten what came before it.

use hapi_descriptor::{KeySet, Refusal, Signer, Typ, open};
use hapi_registry_state::{NodeId, Registry};
use serde::{Deserialize, Serialize};

/// What a head says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AuditHead {
    pub(crate) iss: String,
    /// When it was signed, in seconds since the Unix epoch.
    pub(crate) iat: u64,
    /// The node that says so.
    pub(crate) node: String,
    pub(crate) incarnation: u64,
    /// The index of the state that it was read from.
    pub(crate) index: u64,
    /// How many records there are.
    pub(crate) records: u64,
    /// The index of the oldest record, 0 if there is none: all are kept.
    pub(crate) first: u64,
    /// The index of the newest record, 0 if there is none.
    pub(crate) last: u64,
    /// The chain's hash after it, in hexadecimal digits.
    pub(crate) head: String,
}

impl AuditHead {
    /// The head of `state`, as `node` says it at `now`.
    pub(crate) fn of(state: &Registry, node: NodeId, issuer: &str, now: u64) -> Self {
        Self {
            iss: issuer.to_owned(),
            iat: now,
            node: node.to_string(),
            incarnation: state.incarnation(),
            index: state.applied(),
            records: state.audit_length() as u64,
            first: state.audit_chain_after(0).next().map_or(0, |first| first.record.index),
            last: state.audit_last().map_or(0, |last| last.record.index),
            head: crate::api::hex(&state.audit_head()),
        }
    }

    /// `None` if it has no JSON, which cannot be.
    pub(crate) fn sign(&self, signer: &Signer) -> Option<String> {
        signer.sign_as(Typ::AuditHead, self).ok()
    }
}

/// A head that a key of the cluster has signed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) head: AuditHead,
    /// Which key.
    pub(crate) kid: String,
}

/// Reads a signed head.
///
/// # Errors
/// It is none, or not one of this issuer.
pub(crate) fn read(text: &str, keys: &KeySet, issuer: &str) -> Result<Signed, Refusal> {
    let opened = open(text.trim(), Typ::AuditHead, keys)?;
    let head: AuditHead =
        serde_json::from_value(opened.payload.into()).map_err(|_| Refusal::ClaimMalformed("head"))?;
    if head.iss == issuer { Ok(Signed { head, kid: opened.kid }) } else { Err(Refusal::Issuer) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    const ISSUER: &str = "https://registry.example";

    #[test]
    fn a_head_comes_back_and_is_no_other_statement() {
        let signer = Signer::from_seed([42; 32].into());
        let keys: KeySet = [signer.public_jwk().clone()].into_iter().collect();
        let head = AuditHead::of(&Registry::default(), NodeId(7), ISSUER, 1_800_000_000);
        assert_eq!((head.records, head.first, head.last, &*head.head), (0, 0, 0, &*"0".repeat(64)));
        let text = head.sign(&signer).unwrap();
        assert_eq!(read(&text, &keys, ISSUER), Ok(Signed { head: head.clone(), kid: signer.kid().into() }));
        assert_eq!(read(&text, &keys, "https://other.example"), Err(Refusal::Issuer));
        assert_eq!(read(&text, &KeySet::default(), ISSUER), Err(Refusal::UnknownKey));
        for typ in [Typ::Descriptor, Typ::Revocations, Typ::Publisher] {
            assert_eq!(open(&text, typ, &keys), Err(Refusal::Type));
            let other = signer.sign_as(typ, &head).unwrap();
            assert_eq!(read(&other, &keys, ISSUER), Err(Refusal::Type));
        }
    }
}
