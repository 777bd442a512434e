//! Where the broker is, the exchange and queues that must be there, and what its errors mean.

use std::fmt::Display;
use std::time::Duration;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Connection, ConnectionProperties, Error, ErrorKind, ExchangeKind};

use super::Limits;
use crate::domain::message::Channel;
use crate::queue::QueueError;
use crate::store::redact;

/// Names exchange and queues unless the URL says otherwise.
const PREFIX: &str = "rekindle";

/// A dead connection is noticed after about twice this many seconds.
const HEARTBEAT: u16 = 20;

/// Deliveries after which a message is dead-lettered instead of coming again.
const DELIVERY_LIMIT: i32 = 20;

// AMQP reply codes.
pub(super) const ACCESS_REFUSED: u16 = 403;
pub(super) const NOT_FOUND: u16 = 404;
const PRECONDITION_FAILED: u16 = 406;
pub(super) const NOT_ALLOWED: u16 = 530;

/// One broker, and what ours is called there.
pub(super) struct Broker {
    uri: AMQPUri,
    /// The URL for errors.
    shown: String,
    prefix: String,
    pub(super) limits: Limits,
}

impl Broker {
    /// Reads `amqp[s]://user:password@host:port/vhost?prefix=NAME`.
    pub(super) fn at(url: &str, limits: Limits) -> Result<Self, QueueError> {
        let shown = redact(url);
        // No part of the URL is quoted: a password with a `?` or `/` in it may be anywhere.
        let wrong = |reason: &str| QueueError::Unavailable { url: shown.clone(), reason: reason.to_owned() };
        if !url.starts_with("amqp://") && !url.starts_with("amqps://") {
            return Err(wrong("its URL must begin with amqp:// or amqps://"));
        }
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let mut prefix = PREFIX;
        let mut kept = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("prefix", name)) => prefix = name,
                Some(("heartbeat" | "frame_max" | "channel_max" | "auth_mechanism", _)) => kept.push(pair),
                _ => {
                    return Err(wrong(
                        "a parameter of its URL is unknown; known are prefix, heartbeat, frame_max, channel_max and \
                         auth_mechanism (write a `?` in a password as %3F)",
                    ));
                }
            }
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if prefix.is_empty() || prefix.len() > 100 || !prefix.chars().all(plain) {
            return Err(wrong("the prefix must be 1 to 100 letters, digits, `-`, `_` or `.`"));
        }
        let mut uri: AMQPUri = format!("{address}?{}", kept.join("&")).parse().map_err(|reason: String| {
            wrong(&format!("its URL cannot be read: {reason} (write special characters in a password as %XX)"))
        })?;
        // The parser knows no IPv6 address and would take localhost instead.
        let host = address.rsplit(['@', '/']).find_map(|part| part.strip_prefix('[')?.split_once(']'));
        if let Some((v6, _)) = host {
            v6.clone_into(&mut uri.authority.host);
        }
        // `amqp://host/` means the default virtual host to everybody who writes it.
        if uri.vhost.is_empty() {
            "/".clone_into(&mut uri.vhost);
        }
        if uri.vhost.len() > 255 {
            return Err(wrong("the name of its virtual host is longer than 255 bytes"));
        }
        uri.query.heartbeat = uri.query.heartbeat.or(Some(HEARTBEAT));
        Ok(Self { uri, shown, prefix: prefix.to_owned(), limits })
    }

    pub(super) fn exchange(&self) -> ShortString {
        self.prefix.as_str().into()
    }

    pub(super) fn queue(&self, channel: Channel) -> ShortString {
        format!("{}.{channel}", self.prefix).into()
    }

    pub(super) fn dead_queue(&self) -> ShortString {
        format!("{}.dead", self.prefix).into()
    }

    /// Begins to connect; how long that takes is up to the broker.
    pub(super) fn dial(&self, role: &str) -> impl Future<Output = lapin::Result<Connection>> + use<> {
        // Recovery inside the client replays only some failures: it stays off, links reopen.
        let name = format!("{} {role} (process {})", self.prefix, std::process::id());
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        Connection::connect_uri(self.uri.clone(), properties)
    }

    /// Declares exchange and queues. Where they exist as they should be, it changes nothing.
    pub(super) async fn declare(&self, channel: &lapin::Channel) -> Result<(), QueueError> {
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let declared = channel.exchange_declare(self.exchange(), ExchangeKind::Direct, durable, FieldTable::default());
        self.within(declared).await?.map_err(|error| self.undeclared(&self.exchange(), &error))?;

        let mut dead = FieldTable::default();
        dead.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        let mut ready = dead.clone();
        ready.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERY_LIMIT));
        ready.insert("x-dead-letter-exchange".into(), AMQPValue::LongString(self.prefix.as_str().into()));
        ready.insert("x-dead-letter-routing-key".into(), AMQPValue::LongString(self.dead_queue().to_string().into()));
        // At-least-once needs an overflow that rejects; nothing is dropped on the way to the dead.
        ready.insert("x-dead-letter-strategy".into(), AMQPValue::LongString("at-least-once".into()));
        ready.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));

        // The dead-letter queue first: a message must never find it missing.
        self.declare_queue(channel, self.dead_queue(), dead).await?;
        for kind in Channel::ALL {
            self.declare_queue(channel, self.queue(*kind), ready.clone()).await?;
        }
        Ok(())
    }

    async fn declare_queue(
        &self,
        channel: &lapin::Channel,
        name: ShortString,
        arguments: FieldTable,
    ) -> Result<(), QueueError> {
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        let declared = self.within(channel.queue_declare(name.clone(), durable, arguments)).await?;
        declared.map_err(|error| self.undeclared(&name, &error))?;
        // Its own name is its routing key.
        let bind = QueueBindOptions::default();
        let bound = channel.queue_bind(name.clone(), self.exchange(), name.clone(), bind, FieldTable::default());
        self.within(bound).await?.map_err(|error| self.undeclared(&name, &error))
    }

    fn undeclared(&self, name: &ShortString, error: &Error) -> QueueError {
        if code(error) == Some(PRECONDITION_FAILED) {
            return QueueError::Mismatch { queue: name.to_string(), reason: self.explain(error) };
        }
        self.failed(error)
    }

    /// Waits for the broker's answer to a call, but not for ever.
    pub(super) async fn within<T>(&self, call: impl Future<Output = T>) -> Result<T, QueueError> {
        let limit = self.limits.connect;
        tokio::time::timeout(limit, call).await.map_err(|_| self.unavailable(self.slow(limit)))
    }

    /// A reason for giving up.
    pub(super) fn slow(&self, limit: Duration) -> String {
        format!("it did not answer within {limit:?}")
    }

    pub(super) fn unavailable(&self, reason: impl Display) -> QueueError {
        QueueError::Unavailable { url: self.shown.clone(), reason: reason.to_string() }
    }

    pub(super) fn failed(&self, error: &Error) -> QueueError {
        self.unavailable(self.explain(error))
    }

    /// An error of the client, in words for a person.
    pub(super) fn explain(&self, error: &Error) -> String {
        match error.kind() {
            ErrorKind::ProtocolError(refusal) => {
                let message = refusal.get_message();
                match refusal.get_id() {
                    ACCESS_REFUSED if message.as_str().contains("Login") => {
                        "it refuses the user name or the password".to_owned()
                    }
                    NOT_ALLOWED => {
                        format!("it does not let the user into the virtual host `{}` ({message})", self.uri.vhost)
                    }
                    _ => message.to_string(),
                }
            }
            ErrorKind::IOError(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => {
                format!("nothing answers at that address ({io}); is RabbitMQ running there?")
            }
            ErrorKind::IOError(io)
                if self.uri.scheme == AMQPScheme::AMQPS && io.kind() == std::io::ErrorKind::InvalidData =>
            {
                format!(
                    "no encrypted connection came about ({io}); is that its port for TLS, and its certificate good?"
                )
            }
            ErrorKind::IOError(io) => io.to_string(),
            ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidConnectionState(_) => {
                "the connection was lost".to_owned()
            }
            _ => error.to_string(),
        }
    }
}

/// The AMQP reply code of an error that the broker sent.
pub(super) fn code(error: &Error) -> Option<u16> {
    match error.kind() {
        ErrorKind::ProtocolError(refusal) => Some(refusal.get_id()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> Result<Broker, String> {
        Broker::at(url, Limits::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn urls_are_read() {
        let check = |url: &str, host: &str, port: u16, vhost: &str, prefix: &str| {
            let broker = at(url).unwrap();
            let authority = &broker.uri.authority;
            let read = (authority.host.as_str(), authority.port, broker.uri.vhost.as_str(), broker.prefix.as_str());
            assert_eq!(read, (host, port, vhost, prefix), "{url}");
        };
        check("amqp://u:p@mq.example:5673/%2f", "mq.example", 5673, "/", "rekindle");
        check("amqps://u:p@mq.example/shop?prefix=a.b-c_1", "mq.example", 5671, "shop", "a.b-c_1");
        check("amqp://127.0.0.1", "127.0.0.1", 5672, "/", "rekindle");
        check("amqp://u:p@[::1]:5672/", "::1", 5672, "/", "rekindle");
        check("amqp://[fe80::2]/?heartbeat=5", "fe80::2", 5672, "/", "rekindle");
        assert_eq!(at("amqp://h?heartbeat=5").unwrap().uri.query.heartbeat, Some(5));
        assert_eq!(at("amqp://h").unwrap().uri.query.heartbeat, Some(HEARTBEAT));
    }

    #[test]
    fn wrong_urls_are_refused_without_their_password() {
        let check = |url: &str, part: &str| {
            let error = at(url).err().unwrap_or_else(|| panic!("{url} was taken"));
            assert!(error.contains(part) && !error.contains("cret"), "{url}: {error}");
        };
        check("http://u:secret@h/", "must begin with amqp://");
        check("amqp://u:secret@h/%2f?prefix=a b", "prefix must be");
        check("amqp://u:secret@h/%2f?prefix=", "prefix must be");
        check("amqp://u:secret@h/%2f?prefetch=3", "a parameter of its URL is unknown");
        check("amqp://u:se?cret@h/%2f", "write a `?` in a password as %3F");
        check("amqp://u:se/cret@h/%2f", "cannot be read");
        check("amqp://u:se#cret@h/%2f", "cannot be read");
        check("amqp://u:secret@h:70000/%2f", "cannot be read");
        check("amqp://u:secret@h/%2f?heartbeat=often", "cannot be read");
    }
}
