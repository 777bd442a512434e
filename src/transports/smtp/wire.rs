//! The TCP connection: remembers whether everything that was written has left. That
//! tells a mail whose final dot never went out (it may be sent again) from one whose answer was
//! lost (it may have been taken).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Whether the last write stopped half-way: it failed, or waited when its deadline came.
#[derive(Debug, Clone, Default)]
pub(super) struct Unsent(Arc<AtomicBool>);

impl Unsent {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The next write that leaves whole ends it.
    pub(super) fn set(&self, unsent: bool) {
        self.0.store(unsent, Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub(super) struct Wire<S> {
    pub inner: S,
    pub unsent: Unsent,
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

// `poll_write_vectored` stays the default one, which comes here: TLS writes are watched too.
impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        let all = matches!(written, Poll::Ready(Ok(count)) if count == buf.len());
        self.unsent.set(!all);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
