//! The registry as a sequence of records, for snapshots and for the state's hash.
//!
//! Records come in a fixed order with every map in key order, so that equal states give equal bytes.

use crate::{
    ActRequest, AuditRecord, AuditedSubject, CertificateName, Change, Client, ClientId, Down,
    FIRST_INCARNATION, GivenUp, HealthGate, Hold, IdentityProvider, IdentityProviderId, Kid, Member, Mirror,
    MirrorId, Moderation, ModerationRules, Namespace, NamespaceRecord, NodeId, Published, Registry,
    SecretFingerprint, ServerName, Settings, SigningKey, Subject, Tenant, TenantId, Timestamp, Token,
    TokenId, Version, Webhook, WebhookId,
    mirror::Origin,
    remote_claim::{TemplateClaim, TemplateKey},
    request_key::{Answered, Asked},
    revocation::Floor,
};
use bincode::config::{Configuration, Limit};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The form of the records, raised when an older reader could misread them. An older form stays readable, and is
/// written as long as it says all there is to say: equal states have equal records, whichever program wrote them.
///
/// - 3: the first that was released.
/// - 4: as 3, and the cluster secrets that were given up, the incarnation unless it is the first, why nothing is
///   issued, the mirrors, what was taken over by them, what entries for many versions did, the webhooks, when tokens were
///   last used, the identity providers, when suspensions lift themselves, audit records of acts on several subjects, the
///   rules of moderation, acts that wait for a second person, the certificates of clients, and the health gate
///   with the servers that do not answer.
pub const VERSION: u16 = 4;

/// The oldest form that is read.
pub const OLDEST: u16 = 3;

/// The largest record, in bytes: well above the largest document.
const MAX_RECORD: usize = 1 << 20;

/// What reading one record may take. The decoder counts a number at its full width, up to eight times what
/// it takes in the record; a record that was written must never be too large to be read.
const READ_LIMIT: usize = 16 * MAX_RECORD;

const CONFIG: Configuration<bincode::config::LittleEndian, bincode::config::Varint, Limit<READ_LIMIT>> =
    bincode::config::standard().with_limit::<READ_LIMIT>();

/// A snapshot that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The snapshot was written by other software.
    #[error("the snapshot has form {found}, this software reads forms {OLDEST} to {VERSION}")]
    Version {
        /// The form that the snapshot states.
        found: u16,
    },
    /// A record is damaged.
    #[error("record {number} of the snapshot cannot be decoded: {source}")]
    Record {
        /// Its place in the snapshot, from 0.
        number: usize,
        /// What the decoder says.
        source: bincode::error::DecodeError,
    },
    /// Bytes follow a record's end.
    #[error("record {number} of the snapshot has bytes behind its end")]
    Trailing {
        /// Its place in the snapshot, from 0.
        number: usize,
    },
    /// The first record is missing.
    #[error("the snapshot has no head record")]
    NoHead,
    /// The audit records do not hash to the head.
    #[error("the audit chain in the snapshot does not match its head")]
    Chain,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Head {
    applied: u64,
    at: Timestamp,
    bootstrapped: bool,
    denied: u64,
    sealed: u64,
    settings: Settings,
    audit_head: [u8; 32],
}

/// One record; maps share what the state holds.
#[derive(Serialize, Deserialize)]
enum Record {
    Head(Head),
    Version(Arc<Published>),
    Literal(String, ServerName),
    Template(TemplateKey, TemplateClaim),
    Namespace(Namespace, Arc<NamespaceRecord>),
    Moderation(Subject, Arc<Moderation>),
    Client(ClientId, Arc<Client>),
    Tenant(TenantId, Arc<Tenant>),
    Token(TokenId, Arc<Token>),
    Key(Kid, Arc<SigningKey>),
    Member(NodeId, Arc<Member>),
    Departed(NodeId),
    Request(Asked, Arc<Answered>),
    Audit(Arc<AuditRecord>),
    Floor(Subject, Floor),
    Incarnation(u64),
    Hold(Hold),
    GivenUp(SecretFingerprint, Arc<GivenUp>),
    Mirror(MirrorId, Arc<Mirror>),
    Origin(ServerName, Version, Arc<Origin>),
    Changes(u64, Arc<Vec<Change>>),
    Webhook(WebhookId, Arc<Webhook>),
    TokenUse(TokenId, Timestamp),
    IdentityProvider(IdentityProviderId, Arc<IdentityProvider>),
    ModerationEnd(Subject, Timestamp),
    AuditOfSeveral(Arc<AuditRecord>, Vec<AuditedSubject>),
    Rules(ModerationRules),
    ActRequest(u64, Arc<ActRequest>),
    Certificates(ClientId, Vec<CertificateName>),
    Gate(HealthGate),
    Down(ServerName, Arc<Down>),
}

/// The form in which `registry` is written.
pub fn form(registry: &Registry) -> u16 {
    let is_first = registry.incarnation == FIRST_INCARNATION && registry.hold.is_none();
    let mirrors_nothing = registry.mirrors.is_empty() && registry.origins.is_empty();
    let lists_nothing = registry.given_up.is_empty() && registry.changes.is_empty();
    let tells_nothing = registry.webhooks.is_empty() && registry.token_uses.is_empty();
    let believes_none = registry.identity_providers.is_empty() && registry.certificates.is_empty();
    let asks_nobody = registry.gate == HealthGate::default() && registry.down.is_empty();
    let awaits_nothing = registry.moderation_ends.is_empty() && registry.act_requests.is_empty();
    let acts_simply =
        awaits_nothing && !registry.audit_several && registry.rules == ModerationRules::default();
    let says_less = is_first && mirrors_nothing && lists_nothing && tells_nothing && believes_none;
    if says_less && acts_simply && asks_nobody { OLDEST } else { VERSION }
}

/// The records of `registry`, in their fixed order.
pub fn records(registry: &Registry) -> impl Iterator<Item = Vec<u8>> + '_ {
    all(registry).map(|record| encode(&record))
}

#[expect(clippy::expect_used, reason = "every field has a bincode form, and writing to memory cannot fail")]
fn encode(record: &Record) -> Vec<u8> {
    bincode::serde::encode_to_vec(record, CONFIG).expect("a record encodes")
}

/// Whether a snapshot can carry a version. What a publisher writes in 256 KiB can be larger once read: every
/// placeholder has its choices beside it.
pub(crate) fn carries(published: &Arc<Published>) -> bool {
    let message = published.status_message.as_ref().map_or(0, String::len);
    // Nearly always: then it need not be unpacked to know. Beside the two stand four numbers and a status.
    published.document.written_at_most() + message + 128 <= MAX_RECORD
        || encode(&Record::Version(published.clone())).len() <= MAX_RECORD
}

fn all(registry: &Registry) -> impl Iterator<Item = Record> + '_ {
    let head = Record::Head(Head {
        applied: registry.applied,
        at: registry.at,
        bootstrapped: registry.bootstrapped,
        denied: registry.denied,
        sealed: registry.sealed,
        settings: registry.settings.clone(),
        audit_head: registry.audit_head(),
    });
    let versions = registry.servers.values().flat_map(|server| server.versions.values());
    std::iter::once(head)
        .chain(versions.map(|published| Record::Version(published.clone())))
        .chain(registry.remotes.literals.iter().map(|(k, v)| Record::Literal(k.clone(), v.clone())))
        .chain(registry.remotes.templates.iter().map(|(k, v)| Record::Template(k.clone(), v.clone())))
        .chain(registry.namespaces.iter().map(|(k, v)| Record::Namespace(k.clone(), v.clone())))
        .chain(registry.moderation.iter().map(|(k, v)| Record::Moderation(k.clone(), v.clone())))
        .chain(registry.clients.iter().map(|(k, v)| Record::Client(k.clone(), v.clone())))
        .chain(registry.tenants.iter().map(|(k, v)| Record::Tenant(k.clone(), v.clone())))
        .chain(registry.tokens.iter().map(|(k, v)| Record::Token(k.clone(), v.clone())))
        .chain(registry.keys.iter().map(|(k, v)| Record::Key(k.clone(), v.clone())))
        .chain(registry.roster.iter().map(|(k, v)| Record::Member(*k, v.clone())))
        .chain(registry.departed.iter().map(|node| Record::Departed(*node)))
        .chain(registry.requests.iter().map(|(k, v)| Record::Request(k.clone(), v.clone())))
        .chain(registry.floors.iter().map(|(k, v)| Record::Floor(k.clone(), *v)))
        .chain(registry.given_up.iter().map(|(k, v)| Record::GivenUp(*k, v.clone())))
        .chain(Some(registry.incarnation).filter(|it| *it != FIRST_INCARNATION).map(Record::Incarnation))
        .chain(registry.hold.map(Record::Hold))
        .chain(registry.mirrors.iter().map(|(k, v)| Record::Mirror(k.clone(), v.clone())))
        .chain(registry.origins.iter().map(|((n, v), o)| Record::Origin(n.clone(), v.clone(), o.clone())))
        .chain(registry.webhooks.iter().map(|(k, v)| Record::Webhook(k.clone(), v.clone())))
        .chain(registry.changes.iter().map(|(index, v)| Record::Changes(*index, v.clone())))
        .chain(registry.token_uses.iter().map(|(k, v)| Record::TokenUse(k.clone(), *v)))
        .chain(
            registry.identity_providers.iter().map(|(k, v)| Record::IdentityProvider(k.clone(), v.clone())),
        )
        .chain(registry.moderation_ends.iter().map(|(end, s)| Record::ModerationEnd(s.clone(), *end)))
        .chain(Some(registry.rules).filter(|it| *it != ModerationRules::default()).map(Record::Rules))
        .chain(registry.act_requests.iter().map(|(id, it)| Record::ActRequest(*id, it.clone())))
        .chain(registry.clients.iter().filter_map(|(id, client)| certificates(id, client)))
        .chain(Some(&registry.gate).filter(|it| **it != HealthGate::default()).cloned().map(Record::Gate))
        .chain(registry.down.iter().map(|(name, down)| Record::Down(name.clone(), down.clone())))
        .chain(registry.audit.iter().map(|chained| audited(&chained.record)))
}

fn certificates(id: &ClientId, client: &Client) -> Option<Record> {
    let names = &client.certificates;
    (!names.is_empty()).then(|| Record::Certificates(id.clone(), names.clone()))
}

fn audited(record: &Arc<AuditRecord>) -> Record {
    match &*record.subjects {
        [] => Record::Audit(record.clone()),
        several => Record::AuditOfSeveral(record.clone(), several.to_vec()),
    }
}

/// A record that was read. Records are read apart from each other, and so by as many threads as there are.
pub struct Decoded(Record);

/// Reads the record that has this place in its snapshot, from 0.
pub fn decode(number: usize, record: &[u8]) -> Result<Decoded, SnapshotError> {
    let (decoded, length) = bincode::serde::decode_from_slice(record, CONFIG)
        .map_err(|source| SnapshotError::Record { number, source })?;
    if length == record.len() { Ok(Decoded(decoded)) } else { Err(SnapshotError::Trailing { number }) }
}

/// Makes a registry from records.
pub struct Builder {
    registry: Registry,
    head: Option<[u8; 32]>,
    number: usize,
}

impl Builder {
    /// Starts on a snapshot that states form `version`.
    pub fn new(version: u16) -> Result<Self, SnapshotError> {
        if !(OLDEST..=VERSION).contains(&version) {
            return Err(SnapshotError::Version { found: version });
        }
        Ok(Self { registry: Registry::default(), head: None, number: 0 })
    }

    /// Takes the next record.
    pub fn push(&mut self, record: &[u8]) -> Result<(), SnapshotError> {
        self.take(decode(self.number, record)?);
        Ok(())
    }

    /// Takes the next record, which was read already.
    pub fn take(&mut self, Decoded(record): Decoded) {
        self.number += 1;
        let registry = &mut self.registry;
        match record {
            Record::Head(head) => self.take_head(head),
            Record::Version(published) => registry.restore_version(published),
            Record::Literal(k, v) => drop(registry.remotes.literals.insert(k, v)),
            Record::Template(k, v) => drop(registry.remotes.templates.insert(k, v)),
            Record::Namespace(k, v) => drop(registry.namespaces.insert(k, v)),
            Record::Moderation(k, v) => registry.restore_moderation(k, v),
            Record::Client(k, v) => drop(registry.clients.insert(k, v)),
            Record::Tenant(k, v) => registry.restore_tenant(k, v),
            Record::Token(k, v) => drop(registry.tokens.insert(k, v)),
            Record::Key(k, v) => drop(registry.keys.insert(k, v)),
            Record::Member(k, v) => drop(registry.roster.insert(k, v)),
            Record::Departed(node) => drop(registry.departed.insert(node)),
            Record::Request(asked, answered) => registry.restore_request(asked, answered),
            Record::Floor(subject, floor) => registry.restore_floor(subject, floor),
            Record::Incarnation(incarnation) => registry.incarnation = incarnation,
            Record::Hold(hold) => registry.hold = Some(hold),
            Record::GivenUp(k, v) => drop(registry.given_up.insert(k, v)),
            Record::Mirror(k, v) => drop(registry.mirrors.insert(k, v)),
            Record::Origin(name, version, v) => drop(registry.origins.insert((name, version), v)),
            Record::Webhook(k, v) => drop(registry.webhooks.insert(k, v)),
            Record::Changes(index, v) => registry.restore_changes(index, Arc::unwrap_or_clone(v)),
            Record::TokenUse(k, v) => drop(registry.token_uses.insert(k, v)),
            Record::IdentityProvider(k, v) => drop(registry.identity_providers.insert(k, v)),
            Record::ModerationEnd(subject, end) => registry.restore_end(subject, end),
            Record::ActRequest(id, request) => drop(registry.act_requests.insert(id, request)),
            Record::Certificates(id, names) => registry.restore_certificates(&id, &names),
            Record::Rules(rules) => registry.rules = rules,
            Record::Gate(gate) => registry.gate = gate,
            Record::Down(name, down) => drop(registry.down.insert(name, down)),
            Record::Audit(record) => registry.chain(record),
            Record::AuditOfSeveral(record, subjects) => {
                let record = Arc::unwrap_or_clone(record);
                registry.chain(Arc::new(AuditRecord { subjects, ..record }));
            }
        }
    }

    fn take_head(&mut self, head: Head) {
        self.registry.applied = head.applied;
        self.registry.at = head.at;
        self.registry.bootstrapped = head.bootstrapped;
        self.registry.denied = head.denied;
        self.registry.sealed = head.sealed;
        self.registry.settings = head.settings;
        self.head = Some(head.audit_head);
    }

    /// The registry, if the records were whole.
    pub fn finish(self) -> Result<Registry, SnapshotError> {
        match self.head {
            None => Err(SnapshotError::NoHead),
            Some(head) if head != self.registry.audit_head() => Err(SnapshotError::Chain),
            Some(_) => Ok(self.registry.indexed()),
        }
    }
}

impl Registry {
    /// With what no record carries, since it follows from the others.
    fn indexed(mut self) -> Self {
        let reviewed: Vec<_> =
            self.servers.iter().filter(|(_, server)| !server.withheld.is_empty()).collect();
        let reviewed: Vec<_> =
            reviewed.into_iter().map(|(name, server)| (name.clone(), (**server).clone())).collect();
        for (name, mut server) in reviewed {
            server.replace([]);
            self.servers.insert(name, Arc::new(server));
        }
        for (name, server) in &self.servers {
            self.search.update(self.applied, name, None, server);
        }
        self
    }

    fn restore_version(&mut self, published: Arc<Published>) {
        // What was just read is shared with nobody, so that nothing is copied here.
        let published = Arc::unwrap_or_clone(published);
        let name = match self.servers.get_key_value(published.document.name()) {
            Some((name, _)) => name.clone(),
            None => published.document.name().clone(),
        };
        let server = self.servers.entry(name.clone()).or_default();
        Arc::make_mut(server).add(Arc::new(published.under(&name)));
    }
}
