//! Which servers do not answer. No clock runs here, and nobody is asked: the leader tells what it has seen, and the entry's
//! place in the log decides whether that still counts.

use crate::{
    Endpoint, HealthGate, Outcome, Principal, Published, Refusal, Registry, Rejection, ServerName, Standing,
    Status, Timestamp, Transport,
};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// The most changes of one entry: its audit record lists them.
pub const MOST_HEALTH_CHANGES: usize = 256;

/// The longest that a refused client is told to wait, in seconds.
const MOST_WAIT: u32 = 60;

/// What was wrong when a server was asked last. New kinds are added at the end: the order is the form in the log.
///
/// It says no more than clients find out who go there: whoever runs this registry may know the addresses behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HealthFault {
    /// Nobody was reached, or the connection ended.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// An answer, of this HTTP status, which no MCP server gives.
    Status(u16),
}

impl fmt::Display for HealthFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable => f.write_str("unreachable"),
            Self::Timeout => f.write_str("timeout"),
            Self::Status(status) => write!(f, "status_{status}"),
        }
    }
}

/// A server that does not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Down {
    /// Where it was asked. Only this endpoint is not connected to: of others nothing is known.
    pub endpoint: Endpoint,
    /// What was wrong.
    pub fault: HealthFault,
    /// Since when that is known.
    pub since: Timestamp,
    /// The index of the entry that says so.
    pub index: u64,
}

/// What the leader has seen of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthChange {
    /// Which server.
    pub server: ServerName,
    /// Where it was asked.
    pub endpoint: Endpoint,
    /// What is wrong; none if it answers.
    pub fault: Option<HealthFault>,
}

/// What came of such a word. New kinds are added at the end: the order is the form in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Noted {
    /// It is not connected to any more.
    Down,
    /// It is connected to again.
    Up,
    /// All is as it was: it was so already, or the question was put elsewhere, or is asked no more.
    Unchanged,
}

impl Noted {
    /// As it stands in the audit chain.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Up => "up",
            Self::Unchanged => "unchanged",
        }
    }
}

impl Registry {
    /// What the leader has seen since it said so last.
    pub(crate) fn note_health(
        &mut self,
        by: &Principal,
        changes: &[HealthChange],
    ) -> Result<Outcome, Rejection> {
        self.require_system(by)?;
        if changes.len() > MOST_HEALTH_CHANGES {
            return Err(Rejection::Invalid(format!("one entry has at most {MOST_HEALTH_CHANGES} changes")));
        }
        let noted = changes.iter().map(|change| (change.server.clone(), self.note_one(change)));
        Ok(Outcome::HealthNoted(noted.collect()))
    }

    fn note_one(&mut self, HealthChange { server, endpoint, fault }: &HealthChange) -> Noted {
        let known = self.down.get(server).is_some_and(|down| down.endpoint == *endpoint);
        match fault {
            None if known => {
                self.down.remove(server);
                Noted::Up
            }
            Some(fault)
                if !known && self.gate.covers(server) && self.probed(server).as_ref() == Some(endpoint) =>
            {
                let (endpoint, fault) = (endpoint.clone(), *fault);
                let down = Down { endpoint, fault, since: self.at, index: self.applied };
                self.down.insert(server.clone(), Arc::new(down));
                Noted::Down
            }
            _ => Noted::Unchanged,
        }
    }

    /// Changes the gate. Those for whom it is off now are not known to be down any more.
    pub(crate) fn set_health_gate(&mut self, gate: HealthGate) {
        self.gate = gate;
        let freed: Vec<_> = self.down.keys().filter(|name| !self.gate.covers(name)).cloned().collect();
        for name in freed {
            self.down.remove(&name);
        }
    }

    /// Forgets what is known of an endpoint that nobody asks any more, since the server has another one now.
    pub(crate) fn forget_former_health(&mut self, name: &ServerName) {
        let Some(down) = self.down.get(name) else { return };
        if self.default_endpoint(name).as_ref() != Some(&down.endpoint) {
            self.down.remove(name);
        }
    }

    /// Where a server is asked whether it answers: where clients go that name no version. None if nobody may connect there,
    /// or if the client has to fill something in.
    pub fn probed(&self, name: &ServerName) -> Option<Endpoint> {
        let published = self.default_of(name)?;
        let (standing, _) = self.standing(name, published.document.version());
        let is_open = standing == Standing::None && published.status != Status::Deleted;
        if is_open { self.default_endpoint(name) } else { None }
    }

    fn default_of(&self, name: &ServerName) -> Option<&Published> {
        let server = self.server(name)?;
        server.versions.get(server.default_version()?).map(|published| &**published)
    }

    fn default_endpoint(&self, name: &ServerName) -> Option<Endpoint> {
        let document = &self.default_of(name)?.document;
        if !document.is_streamable() {
            return None;
        }
        let remotes = document.remotes();
        let remote = remotes.iter().find(|remote| remote.transport == Transport::StreamableHttp)?;
        remote.url.literal()
    }

    /// Refuses an endpoint that does not answer.
    pub(crate) fn check_health(&self, name: &ServerName, endpoint: &Endpoint) -> Result<(), Refusal> {
        match self.down.get(name).filter(|down| down.endpoint == *endpoint) {
            None => Ok(()),
            Some(down) => Err(Refusal::ServerUnavailable {
                server: name.clone(),
                since: down.since,
                retry_after: self.gate.health_interval.min(MOST_WAIT),
            }),
        }
    }

    /// The server, if it does not answer.
    pub fn down(&self, name: &ServerName) -> Option<&Down> {
        self.down.get(name).map(|down| &**down)
    }

    /// All that do not answer, by name.
    pub fn servers_down(&self) -> impl ExactSizeIterator<Item = (&ServerName, &Down)> {
        self.down.iter().map(|(name, down)| (name, &**down))
    }

    /// The servers that the gate is on for, by name.
    pub fn behind_gate(&self) -> impl Iterator<Item = &ServerName> {
        let is_used = self.gate.is_used();
        self.servers.keys().filter(move |name| is_used && self.gate.covers(name))
    }

    /// The settings of the gate.
    pub fn health_gate(&self) -> &HealthGate {
        &self.gate
    }
}
