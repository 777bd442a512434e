//! Suppressions: addresses that must not be written to, by purpose.

use std::collections::HashSet;

use serde::Serialize;

use super::{Result, Rows, Texts, Tx, execute, query, statements};
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
        AND reason IN ('unsubscribed', 'opted_out') AND created_at <= $2";
    OF_ADDRESSES = "SELECT address, purpose FROM suppressions WHERE address {in $1}";
    LIFT = "DELETE FROM suppressions WHERE address = $1 AND purpose = $2 AND reason = $3";
    COUNT = "SELECT COUNT(*) FROM suppressions";
    OF_ADDRESS = "SELECT purpose, reason FROM suppressions WHERE address = $1 ORDER BY purpose";
    FORGET = "DELETE FROM suppressions WHERE address {in $1}";
    WITH_REASON = "SELECT DISTINCT address FROM suppressions WHERE reason = $1";
    LIST = "SELECT address, purpose, reason, created_at FROM suppressions WHERE (address, purpose) > ($1, $2) \
        ORDER BY address, purpose LIMIT $3";
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
    let inserted = execute!(tx, INSERT, Rows(rows))?;
    execute!(tx, OUTRANK, Rows(rows))?;
    if inserted > 0 {
        tx.policy_changes();
    }
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

/// Opens addresses for marketing that their members closed themselves by an instant; gives how many.
pub async fn lift_own(tx: &mut Tx, addresses: Vec<String>, by: i64) -> Result<u64> {
    Ok(execute!(tx, LIFT_OWN, Texts(addresses), by)?)
}

/// Forgets addresses altogether.
pub(super) async fn forget(tx: &mut Tx, addresses: Vec<String>) -> Result<()> {
    execute!(tx, FORGET, Texts(addresses))?;
    Ok(())
}

/// The addresses that are closed for a reason.
pub(super) async fn with_reason(tx: &mut Tx, reason: &str) -> Result<Vec<String>> {
    Ok(query!(fetch_all, (String,), tx, WITH_REASON, reason)?.into_iter().map(|(address,)| address).collect())
}

/// A suppression as it is exported.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Listed {
    pub address: String,
    pub purpose: String,
    pub reason: String,
    pub created_at: i64,
}

/// Up to `limit` suppressions after one, in order.
pub async fn list(tx: &mut Tx, after: Option<&Listed>, limit: i64) -> Result<Vec<Listed>> {
    let (address, purpose) = after.map_or(("", ""), |row| (row.address.as_str(), row.purpose.as_str()));
    Ok(query!(fetch_all, Listed, tx, LIST, address, purpose, limit)?)
}

/// The suppressions of some addresses, as (address, purpose).
pub async fn of_addresses(tx: &mut Tx, addresses: Vec<String>) -> Result<HashSet<(String, String)>> {
    Ok(query!(fetch_all, (String, String), tx, OF_ADDRESSES, Texts(addresses))?.into_iter().collect())
}

/// For which purposes an address is closed, and why.
pub async fn of_address(tx: &mut Tx, address: &str) -> Result<Vec<(String, String)>> {
    Ok(query!(fetch_all, (String, String), tx, OF_ADDRESS, address)?)
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
