//! Signals: SIGTERM and Ctrl-C end a command gracefully, a second Ctrl-C at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{CommandError, Result};

/// `timeout` sends the same signal twice, to the process and to its group; a person is slower.
const BOUNCE: Duration = Duration::from_millis(500);

/// Whether the command has been asked to stop.
#[derive(Clone)]
pub(super) struct Stop {
    pub token: CancellationToken,
    code: Arc<AtomicU8>,
}

impl Stop {
    /// Listens from now on. `at_once`: there is nothing to finish.
    pub fn listen(at_once: bool) -> Result<Self> {
        let listen =
            |kind| signal(kind).map_err(|error| CommandError::Other(format!("cannot listen for signals: {error}")));
        let (terminate, interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        let stop = Self { token: CancellationToken::new(), code: Arc::default() };
        tokio::spawn(stop.clone().hear(terminate, interrupt, at_once));
        Ok(stop)
    }

    async fn hear(self, mut terminate: Signal, mut interrupt: Signal, at_once: bool) {
        let code = tokio::select! {
            _ = terminate.recv() => 143,
            _ = interrupt.recv() => 130,
        };
        self.code.store(code, Ordering::Relaxed);
        self.token.cancel();
        if !at_once {
            let heard = tokio::time::Instant::now();
            while interrupt.recv().await.is_some() && heard.elapsed() < BOUNCE {}
        }
        std::process::exit(code.into());
    }

    /// The exit code of a command that a signal ended: 128 and the signal's number, as shells have it.
    pub fn code(&self) -> u8 {
        self.code.load(Ordering::Relaxed)
    }

    /// Works until it is done or somebody stops it. For what is whole or undone: one transaction.
    pub async fn or<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.token.cancelled() => Err(CommandError::Stopped),
            done = work => done,
        }
    }
}
