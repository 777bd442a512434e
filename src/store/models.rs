//! The fitted models of all customers, what they are fitted to, and campaigns that rest on them.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Result, Tx, execute, query, statements};
use crate::domain::campaign::Campaign;
use crate::domain::lifetime::{BgNbd, Fit, Lifetimes};
use crate::domain::{Instant, instant};

statements! {
    INSERT = "INSERT INTO models (id, fitted_at, until_at, customers, repeat_customers, r, alpha, a, b, log_likelihood) \
        SELECT COALESCE(MAX(id), 0) + 1, $1, $2, $3, $4, $5, $6, $7, $8, $9 FROM models";
    NEWEST = "SELECT fitted_at, until_at, customers, repeat_customers, r, alpha, a, b, log_likelihood \
        FROM models ORDER BY id DESC LIMIT 1";
    // The last valid order of each customer before an instant: it has the whole history.
    LAST_ORDERS = "SELECT id, visits, tenure_days, purchased_at FROM purchases WHERE id > $1 AND visits IS NOT NULL \
        AND purchased_at < $2 AND (next_at IS NULL OR next_at >= $2) ORDER BY id LIMIT $3";
    // From one entry of the index to the next different one, which costs as much as there are such.
    HISTORIES = "WITH RECURSIVE known (visits, tenure_days) AS ( \
        SELECT f.visits, f.tenure_days FROM (SELECT p.visits, p.tenure_days FROM purchases p \
        WHERE p.visits IS NOT NULL ORDER BY p.visits, p.tenure_days LIMIT 1) f \
        UNION ALL SELECT n.visits, n.tenure_days FROM known k JOIN purchases n ON n.id = COALESCE( \
        (SELECT q.id FROM purchases q WHERE q.visits = k.visits AND q.tenure_days > k.tenure_days \
        ORDER BY q.visits, q.tenure_days LIMIT 1), \
        (SELECT q.id FROM purchases q WHERE q.visits > k.visits ORDER BY q.visits, q.tenure_days LIMIT 1))) \
        SELECT visits, tenure_days FROM known";
}

/// A model and what it was fitted to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fitted {
    pub fitted_at: Instant,
    /// Purchases before it were looked at.
    pub until: Instant,
    pub customers: i64,
    pub repeat_customers: i64,
    pub fit: Fit<BgNbd>,
}

/// What a customer's last valid order before an instant says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastOrder {
    pub id: i64,
    pub visits: i64,
    pub tenure_days: i64,
    pub purchased_at: Instant,
}

/// Adds a model, which is in use from now on.
pub async fn insert(tx: &mut Tx, fitted: &Fitted) -> Result<()> {
    let Fitted { fitted_at, until, customers, repeat_customers, fit } = *fitted;
    let BgNbd { r, alpha, a, b } = fit.model;
    let (fitted_at, until) = (fitted_at.timestamp_millis(), until.timestamp_millis());
    execute!(tx, INSERT, fitted_at, until, customers, repeat_customers, r, alpha, a, b, fit.log_likelihood)?;
    Ok(())
}

/// The model in use.
pub async fn newest(tx: &mut Tx) -> Result<Option<Fitted>> {
    type Row = (i64, i64, i64, i64, f64, f64, f64, f64, f64);
    let row = query!(fetch_optional, Row, tx, NEWEST)?;
    Ok(row.map(|(fitted_at, until, customers, repeat_customers, r, alpha, a, b, log_likelihood)| Fitted {
        fitted_at: instant(fitted_at),
        until: instant(until),
        customers,
        repeat_customers,
        fit: Fit { model: BgNbd { r, alpha, a, b }, log_likelihood },
    }))
}

/// The last orders before `until`, one a customer: up to `limit` with keys greater than `after`.
pub async fn last_orders(tx: &mut Tx, after: i64, until: Instant, limit: i64) -> Result<Vec<LastOrder>> {
    type Row = (i64, i64, i64, i64);
    let rows = query!(fetch_all, Row, tx, LAST_ORDERS, after, until.timestamp_millis(), limit)?;
    let order = |(id, visits, tenure_days, at)| LastOrder { id, visits, tenure_days, purchased_at: instant(at) };
    Ok(rows.into_iter().map(order).collect())
}

/// The campaign as it stands under the model in use: to be asked once for a scan or plan.
pub async fn informed<'c>(tx: &mut Tx, campaign: &'c Campaign) -> Result<Cow<'c, Campaign>> {
    if !campaign.trigger.features().needs_lifetimes {
        return Ok(Cow::Borrowed(campaign));
    }
    let Some(fitted) = newest(tx).await? else { return Ok(Cow::Borrowed(campaign)) };
    let histories = query!(fetch_all, (i64, i64), tx, HISTORIES)?;
    let trigger = campaign.trigger.with_lifetimes(Lifetimes { model: fitted.fit.model, histories });
    let trigger = trigger.unwrap_or_else(|| Arc::clone(&campaign.trigger));
    Ok(Cow::Owned(Campaign { trigger, ..campaign.clone() }))
}
