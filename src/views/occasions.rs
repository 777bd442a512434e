//! The occasions of one member around an instant, each with what became of it or what policy says:
//! what `explain` and `preview` look at.

use std::borrow::Cow;

use chrono::Duration;
use uuid::Uuid;

use crate::catalog::{Catalog, starts_at};
use crate::domain::Instant;
use crate::domain::campaign::Campaign;
use crate::domain::member::Member;
use crate::domain::message::{Reason, State};
use crate::domain::occasion::{Candidate, Rows};
use crate::domain::policy::{Decision, assign};

use crate::scheduler::{Due, due_messages};
use crate::store::configuration::CampaignState;
use crate::store::gifts::Stock;
use crate::store::messages::Message;
use crate::store::{StoreError, Tx, members, messages, models, occasions, purchases};

/// One message of one occasion of the member.
#[derive(Debug, Clone)]
pub struct Found {
    pub message: Message,
    /// The order it rests on and the member, as the trigger found them.
    pub candidate: Candidate,
    /// Whether the ledger has it already.
    pub exists: bool,
    /// What policy says at the instant it is (or would be) taken up; the message has its arm, where it comes to that.
    pub decision: Decision,
}

/// Every message of the campaign for the member that is due within `around` of `at`, in order.
pub async fn of_member(
    tx: &mut Tx,
    catalog: &Catalog,
    campaign: &Campaign,
    state: Option<&CampaignState>,
    member: &Member,
    at: Instant,
    (before, after): (Duration, Duration),
) -> Result<Vec<Found>, StoreError> {
    let campaign = &*models::informed(tx, campaign).await?;
    let mut found = Vec::new();
    for one in messages_of(tx, catalog, campaign, state, member, at, (before, after)).await? {
        found.push(decided(tx, catalog, campaign, one, &[], at).await?);
    }
    if campaign.trigger.features().is_for_everybody {
        // Of those who share an address the first stands for it, and it may be decided before this member's.
        let mut others = Vec::new();
        let sharing = members::sharing(tx, vec![member.id]).await?;
        let mut ids: Vec<i64> = sharing.into_iter().map(|(id, ..)| id).filter(|id| *id != member.id).collect();
        ids.sort_unstable();
        ids.dedup();
        for other in members::by_ids(tx, ids).await?.into_values().filter(|other| !other.deleted) {
            let theirs = messages_of(tx, catalog, campaign, state, &other, at, (before, after)).await?;
            others.extend(theirs.into_iter().map(|found| (other.external_id.clone(), found)));
        }
        for own in &mut found {
            let (message, name) = (&own.message, &member.external_id);
            let mut before: Vec<&(String, Found)> = others
                .iter()
                .filter(|(other, found)| {
                    let theirs = &found.message;
                    (&theirs.occasion, &theirs.step) == (&message.occasion, &message.step)
                        && theirs.state == State::Planned
                        && (asked_at(theirs, at), other) < (asked_at(message, at), name)
                })
                .collect();
            before.sort_by_key(|(other, found)| (asked_at(&found.message, at), other.clone()));
            let before: Vec<Message> = before.into_iter().map(|(_, found)| found.message.clone()).collect();
            if !before.is_empty() && !message.state.is_final() {
                *own = decided(tx, catalog, campaign, own.clone(), &before, at).await?;
            }
        }
    }
    Ok(found)
}

/// Every message of the campaign for the member that is due within `around` of `at`, in order; nothing is decided yet.
async fn messages_of(
    tx: &mut Tx,
    catalog: &Catalog,
    campaign: &Campaign,
    state: Option<&CampaignState>,
    member: &Member,
    at: Instant,
    (before, after): (Duration, Duration),
) -> Result<Vec<Found>, StoreError> {
    const OPEN: Decision = Decision::Skip(Reason::CampaignEnded);
    let starts = starts_at(campaign, state).unwrap_or(at);
    let last = campaign.steps.len() - 1;
    let (base_after, _) = campaign.base_window(last, at - before, at);
    let base_until = at + after;
    let mut found = Vec::new();
    let Some(query) = campaign.trigger.query(Rows::Member(member.id), &catalog.brand) else { return Ok(found) };
    let known = messages::of_member(tx, member.id).await?;
    let (candidates, _) = occasions::page(tx, &query, occasions::START, 10_000).await?;
    for candidate in &candidates {
        let wanted = |due: &Due| at - before <= due.due_at && due.due_at <= at + after;
        let one = std::slice::from_ref(candidate);
        let base = (base_after, base_until);
        let due = due_messages(tx, campaign, one, base, starts, catalog, &wanted, &mut Uuid::nil).await?;
        for row in due.rows {
            let planned = Message::from(row);
            let stored = known.iter().find(|message| {
                (&message.campaign, &message.occasion, &message.step, &message.slot)
                    == (&planned.campaign, &planned.occasion, &planned.step, &planned.slot)
            });
            let message = stored.cloned().unwrap_or(planned);
            found.push(Found { message, candidate: candidate.clone(), exists: stored.is_some(), decision: OPEN });
        }
    }
    // What the campaign took up of the time before it began, nothing computes any more.
    let around = at - before..=at + after;
    for message in known.iter().filter(|known| known.campaign == campaign.name && around.contains(&known.due_at)) {
        if found.iter().any(|found| found.message.id == message.id) {
            continue;
        }
        let order = match message.purchase_id {
            Some(id) => purchases::by_ids(tx, vec![id]).await?.remove(&id),
            None => None,
        };
        let candidate = Candidate { member: member.clone(), order, history: None, ordinal: 0 };
        found.push(Found { message: message.clone(), candidate, exists: true, decision: OPEN });
    }
    found.sort_by_key(|found| found.message.due_at);
    Ok(found)
}

/// When a message is, or would be, taken up.
fn asked_at(message: &Message, at: Instant) -> Instant {
    if message.state == State::Planned { message.next_at.max(at) } else { message.next_at }
}

/// A message with what policy says when it is, or would be, taken up, after those of others that come before it.
async fn decided(
    tx: &mut Tx,
    catalog: &Catalog,
    campaign: &Campaign,
    mut found: Found,
    before: &[Message],
    at: Instant,
) -> Result<Found, StoreError> {
    let rules = campaign.rules(&catalog.brand);
    let message = &mut found.message;
    let now = asked_at(message, at);
    let all: Vec<Message> = before.iter().chain([&*message]).cloned().collect();
    let mut around = catalog.surroundings(tx, &all, now, Stock::Counted).await?;
    for other in before {
        let then = asked_at(other, at);
        let facts = around.facts(other, Some(campaign), &catalog.brand, then);
        if let Ok((channel, _)) = assign(&facts, &rules, then) {
            around.note_assigned(other, campaign, channel, then);
        }
    }
    let facts = around.facts(message, Some(campaign), &catalog.brand, now);
    found.decision = match assign(&facts, &rules, now) {
        Ok((_, decision)) => {
            message.arm = facts.assignment.arm.map(Cow::into_owned);
            decision
        }
        Err(reason) => Decision::Skip(reason),
    };
    Ok(found)
}
