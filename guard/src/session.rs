//! The sessions, and when they are to be renewed or ended. Pure: instants come in, and what is to be done goes out.

use std::collections::HashMap;

use hapi_descriptor::LEEWAY_SECONDS;
use http::StatusCode;

use crate::cache::Verified;
use crate::denial::Denial;
use crate::gate::Admitted;
use crate::shares::Shares;

/// How long before the end of its descriptor a session is asked to renew it, in seconds: enough for the client to
/// find another node and try again.
pub const REFRESH_NOTICE_SECONDS: u64 = 20;

/// How many streams one session may have open. A client needs one, and one per running call.
pub(crate) const MAX_STREAMS: usize = 32;

/// Why a session was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// Its descriptor was revoked.
    Revoked,
    /// Nobody renewed it.
    RefreshTimeout,
    /// It was to be renewed with descriptors that do not verify.
    AuthFailed,
    /// It was to be renewed with a descriptor of another client, or for another server.
    PolicyDenied,
}

impl EndReason {
    pub(crate) const ALL: [Self; 4] =
        [Self::Revoked, Self::RefreshTimeout, Self::AuthFailed, Self::PolicyDenied];

    /// The word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::RefreshTimeout => "refresh_timeout",
            Self::AuthFailed => "auth_failed",
            Self::PolicyDenied => "policy_denied",
        }
    }

    /// What a session ends with when this was the answer to the last try to renew it. A guard that could not decide
    /// holds nothing against the client.
    pub(crate) fn of_failure(denial: Denial) -> Option<Self> {
        match denial {
            Denial::Revoked(_) => Some(Self::Revoked),
            denial if denial.status() == StatusCode::UNAUTHORIZED => Some(Self::AuthFailed),
            denial if denial.status() == StatusCode::FORBIDDEN => Some(Self::PolicyDenied),
            _ => None,
        }
    }
}

/// An open response stream of a session.
pub(crate) trait Stream {
    /// Whether somebody still reads it.
    fn is_open(&self) -> bool;
    /// Whether it is there for messages of the server's own accord.
    fn takes_notices(&self) -> bool;
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect<S> {
    /// Tell the client on this stream that its descriptor ends at `exp`.
    Notice { stream: S, exp: u64 },
    /// The session is over: close its streams, and say why.
    End { reason: EndReason, verified: Verified, streams: Vec<S> },
}

/// What a renewal came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// The session now lives on the newer descriptor.
    Renewed,
    /// The descriptor is good, and ends no later than the one that the session has.
    NotNewer,
}

#[derive(Debug)]
struct Session<S> {
    bound: Admitted,
    /// Whether the client was told on a stream that this descriptor ends.
    noticed: bool,
    /// How the session ends if it is not renewed.
    timeout: EndReason,
    streams: Vec<S>,
}

impl<S> Session<S> {
    fn exp(&self) -> u64 {
        self.bound.verified.claims.exp
    }

    fn client(&self) -> &str {
        &self.bound.verified.claims.client.id
    }

    fn has_ended(&self, now: u64) -> bool {
        now >= self.exp() + LEEWAY_SECONDS
    }
}

/// Whether the client of a session at `now` is to be asked to renew.
pub(crate) fn is_due(exp: u64, now: u64) -> bool {
    now >= exp.saturating_sub(REFRESH_NOTICE_SECONDS)
}

/// The live sessions, by `Mcp-Session-Id`. One that ends is forgotten: MCP answers 404 to both alike.
#[derive(Debug)]
pub(crate) struct Table<S> {
    sessions: HashMap<String, Session<S>>,
    /// Places that are kept for sessions that the server is opening.
    reserved: usize,
    max: usize,
    shares: Shares,
}

impl<S: Stream + Clone> Table<S> {
    pub(crate) fn new(max: usize, max_per_client: usize) -> Self {
        Self { sessions: HashMap::new(), reserved: 0, max, shares: Shares::new(max_per_client) }
    }

    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Keeps a place for a session, before the server is asked to open it: one that is opened in vain costs the server
    /// as much as any other.
    pub(crate) fn reserve(&mut self, client: &str) -> Result<(), Denial> {
        if self.sessions.len() + self.reserved >= self.max || !self.shares.has_room(client) {
            return Err(Denial::TooManySessions);
        }
        self.reserved += 1;
        self.shares.take(client);
        Ok(())
    }

    /// Gives back a place that was kept.
    pub(crate) fn give_back(&mut self, client: &str) {
        self.reserved -= 1;
        self.shares.give_back(client);
    }

    /// Opens a session on the descriptor that its client came in with. One of the same id gives way to it; its streams
    /// are to be closed.
    pub(crate) fn bind(&mut self, id: &str, bound: Admitted) -> Result<Vec<S>, Denial> {
        let session =
            Session { bound, noticed: false, timeout: EndReason::RefreshTimeout, streams: Vec::new() };
        if !self.has_room(id, session.client()) {
            return Err(Denial::TooManySessions);
        }
        let former = self.remove(id);
        self.shares.take(session.client());
        self.sessions.insert(id.to_owned(), session);
        Ok(former.map(|former| former.streams).unwrap_or_default())
    }

    fn has_room(&self, id: &str, client: &str) -> bool {
        let former = self.sessions.get(id).map(Session::client);
        let fits = self.sessions.len() + self.reserved < self.max || former.is_some();
        fits && (self.shares.has_room(client) || former == Some(client))
    }

    /// The only way out of the table.
    fn remove(&mut self, id: &str) -> Option<Session<S>> {
        let session = self.sessions.remove(id)?;
        self.shares.give_back(session.client());
        Some(session)
    }

    /// The descriptor that a session lives on.
    pub(crate) fn bound(&self, id: &str, now: u64) -> Option<Admitted> {
        self.sessions.get(id).filter(|session| !session.has_ended(now)).map(|session| session.bound.clone())
    }

    /// Renews a session, if the descriptor is of the same client and tenant. Server and `aud` are the same for every
    /// descriptor that passes the gate. One that ends earlier than what the session has is no harm and no use.
    pub(crate) fn renew(&mut self, id: &str, fresh: Admitted, now: u64) -> Result<Renewal, Denial> {
        let session = self.sessions.get_mut(id).filter(|session| !session.has_ended(now));
        let session = session.ok_or(Denial::SessionEnded)?;
        if session.bound.verified.claims.client != fresh.verified.claims.client {
            return Err(Denial::OtherParty);
        }
        if fresh.verified.claims.exp <= session.exp() {
            return Ok(Renewal::NotNewer);
        }
        (session.bound, session.noticed, session.timeout) = (fresh, false, EndReason::RefreshTimeout);
        Ok(Renewal::Renewed)
    }

    /// Remembers that a try to renew failed. The session goes on: what was presented says nothing against what it
    /// has, and a stranger who knows the session's id must not be able to end it.
    pub(crate) fn failed(&mut self, id: &str, denial: Denial) {
        if let (Some(session), Some(reason)) = (self.sessions.get_mut(id), EndReason::of_failure(denial)) {
            session.timeout = reason;
        }
    }

    /// Adds a stream that was opened, unless the session is gone or has too many.
    pub(crate) fn attach(&mut self, id: &str, stream: S) -> Result<(), Denial> {
        let session = self.sessions.get_mut(id).ok_or(Denial::SessionEnded)?;
        session.streams.retain(Stream::is_open);
        if session.streams.len() >= MAX_STREAMS {
            return Err(Denial::TooManyStreams);
        }
        session.streams.push(stream);
        Ok(())
    }

    /// Forgets a session that its client or its server has closed.
    pub(crate) fn close(&mut self, id: &str) -> Vec<S> {
        self.remove(id).map(|session| session.streams).unwrap_or_default()
    }

    /// Ends a session for a reason.
    pub(crate) fn end(&mut self, id: &str, reason: EndReason) -> Option<Effect<S>> {
        let session = self.remove(id)?;
        Some(Effect::End { reason, verified: session.bound.verified, streams: session.streams })
    }

    /// Ends what is over, and asks for what is due. `verdict` says why a descriptor that is still in its time must
    /// end now.
    pub(crate) fn tick(
        &mut self,
        now: u64,
        verdict: impl Fn(&Verified) -> Option<EndReason>,
    ) -> Vec<Effect<S>> {
        let mut effects = self.end_where(|session| {
            if session.has_ended(now) { Some(session.timeout) } else { verdict(&session.bound.verified) }
        });
        effects.extend(self.sessions.values_mut().filter_map(|session| session.notice(now)));
        effects
    }

    fn end_where(&mut self, reason: impl Fn(&Session<S>) -> Option<EndReason>) -> Vec<Effect<S>> {
        let over: Vec<_> = self
            .sessions
            .iter()
            .filter_map(|(id, session)| reason(session).map(|reason| (id.clone(), reason)))
            .collect();
        over.into_iter().filter_map(|(id, reason)| self.end(&id, reason)).collect()
    }
}

impl<S: Stream + Clone> Session<S> {
    /// Once per descriptor, on one stream: MCP forbids sending a message on several. Without an open stream it waits
    /// for one.
    fn notice(&mut self, now: u64) -> Option<Effect<S>> {
        if self.noticed || !is_due(self.exp(), now) {
            return None;
        }
        let stream = self.streams.iter().find(|stream| stream.is_open() && stream.takes_notices())?.clone();
        self.noticed = true;
        Some(Effect::Notice { stream, exp: self.exp() })
    }
}

#[cfg(test)]
mod tests;
