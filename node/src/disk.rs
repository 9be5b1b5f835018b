//! How much of the disk the data folder takes, and how much is left.

use prometheus::{IntGauge, IntGaugeVec, Opts, core::Collector};
use rustix::fs::statvfs;
use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{task::spawn_blocking, time::sleep};

/// How often it is looked at. Not at each scrape: a disk that hangs must not take the metrics along.
const LOOK: Duration = Duration::from_secs(10);

/// Parts of the data folder by the names of their folders.
const PARTS: [(&str, &str); 4] =
    [("db", "log"), ("snapshots", "snapshots"), ("issuance", "issuance_log"), ("keys", "keys")];

/// The unit of `st_blocks`, whatever the file system has for blocks.
const BLOCK_BYTES: u64 = 512;

/// What was found at the last look; clones share it.
#[derive(Clone)]
pub(crate) struct Disk {
    taken: IntGaugeVec,
    free: IntGauge,
    size: IntGauge,
}

/// What one look finds, in bytes.
#[derive(Debug, PartialEq, Eq)]
struct Look {
    parts: Vec<(&'static str, u64)>,
    free: u64,
    size: u64,
}

impl Disk {
    pub(crate) fn new() -> prometheus::Result<Self> {
        let taken = Opts::new("hapi_data_bytes", "What the parts of the data folder take on the disk.");
        Ok(Self {
            taken: IntGaugeVec::new(taken, &["part"])?,
            free: IntGauge::new(
                "hapi_disk_free_bytes",
                "What is left for this process on the data folder's disk.",
            )?,
            size: IntGauge::new("hapi_disk_size_bytes", "The size of the data folder's disk.")?,
        })
    }

    pub(crate) fn collectors(&self) -> [Box<dyn Collector>; 3] {
        [Box::new(self.taken.clone()), Box::new(self.free.clone()), Box::new(self.size.clone())]
    }

    /// Looks now, and then again and again. What cannot be read stays as it was.
    pub(crate) async fn watch(self, folder: PathBuf) {
        loop {
            let place = folder.clone();
            match spawn_blocking(move || look(&place)).await {
                Ok(Ok(found)) => self.show(&found),
                Ok(Err(error)) => tracing::debug!(%error, "the data folder cannot be measured"),
                // The process is stopping.
                Err(_) => return,
            }
            sleep(LOOK).await;
        }
    }

    fn show(&self, found: &Look) {
        let gauge = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        for (part, bytes) in &found.parts {
            self.taken.with_label_values(&[part]).set(gauge(*bytes));
        }
        self.free.set(gauge(found.free));
        self.size.set(gauge(found.size));
    }
}

fn look(folder: &Path) -> io::Result<Look> {
    let mut parts = Vec::new();
    let mut named = 0;
    for (name, part) in PARTS {
        let bytes = taken(&folder.join(name))?;
        parts.push((part, bytes));
        named += bytes;
    }
    parts.push(("other", taken(folder)?.saturating_sub(named)));
    let disk = statvfs(folder)?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    Ok(Look { parts, free: bytes(disk.f_bavail), size: bytes(disk.f_blocks) })
}

/// What a file, or a folder with all that is in it, takes. Nothing, if it is not there or gone meanwhile.
fn taken(path: &Path) -> io::Result<u64> {
    let Some(metadata) = present(fs::symlink_metadata(path))? else { return Ok(0) };
    let mut bytes = metadata.blocks() * BLOCK_BYTES;
    if metadata.is_dir() {
        for entry in present(fs::read_dir(path))?.into_iter().flatten() {
            bytes += taken(&entry?.path())?;
        }
    }
    Ok(bytes)
}

fn present<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    #[test]
    fn each_part_has_what_lies_in_its_folder_and_the_rest_is_other() {
        let folder = tempfile::tempdir().unwrap();
        let file = |path: &str, bytes: usize| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, vec![7; bytes]).unwrap();
        };
        file("db/blobs/1", 300 << 10);
        file("snapshots/1.snap", 200 << 10);
        file("watermark", 100 << 10);
        let found = look(folder.path()).unwrap();
        let of = |part: &str| found.parts.iter().find(|(name, _)| *name == part).unwrap().1;
        // Folders take some blocks themselves, and files whole ones.
        for (part, least) in [("log", 300 << 10), ("snapshots", 200 << 10), ("other", 100 << 10)] {
            assert!((least..least + (50 << 10)).contains(&of(part)), "{part}: {found:?}");
        }
        assert_eq!((of("issuance_log"), of("keys")), (0, 0));
        assert!(found.free > 0 && found.free < found.size, "{found:?}");
    }

    #[test]
    fn a_folder_that_cannot_be_there_is_no_zero() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(look(&folder.path().join("file/below")).is_err());
    }
}
