//! A descriptor as it is given to a verb.

use super::Failure;
use serde::Deserialize;
use std::io::Read;

/// The longest text that is read from stdin, in bytes: a descriptor has at most 8 KiB.
const MAX_INPUT: u64 = 64 * 1024;

/// A descriptor, with what was told beside it.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Presented {
    pub(super) descriptor: String,
    pub(super) endpoint: Option<String>,
    pub(super) server: Option<PresentedServer>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct PresentedServer {
    pub(super) id: String,
}

impl Presented {
    /// Takes an argument, or stdin for `-`: a descriptor alone, or what `connect --output json` prints.
    ///
    /// # Errors
    /// What cannot be read. Whether it is a descriptor is not judged.
    pub(super) fn read(argument: &str) -> Result<Self, Failure> {
        if argument != "-" {
            return Self::parse(argument);
        }
        let mut text = String::new();
        let read = std::io::stdin().lock().take(MAX_INPUT).read_to_string(&mut text);
        read.map_err(|error| Failure::usage(format!("cannot read the descriptor: {error}")))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, Failure> {
        let text = text.trim();
        if text.starts_with('{') {
            return serde_json::from_str(text)
                .map_err(|error| Failure::usage(format!("the answer of `connect` cannot be read: {error}")));
        }
        Ok(Self { descriptor: text.to_owned(), endpoint: None, server: None })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    #[test]
    fn a_bare_descriptor_and_the_answer_of_connect_are_both_read() {
        assert_eq!(Presented::parse(" a.b.c\n").unwrap().descriptor, "a.b.c");
        let answer =
            r#"{"descriptor":"a.b.c","endpoint":"https://x.example/","server":{"id":"a/b","version":"1"}}"#;
        let presented = Presented::parse(answer).unwrap();
        assert_eq!(presented.endpoint.as_deref(), Some("https://x.example/"));
        assert_eq!(presented.server, Some(PresentedServer { id: "a/b".into() }));
        assert!(Presented::parse("{}").is_err());
    }
}
