//! What nobody would notice by itself: a campaign that is not scanned any more, silence where there is usually
//! traffic, a server without credit, a pool of codes that runs out, and what members wrote and nobody read. Each is told once when it begins and once
//! when it ends, and is a metric meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::catalog::Catalog;
use crate::delivery::DOMAIN;
use crate::domain::Instant;
use crate::domain::campaign::Campaign;
use crate::scheduler;
use crate::store::configuration::{self, CampaignState};
use crate::store::{Store, StoreError, gifts, paces, replies, volumes};
use crate::views::status::pools_in_use;

/// How often it looks.
pub(super) const EVERY: Duration = Duration::from_secs(60);

/// A scan that is later than this after its time is missed by somebody.
const LATE: chrono::Duration = chrono::Duration::minutes(15);

/// Below so many messages a day silence says nothing.
const TRAFFIC: f64 = 20.0;

/// A server that rests for longer than this has no credit, wants other credentials, or stays away.
const LONG_REST: chrono::Duration = chrono::Duration::minutes(1);

/// What is wrong at the moment.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    /// The alert, and the campaign, server or pool that it is about.
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
            let quiet_on_purpose = state.paused || state.held || campaign.trigger.features().is_for_everybody;
            if !quiet_on_purpose
                && volumes::usual(&mut tx, &campaign.name, now).await?.is_some_and(|usual| usual >= TRAFFIC)
                && volumes::of_two_days(&mut tx, &campaign.name, now).await? == 0
            {
                found.insert(("silence", campaign.name.clone()));
            }
        }
        for pool in gifts::pools(&mut tx, pools_in_use(catalog), now).await? {
            metrics::gauge!("rekindle_gift_codes_left", "pool" => pool.pool.clone()).set(pool.left as f64);
            if pool.is_low() {
                found.insert(("pool_low", pool.pool));
            }
        }
        replies::forget(&mut tx, now).await?;
        let unread = replies::unread(&mut tx, now).await?;
        for (alert, count) in [("reply_nearly_opt_out", unread.urgent), ("replies_unread", unread.all)] {
            if count > 0 {
                found.insert((alert, "replies".to_owned()));
            }
        }
        // Those that were only away for a moment are back before anybody could do something. One that is tried again
        // is not back yet.
        let long = (now + LONG_REST).timestamp_millis();
        for rests in paces::resting(&mut tx).await?.into_iter().filter(|rests| !rests.name.starts_with(DOMAIN)) {
            let alert = ("server_rests", rests.name);
            if rests.until_at > long || self.raised.contains(&alert) {
                found.insert(alert);
            }
        }
        tx.commit().await?;
        for (alert, about) in found.difference(&self.raised) {
            tracing::warn!(alert, about, "{}", said(alert));
            metrics::gauge!("rekindle_alert", "alert" => *alert, "about" => about.clone()).set(1.0);
        }
        for (alert, about) in self.raised.difference(&found) {
            tracing::info!(alert, about, "this is over");
            metrics::gauge!("rekindle_alert", "alert" => *alert, "about" => about.clone()).set(0.0);
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
        "server_rests" => {
            "this server cannot be used: no credit, other credentials, or away? `rekindle status` has its words"
        }
        "pool_low" => "this pool of codes is empty, or will be within a week: `rekindle gifts import` brings more in",
        "reply_nearly_opt_out" => "a member may believe that no more messages come: `rekindle replies` has the words",
        "replies_unread" => "members wrote what nobody has read: `rekindle replies`",
        _ => "this campaign sends every day, and has sent nothing for two days: are members and orders still imported?",
    }
}
