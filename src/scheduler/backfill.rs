//! Backfill: what a campaign takes up, when it goes live, of the time before. Of each member the latest
//! occasion, the latest members first, some each day. Frozen at the campaign's first scan.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use chrono::Duration;
use uuid::Uuid;

use super::{Due, JUST_BEFORE, PAGE};
use crate::catalog::Catalog;
use crate::domain::Instant;
use crate::domain::campaign::{Backfill, Campaign};
use crate::domain::message::State;
use crate::domain::occasion::{Candidate, Occasion, Rows};
use crate::store::audience_facts::AudienceFacts;
use crate::store::configuration::CampaignState;
use crate::store::messages::NewMessage;
use crate::store::{StoreError, Tx, members, occasions, purchases};

/// Whether a scan of what falls due in [from, to) takes up what lies before the campaign's start: when it
/// comes to it, or has never been anywhere yet.
pub fn is_due(campaign: &Campaign, state: Option<&CampaignState>, starts: Instant, from: Instant, to: Instant) -> bool {
    let done = state.is_some_and(|state| state.backfilled);
    let scanned = state.is_some_and(|state| state.cursor.scanned_to.is_some());
    campaign.backfill.is_some() && !done && starts < to && (from <= starts || !scanned)
}

/// A member's occasion that is taken up: what of it is held for everybody until the ranks are known.
#[derive(Debug, Clone)]
pub struct Taken {
    due: Instant,
    member: String,
    member_id: i64,
    order_id: Option<i64>,
    occasion: Occasion,
}

/// Who is taken up, in order. Reads page by page; holds one [`Taken`] for each member concerned.
pub async fn ranked(
    tx: &mut Tx,
    catalog: &Catalog,
    campaign: &Campaign,
    starts: Instant,
) -> Result<Vec<Taken>, StoreError> {
    let mut all = latest(tx, catalog, campaign, starts, None).await?;
    all.sort_by(|a, b| b.due.cmp(&a.due).then_with(|| a.member.cmp(&b.member)));
    Ok(all)
}

/// The key of the member's occasion that is taken up, and when it had fallen due.
pub async fn of_member(
    tx: &mut Tx,
    catalog: &Catalog,
    campaign: &Campaign,
    starts: Instant,
    member: i64,
) -> Result<Option<(String, Instant)>, StoreError> {
    let taken = latest(tx, catalog, campaign, starts, Some(member)).await?;
    Ok(taken.into_iter().next().map(|taken| (taken.occasion.key, taken.due)))
}

/// Of each member, or of one, the latest occasion of the time before the campaign's start.
async fn latest(
    tx: &mut Tx,
    catalog: &Catalog,
    campaign: &Campaign,
    starts: Instant,
    member: Option<i64>,
) -> Result<Vec<Taken>, StoreError> {
    let Some(Backfill { up_to, .. }) = campaign.backfill else { return Ok(Vec::new()) };
    let (from, until) = (starts - up_to, starts - JUST_BEFORE);
    let (base_after, base_until) = campaign.base_window(0, from - JUST_BEFORE, until);
    let rows = member.map_or(Rows::Base { after: base_after, until: base_until }, Rows::Member);
    let Some(query) = campaign.trigger.query(rows, &catalog.brand) else { return Ok(Vec::new()) };
    let mut latest: HashMap<i64, Taken> = HashMap::new();
    let mut position = Some(occasions::START);
    while let Some(at) = position {
        let (candidates, next) = occasions::page(tx, &query, at, PAGE).await?;
        let bought = last_purchases(tx, campaign, &candidates, starts).await?;
        for candidate in &candidates {
            if came_back(candidate, &bought) {
                continue;
            }
            for occasion in campaign.trigger.occasions(candidate, base_after, base_until, &catalog.brand) {
                let chain = campaign.due_instants(occasion.base, &candidate.member, &catalog.brand);
                let Some(due) = chain.first().copied().filter(|due| (from..=until).contains(due)) else { continue };
                keep_latest(&mut latest, taken(candidate, occasion, due));
            }
        }
        position = next;
    }
    Ok(latest.into_values().collect())
}

/// When members bought last before the campaign began, where a purchase ends its occasions.
async fn last_purchases(
    tx: &mut Tx,
    campaign: &Campaign,
    candidates: &[Candidate],
    starts: Instant,
) -> Result<HashMap<i64, Instant>, StoreError> {
    if !campaign.trigger.features().ends_with_any_purchase {
        return Ok(HashMap::new());
    }
    let mut ids: Vec<i64> = candidates.iter().map(|candidate| candidate.member.id).collect();
    ids.dedup();
    purchases::last_before(tx, ids, starts).await
}

fn came_back(candidate: &Candidate, bought: &HashMap<i64, Instant>) -> bool {
    let order = candidate.order.as_ref().map(|order| order.purchased_at);
    bought.get(&candidate.member.id).is_some_and(|last| order.is_none_or(|order| *last > order))
}

fn taken(candidate: &Candidate, occasion: Occasion, due: Instant) -> Taken {
    Taken {
        due,
        member: candidate.member.external_id.clone(),
        member_id: candidate.member.id,
        order_id: candidate.order.as_ref().map(|order| order.id),
        occasion,
    }
}

fn keep_latest(latest: &mut HashMap<i64, Taken>, found: Taken) {
    let rank = |taken: &Taken| (taken.due, taken.occasion.base, taken.occasion.key.clone());
    match latest.entry(found.member_id) {
        Entry::Vacant(place) => drop(place.insert(found)),
        Entry::Occupied(mut place) => {
            if rank(&found) > rank(place.get()) {
                place.insert(found);
            }
        }
    }
}

/// The messages of every step of some that were taken up, the first of whom is the `first`-th of all.
/// Whether the member is in the audience is asked when they are due.
pub async fn messages(
    tx: &mut Tx,
    catalog: &Catalog,
    campaign: &Campaign,
    starts: Instant,
    (first, taken): (usize, &[Taken]),
    mut new_id: impl FnMut() -> Uuid,
) -> Result<Vec<NewMessage>, StoreError> {
    let Some(Backfill { per_day, .. }) = campaign.backfill else { return Ok(Vec::new()) };
    let mut found = members::by_ids(tx, taken.iter().map(|taken| taken.member_id).collect()).await?;
    let mut orders = purchases::by_ids(tx, taken.iter().filter_map(|taken| taken.order_id).collect()).await?;
    // Whatever the audience says here, the rows are planned.
    let nothing = AudienceFacts::default();
    let mut rows = Vec::new();
    for (rank, taken) in (first as i64..).zip(taken) {
        let Some(member) = found.remove(&taken.member_id) else { continue };
        let order = taken.order_id.and_then(|id| orders.remove(&id));
        let begins = starts + Duration::days(rank / per_day);
        let chain = campaign.late_due_instants(begins, &member, &catalog.brand);
        let Some(first_due_at) = chain.first().copied() else { continue };
        if campaign.ends_at.is_some_and(|ends| first_due_at >= ends) {
            continue;
        }
        let candidate = Candidate { member, order, history: None, ordinal: 0 };
        for (step, due_at) in chain.into_iter().enumerate() {
            let (occasion, years) = (taken.occasion.key.clone(), taken.occasion.years);
            let due = Due { step, occasion, years, first_due_at, due_at };
            due.messages(campaign, &candidate, catalog, &nothing, &mut rows, &mut new_id);
        }
    }
    for row in &mut rows {
        (row.state, row.reason) = (State::Planned, None);
    }
    Ok(rows)
}
