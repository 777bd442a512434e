//! Credits orders to the messages that members clicked or whose codes they used, as orders, clicks and changes come in.

use std::collections::HashMap;

use chrono::Duration;
use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;
use crate::domain::Instant;
use crate::domain::experiment::goal::Goal;
use crate::store::credits::{self, Rules};
use crate::store::{Store, StoreError, configuration, within};

/// Members whose orders are looked at in one transaction.
const PAGE: i64 = 500;

/// Clicks are looked at again for so long, should one have been recorded late.
const LATE: Duration = Duration::minutes(10);

/// Where that stands among the single facts.
const REACHED: &str = "credited";

/// How far the last pass came.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Reached {
    /// The members' change and id.
    change: (i64, i64),
    /// Clicks before it are credited, in epoch milliseconds.
    clicks: i64,
}

/// Credits what is new since the last pass. Gives how many orders are credited otherwise than before.
pub async fn pass(store: &Store, catalog: &Catalog, now: Instant) -> Result<u64, StoreError> {
    let goals = catalog.campaigns.values().map(|campaign| (campaign.name.as_str(), rule(&campaign.experiment.goal)));
    let rules = Rules {
        currency: &catalog.brand.currency,
        campaigns: goals.collect::<HashMap<_, _>>(),
        otherwise: rule(&Goal::default()),
    };
    let mut tx = store.read().await?;
    let reached = configuration::noted(&mut tx, REACHED).await?;
    let mut reached: Reached = reached.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let until = now.timestamp_millis();
    let latest = credits::latest_change(&mut tx).await?;
    let clicked = credits::clicked(&mut tx, (reached.clicks, until)).await?;
    tx.commit().await?;
    if clicked.is_empty() && latest <= reached.change.0 {
        return Ok(0);
    }
    let mut credited = 0;
    for page in clicked.chunks(PAGE as usize) {
        credited += within(assign(store, page.to_vec(), &rules, None)).await?;
    }
    reached.clicks = (now - LATE).timestamp_millis();
    loop {
        let mut tx = store.read().await?;
        let changed = credits::changed(&mut tx, reached.change, PAGE).await?;
        tx.commit().await?;
        let is_last = changed.len() < PAGE as usize;
        let members = changed.iter().map(|(id, _)| *id).collect();
        // Who has no message is not looked at again before something changes.
        let last = changed.last().map_or(reached.change, |(id, change)| (*change, *id));
        reached.change = if is_last { last.max((latest, i64::MAX)) } else { last };
        credited += within(assign(store, members, &rules, Some(&reached))).await?;
        if is_last {
            return Ok(credited);
        }
    }
}

async fn assign(
    store: &Store,
    members: Vec<i64>,
    rules: &Rules<'_>,
    reached: Option<&Reached>,
) -> Result<u64, StoreError> {
    let mut tx = store.begin_relaxed().await?;
    let credited = credits::assign(&mut tx, members, rules).await?;
    if let Some(text) = reached.and_then(|reached| serde_json::to_string(reached).ok()) {
        configuration::note(&mut tx, REACHED, &text).await?;
    }
    tx.commit().await?;
    Ok(credited)
}

fn rule(goal: &Goal) -> (i64, i64) {
    (goal.within.num_milliseconds(), goal.min_amount)
}
