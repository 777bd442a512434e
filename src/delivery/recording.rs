//! The recorder, which writes for all connections of a sender. What waits goes in one transaction: how attempts ended,
//! and which begin. Under load its groups grow; a single message goes at once.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use metrics::counter;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::ending::closed_to;
use super::judging::Judge;
use super::{Asked, BACKOFF, Ended, LEASE, Places, Receipt, Record, Running, Started, Work};
use crate::domain::message::{EventKind, Purpose, Reason, State};
use crate::store::events::{self, Event};
use crate::store::ledger::Dispatch;
use crate::store::ledger::end::{self, Finished};
use crate::store::ledger::plan::{self, Back};
use crate::store::ledger::start::{self, Starting};
use crate::store::suppressions::{self, Suppression};
use crate::store::{StoreError, Tx, configuration, paces, within};
use crate::telemetry::Trouble;

/// The most reports that one transaction takes up.
pub(super) const RECORDS: usize = 512;

/// Under load a moment more fills the transaction, whose cost is by itself more than by its rows: a group that is no
/// larger than this waits so long, where the one before was more than a few.
const SMALL: usize = 64;
const FEW: usize = 4;
const MOMENT: Duration = Duration::from_millis(1);

/// What one transaction writes.
#[derive(Default)]
struct Group {
    ended: Vec<Ended>,
    back: Vec<(Back, Receipt)>,
    asked: Vec<Asked>,
    /// Under which all of its attempts begin.
    claim: Uuid,
}

impl Running {
    /// Writes what the connections report, and tells them and the intake when it stands.
    pub(super) async fn record(
        self: Arc<Self>,
        mut records: mpsc::Receiver<Record>,
        done: mpsc::UnboundedSender<Receipt>,
    ) {
        let mut batch = Vec::new();
        let mut judge = Judge::default();
        let mut trouble = Trouble::new(format!("recording messages ({})", self.channel));
        let mut last = 0;
        while records.recv_many(&mut batch, RECORDS).await > 0 {
            if last > FEW && batch.len() < SMALL {
                tokio::time::sleep(MOMENT).await;
                while batch.len() < RECORDS
                    && let Ok(more) = records.try_recv()
                {
                    batch.push(more);
                }
            }
            last = batch.len();
            let mut group = self.group(batch.drain(..));
            // Ends that others follow at once are made durable by these.
            let relaxed = group.asked.is_empty() && !records.is_empty();
            let going = self.write_until_it_stands(&mut group, &mut judge, relaxed, &mut trouble).await;
            self.tell(group, &going, &done);
        }
    }

    fn group(&self, records: impl Iterator<Item = Record>) -> Group {
        let mut group = Group { claim: self.clock.new_id(), ..Group::default() };
        for record in records {
            match record {
                Record::Ended(ended) => group.ended.push(*ended),
                Record::Back(work, wait) => {
                    let row = |work: &Work| Back {
                        next_at: wait.map(|wait| self.next_at(work, wait)),
                        ..dispatch(work).into()
                    };
                    group.back.extend(work.iter().map(|work| (row(work), work.receipt)));
                }
                Record::Asked(asked) => group.asked.push(asked),
            }
        }
        group
    }

    /// Outcomes must not be lost: the servers have acted on them. And nobody begins meanwhile. What was written already,
    /// should only the answer have been lost, is written again.
    async fn write_until_it_stands(
        &self,
        group: &mut Group,
        judge: &mut Judge,
        relaxed: bool,
        trouble: &mut Trouble,
    ) -> Going {
        loop {
            match within(self.write(group, judge, relaxed)).await {
                Ok(going) => {
                    trouble.over();
                    return going;
                }
                Err(error) => {
                    trouble.met(&error);
                    let wait = if error.is_transient() { BACKOFF / 10 } else { BACKOFF };
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    /// Lets those begin that may, and has acknowledged what is over.
    fn tell(&self, group: Group, going: &Going, done: &mpsc::UnboundedSender<Receipt>) {
        let recorded = group.ended.iter().filter(|ended| ended.finished.is_some()).count() + going.ended;
        self.recorded.fetch_add(recorded as u64, Ordering::Relaxed);
        for asked in group.asked {
            // Of two copies the other one has no claim.
            let goes = |work: &Work| work.claim == group.claim && going.ids.contains(&dispatch(work));
            let (go, over) = asked.work.into_iter().partition(goes);
            let _ = asked.answer.send(Started { go, over });
        }
        let ended = group.ended.iter().map(|ended| ended.receipt);
        for receipt in ended.chain(group.back.iter().map(|(_, receipt)| *receipt)) {
            let _ = done.send(receipt);
        }
        self.progress.notify_waiters();
    }

    async fn write(&self, group: &mut Group, judge: &mut Judge, relaxed: bool) -> Result<Going, StoreError> {
        let mut tx = self.store.begin_ledger(relaxed).await?;
        self.write_ends(&mut tx, &group.ended).await?;
        plan::back(&mut tx, &group.back.iter().map(|(row, _)| *row).collect::<Vec<_>>()).await?;
        let going = self.write_starts(&mut tx, &mut group.asked, group.claim, judge).await?;
        tx.commit().await?;
        for row in group.ended.iter().filter_map(|ended| ended.finished.as_ref()) {
            let (channel, sender) = (self.channel.as_str(), row.sender.clone());
            if let Some(outcome) = row.outcome {
                counter!("rekindle_attempts_total", "channel" => channel, "sender" => sender.clone(), "outcome" => outcome)
                    .increment(1);
            }
            if row.spent > 0 && row.state == State::Planned {
                counter!("rekindle_retries_total", "channel" => channel, "sender" => sender).increment(1);
            }
        }
        Ok(going)
    }

    /// Begins attempts: claims them, and lets those go that policy allows now.
    async fn write_starts(
        &self,
        tx: &mut Tx,
        asked: &mut [Asked],
        claim: Uuid,
        judge: &mut Judge,
    ) -> Result<Going, StoreError> {
        let work: Vec<&mut Work> = asked.iter_mut().flat_map(|asked| &mut asked.work).collect();
        if work.is_empty() {
            return Ok(Going::default());
        }
        let rows: Vec<Starting> = work
            .iter()
            .map(|work| Starting {
                id: work.envelope.message,
                dispatch_no: work.envelope.dispatch_no,
                traceable: work.traceable,
            })
            .collect();
        let now = self.clock.now();
        let claimed = start::start(tx, &rows, claim, self.factory.name(), now, LEASE).await?;
        if claimed.len() < rows.len() {
            self.notice_older_store(tx, &rows).await?;
        }
        let mut claimed: HashSet<Dispatch> = claimed.into_iter().collect();
        let mut mine = Vec::with_capacity(claimed.len());
        for work in work {
            // Of two copies of one dispatch in a group the first has it; an earlier dispatch's has nothing.
            if claimed.remove(&dispatch(work)) {
                work.claim = claim;
                mine.push(work);
            }
        }
        // After the claim: whatever changed before it shows in the number.
        let policy = configuration::policy(tx).await?;
        let (mut finished, mut going) = (Vec::new(), Going::default());
        let passed = judge.pass(self, tx, mine, policy, &mut finished).await?;
        let passed = self.admitted(tx, passed, &mut finished, now).await?;
        going.ids = passed.into_iter().map(|work| dispatch(work)).collect();
        going.ended = finished.len();
        end::finish(tx, &finished.iter().collect::<Vec<_>>(), now).await?;
        counter!("rekindle_claimed_total", "channel" => self.channel.as_str()).increment(going.ids.len() as u64);
        for reason in finished.iter().filter_map(|row| row.reason) {
            counter!("rekindle_ended_total", "stage" => "send", "reason" => reason.as_str()).increment(1);
        }
        Ok(going)
    }

    async fn write_ends(&self, tx: &mut Tx, ended: &[Ended]) -> Result<(), StoreError> {
        let finished: Vec<&Finished> = ended.iter().filter_map(|ended| ended.finished.as_ref()).collect();
        if finished.is_empty() {
            return Ok(());
        }
        let mut suppress: Vec<Suppression> = ended.iter().flat_map(|ended| ended.suppress.iter().cloned()).collect();
        let bounces: Vec<Event> = ended.iter().filter_map(|ended| ended.soft_bounce.clone()).collect();
        let moved = end::finish(tx, &finished, self.clock.now()).await?;
        // What is recorded a second time has given its places back the first time.
        let moved = |ended: &&Ended| {
            ended
                .finished
                .as_ref()
                .is_some_and(|row| moved.contains(&Dispatch { id: row.id, dispatch_no: row.dispatch_no }))
        };
        let mut unused: BTreeMap<i64, BTreeMap<&str, i64>> = BTreeMap::new();
        let given_back = ended.iter().filter(|ended| !ended.unused.names.is_empty()).filter(moved);
        for Places { day, names } in given_back.map(|ended| &ended.unused) {
            for name in names {
                *unused.entry(*day).or_default().entry(name).or_default() -= 1;
            }
        }
        for (day, names) in unused {
            let row = |(name, wanted): (&str, i64)| paces::Wanted { name: name.to_owned(), wanted };
            paces::take(tx, day, &names.into_iter().map(row).collect::<Vec<_>>()).await?;
        }
        if !bounces.is_empty() {
            suppress.extend(full_for_days(tx, &bounces).await?);
        }
        if !suppress.is_empty() {
            suppressions::insert(tx, &suppress).await?;
        }
        Ok(())
    }

    /// A copy of a dispatch that the store does not know: it was restored from a backup, and would send
    /// again what it forgot. Nothing more goes out until a person has looked.
    async fn notice_older_store(&self, tx: &mut Tx, rows: &[Starting]) -> Result<(), StoreError> {
        let wanted: Vec<Dispatch> =
            rows.iter().map(|row| Dispatch { id: row.id, dispatch_no: row.dispatch_no }).collect();
        let unknown = start::unknown(tx, &wanted).await?;
        if unknown > 0 && !configuration::all_paused(tx).await? {
            tracing::error!(
                channel = %self.channel,
                unknown,
                "the queue holds messages that this store never dispatched: was it restored from a backup? \
                 everything is paused; see `rekindle restored --help`"
            );
            let because = "the queue holds messages that this store never dispatched, as after a restored backup";
            configuration::pause_all(tx, Some(because)).await?;
        }
        Ok(())
    }
}

/// Which attempts of a group begin, and how many of its messages ended before one.
#[derive(Default)]
struct Going {
    ids: HashSet<Dispatch>,
    ended: usize,
}

fn dispatch(work: &Work) -> Dispatch {
    (&work.envelope).into()
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
