//! Messages cancelled and tried again; replies marked as read.

use uuid::Uuid;

use super::{By, Result};
use crate::store::audit::{Deed, Line};
use crate::store::ledger::{end, plan};
use crate::store::{Tx, replies};

/// Messages moved in one transaction.
const BATCH: usize = 500;

/// Cancels messages that no server may have; gives how many.
pub async fn cancel(by: By<'_>, ids: &[Uuid]) -> Result<usize> {
    let mut cancelled = 0;
    for ids in ids.chunks(BATCH) {
        let mut tx = by.store.begin().await?;
        let done = end::cancel(&mut tx, ids.to_vec()).await?;
        cancelled += done.len();
        finish(by, tx, Deed::MessagesCancelled, &done).await?;
    }
    Ok(cancelled)
}

/// Plans messages again that failed or came back, and with `uncertain` those whose answer was lost; gives how many.
pub async fn retry(by: By<'_>, ids: &[Uuid], uncertain: bool) -> Result<usize> {
    let mut planned = 0;
    for ids in ids.chunks(BATCH) {
        let mut tx = by.store.begin().await?;
        let done = plan::retry(&mut tx, ids.to_vec(), uncertain).await?;
        planned += done.len();
        finish(by, tx, Deed::MessagesRetried, &done).await?;
    }
    Ok(planned)
}

async fn finish(by: By<'_>, tx: Tx, what: Deed, moved: &[Uuid]) -> Result<()> {
    if moved.is_empty() {
        return Ok(tx.commit().await?);
    }
    by.done(tx, Line { detail: Some(&told(moved)), ..Line::new(by.who, what) }).await
}

/// One by its id, several by their number.
fn told(messages: &[Uuid]) -> String {
    match messages {
        [one] => one.to_string(),
        several => several.len().to_string(),
    }
}

/// Marks replies as read: these, or all. Gives how many.
pub async fn read_replies(by: By<'_>, keys: Option<Vec<String>>) -> Result<u64> {
    let mut tx = by.store.begin().await?;
    let done = match keys {
        Some(keys) => replies::done(&mut tx, keys, by.now()).await?,
        None => replies::all_done(&mut tx, by.now()).await?,
    };
    by.done(tx, Line { detail: Some(&done.to_string()), ..Line::new(by.who, Deed::RepliesRead) }).await?;
    Ok(done)
}
