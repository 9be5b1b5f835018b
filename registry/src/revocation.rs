//! Floors: which descriptors that are out are dead before their time.
//!
//! A descriptor carries the index of the state that decided it. An entry that denies something raises a floor at its
//! own index for each subject that it concerns, and a descriptor below a floor that applies to it is dead. An index
//! is no flag: lifting what was denied lowers nothing, and what is decided afterwards is above.
//!
//! The rule is sound rather than narrow: whatever an entry forbids is below some floor. Where telling apart what it
//! forbids from what it leaves would be dear or subtle, a wider subject takes the floor, and clients ask anew.

use crate::{
    CertificateName, ClientId, Command, Decision, Governed, KeyState, Kid, MemberState, Namespace, PublicKey,
    Registry, ServerName, Status, Subject, Tenant, TenantId, Timestamp, TokenId, Version,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How long a floor is remembered, in seconds, by the time of the log. A descriptor lives two minutes at most, so
/// that nothing is below a floor of that age but what has ended; the rest is room for clocks that leap.
const LIFE: u64 = 3_600;

/// Where the descriptors of a subject begin to be good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Floor {
    /// The entry that raised it.
    pub(crate) index: u64,
    /// When that was.
    pub(crate) at: Timestamp,
}

impl Registry {
    /// What descriptors the command forbids if it goes through, as far as its kind and the state before it tell.
    /// Moderating, publishing and mirroring are judged by what they take, where they take it.
    pub(crate) fn forbidden_by(&self, command: &Command) -> Vec<Subject> {
        match command {
            Command::SetStatus { name, version, status: Status::Deleted, .. } => {
                vec![withdrawn(name, version.as_ref())]
            }
            Command::PutNamespace { namespace, private: true } => vec![Subject::Namespace(namespace.clone())],
            Command::RevokeToken(id) => self.bearer(id).into_iter().collect(),
            Command::PutClient { id, tenant, keys } => {
                self.changed_client(id, tenant.as_ref(), keys, &[]).into_iter().collect()
            }
            Command::RegisterClient { id, tenant, keys, certificates } => {
                self.changed_client(id, tenant.as_ref(), keys, certificates).into_iter().collect()
            }
            Command::PutTenant { id, tenant } => self.changed_tenant(id, tenant).into_iter().collect(),
            Command::UpdateSettings(patch)
            | Command::ChangeSettings { settings: patch, .. }
            | Command::Configure { settings: patch, .. }
                if patch.governed == Some(Governed::Verified) =>
            {
                self.unverified().into_iter().map(Subject::Namespace).collect()
            }
            // What was granted by former settings counts no more, whatever the new ones say.
            Command::PutIdentityProvider { id, settings } => {
                let changes = self.identity_provider(id).is_some_and(|former| former.settings != *settings);
                if changes { self.owed_to(id).into_iter().collect() } else { Vec::new() }
            }
            Command::RemoveIdentityProvider(id) => self.owed_to(id).into_iter().collect(),
            // What they forbid hangs on the key: see `Registry::dead_keys`.
            Command::RevokeKey { .. }
            | Command::DrainNode(_)
            | Command::LeaveRoster(_)
            | Command::BeginIncarnation { .. } => Vec::new(),
            // A key that retires signs no more; what it signed stays good.
            Command::ActivateKey(_) | Command::RotateKey(_) | Command::RetireKey(_) => Vec::new(),
            Command::SetStatus { .. }
            | Command::PutNamespace { .. }
            | Command::UpdateSettings(_)
            | Command::ChangeSettings { .. }
            | Command::Configure { .. } => Vec::new(),
            Command::Bootstrap(_)
            | Command::Moderate { .. }
            | Command::Order(_)
            | Command::Lift { .. }
            | Command::ConfirmAct(_)
            | Command::RejectAct { .. }
            | Command::Publish(_)
            | Command::Import(_)
            | Command::CreateToken(_)
            | Command::PublishKey(_)
            | Command::RemoveKey(_)
            | Command::JoinRoster { .. }
            | Command::Checkpoint
            | Command::SessionOpen { .. }
            | Command::Sealed { .. }
            | Command::GiveUpSecrets { .. }
            | Command::ConfirmRestore
            | Command::Edit(_)
            | Command::PutMirror { .. }
            | Command::RemoveMirror(_)
            | Command::Mirror { .. }
            | Command::CreateWebhook { .. }
            | Command::ChangeWebhook { .. }
            | Command::RemoveWebhook(_)
            | Command::WebhookDelivered { .. }
            | Command::NoteTokenUses(_)
            | Command::NoteHealth(_) => Vec::new(),
        }
    }

    /// The client that a token stands for. Which of its tokens a descriptor was asked for with, it does not say.
    pub(crate) fn bearer(&self, id: &TokenId) -> Option<Subject> {
        self.token(id)?.client.clone().map(Subject::Client)
    }

    /// A client that moves to another tenant, or loses a key or a certificate; one that only gains some loses nothing.
    fn changed_client(
        &self,
        id: &ClientId,
        tenant: Option<&TenantId>,
        keys: &[PublicKey],
        certificates: &[CertificateName],
    ) -> Option<Subject> {
        let known = self.client(id)?;
        let moves = known.tenant.as_ref() != tenant;
        let loses = known.keys.iter().any(|key| !keys.contains(key))
            || known.certificates.iter().any(|name| !certificates.contains(name));
        (moves || loses).then(|| Subject::Client(id.clone()))
    }

    /// Any change of a tenant's rules: whether lists of globs became narrower is not for this place to prove. Its
    /// budget is none of them: what was issued within the former one stays good.
    fn changed_tenant(&self, id: &TenantId, tenant: &Tenant) -> Option<Subject> {
        let known = self.tenant(id)?;
        let changes = Tenant { connects_per_minute: known.connects_per_minute, ..tenant.clone() } != *known;
        changes.then(|| Subject::Tenant(id.clone()))
    }

    /// The namespaces that hold a version which governed mode forbids. Its servers one by one could be most of the
    /// catalog.
    fn unverified(&self) -> BTreeSet<Namespace> {
        if self.settings.governed == Governed::Verified {
            return BTreeSet::new();
        }
        let is_loose = |name: &ServerName| {
            let mut versions = self.server(name).into_iter().flat_map(|server| server.versions.keys());
            versions.any(|version| !self.is_verified(name, version))
        };
        self.servers.keys().filter(|name| is_loose(name)).map(ServerName::namespace).collect()
    }

    /// Raises the floor of `subject` to the present entry.
    pub(crate) fn revoke(&mut self, subject: Subject) {
        self.forget_floors();
        let floor = Floor { index: self.applied, at: self.at };
        self.restore_floor(subject, floor);
    }

    pub(crate) fn restore_floor(&mut self, subject: Subject, floor: Floor) {
        if let Some(former) = self.floors.insert(subject.clone(), floor) {
            self.floors_by_index.remove(&(former.index, subject.clone()));
        }
        self.floors_by_index.insert((floor.index, subject));
    }

    fn forget_floors(&mut self) {
        while let Some((index, subject)) = self.floors_by_index.get_min().cloned() {
            if self.floors.get(&subject).is_some_and(|floor| self.at < floor.at.plus_seconds(LIFE)) {
                return;
            }
            self.floors_by_index.remove(&(index, subject.clone()));
            self.floors.remove(&subject);
        }
    }

    /// The floors that were raised above the index `since`, the oldest first.
    pub fn floors_above(&self, since: u64) -> impl Iterator<Item = (&Subject, u64)> {
        let newer = self.floors_by_index.iter().rev().take_while(move |(index, _)| *index > since);
        let newer: Vec<_> = newer.map(|(index, subject)| (subject, *index)).collect();
        newer.into_iter().rev()
    }

    /// The index below which descriptors for this server and version and for this client are dead; 0 if none is.
    pub fn floor(
        &self,
        server: &ServerName,
        version: &Version,
        client: &ClientId,
        tenant: Option<&TenantId>,
    ) -> u64 {
        let subjects = [
            Some(Subject::Version(server.clone(), version.clone())),
            Some(Subject::Server(server.clone())),
            Some(Subject::Namespace(server.namespace())),
            Some(Subject::Client(client.clone())),
            tenant.cloned().map(Subject::Tenant),
        ];
        let floors = subjects.iter().flatten().filter_map(|subject| self.floors.get(subject));
        floors.map(|floor| floor.index).max().unwrap_or(0)
    }

    /// Whether a descriptor that was decided like this is dead by now.
    pub fn kills(&self, decision: &Decision) -> bool {
        let Decision { server, version, client, tenant, index, .. } = decision;
        *index < self.floor(server, version, client, tenant.as_ref())
    }

    /// The keys of which every descriptor is dead, whatever index it states: those that are revoked, and those of
    /// nodes that are being removed, which never come back. A node that is suspended may come back: with another key.
    pub fn dead_keys(&self) -> impl Iterator<Item = &Kid> {
        let drains = |node| self.member(node).is_some_and(|member| member.state == MemberState::Draining);
        let dead = move |state, node| state == KeyState::Revoked || drains(node);
        self.keys().filter(move |(_, key)| dead(key.state, key.node)).map(|(kid, _)| kid)
    }
}

fn withdrawn(name: &ServerName, version: Option<&Version>) -> Subject {
    match version {
        Some(version) => Subject::Version(name.clone(), version.clone()),
        None => Subject::Server(name.clone()),
    }
}
