//! One pass of the leader through a source: what changed there since the last one, or everything.
//!
//! How far it has come stands in the log beside what it took over, so that a pass that was broken off goes on from
//! there under any leader. What an entry comes to is asked of the state before anything is proposed: entries that
//! change nothing cost nothing.

use super::{
    MirrorError, Mirrors,
    source::{Bounds, Page, Question, Source, SourceError},
    walk::Walk,
};
use crate::{
    clock,
    entries::{Batch, RejectedEntry, parse_mirrored},
};
use hapi_raft::{Committed, ProposeError, Replica, Role};
use hapi_registry_state::{
    Command, Imported, Mirror, MirrorId, MirrorPass, MirrorProgress, MirrorStep, Mirrored, Outcome,
    Principal, Rejection, Status, Timestamp,
};
use std::time::Duration;

/// How far a pass goes back behind where the last one began, in seconds. The filter is strict, so that of two changes
/// at one instant one would be lost; and a change may be visible a moment after its own date.
const OVERLAP: u64 = 60;

/// The most rejected entries that are kept for the report.
pub(crate) const REPORTED: usize = 20;

/// How long a deletion may take to bind every node before the pass goes on. It binds them all the same.
const SEAL_WAIT: Duration = Duration::from_secs(30);

/// A pass that is under way.
pub(super) struct Pass<'a> {
    mirrors: &'a Mirrors,
    replica: &'a Replica,
    id: &'a MirrorId,
    mirror: Mirror,
    source: Source,
    since: Option<Timestamp>,
    began: Option<Timestamp>,
    newest: Option<Timestamp>,
    walk: Walk,
    /// Whether it goes on where another one was broken off.
    resumed: bool,
}

impl<'a> Pass<'a> {
    /// Begins where the log says. `reached` is what this leader knows beyond that: everything that changed before it is
    /// here. It is not in the log, since it moves with each pass, even if there is nothing new.
    pub(super) fn begin(
        mirrors: &'a Mirrors,
        replica: &'a Replica,
        id: &'a MirrorId,
        mirror: Mirror,
        reached: Option<Timestamp>,
    ) -> Result<Self, SourceError> {
        let source = Source::new(&mirror.settings.url, Bounds::default(), &mirrors.outbound)?;
        let (since, began, newest, cursor) = match mirror.progress.pass.clone() {
            Some(MirrorPass { since, began, newest, cursor }) => (since, Some(began), newest, Some(cursor)),
            None => {
                let since = mirror.progress.mark.map(|mark| back(reached.map_or(mark, |it| it.max(mark))));
                (since, None, None, None)
            }
        };
        let resumed = cursor.is_some();
        let walk = Walk::new(source.clone(), Question { since, cursor });
        Ok(Self { mirrors, replica, id, mirror, source, since, began, newest, walk, resumed })
    }

    /// Whether it cannot go on where another one stopped.
    pub(super) fn is_stale(&self, error: &SourceError) -> bool {
        self.resumed && (error.is_endless() || (error.is_refusal() && self.walk.is_at_start()))
    }

    /// Begins anew from the first page.
    pub(super) fn restart(&mut self) -> Result<(), SourceError> {
        self.walk = Walk::new(self.source.clone(), Question { since: self.since, cursor: None });
        (self.began, self.newest, self.resumed) = (None, None, false);
        Ok(())
    }

    /// When it began, by the source's clock or ours, whichever is behind.
    pub(super) fn began(&self) -> Option<Timestamp> {
        self.began
    }

    pub(super) async fn run(&mut self) -> Result<(), MirrorError> {
        loop {
            let _place = self.mirrors.pages.acquire().await;
            let Some(page) = self.walk.next().await? else { return Ok(()) };
            self.take(page).await?;
        }
    }

    async fn take(&mut self, page: Page) -> Result<(), MirrorError> {
        let now = clock::now();
        let began = *self.began.get_or_insert_with(|| page.date.map_or(now, |date| date.min(now)));
        let mut batch = Batch::default();
        for text in &page.entries {
            let entry = match parse_mirrored(text) {
                Ok(entry) => entry,
                Err(rejected) => {
                    self.mirrors.count(self.id, "rejected", Some(rejected));
                    continue;
                }
            };
            // What is dated later, rightly or not, is left for the next pass to say.
            let dated = entry.updated_at.or(entry.published_at).filter(|at| *at <= began);
            self.newest = self.newest.max(dated);
            if self.is_news(&entry) {
                batch.add(entry);
            }
            if batch.is_full() {
                self.send(std::mem::take(&mut batch), None).await?;
            }
        }
        let progress = self.progress(page.next, began);
        let ends = progress.pass.is_none() && progress != self.mirror.progress;
        if ends || !batch.entries.is_empty() {
            self.send(batch, Some(progress)).await?;
        }
        Ok(())
    }

    /// Whether an entry changes anything; counts it if not.
    fn is_news(&self, entry: &Imported) -> bool {
        let name = entry.document.name();
        // A deletion of what is here counts even if no more is taken under this name.
        if !self.mirror.settings.takes(name) && entry.status != Status::Deleted {
            self.mirrors.count(self.id, "excluded", None);
            return false;
        }
        match self.replica.state().mirroring(self.id, entry) {
            Ok(outcome) if outcome.changes() => true,
            Ok(outcome) => {
                self.mirrors.count(self.id, outcome.as_str(), None);
                false
            }
            Err(rejection) => {
                self.reject(entry, &rejection);
                false
            }
        }
    }

    fn reject(&self, entry: &Imported, rejection: &Rejection) {
        let (name, version) = (entry.document.name().to_string(), entry.document.version().to_string());
        let rejected = RejectedEntry::new(name, version, rejection);
        self.mirrors.count(self.id, "rejected", Some(rejected));
    }

    /// Where the mirror is once this page has been taken over.
    fn progress(&self, next: Option<String>, began: Timestamp) -> MirrorProgress {
        let mark = self.mirror.progress.mark;
        match next {
            Some(cursor) => {
                let (since, newest) = (self.since, self.newest);
                MirrorProgress { mark, pass: Some(MirrorPass { since, cursor, began, newest }) }
            }
            None => MirrorProgress { mark: mark.max(self.newest), pass: None },
        }
    }

    /// Writes a batch, and how far the mirror has come with it.
    async fn send(&mut self, batch: Batch, to: Option<MirrorProgress>) -> Result<(), MirrorError> {
        match self.propose(&batch.entries, to.clone()).await {
            // A document may be far larger once it is read than it was written, and must not hold up all others.
            Err(MirrorError::Propose(ProposeError::Refused(_)))
                if self.leads() && !batch.entries.is_empty() =>
            {
                for entry in &batch.entries {
                    self.send_alone(entry).await?;
                }
                self.propose(&[], to).await
            }
            result => result,
        }
    }

    async fn send_alone(&mut self, entry: &Imported) -> Result<(), MirrorError> {
        match self.propose(std::slice::from_ref(entry), None).await {
            Err(MirrorError::Propose(ProposeError::Refused(reason))) if self.leads() => {
                self.reject(entry, &Rejection::Invalid(reason));
                Ok(())
            }
            result => result,
        }
    }

    /// Whether it is not for want of leadership that something was refused.
    fn leads(&self) -> bool {
        self.replica.status().role == Role::Leader
    }

    async fn propose(&mut self, entries: &[Imported], to: Option<MirrorProgress>) -> Result<(), MirrorError> {
        if entries.is_empty() && to.is_none() {
            return Ok(());
        }
        let step = to.clone().map(|to| MirrorStep { of: self.mirror.index, to });
        let command = Command::Mirror { source: self.id.clone(), entries: entries.to_vec(), step };
        // Only a leader speaks for the system: one that leads no more is refused here.
        let Committed { outcome, seal, .. } = self.replica.propose(Principal::System, command).await?;
        match outcome {
            Outcome::Mirrored(results) => self.note(entries, results),
            Outcome::Rejected(rejection) => return Err(rejection.into()),
            _ => {}
        }
        if let Some(seal) = seal
            && self.replica.sealed(seal, SEAL_WAIT).await.is_err()
        {
            tracing::warn!(mirror = %self.id, index = seal, "a deletion does not bind every node yet");
        }
        if let Some(progress) = to {
            self.mirror.progress = progress;
        }
        Ok(())
    }

    fn note(&self, entries: &[Imported], results: Vec<Result<Mirrored, Rejection>>) {
        for (entry, result) in entries.iter().zip(results) {
            match result {
                Ok(outcome) => self.mirrors.count(self.id, outcome.as_str(), None),
                Err(rejection) => self.reject(entry, &rejection),
            }
        }
    }
}

fn back(mark: Timestamp) -> Timestamp {
    Timestamp(mark.0.saturating_sub(Timestamp::from_seconds(OVERLAP).0))
}
