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

    /// Reads a body as far as a message for the guard could reach. Gives what to pass on, and the message where it is
    /// one for the guard.
    pub(crate) async fn peek(body: B) -> (Self, Option<Refresh>) {
        if body.size_hint().lower() > MAX_MESSAGE_BYTES as u64 {
            return (Self::untouched(body), None);
        }
        let (mut rest, mut bytes) = (Box::pin(body), BytesMut::new());
        while bytes.len() <= MAX_MESSAGE_BYTES {
            match rest.frame().await.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => bytes.extend_from_slice(&data),
                Some(Ok(Err(trailers))) => return Self::whole(bytes, Some(trailers)),
                Some(Err(error)) => return (Self::read(bytes, Some(Err(error)), None), None),
                None => return Self::whole(bytes, None),
            }
        }
        (Self::read(bytes, None, Some(rest)), None)
    }

    fn whole(bytes: BytesMut, trailers: Option<Frame<Bytes>>) -> (Self, Option<Refresh>) {
        let refresh = Refresh::parse(&bytes);
        (Self::read(bytes, trailers.map(Ok), None), refresh)
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

/// The message `notifications/connect/refresh`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refresh {
    pub(crate) descriptor: String,
}

impl Refresh {
    /// `None` when it is another message, which is for the server. One without a descriptor is for the guard, and
    /// presents an empty one.
    fn parse(bytes: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Message {
            method: String,
            params: Option<Params>,
        }
        #[derive(Deserialize)]
        struct Params {
            descriptor: Option<String>,
        }
        // Nearly every message is another one, and parsing it would cost more than looking.
        if !bytes.windows(REFRESH.len()).any(|window| window == REFRESH.as_bytes()) {
            return None;
        }
        let message = serde_json::from_slice::<Message>(bytes).ok()?;
        let descriptor = message.params.and_then(|params| params.descriptor).unwrap_or_default();
        (message.method == REFRESH).then_some(Self { descriptor })
    }
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

    async fn peek(chunks: &[&str]) -> (String, Option<Refresh>) {
        let chunks = chunks.iter().map(|chunk| Bytes::copy_from_slice(chunk.as_bytes())).collect();
        let (body, refresh) = RequestBody::peek(Chunks(chunks)).await;
        let bytes = body.collect().await.unwrap().to_bytes();
        (String::from_utf8(bytes.to_vec()).unwrap(), refresh)
    }

    #[tokio::test]
    async fn what_was_looked_into_passes_unchanged() {
        let long = "x".repeat(MAX_MESSAGE_BYTES);
        for chunks in [&[] as &[&str], &["a"], &["a", "b"], &[&long, "b", "c"], &["a", &long, &long, "b"]] {
            let (text, refresh) = peek(chunks).await;
            assert_eq!((text, refresh), (chunks.concat(), None));
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
        assert_eq!(peek(&parts).await.1, Some(Refresh { descriptor: "d".into() }));
    }

    #[tokio::test]
    async fn other_messages_are_for_the_server() {
        for text in [
            r#"{"method":"tools/call","params":{"name":"notifications/connect/refresh"}}"#,
            r#"{"method":"notifications/connect/refresh_required"}"#,
            "notifications/connect/refresh",
        ] {
            assert_eq!(peek(&[text]).await, (text.to_owned(), None));
        }
        let empty = peek(&[r#"{"method":"notifications/connect/refresh"}"#]).await.1;
        assert_eq!(empty, Some(Refresh { descriptor: String::new() }));
    }
}
