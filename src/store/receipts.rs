//! What SMS providers are asked about, and what is known of a number.

use uuid::Uuid;

use super::ledger::{Dispatch, hear, plan};
use super::{Result, Tx, execute, query, statements};

statements! {
    OPEN = "SELECT a.started_at, a.message_id, a.reference FROM attempts a JOIN messages m ON m.id = a.message_id \
        WHERE a.sender = $1 AND a.reference IS NOT NULL AND (a.started_at, a.message_id) > ($2, $3) AND a.started_at < $4 \
        AND m.state = 'sent' ORDER BY a.started_at, a.message_id LIMIT $5";
    UNCERTAIN = "SELECT a.message_id, a.dispatch_no, a.started_at FROM attempts a JOIN messages m ON m.id = a.message_id \
        WHERE a.uncertain AND a.traceable AND a.sender = $1 AND a.started_at > $2 AND a.started_at < $3 \
        AND m.state = 'uncertain' AND m.dispatch_no = a.dispatch_no ORDER BY a.started_at LIMIT $4";
    ITS_REFERENCE = "UPDATE attempts SET reference = $3 WHERE message_id = $1 AND dispatch_no = $2";
    LOCK = "SELECT id FROM members WHERE phone = $1 ORDER BY id {lock}";
    LAST_TO = "SELECT m.id FROM messages m JOIN members b ON b.id = m.member_id \
        WHERE b.phone = $1 AND m.channel = 'sms' AND m.sent_at IS NOT NULL \
        AND EXISTS (SELECT 1 FROM attempts a WHERE a.message_id = m.id AND a.sender = $2) ORDER BY m.sent_at DESC, m.id LIMIT 1";
    LAST_WISH = "SELECT kind FROM events WHERE address = $1 AND kind IN ('opted_out', 'opted_in') AND detail = $2 \
        ORDER BY at DESC, key DESC LIMIT 1";
}

/// An attempt of which nobody knows whether the provider took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Lost {
    pub message_id: Uuid,
    pub dispatch_no: i64,
    pub started_at: i64,
}

impl Lost {
    const fn dispatch(self) -> Dispatch {
        Dispatch { id: self.message_id, dispatch_no: self.dispatch_no }
    }
}

/// Messages of a sender that wait for a receipt, after a position and before an instant: the next
/// position's instant, the message and the sender's reference.
pub async fn open(
    tx: &mut Tx,
    sender: &str,
    after: (i64, Uuid),
    before: i64,
    limit: i64,
) -> Result<Vec<(i64, Uuid, String)>> {
    Ok(query!(fetch_all, (i64, Uuid, String), tx, OPEN, sender, after.0, after.1, before, limit)?)
}

/// Messages that a sender can be asked about by our own reference.
pub async fn uncertain(tx: &mut Tx, sender: &str, after: i64, before: i64, limit: i64) -> Result<Vec<Lost>> {
    Ok(query!(fetch_all, Lost, tx, UNCERTAIN, sender, after, before, limit)?)
}

/// The provider took it after all.
pub async fn has_it(tx: &mut Tx, lost: Lost, reference: Option<&str>) -> Result<()> {
    hear::has_it(tx, lost.dispatch(), lost.started_at, reference).await?;
    if let Some(reference) = reference {
        execute!(tx, ITS_REFERENCE, lost.message_id, lost.dispatch_no, reference)?;
        hear::known(tx, vec![reference.to_owned()]).await?;
    }
    Ok(())
}

/// The provider never had it: it is planned again.
pub async fn has_not(tx: &mut Tx, lost: Lost, at: i64) -> Result<()> {
    plan::has_not(tx, lost.dispatch(), at).await
}

/// Lets nobody else write about this number until the transaction ends.
pub async fn lock(tx: &mut Tx, number: &str) -> Result<()> {
    query!(fetch_all, (i64,), tx, LOCK, number)?;
    Ok(())
}

/// The last SMS that a sender sent to the member with this number.
pub async fn last_to(tx: &mut Tx, number: &str, sender: &str) -> Result<Option<Uuid>> {
    let found: Option<(Uuid,)> = query!(fetch_optional, (Uuid,), tx, LAST_TO, number, sender)?;
    Ok(found.map(|(id,)| id))
}

/// `opted_out` or `opted_in`, whichever a number said last about a purpose, in whatever order it was heard.
pub async fn last_wish(tx: &mut Tx, number: &str, purpose: &str) -> Result<Option<String>> {
    let found: Option<(String,)> = query!(fetch_optional, (String,), tx, LAST_WISH, number, purpose)?;
    Ok(found.map(|(kind,)| kind))
}
