//! The dispatcher: takes messages whose time has come, asks policy, renders, commits `queued` under
//! the next dispatch number, and only then hands over. What the queue does not take goes back.

use std::collections::HashSet;

use metrics::counter;
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::domain::Instant;
use crate::domain::campaign::{Campaign, Reach, Step};
use crate::domain::experiment::arms::Assignment;
use crate::domain::gift::Gift;
use crate::domain::message::{Channel, Content, Envelope, Reason, SmsWords, State};
use crate::domain::policy::{Decision, Facts, assign, decide, end_state, reaches_without};
use crate::domain::sms::SmsSize;
use crate::queue::{Queue, QueueError};
use crate::rendering::{RenderError, Variables};
use crate::settings::Redirect;
use crate::store::facts::Surroundings;
use crate::store::gifts::{self, GiftFacts, Stock};
use crate::store::ledger::Dispatch;
use crate::store::ledger::dispatch::{self as ledger, Decided, Queued};
use crate::store::ledger::plan::{self, Back};
use crate::store::messages::{self, Message};
use crate::store::{Store, StoreError, Tx, attempts, configuration, members, within};

/// Messages decided in one transaction. Where the senders are in this process, they wait for the same writer.
pub const BATCH: i64 = 500;
const BATCH_IN_MEMORY: i64 = 256;

/// Messages between dispatch and outcome at any time: enough to keep many senders busy, few enough
/// that the queue holds only what is ready.
pub const IN_QUEUE: i64 = 5_000;

/// As long as nobody else has heard of a batch, whoever dispatched it says so often that it lives: after so long it is
/// dead, and its messages go back, in milliseconds.
pub const UNHEARD: i64 = 40_000;

/// What a queue has, and no sender has begun after so long, is dispatched again, in milliseconds; the older
/// copy, should it still come, is dropped.
const LEASE: i64 = 30 * 60_000;

/// After a decision the time alone may change it: it is asked again after so long.
const SAME: chrono::Duration = chrono::Duration::minutes(1);

/// What one batch came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dispatched {
    /// Messages looked at.
    pub taken: u64,
    /// Handed to the queue.
    pub queued: u64,
    /// Put off, for quiet hours or a day of rest.
    pub deferred: u64,
    /// Ended by policy.
    pub ended: u64,
    /// Put out of the way of the rest, since their campaigns are paused or held, or back into it.
    pub moved: u64,
    /// How many are in the queue at most, where the bound on that stopped it.
    pub full: Option<i64>,
    /// Those of the step before that went to the queue meanwhile.
    pub published: u64,
}

/// Why a batch stopped.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// Dispatches batch after batch: while one is being published the next is prepared.
pub struct Dispatcher<'a> {
    pub store: &'a Store,
    pub queue: &'a dyn Queue,
    pub clock: &'a Clock,
    pub redirect: Option<&'a Redirect>,
    /// Leaves alone what falls due at this instant or later, though it may be ready.
    pub due_before: Option<Instant>,
    /// Queued in the store, not yet published.
    pub prepared: Prepared,
}

/// A batch that is queued in the store, and that nobody else has heard of.
#[derive(Debug, Default)]
pub struct Prepared {
    batch: Uuid,
    envelopes: Vec<Envelope>,
    /// How many more a broker's queue may have, where that is known: to count it is work.
    room: i64,
}

impl Prepared {
    /// Whether there is nothing to publish.
    pub const fn is_empty(&self) -> bool {
        self.envelopes.is_empty()
    }
}

/// What policy says about a batch.
struct Decisions {
    now: Instant,
    gifts: GiftFacts,
    /// Those that are put off or end.
    decided: Vec<Decided>,
    queued: Vec<Queued>,
    /// Of the queued ones.
    envelopes: Vec<Envelope>,
}

impl Decisions {
    /// Counts them for metrics, and for who asked for a batch of so many.
    fn told(&self, taken: u64) -> Dispatched {
        let deferred = self.decided.iter().filter(|row| row.state == State::Planned).count() as u64;
        let (queued, ended) = (self.queued.len() as u64, self.decided.len() as u64 - deferred);
        for (decision, count) in [("queued", queued), ("deferred", deferred), ("ended", ended)] {
            counter!("rekindle_dispatched_total", "decision" => decision).increment(count);
        }
        for reason in self.decided.iter().filter_map(|row| row.reason) {
            counter!("rekindle_ended_total", "stage" => "dispatch", "reason" => reason.as_str()).increment(1);
        }
        Dispatched { taken, queued, deferred, ended, ..Dispatched::default() }
    }
}

impl Dispatcher<'_> {
    /// How many messages one step takes at most.
    pub fn batch(&self) -> i64 {
        if self.queue.memory().is_some() { BATCH_IN_MEMORY } else { BATCH }
    }

    /// Prepares one batch of what is ready now and publishes the batch before. Nothing is left to do
    /// when it neither took nor published anything.
    pub async fn step(&mut self, catalog: &Catalog) -> Result<Dispatched, DispatchError> {
        let before = std::mem::take(&mut self.prepared);
        let count = before.envelopes.len() as u64;
        let room = before.room;
        let (published, next) = tokio::join!(self.publish(before), within(self.prepare(catalog, room)));
        let (done, prepared) = next?;
        self.prepared = prepared;
        published?;
        // Nobody else is asked: it is there at once.
        if self.queue.memory().is_some() {
            self.finish().await?;
        }
        Ok(Dispatched { published: count, ..done })
    }

    /// So many are in the queue by now; nothing is prepared.
    pub fn counted(&mut self, in_queue: i64) {
        self.prepared.room = IN_QUEUE - in_queue;
    }

    /// Puts what is prepared back, unpublished.
    pub async fn give_back(&mut self) -> Result<(), DispatchError> {
        let Prepared { batch, envelopes, .. } = std::mem::take(&mut self.prepared);
        Ok(within(self.record(batch, &envelopes.iter().map(Dispatch::from).collect::<Vec<_>>())).await?)
    }

    /// Publishes what is prepared, and prepares nothing more.
    pub async fn finish(&mut self) -> Result<(), DispatchError> {
        let prepared = std::mem::take(&mut self.prepared);
        self.publish(prepared).await
    }

    /// Decides about one batch and commits the decisions. What comes back is queued in the store
    /// and must be published next.
    async fn prepare(&self, catalog: &Catalog, known_room: i64) -> Result<(Dispatched, Prepared), DispatchError> {
        let only = |done: Dispatched| Ok((done, Prepared::default()));
        let mut tx = self.store.begin_deciding().await?;
        if configuration::all_paused(&mut tx).await? {
            return only(Dispatched::default());
        }
        let room = self.room(&mut tx, known_room).await?;
        // Small batches cost as much as large ones.
        if room < self.batch() {
            return only(Dispatched { full: Some(IN_QUEUE - room), ..Dispatched::default() });
        }
        // Before all that it stands for.
        let policy = configuration::policy(&mut tx).await?;
        let (now, silent) = (self.clock.now(), catalog.silent());
        let ready = ledger::take(&mut tx, now, self.due_before, &silent, self.batch()).await?;
        if ready.is_blocked() {
            let mut tx = tx.write_on(self.store).await?;
            let moved = ledger::make_way(&mut tx, ready).await?;
            tx.commit().await?;
            return only(Dispatched { moved, ..Dispatched::default() });
        }
        if ready.messages.is_empty() {
            tx.commit().await?;
            return only(Dispatched::default());
        }
        // What is drawn from a pool must be there when it is taken.
        if catalog.gives(&ready.messages) {
            tx = tx.write_on(self.store).await?;
        }
        let decisions = self.decide_all(&mut tx, catalog, &ready.messages, policy).await?;
        // Whatever has changed since a snapshot: what is gone or no longer planned is left alone, and before it goes out
        // its claim and the number of policy are asked.
        let tx = tx.write_on(self.store).await?;
        let batch = self.write(tx, &decisions).await?;
        let done = decisions.told(ready.messages.len() as u64);
        let envelopes = decisions.envelopes;
        let room = room - i64::try_from(envelopes.len()).unwrap_or(room);
        Ok((done, Prepared { batch, envelopes, room }))
    }

    /// How many more messages may be under way.
    async fn room(&self, tx: &mut Tx, known: i64) -> Result<i64, StoreError> {
        Ok(match self.queue.memory() {
            Some(memory) => i64::try_from(memory.room()).unwrap_or(i64::MAX),
            None if known > 0 => known,
            None => IN_QUEUE - messages::in_queue(tx).await?,
        })
    }

    /// Asks policy about a batch, one message after the other, and renders what it lets go.
    async fn decide_all(
        &self,
        tx: &mut Tx,
        catalog: &Catalog,
        batch: &[Message],
        policy: i64,
    ) -> Result<Decisions, StoreError> {
        let sharing = catalog.sharing(tx, batch).await?;
        let mut ids: Vec<i64> = batch.iter().map(|message| message.member_id).chain(sharing.members()).collect();
        ids.sort_unstable();
        ids.dedup();
        // Two dispatchers never decide about one member, or one address, at once. Now is when it is this one's turn:
        // what the other sent to a member while this one waited lies before it.
        members::lock(tx, ids).await?;
        let now = self.clock.now();
        let mut around = catalog.surroundings_among(tx, batch, now, Stock::Drawn, sharing).await?;
        // One that was tried may be with somebody already, who alone may have it again.
        let tried = batch.iter().filter(|message| message.attempts > 0).map(|message| message.id).collect();
        let mut may_have = attempts::may_have(tx, tried).await?;
        let (mut decided, mut queued, mut envelopes) = (Vec::new(), Vec::new(), Vec::new());
        for message in batch {
            let campaign = catalog.campaigns.get(&message.campaign).map(AsRef::as_ref);
            match self.decide(catalog, &mut around, message, campaign, now) {
                Ok((row, envelope)) => {
                    let only = may_have.remove(&message.id).filter(|_| row.channel == Channel::Sms);
                    envelopes.push(Envelope { only, policy, ..envelope });
                    queued.push(row);
                }
                Err(other) => decided.push(other),
            }
        }
        Ok(Decisions { now, gifts: around.gifts, decided, queued, envelopes })
    }

    /// Commits what was decided; gives the name of the batch.
    async fn write(&self, mut tx: Tx, decisions: &Decisions) -> Result<Uuid, StoreError> {
        let Decisions { now, gifts, decided, queued, .. } = decisions;
        ledger::decide(&mut tx, decided).await?;
        gifts::reserve(&mut tx, gifts, *now).await?;
        let name = self.clock.new_id();
        ledger::queue(&mut tx, queued, name, *now, LEASE, UNHEARD).await?;
        tx.commit().await?;
        Ok(name)
    }

    /// Publishes prepared envelopes and records what the queue has not taken.
    async fn publish(&self, prepared: Prepared) -> Result<(), DispatchError> {
        let Prepared { batch, envelopes, .. } = prepared;
        if envelopes.is_empty() {
            return Ok(());
        }
        if let Some(memory) = self.queue.memory() {
            counter!("rekindle_published_total", "result" => "confirmed").increment(envelopes.len() as u64);
            // It is held as long as anything of it waits in this process.
            memory.push(batch, envelopes);
            return Ok(());
        }
        let dispatches: Vec<Dispatch> = envelopes.iter().map(Dispatch::from).collect();
        let published = self.queue.publish(envelopes).await;
        let taken: HashSet<Uuid> = published.iter().flatten().copied().collect();
        let refused: Vec<Dispatch> = dispatches.into_iter().filter(|dispatch| !taken.contains(&dispatch.id)).collect();
        counter!("rekindle_published_total", "result" => "confirmed").increment(taken.len() as u64);
        counter!("rekindle_published_total", "result" => "refused").increment(refused.len() as u64);
        within(self.record(batch, &refused)).await?;
        published?;
        Ok(())
    }

    /// Records that the queue has a batch, but for what goes back.
    async fn record(&self, batch: Uuid, refused: &[Dispatch]) -> Result<(), StoreError> {
        let mut tx = self.store.begin_ledger(true).await?;
        if !refused.is_empty() {
            tracing::debug!(count = refused.len(), "the queue did not take these messages; they go back");
            plan::back(&mut tx, &refused.iter().map(|dispatch| Back::from(*dispatch)).collect::<Vec<_>>()).await?;
        }
        ledger::confirm(&mut tx, batch).await?;
        tx.commit().await
    }

    /// The channel and envelope of a message to send, or how it ends otherwise.
    fn decide(
        &self,
        catalog: &Catalog,
        around: &mut Surroundings,
        message: &Message,
        campaign: Option<&Campaign>,
        now: Instant,
    ) -> Result<(Queued, Envelope), Decided> {
        let facts = around.facts(message, campaign, &catalog.brand, now);
        let Some(campaign) = campaign else {
            return Err(Decided::ended(message.id, Reason::CampaignEnded));
        };
        let rules = campaign.rules(&catalog.brand);
        let (channel, decision) = match assign(&facts, &rules, now) {
            Ok(assigned) => assigned,
            Err(reason) => {
                around.note_ended(message, reason);
                return Err(Decided::ended(message.id, reason));
            }
        };
        around.note_assigned(message, campaign, channel, now);
        let assigned = |state: State, reason: Option<Reason>, next_at: Option<Instant>| Decided {
            id: message.id,
            state,
            reason,
            next_at: next_at.map(|at| at.timestamp_millis()),
            channel: Some(channel),
            assigned_at: Some(now.timestamp_millis()),
            arm: facts.assignment.arm.clone(),
            unit: facts.assignment.unit.clone(),
        };
        let ended = |reason: Reason| assigned(end_state(reason), Some(reason), None);
        match decision {
            Decision::Skip(reason) => {
                around.note_ended(message, reason);
                Err(ended(reason))
            }
            Decision::Defer(until) => Err(assigned(State::Planned, None, Some(until))),
            Decision::Send(channel) => {
                match self.envelope(catalog, around, message, (campaign, &facts), channel, now) {
                    Ok((envelope, locale)) => {
                        around.note_sent(message, campaign, &catalog.brand, channel, now);
                        let same = decide(&facts, &rules, now + SAME) == Decision::Send(channel);
                        let envelope = Envelope {
                            falls_back: campaign.reach == Reach::Fallback
                                && reaches_without(&facts, channel, campaign.purpose),
                            same_until: (if same { now + SAME } else { now }).timestamp_millis(),
                            ..envelope
                        };
                        Ok((queued(&envelope, facts.assignment, locale), envelope))
                    }
                    Err(error) => {
                        around.gifts.take_back(message);
                        tracing::error!(message = %message.id, campaign = %campaign.name, %error, "cannot render");
                        Err(ended(Reason::RenderFailed))
                    }
                }
            }
        }
    }

    fn envelope(
        &self,
        catalog: &Catalog,
        around: &mut Surroundings,
        message: &Message,
        (campaign, facts): (&Campaign, &Facts),
        channel: Channel,
        now: Instant,
    ) -> Result<(Envelope, String), RenderError> {
        let missing = |reason: &str| RenderError {
            template: campaign.name.clone(),
            place: String::new(),
            reason: reason.to_owned(),
        };
        let gift = around.give(message, campaign, &catalog.brand, now);
        let member = around.members.get(&message.member_id).ok_or_else(|| missing("the member is gone"))?;
        let address = member.address(channel).ok_or_else(|| missing("the member has no address"))?;
        let arm = facts.assignment.arm.as_deref();
        let step = campaign.step(&message.step, arm).ok_or_else(|| missing("the step is gone"))?;
        let to = self.redirect.map_or(address, |redirect| redirect.address(channel));
        let content = render(catalog, campaign, step, (channel, to), message, around, gift.as_ref())?;
        let envelope = Envelope {
            dispatch_no: message.dispatch_no + 1,
            at: now.timestamp_millis(),
            campaign: campaign.name.clone(),
            meant_for: self.redirect.map(|_| address.to_owned()),
            retries: message.retries,
            first_failed_at: message.first_failed_at,
            ..Envelope::new(message.id, campaign.purpose, to, content)
        };
        Ok((envelope, member.locale(&catalog.brand).to_owned()))
    }
}

/// What the ledger keeps of a message that is on its way.
fn queued(envelope: &Envelope, assignment: Assignment, locale: String) -> Queued {
    let domain = envelope.judged().rsplit_once('@').map(|(_, domain)| domain.to_lowercase());
    let segments = match &envelope.content {
        Content::Sms { forms } => forms.iter().find_map(|form| match &form.words {
            SmsWords::Text(text) => i64::try_from(SmsSize::of(text).segments).ok(),
            SmsWords::Pattern { .. } => None,
        }),
        Content::Email { .. } => None,
    };
    let Dispatch { id, dispatch_no } = envelope.into();
    let Assignment { arm, unit } = assignment;
    Queued { id, dispatch_no, channel: envelope.channel(), arm, unit, locale: Some(locale), domain, segments }
}

/// What a message of a known member to an address says.
fn render(
    catalog: &Catalog,
    campaign: &Campaign,
    step: &Step,
    (channel, to): (Channel, &str),
    message: &Message,
    around: &Surroundings,
    gift: Option<&Gift>,
) -> Result<Content, RenderError> {
    let member = &around.members[&message.member_id];
    let variables = Variables {
        brand: &catalog.brand,
        member,
        campaign: &campaign.name,
        message: message.id,
        tokens: &catalog.tokens,
        track: campaign.track,
        step: &message.step,
        due_at: message.due_at,
        years: message.years,
        order: message.purchase_id.and_then(|id| around.orders.get(&id)),
        gift,
    };
    let mut content = catalog.content(campaign, step, channel, to, &variables)?;
    catalog.origin().complete(&mut content, &campaign.name, campaign.purpose, campaign.trigger.kind(), message.id);
    Ok(content)
}
