//! The frame around every stored value: `version:u8 crc32c:u32(little-endian) payload`.
//!
//! The checksum covers version, key and payload: a value that sled returns under another key is as
//! damaged as one with a flipped bit.

use crate::damage::FrameFault;

const VERSION: u8 = 1;
const HEADER: usize = 5;

pub(crate) fn seal(key: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER + payload.len());
    frame.push(VERSION);
    frame.extend_from_slice(&checksum(key, payload).to_le_bytes());
    frame.extend_from_slice(payload);
    frame
}

pub(crate) fn open<'a>(key: &[u8], frame: &'a [u8]) -> Result<&'a [u8], FrameFault> {
    let (&version, rest) = frame.split_first().ok_or(FrameFault::Short)?;
    if version != VERSION {
        return Err(FrameFault::Version(version));
    }
    let (crc, payload) = rest.split_first_chunk::<4>().ok_or(FrameFault::Short)?;
    if u32::from_le_bytes(*crc) == checksum(key, payload) { Ok(payload) } else { Err(FrameFault::Checksum) }
}

fn checksum(key: &[u8], payload: &[u8]) -> u32 {
    let head = crc32c::crc32c_append(crc32c::crc32c(&[VERSION]), key);
    crc32c::crc32c_append(head, payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_found() {
        let frame = seal(b"key", b"payload");
        assert_eq!(open(b"key", &frame), Ok(&b"payload"[..]));
        for bit in 0..frame.len() * 8 {
            let mut flipped = frame.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(open(b"key", &flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_value_under_another_key_is_damaged() {
        assert_eq!(open(b"kez", &seal(b"key", b"payload")), Err(FrameFault::Checksum));
    }

    #[test]
    fn a_cut_or_unknown_frame_is_named() {
        assert_eq!(open(b"key", &[]), Err(FrameFault::Short));
        assert_eq!(open(b"key", &[VERSION, 0]), Err(FrameFault::Short));
        assert_eq!(open(b"key", &[9, 0, 0, 0, 0]), Err(FrameFault::Version(9)));
    }
}
