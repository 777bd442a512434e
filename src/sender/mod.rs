//! The sender: takes messages of one channel from the queue, claims them, asks policy again, marks
//! each attempt as started, hands it over, records the outcome, and only then acknowledges.
//!
//! One intake feeds as many connections as the sender allows. Two recorders write what all of them
//! report, starts and ends, so that many attempts share a transaction while each is still committed
//! before its I/O.

mod ending;
mod intake;
mod pace;
mod recording;
mod resting;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use metrics::{counter, histogram};
use tokio::sync::{Mutex, Notify, mpsc, oneshot, watch};
use tokio::time::Instant as Monotonic;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock::Clock;
use crate::domain::message::{Channel, Envelope, State};
use crate::queue::{Queue, Tag};
use crate::senders::{Blame, Outcome, Sender, SenderFactory};
use crate::settings::{DomainRules, Settings};
use crate::store::Store;
use crate::store::claims::{Finished, Starting};
use crate::store::events::Event;
use crate::store::messages::Message;
use crate::store::suppressions::Suppression;

pub use pace::DOMAIN;
use pace::{Entry, Pace};
use recording::RECORDS;

/// How long a claim holds. A send's deadline (20 s) is shorter than half of it.
const LEASE: i64 = 60_000;

/// What must be left of a claim when an attempt starts: the wait below and a whole send.
const LEAST: i64 = 35_000;

/// A started message that the ones before it on its connection held up for longer goes back.
const PATIENCE: Duration = Duration::from_secs(10);

/// After a failure of the queue or the store, how long to wait before the next try.
const BACKOFF: Duration = Duration::from_secs(1);

/// The most messages that a connection marks as started before it sends the first of them: what a
/// crash can leave uncertain, for each connection.
const CHUNK: usize = 4;

/// Everything a sender role works with.
pub struct SenderRole {
    pub store: Store,
    pub queue: Arc<dyn Queue>,
    pub clock: Clock,
    pub settings: Arc<Settings>,
    pub channel: Channel,
    pub factory: Arc<dyn SenderFactory>,
    /// Whether somebody waits until nothing is queued: then a pause sends everything back to the store
    /// instead of leaving it in the queue.
    pub single_pass: bool,
    /// Told after each batch of recorded outcomes.
    pub progress: Arc<Notify>,
    /// Counts recorded outcomes.
    pub recorded: Arc<AtomicU64>,
}

/// A sender at work.
struct Running {
    role: SenderRole,
    pace: Pace,
    /// Nothing more is begun.
    stopping: CancellationToken,
}

impl std::ops::Deref for Running {
    type Target = SenderRole;
    fn deref(&self) -> &SenderRole {
        &self.role
    }
}

/// A claimed message on its way to a connection.
struct Work {
    envelope: Envelope,
    message: Message,
    claim: Uuid,
    receipt: Receipt,
    /// Whether another channel takes the message should this one fail for good.
    falls_back: bool,
    places: Places,
}

/// The places of a day that a message has taken, by name; they go back where no server was handed anything.
#[derive(Debug, Default)]
struct Places {
    /// Since 1970, UTC.
    day: i64,
    names: Vec<String>,
}

/// Which delivery of which consumer: a tag means nothing to another consumer.
#[derive(Debug, Clone, Copy)]
struct Receipt {
    consumer: u64,
    tag: Tag,
}

/// An attempt that begins once the answer is true.
struct Asked {
    starting: Starting,
    go: oneshot::Sender<bool>,
}

/// A message that a connection is done with.
struct Ended {
    /// Absent where the claim was gone: there is nothing to record.
    finished: Option<Finished>,
    suppress: Vec<Suppression>,
    /// The mailbox was full.
    soft_bounce: Option<Event>,
    /// Those that it did not need after all.
    unused: Places,
    receipt: Receipt,
}

impl Ended {
    /// Nothing was handed to anybody.
    fn unsent(finished: Option<Finished>, work: Work) -> Self {
        let Work { places: unused, receipt, .. } = work;
        Self { finished, suppress: Vec::new(), soft_bounce: None, unused, receipt }
    }
}

/// Where a connection reports to.
#[derive(Clone)]
struct Reports {
    starts: mpsc::Sender<Asked>,
    ends: mpsc::Sender<Ended>,
}

impl SenderRole {
    /// Works until `shutdown`: then takes nothing more, finishes what servers have begun to take, gives the rest
    /// back, and returns.
    pub async fn run(self, shutdown: CancellationToken) {
        // What is sent on a simulated clock goes no further than this machine, and time there is not the servers'.
        let real = self.channel == Channel::Email && !self.settings.email.smtp.is_empty() && !self.clock.is_simulated();
        let rules = if real { self.settings.email.domains.clone() } else { DomainRules::default() };
        let role = Arc::new(Running { pace: Pace::new(rules), role: self, stopping: shutdown.clone() });
        let connections = role.factory.connections().max(1);
        let (work_in, work_out) = mpsc::channel::<Work>(intake::ahead(connections));
        let (starts_in, starts_out) = mpsc::channel::<Asked>(connections * CHUNK);
        let (ends_in, ends_out) = mpsc::channel::<Ended>(RECORDS);
        let reports = Reports { starts: starts_in, ends: ends_in };
        let (done_in, done_out) = mpsc::unbounded_channel::<Receipt>();
        let (pause_in, pause_out) = watch::channel(Monotonic::now());
        let work_out = Arc::new(Mutex::new(work_out));
        let recorders = [
            tokio::spawn(Arc::clone(&role).record_starts(starts_out)),
            tokio::spawn(Arc::clone(&role).record_ends(ends_out, done_in)),
        ];
        let tasks: Vec<_> = (0..connections)
            .map(|_| {
                let role = Arc::clone(&role);
                tokio::spawn(role.connection(Arc::clone(&work_out), reports.clone(), pause_in.clone()))
            })
            .collect();
        drop(reports);
        let ended = CancellationToken::new();
        let reporter = tokio::spawn(Arc::clone(&role).report_resting(ended.clone()));
        let intake = intake::Intake {
            role: Arc::clone(&role),
            work: work_in,
            done: done_out,
            paused_until: pause_out,
            in_flight: 0,
            consumer: 0,
            probe: intake::Probe::None,
        };
        intake.run(shutdown).await;
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(channel = %role.channel, %error, "a connection task ended badly; its claim will run out");
            }
        }
        for recorder in recorders {
            if let Err(error) = recorder.await {
                tracing::error!(channel = %role.channel, %error, "a recorder ended badly; its claims will run out");
            }
        }
        ended.cancel();
        if let Err(error) = reporter.await {
            tracing::error!(channel = %role.channel, %error, "the reporter of what rests ended badly");
        }
    }
}

impl Running {
    /// One connection: its sender is reused for one message after another.
    async fn connection(
        self: Arc<Self>,
        work: Arc<Mutex<mpsc::Receiver<Work>>>,
        reports: Reports,
        pause: watch::Sender<Monotonic>,
    ) {
        let mut sender = self.factory.open();
        // What this connection takes along from domains that it has left.
        let mut parked: VecDeque<Work> = VecDeque::new();
        loop {
            let mut chunk: Vec<Work> = parked.drain(..parked.len().min(CHUNK)).collect();
            // Who waits for work holds the lock: nobody with work of their own may wait for it.
            if chunk.is_empty() {
                let mut work = work.lock().await;
                chunk.extend(work.recv().await);
                while chunk.len() < CHUNK {
                    let Ok(more) = work.try_recv() else { break };
                    chunk.push(more);
                }
            }
            if chunk.is_empty() {
                break;
            }
            if self.stopping.is_cancelled() {
                chunk.extend(self.pace.unpark());
                for work in chunk {
                    let back = self.blank(&work.message, work.claim, State::Planned);
                    let _ = reports.ends.send(Ended::unsent(Some(back), work)).await;
                }
                continue;
            }
            let started = Monotonic::now();
            let chunk = self.enter(chunk, &reports).await;
            let chunk = chunk.into_iter().map(|work| (sender.traceable(&work.envelope), work)).collect();
            for (work, may) in self.start(chunk, &reports).await {
                let to = work.envelope.to.clone();
                let ended = match may {
                    true => self.send(sender.as_mut(), work, started, &pause).await,
                    false => Ended::unsent(None, work),
                };
                parked.extend(self.pace.leave(&to));
                let _ = reports.ends.send(ended).await;
            }
        }
        sender.close().await;
    }

    /// Those that may go to their domains now; the others wait there, or go back.
    async fn enter(&self, chunk: Vec<Work>, reports: &Reports) -> Vec<Work> {
        let mut entered = Vec::with_capacity(chunk.len());
        for work in chunk {
            match self.pace.enter(work) {
                Entry::Open(work) => entered.push(work),
                Entry::Parked => {}
                Entry::Closed(work, wait) => {
                    let later = self.later(&work.message, work.claim, wait);
                    let _ = reports.ends.send(Ended::unsent(Some(later), work)).await;
                }
            }
        }
        entered
    }

    /// Marks messages as started; says of each whether it may be sent.
    async fn start(&self, chunk: Vec<(bool, Work)>, reports: &Reports) -> Vec<(Work, bool)> {
        let mut asked = Vec::with_capacity(chunk.len());
        for (traceable, work) in chunk {
            let (go, started) = oneshot::channel();
            let starting = Starting { id: work.message.id, token: work.claim, traceable };
            let _ = reports.starts.send(Asked { starting, go }).await;
            asked.push((work, started));
        }
        let mut ready = Vec::with_capacity(asked.len());
        for (work, started) in asked {
            ready.push((work, started.await.unwrap_or(false)));
        }
        ready
    }

    /// Hands one started message over, unless the sender pauses or its time is nearly up.
    async fn send(
        &self,
        sender: &mut dyn Sender,
        work: Work,
        started: Monotonic,
        pause: &watch::Sender<Monotonic>,
    ) -> Ended {
        if started.elapsed() > PATIENCE {
            let finished = self.put_back(&work, Duration::ZERO, "the server was slow with others".to_owned());
            return Ended::unsent(Some(finished), work);
        }
        let paused_until = *pause.borrow();
        if let Some(left) = paused_until.checked_duration_since(Monotonic::now()) {
            let finished = self.put_back(&work, left, "the sender pauses".to_owned());
            return Ended::unsent(Some(finished), work);
        }
        if let Some(left) = self.pace.rests(&work.envelope) {
            let finished = self.put_back(&work, left, "the recipient's domain wants less".to_owned());
            return Ended::unsent(Some(finished), work);
        }
        let (channel, name) = (self.channel.as_str(), self.factory.name().to_owned());
        let began = Monotonic::now();
        let outcome = sender.send(&work.envelope).await;
        histogram!("rekindle_attempt_seconds", "channel" => channel, "sender" => name.clone())
            .record(began.elapsed().as_secs_f64());
        if !self.clock.is_simulated() {
            self.pace.heard(&work.envelope, &outcome);
        }
        if let Outcome::Pause { reply, pause: length } = &outcome {
            let until = Monotonic::now() + *length;
            // The other connections meet the same at the same time.
            if pause.send_replace(until) < Monotonic::now() {
                let seconds = length.as_secs();
                tracing::warn!(channel = %self.channel, sender = self.factory.name(), seconds, reply, "the sender pauses");
                counter!("rekindle_sender_pauses_total", "channel" => channel, "sender" => name).increment(1);
            }
        }
        let full = matches!(outcome, Outcome::Retry { blame: Blame::Mailbox, .. });
        let unsent = matches!(outcome, Outcome::Pause { .. } | Outcome::Later { .. });
        let (mut finished, suppress) = self.finished(&work, outcome);
        finished.address = Some(work.envelope.to.clone());
        if work.falls_back && finished.state == State::Failed {
            finished = Finished { state: State::Planned, reason: None, tried: Some(self.channel), ..finished };
        }
        finished.sender = sender.name().to_owned();
        let soft_bounce = (full && self.settings.redirect_all_to.is_none()).then(|| self.soft_bounce(&work));
        let unused = if unsent { work.places } else { Places::default() };
        Ended { finished: Some(finished), suppress, soft_bounce, unused, receipt: work.receipt }
    }
}
