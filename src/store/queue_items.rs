//! The embedded queue's table.

use uuid::Uuid;

use super::{Result, Tx, execute, query, statements};

statements! {
    PUSH = "INSERT INTO queue_items (message_id, dispatch_no, channel, payload) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (message_id, dispatch_no) DO NOTHING";
    // Materialized, so that no plan looks for rows to lock a second time.
    TAKE = "WITH picked AS MATERIALIZED (SELECT message_id AS picked_id, dispatch_no AS picked_no FROM queue_items \
        WHERE channel = $1 AND NOT dead AND taken_until < {now} ORDER BY taken_until, message_id LIMIT $2 {skip_locked queue_items}) \
        UPDATE queue_items SET taken_until = {now} + $3, deliveries = deliveries + 1 FROM picked \
        WHERE message_id = picked_id AND dispatch_no = picked_no \
        RETURNING message_id, dispatch_no, payload, deliveries";
    ACKNOWLEDGE = "DELETE FROM queue_items WHERE message_id = $1 AND dispatch_no = $2";
    RETURN = "UPDATE queue_items SET taken_until = 0 WHERE message_id = $1 AND dispatch_no = $2";
    BURY = "UPDATE queue_items SET dead = TRUE WHERE message_id = $1 AND dispatch_no = $2";
    CLEAR = "DELETE FROM queue_items WHERE NOT dead";
    DEPTH = "SELECT COUNT(*) FROM queue_items WHERE channel = $1 AND NOT dead";
    DEAD = "SELECT COUNT(*) FROM queue_items WHERE dead";
}

/// An item taken from the queue; nobody else gets it until its time is up.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Item {
    pub message_id: Uuid,
    pub dispatch_no: i64,
    pub payload: Vec<u8>,
    pub deliveries: i64,
}

/// Adds an item; the same one twice is one.
pub async fn push(tx: &mut Tx, message: Uuid, dispatch_no: i64, channel: &str, payload: &[u8]) -> Result<()> {
    execute!(tx, PUSH, message, dispatch_no, channel, payload)?;
    Ok(())
}

/// Takes up to `limit` items of a channel for `millis`.
pub async fn take(tx: &mut Tx, channel: &str, limit: i64, millis: i64) -> Result<Vec<Item>> {
    Ok(query!(fetch_all, Item, tx, TAKE, channel, limit, millis)?)
}

/// Removes an item for good.
pub async fn acknowledge(tx: &mut Tx, message: Uuid, dispatch_no: i64) -> Result<()> {
    execute!(tx, ACKNOWLEDGE, message, dispatch_no)?;
    Ok(())
}

/// Gives an item back at once.
pub async fn give_back(tx: &mut Tx, message: Uuid, dispatch_no: i64) -> Result<()> {
    execute!(tx, RETURN, message, dispatch_no)?;
    Ok(())
}

/// Sets an item aside that cannot be handled.
pub async fn bury(tx: &mut Tx, message: Uuid, dispatch_no: i64) -> Result<()> {
    execute!(tx, BURY, message, dispatch_no)?;
    Ok(())
}

/// Empties the queue: for a process that is alone on the store and has put every message back.
pub async fn clear(tx: &mut Tx) -> Result<()> {
    execute!(tx, CLEAR)?;
    Ok(())
}

/// How many items of a channel wait or are taken.
pub async fn depth(tx: &mut Tx, channel: &str) -> Result<i64> {
    let (count,): (i64,) = query!(fetch_one, (i64,), tx, DEPTH, channel)?;
    Ok(count)
}

/// How many items were set aside.
pub async fn dead(tx: &mut Tx) -> Result<i64> {
    let (count,): (i64,) = query!(fetch_one, (i64,), tx, DEAD)?;
    Ok(count)
}
