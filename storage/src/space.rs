//! How much room a data folder has left.

use std::{io, path::Path};

/// What a start writes, and a little more: with less than this a node does not try.
pub(crate) const START_BYTES: u64 = 4 << 20;

/// Free space of the file system that holds `path`, in bytes, as far as this process may use it. A file system that
/// counts no blocks has no bound of its own.
///
/// # Errors
/// Fails when the file system does not tell.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let space = rustix::fs::statvfs(path)?;
    match space.f_blocks {
        0 => Ok(u64::MAX),
        _ => Ok(space.f_bavail.saturating_mul(space.f_frsize)),
    }
}
