//! How much a campaign usually sends: one number a day, counted once when the day is over.

use super::{Result, Tx, execute, query, statements};
use crate::domain::Instant;

statements! {
    FIRST_DAY = "SELECT MIN(due_at) / 86400000 FROM messages WHERE campaign = $1";
    COUNTED = "SELECT MAX(day) FROM volumes WHERE campaign = $1";
    COUNT_DAY = "INSERT INTO volumes (campaign, day, messages) SELECT $1, CAST($2 AS BIGINT), COUNT(*) FROM messages \
        WHERE campaign = $1 AND due_at >= $2 * 86400000 AND due_at < ($2 + 1) * 86400000 AND queued_at IS NOT NULL \
        ON CONFLICT (campaign, day) DO NOTHING";
    LATELY = "SELECT COUNT(*) FROM messages WHERE campaign = $1 AND due_at > $2 AND queued_at IS NOT NULL";
    USUAL = "SELECT COUNT(*), CAST(COALESCE(SUM(messages), 0) AS BIGINT), CAST(COALESCE(SUM(CASE WHEN messages > 0 THEN 1 ELSE 0 END), 0) AS BIGINT) \
        FROM volumes WHERE campaign = $1 AND day >= $2";
}

/// How many messages fell due in the last two days and went to the queue.
pub async fn of_two_days(tx: &mut Tx, campaign: &str, now: Instant) -> Result<i64> {
    let now = now.timestamp_millis();
    let (count,): (i64,) = query!(fetch_one, (i64,), tx, LATELY, campaign, now - 2 * 86_400_000)?;
    Ok(count)
}

/// So many days back is what counts as usual.
const DAYS: i64 = 28;

/// With fewer days than this nobody knows what is usual.
const FEWEST: i64 = 7;

/// A day of which the last messages may still wait for the morning.
const SETTLING: i64 = 2;

/// What the campaign sends on a day on which it sends at all, over the last four weeks; `None` while
/// it is younger than a week.
pub async fn usual(tx: &mut Tx, campaign: &str, now: Instant) -> Result<Option<f64>> {
    let over = now.timestamp_millis().div_euclid(86_400_000) - SETTLING;
    let (counted,): (Option<i64>,) = query!(fetch_one, (Option<i64>,), tx, COUNTED, campaign)?;
    let from = match counted {
        Some(day) => day + 1,
        None => match query!(fetch_one, (Option<i64>,), tx, FIRST_DAY, campaign)? {
            (Some(first),) => first,
            (None,) => return Ok(None),
        },
    };
    for day in from.max(over - DAYS + 1)..=over {
        execute!(tx, COUNT_DAY, campaign, day)?;
    }
    type Row = (i64, i64, i64);
    let (days, messages, busy): Row = query!(fetch_one, Row, tx, USUAL, campaign, over - DAYS + 1)?;
    Ok((days >= FEWEST && busy > 0).then(|| messages as f64 / busy as f64))
}
