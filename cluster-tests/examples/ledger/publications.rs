//! Publications, none of which may be lost once it was acknowledged.

use crate::{caller::Caller, faults::Faults};
use hapi_client::{ApiError, Extras, Method};
use hapi_cluster_tests::document;
use std::{
    fmt,
    fs::File,
    io::Write,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// The server that all clients connect to.
pub(crate) const ANCHOR: &str = "io.github.acme/anchor";

/// The version of the anchor.
const FIRST: &str = "1.0.0";

/// Rest of each publisher between two publications.
const REST: Duration = Duration::from_millis(100);

/// Rest before a publication that no node took, or of which nobody knows, is sent again.
const RETRY: Duration = Duration::from_millis(100);

/// Longer than any election: writes stand still.
const PATIENCE: Duration = Duration::from_secs(20);

/// So many versions of one server, then the next server.
const VERSIONS: usize = 50;

/// What was acknowledged; clones share it.
#[derive(Clone)]
pub(crate) struct Publications(Arc<Mutex<Ledger>>);

struct Ledger {
    file: File,
    acknowledged: usize,
    sent_again: usize,
    longest: Duration,
}

impl Publications {
    pub(crate) fn create(path: &Path) -> Self {
        let file = File::create(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let ledger = Ledger { file, acknowledged: 0, sent_again: 0, longest: Duration::ZERO };
        Self(Arc::new(Mutex::new(ledger)))
    }

    pub(crate) async fn publish_first(&self, caller: &mut Caller) {
        self.publish(caller, ANCHOR, FIRST).await.expect("a whole cluster takes a publication");
    }

    /// Publishes until it is stopped.
    pub(crate) async fn run(
        self,
        mut caller: Caller,
        publisher: usize,
        stopped: watch::Receiver<bool>,
        faults: Faults,
    ) {
        for number in 0.. {
            let name = format!("io.github.acme/ledger-{publisher}-{}", number / VERSIONS);
            let version = format!("1.0.{number}");
            if let Err(fault) = self.publish(&mut caller, &name, &version).await {
                faults.note(&format!("{name} {version} was not published: {fault}"));
            }
            tokio::time::sleep(REST).await;
            if *stopped.borrow() {
                return;
            }
        }
    }

    /// Sends a publication until it is acknowledged, under one key, so that it is done once.
    async fn publish(&self, caller: &mut Caller, name: &str, version: &str) -> Result<(), String> {
        let (begun, document) = (Instant::now(), document(name, version));
        let key = Extras { idempotency_key: Some(format!("{name}@{version}")), ..Extras::default() };
        loop {
            let body = Some(document.clone());
            match caller.client().request_with(Method::POST, "/v0/publish", body, &key).await {
                Ok(_) => {
                    self.acknowledge(name, version, begun.elapsed());
                    return Ok(());
                }
                Err(ApiError::Refused(problem)) if problem.status < 500 => {
                    return Err(format!("{}: {}", problem.code, problem.detail));
                }
                Err(error) if begun.elapsed() > PATIENCE => return Err(error.to_string()),
                Err(_) => self.lock().sent_again += 1,
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    fn acknowledge(&self, name: &str, version: &str, took: Duration) {
        let mut ledger = self.lock();
        writeln!(ledger.file, "{name} {version}").expect("the ledger can be written");
        ledger.acknowledged += 1;
        ledger.longest = ledger.longest.max(took);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.0.lock().expect("no panic while it is held")
    }
}

impl fmt::Display for Publications {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ledger { acknowledged, sent_again, longest, .. } = &*self.lock();
        write!(
            f,
            "{acknowledged} publications: sent again {sent_again} times, the longest took {longest:.1?}"
        )
    }
}
