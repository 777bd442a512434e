//! The dispatcher: takes messages whose time has come, asks policy, renders, commits `queued` under
//! the next dispatch number, and only then publishes. What the queue does not confirm goes back.

use std::collections::HashSet;

use metrics::counter;
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::domain::Instant;
use crate::domain::campaign::Campaign;
use crate::domain::gift::Gift;
use crate::domain::message::{Channel, Content, ENVELOPE_VERSION, Envelope, Reason, State};
use crate::domain::policy::{Decision, assign, end_state};
use crate::queue::{Queue, QueueError};
use crate::rendering::{RenderError, Variables};
use crate::settings::Redirect;
use crate::store::facts::Surroundings;
use crate::store::gifts::{self, Stock};
use crate::store::messages::{self, Decided, Dispatch, Message, Queued};
use crate::store::{Store, StoreError, claims, configuration, members, within};

/// Messages decided in one transaction.
pub const BATCH: i64 = 500;

/// Messages between dispatch and outcome at any time: enough to keep many senders busy, few enough
/// that the queue holds only what is ready.
pub const IN_QUEUE: i64 = 5_000;

/// Until the queue confirms, a message may be lost with it: then it is taken back after this long.
const UNCONFIRMED_LEASE: i64 = 30_000;

/// A confirmed message waits this long for a sender; then it is dispatched again, and the older
/// copy, should it still come, is dropped.
const CONFIRMED_LEASE: i64 = 30 * 60_000;

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
    /// Put out of the way: their campaigns are paused or held.
    pub parked: u64,
    /// Whether the bound on what is in the queue stopped it.
    pub full: bool,
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
    pub prepared: Vec<Envelope>,
}

impl Dispatcher<'_> {
    /// Prepares one batch of what is ready now and publishes the batch before. Nothing is left to do
    /// when it neither took nor published anything.
    pub async fn step(&mut self, catalog: &Catalog) -> Result<Dispatched, DispatchError> {
        let batch = std::mem::take(&mut self.prepared);
        let (published, next) = tokio::join!(self.publish(&batch), within(self.prepare(catalog)));
        let (done, envelopes) = next?;
        self.prepared = envelopes;
        published?;
        Ok(Dispatched { published: batch.len() as u64, ..done })
    }

    /// Puts what is prepared back, unpublished.
    pub async fn give_back(&mut self) -> Result<(), DispatchError> {
        let batch = std::mem::take(&mut self.prepared);
        let refused: Vec<Dispatch> = batch.iter().map(dispatch).collect();
        Ok(within(self.record(&[], &refused)).await?)
    }

    /// Publishes what is prepared, and prepares nothing more.
    pub async fn finish(&mut self) -> Result<(), DispatchError> {
        let batch = std::mem::take(&mut self.prepared);
        self.publish(&batch).await
    }

    /// Decides about one batch and commits the decisions. What comes back is queued in the store
    /// and must be published next.
    async fn prepare(&self, catalog: &Catalog) -> Result<(Dispatched, Vec<Envelope>), DispatchError> {
        let mut tx = self.store.begin().await?;
        if configuration::all_paused(&mut tx).await? {
            return Ok((Dispatched::default(), Vec::new()));
        }
        let room = IN_QUEUE - messages::in_queue(&mut tx).await?;
        // Small batches cost as much as large ones.
        if room < BATCH {
            return Ok((Dispatched { full: true, ..Dispatched::default() }, Vec::new()));
        }
        let (now, due_before) = (self.clock.now(), self.due_before);
        let (batch, parked) =
            messages::take_planned(&mut tx, now, due_before, &catalog.silent(), BATCH.min(room)).await?;
        if batch.is_empty() {
            tx.commit().await?;
            return Ok((Dispatched { parked, ..Dispatched::default() }, Vec::new()));
        }
        let mut ids: Vec<i64> = batch.iter().map(|message| message.member_id).collect();
        let shares = |message: &Message| {
            catalog.campaigns.get(&message.campaign).is_some_and(|campaign| campaign.trigger.is_for_everybody())
        };
        if catalog.brand.frequency_cap.is_some() || batch.iter().any(shares) {
            ids.extend(members::sharing(&mut tx, ids.clone()).await?.into_iter().map(|(id, ..)| id));
        }
        ids.sort_unstable();
        ids.dedup();
        // Two dispatchers never decide about one member, or one address, at once. Now is when it is this one's turn:
        // what the other sent to a member while this one waited lies before it.
        members::lock(&mut tx, ids).await?;
        let now = self.clock.now();
        let mut around = catalog.surroundings(&mut tx, &batch, now, Stock::Drawn).await?;
        // One that was tried may be with somebody already, who alone may have it again.
        let tried = batch.iter().filter(|message| message.attempts > 0).map(|message| message.id).collect();
        let mut may_have = claims::may_have(&mut tx, tried).await?;
        let mut decided = Vec::new();
        let mut queued = Vec::new();
        let mut envelopes = Vec::new();
        for message in &batch {
            let campaign = catalog.campaigns.get(&message.campaign).map(AsRef::as_ref);
            match self.decide(catalog, &mut around, message, campaign, now) {
                Ok((channel, envelope)) => {
                    queued.push(Queued { id: message.id, channel });
                    let only = may_have.remove(&message.id).filter(|_| channel == Channel::Sms);
                    envelopes.push(Envelope { only, ..envelope });
                }
                Err(other) => decided.push(other),
            }
        }
        messages::decide(&mut tx, &decided).await?;
        gifts::reserve(&mut tx, &around.gifts, now).await?;
        messages::queue(&mut tx, &queued, now, UNCONFIRMED_LEASE).await?;
        tx.commit().await?;
        let deferred = decided.iter().filter(|row| row.state == State::Planned).count() as u64;
        for (decision, count) in
            [("queued", queued.len() as u64), ("deferred", deferred), ("ended", decided.len() as u64 - deferred)]
        {
            counter!("rekindle_dispatched_total", "decision" => decision).increment(count);
        }
        for reason in decided.iter().filter_map(|row| row.reason) {
            counter!("rekindle_ended_total", "stage" => "dispatch", "reason" => reason.as_str()).increment(1);
        }
        let done = Dispatched {
            taken: batch.len() as u64,
            queued: queued.len() as u64,
            deferred,
            ended: decided.len() as u64 - deferred,
            parked,
            ..Dispatched::default()
        };
        Ok((done, envelopes))
    }

    /// Publishes prepared envelopes and records what the queue confirmed.
    async fn publish(&self, envelopes: &[Envelope]) -> Result<(), DispatchError> {
        if envelopes.is_empty() {
            return Ok(());
        }
        let published = self.queue.publish(envelopes).await;
        let taken: HashSet<Uuid> = published.iter().flatten().copied().collect();
        let (confirmed, refused): (Vec<Dispatch>, Vec<Dispatch>) =
            envelopes.iter().map(dispatch).partition(|dispatch| taken.contains(&dispatch.id));
        within(self.record(&confirmed, &refused)).await?;
        published?;
        Ok(())
    }

    /// Records which dispatches the queue has, and puts the others back.
    async fn record(&self, confirmed: &[Dispatch], refused: &[Dispatch]) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        if !confirmed.is_empty() {
            messages::confirm(&mut tx, confirmed, CONFIRMED_LEASE).await?;
        }
        if !refused.is_empty() {
            tracing::debug!(count = refused.len(), "the queue did not confirm; these messages go back");
            messages::unqueue(&mut tx, refused).await?;
        }
        tx.commit().await?;
        counter!("rekindle_published_total", "result" => "confirmed").increment(confirmed.len() as u64);
        counter!("rekindle_published_total", "result" => "refused").increment(refused.len() as u64);
        Ok(())
    }

    /// The channel and envelope of a message to send, or how it ends otherwise.
    fn decide(
        &self,
        catalog: &Catalog,
        around: &mut Surroundings,
        message: &Message,
        campaign: Option<&Campaign>,
        now: Instant,
    ) -> Result<(Channel, Envelope), Decided> {
        let facts = around.facts(message, campaign, &catalog.brand, now);
        let Some(campaign) = campaign else {
            return Err(Decided::ended(message.id, Reason::CampaignEnded));
        };
        let (channel, decision) = match assign(&facts, &campaign.rules(&catalog.brand), now) {
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
        };
        let ended = |reason: Reason| assigned(end_state(reason), Some(reason), None);
        match decision {
            Decision::Skip(reason) => {
                around.note_ended(message, reason);
                Err(ended(reason))
            }
            Decision::Defer(until) => Err(assigned(State::Planned, None, Some(until))),
            Decision::Send(channel) => match self.envelope(catalog, around, message, campaign, channel, now) {
                Ok(envelope) => {
                    around.note_sent(message, campaign, &catalog.brand, channel, now);
                    Ok((channel, envelope))
                }
                Err(error) => {
                    around.gifts.take_back(message);
                    tracing::error!(message = %message.id, campaign = %campaign.name, %error, "cannot render");
                    Err(ended(Reason::RenderFailed))
                }
            },
        }
    }

    fn envelope(
        &self,
        catalog: &Catalog,
        around: &mut Surroundings,
        message: &Message,
        campaign: &Campaign,
        channel: Channel,
        now: Instant,
    ) -> Result<Envelope, RenderError> {
        let missing = |reason: &str| RenderError {
            template: campaign.name.clone(),
            place: String::new(),
            reason: reason.to_owned(),
        };
        let gift = around.give(message, campaign, &catalog.brand, now);
        let member = around.members.get(&message.member_id).ok_or_else(|| missing("the member is gone"))?;
        let address = member.address(channel).ok_or_else(|| missing("the member has no address"))?;
        let step = campaign
            .step_index(&message.step)
            .map(|index| &campaign.steps[index])
            .ok_or_else(|| missing("the step is gone"))?;
        let to = self.redirect.map_or(address, |redirect| redirect.address(channel));
        let content = render(catalog, campaign, &step.content, (channel, to), message, around, gift.as_ref())?;
        Ok(Envelope {
            v: ENVELOPE_VERSION,
            message: message.id,
            dispatch_no: message.dispatch_no + 1,
            at: now.timestamp_millis(),
            campaign: campaign.name.clone(),
            purpose: campaign.purpose,
            to: to.to_owned(),
            meant_for: self.redirect.map(|_| address.to_owned()),
            only: None,
            content,
        })
    }
}

/// Which dispatch an envelope is of.
const fn dispatch(envelope: &Envelope) -> Dispatch {
    Dispatch { id: envelope.message, dispatch_no: envelope.dispatch_no }
}

/// What a message of a known member to an address says.
fn render(
    catalog: &Catalog,
    campaign: &Campaign,
    content: &str,
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
    let mut content = catalog.content(campaign, content, channel, to, &variables)?;
    catalog.origin().complete(&mut content, &campaign.name, campaign.purpose, campaign.trigger.kind(), message.id);
    Ok(content)
}
