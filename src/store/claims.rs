//! Claims: who may send a message, the attempts, their outcomes, and recovery of what a dead
//! process held. That an attempt began is committed before the I/O it stands for.

use std::collections::HashMap;

use serde::Serialize;
use uuid::Uuid;

use super::messages::{self, Message, StoredMessage, message_columns};
use super::{JsonRows, Result, Tx, Uuids, events, execute, gifts, query, receipts, statements};
use crate::domain::Instant;
use crate::domain::message::{Channel, Reason, State};

statements! {
    CLAIM = "UPDATE under_way SET claim = $2, lease_until = {now} + $3 FROM {rows $1: wanted UUID, wanted_no BIGINT} \
        WHERE message_id = r.wanted AND dispatch_no = r.wanted_no AND (claim IS NULL OR claim = $2) RETURNING message_id";
    CLAIMED = concat!("SELECT ", message_columns!("m.state"), " FROM messages m WHERE m.id {in_uuid $1}");
    UNKNOWN = "SELECT COUNT(*) FROM {rows $1: wanted UUID, wanted_no BIGINT} LEFT JOIN messages m ON m.id = r.wanted \
        WHERE m.id IS NULL OR m.dispatch_no < r.wanted_no";
    START = "UPDATE under_way SET sender = $2, started_at = $3, traceable = r.traceable \
        FROM {rows $1: id UUID, token UUID, traceable BOOLEAN} \
        WHERE message_id = r.id AND claim = r.token AND lease_until > {now} + $4 RETURNING message_id, claim";
    // An outcome that comes after its claim was taken back still says what became of the attempt.
    FINISH_ATTEMPTS = "INSERT INTO attempts (message_id, dispatch_no, channel, sender, started_at, finished_at, outcome, reply, address, reference, uncertain, traceable) \
        SELECT r.id, r.dispatch_no, r.channel, r.sender, COALESCE(u.started_at, $2), $2, r.outcome, r.reply, r.address, r.reference, r.uncertain, \
        COALESCE(u.traceable, FALSE) \
        FROM {rows $1: id UUID, claim UUID, dispatch_no BIGINT, channel TEXT, sender TEXT, outcome TEXT, reply TEXT, address TEXT, \
        reference TEXT, uncertain BOOLEAN} \
        LEFT JOIN under_way u ON u.message_id = r.id AND u.claim = r.claim WHERE r.outcome IS NOT NULL \
        ON CONFLICT (message_id, dispatch_no) DO UPDATE SET finished_at = excluded.finished_at, \
        outcome = excluded.outcome, reply = excluded.reply, address = excluded.address, reference = excluded.reference, \
        uncertain = attempts.uncertain OR excluded.uncertain";
    FINISH = "UPDATE messages SET state = r.state, reason = r.reason, next_at = COALESCE(r.next_at, messages.next_at), \
        reference = COALESCE(r.reference, messages.reference), sent_at = r.sent_at, detail = r.reply, \
        attempts = messages.attempts + CASE WHEN r.outcome IS NULL OR messages.state = 'uncertain' THEN 0 ELSE 1 END, \
        tried = CASE WHEN r.tried IS NULL THEN messages.tried ELSE COALESCE(messages.tried || ',', '') || r.tried END, \
        retries = CASE WHEN r.tried IS NULL THEN messages.retries + r.spent ELSE 0 END, first_failed_at = \
        CASE WHEN r.tried IS NOT NULL THEN NULL WHEN r.spent > 0 THEN COALESCE(messages.first_failed_at, $2) ELSE messages.first_failed_at END \
        FROM {rows $1: id UUID, claim UUID, dispatch_no BIGINT, state TEXT, reason TEXT, next_at BIGINT, reference TEXT, \
        sent_at BIGINT, reply TEXT, outcome TEXT, spent BIGINT, tried TEXT} \
        WHERE messages.id = r.id AND messages.dispatch_no = r.dispatch_no AND \
        CASE messages.state WHEN 'uncertain' THEN r.state = 'sent' \
        WHEN 'queued' THEN EXISTS (SELECT 1 FROM under_way u WHERE u.message_id = r.id AND u.claim = r.claim) ELSE FALSE END \
        RETURNING messages.id, messages.state";
    UNCLAIM = "DELETE FROM under_way WHERE message_id {in_uuid $1} AND claim {in_uuid $2}";
    RELEASE = "DELETE FROM under_way WHERE message_id {in_uuid $1} AND claim = $2 AND started_at IS NULL RETURNING message_id";
    EXPIRED_UNSTARTED = "DELETE FROM under_way WHERE message_id IN (SELECT u.message_id FROM under_way u \
        WHERE u.started_at IS NULL AND (u.lease_until < {now} OR $1) {skip_locked u}) RETURNING message_id";
    EXPIRED_STARTED = "DELETE FROM under_way WHERE message_id IN (SELECT u.message_id FROM under_way u \
        WHERE u.started_at IS NOT NULL AND (u.lease_until < {now} OR $1) {skip_locked u}) \
        RETURNING message_id, dispatch_no, sender, started_at, traceable";
    RECORD_UNCERTAIN = "INSERT INTO attempts (message_id, dispatch_no, channel, sender, started_at, finished_at, outcome, reply, uncertain, traceable) \
        SELECT r.id, r.dispatch_no, m.channel, r.sender, r.started_at, $2, 'uncertain', 'the sender ended before the answer', TRUE, r.traceable \
        FROM {rows $1: id UUID, dispatch_no BIGINT, sender TEXT, started_at BIGINT, traceable BOOLEAN} \
        JOIN messages m ON m.id = r.id WHERE TRUE \
        ON CONFLICT (message_id, dispatch_no) DO NOTHING";
    MARK_UNCERTAIN = "UPDATE messages SET state = 'uncertain', attempts = attempts + 1, \
        detail = 'the sender ended before the answer' WHERE id {in_uuid $1} AND state = 'queued'";
    // Each time later than before, should a server lose one answer after another.
    RESEND_MAIL = "UPDATE messages SET state = 'planned', retries = retries + 1, \
        first_failed_at = COALESCE(first_failed_at, $2), next_at = $2 + $3 * \
        (SELECT COUNT(*) - 1 FROM attempts a WHERE a.message_id = messages.id AND a.uncertain) \
        WHERE id {in_uuid $1} AND state = 'uncertain' AND channel = 'email' \
        AND (SELECT COUNT(*) FROM attempts a WHERE a.message_id = messages.id AND a.uncertain) <= $4 RETURNING id";
    MAY_HAVE = "SELECT message_id, sender FROM attempts WHERE message_id {in_uuid $1} AND outcome = 'lost' ORDER BY dispatch_no";
    ATTEMPTS = "SELECT message_id, dispatch_no, outcome, reply, uncertain FROM attempts WHERE message_id = $1 \
        UNION ALL SELECT message_id, dispatch_no, NULL, NULL, FALSE FROM under_way WHERE message_id = $1 AND started_at IS NOT NULL \
        ORDER BY dispatch_no";
}

/// A mail whose answer was lost is sent again this often; then it stays uncertain.
const MOST_RESENDS: i64 = 5;

/// How much longer the second, third, … resend waits than the one before, in milliseconds.
const RESEND_LATER: i64 = 60_000;

/// Which attempt to mark as started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Starting {
    pub id: Uuid,
    /// The token under which it was claimed.
    pub token: Uuid,
    /// Whether the attempt carries our own reference, so that the provider can be asked about it.
    pub traceable: bool,
}

/// What a queue item asks to claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Wanted {
    /// The message.
    pub wanted: Uuid,
    /// The dispatch of which the queue holds a copy.
    pub wanted_no: i64,
}

/// How a claimed message ends this time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finished {
    pub id: Uuid,
    /// The token under which it was claimed; an outcome under another claim's token is not recorded.
    pub claim: Uuid,
    pub dispatch_no: i64,
    /// By which the attempt went.
    pub channel: Channel,
    /// The name of the sender.
    pub sender: String,
    pub state: State,
    pub reason: Option<Reason>,
    pub next_at: Option<i64>,
    pub reference: Option<String>,
    pub sent_at: Option<i64>,
    /// What the attempt came to; absent when policy ended the message before any attempt.
    pub outcome: Option<&'static str>,
    /// The server's words, without addresses.
    pub reply: Option<String>,
    /// Where the attempt went: bounces and opt-outs are about this address, whatever the member's is by then.
    pub address: Option<String>,
    pub uncertain: bool,
    /// 1 for a failure that counts, else 0.
    pub spent: i64,
    /// A channel that failed for good, where the message goes on to the next one.
    pub tried: Option<Channel>,
}

/// What recovery found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Back to planned without an attempt spent.
    pub replanned: u64,
    /// Handed over by a process that ended before the answer.
    pub uncertain: u64,
    /// Uncertain mails that will be sent again under the same Message-ID.
    pub resent: u64,
}

/// An attempt, as `explain` and `status` show it.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Attempt {
    pub message_id: Uuid,
    /// Under which dispatch.
    pub dispatch_no: i64,
    pub outcome: Option<String>,
    pub reply: Option<String>,
    pub uncertain: bool,
}

/// Claims messages for `lease` milliseconds under a token; asked again under the same one it gives the
/// same messages, so that the answer to a commit may be lost. Those that another process claimed, or
/// that were dispatched again, are not among the result.
pub async fn claim(tx: &mut Tx, wanted: &[Wanted], token: Uuid, lease: i64) -> Result<Vec<Message>> {
    let claimed: Vec<(Uuid,)> = query!(fetch_all, (Uuid,), tx, CLAIM, JsonRows::of(wanted)?, token, lease)?;
    let claimed = Uuids(claimed.into_iter().map(|(id,)| id).collect());
    let rows = query!(fetch_all, StoredMessage, tx, CLAIMED, claimed)?;
    rows.into_iter().map(StoredMessage::into_message).collect()
}

/// How many of these dispatches the store never made: then it is older than the queue.
pub async fn unknown(tx: &mut Tx, wanted: &[Wanted]) -> Result<i64> {
    let (count,): (i64,) = query!(fetch_one, (i64,), tx, UNKNOWN, JsonRows::of(wanted)?)?;
    Ok(count)
}

/// Records that the I/O of these messages begins. Only those that come back may be sent: on the
/// others the claim has run out, or holds for less than `least` milliseconds. Each with its claim's token:
/// a message may be among the rows under an older one, too.
pub async fn start(
    tx: &mut Tx,
    rows: &[Starting],
    sender: &str,
    now: Instant,
    least: i64,
) -> Result<Vec<(Uuid, Uuid)>> {
    let now = now.timestamp_millis();
    Ok(query!(fetch_all, (Uuid, Uuid), tx, START, JsonRows::of(rows)?, sender, now, least)?)
}

/// Records outcomes, each under its claim's token. A mail whose answer was lost is planned again.
/// Recording the same outcomes twice, should the answer to the first commit be lost, changes nothing. Gives the
/// messages that were moved just now.
pub async fn finish(tx: &mut Tx, rows: &[&Finished], now: Instant) -> Result<Vec<Uuid>> {
    let at = now.timestamp_millis();
    let json = JsonRows::of(rows)?;
    execute!(tx, FINISH_ATTEMPTS, json.as_str(), at)?;
    let moved: Vec<(Uuid, String)> = query!(fetch_all, (Uuid, String), tx, FINISH, json.as_str(), at)?;
    // Only what was moved just now: the rest may be in the hands of somebody else by now.
    let ids = |wanted: State| -> Vec<Uuid> {
        moved.iter().filter(|(_, state)| state == wanted.as_str()).map(|(id, _)| *id).collect()
    };
    let mut claims: Vec<Uuid> = rows.iter().map(|row| row.claim).collect();
    claims.sort_unstable();
    claims.dedup();
    execute!(tx, UNCLAIM, Uuids(rows.iter().map(|row| row.id).collect()), Uuids(claims))?;
    messages::plan(tx, ids(State::Planned)).await?;
    gifts::release(tx, [State::Skipped, State::HeldOut, State::Cancelled, State::Failed].map(ids).concat()).await?;
    resend(tx, ids(State::Uncertain), at).await?;
    // A receipt can be faster than the answer.
    let sent = ids(State::Sent);
    if !sent.is_empty() {
        events::catch_up(tx, sent).await?;
    }
    let references: Vec<String> = rows.iter().filter_map(|row| row.reference.clone()).collect();
    if !references.is_empty() {
        receipts::known(tx, references).await?;
    }
    Ok(moved.into_iter().map(|(id, _)| id).collect())
}

/// Gives claimed messages back that were not started.
pub async fn release(tx: &mut Tx, ids: Vec<Uuid>, token: Uuid) -> Result<()> {
    let released: Vec<(Uuid,)> = query!(fetch_all, (Uuid,), tx, RELEASE, Uuids(ids), token)?;
    messages::replan(tx, released.into_iter().map(|(id,)| id).collect()).await
}

/// Takes back what dead processes held: leases that ran out, by the database's clock, or every
/// lease where the caller is alone on the store.
pub async fn recover(tx: &mut Tx, alone: bool, now: Instant) -> Result<Recovered> {
    #[derive(Serialize, sqlx::FromRow)]
    struct Lost {
        #[sqlx(rename = "message_id")]
        id: Uuid,
        dispatch_no: i64,
        sender: Option<String>,
        started_at: i64,
        traceable: bool,
    }
    let at = now.timestamp_millis();
    let unstarted: Vec<(Uuid,)> = query!(fetch_all, (Uuid,), tx, EXPIRED_UNSTARTED, alone)?;
    let replanned = unstarted.len() as u64;
    messages::replan(tx, unstarted.into_iter().map(|(id,)| id).collect()).await?;
    let lost: Vec<Lost> = query!(fetch_all, Lost, tx, EXPIRED_STARTED, alone)?;
    let uncertain = lost.len() as u64;
    let mut resent = 0;
    if uncertain > 0 {
        let ids: Vec<Uuid> = lost.iter().map(|row| row.id).collect();
        execute!(tx, RECORD_UNCERTAIN, JsonRows::of(&lost)?, at)?;
        execute!(tx, MARK_UNCERTAIN, Uuids(ids.clone()))?;
        resent = resend(tx, ids, at).await?;
    }
    Ok(Recovered { replanned, uncertain, resent })
}

/// Plans those of the uncertain messages again for which that is the policy: mails, some times.
async fn resend(tx: &mut Tx, ids: Vec<Uuid>, at: i64) -> Result<u64> {
    if ids.is_empty() {
        return Ok(0);
    }
    let again: Vec<(Uuid,)> = query!(fetch_all, (Uuid,), tx, RESEND_MAIL, Uuids(ids), at, RESEND_LATER, MOST_RESENDS)?;
    let count = again.len() as u64;
    messages::plan(tx, again.into_iter().map(|(id,)| id).collect()).await?;
    Ok(count)
}

/// Who may have which of the messages, though their answers were lost.
pub async fn may_have(tx: &mut Tx, messages: Vec<Uuid>) -> Result<HashMap<Uuid, String>> {
    if messages.is_empty() {
        return Ok(HashMap::new());
    }
    Ok(query!(fetch_all, (Uuid, String), tx, MAY_HAVE, Uuids(messages))?.into_iter().collect())
}

/// The attempts of a message, in order.
pub async fn attempts(tx: &mut Tx, message: Uuid) -> Result<Vec<Attempt>> {
    Ok(query!(fetch_all, Attempt, tx, ATTEMPTS, message)?)
}
