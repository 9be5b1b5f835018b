//! Small opaque records: ids, invitations, pins. The log's own records are out of their reach.

use std::{fmt, sync::Arc};

use crate::{
    MAX_META_BYTES, StorageError,
    queue::{Operation, Queue, completion},
    shared::Shared,
    writer::record,
};

/// Small opaque records in the data folder.
#[derive(Clone)]
pub struct MetaStore {
    shared: Arc<Shared>,
    queue: Queue,
}

impl MetaStore {
    pub(crate) fn new(shared: Arc<Shared>, queue: Queue) -> Self {
        Self { shared, queue }
    }

    /// Reads a record.
    ///
    /// # Errors
    /// Fails when the record is damaged or storage has stopped.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StorageError> {
        self.shared.breaker.check()?;
        Ok(self.shared.disk.meta(&name(key))?)
    }

    /// Writes a record; it is durable on return.
    ///
    /// # Errors
    /// Fails when key and value exceed [`MAX_META_BYTES`], or when storage has stopped.
    pub async fn put(&self, key: &str, value: Vec<u8>) -> Result<(), StorageError> {
        let bytes = key.len() + value.len();
        if bytes > MAX_META_BYTES {
            return Err(StorageError::TooLarge { what: "meta record", bytes, limit: MAX_META_BYTES });
        }
        self.shared.breaker.check()?;
        let (done, written) = completion();
        let room = self.queue.room().await?;
        self.queue.send(room, Operation::Put { key: name(key), value, done });
        written.wait().await
    }
}

fn name(key: &str) -> String {
    format!("{}{key}", record::OPAQUE)
}

impl fmt::Debug for MetaStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetaStore").finish_non_exhaustive()
    }
}
