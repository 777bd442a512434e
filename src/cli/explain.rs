//! `explain --member ID [--campaign NAME] [--at T]`.

use chrono::Duration;
use serde::Serialize;

use super::output::{self, Format};
use super::{CommandError, Result, Session, instant_of, rfc3339};
use crate::catalog::{Catalog, starts_at};
use crate::domain::audience::Term;
use crate::domain::campaign::{Campaign, Status};
use crate::domain::gift::Gift;
use crate::domain::message::{Channel, Reason};
use crate::domain::policy::Decision;
use crate::domain::{Instant, duration, instant};
use crate::scheduler::backfill;
use crate::store::audience_facts::AudienceFacts;
use crate::store::configuration::CampaignState;
use crate::store::events::{self, Event};
use crate::store::{Tx, configuration, gifts, members, models};
use crate::views::occasions::{self, Found};

/// How far back and ahead occasions are looked for.
const BEFORE: Duration = Duration::days(90);
const AFTER: Duration = Duration::days(400);

#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// The member's external id.
    #[arg(long, value_name = "ID", value_parser = super::member_id)]
    member: String,
    /// Only this campaign.
    #[arg(long, value_name = "NAME")]
    campaign: Option<String>,
    /// As of this instant, such as 2026-03-21 [default: now].
    #[arg(long, value_name = "T")]
    at: Option<String>,
}

#[derive(Serialize)]
struct Explained {
    campaign: String,
    trigger: &'static str,
    /// What the trigger counts from, with the member's own date.
    counts_from: String,
    status: String,
    /// What the campaign will take up of the time before it began; absent where it takes up nothing, or has.
    backfill: Option<Backfill>,
    /// At the instant that is asked about.
    in_audience: bool,
    audience: Vec<Line>,
    messages: Vec<Row>,
}

/// What is still to be taken up, at the campaign's first scan.
#[derive(Serialize)]
struct Backfill {
    begins_at: String,
    /// The member's occasion, and when it had fallen due; absent where the member has none.
    occasion: Option<String>,
    was_due_at: Option<String>,
    because: String,
}

/// One term of the audience.
#[derive(Serialize)]
struct Line {
    depth: usize,
    term: String,
    holds: bool,
    /// The member's value, where the term compares one.
    value: Option<String>,
}

#[derive(Serialize)]
struct Row {
    step: String,
    occasion: String,
    due_at: String,
    local_time: String,
    /// The state in the ledger, or `would be sent`, `would be skipped`.
    state: String,
    channel: Option<&'static str>,
    reason: Option<&'static str>,
    because: String,
    /// What it brings; absent where it brings nothing, or nothing is reserved yet.
    gift: Option<String>,
    /// What came back about it, in order.
    heard: Vec<Heard>,
}

/// Something that was heard about a message.
#[derive(Serialize)]
struct Heard {
    /// `delivered`, `bounced`, `clicked` …
    kind: String,
    at: String,
    local_time: String,
    /// The provider's or server's code, or the link.
    detail: Option<String>,
}

impl Explain {
    pub(super) async fn execute(self, session: &Session) -> Result {
        let app = session.open().await?;
        let at = match &self.at {
            Some(text) => instant_of(text, &app.settings, "--at")?,
            None => app.clock.now(),
        };
        let catalog = app.catalog().await?;
        let mut tx = app.store.read().await?;
        let Some(member) = members::by_external_id(&mut tx, &self.member).await? else {
            return Err(CommandError::Other(format!(
                "there is no member `{}`; `rekindle import members` brings members in",
                self.member
            )));
        };
        if let Some(name) = self.campaign.as_deref().filter(|name| !catalog.campaigns.contains_key(*name)) {
            let known: Vec<&str> = catalog.campaigns.keys().map(String::as_str).collect();
            return Err(CommandError::Other(format!(
                "there is no campaign `{name}`; {}",
                crate::document::expected(name, &known)
            )));
        }
        let states = configuration::states(&mut tx).await?;
        let mut all = Vec::new();
        for campaign in catalog.campaigns.values() {
            if self.campaign.as_ref().is_some_and(|name| *name != campaign.name) {
                continue;
            }
            let state = states.get(&campaign.name);
            let found = occasions::of_member(&mut tx, &catalog, campaign, state, &member, at, (BEFORE, AFTER)).await?;
            let zone = member.zone(&catalog.brand);
            let status = match state {
                _ if campaign.status != Status::Live => format!("{}: it sends nothing", campaign.status),
                Some(state) if state.paused => "paused: its messages wait".to_owned(),
                Some(state) if state.held => format!("{}: its messages wait for approval", state.held_because()),
                _ => "live".to_owned(),
            };
            let stored = found.iter().filter(|found| found.exists).map(|found| found.message.id).collect();
            let events = events::of_messages(&mut tx, stored).await?;
            let mut messages = Vec::with_capacity(found.len());
            for found in &found {
                let gift = gifts::of_message(&mut tx, &found.message, campaign).await?;
                messages.push(row(found, &events, zone, campaign.status, gift.as_ref()));
            }
            let asked = std::iter::once((&campaign.audience, &member));
            let known = AudienceFacts::load(&mut tx, asked, true).await?;
            let view = known.view(&member, &catalog.brand, at, None);
            all.push(Explained {
                campaign: campaign.name.clone(),
                trigger: campaign.trigger.kind(),
                counts_from: campaign.trigger.counts_from(&member),
                status,
                backfill: backfill(&mut tx, &catalog, campaign, state, member.id, at).await?,
                in_audience: campaign.audience.verdict(&view) == Some(true),
                audience: campaign.audience.terms(&view).into_iter().map(line).collect(),
                messages,
            });
        }
        tx.commit().await?;
        match session.format {
            Format::Json | Format::Csv => output::json(&all),
            Format::Table => show(&self.member, &all),
        }
    }
}

/// What the campaign's first scan will take up for the member, as far as it is still to come at `at`.
async fn backfill(
    tx: &mut Tx,
    catalog: &Catalog,
    campaign: &Campaign,
    state: Option<&CampaignState>,
    member: i64,
    at: Instant,
) -> Result<Option<Backfill>> {
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
        because: reason.map(because).unwrap_or_default().to_owned(),
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
        Reason::SameAddress => "another member with this address gets it",
        Reason::HeldOut => "the member is in the control group",
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

fn show(member: &str, all: &[Explained]) -> Result {
    output::say(&format!("Member {member}"))?;
    for explained in all {
        output::say(&format!("\n{} ({}, {})", explained.campaign, explained.trigger, explained.status))?;
        output::say(&format!("  counts from {}", output::one_line(&explained.counts_from)))?;
        output::say(if explained.in_audience { "  in the audience:" } else { "  not in the audience:" })?;
        for line in &explained.audience {
            let mark = if line.holds { "✓" } else { "✗" };
            let value = line.value.as_ref().map(|value| format!(" ({})", output::one_line(value))).unwrap_or_default();
            output::say(&format!("  {}{mark} {}{value}", "  ".repeat(line.depth + 1), line.term))?;
        }
        if let Some(Backfill { begins_at, occasion, was_due_at, because }) = &explained.backfill {
            let what = occasion.as_ref().zip(was_due_at.as_ref());
            let what = what.map_or("nothing".to_owned(), |(occasion, due)| format!("{occasion}, due {due}"));
            output::say(&format!("  backfill from {begins_at}: {what}: {because}"))?;
        }
        if explained.messages.is_empty() {
            output::say("  no occasion in the last 90 or the next 400 days")?;
        }
        for row in &explained.messages {
            let channel = row.channel.map(|channel| format!(" by {channel}")).unwrap_or_default();
            let because = if row.because.is_empty() { String::new() } else { format!(": {}", row.because) };
            let gift = row.gift.as_ref().map(|gift| format!(", with {gift}")).unwrap_or_default();
            output::say(&format!(
                "  {}  {} ({})  {}{channel}{because}{gift}",
                row.local_time, row.step, row.occasion, row.state
            ))?;
            for heard in &row.heard {
                let detail =
                    heard.detail.as_ref().map(|detail| format!(" ({})", output::one_line(detail))).unwrap_or_default();
                output::say(&format!("    {}  {}{detail}", heard.local_time, heard.kind))?;
            }
        }
    }
    Ok(())
}
