//! This node's signing keys: made here, kept here, and led through their life.
//!
//! The private half is a file of mode 0600 in the data folder and never leaves it; the public half is a
//! committed entry. The keeper sees to one active key, one prepared spare, and a daily change.

use crate::{clock, publisher_token};
use arc_swap::ArcSwap;
use hapi_descriptor::Signer;
use hapi_raft::{Committed, Replica};
use hapi_registry_state::{
    Command, KeyState, Kid, NodeId, Outcome, Principal, PublicKey, Registry, Rejection, SigningKey, Timestamp,
};
use rustix::fs::{Mode, OFlags};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use zeroize::Zeroizing;

/// How long a key signs before its spare takes over, in seconds.
const ROTATION: u64 = 86_400;

/// How often the keeper looks whether something is due.
const LOOK: Duration = Duration::from_secs(1);

/// How long a retired key is kept, in seconds: until the last descriptor that it has signed has ended, which the
/// registry sees to, and the last publisher token, with the same room for clocks that differ. A node that needs the
/// place for its spare waits for descriptors alone: publishers prove themselves anew.
const KEPT: u64 = {
    let publishers = publisher_token::LIFE + 15;
    if publishers > SigningKey::RETIRED_LIFE { publishers } else { SigningKey::RETIRED_LIFE }
};

/// Rest after the registry rejected an act: most often a clock that is ahead of the leader's.
const REST: Duration = Duration::from_secs(10);

/// The private keys of this node.
pub(crate) struct Signing {
    folder: PathBuf,
    /// Written by the keeper alone, read by every issue.
    keys: ArcSwap<BTreeMap<Kid, Arc<Signer>>>,
}

impl Signing {
    /// Reads the keys under `data_dir/keys`.
    pub(crate) fn open(data_dir: &Path) -> io::Result<Self> {
        let folder = data_dir.join("keys");
        fs::create_dir_all(&folder)?;
        let mut keys = BTreeMap::new();
        for file in fs::read_dir(&folder)? {
            let signer = read_key(&file?.path())?;
            keys.insert(Kid::from(signer.kid()), Arc::new(signer));
        }
        Ok(Self { folder, keys: ArcSwap::from_pointee(keys) })
    }

    /// The key that signs for `node` by the word of `state`; none while the node has none that may.
    pub(crate) fn signer(&self, state: &Registry, node: NodeId) -> Option<(Kid, Arc<Signer>)> {
        let held = self.keys.load();
        let mut active = state.keys_of(node).filter(|(_, key)| key.state == KeyState::Active);
        active.find_map(|(kid, _)| held.get(kid).map(|signer| (kid.clone(), signer.clone())))
    }

    /// Leads the keys through their life until the process ends.
    pub(crate) async fn keep(&self, replica: &Replica, http: &str, version: &str) {
        loop {
            let rest = match self.due(&replica.state(), replica.node_id(), http, version) {
                Some(command) => propose(replica, command).await,
                None => {
                    self.delete_forgotten(replica).await;
                    LOOK
                }
            };
            tokio::time::sleep(rest).await;
        }
    }

    /// The next act that is due, if any. What makes room for a new key goes first.
    fn due(&self, state: &Registry, node: NodeId, http: &str, version: &str) -> Option<Command> {
        if state.member(node).is_none_or(|member| member.http != http || member.version != version) {
            return Some(Command::JoinRoster { http: http.into(), version: version.into() });
        }
        // Published and retired by the cluster's time, which may be ahead of this node's clock.
        let now = clock::now().max(state.at());
        let keys: Vec<_> = state.keys_of(node).filter(|(_, key)| key.state != KeyState::Revoked).collect();
        self.orphan(&keys)
            .or_else(|| ended(&keys, now))
            .or_else(|| self.takeover(state, &keys, now))
            .or_else(|| self.spare(state, &keys))
    }

    /// A key whose private half is lost signs nothing any more.
    fn orphan(&self, keys: &[(&Kid, &SigningKey)]) -> Option<Command> {
        let held = self.keys.load();
        let lost =
            |(kid, key): &&(&Kid, &SigningKey)| key.state != KeyState::Retired && !held.contains_key(*kid);
        keys.iter().find(lost).map(|(kid, _)| Command::RetireKey((*kid).clone()))
    }

    /// The spare takes over when no key signs, and once a day.
    fn takeover(&self, state: &Registry, keys: &[(&Kid, &SigningKey)], now: Timestamp) -> Option<Command> {
        let in_state = |wanted| keys.iter().find(move |(_, key)| key.state == wanted);
        let (kid, spare) = in_state(KeyState::Prepared)?;
        let prepublish = u64::from(state.settings().key_prepublish);
        let is_known = now >= spare.published_at.plus_seconds(prepublish) || state.is_forming(now);
        let is_old = |(_, key): &(&Kid, &SigningKey)| now >= key.changed_at.plus_seconds(ROTATION);
        let is_due = in_state(KeyState::Active).is_none_or(is_old);
        (is_known && is_due).then(|| Command::ActivateKey((*kid).clone()))
    }

    /// A published spare is always at hand, as far as the limit of live keys leaves room.
    fn spare(&self, state: &Registry, keys: &[(&Kid, &SigningKey)]) -> Option<Command> {
        let has_spare = keys.iter().any(|(_, key)| key.state == KeyState::Prepared);
        if has_spare || keys.len() >= SigningKey::MAX_LIVE {
            return None;
        }
        self.unpublished(state).or_else(|| self.make_key())
    }

    /// A key that was made here but whose publication did not go through.
    fn unpublished(&self, state: &Registry) -> Option<Command> {
        let held = self.keys.load();
        let (_, signer) = held.iter().find(|(kid, _)| state.key(kid).is_none())?;
        Some(Command::PublishKey(PublicKey::from(signer.public_jwk().clone())))
    }

    fn make_key(&self) -> Option<Command> {
        let mut seed = Zeroizing::new([0; 32]);
        clock::fill_random(&mut *seed);
        let signer = Signer::from_seed(seed.clone());
        let public = PublicKey::from(signer.public_jwk().clone());
        if let Err(error) = write_key(&self.folder, signer.kid(), &seed) {
            tracing::error!(%error, "a new signing key could not be saved");
            return None;
        }
        let mut keys = BTreeMap::clone(&self.keys.load());
        keys.insert(Kid::from(signer.kid()), Arc::new(signer));
        self.keys.store(Arc::new(keys));
        Some(Command::PublishKey(public))
    }

    /// Deletes private keys that the registry does not list (any more), or lists as revoked. A state that
    /// lags behind must not have the word on that.
    async fn delete_forgotten(&self, replica: &Replica) {
        if self.forgotten(&replica.state()).is_empty() || replica.read_index().await.is_err() {
            return;
        }
        let mut keys = BTreeMap::clone(&self.keys.load());
        for kid in self.forgotten(&replica.state()) {
            if let Err(error) = fs::remove_file(self.folder.join(kid.as_str())) {
                tracing::warn!(%kid, %error, "an old signing key could not be deleted");
            }
            keys.remove(&kid);
        }
        self.keys.store(Arc::new(keys));
    }

    fn forgotten(&self, state: &Registry) -> Vec<Kid> {
        let is_live = |kid: &Kid| state.key(kid).is_some_and(|key| key.state != KeyState::Revoked);
        self.keys.load().keys().filter(|kid| !is_live(kid)).cloned().collect()
    }
}

/// A retired key of which everything has ended, or all descriptors if its place is needed.
fn ended(keys: &[(&Kid, &SigningKey)], now: Timestamp) -> Option<Command> {
    let has_spare = keys.iter().any(|(_, key)| key.state == KeyState::Prepared);
    let has_room = has_spare || keys.len() < SigningKey::MAX_LIVE;
    let kept = if has_room { KEPT } else { SigningKey::RETIRED_LIFE };
    let ended = |(_, key): &&(&Kid, &SigningKey)| {
        key.state == KeyState::Retired && now > key.changed_at.plus_seconds(kept)
    };
    keys.iter().find(ended).map(|(kid, _)| Command::RemoveKey((*kid).clone()))
}

/// Proposes in this node's own name; yields how long to rest before the next act.
async fn propose(replica: &Replica, command: Command) -> Duration {
    let act = command.act();
    match replica.propose(Principal::Node(replica.node_id()), command).await {
        // That it was removed a node learns from its peers, and says it then with what follows.
        Ok(Committed { outcome: Outcome::Rejected(Rejection::NodeRemoved(_)), .. }) => REST,
        Ok(Committed { outcome: Outcome::Rejected(rejection), .. }) => {
            tracing::warn!(act, %rejection, "the registry rejected this node's own act");
            REST
        }
        Ok(Committed { index, .. }) => {
            tracing::info!(act, index, "done");
            Duration::ZERO
        }
        Err(error) => {
            tracing::debug!(act, %error, "not now");
            LOOK
        }
    }
}

fn read_key(path: &Path) -> io::Result<Signer> {
    let bytes = Zeroizing::new(fs::read(path)?);
    let seed: [u8; 32] = bytes.as_slice().try_into().map_err(|_| {
        io::Error::other(format!("{} is no signing key: it must hold 32 bytes", path.display()))
    })?;
    let signer = Signer::from_seed(Zeroizing::new(seed));
    if path.file_name().and_then(|name| name.to_str()) != Some(signer.kid()) {
        return Err(io::Error::other(format!("{} holds another key than its name says", path.display())));
    }
    Ok(signer)
}

/// Writes the key so that it is there whole or not at all: it is published only after it is on disk.
fn write_key(folder: &Path, kid: &str, seed: &[u8; 32]) -> io::Result<()> {
    let temporary = folder.with_extension("new");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let file = rustix::fs::open(&temporary, flags, Mode::RUSR | Mode::WUSR)?;
    let mut file = fs::File::from(file);
    io::Write::write_all(&mut file, seed)?;
    file.sync_all()?;
    fs::rename(&temporary, folder.join(kid))?;
    fs::File::open(folder)?.sync_all()
}
