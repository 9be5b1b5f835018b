//! Versions in review: those that are in quarantine by a record of their own. They are hidden, so that neither `latest`
//! nor a name without a version stands for one of them.

use super::{Moderation, NewEntries, Standing, Subject};
use crate::{Registry, ServerName, Version};
use std::sync::Arc;

/// Why a version is in quarantine that nobody has looked at yet.
const AWAITS: &str = "it awaits approval";

impl Registry {
    /// Whether versions that come in now wait for a moderator.
    pub(crate) fn reviews_new_entries(&self) -> bool {
        self.rules.new_entries == NewEntries::Approval
    }

    /// Puts a version that has just come in into quarantine.
    pub(crate) fn await_approval(&mut self, name: &ServerName, version: &Version) {
        let record = Moderation {
            standing: Standing::Quarantined,
            verified: None,
            reason: AWAITS.into(),
            case: None,
            at: self.at,
            index: self.applied,
            expires_at: None,
        };
        self.put_moderation(Subject::Version(name.clone(), version.clone()), record);
    }

    /// Sees to it that a server knows whether one of its versions is in review.
    pub(super) fn withhold(&mut self, subject: &Subject, standing: Standing) {
        let Subject::Version(name, version) = subject else { return };
        let in_review = standing == Standing::Quarantined;
        let Some(server) = self.servers.get(name).filter(|server| server.withholds(version) != in_review)
        else {
            return;
        };
        let mut server = (**server).clone();
        server.withhold(version, in_review);
        self.put_server(name.clone(), server);
    }

    /// Puts back a record that a snapshot has. What follows from all of them is seen to at its end.
    pub(crate) fn restore_moderation(&mut self, subject: Subject, record: Arc<Moderation>) {
        if let (Subject::Version(name, version), Standing::Quarantined) = (&subject, record.standing)
            && let Some(server) = self.servers.get(name)
        {
            let mut server = (**server).clone();
            server.withheld.insert(version.clone());
            self.servers.insert(name.clone(), Arc::new(server));
        }
        self.moderation.insert(subject, record);
    }
}
