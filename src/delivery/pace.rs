//! The pace towards recipients' domains: rates, how many sends at once, and a rest where a domain
//! asks for less or refuses us. What is paused for one domain holds up no other.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Work;
use crate::domain::breaker::{Breaker, BreakerState};
use crate::domain::message::{Channel, Envelope, Reason};
use crate::domain::pace::Meter;
use crate::settings::DomainRules;
use crate::transports::{Admission, Blame, Daily, Outcome, Resting};

/// The first rest of a domain that asks for less (421, 4.7.x); it doubles each time.
const SLOWER: Duration = Duration::from_secs(60);

/// The first rest of a domain that refused several messages in a row because of us.
const REFUSED: Duration = Duration::from_secs(5 * 60);

/// Messages that wait in the process for a free place to their domain. More go back to the store.
const PARKED: usize = 50;

/// How long what finds no room there stays away.
const CROWDED: Duration = Duration::from_secs(5);

/// What stands before a domain where servers are named as well.
pub const DOMAIN: &str = "domain ";

/// Domains that are remembered before idle ones are forgotten.
const REMEMBERED: usize = 1_000;

/// What holds for the domains of one sender in this process.
pub(super) struct Pace {
    rules: DomainRules,
    start: Instant,
    domains: Mutex<HashMap<String, Domain>>,
}

struct Domain {
    meter: Meter,
    connections: Option<usize>,
    breaker: Breaker,
    reply: String,
    busy: usize,
    parked: VecDeque<Work>,
}

/// Whether a message may be sent to its domain now.
pub(super) enum Entry {
    /// It may; [`Pace::leave`] must follow.
    Open(Work),
    /// Whoever leaves the domain next takes it along.
    Parked,
    /// Not before this long.
    Closed(Work, Duration),
}

impl Pace {
    pub fn new(rules: DomainRules) -> Self {
        Self { rules, start: Instant::now(), domains: Mutex::default() }
    }

    fn domains(&self) -> MutexGuard<'_, HashMap<String, Domain>> {
        self.domains.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a domain; made where a rule asks for it, or `make` does.
    fn with<T>(&self, name: &str, make: bool, act: impl FnOnce(&mut Domain, Duration) -> T) -> Option<T> {
        let now = self.start.elapsed();
        let mut domains = self.domains();
        if let Some(domain) = domains.get_mut(name) {
            return Some(act(domain, now));
        }
        let rule = self.rules.of(name);
        if !make && rule.is_none() {
            return None;
        }
        if domains.len() >= REMEMBERED {
            domains.retain(|_, domain| !domain.is_idle(now));
        }
        let rule = rule.unwrap_or_default();
        let domain = domains.entry(name.to_owned()).or_insert_with(|| Domain {
            meter: Meter::new(rule.rate),
            connections: rule.connections,
            breaker: Breaker::default(),
            reply: String::new(),
            busy: 0,
            parked: VecDeque::new(),
        });
        Some(act(domain, now))
    }

    /// The number a day that holds for a message's domain.
    pub fn daily(&self, envelope: &Envelope) -> Option<Daily> {
        let name = domain_of(envelope)?;
        let most = self.rules.of(&name)?.rate.per_day?;
        Some(Daily { name: format!("{DOMAIN}{name}"), most })
    }

    /// Whether a message may be taken on, and takes its place in the rate if so.
    pub fn admit(&self, envelope: &Envelope) -> Admission {
        let Some(name) = domain_of(envelope) else { return Admission::Go };
        let admitted = self.with(&name, false, |domain, now| match domain.breaker.left(now) {
            Some(left) => Admission::Wait(left),
            None => domain.meter.take(now).map_or_else(Admission::Wait, |()| Admission::Go),
        });
        admitted.unwrap_or(Admission::Go)
    }

    /// Gives back the place in the rate that [`Pace::admit`] took: the message does not go now.
    pub fn give_back(&self, envelope: &Envelope) {
        if let Some(name) = domain_of(envelope) {
            self.with(&name, false, |domain, _| domain.meter.give_back());
        }
    }

    /// Goes in to the domain of a message, if there is a place.
    pub fn enter(&self, work: Work) -> Entry {
        let Some(name) = domain_of(&work.envelope) else { return Entry::Open(work) };
        let mut work = Some(work);
        let entry = self.with(&name, false, |domain, now| {
            let work = work.take()?;
            if domain.connections.is_some_and(|most| domain.busy >= most) {
                if domain.parked.len() >= PARKED {
                    return Some(Entry::Closed(work, CROWDED));
                }
                domain.parked.push_back(work);
                return Some(Entry::Parked);
            }
            if !domain.breaker.enter(now) {
                return Some(Entry::Closed(work, domain.breaker.left(now).unwrap_or(CROWDED)));
            }
            domain.busy += 1;
            Some(Entry::Open(work))
        });
        entry.flatten().or_else(|| work.map(Entry::Open)).unwrap_or(Entry::Parked)
    }

    /// How long a domain rests that was entered before.
    pub fn rests(&self, envelope: &Envelope) -> Option<Duration> {
        let name = domain_of(envelope)?;
        self.with(&name, false, |domain, now| match domain.breaker.state(now) {
            BreakerState::Open => domain.breaker.left(now),
            _ => None,
        })
        .flatten()
    }

    /// Leaves the domain of a message. What comes back was parked there: it is to be entered next.
    pub fn leave(&self, to: &str) -> Option<Work> {
        let name = to.rsplit_once('@')?.1.to_lowercase();
        self.with(&name, false, |domain, _| {
            domain.busy = domain.busy.saturating_sub(1);
            domain.parked.pop_front()
        })
        .flatten()
    }

    /// All that wait for a free place.
    pub fn unpark(&self) -> Vec<Work> {
        self.domains().values_mut().flat_map(|domain| domain.parked.drain(..)).collect()
    }

    /// Takes note of what a message came to.
    pub fn heard(&self, envelope: &Envelope, outcome: &Outcome) {
        let Some(name) = domain_of(envelope) else { return };
        let (pause, at_once, reply) = match outcome {
            Outcome::Retry { reply, blame: Blame::Pace } => (SLOWER, true, reply),
            Outcome::Rejected { reason: Reason::Refused, reply, .. } => (REFUSED, false, reply),
            Outcome::Sent { .. } => {
                self.with(&name, false, |domain, now| domain.breaker.succeeded(now));
                return;
            }
            _ => return,
        };
        let paused = self.with(&name, true, |domain, now| {
            let before = domain.breaker.state(now);
            domain.breaker.failed(now, pause, at_once);
            domain.reply.clone_from(reply);
            let opened = before != BreakerState::Open && domain.breaker.state(now) == BreakerState::Open;
            domain.breaker.left(now).filter(|_| opened)
        });
        if let Some(left) = paused.flatten() {
            tracing::warn!(domain = name, seconds = left.as_secs(), reply, "mail to this domain pauses");
            metrics::counter!("rekindle_domain_pauses_total").increment(1);
        }
    }

    /// The domains that rest.
    pub fn resting(&self) -> Vec<Resting> {
        let now = self.start.elapsed();
        let domains = self.domains();
        let resting = domains.iter().filter_map(|(name, domain)| {
            let state = domain.breaker.state(now);
            (state != BreakerState::Closed).then(|| Resting {
                name: format!("{DOMAIN}{name}"),
                state,
                left: domain.breaker.left(now).unwrap_or_default(),
                reply: domain.reply.clone(),
            })
        });
        resting.collect()
    }
}

impl Domain {
    fn is_idle(&self, now: Duration) -> bool {
        self.busy == 0
            && self.parked.is_empty()
            && self.breaker.state(now) == BreakerState::Closed
            && self.meter.is_idle(now)
    }
}

/// The domain that a mail goes to; an SMS has none.
fn domain_of(envelope: &Envelope) -> Option<String> {
    let is_mail = envelope.channel() == Channel::Email;
    is_mail.then(|| envelope.to.rsplit_once('@')).flatten().map(|(_, domain)| domain.to_lowercase())
}
