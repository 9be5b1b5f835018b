//! openraft's ids, as the part of this crate that knows nothing of the type configuration sees them.

use openraft::{RaftTypeConfig, entry::RaftEntry, type_config::alias::LogIdOf};
use serde::{Deserialize, Serialize};

use crate::{StorageError, codec};

/// A log id in encoded form, beside the index that it contains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RawLogId {
    pub(crate) index: u64,
    encoded: Vec<u8>,
}

impl RawLogId {
    pub(crate) fn new<C: RaftTypeConfig>(id: &LogIdOf<C>) -> Result<Self, StorageError> {
        Ok(Self { index: id.index, encoded: codec::encode("log id", id)? })
    }

    pub(crate) fn decode<C: RaftTypeConfig>(&self) -> Result<LogIdOf<C>, String> {
        codec::decode(&self.encoded)
    }
}

/// The log id of an encoded entry.
pub(crate) fn of_entry<C: RaftTypeConfig>(entry: &[u8]) -> Result<RawLogId, String> {
    let entry: C::Entry = codec::decode(entry)?;
    RawLogId::new::<C>(&entry.log_id()).map_err(|error| error.to_string())
}
