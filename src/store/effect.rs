//! What the arms of an experiment came to, added up by the database.

use super::{Result, StoreError, Texts, Tx, query, statements};
use crate::domain::experiment::sums::Sums;
use crate::domain::money::decimals;
use crate::domain::{Instant, instant};

/// A unit (a member, or an address where the campaign divides those) counts once, in the arm and with the due instant of
/// its first message that came to the question of its arm; what its members bought is one sum. Who could still buy is
/// left out of all arms alike. What it cost are the gifts of its members whose codes were used in an order that counts,
/// and what was sent to them in the time of which orders count. Money is in minor units, messages and net in millionths
/// of the major unit; `$9` is how many of these make a minor unit.
macro_rules! measured {
    ($unit:literal, $arm:literal, $campaign:literal, $messages:literal) => {
        concat!(
            "WITH people AS (SELECT DISTINCT ", $unit, " AS unit, m.member_id, FIRST_VALUE(", $arm, ") OVER first AS arm, \
            FIRST_VALUE(m.due_at) OVER first AS due_at FROM messages m WHERE ", $campaign, $messages, " AND m.assigned_at <= $5 \
            WINDOW first AS (PARTITION BY ", $unit, " ORDER BY m.due_at, m.id)), \
            bought AS (SELECT d.unit, d.arm, d.due_at, d.member_id, \
            SUM(CASE WHEN p.currency = $8 AND p.amount >= $7 THEN 1 ELSE 0 END) AS orders, \
            SUM(CASE WHEN p.currency = $8 AND p.amount >= $7 THEN p.amount ELSE 0 END) AS revenue, \
            SUM(CASE WHEN p.currency <> $8 THEN 1 ELSE 0 END) AS others FROM people d \
            LEFT JOIN purchases p ON p.member_id = d.member_id AND p.status = 'paid' AND p.purchased_at > d.due_at \
            AND p.purchased_at <= d.due_at + $6 AND p.purchased_at <= $5 WHERE d.due_at >= $3 AND d.due_at < $4 \
            GROUP BY d.unit, d.arm, d.due_at, d.member_id), \
            costed AS (SELECT b.unit, b.arm, b.due_at, b.orders, b.revenue, b.others, \
            (SELECT COALESCE(SUM(m.cost), 0) FROM gifts m WHERE m.member_id = b.member_id AND m.cost IS NOT NULL AND ", $campaign, " \
            AND EXISTS (SELECT 1 FROM purchases p WHERE p.coupon_code = m.code AND p.status = 'paid' AND p.currency = $8 \
            AND p.amount >= $7 AND p.purchased_at > b.due_at AND p.purchased_at <= b.due_at + $6 AND p.purchased_at <= $5)) AS gifts, \
            (SELECT COALESCE(SUM(m.price), 0) FROM messages m WHERE m.member_id = b.member_id AND ", $campaign, " \
            AND m.sent_at >= b.due_at AND m.sent_at <= b.due_at + $6 AND m.sent_at <= $5) AS messages FROM bought b), \
            units AS (SELECT c.unit, c.arm, CASE WHEN c.due_at + $6 > $5 THEN 1 ELSE 0 END AS open, \
            CAST(SUM(c.orders) AS BIGINT) AS orders, CAST(SUM(c.revenue) AS BIGINT) AS revenue, CAST(SUM(c.others) AS BIGINT) AS others, \
            CAST(SUM(c.gifts) AS BIGINT) AS gifts, CAST(SUM(c.messages) AS BIGINT) AS messages, \
            CAST((SUM(c.revenue) - SUM(c.gifts)) * $9 - SUM(c.messages) AS BIGINT) AS net FROM costed c GROUP BY c.unit, c.arm, c.due_at) \
            SELECT u.arm, CAST(SUM(1 - u.open) AS BIGINT) AS members, CAST(SUM(u.open) AS BIGINT) AS not_yet, \
            CAST(SUM(CASE WHEN u.open = 0 AND u.orders > 0 THEN 1 ELSE 0 END) AS BIGINT) AS buyers, \
            CAST(SUM(CASE WHEN u.open = 0 THEN u.orders ELSE 0 END) AS BIGINT) AS orders, \
            CAST(SUM(CASE WHEN u.open = 0 THEN u.revenue ELSE 0 END) AS BIGINT) AS revenue, \
            SUM(CASE WHEN u.open = 0 THEN CAST(u.revenue AS DOUBLE PRECISION) * CAST(u.revenue AS DOUBLE PRECISION) \
            ELSE 0.0 END) AS squares, \
            CAST(SUM(CASE WHEN u.open = 0 THEN u.gifts ELSE 0 END) AS BIGINT) AS gifts, \
            CAST(SUM(CASE WHEN u.open = 0 THEN u.messages ELSE 0 END) AS BIGINT) AS messages, \
            SUM(CASE WHEN u.open = 0 THEN CAST(u.net AS DOUBLE PRECISION) * CAST(u.net AS DOUBLE PRECISION) \
            ELSE 0.0 END) AS net_squares, \
            CAST(SUM(CASE WHEN u.open = 0 THEN u.others ELSE 0 END) AS BIGINT) AS others FROM units u GROUP BY u.arm"
        )
    };
}

statements! {
    RUNS = "SELECT r.run, r.arms, r.started_at FROM runs r WHERE r.campaign = $1 ORDER BY r.run";
    OF_CAMPAIGN = measured!("COALESCE(m.unit, CAST(m.member_id AS TEXT))", "m.arm", "m.campaign = $1",
        " AND m.run = $2 AND m.arm IS NOT NULL AND m.arm <> 'brand_holdout'");
    // Every marketing campaign's messages since the brand's holdout was last changed.
    OF_BRAND = measured!("CAST(m.member_id AS TEXT)", "CASE WHEN m.arm = 'brand_holdout' THEN m.arm ELSE 'treated' END",
        "m.campaign {in $1}", " AND m.assigned_at >= $2 AND m.assigned_at < $10");
    FIRST_ASSIGNED = "SELECT MIN(m.assigned_at) FROM messages m WHERE m.campaign = $1 AND m.run = $2 AND m.arm IS NOT NULL";
    // Members of a run, and those of them who were in another campaign's experiment while their orders counted.
    OVERLAP = "SELECT COUNT(DISTINCT m.member_id), COUNT(DISTINCT CASE WHEN EXISTS (SELECT 1 FROM messages o \
        WHERE o.member_id = m.member_id AND o.campaign <> m.campaign AND o.arm IS NOT NULL AND o.arm <> 'brand_holdout' \
        AND o.due_at > m.due_at - $6 AND o.due_at <= m.due_at + $6) THEN m.member_id END) FROM messages m \
        WHERE m.campaign = $1 AND m.run = $2 AND m.arm IS NOT NULL AND m.arm <> 'brand_holdout' AND m.due_at >= $3 AND m.due_at < $4 \
        AND m.assigned_at <= $5";
    AUDIENCE_SINCE = "SELECT audience_since FROM campaigns WHERE name = $1";
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
    /// Revenue by unit, in minor units.
    pub revenue: Sums,
    /// What gifts cost, in minor units.
    pub gifts: i64,
    /// What messages cost, in millionths of the major unit.
    pub messages: i64,
    /// Revenue less both by unit, in millionths of the major unit.
    pub net: Sums,
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
    gifts: i64,
    messages: i64,
    net_squares: f64,
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
    let scale = MILLIONTHS / 10_i64.pow(decimals(currency));
    let rows = match of {
        Of::Campaign(name, run) => {
            query!(fetch_all, Row, tx, OF_CAMPAIGN, *name, *run, from, to, at, within, least, currency, scale)?
        }
        Of::Brand { marketing, from: begins, until } => {
            let (names, begins, until) = (Texts(marketing.clone()), *begins, *until);
            query!(fetch_all, Row, tx, OF_BRAND, names, begins, from, to, at, within, least, currency, scale, until)?
        }
    };
    Ok(rows.into_iter().map(|row| row.into_arm(scale)).collect())
}

/// Of a major unit.
const MILLIONTHS: i64 = 1_000_000;

impl Row {
    fn into_arm(self, scale: i64) -> Arm {
        let n = self.members.unsigned_abs();
        let net = (i128::from(self.revenue) - i128::from(self.gifts)) * i128::from(scale) - i128::from(self.messages);
        Arm {
            revenue: Sums { n, sum: i128::from(self.revenue), squares: self.squares as i128 },
            net: Sums { n, sum: net, squares: self.net_squares as i128 },
            gifts: self.gifts,
            messages: self.messages,
            name: self.arm,
            members: self.members,
            not_yet: self.not_yet,
            buyers: self.buyers,
            orders: self.orders,
            other_currencies: self.others,
        }
    }
}

/// How many members were assigned in a run, and how many of them in another campaign's experiment as well, at most as long
/// before or after as orders count.
pub async fn overlap(tx: &mut Tx, campaign: &str, run: i64, asked: &Asked<'_>) -> Result<(i64, i64)> {
    let [from, to, at] = [asked.from, asked.to, asked.at].map(|instant| instant.timestamp_millis());
    let within = asked.within.num_milliseconds();
    Ok(query!(fetch_one, (i64, i64), tx, OVERLAP, campaign, run, from, to, at, within)?)
}

/// When a campaign's audience became what it is, if it was another one before.
pub async fn audience_since(tx: &mut Tx, campaign: &str) -> Result<Option<Instant>> {
    let found: Option<(Option<i64>,)> = query!(fetch_optional, (Option<i64>,), tx, AUDIENCE_SINCE, campaign)?;
    Ok(found.and_then(|(since,)| since).map(instant))
}

/// When the first message of a run came to the question of its arm.
pub async fn first_assigned(tx: &mut Tx, campaign: &str, run: i64) -> Result<Option<Instant>> {
    let (first,): (Option<i64>,) = query!(fetch_one, (Option<i64>,), tx, FIRST_ASSIGNED, campaign, run)?;
    Ok(first.map(instant))
}

/// Messages that came to the question of their arm while the campaign had no experiment, by their due instants.
pub async fn unassigned(tx: &mut Tx, campaign: &str, (from, to): (Instant, Instant)) -> Result<i64> {
    let (from, to) = (from.timestamp_millis(), to.timestamp_millis());
    let (count,): (i64,) = query!(fetch_one, (i64,), tx, UNASSIGNED, campaign, from, to)?;
    Ok(count)
}
