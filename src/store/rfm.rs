//! The cut points of RFM scores: computed over all members with purchases, stored with their instant.

use super::{Result, Store, StoreError, Tx, execute, query, statements};
use crate::domain::rfm::Cuts;
use crate::domain::{Instant, instant};

statements! {
    // A cut is the value up to which one, two, three or four fifths of the members come.
    FIT = "WITH totals AS (SELECT $1 - MAX(p.purchased_at) AS age, COUNT(*) AS orders, \
        CAST(SUM(CASE WHEN p.currency = $2 THEN p.amount ELSE 0 END) AS BIGINT) AS spent \
        FROM purchases p JOIN members m ON m.id = p.member_id \
        WHERE p.status = 'paid' AND p.purchased_at <= $1 AND m.deleted_at IS NULL GROUP BY p.member_id), \
        ranked AS (SELECT age, orders, spent, COUNT(*) OVER () AS n, ROW_NUMBER() OVER (ORDER BY age DESC) AS by_age, \
        ROW_NUMBER() OVER (ORDER BY orders) AS by_orders, ROW_NUMBER() OVER (ORDER BY spent) AS by_spent FROM totals), \
        fifths AS (SELECT 1 AS k UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4) \
        SELECT MAX(n), MAX(CASE WHEN by_age = (k * n + 4) / 5 THEN age END), \
        MAX(CASE WHEN by_orders = (k * n + 4) / 5 THEN orders END), \
        MAX(CASE WHEN by_spent = (k * n + 4) / 5 THEN spent END) \
        FROM ranked CROSS JOIN fifths GROUP BY k ORDER BY k";
    STORE = "INSERT INTO rfm_cuts (fitted_at, members, cuts) VALUES ($1, $2, $3) \
        ON CONFLICT (fitted_at) DO UPDATE SET members = excluded.members, cuts = excluded.cuts";
    CURRENT = "SELECT fitted_at, members, cuts FROM rfm_cuts ORDER BY fitted_at DESC LIMIT 1";
}

/// Cut points, from whom and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fitted {
    pub fitted_at: Instant,
    /// How many members had bought by then.
    pub members: i64,
    pub cuts: Cuts,
}

/// Computes the cut points from valid orders up to `at` and stores them; `None` where nobody has
/// bought. Money is counted in the brand's `currency`.
pub async fn fit(store: &Store, at: Instant, currency: &str) -> Result<Option<Fitted>> {
    // All orders are read in a snapshot: nobody who writes waits for that.
    let mut tx = store.read().await?;
    let rows = query!(fetch_all, (i64, i64, i64, i64), &mut tx, FIT, at.timestamp_millis(), currency)?;
    tx.commit().await?;
    let [first, second, third, fourth] = rows[..] else { return Ok(None) };
    let of = |value: fn((i64, i64, i64, i64)) -> i64| [first, second, third, fourth].map(value);
    let cuts = Cuts { recency: of(|row| row.1), frequency: of(|row| row.2), monetary: of(|row| row.3) };
    let text = serde_json::to_string(&cuts).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    let mut tx = store.begin().await?;
    execute!(&mut tx, STORE, at.timestamp_millis(), first.0, text)?;
    tx.policy_changes();
    tx.commit().await?;
    Ok(Some(Fitted { fitted_at: at, members: first.0, cuts }))
}

/// The cut points in use: the newest.
pub async fn current(tx: &mut Tx) -> Result<Option<Fitted>> {
    let Some((at, members, text)) = query!(fetch_optional, (i64, i64, String), tx, CURRENT)? else { return Ok(None) };
    let cuts = serde_json::from_str(&text).map_err(|_| StoreError::Unknown {
        table: "rfm_cuts",
        column: "cuts",
        value: text,
    })?;
    Ok(Some(Fitted { fitted_at: instant(at), members, cuts }))
}
