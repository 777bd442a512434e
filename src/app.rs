//! Wiring: settings become a store, a queue and senders, and these the running roles.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::catalog::{Catalog, CatalogError, Files};
use crate::clock::Clock;
use crate::dispatcher::{DispatchError, Dispatcher, IN_QUEUE};
use crate::document::Problems;
use crate::domain::Instant;
use crate::domain::message::{Channel, Purpose};
use crate::queue::embedded::Embedded;
use crate::queue::rabbitmq::RabbitMq;
use crate::queue::{Queue, QueueError};
use crate::scheduler;
use crate::sender::SenderRole;
use crate::senders::SenderFactory;
use crate::senders::capture::CaptureFactory;
use crate::senders::lines::Line;
use crate::senders::sms::{SmsError, SmsFactory, SmsOptions};
use crate::senders::smtp::{SmtpError, SmtpFactory, SmtpOptions, Tls};
use crate::settings::{Apply, QueueSetting, Settings};
use crate::store::claims::{self, Recovered};
use crate::store::configuration;
use crate::store::{Store, StoreError, leases, messages, queue_items};

/// Connections that one process may open to the database.
const STORE_CONNECTIONS: u32 = 16;

/// The lease of the process that scans; it is renewed every second.
const LEADER_LEASE: i64 = 30_000;

/// How often the store is asked for work when there was none.
const IDLE: Duration = Duration::from_millis(500);

/// While `once` waits for its senders.
const LOOK: Duration = Duration::from_millis(5);

/// How often what dead processes held is taken back.
const RECOVERY: Duration = Duration::from_secs(5);

/// After a failure of the store or the queue.
const BACKOFF: Duration = Duration::from_secs(1);

/// What a process can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Scheduler,
    Dispatcher,
    Sender,
}

/// Why the program cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Invalid(#[from] Problems),
    #[error(transparent)]
    Smtp(#[from] SmtpError),
    #[error(transparent)]
    Sms(#[from] SmsError),
    #[error("{0}")]
    Refused(String),
}

impl From<DispatchError> for AppError {
    fn from(error: DispatchError) -> Self {
        match error {
            DispatchError::Store(error) => Self::Store(error),
            DispatchError::Queue(error) => Self::Queue(error),
        }
    }
}

/// A program at work on one store.
pub struct App {
    pub settings: Arc<Settings>,
    pub store: Store,
    pub clock: Clock,
    /// Holds the embedded store for this process alone.
    _lock: Option<File>,
}

/// What one full pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Passed {
    /// Messages that fell due.
    pub planned: u64,
    /// Dispatched to the queue (a message that was retried counts each time).
    pub queued: u64,
    /// Ended by policy at dispatch.
    pub ended: u64,
    /// Put off.
    pub deferred: u64,
    /// Outcomes recorded by senders.
    pub outcomes: u64,
    pub replanned: u64,
    pub uncertain: u64,
    /// Messages that wait when the pass ends: for their time, a retry, or a campaign that is held.
    pub waiting: u64,
}

impl App {
    /// Opens the store for reading and importing; other processes may work on it.
    pub async fn open(settings: Arc<Settings>, clock: Clock) -> Result<Self, AppError> {
        let store = Store::open(&settings.store, STORE_CONNECTIONS).await?;
        match settings.apply {
            Apply::Auto => store.migrate().await?,
            Apply::Manual => store.require_migrated().await?,
        }
        Ok(Self { settings, store, clock, _lock: None })
    }

    /// Opens the store to send from it. An embedded store has one such process at a time.
    pub async fn open_to_send(settings: Arc<Settings>, clock: Clock) -> Result<Self, AppError> {
        refuse_simulated_sending(&settings, &clock)?;
        let lock = match settings.store.strip_prefix("sqlite://") {
            Some(path) => Some(lock_embedded(&PathBuf::from(path))?),
            None => None,
        };
        let mut app = Self::open(settings, clock).await?;
        app._lock = lock;
        if app.settings.apply == Apply::Auto {
            app.apply().await?;
        }
        if app.store.is_embedded() {
            let recovered = app.recover(true).await?;
            if recovered != Recovered::default() {
                tracing::info!(
                    replanned = recovered.replanned,
                    uncertain = recovered.uncertain,
                    "took back what an ended process held"
                );
            }
        }
        Ok(app)
    }

    /// Checks the files and makes them the current configuration.
    pub async fn apply(&self) -> Result<(Catalog, bool), AppError> {
        let files = Files::read(&self.settings)?;
        Ok(Catalog::apply(&self.store, &files, &self.settings, self.clock.now()).await?)
    }

    /// The configuration to judge by without sending: with `apply: auto` that of the files, as the
    /// next `run` will see it, else the applied one.
    pub async fn catalog(&self) -> Result<Arc<Catalog>, AppError> {
        if self.settings.apply == Apply::Auto {
            return Ok(Arc::new(Catalog::compile(&Files::read(&self.settings)?, &self.settings)?));
        }
        self.applied(None).await
    }

    /// The applied configuration.
    pub async fn applied(&self, known: Option<&Arc<Catalog>>) -> Result<Arc<Catalog>, AppError> {
        let mut tx = self.store.read().await?;
        let catalog = Catalog::current(&mut tx, &self.settings, known).await?;
        tx.commit().await?;
        Ok(catalog)
    }

    /// The queue that the settings name.
    pub async fn queue(&self) -> Result<Arc<dyn Queue>, AppError> {
        Ok(match &self.settings.queue {
            QueueSetting::Embedded => Arc::new(Embedded::new(self.store.clone())),
            QueueSetting::RabbitMq(url) => Arc::new(RabbitMq::connect(url).await?),
        })
    }

    async fn recover(&self, alone: bool) -> Result<Recovered, StoreError> {
        let mut tx = self.store.begin().await?;
        if alone {
            queue_items::clear(&mut tx).await?;
        }
        let recovered = claims::recover(&mut tx, alone, self.clock.now()).await?;
        tx.commit().await?;
        Ok(recovered)
    }

    async fn in_queue(&self) -> Result<i64, StoreError> {
        let mut tx = self.store.read().await?;
        let count = messages::in_queue(&mut tx).await?;
        tx.commit().await?;
        Ok(count)
    }

    fn dispatcher<'a>(&'a self, queue: &'a dyn Queue) -> Dispatcher<'a> {
        Dispatcher { store: &self.store, queue, clock: &self.clock, redirect: self.settings.redirect_all_to.as_ref() }
    }

    /// One full pass: scans up to the clock's now, then dispatches and sends until nothing is due,
    /// queued or sending. `told` hears how far it is.
    pub async fn once(&self, told: &(dyn Fn(&Passed) + Sync)) -> Result<Passed, AppError> {
        let mut work = Work::start(self).await?;
        let result = async {
            let catalog = self.applied(None).await?;
            work.passed.planned +=
                scheduler::scan(&self.store, &catalog, &self.clock, self.clock.now()).await?.inserted;
            told(&work.passed);
            work.drain(self, &catalog, told).await
        }
        .await;
        work.stop(self, result).await
    }

    /// The same for every instant in [from, to) at which something falls due, in order, on a
    /// simulated clock.
    pub async fn once_between(
        &self,
        from: Instant,
        to: Instant,
        told: &(dyn Fn(&Passed, Instant) + Sync),
    ) -> Result<Passed, AppError> {
        let mut work = Work::start(self).await?;
        let result = async {
            let catalog = self.applied(None).await?;
            let mut start = from;
            while start < to {
                let end = (start + chrono::Duration::days(1)).min(to);
                self.clock.set(start);
                let scanned = scheduler::scan_window(&self.store, &catalog, &self.clock, start, end).await?;
                work.passed.planned += scanned.inserted;
                work.step_through(self, &catalog, end, to, told).await?;
                start = end;
            }
            // What quiet hours moved beyond the window still belongs to it.
            work.step_through(self, &catalog, to + chrono::Duration::days(2), to, told).await
        }
        .await;
        work.stop(self, result).await
    }

    /// The service: the given roles, until `shutdown`.
    pub async fn run(self: Arc<Self>, roles: &[Role], shutdown: CancellationToken) -> Result<(), AppError> {
        let queue = self.queue().await?;
        let mut tasks: Vec<JoinHandle<()>> = Vec::new();
        if roles.contains(&Role::Scheduler) {
            tasks.push(tokio::spawn(Arc::clone(&self).schedule(shutdown.clone())));
        }
        if roles.contains(&Role::Dispatcher) {
            tasks.push(tokio::spawn(Arc::clone(&self).dispatch(Arc::clone(&queue), shutdown.clone())));
        }
        if roles.contains(&Role::Sender) {
            match self.wait_for_catalog(&shutdown).await {
                Ok(Some(catalog)) => {
                    let started = self.start_senders(&queue, &catalog, &Pulse::default(), &shutdown);
                    tasks.extend(started.inspect_err(|_| shutdown.cancel())?);
                }
                Ok(None) => {}
                Err(error) => {
                    shutdown.cancel();
                    return Err(error);
                }
            }
        }
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a role ended badly");
            }
        }
        queue.close().await;
        self.store.close().await;
        Ok(())
    }

    /// The applied configuration, as soon as there is one; `None` when it is time to stop.
    async fn wait_for_catalog(&self, shutdown: &CancellationToken) -> Result<Option<Arc<Catalog>>, AppError> {
        loop {
            match self.applied(None).await {
                Err(AppError::Catalog(CatalogError::NothingApplied)) if shutdown.is_cancelled() => return Ok(None),
                Err(AppError::Catalog(CatalogError::NothingApplied)) => {
                    tracing::info!("nothing was applied to this store yet; waiting");
                    pause(shutdown, Duration::from_secs(2)).await;
                }
                other => return other.map(Some),
            }
        }
    }

    /// Scans each campaign on its cron while this process leads.
    async fn schedule(self: Arc<Self>, shutdown: CancellationToken) {
        let holder = self.clock.new_id().to_string();
        let mut known = None;
        let mut last: std::collections::HashMap<String, Instant> = std::collections::HashMap::new();
        while !shutdown.is_cancelled() {
            match self.scan_what_is_due(&holder, &mut known, &mut last).await {
                Ok(true) => {}
                Ok(false) => last.clear(),
                Err(error) => tracing::error!(%error, "scanning failed; trying again"),
            }
            pause(&shutdown, Duration::from_secs(1)).await;
        }
        if let Ok(mut tx) = self.store.begin().await
            && leases::release(&mut tx, "scheduler", &holder).await.is_ok()
        {
            let _ = tx.commit().await;
        }
    }

    /// Scans the campaigns whose cron has fired since their last scan; false while another process
    /// leads.
    async fn scan_what_is_due(
        &self,
        holder: &str,
        known: &mut Option<Arc<Catalog>>,
        last: &mut std::collections::HashMap<String, Instant>,
    ) -> Result<bool, AppError> {
        let mut tx = self.store.begin().await?;
        let token = leases::acquire(&mut tx, "scheduler", holder, LEADER_LEASE).await?;
        tx.commit().await?;
        let Some(token) = token else { return Ok(false) };
        let catalog = match self.applied(known.as_ref()).await {
            Ok(catalog) => catalog,
            Err(AppError::Catalog(CatalogError::NothingApplied)) => return Ok(true),
            Err(error) => return Err(error),
        };
        *known = Some(Arc::clone(&catalog));
        let now = self.clock.now();
        for campaign in scheduler::live(&catalog) {
            let due = last
                .get(&campaign.name)
                .is_none_or(|at| campaign.scan.next(*at, catalog.brand.timezone).is_some_and(|next| next <= now));
            if !due {
                continue;
            }
            // Two that lead at once do no harm; not scanning what another scans saves work.
            let mut tx = self.store.begin().await?;
            let holds = leases::holds(&mut tx, "scheduler", holder, token).await?;
            leases::acquire(&mut tx, "scheduler", holder, LEADER_LEASE).await?;
            tx.commit().await?;
            if !holds {
                return Ok(false);
            }
            scheduler::scan_campaign(&self.store, &catalog, &self.clock, campaign, now).await?;
            last.insert(campaign.name.clone(), now);
        }
        Ok(true)
    }

    /// Dispatches what is ready, and takes back what dead processes held.
    async fn dispatch(self: Arc<Self>, queue: Arc<dyn Queue>, shutdown: CancellationToken) {
        let dispatcher = self.dispatcher(queue.as_ref());
        let mut known: Option<Arc<Catalog>> = None;
        let mut recovered_at: Option<tokio::time::Instant> = None;
        // The next batch is prepared while the last one is being published.
        let mut prepared = Vec::new();
        while !shutdown.is_cancelled() || !prepared.is_empty() {
            let step = async {
                if recovered_at.is_none_or(|at| at.elapsed() > RECOVERY) {
                    let recovered = self.recover(false).await?;
                    if recovered != Recovered::default() {
                        tracing::warn!(
                            replanned = recovered.replanned,
                            uncertain = recovered.uncertain,
                            resent = recovered.resent,
                            "took back what an ended process held"
                        );
                    }
                    recovered_at = Some(tokio::time::Instant::now());
                }
                let catalog = match self.applied(known.as_ref()).await {
                    Ok(catalog) => catalog,
                    Err(AppError::Catalog(CatalogError::NothingApplied)) => return Ok(false),
                    Err(error) => return Err(error),
                };
                known = Some(Arc::clone(&catalog));
                let batch = std::mem::take(&mut prepared);
                if shutdown.is_cancelled() {
                    dispatcher.publish(&batch).await?;
                    return Ok(true);
                }
                let (published, next) = tokio::join!(dispatcher.publish(&batch), dispatcher.prepare(&catalog));
                let (done, envelopes) = next?;
                prepared = envelopes;
                published?;
                Ok::<bool, AppError>(done.taken > 0 || !batch.is_empty())
            };
            match step.await {
                Ok(true) => {}
                Ok(false) => pause(&shutdown, IDLE).await,
                Err(error) => {
                    tracing::error!(%error, "dispatching failed; trying again");
                    pause(&shutdown, BACKOFF).await;
                }
            }
        }
    }

    fn start_senders(
        &self,
        queue: &Arc<dyn Queue>,
        catalog: &Catalog,
        pulse: &Pulse,
        shutdown: &CancellationToken,
    ) -> Result<Vec<JoinHandle<()>>, AppError> {
        let (email, sms) = factories(&self.settings, catalog)?;
        let start = |channel, factory| {
            let role = SenderRole {
                store: self.store.clone(),
                queue: Arc::clone(queue),
                clock: self.clock.clone(),
                settings: Arc::clone(&self.settings),
                channel,
                factory,
                progress: Arc::clone(&pulse.progress),
                recorded: Arc::clone(&pulse.recorded),
            };
            tokio::spawn(role.run(shutdown.clone()))
        };
        Ok(vec![start(Channel::Email, email), start(Channel::Sms, sms)])
    }
}

/// Tells that senders recorded something.
#[derive(Default)]
struct Pulse {
    progress: Arc<Notify>,
    recorded: Arc<AtomicU64>,
}

/// Senders at work for `once`, and what was done so far.
struct Work {
    queue: Arc<dyn Queue>,
    pulse: Pulse,
    senders: Vec<JoinHandle<()>>,
    shutdown: CancellationToken,
    passed: Passed,
}

impl Work {
    async fn start(app: &App) -> Result<Self, AppError> {
        let queue = app.queue().await?;
        let catalog = app.applied(None).await?;
        let (pulse, shutdown) = (Pulse::default(), CancellationToken::new());
        let senders = app.start_senders(&queue, &catalog, &pulse, &shutdown)?;
        Ok(Self { queue, pulse, senders, shutdown, passed: Passed::default() })
    }

    async fn stop(self, app: &App, result: Result<(), AppError>) -> Result<Passed, AppError> {
        self.shutdown.cancel();
        for task in self.senders {
            if let Err(error) = task.await {
                tracing::error!(%error, "a sender ended badly");
            }
        }
        self.queue.close().await;
        result?;
        let mut tx = app.store.read().await?;
        let waiting = messages::planned(&mut tx).await?.unsigned_abs();
        tx.commit().await?;
        Ok(Passed { outcomes: self.pulse.recorded.load(Ordering::Relaxed), waiting, ..self.passed })
    }

    /// Moves the clock to each instant before `until` at which a message due before `due_before` is
    /// ready, and works it off.
    async fn step_through(
        &mut self,
        app: &App,
        catalog: &Catalog,
        until: Instant,
        due_before: Instant,
        told: &(dyn Fn(&Passed, Instant) + Sync),
    ) -> Result<(), AppError> {
        loop {
            let mut tx = app.store.read().await?;
            let next = messages::next_planned(&mut tx, until, due_before, &catalog.silent()).await?;
            let silenced = configuration::all_paused(&mut tx).await?;
            tx.commit().await?;
            let Some(at) = next.filter(|_| !silenced) else { return Ok(()) };
            app.clock.set(at.max(app.clock.now()));
            self.drain(app, catalog, &|passed| told(passed, at)).await?;
        }
    }

    /// Dispatches and sends until nothing is ready, queued or sending.
    async fn drain(&mut self, app: &App, catalog: &Catalog, told: &(dyn Fn(&Passed) + Sync)) -> Result<(), AppError> {
        let queue = Arc::clone(&self.queue);
        let dispatcher = app.dispatcher(queue.as_ref());
        let mut recovered_at = tokio::time::Instant::now();
        let progress = Arc::clone(&self.pulse.progress);
        let mut woken = std::pin::pin!(progress.notified());
        loop {
            // Asked before dispatching: what was under way may have come back to be dispatched.
            let under_way = app.in_queue().await?;
            let done = dispatcher.dispatch(catalog).await?;
            self.passed.queued += done.queued;
            self.passed.ended += done.ended;
            self.passed.deferred += done.deferred;
            told(&self.passed);
            if done.taken > 0 {
                continue;
            }
            if under_way == 0 && !done.full {
                return Ok(());
            }
            loop {
                woken.set(progress.notified());
                woken.as_mut().enable();
                let waiting = app.in_queue().await?;
                if waiting == 0 || (done.full && waiting < IN_QUEUE / 2) {
                    break;
                }
                let _ = tokio::time::timeout(IDLE, woken.as_mut()).await;
                // Outcomes come many a second: a look now and then is enough.
                tokio::time::sleep(LOOK).await;
                if recovered_at.elapsed() > RECOVERY {
                    let recovered = app.recover(false).await?;
                    self.passed.replanned += recovered.replanned;
                    self.passed.uncertain += recovered.uncertain;
                    recovered_at = tokio::time::Instant::now();
                }
            }
        }
    }
}

async fn pause(shutdown: &CancellationToken, length: Duration) {
    tokio::select! {
        () = tokio::time::sleep(length) => {}
        () = shutdown.cancelled() => {}
    }
}

/// The senders of e-mail and of SMS.
pub type Factories = (Arc<dyn SenderFactory>, Arc<dyn SenderFactory>);

/// The senders of both channels, as the settings say.
pub fn factories(settings: &Settings, catalog: &Catalog) -> Result<Factories, AppError> {
    let lines: Vec<Line> =
        settings.sms.lines.iter().map(|line| Line { number: line.number.clone(), purpose: line.purpose }).collect();
    let capture = CaptureFactory::new(&settings.outbox, lines.clone(), 4);
    let email: Arc<dyn SenderFactory> = match &settings.email.smtp {
        None => Arc::new(capture.clone()),
        Some(smtp) => {
            let mut options = SmtpOptions::new(smtp.host.clone(), smtp.port);
            options.tls = if smtp.starttls { Tls::Starttls } else { Tls::None };
            options.ca_file.clone_from(&smtp.ca_file);
            options.username.clone_from(&smtp.username);
            options.password.clone_from(&smtp.password);
            options.connections = smtp.connections;
            Arc::new(SmtpFactory::new(options)?)
        }
    };
    let sms: Arc<dyn SenderFactory> = match &settings.sms.provider {
        None => Arc::new(capture),
        Some(name) => {
            let Some(provider) = catalog.providers.get(name) else {
                let known: Vec<&str> = catalog.providers.keys().map(String::as_str).collect();
                return Err(AppError::Refused(format!(
                    "sms.sender is `{name}`, and no provider has that name; {}",
                    crate::document::expected(name, &known)
                )));
            };
            let options = SmsOptions {
                base_url: settings.sms.base_url.clone(),
                credentials: settings.sms.credentials.iter().cloned().collect(),
                lines,
                connections: settings.sms.connections,
                ..SmsOptions::default()
            };
            let factory = SmsFactory::new(provider.clone(), options)?;
            for purpose in Purpose::ALL {
                let needed = catalog
                    .campaigns
                    .values()
                    .any(|campaign| campaign.purpose == *purpose && campaign.channels.contains(&Channel::Sms));
                if needed && !factory.has_line(*purpose) {
                    return Err(AppError::Refused(format!(
                        "campaigns send {purpose} SMS, and sms.lines has no line for {purpose}; add {{ number: \"…\", purpose: {purpose} }}"
                    )));
                }
            }
            Arc::new(factory)
        }
    };
    Ok((email, sms))
}

/// A clock that is not the machine's must not make a real server send.
fn refuse_simulated_sending(settings: &Settings, clock: &Clock) -> Result<(), AppError> {
    if !clock.is_simulated() {
        return Ok(());
    }
    let elsewhere = settings.email.smtp.as_ref().is_some_and(|smtp| !crate::settings::is_loopback(&smtp.host));
    let provider = settings.sms.provider.is_some()
        && !settings.sms.base_url.as_deref().is_some_and(|url| {
            url.split_once("://").is_some_and(|(_, rest)| {
                let host = rest.split('/').next().unwrap_or_default();
                crate::settings::is_loopback(host.rsplit_once(':').map_or(host, |(host, _)| host))
            })
        });
    if elsewhere || provider {
        return Err(AppError::Refused(
            "a simulated clock (--at, --from) only sends to capture or to this machine; set both senders to capture"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Locks an embedded store; the lock ends with the process, however it ends.
fn lock_embedded(path: &std::path::Path) -> Result<File, AppError> {
    let file = path.with_extension("lock");
    let refused = |reason: String| AppError::Refused(format!("cannot lock {}: {reason}", file.display()));
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).map_err(|error| refused(error.to_string()))?;
    }
    let lock = File::create(&file).map_err(|error| refused(error.to_string()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(AppError::Refused(format!(
            "another rekindle works on {}; wait for it, stop it, or use PostgreSQL for several processes",
            path.display()
        ))),
        Err(std::fs::TryLockError::Error(error)) => Err(refused(error.to_string())),
    }
}
