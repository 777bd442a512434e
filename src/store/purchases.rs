//! Purchases: upserts from imports.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use super::members::{Upserted, next_change, take_numbers, touch};
use super::{Ids, JsonRows, Result, Texts, Tx, dates, query, statements};
use crate::domain::{Instant, instant};

statements! {
    EXISTING = "SELECT order_id, member_id FROM purchases WHERE order_id {in $1}";
    CURRENCIES = "SELECT order_id, currency FROM purchases WHERE order_id {in $1}";
    LAST_BEFORE = "SELECT member_id, MAX(purchased_at) FROM purchases \
        WHERE member_id {in $1} AND status = 'paid' AND purchased_at < $2 GROUP BY member_id";
    COUNT = "SELECT COUNT(*) FROM purchases";
    LATEST = "SELECT MAX(purchased_at) FROM purchases";
}

/// The columns beyond the required four that a file may have.
pub const OPTIONAL_COLUMNS: &[&str] = &["status", "delivered_at", "items", "coupon_code"];

/// An order as a file gives it. Optional columns that the file does not have are not written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PurchaseRow {
    /// Set when the batch is written.
    pub id: i64,
    pub order_id: String,
    pub member_id: i64,
    pub purchased_at: i64,
    /// In minor units.
    pub amount: i64,
    pub currency: String,
    pub status: &'static str,
    pub delivered_at: Option<i64>,
    pub items: Option<String>,
    pub coupon_code: Option<String>,
}

/// Writes a batch in which each order id stands once, and marks the members whose orders changed.
pub async fn upsert(tx: &mut Tx, rows: &mut [PurchaseRow], columns: &[&str]) -> Result<Upserted> {
    let change = next_change(tx).await?;
    let last = take_numbers(tx, "purchase", rows.len() as i64).await?;
    for (index, row) in rows.iter_mut().enumerate() {
        row.id = last - index as i64;
    }
    let orders = Texts(rows.iter().map(|row| row.order_id.clone()).collect());
    let existing: HashMap<String, i64> = query!(fetch_all, (String, i64), tx, EXISTING, orders)?.into_iter().collect();
    let sql = upsert_sql(columns);
    let changed = query!(fetch_all, (String, i64), tx, &sql, JsonRows::of(rows)?)?;
    // An order that moved to another member changes both.
    let members: BTreeSet<i64> =
        changed.iter().flat_map(|(order, member)| existing.get(order).into_iter().chain([member])).copied().collect();
    let members: Vec<i64> = members.into_iter().collect();
    touch(tx, members.clone(), change).await?;
    dates::keep_first_purchases(tx, &members).await?;
    let inserted = (rows.len() - existing.len()) as u64;
    Ok(Upserted { inserted, updated: changed.len() as u64 - inserted })
}

pub(super) fn upsert_sql(columns: &[&str]) -> String {
    let optional: Vec<&str> = OPTIONAL_COLUMNS.iter().copied().filter(|column| columns.contains(column)).collect();
    let with_defaults = ["status", "delivered_at", "items", "coupon_code"];
    let updated: Vec<&str> = ["member_id", "purchased_at", "amount", "currency"].into_iter().chain(optional).collect();
    let sets = updated.iter().map(|column| format!("{column} = excluded.{column}")).collect::<Vec<_>>().join(", ");
    let differs = updated
        .iter()
        .map(|column| format!("purchases.{column} IS DISTINCT FROM excluded.{column}"))
        .collect::<Vec<_>>()
        .join(" OR ");
    let extra = with_defaults.join(", ");
    let values = with_defaults.iter().map(|column| format!("r.{column}")).collect::<Vec<_>>().join(", ");
    format!(
        "INSERT INTO purchases (id, order_id, member_id, purchased_at, amount, currency, {extra}) \
         SELECT r.id, r.order_id, r.member_id, r.purchased_at, r.amount, r.currency, {values} \
         FROM {{rows $1: id BIGINT, order_id TEXT, member_id BIGINT, purchased_at BIGINT, amount BIGINT, \
         currency TEXT, status TEXT, delivered_at BIGINT, items TEXT, coupon_code TEXT}} WHERE TRUE \
         ON CONFLICT (order_id) DO UPDATE SET {sets} WHERE {differs} RETURNING order_id, member_id"
    )
}

/// The currencies of those orders that are there.
pub async fn currencies(tx: &mut Tx, orders: Vec<String>) -> Result<HashMap<String, String>> {
    Ok(query!(fetch_all, (String, String), tx, CURRENCIES, Texts(orders))?.into_iter().collect())
}

/// When each of the members made the last valid order before an instant; who made none is missing.
pub async fn last_before(tx: &mut Tx, members: Vec<i64>, at: Instant) -> Result<HashMap<i64, Instant>> {
    let found = query!(fetch_all, (i64, i64), tx, LAST_BEFORE, Ids(members), at.timestamp_millis())?;
    Ok(found.into_iter().map(|(member, at)| (member, instant(at))).collect())
}

/// How many orders there are, and when the latest was.
pub async fn summary(tx: &mut Tx) -> Result<(i64, Option<i64>)> {
    let (count,): (i64,) = query!(fetch_one, (i64,), tx, COUNT)?;
    let (latest,): (Option<i64>,) = query!(fetch_one, (Option<i64>,), tx, LATEST)?;
    Ok((count, latest))
}
