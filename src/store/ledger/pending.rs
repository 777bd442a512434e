//! The row in `pending` of a message that is not ended: how it comes and goes.

use serde::Serialize;
use uuid::Uuid;

use crate::domain::message::Envelope;
use crate::store::{Result, Tx, Uuids, execute, gifts, statements};

macro_rules! pend {
    ($conflict:expr) => {
        concat!(
            "INSERT INTO pending (message_id, next_at, priority, due_at, campaign, turn, member) \
             SELECT m.id, m.next_at, m.priority, m.due_at, m.campaign, m.turn, {utf8 e.external_id} \
             FROM messages m JOIN members e ON e.id = m.member_id WHERE m.id {in_uuid $1} AND m.state = 'planned'",
            $conflict
        )
    };
}

statements! {
    BEGIN = pend!("");
    PEND = pend!(" ON CONFLICT (message_id) DO UPDATE SET next_at = excluded.next_at, member = excluded.member, parked = FALSE, \
        dispatch_no = NULL, batch = NULL, lease_until = 0, claim = NULL, sender = NULL, started_at = NULL, traceable = FALSE");
    LEAVE = "DELETE FROM pending WHERE message_id {in_uuid $1}";
}

/// One dispatch of a message: a late word about it says nothing about the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Dispatch {
    pub id: Uuid,
    pub dispatch_no: i64,
}

impl From<&Envelope> for Dispatch {
    fn from(envelope: &Envelope) -> Self {
        Self { id: envelope.message, dispatch_no: envelope.dispatch_no }
    }
}

/// Lists those of the messages that are planned in the dispatcher's order: they are new, or had ended.
pub(super) async fn begin(tx: &mut Tx, ids: Vec<Uuid>) -> Result<()> {
    if !ids.is_empty() {
        execute!(tx, BEGIN, Uuids(ids))?;
    }
    Ok(())
}

/// The same where they may have their row already.
pub(super) async fn pend(tx: &mut Tx, ids: Vec<Uuid>) -> Result<()> {
    if !ids.is_empty() {
        execute!(tx, PEND, Uuids(ids))?;
    }
    Ok(())
}

/// Ended messages are pending no more, and give back what nobody has seen of their gifts.
pub(super) async fn leave(tx: &mut Tx, ended: Vec<Uuid>) -> Result<()> {
    if !ended.is_empty() {
        execute!(tx, LEAVE, Uuids(ended.clone()))?;
        gifts::release(tx, ended).await?;
    }
    Ok(())
}

pub(super) fn ids(rows: Vec<(Uuid,)>) -> Vec<Uuid> {
    rows.into_iter().map(|(id,)| id).collect()
}
