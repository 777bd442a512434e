//! `start`: an attempt begins. That is committed before the first byte of the message goes out, and it is the claim: of
//! all copies of a dispatch one may be sent.

use serde::Serialize;
use uuid::Uuid;

use super::pending::Dispatch;
use crate::domain::Instant;
use crate::store::messages::{Message, StoredMessage, message_columns};
use crate::store::{Result, Rows, Tx, Uuids, query, statements};

statements! {
    START = "UPDATE pending SET claim = $2, sender = $3, started_at = $4, traceable = r.traceable, lease_until = {now} + $5 \
        FROM {rows $1: id UUID, dispatch_no BIGINT, traceable BOOLEAN} \
        WHERE message_id = r.id AND pending.dispatch_no = r.dispatch_no AND (claim IS NULL OR claim = $2) RETURNING message_id, pending.dispatch_no";
    STARTED = concat!("SELECT ", message_columns!("'sending'"), " FROM messages m WHERE m.id {in_uuid $1}");
    UNKNOWN = "SELECT COUNT(*) FROM {rows $1: id UUID, dispatch_no BIGINT} LEFT JOIN messages m ON m.id = r.id \
        WHERE m.id IS NULL OR m.dispatch_no < r.dispatch_no";
}

/// An attempt that is to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Starting {
    pub id: Uuid,
    /// The dispatch of which a copy is at hand.
    pub dispatch_no: i64,
    /// Whether the attempt carries our own reference, so that the provider can be asked about it.
    pub traceable: bool,
}

/// Begins attempts under a claim, each for `lease` milliseconds. Only those that come back may be sent: the others are
/// dispatched again, or somebody else has them. Said again under the same claim it gives the same, so that the answer
/// to a commit may be lost.
pub async fn start(
    tx: &mut Tx,
    rows: &[Starting],
    claim: Uuid,
    sender: &str,
    now: Instant,
    lease: i64,
) -> Result<Vec<Dispatch>> {
    let at = now.timestamp_millis();
    let started = query!(fetch_all, (Uuid, i64), tx, START, Rows(rows), claim, sender, at, lease)?;
    Ok(started.into_iter().map(|(id, dispatch_no)| Dispatch { id, dispatch_no }).collect())
}

/// What is known of messages that have just been started, for whoever must judge them again.
pub async fn started(tx: &mut Tx, messages: Vec<Uuid>) -> Result<Vec<Message>> {
    let rows = query!(fetch_all, StoredMessage, tx, STARTED, Uuids(messages))?;
    rows.into_iter().map(StoredMessage::into_message).collect()
}

/// How many of these dispatches the store never made: then it is older than the queue.
pub async fn unknown(tx: &mut Tx, dispatches: &[Dispatch]) -> Result<i64> {
    let (count,): (i64,) = query!(fetch_one, (i64,), tx, UNKNOWN, Rows(dispatches))?;
    Ok(count)
}
