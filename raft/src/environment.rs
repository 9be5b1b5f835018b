//! The clocks and the randomness of this process, as arguments.

use crate::Reading;
use hapi_registry_state::Timestamp;

/// What a replica needs of the world besides disk and network.
///
/// The `node` crate implements it once; tests implement it with a clock and a generator of their own.
pub trait Environment: Send + Sync + 'static {
    /// The wall clock. It may jump; the leader never lets the instants of its entries go back.
    fn now(&self) -> Timestamp;

    /// All clocks, read together. Boot and raw clock never go back while a process lives.
    fn clocks(&self) -> Reading;

    /// `CLOCK_BOOTTIME` in nanoseconds, for what is compared between the logs of processes on one machine.
    /// Never subject to injected faults, and never part of a decision.
    fn boottime_ns(&self) -> u64;

    /// Fills `bytes` from a cryptographically secure generator.
    fn fill_random(&self, bytes: &mut [u8]);
}
