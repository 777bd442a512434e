//! What customers did in a time, added up by the database: who bought and came back, cohorts, and scores at two instants.

use super::audience_sql::{Bind, Filter, fetch};
use super::{Result, Tx};
use crate::domain::Instant;
use crate::domain::rfm::{Cuts, Measure};

/// By what members are put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parts {
    All,
    Tier,
    Locale,
    /// A member's attribute, by its name.
    Attribute(String),
}

/// From an instant on, and before another.
pub type Span = (Instant, Instant);

/// What the members of a part came to. Money is in minor units.
#[derive(Debug, Clone, Default, PartialEq, sqlx::FromRow)]
pub struct Sum {
    pub part: String,
    pub members: i64,
    pub points: i64,
    /// Who was a customer at the beginning, at the end, and at both.
    pub at_start: i64,
    pub at_end: i64,
    pub stayed: i64,
    /// Who bought, and who did at least twice.
    pub buyers: i64,
    pub repeat_buyers: i64,
    pub orders: i64,
    /// Of these, those in the brand's currency, and what they came to.
    pub priced_orders: i64,
    pub revenue: i64,
}

/// How often somebody bought again after so many milliseconds.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Gap {
    pub part: String,
    pub gap: i64,
    pub orders: i64,
}

/// What a cohort did in a period; both are places in the list of periods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Returned {
    pub cohort: i64,
    pub period: i64,
    pub members: i64,
    /// In minor units.
    pub revenue: i64,
}

/// How many members had which scores of recency and frequency at one instant and at another; 0: had not bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Moved {
    pub recency_before: i64,
    pub frequency_before: i64,
    pub recency: i64,
    pub frequency: i64,
    pub members: i64,
    /// What they had spent by the later instant, in minor units.
    pub spent: i64,
}

/// A page of a filter with more values bound.
struct Query {
    sql: String,
    binds: Vec<Bind>,
}

impl Query {
    fn bind(&mut self, bind: Bind) -> String {
        self.binds.push(bind);
        format!("${}", self.binds.len())
    }

    fn instant(&mut self, at: Instant) -> String {
        let at = self.bind(Bind::Integer(at.timestamp_millis()));
        format!("CAST({at} AS BIGINT)")
    }

    fn part(&mut self, parts: &Parts) -> String {
        match parts {
            Parts::All => "''".to_owned(),
            Parts::Tier => "COALESCE(m.tier, '')".to_owned(),
            Parts::Locale => "COALESCE(m.locale, '')".to_owned(),
            Parts::Attribute(name) => {
                let name = self.bind(Bind::Text(name.clone()));
                format!("COALESCE(m.attributes ->> CAST({name} AS TEXT), '')")
            }
        }
    }
}

/// What the filter's members came to in a time, by part. A customer at an instant is who has a valid order in the `active`
/// before it.
pub async fn sums(
    tx: &mut Tx,
    filter: &Filter<'_>,
    parts: &Parts,
    (from, to): Span,
    active: chrono::Duration,
    currency: &str,
) -> Result<Vec<Sum>> {
    let (mut all, mut after) = (Vec::new(), Some(0));
    while let Some(page) = filter.page(tx, &mut after).await? {
        let mut query = Query { sql: page.sql, binds: page.binds };
        let part = query.part(parts);
        let [from_at, to_at, from_active, to_active] =
            [from, to, from - active, to - active].map(|at| query.instant(at));
        let currency = query.bind(Bind::Text(currency.to_owned()));
        let within = format!("p.purchased_at >= {from_at} AND p.purchased_at < {to_at}");
        let sql = format!(
            "SELECT part, COUNT(*) AS members, CAST(COALESCE(SUM(points), 0) AS BIGINT) AS points, \
             CAST(SUM(started) AS BIGINT) AS at_start, CAST(SUM(ended) AS BIGINT) AS at_end, \
             CAST(SUM(started * ended) AS BIGINT) AS stayed, \
             CAST(SUM(CASE WHEN orders > 0 THEN 1 ELSE 0 END) AS BIGINT) AS buyers, \
             CAST(SUM(CASE WHEN orders > 1 THEN 1 ELSE 0 END) AS BIGINT) AS repeat_buyers, \
             CAST(SUM(orders) AS BIGINT) AS orders, CAST(SUM(priced) AS BIGINT) AS priced_orders, \
             CAST(SUM(revenue) AS BIGINT) AS revenue FROM (\
             SELECT m.id, {part} AS part, m.points AS points, \
             COALESCE(MAX(CASE WHEN p.purchased_at > {from_active} AND p.purchased_at <= {from_at} THEN 1 ELSE 0 END), 0) AS started, \
             COALESCE(MAX(CASE WHEN p.purchased_at > {to_active} AND p.purchased_at <= {to_at} THEN 1 ELSE 0 END), 0) AS ended, \
             COALESCE(SUM(CASE WHEN {within} THEN 1 ELSE 0 END), 0) AS orders, \
             COALESCE(SUM(CASE WHEN {within} AND p.currency = {currency} THEN 1 ELSE 0 END), 0) AS priced, \
             COALESCE(SUM(CASE WHEN {within} AND p.currency = {currency} THEN p.amount ELSE 0 END), 0) AS revenue \
             FROM members m LEFT JOIN purchases p ON p.member_id = m.id AND p.status = 'paid' \
             AND p.purchased_at > {from_active} AND p.purchased_at <= {to_at} \
             WHERE m.id > 0 AND m.deleted_at IS NULL AND {} GROUP BY m.id, m.points, 2) s GROUP BY part",
            query.sql
        );
        all.extend(fetch::<Sum>(tx, sql, query.binds).await?);
    }
    Ok(all)
}

/// How long after the one before orders of a time were made, by part; shortest first within a page.
pub async fn gaps(tx: &mut Tx, filter: &Filter<'_>, parts: &Parts, (from, to): Span) -> Result<Vec<Gap>> {
    let (mut all, mut after) = (Vec::new(), Some(0));
    while let Some(page) = filter.page(tx, &mut after).await? {
        let mut query = Query { sql: page.sql, binds: page.binds };
        let part = query.part(parts);
        let [from, to] = [from, to].map(|at| query.instant(at));
        let sql = format!(
            "SELECT part, gap, COUNT(*) AS orders FROM (SELECT {part} AS part, p.next_at - p.purchased_at AS gap \
             FROM purchases p JOIN members m ON m.id = p.member_id WHERE p.status = 'paid' AND p.next_at >= {from} \
             AND p.next_at < {to} AND p.purchased_at < {to} AND m.id > 0 AND m.deleted_at IS NULL AND {}) g \
             GROUP BY part, gap ORDER BY part, gap",
            query.sql
        );
        all.extend(fetch::<Gap>(tx, sql, query.binds).await?);
    }
    Ok(all)
}

/// What the members whose first valid order was in one of the periods did in each of them.
pub async fn cohorts(tx: &mut Tx, filter: &Filter<'_>, periods: &[Span], currency: &str) -> Result<Vec<Returned>> {
    let (mut all, mut after) = (Vec::new(), Some(0));
    let listed = periods.iter().enumerate().map(|(place, (from, to))| {
        format!("SELECT {place} AS place, {} AS since, {} AS until", from.timestamp_millis(), to.timestamp_millis())
    });
    let listed = listed.collect::<Vec<_>>().join(" UNION ALL ");
    if listed.is_empty() {
        return Ok(all);
    }
    while let Some(page) = filter.page(tx, &mut after).await? {
        let mut query = Query { sql: page.sql, binds: page.binds };
        let currency = query.bind(Bind::Text(currency.to_owned()));
        let sql = format!(
            "WITH periods AS ({listed}), \
             firsts AS (SELECT p.member_id, MIN(p.purchased_at) AS at FROM purchases p JOIN members m ON m.id = p.member_id \
             WHERE p.status = 'paid' AND m.id > 0 AND m.deleted_at IS NULL AND {} GROUP BY p.member_id) \
             SELECT CAST(c.place AS BIGINT) AS cohort, CAST(o.place AS BIGINT) AS period, COUNT(DISTINCT p.member_id) AS members, \
             CAST(COALESCE(SUM(CASE WHEN p.currency = {currency} THEN p.amount ELSE 0 END), 0) AS BIGINT) AS revenue \
             FROM firsts f JOIN periods c ON f.at >= c.since AND f.at < c.until \
             JOIN purchases p ON p.member_id = f.member_id AND p.status = 'paid' \
             JOIN periods o ON p.purchased_at >= o.since AND p.purchased_at < o.until GROUP BY c.place, o.place",
            query.sql
        );
        all.extend(fetch::<Returned>(tx, sql, query.binds).await?);
    }
    Ok(all)
}

/// By which scores the filter's members stood at one instant and at another, by the same cuts.
pub async fn moves(
    tx: &mut Tx,
    filter: &Filter<'_>,
    cuts: &Cuts,
    (before, at): Span,
    currency: &str,
) -> Result<Vec<Moved>> {
    let (mut all, mut after) = (Vec::new(), Some(0));
    while let Some(page) = filter.page(tx, &mut after).await? {
        let mut query = Query { sql: page.sql, binds: page.binds };
        let [before, at] = [before, at].map(|at| query.instant(at));
        let currency = query.bind(Bind::Text(currency.to_owned()));
        let score = |measure: Measure, value: &str, known: &str| {
            let than = if measure == Measure::Recency { "<" } else { ">" };
            let steps =
                cuts.of(measure).iter().map(|cut| format!(" + CASE WHEN {value} {than} {cut} THEN 1 ELSE 0 END"));
            format!("CASE WHEN {known} = 0 THEN 0 ELSE 1{} END", steps.collect::<String>())
        };
        let sql = format!(
            "SELECT CAST({r0} AS BIGINT) AS recency_before, CAST({f0} AS BIGINT) AS frequency_before, \
             CAST({r1} AS BIGINT) AS recency, CAST({f1} AS BIGINT) AS frequency, COUNT(*) AS members, \
             CAST(SUM(spent) AS BIGINT) AS spent FROM (SELECT p.member_id, \
             COALESCE({before} - MAX(CASE WHEN p.purchased_at <= {before} THEN p.purchased_at END), 0) AS age0, \
             SUM(CASE WHEN p.purchased_at <= {before} THEN 1 ELSE 0 END) AS orders0, \
             {at} - MAX(p.purchased_at) AS age, COUNT(*) AS orders, \
             SUM(CASE WHEN p.currency = {currency} THEN p.amount ELSE 0 END) AS spent \
             FROM purchases p JOIN members m ON m.id = p.member_id WHERE p.status = 'paid' AND p.purchased_at <= {at} \
             AND m.id > 0 AND m.deleted_at IS NULL AND {} GROUP BY p.member_id) s GROUP BY 1, 2, 3, 4",
            query.sql,
            r0 = score(Measure::Recency, "age0", "orders0"),
            f0 = score(Measure::Frequency, "orders0", "orders0"),
            r1 = score(Measure::Recency, "age", "orders"),
            f1 = score(Measure::Frequency, "orders", "orders"),
        );
        all.extend(fetch::<Moved>(tx, sql, query.binds).await?);
    }
    Ok(all)
}
