//! Encryption of the connection to a mail server: which certificates are trusted, TLS from the first
//! byte (RFC 8314), and what is said when a certificate does not convince.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use lettre::transport::smtp::client::{AsyncTokioStream, Certificate, TlsParameters};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::wire::Wire;
use super::{SmtpError, SmtpOptions};

/// How a certificate begins in a PEM file.
const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// What lettre needs for STARTTLS.
pub(super) fn upgrade(options: &SmtpOptions) -> Result<TlsParameters, SmtpError> {
    let mut builder = TlsParameters::builder(options.host.clone());
    if let Some((pem, bad)) = ca_file(options)? {
        builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(|error| bad(error.to_string()))?);
    }
    builder.build().map_err(|error| SmtpError::Tls { host: options.host.clone(), error: error.to_string() })
}

type CaFile<'a> = (Vec<u8>, Box<dyn Fn(String) -> SmtpError + 'a>);

/// The file of a private authority, and how to complain about it.
fn ca_file(options: &SmtpOptions) -> Result<Option<CaFile<'_>>, SmtpError> {
    let Some(path) = &options.ca_file else { return Ok(None) };
    let bad = move |error: String| SmtpError::CaFile { path: path.clone(), error };
    let pem = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
    // The parser takes a file without any certificate for an empty list.
    if !pem.windows(BEGIN.len()).any(|window| window == BEGIN) {
        return Err(bad("there is no certificate in it".to_owned()));
    }
    Ok(Some((pem, Box::new(bad))))
}

/// TLS from the first byte.
pub(super) struct Implicit {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Implicit {
    pub(super) fn new(options: &SmtpOptions) -> Result<Self, SmtpError> {
        let failed = |error: String| SmtpError::Tls { host: options.host.clone(), error };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some((pem, bad)) = ca_file(options)? {
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|error| bad(error.to_string()))?;
                roots.add(certificate).map_err(|error| bad(error.to_string()))?;
            }
        }
        let name = ServerName::try_from(options.host.clone()).map_err(|error| failed(error.to_string()))?;
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    pub(super) async fn wrap(&self, wire: Wire) -> io::Result<Encrypted> {
        Ok(Encrypted(Box::new(self.connector.connect(self.name.clone(), wire).await?)))
    }
}

/// An encrypted wire, as lettre takes it.
#[derive(Debug)]
pub(super) struct Encrypted(Box<TlsStream<Wire>>);

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

/// What is wrong with the encryption, and the mend; `None` where the connection merely broke.
pub(super) fn complaint(error: &io::Error, host: &str) -> Option<String> {
    let cause = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match cause {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the mail server's certificate has expired; its administrator must renew it".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the mail server's certificate is not valid yet; is this machine's clock right?".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!("the mail server's certificate is not for `{host}`; write the name that it is for as `host`")
            }
            CertificateError::UnknownIssuer => {
                "the mail server's certificate is from an authority that nobody here trusts; name that authority's certificate as `ca_file`"
                    .to_owned()
            }
            other => format!("the mail server's certificate does not convince: {other}"),
        },
        rustls::Error::InvalidMessage(_) => {
            "the mail server does not speak TLS here; write `tls: starttls`, or the port for implicit TLS (465)".to_owned()
        }
        other => format!("TLS with the mail server failed: {other}"),
    })
}
