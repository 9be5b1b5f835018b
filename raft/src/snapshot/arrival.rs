//! Receiving a snapshot.

use crate::{
    peer::message::{Refusal, SnapshotBegin, SnapshotChunk},
    snapshot::Image,
};
use hapi_storage::{Incoming, SnapshotError, SnapshotStore};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use tokio::sync::Mutex;

/// The snapshot that is on its way to this node; there is at most one.
///
/// The hash is taken along while the bytes arrive, so that a wrong file is refused here: once Raft has
/// begun to install, any failure ends the process. That is also why pieces of an earlier process are
/// thrown away: nobody knows what was announced for them.
#[derive(Clone)]
pub(crate) struct Arrival {
    store: SnapshotStore,
    current: Arc<Mutex<Option<Partial>>>,
}

struct Partial {
    announced: [u8; 32],
    digest: Digest,
    incoming: Incoming,
}

/// The hash of a snapshot file on its way. A file ends with the hash of everything before it, so the last
/// 32 bytes, whichever they turn out to be, are held back.
#[derive(Default)]
struct Digest {
    hash: Sha256,
    tail: Vec<u8>,
}

impl Digest {
    fn update(&mut self, data: &[u8]) {
        self.tail.extend_from_slice(data);
        let settled = self.tail.len().saturating_sub(32);
        self.hash.update(&self.tail[..settled]);
        self.tail.drain(..settled);
    }

    fn is(self, announced: &[u8; 32]) -> bool {
        self.tail == announced && self.hash.finalize().as_slice() == announced
    }
}

impl Arrival {
    pub(crate) fn new(store: SnapshotStore) -> Self {
        Self { store, current: Arc::default() }
    }

    /// Makes room for the announced snapshot, and tells from which offset on it is wanted.
    pub(crate) async fn begin(&self, begin: SnapshotBegin) -> Result<u64, Refusal> {
        let mut current = self.current.clone().lock_owned().await;
        if let Some(partial) = current.as_ref().filter(|partial| partial.announced == begin.sha256) {
            return Ok(partial.incoming.offset());
        }
        let store = self.store.clone();
        blocking(move || {
            if let Some(old) = current.take() {
                old.incoming.discard();
            }
            let mut incoming = store.receive(&begin.name)?;
            if incoming.offset() > 0 {
                incoming.discard();
                incoming = store.receive(&begin.name)?;
            }
            *current = Some(Partial { announced: begin.sha256, digest: Digest::default(), incoming });
            Ok(0)
        })
        .await
    }

    /// Takes one piece, and tells from which offset on it goes on.
    pub(crate) async fn take(&self, chunk: SnapshotChunk) -> Result<u64, Refusal> {
        let mut current = self.current.clone().lock_owned().await;
        blocking(move || {
            let Some(partial) = current.as_mut().filter(|partial| partial.announced == chunk.sha256) else {
                return Ok(None);
            };
            // A repeated piece, whose first answer was lost, is answered with where to go on.
            if chunk.offset == partial.incoming.offset() {
                partial.incoming.append(chunk.offset, &chunk.data)?;
                partial.digest.update(&chunk.data);
            }
            Ok(Some(partial.incoming.offset()))
        })
        .await?
        .ok_or_else(unannounced)
    }

    /// Hands over what arrived, if it is what was announced.
    pub(crate) async fn complete(&self, sha256: [u8; 32]) -> Result<Image, Refusal> {
        let mut current = self.current.lock().await;
        let partial = current.take_if(|partial| partial.announced == sha256).ok_or_else(unannounced)?;
        if !partial.digest.is(&sha256) {
            blocking(move || {
                partial.incoming.discard();
                Ok(())
            })
            .await?;
            return Err(Refusal::Unable("the snapshot arrived damaged".into()));
        }
        Ok(Image::Arrived { incoming: partial.incoming, sha256 })
    }
}

fn unannounced() -> Refusal {
    Refusal::Unable("no such snapshot was announced".into())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SnapshotError> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| Refusal::Unable(error.to_string())),
        Err(error) => Err(Refusal::Unable(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::TypeConfig;
    use hapi_storage::{Options, SnapshotFile, Storage};
    use tempfile::TempDir;

    #[test]
    fn the_digest_is_that_of_the_content_before_the_trailer_however_it_is_cut() {
        let content = vec![7; 1000];
        let announced: [u8; 32] = Sha256::digest(&content).into();
        let file = [&content[..], &announced].concat();
        for size in [1, 31, 32, 33, 500, 1032] {
            let mut digest = Digest::default();
            file.chunks(size).for_each(|chunk| digest.update(chunk));
            assert!(digest.is(&announced), "in pieces of {size}");
        }
        let mut damaged = Digest::default();
        damaged.update(&[&content[1..], &announced].concat());
        assert!(!damaged.is(&announced));
    }

    fn store(dir: &TempDir) -> Storage<TypeConfig> {
        Storage::open(dir.path(), Options::default()).unwrap()
    }

    /// A snapshot of another node, with its bytes.
    fn sent(dir: &TempDir) -> (SnapshotFile, Vec<u8>) {
        let mut writer = store(dir).snapshots.create(b"header", &hapi_storage::snapshot_name(1, 9)).unwrap();
        for record in 0..500_u32 {
            writer.push(&record.to_be_bytes()).unwrap();
        }
        let file = writer.finish().unwrap();
        let bytes = std::fs::read(&file.path).unwrap();
        (file, bytes)
    }

    fn begin(file: &SnapshotFile) -> SnapshotBegin {
        SnapshotBegin { name: file.name().into(), sha256: file.sha256 }
    }

    fn piece(file: &SnapshotFile, bytes: &[u8], from: usize, to: usize) -> SnapshotChunk {
        SnapshotChunk { sha256: file.sha256, offset: from as u64, data: bytes[from..to].to_vec() }
    }

    #[tokio::test]
    async fn an_interrupted_transfer_goes_on_where_it_ended() {
        let (there, here) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let (file, bytes) = sent(&there);
        let storage = store(&here);
        let arrival = Arrival::new(storage.snapshots.clone());
        assert_eq!(arrival.begin(begin(&file)).await, Ok(0));
        assert_eq!(arrival.take(piece(&file, &bytes, 0, 1000)).await, Ok(1000));
        assert_eq!(arrival.begin(begin(&file)).await, Ok(1000), "a new try");
        assert_eq!(arrival.take(piece(&file, &bytes, 0, 1000)).await, Ok(1000), "a repeated piece");
        let rest = bytes.len();
        assert_eq!(arrival.take(piece(&file, &bytes, 1000, rest)).await, Ok(rest as u64));
        let received = arrival.complete(file.sha256).await.unwrap().settle().unwrap();
        assert_eq!(received.sha256, file.sha256);
        assert_eq!(received.records().unwrap().count(), 500);
    }

    #[tokio::test]
    async fn another_snapshot_takes_the_place_of_an_unfinished_one() {
        let (there, here) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let (file, bytes) = sent(&there);
        let storage = store(&here);
        let arrival = Arrival::new(storage.snapshots.clone());
        let other = SnapshotBegin { sha256: [1; 32], ..begin(&file) };
        assert_eq!(arrival.begin(other).await, Ok(0));
        assert!(arrival.take(piece(&file, &bytes, 0, 10)).await.is_err(), "not announced");
        assert_eq!(arrival.begin(begin(&file)).await, Ok(0));
        assert_eq!(arrival.take(piece(&file, &bytes, 0, 10)).await, Ok(10));
    }

    #[tokio::test]
    async fn a_snapshot_that_arrives_damaged_is_refused_and_begun_anew() {
        let (there, here) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let (file, mut bytes) = sent(&there);
        let storage = store(&here);
        let arrival = Arrival::new(storage.snapshots.clone());
        arrival.begin(begin(&file)).await.unwrap();
        bytes[100] ^= 1;
        let length = bytes.len();
        arrival.take(piece(&file, &bytes, 0, length)).await.unwrap();
        assert!(arrival.complete(file.sha256).await.is_err());
        assert!(storage.snapshots.newest().unwrap().is_none());
        assert_eq!(arrival.begin(begin(&file)).await, Ok(0));
    }
}
