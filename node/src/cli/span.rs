//! Spans of time as people type them.

/// Parses `90`, `90s`, `15m`, `12h`, `30d` into seconds.
///
/// # Errors
/// A sentence, for a text that is none of these, or zero.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3_600),
        "d" => Some(86_400),
        _ => None,
    };
    let number = digits.parse::<u64>().ok().filter(|number| *number > 0);
    let span = number.zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
    span.ok_or_else(|| "write a span as 90, 90s, 15m, 12h or 30d".into())
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn units_multiply_and_nonsense_is_refused() {
        assert_eq!(seconds("90"), Ok(90));
        assert_eq!(seconds("15m"), Ok(900));
        assert_eq!(seconds("12h"), Ok(43_200));
        assert_eq!(seconds("30d"), Ok(2_592_000));
        for text in ["", "0", "d", "-1", "1w", "1.5h", "99999999999999999999", "18446744073709551615d", "ü"]
        {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
