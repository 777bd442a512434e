//! Encryption as lettre takes it: STARTTLS, which it does itself, and a wire that is encrypted from the
//! first byte (RFC 8314).

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use lettre::transport::smtp::client::{AsyncTokioStream, Certificate, TlsParameters};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::SmtpOptions;
use super::wire::Wire;
use crate::tls::{self, TlsError};

/// The port for TLS from the first byte.
const PORT: u16 = 465;

/// What lettre needs for STARTTLS.
pub(super) fn upgrade(options: &SmtpOptions) -> Result<TlsParameters, TlsError> {
    let mut builder = TlsParameters::builder(options.host.clone());
    if let Some(path) = &options.ca_file {
        let certificate = Certificate::from_pem(&tls::read_ca_file(path)?)
            .map_err(|error| TlsError::CaFile { path: path.clone(), error: error.to_string() })?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build().map_err(|error| TlsError::Setup { host: options.host.clone(), error: error.to_string() })
}

/// What is wrong with the encryption, and the mend; `None` where the connection merely broke.
pub(super) fn complaint(error: &io::Error, host: &str) -> Option<String> {
    tls::complaint(error, host, PORT)
}

/// An encrypted wire.
#[derive(Debug)]
pub(super) struct Encrypted(pub Box<TlsStream<Wire>>);

impl AsyncTokioStream for Encrypted {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().0.peer_addr()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
