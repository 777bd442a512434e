//! `run [--role …]`.

use std::sync::Arc;

use super::{Result, Session};
use crate::app::{App, Rehearsed, Role};
use crate::clock::Clock;
use crate::domain::Instant;

#[derive(Debug, clap::Args)]
pub(super) struct Run {
    /// What this process does [default: everything].
    #[arg(long, value_enum, value_delimiter = ',', value_name = "ROLE")]
    role: Vec<RoleName>,
    /// Send nothing and change nothing: tell every minute what would go out.
    #[arg(long, conflicts_with = "role")]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum RoleName {
    /// Finds what falls due, and takes bounces from the Maildir or the mailbox.
    Scheduler,
    /// Decides, renders and queues.
    Dispatcher,
    /// Takes from the queue and sends.
    Sender,
    /// Serves what messages link to, health and metrics.
    Web,
}

impl Run {
    pub(super) async fn execute(self, session: &Session) -> Result {
        let roles: Vec<Role> = self
            .role
            .iter()
            .map(|role| match role {
                RoleName::Scheduler => Role::Scheduler,
                RoleName::Dispatcher => Role::Dispatcher,
                RoleName::Sender => Role::Sender,
                RoleName::Web => Role::Web,
            })
            .collect();
        let settings = session.settings()?;
        let app = if self.dry_run {
            App::open(settings, Clock::System).await?
        } else {
            App::open_to_send(settings, Clock::System).await?
        };
        let app = Arc::new(app);
        let shutdown = session.stop.token.clone();
        let stopping = shutdown.clone();
        tokio::spawn(async move {
            stopping.cancelled().await;
            tracing::info!("stopping: nothing new is taken, what is under way is finished");
        });
        if self.dry_run {
            tracing::info!("a dry run: nothing is sent, nothing changes");
            return Ok(app.rehearse(&tell, shutdown).await?);
        }
        let named: Vec<String> = roles.iter().map(|role| format!("{role:?}").to_lowercase()).collect();
        tracing::info!(roles = if named.is_empty() { "all".to_owned() } else { named.join(", ") }, "running");
        app.run(&roles, shutdown).await?;
        tracing::info!("stopped");
        Ok(())
    }
}

fn tell(rehearsed: &Rehearsed, at: Instant) {
    if rehearsed.is_empty() {
        tracing::info!(%at, "nothing would be sent");
    }
    for ((campaign, fate), messages) in rehearsed {
        match fate.as_str() {
            "email" | "sms" | "later" => tracing::info!(%at, campaign, messages, channel = fate, "would be sent"),
            reason => tracing::info!(%at, campaign, messages, reason, "would not be sent"),
        }
    }
}
