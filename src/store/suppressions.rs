//! Suppressions: addresses that must not be written to, by purpose.

use std::collections::HashSet;

use serde::Serialize;

use super::{JsonRows, Result, Texts, Tx, execute, query, statements};
use crate::domain::message::EventKind;

statements! {
    INSERT = "INSERT INTO suppressions (address, purpose, reason, created_at) \
        SELECT r.address, r.purpose, r.reason, r.created_at \
        FROM {rows $1: address TEXT, purpose TEXT, reason TEXT, created_at BIGINT} WHERE TRUE \
        ON CONFLICT (address, purpose) DO NOTHING";
    // What members set themselves gives way: they lift it again, and must not lift a bounce with it.
    OUTRANK = "UPDATE suppressions SET reason = r.reason, created_at = r.created_at \
        FROM {rows $1: address TEXT, purpose TEXT, reason TEXT, created_at BIGINT} WHERE suppressions.address = r.address \
        AND suppressions.purpose = r.purpose AND suppressions.reason IN ('unsubscribed', 'opted_out') \
        AND r.reason NOT IN ('unsubscribed', 'opted_out')";
    MARKETING = "SELECT address, reason FROM suppressions WHERE address {in $1} AND purpose = 'marketing'";
    LIFT_OWN = "DELETE FROM suppressions WHERE address {in $1} AND purpose = 'marketing' \
        AND reason IN ('unsubscribed', 'opted_out')";
    OF_ADDRESSES = "SELECT address, purpose FROM suppressions WHERE address {in $1}";
    LIFT = "DELETE FROM suppressions WHERE address = $1 AND purpose = $2 AND reason = $3";
    COUNT = "SELECT COUNT(*) FROM suppressions";
}

/// One suppression.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Suppression {
    /// An e-mail address (compared in lower case) or a number in E.164.
    pub address: String,
    /// `marketing` or `service`.
    pub purpose: &'static str,
    pub reason: String,
    pub created_at: i64,
}

/// Adds suppressions; gives how many are new. Those that exist stay as they are, but for the reason of
/// one that a member set, where there is another by now.
pub async fn insert(tx: &mut Tx, rows: &[Suppression]) -> Result<u64> {
    let inserted = execute!(tx, INSERT, JsonRows::of(rows)?)?;
    execute!(tx, OUTRANK, JsonRows::of(rows)?)?;
    Ok(inserted)
}

/// Whether members set a suppression with this reason themselves, and may lift it.
pub fn is_own(reason: &str) -> bool {
    [EventKind::Unsubscribed.as_str(), EventKind::OptedOut.as_str()].contains(&reason)
}

/// Which of some addresses are closed for marketing, and why: (address, reason).
pub async fn marketing(tx: &mut Tx, addresses: Vec<String>) -> Result<Vec<(String, String)>> {
    Ok(query!(fetch_all, (String, String), tx, MARKETING, Texts(addresses))?)
}

/// Opens addresses for marketing that their members closed themselves; gives how many.
pub async fn lift_own(tx: &mut Tx, addresses: Vec<String>) -> Result<u64> {
    Ok(execute!(tx, LIFT_OWN, Texts(addresses))?)
}

/// The suppressions of some addresses, as (address, purpose).
pub async fn of_addresses(tx: &mut Tx, addresses: Vec<String>) -> Result<HashSet<(String, String)>> {
    Ok(query!(fetch_all, (String, String), tx, OF_ADDRESSES, Texts(addresses))?.into_iter().collect())
}

/// Takes a suppression back, if it is there for this reason and no other; whether it was.
pub async fn lift(tx: &mut Tx, address: &str, purpose: &str, reason: &str) -> Result<bool> {
    Ok(execute!(tx, LIFT, address, purpose, reason)? > 0)
}

/// How many there are.
pub async fn count(tx: &mut Tx) -> Result<i64> {
    let (count,): (i64,) = query!(fetch_one, (i64,), tx, COUNT)?;
    Ok(count)
}
