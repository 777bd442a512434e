//! How many messages a day the campaigns that are about to go live will send, for `check` and
//! `campaigns apply`.

use std::collections::{BTreeMap, HashMap};

use chrono::{Duration, NaiveDate};
use serde::Serialize;

use super::Result;
use super::output::{self, Progress, grouped};
use crate::catalog::Catalog;
use crate::domain::Instant;
use crate::domain::calendar::local_date;
use crate::scheduler::live;
use crate::store::Store;
use crate::store::configuration::CampaignState;
use crate::views::plan;

/// How far it looks.
const DAYS: i64 = 30;

/// A campaign's messages on one day of the brand's calendar date.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Row {
    day: NaiveDate,
    campaign: String,
    messages: u64,
}

/// What the campaigns that were never live before `states` was read send in the next days; days on which
/// nothing goes out are left out.
pub(super) async fn of_new(
    store: &Store,
    catalog: &Catalog,
    states: &HashMap<String, CampaignState>,
    now: Instant,
) -> Result<Vec<Row>> {
    let was_live = |name: &str| states.get(name).is_some_and(|state| state.first_live_at.is_some());
    let new: Vec<&str> = live(catalog).map(|campaign| campaign.name.as_str()).filter(|name| !was_live(name)).collect();
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let zone = catalog.brand.timezone;
    let mut days: BTreeMap<(NaiveDate, String), u64> = BTreeMap::new();
    let mut progress = Progress::new("looking ahead", DAYS.unsigned_abs());
    let mut emit = |planned: plan::Planned| {
        if planned.reason.is_none() && new.contains(&planned.campaign.as_str()) {
            *days.entry((local_date(zone, planned.next_at), planned.campaign)).or_default() += 1;
        }
    };
    let planned = plan::plan(store, catalog, now, now + Duration::days(DAYS), &mut emit, &mut |at| {
        progress.at((at - now).num_days().unsigned_abs());
    })
    .await;
    progress.finish();
    planned?;
    Ok(days.into_iter().map(|((day, campaign), messages)| Row { day, campaign, messages }).collect())
}

/// For people; nothing where no campaign is new.
pub(super) fn show(rows: &[Row]) -> Result {
    if rows.is_empty() {
        return Ok(());
    }
    let total: u64 = rows.iter().map(|row| row.messages).sum();
    output::say(&format!("\nWhat goes live will send {} messages in the next {DAYS} days:\n", grouped(total)))?;
    let cells = |row: &Row| vec![row.day.to_string(), row.campaign.clone(), grouped(row.messages)];
    output::table(&["day", "campaign", "messages"], &rows.iter().map(cells).collect::<Vec<_>>())
}
