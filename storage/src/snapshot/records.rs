//! Reading a snapshot file's records, one after the other, with the checks of the format.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::Arc,
};

use super::format::{BLOCK_BYTES, BlockReader, Fault, Hash, Kind};
use crate::SnapshotError;

/// The records of a snapshot file in file order.
///
/// The last item is an error unless the whole file was intact, so that a consumer must not act on
/// the records before the iterator has ended without one. After an error it has ended.
#[derive(Debug)]
pub struct Records {
    path: PathBuf,
    header: Vec<u8>,
    reader: BlockReader<BufReader<Cursor>>,
    block: Vec<u8>,
    position: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Reading,
    Ended(Hash),
    Failed,
}

impl Records {
    pub(super) fn start(path: PathBuf, file: Arc<File>) -> Result<Self, SnapshotError> {
        let input = BufReader::with_capacity(BLOCK_BYTES, Cursor { file, offset: 0 });
        match first_block(input) {
            Ok((reader, header)) => {
                Ok(Self { path, header, reader, block: Vec::new(), position: 0, state: State::Reading })
            }
            Err(fault) => Err(named(path, fault)),
        }
    }

    /// The header that the writer put before the records.
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// The file's hash, once all records were read and the whole was found intact.
    pub(super) fn hash(&self) -> Option<Hash> {
        match self.state {
            State::Ended(hash) => Some(hash),
            State::Reading | State::Failed => None,
        }
    }

    fn advance(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        while self.position == self.block.len() {
            match self.reader.block()? {
                (Kind::Records, block) => (self.block, self.position) = (block, 0),
                (Kind::End, _) => {
                    self.state = State::Ended(self.reader.trailer()?);
                    return Ok(None);
                }
                (Kind::Header, _) => return Err(Fault::Damaged("there is a second header".to_owned())),
            }
        }
        self.take().map(Some)
    }

    fn take(&mut self) -> Result<Vec<u8>, Fault> {
        let cut_off = || Fault::Damaged("a record is longer than its block".to_owned());
        let rest = &self.block[self.position..];
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(cut_off)?;
        let length = u32::from_le_bytes(*length) as usize;
        let record = rest.get(..length).ok_or_else(cut_off)?.to_vec();
        self.position += 4 + length;
        Ok(record)
    }
}

impl Iterator for Records {
    type Item = Result<Vec<u8>, SnapshotError>;

    fn next(&mut self) -> Option<Self::Item> {
        if !matches!(self.state, State::Reading) {
            return None;
        }
        match self.advance() {
            Ok(record) => record.map(Ok),
            Err(fault) => {
                self.state = State::Failed;
                Some(Err(named(self.path.clone(), fault)))
            }
        }
    }
}

fn first_block<R: Read>(input: R) -> Result<(BlockReader<R>, Vec<u8>), Fault> {
    let mut reader = BlockReader::new(input)?;
    match reader.block()? {
        (Kind::Header, header) => Ok((reader, header)),
        _ => Err(Fault::Damaged("the header is missing".to_owned())),
    }
}

fn named(path: PathBuf, fault: Fault) -> SnapshotError {
    match fault {
        Fault::Io(source) => SnapshotError::Io { path, source },
        Fault::Damaged(reason) => SnapshotError::Damaged { path, reason },
    }
}

/// Reads with its own position, so that several readers share one descriptor.
#[derive(Debug)]
struct Cursor {
    file: Arc<File>,
    offset: u64,
}

impl Read for Cursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}
