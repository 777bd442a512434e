//! Several servers of one channel as one sender: each message goes to one by weight, or by the
//! prefix of its number, and to another when that one rests. Each server has its rate and its
//! circuit breaker.
//!
//! Only what no server has seen goes to another one: after any answer, and after a lost one, the
//! message is done here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::domain::breaker::{Breaker, BreakerState};
use crate::domain::message::{Envelope, Reason};
use crate::domain::pace::{Meter, Rate};
use crate::domain::sms::fits;
use crate::transports::{AWAY, Admission, Blame, Daily, Outcome, Resting, Sender, SenderFactory};

/// A server that took longer to fail leaves no time for another one: a claim holds for less than a minute.
const FAILOVER: Duration = Duration::from_secs(5);

/// A message that was rendered for providers who are gone waits so long to be dispatched again: dispatchers may not
/// know the new ones yet.
const RENDERED_ANEW: Duration = Duration::from_secs(60);

/// One server among several.
pub struct Server {
    pub factory: Arc<dyn SenderFactory>,
    /// Its share of the messages.
    pub weight: u32,
    pub rate: Rate,
    /// Only for recipients that begin so; the longest that fits decides. Empty: for all others.
    pub prefixes: Vec<String>,
}

/// Opens senders that choose among servers.
pub struct Pool(Arc<Shared>);

struct Shared {
    name: String,
    servers: Vec<Known>,
    /// Monotonic time, from any beginning.
    now: Box<dyn Fn() -> Duration + Send + Sync>,
}

struct Known {
    server: Server,
    health: Mutex<Health>,
}

struct Health {
    breaker: Breaker,
    meter: Meter,
    /// The last answer that was a failure.
    reply: String,
}

impl Known {
    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How well a message fits, where it has a form for this server and may be with no other one already.
    fn fits(&self, envelope: &Envelope) -> Option<usize> {
        let name = self.server.factory.name();
        let is_free = envelope.only.as_deref().is_none_or(|only| only == name);
        self.covers(envelope).filter(|_| is_free && envelope.is_for(name))
    }

    fn covers(&self, envelope: &Envelope) -> Option<usize> {
        fits(&self.server.prefixes, &envelope.to)
    }
}

impl Pool {
    /// `name` is that of the channel's senders as a whole, for logs.
    pub fn new(name: impl Into<String>, servers: Vec<Server>) -> Self {
        let start = Instant::now();
        Self::timed(name, servers, move || start.elapsed())
    }

    /// With a clock of its own.
    fn timed(
        name: impl Into<String>,
        servers: Vec<Server>,
        now: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Self {
        let servers = servers.into_iter().map(|server| {
            let meter = Meter::new(server.rate);
            Known { server, health: Mutex::new(Health { breaker: Breaker::default(), meter, reply: String::new() }) }
        });
        Self(Arc::new(Shared { name: name.into(), servers: servers.collect(), now: Box::new(now) }))
    }
}

impl Shared {
    fn now(&self) -> Duration {
        (self.now)()
    }

    /// The servers that can be given a message, the first choice first: those with the longest prefix, in an order
    /// drawn by weight from the message's id, so that a mail whose answer was lost goes to the same
    /// one again.
    fn choice(&self, envelope: &Envelope) -> Vec<usize> {
        let mut fitting: Vec<(usize, usize)> =
            self.servers.iter().enumerate().filter_map(|(index, known)| Some((index, known.fits(envelope)?))).collect();
        // The id's last bits are random.
        let mut ticket = (envelope.message.as_u128() & u128::from(u32::MAX)) as u64;
        let mut order = Vec::with_capacity(fitting.len());
        while let Some(longest) = fitting.iter().map(|(_, length)| *length).max() {
            let total: u64 =
                fitting.iter().filter(|(_, length)| *length == longest).map(|(index, _)| self.weight(*index)).sum();
            let mut left = ticket % total;
            ticket = ticket.rotate_right(13) ^ ticket;
            let place = fitting.iter().position(|(index, length)| {
                if *length != longest {
                    return false;
                }
                let weight = self.weight(*index);
                let chosen = left < weight;
                left = left.saturating_sub(weight);
                chosen
            });
            let Some(place) = place else { break };
            order.push(fitting.remove(place).0);
        }
        order
    }

    /// Notes that a server could not be used; it rests where that is one time too many.
    fn failed(&self, known: &Known, reply: &str, pause: Duration) {
        let now = self.now();
        let mut health = known.health();
        let before = health.breaker.state(now);
        health.breaker.failed(now, pause, pause > AWAY);
        reply.clone_into(&mut health.reply);
        if before != BreakerState::Open && health.breaker.state(now) == BreakerState::Open {
            let (server, seconds) =
                (known.server.factory.name(), health.breaker.left(now).unwrap_or_default().as_secs());
            tracing::warn!(sender = self.name, server, seconds, reply, "the server rests");
            metrics::counter!("rekindle_server_rests_total", "sender" => server.to_owned()).increment(1);
        }
    }

    /// What becomes of a message that can be given to none of the servers, whether they rest or not.
    fn no_choice(&self, envelope: &Envelope) -> Outcome {
        let named = |name: &str| self.servers.iter().any(|known| known.server.factory.name() == name);
        if envelope.only.as_deref().is_some_and(|only| !named(only)) {
            return Outcome::Uncertain { reply: "who may have taken it is not configured any more".to_owned() };
        }
        if self.is_rendered_for_others(envelope) {
            let reply = "it was rendered for providers that are not configured any more".to_owned();
            return Outcome::Later { reply, wait: RENDERED_ANEW };
        }
        let reply = "no provider is configured for this number".to_owned();
        Outcome::Rejected { reason: Reason::Unbuildable, reply, suppress: false }
    }

    /// Whether somebody covers the number, and the message only lacks a form: it is dispatched anew.
    fn is_rendered_for_others(&self, envelope: &Envelope) -> bool {
        let covers = |known: &&Known| known.covers(envelope).is_some();
        let mut covering = self.servers.iter().filter(covers).peekable();
        covering.peek().is_some() && !covering.any(|known| envelope.is_for(known.server.factory.name()))
    }

    fn weight(&self, index: usize) -> u64 {
        u64::from(self.servers[index].server.weight.max(1))
    }

    /// What becomes of a message that none of its servers can take now.
    fn none(&self, envelope: &Envelope, choice: &[usize], reply: String) -> Outcome {
        let now = self.now();
        let left = |index: usize| self.servers[index].health().breaker.left(now);
        if choice.is_empty() {
            return self.no_choice(envelope);
        }
        let soonest = |indices: &mut dyn Iterator<Item = usize>| indices.filter_map(left).min();
        let all_rest = (0..self.servers.len()).all(|index| left(index).is_some());
        if all_rest && let Some(pause) = soonest(&mut (0..self.servers.len())) {
            return Outcome::Pause { reply, pause };
        }
        Outcome::Later { reply, wait: soonest(&mut choice.iter().copied()).unwrap_or(AWAY) }
    }
}

impl SenderFactory for Pool {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn connections(&self) -> usize {
        self.0.servers.iter().map(|known| known.server.factory.connections()).sum()
    }

    fn is_local(&self) -> bool {
        self.0.servers.iter().all(|known| known.server.factory.is_local())
    }

    fn daily(&self, envelope: &Envelope) -> Option<Daily> {
        let now = self.0.now();
        let mut choice = self.0.choice(envelope).into_iter().map(|index| &self.0.servers[index]);
        let known = choice.find(|known| known.health().breaker.left(now).is_none())?;
        Some(Daily { name: known.server.factory.name().to_owned(), most: known.server.rate.per_day? })
    }

    fn admit(&self, envelope: &Envelope) -> Admission {
        let now = self.0.now();
        let choice = self.0.choice(envelope);
        let mut soonest = None;
        for index in choice {
            let known = &self.0.servers[index];
            let mut health = known.health();
            if let Some(left) = health.breaker.left(now) {
                soonest = Some(soonest.map_or(left, |other: Duration| other.min(left)));
                continue;
            }
            // A message stays with its server when that one has no room: rates add up by weight.
            return match health.meter.take(now) {
                Ok(()) => Admission::Go,
                Err(wait) => Admission::Wait(wait),
            };
        }
        if soonest.is_none() && self.0.is_rendered_for_others(envelope) {
            return Admission::Wait(RENDERED_ANEW);
        }
        soonest.map_or(Admission::Go, Admission::Wait)
    }

    fn resting(&self) -> Vec<Resting> {
        let now = self.0.now();
        let resting = self.0.servers.iter().filter_map(|known| {
            let health = known.health();
            let state = health.breaker.state(now);
            (state != BreakerState::Closed).then(|| Resting {
                name: known.server.factory.name().to_owned(),
                state,
                left: health.breaker.left(now).unwrap_or_default(),
                reply: health.reply.clone(),
            })
        });
        resting.collect()
    }

    fn open(&self) -> Box<dyn Sender> {
        let senders = self.0.servers.iter().map(|_| None).collect();
        Box::new(PoolSender { shared: Arc::clone(&self.0), senders, last: 0 })
    }
}

struct PoolSender {
    shared: Arc<Shared>,
    /// Opened with their first message.
    senders: Vec<Option<Box<dyn Sender>>>,
    last: usize,
}

impl PoolSender {
    async fn send_by_choice(&mut self, envelope: &Envelope) -> Outcome {
        let choice = self.shared.choice(envelope);
        let (began, mut last_reply) = (Instant::now(), None);
        for &index in &choice {
            let known = &self.shared.servers[index];
            if !known.health().breaker.enter(self.shared.now()) {
                continue;
            }
            self.last = index;
            let sender = self.senders[index].get_or_insert_with(|| known.server.factory.open());
            match sender.send(envelope).await {
                Outcome::Pause { reply, pause } => {
                    self.shared.failed(known, &reply, pause);
                    last_reply = Some(reply);
                }
                // It answered nothing, which is no answer about the message either.
                outcome @ (Outcome::Uncertain { .. } | Outcome::Retry { blame: Blame::Server | Blame::Lost, .. }) => {
                    if let Outcome::Uncertain { reply } | Outcome::Retry { reply, .. } = &outcome {
                        self.shared.failed(known, reply, AWAY);
                    }
                    return outcome;
                }
                outcome => {
                    known.health().breaker.succeeded(self.shared.now());
                    return outcome;
                }
            }
            if began.elapsed() > FAILOVER {
                break;
            }
        }
        let reply = last_reply.unwrap_or_else(|| "every server for this message rests".to_owned());
        self.shared.none(envelope, &choice, reply)
    }
}

impl Sender for PoolSender {
    fn send<'a>(&'a mut self, envelope: &'a Envelope) -> BoxFuture<'a, Outcome> {
        Box::pin(self.send_by_choice(envelope))
    }

    /// Whether every server that may take it could be asked.
    fn traceable(&self, envelope: &Envelope) -> bool {
        let choice = self.shared.choice(envelope);
        let servers = &self.shared.servers;
        let mut all = choice.iter().map(|&index| (index, &servers[index]));
        all.all(|(_, known)| known.server.factory.open().traceable(envelope)) && !choice.is_empty()
    }

    fn name(&self) -> &str {
        self.shared.servers.get(self.last).map_or(&self.shared.name, |known| known.server.factory.name())
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            for sender in self.senders.iter_mut().flatten() {
                sender.close().await;
            }
        })
    }
}

#[cfg(test)]
mod tests;
