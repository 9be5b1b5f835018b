//! Signing keys: each node makes its own, and only the public half stands here.
//!
//! `prepared` (published, unused) → `active` (signs) → `retired` (verifies until its last descriptor has
//! ended) → removed; or `revoked` (verifies nothing from now on) from any state.

use crate::{NodeId, Outcome, Principal, Registry, Rejection, Right, Timestamp, settings::TTL_CEILING};
use hapi_descriptor::{Jwk, JwkError};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// How long after its first key a cluster counts as forming, in seconds. A constant, so that a longer
/// [`Settings::key_prepublish`](crate::Settings::key_prepublish) never makes an old cluster a forming one.
const FORMING: u32 = 60;

/// The name of a key: its RFC 7638 thumbprint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Kid(Arc<str>);

impl Kid {
    /// The thumbprint, base64url.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Kid {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A public key in the form of the log: the 32 bytes of RFC 8032 §5.1.5, judged anew when they are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "[u8; 32]", into = "[u8; 32]")]
pub struct PublicKey(Jwk);

impl PublicKey {
    /// The key as a JWK.
    pub fn jwk(&self) -> &Jwk {
        &self.0
    }

    /// Its name.
    pub fn kid(&self) -> Kid {
        Kid(self.0.kid().into())
    }
}

impl From<Jwk> for PublicKey {
    fn from(jwk: Jwk) -> Self {
        Self(jwk)
    }
}

impl TryFrom<[u8; 32]> for PublicKey {
    type Error = JwkError;

    fn try_from(bytes: [u8; 32]) -> Result<Self, JwkError> {
        Jwk::from_public_bytes(&bytes).map(Self)
    }
}

impl From<PublicKey> for [u8; 32] {
    fn from(key: PublicKey) -> Self {
        *key.0.public_bytes()
    }
}

/// Where a key is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// Published, so that verifiers learn of it; signs nothing.
    Prepared,
    /// Signs.
    Active,
    /// Signs no more, still verifies.
    Retired,
    /// Verifies nothing.
    Revoked,
}

impl KeyState {
    /// The state's name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Revoked => "revoked",
        }
    }
}

/// The public half of a node's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// The node that holds the private half.
    pub node: NodeId,
    /// The public key.
    pub public: PublicKey,
    /// Where it is in its life.
    pub state: KeyState,
    /// When it was published.
    pub published_at: Timestamp,
    /// When it came into its present state.
    pub changed_at: Timestamp,
}

impl SigningKey {
    /// The most keys of one node that are prepared, active or retired at a time.
    pub const MAX_LIVE: usize = 3;

    /// How long a retired key still verifies, in seconds: the longest descriptor and a verifier's
    /// leeway, with room for the clocks of two nodes to differ.
    pub const RETIRED_LIFE: u64 = TTL_CEILING as u64 + 15;
}

impl Registry {
    pub(crate) fn publish_key(&mut self, by: &Principal, public: &PublicKey) -> Result<Outcome, Rejection> {
        let node = self.require_node(by)?;
        if !self.roster.contains_key(&node) {
            return Err(Rejection::NodeNotFound(node));
        }
        let kid = public.kid();
        if self.keys.contains_key(&kid) {
            return Err(Rejection::KeyExists(kid));
        }
        let live = self.keys_of(node).filter(|(_, key)| key.state != KeyState::Revoked).count();
        if live >= SigningKey::MAX_LIVE {
            return Err(Rejection::TooManyKeys { node, limit: SigningKey::MAX_LIVE });
        }
        let (state, at) = (KeyState::Prepared, self.at);
        let key = SigningKey { node, public: public.clone(), state, published_at: at, changed_at: at };
        self.keys.insert(kid, Arc::new(key));
        Ok(Outcome::Done)
    }

    /// Makes a prepared key sign; the node's former active key retires in the same entry.
    pub(crate) fn activate_key(&mut self, by: &Principal, kid: &Kid) -> Result<Outcome, Rejection> {
        let key = self.own_key(by, kid)?;
        if key.state != KeyState::Prepared {
            return Err(Rejection::WrongKeyState(kid.clone(), key.state));
        }
        self.require_known(kid, &key)?;
        self.take_over(key.node, kid);
        Ok(Outcome::Done)
    }

    /// Makes the oldest spare of a node sign, by an operator's word.
    pub(crate) fn rotate_key(&mut self, by: &Principal, node: NodeId) -> Result<Outcome, Rejection> {
        self.require(by, Right::Operate)?;
        if !self.is_active_member(node) {
            return Err(Rejection::NodeNotFound(node));
        }
        let spares = self.keys_of(node).filter(|(_, key)| key.state == KeyState::Prepared);
        let oldest =
            spares.min_by_key(|(_, key)| key.published_at).map(|(kid, key)| (kid.clone(), key.clone()));
        let (kid, key) = oldest.ok_or(Rejection::NoSpareKey(node))?;
        self.require_known(&kid, &key)?;
        self.take_over(node, &kid);
        Ok(Outcome::Done)
    }

    /// A key signs only after verifiers have had the time to learn of it.
    fn require_known(&self, kid: &Kid, key: &SigningKey) -> Result<(), Rejection> {
        let ready_at = key.published_at.plus_seconds(self.settings.key_prepublish.into());
        if self.at < ready_at && !self.is_forming(self.at) {
            return Err(Rejection::KeyTooYoung { kid: kid.clone(), ready_at });
        }
        Ok(())
    }

    fn take_over(&mut self, node: NodeId, kid: &Kid) {
        let former: Vec<_> = self
            .keys_of(node)
            .filter(|(_, key)| key.state == KeyState::Active)
            .map(|(kid, _)| kid.clone())
            .collect();
        for former in former {
            self.set_key_state(&former, KeyState::Retired);
        }
        self.set_key_state(kid, KeyState::Active);
    }

    pub(crate) fn retire_key(&mut self, by: &Principal, kid: &Kid) -> Result<Outcome, Rejection> {
        let key = self.manageable_key(by, kid)?;
        if !matches!(key.state, KeyState::Active | KeyState::Prepared) {
            return Err(Rejection::WrongKeyState(kid.clone(), key.state));
        }
        self.set_key_state(kid, KeyState::Retired);
        Ok(Outcome::Done)
    }

    /// Forgets a retired key once nothing that it signed can still be valid.
    pub(crate) fn remove_key(&mut self, by: &Principal, kid: &Kid) -> Result<Outcome, Rejection> {
        let key = self.manageable_key(by, kid)?;
        if key.state != KeyState::Retired {
            return Err(Rejection::WrongKeyState(kid.clone(), key.state));
        }
        let ready_at = key.changed_at.plus_seconds(SigningKey::RETIRED_LIFE);
        if self.at < ready_at {
            return Err(Rejection::KeyStillNeeded { kid: kid.clone(), ready_at });
        }
        self.keys.remove(kid);
        Ok(Outcome::Done)
    }

    /// Revoked keys stay listed here for ever: a key that was stolen must not be published again.
    pub(crate) fn revoke_key(&mut self, by: &Principal, kid: &Kid) -> Result<Outcome, Rejection> {
        if self.manageable_key(by, kid)?.state != KeyState::Revoked {
            self.set_key_state(kid, KeyState::Revoked);
        }
        Ok(Outcome::Done)
    }

    pub(crate) fn end_key(&mut self, kid: &Kid) {
        if self.key(kid).is_some_and(|key| key.state != KeyState::Revoked) {
            self.set_key_state(kid, KeyState::Revoked);
        }
    }

    /// Revokes all keys of a node by which something may be out. Its spare has signed nothing yet.
    pub(crate) fn end_keys_in_use(&mut self, node: NodeId) {
        self.revoke_keys(|key| key.node == node && key.state != KeyState::Prepared);
    }

    pub(crate) fn revoke_keys_of(&mut self, node: NodeId) {
        self.revoke_keys(|key| key.node == node);
    }

    pub(crate) fn revoke_all_keys(&mut self) {
        self.revoke_keys(|_| true);
    }

    fn revoke_keys(&mut self, concerned: impl Fn(&SigningKey) -> bool) {
        let live = self.keys.iter().filter(|(_, key)| key.state != KeyState::Revoked && concerned(key));
        let kids: Vec<_> = live.map(|(kid, _)| kid.clone()).collect();
        for kid in kids {
            self.set_key_state(&kid, KeyState::Revoked);
        }
    }

    fn set_key_state(&mut self, kid: &Kid, state: KeyState) {
        if let Some(key) = self.keys.get(kid) {
            let key = SigningKey { state, changed_at: self.at, ..(**key).clone() };
            self.keys.insert(kid.clone(), Arc::new(key));
        }
    }

    /// While the cluster's first keys are still being published no verifier can have cached a set
    /// without them, so that there is nothing to wait for.
    pub fn is_forming(&self, now: Timestamp) -> bool {
        let first = self.keys.values().map(|key| key.published_at).min();
        let window = FORMING.min(self.settings.key_prepublish);
        first.is_none_or(|first| now < first.plus_seconds(window.into()))
    }

    fn own_key(&self, by: &Principal, kid: &Kid) -> Result<Arc<SigningKey>, Rejection> {
        let node = self.require_node(by)?;
        let key = self.keys.get(kid).filter(|key| key.node == node);
        key.cloned().ok_or_else(|| Rejection::KeyNotFound(kid.clone()))
    }

    fn manageable_key(&self, by: &Principal, kid: &Kid) -> Result<Arc<SigningKey>, Rejection> {
        if matches!(by, Principal::Node(_)) {
            return self.own_key(by, kid);
        }
        self.require(by, Right::Operate)?;
        self.keys.get(kid).cloned().ok_or_else(|| Rejection::KeyNotFound(kid.clone()))
    }

    pub(crate) fn require_node(&self, by: &Principal) -> Result<NodeId, Rejection> {
        match by {
            Principal::Node(node) => Ok(*node),
            _ => Err(Rejection::Forbidden(Right::Operate)),
        }
    }

    /// The keys of one node, by kid.
    pub fn keys_of(&self, node: NodeId) -> impl Iterator<Item = (&Kid, &SigningKey)> {
        self.keys().filter(move |(_, key)| key.node == node)
    }

    /// The key of this name.
    pub fn key(&self, kid: &Kid) -> Option<&SigningKey> {
        self.keys.get(kid).map(|key| &**key)
    }

    /// All keys, by kid.
    pub fn keys(&self) -> impl Iterator<Item = (&Kid, &SigningKey)> {
        self.keys.iter().map(|(kid, key)| (kid, &**key))
    }

    /// The public keys that verifiers should know, by kid: all but the revoked.
    pub fn published_keys(&self) -> impl Iterator<Item = &Jwk> {
        self.keys().filter(|(_, key)| key.state != KeyState::Revoked).map(|(_, key)| key.public.jwk())
    }
}
