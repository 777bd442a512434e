//! How many messages a day the campaigns that are about to go live will send, for `check` and
//! `campaigns apply`.

use std::collections::HashMap;

use super::Result;
use super::output::{self, Progress, grouped};
use crate::catalog::Catalog;
use crate::domain::Instant;
use crate::store::Store;
use crate::store::configuration::CampaignState;
use crate::views::forecast::{DAYS, Day, forecast, going_live};

/// What the campaigns that were never live before `states` was read send in the next days.
pub(super) async fn of_new(
    store: &Store,
    catalog: &Catalog,
    states: &HashMap<String, CampaignState>,
    now: Instant,
) -> Result<Vec<Day>> {
    let new = going_live(catalog, states);
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let mut progress = Progress::new("looking ahead", DAYS.unsigned_abs());
    let days = forecast(store, catalog, &new, now, &mut |at| progress.at((at - now).num_days().unsigned_abs())).await;
    progress.finish();
    Ok(days?)
}

/// For people; nothing where no campaign is new.
pub(super) fn show(rows: &[Day]) -> Result {
    if rows.is_empty() {
        return Ok(());
    }
    let total: u64 = rows.iter().map(|row| row.messages).sum();
    output::say(&format!("\nWhat goes live will send {} messages in the next {DAYS} days:\n", grouped(total)))?;
    let cells = |row: &Day| vec![row.day.to_string(), row.campaign.clone(), grouped(row.messages)];
    output::table(&["day", "campaign", "messages"], &rows.iter().map(cells).collect::<Vec<_>>())
}
