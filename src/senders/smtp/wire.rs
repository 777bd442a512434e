//! The TCP connection under lettre's: remembers whether everything that was written has left. That
//! tells a mail whose final dot never went out (it may be sent again) from one whose answer was
//! lost (it may have been taken).

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Whether the last write stopped half-way: it failed, or waited when its deadline came.
#[derive(Debug, Clone, Default)]
pub(super) struct Unsent(Arc<AtomicBool>);

impl Unsent {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
pub(super) struct Wire {
    tcp: TcpStream,
    unsent: Unsent,
}

impl Wire {
    /// Without TCP_NODELAY each mail would wait 40 ms for the server's delayed acknowledgement.
    pub(super) fn new(tcp: TcpStream, unsent: Unsent) -> io::Result<Self> {
        tcp.set_nodelay(true)?;
        Ok(Self { tcp, unsent })
    }
}

impl AsyncTokioStream for Wire {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.peer_addr()
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

// `poll_write_vectored` stays the default one, which comes here: TLS writes are watched too.
impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write(cx, buf);
        let all = matches!(written, Poll::Ready(Ok(count)) if count == buf.len());
        self.unsent.0.store(!all, Ordering::Relaxed);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
