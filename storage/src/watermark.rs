//! The watermark: what this node acknowledged last, kept apart from the database.
//!
//! sled silently drops a torn end of its log. After a crash that is right, nothing in it was
//! acknowledged; after damage it would take back promises: votes given, entries counted for a
//! majority. The watermark tells the two apart. It may lag, it must never lead:
//!
//! - It is raised after the fsync that made the data durable, without an fsync of its own. Killing
//!   the process loses nothing, since the kernel has the write. A power failure may lose the raise:
//!   the watermark then lags, and the next start accepts a little more damage than it could have.
//! - It is lowered before a truncation takes effect, in both slots and with an fsync each, so that
//!   no older, higher mark can come back after a power failure.
//!
//! The file has two slots, written in turn, each within one disk page: a torn write spoils one slot,
//! and the other holds the mark before it. Slot: `length:u32 frame`, with the frame of `frame.rs`.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{codec, damage::Damage, folder, frame, log_id::RawLogId};

const SLOT_BYTES: usize = 4096;
const KEY: &[u8] = b"watermark";
const DAMAGED: &str = "both slots are damaged";

/// What was acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The encoded vote.
    pub(crate) vote: Option<Vec<u8>>,
    /// The last log id: of the last entry, or the last purged one.
    pub(crate) last: Option<RawLogId>,
}

/// The open watermark file.
#[derive(Debug)]
pub(crate) struct Watermark {
    file: File,
    mark: Mark,
    /// Counts the writes; the slot with the greater number is the newer one.
    sequence: u64,
}

impl Watermark {
    /// Makes the file for a new data folder, complete or not at all.
    pub(crate) fn create(path: &Path) -> io::Result<()> {
        let temporary = path.with_extension("new");
        let file = File::create(&temporary)?;
        let mut watermark = Self { file, mark: Mark::default(), sequence: 0 };
        watermark.lower(Mark::default())?;
        fs::rename(&temporary, path)?;
        path.parent().map_or(Ok(()), folder::sync)
    }

    /// Reads the newer of the two slots.
    pub(crate) fn open(path: &Path) -> Result<Self, Damage> {
        let unusable = |reason: String| Damage::Watermark { path: PathBuf::from(path), reason };
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.map_err(|error| unusable(error.to_string()))?;
        let (sequence, mark) = newest(&file).ok_or_else(|| unusable(DAMAGED.to_owned()))?;
        Ok(Self { file, mark, sequence })
    }

    /// Reads the newer of the two slots of a file that may belong to somebody else.
    pub(crate) fn peek(path: &Path) -> Result<Mark, Damage> {
        let unusable = |reason: String| Damage::Watermark { path: PathBuf::from(path), reason };
        let file = File::open(path).map_err(|error| unusable(error.to_string()))?;
        newest(&file).map(|(_, mark)| mark).ok_or_else(|| unusable(DAMAGED.to_owned()))
    }

    pub(crate) fn mark(&self) -> &Mark {
        &self.mark
    }

    /// Raises the mark, after what it says has become durable.
    pub(crate) fn raise(&mut self, mark: Mark) -> io::Result<()> {
        self.mark = mark;
        self.write()
    }

    /// Lowers the mark durably, before what it said is undone.
    pub(crate) fn lower(&mut self, mark: Mark) -> io::Result<()> {
        self.mark = mark;
        for _ in 0..2 {
            self.write()?;
            self.file.sync_data()?;
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        self.sequence += 1;
        let payload = codec::encode("watermark", &(self.sequence, &self.mark)).map_err(io::Error::other)?;
        let frame = frame::seal(KEY, &payload);
        let mut slot = Vec::with_capacity(SLOT_BYTES);
        slot.extend_from_slice(&(frame.len() as u32).to_le_bytes());
        slot.extend_from_slice(&frame);
        if slot.len() > SLOT_BYTES {
            return Err(io::Error::other("vote and log id do not fit into the watermark"));
        }
        self.file.write_all_at(&slot, self.sequence % 2 * SLOT_BYTES as u64)
    }
}

fn newest(file: &File) -> Option<(u64, Mark)> {
    (0..2).filter_map(|slot| read(file, slot)).max_by_key(|(sequence, _)| *sequence)
}

fn read(file: &File, slot: u64) -> Option<(u64, Mark)> {
    let offset = slot * SLOT_BYTES as u64;
    let mut length = [0; 4];
    file.read_exact_at(&mut length, offset).ok()?;
    let length = u32::from_le_bytes(length) as usize;
    let mut frame = vec![0; Some(length).filter(|length| *length <= SLOT_BYTES - 4)?];
    file.read_exact_at(&mut frame, offset + 4).ok()?;
    codec::decode(frame::open(KEY, &frame).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(vote: u8) -> Mark {
        Mark { vote: Some(vec![vote; 20]), last: None }
    }

    fn spoil(path: &Path, slot: u64) {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(&[0xff; 16], slot * SLOT_BYTES as u64).unwrap();
    }

    #[test]
    fn the_newest_mark_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("watermark");
        Watermark::create(&path).unwrap();
        for vote in 0..5 {
            let mut watermark = Watermark::open(&path).unwrap();
            watermark.raise(mark(vote)).unwrap();
            assert_eq!(Watermark::open(&path).unwrap().mark(), &mark(vote));
        }
    }

    #[test]
    fn a_torn_raise_leaves_the_mark_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("watermark");
        Watermark::create(&path).unwrap();
        let mut watermark = Watermark::open(&path).unwrap();
        watermark.raise(mark(1)).unwrap();
        watermark.raise(mark(2)).unwrap();
        spoil(&path, watermark.sequence % 2);
        assert_eq!(Watermark::open(&path).unwrap().mark(), &mark(1));
    }

    #[test]
    fn after_lowering_no_slot_holds_a_higher_mark() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("watermark");
        Watermark::create(&path).unwrap();
        let mut watermark = Watermark::open(&path).unwrap();
        watermark.raise(mark(9)).unwrap();
        watermark.lower(mark(3)).unwrap();
        for slot in 0..2 {
            assert_eq!(read(&watermark.file, slot).unwrap().1, mark(3));
        }
    }

    #[test]
    fn two_spoilt_slots_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("watermark");
        Watermark::create(&path).unwrap();
        spoil(&path, 0);
        spoil(&path, 1);
        assert!(matches!(Watermark::open(&path), Err(Damage::Watermark { .. })));
    }
}
