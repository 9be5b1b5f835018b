//! `/v1/backup`: the whole registry at one index, as a file.

use crate::{
    api::{Api, hex},
    auth::Authenticated,
    clock,
    problem::{Problem, ProblemBody},
};
use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderName, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Response},
};
use futures::stream;
use hapi_raft::{Backup, BackupError};
use hapi_registry_state::Right;
use std::{
    io::{self, BufWriter, Write},
    sync::Arc,
};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// How much is sent at once, and how many such pieces wait for a slow reader.
const PIECE_BYTES: usize = 256 << 10;
const PIECES: usize = 4;

/// Take a backup: the state at a checkpoint that is committed for it, as a checksummed file for `restore`.
///
/// It holds all that was acknowledged before the request: the catalog, moderation, and the hashes of tokens. Keep it
/// like a secret. `HAPI-Index` and `HAPI-State-SHA256` say which state it is; every node publishes the same hash for
/// that index.
#[utoipa::path(
    get, path = "/v1/backup", tag = "cluster",
    responses(
        (status = 200, description = "The backup", body = String, content_type = "application/octet-stream",
         headers(
            ("hapi-index" = u64, description = "The index of the state"),
            ("hapi-state-sha256" = String, description = "The hash of the state"),
         )),
        (status = 503, description = "No majority, or another backup is being taken here", body = ProblemBody),
        (status = "default", body = ProblemBody),
    )
)]
pub(crate) async fn take(State(api): State<Arc<Api>>, caller: Authenticated) -> Result<Response, Problem> {
    caller.require(Right::Operate)?;
    let place = api.backups.clone().try_acquire_owned();
    let place = place.map_err(|_| {
        Problem::unavailable(
            "too_many_backups",
            "this node is taking a backup already: ask another one, or later",
        )
    })?;
    let backup = api.replica.backup(caller.principal()).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (HeaderName::from_static("hapi-index"), backup.index().to_string()),
        (HeaderName::from_static("hapi-state-sha256"), hex(&backup.hash())),
    ];
    tracing::info!(index = backup.index(), by = %caller.principal(), "a backup is being taken");
    Ok((StatusCode::OK, AppendHeaders(headers), written(api, backup, place)).into_response())
}

/// Writes the backup as it is read: a slow reader takes no memory, and holds up nobody but itself.
fn written(api: Arc<Api>, backup: Backup, place: OwnedSemaphorePermit) -> Body {
    let (pieces, body) = mpsc::channel(PIECES);
    tokio::task::spawn_blocking(move || {
        let out = BufWriter::with_capacity(PIECE_BYTES, Pieces(pieces.clone()));
        match backup.write(out) {
            Ok(bytes) => {
                api.metrics.backup_done(clock::now());
                tracing::info!(index = backup.index(), bytes, "a backup was taken");
            }
            Err(error) => {
                api.metrics.backup_failed();
                tracing::warn!(index = backup.index(), %error, "a backup was not taken");
                // The reader must not take what it has for the whole.
                let _ = pieces.blocking_send(Err(error));
            }
        }
        drop(place);
    });
    Body::from_stream(stream::unfold(body, |mut body| async { body.recv().await.map(|piece| (piece, body)) }))
}

/// Where a file is written to that is somebody's answer.
struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Ok(Bytes::copy_from_slice(bytes));
        self.0.blocking_send(piece).map_err(|_| io::Error::other("the reader went away"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl From<BackupError> for Problem {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Propose(error) => error.into(),
            BackupError::Rejected(rejection) => rejection.into(),
            BackupError::NoCluster | BackupError::Missed(_) => {
                Self::unavailable("backup_failed", error.to_string())
            }
        }
    }
}
