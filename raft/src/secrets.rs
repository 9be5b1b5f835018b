//! Which cluster secrets each member has in force. Every message of the peer plane says so in a header.

use crate::{
    node::Node,
    peer::{message::SecretsRequest, route::Lane},
};
use hapi_registry_state::{NodeId, SecretFingerprint};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// The header in which a node names its secrets by their fingerprints, the one that signs first. A header and no field
/// of a message, so that nodes without it understand each other.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("hapi-secrets");

/// What a member said counts for so long. The leader hears of everybody several times a second; who is silent may have
/// been started with other secrets meanwhile.
const FRESH: Duration = Duration::from_secs(5);

/// The secrets of one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretsInForce {
    /// The one that signs its certificate.
    pub signs: SecretFingerprint,
    /// Those by which it verifies the certificates of others, the one above among them.
    pub verifies: BTreeSet<SecretFingerprint>,
}

impl SecretsInForce {
    pub(crate) fn header(&self) -> HeaderValue {
        let others = self.verifies.iter().filter(|fingerprint| **fingerprint != self.signs);
        let text = others.fold(self.signs.to_string(), |text, other| format!("{text},{other}"));
        #[expect(clippy::expect_used, reason = "hexadecimal digits and commas")]
        HeaderValue::from_str(&text).expect("a header's value")
    }

    fn parse(header: &HeaderValue) -> Option<Self> {
        let listed = header.to_str().ok()?.split(',').map(str::parse);
        let listed: Vec<SecretFingerprint> = listed.collect::<Result<_, _>>().ok()?;
        Some(Self { signs: *listed.first()?, verifies: listed.into_iter().collect() })
    }
}

/// How long the leader may take to say what it has heard. It answers from memory.
const ASK_TIMEOUT: Duration = Duration::from_millis(300);

impl Node {
    /// What the members said of late, and this node's own.
    pub(crate) fn secrets_heard(&self) -> BTreeMap<u64, SecretsInForce> {
        let members: BTreeSet<u64> = self.directory.members().into_keys().collect();
        self.pool.heard().keep(&members);
        let mut heard = self.pool.heard().recent(Instant::now());
        heard.insert(self.id, self.tls().keys().in_force.clone());
        heard
    }

    /// The same, and what the leader has heard, whom everybody talks to.
    pub(crate) async fn secrets_of_members(&self) -> BTreeMap<NodeId, SecretsInForce> {
        let mut heard = BTreeMap::new();
        if let Some(leader) = self.leader().filter(|leader| *leader != self.id) {
            // Without an answer there is the own knowledge.
            let asked = self.pool.ask(leader, Lane::Pulse, &SecretsRequest, ASK_TIMEOUT).await;
            heard.extend(asked.unwrap_or_default());
        }
        heard.extend(self.secrets_heard());
        heard.into_iter().map(|(node, secrets)| (NodeId(node), secrets)).collect()
    }
}

/// What members said last.
#[derive(Default)]
pub(crate) struct Heard(Mutex<BTreeMap<u64, Word>>);

struct Word {
    header: HeaderValue,
    secrets: SecretsInForce,
    at: Instant,
}

impl Heard {
    /// Notes what the member `node` says in the headers of a message.
    pub(crate) fn note(&self, node: u64, headers: &HeaderMap) {
        let Some(header) = headers.get(HEADER) else { return };
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = Instant::now();
        match heard.get_mut(&node) {
            Some(word) if word.header == *header => word.at = at,
            _ => {
                if let Some(secrets) = SecretsInForce::parse(header) {
                    heard.insert(node, Word { header: header.clone(), secrets, at });
                }
            }
        }
    }

    /// What those said who spoke just before `now`.
    pub(crate) fn recent(&self, now: Instant) -> BTreeMap<u64, SecretsInForce> {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = heard.iter().filter(|(_, word)| now.saturating_duration_since(word.at) <= FRESH);
        recent.map(|(node, word)| (*node, word.secrets.clone())).collect()
    }

    /// Forgets all but these.
    pub(crate) fn keep(&self, members: &BTreeSet<u64>) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.retain(|node, _| members.contains(node));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;

    fn fingerprint(byte: u8) -> SecretFingerprint {
        SecretFingerprint([byte; 6])
    }

    fn headers(text: &str) -> HeaderMap {
        HeaderMap::from_iter([(HEADER, HeaderValue::from_str(text).unwrap())])
    }

    #[test]
    fn the_one_that_signs_comes_first() {
        let secrets = SecretsInForce { signs: fingerprint(9), verifies: [1, 9].map(fingerprint).into() };
        assert_eq!(secrets.header(), "090909090909,010101010101");
        assert_eq!(SecretsInForce::parse(&secrets.header()), Some(secrets));
    }

    #[test]
    fn the_last_word_counts_and_not_for_ever() {
        let heard = Heard::default();
        heard.note(1, &headers("010101010101"));
        heard.note(1, &headers("no fingerprint"));
        heard.note(2, &HeaderMap::new());
        assert_eq!(heard.recent(Instant::now()).into_keys().collect::<Vec<_>>(), [1]);
        heard.note(1, &headers("020202020202,010101010101"));
        assert_eq!(heard.recent(Instant::now())[&1].signs, fingerprint(2));
        assert!(heard.recent(Instant::now() + FRESH * 2).is_empty());
        heard.keep(&BTreeSet::from([2]));
        assert!(heard.recent(Instant::now()).is_empty());
    }
}
