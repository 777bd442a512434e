//! Reading the candidates that a trigger's SQL finds, page by page.

use futures_util::TryStreamExt as _;
use sqlx::AssertSqlSafe;

use super::members::{StoredMember, member_columns};
use super::purchases::StoredHistory;
use super::{Database, Result, StoreError, Tx};
use crate::domain::instant;
use crate::domain::occasion::{Bind, Candidate, Query};
use crate::domain::purchase::Purchase;

/// Where the next page begins: after this (member, purchase).
pub type Position = (i64, i64);

/// The first page's position.
pub const START: Position = (-1, -1);

/// A trigger's SQL, wrapped to read whole rows and one page.
pub fn page_sql(query: &Query) -> String {
    format!(
        concat!(
            "SELECT CAST(c.purchase_id AS BIGINT) AS c_purchase_id, CAST(c.ordinal AS BIGINT) AS c_ordinal, ",
            member_columns!(),
            ", p.order_id AS p_order_id, p.purchased_at AS p_purchased_at, p.amount AS p_amount, \
             p.currency AS p_currency, p.status AS p_status, p.delivered_at AS p_delivered_at, p.items AS p_items, \
             p.visits, p.tenure_days, p.gap_ms, p.next_at \
             FROM ({}) c JOIN members m ON m.id = c.member_id LEFT JOIN purchases p ON p.id = c.purchase_id \
             WHERE (c.member_id, c.purchase_id) > ($1, $2) AND m.deleted_at IS NULL \
             ORDER BY c.member_id, c.purchase_id LIMIT $3"
        ),
        query.sql
    )
}

/// Up to `limit` candidates after `position`, and where the next page begins (`None`: no more).
pub async fn page(
    tx: &mut Tx,
    query: &Query,
    position: Position,
    limit: i64,
) -> Result<(Vec<Candidate>, Option<Position>)> {
    let sql = AssertSqlSafe(tx.dialect().expand(&page_sql(query)));
    let mut candidates = Vec::new();
    macro_rules! fetch {
        ($connection:expr) => {{
            let mut bound = sqlx::query_as::<_, Row>(sql).bind(position.0).bind(position.1).bind(limit);
            for bind in &query.binds {
                bound = match bind {
                    Bind::Integer(value) => bound.bind(*value),
                    Bind::Text(value) => bound.bind(value.clone()),
                };
            }
            // One by one: a page of rows beside a page of candidates would be twice the memory.
            let mut rows = bound.fetch(&mut **$connection);
            while let Some(row) = rows.try_next().await? {
                candidates.push(row.into_candidate()?);
            }
        }};
    }
    match &mut tx.database {
        Database::Postgres(connection) => fetch!(connection),
        Database::Sqlite(connection) => fetch!(connection),
    }
    let full = candidates.len() as i64 == limit;
    let next = candidates
        .last()
        .filter(|_| full)
        .map(|last| (last.member.id, last.order.as_ref().map_or(0, |order| order.id)));
    Ok((candidates, next))
}

#[derive(sqlx::FromRow)]
struct Row {
    c_purchase_id: i64,
    c_ordinal: i64,
    #[sqlx(flatten)]
    member: StoredMember,
    p_order_id: Option<String>,
    p_purchased_at: Option<i64>,
    p_amount: Option<i64>,
    p_currency: Option<String>,
    p_status: Option<String>,
    p_delivered_at: Option<i64>,
    p_items: Option<String>,
    #[sqlx(flatten)]
    history: StoredHistory,
}

impl Row {
    fn into_candidate(self) -> Result<Candidate> {
        let member = self.member.into_member()?;
        let order = match (self.p_order_id, self.p_purchased_at, self.p_amount, self.p_currency, self.p_status) {
            (Some(order_id), Some(at), Some(amount), Some(currency), Some(status)) => Some(Purchase {
                id: self.c_purchase_id,
                member_id: member.id,
                order_id,
                purchased_at: instant(at),
                amount,
                currency,
                status: status.parse().map_err(|_| StoreError::Unknown {
                    table: "purchases",
                    column: "status",
                    value: status,
                })?,
                delivered_at: self.p_delivered_at.map(instant),
                items: self.p_items,
            }),
            _ => None,
        };
        let history = self.history.into_history();
        Ok(Candidate { member, order, history, ordinal: self.c_ordinal })
    }
}
