//! The chain recomputed from what was shown of it, and the first record that is not as it was.
//!
//! Only the head is signed. Each record is shown with the chain's hash behind it, so that the first one that does not
//! follow from the one before can be named. Whoever makes all later hashes anew is caught at the head; where the change
//! was, only something that was kept from before can tell.

use crate::api::hex;
use crate::audit_head::AuditHead;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// A record as a node shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) index: u64,
    /// The hash that stands beside it.
    pub(super) hash: String,
    /// Its RFC 8785 form: keys are sorted, values are texts, whole numbers, and lists of objects whose keys are shown sorted.
    canonical: String,
}

impl Shown {
    /// `None` for what is no record.
    pub(super) fn new(mut members: Map<String, Value>) -> Option<Self> {
        let hash = members.remove("hash")?.as_str()?.to_owned();
        let index = members.get("index")?.as_u64()?;
        let sorted: BTreeMap<_, _> = members.into_iter().collect();
        Some(Self { index, hash, canonical: serde_json::json!(sorted).to_string() })
    }

    /// Whether it follows on a record with this hash.
    fn follows(&self, before: &str) -> bool {
        chained(before, &self.canonical).is_some_and(|hash| hash == self.hash)
    }
}

fn chained(before: &str, canonical: &str) -> Option<String> {
    let digits = before.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    let bytes: Option<Vec<u8>> = digits.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect();
    Some(hex(&Sha256::new().chain_update(bytes?).chain_update(canonical).finalize()))
}

/// Why a record does not stand where it should, as far as what follows on it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Its own words are not those that were hashed; or what stood before it is gone.
    AlteredOrGap,
    Inserted,
    Reordered,
    /// It follows on one that stands further on, at this index.
    Moved(u64),
    /// Nothing follows on it.
    Unclear,
}

/// The first record that is not as it was.
#[derive(Debug, PartialEq, Eq)]
struct Bad {
    index: u64,
    /// The record before it.
    behind: u64,
    kind: Kind,
}

/// A chain that is being gone through from its first record.
#[derive(Debug)]
pub(super) struct Chain {
    /// The hash and the index of the last record, and the hash of the one before it.
    hash: String,
    index: u64,
    former: (String, u64),
    count: u64,
    /// One that does not follow; the next one tells why.
    suspect: Option<Shown>,
    bad: Option<Bad>,
}

impl Default for Chain {
    fn default() -> Self {
        let empty = "0".repeat(64);
        Self { hash: empty.clone(), index: 0, former: (empty, 0), count: 0, suspect: None, bad: None }
    }
}

impl Chain {
    /// Takes the next record. Behind the first bad one they are only counted.
    pub(super) fn push(&mut self, record: Shown) {
        self.count += 1;
        if let Some(bad) = &mut self.bad {
            bad.look_for_moved(&record);
            return;
        }
        if let Some(suspect) = self.suspect.take() {
            self.bad = Some(self.judge(&suspect, Some(&record)));
        } else if record.index > self.index && record.follows(&self.hash) {
            let hash = std::mem::replace(&mut self.hash, record.hash);
            self.former = (hash, self.index);
            self.index = record.index;
        } else {
            self.suspect = Some(record);
        }
    }

    fn judge(&self, suspect: &Shown, next: Option<&Shown>) -> Bad {
        let bad = |kind| Bad { index: suspect.index, behind: self.index, kind };
        // What follows on the last but one makes the last one a stranger, which somebody has hashed into its place.
        if self.count > 1 && suspect.index > self.index && suspect.follows(&self.former.0) {
            return Bad { index: self.index, behind: self.former.1, kind: Kind::Inserted };
        }
        match next {
            _ if suspect.index < self.index => bad(Kind::Reordered),
            _ if suspect.index == self.index => bad(Kind::Inserted),
            Some(next) if next.index > self.index && next.follows(&self.hash) => {
                // Whichever of the two was moved, it is here that the order is another.
                bad(if next.index < suspect.index { Kind::Reordered } else { Kind::Inserted })
            }
            Some(next) if next.index < suspect.index => bad(Kind::Reordered),
            Some(next) if next.follows(&suspect.hash) => bad(Kind::AlteredOrGap),
            Some(_) | None => bad(Kind::Unclear),
        }
    }

    /// What is wrong with the whole, by the head that was signed.
    pub(super) fn end(mut self, head: &AuditHead) -> Result<(), String> {
        if let Some(suspect) = self.suspect.take() {
            self.bad = Some(self.judge(&suspect, None));
        }
        if let Some(bad) = &self.bad {
            return Err(bad.told(self.count, head));
        }
        let missing = head.records.saturating_sub(self.count);
        if missing > 0 && self.index < head.last {
            let (last, signed) = (self.index, head.last);
            return Err(format!(
                "{} removed at the end: the chain ends with record {last}, and the head was signed with record {signed}",
                many(missing)
            ));
        }
        if self.index != head.last || self.count != head.records || self.hash != head.head {
            return Err(format!(
                "every record up to {} follows on the one before it, but they are not what was signed: something among \
                 them was changed, and all hashes behind that were made anew",
                self.index
            ));
        }
        Ok(())
    }

    /// Whether this chain, as far as it has come, ends as `head` says; `None` if it has not come to its end.
    pub(super) fn agrees(&self, head: &AuditHead) -> Option<bool> {
        let is_there = self.count == head.records;
        is_there.then(|| self.index == head.last && self.hash == head.head)
    }
}

impl Bad {
    /// A record that is missing in the gap before this one may stand further on.
    fn look_for_moved(&mut self, record: &Shown) {
        if self.kind == Kind::AlteredOrGap && (self.behind + 1..self.index).contains(&record.index) {
            self.kind = Kind::Moved(record.index);
        }
    }

    fn told(&self, count: u64, head: &AuditHead) -> String {
        let Self { index, behind, kind } = self;
        let missing = head.records.saturating_sub(count);
        let place = if *behind == 0 { "at the beginning".into() } else { format!("behind record {behind}") };
        match kind {
            Kind::Inserted => format!("record {index} was inserted {place}: the next one follows without it"),
            Kind::Reordered => {
                format!("record {index} was reordered: it stands {place}, where it does not belong")
            }
            Kind::Moved(moved) => {
                format!("record {moved} was reordered: it belongs {place}, and stands further on")
            }
            Kind::AlteredOrGap if missing == 0 => {
                format!("record {index} was altered: it is not what was hashed {place}")
            }
            _ if missing > 0 => {
                format!("{} removed {place}, or near it: record {index} does not follow there", many(missing))
            }
            _ => format!("record {index} is the first that is not as it was: it does not follow {place}"),
        }
    }
}

fn many(records: u64) -> String {
    if records == 1 { "a record was".into() } else { format!("{records} records were") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use hapi_registry_state::{AuditRecord, EMPTY_CHAIN, Timestamp};
    use serde_json::json;

    /// Records at every other index, from 2.
    fn history(length: u64) -> Vec<Map<String, Value>> {
        let mut before = EMPTY_CHAIN;
        let records = (1..=length).map(|number| {
            let record = AuditRecord {
                index: number * 2,
                at: Timestamp::from_seconds(number),
                actor: "token/a".into(),
                act: "publish".into(),
                subject: format!("version/ai.acme/\"{number}\"@1.0.0"),
                reason: "\u{7}é\u{2028}\n".into(),
                outcome: "done".into(),
                subjects: Vec::new(),
            };
            before = record.chain(&before);
            let shown = json!({
                "reason": record.reason, "outcome": record.outcome, "index": record.index,
                "at": record.at.to_string(), "actor": record.actor, "act": record.act, "subject": record.subject,
                "hash": hex(&before),
            });
            shown.as_object().unwrap().clone()
        });
        records.collect()
    }

    fn head(records: &[Map<String, Value>]) -> AuditHead {
        let last = records.last().unwrap();
        AuditHead {
            iss: String::new(),
            iat: 0,
            node: String::new(),
            incarnation: 1,
            index: 1_000,
            records: records.len() as u64,
            first: 2,
            last: last["index"].as_u64().unwrap(),
            head: last["hash"].as_str().unwrap().into(),
        }
    }

    fn check(records: &[Map<String, Value>], head: &AuditHead) -> Result<(), String> {
        let mut chain = Chain::default();
        records.iter().for_each(|record| chain.push(Shown::new(record.clone()).unwrap()));
        chain.end(head)
    }

    /// What is said once `change` was made to ten records; with `anew`, all hashes are made to fit from that place on.
    fn said(change: impl FnOnce(&mut Vec<Map<String, Value>>), anew: Option<usize>) -> String {
        let mut records = history(10);
        let head = head(&records);
        change(&mut records);
        if let Some(from) = anew {
            for place in from..records.len() {
                let before = if place == 0 {
                    "0".repeat(64)
                } else {
                    records[place - 1]["hash"].as_str().unwrap().into()
                };
                let shown = Shown::new(records[place].clone()).unwrap();
                records[place]["hash"] = chained(&before, &shown.canonical).unwrap().into();
            }
        }
        check(&records, &head).unwrap_err()
    }

    #[test]
    fn a_chain_that_is_as_it_was_holds() {
        let records = history(10);
        assert_eq!(check(&records, &head(&records)), Ok(()));
    }

    #[test]
    fn the_first_record_that_is_not_as_it_was_is_named() {
        let pages = [
            said(|records| records[4]["reason"] = "none".into(), None),
            said(|records| records[0]["actor"] = "token/b".into(), None),
            said(|records| records[9]["act"] = "edit".into(), None),
            said(|records| drop(records.remove(4)), None),
            said(|records| drop(records.drain(4..7)), None),
            said(|records| drop(records.remove(0)), None),
            said(|records| drop(records.remove(9)), None),
            said(|records| records.swap(4, 5), None),
            said(|records| records.swap(2, 7), None),
            said(
                |records| {
                    let one = records.remove(7);
                    records.insert(2, one);
                },
                None,
            ),
            said(
                |records| {
                    let one = records.remove(2);
                    records.insert(7, one);
                },
                None,
            ),
            said(
                |records| {
                    let mut one = records[4].clone();
                    one["index"] = 9.into();
                    records.insert(4, one);
                },
                None,
            ),
            said(
                |records| {
                    let one = records[4].clone();
                    records.insert(5, one);
                },
                None,
            ),
            said(
                |records| {
                    let mut one = records[4].clone();
                    one["index"] = 50.into();
                    records.push(one);
                },
                None,
            ),
        ];
        insta::assert_snapshot!(pages.join("\n"), @r"
        record 10 was altered: it is not what was hashed behind record 8
        record 2 was altered: it is not what was hashed at the beginning
        record 20 is the first that is not as it was: it does not follow behind record 18
        a record was removed behind record 8, or near it: record 12 does not follow there
        3 records were removed behind record 8, or near it: record 16 does not follow there
        a record was removed at the beginning, or near it: record 4 does not follow there
        a record was removed at the end: the chain ends with record 18, and the head was signed with record 20
        record 12 was reordered: it stands behind record 8, where it does not belong
        record 16 was reordered: it stands behind record 4, where it does not belong
        record 16 was reordered: it stands behind record 4, where it does not belong
        record 6 was reordered: it belongs behind record 4, and stands further on
        record 9 was inserted behind record 8: the next one follows without it
        record 10 was inserted behind record 10: the next one follows without it
        record 50 is the first that is not as it was: it does not follow behind record 20
        ");
    }

    #[test]
    fn whoever_makes_hashes_anew_is_found_where_the_old_ones_begin_or_at_the_head() {
        let inserted = |records: &mut Vec<Map<String, Value>>| {
            let mut one = records[4].clone();
            one["index"] = 9.into();
            records.insert(4, one);
        };
        // Only the stranger itself was hashed into its place.
        let mut records = history(10);
        let head = head(&records);
        inserted(&mut records);
        let before = records[3]["hash"].as_str().unwrap().to_owned();
        records[4]["hash"] =
            chained(&before, &Shown::new(records[4].clone()).unwrap().canonical).unwrap().into();
        let pages = [
            check(&records, &head).unwrap_err(),
            said(inserted, Some(4)),
            said(|records| records[4]["reason"] = "none".into(), Some(4)),
            said(|records| drop(records.remove(4)), Some(4)),
        ];
        insta::assert_snapshot!(pages.join("\n"), @r"
        record 9 was inserted behind record 8: the next one follows without it
        every record up to 20 follows on the one before it, but they are not what was signed: something among them was changed, and all hashes behind that were made anew
        every record up to 20 follows on the one before it, but they are not what was signed: something among them was changed, and all hashes behind that were made anew
        every record up to 20 follows on the one before it, but they are not what was signed: something among them was changed, and all hashes behind that were made anew
        ");
    }
}
