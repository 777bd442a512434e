//! What is in the store, what waits, and what needs somebody.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::catalog::Catalog;
use crate::deciding::{self, Decision};
use crate::domain::calendar::rfc3339;
use crate::domain::campaign::Campaign;
use crate::domain::message::{Channel, State};
use crate::domain::{Instant, instant};
use crate::nightly;
use crate::queue::Queue;
use crate::scheduler;
use crate::store::messages::{Count, UncertainAttempt};
use crate::store::paces::Rests;
use crate::store::{
    Store, StoreError, Tx, configuration, events, gifts, members, messages, paces, purchases, replies, suppressions,
    versions,
};

/// Uncertain attempts that are shown.
const SHOWN: i64 = 10;

/// How far back what was heard is counted.
const HEARD: chrono::Duration = chrono::Duration::hours(24);

/// What the store, the queue and the servers say.
#[derive(Debug, Serialize)]
pub struct Status {
    pub members: i64,
    pub purchases: i64,
    pub latest_purchase_at: Option<String>,
    pub suppressions: i64,
    pub paused: bool,
    pub paused_because: Option<String>,
    /// Messages by state.
    pub messages: BTreeMap<String, i64>,
    /// Why messages were not sent, by reason.
    pub reasons: BTreeMap<String, i64>,
    /// What was heard back in the last 24 hours, by kind: `delivered`, `bounced`, `clicked` …
    pub heard: BTreeMap<String, i64>,
    /// Sent messages by campaign and channel.
    pub sent: Vec<Sent>,
    /// Campaigns above what a day may bring, waiting for `campaigns approve`.
    pub waiting_for_approval: Vec<String>,
    /// Why, in the same order.
    pub held_because: Vec<String>,
    /// Files that were changed both in the folder of a process with `apply: auto` and in the store, whose stay.
    pub conflicts: Vec<String>,
    /// What members wrote and nobody has read; of these, what is nearly an opt-out.
    pub unread_replies: i64,
    pub unread_urgent_replies: i64,
    /// Empty until the queue is asked: [`depths`].
    pub queue: Vec<Depth>,
    /// Pools of codes that are empty or will be within a week, of those on which live campaigns draw.
    pub low_pools: Vec<gifts::Pool>,
    /// Servers and recipients' domains to which nothing goes at the moment, in any process, and mailboxes
    /// from which no bounces come.
    pub resting: Vec<Resting>,
    /// When the night's work ended last.
    pub nightly_ended_at: Option<String>,
    /// What was decided last of the experiments that decide by themselves.
    pub decisions: Vec<Decision>,
    /// Attempts whose answer was lost, ever.
    pub uncertain_attempts: i64,
    pub latest_uncertain: Vec<Uncertain>,
}

/// Messages of a campaign that were sent on a channel.
#[derive(Debug, Serialize)]
pub struct Sent {
    pub campaign: String,
    pub channel: String,
    pub messages: i64,
}

/// What waits in a queue, or why nobody can tell.
#[derive(Debug, Serialize)]
pub struct Depth {
    pub channel: &'static str,
    pub waiting: Option<u64>,
    pub problem: Option<String>,
}

/// What rests, until when, and what it said.
#[derive(Debug, Serialize)]
pub struct Resting {
    pub name: String,
    pub state: String,
    pub until: String,
    pub reply: String,
}

/// An attempt whose answer was lost.
#[derive(Debug, Serialize)]
pub struct Uncertain {
    pub message: String,
    pub campaign: String,
    pub channel: String,
    pub started_at: String,
}

/// What the store says at `now`. Without a catalog that can be used, no campaign draws on a pool.
pub async fn status(store: &Store, catalog: Option<&Catalog>, now: Instant) -> Result<Status, StoreError> {
    let in_use = catalog.map(pools_in_use).unwrap_or_default();
    let mut tx = store.read().await?;
    let (purchases, latest) = purchases::summary(&mut tx).await?;
    let (uncertain_attempts, latest_uncertain) = messages::uncertain(&mut tx, SHOWN).await?;
    let (waiting_for_approval, held_because) = held(&mut tx).await?.into_iter().unzip();
    let unread = replies::unread(&mut tx, now).await?;
    let paused_because = configuration::paused_because(&mut tx).await?;
    let pools = gifts::pools(&mut tx, in_use, now).await?;
    let counted = Counted::of(messages::counts(&mut tx).await?);
    let decisions = match catalog {
        Some(catalog) => deciding::latest(&mut tx, catalog).await?,
        None => Vec::new(),
    };
    let status = Status {
        nightly_ended_at: nightly::last_ended(&mut tx).await?.map(rfc3339),
        decisions,
        members: members::count(&mut tx).await?,
        purchases,
        latest_purchase_at: latest.map(|at| rfc3339(instant(at))),
        suppressions: suppressions::count(&mut tx).await?,
        paused: paused_because.is_some(),
        paused_because,
        messages: counted.states,
        reasons: counted.reasons,
        heard: events::counts(&mut tx, (now - HEARD).timestamp_millis()).await?.into_iter().collect(),
        sent: counted.sent,
        waiting_for_approval,
        held_because,
        conflicts: versions::conflicts(&mut tx).await?,
        unread_replies: unread.all,
        unread_urgent_replies: unread.urgent,
        queue: Vec::new(),
        low_pools: pools.into_iter().filter(gifts::Pool::is_low).collect(),
        resting: paces::resting(&mut tx).await?.into_iter().map(resting).collect(),
        uncertain_attempts,
        latest_uncertain: latest_uncertain.into_iter().map(uncertain).collect(),
    };
    tx.commit().await?;
    Ok(status)
}

/// How many messages wait in the queue of each channel.
pub async fn depths(queue: &dyn Queue) -> Vec<Depth> {
    let mut depths = Vec::new();
    for channel in Channel::ALL {
        let depth = queue.depth(*channel).await;
        let problem = depth.as_ref().err().map(ToString::to_string);
        depths.push(Depth { channel: channel.as_str(), waiting: depth.ok(), problem });
    }
    depths
}

/// The same where the queue cannot be reached, and why.
pub fn unreachable(problem: String) -> Vec<Depth> {
    vec![Depth { channel: "email, sms", waiting: None, problem: Some(problem) }]
}

/// The pools on which live campaigns draw.
pub fn pools_in_use(catalog: &Catalog) -> Vec<String> {
    let pools: BTreeSet<&str> = scheduler::live(catalog).flat_map(Campaign::pools).collect();
    pools.into_iter().map(str::to_owned).collect()
}

/// The campaigns that wait for approval, and why.
async fn held(tx: &mut Tx) -> Result<BTreeMap<String, String>, StoreError> {
    let states = configuration::states(tx).await?;
    let held = states.into_iter().filter(|(_, state)| state.held);
    Ok(held.map(|(name, state)| (name, state.held_because())).collect())
}

/// The messages of the ledger, counted.
#[derive(Default)]
struct Counted {
    states: BTreeMap<String, i64>,
    reasons: BTreeMap<String, i64>,
    sent: Vec<Sent>,
}

impl Counted {
    fn of(counts: Vec<Count>) -> Self {
        let mut counted = Self::default();
        for Count { campaign, channel, state, reason, messages } in counts {
            if state == State::Sent.as_str() {
                counted.sent.push(Sent { campaign, channel, messages });
            }
            if !reason.is_empty() {
                *counted.reasons.entry(reason).or_default() += messages;
            }
            *counted.states.entry(state).or_default() += messages;
        }
        counted
    }
}

fn resting(rests: Rests) -> Resting {
    Resting { name: rests.name, state: rests.state, until: rfc3339(instant(rests.until_at)), reply: rests.reply }
}

fn uncertain(attempt: UncertainAttempt) -> Uncertain {
    Uncertain {
        message: attempt.message.to_string(),
        campaign: attempt.campaign,
        channel: attempt.channel,
        started_at: rfc3339(instant(attempt.started_at)),
    }
}
