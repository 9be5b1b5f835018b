//! The bodies of responses: the guard's own, those that pass, and streams that it can speak on and close.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::events::Boundary;
use crate::line::{Line, Signal};

pin_project! {
    /// The body of a response that went through the guard.
    #[derive(Debug)]
    pub struct GuardBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = KindProjection]
    enum Kind<B> {
        Own { bytes: Option<Bytes> },
        Passed { #[pin] inner: B },
        Watched { stream: Watched<B> },
    }
}

/// A stream of events that belongs to a session.
#[derive(Debug)]
struct Watched<B> {
    /// Taken when the stream ends, so that the inner service learns of it at once.
    inner: Option<Pin<Box<B>>>,
    line: Arc<Line>,
    boundary: Boundary,
}

impl<B> GuardBody<B> {
    pub(crate) fn own(text: impl Into<Bytes>) -> Self {
        Self { kind: Kind::Own { bytes: Some(text.into()).filter(|bytes| !bytes.is_empty()) } }
    }

    pub(crate) fn passed(inner: B) -> Self {
        Self { kind: Kind::Passed { inner } }
    }

    pub(crate) fn watched(inner: B, line: Arc<Line>) -> Self {
        let stream = Watched { inner: Some(Box::pin(inner)), line, boundary: Boundary::default() };
        Self { kind: Kind::Watched { stream } }
    }
}

impl<B: Body<Data = Bytes>> Body for GuardBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProjection::Own { bytes } => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            KindProjection::Passed { inner } => inner.poll_frame(context),
            KindProjection::Watched { stream } => stream.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Own { bytes } => bytes.is_none(),
            Kind::Passed { inner } => inner.is_end_stream(),
            Kind::Watched { stream } => stream.inner.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Own { bytes } => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Kind::Passed { inner } => inner.size_hint(),
            Kind::Watched { .. } => SizeHint::default(),
        }
    }
}

impl<B: Body<Data = Bytes>> Watched<B> {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.line.poll(context, self.boundary.is_between_events()) {
            Signal::Close => self.inner = None,
            Signal::Notice(event) => return Poll::Ready(Some(Ok(Frame::data(event)))),
            Signal::Nothing => {}
        }
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let frame = ready!(inner.as_mut().poll_frame(context));
        match &frame {
            Some(Ok(frame)) => self.boundary.push(frame.data_ref().map_or(&[], |data| data)),
            Some(Err(_)) => {}
            None => self.inner = None,
        }
        Poll::Ready(frame)
    }
}
