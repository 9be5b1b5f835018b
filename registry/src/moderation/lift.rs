//! Suspensions that lift themselves. No clock runs here: the leader proposes what its own clock says is due, and the
//! instant of that entry decides. Whoever is late lifts late; nobody lifts early.

use super::{Moderation, Standing, Subject};
use crate::{Outcome, Principal, Registry, Rejection, Timestamp};

impl Registry {
    /// Lifts what has come to its end. `index` is that of the record that was read: whatever a moderator has done since
    /// then stays.
    pub(crate) fn lift(
        &mut self,
        by: &Principal,
        subject: &Subject,
        index: u64,
    ) -> Result<Outcome, Rejection> {
        self.require_system(by)?;
        let record = self.moderation(subject).filter(|record| record.index == index);
        let (record, end) = record
            .and_then(|record| Some((record, record.expires_at?)))
            .ok_or_else(|| Rejection::ModerationChanged(subject.clone()))?;
        if self.at < end {
            return Err(Rejection::NotYetDue { subject: subject.clone(), at: end });
        }
        let lifted = Moderation {
            standing: Standing::None,
            reason: format!("it was to end at {end}"),
            at: self.at,
            index: self.applied,
            expires_at: None,
            ..record.clone()
        };
        self.put_moderation(subject.clone(), lifted);
        Ok(Outcome::Done)
    }

    /// What has come to its end by `now`, the first to end first, each with the index of its record.
    pub fn ended_moderations(&self, now: Timestamp) -> impl Iterator<Item = (&Subject, u64)> {
        let ended = self.moderation_ends.iter().take_while(move |(end, _)| *end <= now);
        ended.filter_map(|(_, subject)| Some((subject, self.moderation(subject)?.index)))
    }

    /// Puts back what a snapshot has beside the record itself.
    pub(crate) fn restore_end(&mut self, subject: Subject, end: Timestamp) {
        if let Some(record) = self.moderation(&subject).cloned() {
            self.put_moderation(subject, Moderation { expires_at: Some(end), ..record });
        }
    }
}
