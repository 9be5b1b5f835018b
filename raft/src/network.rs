//! Raft's messages over the peer plane.

use crate::{
    peer::{
        link::AskError,
        message::{Ask, PreVoteMessage, VoteMessage},
        pool::Pool,
        route::{APPEND_BYTES, Lane},
    },
    snapshot::{Image, transfer::Transfer},
    types::{LogId, PeerNode, TypeConfig, Vote},
    wire,
};
use openraft::{
    RaftNetworkFactory,
    alias::SnapshotOf,
    errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::{RPCOption, RaftNetworkV2},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
        TransferLeaderResponse, VoteRequest, VoteResponse,
    },
};
use prometheus::IntCounter;
use std::{future::Future, sync::Arc, time::Duration};

type RpcError = RPCError<TypeConfig>;

/// How long a follower may take to make a batch of entries durable. openraft sets no bound of its own for
/// log entries. A slow disk is not a lost peer: the connection itself is probed every second.
const APPEND_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes a [`Channel`] to each member.
pub(crate) struct Network {
    pub(crate) pool: Arc<Pool>,
    pub(crate) snapshots_sent: IntCounter,
}

impl Network {
    fn channel(&self, target: u64, lane: Lane) -> Channel {
        Channel { pool: self.pool.clone(), snapshots_sent: self.snapshots_sent.clone(), target, lane }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Channel;

    // The address in `_node` may be older than the one in the directory, which the pool asks at each dial.
    async fn new_client(&mut self, target: u64, _node: &PeerNode) -> Channel {
        self.channel(target, Lane::Log)
    }

    async fn new_heartbeat_client(&mut self, target: u64, _node: &PeerNode) -> Channel {
        self.channel(target, Lane::Pulse)
    }

    async fn new_snapshot_client(&mut self, target: u64, _node: &PeerNode) -> Channel {
        self.channel(target, Lane::Bulk)
    }
}

/// Carries Raft's messages to one member.
pub(crate) struct Channel {
    pool: Arc<Pool>,
    snapshots_sent: IntCounter,
    target: u64,
    lane: Lane,
}

impl Channel {
    async fn ask<A: Ask>(&self, lane: Lane, message: &A, within: Duration) -> Result<A::Answer, RpcError> {
        self.pool.ask(self.target, lane, message, within).await.map_err(rpc_error)
    }

    fn append_timeout(&self, option: &RPCOption) -> Duration {
        if self.lane == Lane::Pulse { option.soft_ttl() } else { APPEND_TIMEOUT }
    }
}

impl RaftNetworkV2<TypeConfig> for Channel {
    type SnapshotData = Image;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RpcError> {
        let within = self.append_timeout(&option);
        let (body, cut) = fit(request)?;
        let sent =
            self.pool.send::<AppendEntriesRequest<TypeConfig>>(self.target, self.lane, body.into(), within);
        let answer = sent.await.map_err(rpc_error)?;
        Ok(match (answer, cut) {
            (AppendEntriesResponse::Success, Some(last)) => AppendEntriesResponse::PartialSuccess(Some(last)),
            (answer, _) => answer,
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        self.ask(Lane::Pulse, &VoteMessage(request), option.soft_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        self.ask(Lane::Pulse, &PreVoteMessage(request), option.soft_ttl()).await
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RpcError> {
        self.ask(Lane::Pulse, &request, option.soft_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<TypeConfig, Image>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let transfer = Transfer { pool: &self.pool, target: self.target, vote, meta: snapshot.meta };
        tokio::select! {
            closed = cancel => Err(closed.into()),
            () = tokio::time::sleep(option.soft_ttl()) => {
                let text = format!("no snapshot within {} s", option.soft_ttl().as_secs());
                Err(NetworkError::from_string(text).into())
            }
            sent = transfer.run(snapshot.snapshot) => {
                self.snapshots_sent.inc_by(u64::from(sent.is_ok()));
                sent.inspect_err(|error| {
                    tracing::warn!(to = format_args!("{:016x}", self.target), %error, "no snapshot sent");
                })
            }
        }
    }
}

/// Encodes `request`, cut down to what one message may hold. Also tells the last log id that is left in it,
/// if anything was cut off.
fn fit(mut request: AppendEntriesRequest<TypeConfig>) -> Result<(Vec<u8>, Option<LogId>), RpcError> {
    let all = request.entries.len();
    loop {
        let body = wire::encode(&request).map_err(|error| RpcError::Network(NetworkError::new(&error)))?;
        if body.len() <= APPEND_BYTES || request.entries.len() <= 1 {
            let cut = request.entries.len() < all;
            return Ok((body, request.entries.last().filter(|_| cut).map(|entry| entry.log_id)));
        }
        request.entries.truncate(request.entries.len() / 2);
    }
}

/// Nobody there: back off. Anything else may be over at the next try.
pub(crate) fn rpc_error(error: AskError) -> RpcError {
    match error {
        AskError::Dial(_) | AskError::Unreached(_) | AskError::Refused(_) | AskError::Unsendable(_) => {
            RpcError::Unreachable(Unreachable::new(&error))
        }
        AskError::NotSent | AskError::Lost(_) | AskError::Late(_) => {
            RpcError::Network(NetworkError::new(&error))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::types::Logged;
    use hapi_registry_state::{Command, Entry, NodeId, Principal, Timestamp};
    use openraft::{EntryPayload, vote::RaftLeaderId};

    fn request(entries: u64, bytes: usize) -> AppendEntriesRequest<TypeConfig> {
        let leader = openraft::impls::leader_id_adv::LeaderId::new(1, 1);
        let command = Command::JoinRoster { http: "x".repeat(bytes), version: "1".into() };
        let entry = Entry::new(Timestamp(0), Principal::Node(NodeId(1)), command);
        let entry = |index| openraft::Entry {
            log_id: LogId::new(leader.to_committed(), index),
            payload: EntryPayload::Normal(Logged(entry.clone())),
        };
        AppendEntriesRequest {
            vote: Vote::new_committed(1, 1),
            prev_log_id: None,
            entries: (0..entries).map(entry).collect(),
            leader_commit: None,
        }
    }

    #[test]
    fn a_batch_that_fits_is_sent_whole() {
        let (body, cut) = fit(request(100, 1000)).unwrap();
        assert!(body.len() > 100_000);
        assert_eq!(cut, None);
    }

    #[test]
    fn a_batch_that_does_not_fit_is_cut_and_the_rest_is_announced_as_missing() {
        let (body, cut) = fit(request(30, 1 << 20)).unwrap();
        assert!(body.len() <= APPEND_BYTES);
        assert_eq!(cut.map(|last| last.index), Some(6));
    }
}
