//! The chain as nodes give it out.

use super::page;
use crate::audit_head::{AuditHead, Signed, read};
use crate::cli::session::Session;
use crate::cli::{Failure, authority};
use hapi_descriptor::{KeySet, Refusal};
use serde_json::{Map, Value};
use std::collections::VecDeque;

/// The head as a node signs it now, verified by the keys and the issuer that the cluster publishes.
pub(super) async fn head(session: &Session) -> Result<(String, AuditHead), Failure> {
    let text = session.text("/v1/audit/head").await?;
    // Behind the head: a key that is newer than the set would be unknown.
    let authority = Authority::of(session).await?;
    let head = authority.read(&text).map_err(|refusal| unsigned(refusal, "the signed head"))?.head;
    Ok((text, head))
}

/// Who may sign a head.
pub(super) struct Authority {
    pub(super) keys: KeySet,
    pub(super) issuer: String,
}

impl Authority {
    /// As the cluster says.
    pub(super) async fn of(session: &Session) -> Result<Self, Failure> {
        Ok(Self { keys: authority::keys(session).await?, issuer: authority::issuer(session).await? })
    }

    pub(super) fn read(&self, text: &str) -> Result<Signed, Refusal> {
        read(text, &self.keys, &self.issuer)
    }
}

/// A head that does not count.
pub(super) fn unsigned(refusal: Refusal, what: &str) -> Failure {
    let failure = Failure::refused(format!("{what} does not hold: {refusal} ({})", refusal.reason()));
    match refusal {
        Refusal::UnknownKey => failure
            .hint("nodes change their keys daily: give the key set of that day with --jwks and --issuer"),
        _ => failure,
    }
}

/// All records up to those that a head tells of.
pub(super) struct Pages<'a> {
    session: &'a Session,
    last: u64,
    after: u64,
    records: VecDeque<Map<String, Value>>,
    is_at_end: bool,
}

impl<'a> Pages<'a> {
    pub(super) fn up_to(session: &'a Session, head: &AuditHead) -> Self {
        let is_at_end = head.records == 0;
        Self { session, last: head.last, after: 0, records: VecDeque::new(), is_at_end }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Map<String, Value>>, Failure> {
        if self.records.is_empty() && !self.is_at_end {
            self.turn().await?;
        }
        Ok(self.records.pop_front())
    }

    async fn turn(&mut self) -> Result<(), Failure> {
        let mut answer = page(self.session, self.after, super::PAGE).await?;
        let records = super::records(&mut answer);
        self.is_at_end = (records.len() as u64) < super::PAGE;
        for record in records {
            let Value::Object(members) = record else { continue };
            let index = members.get("index").and_then(Value::as_u64).unwrap_or_default();
            // What came after the head was signed is none of its.
            if index > self.last {
                self.is_at_end = true;
                break;
            }
            self.after = self.after.max(index);
            self.records.push_back(members);
        }
        Ok(())
    }
}
