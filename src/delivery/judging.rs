//! Whether a message may still go when its attempt begins: policy is asked again of what may have changed since its
//! dispatch, and the paces always.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::{Places, Running, Work};
use crate::catalog::{Catalog, CatalogError};
use crate::domain::Instant;
use crate::domain::campaign::Reach;
use crate::domain::message::{Envelope, Reason, State};
use crate::domain::policy::{Decision, decide, end_state, reaches_without};
use crate::store::facts::Surroundings;
use crate::store::gifts::Stock;
use crate::store::ledger::end::Finished;
use crate::store::ledger::start;
use crate::store::messages::Message;
use crate::store::{StoreError, Tx, configuration, paces};
use crate::transports::{Admission, Daily};

/// A day in milliseconds.
const DAY: i64 = 24 * 3_600_000;

/// Where `redirect_all_to` differs between dispatcher and sender, they would hand a message to each other
/// without end. The same where the configuration cannot be read.
const ELSEWHERE: Duration = Duration::from_secs(60);

/// Asks policy again.
#[derive(Default)]
pub(super) struct Judge {
    catalog: Option<Arc<Catalog>>,
}

impl Judge {
    /// Those of the started messages that may still be sent; the others are `finished`. Where nothing that policy asks
    /// about has changed since the dispatch, and its time has not passed, its answer is the same.
    pub async fn pass<'w>(
        &mut self,
        role: &Running,
        tx: &mut Tx,
        work: Vec<&'w mut Work>,
        policy: i64,
        finished: &mut Vec<Finished>,
    ) -> Result<Vec<&'w mut Work>, StoreError> {
        let now = role.clock.now();
        let same = |envelope: &Envelope| envelope.policy == policy && now.timestamp_millis() <= envelope.same_until;
        let (clean, changed): (Vec<_>, Vec<_>) = work.into_iter().partition(|work| same(&work.envelope));
        let mut passed = Vec::with_capacity(clean.len() + changed.len());
        for work in clean {
            match role.aims(&work.envelope, Some(work.envelope.judged())) {
                Ok(()) => passed.push(work),
                Err(wait) => finished.push(role.later(work, wait)),
            }
        }
        if !changed.is_empty() {
            passed.extend(self.judge(role, tx, changed, now, finished).await?);
        }
        Ok(passed)
    }

    async fn judge<'w>(
        &mut self,
        role: &Running,
        tx: &mut Tx,
        work: Vec<&'w mut Work>,
        now: Instant,
        finished: &mut Vec<Finished>,
    ) -> Result<Vec<&'w mut Work>, StoreError> {
        let catalog = match Catalog::current(tx, &role.settings, self.catalog.as_ref()).await {
            Ok(catalog) => catalog,
            Err(CatalogError::Store(error)) => return Err(error),
            Err(error) => {
                tracing::error!(%error, channel = %role.channel, "messages go back: the configuration cannot be read");
                finished.extend(work.into_iter().map(|work| role.later(work, ELSEWHERE)));
                return Ok(Vec::new());
            }
        };
        self.catalog = Some(Arc::clone(&catalog));
        let known = start::started(tx, work.iter().map(|work| work.envelope.message).collect()).await?;
        let around = catalog.surroundings(tx, &known, now, Stock::Settled).await?;
        let silent = silent(tx, &catalog).await?;
        let mut known: HashMap<_, _> = known.into_iter().map(|message| (message.id, message)).collect();
        let mut passed = Vec::with_capacity(work.len());
        for work in work {
            let Some(message) = known.remove(&work.envelope.message) else { continue };
            (work.retries, work.first_failed_at) = (message.retries, message.first_failed_at);
            if silent.as_ref().is_none_or(|names| names.contains(&message.campaign)) {
                finished.push(role.blank(work, State::Planned));
                continue;
            }
            match role.verdict(work, &catalog, &around, &message, now) {
                Ok(()) => passed.push(work),
                Err(other) => finished.push(*other),
            }
        }
        Ok(passed)
    }
}

/// The campaigns whose messages must wait; `None`: all of them.
async fn silent(tx: &mut Tx, catalog: &Catalog) -> Result<Option<HashSet<String>>, StoreError> {
    if configuration::all_paused(tx).await? {
        return Ok(None);
    }
    let mut names: HashSet<String> = catalog.silent().into_iter().collect();
    let states = configuration::states(tx).await?;
    names.extend(states.into_iter().filter(|(_, state)| state.paused || state.held).map(|(name, _)| name));
    Ok(Some(names))
}

impl Running {
    /// What policy says about one now: it may go, or how its start ends.
    fn verdict(
        &self,
        work: &mut Work,
        catalog: &Catalog,
        around: &Surroundings,
        message: &Message,
        now: Instant,
    ) -> Result<(), Box<Finished>> {
        let campaign = catalog.campaigns.get(&message.campaign);
        let facts = around.facts(message, campaign.map(AsRef::as_ref), &catalog.brand, now);
        let decision = match campaign {
            Some(campaign) => decide(&facts, &campaign.rules(&catalog.brand), now),
            None => Decision::Skip(Reason::CampaignEnded),
        };
        Err(Box::new(match decision {
            Decision::Send(channel) if Some(channel) == message.channel => {
                work.falls_back = campaign.is_some_and(|campaign| {
                    campaign.reach == Reach::Fallback && reaches_without(&facts, channel, campaign.purpose)
                });
                let address = around.members.get(&message.member_id).and_then(|member| member.address(channel));
                match self.aims(&work.envelope, address) {
                    Ok(()) => return Ok(()),
                    Err(Duration::ZERO) => self.blank(work, State::Planned),
                    Err(wait) => self.later(work, wait),
                }
            }
            // Reachable on another channel by now: dispatch renders it anew.
            Decision::Send(_) => self.blank(work, State::Planned),
            Decision::Defer(until) => {
                Finished { next_at: Some(until.timestamp_millis()), ..self.blank(work, State::Planned) }
            }
            Decision::Skip(reason) => Finished { reason: Some(reason), ..self.blank(work, end_state(reason)) },
        }))
    }

    /// Whether a message goes where policy has looked. The member's address may have changed since it was
    /// dispatched: then it is dispatched anew, at once.
    fn aims(&self, envelope: &Envelope, address: Option<&str>) -> Result<(), Duration> {
        let is = |known: &str, address: &str| known == address || known.to_lowercase() == address.to_lowercase();
        let Some(address) = address.filter(|address| is(envelope.judged(), address)) else {
            return Err(Duration::ZERO);
        };
        let redirect = self.settings.redirect_all_to.as_ref();
        let to = redirect.map_or(address, |redirect| redirect.address(envelope.channel()));
        if is(&envelope.to, to) { Ok(()) } else { Err(ELSEWHERE) }
    }

    /// The numbers a day that hold for a message.
    fn daily(&self, envelope: &Envelope) -> Vec<Daily> {
        if self.clock.is_simulated() {
            return Vec::new();
        }
        self.pace.daily(envelope).into_iter().chain(self.factory.daily(envelope)).collect()
    }

    /// Whether a message may go now, or how long to wait. It takes a place in the rates only where each has one.
    fn admit(&self, envelope: &Envelope) -> Result<(), Duration> {
        if self.clock.is_simulated() {
            return Ok(());
        }
        if let Admission::Wait(wait) = self.pace.admit(envelope) {
            return Err(wait);
        }
        match self.factory.admit(envelope) {
            Admission::Go => Ok(()),
            Admission::Wait(wait) => {
                self.pace.give_back(envelope);
                Err(wait)
            }
        }
    }

    /// Those that go now. The others wait, for a place in the rates or for tomorrow, and take no place of anything.
    pub(super) async fn admitted<'w>(
        &self,
        tx: &mut Tx,
        allowed: Vec<&'w mut Work>,
        finished: &mut Vec<Finished>,
        now: Instant,
    ) -> Result<Vec<&'w mut Work>, StoreError> {
        let day = now.timestamp_millis().div_euclid(DAY);
        let tomorrow = Duration::from_millis((DAY - now.timestamp_millis().rem_euclid(DAY)).unsigned_abs());
        let rows = |counts: &BTreeMap<String, i64>| -> Vec<paces::Wanted> {
            counts.iter().map(|(name, wanted)| paces::Wanted { name: name.clone(), wanted: *wanted }).collect()
        };
        let allowed: Vec<(&mut Work, Vec<Daily>)> = allowed
            .into_iter()
            .map(|work| {
                let daily = self.daily(&work.envelope);
                (work, daily)
            })
            .collect();
        let daily = allowed.iter().flat_map(|(_, daily)| daily);
        let mut room: HashMap<String, i64> = daily.map(|daily| (daily.name.clone(), daily.most.into())).collect();
        let mut going: BTreeMap<String, i64> = room.keys().map(|name| (name.clone(), 0)).collect();
        if !going.is_empty() {
            // None yet: nobody else counts there until it is clear who goes.
            for (name, taken) in paces::take(tx, day, &rows(&going)).await? {
                *room.entry(name).or_default() -= taken;
            }
        }
        let mut pass = Vec::with_capacity(allowed.len());
        for (work, daily) in allowed {
            let is_over = daily.iter().any(|daily| room.get(&daily.name).is_none_or(|left| *left <= 0));
            if let Err(wait) = if is_over { Err(tomorrow) } else { self.admit(&work.envelope) } {
                finished.push(self.later(work, wait));
                continue;
            }
            let names: Vec<String> = daily.into_iter().map(|daily| daily.name).collect();
            for name in &names {
                *room.entry(name.clone()).or_default() -= 1;
                *going.entry(name.clone()).or_default() += 1;
            }
            work.places = Places { day, names };
            pass.push(work);
        }
        going.retain(|_, count| *count > 0);
        if !going.is_empty() {
            paces::take(tx, day, &rows(&going)).await?;
        }
        Ok(pass)
    }
}
