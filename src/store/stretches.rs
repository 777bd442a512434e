//! The counts of days that are over, added up: a report of a year reads a few texts for each campaign instead of every
//! day's rows.
//!
//! A stretch is what lies between two firsts of a month, of whichever calendar, so that months, quarters and years of both
//! are made of whole ones. The night's work closes those that ended some days ago. Whatever changes a day in one takes its
//! row away in the same transaction, and reports read the days themselves until the next night.

use std::borrow::Cow;
use std::collections::HashMap;

use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};

use super::daily::{self, QUIET, Row};
use super::{Dialect, Result, Rows, StoreError, Texts, Tx, execute, query, statements};
use crate::domain::Instant;
use crate::domain::period::stretch;

statements! {
    // Who changes days that are over shares this row until the commit; who closes has it alone.
    SHARE = "SELECT value FROM controls WHERE name = 'stretches' {share}";
    TODAY = "SELECT {now} / 86400000";
    HOLD = "SELECT value FROM controls WHERE name = 'stretches' {lock}";
    REOPEN = "DELETE FROM stretches WHERE (campaign, day) IN \
        (SELECT r.campaign, r.day FROM {rows $1: campaign TEXT, day BIGINT})";
    CLOSE = "INSERT INTO stretches (campaign, day, counts) VALUES ($1, $2, $3) \
        ON CONFLICT (campaign, day) DO UPDATE SET counts = excluded.counts";
    CLOSED = "SELECT day FROM stretches WHERE campaign = $1";
    READ = "SELECT campaign, day, counts FROM stretches WHERE campaign {in $1} AND day >= $2 AND day < $3 ORDER BY campaign, day";
}

/// One count of a stretch, with the parts of its [`daily::Key`] but campaign and day.
#[derive(Debug, Deserialize)]
pub struct Item<'a>(
    #[serde(borrow)] pub Cow<'a, str>,
    #[serde(borrow)] pub Cow<'a, str>,
    #[serde(borrow)] pub Cow<'a, str>,
    #[serde(borrow)] pub Cow<'a, str>,
    #[serde(borrow)] pub Cow<'a, str>,
    #[serde(borrow)] pub Cow<'a, str>,
    #[serde(borrow)] pub Cow<'a, str>,
    pub i64,
    pub i64,
);

/// The counts of a closed stretch.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Closed {
    pub campaign: String,
    /// Its first day, since 1970.
    pub day: i64,
    /// [`Item`]s, as JSON.
    counts: String,
}

impl Closed {
    pub fn items(&self) -> Result<Vec<Item<'_>>> {
        serde_json::from_str(&self.counts).map_err(|error| StoreError::Unknown {
            table: "stretches",
            column: "counts",
            value: format!("of {}, day {}: {error}", self.campaign, self.day),
        })
    }

    /// The day behind its last one.
    pub fn next(&self) -> i64 {
        days(self.day).1
    }
}

/// The stretch that a day is in: its first day and the first one behind it, since 1970.
fn days(day: i64) -> (i64, i64) {
    let epoch = NaiveDate::default();
    let date = u64::try_from(day).ok().and_then(|day| epoch.checked_add_days(Days::new(day))).unwrap_or(epoch);
    let (first, next) = stretch(date);
    ((first - epoch).num_days(), (next - epoch).num_days())
}

/// Counts of days were changed of which some are over: takes away what they were added up to. Whoever closes meanwhile
/// waits for the commit, or is waited for.
pub(super) async fn reopen(tx: &mut Tx, rows: &[Row]) -> Result<()> {
    #[derive(PartialEq, Serialize)]
    struct Changed<'a> {
        campaign: &'a str,
        day: i64,
    }
    if tx.dialect() == Dialect::Postgres {
        query!(fetch_one, (String,), tx, SHARE)?;
    }
    let changed = rows.iter().map(|row| Changed { campaign: &row.key.campaign, day: days(row.key.day).0 });
    let mut old: Vec<Changed<'_>> = changed.collect();
    old.dedup();
    execute!(tx, REOPEN, Rows(&old))?;
    Ok(())
}

/// The first days of the stretches of a campaign that touch some days, are over and not closed. None ends later than the
/// database's clock says, whatever `now` is.
pub async fn to_close(tx: &mut Tx, campaign: &str, (from, to): (i64, i64), now: Instant) -> Result<Vec<i64>> {
    let closed: Vec<(i64,)> = query!(fetch_all, (i64,), tx, CLOSED, campaign)?;
    let (today,): (i64,) = query!(fetch_one, (i64,), tx, TODAY)?;
    let over = today.min(now.timestamp().div_euclid(24 * 3_600)) - QUIET;
    let mut open = Vec::new();
    let (mut first, mut next) = days(from);
    while first < to && next <= over {
        if !closed.contains(&(first,)) {
            open.push(first);
        }
        (first, next) = days(next);
    }
    Ok(open)
}

/// Closes the stretch of a campaign that begins on a day.
pub async fn close(tx: &mut Tx, campaign: &str, first: i64) -> Result<()> {
    query!(fetch_one, (String,), tx, HOLD)?;
    let rows = daily::stored(tx, campaign, days(first)).await?;
    let mut sums: HashMap<[&str; 7], (i64, i64)> = HashMap::new();
    for Row { key, count } in &rows {
        let parts = [&key.step, &key.arm, &key.channel, &key.locale, &key.domain, &key.fact, &key.reason];
        let sum = sums.entry(parts.map(String::as_str)).or_default();
        *sum = (sum.0 + count.n, sum.1 + count.amount);
    }
    let mut sums: Vec<_> = sums.into_iter().filter(|(_, sum)| *sum != (0, 0)).collect();
    sums.sort_unstable();
    let item = |([step, arm, channel, locale, domain, fact, reason], (n, amount)): ([&'_ str; 7], _)| {
        serde_json::json!([step, arm, channel, locale, domain, fact, reason, n, amount])
    };
    let counts = serde_json::Value::Array(sums.into_iter().map(item).collect()).to_string();
    execute!(tx, CLOSE, campaign, first, counts)?;
    Ok(())
}

/// The closed stretches of campaigns that lie within some days.
pub async fn read(tx: &mut Tx, campaigns: &[String], (from, to): (i64, i64)) -> Result<Vec<Closed>> {
    let found = query!(fetch_all, Closed, tx, READ, Texts(campaigns.to_vec()), from, to)?;
    Ok(found.into_iter().filter(|closed| closed.next() <= to).collect())
}
