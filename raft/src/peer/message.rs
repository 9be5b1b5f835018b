//! The messages of the peer plane.

use crate::{
    Unfit,
    directory::Roll,
    formation::phase::{Invitation, InviteAnswer, Sighting},
    lease::{holder::Grant, outlook::Outlook, session::Covered},
    peer::route::Route,
    secrets::SecretsInForce,
    types::{PeerNode, SnapshotMeta, TypeConfig, Vote},
};
use hapi_registry_state::{Command, Outcome, Principal, RequestKey};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use thiserror::Error;

/// A message that is answered.
pub(crate) trait Ask: Serialize + DeserializeOwned + Send + Sync + 'static {
    type Answer: Serialize + DeserializeOwned + Send + 'static;
    const ROUTE: Route;
}

macro_rules! ask {
    ($($message:ty => $answer:ty, $route:ident;)*) => {
        $(impl Ask for $message {
            type Answer = $answer;
            const ROUTE: Route = Route::$route;
        })*
    };
}

ask! {
    Hello => Hello, Hello;
    Invite => InviteAnswer, Invite;
    Release => (), Release;
    Join => JoinAnswer, Join;
    Bootstrap => ProposeAnswer, Bootstrap;
    Propose => ProposeAnswer, Propose;
    ReadIndex => ReadIndexAnswer, ReadIndex;
    LeaseRequest => LeaseAnswer, Lease;
    Confirm => u64, Confirm;
    SealRequest => SealAnswer, Seal;
    Handover => HandoverAnswer, Handover;
    Abdicate => (), Abdicate;
    AppendEntriesRequest<TypeConfig> => AppendEntriesResponse<TypeConfig>, Append;
    VoteMessage => VoteResponse<TypeConfig>, Vote;
    PreVoteMessage => VoteResponse<TypeConfig>, PreVote;
    TransferLeaderRequest<TypeConfig> => TransferLeaderResponse<TypeConfig>, TransferLeader;
    SnapshotBegin => SnapshotProgress, SnapshotBegin;
    SnapshotChunk => SnapshotProgress, SnapshotChunk;
    SnapshotInstall => SnapshotResponse<TypeConfig>, SnapshotInstall;
    SecretsRequest => BTreeMap<u64, SecretsInForce>, Secrets;
    OutlookRequest => Option<Outlook>, Outlook;
}

/// Who I am and what I know. Both sides send one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) sighting: Sighting,
    /// The committed membership. Empty before a cluster exists.
    pub(crate) roll: Roll,
}

/// Come and form a cluster with these nodes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Invite(pub(crate) Invitation);

/// My invitation to this cluster is void.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Release {
    pub(crate) cluster_id: u128,
}

/// Take me in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Join(pub(crate) Sighting);

/// What a cluster says to a node that wants in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum JoinAnswer {
    /// The membership has you, or soon will. The roll names the voters.
    Admitted { cluster_id: u128, roll: Roll },
    /// Ask the leader.
    NotLeader { leader: Option<(u64, PeerNode)> },
    /// Another change of the membership is under way; ask again.
    Later,
    /// Never, for this reason.
    Refused(String),
    /// Never under this id: it was removed.
    Removed,
}

/// A proposal of someone who proved the secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Bootstrap(pub(crate) Command);

/// A proposal forwarded to the leader.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Propose {
    pub(crate) by: Principal,
    pub(crate) command: Command,
    pub(crate) key: Option<RequestKey>,
}

/// What became of a proposal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum ProposeAnswer {
    /// Committed and applied by the leader; the index that is to be sealed, if any.
    Committed { index: u64, outcome: Outcome, seal: Option<u64> },
    /// Not taken; it may be proposed elsewhere. The leader, if known, with its address.
    NotLeader { leader: Option<(u64, String)> },
    /// It may or may not be committed, now or later.
    Unknown(String),
    /// Not taken and never will be, for this reason.
    Refused(String),
    /// Not taken: the leader takes no such writes until somebody has mended something.
    Unfit(Unfit),
    /// It may or may not be committed: the leader's replica is ending.
    Ending,
}

/// Up to where is the log committed, for certain and at this moment?
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ReadIndex;

/// The answer, after a round with a quorum.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum ReadIndexAnswer {
    /// Every write that was acknowledged before the question is at or below this index.
    At(u64),
    /// Ask the leader.
    NotLeader { leader: Option<u64> },
    /// No quorum answered.
    NoQuorum(String),
}

/// May I issue for a while?
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LeaseRequest {
    /// Fresh and random: the answer belongs to this question alone.
    pub(crate) nonce: u64,
    /// How far the state of the asking node is.
    pub(crate) applied: u64,
}

/// The leader's answer, after a round with a quorum.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum LeaseAnswer {
    /// Yes, from a state at or above the threshold.
    Granted(Grant),
    /// Not here, or not now; why, for the log.
    Refused(String),
}

/// Tell me when your issuers see this entry. The answer is how far they see.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Confirm {
    pub(crate) index: u64,
}

/// Does this index bind every node? Wait so long for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SealRequest {
    pub(crate) index: u64,
    pub(crate) wait_ms: u64,
}

/// The leader's word on a seal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum SealAnswer {
    /// Yes; how each node was covered, if that is still known.
    Sealed(Vec<Covered>),
    /// Not yet.
    Pending,
    /// The log does not reach that far.
    Beyond,
    /// Ask the leader.
    NotLeader,
}

/// Let another voter lead: this one, or whoever has most of the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Abdicate {
    pub(crate) heir: Option<u64>,
}

/// A connect that the sender may not decide, in the form that the public API gives it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Handover(#[serde(with = "bytes_as_bytes")] pub(crate) Vec<u8>);

/// What the leader's issuing desk says, likewise. `None` if it may not decide either.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HandoverAnswer(pub(crate) Option<Vec<u8>>);

/// A candidate asks for a vote.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct VoteMessage(pub(crate) VoteRequest<TypeConfig>);

/// Would you vote for me?
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PreVoteMessage(pub(crate) VoteRequest<TypeConfig>);

/// A snapshot is to be sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SnapshotBegin {
    pub(crate) name: String,
    pub(crate) sha256: [u8; 32],
}

/// A piece of the announced snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SnapshotChunk {
    pub(crate) sha256: [u8; 32],
    pub(crate) offset: u64,
    #[serde(with = "bytes_as_bytes")]
    pub(crate) data: Vec<u8>,
}

/// How much of the snapshot has arrived, in bytes; go on from here.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct SnapshotProgress {
    pub(crate) offset: u64,
}

/// All has been sent: check it and take it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SnapshotInstall {
    pub(crate) vote: Vote,
    pub(crate) meta: SnapshotMeta,
    pub(crate) sha256: [u8; 32],
}

/// Which secrets do the members have in force, as far as you have heard of late?
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SecretsRequest;

/// What do you see of the others as leader, and of the seal of this index? Nothing, if the answering node has no session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OutlookRequest {
    pub(crate) seal: Option<u64>,
}

/// Why a request was turned away before anything was done about it.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
pub(crate) enum Refusal {
    /// The node id is a member's, the key is not.
    #[error("node {0:016x} is known with another key")]
    WrongKey(u64),
    /// Members only.
    #[error("node {0:016x} is not known as a member")]
    NotMember(u64),
    /// This path is for command-line tools, or not for them.
    #[error("not for this kind of caller")]
    WrongCaller,
    /// The content says another sender than the certificate, or describes it at excessive length.
    #[error("the message does not describe its sender")]
    NotYourself,
    /// Not decodable, or larger than this kind of message may be.
    #[error("the message is not acceptable: {0}")]
    Message(String),
    /// This node cannot do it now.
    #[error("{0}")]
    Unable(String),
}

/// serde treats `Vec<u8>` as a sequence of numbers; this makes it one run of bytes.
mod bytes_as_bytes {
    use serde::{Deserializer, Serializer, de::Visitor};
    use std::fmt;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        deserializer.deserialize_byte_buf(Bytes)
    }

    struct Bytes;

    impl Visitor<'_> for Bytes {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes")
        }

        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }

        fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
            Ok(bytes)
        }
    }
}
