//! File descriptors: connections must not take those that log, snapshots and peers need.

use rustix::process::{Resource, getrlimit, setrlimit};

/// So many are left for everything but connections to the public port.
const OTHERS: u64 = 512;

/// Takes as many file descriptors as the system allows this process, and says for how many of `wanted` connections they
/// are enough.
pub(crate) fn raise(wanted: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the number of file descriptors stays as it was");
    }
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let enough = usize::try_from(most.saturating_sub(OTHERS).max(most / 2)).unwrap_or(usize::MAX);
    if enough < wanted {
        tracing::warn!(
            descriptors = most,
            wanted,
            connections = enough,
            "there are not file descriptors enough for `http.max_connections`: raise the limit of this process \
             (`ulimit -n`, LimitNOFILE)"
        );
    }
    enough.min(wanted)
}
