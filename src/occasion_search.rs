//! The occasions of one member around an instant, each with what became of it or what policy says:
//! what `explain` and `preview` look at.

use chrono::Duration;
use uuid::Uuid;

use crate::catalog::{Catalog, starts_at};
use crate::domain::Instant;
use crate::domain::campaign::Campaign;
use crate::domain::member::Member;
use crate::domain::message::State;
use crate::domain::occasion::{Candidate, Rows};
use crate::domain::policy::{Decision, decide};

use crate::scheduler::{Due, due_messages};
use crate::store::configuration::CampaignState;
use crate::store::gifts::Stock;
use crate::store::messages::Message;
use crate::store::{StoreError, Tx, messages, models, occasions, purchases};

/// One message of one occasion of the member.
#[derive(Debug, Clone)]
pub struct Found {
    pub message: Message,
    /// The order it rests on and the member, as the trigger found them.
    pub candidate: Candidate,
    /// Whether the ledger has it already.
    pub exists: bool,
    /// What policy says at the instant it is (or would be) taken up.
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
            let decision = decision(tx, catalog, campaign, &message, at).await?;
            found.push(Found { message, candidate: candidate.clone(), exists: stored.is_some(), decision });
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
        let decision = decision(tx, catalog, campaign, message, at).await?;
        let candidate = Candidate { member: member.clone(), order, history: None, ordinal: 0 };
        found.push(Found { message: message.clone(), candidate, exists: true, decision });
    }
    found.sort_by_key(|found| found.message.due_at);
    Ok(found)
}

/// What policy says of a message when it is, or would be, taken up.
async fn decision(
    tx: &mut Tx,
    catalog: &Catalog,
    campaign: &Campaign,
    message: &Message,
    at: Instant,
) -> Result<Decision, StoreError> {
    let asked_at = if message.state == State::Planned { message.next_at.max(at) } else { message.next_at };
    let around = catalog.surroundings(tx, std::slice::from_ref(message), asked_at, Stock::Counted).await?;
    let facts = around.facts(message, Some(campaign), &catalog.brand, asked_at);
    Ok(decide(&facts, &campaign.rules(&catalog.brand), asked_at))
}
