//! Mail over SMTP. One sender holds one connection and keeps it for many messages. `connection` leads the
//! conversation, `exchange` speaks and hears, `reply` judges the answers. Only this folder and `transports/mail.rs`
//! name lettre.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use lettre::transport::smtp::extension::ClientId;
use secrecy::SecretString;

use crate::domain::message::Envelope;
use crate::tls::TlsError;
use crate::transports::dkim::{self, Signer};
use crate::transports::mail::{self, Mail};
use crate::transports::{MISCONFIGURED, Outcome, Sender, SenderFactory};

mod connection;
mod exchange;
mod reply;
#[cfg(test)]
mod tests;
mod wire;

use connection::{Connection, Sent};
use reply::Stage;

/// The port for TLS from the first byte.
const PORT: u16 = 465;

/// Whether the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Plain text: for a server on this machine or in a closed network.
    None,
    /// STARTTLS is required, and the certificate must be valid for the host.
    Starttls,
    /// Encrypted from the first byte, with the same demands.
    Implicit,
}

/// How to reach the mail server.
#[derive(Debug, Clone)]
pub struct SmtpOptions {
    /// What the server is called in logs and in the ledger.
    pub name: String,
    /// Host name or address; the certificate is checked against it.
    pub host: String,
    pub port: u16,
    pub tls: Tls,
    /// A PEM file with certificates to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Without both of these nothing is authenticated.
    pub username: Option<String>,
    pub password: Option<SecretString>,
    /// How many connections may be open at once.
    pub connections: usize,
    /// The most that one send may take, connecting included.
    pub timeout: Duration,
    /// After so many messages a connection is closed and opened anew; servers limit them.
    pub messages_per_connection: u32,
    /// Each signs every mail.
    pub signers: Arc<Vec<Signer>>,
    /// The name given in EHLO; this machine's host name where it is absent.
    pub hello: Option<String>,
}

impl SmtpOptions {
    /// Usual values for everything but the server.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            name: "smtp".to_owned(),
            host: host.into(),
            port,
            tls: Tls::None,
            ca_file: None,
            username: None,
            password: None,
            connections: 10,
            timeout: Duration::from_secs(20),
            messages_per_connection: 100,
            signers: Arc::default(),
            hello: None,
        }
    }
}

/// Why the options cannot work.
#[derive(Debug, thiserror::Error)]
pub enum SmtpError {
    #[error("`username` and `password` go together: give both or neither")]
    Credentials,
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// What all connections share.
struct Shared {
    options: SmtpOptions,
    hello: ClientId,
    credentials: Option<(String, SecretString)>,
    tls: Option<crate::tls::Tls>,
}

/// Opens SMTP senders.
pub struct SmtpFactory(Arc<Shared>);

impl SmtpFactory {
    /// Reads the certificates; connects to nothing yet.
    pub fn new(options: SmtpOptions) -> Result<Self, SmtpError> {
        let tls = match options.tls {
            Tls::None => None,
            Tls::Starttls | Tls::Implicit => Some(crate::tls::Tls::new(&options.host, options.ca_file.as_deref())?),
        };
        let credentials = match (&options.username, &options.password) {
            (Some(name), Some(password)) => Some((name.clone(), password.clone())),
            (None, None) => None,
            _ => return Err(SmtpError::Credentials),
        };
        let hello = options.hello.clone().map_or_else(ClientId::default, ClientId::Domain);
        Ok(Self(Arc::new(Shared { options, hello, credentials, tls })))
    }
}

impl SenderFactory for SmtpFactory {
    fn name(&self) -> &str {
        &self.0.options.name
    }

    fn connections(&self) -> usize {
        self.0.options.connections
    }

    fn is_local(&self) -> bool {
        let host = self.0.options.host.as_str();
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    fn open(&self) -> Box<dyn Sender> {
        Box::new(SmtpSender { shared: Arc::clone(&self.0), connection: None, stage: Stage::Connect })
    }
}

struct SmtpSender {
    shared: Arc<Shared>,
    connection: Option<Connection>,
    /// Kept here so that it is known when the deadline cuts a send off.
    stage: Stage,
}

impl SmtpSender {
    async fn send_within_deadline(&mut self, envelope: &Envelope) -> Outcome {
        let mail = match mail::build(envelope) {
            Ok(mail) => mail,
            Err(error) => return error.outcome(),
        };
        let mail = match dkim::sign(&self.shared.options.signers, mail.text, envelope.at) {
            Ok(text) => Mail { text, ..mail },
            Err(error) => return Outcome::Pause { reply: error.to_string(), pause: MISCONFIGURED },
        };
        let limit = self.shared.options.timeout;
        match tokio::time::timeout(limit, self.send_now(&mail)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                // Whatever comes on that connection now belongs to this message: drop it.
                let why = format!("no answer within {} ms", limit.as_millis());
                match self.connection.take() {
                    Some(connection) => connection.unanswered(self.stage, &why),
                    None => reply::lost(self.stage, true, &why),
                }
            }
        }
    }

    async fn send_now(&mut self, mail: &Mail) -> Outcome {
        self.stage = Stage::Connect;
        // At the beginning of the next send, not at the end of this one: its outcome is known.
        if self.connection.as_ref().is_some_and(|c| c.messages() >= self.shared.options.messages_per_connection) {
            self.close_connection().await;
        }
        loop {
            let (connection, reused) = match self.connection.take() {
                Some(connection) => (connection, true),
                None => match Connection::open(&self.shared, &mut self.stage).await {
                    Ok(connection) => (connection, false),
                    Err(outcome) => return outcome,
                },
            };
            // Not held in a local while it works: the deadline must find it.
            let connection = self.connection.insert(connection);
            match connection.send(mail, &mut self.stage).await {
                Sent::Done(outcome) => return outcome,
                // The server closed while nothing was asked of it: no attempt of this message's.
                Sent::Closed(_) if reused && self.stage != Stage::Dot => {
                    self.connection = None;
                    self.stage = Stage::Connect;
                }
                Sent::Closed(outcome) => {
                    self.connection = None;
                    return outcome;
                }
            }
        }
    }

    async fn close_connection(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            connection.quit().await;
        }
    }
}

impl Sender for SmtpSender {
    fn name(&self) -> &str {
        &self.shared.options.name
    }

    fn send<'a>(&'a mut self, envelope: &'a Envelope) -> BoxFuture<'a, Outcome> {
        Box::pin(self.send_within_deadline(envelope))
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(self.close_connection())
    }
}
