//! How an entry lies in the log tree: in pieces, under `index:u64 piece:u16`, both big-endian.
//!
//! sled keeps up to about twenty values on one page and rewrites pages whole; a page above 128 KiB
//! goes to a file of its own in `blobs/`, which nothing ever syncs. Pieces of 4 KiB keep a full page
//! below that, so that an entry of any size is covered by the one fsync of sled's log file.

use sled::IVec;

use crate::{
    MAX_ENTRY_BYTES,
    damage::{Damage, FrameFault},
    frame,
};

/// Payload bytes in one piece.
pub(crate) const PIECE_BYTES: usize = 4 << 10;
/// Before the payload of piece 0: `length:u32 crc32c:u32` of the whole entry, little-endian.
const ENTRY_HEAD: usize = 8;

pub(crate) const KEY_BYTES: usize = 10;
/// A key in the log tree.
pub(crate) type Key = [u8; KEY_BYTES];

pub(crate) fn key(index: u64, piece: u16) -> Key {
    let mut key = [0; KEY_BYTES];
    key[..8].copy_from_slice(&index.to_be_bytes());
    key[8..].copy_from_slice(&piece.to_be_bytes());
    key
}

/// The index and piece number of a key.
pub(crate) fn parse(key: &[u8]) -> Result<(u64, u16), Damage> {
    let foreign = || Damage::Frame { tree: "log", key: format!("{key:02x?}"), fault: FrameFault::Short };
    let (index, piece) = key.split_first_chunk::<8>().ok_or_else(foreign)?;
    let piece = piece.try_into().map_err(|_| foreign())?;
    Ok((u64::from_be_bytes(*index), u16::from_be_bytes(piece)))
}

/// The keys and values of an entry, piece 0 first.
pub(crate) fn split(index: u64, entry: &[u8]) -> Vec<(Key, Vec<u8>)> {
    let mut whole = Vec::with_capacity(ENTRY_HEAD + entry.len().min(PIECE_BYTES));
    whole.extend_from_slice(&(entry.len() as u32).to_le_bytes());
    whole.extend_from_slice(&crc32c::crc32c(entry).to_le_bytes());
    let (first, rest) = entry.split_at(entry.len().min(PIECE_BYTES));
    whole.extend_from_slice(first);
    let payloads = std::iter::once(whole.as_slice()).chain(rest.chunks(PIECE_BYTES));
    let sealed = (0..).zip(payloads).map(|(piece, payload)| {
        let key = key(index, piece);
        (key, frame::seal(&key, payload))
    });
    sealed.collect()
}

/// Puts pieces back together, in key order.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    entry: Option<Partial>,
}

#[derive(Debug)]
struct Partial {
    index: u64,
    length: usize,
    crc: u32,
    next_piece: u16,
    bytes: Vec<u8>,
}

impl Assembler {
    /// Takes the next key and value; gives the entry when it is whole.
    pub(crate) fn push(&mut self, key: &IVec, value: &IVec) -> Result<Option<(u64, Vec<u8>)>, Damage> {
        let (index, piece) = parse(key)?;
        let framed =
            |fault| Damage::Frame { tree: "log", key: format!("of entry {index}, piece {piece}"), fault };
        let payload = frame::open(key, value).map_err(framed)?;
        let partial = match self.entry.take() {
            None => Partial::begin(index, piece, payload)?,
            Some(partial) => partial.add(index, piece, payload)?,
        };
        if partial.bytes.len() < partial.length {
            self.entry = Some(partial);
            return Ok(None);
        }
        partial.whole().map(Some)
    }

    /// Checks that no entry is left incomplete.
    pub(crate) fn finish(self) -> Result<(), Damage> {
        self.entry.map_or(Ok(()), |partial| damaged(partial.index, "its last pieces are missing"))
    }
}

impl Partial {
    fn begin(index: u64, piece: u16, payload: &[u8]) -> Result<Self, Damage> {
        if piece != 0 {
            return damaged(index, "its first piece is missing");
        }
        let Some((length, rest)) = payload.split_first_chunk::<4>() else {
            return damaged(index, "its length is missing");
        };
        let Some((crc, bytes)) = rest.split_first_chunk::<4>() else {
            return damaged(index, "its checksum is missing");
        };
        let length = u32::from_le_bytes(*length) as usize;
        if length > MAX_ENTRY_BYTES {
            return damaged(index, "it claims to be larger than any entry");
        }
        Ok(Self { index, length, crc: u32::from_le_bytes(*crc), next_piece: 1, bytes: bytes.to_vec() })
    }

    fn add(mut self, index: u64, piece: u16, payload: &[u8]) -> Result<Self, Damage> {
        if (index, piece) != (self.index, self.next_piece) {
            return damaged(self.index, "a piece of it is missing");
        }
        self.next_piece += 1;
        self.bytes.extend_from_slice(payload);
        Ok(self)
    }

    fn whole(self) -> Result<(u64, Vec<u8>), Damage> {
        if self.bytes.len() != self.length || crc32c::crc32c(&self.bytes) != self.crc {
            return damaged(self.index, "its length or checksum does not match");
        }
        Ok((self.index, self.bytes))
    }
}

fn damaged<T>(index: u64, reason: &str) -> Result<T, Damage> {
    Err(Damage::Entry { index, reason: reason.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(pieces: &[(Key, Vec<u8>)]) -> Result<Vec<(u64, Vec<u8>)>, Damage> {
        let mut assembler = Assembler::default();
        let mut entries = Vec::new();
        for (key, value) in pieces {
            entries.extend(assembler.push(&IVec::from(key), &IVec::from(value.as_slice()))?);
        }
        assembler.finish().map(|()| entries)
    }

    #[test]
    fn entries_of_any_size_come_back() {
        for length in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES, MAX_ENTRY_BYTES]
        {
            let entry: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
            let pieces = split(7, &entry);
            assert_eq!(pieces.len(), length.div_ceil(PIECE_BYTES).max(1));
            assert_eq!(join(&pieces), Ok(vec![(7, entry)]));
        }
    }

    #[test]
    fn a_missing_piece_is_named() {
        let pieces = split(7, &vec![1; 3 * PIECE_BYTES]);
        for missing in 0..pieces.len() {
            let mut rest = pieces.clone();
            rest.remove(missing);
            assert!(matches!(join(&rest), Err(Damage::Entry { index: 7, .. })), "piece {missing}");
        }
    }

    #[test]
    fn keys_sort_by_index_then_piece() {
        assert!(key(1, u16::MAX) < key(2, 0));
        assert!(key(255, 0) < key(256, 0));
        assert_eq!(parse(&key(300, 2)), Ok((300, 2)));
    }
}
