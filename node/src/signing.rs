//! This node's signing keys: made here, kept here, and led through their life.
//!
//! The private half is a file of mode 0600 in the data folder and never leaves it; the public half is a
//! committed entry. The keeper sees to one active key, one prepared spare, and a daily change.

use crate::clock;
use arc_swap::ArcSwapOption;
use hapi_descriptor::Signer;
use hapi_raft::Replica;
use hapi_registry_state::{Command, KeyState, Kid, Outcome, Principal, PublicKey, Registry, SigningKey};
use rustix::fs::{Mode, OFlags};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use zeroize::Zeroizing;

/// How long a key signs before its spare takes over, in seconds.
const ROTATION: u64 = 86_400;

/// How often the keeper looks whether something is due.
const LOOK: Duration = Duration::from_secs(1);

/// The private keys of this node, and the one that signs now.
pub(crate) struct Signing {
    folder: PathBuf,
    keys: Mutex<BTreeMap<Kid, Arc<Signer>>>,
    current: ArcSwapOption<ActiveSigner>,
}

/// A key that may sign, with its name as the registry knows it.
#[derive(Debug)]
pub(crate) struct ActiveSigner {
    /// The key.
    pub(crate) signer: Arc<Signer>,
    /// Its name.
    pub(crate) kid: Kid,
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
        Ok(Self { folder, keys: Mutex::new(keys), current: ArcSwapOption::empty() })
    }

    /// The key that signs now; none while the node has none that may.
    pub(crate) fn current(&self) -> Option<Arc<ActiveSigner>> {
        self.current.load_full()
    }

    /// Leads the keys through their life until the process ends.
    pub(crate) async fn keep(&self, replica: &Replica, http: &str, version: &str) {
        loop {
            if let Some(command) = self.due(&replica.state(), replica, http, version) {
                self.propose(replica, command).await;
                continue;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn propose(&self, replica: &Replica, command: Command) {
        let act = command.act();
        match replica.propose(Principal::Node(replica.node_id()), command).await {
            Ok(committed) => match committed.outcome {
                Outcome::Rejected(rejection) => {
                    tracing::warn!(act, %rejection, "the registry rejected this node's own act");
                    tokio::time::sleep(LOOK).await;
                }
                _ => tracing::info!(act, index = committed.index, "done"),
            },
            Err(error) => {
                tracing::debug!(act, %error, "not now");
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// The next act that is due, if any. Along the way, lets the active key sign.
    fn due(&self, state: &Registry, replica: &Replica, http: &str, version: &str) -> Option<Command> {
        let node = replica.node_id();
        let listed = state.roster().find(|(id, _)| *id == node).map(|(_, member)| member);
        if listed.is_none_or(|member| member.http != http || member.version != version) {
            return Some(Command::JoinRoster { http: http.into(), version: version.into() });
        }
        let keys: Vec<_> = state.keys_of(node).collect();
        let in_state = |wanted| keys.iter().filter(move |(kid, key)| key.state == wanted && self.holds(kid));
        let active = in_state(KeyState::Active).next();
        let spare = in_state(KeyState::Prepared).next();
        self.let_sign(active.map(|(kid, _)| *kid));
        let now = clock::now();
        let prepublish = u64::from(state.settings().key_prepublish);
        let is_ripe =
            |key: &SigningKey| now >= key.published_at.plus_seconds(prepublish) || state.is_forming(now);
        let is_old = |key: &SigningKey| now >= key.changed_at.plus_seconds(ROTATION);
        match (active, spare) {
            (_, None) => self.unpublished(state).or_else(|| self.make_key()),
            (None, Some((kid, key))) if is_ripe(key) => Some(Command::ActivateKey((*kid).clone())),
            (Some((_, old)), Some((kid, key))) if is_old(old) && is_ripe(key) => {
                Some(Command::ActivateKey((*kid).clone()))
            }
            _ => self.forgettable(state, &keys, now.seconds()),
        }
    }

    fn holds(&self, kid: &Kid) -> bool {
        self.lock().contains_key(kid)
    }

    fn let_sign(&self, kid: Option<&Kid>) {
        let current = self.current.load();
        if current.as_ref().map(|active| &active.kid) == kid {
            return;
        }
        let signer = kid.and_then(|kid| self.lock().get(kid).cloned().map(|signer| (signer, kid.clone())));
        self.current.store(signer.map(|(signer, kid)| Arc::new(ActiveSigner { signer, kid })));
    }

    /// A retired key whose descriptors have all ended. Keys whose private half is lost go first.
    fn forgettable(&self, state: &Registry, keys: &[(&Kid, &SigningKey)], now: u64) -> Option<Command> {
        let retired = |key: &SigningKey| key.state == KeyState::Retired;
        let ended = |key: &SigningKey| now > key.changed_at.seconds() + SigningKey::RETIRED_LIFE;
        let orphan = |kid: &Kid, key: &SigningKey| {
            matches!(key.state, KeyState::Prepared | KeyState::Active) && !self.holds(kid)
        };
        if let Some((kid, _)) = keys.iter().find(|(kid, key)| orphan(kid, key)) {
            return Some(Command::RetireKey((*kid).clone()));
        }
        let due = keys.iter().find(|(_, key)| retired(key) && ended(key)).map(|(kid, _)| (*kid).clone());
        self.delete_files_of_forgotten(state);
        due.map(Command::RemoveKey)
    }

    /// Deletes private keys that the registry no longer lists, or lists as revoked.
    fn delete_files_of_forgotten(&self, state: &Registry) {
        let live =
            |kid: &Kid| state.keys().any(|(known, key)| known == kid && key.state != KeyState::Revoked);
        let mut keys = self.lock();
        let gone: Vec<_> = keys.keys().filter(|kid| !live(kid)).cloned().collect();
        for kid in gone {
            if let Err(error) = fs::remove_file(self.folder.join(kid.as_str())) {
                tracing::warn!(%kid, %error, "an old signing key could not be deleted");
            }
            keys.remove(&kid);
        }
    }

    /// A key that was made here but whose publication did not go through.
    fn unpublished(&self, state: &Registry) -> Option<Command> {
        let listed = |kid: &Kid| state.keys().any(|(known, _)| known == kid);
        let keys = self.lock();
        let (_, signer) = keys.iter().find(|(kid, _)| !listed(kid))?;
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
        self.lock().insert(Kid::from(signer.kid()), Arc::new(signer));
        Some(Command::PublishKey(public))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Kid, Arc<Signer>>> {
        self.keys.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
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
