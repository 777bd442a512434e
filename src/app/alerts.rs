//! What nobody would notice by itself: a campaign that is not scanned any more, and silence where there is
//! usually traffic. Each is told once when it begins and once when it ends, and is a metric meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::catalog::Catalog;
use crate::domain::Instant;
use crate::domain::campaign::Campaign;
use crate::scheduler;
use crate::store::configuration::{self, CampaignState};
use crate::store::{Store, StoreError, volumes};

/// How often it looks.
pub(super) const EVERY: Duration = Duration::from_secs(60);

/// A scan that is later than this after its time is missed by somebody.
const LATE: chrono::Duration = chrono::Duration::minutes(15);

/// Below so many messages a day silence says nothing.
const TRAFFIC: f64 = 20.0;

/// What is wrong at the moment.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    raised: BTreeSet<(&'static str, String)>,
}

impl Alerts {
    /// Looks at every live campaign, and tells what began and what ended.
    pub(super) async fn look(&mut self, store: &Store, catalog: &Catalog, now: Instant) -> Result<(), StoreError> {
        let mut found = BTreeSet::new();
        let mut tx = store.begin().await?;
        let states = configuration::states(&mut tx).await?;
        for campaign in scheduler::live(catalog) {
            let Some(state) = states.get(&campaign.name) else { continue };
            if scan_is_late(campaign, state, catalog, now) {
                found.insert(("scan_late", campaign.name.clone()));
            }
            let quiet_on_purpose = state.paused || state.held || campaign.trigger.is_for_everybody();
            if !quiet_on_purpose
                && volumes::usual(&mut tx, &campaign.name, now).await?.is_some_and(|usual| usual >= TRAFFIC)
                && volumes::of_two_days(&mut tx, &campaign.name, now).await? == 0
            {
                found.insert(("silence", campaign.name.clone()));
            }
        }
        tx.commit().await?;
        for (alert, campaign) in found.difference(&self.raised) {
            tracing::warn!(alert, campaign, "{}", said(alert));
            metrics::gauge!("rekindle_alert", "alert" => *alert, "campaign" => campaign.clone()).set(1.0);
        }
        for (alert, campaign) in self.raised.difference(&found) {
            tracing::info!(alert, campaign, "this is over");
            metrics::gauge!("rekindle_alert", "alert" => *alert, "campaign" => campaign.clone()).set(0.0);
        }
        self.raised = found;
        Ok(())
    }
}

fn scan_is_late(campaign: &Campaign, state: &CampaignState, catalog: &Catalog, now: Instant) -> bool {
    let next = state.cursor.scanned_to.and_then(|at| campaign.scan.next(at, catalog.brand.timezone));
    next.is_some_and(|next| next + LATE < now)
}

fn said(alert: &str) -> &'static str {
    match alert {
        "scan_late" => "this campaign is not scanned any more: is a scheduler at work?",
        _ => "this campaign sends every day, and has sent nothing for two days: are members and orders still imported?",
    }
}
