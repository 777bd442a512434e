//! `run --dry-run`: what a service would send, minute by minute, told and not done. Nothing is written.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{App, AppError};
use crate::domain::Instant;
use crate::scheduler;
use crate::store::configuration;
use crate::views::plan;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(60);

/// What fell due longer ago is left out: most of it is too late anyway.
const LONGEST_BACKLOG: chrono::Duration = chrono::Duration::days(1);

/// What a dry run has to say: campaign, what becomes of the messages (a channel, or the reason against
/// sending), and how many.
pub type Rehearsed = BTreeMap<(String, String), u64>;

impl App {
    /// Tells once a minute what fell due in it and would be sent, until `shutdown`; first what waits
    /// since the campaigns were last scanned.
    pub async fn rehearse(
        &self,
        tell: &(dyn Fn(&Rehearsed, Instant) + Sync),
        shutdown: CancellationToken,
    ) -> Result<(), AppError> {
        let mut from = self.behind().await?;
        while !shutdown.is_cancelled() {
            let now = self.clock.now();
            tell(&self.would_send(from, now).await?, now);
            from = now;
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = shutdown.cancelled() => {}
            }
        }
        self.store.close().await;
        Ok(())
    }

    /// What falls due in [from, to).
    async fn would_send(&self, from: Instant, to: Instant) -> Result<Rehearsed, AppError> {
        let catalog = self.catalog().await?;
        let mut counts = Rehearsed::new();
        let mut count = |planned: plan::Planned| {
            let fate = match (planned.reason, planned.channel) {
                (Some(reason), _) => reason.to_string(),
                (None, channel) => channel.map_or("later".to_owned(), |channel| channel.to_string()),
            };
            *counts.entry((planned.campaign, fate)).or_default() += 1;
        };
        plan::plan(&self.store, &catalog, from, to, &mut count, &mut |_| {}).await?;
        Ok(counts)
    }

    /// Up to when every live campaign was scanned.
    async fn behind(&self) -> Result<Instant, AppError> {
        let catalog = self.catalog().await?;
        let mut tx = self.store.read().await?;
        let states = configuration::states(&mut tx).await?;
        tx.commit().await?;
        let now = self.clock.now();
        let scanned = scheduler::live(&catalog).filter_map(|campaign| states.get(&campaign.name)?.cursor.scanned_to);
        Ok(scanned.min().unwrap_or(now).clamp(now - LONGEST_BACKLOG, now))
    }
}
