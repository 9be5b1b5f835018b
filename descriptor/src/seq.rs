//! The position of a decision in the cluster's history.

use serde::Serialize;

/// Bits of a [`Seq`] that hold the log index.
const INDEX_BITS: u32 = 40;

/// The position of a decision: `incarnation × 2^40 + applied log index`, below 2^53.
///
/// A cluster restored from a backup may repeat log indices, but it is a higher incarnation, so positions
/// never go back, and a revocation at one position outlives every descriptor decided before it. The bound is
/// what JSON numbers carry exactly in every language (RFC 8259 §6); 2^40 entries last 348 years at 100 per
/// second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Seq(u64);

impl Seq {
    /// The highest position.
    pub const MAX: Seq = Seq((1 << 53) - 1);

    /// Joins an incarnation (below 2^13) and a log index (below 2^40); `None` when either is too large.
    pub fn from_parts(incarnation: u64, index: u64) -> Option<Seq> {
        let fits = incarnation < 1 << (53 - INDEX_BITS) && index < 1 << INDEX_BITS;
        fits.then_some(Seq(incarnation << INDEX_BITS | index))
    }

    /// A position as it stood in JSON; `None` at or above 2^53.
    pub fn new(value: u64) -> Option<Seq> {
        (value <= Seq::MAX.0).then_some(Seq(value))
    }

    /// The number that stands in JSON.
    pub fn get(self) -> u64 {
        self.0
    }

    /// How often the cluster had been restored or recovered when it decided.
    pub fn incarnation(self) -> u64 {
        self.0 >> INDEX_BITS
    }

    /// The applied log index that the decision was read from.
    pub fn index(self) -> u64 {
        self.0 & ((1 << INDEX_BITS) - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_incarnation_is_after_every_index_of_an_earlier_one() {
        assert!(Seq::from_parts(2, 0) > Seq::from_parts(1, (1 << 40) - 1));
    }

    #[test]
    fn the_parts_come_back() {
        let seq = Seq::from_parts(3, 48_121).map(|seq| (seq.incarnation(), seq.index()));
        assert_eq!(seq, Some((3, 48_121)));
    }

    #[test]
    fn what_json_cannot_carry_exactly_is_no_position() {
        assert_eq!(Seq::from_parts(1 << 13, 0), None);
        assert_eq!(Seq::from_parts(0, 1 << 40), None);
        assert_eq!(Seq::from_parts((1 << 13) - 1, (1 << 40) - 1), Some(Seq::MAX));
        assert_eq!(Seq::new(1 << 53), None);
    }
}
