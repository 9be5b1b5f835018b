//! Percent-encoding (RFC 3986 §2.1) of one part of a path or query.

/// `text` with everything encoded but what RFC 3986 §2.3 leaves unreserved, so that no part can end early.
pub(crate) fn encode(text: &str) -> String {
    let encoded = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(encoded).collect()
}

#[cfg(test)]
mod tests {
    use super::encode;

    #[test]
    fn a_server_name_is_one_part_of_a_path() {
        assert_eq!(encode("ai.acme/pay-ments"), "ai.acme%2Fpay-ments");
        assert_eq!(encode("1.0.0+b&ü"), "1.0.0%2Bb%26%C3%BC");
    }
}
