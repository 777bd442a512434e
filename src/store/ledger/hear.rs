//! `hear`: what receipts, bounces and complaints say about messages that went out, in whatever order they come.

use uuid::Uuid;

use super::pending::Dispatch;
use crate::domain::message::{EventKind, State};
use crate::store::{Result, Texts, Tx, Uuids, daily, execute, query, statements, waiting};

statements! {
    // Only what the state machine lets follow, and what is about the channel that the message took last.
    MOVE = "UPDATE messages SET state = $2 WHERE state {in $3} AND id IN (SELECT m.id FROM messages m \
        JOIN events e ON e.message_id = m.id WHERE m.id {in_uuid $1} AND e.kind {in $4} \
        AND e.channel = m.channel)";
    // What was heard before the outcome came.
    HEARD = "SELECT DISTINCT message_id FROM events WHERE message_id {in_uuid $1}";
    HAS_IT = "UPDATE messages SET state = 'sent', sent_at = $3, reference = COALESCE($4, reference), \
        detail = 'the provider has it' WHERE id = $1 AND dispatch_no = $2 AND state = 'uncertain'";
}

/// Moves messages whose outcome has just come to what was heard about them before.
pub(super) async fn catch_up(tx: &mut Tx, messages: Vec<Uuid>) -> Result<()> {
    if messages.is_empty() {
        return Ok(());
    }
    let heard: Vec<(Uuid,)> = query!(fetch_all, (Uuid,), tx, HEARD, Uuids(messages))?;
    hear(tx, heard.into_iter().map(|(id,)| id).collect()).await
}

/// Gives receipts that waited to the messages that have become known by these references, and moves those.
pub async fn known(tx: &mut Tx, references: Vec<String>) -> Result<()> {
    let messages = waiting::known(tx, references).await?;
    catch_up(tx, messages).await
}

/// The same for all that wait: a receipt and an outcome that were recorded at one moment missed each
/// other. What has waited since before `forget` is given up.
pub async fn settle(tx: &mut Tx, forget: i64) -> Result<()> {
    let messages = waiting::all_known(tx).await?;
    catch_up(tx, messages).await?;
    waiting::forget(tx, forget).await
}

/// Moves messages to what their events say.
pub async fn hear(tx: &mut Tx, heard: Vec<Uuid>) -> Result<()> {
    if heard.is_empty() {
        return Ok(());
    }
    // In the order in which states follow, so that a receipt never undoes a complaint.
    daily::open(tx, heard.iter().copied()).await?;
    for state in [State::Delivered, State::Bounced, State::Complained] {
        let kinds = EventKind::ALL.iter().filter(|kind| kind.state() == Some(state)).map(|kind| kind.to_string());
        let before = State::ALL.iter().filter(|before| before.may_become(state)).map(|before| before.to_string());
        let (before, kinds) = (Texts(before.collect()), Texts(kinds.collect()));
        execute!(tx, MOVE, Uuids(heard.clone()), state.as_str(), before, kinds)?;
    }
    Ok(())
}

/// The provider took an uncertain message after all, at an instant in epoch milliseconds.
pub async fn has_it(tx: &mut Tx, dispatch: Dispatch, at: i64, reference: Option<&str>) -> Result<()> {
    daily::open(tx, [dispatch.id]).await?;
    execute!(tx, HAS_IT, dispatch.id, dispatch.dispatch_no, at, reference)?;
    catch_up(tx, vec![dispatch.id]).await
}
