//! The open streams of requests that belong to no session.

use crate::cache::Verified;
use crate::session::Stream;

/// How many there may be at once.
pub(crate) const MAX_LONE: usize = 10_000;

/// Streams of events, each on the descriptor of its own request. Without sessions nobody can renew them, so a stream
/// may outlast its descriptor; what must not is a stream whose client the cluster no longer wants here. Pure.
#[derive(Debug)]
pub(crate) struct Lone<S> {
    streams: Vec<(Verified, S)>,
    max: usize,
}

impl<S: Stream> Lone<S> {
    pub(crate) fn new(max: usize) -> Self {
        Self { streams: Vec::new(), max }
    }

    /// Adds a stream; `false` when there are too many, and it must be closed.
    pub(crate) fn attach(&mut self, verified: Verified, stream: S) -> bool {
        if self.streams.len() >= self.max {
            self.streams.retain(|(_, stream)| stream.is_open());
        }
        let fits = self.streams.len() < self.max;
        if fits {
            self.streams.push((verified, stream));
        }
        fits
    }

    /// Takes out the streams that must end now.
    pub(crate) fn tick(&mut self, must_end: impl Fn(&Verified) -> bool) -> Vec<S> {
        self.streams.retain(|(_, stream)| stream.is_open());
        let over = self.streams.extract_if(.., |(verified, _)| must_end(verified));
        over.map(|(_, stream)| stream).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.streams.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOW, verified};

    #[test]
    fn what_must_end_is_taken_out_once() {
        let mut lone = Lone::new(5);
        lone.attach(verified(30), "post-1");
        lone.attach(verified(60), "post-2");
        let tick = |lone: &mut Lone<_>| lone.tick(|verified| verified.claims.exp == NOW + 30);
        assert_eq!(tick(&mut lone), ["post-1"]);
        assert_eq!((tick(&mut lone), lone.len()), (vec![], 1));
    }

    #[test]
    fn there_are_never_more_than_allowed() {
        let mut lone = Lone::new(2);
        assert!(lone.attach(verified(60), "post-1-closed"));
        assert!(lone.attach(verified(60), "post-2"));
        assert!(lone.attach(verified(60), "post-3"), "a closed one takes no room");
        assert!(!lone.attach(verified(60), "post-4"));
    }
}
