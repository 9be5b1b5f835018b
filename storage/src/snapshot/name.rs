//! Names of snapshot files. They sort as the snapshots are old, so the newest is the greatest name.

use std::path::Path;

use crate::SnapshotError;

/// A finished snapshot.
pub(super) const FINISHED: &str = "snap";
/// A snapshot being written here; worthless after a crash.
pub(super) const TEMPORARY: &str = "tmp";
/// A snapshot being received; a later try goes on where it ends.
pub(super) const PARTIAL: &str = "part";

/// The name of the snapshot whose last entry has this term and index: fixed width, so that names
/// sort as (term, index) do.
pub fn snapshot_name(term: u64, index: u64) -> String {
    format!("{term:016x}-{index:016x}")
}

/// Names travel between nodes and become file names, so nothing that could leave the folder passes.
pub(super) fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'-');
    (1..=128).contains(&name.len()) && name.bytes().all(allowed)
}

pub(super) fn check(name: &str) -> Result<(), SnapshotError> {
    if is_name(name) { Ok(()) } else { Err(SnapshotError::Name(name.to_owned())) }
}

/// The snapshot name of a file with this extension, if it is one.
pub(super) fn of<'a>(path: &'a Path, extension: &str) -> Option<&'a str> {
    let name = path.file_stem()?.to_str()?;
    (path.extension()? == extension && is_name(name)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_term_then_index() {
        assert!(snapshot_name(2, 9) < snapshot_name(2, 10));
        assert!(snapshot_name(2, u64::MAX) < snapshot_name(3, 0));
    }

    #[test]
    fn a_name_cannot_leave_the_folder() {
        for name in ["", ".", "..", "../x", "a/b", "A", "a.b", &"a".repeat(129)] {
            assert!(!is_name(name), "{name:?}");
        }
        assert!(is_name(&snapshot_name(1, 2)));
    }
}
