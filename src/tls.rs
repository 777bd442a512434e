//! Encryption of connections to mail servers: which certificates are trusted, and what is said when
//! one does not convince.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How a certificate begins in a PEM file.
const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// Why the settings of an encrypted connection cannot work.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read the certificates in {}: {error}", .path.display())]
    CaFile { path: PathBuf, error: String },
    #[error("cannot set up TLS for `{host}`: {error}")]
    Setup { host: String, error: String },
}

/// Encrypts connections to one host.
pub struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    /// Trusts what the system trusts, and the certificates in `ca_file`.
    pub fn new(host: &str, ca_file: Option<&Path>) -> Result<Self, TlsError> {
        let failed = |error: String| TlsError::Setup { host: host.to_owned(), error };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = ca_file {
            let bad = |error: String| TlsError::CaFile { path: path.to_owned(), error };
            for certificate in CertificateDer::pem_slice_iter(&read_ca_file(path)?) {
                let certificate = certificate.map_err(|error| bad(error.to_string()))?;
                roots.add(certificate).map_err(|error| bad(error.to_string()))?;
            }
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(error.to_string()))?;
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// Shakes hands, and checks the certificate.
    pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<TlsStream<S>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}

/// The file of a private authority.
pub fn read_ca_file(path: &Path) -> Result<Vec<u8>, TlsError> {
    let bad = |error: String| TlsError::CaFile { path: path.to_owned(), error };
    let pem = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
    // The parser takes a file without any certificate for an empty list.
    if !pem.windows(BEGIN.len()).any(|window| window == BEGIN) {
        return Err(bad("there is no certificate in it".to_owned()));
    }
    Ok(pem)
}

/// What is wrong with the encryption, and the mend; `None` where the connection merely broke. `port` is
/// the usual one for TLS from the first byte.
pub fn complaint(error: &io::Error, host: &str, port: u16) -> Option<String> {
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
        rustls::Error::InvalidMessage(_) => format!(
            "the mail server does not speak TLS here; write `tls: starttls`, or the port for implicit TLS ({port})"
        ),
        other => format!("TLS with the mail server failed: {other}"),
    })
}
