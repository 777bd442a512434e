//! The two recorders, which write for all connections: that attempts begin, and how they end.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use metrics::counter;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::ending::closed_to;
use super::{Asked, BACKOFF, Ended, LEAST, Places, Receipt, Running};
use crate::domain::message::{EventKind, Purpose, Reason, State};
use crate::store::claims::{self, Finished, Starting};
use crate::store::events::{self, Event};
use crate::store::suppressions::{self, Suppression};
use crate::store::{StoreError, Tx, paces, within};
use crate::telemetry::Trouble;

/// How long outcomes are gathered before they are written.
const GATHER: Duration = Duration::from_millis(3);

/// The most that one transaction of a recorder holds.
pub(super) const RECORDS: usize = 512;

impl Running {
    /// Marks attempts as started, as many as ask at the same time in one transaction.
    pub(super) async fn record_starts(self: Arc<Self>, mut starts: mpsc::Receiver<Asked>) {
        let mut batch = Vec::new();
        let mut trouble = Trouble::new(format!("recording the start of attempts ({})", self.channel));
        while starts.recv_many(&mut batch, RECORDS).await > 0 {
            let rows: Vec<Starting> = batch.iter().map(|asked: &Asked| asked.starting).collect();
            // Nobody begins meanwhile. What was marked already, should only the answer have been lost, is
            // marked again; of a claim that runs out nothing starts.
            let started = loop {
                match within(self.write_starts(&rows)).await {
                    Ok(started) => break started,
                    Err(error) => {
                        trouble.met(&error);
                        tokio::time::sleep(again_after(&error)).await;
                    }
                }
            };
            trouble.over();
            for asked in batch.drain(..) {
                let _ = asked.go.send(started.contains(&(asked.starting.id, asked.starting.token)));
            }
        }
    }

    async fn write_starts(&self, rows: &[Starting]) -> Result<HashSet<(Uuid, Uuid)>, StoreError> {
        let mut tx = self.store.begin().await?;
        let started = claims::start(&mut tx, rows, self.factory.name(), self.clock.now(), LEAST).await?;
        tx.commit().await?;
        Ok(started.into_iter().collect())
    }

    /// Writes outcomes, as many as are there in one transaction, and lets them be acknowledged.
    pub(super) async fn record_ends(
        self: Arc<Self>,
        mut ends: mpsc::Receiver<Ended>,
        done: mpsc::UnboundedSender<Receipt>,
    ) {
        let mut batch: Vec<Ended> = Vec::new();
        let mut trouble = Trouble::new(format!("recording outcomes ({})", self.channel));
        while ends.recv_many(&mut batch, RECORDS).await > 0 {
            // A moment more fills the transaction: its cost is by the transaction more than by the row.
            tokio::time::sleep(GATHER).await;
            while batch.len() < RECORDS
                && let Ok(more) = ends.try_recv()
            {
                batch.push(more);
            }
            // Outcomes must not be lost: the servers have acted on them.
            while let Err(error) = within(self.write_ends(&batch)).await {
                trouble.met(&error);
                tokio::time::sleep(again_after(&error)).await;
            }
            trouble.over();
            self.recorded
                .fetch_add(batch.iter().filter(|ended| ended.finished.is_some()).count() as u64, Ordering::Relaxed);
            for ended in batch.drain(..) {
                let _ = done.send(ended.receipt);
            }
            self.progress.notify_waiters();
        }
    }

    async fn write_ends(&self, batch: &[Ended]) -> Result<(), StoreError> {
        let finished: Vec<&Finished> = batch.iter().filter_map(|ended| ended.finished.as_ref()).collect();
        if finished.is_empty() {
            return Ok(());
        }
        let mut suppress: Vec<Suppression> = batch.iter().flat_map(|ended| ended.suppress.iter().cloned()).collect();
        let bounces: Vec<Event> = batch.iter().filter_map(|ended| ended.soft_bounce.clone()).collect();
        let mut tx = self.store.begin().await?;
        let moved = claims::finish(&mut tx, &finished, self.clock.now()).await?;
        // What is recorded a second time has given its places back the first time.
        let moved = |ended: &&Ended| ended.finished.as_ref().is_some_and(|row| moved.contains(&row.id));
        let mut unused: BTreeMap<i64, BTreeMap<&str, i64>> = BTreeMap::new();
        for Places { day, names } in batch.iter().filter(moved).map(|ended| &ended.unused) {
            for name in names {
                *unused.entry(*day).or_default().entry(name).or_default() -= 1;
            }
        }
        for (day, names) in unused {
            let row = |(name, wanted): (&str, i64)| paces::Wanted { name: name.to_owned(), wanted };
            paces::take(&mut tx, day, &names.into_iter().map(row).collect::<Vec<_>>()).await?;
        }
        if !bounces.is_empty() {
            suppress.extend(full_for_days(&mut tx, &bounces).await?);
        }
        if !suppress.is_empty() {
            suppressions::insert(&mut tx, &suppress).await?;
        }
        tx.commit().await?;
        for row in finished {
            let (channel, sender) = (self.channel.as_str(), row.sender.clone());
            if let Some(outcome) = row.outcome {
                counter!("rekindle_attempts_total", "channel" => channel, "sender" => sender.clone(), "outcome" => outcome)
                    .increment(1);
            }
            if row.spent > 0 && row.state == State::Planned {
                counter!("rekindle_retries_total", "channel" => channel, "sender" => sender).increment(1);
            }
        }
        Ok(())
    }
}

/// Records full mailboxes; those that were full on several days are given up.
async fn full_for_days(tx: &mut Tx, bounces: &[Event]) -> Result<Vec<Suppression>, StoreError> {
    events::record(tx, bounces).await?;
    let mut given_up = Vec::new();
    for bounce in bounces {
        let Some(address) = &bounce.address else { continue };
        if events::is_given_up(tx, address, EventKind::SoftBounced, bounce.at).await? {
            given_up.extend(closed_to(address, Purpose::ALL, Reason::BadRecipient, bounce.at));
        }
    }
    Ok(given_up)
}

/// How long to wait after a failure of the store: not long where somebody was only in the way.
fn again_after(error: &StoreError) -> Duration {
    if error.is_transient() { BACKOFF / 10 } else { BACKOFF }
}
