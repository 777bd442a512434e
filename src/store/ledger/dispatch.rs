//! `dispatch`: the dispatcher takes what is ready, and what policy sends is queued under the next dispatch number. What
//! policy puts off stays planned, and what it ends, ends.

use std::borrow::Cow;

use serde::Serialize;
use uuid::Uuid;

use super::pending::{leave, pend};
use crate::domain::Instant;
use crate::domain::message::{Channel, Reason, State};
use crate::domain::policy::end_state;
use crate::store::messages::{Message, StoredMessage, message_columns};
use crate::store::{Dialect, Result, Rows, Texts, Tx, Uuids, daily, execute, query, statements};

statements! {
    // What waits for a person is taken, too, to be put out of the way of the rest.
    TAKE = concat!("SELECT ", message_columns!("m.state"), ", (p.campaign {in $2}) OR p.campaign IN \
        (SELECT c.name FROM campaigns c WHERE c.paused OR c.held) AS waits FROM pending p JOIN messages m ON m.id = p.message_id \
        WHERE p.dispatch_no IS NULL AND NOT p.parked AND p.next_at <= $1 AND p.due_at < $4 \
        AND p.campaign NOT IN (SELECT c.name FROM campaigns c WHERE c.scanning IS NOT NULL) \
        ORDER BY p.next_at, p.priority DESC, p.due_at, p.campaign, p.turn, p.member, p.message_id LIMIT $3 {skip_locked p}");
    PARK = "UPDATE pending SET parked = TRUE WHERE message_id {in_uuid $1} AND dispatch_no IS NULL";
    // For each campaign a look into the index, not a join: its planner takes what is parked for little.
    GO_ON = "SELECT c.name FROM campaigns c WHERE NOT c.paused AND NOT c.held AND NOT (c.name {in $1}) \
        AND (SELECT p.campaign FROM pending p WHERE p.dispatch_no IS NULL AND p.parked AND p.campaign = c.name \
        ORDER BY p.next_at LIMIT 1) IS NOT NULL";
    UNPARK = "UPDATE pending SET parked = FALSE WHERE message_id IN (SELECT p.message_id FROM pending p \
        WHERE p.dispatch_no IS NULL AND p.parked AND p.campaign {in $1} ORDER BY p.campaign, p.next_at LIMIT $2 {skip_locked p})";
    IN_INDEX_ORDER = "SELECT {off enable_sort}, {off enable_bitmapscan}";
    DECIDE = "UPDATE messages SET state = r.state, reason = r.reason, next_at = COALESCE(r.next_at, messages.next_at), \
        channel = COALESCE(r.channel, messages.channel), assigned_at = COALESCE(messages.assigned_at, r.assigned_at), \
        arm = COALESCE(messages.arm, r.arm), unit = COALESCE(messages.unit, r.unit), run = COALESCE(messages.run, CASE WHEN r.arm IS NOT NULL THEN \
        (SELECT c.run FROM campaigns c WHERE c.name = messages.campaign) END) \
        FROM {rows $1: id UUID, state TEXT, reason TEXT, next_at BIGINT, channel TEXT, assigned_at BIGINT, arm TEXT, unit TEXT} \
        WHERE messages.id = r.id AND messages.state = 'planned' RETURNING messages.id, messages.state";
    QUEUE = "UPDATE messages SET state = 'queued', channel = r.channel, reason = NULL, queued_at = $2, sent_at = NULL, \
        assigned_at = COALESCE(messages.assigned_at, $2), arm = COALESCE(messages.arm, r.arm), unit = COALESCE(messages.unit, r.unit), \
        run = COALESCE(messages.run, CASE WHEN r.arm IS NOT NULL THEN \
        (SELECT c.run FROM campaigns c WHERE c.name = messages.campaign) END), locale = r.locale, domain = r.domain, segments = r.segments, \
        dispatch_no = r.dispatch_no \
        FROM {rows $1: id UUID, dispatch_no BIGINT, channel TEXT, arm TEXT, unit TEXT, locale TEXT, domain TEXT, segments BIGINT} \
        WHERE messages.id = r.id AND messages.state = 'planned'";
    LEASE = "UPDATE pending SET dispatch_no = r.dispatch_no, batch = $2, lease_until = {now} + $3 \
        FROM {rows $1: id UUID, dispatch_no BIGINT} WHERE message_id = r.id AND pending.dispatch_no IS NULL";
    ADD_BATCH = "INSERT INTO batches (id, lease_until) VALUES ($1, {now} + $2)";
    HOLD_BATCHES = "UPDATE batches SET lease_until = {now} + $2 WHERE id {in_uuid $1}";
    END_BATCH = "DELETE FROM batches WHERE id = $1";
}

/// What policy decided for a planned message that does not go to the queue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Decided {
    pub id: Uuid,
    pub state: State,
    pub reason: Option<Reason>,
    /// Epoch milliseconds; absent: as it was.
    pub next_at: Option<i64>,
    /// The channel that policy chose, and when, where the message came to the question of its arm.
    pub channel: Option<Channel>,
    pub assigned_at: Option<i64>,
    /// Of its campaign's experiment, where there is one, and the address that it divides instead of the member.
    pub arm: Option<Cow<'static, str>>,
    pub unit: Option<String>,
}

impl Decided {
    /// Ended for a reason.
    pub fn ended(id: Uuid, reason: Reason) -> Self {
        let state = end_state(reason);
        Self { id, state, reason: Some(reason), next_at: None, channel: None, assigned_at: None, arm: None, unit: None }
    }
}

/// A message on its way to the queue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Queued {
    pub id: Uuid,
    /// The dispatch that begins: one more than the last one.
    pub dispatch_no: i64,
    /// What policy chose.
    pub channel: Channel,
    /// Of its campaign's experiment, where there is one, and the address that it divides instead of the member.
    pub arm: Option<Cow<'static, str>>,
    pub unit: Option<String>,
    /// In which it is rendered.
    pub locale: Option<String>,
    /// Of the recipient's e-mail address, in lower case.
    pub domain: Option<String>,
    /// Of an SMS, as it is charged.
    pub segments: Option<i64>,
}

/// What comes back at a time when a campaign goes on.
const UNPARKED_AT_ONCE: i64 = 10_000;

/// What is ready.
#[derive(Debug, Default)]
pub struct Ready {
    /// Held until the transaction ends.
    pub messages: Vec<Message>,
    /// Those that wait for a person, and stand in front of others.
    waits: Vec<Uuid>,
    /// Campaigns that go on, and of which something is parked.
    go_on: Vec<String>,
}

impl Ready {
    /// Whether [`make_way`] comes before anything is decided.
    pub const fn is_blocked(&self) -> bool {
        !self.waits.is_empty() || !self.go_on.is_empty()
    }
}

/// Takes up to `limit` messages that are ready at `now`, most urgent first, and were due before `due_before`. Those of
/// campaigns that are paused, held or `silent` wait.
pub async fn take(
    tx: &mut Tx,
    now: Instant,
    due_before: Option<Instant>,
    silent: &[String],
    limit: i64,
) -> Result<Ready> {
    let silent = Texts(silent.to_vec());
    let go_on: Vec<(String,)> = query!(fetch_all, (String,), tx, GO_ON, silent.clone())?;
    if tx.dialect() == Dialect::Postgres {
        // The index has the order. The planner, whose statistics lag behind a ledger in motion,
        // would sort everything that is ready for the few that are taken.
        query!(fetch_one, (String, String), tx, IN_INDEX_ORDER)?;
    }
    let due_before = due_before.map_or(i64::MAX, |at| at.timestamp_millis());
    let rows = query!(fetch_all, Taken, tx, TAKE, now.timestamp_millis(), silent, limit, due_before)?;
    let (wait, free): (Vec<Taken>, Vec<Taken>) = rows.into_iter().partition(|row| row.waits);
    Ok(Ready {
        messages: free.into_iter().map(|row| row.message.into_message()).collect::<Result<_>>()?,
        waits: wait.iter().map(|row| row.message.id()).collect(),
        go_on: go_on.into_iter().map(|(name,)| name).collect(),
    })
}

/// Parks what waits for a person: it leaves the dispatcher's order, so that nobody walks over it again, until its
/// campaign goes on. What is parked of those that do comes back. Gives how many changed their place.
pub async fn make_way(tx: &mut Tx, ready: Ready) -> Result<u64> {
    let mut moved = 0;
    if !ready.go_on.is_empty() {
        moved += execute!(tx, UNPARK, Texts(ready.go_on), UNPARKED_AT_ONCE)?;
    }
    if !ready.waits.is_empty() {
        moved += execute!(tx, PARK, Uuids(ready.waits))?;
    }
    Ok(moved)
}

#[derive(Debug, sqlx::FromRow)]
struct Taken {
    #[sqlx(flatten)]
    message: StoredMessage,
    /// Its campaign is paused, held or silent.
    waits: bool,
}

/// Records decisions other than to send. The gifts of what ends are released.
pub async fn decide(tx: &mut Tx, rows: &[Decided]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    daily::open(tx, rows.iter().map(|row| row.id)).await?;
    let decided: Vec<(Uuid, String)> = query!(fetch_all, (Uuid, String), tx, DECIDE, Rows(rows))?;
    let planned = State::Planned.as_str();
    let (waiting, ended): (Vec<_>, Vec<_>) = decided.into_iter().partition(|(_, state)| state == planned);
    pend(tx, waiting.into_iter().map(|(id, _)| id).collect()).await?;
    leave(tx, ended.into_iter().map(|(id, _)| id).collect()).await
}

/// Marks messages as queued, for `lease` milliseconds, in a batch that its process holds for `unheard` milliseconds: as
/// long as nobody else has heard of it, they go back when the process dies.
pub async fn queue(tx: &mut Tx, rows: &[Queued], batch: Uuid, now: Instant, lease: i64, unheard: i64) -> Result<()> {
    if !rows.is_empty() {
        // What went out before may be known by another language or domain from now on.
        let again = rows.iter().filter(|row| row.dispatch_no > 1);
        daily::open(tx, again.map(|row| row.id)).await?;
        execute!(tx, QUEUE, Rows(rows), now.timestamp_millis())?;
        execute!(tx, LEASE, Rows(rows), batch, lease)?;
        execute!(tx, ADD_BATCH, batch, unheard)?;
    }
    Ok(())
}

/// A process says that it lives and has something of these batches, for `unheard` milliseconds more.
pub async fn hold(tx: &mut Tx, batches: Vec<Uuid>, unheard: i64) -> Result<()> {
    if !batches.is_empty() {
        execute!(tx, HOLD_BATCHES, Uuids(batches), unheard)?;
    }
    Ok(())
}

/// The broker has the batch, or all of it went back.
pub async fn confirm(tx: &mut Tx, batch: Uuid) -> Result<()> {
    execute!(tx, END_BATCH, batch)?;
    Ok(())
}
