//! What the revocation feed has said, and since when it may be silent. Pure.

use std::time::Duration;

use hapi_descriptor::{Floors, Revocations, Seq, Stale};

use crate::clock::Moment;

/// The floors, and the instant up to which they are known to be complete.
///
/// News come in two ways, and only one of them tells how old it is. A node answers a question with all that was denied
/// before it was asked, however slow the network was: so the feed is no older than the question, by this machine's own
/// clock that only runs. (A cache in between may take a second off that, which is what `max-age` allows.) A message of
/// a stream may have been held back on its way, and the only witness of its age is `iat`: another machine's wall clock.
/// To go by that alone, a guard whose clock is some seconds ahead would be stale for ever, or one whose clock is behind
/// would take old news for fresh. So a stream brings news at once, and answers alone move `heard`.
///
/// This holds against a network that is slow, not against an address that lies: it has no key to write a message with,
/// but may hand out each one late, until its `exp` (10 s, and 5 s of leeway). Strict mode then closes that much later.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    floors: Floors,
    newest: Option<Place>,
    /// The thumbprint of the key that signed the newest message.
    newest_by: Option<String>,
    /// When the question was asked whose answer was the last sign of life.
    heard: Option<Duration>,
}

/// By which messages follow each other: position and `iat`.
type Place = (Seq, u64);

/// A question to the feed, made before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    asked: Duration,
    since: u64,
    known: Option<Place>,
}

impl Question {
    /// The index to ask the feed from.
    pub fn since(&self) -> u64 {
        self.since
    }
}

impl Feed {
    pub(crate) fn ask(&self, now: Moment) -> Question {
        Question { asked: now.elapsed, since: self.floors.cursor(), known: self.newest }
    }

    /// Takes over a message of a stream that the key `by` has signed.
    pub(crate) fn hear(&mut self, message: &Revocations, by: &str) -> Result<(), Stale> {
        if self.newest < Some(place(message)) {
            self.newest = Some(place(message));
            self.newest_by = Some(by.to_owned());
        }
        self.floors.merge(message)
    }

    /// Forgets everything if the newest message is of a key that is gone. A thief writes any position: behind the
    /// highest of all, no honest message would ever be news again, and what a thief revoked would stay so.
    pub(crate) fn forget_unless(&mut self, is_known: impl Fn(&str) -> bool) -> bool {
        let is_lost = self.newest_by.as_deref().is_some_and(|by| !is_known(by));
        if is_lost {
            *self = Self::default();
        }
        is_lost
    }

    /// Takes over the answer to a question.
    pub(crate) fn answer(
        &mut self,
        message: &Revocations,
        by: &str,
        question: &Question,
    ) -> Result<(), Stale> {
        let merged = self.hear(message, by);
        if merged.is_err() && !self.was_overtaken(message, question) {
            return merged;
        }
        self.heard = self.heard.max(Some(question.asked));
        Ok(())
    }

    /// Whether an answer looks old only because a stream was quicker: it goes back behind nothing that was known when
    /// it was asked for, and no message is missing before it.
    fn was_overtaken(&self, message: &Revocations, question: &Question) -> bool {
        let has_gap = !message.full && message.since > self.floors.cursor();
        let incarnation = self.floors.seq().map(Seq::incarnation);
        Some(place(message)) >= question.known && !has_gap && incarnation == Some(message.incarnation)
    }

    pub(crate) fn floors(&self) -> &Floors {
        &self.floors
    }

    pub(crate) fn age(&self, now: Moment) -> Option<Duration> {
        self.heard.map(|heard| now.elapsed.saturating_sub(heard))
    }

    pub(crate) fn is_older_than(&self, bound: Duration, now: Moment) -> bool {
        self.age(now).is_none_or(|age| age > bound)
    }
}

fn place(message: &Revocations) -> Place {
    (message.seq, message.iat)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use crate::testing::{at, feed, seq};

    const BY: &str = "kid";

    fn heard_at(seconds: u64) -> Feed {
        let mut heard = Feed::default();
        heard.answer(&feed(0, 5, seconds), BY, &heard.ask(at(seconds))).unwrap();
        heard
    }

    fn age(feed: &Feed, seconds: u64) -> u64 {
        feed.age(at(seconds)).unwrap().as_secs()
    }

    #[test]
    fn the_feed_is_as_old_as_the_last_question_that_was_answered() {
        let mut heard = heard_at(1);
        let question = heard.ask(at(3));
        heard.answer(&feed(5, 6, 4), BY, &question).unwrap();
        assert_eq!((question.since(), age(&heard, 7)), (5, 4));
    }

    #[test]
    fn a_stream_brings_news_and_proves_no_freshness() {
        let mut heard = heard_at(1);
        for second in 2..60 {
            assert_eq!(heard.hear(&feed(5, 5 + second, second), BY), Ok(()));
        }
        assert_eq!((heard.ask(at(60)).since(), age(&heard, 60)), (64, 59));
        assert_eq!(Feed::default().age(at(60)), None);
    }

    #[test]
    fn an_answer_that_a_stream_has_overtaken_counts() {
        let mut heard = heard_at(1);
        let question = heard.ask(at(4));
        heard.hear(&feed(5, 7, 5), BY).unwrap();
        assert_eq!(heard.answer(&feed(5, 6, 4), BY, &question), Ok(()));
        assert_eq!(age(&heard, 5), 1);
    }

    #[test]
    fn an_answer_that_goes_back_behind_its_question_does_not_count() {
        let mut heard = heard_at(1);
        heard.hear(&feed(5, 7, 3), BY).unwrap();
        let question = heard.ask(at(4));
        assert_eq!(heard.answer(&feed(5, 6, 4), BY, &question), Err(Stale::GoesBack));
        assert_eq!(heard.answer(&feed(5, 7, 2), BY, &question), Err(Stale::GoesBack));
        assert_eq!(age(&heard, 5), 4);
    }

    #[test]
    fn an_overtaken_answer_of_an_earlier_incarnation_does_not_count() {
        let mut heard = heard_at(1);
        let question = heard.ask(at(2));
        let newer = Revocations { incarnation: 2, seq: Seq::from_parts(2, 10).unwrap(), ..feed(0, 10, 3) };
        heard.hear(&newer, BY).unwrap();
        assert_eq!(heard.answer(&feed(5, 6, 2), BY, &question), Err(Stale::GoesBack));
        assert_eq!(age(&heard, 3), 2);
    }

    #[test]
    fn a_gap_is_never_a_sign_of_life() {
        let mut heard = heard_at(1);
        let question = heard.ask(at(2));
        assert_eq!(heard.hear(&feed(8, 9, 3), BY), Err(Stale::Gap));
        assert_eq!(heard.hear(&feed(9, 10, 3), BY), Err(Stale::Gap), "nor is what follows on it");
        assert_eq!(
            heard.answer(&feed(7, 8, 2), BY, &question),
            Err(Stale::GoesBack),
            "nor is an answer with one"
        );
        assert_eq!((age(&heard, 3), heard.ask(at(3)).since()), (2, 5));
        assert_eq!(heard.answer(&feed(5, 8, 2), BY, &question), Ok(()));
        assert_eq!(age(&heard, 3), 1);
        assert_eq!(heard.hear(&feed(5, 10, 3), BY), Ok(()), "what was missing was asked for");
        assert_eq!(heard.floors().seq(), Some(seq(10)));
    }

    #[test]
    fn what_a_key_that_is_gone_has_said_is_forgotten() {
        let mut heard = heard_at(1);
        assert!(!heard.forget_unless(|kid| kid == BY));
        let stolen = Revocations { incarnation: 9, seq: Seq::from_parts(9, 1).unwrap(), ..feed(0, 1, 2) };
        heard.hear(&stolen, "stolen").unwrap();
        assert_eq!(heard.hear(&feed(0, 6, 3), BY), Err(Stale::GoesBack));
        assert!(heard.forget_unless(|kid| kid == BY));
        assert_eq!((heard.age(at(3)), heard.ask(at(3)).since()), (None, 0), "strict guards close meanwhile");
        assert_eq!(heard.hear(&feed(0, 6, 3), BY), Ok(()));
    }
}
