//! The sender: takes messages of one channel from the queue, begins each attempt, which claims the message and asks
//! policy again, hands it over, records the outcome, and only then acknowledges.
//!
//! One intake feeds as many connections as the sender allows. One recorder writes what all of them
//! report, starts and ends, so that many attempts share a transaction while each is still committed
//! before its I/O. While a connection sends, its next few messages are being started.

mod ending;
mod intake;
mod judging;
mod pace;
mod recording;
mod resting;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use metrics::{counter, histogram};
use tokio::sync::{Mutex, Notify, mpsc, oneshot, watch};
use tokio::time::Instant as Monotonic;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock::Clock;
use crate::domain::Instant;
use crate::domain::message::{Channel, Envelope, State};
use crate::queue::{Queue, Tag};
use crate::settings::{DomainRules, Settings};
use crate::store::Store;
use crate::store::events::Event;
use crate::store::ledger::end::Finished;
use crate::store::suppressions::Suppression;
use crate::transports::{Blame, Outcome, Sender, SenderFactory};

pub use pace::DOMAIN;
use pace::{Entry, Pace};
use recording::RECORDS;

/// How long a claim holds, from the start of its attempt: longer than the waits below and a whole send (20 s).
const LEASE: i64 = 55_000;

/// A started message that the ones before it on its connection held up for longer goes back.
const PATIENCE: Duration = Duration::from_secs(10);

/// After a failure of the queue or the store, how long to wait before the next try.
const BACKOFF: Duration = Duration::from_secs(1);

/// The most messages that a connection has started before it sends the first of them: what a
/// crash can leave uncertain, twice for each connection.
const CHUNK: usize = 16;

/// What a connection starts at a time takes about so long to send: of a slow server few wait.
const AHEAD: Duration = Duration::from_millis(60);

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

/// A message on its way to a connection, and through it.
struct Work {
    envelope: Envelope,
    /// Under which its attempt began; nil before.
    claim: Uuid,
    receipt: Receipt,
    /// How often it has failed so far, and since when.
    retries: i64,
    first_failed_at: Option<Instant>,
    /// Whether another channel takes the message should this one fail for good.
    falls_back: bool,
    /// Whether the attempt carries our own reference.
    traceable: bool,
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

/// What connections report to the recorder.
enum Record {
    Asked(Asked),
    Ended(Box<Ended>),
    /// Nothing was begun: they go back, for so long.
    Back(Vec<Work>, Option<Duration>),
}

/// Attempts that want to begin.
struct Asked {
    work: Vec<Work>,
    answer: oneshot::Sender<Started>,
}

/// Attempts that are about to begin.
struct Starting {
    since: Monotonic,
    answer: oneshot::Receiver<Started>,
}

/// What came of it.
struct Started {
    /// These may be sent.
    go: Vec<Work>,
    /// These not: somebody else has them, or policy has decided otherwise by now.
    over: Vec<Work>,
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
        let (records_in, records_out) = mpsc::channel::<Record>(RECORDS);
        let (done_in, done_out) = mpsc::unbounded_channel::<Receipt>();
        let (pause_in, pause_out) = watch::channel(Monotonic::now());
        let work_out = Arc::new(Mutex::new(work_out));
        let recorder = tokio::spawn(Arc::clone(&role).record(records_out, done_in));
        let tasks: Vec<_> = (0..connections)
            .map(|_| {
                let role = Arc::clone(&role);
                tokio::spawn(role.connection(Arc::clone(&work_out), records_in.clone(), pause_in.clone()))
            })
            .collect();
        drop(records_in);
        let ended = CancellationToken::new();
        let reporter = tokio::spawn(Arc::clone(&role).report_resting(ended.clone()));
        let intake = intake::Intake {
            role: Arc::clone(&role),
            work: work_in,
            done: done_out,
            paused_until: pause_out,
            in_flight: 0,
            consumer: 0,
            waiting: VecDeque::new(),
            open: HashMap::new(),
            probe: intake::Probe::None,
        };
        intake.run(shutdown).await;
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(channel = %role.channel, %error, "a connection task ended badly; its claim will run out");
            }
        }
        if let Err(error) = recorder.await {
            tracing::error!(channel = %role.channel, %error, "the recorder ended badly; its claims will run out");
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
        records: mpsc::Sender<Record>,
        pause: watch::Sender<Monotonic>,
    ) {
        let mut sender = self.factory.open();
        // What this connection takes along from domains that it has left.
        let mut parked: VecDeque<Work> = VecDeque::new();
        // Those that are being started while others are sent.
        let mut next: Option<Starting> = None;
        let mut few = 1;
        // A mail whose answer was lost may come twice; of an SMS somebody must find out.
        let most = if self.channel == Channel::Email { CHUNK } else { 1 };
        loop {
            let Starting { since, answer } = match next.take() {
                Some(next) => next,
                None => {
                    let chunk = self.take(&work, &mut parked, few).await;
                    if chunk.is_empty() {
                        break;
                    }
                    match self.start(chunk, sender.as_mut(), &records).await {
                        Some(starting) => starting,
                        None => continue,
                    }
                }
            };
            let Ok(Started { go, over }) = answer.await else { break };
            for work in over {
                parked.extend(self.pace.leave(&work.envelope.to));
                let _ = records.send(Record::Ended(Box::new(Ended::unsent(None, work)))).await;
            }
            if few > 1 && !self.stopping.is_cancelled() {
                let chunk = Self::take_at_hand(&work, &mut parked, few);
                if !chunk.is_empty() {
                    next = self.start(chunk, sender.as_mut(), &records).await;
                }
            }
            let (began, count) = (Monotonic::now(), go.len());
            for work in go {
                let to = work.envelope.to.clone();
                let ended = self.send(sender.as_mut(), work, since, &pause).await;
                parked.extend(self.pace.leave(&to));
                let _ = records.send(Record::Ended(Box::new(ended))).await;
            }
            if count > 0 {
                let each = began.elapsed() / u32::try_from(count).unwrap_or(1);
                few = (AHEAD.as_micros() / each.as_micros().max(1)).clamp(1, most as u128) as usize;
            }
        }
        sender.close().await;
    }

    /// Up to `few` messages, the first as soon as it comes; none when there will be no more.
    async fn take(&self, work: &Mutex<mpsc::Receiver<Work>>, parked: &mut VecDeque<Work>, few: usize) -> Vec<Work> {
        let mut chunk: Vec<Work> = parked.drain(..parked.len().min(few)).collect();
        // Who waits for work holds the lock: nobody with work of their own may wait for it.
        if chunk.is_empty() {
            let mut work = work.lock().await;
            chunk.extend(work.recv().await);
            while chunk.len() < few {
                let Ok(more) = work.try_recv() else { break };
                chunk.push(more);
            }
        }
        chunk
    }

    /// The same of what is there now.
    fn take_at_hand(work: &Mutex<mpsc::Receiver<Work>>, parked: &mut VecDeque<Work>, few: usize) -> Vec<Work> {
        let mut chunk: Vec<Work> = parked.drain(..parked.len().min(few)).collect();
        if let Ok(mut work) = work.try_lock() {
            while chunk.len() < few {
                let Ok(more) = work.try_recv() else { break };
                chunk.push(more);
            }
        }
        chunk
    }

    /// Asks for attempts to begin: of those that may go to their domains now. The others wait there, or go back, and all
    /// of them when the sender stops.
    async fn start(
        &self,
        mut chunk: Vec<Work>,
        sender: &mut dyn Sender,
        records: &mpsc::Sender<Record>,
    ) -> Option<Starting> {
        if self.stopping.is_cancelled() {
            chunk.extend(self.pace.unpark());
            let _ = records.send(Record::Back(chunk, None)).await;
            return None;
        }
        let mut entered = Vec::with_capacity(chunk.len());
        for mut work in chunk {
            work.traceable = sender.traceable(&work.envelope);
            match self.pace.enter(work) {
                Entry::Open(work) => entered.push(work),
                Entry::Parked => {}
                Entry::Closed(work, wait) => {
                    let _ = records.send(Record::Back(vec![work], Some(wait))).await;
                }
            }
        }
        if entered.is_empty() {
            return None;
        }
        let (go, answer) = oneshot::channel();
        let _ = records.send(Record::Asked(Asked { work: entered, answer: go })).await;
        Some(Starting { since: Monotonic::now(), answer })
    }

    /// Hands one started message over, unless the sender stops or pauses, or its time is nearly up.
    async fn send(
        &self,
        sender: &mut dyn Sender,
        work: Work,
        started: Monotonic,
        pause: &watch::Sender<Monotonic>,
    ) -> Ended {
        if self.stopping.is_cancelled() {
            let back = self.blank(&work, State::Planned);
            return Ended::unsent(Some(back), work);
        }
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
        if finished.state == State::Sent {
            finished.price = self.settings.prices.of(&work.envelope, &finished.sender);
        }
        let soft_bounce = (full && self.settings.redirect_all_to.is_none()).then(|| self.soft_bounce(&work));
        let unused = if unsent { work.places } else { Places::default() };
        Ended { finished: Some(finished), suppress, soft_bounce, unused, receipt: work.receipt }
    }
}
