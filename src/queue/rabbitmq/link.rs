//! One connection to the broker, opened when it is needed and opened again when it is gone.

use std::time::Duration;

use lapin::{Channel as Line, Connection, Error};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::broker::{self, Broker};
use crate::queue::QueueError;

/// Pauses between attempts: long enough for a broker that restarts to be back in the next call,
/// short enough for a caller that waits.
const PAUSES: [Duration; 3] = [Duration::from_millis(200), Duration::from_millis(500), Duration::from_secs(1)];

/// An attempt is waited for in this many calls; then another is made.
const PATIENCE: u32 = 12;

/// The connection for one role.
pub(super) struct Link {
    role: &'static str,
    connection: Option<Connection>,
    /// An attempt that has not ended. The client cannot call one off: begun anew in each call, they
    /// would pile up, a thread each, before a broker that accepts connections and says nothing.
    opening: Option<(Instant, JoinHandle<Result<Connection, Error>>)>,
}

impl Link {
    pub(super) const fn new(role: &'static str) -> Self {
        Self { role, connection: None, opening: None }
    }

    /// Opens a channel; without a connection that works, that first.
    pub(super) async fn line(&mut self, broker: &Broker) -> Result<Line, QueueError> {
        // An error leaves the place empty: a connection that does not answer is not used again.
        let connection = match self.connection.take() {
            Some(connection) if connection.status().connected() => connection,
            _ => self.open(broker).await?,
        };
        let line = broker.within(connection.create_channel()).await?.map_err(|error| broker.failed(&error))?;
        self.connection = Some(connection);
        Ok(line)
    }

    /// Whether the broker has said that it takes no messages at present (disk or memory alarm).
    pub(super) fn is_blocked(&self) -> bool {
        self.connection.as_ref().is_some_and(|held| held.status().connected() && held.status().blocked())
    }

    /// Does not use the connection again.
    pub(super) fn give_up(&mut self) {
        self.connection = None;
    }

    /// Ends the connection in good order, or by dropping it when the broker does not answer.
    pub(super) async fn close(&mut self, broker: &Broker) {
        self.opening = None;
        let Some(connection) = self.connection.take() else { return };
        if let Ok(Err(error)) = broker.within(connection.close(200, "done".into())).await {
            tracing::debug!(%error, role = self.role, "the connection to the broker was gone before it was closed");
        }
    }

    /// Opens a connection, with a few attempts when the broker seems to be restarting.
    async fn open(&mut self, broker: &Broker) -> Result<Connection, QueueError> {
        let deadline = Instant::now() + broker.limits.connect;
        let mut pauses = PAUSES.iter();
        loop {
            let error = match self.attempt(broker).await {
                Ok(connection) => return Ok(connection),
                Err(error) => error,
            };
            // Another attempt does not change what the broker thinks of a password.
            let refused = matches!(broker::code(&error), Some(broker::ACCESS_REFUSED | broker::NOT_ALLOWED));
            match pauses.next() {
                Some(pause) if !refused && Instant::now() + *pause < deadline => tokio::time::sleep(*pause).await,
                _ => return Err(broker.failed(&error)),
            }
        }
    }

    async fn attempt(&mut self, broker: &Broker) -> Result<Connection, Error> {
        let limit = broker.limits.connect;
        if self.opening.as_ref().is_some_and(|(since, _)| since.elapsed() > limit * PATIENCE) {
            self.opening = None;
        }
        let start = || (Instant::now(), tokio::spawn(broker.dial(self.role)));
        let (_, opening) = self.opening.get_or_insert_with(start);
        let Ok(ended) = tokio::time::timeout(limit, opening).await else {
            return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, broker.slow(limit)).into());
        };
        self.opening = None;
        ended.unwrap_or_else(|error| Err(std::io::Error::other(error).into()))
    }
}
