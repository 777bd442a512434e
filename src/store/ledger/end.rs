//! `end`: what became of an attempt, of a message that policy or a person ends, and of what a dead process had begun.

use std::collections::HashSet;

use serde::Serialize;
use uuid::Uuid;

use super::dispatch::{Decided, decide};
use super::pending::{Dispatch, ids, leave, pend};
use super::{hear, plan};
use crate::domain::Instant;
use crate::domain::message::{Channel, Reason, State};
use crate::store::daily::{self, Before, Counted, counted_columns};
use crate::store::messages::NewMessage;
use crate::store::{Result, Rows, Tx, Uuids, execute, query, statements};

statements! {
    // What is held under its claim has no attempt of this dispatch yet.
    ADD_ATTEMPTS = "INSERT INTO attempts (message_id, dispatch_no, channel, sender, started_at, finished_at, outcome, reply, address, reference, uncertain, traceable) \
        SELECT r.id, r.dispatch_no, r.channel, r.sender, COALESCE(p.started_at, $2), $2, r.outcome, r.reply, r.address, r.reference, r.uncertain, p.traceable \
        FROM {rows $1: id UUID, claim UUID, dispatch_no BIGINT, channel TEXT, sender TEXT, outcome TEXT, reply TEXT, address TEXT, \
        reference TEXT, uncertain BOOLEAN} JOIN pending p ON p.message_id = r.id AND p.claim = r.claim RETURNING message_id, dispatch_no";
    // An outcome that comes after its claim was taken back still says what became of the attempt.
    MEND_ATTEMPTS = "INSERT INTO attempts (message_id, dispatch_no, channel, sender, started_at, finished_at, outcome, reply, address, reference, uncertain) \
        SELECT r.id, r.dispatch_no, r.channel, r.sender, $2, $2, r.outcome, r.reply, r.address, r.reference, r.uncertain \
        FROM {rows $1: id UUID, dispatch_no BIGINT, channel TEXT, sender TEXT, outcome TEXT, reply TEXT, address TEXT, \
        reference TEXT, uncertain BOOLEAN} WHERE TRUE \
        ON CONFLICT (message_id, dispatch_no) DO UPDATE SET finished_at = excluded.finished_at, \
        outcome = excluded.outcome, reply = excluded.reply, address = excluded.address, reference = excluded.reference, \
        uncertain = attempts.uncertain OR excluded.uncertain";
    FINISH = concat!("UPDATE messages SET state = r.state, reason = r.reason, next_at = COALESCE(r.next_at, messages.next_at), \
        reference = COALESCE(r.reference, messages.reference), price = COALESCE(r.price, messages.price), \
        sent_at = r.sent_at, detail = r.reply, \
        attempts = messages.attempts + CASE WHEN r.outcome IS NULL OR messages.state = 'uncertain' THEN 0 ELSE 1 END, \
        tried = CASE WHEN r.tried IS NULL THEN messages.tried ELSE COALESCE(messages.tried || ',', '') || r.tried END, \
        retries = CASE WHEN r.tried IS NULL THEN messages.retries + r.spent ELSE 0 END, first_failed_at = \
        CASE WHEN r.tried IS NOT NULL THEN NULL WHEN r.spent > 0 THEN COALESCE(messages.first_failed_at, $2) ELSE messages.first_failed_at END \
        FROM {rows $1: id UUID, claim UUID, dispatch_no BIGINT, state TEXT, reason TEXT, next_at BIGINT, reference TEXT, \
        sent_at BIGINT, price BIGINT, reply TEXT, outcome TEXT, spent BIGINT, tried TEXT} \
        WHERE messages.id = r.id AND messages.dispatch_no = r.dispatch_no AND \
        CASE messages.state WHEN 'uncertain' THEN r.state = 'sent' \
        WHEN 'queued' THEN EXISTS (SELECT 1 FROM pending p WHERE p.message_id = r.id AND p.claim = r.claim) ELSE FALSE END \
        RETURNING messages.dispatch_no, ", counted_columns!());
    DONE = "DELETE FROM pending WHERE message_id {in_uuid $1} RETURNING message_id";
    EXPIRED = "DELETE FROM pending WHERE message_id IN (SELECT p.message_id FROM pending p \
        WHERE p.dispatch_no IS NOT NULL AND p.claim IS NOT NULL AND (p.lease_until < {now} OR $1) {skip_locked p}) \
        RETURNING message_id, dispatch_no, sender, started_at, traceable";
    RECORD_UNCERTAIN = "INSERT INTO attempts (message_id, dispatch_no, channel, sender, started_at, finished_at, outcome, reply, uncertain, traceable) \
        SELECT r.id, r.dispatch_no, m.channel, r.sender, r.started_at, $2, 'uncertain', 'the sender ended before the answer', TRUE, r.traceable \
        FROM {rows $1: id UUID, dispatch_no BIGINT, sender TEXT, started_at BIGINT, traceable BOOLEAN} \
        JOIN messages m ON m.id = r.id WHERE TRUE \
        ON CONFLICT (message_id, dispatch_no) DO NOTHING";
    MARK_UNCERTAIN = "UPDATE messages SET state = 'uncertain', attempts = attempts + 1, \
        detail = 'the sender ended before the answer' WHERE id {in_uuid $1} AND state = 'queued'";
    WITHDRAW = "SELECT p.message_id FROM {rows $1: member_id BIGINT, campaign TEXT, \
        occasion TEXT, step TEXT, slot TEXT, due_at BIGINT} JOIN messages m ON m.member_id = r.member_id \
        AND m.campaign = r.campaign AND m.occasion = r.occasion AND m.step = r.step AND m.slot = r.slot AND m.due_at = r.due_at \
        JOIN pending p ON p.message_id = m.id WHERE p.dispatch_no IS NULL {skip_locked p}";
    GIVE_UP = concat!("UPDATE messages SET state = 'cancelled', reason = 'restored' WHERE state = 'planned' AND id IN \
        (SELECT p.message_id FROM pending p WHERE p.dispatch_no IS NULL AND p.next_at <= $1) RETURNING ", counted_columns!());
    // One that a server may have is not taken back.
    CANCEL = "UPDATE messages SET state = 'cancelled', reason = 'by_hand', detail = NULL WHERE state IN ('planned', 'queued') \
        AND id IN (SELECT p.message_id FROM pending p WHERE p.message_id {in_uuid $1} AND p.claim IS NULL {lock}) RETURNING id";
}

/// How a started message ends this time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finished {
    pub id: Uuid,
    /// The claim under which it was started; an outcome under another one is not recorded.
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
    /// What it cost, in millionths of the major unit of the brand's currency.
    pub price: Option<i64>,
    /// What the attempt came to; absent when nothing was tried.
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

/// Records outcomes, each under its claim. A mail whose answer was lost is planned again.
/// Recording the same outcomes twice, should the answer to the first commit be lost, changes nothing. Gives the
/// dispatches whose messages were moved just now.
pub async fn finish(tx: &mut Tx, rows: &[&Finished], now: Instant) -> Result<Vec<Dispatch>> {
    #[derive(sqlx::FromRow)]
    struct Moved {
        dispatch_no: i64,
        #[sqlx(flatten)]
        row: Counted,
    }
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let at = now.timestamp_millis();
    record_attempts(tx, rows, at).await?;
    // What goes on to the next channel may have gone out on this one.
    daily::open(tx, rows.iter().filter(|row| row.tried.is_some()).map(|row| row.id)).await?;
    let moved = query!(fetch_all, Moved, tx, FINISH, Rows(rows), at)?;
    // Only what was moved just now: the rest may be in the hands of somebody else by now.
    let to = |wanted: &[State]| -> Vec<Uuid> {
        let is_wanted = |state: &str| wanted.iter().any(|wanted| state == wanted.as_str());
        moved.iter().filter(|moved| is_wanted(&moved.row.state)).map(|moved| moved.row.id).collect()
    };
    pend(tx, to(&[State::Planned])).await?;
    let done = to(&[State::Sent, State::Uncertain]);
    let mut late: HashSet<Uuid> = done.iter().copied().collect();
    if !done.is_empty() {
        for (id,) in query!(fetch_all, (Uuid,), tx, DONE, Uuids(done))? {
            late.remove(&id);
        }
    }
    // Nobody waited for those any more: they were uncertain.
    let before = |id| if late.contains(id) { Before::Uncertain } else { Before::Waiting };
    moved.iter().for_each(|moved| daily::shift(tx, &moved.row, before(&moved.row.id)));
    leave(tx, to(&[State::Skipped, State::HeldOut, State::Cancelled, State::Failed])).await?;
    plan::resend(tx, to(&[State::Uncertain]), at).await?;
    // A receipt can be faster than the answer. Asked after the rows are held, so that one which was recorded while this
    // waited for them is seen, and a later one waits and finds the outcome.
    hear::catch_up(tx, to(&[State::Sent])).await?;
    let references: Vec<String> = rows.iter().filter_map(|row| row.reference.clone()).collect();
    if !references.is_empty() {
        hear::known(tx, references).await?;
    }
    Ok(moved.into_iter().map(|moved| Dispatch { id: moved.row.id, dispatch_no: moved.dispatch_no }).collect())
}

/// Records what was tried.
async fn record_attempts(tx: &mut Tx, rows: &[&Finished], at: i64) -> Result<()> {
    let tried: Vec<&Finished> = rows.iter().filter(|row| row.outcome.is_some()).copied().collect();
    if tried.is_empty() {
        return Ok(());
    }
    let added = query!(fetch_all, (Uuid, i64), tx, ADD_ATTEMPTS, Rows(&tried), at)?;
    if added.len() < tried.len() {
        let added: HashSet<(Uuid, i64)> = added.into_iter().collect();
        let late: Vec<&Finished> =
            tried.into_iter().filter(|row| !added.contains(&(row.id, row.dispatch_no))).collect();
        execute!(tx, MEND_ATTEMPTS, Rows(&late), at)?;
    }
    Ok(())
}

/// Takes back what dead processes held: leases that ran out, by the database's clock, or every
/// lease where the caller is `alone` on the store. What no server has seen is planned again; what was started has
/// an uncertain attempt for ever, and a mail of these is planned again as well.
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
    let replanned = plan::expired(tx, alone).await?;
    let lost: Vec<Lost> = query!(fetch_all, Lost, tx, EXPIRED, alone)?;
    let uncertain = lost.len() as u64;
    let mut resent = 0;
    if uncertain > 0 {
        let ids: Vec<Uuid> = lost.iter().map(|row| row.id).collect();
        execute!(tx, RECORD_UNCERTAIN, Rows(&lost), at)?;
        daily::open(tx, ids.iter().copied()).await?;
        execute!(tx, MARK_UNCERTAIN, Uuids(ids.clone()))?;
        resent = plan::resend(tx, ids, at).await?;
    }
    Ok(Recovered { replanned, uncertain, resent })
}

/// Ends those of the rows that wait with the same due instant as outside the audience. One that a
/// dispatcher is deciding about is left to it.
pub async fn withdraw(tx: &mut Tx, rows: Vec<&NewMessage>) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let withdrawn = ids(query!(fetch_all, (Uuid,), tx, WITHDRAW, Rows(&rows))?);
    let ended = withdrawn.into_iter().map(|id| Decided::ended(id, Reason::OutsideAudience));
    decide(tx, &ended.collect::<Vec<_>>()).await
}

/// Ends what would go out by now, after a restored backup. Gives how many.
pub async fn give_up(tx: &mut Tx, now: Instant) -> Result<u64> {
    let ended = query!(fetch_all, Counted, tx, GIVE_UP, now.timestamp_millis())?;
    let count = ended.len() as u64;
    ended.iter().for_each(|row| daily::shift(tx, row, Before::Waiting));
    leave(tx, ended.into_iter().map(|row| row.id).collect()).await?;
    Ok(count)
}

/// Cancels messages by hand that no server may have. Gives those that are cancelled now.
pub async fn cancel(tx: &mut Tx, messages: Vec<Uuid>) -> Result<Vec<Uuid>> {
    daily::open(tx, messages.iter().copied()).await?;
    let ended = ids(query!(fetch_all, (Uuid,), tx, CANCEL, Uuids(messages))?);
    leave(tx, ended.clone()).await?;
    Ok(ended)
}
