//! Names for cluster secrets that tell nothing of them.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The name of a cluster secret, shown as 12 hexadecimal digits. It is derived from the secret one way, alike on
/// all nodes, so that it may be shown, logged and stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SecretFingerprint(pub [u8; 6]);

/// A text that names no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the fingerprint of a cluster secret has 12 hexadecimal digits")]
pub struct FingerprintError;

impl fmt::Display for SecretFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for SecretFingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        if text.len() != 12 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(FingerprintError);
        }
        let number = u64::from_str_radix(text, 16).map_err(|_| FingerprintError)?;
        let [_, _, rest @ ..] = number.to_be_bytes();
        Ok(Self(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_is_written() {
        let fingerprint = SecretFingerprint([0, 0x9f, 3, 0xa5, 0, 0xff]);
        assert_eq!(fingerprint.to_string(), "009f03a500ff");
        assert_eq!("009f03a500ff".parse(), Ok(fingerprint));
        for text in ["", "009f03a500f", "009f03a500ff0", "+09f03a500ff", "009f03a500fg"] {
            assert_eq!(text.parse::<SecretFingerprint>(), Err(FingerprintError), "{text}");
        }
    }
}
