//! When tokens were last used: at this node, and what it tells the log of it.
//!
//! A use must cost neither an entry nor a wait. So each node remembers by itself, and tells the log once in an hour, all
//! tokens in one entry, and when it stops. A node that crashes forgets what it has not told: a token that was used may
//! look unused for an hour more, and never the other way round.

use hapi_raft::{ProposeError, Replica};
use hapi_registry_state::{Command, Principal, Registry, Timestamp, TokenId};
use std::{
    collections::HashMap,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// How often a node tells, and how much later a use must be than the one that the log knows.
const REST: Duration = Duration::from_secs(3_600);

/// How long a node that stops tries to tell.
const LAST_WORD: Duration = Duration::from_secs(1);

/// The most tokens of one entry. Those that are left over come next time.
const MOST: usize = 5_000;

/// The last uses here. Only tokens that the registry knows are noted, so that their number is bounded.
#[derive(Default)]
pub(crate) struct TokenUses(RwLock<HashMap<TokenId, AtomicU64>>);

impl TokenUses {
    /// Notes that the bearer of a token was admitted. To the second: most calls then find nothing to change.
    pub(crate) fn note(&self, id: &TokenId, now: Timestamp) {
        let seconds = now.seconds();
        {
            let uses = self.0.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(last) = uses.get(id) {
                if last.load(Relaxed) < seconds {
                    last.fetch_max(seconds, Relaxed);
                }
                return;
            }
        }
        let mut uses = self.0.write().unwrap_or_else(PoisonError::into_inner);
        uses.entry(id.clone()).or_default().fetch_max(seconds, Relaxed);
    }

    /// The last use that this node or the log knows.
    pub(crate) fn last(&self, id: &TokenId, state: &Registry) -> Option<Timestamp> {
        let uses = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let here = uses.get(id).map(|last| Timestamp::from_seconds(last.load(Relaxed)));
        here.max(state.token_use(id))
    }

    /// What the log is to be told: no token more often than once in an hour, however many nodes it is used at.
    fn untold(&self, state: &Registry) -> Vec<(TokenId, Timestamp)> {
        let uses = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let uses = uses.iter().map(|(id, last)| (id, Timestamp::from_seconds(last.load(Relaxed))));
        let is_news = |id: &TokenId, at: Timestamp| {
            state.token(id).is_some()
                && state.token_use(id).is_none_or(|known| at >= known.plus_seconds(REST.as_secs()))
        };
        let news = uses.filter(|(id, at)| is_news(id, *at)).map(|(id, at)| (id.clone(), at));
        news.take(MOST).collect()
    }

    /// Tells the log each hour.
    pub(crate) async fn keep(&self, replica: &Replica) {
        loop {
            tokio::time::sleep(REST).await;
            if let Err(error) = self.tell(replica).await {
                tracing::debug!(%error, "the log was not told when tokens were used");
            }
        }
    }

    /// Tells the log before this node stops, if it takes no time.
    pub(crate) async fn tell_at_last(&self, replica: &Replica) {
        let told = tokio::time::timeout(LAST_WORD, self.tell(replica)).await;
        if !matches!(told, Ok(Ok(()))) {
            tracing::debug!("the log was not told when tokens were used");
        }
    }

    async fn tell(&self, replica: &Replica) -> Result<(), ProposeError> {
        let uses = self.untold(&replica.state());
        if uses.is_empty() {
            return Ok(());
        }
        let (by, command) = (Principal::Node(replica.node_id()), Command::NoteTokenUses(uses));
        replica.propose(by, command).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use hapi_registry_state::{Entry, NewToken, NodeId, Role, mint};

    const BEGIN: Timestamp = Timestamp::from_seconds(1_800_000_000);

    /// A registry with one token.
    fn set() -> (Registry, TokenId) {
        let (_, presented) = mint(Role::Operator, || 7);
        let new = NewToken {
            id: presented.id.clone(),
            hash: presented.hash,
            role: Role::Operator,
            client: None,
            tenant: None,
            namespaces: Vec::new(),
            expires_at: None,
        };
        let mut registry = Registry::default();
        registry.apply(1, &Entry::new(BEGIN, Principal::ClusterSecret, Command::Bootstrap(new)));
        (registry, presented.id)
    }

    #[test]
    fn the_log_hears_of_a_token_once_in_an_hour() {
        let (mut registry, id) = set();
        let uses = TokenUses::default();
        assert!(uses.untold(&registry).is_empty() && uses.last(&id, &registry).is_none());
        let mut later = |seconds: u64| {
            let now = BEGIN.plus_seconds(seconds);
            uses.note(&id, now);
            let told = uses.untold(&registry);
            let command = Command::NoteTokenUses(told.clone());
            let entry = Entry::new(now, Principal::Node(NodeId(1)), command);
            registry.apply(registry.applied() + 1, &entry);
            assert_eq!(uses.last(&id, &registry), Some(now));
            told.into_iter().map(|(_, at)| at.seconds() - BEGIN.seconds()).collect::<Vec<_>>()
        };
        assert_eq!(later(5), [5]);
        assert!(later(6).is_empty());
        assert!(later(3_604).is_empty());
        assert_eq!(later(3_605), [3_605]);
    }

    #[test]
    fn a_later_use_elsewhere_is_the_last_one_and_an_unknown_token_is_told_of_to_nobody() {
        let (mut registry, id) = set();
        let uses = TokenUses::default();
        uses.note(&id, BEGIN);
        uses.note(&"AAAAAAAAAAAA".parse().unwrap(), BEGIN);
        assert_eq!(uses.untold(&registry), [(id.clone(), BEGIN)]);
        let elsewhere = BEGIN.plus_seconds(60);
        let command = Command::NoteTokenUses(vec![(id.clone(), elsewhere)]);
        registry.apply(2, &Entry::new(elsewhere, Principal::Node(NodeId(2)), command));
        assert_eq!(uses.last(&id, &registry), Some(elsewhere));
        uses.note(&id, BEGIN.plus_seconds(30));
        assert_eq!(uses.last(&id, &registry), Some(elsewhere));
    }
}
