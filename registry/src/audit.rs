//! The audit chain: one record for every act, each bound to all before it by a hash.

use crate::{ActRequest, Command, Entry, Outcome, Principal, Registry, Subject, Timestamp, outcome::code_of};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    cmp::Ordering::{Greater, Less},
    collections::BTreeMap,
    sync::Arc,
};

/// The hash of a chain without records.
pub const EMPTY_CHAIN: [u8; 32] = [0; 32];

/// The longest text in a record, in characters: every reason that a moderator may give fits. Rejected
/// entries leave records too, and must not fill the chain with whatever was in them.
const MAX_TEXT: usize = 1_000;

/// Who did what to whom, when, why, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// The index of the entry.
    pub index: u64,
    /// When it was proposed.
    pub at: Timestamp,
    /// Who proposed it.
    pub actor: String,
    /// What was done.
    pub act: String,
    /// To whom or what.
    pub subject: String,
    /// Why, as far as the act has a reason.
    pub reason: String,
    /// `done`, or the code of the rejection.
    pub outcome: String,
    /// What came of each subject, where one act was for several. A record of its own in snapshots, since the form of
    /// this one was released without it.
    #[serde(skip)]
    pub subjects: Vec<AuditedSubject>,
}

/// One of several subjects of an act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditedSubject {
    /// To whom or what.
    pub subject: String,
    /// `done`, `unchanged`, or the code of the rejection; of a server's health, `down`, `up` or `unchanged`.
    pub outcome: String,
}

impl AuditRecord {
    /// The record as RFC 8785 canonical JSON.
    ///
    /// Keys are ASCII and sorted, values are strings, one integer below 2^53 and, where an act was for several subjects,
    /// a list of objects of strings: for these serde_json's compact form is the canonical one.
    pub fn canonical(&self) -> String {
        let at = self.at.to_string();
        let mut fields = BTreeMap::from([
            ("act", serde_json::Value::from(self.act.as_str())),
            ("actor", self.actor.as_str().into()),
            ("at", at.into()),
            ("outcome", self.outcome.as_str().into()),
            ("reason", self.reason.as_str().into()),
            ("subject", self.subject.as_str().into()),
        ]);
        fields.insert("index", self.index.into());
        if !self.subjects.is_empty() {
            let each = self.subjects.iter();
            let each = each.map(|one| BTreeMap::from([("outcome", &one.outcome), ("subject", &one.subject)]));
            fields.insert("subjects", serde_json::json!(each.collect::<Vec<_>>()));
        }
        serde_json::json!(fields).to_string()
    }

    /// The chain's hash after this record: SHA-256 over the hash before it and the canonical record.
    pub fn chain(&self, before: &[u8; 32]) -> [u8; 32] {
        Sha256::new().chain_update(before).chain_update(self.canonical()).finalize().into()
    }
}

/// A record in its place: with the chain's hash behind it, which tells whoever reads a stretch of the chain where it breaks.
#[derive(Clone, Debug)]
pub struct Chained {
    /// The record.
    pub record: Arc<AuditRecord>,
    /// The chain's hash after it.
    pub hash: [u8; 32],
}

/// What a record says beside the outcome.
pub(crate) struct Told {
    subject: String,
    reason: String,
}

impl Registry {
    /// Appends the record of an entry that was just applied. What the cluster does to keep going governs
    /// nothing and leaves none: checkpoints, leaders' sessions, seals, how far a mirror or a webhook has come, when tokens
    /// were used, and words on servers' health that are none.
    pub(crate) fn audit(&mut self, entry: &Entry, told: Told, outcome: &Outcome) {
        if is_housekeeping(entry, outcome) {
            return;
        }
        let record = AuditRecord {
            index: self.applied,
            at: self.at,
            actor: entry.by.to_string(),
            act: entry.command.act().into(),
            subject: bounded(&told.subject),
            reason: bounded(&told.reason),
            outcome: outcome.code().into(),
            subjects: each_of(outcome),
        };
        self.chain(Arc::new(record));
    }

    pub(crate) fn chain(&mut self, record: Arc<AuditRecord>) {
        self.audit_several |= !record.subjects.is_empty();
        let hash = record.chain(&self.audit_head());
        self.audit.push_back(Chained { record, hash });
    }

    /// To whom and why, as far as the command itself and the state before it tell.
    pub(crate) fn told(&self, command: &Command) -> Told {
        let asked = match command {
            Command::ConfirmAct(id) | Command::RejectAct { id, .. } => self.act_request(*id),
            _ => None,
        };
        let Some(ActRequest { order, .. }) = asked else {
            return Told { subject: command.subject(), reason: command.reason().to_owned() };
        };
        let (request, act) = (command.subject(), order.act.as_str());
        let reason = match command.reason() {
            "" => format!("{request}: {act}: {}", order.reason),
            reason => format!("{request}: {act}: {reason}"),
        };
        Told { subject: order.target.to_string(), reason }
    }

    /// The records of acts on exactly this subject below the index `before`, the newest first.
    pub fn audit_of(&self, subject: &Subject, before: u64) -> impl Iterator<Item = &Chained> {
        let subject = bounded(&subject.to_string());
        self.audit.iter().rev().filter(move |Chained { record, .. }| {
            let is_of = record.subject == subject || record.subjects.iter().any(|one| one.subject == subject);
            record.index < before && is_of
        })
    }

    /// The records below the index `before`, the newest first.
    pub fn audit_before(&self, before: u64) -> impl Iterator<Item = &Chained> {
        let place = self.audit_place(before.saturating_sub(1));
        self.audit.focus().narrow(..place).into_iter().rev()
    }

    /// The chain, oldest first.
    pub fn audit_records(&self) -> impl Iterator<Item = &AuditRecord> {
        self.audit.iter().map(|chained| &*chained.record)
    }

    /// The newest record.
    pub fn audit_last(&self) -> Option<&Chained> {
        self.audit.last()
    }

    /// How many records the chain has.
    pub fn audit_length(&self) -> usize {
        self.audit.len()
    }

    /// The record of the entry at `index`, if it left one.
    pub fn audit_record(&self, index: u64) -> Option<&AuditRecord> {
        let next = self.audit_chain_after(index.checked_sub(1)?).next().map(|chained| &*chained.record);
        next.filter(|record| record.index == index)
    }

    /// The part of the chain behind `index`, oldest first.
    pub fn audit_chain_after(&self, index: u64) -> impl Iterator<Item = &Chained> {
        self.audit.focus().narrow(self.audit_place(index)..).into_iter()
    }

    /// The chain's hash as it was at `index`.
    pub fn audit_hash_at(&self, index: u64) -> [u8; 32] {
        let last = self.audit_place(index).checked_sub(1).and_then(|place| self.audit.get(place));
        last.map_or(EMPTY_CHAIN, |chained| chained.hash)
    }

    /// The chain's hash.
    pub fn audit_head(&self) -> [u8; 32] {
        self.audit.last().map_or(EMPTY_CHAIN, |chained| chained.hash)
    }

    /// How many records there are up to `index`. Indexes rise along the chain; an entry leaves at most one record.
    fn audit_place(&self, index: u64) -> usize {
        let behind = |chained: &Chained| if chained.record.index > index { Greater } else { Less };
        self.audit.binary_search_by(behind).unwrap_or_else(|place| place)
    }
}

fn is_housekeeping(entry: &Entry, outcome: &Outcome) -> bool {
    match &entry.command {
        Command::Checkpoint
        | Command::SessionOpen { .. }
        | Command::Sealed { .. }
        | Command::WebhookDelivered { .. } => true,
        Command::Mirror { entries, .. } => entries.is_empty() && entry.by == Principal::System,
        Command::NoteTokenUses(_) => matches!(entry.by, Principal::Node(_)),
        Command::NoteHealth(_) => entry.by == Principal::System && !outcome.changed(),
        _ => false,
    }
}

fn each_of(outcome: &Outcome) -> Vec<AuditedSubject> {
    let one = |subject: String, outcome: &str| AuditedSubject {
        subject: bounded(&subject),
        outcome: outcome.into(),
    };
    match outcome {
        Outcome::Moderated(each) => {
            each.iter().map(|(subject, came)| one(subject.to_string(), code_of(came))).collect()
        }
        Outcome::HealthNoted(each) => {
            each.iter().map(|(name, noted)| one(format!("server/{name}"), noted.as_str())).collect()
        }
        _ => Vec::new(),
    }
}

fn bounded(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}
