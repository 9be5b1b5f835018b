//! Server-sent events, read as the HTML standard says. Pure: bytes go in, events come out.

use std::mem;

use thiserror::Error;

/// What every stream may begin with, and what means nothing there.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One event. Its id is not kept: who reconnects names what it knows, not what it was sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) kind: String,
    pub(crate) data: String,
}

/// An event is longer than it may be.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("an event is too long")]
pub(crate) struct Oversize;

/// The beginning of an event that has not ended yet. Whoever sends without an end has no more than `max` bytes
/// kept, whether without the end of a line or without the empty line that ends an event.
#[derive(Debug)]
pub(crate) struct EventStream {
    max: usize,
    line: Vec<u8>,
    kind: Vec<u8>,
    /// The lines of `data` so far, each with its end.
    data: Vec<u8>,
    is_first_line: bool,
    after_cr: bool,
}

impl EventStream {
    /// `max` bounds what one event may have of `event`, `data` and its last line together.
    pub(crate) fn new(max: usize) -> Self {
        let [line, kind, data] = [const { Vec::new() }; 3];
        Self { max, line, kind, data, is_first_line: true, after_cr: false }
    }

    /// Takes the next byte; gives the event that it ends.
    pub(crate) fn push(&mut self, byte: u8) -> Result<Option<Event>, Oversize> {
        let after_cr = mem::replace(&mut self.after_cr, byte == b'\r');
        match byte {
            // The second half of one line end.
            b'\n' if after_cr => Ok(None),
            b'\n' | b'\r' => Ok(self.end_line()),
            _ if self.line.len() + self.kind.len() + self.data.len() >= self.max => Err(Oversize),
            _ => {
                self.line.push(byte);
                Ok(None)
            }
        }
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = mem::take(&mut self.line);
        let is_first = mem::take(&mut self.is_first_line);
        let line = line.strip_prefix(BYTE_ORDER_MARK).filter(|_| is_first).unwrap_or(&line);
        if line.is_empty() {
            return self.end_event();
        }
        let (field, value) = split(line);
        match field {
            b"event" => self.kind = value.to_vec(),
            b"data" => self.data.extend(value.iter().chain(b"\n")),
            // A comment has an empty field; `id` and `retry` are of no use here, and what is unknown is to be ignored.
            _ => {}
        }
        None
    }

    /// Without data there is no event.
    fn end_event(&mut self) -> Option<Event> {
        let (kind, mut data) = (mem::take(&mut self.kind), mem::take(&mut self.data));
        data.pop()?;
        let kind = if kind.is_empty() { "message".to_owned() } else { text(&kind) };
        Some(Event { kind, data: text(&data) })
    }
}

/// Field and value, of which one leading space is not a part.
fn split(line: &[u8]) -> (&[u8], &[u8]) {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return (line, b"") };
    let value = &line[colon + 1..];
    (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stream: &mut EventStream, text: &str) -> Result<Vec<(String, String)>, Oversize> {
        let events = text.bytes().filter_map(|byte| stream.push(byte).transpose());
        events.map(|event| event.map(|event| (event.kind, event.data))).collect()
    }

    fn events(text: &str) -> Vec<(String, String)> {
        read(&mut EventStream::new(1000), text).unwrap_or_default()
    }

    fn one(kind: &str, data: &str) -> Vec<(String, String)> {
        vec![(kind.to_owned(), data.to_owned())]
    }

    #[test]
    fn an_event_has_a_type_and_data() {
        assert_eq!(events("event: revocations\nid: 7\ndata: a.b.c\n\n"), one("revocations", "a.b.c"));
        assert_eq!(events("data: a\n\n"), one("message", "a"));
    }

    #[test]
    fn lines_end_in_any_of_three_ways() {
        for text in ["data: a\ndata: b\n\n", "data: a\r\ndata: b\r\n\r\n", "data: a\rdata: b\r\r"] {
            assert_eq!(events(text), one("message", "a\nb"), "{text:?}");
        }
        assert_eq!(events("data: a\r\n\rdata: b\n\n").len(), 2);
    }

    #[test]
    fn one_space_after_the_colon_is_no_part_of_the_value() {
        assert_eq!(events("data:a\n\n"), one("message", "a"));
        assert_eq!(events("data:  a: b\n\n"), one("message", " a: b"));
        assert_eq!(events("data\n\n"), one("message", ""));
    }

    #[test]
    fn what_is_no_field_of_an_event_is_ignored() {
        for text in
            [":\n\n", ": comment\n\n", "id: 1\n\n", "retry: 1\n\n", "event: x\n\n", "\n\n", "date: a\n\n"]
        {
            assert_eq!(events(text), [], "{text:?}");
        }
        assert_eq!(
            events("event: x\n\n: comment\ndata: a\n\n"),
            one("message", "a"),
            "a type is of one event"
        );
    }

    #[test]
    fn a_byte_order_mark_counts_only_at_the_beginning_as_one() {
        assert_eq!(events("\u{feff}data: a\n\n"), one("message", "a"));
        assert_eq!(events("\u{feff}\u{feff}data: a\n\n"), []);
        assert_eq!(events("\n\u{feff}data: a\n\n"), []);
    }

    #[test]
    fn what_has_not_ended_is_no_event() {
        assert_eq!(events("data: a"), []);
        assert_eq!(events("data: a\n"), []);
    }

    #[test]
    fn neither_a_line_nor_an_event_grows_beyond_the_bound() {
        for (endless, held) in [("x", 10), ("data: x\n", 10), (": comment", 10)] {
            let mut stream = EventStream::new(10);
            assert_eq!(read(&mut stream, &endless.repeat(100)), Err(Oversize), "{endless:?}");
            assert!(stream.line.len() + stream.data.len() <= held);
        }
        let mut stream = EventStream::new(10);
        assert_eq!(read(&mut stream, &": comment\n".repeat(100)), Ok(vec![]), "comments are not kept");
        assert_eq!(read(&mut stream, "data: abcd\n\n"), Ok(one("message", "abcd")));
    }
}
