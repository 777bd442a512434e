//! `plan`: a message waits for its time. It is new, came back, was not sent after all, or is to be tried again.

use std::collections::HashSet;

use serde::Serialize;
use uuid::Uuid;

use super::pending::{Dispatch, begin, ids, pend};
use crate::domain::Instant;
use crate::store::daily::{self, Before, Counted, counted_columns};
use crate::store::messages::NewMessage;
use crate::store::{Result, Rows, Tx, Uuids, execute, query, statements};

statements! {
    INSERT = "INSERT INTO messages (id, member_id, campaign, occasion, step, slot, purchase_id, years, priority, turn, state, \
        reason, first_due_at, due_at, next_at, day) \
        SELECT r.id, r.member_id, r.campaign, r.occasion, r.step, r.slot, r.purchase_id, r.years, r.priority, r.turn, r.state, \
        r.reason, r.first_due_at, r.due_at, r.next_at, r.day \
        FROM {rows $1: id UUID, member_id BIGINT, campaign TEXT, occasion TEXT, step TEXT, slot TEXT, purchase_id BIGINT, \
        years BIGINT, priority BIGINT, turn BIGINT, state TEXT, reason TEXT, first_due_at BIGINT, due_at BIGINT, next_at BIGINT, day BIGINT} \
        WHERE TRUE ON CONFLICT (member_id, campaign, occasion, step, slot) \
        DO UPDATE SET state = 'planned', reason = NULL, next_at = excluded.next_at \
        WHERE messages.state = 'skipped' AND messages.reason = 'outside_audience' AND excluded.state = 'planned' \
        RETURNING id";
    CAME_BACK = concat!("SELECT ", counted_columns!(), " FROM messages WHERE id {in_uuid $1}");
    REORDER = "UPDATE pending SET member = {utf8 e.external_id} FROM messages m JOIN members e ON e.id = m.member_id \
        WHERE pending.message_id = m.id AND pending.message_id {in_uuid $1} AND pending.dispatch_no IS NULL";
    BACK = "UPDATE messages SET state = 'planned', next_at = COALESCE(r.next_at, messages.next_at) \
        FROM {rows $1: id UUID, dispatch_no BIGINT, next_at BIGINT} \
        WHERE messages.id = r.id AND messages.dispatch_no = r.dispatch_no AND messages.state = 'queued' AND messages.id IN \
        (SELECT p.message_id FROM {rows $1: id UUID, dispatch_no BIGINT, next_at BIGINT} JOIN pending p ON p.message_id = r.id \
        AND p.dispatch_no = r.dispatch_no WHERE p.claim IS NULL {skip_locked p}) RETURNING messages.id";
    DEAD_BATCHES = "DELETE FROM batches WHERE lease_until < {now} OR $1 RETURNING id";
    EXPIRED = "UPDATE messages SET state = 'planned' WHERE state = 'queued' AND id IN (SELECT p.message_id FROM pending p \
        WHERE p.dispatch_no IS NOT NULL AND p.claim IS NULL AND (p.lease_until < {now} OR $1 OR p.batch {in_uuid $2}) \
        {skip_locked p}) RETURNING id";
    // Each time later than before, should a server lose one answer after another.
    RESEND_MAIL = "UPDATE messages SET state = 'planned', retries = retries + 1, \
        first_failed_at = COALESCE(first_failed_at, $2), next_at = $2 + $3 * \
        (SELECT COUNT(*) - 1 FROM attempts a WHERE a.message_id = messages.id AND a.uncertain) \
        WHERE id {in_uuid $1} AND state = 'uncertain' AND channel = 'email' \
        AND (SELECT COUNT(*) FROM attempts a WHERE a.message_id = messages.id AND a.uncertain) <= $4 RETURNING id";
    HAS_NOT = "UPDATE messages SET state = 'planned', retries = retries + 1, first_failed_at = COALESCE(first_failed_at, $3), \
        next_at = $3, detail = 'the provider never had it' WHERE id = $1 AND dispatch_no = $2 AND state = 'uncertain'";
    FALL_BACK = "UPDATE messages SET tried = r.tried, state = CASE WHEN r.again THEN 'planned' ELSE messages.state END, \
        next_at = CASE WHEN r.again THEN $2 ELSE messages.next_at END, retries = 0, first_failed_at = NULL \
        FROM {rows $1: id UUID, tried TEXT, again BOOLEAN} WHERE messages.id = r.id AND messages.state IN ('bounced', 'sent')";
    RETRY = "UPDATE messages SET state = 'planned', reason = NULL, retries = 0, first_failed_at = NULL, \
        tried = NULL, detail = 'tried again by hand' WHERE id {in_uuid $1} AND (state IN ('failed', 'bounced') OR \
        (state = 'uncertain' AND $2)) RETURNING id";
}

/// A mail whose answer was lost is sent again this often; then it stays uncertain.
const MOST_RESENDS: i64 = 5;

/// How much longer the second, third, … resend waits than the one before, in milliseconds.
const RESEND_LATER: i64 = 60_000;

/// A message whose channel failed after all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FellBack {
    pub id: Uuid,
    /// Its channels that failed, with commas.
    pub tried: String,
    /// Whether it goes out on another one.
    pub again: bool,
}

/// A dispatched message that goes back before anything was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Back {
    pub id: Uuid,
    pub dispatch_no: i64,
    /// When it is looked at again, in epoch milliseconds; absent: as it was.
    pub next_at: Option<i64>,
}

impl From<Dispatch> for Back {
    fn from(dispatch: Dispatch) -> Self {
        Self { id: dispatch.id, dispatch_no: dispatch.dispatch_no, next_at: None }
    }
}

/// Inserts what is not there yet; a message that was outside the audience and no longer is comes
/// back. Gives how many rows are new or came back.
pub async fn insert(tx: &mut Tx, rows: &[NewMessage]) -> Result<u64> {
    let inserted = ids(query!(fetch_all, (Uuid,), tx, INSERT, Rows(rows))?);
    let count = inserted.len() as u64;
    let mut back: HashSet<Uuid> = inserted.iter().copied().collect();
    daily::begin(tx, rows.iter().filter(|row| back.remove(&row.id)));
    if !back.is_empty() {
        let back = query!(fetch_all, Counted, tx, CAME_BACK, Uuids(back.into_iter().collect()))?;
        back.iter().for_each(|row| daily::shift(tx, row, Before::OutsideAudience));
    }
    begin(tx, inserted).await?;
    Ok(count)
}

/// Gives planned messages whose members have changed their place in the dispatcher's order.
pub(in crate::store) async fn reorder(tx: &mut Tx, ids: Vec<Uuid>) -> Result<()> {
    if !ids.is_empty() {
        execute!(tx, REORDER, Uuids(ids))?;
    }
    Ok(())
}

/// Puts back what was dispatched and did not reach a server: the queue did not take it, or whoever had it stops. A late
/// word about an older dispatch changes nothing.
pub async fn back(tx: &mut Tx, rows: &[Back]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let back = ids(query!(fetch_all, (Uuid,), tx, BACK, Rows(rows))?);
    pend(tx, back).await
}

/// Puts back what dead processes had dispatched and no server has seen: leases that ran out, by the database's clock,
/// or every lease where the caller is `alone` on the store. Gives how many.
pub(super) async fn expired(tx: &mut Tx, alone: bool) -> Result<u64> {
    let dead = ids(query!(fetch_all, (Uuid,), tx, DEAD_BATCHES, alone)?);
    let back = ids(query!(fetch_all, (Uuid,), tx, EXPIRED, alone, Uuids(dead))?);
    let count = back.len() as u64;
    pend(tx, back).await?;
    Ok(count)
}

/// Plans those of the uncertain messages again for which that is the policy: mails, some times. Gives how many.
pub(super) async fn resend(tx: &mut Tx, uncertain: Vec<Uuid>, at: i64) -> Result<u64> {
    if uncertain.is_empty() {
        return Ok(0);
    }
    daily::open(tx, uncertain.iter().copied()).await?;
    let again = ids(query!(fetch_all, (Uuid,), tx, RESEND_MAIL, Uuids(uncertain), at, RESEND_LATER, MOST_RESENDS)?);
    let count = again.len() as u64;
    pend(tx, again).await?;
    Ok(count)
}

/// The provider never had an uncertain message, which it was given with this dispatch.
pub async fn has_not(tx: &mut Tx, dispatch: Dispatch, at: i64) -> Result<()> {
    daily::open(tx, [dispatch.id]).await?;
    if execute!(tx, HAS_NOT, dispatch.id, dispatch.dispatch_no, at)? > 0 {
        pend(tx, vec![dispatch.id]).await?;
    }
    Ok(())
}

/// Notes failed channels, and plans again at `now` what goes out on another one.
pub async fn fall_back(tx: &mut Tx, rows: &[FellBack], now: Instant) -> Result<()> {
    daily::open(tx, rows.iter().map(|row| row.id)).await?;
    execute!(tx, FALL_BACK, Rows(rows), now.timestamp_millis())?;
    pend(tx, rows.iter().filter(|row| row.again).map(|row| row.id).collect()).await
}

/// Tries messages again by hand that failed or came back, and with `uncertain` those whose answer was lost, which may
/// then come twice. Gives those that are planned now.
pub async fn retry(tx: &mut Tx, messages: Vec<Uuid>, uncertain: bool) -> Result<Vec<Uuid>> {
    daily::open(tx, messages.iter().copied()).await?;
    let again = ids(query!(fetch_all, (Uuid,), tx, RETRY, Uuids(messages), uncertain)?);
    pend(tx, again.clone()).await?;
    Ok(again)
}
