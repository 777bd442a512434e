//! The fitted models of all customers, what they ask for about each, and campaigns that rest on them.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Result, Tx, execute, query, statements};
use crate::domain::campaign::Campaign;
use crate::domain::lifetime::{BgNbd, Customer, Fit, GammaGamma, Lifetimes, Models};
use crate::domain::{Instant, instant};

statements! {
    INSERT = "INSERT INTO models (id, fitted_at, until_at, customers, repeat_customers, r, alpha, a, b, log_likelihood, \
        currency, spenders, p, q, v) \
        SELECT COALESCE(MAX(id), 0) + 1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14 FROM models";
    NEWEST = "SELECT fitted_at, until_at, customers, repeat_customers, r, alpha, a, b, log_likelihood, \
        currency, spenders, p, q, v FROM models ORDER BY id DESC LIMIT 1";
    LAST_OF_PAGE = "SELECT MAX(o.id) FROM (SELECT m.id FROM members m WHERE m.id > $1 ORDER BY m.id LIMIT $2) o";
    // What came in another currency has no amount here.
    ORDERS = "SELECT p.member_id, p.purchased_at, CASE WHEN p.currency = $4 THEN p.amount END FROM purchases p \
        WHERE p.member_id > $1 AND p.member_id <= $2 AND p.status = 'paid' AND p.purchased_at <= $3 ORDER BY p.member_id";
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

/// The models and what they were fitted to.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    pub fitted_at: Instant,
    /// Purchases before it were looked at.
    pub until: Instant,
    pub customers: i64,
    pub repeat_customers: i64,
    pub fit: Fit<BgNbd>,
    /// The brand's currency at the time of the fit.
    pub currency: String,
    /// Repeat customers with a repeat purchase in that currency.
    pub spenders: i64,
    /// In minor units; `None` where no model of spending was found.
    pub spending: Option<GammaGamma>,
}

impl Fitted {
    /// The models for a brand with a currency: what was spent in another one says nothing about it.
    pub fn models(&self, currency: &str) -> Models {
        Models { purchases: self.fit.model, spending: self.spending.filter(|_| self.currency == currency) }
    }
}

/// Members who have bought, among some with neighbouring keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The greatest key of the members that were looked at.
    pub last: i64,
    /// By the member's key.
    pub customers: Vec<(i64, Customer)>,
}

/// Adds models, which are in use from now on.
pub async fn insert(tx: &mut Tx, fitted: &Fitted) -> Result<()> {
    // Audiences may ask for what they say.
    tx.policy_changes();
    let Fitted { fitted_at, until, customers, repeat_customers, fit, currency, spenders, spending } = fitted;
    let BgNbd { r, alpha, a, b } = fit.model;
    let (p, q, v) = (spending.map(|model| model.p), spending.map(|model| model.q), spending.map(|model| model.v));
    let (fitted_at, until) = (fitted_at.timestamp_millis(), until.timestamp_millis());
    let (likelihood, currency) = (fit.log_likelihood, currency.as_str());
    execute!(
        tx,
        INSERT,
        fitted_at,
        until,
        *customers,
        *repeat_customers,
        r,
        alpha,
        a,
        b,
        likelihood,
        currency,
        *spenders,
        p,
        q,
        v
    )?;
    Ok(())
}

/// The models in use.
pub async fn newest(tx: &mut Tx) -> Result<Option<Fitted>> {
    #[derive(sqlx::FromRow)]
    struct Row {
        fitted_at: i64,
        until_at: i64,
        customers: i64,
        repeat_customers: i64,
        r: f64,
        alpha: f64,
        a: f64,
        b: f64,
        log_likelihood: f64,
        currency: String,
        spenders: i64,
        p: Option<f64>,
        q: Option<f64>,
        v: Option<f64>,
    }
    let row = query!(fetch_optional, Row, tx, NEWEST)?;
    Ok(row.map(|row| Fitted {
        fitted_at: instant(row.fitted_at),
        until: instant(row.until_at),
        customers: row.customers,
        repeat_customers: row.repeat_customers,
        fit: Fit {
            model: BgNbd { r: row.r, alpha: row.alpha, a: row.a, b: row.b },
            log_likelihood: row.log_likelihood,
        },
        currency: row.currency,
        spenders: row.spenders,
        spending: row.p.zip(row.q).zip(row.v).map(|((p, q), v)| GammaGamma { p, q, v }),
    }))
}

/// What the models ask for about each customer at an instant, page by page: of up to `limit` members with keys greater
/// than `after`. Amounts are those in the brand's `currency`. `None` where there are no more members.
pub async fn customers(tx: &mut Tx, after: i64, limit: i64, at: Instant, currency: &str) -> Result<Option<Page>> {
    let (last,): (Option<i64>,) = query!(fetch_one, (Option<i64>,), tx, LAST_OF_PAGE, after, limit)?;
    let Some(last) = last else { return Ok(None) };
    type Row = (i64, i64, Option<i64>);
    let orders = query!(fetch_all, Row, tx, ORDERS, after, last, at.timestamp_millis(), currency)?;
    let customer = |orders: &[Row]| {
        let made = orders.iter().map(|(_, made, amount)| (instant(*made), *amount));
        Some((orders[0].0, Customer::at(at, made)?))
    };
    let customers = orders.chunk_by(|one, other| one.0 == other.0).filter_map(customer).collect();
    Ok(Some(Page { last, customers }))
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
