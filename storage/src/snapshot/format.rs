//! The snapshot file format, all numbers little-endian:
//!
//! ```text
//! file    = "HAPISNAP" version:u16 block(header) block(records)* block(end) sha256:32 bytes
//! block   = kind:u8 length:u32 crc32c:u32 payload          (the CRC covers kind and payload)
//! records = (length:u32 record)*
//! ```
//!
//! The hash covers everything before it. The CRCs find damage while a file is still being read, the
//! hash proves the whole and names the file between nodes.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

use super::{MAX_HEADER_BYTES, MAX_RECORD_BYTES};

const MAGIC: &[u8; 8] = b"HAPISNAP";
const VERSION: u16 = 1;
const BLOCK_HEAD: usize = 9;
/// A block is closed when it has reached this size, in bytes.
pub(super) const BLOCK_BYTES: usize = 64 << 10;
/// No block is larger: a full one, and the record that closed it.
const MAX_BLOCK_BYTES: usize = BLOCK_BYTES + 4 + MAX_RECORD_BYTES;
const _: () = assert!(MAX_HEADER_BYTES <= MAX_BLOCK_BYTES);

/// The SHA-256 of a file up to its trailer.
pub(super) type Hash = [u8; 32];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Header = 1,
    Records = 2,
    End = 3,
}

/// Why a file cannot be read or written on.
#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    Damaged(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Damaged("the file is cut off".to_owned()),
            _ => Self::Io(error),
        }
    }
}

fn damaged<T>(reason: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Damaged(reason.into()))
}

fn checksum(kind: u8, payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&[kind]), payload)
}

/// Writes blocks and keeps the hash.
#[derive(Debug)]
pub(super) struct BlockWriter<W> {
    out: W,
    hasher: Sha256,
    bytes: u64,
}

impl<W: Write> BlockWriter<W> {
    pub(super) fn new(out: W) -> io::Result<Self> {
        let mut writer = Self { out, hasher: Sha256::new(), bytes: 0 };
        writer.write(MAGIC)?;
        writer.write(&VERSION.to_le_bytes())?;
        Ok(writer)
    }

    pub(super) fn block(&mut self, kind: Kind, payload: &[u8]) -> io::Result<()> {
        let kind = kind as u8;
        let mut head = [0; BLOCK_HEAD];
        head[0] = kind;
        head[1..5].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        head[5..].copy_from_slice(&checksum(kind, payload).to_le_bytes());
        self.write(&head)?;
        self.write(payload)
    }

    /// Writes the end and the hash; gives back what was written to, the hash and the length.
    pub(super) fn finish(mut self) -> io::Result<(W, Hash, u64)> {
        self.block(Kind::End, &[])?;
        let hash: Hash = self.hasher.clone().finalize().into();
        self.write(&hash)?;
        Ok((self.out, hash, self.bytes))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

/// Reads blocks, checking each, and the whole at the end.
#[derive(Debug)]
pub(super) struct BlockReader<R> {
    input: R,
    hasher: Sha256,
}

impl<R: Read> BlockReader<R> {
    pub(super) fn new(input: R) -> Result<Self, Fault> {
        let mut reader = Self { input, hasher: Sha256::new() };
        if reader.read::<8>()? != *MAGIC {
            return damaged("this is no snapshot file");
        }
        match u16::from_le_bytes(reader.read()?) {
            VERSION => Ok(reader),
            other => damaged(format!("format version {other} is unknown")),
        }
    }

    pub(super) fn block(&mut self) -> Result<(Kind, Vec<u8>), Fault> {
        let [kind] = self.read()?;
        let length = u32::from_le_bytes(self.read()?) as usize;
        let crc = u32::from_le_bytes(self.read()?);
        if length > MAX_BLOCK_BYTES {
            return damaged(format!("a block claims {length} bytes"));
        }
        let mut payload = vec![0; length];
        self.fill(&mut payload)?;
        if checksum(kind, &payload) != crc {
            return damaged("a block's checksum does not match");
        }
        match kind {
            1 => Ok((Kind::Header, payload)),
            2 => Ok((Kind::Records, payload)),
            3 => Ok((Kind::End, payload)),
            other => damaged(format!("block kind {other} is unknown")),
        }
    }

    /// Reads what follows the end block: the hash, and nothing else.
    pub(super) fn trailer(&mut self) -> Result<Hash, Fault> {
        let expected: Hash = self.hasher.clone().finalize().into();
        if self.read::<32>()? != expected {
            return damaged("the hash does not match");
        }
        match self.input.read(&mut [0])? {
            0 => Ok(expected),
            _ => damaged("something follows the end"),
        }
    }

    fn read<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Fault> {
        self.input.read_exact(buffer)?;
        self.hasher.update(buffer);
        Ok(())
    }
}
