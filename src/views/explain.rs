//! Why and when a member gets each campaign's messages: what the trigger counts from, which terms of the audience
//! hold, and what became, or would become, of each occasion.

use chrono::Duration;
use serde::Serialize;

use super::ViewError;
use super::occasions::{self, Found};
use crate::catalog::{Catalog, starts_at};
use crate::domain::audience::{Prediction, Term, predicted};
use crate::domain::brand::Brand;
use crate::domain::calendar::rfc3339;
use crate::domain::campaign::{Campaign, Status};
use crate::domain::experiment::arms::BRAND_HOLDOUT;
use crate::domain::gift::Gift;
use crate::domain::member::Member;
use crate::domain::message::{Channel, Reason};
use crate::domain::policy::Decision;
use crate::domain::{Instant, duration, instant};
use crate::scheduler::backfill;
use crate::store::audience_facts::AudienceFacts;
use crate::store::configuration::CampaignState;
use crate::store::events::{self, Event};
use crate::store::{Store, StoreError, Tx, configuration, gifts, models};

/// How far back and ahead occasions are looked for.
const BEFORE: Duration = Duration::days(90);
const AFTER: Duration = Duration::days(400);

/// Why a member gets, or does not get, the messages of one campaign.
#[derive(Debug, Serialize)]
pub struct Explained {
    pub campaign: String,
    pub trigger: &'static str,
    /// What the trigger counts from, with the member's own date.
    pub counts_from: String,
    pub status: String,
    /// What the campaign will take up of the time before it began; absent where it takes up nothing, or has.
    pub backfill: Option<Backfill>,
    /// At the instant that is asked about.
    pub in_audience: bool,
    pub audience: Vec<Line>,
    #[serde(flatten)]
    pub expected: Expected,
    pub messages: Vec<Row>,
}

/// What the models expect of the member at that instant; the same for every campaign. Absent without orders, and
/// without a model.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Expected {
    /// The probability that the member is still a customer.
    pub alive_probability: Option<f64>,
    /// What the next 12 months will bring, in major units of the brand's currency.
    pub expected_revenue: Option<f64>,
}

/// What is still to be taken up, at the campaign's first scan.
#[derive(Debug, Serialize)]
pub struct Backfill {
    pub begins_at: String,
    /// The member's occasion, and when it had fallen due; absent where the member has none.
    pub occasion: Option<String>,
    pub was_due_at: Option<String>,
    pub because: String,
}

/// One term of the audience.
#[derive(Debug, Serialize)]
pub struct Line {
    pub depth: usize,
    pub term: String,
    pub holds: bool,
    /// The member's value, where the term compares one.
    pub value: Option<String>,
}

/// One message of the campaign for the member.
#[derive(Debug, Serialize)]
pub struct Row {
    pub step: String,
    pub occasion: String,
    pub due_at: String,
    pub local_time: String,
    /// The state in the ledger, or `would be sent`, `would be skipped`.
    pub state: String,
    pub channel: Option<&'static str>,
    /// Of the campaign's experiment, where it comes to the question of it.
    pub arm: Option<String>,
    pub reason: Option<&'static str>,
    pub because: String,
    /// What it brings; absent where it brings nothing, or nothing is reserved yet.
    pub gift: Option<String>,
    /// What came back about it, in order.
    pub heard: Vec<Heard>,
}

/// Something that was heard about a message.
#[derive(Debug, Serialize)]
pub struct Heard {
    /// `delivered`, `bounced`, `clicked` …
    pub kind: String,
    pub at: String,
    pub local_time: String,
    /// The provider's or server's code, or the link.
    pub detail: Option<String>,
}

/// Explains one campaign, or all, for a member as of `at`.
pub async fn explain(
    store: &Store,
    catalog: &Catalog,
    member: &str,
    campaign: Option<&str>,
    at: Instant,
) -> Result<Vec<Explained>, ViewError> {
    let mut tx = store.read().await?;
    let member = super::member(&mut tx, member).await?;
    let campaigns = match campaign {
        Some(name) => vec![super::campaign(catalog, name)?],
        None => catalog.campaigns.values().collect(),
    };
    let states = configuration::states(&mut tx).await?;
    let expected = expected(&mut tx, &catalog.brand, &member, at).await?;
    let mut all = Vec::with_capacity(campaigns.len());
    for campaign in campaigns {
        let state = states.get(&campaign.name);
        all.push(explained(&mut tx, catalog, campaign, state, &member, expected, at).await?);
    }
    tx.commit().await?;
    Ok(all)
}

async fn explained(
    tx: &mut Tx,
    catalog: &Catalog,
    campaign: &Campaign,
    state: Option<&CampaignState>,
    member: &Member,
    expected: Expected,
    at: Instant,
) -> Result<Explained, StoreError> {
    let messages = messages(tx, catalog, campaign, state, member, at).await?;
    let known = AudienceFacts::load(tx, std::iter::once((&campaign.audience, member)), true).await?;
    let view = known.view(member, &catalog.brand, at, None);
    Ok(Explained {
        campaign: campaign.name.clone(),
        trigger: campaign.trigger.kind(),
        counts_from: campaign.trigger.counts_from(member),
        status: status(campaign, state),
        backfill: backfill(tx, catalog, campaign, state, member.id, at).await?,
        in_audience: campaign.audience.verdict(&view) == Some(true),
        audience: campaign.audience.terms(&view).into_iter().map(line).collect(),
        expected,
        messages,
    })
}

async fn expected(tx: &mut Tx, brand: &Brand, member: &Member, at: Instant) -> Result<Expected, StoreError> {
    let models = models::newest(tx).await?.map(|fitted| fitted.models(&brand.currency));
    // A page of this member alone.
    let page = models::customers(tx, member.id - 1, 1, at, &brand.currency).await?;
    let customer = page.and_then(|page| page.customers.into_iter().next()).map(|(_, customer)| customer);
    let value = |prediction| predicted(prediction, models.as_ref()?, customer.as_ref()?, brand);
    Ok(Expected {
        alive_probability: value(Prediction::AliveProbability),
        expected_revenue: value(Prediction::ExpectedRevenue),
    })
}

/// Whether the campaign sends, and what holds it.
fn status(campaign: &Campaign, state: Option<&CampaignState>) -> String {
    match state {
        _ if campaign.status != Status::Live => format!("{}: it sends nothing", campaign.status),
        Some(state) if state.paused => "paused: its messages wait".to_owned(),
        Some(state) if state.held => format!("{}: its messages wait for approval", state.held_because()),
        _ => "live".to_owned(),
    }
}

/// The campaign's messages for the member around `at`, with what was heard about each.
async fn messages(
    tx: &mut Tx,
    catalog: &Catalog,
    campaign: &Campaign,
    state: Option<&CampaignState>,
    member: &Member,
    at: Instant,
) -> Result<Vec<Row>, StoreError> {
    let found = occasions::of_member(tx, catalog, campaign, state, member, at, (BEFORE, AFTER)).await?;
    let zone = member.zone(&catalog.brand);
    let stored = found.iter().filter(|found| found.exists).map(|found| found.message.id).collect();
    let events = events::of_messages(tx, stored).await?;
    let mut messages = Vec::with_capacity(found.len());
    for found in &found {
        let gift = gifts::of_message(tx, &found.message, campaign).await?;
        messages.push(row(found, &events, zone, campaign.status, gift.as_ref()));
    }
    Ok(messages)
}

/// What the campaign's first scan will take up for the member, as far as it is still to come at `at`.
async fn backfill(
    tx: &mut Tx,
    catalog: &Catalog,
    campaign: &Campaign,
    state: Option<&CampaignState>,
    member: i64,
    at: Instant,
) -> Result<Option<Backfill>, StoreError> {
    let Some(configured) = &campaign.backfill else { return Ok(None) };
    let starts = starts_at(campaign, state).unwrap_or(at);
    // Where the next scan begins.
    let from = state.and_then(|state| state.cursor.scanned_to).unwrap_or(starts);
    if !backfill::is_due(campaign, state, starts, from, Instant::MAX_UTC) {
        return Ok(None);
    }
    let campaign = &*models::informed(tx, campaign).await?;
    let taken = backfill::of_member(tx, catalog, campaign, starts, member).await?;
    let span = duration::display(configured.up_to);
    let because = match &taken {
        Some(_) => format!(
            "its first scan takes it up, {} members a day, those who fell due last first; `rekindle plan` says the day",
            configured.per_day
        ),
        None => format!("the member has no occasion of the {span} before it began that still counts"),
    };
    let (occasion, was_due_at) = taken.map(|(occasion, due)| (occasion, rfc3339(due))).unzip();
    Ok(Some(Backfill { begins_at: rfc3339(starts), occasion, was_due_at, because }))
}

fn line(term: Term) -> Line {
    Line { depth: term.depth, term: term.text, holds: term.holds == Some(true), value: term.value }
}

fn row(found: &Found, events: &[Event], zone: chrono_tz::Tz, status: Status, gift: Option<&Gift>) -> Row {
    let message = &found.message;
    let local = |at: Instant| at.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string();
    let heard = events.iter().filter(|event| event.message_id == Some(message.id)).map(|event| Heard {
        kind: event.kind.clone(),
        at: rfc3339(instant(event.at)),
        local_time: local(instant(event.at)),
        detail: event.detail.clone(),
    });
    let (state, channel, reason): (String, Option<Channel>, Option<Reason>) =
        if found.exists && message.state.is_final() {
            (message.state.to_string(), message.channel, message.reason)
        } else {
            let stored = if found.exists { format!("{}: ", message.state) } else { String::new() };
            let prefix = if status == Status::Live { stored } else { format!("{stored}were it live, ") };
            match found.decision {
                Decision::Send(channel) => (format!("{prefix}would be sent"), Some(channel), None),
                Decision::Defer(until) => (format!("{prefix}would wait until {}", rfc3339(until)), None, None),
                Decision::Skip(reason) => (format!("{prefix}would not be sent"), None, Some(reason)),
            }
        };
    Row {
        step: message.step.clone(),
        occasion: message.occasion.clone(),
        due_at: rfc3339(message.due_at),
        local_time: local(message.next_at),
        state,
        channel: channel.map(|channel| channel.as_str()),
        reason: reason.map(|reason| reason.as_str()),
        because: match (reason, message.arm.as_deref()) {
            (Some(Reason::HeldOut), Some(BRAND_HOLDOUT)) => "the brand holds the member out of all its marketing",
            _ => reason.map(because).unwrap_or_default(),
        }
        .to_owned(),
        arm: message.arm.clone(),
        gift: gift.map(Gift::to_string),
        heard: heard.collect(),
    }
}

/// A reason in a sentence.
const fn because(reason: Reason) -> &'static str {
    match reason {
        Reason::MemberDeleted => "the member was deleted",
        Reason::OutsideAudience => "the member is not in the campaign's audience",
        Reason::GoalReached => "the member bought again, or opened or clicked a step before it",
        Reason::TooLate => "it would have gone out later than the campaign allows",
        Reason::AlreadyGreeted => "another yearly greeting went out within 180 days",
        Reason::NoAddress => {
            "the member has no address on the campaign's channels, or a number that no SMS provider is for"
        }
        Reason::NoConsent => "the member has not agreed to marketing on the campaign's channels",
        Reason::Suppressed => "the address must not be written to, or the member objected or paused marketing",
        Reason::SameAddress => "another member with this address stands for it in this campaign",
        Reason::HeldOut => "the member is held out by the campaign's experiment",
        Reason::RestDay => "it was a day of rest, on which the brand sends nothing",
        Reason::FrequencyCap => "the member had as many messages lately as the brand allows",
        Reason::Budget => "the budget is used up",
        Reason::GiftUnavailable => "no gift is left",
        Reason::OrderCancelled => "the order was cancelled or refunded, or is another member's by now",
        Reason::Collapsed => "an order close to it was thanked for, or will be, in its place",
        Reason::CampaignEnded => "the campaign is over or no longer configured",
        Reason::ByHand => "somebody cancelled it",
        Reason::Restored => "the store was restored from a backup, and it may have gone out before",
        Reason::RenderFailed => "its template could not be rendered for this member",
        Reason::Unbuildable => "no message that can be sent could be made of it; nobody was asked to take it",
        Reason::BadRecipient => "the server does not know the recipient",
        Reason::Refused => "the server refused it as a matter of policy",
        Reason::MessageRefused => "the server refused its content or size",
        Reason::OurFault => "the server says that we speak wrongly; see the log",
        Reason::RetriesExhausted => "it was retried until it was too old",
    }
}
