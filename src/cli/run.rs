//! `run [--role …]`.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{CommandError, Result, Session};
use crate::app::{App, Role};
use crate::clock::Clock;

#[derive(Debug, clap::Args)]
pub(super) struct Run {
    /// What this process does [default: everything].
    #[arg(long, value_enum, value_delimiter = ',', value_name = "ROLE")]
    role: Vec<RoleName>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum RoleName {
    /// Finds what falls due, and takes bounces from the Maildir.
    Scheduler,
    /// Decides, renders and queues.
    Dispatcher,
    /// Takes from the queue and sends.
    Sender,
}

impl Run {
    pub(super) async fn execute(self, session: &Session) -> Result {
        let roles: Vec<Role> = if self.role.is_empty() {
            vec![Role::Scheduler, Role::Dispatcher, Role::Sender]
        } else {
            self.role
                .iter()
                .map(|role| match role {
                    RoleName::Scheduler => Role::Scheduler,
                    RoleName::Dispatcher => Role::Dispatcher,
                    RoleName::Sender => Role::Sender,
                })
                .collect()
        };
        let app = Arc::new(App::open_to_send(session.settings()?, Clock::System).await?);
        let shutdown = CancellationToken::new();
        let stop =
            |kind| signal(kind).map_err(|error| CommandError::Other(format!("cannot listen for signals: {error}")));
        let (mut terminate, mut interrupt) = (stop(SignalKind::terminate())?, stop(SignalKind::interrupt())?);
        let stopping = shutdown.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stopping: nothing new is taken, what is under way is finished");
            stopping.cancel();
        });
        tracing::info!(?roles, "running");
        app.run(&roles, shutdown).await?;
        tracing::info!("stopped");
        Ok(())
    }
}
