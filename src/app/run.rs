//! `run`: the roles of a service, until it is told to stop.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{App, AppError, IDLE, Pulse, RECOVERY, senders};
use crate::catalog::{Catalog, CatalogError};
use crate::domain::Instant;
use crate::inbound::poll::Poller;
use crate::queue::Queue;
use crate::scheduler;
use crate::store::claims::Recovered;
use crate::store::leases;

/// The lease of the process that scans; it is renewed every second.
const LEADER_LEASE: i64 = 30_000;

/// After a failure of the store or the queue.
const BACKOFF: Duration = Duration::from_secs(1);

/// What a process can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Scheduler,
    Dispatcher,
    Sender,
}

impl App {
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
                    if let Some(factory) = senders::sms_factory(&self.settings, &catalog)? {
                        let (store, clock) = (self.store.clone(), self.clock.clone());
                        let poller = Poller::new(store, clock, Arc::clone(&self.settings), factory);
                        tasks.push(tokio::spawn(poller.run(shutdown.clone())));
                    }
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
        let mut last: HashMap<String, Instant> = HashMap::new();
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
        last: &mut HashMap<String, Instant>,
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
        let mut dispatcher = self.dispatcher(queue.as_ref());
        let mut known: Option<Arc<Catalog>> = None;
        let mut recovered_at: Option<tokio::time::Instant> = None;
        while !shutdown.is_cancelled() || !dispatcher.prepared.is_empty() {
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
                if shutdown.is_cancelled() {
                    dispatcher.finish().await?;
                    return Ok(true);
                }
                let done = dispatcher.step(&catalog).await?;
                Ok::<bool, AppError>(done.taken > 0 || done.published > 0)
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
}

async fn pause(shutdown: &CancellationToken, length: Duration) {
    tokio::select! {
        () = tokio::time::sleep(length) => {}
        () = shutdown.cancelled() => {}
    }
}
