//! Attempts: reading what was tried for a message. [`super::ledger`] writes them; [`super::receipts`] adds what a provider
//! calls one whose answer was lost.

use std::collections::HashMap;

use uuid::Uuid;

use super::{Result, Tx, Uuids, query, statements};

statements! {
    MAY_HAVE = "SELECT message_id, sender FROM attempts WHERE message_id {in_uuid $1} AND outcome = 'lost' ORDER BY dispatch_no";
    ATTEMPTS = "SELECT message_id, dispatch_no, outcome, reply, uncertain FROM attempts WHERE message_id = $1 \
        UNION ALL SELECT message_id, dispatch_no, NULL, NULL, FALSE FROM pending WHERE message_id = $1 AND claim IS NOT NULL \
        ORDER BY dispatch_no";
}

/// An attempt, as `explain` and `status` show it.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Attempt {
    pub message_id: Uuid,
    /// Under which dispatch.
    pub dispatch_no: i64,
    /// Absent while it goes on.
    pub outcome: Option<String>,
    pub reply: Option<String>,
    pub uncertain: bool,
}

/// Who may have which of the messages, though their answers were lost.
pub async fn may_have(tx: &mut Tx, messages: Vec<Uuid>) -> Result<HashMap<Uuid, String>> {
    if messages.is_empty() {
        return Ok(HashMap::new());
    }
    Ok(query!(fetch_all, (Uuid, String), tx, MAY_HAVE, Uuids(messages))?.into_iter().collect())
}

/// The attempts of a message, in order.
pub async fn of_message(tx: &mut Tx, message: Uuid) -> Result<Vec<Attempt>> {
    Ok(query!(fetch_all, Attempt, tx, ATTEMPTS, message)?)
}
