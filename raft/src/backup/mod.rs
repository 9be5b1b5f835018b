//! Backups: the whole registry at one index as one file, and new clusters made of it.
//!
//! A backup is the state at a checkpoint, which every replica hashes by itself: the hash in the file can be
//! compared with what the nodes say of themselves. It is written to its reader while the cluster goes on.

pub(crate) mod capture;
mod file;
mod found;
mod restore;
pub(crate) mod salvage;

pub use capture::{Backup, BackupError};
pub use file::{BackupFile, BackupFileError};
pub use found::Founded;
pub(crate) use found::check_finished;
pub use restore::{RestoreError, Restored, Restoring, recover, restore};
pub(crate) use salvage::note_secrets;
