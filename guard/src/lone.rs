//! The open streams of requests that belong to no session.

use crate::cache::Verified;
use crate::denial::Denial;
use crate::session::Stream;
use crate::shares::Shares;

/// How many there may be at once.
pub(crate) const MAX_LONE: usize = 10_000;

/// How many of them one client may have.
pub(crate) const MAX_LONE_PER_CLIENT: usize = 1_000;

/// Streams of events, each on the descriptor of its own request. Without sessions nobody can renew them, so a stream
/// may outlast its descriptor; what must not is a stream whose client the cluster no longer wants here. Pure.
#[derive(Debug)]
pub(crate) struct Lone<S> {
    streams: Vec<(Verified, S)>,
    max: usize,
    shares: Shares,
}

impl<S: Stream> Lone<S> {
    pub(crate) fn new(max: usize, max_per_client: usize) -> Self {
        Self { streams: Vec::new(), max, shares: Shares::new(max_per_client) }
    }

    /// Adds a stream, unless there are too many.
    pub(crate) fn attach(&mut self, verified: Verified, stream: S) -> Result<(), Denial> {
        if !self.has_room(&verified) {
            self.take_out(|_, stream| !stream.is_open());
        }
        if !self.has_room(&verified) {
            return Err(Denial::TooManyStreams);
        }
        self.shares.take(&verified.claims.client.id);
        self.streams.push((verified, stream));
        Ok(())
    }

    fn has_room(&self, verified: &Verified) -> bool {
        self.streams.len() < self.max && self.shares.has_room(&verified.claims.client.id)
    }

    /// Takes out the streams that must end now.
    pub(crate) fn tick(&mut self, must_end: impl Fn(&Verified) -> bool) -> Vec<S> {
        self.take_out(|_, stream| !stream.is_open());
        self.take_out(|verified, _| must_end(verified))
    }

    /// The only way out.
    fn take_out(&mut self, goes: impl Fn(&Verified, &S) -> bool) -> Vec<S> {
        let out: Vec<_> = self.streams.extract_if(.., |(verified, stream)| goes(verified, stream)).collect();
        let given_back = |(verified, stream): (Verified, S)| {
            self.shares.give_back(&verified.claims.client.id);
            stream
        };
        out.into_iter().map(given_back).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.streams.len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use crate::testing::{NOW, verified};

    fn of_client(id: &str) -> Verified {
        let mut other = hapi_descriptor::Verified::clone(&verified(60));
        other.claims.client.id = id.to_owned();
        other.into()
    }

    #[test]
    fn what_must_end_is_taken_out_once() {
        let mut lone = Lone::new(5, 5);
        lone.attach(verified(30), "post-1").unwrap();
        lone.attach(verified(60), "post-2").unwrap();
        let tick = |lone: &mut Lone<_>| lone.tick(|verified| verified.claims.exp == NOW + 30);
        assert_eq!(tick(&mut lone), ["post-1"]);
        assert_eq!((tick(&mut lone), lone.len()), (vec![], 1));
    }

    #[test]
    fn there_are_never_more_than_allowed() {
        let mut lone = Lone::new(2, 2);
        assert_eq!(lone.attach(verified(60), "post-1-closed"), Ok(()));
        assert_eq!(lone.attach(verified(60), "post-2"), Ok(()));
        assert_eq!(lone.attach(verified(60), "post-3"), Ok(()), "a closed one takes no room");
        assert_eq!(lone.attach(verified(60), "post-4"), Err(Denial::TooManyStreams));
    }

    #[test]
    fn one_client_cannot_take_the_places_of_all_others() {
        let mut lone = Lone::new(10, 1);
        assert_eq!(lone.attach(verified(30), "post-1"), Ok(()));
        assert_eq!(lone.attach(verified(60), "post-2"), Err(Denial::TooManyStreams));
        assert_eq!(lone.attach(of_client("agent-8"), "post-3"), Ok(()));
        assert_eq!(lone.tick(|verified| verified.claims.exp == NOW + 30), ["post-1"]);
        assert_eq!(lone.attach(verified(60), "post-4"), Ok(()));
    }
}
