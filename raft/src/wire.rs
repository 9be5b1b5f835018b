//! The form in which this crate sends and stores values: a version, then bincode.
//!
//! The version stands before the payload, so that the encoding behind it can be replaced and a node that
//! meets a newer form says so instead of misreading it.

use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

/// The version of everything this crate writes with [`encode`].
pub(crate) const VERSION: u16 = 3;

/// What a decoded value may claim in memory. Lengths inside a message are claims of its sender: without a
/// limit, a few bytes could ask for gigabytes. Messages themselves are bounded far below this.
const DECODED_BYTES: usize = 128 << 20;

/// Why bytes are not a value of ours.
#[derive(Debug, Error)]
pub enum WireError {
    /// Written by another version of this program.
    #[error("form {found} where form {VERSION} was expected; nodes may differ by one minor version only")]
    Version {
        /// The version that stands before the payload.
        found: u16,
    },
    /// Cut off, or not of this type.
    #[error("not decodable: {0}")]
    Malformed(String),
}

/// The bytes of `value`.
///
/// # Errors
/// Only for types that bincode has no form for, which the tests of this crate would show.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, WireError> {
    let mut bytes = VERSION.to_be_bytes().to_vec();
    bincode::serde::encode_into_std_write(value, &mut bytes, bincode::config::standard())
        .map_err(|error| WireError::Malformed(error.to_string()))?;
    Ok(bytes)
}

/// The value of `bytes`, all of which must belong to it.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    let Some((version, payload)) = bytes.split_first_chunk() else {
        return Err(WireError::Malformed(format!("{} bytes are too few", bytes.len())));
    };
    let found = u16::from_be_bytes(*version);
    if found != VERSION {
        return Err(WireError::Version { found });
    }
    let config = bincode::config::standard().with_limit::<DECODED_BYTES>();
    let (value, used) = bincode::serde::decode_from_slice(payload, config)
        .map_err(|error| WireError::Malformed(error.to_string()))?;
    if used < payload.len() {
        return Err(WireError::Malformed(format!("{} bytes too many", payload.len() - used)));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_value_comes_back() {
        let value = (7_u128, vec![1_u8, 2, 3], Some("text".to_owned()));
        assert_eq!(decode::<(u128, Vec<u8>, Option<String>)>(&encode(&value).unwrap()).unwrap(), value);
    }

    #[test]
    fn another_version_is_named() {
        let mut bytes = encode(&1_u8).unwrap();
        bytes[1] = 9;
        assert!(matches!(decode::<u8>(&bytes), Err(WireError::Version { found: 9 })));
    }

    #[test]
    fn cut_off_and_overlong_values_are_malformed() {
        let bytes = encode(&"a longer text".to_owned()).unwrap();
        assert!(matches!(decode::<String>(&bytes[..bytes.len() - 1]), Err(WireError::Malformed(_))));
        assert!(matches!(decode::<String>(&[&bytes[..], b"x"].concat()), Err(WireError::Malformed(_))));
        assert!(matches!(decode::<String>(&bytes[..1]), Err(WireError::Malformed(_))));
    }

    #[test]
    fn a_claimed_length_beyond_the_limit_is_refused_before_memory_is_taken() {
        // A bincode length of 2^62 in front of nothing.
        let mut bytes = VERSION.to_be_bytes().to_vec();
        bytes.push(253);
        bytes.extend((1_u64 << 62).to_le_bytes());
        assert!(matches!(decode::<Vec<u64>>(&bytes), Err(WireError::Malformed(_))));
    }
}
