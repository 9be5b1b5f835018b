//! Sending a snapshot to one member.

use crate::{
    network::rpc_error,
    peer::{
        link::AskError,
        message::{Ask, SnapshotBegin, SnapshotChunk, SnapshotInstall},
        pool::Pool,
        route::{CHUNK_BYTES, Lane},
    },
    snapshot::Image,
    types::{SnapshotMeta, TypeConfig, Vote},
};
use hapi_storage::SnapshotFile;
use openraft::{
    errors::{NetworkError, StreamingError},
    raft::SnapshotResponse,
};
use std::time::Duration;

type Error = StreamingError<TypeConfig>;

/// How long the receiver may take to write one chunk.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the receiver may take to check the whole file and read the state out of it.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(60);

/// One try to bring a snapshot to `target`. What a try has brought stays there for the next one.
pub(crate) struct Transfer<'a> {
    pub(crate) pool: &'a Pool,
    pub(crate) target: u64,
    pub(crate) vote: Vote,
    pub(crate) meta: SnapshotMeta,
}

impl Transfer<'_> {
    pub(crate) async fn run(self, image: Image) -> Result<SnapshotResponse<TypeConfig>, Error> {
        let Image::Kept(file) = image else {
            return Err(NetworkError::from_string("only a snapshot of this node can be sent").into());
        };
        let begin = SnapshotBegin { name: file.name().into(), sha256: file.sha256 };
        let mut offset = self.ask(&begin, CHUNK_TIMEOUT).await?.offset;
        tracing::info!(
            to = format_args!("{:016x}", self.target),
            bytes = file.bytes,
            offset,
            "sending a snapshot"
        );
        while offset < file.bytes {
            let data = read(&file, offset).await?;
            let chunk = SnapshotChunk { sha256: file.sha256, offset, data };
            offset = self.ask(&chunk, CHUNK_TIMEOUT).await?.offset;
        }
        let install = SnapshotInstall { vote: self.vote, meta: self.meta.clone(), sha256: file.sha256 };
        self.ask(&install, INSTALL_TIMEOUT).await
    }

    async fn ask<A: Ask>(&self, message: &A, within: Duration) -> Result<A::Answer, Error> {
        let asked: Result<_, AskError> = self.pool.ask(self.target, Lane::Bulk, message, within).await;
        asked.map_err(|error| rpc_error(error).into())
    }
}

/// Reads the next chunk off the runtime, whose threads must not wait for a disk.
async fn read(file: &SnapshotFile, offset: u64) -> Result<Vec<u8>, Error> {
    let file = file.clone();
    let read = tokio::task::spawn_blocking(move || {
        let mut data = vec![0; CHUNK_BYTES];
        let length = file.read_at(offset, &mut data)?;
        data.truncate(length);
        Ok::<_, hapi_storage::SnapshotError>(data)
    });
    match read.await {
        Ok(Ok(data)) if !data.is_empty() => Ok(data),
        Ok(Ok(_)) => Err(NetworkError::from_string(format!("the snapshot file ends at {offset}")).into()),
        Ok(Err(error)) => Err(NetworkError::new(&error).into()),
        Err(error) => Err(NetworkError::new(&error).into()),
    }
}
