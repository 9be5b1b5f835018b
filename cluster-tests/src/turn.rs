//! Tests that load the machine take turns, whatever the number of test threads.

use tokio::sync::{Semaphore, SemaphorePermit};

/// How many clusters under load a small machine bears at a time.
const PLACES: u32 = 2;

static TURNS: Semaphore = Semaphore::const_new(PLACES as usize);

/// Waits until this test has the machine for itself, as one that measures time must. The turn ends when the
/// result is dropped.
pub async fn turn() -> SemaphorePermit<'static> {
    TURNS.acquire_many(PLACES).await.expect("it is never closed")
}

/// Waits until this test may share the machine with one other.
pub async fn shared_turn() -> SemaphorePermit<'static> {
    TURNS.acquire().await.expect("it is never closed")
}
