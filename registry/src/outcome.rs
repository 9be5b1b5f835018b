//! What comes of an entry: the same on every replica, refusals included.

use crate::moderation::instead;
use crate::{
    Act, ClientId, IdentityProviderId, KeyState, Kid, MirrorId, Mirrored, Moderated, NodeId, Noted, Right,
    ServerName, Subject, TenantId, Timestamp, TokenId, WebhookId,
};
use serde::{Deserialize, Serialize};

/// The answer of the state machine to an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Done as asked.
    Done,
    /// Everything stood as asked already, since the entry at this index.
    Unchanged {
        /// The index of the entry that made it so.
        since: u64,
    },
    /// The request was done before under the same idempotency key, by the entry at this index; nothing changed.
    Repeated {
        /// The index of the entry that was the first of this name.
        index: u64,
        /// The index of the entry that had made everything so even before that one.
        since: Option<u64>,
    },
    /// So many versions have a new status.
    StatusChanged {
        /// How many.
        updated: u32,
    },
    /// What came of each imported version, in the order of the command.
    Imported(Vec<Result<(), Rejection>>),
    /// The entry asked for something that cannot be; nothing changed.
    Rejected(Rejection),
    /// What came of each version that a source named, in the order of the command.
    Mirrored(Vec<Result<Mirrored, Rejection>>),
    /// What came of an act for each subject that its glob fits.
    Moderated(Vec<(Subject, Result<Moderated, Rejection>)>),
    /// Nothing was done yet: another moderator has to confirm it, by the index of this entry.
    Asked,
    /// What came of each word on a server's health, in the order of the command.
    HealthNoted(Vec<(ServerName, Noted)>),
}

impl Outcome {
    /// Whether the entry may have changed anything.
    pub fn changed(&self) -> bool {
        match self {
            Self::Unchanged { .. } | Self::Repeated { .. } | Self::Rejected(_) => false,
            Self::Moderated(each) => each.iter().any(|(_, one)| *one == Ok(Moderated::Done)),
            Self::HealthNoted(each) => each.iter().any(|(_, one)| *one != Noted::Unchanged),
            _ => true,
        }
    }

    /// The index of the entry that had made everything so before, if this one changed nothing.
    pub fn since(&self) -> Option<u64> {
        match self {
            Self::Unchanged { since } => Some(*since),
            Self::Moderated(each) if !self.changed() => {
                let sinces = each.iter().filter_map(|(_, one)| match one {
                    Ok(Moderated::Unchanged { since }) => Some(*since),
                    _ => None,
                });
                sinces.max()
            }
            _ => None,
        }
    }

    /// The outcome as a word in the audit chain.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Rejected(rejection) => rejection.code(),
            Self::Unchanged { .. } => "unchanged",
            Self::Repeated { .. } => "repeated",
            Self::Asked => "asked",
            Self::Moderated(each) if !self.changed() => match each.first() {
                _ if self.since().is_some() => "unchanged",
                Some((_, Err(rejection))) => rejection.code(),
                _ => "unchanged",
            },
            Self::HealthNoted(_) if !self.changed() => "unchanged",
            _ => "done",
        }
    }
}

/// What came of one of several, as a word.
pub(crate) fn code_of(one: &Result<Moderated, Rejection>) -> &'static str {
    match one {
        Ok(Moderated::Done) => "done",
        Ok(Moderated::Unchanged { .. }) => "unchanged",
        Err(rejection) => rejection.code(),
    }
}

/// Why an entry changed nothing. A fact about the state, never an error of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[expect(missing_docs, reason = "the fields stand in the sentence of their variant")]
pub enum Rejection {
    /// The token behind the entry is unknown, ended or revoked.
    #[error("the credential is not valid (any more)")]
    Unauthenticated,
    /// The principal's role does not include the act.
    #[error("this act needs the right to {0}")]
    Forbidden(Right),
    /// The publisher's token does not cover the namespace.
    #[error("this token may not publish in namespace `{0}`")]
    NamespaceForbidden(String),
    /// A published version never changes.
    #[error("version {version} of {name} is published already and never changes: publish a new version")]
    VersionExists { name: String, version: String },
    /// Another server has this remote.
    #[error("remote {url} is used by another server already")]
    RemoteUrlTaken { url: String },
    /// A server has too many versions.
    #[error("{name} has {limit} versions, which is the limit")]
    TooManyVersions { name: String, limit: usize },
    /// No such server.
    #[error("server {0} is not in the catalog")]
    ServerNotFound(String),
    /// No such version.
    #[error("{name} has no version {version}")]
    VersionNotFound { name: String, version: String },
    /// The status is what it is.
    #[error("no change: the status is {0} already")]
    StatusUnchanged(String),
    /// The subject of moderation does not exist.
    #[error("{0} does not exist")]
    SubjectNotFound(Subject),
    /// The act does not go with the subject.
    #[error("{} does not apply to a {}: {}", .0.as_str(), .1, instead(*.0, .1))]
    ActNotApplicable(Act, String),
    /// Revoked is final.
    #[error("the subject is revoked, which is final: use a new name or version")]
    Revoked,
    /// Nothing to lift.
    #[error("the subject is neither suspended nor quarantined")]
    NotModerated,
    /// The first operator token was made.
    #[error("the cluster has been bootstrapped already: ask an operator for a token")]
    AlreadyBootstrapped,
    /// The token id is taken.
    #[error("token {0} exists already")]
    TokenExists(TokenId),
    /// No such token.
    #[error("there is no token {0}")]
    TokenNotFound(TokenId),
    /// No such tenant.
    #[error("there is no tenant {0}: create it first")]
    TenantNotFound(TenantId),
    /// The client belongs to another tenant.
    #[error("client {0} belongs to another tenant")]
    TenantMismatch(ClientId),
    /// The key is published already.
    #[error("key {0} is published already")]
    KeyExists(Kid),
    /// No such key, or not this node's.
    #[error("there is no key {0} here")]
    KeyNotFound(Kid),
    /// The node has too many keys.
    #[error("node {node} has {limit} live keys, which is the limit")]
    TooManyKeys { node: NodeId, limit: usize },
    /// The key is in the wrong state for the act.
    #[error("key {} is {}", .0, .1.as_str())]
    WrongKeyState(Kid, KeyState),
    /// Verifiers may not know the key yet.
    #[error("key {kid} may not sign before {ready_at}, since verifiers may not know it yet")]
    KeyTooYoung { kid: Kid, ready_at: Timestamp },
    /// Something the key signed may still be valid.
    #[error("key {kid} is needed until {ready_at}, since what it signed may be valid till then")]
    KeyStillNeeded { kid: Kid, ready_at: Timestamp },
    /// No such node on the roster.
    #[error("node {0} is not on the roster")]
    NodeNotFound(NodeId),
    /// The node is being removed.
    #[error("node {0} is being removed")]
    NodeDraining(NodeId),
    /// A node drains before it leaves.
    #[error("node {0} must drain before it leaves the roster")]
    NodeNotDraining(NodeId),
    /// A drained node leaves once every node knows of its draining.
    #[error("the draining of node {node} at index {index} is not sealed yet: wait for its receipt")]
    NodeNotSealed { node: NodeId, index: u64 },
    /// Node ids are used once.
    #[error("node {0} was removed from this cluster: it may come back with an empty data folder, as another")]
    NodeRemoved(NodeId),
    /// The idempotency key names another request.
    #[error("this idempotency key was used for another request within the last day")]
    IdempotencyKeyReused,
    /// A value is out of its bounds.
    #[error("{0}")]
    Invalid(String),
    /// Nothing waits for a confirmation.
    #[error("this registry was not restored, or its moderation state has been confirmed already")]
    NotOnHold,
    /// A descriptor of the former incarnation may still be valid.
    #[error(
        "what was issued before the restore may be valid until {until}: confirm the moderation state after that"
    )]
    HoldNotOver { until: Timestamp },
    /// Only a key that has been published beforehand takes over.
    #[error("node {0} has no spare key yet: it publishes one when a former key has run out")]
    NoSpareKey(NodeId),
    /// What connects is immutable.
    #[error(
        "{part} of version {version} of {name} never change, since clients connect by them: publish a new version"
    )]
    Immutable { name: String, version: String, part: String },
    /// No such mirror, or not the one that was meant.
    #[error("there is no mirror {0}, or it has been changed meanwhile")]
    MirrorNotFound(MirrorId),
    /// No such webhook, or not the one that was meant.
    #[error("there is no webhook {0}, or it has been changed meanwhile")]
    WebhookNotFound(WebhookId),
    /// There is one of this id.
    #[error("there is a webhook {0} already: change it, or take another id")]
    WebhookExists(WebhookId),
    /// No such identity provider.
    #[error("there is no identity provider {0}")]
    IdentityProviderNotFound(IdentityProviderId),
    /// What was to be lifted is not what was read.
    #[error("the moderation of {0} has been changed meanwhile")]
    ModerationChanged(Subject),
    /// It lifts itself later.
    #[error("{subject} is to be lifted at {at}, and not before")]
    NotYetDue { subject: Subject, at: Timestamp },
    /// A glob fits nothing.
    #[error("nothing in the catalog fits {0}")]
    NothingFits(String),
    /// A glob fits more than one act takes.
    #[error("{target} fits {number} {kind}s, and one act takes at most {limit}: narrow the glob")]
    TooManySubjects { target: String, kind: String, number: usize, limit: usize },
    /// Nothing to approve.
    #[error("the subject is not in quarantine: approving ends a review, reinstating lifts a suspension")]
    NotInReview,
    /// Nobody could make another token.
    #[error("this is the last operator token that counts: an operator makes another one first, or ends it")]
    LastOperator,
    /// Nobody asks for this, or not any more.
    #[error("there is no request {0}, or it was confirmed, rejected or left for too long")]
    RequestNotFound(u64),
    /// One person is not two.
    #[error("request {0} is your own: another moderator confirms it")]
    SamePerson(u64),
    /// The word of a token that does not count.
    #[error("whoever made request {0} may not moderate any more: ask for it anew")]
    RequesterGone(u64),
    /// The same is asked for already.
    #[error("request {0} asks for this already: confirm it, or reject it")]
    AlreadyAsked(u64),
    /// A certificate proves one client.
    #[error("the certificate {name} is that of client {client}")]
    CertificateTaken { name: String, client: ClientId },
}

impl Rejection {
    /// The rejection as a fact in snake case, as it stands in the API and in the audit chain.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden(_) => "forbidden",
            Self::NamespaceForbidden(_) => "namespace_forbidden",
            Self::VersionExists { .. } => "version_exists",
            Self::RemoteUrlTaken { .. } => "remote_url_taken",
            Self::TooManyVersions { .. } => "too_many_versions",
            Self::ServerNotFound(_) => "server_not_found",
            Self::VersionNotFound { .. } => "version_not_found",
            Self::StatusUnchanged(_) => "status_unchanged",
            Self::SubjectNotFound(_) => "not_found",
            Self::ActNotApplicable(..) => "act_not_applicable",
            Self::Revoked => "server_revoked",
            Self::NotModerated => "not_moderated",
            Self::AlreadyBootstrapped => "already_bootstrapped",
            Self::TokenExists(_) => "token_exists",
            Self::TokenNotFound(_) => "token_not_found",
            Self::TenantNotFound(_) => "tenant_not_found",
            Self::TenantMismatch(_) => "tenant_mismatch",
            Self::KeyExists(_) => "key_exists",
            Self::KeyNotFound(_) => "key_not_found",
            Self::TooManyKeys { .. } => "too_many_keys",
            Self::WrongKeyState(..) => "wrong_key_state",
            Self::KeyTooYoung { .. } => "key_too_young",
            Self::KeyStillNeeded { .. } => "key_still_needed",
            Self::NodeNotFound(_) => "node_not_found",
            Self::NodeDraining(_) => "node_draining",
            Self::NodeNotDraining(_) => "node_not_draining",
            Self::NodeNotSealed { .. } => "node_not_sealed",
            Self::NodeRemoved(_) => "node_removed",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::Invalid(_) => "invalid_request",
            Self::NotOnHold => "not_on_hold",
            Self::HoldNotOver { .. } => "hold_not_over",
            Self::NoSpareKey(_) => "no_spare_key",
            Self::Immutable { .. } => "immutable",
            Self::MirrorNotFound(_) => "mirror_not_found",
            Self::WebhookNotFound(_) => "webhook_not_found",
            Self::WebhookExists(_) => "webhook_exists",
            Self::IdentityProviderNotFound(_) => "identity_provider_not_found",
            Self::ModerationChanged(_) => "moderation_changed",
            Self::NotYetDue { .. } => "not_yet_due",
            Self::NothingFits(_) => "not_found",
            Self::TooManySubjects { .. } => "too_many_subjects",
            Self::NotInReview => "not_in_review",
            Self::LastOperator => "last_operator",
            Self::RequestNotFound(_) => "request_not_found",
            Self::SamePerson(_) => "same_person",
            Self::RequesterGone(_) => "requester_gone",
            Self::AlreadyAsked(_) => "already_asked",
            Self::CertificateTaken { .. } => "certificate_taken",
        }
    }
}
