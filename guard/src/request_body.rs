//! The bodies of requests, looked into where a message for the guard may be in them.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use pin_project_lite::pin_project;
use serde::Deserialize;

/// The longest message that may be one for the guard: a descriptor is 8 KiB at most.
const MAX_MESSAGE_BYTES: usize = 16 * 1024;

/// The method of a message that renews a session.
const REFRESH: &str = "notifications/connect/refresh";

/// The method of a message that opens one.
const INITIALIZE: &str = "initialize";

pin_project! {
    /// The body of a request that went through the guard: as it came, or read and given again.
    pub struct RequestBody<B: Body> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<B: Body> {
        Untouched { #[pin] inner: B },
        Read { frames: VecDeque<Result<Frame<Bytes>, B::Error>>, rest: Option<Pin<Box<B>>> },
    }
}

impl<B: Body<Data = Bytes>> RequestBody<B> {
    pub(crate) fn untouched(inner: B) -> Self {
        Self { kind: Kind::Untouched { inner } }
    }

    /// Reads a body as far as a message for the guard could reach. Gives what to pass on, and what it is.
    pub(crate) async fn peek(body: B) -> (Self, Peeked) {
        if body.size_hint().lower() > MAX_MESSAGE_BYTES as u64 {
            return (Self::untouched(body), Peeked::Unclear);
        }
        let (mut rest, mut bytes) = (Box::pin(body), BytesMut::new());
        while bytes.len() <= MAX_MESSAGE_BYTES {
            match rest.frame().await.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => bytes.extend_from_slice(&data),
                Some(Ok(Err(trailers))) => return Self::whole(bytes, Some(trailers)),
                Some(Err(error)) => return (Self::read(bytes, Some(Err(error)), None), Peeked::Other),
                None => return Self::whole(bytes, None),
            }
        }
        (Self::read(bytes, None, Some(rest)), Peeked::Unclear)
    }

    fn whole(bytes: BytesMut, trailers: Option<Frame<Bytes>>) -> (Self, Peeked) {
        let peeked = Peeked::parse(&bytes);
        (Self::read(bytes, trailers.map(Ok), None), peeked)
    }

    /// As one frame, into however many it was cut: else a client that sends byte by byte would have us keep a frame for
    /// each, and empty ones without end.
    fn read(bytes: BytesMut, end: Option<Result<Frame<Bytes>, B::Error>>, rest: Option<Pin<Box<B>>>) -> Self {
        let data = Some(bytes.freeze()).filter(|data| !data.is_empty()).map(|data| Ok(Frame::data(data)));
        Self { kind: Kind::Read { frames: data.into_iter().chain(end).collect(), rest } }
    }
}

impl<B: Body> fmt::Debug for RequestBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").finish_non_exhaustive()
    }
}

impl<B: Body<Data = Bytes>> Body for RequestBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProjection::Untouched { inner } => inner.poll_frame(context),
            KindProjection::Read { frames, rest } => match (frames.pop_front(), rest) {
                (Some(frame), _) => Poll::Ready(Some(frame)),
                (None, Some(rest)) => rest.as_mut().poll_frame(context),
                (None, None) => Poll::Ready(None),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Untouched { inner } => inner.is_end_stream(),
            Kind::Read { frames, rest } => {
                frames.is_empty() && rest.as_ref().is_none_or(|rest| rest.is_end_stream())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Untouched { inner } => inner.size_hint(),
            Kind::Read { frames, rest: None } => SizeHint::with_exact(frames.iter().map(length).sum()),
            Kind::Read { .. } => SizeHint::default(),
        }
    }
}

fn length<E>(frame: &Result<Frame<Bytes>, E>) -> u64 {
    let data = frame.as_ref().ok().and_then(Frame::data_ref);
    data.map_or(0, |data| data.len() as u64)
}

/// What a message is to the guard.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Peeked {
    /// `notifications/connect/refresh`, which is for the guard. One without a descriptor presents an empty one.
    Refresh { descriptor: String },
    /// `initialize`, to which the server answers with a session.
    Initialize,
    /// Too long or too odd to tell.
    Unclear,
    /// Another one, which is the server's affair.
    Other,
}

#[derive(Deserialize)]
struct Method {
    method: String,
}

#[derive(Deserialize)]
struct Message {
    method: String,
    params: Option<Params>,
}

#[derive(Deserialize)]
struct Params {
    descriptor: Option<String>,
}

impl Peeked {
    /// Nearly every message is another one, and parsing it would cost more than looking for the words.
    fn parse(bytes: &[u8]) -> Self {
        Self::opening(bytes).or_else(|| Self::renewing(bytes)).unwrap_or(Self::Other)
    }

    /// A method that is written with escapes is found by no word, and by a server that reads it all the same. What
    /// cannot be read here may be read by a server that is less strict.
    fn opening(bytes: &[u8]) -> Option<Self> {
        if !contains(bytes, INITIALIZE) && !contains(bytes, "\\u") {
            return None;
        }
        match serde_json::from_slice::<Method>(bytes) {
            Ok(message) => (message.method == INITIALIZE).then_some(Self::Initialize),
            Err(_) => Some(Self::Unclear),
        }
    }

    fn renewing(bytes: &[u8]) -> Option<Self> {
        if !contains(bytes, REFRESH) {
            return None;
        }
        let message = serde_json::from_slice::<Message>(bytes).ok()?;
        let descriptor = message.params.and_then(|params| params.descriptor).unwrap_or_default();
        (message.method == REFRESH).then_some(Self::Refresh { descriptor })
    }

    /// Whether the server may answer with a session.
    pub(crate) fn may_open_a_session(&self) -> bool {
        matches!(self, Self::Initialize | Self::Unclear)
    }
}

fn contains(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use std::convert::Infallible;

    use super::*;

    /// A body in chunks, whose length is not known beforehand.
    struct Chunks(VecDeque<Bytes>);

    impl Body for Chunks {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(|chunk| Ok(Frame::data(chunk))))
        }
    }

    async fn peek(chunks: &[&str]) -> (String, Peeked) {
        let chunks = chunks.iter().map(|chunk| Bytes::copy_from_slice(chunk.as_bytes())).collect();
        let (body, peeked) = RequestBody::peek(Chunks(chunks)).await;
        let bytes = body.collect().await.unwrap().to_bytes();
        (String::from_utf8(bytes.to_vec()).unwrap(), peeked)
    }

    #[tokio::test]
    async fn what_was_looked_into_passes_unchanged() {
        let long = "x".repeat(MAX_MESSAGE_BYTES);
        for chunks in [&[] as &[&str], &["a"], &["a", "b"], &[&long, "b", "c"], &["a", &long, &long, "b"]] {
            let (text, peeked) = peek(chunks).await;
            let is_long = text.len() > MAX_MESSAGE_BYTES;
            let expected = if is_long { Peeked::Unclear } else { Peeked::Other };
            assert_eq!((text, peeked), (chunks.concat(), expected));
        }
    }

    #[tokio::test]
    async fn a_body_in_pieces_is_kept_as_one() {
        let chunks = ["a", "", "", "b", ""].map(|chunk| Bytes::from_static(chunk.as_bytes()));
        let (mut body, _) = RequestBody::peek(Chunks(chunks.into())).await;
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ab");
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_message_that_renews_is_found_however_it_is_cut() {
        let parts = [
            r#"{"jsonrpc":"2.0","method":"notifications/conn"#,
            r#"ect/refresh","params":{"descriptor":"d"}}"#,
        ];
        assert_eq!(peek(&parts).await.1, Peeked::Refresh { descriptor: "d".into() });
    }

    #[tokio::test]
    async fn other_messages_are_for_the_server() {
        for text in [
            r#"{"method":"tools/call","params":{"name":"notifications/connect/refresh"}}"#,
            r#"{"method":"notifications/connect/refresh_required"}"#,
            "notifications/connect/refresh",
            r#"{"method":"notifications/initialized"}"#,
        ] {
            assert_eq!(peek(&[text]).await, (text.to_owned(), Peeked::Other));
        }
        let empty = peek(&[r#"{"method":"notifications/connect/refresh"}"#]).await.1;
        assert_eq!(empty, Peeked::Refresh { descriptor: String::new() });
    }

    #[tokio::test]
    async fn what_may_open_a_session_is_told_however_it_is_written() {
        let padded = format!(r#"{{"method":"initialize","params":"{}"}}"#, "x".repeat(MAX_MESSAGE_BYTES));
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#,
            r#"{"method":"\u0069nitialize"}"#,
            r#"{"method":"tools/list","method":"initialize"}"#,
            r#"[{"method":"initialize"}]"#,
            &padded,
        ] {
            assert!(peek(&[text]).await.1.may_open_a_session(), "{text}");
        }
        let call = r#"{"method":"tools/call","params":{"name":"initialize"}}"#;
        assert!(!peek(&[call]).await.1.may_open_a_session());
    }
}
