//! Values to bytes and back: bincode, bounded, inside our own frames so that it can be replaced.

use bincode::{
    config::{Configuration, Limit, LittleEndian, Varint},
    serde::{decode_from_slice, encode_to_vec},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::StorageError;

/// Bounds what decoding may allocate, in bytes. bincode counts memory, not input: a list of small
/// values takes many times its encoded size, so this is far above
/// [`MAX_ENTRY_BYTES`](crate::MAX_ENTRY_BYTES). An entry that was written must decode.
const DECODE_LIMIT: usize = 64 << 20;

fn config() -> Configuration<LittleEndian, Varint, Limit<DECODE_LIMIT>> {
    bincode::config::standard().with_limit::<DECODE_LIMIT>()
}

pub(crate) fn encode<T: Serialize>(what: &'static str, value: &T) -> Result<Vec<u8>, StorageError> {
    encode_to_vec(value, config()).map_err(|error| StorageError::Encode { what, reason: error.to_string() })
}

/// Decodes a value that must take up all bytes.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match decode_from_slice(bytes, config()) {
        Ok((value, used)) if used == bytes.len() => Ok(value),
        Ok((_, used)) => Err(format!("{} bytes follow the value", bytes.len() - used)),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_after_a_value_are_an_error() {
        let mut bytes = encode("number", &7_u32).unwrap();
        assert_eq!(decode(&bytes), Ok(7_u32));
        bytes.push(0);
        assert!(decode::<u32>(&bytes).is_err());
    }

    #[test]
    fn a_claimed_length_beyond_the_limit_allocates_nothing() {
        let claim = encode("length", &u64::MAX).unwrap();
        assert!(decode::<Vec<u64>>(&claim).is_err());
    }

    #[test]
    fn small_values_that_take_much_memory_decode() {
        let many = vec![String::new(); 100_000];
        let bytes = encode("list", &many).unwrap();
        assert_eq!(decode::<Vec<String>>(&bytes), Ok(many));
    }
}
