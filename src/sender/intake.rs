//! The part of a sender that talks to the queue: takes copies, claims them, asks policy again, passes
//! on what may be sent, and acknowledges what was recorded.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant as Monotonic;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{BACKOFF, LEASE, Places, Receipt, Running, Work};
use crate::catalog::{Catalog, CatalogError};
use crate::domain::Instant;
use crate::domain::campaign::Reach;
use crate::domain::message::{Envelope, Reason, State};
use crate::domain::policy::{Decision, decide, end_state, reaches_without};
use crate::queue::{Consumer, Delivery, QueueError, Settle, Tag};
use crate::senders::{Admission, Daily};
use crate::store::claims::{self, Finished, Wanted};
use crate::store::gifts::Stock;
use crate::store::messages::Message;
use crate::store::{StoreError, Tx, configuration, paces, within};
use crate::telemetry::Trouble;

/// Messages claimed and not yet recorded: what waits for a recorder must not keep connections idle.
const MOST_IN_FLIGHT: usize = 1_000;

/// How many messages are claimed ahead: enough for large transactions, few enough that their claims
/// do not run out.
pub(super) fn ahead(connections: usize) -> usize {
    (connections * 20).clamp(16, 300)
}

/// The part that talks to the queue.
pub(super) struct Intake {
    pub role: Arc<Running>,
    /// To the connections; its capacity is how many messages are claimed ahead of them.
    pub work: mpsc::Sender<Work>,
    pub done: mpsc::UnboundedReceiver<Receipt>,
    pub paused_until: watch::Receiver<Monotonic>,
    /// Claimed and not yet recorded.
    pub in_flight: usize,
    /// Counts the consumers that were opened.
    pub consumer: u64,
    pub probe: Probe,
}

/// After a pause of the whole sender one message tries whether it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    None,
    Wanted,
    UnderWay,
}

/// A message that may be sent.
struct Claimed {
    message: Message,
    /// Whether another channel stands behind it.
    falls_back: bool,
    /// The places of today that it has.
    places: Places,
}

/// A day in milliseconds.
const DAY: i64 = 24 * 3_600_000;

/// Where `redirect_all_to` differs between dispatcher and sender, they would hand a message to each other
/// without end.
const REDIRECTED: Duration = Duration::from_secs(60);

/// A message that may go as far as policy is asked, and the numbers a day that hold for it.
struct Allowed<'a> {
    message: Message,
    falls_back: bool,
    envelope: &'a Envelope,
    daily: Vec<Daily>,
}

/// Why the intake starts over.
#[derive(Debug, thiserror::Error)]
enum IntakeError {
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl Intake {
    /// Takes, claims and passes on until `shutdown`, then waits for what is under way.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let prefetch = u16::try_from(MOST_IN_FLIGHT + self.work.max_capacity()).unwrap_or(u16::MAX);
        let mut trouble = Trouble::new(format!("taking messages ({})", self.role.channel));
        while !shutdown.is_cancelled() {
            let opened = self.role.queue.consume(self.role.channel, prefetch).await;
            let result = match opened {
                Ok(mut consumer) => {
                    self.consumer += 1;
                    trouble.over();
                    let result = self.consume(consumer.as_mut(), &shutdown).await;
                    consumer.close().await;
                    result
                }
                Err(error) => Err(error.into()),
            };
            if let Err(error) = result {
                trouble.met(&error);
                tokio::select! {
                    () = tokio::time::sleep(BACKOFF) => {}
                    () = shutdown.cancelled() => {}
                }
            }
        }
    }

    async fn consume(&mut self, consumer: &mut dyn Consumer, shutdown: &CancellationToken) -> Result<(), IntakeError> {
        let mut catalog = None;
        while !shutdown.is_cancelled() {
            self.settle(consumer, None).await?;
            let paused_until = *self.paused_until.borrow();
            // On a simulated clock what goes back is ready again at once.
            let waits = !self.role.single_pass || self.role.clock.is_simulated();
            if waits && let Some(left) = paused_until.checked_duration_since(Monotonic::now()) {
                tokio::select! {
                    () = tokio::time::sleep(left.min(Duration::from_millis(200))) => {}
                    () = shutdown.cancelled() => {}
                }
                self.probe = Probe::Wanted;
                continue;
            }
            if self.probe != Probe::None && self.in_flight > 0 {
                self.wait_for_done(consumer, Duration::from_millis(20)).await?;
                continue;
            }
            if self.probe == Probe::UnderWay {
                // It ended, and the sender does not pause again.
                self.probe = Probe::None;
            }
            let room = if self.probe == Probe::Wanted { 1 } else { self.work.capacity() };
            if self.in_flight >= MOST_IN_FLIGHT
                || (self.in_flight > 0 && room < self.work.max_capacity() / 2 && self.probe == Probe::None)
            {
                self.wait_for_room(consumer).await?;
                continue;
            }
            // While others are under way a short look is enough; their ends matter more.
            let wait = if self.in_flight > 0 { Duration::ZERO } else { Duration::from_millis(200) };
            let deliveries = tokio::select! {
                deliveries = consumer.next(room, wait) => deliveries?,
                () = shutdown.cancelled() => break,
            };
            if deliveries.is_empty() {
                if self.in_flight > 0 {
                    self.wait_for_done(consumer, Duration::from_millis(20)).await?;
                }
                continue;
            }
            self.take(consumer, deliveries, &mut catalog, shutdown).await?;
            if self.probe == Probe::Wanted && self.in_flight > 0 {
                self.probe = Probe::UnderWay;
            }
        }
        // What is claimed is finished; its deliveries are acknowledged while the consumer lives.
        let (closed, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut self.work, closed));
        while self.in_flight > 0 {
            self.wait_for_done(consumer, Duration::from_secs(60)).await?;
        }
        Ok(())
    }

    /// Waits until the connections have taken half of what was claimed ahead, or outcomes can be
    /// acknowledged.
    async fn wait_for_room(&mut self, consumer: &mut dyn Consumer) -> Result<(), IntakeError> {
        let room = async {
            // A closed channel, or too much that is not recorded yet: only outcomes help.
            if self.in_flight >= MOST_IN_FLIGHT
                || self.work.reserve_many(self.work.max_capacity() / 2).await.map(drop).is_err()
            {
                std::future::pending::<()>().await;
            }
        };
        let receipt = tokio::select! {
            () = room => None,
            receipt = self.done.recv() => receipt,
            () = tokio::time::sleep(Duration::from_secs(1)) => None,
        };
        let first = receipt.and_then(|receipt| self.recorded(receipt));
        self.settle(consumer, first).await
    }

    /// Waits until something was recorded, at most for `limit`, and acknowledges it.
    async fn wait_for_done(&mut self, consumer: &mut dyn Consumer, limit: Duration) -> Result<(), IntakeError> {
        if let Ok(Some(receipt)) = tokio::time::timeout(limit, self.done.recv()).await {
            let first = self.recorded(receipt);
            self.settle(consumer, first).await?;
        }
        Ok(())
    }

    /// Acknowledges what was recorded.
    async fn settle(&mut self, consumer: &mut dyn Consumer, first: Option<Tag>) -> Result<(), IntakeError> {
        let mut settled: Vec<(Tag, Settle)> = first.into_iter().map(|tag| (tag, Settle::Acknowledge)).collect();
        while let Ok(receipt) = self.done.try_recv() {
            settled.extend(self.recorded(receipt).map(|tag| (tag, Settle::Acknowledge)));
        }
        if !settled.is_empty() {
            consumer.settle(settled).await?;
        }
        Ok(())
    }

    /// Counts a recorded message; its tag, if it is this consumer's to acknowledge.
    fn recorded(&mut self, receipt: Receipt) -> Option<Tag> {
        self.in_flight -= 1;
        (receipt.consumer == self.consumer).then_some(receipt.tag)
    }

    /// Claims what came, asks policy, and passes on what may be sent.
    async fn take(
        &mut self,
        consumer: &mut dyn Consumer,
        deliveries: Vec<Delivery>,
        catalog: &mut Option<Arc<Catalog>>,
        shutdown: &CancellationToken,
    ) -> Result<(), IntakeError> {
        // The same in every try: what was claimed already, should the answer be lost, is ours.
        let token = self.role.clock.new_id();
        let mut trouble = Trouble::new(format!("claiming messages ({})", self.role.channel));
        let claimed = loop {
            match within(self.claim(&deliveries, token, catalog)).await {
                Ok(claimed) => break claimed,
                // Held, not given back: each return would count towards the limit of deliveries.
                Err(error) if !shutdown.is_cancelled() => {
                    let in_the_way = matches!(&error, IntakeError::Store(error) if error.is_transient());
                    trouble.met(&error);
                    tokio::select! {
                        () = tokio::time::sleep(if in_the_way { BACKOFF / 10 } else { BACKOFF }) => {}
                        () = shutdown.cancelled() => {}
                    }
                }
                Err(error) => {
                    let back = deliveries.iter().map(|delivery| (delivery.tag, Settle::GiveBack)).collect();
                    consumer.settle(back).await?;
                    return Err(error);
                }
            }
        };
        trouble.over();
        let key = |claimed: &Claimed| (claimed.message.id, claimed.message.dispatch_no);
        let mut work: HashMap<_, Claimed> = claimed.into_iter().map(|claimed| (key(&claimed), claimed)).collect();
        let mut settled = Vec::new();
        let mut passed = Vec::new();
        for Delivery { tag, envelope } in deliveries {
            match work.remove(&(envelope.message, envelope.dispatch_no)) {
                Some(Claimed { message, falls_back, places }) => {
                    let receipt = Receipt { consumer: self.consumer, tag };
                    passed.push(Work { envelope, message, claim: token, receipt, falls_back, places });
                }
                // Another copy has it, or policy ended it: the store knows.
                None => settled.push((tag, Settle::Acknowledge)),
            }
        }
        // What is claimed is sent, whether or not the queue can still be told of the rest.
        for work in passed {
            self.in_flight += 1;
            if self.work.send(work).await.is_err() {
                self.in_flight -= 1;
            }
        }
        if !settled.is_empty() {
            consumer.settle(settled).await?;
        }
        Ok(())
    }

    async fn claim(
        &self,
        deliveries: &[Delivery],
        token: Uuid,
        known: &mut Option<Arc<Catalog>>,
    ) -> Result<Vec<Claimed>, IntakeError> {
        let role = &self.role;
        let now = role.clock.now();
        let wanted: Vec<Wanted> = deliveries
            .iter()
            .map(|delivery| Wanted { wanted: delivery.envelope.message, wanted_no: delivery.envelope.dispatch_no })
            .collect();
        let mut tx = role.store.begin().await?;
        let catalog = Catalog::current(&mut tx, &role.settings, known.as_ref()).await?;
        *known = Some(Arc::clone(&catalog));
        let claimed = claims::claim(&mut tx, &wanted, token, LEASE).await?;
        if claimed.len() < wanted.len() {
            self.notice_older_store(&mut tx, &wanted).await?;
        }
        let key = |envelope: &Envelope| (envelope.message, envelope.dispatch_no);
        let envelopes: HashMap<_, &Envelope> = deliveries.iter().map(|d| (key(&d.envelope), &d.envelope)).collect();
        let around = catalog.surroundings(&mut tx, &claimed, now, Stock::Settled).await?;
        let silent = self.silent(&mut tx, &catalog).await?;
        let (mut pass, mut finished, mut released) = (Vec::new(), Vec::new(), Vec::new());
        for message in claimed {
            if silent.as_ref().is_none_or(|names| names.contains(&message.campaign)) {
                released.push(message.id);
                continue;
            }
            let campaign = catalog.campaigns.get(&message.campaign);
            let facts = around.facts(&message, campaign.map(AsRef::as_ref), &catalog.brand, now);
            let decision = match campaign {
                Some(campaign) => decide(&facts, &campaign.rules(&catalog.brand), now),
                None => Decision::Skip(Reason::CampaignEnded),
            };
            let blank = |state| role.blank(&message, token, state);
            match decision {
                Decision::Send(channel) if Some(channel) == message.channel => {
                    let falls_back = campaign.is_some_and(|campaign| {
                        campaign.reach == Reach::Fallback && reaches_without(&facts, channel, campaign.purpose)
                    });
                    let Some(envelope) = envelopes.get(&(message.id, message.dispatch_no)) else { continue };
                    let address = around.members.get(&message.member_id).and_then(|member| member.address(channel));
                    match self.aims(envelope, address) {
                        Ok(()) => {
                            let daily = self.daily(envelope);
                            pass.push(Allowed { message, falls_back, envelope, daily });
                        }
                        Err(Duration::ZERO) => finished.push(blank(State::Planned)),
                        Err(wait) => finished.push(role.later(&message, token, wait)),
                    }
                }
                // Reachable on another channel by now: dispatch renders it anew.
                Decision::Send(_) => finished.push(blank(State::Planned)),
                Decision::Defer(until) => {
                    finished.push(Finished { next_at: Some(until.timestamp_millis()), ..blank(State::Planned) });
                }
                Decision::Skip(reason) => finished.push(Finished { reason: Some(reason), ..blank(end_state(reason)) }),
            }
        }
        let pass = self.admitted(&mut tx, pass, token, &mut finished, now).await?;
        if !finished.is_empty() {
            claims::finish(&mut tx, &finished.iter().collect::<Vec<_>>(), now).await?;
        }
        if !released.is_empty() {
            claims::release(&mut tx, released, token).await?;
        }
        tx.commit().await?;
        counter!("rekindle_claimed_total", "channel" => role.channel.as_str()).increment(pass.len() as u64);
        for reason in finished.iter().filter_map(|row| row.reason) {
            counter!("rekindle_ended_total", "stage" => "send", "reason" => reason.as_str()).increment(1);
        }
        Ok(pass)
    }

    /// A copy of a dispatch that the store does not know: it was restored from a backup, and would send
    /// again what it forgot. Nothing more goes out until a person has looked.
    async fn notice_older_store(&self, tx: &mut Tx, wanted: &[Wanted]) -> Result<(), StoreError> {
        let unknown = claims::unknown(tx, wanted).await?;
        if unknown > 0 && !configuration::all_paused(tx).await? {
            tracing::error!(
                channel = %self.role.channel,
                unknown,
                "the queue holds messages that this store never dispatched: was it restored from a backup? \
                 everything is paused; see `rekindle restored --help`"
            );
            let because = "the queue holds messages that this store never dispatched, as after a restored backup";
            configuration::pause_all(tx, Some(because)).await?;
        }
        Ok(())
    }

    /// Whether a message goes where policy has just looked. The member's address may have changed since it was
    /// dispatched: then it is dispatched anew, at once.
    fn aims(&self, envelope: &Envelope, address: Option<&str>) -> Result<(), Duration> {
        let is = |known: &str, address: &str| known.to_lowercase() == address.to_lowercase();
        let meant_for = envelope.meant_for.as_deref().unwrap_or(&envelope.to);
        let Some(address) = address.filter(|address| is(meant_for, address)) else { return Err(Duration::ZERO) };
        let redirect = self.role.settings.redirect_all_to.as_ref();
        let to = redirect.map_or(address, |redirect| redirect.address(envelope.channel()));
        if is(&envelope.to, to) { Ok(()) } else { Err(REDIRECTED) }
    }

    /// The numbers a day that hold for a message.
    fn daily(&self, envelope: &Envelope) -> Vec<Daily> {
        if self.role.clock.is_simulated() {
            return Vec::new();
        }
        self.role.pace.daily(envelope).into_iter().chain(self.role.factory.daily(envelope)).collect()
    }

    /// Whether a message may go now, or how long to wait. It takes a place in the rates only where each has one.
    fn admit(&self, envelope: &Envelope) -> Result<(), Duration> {
        if self.role.clock.is_simulated() {
            return Ok(());
        }
        if let Admission::Wait(wait) = self.role.pace.admit(envelope) {
            return Err(wait);
        }
        match self.role.factory.admit(envelope) {
            Admission::Go => Ok(()),
            Admission::Wait(wait) => {
                self.role.pace.give_back(envelope);
                Err(wait)
            }
        }
    }

    /// Those that go now. The others wait, for a place in the rates or for tomorrow, and take no place of anything.
    async fn admitted(
        &self,
        tx: &mut Tx,
        allowed: Vec<Allowed<'_>>,
        token: Uuid,
        finished: &mut Vec<Finished>,
        now: Instant,
    ) -> Result<Vec<Claimed>, StoreError> {
        let day = now.timestamp_millis().div_euclid(DAY);
        let tomorrow = Duration::from_millis((DAY - now.timestamp_millis().rem_euclid(DAY)).unsigned_abs());
        let rows = |counts: &BTreeMap<String, i64>| -> Vec<paces::Wanted> {
            counts.iter().map(|(name, wanted)| paces::Wanted { name: name.clone(), wanted: *wanted }).collect()
        };
        let daily = allowed.iter().flat_map(|allowed| &allowed.daily);
        let mut room: HashMap<String, i64> = daily.map(|daily| (daily.name.clone(), daily.most.into())).collect();
        let mut going: BTreeMap<String, i64> = room.keys().map(|name| (name.clone(), 0)).collect();
        if !going.is_empty() {
            // None yet: nobody else counts there until it is clear who goes.
            for (name, taken) in paces::take(tx, day, &rows(&going)).await? {
                *room.entry(name).or_default() -= taken;
            }
        }
        let mut pass = Vec::with_capacity(allowed.len());
        for Allowed { message, falls_back, envelope, daily } in allowed {
            let is_over = daily.iter().any(|daily| room.get(&daily.name).is_none_or(|left| *left <= 0));
            if let Err(wait) = if is_over { Err(tomorrow) } else { self.admit(envelope) } {
                finished.push(self.role.later(&message, token, wait));
                continue;
            }
            let names: Vec<String> = daily.into_iter().map(|daily| daily.name).collect();
            for name in &names {
                *room.entry(name.clone()).or_default() -= 1;
                *going.entry(name.clone()).or_default() += 1;
            }
            pass.push(Claimed { message, falls_back, places: Places { day, names } });
        }
        going.retain(|_, count| *count > 0);
        if !going.is_empty() {
            paces::take(tx, day, &rows(&going)).await?;
        }
        Ok(pass)
    }

    /// The campaigns whose messages must wait; `None`: all of them.
    async fn silent(&self, tx: &mut Tx, catalog: &Catalog) -> Result<Option<HashSet<String>>, StoreError> {
        if configuration::all_paused(tx).await? {
            return Ok(None);
        }
        let mut names: HashSet<String> = catalog.silent().into_iter().collect();
        let states = configuration::states(tx).await?;
        names.extend(states.into_iter().filter(|(_, state)| state.paused || state.held).map(|(name, _)| name));
        Ok(Some(names))
    }
}
