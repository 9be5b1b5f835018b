//! Long work that nobody waits for: it gives way to requests.

use std::{io, thread};
use tokio::task::spawn_blocking;

/// How much such a thread gives way, as `nice(1)` counts: beside a thread with work of its own it has a tenth of a core,
/// and whoever is woken goes first.
const NICE: i32 = 10;

/// Runs `work` on a thread of its own, called `name`. The runtime's end waits for it as for all blocking work.
pub(crate) async fn aside<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    // Not on a thread of the pool: it would keep the priority, which no unprivileged process can raise again.
    let run = move || {
        let give_way_and_work = move || {
            give_way(name);
            work()
        };
        let thread = thread::Builder::new().name(name.into()).spawn(give_way_and_work)?;
        thread.join().map_err(|_| io::Error::other(format!("the thread {name} panicked")))
    };
    spawn_blocking(run).await.map_err(io::Error::other)?
}

/// Linux counts priorities by thread.
fn give_way(name: &str) {
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE) {
        tracing::debug!(%error, name, "a thread keeps its priority: requests may feel its work");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    fn nice() -> i32 {
        rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap()
    }

    #[tokio::test]
    async fn only_the_thread_of_the_work_gives_way() {
        let before = nice();
        assert_eq!(aside("test", nice).await.unwrap(), before.max(NICE));
        assert_eq!(spawn_blocking(nice).await.unwrap(), before);
        let broken = aside("test", move || assert!(before > 99)).await.unwrap_err();
        assert!(broken.to_string().contains("test panicked"), "{broken}");
    }
}
