//! What the arms of an experiment came to, added up by the database.

use super::{Result, StoreError, Texts, Tx, query, statements};
use crate::domain::Instant;
use crate::domain::experiment::sums::Sums;

/// A unit (a member, or an address where the campaign divides those) counts once, in the arm and with the due instant of
/// its first message that came to the question of its arm; what its members bought is one sum. Who could still buy is
/// left out of all arms alike.
macro_rules! measured {
    ($unit:literal, $arm:literal, $messages:literal) => {
        concat!(
            "WITH people AS (SELECT DISTINCT ", $unit, " AS unit, m.member_id, FIRST_VALUE(", $arm, ") OVER first AS arm, \
            FIRST_VALUE(m.due_at) OVER first AS due_at FROM messages m WHERE ", $messages, " AND m.assigned_at <= $5 \
            WINDOW first AS (PARTITION BY ", $unit, " ORDER BY m.due_at, m.id)), \
            bought AS (SELECT d.unit, d.arm, CASE WHEN d.due_at + $6 > $5 THEN 1 ELSE 0 END AS open, \
            SUM(CASE WHEN p.currency = $8 AND p.amount >= $7 THEN 1 ELSE 0 END) AS orders, \
            SUM(CASE WHEN p.currency = $8 AND p.amount >= $7 THEN p.amount ELSE 0 END) AS revenue, \
            SUM(CASE WHEN p.currency <> $8 THEN 1 ELSE 0 END) AS others FROM people d \
            LEFT JOIN purchases p ON p.member_id = d.member_id AND p.status = 'paid' AND p.purchased_at > d.due_at \
            AND p.purchased_at <= d.due_at + $6 AND p.purchased_at <= $5 WHERE d.due_at >= $3 AND d.due_at < $4 \
            GROUP BY d.unit, d.arm, d.due_at) \
            SELECT b.arm, CAST(SUM(1 - b.open) AS BIGINT) AS members, CAST(SUM(b.open) AS BIGINT) AS not_yet, \
            CAST(SUM(CASE WHEN b.open = 0 AND b.orders > 0 THEN 1 ELSE 0 END) AS BIGINT) AS buyers, \
            CAST(SUM(CASE WHEN b.open = 0 THEN b.orders ELSE 0 END) AS BIGINT) AS orders, \
            CAST(SUM(CASE WHEN b.open = 0 THEN b.revenue ELSE 0 END) AS BIGINT) AS revenue, \
            SUM(CASE WHEN b.open = 0 THEN CAST(b.revenue AS DOUBLE PRECISION) * CAST(b.revenue AS DOUBLE PRECISION) \
            ELSE 0.0 END) AS squares, \
            CAST(SUM(CASE WHEN b.open = 0 THEN b.others ELSE 0 END) AS BIGINT) AS others FROM bought b GROUP BY b.arm"
        )
    };
}

statements! {
    RUNS = "SELECT r.run, r.arms, r.started_at FROM runs r WHERE r.campaign = $1 ORDER BY r.run";
    OF_CAMPAIGN = measured!("COALESCE(m.unit, CAST(m.member_id AS TEXT))", "m.arm",
        "m.campaign = $1 AND m.run = $2 AND m.arm IS NOT NULL AND m.arm <> 'brand_holdout'");
    // Every marketing campaign's messages since the brand's holdout was last changed.
    OF_BRAND = measured!("CAST(m.member_id AS TEXT)", "CASE WHEN m.arm = 'brand_holdout' THEN m.arm ELSE 'treated' END",
        "m.campaign {in $1} AND m.assigned_at >= $2 AND m.assigned_at < $9");
    UNASSIGNED = "SELECT COUNT(*) FROM messages m WHERE m.campaign = $1 AND m.assigned_at IS NOT NULL AND m.arm IS NULL \
        AND m.due_at >= $2 AND m.due_at < $3";
}

/// A run of an experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub run: i64,
    /// Names and shares.
    pub arms: Vec<(String, f64)>,
    pub started_at: i64,
}

/// Which messages, and which orders count.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    pub of: Of<'a>,
    /// Of the due instants: from this one on, and before that one.
    pub from: Instant,
    pub to: Instant,
    /// What is known by then.
    pub at: Instant,
    pub within: chrono::Duration,
    /// In minor units of `currency`.
    pub min_amount: i64,
    pub currency: &'a str,
}

/// Whose messages divide the members.
#[derive(Debug, Clone)]
pub enum Of<'a> {
    /// Those of a campaign's run.
    Campaign(&'a str, i64),
    /// Those of all these campaigns that were assigned from one instant on and before another.
    Brand { marketing: Vec<String>, from: i64, until: i64 },
}

/// What an arm came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Arm {
    pub name: String,
    /// Those who could no longer buy.
    pub members: i64,
    /// Those who still can.
    pub not_yet: i64,
    pub buyers: i64,
    pub orders: i64,
    /// Revenue by member, in minor units.
    pub revenue: Sums,
    /// Valid orders in other currencies.
    pub other_currencies: i64,
}

#[derive(sqlx::FromRow)]
struct Row {
    arm: String,
    members: i64,
    not_yet: i64,
    buyers: i64,
    orders: i64,
    revenue: i64,
    squares: f64,
    others: i64,
}

/// The runs of a campaign, or with an empty name of the brand's own holdout, in order.
pub async fn runs(tx: &mut Tx, campaign: &str) -> Result<Vec<Run>> {
    let rows = query!(fetch_all, (i64, String, i64), tx, RUNS, campaign)?;
    let run = |(run, arms, started_at): (i64, String, i64)| {
        let unknown = |_| StoreError::Unknown { table: "runs", column: "arms", value: arms.clone() };
        Ok(Run { run, arms: serde_json::from_str(&arms).map_err(unknown)?, started_at })
    };
    rows.into_iter().map(run).collect()
}

/// The arms that somebody was assigned to.
pub async fn arms(tx: &mut Tx, asked: &Asked<'_>) -> Result<Vec<Arm>> {
    let Asked { of, from, to, at, within, min_amount, currency } = asked;
    let [from, to, at] = [from, to, at].map(|instant| instant.timestamp_millis());
    let within = within.num_milliseconds();
    let (least, currency) = (*min_amount, *currency);
    let rows = match of {
        Of::Campaign(name, run) => {
            query!(fetch_all, Row, tx, OF_CAMPAIGN, *name, *run, from, to, at, within, least, currency)?
        }
        Of::Brand { marketing, from: begins, until } => {
            let names = Texts(marketing.clone());
            query!(fetch_all, Row, tx, OF_BRAND, names, *begins, from, to, at, within, least, currency, *until)?
        }
    };
    let sums =
        |row: &Row| Sums { n: row.members.unsigned_abs(), sum: i128::from(row.revenue), squares: row.squares as i128 };
    let arm = |row: Row| Arm {
        revenue: sums(&row),
        name: row.arm,
        members: row.members,
        not_yet: row.not_yet,
        buyers: row.buyers,
        orders: row.orders,
        other_currencies: row.others,
    };
    Ok(rows.into_iter().map(arm).collect())
}

/// Messages that came to the question of their arm while the campaign had no experiment, by their due instants.
pub async fn unassigned(tx: &mut Tx, campaign: &str, (from, to): (Instant, Instant)) -> Result<i64> {
    let (from, to) = (from.timestamp_millis(), to.timestamp_millis());
    let (count,): (i64,) = query!(fetch_one, (i64,), tx, UNASSIGNED, campaign, from, to)?;
    Ok(count)
}
