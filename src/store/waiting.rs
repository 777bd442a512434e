//! Receipts that came before the message they are about was known by the provider's reference.

use serde::Serialize;
use uuid::Uuid;

use super::{Result, Rows, Texts, Tx, daily, execute, query, statements};

statements! {
    WAIT = "INSERT INTO receipts_waiting (key, sender, reference, heard_at) \
        SELECT r.key, r.sender, r.reference, r.heard_at \
        FROM {rows $1: key TEXT, sender TEXT, reference TEXT, heard_at BIGINT} WHERE TRUE ON CONFLICT (key) DO NOTHING";
    KNOWN_NOW = "SELECT w.key, a.message_id FROM receipts_waiting w \
        JOIN attempts a ON a.reference = w.reference AND a.sender = w.sender WHERE w.reference {in $1}";
    ALL_KNOWN_NOW = "SELECT w.key, a.message_id FROM receipts_waiting w \
        JOIN attempts a ON a.reference = w.reference AND a.sender = w.sender LIMIT 1000";
    ADOPT = "UPDATE events SET message_id = r.message_id FROM {rows $1: key TEXT, message_id UUID} \
        WHERE events.key = r.key AND events.message_id IS NULL";
    DONE = "DELETE FROM receipts_waiting WHERE key {in $1}";
    FORGET = "DELETE FROM receipts_waiting WHERE heard_at < $1";
}

/// A receipt whose message nobody knows yet: its event's key, and what the sender calls the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiting {
    pub key: String,
    pub sender: String,
    pub reference: String,
    pub heard_at: i64,
}

/// Keeps receipts until their messages are known.
pub async fn wait(tx: &mut Tx, rows: &[Waiting]) -> Result<()> {
    execute!(tx, WAIT, Rows(rows))?;
    Ok(())
}

/// Gives receipts that waited to the messages that have become known by these references. Gives the messages.
pub(super) async fn known(tx: &mut Tx, references: Vec<String>) -> Result<Vec<Uuid>> {
    let rows = query!(fetch_all, (String, Uuid), tx, KNOWN_NOW, Texts(references))?;
    adopt(tx, rows).await
}

/// The same for all that wait.
pub(super) async fn all_known(tx: &mut Tx) -> Result<Vec<Uuid>> {
    let rows = query!(fetch_all, (String, Uuid), tx, ALL_KNOWN_NOW)?;
    adopt(tx, rows).await
}

/// Gives up what has waited since before an instant.
pub(super) async fn forget(tx: &mut Tx, before: i64) -> Result<()> {
    execute!(tx, FORGET, before)?;
    Ok(())
}

async fn adopt(tx: &mut Tx, rows: Vec<(String, Uuid)>) -> Result<Vec<Uuid>> {
    #[derive(Serialize)]
    struct Row {
        key: String,
        message_id: Uuid,
    }
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<Row> = rows.into_iter().map(|(key, message_id)| Row { key, message_id }).collect();
    daily::open(tx, rows.iter().map(|row| row.message_id)).await?;
    execute!(tx, ADOPT, Rows(&rows))?;
    execute!(tx, DONE, Texts(rows.iter().map(|row| row.key.clone()).collect()))?;
    Ok(rows.into_iter().map(|row| row.message_id).collect())
}
