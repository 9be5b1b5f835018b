//! When a node is to stop.

use crate::cli::Failure;
use std::io::Read;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// Resolves on SIGTERM, on SIGINT, and, if asked for, when stdin ends.
///
/// # Errors
/// The handlers are set up here and not at the first poll, so that no signal meets a node without them.
pub(crate) fn requested(with_stdin: bool) -> Result<impl Future<Output = ()>, Failure> {
    let mut terminate = handler(SignalKind::terminate())?;
    let mut interrupt = handler(SignalKind::interrupt())?;
    let stdin_ended = with_stdin.then(end_of_stdin);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = ended(stdin_ended) => {}
        }
    })
}

fn handler(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::refused(format!("cannot listen for signals: {error}")))
}

/// A thread of its own: a read of a pipe cannot be taken back, and must not hold up the runtime's end.
fn end_of_stdin() -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut sink = [0; 64];
        while matches!(std::io::stdin().lock().read(&mut sink), Ok(1..)) {}
        // Nobody listens when the node has stopped for another reason.
        let _ = sender.send(());
    });
    receiver
}

async fn ended(stdin: Option<oneshot::Receiver<()>>) {
    match stdin {
        // A thread that could not be kept is no end of stdin; signals still work.
        Some(receiver) => {
            if receiver.await.is_err() {
                std::future::pending().await
            }
        }
        None => std::future::pending().await,
    }
}
