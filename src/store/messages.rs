//! The ledger: messages from their planning to the queue, and reading them.

use serde::Serialize;
use uuid::Uuid;

use super::{JsonRows, Result, StoreError, Texts, Tx, Uuids, execute, gifts, query, statements};
use crate::domain::message::{Channel, Reason, State};
use crate::domain::policy::end_state;
use crate::domain::{Instant, instant};

/// The state of a message `m` as people see it: a queued one that a sender holds is being sent.
macro_rules! shown_state {
    () => {
        "CASE WHEN m.state = 'queued' AND EXISTS (SELECT 1 FROM under_way u WHERE u.message_id = m.id \
         AND u.claim IS NOT NULL) THEN 'sending' ELSE m.state END"
    };
}

/// The columns of [`StoredMessage`], with the table alias `m` and this text for its state.
macro_rules! message_columns {
    ($state:expr) => {
        concat!(
            "m.id, m.member_id, m.campaign, m.occasion, m.step, m.slot, m.purchase_id, m.years, ",
            $state,
            " AS state, m.reason, m.channel, m.tried, m.first_due_at, m.due_at, m.next_at, m.dispatch_no, m.attempts, m.retries, \
             m.first_failed_at, m.sent_at"
        )
    };
}
pub(super) use message_columns;

statements! {
    INSERT = "INSERT INTO messages (id, member_id, campaign, occasion, step, slot, purchase_id, years, priority, turn, state, \
        reason, first_due_at, due_at, next_at) \
        SELECT r.id, r.member_id, r.campaign, r.occasion, r.step, r.slot, r.purchase_id, r.years, r.priority, r.turn, r.state, \
        r.reason, r.first_due_at, r.due_at, r.next_at \
        FROM {rows $1: id UUID, member_id BIGINT, campaign TEXT, occasion TEXT, step TEXT, slot TEXT, purchase_id BIGINT, \
        years BIGINT, priority BIGINT, turn BIGINT, state TEXT, reason TEXT, first_due_at BIGINT, due_at BIGINT, next_at BIGINT} \
        WHERE TRUE ON CONFLICT (member_id, campaign, occasion, step, slot) \
        DO UPDATE SET state = 'planned', reason = NULL, next_at = excluded.next_at \
        WHERE messages.state = 'skipped' AND messages.reason = 'outside_audience' AND excluded.state = 'planned' \
        RETURNING id";
    WITHDRAW = "DELETE FROM planned WHERE message_id IN (SELECT p.message_id FROM {rows $1: member_id BIGINT, campaign TEXT, \
        occasion TEXT, step TEXT, slot TEXT, due_at BIGINT} JOIN messages m ON m.member_id = r.member_id \
        AND m.campaign = r.campaign AND m.occasion = r.occasion AND m.step = r.step AND m.slot = r.slot AND m.due_at = r.due_at \
        JOIN planned p ON p.message_id = m.id {skip_locked p}) RETURNING message_id";
    PLAN = "INSERT INTO planned (message_id, next_at, priority, due_at, campaign, turn, member) \
        SELECT m.id, m.next_at, m.priority, m.due_at, m.campaign, m.turn, {utf8 e.external_id} \
        FROM messages m JOIN members e ON e.id = m.member_id WHERE m.id {in_uuid $1} AND m.state = 'planned' \
        ON CONFLICT (message_id) DO NOTHING";
    UNPLAN = "DELETE FROM planned WHERE message_id {in_uuid $1}";
    // What waits for a person is taken, too, to be put out of the way of the rest.
    TAKE_PLANNED = concat!("SELECT ", message_columns!("m.state"), ", (p.campaign {in $2}) OR EXISTS (SELECT 1 FROM campaigns c \
        WHERE c.name = p.campaign AND (c.paused OR c.held)) AS waits FROM planned p JOIN messages m ON m.id = p.message_id \
        WHERE NOT p.parked AND p.next_at <= $1 AND p.due_at < $4 AND NOT EXISTS (SELECT 1 FROM campaigns c \
        WHERE c.name = p.campaign AND c.scanning IS NOT NULL) \
        ORDER BY p.next_at, p.priority DESC, p.due_at, p.campaign, p.turn, p.member, p.message_id LIMIT $3 {skip_locked p}");
    PARK = "UPDATE planned SET parked = TRUE WHERE message_id {in_uuid $1}";
    // For each campaign a look into the index, not a join: its planner takes what is parked for little.
    GO_ON = "SELECT c.name FROM campaigns c WHERE NOT c.paused AND NOT c.held AND NOT (c.name {in $1}) \
        AND (SELECT p.campaign FROM planned p WHERE p.parked AND p.campaign = c.name ORDER BY p.next_at LIMIT 1) IS NOT NULL";
    UNPARK = "UPDATE planned SET parked = FALSE WHERE message_id IN (SELECT p.message_id FROM planned p \
        WHERE p.parked AND p.campaign {in $1} ORDER BY p.campaign, p.next_at LIMIT $2 {skip_locked p})";
    IN_INDEX_ORDER = "SELECT {off enable_sort}, {off enable_bitmapscan}";
    DECIDE = "UPDATE messages SET state = r.state, reason = r.reason, next_at = COALESCE(r.next_at, messages.next_at), \
        channel = COALESCE(r.channel, messages.channel), assigned_at = COALESCE(messages.assigned_at, r.assigned_at) \
        FROM {rows $1: id UUID, state TEXT, reason TEXT, next_at BIGINT, channel TEXT, assigned_at BIGINT} \
        WHERE messages.id = r.id AND messages.state = 'planned'";
    QUEUE = "UPDATE messages SET state = 'queued', channel = r.channel, reason = NULL, queued_at = $2, sent_at = NULL, \
        assigned_at = COALESCE(messages.assigned_at, $2), dispatch_no = messages.dispatch_no + 1 \
        FROM {rows $1: id UUID, channel TEXT} WHERE messages.id = r.id AND messages.state = 'planned'";
    SET_UNDER_WAY = "INSERT INTO under_way (message_id, dispatch_no, lease_until) \
        SELECT id, dispatch_no, {now} + $2 FROM messages WHERE id {in_uuid $1}";
    // What a sender is claiming just now needs no confirmation, and must not be waited for.
    CONFIRM = "UPDATE under_way SET lease_until = {now} + $2 WHERE message_id IN \
        (SELECT u.message_id FROM {rows $1: id UUID, dispatch_no BIGINT} JOIN under_way u ON u.message_id = r.id \
        AND u.dispatch_no = r.dispatch_no WHERE u.claim IS NULL {skip_locked u})";
    UNQUEUE = "DELETE FROM under_way WHERE message_id IN \
        (SELECT u.message_id FROM {rows $1: id UUID, dispatch_no BIGINT} JOIN under_way u ON u.message_id = r.id \
        AND u.dispatch_no = r.dispatch_no WHERE u.claim IS NULL {skip_locked u}) RETURNING message_id";
    REPLAN = "UPDATE messages SET state = 'planned' WHERE id {in_uuid $1} AND state = 'queued'";
    IN_QUEUE = "SELECT COUNT(*) FROM under_way";
    COUNT_PLANNED = "SELECT COUNT(*) FROM planned";
    NEXT_PLANNED = "SELECT MIN(t.next_at) FROM (SELECT MIN(p.next_at) AS next_at FROM planned p WHERE NOT p.parked \
        AND p.next_at < $1 AND p.due_at < $2 AND NOT (p.campaign {in $3}) AND NOT EXISTS (SELECT 1 FROM campaigns c \
        WHERE c.name = p.campaign AND (c.paused OR c.held OR c.scanning IS NOT NULL)) \
        UNION ALL SELECT MIN(p.next_at) FROM campaigns c JOIN planned p ON p.campaign = c.name WHERE p.parked \
        AND p.next_at < $1 AND p.due_at < $2 AND NOT (c.name {in $3}) \
        AND NOT c.paused AND NOT c.held AND c.scanning IS NULL) t";
    LIST = concat!("SELECT m.id, e.external_id, m.campaign, m.step, m.occasion, m.channel, ", shown_state!(), " AS state, m.reason, \
        m.due_at, m.next_at, m.attempts, m.sent_at, m.detail FROM messages m JOIN members e ON e.id = m.member_id \
        WHERE (CAST($1 AS TEXT) IS NULL OR m.campaign = $1) AND (CAST($2 AS TEXT) IS NULL OR e.external_id = $2) \
        AND (CAST($3 AS TEXT) IS NULL OR ", shown_state!(), " = $3) AND (m.due_at, m.id) > ($4, $5) \
        ORDER BY m.due_at, m.id LIMIT $6");
    OF_MEMBER = concat!("SELECT ", message_columns!(shown_state!()), " FROM messages m WHERE m.member_id = $1 \
        ORDER BY m.due_at, m.campaign, m.step, m.slot");
    COUNTS = concat!("SELECT m.campaign, COALESCE(m.channel, ''), ", shown_state!(), ", COALESCE(m.reason, ''), COUNT(*) \
        FROM messages m GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4");
    KNOWN = "SELECT m.member_id, m.occasion, m.step, m.slot, m.state, m.reason, m.due_at FROM messages m \
        WHERE m.campaign = $1 AND m.member_id {in $2}";
    WAITING = concat!("SELECT ", message_columns!("m.state"), ", m.priority, m.turn FROM messages m \
        WHERE m.campaign = $1 AND m.due_at >= $2 AND m.due_at < $3 AND m.state = 'planned' ORDER BY m.due_at, m.id");
    // What came back, and SMS that nobody has confirmed for too long.
    FAILED_AFTER_ALL = concat!("SELECT ", message_columns!("m.state"), " FROM messages m WHERE m.campaign = $1 AND m.due_at > $2 \
        AND (m.state = 'bounced' OR (m.state = 'sent' AND m.channel = 'sms' AND m.sent_at <= $3)) \
        AND NOT (',' || COALESCE(m.tried, '') || ',' LIKE '%,' || m.channel || ',%') ORDER BY m.due_at, m.id LIMIT $4 {skip_locked m}");
    FALL_BACK = "UPDATE messages SET tried = r.tried, state = CASE WHEN r.again THEN 'planned' ELSE messages.state END, \
        next_at = CASE WHEN r.again THEN $2 ELSE messages.next_at END, retries = 0, first_failed_at = NULL \
        FROM {rows $1: id UUID, tried TEXT, again BOOLEAN} WHERE messages.id = r.id";
    GIVE_UP = "UPDATE messages SET state = 'cancelled', reason = 'restored' WHERE state = 'planned' AND id IN \
        (SELECT p.message_id FROM planned p WHERE p.next_at <= $1) RETURNING id";
    UNCERTAIN = "SELECT m.id, m.campaign, COALESCE(m.channel, ''), a.started_at FROM attempts a JOIN messages m ON m.id = a.message_id \
        WHERE a.uncertain ORDER BY a.started_at DESC LIMIT $1";
    COUNT_UNCERTAIN = "SELECT COUNT(*) FROM attempts WHERE uncertain";
}

/// A message to insert.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NewMessage {
    pub id: Uuid,
    pub member_id: i64,
    pub campaign: String,
    pub occasion: String,
    pub step: String,
    pub slot: &'static str,
    pub purchase_id: Option<i64>,
    pub years: Option<i64>,
    pub priority: i64,
    /// Of equals, the lower one goes first: the earlier step, then the channel that is listed first.
    pub turn: i64,
    /// Planned, or skipped at once when the member is outside the audience.
    pub state: State,
    pub reason: Option<Reason>,
    pub first_due_at: i64,
    pub due_at: i64,
    pub next_at: i64,
}

/// A message as it stands in the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub id: Uuid,
    pub member_id: i64,
    pub campaign: String,
    pub occasion: String,
    pub step: String,
    pub slot: String,
    pub purchase_id: Option<i64>,
    pub years: Option<i64>,
    pub state: State,
    pub reason: Option<Reason>,
    pub channel: Option<Channel>,
    /// Channels that failed, where the campaign falls back.
    pub tried: Vec<Channel>,
    pub first_due_at: Instant,
    pub due_at: Instant,
    pub next_at: Instant,
    pub dispatch_no: i64,
    pub attempts: i64,
    pub retries: i64,
    pub first_failed_at: Option<Instant>,
    pub sent_at: Option<Instant>,
}

impl From<NewMessage> for Message {
    /// The row as it will be read once it is inserted.
    fn from(new: NewMessage) -> Self {
        Self {
            id: new.id,
            member_id: new.member_id,
            campaign: new.campaign,
            occasion: new.occasion,
            step: new.step,
            slot: new.slot.to_owned(),
            purchase_id: new.purchase_id,
            years: new.years,
            state: new.state,
            reason: new.reason,
            channel: None,
            tried: Vec::new(),
            first_due_at: instant(new.first_due_at),
            due_at: instant(new.due_at),
            next_at: instant(new.next_at),
            dispatch_no: 0,
            attempts: 0,
            retries: 0,
            first_failed_at: None,
            sent_at: None,
        }
    }
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
}

impl Decided {
    /// Ended for a reason.
    pub fn ended(id: Uuid, reason: Reason) -> Self {
        let state = end_state(reason);
        Self { id, state, reason: Some(reason), next_at: None, channel: None, assigned_at: None }
    }
}

/// A message on its way to the queue, with the channel that policy chose.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Queued {
    pub id: Uuid,
    pub channel: Channel,
}

/// One dispatch of a message: a late word about it says nothing about the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Dispatch {
    pub id: Uuid,
    pub dispatch_no: i64,
}

/// A line of `messages`.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Listed {
    pub id: Uuid,
    #[sqlx(rename = "external_id")]
    pub member: String,
    pub campaign: String,
    pub step: String,
    pub occasion: String,
    pub channel: Option<String>,
    pub state: String,
    pub reason: Option<String>,
    pub due_at: i64,
    pub next_at: i64,
    pub attempts: i64,
    pub sent_at: Option<i64>,
    pub detail: Option<String>,
}

/// What `messages` asks for.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub campaign: Option<String>,
    pub member: Option<String>,
    pub state: Option<State>,
}

/// Inserts what is not there yet; a message that was outside the audience and no longer is comes
/// back. Gives how many rows are new or came back.
pub async fn insert(tx: &mut Tx, rows: &[NewMessage]) -> Result<u64> {
    let inserted: Vec<(Uuid,)> = query!(fetch_all, (Uuid,), tx, INSERT, JsonRows::of(rows)?)?;
    let count = inserted.len() as u64;
    plan(tx, inserted.into_iter().map(|(id,)| id).collect()).await?;
    Ok(count)
}

/// Ends those of the rows that wait with the same due instant as outside the audience. One that a
/// dispatcher is deciding about is left to it.
pub async fn withdraw(tx: &mut Tx, rows: Vec<&NewMessage>) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let withdrawn: Vec<(Uuid,)> = query!(fetch_all, (Uuid,), tx, WITHDRAW, JsonRows::of(&rows)?)?;
    let ended = withdrawn.into_iter().map(|(id,)| Decided::ended(id, Reason::OutsideAudience));
    decide(tx, &ended.collect::<Vec<_>>()).await
}

/// Lists those of the messages that are planned for the dispatcher.
pub(super) async fn plan(tx: &mut Tx, ids: Vec<Uuid>) -> Result<()> {
    if !ids.is_empty() {
        execute!(tx, PLAN, Uuids(ids))?;
    }
    Ok(())
}

/// Lists planned messages anew, whose members have changed.
pub(super) async fn plan_anew(tx: &mut Tx, ids: Vec<Uuid>) -> Result<()> {
    if !ids.is_empty() {
        execute!(tx, UNPLAN, Uuids(ids.clone()))?;
        plan(tx, ids).await?;
    }
    Ok(())
}

/// Puts messages that were on their way back, as they were before their dispatch.
pub(super) async fn replan(tx: &mut Tx, ids: Vec<Uuid>) -> Result<()> {
    if !ids.is_empty() {
        execute!(tx, REPLAN, Uuids(ids.clone()))?;
        plan(tx, ids).await?;
    }
    Ok(())
}

/// Looks for messages that may go after as many pages of those that may not.
const PARKED_AT_ONCE: usize = 20;

/// What comes back at a time when a campaign goes on.
const UNPARKED_AT_ONCE: i64 = 10_000;

/// Takes up to `limit` messages that are ready at `now`, most urgent first, and were due before `due_before`;
/// holds them until the transaction ends. Those of campaigns that are paused, held or `silent` are parked:
/// they leave the dispatcher's order, so that nobody walks over them again, until their campaign goes on, which
/// each look sees by itself. Gives those that were taken, and how many were parked.
pub async fn take_planned(
    tx: &mut Tx,
    now: Instant,
    due_before: Option<Instant>,
    silent: &[String],
    limit: i64,
) -> Result<(Vec<Message>, u64)> {
    let silent = Texts(silent.to_vec());
    let go_on: Vec<(String,)> = query!(fetch_all, (String,), tx, GO_ON, silent.clone())?;
    if !go_on.is_empty() {
        let names = Texts(go_on.into_iter().map(|(name,)| name).collect());
        execute!(tx, UNPARK, names, UNPARKED_AT_ONCE)?;
    }
    if tx.dialect() == super::Dialect::Postgres {
        // The index has the order. The planner, whose statistics lag behind a ledger in motion,
        // would sort everything that is ready for the few that are taken.
        query!(fetch_one, (String, String), tx, IN_INDEX_ORDER)?;
    }
    let due_before = due_before.map_or(i64::MAX, |at| at.timestamp_millis());
    let (now, mut parked) = (now.timestamp_millis(), 0);
    for _ in 0..PARKED_AT_ONCE {
        let rows = query!(fetch_all, Taken, tx, TAKE_PLANNED, now, silent.clone(), limit, due_before)?;
        let (wait, free): (Vec<Taken>, Vec<Taken>) = rows.into_iter().partition(|row| row.waits);
        if !wait.is_empty() {
            parked += execute!(tx, PARK, Uuids(wait.iter().map(|row| row.message.id).collect()))?;
        }
        if !free.is_empty() || wait.is_empty() {
            let free = free.into_iter().map(|row| row.message.into_message());
            return Ok((free.collect::<Result<_>>()?, parked));
        }
    }
    Ok((Vec::new(), parked))
}

#[derive(Debug, sqlx::FromRow)]
struct Taken {
    #[sqlx(flatten)]
    message: StoredMessage,
    /// Its campaign is paused, held or silent.
    waits: bool,
}

/// Records decisions other than to send.
pub async fn decide(tx: &mut Tx, rows: &[Decided]) -> Result<()> {
    if !rows.is_empty() {
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        execute!(tx, DECIDE, JsonRows::of(rows)?)?;
        execute!(tx, UNPLAN, Uuids(ids.clone()))?;
        plan(tx, ids).await?;
        let ended = rows.iter().filter(|row| row.state != State::Planned).map(|row| row.id);
        gifts::release(tx, ended.collect()).await?;
    }
    Ok(())
}

/// Marks messages as queued under their next dispatch number, for `lease` milliseconds.
pub async fn queue(tx: &mut Tx, rows: &[Queued], now: Instant, lease: i64) -> Result<()> {
    if !rows.is_empty() {
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        execute!(tx, UNPLAN, Uuids(ids.clone()))?;
        execute!(tx, QUEUE, JsonRows::of(rows)?, now.timestamp_millis())?;
        execute!(tx, SET_UNDER_WAY, Uuids(ids), lease)?;
    }
    Ok(())
}

/// Records that the broker has them: they may wait for a sender for `lease` milliseconds.
pub async fn confirm(tx: &mut Tx, dispatches: &[Dispatch], lease: i64) -> Result<()> {
    execute!(tx, CONFIRM, JsonRows::of(dispatches)?, lease)?;
    Ok(())
}

/// Puts back what the queue did not take.
pub async fn unqueue(tx: &mut Tx, dispatches: &[Dispatch]) -> Result<()> {
    let back: Vec<(Uuid,)> = query!(fetch_all, (Uuid,), tx, UNQUEUE, JsonRows::of(dispatches)?)?;
    replan(tx, back.into_iter().map(|(id,)| id).collect()).await
}

/// How many messages are between dispatch and outcome.
pub async fn in_queue(tx: &mut Tx) -> Result<i64> {
    let (count,): (i64,) = query!(fetch_one, (i64,), tx, IN_QUEUE)?;
    Ok(count)
}

/// How many messages wait for their time, for a retry, or for a campaign that is held.
pub async fn planned(tx: &mut Tx) -> Result<i64> {
    let (count,): (i64,) = query!(fetch_one, (i64,), tx, COUNT_PLANNED)?;
    Ok(count)
}

/// The earliest `next_at` before `until` of planned messages due before `due_before`.
pub async fn next_planned(
    tx: &mut Tx,
    until: Instant,
    due_before: Instant,
    silent: &[String],
) -> Result<Option<Instant>> {
    let (until, due) = (until.timestamp_millis(), due_before.timestamp_millis());
    let (at,): (Option<i64>,) =
        query!(fetch_one, (Option<i64>,), tx, NEXT_PLANNED, until, due, Texts(silent.to_vec()))?;
    Ok(at.map(instant))
}

/// Up to `limit` messages after (due_at, id), in order.
pub async fn list(tx: &mut Tx, filter: &Filter, after: (i64, Uuid), limit: i64) -> Result<Vec<Listed>> {
    let state = filter.state.map(State::as_str);
    let (campaign, member) = (filter.campaign.as_deref(), filter.member.as_deref());
    Ok(query!(fetch_all, Listed, tx, LIST, campaign, member, state, after.0, after.1, limit)?)
}

/// Every message of a member.
pub async fn of_member(tx: &mut Tx, member: i64) -> Result<Vec<Message>> {
    let rows = query!(fetch_all, StoredMessage, tx, OF_MEMBER, member)?;
    rows.into_iter().map(StoredMessage::into_message).collect()
}

/// Counts by (campaign, channel, state, reason); a channel or reason that is not set is empty.
pub async fn counts(tx: &mut Tx) -> Result<Vec<(String, String, String, String, i64)>> {
    Ok(query!(fetch_all, (String, String, String, String, i64), tx, COUNTS)?)
}

/// A message that exists: member, occasion, step, slot, state, reason, due_at.
pub type Known = (i64, String, String, String, String, Option<String>, i64);

/// The messages of a campaign that exist for some members.
pub async fn known(tx: &mut Tx, campaign: &str, members: Vec<i64>) -> Result<Vec<Known>> {
    Ok(query!(fetch_all, Known, tx, KNOWN, campaign, super::Ids(members))?)
}

/// A campaign's messages due in [from, to) that wait to be decided about, each with its priority and turn.
pub async fn waiting(tx: &mut Tx, campaign: &str, from: Instant, to: Instant) -> Result<Vec<(Message, i64, i64)>> {
    let (from, to) = (from.timestamp_millis(), to.timestamp_millis());
    let rows = query!(fetch_all, Waiting, tx, WAITING, campaign, from, to)?;
    rows.into_iter().map(|row| Ok((row.message.into_message()?, row.priority, row.turn))).collect()
}

#[derive(Debug, sqlx::FromRow)]
struct Waiting {
    #[sqlx(flatten)]
    message: StoredMessage,
    priority: i64,
    turn: i64,
}

/// Ends what would go out by now, after a restored backup. Gives how many.
pub async fn give_up(tx: &mut Tx, now: Instant) -> Result<u64> {
    let ended: Vec<(Uuid,)> = query!(fetch_all, (Uuid,), tx, GIVE_UP, now.timestamp_millis())?;
    let count = ended.len() as u64;
    let ended: Vec<Uuid> = ended.into_iter().map(|(id,)| id).collect();
    execute!(tx, UNPLAN, Uuids(ended.clone()))?;
    gifts::release(tx, ended).await?;
    Ok(count)
}

/// A message whose channel failed after all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FellBack {
    pub id: Uuid,
    /// Its channels that failed, with commas.
    pub tried: String,
    /// Whether it goes out on another one.
    pub again: bool,
}

/// Messages of a campaign due after an instant that came back, or are SMS sent by `sent_before` and not
/// confirmed since; not those whose channel is known to have failed.
pub async fn failed_after_all(
    tx: &mut Tx,
    campaign: &str,
    due_after: Instant,
    sent_before: Instant,
    limit: i64,
) -> Result<Vec<Message>> {
    let (due, sent) = (due_after.timestamp_millis(), sent_before.timestamp_millis());
    let rows = query!(fetch_all, StoredMessage, tx, FAILED_AFTER_ALL, campaign, due, sent, limit)?;
    rows.into_iter().map(StoredMessage::into_message).collect()
}

/// Notes failed channels, and plans again at `now` what goes out on another one.
pub async fn fall_back(tx: &mut Tx, rows: &[FellBack], now: Instant) -> Result<()> {
    execute!(tx, FALL_BACK, JsonRows::of(rows)?, now.timestamp_millis())?;
    plan(tx, rows.iter().filter(|row| row.again).map(|row| row.id).collect()).await
}

/// How many attempts ever ended uncertain, and the latest of them as (message, campaign, channel,
/// started_at).
pub async fn uncertain(tx: &mut Tx, limit: i64) -> Result<(i64, Vec<(Uuid, String, String, i64)>)> {
    let (count,): (i64,) = query!(fetch_one, (i64,), tx, COUNT_UNCERTAIN)?;
    Ok((count, query!(fetch_all, (Uuid, String, String, i64), tx, UNCERTAIN, limit)?))
}

/// A row of the table, as read.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct StoredMessage {
    id: Uuid,
    member_id: i64,
    campaign: String,
    occasion: String,
    step: String,
    slot: String,
    purchase_id: Option<i64>,
    years: Option<i64>,
    state: String,
    reason: Option<String>,
    channel: Option<String>,
    tried: Option<String>,
    first_due_at: i64,
    due_at: i64,
    next_at: i64,
    dispatch_no: i64,
    attempts: i64,
    retries: i64,
    first_failed_at: Option<i64>,
    sent_at: Option<i64>,
}

impl StoredMessage {
    pub(super) fn into_message(self) -> Result<Message> {
        fn word<T: std::str::FromStr>(column: &'static str, text: &str) -> Result<T> {
            text.parse().map_err(|_| StoreError::Unknown { table: "messages", column, value: text.to_owned() })
        }
        Ok(Message {
            id: self.id,
            member_id: self.member_id,
            campaign: self.campaign,
            occasion: self.occasion,
            step: self.step,
            slot: self.slot,
            purchase_id: self.purchase_id,
            years: self.years,
            state: word("state", &self.state)?,
            reason: self.reason.map(|text| word("reason", &text)).transpose()?,
            channel: self.channel.map(|text| word("channel", &text)).transpose()?,
            tried: self
                .tried
                .map_or(Ok(Vec::new()), |tried| tried.split(',').map(|text| word("tried", text)).collect())?,
            first_due_at: instant(self.first_due_at),
            due_at: instant(self.due_at),
            next_at: instant(self.next_at),
            dispatch_no: self.dispatch_no,
            attempts: self.attempts,
            retries: self.retries,
            first_failed_at: self.first_failed_at.map(instant),
            sent_at: self.sent_at.map(instant),
        })
    }
}
