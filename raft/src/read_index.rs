//! Linearizable reads: one round with a quorum for all who wait.

use crate::{
    node::Node,
    peer::{
        message::{ReadIndex, ReadIndexAnswer},
        route::Lane,
    },
    types::LogId,
};
use openraft::{
    ReadPolicy,
    errors::{LinearizableReadError, RaftError},
};
use std::{future::Future, time::Duration};
use thiserror::Error;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};

/// How long a reader waits for a leader, its quorum, and this node's own catching up.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one question to the leader may take.
const ROUND_TIMEOUT: Duration = Duration::from_secs(2);

const RETRY_PAUSE: Duration = Duration::from_millis(25);

/// Why a read cannot be linearizable now.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// No leader, or none that a quorum confirms.
    #[error("no leader confirmed a read index within {} s: {}", READ_TIMEOUT.as_secs(), .0)]
    NoLeader(String),
    /// The leader has confirmed, but this node has not applied the log up to there in time.
    #[error("this node has not applied the log up to index {0} in time")]
    Lagging(u64),
    /// The replica is stopping.
    #[error("the replica is stopping")]
    Stopped,
}

/// Shares rounds among callers: at most one is under way, and whoever asks meanwhile takes part in the
/// next. A caller must not share a round that began before it asked: a write may lie between.
pub(crate) struct Rounds<T> {
    queue: mpsc::UnboundedSender<oneshot::Sender<T>>,
}

impl<T: Clone + Send + 'static> Rounds<T> {
    /// Runs `round` whenever somebody waits. `taken` is told how many share each round.
    pub(crate) fn start<F>(
        round: impl Fn() -> F + Send + 'static,
        taken: impl Fn(usize) + Send + 'static,
    ) -> Self
    where
        F: Future<Output = T> + Send,
    {
        let (queue, mut waiting) = mpsc::unbounded_channel::<oneshot::Sender<T>>();
        tokio::spawn(async move {
            let mut callers = Vec::new();
            while waiting.recv_many(&mut callers, usize::MAX).await > 0 {
                taken(callers.len());
                let answer = round().await;
                for caller in callers.drain(..) {
                    // A caller that has gone needs no answer.
                    let _ = caller.send(answer.clone());
                }
            }
        });
        Self { queue }
    }

    /// Takes part in the next round. `None` once the replica is stopping.
    pub(crate) async fn join(&self) -> Option<T> {
        let (caller, answer) = oneshot::channel();
        self.queue.send(caller).ok()?;
        answer.await.ok()
    }
}

/// What came of a round of this node as leader.
#[derive(Clone, Debug)]
pub(crate) enum Round {
    /// A quorum knows no other leader; the last place in the log that is committed. It belongs to this
    /// leadership.
    At(LogId),
    /// Another node leads, if any.
    NotLeader { leader: Option<u64> },
    /// No quorum answered.
    NoQuorum(String),
}

impl From<Round> for ReadIndexAnswer {
    fn from(round: Round) -> Self {
        match round {
            Round::At(read) => Self::At(read.index),
            Round::NotLeader { leader } => Self::NotLeader { leader },
            Round::NoQuorum(reason) => Self::NoQuorum(reason),
        }
    }
}

impl Node {
    /// One round of this node as leader. `LeaseRead` would spare it, but a restarted voter forgets the lease
    /// it gave.
    pub(crate) async fn round_here(&self) -> Round {
        match self.raft.get_read_log_id(ReadPolicy::ReadIndex).await {
            Ok((read, _)) => Round::At(*read.log_id()),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
                Round::NotLeader { leader: forward.leader_id.filter(|leader| *leader != self.id) }
            }
            Err(error) => Round::NoQuorum(error.to_string()),
        }
    }

    /// One round, at whichever node leads.
    pub(crate) async fn round_anywhere(&self) -> Result<u64, ReadError> {
        let deadline = Instant::now() + READ_TIMEOUT;
        let mut reason = "no leader is known".to_owned();
        let mut hint = None;
        loop {
            match self.ask_round(hint.take()).await {
                ReadIndexAnswer::At(index) => return Ok(index),
                ReadIndexAnswer::NotLeader { leader } => hint = leader,
                ReadIndexAnswer::NoQuorum(text) => reason = text,
            }
            let pause = Instant::now() + RETRY_PAUSE;
            if pause >= deadline {
                return Err(ReadError::NoLeader(reason));
            }
            sleep_until(pause).await;
        }
    }

    async fn ask_round(&self, hint: Option<u64>) -> ReadIndexAnswer {
        match hint.or_else(|| self.leader()) {
            None => ReadIndexAnswer::NotLeader { leader: None },
            Some(leader) if leader == self.id => {
                self.own_rounds.join().await.unwrap_or(Round::NotLeader { leader: None }).into()
            }
            Some(leader) => {
                let asked = self.pool.ask(leader, Lane::Pulse, &ReadIndex, ROUND_TIMEOUT).await;
                asked.unwrap_or_else(|error| ReadIndexAnswer::NoQuorum(error.to_string()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };
    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn callers_that_come_during_a_round_share_the_next_one() {
        let gate = Arc::new(Semaphore::new(0));
        let begun = Arc::new(AtomicUsize::new(0));
        let (in_round, count) = (gate.clone(), begun.clone());
        let rounds = Arc::new(Rounds::start(
            move || {
                let (gate, begun) = (in_round.clone(), count.clone());
                async move {
                    let round = begun.fetch_add(1, Ordering::SeqCst) + 1;
                    gate.acquire().await.unwrap().forget();
                    round
                }
            },
            |_| {},
        ));
        let first = tokio::spawn({
            let rounds = rounds.clone();
            async move { rounds.join().await }
        });
        while begun.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let later: Vec<_> = (0..50)
            .map(|_| {
                let rounds = rounds.clone();
                tokio::spawn(async move { rounds.join().await })
            })
            .collect();
        // All of them are in the queue before the first round may end.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        gate.add_permits(2);
        assert_eq!(first.await.unwrap(), Some(1));
        for caller in later {
            assert_eq!(caller.await.unwrap(), Some(2), "a caller shared a round that began before it asked");
        }
        assert_eq!(begun.load(Ordering::SeqCst), 2);
    }
}
