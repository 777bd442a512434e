//! `plan`: what would be sent, to whom and when, by the scheduler's own occasions and the
//! dispatcher's own policy, without writing anything.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{Duration, NaiveDate};
use chrono_tz::Tz;
use serde::Serialize;
use uuid::Uuid;

use crate::catalog::{Catalog, starts_at};
use crate::domain::calendar::{local_date, rfc3339};
use crate::domain::campaign::Campaign;
use crate::domain::message::{Channel, Reason, State};
use crate::domain::occasion::Rows;
use crate::domain::policy::{Decision, assign};
use crate::domain::{Instant, instant};
use crate::scheduler::{Due, PAGE, backfill, due_messages, live};
use crate::store::facts::Surroundings;
use crate::store::gifts::Stock;
use crate::store::messages::{self, Known, Message, NewMessage};
use crate::store::{Store, StoreError, Tx, configuration, members, models, occasions};

/// One message that would be sent, or not, and why not.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    pub member: String,
    pub campaign: String,
    pub step: String,
    pub channel: Option<Channel>,
    pub due_at: Instant,
    pub next_at: Instant,
    /// `next_at` on the member's clock, with its offset.
    pub local_time: String,
    /// Of the campaign's experiment, where it comes to the question of it.
    pub arm: Option<String>,
    /// Absent for what would be sent.
    pub reason: Option<Reason>,
}

impl Planned {
    fn of(message: &Message, member: &str, zone: Tz, channel: Option<Channel>, reason: Option<Reason>) -> Self {
        Self {
            member: member.to_owned(),
            campaign: message.campaign.clone(),
            step: message.step.clone(),
            channel,
            due_at: message.due_at,
            next_at: message.next_at,
            local_time: message.next_at.with_timezone(&zone).format("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            arm: message.arm.clone(),
            reason,
        }
    }
}

/// How much of the window is worked at a time, at first and at most. Around each slice some days of candidates
/// are read in vain, so slices are as long as their messages allow.
const FIRST_SLICE: Duration = Duration::days(1);
const LONGEST_SLICE: Duration = Duration::days(60);

/// Messages that a slice should hold: what a plan has in memory.
const SLICE_MESSAGES: usize = 40_000;

/// Messages whose surroundings are read at once.
const BATCH: usize = 2_000;

/// Plans what falls due in [from, to), giving each message to `emit` in the order of decision.
/// `progress` is told how far it is.
pub async fn plan(
    store: &Store,
    catalog: &Catalog,
    from: Instant,
    to: Instant,
    emit: &mut (dyn FnMut(Planned) + Send),
    progress: &mut (dyn FnMut(Instant) + Send),
) -> Result<(), StoreError> {
    let mut tx = store.read().await?;
    let states = configuration::states(&mut tx).await?;
    let mut planner =
        Planner { catalog, pending: BTreeMap::new(), collected: HashSet::new(), seen: Surroundings::default() };
    let mut taken_up = HashSet::new();
    let mut campaigns = Vec::new();
    for campaign in live(catalog) {
        campaigns.push(models::informed(&mut tx, campaign).await?);
    }
    let (mut start, mut slice) = (from, FIRST_SLICE);
    while start < to {
        let end = (start + slice).min(to);
        for campaign in &campaigns {
            // A campaign that was never applied would go live now.
            let state = states.get(&campaign.name);
            let Some(starts) = starts_at(campaign, state).or(Some(from)) else { continue };
            if backfill::is_due(campaign, state, starts, start, end) && taken_up.insert(&campaign.name) {
                planner.backfill(&mut tx, campaign, starts, (from, to)).await?;
            }
            planner.collect(&mut tx, campaign, starts, start, end).await?;
            planner.waiting(&mut tx, campaign, start, end).await?;
        }
        let held = planner.pending.len();
        planner.decide(&mut tx, Some(end), emit).await?;
        progress(end);
        start = end;
        slice = next_slice(slice, held);
    }
    planner.decide(&mut tx, None, emit).await?;
    tx.commit().await
}

/// A plan as it is shown.
#[derive(Debug)]
pub struct Listed {
    /// In the order of their due instants.
    pub rows: Vec<Row>,
    pub above_ceiling: Vec<AboveCeiling>,
}

/// One message of it.
#[derive(Debug, Serialize)]
pub struct Row {
    pub member: String,
    pub campaign: String,
    pub step: String,
    pub channel: Option<&'static str>,
    pub due_at: String,
    pub next_at: String,
    pub local_time: String,
    pub arm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

/// A campaign of which more than its ceiling falls due on a day, and the fullest of its days.
#[derive(Debug)]
pub struct AboveCeiling {
    pub campaign: String,
    pub day: NaiveDate,
    pub messages: usize,
    pub ceiling: i64,
}

/// How many messages of each campaign are to go out on a date of the brand's calendar.
type Days = BTreeMap<String, BTreeMap<NaiveDate, usize>>;

/// Lists what falls due in [from, to); what would not be sent only with `include_skipped`.
pub async fn list(
    store: &Store,
    catalog: &Catalog,
    from: Instant,
    to: Instant,
    include_skipped: bool,
    progress: &mut (dyn FnMut(Instant) + Send),
) -> Result<Listed, StoreError> {
    let mut all: Vec<Planned> = Vec::new();
    let mut days = Days::new();
    let mut emit = |planned: Planned| {
        // A scan counts what it puts into the ledger to wait, so also what policy will skip later.
        if planned.reason != Some(Reason::OutsideAudience) {
            let day = local_date(catalog.brand.timezone, planned.next_at);
            *days.entry(planned.campaign.clone()).or_default().entry(day).or_default() += 1;
        }
        if include_skipped || planned.reason.is_none() {
            all.push(planned);
        }
    };
    plan(store, catalog, from, to, &mut emit, progress).await?;
    all.sort_by(|a, b| {
        (a.due_at, &a.campaign, &a.member, &a.step, a.channel).cmp(&(
            b.due_at,
            &b.campaign,
            &b.member,
            &b.step,
            b.channel,
        ))
    });
    Ok(Listed { rows: all.into_iter().map(Row::from).collect(), above_ceiling: above_ceiling(&days, catalog) })
}

impl From<Planned> for Row {
    fn from(planned: Planned) -> Self {
        Self {
            member: planned.member,
            campaign: planned.campaign,
            step: planned.step,
            channel: planned.channel.map(|channel| channel.as_str()),
            due_at: rfc3339(planned.due_at),
            next_at: rfc3339(planned.next_at),
            local_time: planned.local_time,
            arm: planned.arm,
            reason: planned.reason.map(|reason| reason.as_str()),
        }
    }
}

fn above_ceiling(days: &Days, catalog: &Catalog) -> Vec<AboveCeiling> {
    let fullest = |(name, days): (&String, &BTreeMap<NaiveDate, usize>)| {
        let ceiling = catalog.campaigns.get(name)?.limits.ceiling;
        let (day, messages) = days.iter().rev().max_by_key(|(_, messages)| **messages)?;
        (*messages as i64 > ceiling).then(|| AboveCeiling {
            campaign: name.clone(),
            day: *day,
            messages: *messages,
            ceiling,
        })
    };
    days.iter().filter_map(fullest).collect()
}

/// The order of decisions: instant, then priority (higher first), then the rest; of equals the lower
/// external id.
type Turn = (i64, i64, i64, String, i64, String, Uuid);

struct Planner<'a> {
    catalog: &'a Catalog,
    pending: BTreeMap<Turn, Message>,
    /// The turns' ids of what was computed.
    collected: HashSet<Uuid>,
    /// What the messages decided so far changed for the later ones.
    seen: Surroundings,
}

impl Planner<'_> {
    /// Adds a campaign's messages that fall due in [start, end) and are not done with.
    async fn collect(
        &mut self,
        tx: &mut Tx,
        campaign: &Campaign,
        starts: Instant,
        start: Instant,
        end: Instant,
    ) -> Result<(), StoreError> {
        let (after, until) = (start - Duration::milliseconds(1), end - Duration::milliseconds(1));
        for step in 0..campaign.steps.len() {
            let (base_after, base_until) = campaign.base_window(step, after, until);
            let rows = Rows::Base { after: base_after, until: base_until };
            let Some(query) = campaign.trigger.query(rows, &self.catalog.brand) else { continue };
            let mut position = Some(occasions::START);
            while let Some(from) = position {
                let (candidates, next) = occasions::page(tx, &query, from, PAGE).await?;
                let mut count = 0_u128;
                let mut number = || {
                    count += 1;
                    Uuid::from_u128(count)
                };
                let wanted = |due: &Due| due.step == step && after < due.due_at && due.due_at <= until;
                let base = (base_after, base_until);
                let found =
                    due_messages(tx, campaign, &candidates, base, starts, self.catalog, &wanted, &mut number).await?;
                self.add(tx, campaign, found.rows).await?;
                position = next;
            }
        }
        Ok(())
    }

    /// Adds what a campaign takes up of the time before it begins, as far as it falls due in [from, to).
    async fn backfill(
        &mut self,
        tx: &mut Tx,
        campaign: &Campaign,
        starts: Instant,
        (from, to): (Instant, Instant),
    ) -> Result<(), StoreError> {
        let ranked = backfill::ranked(tx, self.catalog, campaign, starts).await?;
        let span = from.timestamp_millis()..to.timestamp_millis();
        for (page, taken) in ranked.chunks(PAGE as usize).enumerate() {
            let first = page * PAGE as usize;
            let mut new = backfill::messages(tx, self.catalog, campaign, starts, (first, taken), Uuid::nil).await?;
            new.retain(|message| span.contains(&message.due_at));
            self.add(tx, campaign, new).await?;
        }
        Ok(())
    }

    /// Adds a campaign's messages that wait in the ledger for [start, end) and that nothing computes
    /// any more: those that were taken up from before its start, and those whose occasion moved.
    async fn waiting(
        &mut self,
        tx: &mut Tx,
        campaign: &Campaign,
        start: Instant,
        end: Instant,
    ) -> Result<(), StoreError> {
        let waiting = messages::waiting(tx, &campaign.name, start, end).await?;
        let names = members::names(tx, waiting.iter().map(|(message, ..)| message.member_id).collect()).await?;
        for (message, priority, turn) in waiting {
            let id = turn_id(message.member_id, [&message.campaign, &message.occasion, &message.step, &message.slot]);
            if !self.collected.contains(&id) {
                let (next_at, due_at) = (message.next_at.timestamp_millis(), message.due_at.timestamp_millis());
                let name = names.get(&message.member_id).cloned().unwrap_or_default();
                self.pending.insert((next_at, -priority, due_at, message.campaign.clone(), turn, name, id), message);
            }
        }
        self.collected.clear();
        Ok(())
    }

    async fn add(&mut self, tx: &mut Tx, campaign: &Campaign, new: Vec<NewMessage>) -> Result<(), StoreError> {
        if new.is_empty() {
            return Ok(());
        }
        let mut ids: Vec<i64> = new.iter().map(|message| message.member_id).collect();
        ids.sort_unstable();
        ids.dedup();
        let names = members::names(tx, ids.clone()).await?;
        let known = messages::known(tx, &campaign.name, ids).await?;
        let known: HashMap<_, &Known> = known
            .iter()
            .map(|known| ((known.member_id, &*known.occasion, &*known.step, &*known.slot), known))
            .collect();
        for message in new {
            let key = (message.member_id, &*message.occasion, &*message.step, message.slot);
            if !known.get(&key).is_some_and(|known| is_settled(known, &message)) {
                let turn = (
                    message.next_at,
                    -message.priority,
                    message.due_at,
                    message.campaign.clone(),
                    message.turn,
                    names.get(&message.member_id).cloned().unwrap_or_default(),
                    turn_id(message.member_id, [&message.campaign, &message.occasion, &message.step, message.slot]),
                );
                let id = turn.6;
                self.collected.insert(id);
                self.pending.insert(turn, Message { id, ..Message::from(message) });
            }
        }
        Ok(())
    }

    /// Decides about what is ready before `until` (`None`: about everything that is left).
    async fn decide(
        &mut self,
        tx: &mut Tx,
        until: Option<Instant>,
        emit: &mut (dyn FnMut(Planned) + Send),
    ) -> Result<(), StoreError> {
        loop {
            let mut ready = self.take_ready(until);
            let Some(earliest) = ready.first_key_value().map(|(turn, _)| instant(turn.0)) else { return Ok(()) };
            let batch: Vec<Message> = ready.values().cloned().collect();
            let mut around = self.catalog.surroundings(tx, &batch, earliest, Stock::Counted).await?;
            around.carry_over(std::mem::take(&mut self.seen));
            let last = ready.last_key_value().map(|(turn, _)| turn.clone());
            while let Some((turn, mut message)) = ready.pop_first() {
                let Some(campaign) = self.catalog.campaigns.get(&message.campaign) else { continue };
                let (channel, reason) = match self.judge(&mut around, campaign, &mut message) {
                    Decision::Send(channel) => (Some(channel), None),
                    Decision::Skip(reason) => (None, Some(reason)),
                    Decision::Defer(until) => {
                        let (turn, message) = deferred(turn, message, until);
                        // Its turn may come before others of the batch have theirs.
                        let is_among = last.as_ref().is_some_and(|last| turn < *last);
                        if is_among { &mut ready } else { &mut self.pending }.insert(turn, message);
                        continue;
                    }
                };
                if let Some(member) = around.members.get(&message.member_id) {
                    let zone = member.zone(&self.catalog.brand);
                    emit(Planned::of(&message, &member.external_id, zone, channel, reason));
                }
            }
            self.remember(around, earliest);
        }
    }

    /// Takes up to a batch of what is ready before `until`, in the order of decisions.
    fn take_ready(&mut self, until: Option<Instant>) -> BTreeMap<Turn, Message> {
        let limit = until.map_or(i64::MAX, |at| at.timestamp_millis());
        let ready: Vec<Turn> = self.pending.keys().take_while(|turn| turn.0 < limit).take(BATCH).cloned().collect();
        ready.into_iter().filter_map(|turn| self.pending.remove_entry(&turn)).collect()
    }

    /// What policy says of a message at its turn; its arm, and what that changes for later ones, is noted.
    fn judge(&self, around: &mut Surroundings, campaign: &Campaign, message: &mut Message) -> Decision {
        let (brand, now) = (&self.catalog.brand, message.next_at);
        let facts = around.facts(message, Some(campaign), brand, now);
        let assigned = assign(&facts, &campaign.rules(brand), now);
        if let Ok((channel, _)) = assigned {
            around.note_assigned(message, campaign, channel, now);
            message.arm = facts.assignment.arm.map(Cow::into_owned);
        }
        let decision = assigned.map_or_else(Decision::Skip, |(_, decision)| decision);
        match decision {
            Decision::Send(channel) => around.note_sent(message, campaign, brand, channel, now),
            Decision::Skip(reason) => around.note_ended(message, reason),
            Decision::Defer(_) => {}
        }
        decision
    }

    /// Keeps of a batch's surroundings what later messages need.
    fn remember(&mut self, mut around: Surroundings, earliest: Instant) {
        around.members.clear();
        around.orders.clear();
        if let Some(cap) = self.catalog.brand.frequency_cap {
            around.forget_before(earliest - cap.per);
        }
        self.seen = around;
    }
}

/// A message with another turn.
fn deferred(mut turn: Turn, message: Message, until: Instant) -> (Turn, Message) {
    turn.0 = until.timestamp_millis();
    (turn, Message { next_at: until, ..message })
}

/// Whether the ledger is done with a message, or has it at another due instant, which it keeps.
fn is_settled(known: &Known, new: &NewMessage) -> bool {
    let done = known.state.parse::<State>().is_ok_and(State::is_final);
    let may_come_back = known.reason.as_deref() == Some(Reason::OutsideAudience.as_str());
    if done { !may_come_back } else { known.due_at != new.due_at }
}

/// How long the slice should be after one that held so many messages. It grows eightfold at most: what comes may
/// be denser.
fn next_slice(slice: Duration, held: usize) -> Duration {
    let factor = (SLICE_MESSAGES as f64 / held.max(1) as f64).min(8.0);
    let millis = slice.num_milliseconds() as f64 * factor;
    Duration::milliseconds(millis as i64).clamp(Duration::hours(1), LONGEST_SLICE)
}

/// A stable id for a message that has no row: the same one for the same occasion and slot.
fn turn_id(member: i64, parts: [&str; 4]) -> Uuid {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.update(member.to_be_bytes());
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    Uuid::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_as_long_as_its_messages_allow() {
        let check = |hours: i64, held: usize, expected: Duration| {
            assert_eq!(next_slice(Duration::hours(hours), held), expected, "{hours} h with {held}");
        };
        check(24, 0, Duration::days(8));
        check(24, 10_000, Duration::days(4));
        check(24, 80_000, Duration::hours(12));
        check(24, 10_000_000, Duration::hours(1));
        check(24 * 50, 100, LONGEST_SLICE);
    }
}
