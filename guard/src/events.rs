//! Server-sent events that pass, as far as the guard must know them to put one of its own in between.

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::json;

/// Their media type.
pub(crate) const EVENT_STREAM: &str = "text/event-stream";

/// Whether a response is a stream of them.
pub(crate) fn is_event_stream(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(EVENT_STREAM)
}

/// Whether a stream of events stands between two of them: at its beginning, or after an empty line.
///
/// Lines end in `\n`, `\r\n` or `\r`. Chunks may be cut anywhere, so the end of what was sent is remembered.
#[derive(Debug, Default)]
pub(crate) struct Boundary {
    /// Line ends since the last other byte, at most two; a beginning counts as two.
    inside: bool,
    ends: u8,
    after_cr: bool,
}

impl Boundary {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.step(*byte);
        }
    }

    fn step(&mut self, byte: u8) {
        match byte {
            // The second half of one line end.
            b'\n' if self.after_cr => self.after_cr = false,
            b'\n' | b'\r' => {
                self.ends = self.ends.saturating_add(1).min(2);
                self.after_cr = byte == b'\r';
            }
            _ => (self.inside, self.ends, self.after_cr) = (true, 0, false),
        }
    }

    pub(crate) fn is_between_events(&self) -> bool {
        // After a lone `\r` its `\n` may still come, and would then end our event's first line too early.
        (!self.inside || self.ends >= 2) && !self.after_cr
    }
}

/// `notifications/connect/refresh_required`, as an event. It has no id: a client that resumes the stream has no use
/// for it.
pub(crate) fn refresh_required(exp: u64, end: u64) -> Bytes {
    let message = json!({
        "jsonrpc": "2.0",
        "method": "notifications/connect/refresh_required",
        "params": {"exp": exp, "session_ends_at": end},
    });
    format!("event: message\ndata: {message}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(chunks: &[&str]) -> bool {
        let mut boundary = Boundary::default();
        chunks.iter().for_each(|chunk| boundary.push(chunk.as_bytes()));
        boundary.is_between_events()
    }

    #[test]
    fn a_stream_stands_between_events_at_its_beginning_and_after_empty_lines() {
        for chunks in [
            &[] as &[&str],
            &["data: 1\n\n"],
            &["data: 1\n", "\n"],
            &["data: 1\r\n\r", "\n"],
            &[": ping\n\n"],
        ] {
            assert!(after(chunks), "{chunks:?}");
        }
    }

    #[test]
    fn it_stands_inside_an_event_everywhere_else() {
        for chunks in [
            &["data: 1\n"] as &[&str],
            &["data"],
            &["data: 1\r\n"],
            &["data: 1\n\ndata: 2\n"],
            &["data: 1\r\r"],
        ] {
            assert!(!after(chunks), "{chunks:?}");
        }
    }

    #[test]
    fn a_notice_is_one_event_with_one_message() {
        let event = refresh_required(100, 105);
        let text = std::str::from_utf8(&event).unwrap_or_default();
        assert!(text.ends_with("\n\n") && text.matches('\n').count() == 3, "{text}");
        assert!(text.contains(r#""method":"notifications/connect/refresh_required""#));
    }
}
