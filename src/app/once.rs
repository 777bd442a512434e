//! `once`: a full pass in one process, on the machine's clock or instant after instant on a simulated one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{App, AppError, IDLE, Pulse, RECOVERY};
use crate::catalog::Catalog;
use crate::credit;
use crate::dispatcher::{Dispatcher, IN_QUEUE};
use crate::domain::Instant;
use crate::domain::policy::LONGEST_REST;
use crate::fallback;
use crate::nightly;
use crate::queue::Queue;
use crate::scheduler;
use crate::store::{configuration, messages, replies};

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
    /// Whether somebody stopped it before it was done.
    pub stopped: bool,
}

impl App {
    /// One full pass: scans up to the clock's now, then dispatches and sends until nothing is due,
    /// queued or sending. `told` hears how far it is.
    pub async fn once(&self, told: &(dyn Fn(&Passed) + Sync)) -> Result<Passed, AppError> {
        let mut work = Work::start(self).await?;
        // Large futures live on the heap: nested, they would fill a thread's stack.
        let result = Box::pin(async {
            let catalog = self.applied(None).await?;
            let now = self.clock.now();
            let mut tx = self.store.begin().await?;
            replies::forget(&mut tx, now).await?;
            tx.commit().await?;
            let scan = async { Ok(scheduler::scan(&self.store, &catalog, &self.clock, now).await?.inserted) };
            work.passed.planned += self.unless_stopped(scan).await?;
            self.unless_stopped(async { Ok(fallback::pass(&self.store, &catalog, now).await?) }).await?;
            told(&work.passed);
            work.drain(self, &catalog, None, told).await?;
            self.unless_stopped(async { Ok(nightly::keep_up(&self.store, &catalog, now).await?) }).await?;
            Ok(())
        })
        .await;
        work.stop(self, result).await
    }

    /// The same for every instant in [from, to) at which something falls due, in order, on a
    /// simulated clock. What quiet hours and days of rest move beyond `to` still belongs to it.
    pub async fn once_between(
        &self,
        from: Instant,
        to: Instant,
        told: &(dyn Fn(&Passed, Instant) + Sync),
    ) -> Result<Passed, AppError> {
        let mut work = Work::start(self).await?;
        let result = Box::pin(async {
            let catalog = self.applied(None).await?;
            let mut start = from;
            while start < to && !self.stop.is_cancelled() {
                let end = (start + chrono::Duration::days(1)).min(to);
                self.day(&mut work, &catalog, (start, end), to, told).await?;
                start = end;
            }
            // What quiet hours and days of rest moved beyond the window still belongs to it.
            work.step_through(self, &catalog, to + LONGEST_REST, to, told).await?;
            credit::pass(&self.store, &catalog, self.clock.now()).await?;
            Ok(())
        })
        .await;
        work.stop(self, result).await
    }

    /// The same day by day, each with `after` at its end, which hears the day and changes the store as the world
    /// does meanwhile. The clock goes no further than each day's end: what waits longer belongs to the next one.
    pub async fn once_daily<E: From<AppError>>(
        &self,
        from: Instant,
        to: Instant,
        mut after: impl AsyncFnMut(Instant, Instant) -> Result<(), E>,
    ) -> Result<Passed, E> {
        let mut work = Work::start(self).await?;
        let mut failed = None;
        let result = Box::pin(async {
            let catalog = self.applied(None).await?;
            let mut start = from;
            while start < to && !self.stop.is_cancelled() {
                let end = (start + chrono::Duration::days(1)).min(to);
                self.day(&mut work, &catalog, (start, end), end, &|_, _| ()).await?;
                if let Err(error) = after(start, end).await {
                    failed = Some(error);
                    break;
                }
                start = end;
            }
            Ok(())
        })
        .await;
        let passed = work.stop(self, result).await?;
        failed.map_or(Ok(passed), Err)
    }

    /// Scans what falls due in a day and works it off, as far as it was due before `due_before`.
    async fn day(
        &self,
        work: &mut Work,
        catalog: &Catalog,
        (start, end): (Instant, Instant),
        due_before: Instant,
        told: &(dyn Fn(&Passed, Instant) + Sync),
    ) -> Result<(), AppError> {
        self.clock.set(start);
        let scan = scheduler::scan_window(&self.store, catalog, &self.clock, start, end);
        work.passed.planned += self.unless_stopped(async { Ok(scan.await?.inserted) }).await?;
        self.unless_stopped(async { Ok(fallback::pass(&self.store, catalog, start).await?) }).await?;
        work.step_through(self, catalog, end, due_before, told).await
    }

    /// Works until it is done or somebody stops the pass. For what a killed process may leave as well, and the
    /// next pass goes on with.
    async fn unless_stopped(&self, work: impl Future<Output = Result<u64, AppError>>) -> Result<u64, AppError> {
        let work = Box::pin(work);
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Ok(0),
            done = work => done,
        }
    }
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
        let senders = app.start_senders(&queue, &catalog, &pulse, true, &shutdown)?;
        Ok(Self { queue, pulse, senders, shutdown, passed: Passed::default() })
    }

    async fn stop(self, app: &App, result: Result<(), AppError>) -> Result<Passed, AppError> {
        self.shutdown.cancel();
        for task in self.senders {
            if let Err(error) = task.await {
                tracing::error!(%error, "a sender ended badly");
            }
        }
        app.abandon(self.queue.as_ref()).await?;
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
        while !app.stop.is_cancelled() {
            let mut tx = app.store.read().await?;
            let next = messages::next_planned(&mut tx, until, due_before, &catalog.silent()).await?;
            let silenced = configuration::all_paused(&mut tx).await?;
            tx.commit().await?;
            let Some(at) = next.filter(|_| !silenced) else { return Ok(()) };
            app.clock.set(at.max(app.clock.now()));
            self.drain(app, catalog, Some(due_before), &|passed| told(passed, at)).await?;
        }
        self.passed.stopped = true;
        Ok(())
    }

    /// Dispatches and sends until nothing that was due before `due_before` is ready, and nothing queued or
    /// sending.
    async fn drain(
        &mut self,
        app: &App,
        catalog: &Catalog,
        due_before: Option<Instant>,
        told: &(dyn Fn(&Passed) + Sync),
    ) -> Result<(), AppError> {
        let queue = Arc::clone(&self.queue);
        let mut dispatcher = Dispatcher { due_before, ..app.dispatcher(queue.as_ref()) };
        let mut recovered_at = tokio::time::Instant::now();
        let (mut busy, mut counted) = (false, None);
        while !app.stop.is_cancelled() {
            // Asked before dispatching: what was under way may have come back to be dispatched.
            let under_way = match counted.take() {
                Some(counted) => counted,
                None if busy => IN_QUEUE,
                None => app.in_queue().await?,
            };
            let done = Box::pin(dispatcher.step(catalog)).await?;
            self.passed.queued += done.queued;
            self.passed.ended += done.ended;
            self.passed.deferred += done.deferred;
            told(&self.passed);
            busy = done.taken > 0;
            if done.moved > 0 {
                continue;
            }
            if done.taken > 0 && done.taken < dispatcher.batch().unsigned_abs() {
                // That was everything: only outcomes can make more of it.
                dispatcher.finish().await?;
            } else if done.taken > 0 || done.published > 0 {
                continue;
            }
            if done.taken == 0 && under_way == 0 && done.full.is_none() {
                return Ok(());
            }
            if let Some(memory) = queue.memory().filter(|_| done.full.is_some()) {
                memory.wait_for_room(IDLE).await;
                continue;
            }
            counted = self.wait_for_senders(app, done.full, &mut recovered_at).await?;
            if let Some(in_queue) = counted {
                dispatcher.counted(in_queue);
            }
        }
        // What the senders have in hand they finish or give back.
        self.passed.stopped = true;
        Ok(dispatcher.give_back().await?)
    }

    /// Waits until nothing is under way, or where the queue was `full` with so many, until half of it is done. Gives how
    /// many are left, unless it is stopped.
    async fn wait_for_senders(
        &mut self,
        app: &App,
        mut full: Option<i64>,
        recovered_at: &mut tokio::time::Instant,
    ) -> Result<Option<i64>, AppError> {
        let progress = Arc::clone(&self.pulse.progress);
        let mut woken = std::pin::pin!(progress.notified());
        let enough = if full.is_some() { IN_QUEUE / 2 } else { 1 };
        while !app.stop.is_cancelled() {
            woken.set(progress.notified());
            woken.as_mut().enable();
            // To count what waits is work: the senders of this process tell how many are done. Others may help.
            let before = self.pulse.recorded.load(Ordering::Relaxed);
            let waiting = match full.take() {
                Some(counted) => counted,
                None => app.in_queue().await?,
            };
            if waiting < enough {
                return Ok(Some(waiting));
            }
            let more = (waiting - enough).unsigned_abs();
            let looked_at = tokio::time::Instant::now();
            while self.pulse.recorded.load(Ordering::Relaxed) - before <= more && looked_at.elapsed() < IDLE {
                let _ = tokio::time::timeout(IDLE, woken.as_mut()).await;
                woken.set(progress.notified());
                woken.as_mut().enable();
            }
            if recovered_at.elapsed() > RECOVERY {
                let recovered = app.recover(Some(self.queue.as_ref())).await?;
                self.passed.replanned += recovered.replanned;
                self.passed.uncertain += recovered.uncertain;
                *recovered_at = tokio::time::Instant::now();
            }
        }
        Ok(None)
    }
}
