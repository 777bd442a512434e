//! Purchases: upserts from imports, and the history that stands behind each order.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use super::members::{Upserted, next_change, take_numbers, touch};
use super::moving::{Moved, move_messages};
use super::{Ids, Result, Rows, StoreError, Texts, Tx, credits, dates, execute, query, statements};
use crate::domain::history::{History, histories};
use crate::domain::purchase::Purchase;
use crate::domain::{Instant, instant};

statements! {
    BY_IDS = "SELECT id, member_id, order_id, purchased_at, amount, currency, status, delivered_at, items FROM purchases WHERE id {in $1}";
    EXISTING = "SELECT order_id, member_id, id FROM purchases WHERE order_id {in $1}";
    CURRENCIES = "SELECT order_id, currency FROM purchases WHERE order_id {in $1}";
    LAST_BEFORE = "SELECT member_id, MAX(purchased_at) FROM purchases \
        WHERE member_id {in $1} AND status = 'paid' AND purchased_at < $2 GROUP BY member_id";
    OF_MEMBERS = "SELECT id, member_id, purchased_at, order_id, status = 'paid' AS paid, visits, tenure_days, gap_ms, next_at \
        FROM purchases WHERE member_id {in $1}";
    SET_HISTORY = "UPDATE purchases SET visits = r.visits, tenure_days = r.tenure_days, gap_ms = r.gap_ms, \
        next_at = r.next_at FROM {rows $1: id BIGINT, visits BIGINT, tenure_days BIGINT, gap_ms BIGINT, next_at BIGINT} \
        WHERE purchases.id = r.id";
    COUNT = "SELECT COUNT(*) FROM purchases";
    COUNT_OF = "SELECT COUNT(*) FROM purchases WHERE member_id = $1";
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
    let existing: HashMap<String, (i64, i64)> = query!(fetch_all, (String, i64, i64), tx, EXISTING, orders)?
        .into_iter()
        .map(|(order, member, id)| (order, (member, id)))
        .collect();
    credits::open(tx, Texts(rows.iter().map(|row| row.order_id.clone()).collect())).await?;
    let sql = upsert_sql(columns);
    let changed = query!(fetch_all, (String, i64), tx, &sql, Rows(rows))?;
    let mut members = BTreeSet::new();
    let mut elsewhere = Vec::new();
    for (order, member) in &changed {
        members.insert(*member);
        // One that moved to another member changes both.
        if let Some((before, id)) = existing.get(order).filter(|(before, _)| before != member) {
            members.insert(*before);
            elsewhere.push(Moved { from_id: *before, to_id: *member, purchase_id: Some(*id) });
        }
    }
    let members: Vec<i64> = members.into_iter().collect();
    // Holds the members before their messages, as dispatchers do.
    moved(tx, members, change).await?;
    // An order's occasion is the order's, whoever it belongs to by now.
    move_messages(tx, &elsewhere).await?;
    let inserted = (rows.len() - existing.len()) as u64;
    Ok(Upserted { inserted, updated: changed.len() as u64 - inserted, erased: 0 })
}

/// Computes anew what stands beside members whose orders went from one to the other.
pub(super) async fn moved(tx: &mut Tx, members: Vec<i64>, change: i64) -> Result<()> {
    touch(tx, members.clone(), change).await?;
    dates::keep_first_purchases(tx, &members).await?;
    write_histories(tx, members).await
}

/// The columns of a [`History`] as they stand in a row, all null for an order that is not valid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub(super) struct StoredHistory {
    visits: Option<i64>,
    tenure_days: Option<i64>,
    gap_ms: Option<i64>,
    next_at: Option<i64>,
}

impl From<History> for StoredHistory {
    fn from(history: History) -> Self {
        Self {
            visits: Some(history.visits),
            tenure_days: Some(history.tenure_days),
            gap_ms: history.gap_ms,
            next_at: history.next_at.map(|at| at.timestamp_millis()),
        }
    }
}

impl StoredHistory {
    pub(super) fn into_history(self) -> Option<History> {
        Some(History {
            visits: self.visits?,
            tenure_days: self.tenure_days?,
            gap_ms: self.gap_ms,
            next_at: self.next_at.map(instant),
        })
    }
}

/// Computes the histories of members' orders anew and writes those that changed.
async fn write_histories(tx: &mut Tx, members: Vec<i64>) -> Result<()> {
    #[derive(sqlx::FromRow)]
    struct Order {
        id: i64,
        member_id: i64,
        purchased_at: i64,
        order_id: String,
        #[sqlx(rename = "paid")]
        is_paid: bool,
        #[sqlx(flatten)]
        stored: StoredHistory,
    }
    #[derive(Serialize)]
    struct Changed {
        id: i64,
        #[serde(flatten)]
        history: StoredHistory,
    }
    let mut orders = query!(fetch_all, Order, tx, OF_MEMBERS, Ids(members))?;
    // Valid ones come first, so that each member's are a slice; ids of one instant go byte by byte.
    orders.sort_by(|one, other| {
        let key = |order: &Order| (order.member_id, !order.is_paid, order.purchased_at);
        key(one).cmp(&key(other)).then_with(|| one.order_id.cmp(&other.order_id))
    });
    let mut changed = Vec::new();
    for group in orders.chunk_by(|one, other| (one.member_id, one.is_paid) == (other.member_id, other.is_paid)) {
        let valid: Vec<_> =
            group.iter().filter(|order| order.is_paid).map(|order| instant(order.purchased_at)).collect();
        let computed = histories(&valid).into_iter().map(StoredHistory::from);
        let computed = computed.chain(std::iter::repeat(StoredHistory::default()));
        let differing = group.iter().zip(computed).filter(|(order, history)| order.stored != *history);
        changed.extend(differing.map(|(order, history)| Changed { id: order.id, history }));
    }
    if !changed.is_empty() {
        execute!(tx, SET_HISTORY, Rows(&changed))?;
    }
    Ok(())
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

/// How many orders a member has.
pub async fn count_of(tx: &mut Tx, member: i64) -> Result<i64> {
    let (count,): (i64,) = query!(fetch_one, (i64,), tx, COUNT_OF, member)?;
    Ok(count)
}

/// Orders by key.
pub async fn by_ids(tx: &mut Tx, ids: Vec<i64>) -> Result<HashMap<i64, Purchase>> {
    type Row = (i64, i64, String, i64, i64, String, String, Option<i64>, Option<String>);
    let mut orders = HashMap::new();
    for (id, member_id, order_id, at, amount, currency, status, delivered_at, items) in
        query!(fetch_all, Row, tx, BY_IDS, Ids(ids))?
    {
        let status = status.parse().map_err(|_| StoreError::Unknown {
            table: "purchases",
            column: "status",
            value: status.clone(),
        })?;
        let (purchased_at, delivered_at) = (instant(at), delivered_at.map(instant));
        orders.insert(
            id,
            Purchase { id, member_id, order_id, purchased_at, amount, currency, status, delivered_at, items },
        );
    }
    Ok(orders)
}
