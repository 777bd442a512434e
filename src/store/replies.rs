//! What members wrote that was no known word, by SMS or as an answer to a mail: kept for somebody to
//! read, and no longer than that takes. The text stands nowhere else.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Result, Rows, Texts, Tx, execute, query, statements};
use crate::domain::Instant;

statements! {
    // Mails cost nobody anything: so many are kept and no more.
    KEEP = "INSERT INTO replies (key, channel, address, text, urgent, at, heard_at) \
        SELECT r.key, r.channel, r.address, r.text, r.urgent, r.at, r.heard_at \
        FROM {rows $1: key TEXT, channel TEXT, address TEXT, text TEXT, urgent BOOLEAN, at BIGINT, heard_at BIGINT} \
        WHERE r.channel <> 'email' OR (SELECT COUNT(*) FROM replies WHERE channel = 'email') < 10000 \
        ON CONFLICT (key) DO NOTHING";
    LIST = "SELECT key, channel, address, text, urgent, at, heard_at, done_at IS NOT NULL AS done FROM replies \
        WHERE heard_at > $1 ORDER BY CASE WHEN done_at IS NULL THEN 0 ELSE 1 END, \
        CASE WHEN urgent THEN 0 ELSE 1 END, at DESC, key";
    MEMBERS = "SELECT phone, external_id FROM members WHERE phone {in $1} \
        UNION ALL SELECT LOWER(email), external_id FROM members WHERE LOWER(email) {in $1} ORDER BY 2";
    KNOWN = "SELECT key FROM replies WHERE key {in $1}";
    DONE = "UPDATE replies SET done_at = $2 WHERE key {in $1} AND done_at IS NULL";
    ALL_DONE = "UPDATE replies SET done_at = $1 WHERE done_at IS NULL";
    UNREAD = "SELECT COUNT(*), COUNT(CASE WHEN urgent THEN 1 END) FROM replies WHERE done_at IS NULL AND heard_at > $1";
    FORGET = "DELETE FROM replies WHERE heard_at <= $1";
}

/// For how long a text is kept.
const KEPT: chrono::Duration = chrono::Duration::days(30);

/// What somebody wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reply {
    /// Of its source, so that nothing is kept twice.
    pub key: String,
    pub channel: &'static str,
    /// Who wrote: a number in E.164, an address in lower case, or what else the provider calls the sender.
    pub address: String,
    pub text: String,
    /// Nearly an opt-out: whoever wrote it may believe that it was one.
    pub urgent: bool,
    /// When it was written, in epoch milliseconds.
    pub at: i64,
    pub heard_at: i64,
}

/// One that is kept.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Kept {
    pub key: String,
    pub channel: String,
    pub address: String,
    pub text: String,
    pub urgent: bool,
    pub at: i64,
    pub heard_at: i64,
    pub done: bool,
}

/// How many nobody has read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unread {
    pub all: i64,
    /// Of these, those that are nearly an opt-out.
    pub urgent: i64,
}

fn oldest(now: Instant) -> i64 {
    (now - KEPT).timestamp_millis()
}

/// Keeps what somebody wrote, if it is not kept.
pub async fn keep(tx: &mut Tx, rows: &[Reply]) -> Result<()> {
    execute!(tx, KEEP, Rows(rows))?;
    Ok(())
}

/// All that are kept: the unread ones first, of these those that are nearly an opt-out.
pub async fn list(tx: &mut Tx, now: Instant) -> Result<Vec<Kept>> {
    Ok(query!(fetch_all, Kept, tx, LIST, oldest(now))?)
}

/// The members who have these addresses now, by address.
pub async fn members(tx: &mut Tx, addresses: Vec<String>) -> Result<BTreeMap<String, Vec<String>>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (address, member) in query!(fetch_all, (String, String), tx, MEMBERS, Texts(addresses))? {
        found.entry(address).or_default().push(member);
    }
    Ok(found)
}

/// Which of some keys there are.
pub async fn known(tx: &mut Tx, keys: Vec<String>) -> Result<Vec<String>> {
    let found: Vec<(String,)> = query!(fetch_all, (String,), tx, KNOWN, Texts(keys))?;
    Ok(found.into_iter().map(|(key,)| key).collect())
}

/// Marks some as read; gives how many were unread.
pub async fn done(tx: &mut Tx, keys: Vec<String>, now: Instant) -> Result<u64> {
    Ok(execute!(tx, DONE, Texts(keys), now.timestamp_millis())?)
}

/// The same for all.
pub async fn all_done(tx: &mut Tx, now: Instant) -> Result<u64> {
    Ok(execute!(tx, ALL_DONE, now.timestamp_millis())?)
}

/// How many nobody has read.
pub async fn unread(tx: &mut Tx, now: Instant) -> Result<Unread> {
    let (all, urgent): (i64, i64) = query!(fetch_one, (i64, i64), tx, UNREAD, oldest(now))?;
    Ok(Unread { all, urgent })
}

/// Deletes what has been kept for long enough.
pub async fn forget(tx: &mut Tx, now: Instant) -> Result<()> {
    execute!(tx, FORGET, oldest(now))?;
    Ok(())
}
