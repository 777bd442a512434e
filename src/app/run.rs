//! `run`: the roles of a service, until it is told to stop.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::alerts::{self, Alerts};
use super::{App, AppError, IDLE, Pulse, RECOVERY, transports};
use crate::catalog::{Catalog, CatalogError};
use crate::domain::Instant;
use crate::fallback;
use crate::inbound::bounces::mailbox::Watcher;
use crate::inbound::bounces::maildir;
use crate::inbound::poll::Poller;
use crate::inbound::webhook::{Answer, Hooks};
use crate::nightly;
use crate::queue::Queue;
use crate::scheduler;
use crate::settings::QueueSetting;
use crate::store::leases::{self, Lease};
use crate::store::ledger::end::Recovered;
use crate::store::{StoreError, within};
use crate::telemetry::Trouble;
use crate::transports::SenderFactory;
use crate::web::{self, Web};

/// The lease of the process that scans; it is renewed every second, and with each page of a scan.
const LEADER_LEASE: i64 = 30_000;

/// After a failure of the store or the queue.
const BACKOFF: Duration = Duration::from_secs(1);

/// How often what failed after it was sent goes on to the next channel.
const FALLBACK: Duration = Duration::from_secs(20);
/// How often orders are credited, and the night is looked for.
const COUNTING: Duration = Duration::from_secs(60);
/// The lease of who does that. It is longer than a night's work takes; two at once would only do it twice.
const COUNTS: &str = "counts";
const COUNTS_LEASE: i64 = 3_600_000;
/// How often a Maildir without new mails is looked at.
const MAILDIR: Duration = Duration::from_secs(2);

/// What a process can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Scheduler,
    Dispatcher,
    Sender,
    Web,
}

impl App {
    /// The service: the given roles, all where none is given, until `shutdown`.
    pub async fn run(self: Arc<Self>, roles: &[Role], shutdown: CancellationToken) -> Result<(), AppError> {
        let does = |role| roles.is_empty() || roles.contains(&role);
        let mut tasks: Vec<JoinHandle<()>> = Vec::new();
        // A process that only scans or serves pages goes on without the queue.
        let idle = |role: &Role| matches!(role, Role::Scheduler | Role::Web);
        if matches!(self.settings.queue, QueueSetting::Embedded) && does(Role::Dispatcher) != does(Role::Sender) {
            return Err(AppError::Refused(
                "with `queue: embedded` each process sends what it dispatches: run the roles dispatcher and sender \
                 together, or set `queue: amqp://…` for processes that share the work"
                    .to_owned(),
            ));
        }
        let queue = if !roles.is_empty() && roles.iter().all(idle) { None } else { Some(self.queue().await?) };
        if does(Role::Web) {
            let (settings, store) = (Arc::clone(&self.settings), self.store.clone());
            let hooks = Arc::new(Hooks::new(store.clone(), self.clock.clone(), Arc::clone(&settings)));
            let receive = move |provider: String, call| {
                let hooks = Arc::clone(&hooks);
                Box::pin(async move { hooks.receive(&provider, call).await }) as BoxFuture<'static, Answer>
            };
            let hooks = Some(Arc::new(receive) as web::hooks::Hooks);
            let web = Web::new(settings, store, self.clock.clone(), queue.clone(), hooks).await?;
            tasks.extend(web.run(roles.contains(&Role::Web), shutdown.clone()).await?);
        }
        if does(Role::Scheduler) {
            tasks.push(tokio::spawn(Arc::clone(&self).schedule(shutdown.clone())));
            tasks.push(tokio::spawn(Arc::clone(&self).keep_counts(shutdown.clone())));
            tasks.push(tokio::spawn(Arc::clone(&self).take_from_maildir(shutdown.clone())));
            tasks.push(tokio::spawn(Arc::clone(&self).take_from_mailbox(shutdown.clone())));
        }
        if let Some(queue) = &queue {
            if does(Role::Dispatcher) {
                tasks.push(tokio::spawn(Arc::clone(&self).dispatch(Arc::clone(queue), shutdown.clone())));
            }
            if does(Role::Sender) {
                tasks.extend(self.send(queue, &shutdown).await?);
            }
        }
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a role ended badly");
            }
        }
        if let Some(queue) = queue {
            if let Err(error) = within(self.abandon(queue.as_ref())).await {
                tracing::warn!(%error, "what was not sent goes on in a minute: it could not be put back");
            }
            queue.close().await;
        }
        self.store.close().await;
        Ok(())
    }

    /// Starts the senders as soon as there is a configuration.
    async fn send(
        &self,
        queue: &Arc<dyn Queue>,
        shutdown: &CancellationToken,
    ) -> Result<Vec<JoinHandle<()>>, AppError> {
        let started = match self.wait_for_catalog(shutdown).await {
            Ok(Some(catalog)) => {
                let started = self.start_senders(queue, &catalog, &Pulse::default(), false, shutdown);
                started.and_then(|mut tasks| {
                    tasks.extend(self.start_pollers(&catalog, shutdown)?);
                    Ok(tasks)
                })
            }
            Ok(None) => Ok(Vec::new()),
            Err(error) => Err(error),
        };
        started.inspect_err(|_| shutdown.cancel())
    }

    /// Starts to ask each SMS provider about what it does not tell by itself. The first one answers
    /// members, by whichever provider their number leads to.
    fn start_pollers(&self, catalog: &Catalog, shutdown: &CancellationToken) -> Result<Vec<JoinHandle<()>>, AppError> {
        let factories = transports::sms_factories(&self.settings, catalog)?;
        let mut answers: Option<Arc<dyn SenderFactory>> =
            Some(Arc::new(transports::sms_pool(&self.settings, factories.clone())));
        let start = |factory| {
            let (store, clock) = (self.store.clone(), self.clock.clone());
            let poller = Poller::new(store, clock, Arc::clone(&self.settings), factory);
            let poller = Poller { answers: answers.take(), ..poller };
            tokio::spawn(poller.run(shutdown.clone()))
        };
        Ok(factories.into_iter().map(start).collect())
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
        let mut last: HashMap<String, Instant> = HashMap::new();
        let mut alerts = Alerts::default();
        let mut looked_at: Option<tokio::time::Instant> = None;
        let mut trouble = Trouble::new("scanning");
        while !shutdown.is_cancelled() {
            match self.scan_what_is_due(&holder, &mut known, &mut last).await {
                Ok(leads) => {
                    trouble.over();
                    if !leads {
                        last.clear();
                    }
                }
                Err(error) => trouble.met(&error),
            }
            // A process that does not lead looks, too: the one that leads may be stuck.
            if looked_at.is_none_or(|at| at.elapsed() > alerts::EVERY)
                && let Ok(catalog) = self.applied(known.as_ref()).await
            {
                if let Err(error) = within(alerts.look(&self.store, &catalog, self.clock.now())).await {
                    tracing::error!(%error, "cannot look for what is missing");
                }
                looked_at = Some(tokio::time::Instant::now());
            }
            pause(&shutdown, Duration::from_secs(1)).await;
        }
        if let Ok(mut tx) = self.store.begin().await
            && leases::release(&mut tx, "scheduler", &holder).await.is_ok()
        {
            let _ = tx.commit().await;
        }
    }

    /// Credits orders every minute and does the night's work, beside the scans, since that may take long. What is not
    /// done when it is time to stop is done by the next one.
    async fn keep_counts(self: Arc<Self>, shutdown: CancellationToken) {
        let holder = self.clock.new_id().to_string();
        let mut known = None;
        let mut trouble = Trouble::new("crediting orders, or the night's work,");
        while !shutdown.is_cancelled() {
            let work = Box::pin(self.count(&holder, &mut known));
            let done = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                done = work => done,
            };
            match done {
                Ok(()) => trouble.over(),
                Err(error) => trouble.met(&error),
            }
            pause(&shutdown, COUNTING).await;
        }
        if let Ok(mut tx) = self.store.begin().await
            && leases::release(&mut tx, COUNTS, &holder).await.is_ok()
        {
            let _ = tx.commit().await;
        }
    }

    /// The same once, where nobody else is at it.
    async fn count(&self, holder: &str, known: &mut Option<Arc<Catalog>>) -> Result<(), AppError> {
        let catalog = match self.applied(known.as_ref()).await {
            Ok(catalog) => catalog,
            Err(AppError::Catalog(CatalogError::NothingApplied)) => return Ok(()),
            Err(error) => return Err(error),
        };
        *known = Some(Arc::clone(&catalog));
        let mut tx = self.store.begin().await?;
        let token = leases::acquire(&mut tx, COUNTS, holder, COUNTS_LEASE).await?;
        tx.commit().await?;
        if token.is_some() {
            nightly::keep_up(&self.store, &catalog, self.clock.now()).await?;
        }
        Ok(())
    }

    /// Scans the campaigns whose cron has fired since their last scan; false while another process
    /// leads.
    async fn scan_what_is_due(
        &self,
        holder: &str,
        known: &mut Option<Arc<Catalog>>,
        last: &mut HashMap<String, Instant>,
    ) -> Result<bool, AppError> {
        let token = within(async {
            let mut tx = self.store.begin().await?;
            let token = leases::acquire(&mut tx, "scheduler", holder, LEADER_LEASE).await?;
            tx.commit().await?;
            Ok::<_, StoreError>(token)
        })
        .await?;
        let Some(token) = token else { return Ok(false) };
        let lease = Lease { name: "scheduler", holder: holder.to_owned(), token, millis: LEADER_LEASE };
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
            if scheduler::scan_campaign(&self.store, &catalog, &self.clock, campaign, now, Some(&lease))
                .await?
                .is_none()
            {
                return Ok(false);
            }
            last.insert(campaign.name.clone(), now);
        }
        Ok(true)
    }

    /// Ingests what is delivered to the Maildir of bounces, where there is one.
    async fn take_from_maildir(self: Arc<Self>, shutdown: CancellationToken) {
        let Some(folder) = self.settings.bounces.maildir.as_deref() else { return };
        while !shutdown.is_cancelled() {
            match maildir::poll(folder, &self.store, &self.clock).await {
                Ok(0) => pause(&shutdown, MAILDIR).await,
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(%error, "bounces cannot be taken; trying again");
                    pause(&shutdown, MAILDIR).await;
                }
            }
        }
    }

    /// Ingests what comes to the mailbox of bounces, where there is one.
    async fn take_from_mailbox(self: Arc<Self>, shutdown: CancellationToken) {
        let Some(settings) = &self.settings.bounces.imap else { return };
        Watcher::new(settings, &self.store, &self.clock).run(&shutdown).await;
    }

    /// Dispatches what is ready, and takes back what dead processes held.
    async fn dispatch(self: Arc<Self>, queue: Arc<dyn Queue>, shutdown: CancellationToken) {
        let mut dispatcher = self.dispatcher(queue.as_ref());
        let mut known: Option<Arc<Catalog>> = None;
        let mut recovered_at: Option<tokio::time::Instant> = None;
        let mut fell_back_at: Option<tokio::time::Instant> = None;
        let mut trouble = Trouble::new("dispatching");
        while !shutdown.is_cancelled() || !dispatcher.prepared.is_empty() {
            let step = async {
                if recovered_at.is_none_or(|at| at.elapsed() > RECOVERY) {
                    let recovered = within(self.recover(Some(queue.as_ref()))).await?;
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
                if shutdown.is_cancelled() {
                    dispatcher.finish().await?;
                    return Ok(true);
                }
                if fell_back_at.is_none_or(|at| at.elapsed() > FALLBACK) {
                    fallback::pass(&self.store, &catalog, self.clock.now()).await?;
                    fell_back_at = Some(tokio::time::Instant::now());
                }
                let done = Box::pin(dispatcher.step(&catalog)).await?;
                if let Some(memory) = queue.memory().filter(|_| done.full.is_some()) {
                    memory.wait_for_room(IDLE).await;
                    return Ok(true);
                }
                Ok::<bool, AppError>(done.taken > 0 || done.published > 0 || done.moved > 0)
            };
            match step.await {
                Ok(busy) => {
                    trouble.over();
                    if !busy {
                        pause(&shutdown, IDLE).await;
                    }
                }
                Err(error) => {
                    trouble.met(&error);
                    pause(&shutdown, BACKOFF).await;
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
