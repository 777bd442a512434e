//! Suppressions: addresses that must not be written to, by purpose.

use std::collections::HashSet;

use serde::Serialize;

use super::{JsonRows, Result, Texts, Tx, execute, query, statements};

statements! {
    INSERT = "INSERT INTO suppressions (address, purpose, reason, created_at) \
        SELECT r.address, r.purpose, r.reason, r.created_at \
        FROM {rows $1: address TEXT, purpose TEXT, reason TEXT, created_at BIGINT} WHERE TRUE \
        ON CONFLICT (address, purpose) DO NOTHING";
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

/// Adds suppressions; those that exist stay as they are.
pub async fn insert(tx: &mut Tx, rows: &[Suppression]) -> Result<u64> {
    Ok(execute!(tx, INSERT, JsonRows::of(rows)?)?)
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
