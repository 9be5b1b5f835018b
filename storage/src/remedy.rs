//! What an operator can do when the operating system refuses a data folder.
//!
//! A full disk, a read-only mount and a wrong owner are no damage: the data is as it was, and whoever throws it away for
//! such a reason loses it for nothing.

use std::io::{self, ErrorKind};

/// Whether `error` says that the folder cannot be used as it is, and nothing about what is in it.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull
            | ErrorKind::QuotaExceeded
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::PermissionDenied
    )
}

/// What `error` says and what to do about it. The database wraps errors, so that a refusal is told by its kind.
pub(crate) fn told(error: &io::Error) -> String {
    let what = if is_refusal(error) { error.kind().to_string() } else { error.to_string() };
    format!("{what}. {}", remedy(error))
}

/// What to do about `error`, in one sentence.
pub(crate) fn remedy(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "Its file system is full: free some space there or enlarge it, then start this node again; \
             what it holds is intact"
                .into()
        }
        ErrorKind::ReadOnlyFilesystem => {
            "Its file system is read-only: mount it writable, then start this node again; what it holds is intact"
                .into()
        }
        ErrorKind::PermissionDenied => {
            let user = rustix::process::geteuid().as_raw();
            format!(
                "This node runs as user {user}, who must own the folder and everything in it: \
                 `chown --recursive {user} DIR`"
            )
        }
        _ => "See what is wrong with the folder or its disk, then start this node again".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_refuses_is_told_from_what_is_broken() {
        for (kind, refusal, word) in [
            (ErrorKind::StorageFull, true, "free some space"),
            (ErrorKind::QuotaExceeded, true, "free some space"),
            (ErrorKind::ReadOnlyFilesystem, true, "mount it writable"),
            (ErrorKind::PermissionDenied, true, "chown --recursive"),
            (ErrorKind::UnexpectedEof, false, "See what is wrong"),
            (ErrorKind::InvalidData, false, "See what is wrong"),
        ] {
            let error = io::Error::from(kind);
            assert_eq!(is_refusal(&error), refusal, "{kind}");
            assert!(remedy(&error).contains(word), "{kind}: {}", remedy(&error));
        }
    }
}
