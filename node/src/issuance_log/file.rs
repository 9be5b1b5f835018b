//! The files of the log: the current one, and those put aside.

use super::{Durability, Settings};
use prometheus::IntCounter;
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::PathBuf,
    time::{Duration, Instant},
};

/// The file that is written to.
const CURRENT: &str = "issuance.jsonl";

/// Rest after a failure, doubled with each further one: a full disk is asked seldom, and noticed soon when it
/// has room again.
const FIRST_REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(5);

/// Appends to the current file, and keeps the whole within its bounds.
pub(super) struct LogFile {
    settings: Settings,
    /// Absent after a failure.
    current: Option<Current>,
    rest: Option<Rest>,
    rotations: IntCounter,
}

/// An open file that ends with a whole line.
struct Current {
    file: File,
    length: u64,
}

/// After a failure nothing is tried for a while.
#[derive(Clone, Copy)]
struct Rest {
    until: Instant,
    length: Duration,
}

impl LogFile {
    pub(super) fn open(settings: Settings, rotations: IntCounter) -> io::Result<Self> {
        let mut log = Self { settings, current: None, rest: None, rotations };
        log.drop_oldest(log.settings.keep_files)?;
        log.current = Some(log.open_current()?);
        Ok(log)
    }

    /// Writes whole lines, to the operating system or to the disk. When it fails, none of them are in the
    /// log, unless the file cannot even be cut back.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.append_by(lines, |file, lines| file.write_all(lines))
    }

    fn append_by(
        &mut self,
        lines: &[u8],
        write: impl FnOnce(&mut File, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.rest.is_some_and(|rest| Instant::now() < rest.until) {
            return Err(io::Error::other("it failed a moment ago"));
        }
        let result = self.try_append(lines, write);
        match result {
            Ok(()) => self.rest = None,
            Err(_) => self.give_up(),
        }
        result
    }

    fn try_append(
        &mut self,
        lines: &[u8],
        write: impl FnOnce(&mut File, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let added = lines.len() as u64;
        let mut current = match self.current.take() {
            Some(current) => current,
            None => self.open_current()?,
        };
        if current.length > 0 && current.length + added > self.settings.rotate_bytes {
            drop(current);
            current = self.rotate()?;
        }
        let current = self.current.insert(current);
        write(&mut current.file, lines)?;
        if self.settings.durability == Durability::Disk {
            current.file.sync_data()?;
        }
        current.length += added;
        Ok(())
    }

    /// Cuts back what was written in part, closes the file, and rests.
    fn give_up(&mut self) {
        if let Some(current) = self.current.take() {
            // Where this fails too, the torn line is completed when the file is opened again.
            let _ = current.file.set_len(current.length);
        }
        let length = self.rest.map_or(FIRST_REST, |rest| LONGEST_REST.min(rest.length * 2));
        self.rest = Some(Rest { until: Instant::now() + length, length });
    }

    fn open_current(&self) -> io::Result<Current> {
        let folder = &self.settings.folder;
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).mode(0o600).open(folder.join(CURRENT))?;
        if self.settings.durability == Durability::Disk {
            // The name of a new file is on the disk only once its folder is.
            File::open(folder)?.sync_all()?;
        }
        complete(file)
    }

    /// Puts the current file aside, and opens a new one. Room is made first: the bound holds even if we are
    /// killed in between.
    fn rotate(&self) -> io::Result<Current> {
        let Settings { folder, keep_files, .. } = &self.settings;
        let current = folder.join(CURRENT);
        let newest = self.drop_oldest(keep_files.saturating_sub(1))?;
        match keep_files {
            0 => fs::remove_file(current)?,
            _ => fs::rename(current, self.put_aside(newest + 1))?,
        }
        self.rotations.inc();
        self.open_current()
    }

    /// Removes the oldest of the files put aside, until at most `keep` are left. Gives the number of the newest
    /// that ever was there: numbers only grow, so that a collector never meets one twice.
    fn drop_oldest(&self, keep: u32) -> io::Result<u64> {
        let mut numbers = self.numbers()?;
        numbers.sort_unstable();
        let excess = numbers.len().saturating_sub(keep as usize);
        for number in &numbers[..excess] {
            fs::remove_file(self.put_aside(*number))?;
        }
        Ok(numbers.last().copied().unwrap_or_default())
    }

    fn numbers(&self) -> io::Result<Vec<u64>> {
        let files = match fs::read_dir(&self.settings.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            files => files?,
        };
        let number = |file: io::Result<fs::DirEntry>| file.map(|file| number(file.file_name().to_str()?));
        files.filter_map(|file| number(file).transpose()).collect()
    }

    fn put_aside(&self, number: u64) -> PathBuf {
        self.settings.folder.join(format!("issuance.{number}.jsonl"))
    }
}

/// The number in the name of a file put aside.
fn number(name: &str) -> Option<u64> {
    name.strip_prefix("issuance.")?.strip_suffix(".jsonl")?.parse().ok()
}

/// Ends a line that a killed process left torn, so that the next one stands on its own. It is left for a
/// person to read: nobody knows any more whether its answer left.
fn complete(mut file: File) -> io::Result<Current> {
    let length = file.metadata()?.len();
    let mut last = [b'\n'];
    if length > 0 {
        file.read_exact_at(&mut last, length - 1)?;
    }
    if last == *b"\n" {
        return Ok(Current { file, length });
    }
    file.write_all(b"\n")?;
    Ok(Current { file, length: length + 1 })
}

#[cfg(test)]
mod tests;
