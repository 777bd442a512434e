//! The next channel for what failed after it was sent: a message that came back, an SMS that nobody
//! confirmed in time. A channel that refuses at once is left by the sender itself.

use chrono::Duration;

use crate::catalog::Catalog;
use crate::domain::Instant;
use crate::domain::campaign::{Campaign, Reach, Status};
use crate::domain::message::Channel;
use crate::domain::policy::{Decision, decide};
use crate::store::gifts::Stock;
use crate::store::ledger::plan::{self, FellBack};
use crate::store::messages::{self, Message};
use crate::store::{Store, StoreError, members, within};

/// Messages looked at in one transaction.
const PAGE: i64 = 500;

/// What comes back later than this after it was due stays as it is: the moment is gone.
const LONGEST: Duration = Duration::days(8);

/// Plans what failed after all on the next channel, where policy would still send it now. Gives how
/// many.
pub async fn pass(store: &Store, catalog: &Catalog, now: Instant) -> Result<u64, StoreError> {
    let mut again = 0;
    let falling = catalog.campaigns.values().filter(|campaign| campaign.reach == Reach::Fallback);
    for campaign in falling.filter(|campaign| campaign.status == Status::Live) {
        loop {
            let (looked_at, planned) = within(page(store, catalog, campaign, now)).await?;
            again += planned;
            if looked_at < PAGE as usize {
                break;
            }
        }
    }
    Ok(again)
}

async fn page(store: &Store, catalog: &Catalog, campaign: &Campaign, now: Instant) -> Result<(usize, u64), StoreError> {
    let sent_before = campaign.undelivered_after.map_or(Instant::UNIX_EPOCH, |after| now - after);
    let mut tx = store.begin().await?;
    let mut failed = messages::failed_after_all(&mut tx, &campaign.name, now - LONGEST, sent_before, PAGE).await?;
    if failed.is_empty() {
        return Ok((0, 0));
    }
    // As in the dispatcher: nobody else decides about these members meanwhile.
    let mut ids: Vec<i64> = failed.iter().map(|message| message.member_id).collect();
    ids.sort_unstable();
    ids.dedup();
    members::lock(&mut tx, ids).await?;
    for message in &mut failed {
        message.tried.extend(message.channel);
    }
    let around = catalog.surroundings(&mut tx, &failed, now, Stock::Counted).await?;
    let rules = campaign.rules(&catalog.brand);
    let rows = failed.iter().map(|message| {
        let facts = around.facts(message, Some(campaign), &catalog.brand, now);
        FellBack {
            id: message.id,
            tried: listed(message),
            again: !matches!(decide(&facts, &rules, now), Decision::Skip(_)),
        }
    });
    let rows: Vec<FellBack> = rows.collect();
    plan::fall_back(&mut tx, &rows, now).await?;
    tx.commit().await?;
    Ok((rows.len(), rows.iter().filter(|row| row.again).count() as u64))
}

fn listed(message: &Message) -> String {
    message.tried.iter().map(|channel: &Channel| channel.as_str()).collect::<Vec<_>>().join(",")
}
