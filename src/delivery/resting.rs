//! What rests, told to everybody: servers and domains go to the store for `status`, and to the metrics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Running;
use super::pace::DOMAIN;
use crate::domain::breaker::BreakerState;
use crate::store::StoreError;
use crate::store::paces::{self, Report};
use crate::transports::Resting;

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// One that is to be tried next is shown for so long.
const TRYING: Duration = Duration::from_secs(60);

/// Two ends of a rest that are no further apart are the same.
const SAME: Duration = Duration::from_secs(2);

impl Running {
    /// Tells what rests whenever it changes, and once more at the end.
    pub(super) async fn report_resting(self: Arc<Self>, ended: CancellationToken) {
        // Each channel of each process has its rows.
        let process = self.clock.new_id().to_string();
        let mut told: BTreeMap<String, (BreakerState, Instant)> = BTreeMap::new();
        let mut goes_on = true;
        while goes_on {
            goes_on = tokio::time::timeout(LOOK, ended.cancelled()).await.is_err();
            let resting: Vec<Resting> = self.factory.resting().into_iter().chain(self.pace.resting()).collect();
            let now = Instant::now();
            let is_told = |rests: &Resting| {
                told.get(&rests.name).is_some_and(|(state, until)| {
                    let apart = (now + rests.left).max(*until) - (now + rests.left).min(*until);
                    *state == rests.state && (apart < SAME || rests.state == BreakerState::HalfOpen)
                })
            };
            if resting.len() == told.len() && resting.iter().all(is_told) {
                continue;
            }
            // Servers are few; domains would be too many for a metric each.
            let servers = told.keys().chain(resting.iter().map(|rests| &rests.name));
            for name in servers.filter(|name| !name.starts_with(DOMAIN)) {
                let state = resting.iter().find(|rests| rests.name == *name).map(|rests| rests.state);
                let value = match state {
                    None | Some(BreakerState::Closed) => 0.0,
                    Some(BreakerState::HalfOpen) => 0.5,
                    Some(BreakerState::Open) => 1.0,
                };
                metrics::gauge!("rekindle_sender_state", "sender" => name.clone()).set(value);
            }
            match self.write_resting(&process, &resting).await {
                Ok(()) => {
                    told = resting.into_iter().map(|rests| (rests.name, (rests.state, now + rests.left))).collect();
                }
                Err(error) => tracing::warn!(channel = %self.channel, %error, "cannot record what rests"),
            }
        }
    }

    async fn write_resting(&self, process: &str, resting: &[Resting]) -> Result<(), StoreError> {
        let row = |rests: &Resting| {
            let left = if rests.state == BreakerState::HalfOpen { rests.left.max(TRYING) } else { rests.left };
            Report {
                name: rests.name.clone(),
                state: rests.state.as_str(),
                left_ms: i64::try_from(left.as_millis()).unwrap_or(i64::MAX),
                reply: rests.reply.clone(),
            }
        };
        let rows: Vec<Report> = resting.iter().map(row).collect();
        let mut tx = self.store.begin().await?;
        paces::report(&mut tx, process, &rows).await?;
        tx.commit().await
    }
}
