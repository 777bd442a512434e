//! Claims: who may send a message, the attempts, their outcomes, and recovery of what a dead
//! process held. An attempt is committed before the I/O it stands for.

use serde::Serialize;
use uuid::Uuid;

use super::messages::{Message, StoredMessage};
use super::{JsonRows, Result, Tx, Uuids, execute, query, statements};
use crate::domain::Instant;
use crate::domain::message::{Reason, State};

statements! {
    // Unqualified names: SQLite's RETURNING knows no alias, so the other table's columns differ.
    CLAIM = "UPDATE messages SET state = 'sending', claim = $2, lease_until = {now} + $3 \
        FROM {rows $1: wanted UUID, wanted_no BIGINT} \
        WHERE id = r.wanted AND dispatch_no = r.wanted_no AND state = 'queued' \
        RETURNING id, member_id, campaign, occasion, step, slot, purchase_id, years, state, reason, channel, first_due_at, \
        due_at, next_at, dispatch_no, attempts, retries, first_failed_at, sent_at";
    START = "INSERT INTO attempts (message_id, attempt_no, dispatch_no, sender, started_at) \
        SELECT m.id, m.attempts + 1, m.dispatch_no, $2, $3 FROM {rows $1: id UUID, claim UUID} \
        JOIN messages m ON m.id = r.id AND m.claim = r.claim AND m.state = 'sending' AND m.lease_until > {now} + $4 \
        WHERE TRUE RETURNING message_id";
    FINISH_ATTEMPTS = "UPDATE attempts SET finished_at = $2, outcome = r.outcome, reply = r.reply, \
        uncertain = attempts.uncertain OR r.uncertain \
        FROM {rows $1: id UUID, outcome TEXT, reply TEXT, uncertain BOOLEAN, dispatch_no BIGINT} \
        WHERE attempts.message_id = r.id AND attempts.dispatch_no = r.dispatch_no AND r.outcome IS NOT NULL";
    FINISH = "UPDATE messages SET state = r.state, reason = r.reason, next_at = COALESCE(r.next_at, messages.next_at), \
        reference = COALESCE(r.reference, messages.reference), sent_at = r.sent_at, detail = r.reply, lease_until = NULL, attempts = messages.attempts + r.tried, \
        retries = messages.retries + r.spent, first_failed_at = \
        CASE WHEN r.spent > 0 THEN COALESCE(messages.first_failed_at, $2) ELSE messages.first_failed_at END \
        FROM {rows $1: id UUID, claim UUID, state TEXT, reason TEXT, next_at BIGINT, reference TEXT, sent_at BIGINT, \
        reply TEXT, spent BIGINT, tried BIGINT} WHERE messages.id = r.id AND messages.claim = r.claim \
        AND (messages.state = 'sending' OR (messages.state = 'uncertain' AND r.state = 'sent'))";
    RELEASE = "UPDATE messages SET state = 'planned', lease_until = NULL WHERE id {in_uuid $1} AND claim = $2 AND state = 'sending'";
    EXPIRED_QUEUED = "UPDATE messages SET state = 'planned', lease_until = NULL \
        WHERE state = 'queued' AND (lease_until < {now} OR $1)";
    EXPIRED_UNSTARTED = "UPDATE messages SET state = 'planned', lease_until = NULL \
        WHERE state = 'sending' AND (lease_until < {now} OR $1) \
        AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.message_id = messages.id \
        AND a.dispatch_no = messages.dispatch_no AND a.finished_at IS NULL)";
    EXPIRED_STARTED = "UPDATE messages SET state = 'uncertain', lease_until = NULL, attempts = attempts + 1, detail = 'the sender ended before the answer' \
        WHERE state = 'sending' AND (lease_until < {now} OR $1) RETURNING id";
    MARK_UNCERTAIN = "UPDATE attempts SET uncertain = TRUE, finished_at = $2, outcome = 'uncertain', \
        reply = 'the sender ended before the answer' WHERE message_id {in_uuid $1} AND finished_at IS NULL";
    RESEND_MAIL = "UPDATE messages SET state = 'planned', next_at = $1, retries = retries + 1, \
        first_failed_at = COALESCE(first_failed_at, $1) WHERE state = 'uncertain' AND channel = 'email' \
        AND (SELECT COUNT(*) FROM attempts a WHERE a.message_id = messages.id AND a.uncertain) <= $2";
    ATTEMPTS = "SELECT message_id, attempt_no, outcome, reply, uncertain FROM attempts WHERE message_id = $1 ORDER BY attempt_no";
}

/// A mail whose answer was lost is sent again this often; then it stays uncertain.
const MOST_RESENDS: i64 = 5;

/// Which attempt to mark as started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Starting {
    pub id: Uuid,
    pub claim: Uuid,
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
    pub state: State,
    pub reason: Option<Reason>,
    pub next_at: Option<i64>,
    pub reference: Option<String>,
    pub sent_at: Option<i64>,
    /// What the attempt came to; absent when policy ended the message before any attempt.
    pub outcome: Option<&'static str>,
    /// The server's words, without addresses.
    pub reply: Option<String>,
    pub uncertain: bool,
    /// 1 for a failure that counts, else 0.
    pub spent: i64,
    /// 1 where an attempt was started, else 0.
    pub tried: i64,
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
    pub attempt_no: i64,
    pub outcome: Option<String>,
    pub reply: Option<String>,
    pub uncertain: bool,
}

/// Claims messages for `lease` milliseconds under a token; those that another process claimed, or
/// that were dispatched again, are not among the result.
pub async fn claim(tx: &mut Tx, wanted: &[Wanted], token: Uuid, lease: i64) -> Result<Vec<Message>> {
    let rows = query!(fetch_all, StoredMessage, tx, CLAIM, JsonRows::of(wanted)?, token, lease)?;
    rows.into_iter().map(StoredMessage::into_message).collect()
}

/// Records that the I/O of these messages begins. Only those that come back may be sent: on the
/// others the claim has run out, or holds for less than `least` milliseconds.
pub async fn start(tx: &mut Tx, rows: &[Starting], sender: &str, now: Instant, least: i64) -> Result<Vec<Uuid>> {
    let started = query!(fetch_all, (Uuid,), tx, START, JsonRows::of(rows)?, sender, now.timestamp_millis(), least)?;
    Ok(started.into_iter().map(|(id,)| id).collect())
}

/// Records outcomes, each under its claim's token.
pub async fn finish(tx: &mut Tx, rows: &[&Finished], now: Instant) -> Result<u64> {
    let json = JsonRows::of(rows)?;
    execute!(tx, FINISH_ATTEMPTS, json.as_str(), now.timestamp_millis())?;
    Ok(execute!(tx, FINISH, json.as_str(), now.timestamp_millis())?)
}

/// Gives claimed messages back that were not started.
pub async fn release(tx: &mut Tx, ids: Vec<Uuid>, token: Uuid) -> Result<()> {
    execute!(tx, RELEASE, Uuids(ids), token)?;
    Ok(())
}

/// Takes back what dead processes held: leases that ran out, by the database's clock, or every
/// lease where the caller is alone on the store.
pub async fn recover(tx: &mut Tx, alone: bool, now: Instant) -> Result<Recovered> {
    let at = now.timestamp_millis();
    let replanned = execute!(tx, EXPIRED_QUEUED, alone)? + execute!(tx, EXPIRED_UNSTARTED, alone)?;
    let ids: Vec<Uuid> = query!(fetch_all, (Uuid,), tx, EXPIRED_STARTED, alone)?.into_iter().map(|(id,)| id).collect();
    let uncertain = ids.len() as u64;
    if uncertain > 0 {
        execute!(tx, MARK_UNCERTAIN, Uuids(ids), at)?;
    }
    let resent = execute!(tx, RESEND_MAIL, at, MOST_RESENDS)?;
    Ok(Recovered { replanned, uncertain, resent })
}

/// The attempts of a message, in order.
pub async fn attempts(tx: &mut Tx, message: Uuid) -> Result<Vec<Attempt>> {
    Ok(query!(fetch_all, Attempt, tx, ATTEMPTS, message)?)
}
