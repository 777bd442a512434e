//! How many messages a day the campaigns that are about to go live will send.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{Duration, NaiveDate};
use serde::Serialize;

use super::plan::{Planned, plan};
use crate::catalog::Catalog;
use crate::domain::Instant;
use crate::domain::calendar::local_date;
use crate::scheduler::live;
use crate::store::configuration::CampaignState;
use crate::store::{Store, StoreError};

/// How many days it looks ahead.
pub const DAYS: i64 = 30;

/// A campaign's messages on one day of the brand's calendar date.
#[derive(Debug, PartialEq, Serialize)]
pub struct Day {
    pub day: NaiveDate,
    pub campaign: String,
    pub messages: u64,
}

/// The campaigns that send and were never live before `states` was read.
pub fn going_live<'a>(catalog: &'a Catalog, states: &HashMap<String, CampaignState>) -> Vec<&'a str> {
    let was_live = |name: &str| states.get(name).is_some_and(|state| state.first_live_at.is_some());
    live(catalog).map(|campaign| campaign.name.as_str()).filter(|name| !was_live(name)).collect()
}

/// How many members come to a campaign from `now` on, before `until`: to the question of their arm, where it has an
/// experiment, else to a message.
pub async fn coming(
    store: &Store,
    catalog: &Catalog,
    campaign: &str,
    (now, until): (Instant, Instant),
    progress: &mut (dyn FnMut(Instant) + Send),
) -> Result<u64, StoreError> {
    let mut members = HashSet::new();
    let mut emit = |planned: Planned| {
        if planned.campaign == campaign && (planned.arm.is_some() || planned.reason.is_none()) {
            members.insert(planned.member);
        }
    };
    plan(store, catalog, now, until, &mut emit, progress).await?;
    Ok(members.len() as u64)
}

/// What some campaigns send in the next days; days on which nothing goes out are left out. `progress` is told how far
/// it is.
pub async fn forecast(
    store: &Store,
    catalog: &Catalog,
    campaigns: &[&str],
    now: Instant,
    progress: &mut (dyn FnMut(Instant) + Send),
) -> Result<Vec<Day>, StoreError> {
    let zone = catalog.brand.timezone;
    let mut days: BTreeMap<(NaiveDate, String), u64> = BTreeMap::new();
    let mut emit = |planned: Planned| {
        if planned.reason.is_none() && campaigns.contains(&planned.campaign.as_str()) {
            *days.entry((local_date(zone, planned.next_at), planned.campaign)).or_default() += 1;
        }
    };
    plan(store, catalog, now, now + Duration::days(DAYS), &mut emit, progress).await?;
    Ok(days.into_iter().map(|((day, campaign), messages)| Day { day, campaign, messages }).collect())
}
