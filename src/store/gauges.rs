//! What the store says about the work at hand, for metrics: each number from a few rows.

use super::{Result, Texts, Tx, query, statements};
use crate::domain::{Instant, instant};

statements! {
    // Of very many that are ready, the first ones tell enough.
    READY = "SELECT COUNT(*), MIN(p.next_at) FROM (SELECT next_at, campaign FROM pending WHERE dispatch_no IS NULL AND NOT parked AND next_at <= $1 \
        ORDER BY next_at LIMIT $2) p WHERE NOT (p.campaign {in $3}) \
        AND NOT EXISTS (SELECT 1 FROM campaigns c WHERE c.name = p.campaign AND (c.paused OR c.held))";
    UNDER_WAY = "SELECT COUNT(*), COUNT(claim) FROM pending WHERE dispatch_no IS NOT NULL";
    HELD = "SELECT COUNT(*) FROM campaigns WHERE held";
    UNCERTAIN = "SELECT COUNT(DISTINCT m.id) FROM attempts a JOIN messages m ON m.id = a.message_id \
        WHERE a.uncertain AND m.state = 'uncertain'";
}

/// How many ready messages are counted at most.
pub const MOST_READY: i64 = 20_000;

/// The work at hand, at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gauges {
    /// Planned messages whose time has come, up to [`MOST_READY`], without those of silent campaigns.
    pub ready: i64,
    /// When the first of them was ready.
    pub oldest_ready: Option<Instant>,
    /// Dispatched, and with no sender yet.
    pub queued: i64,
    /// With a sender.
    pub in_flight: i64,
    /// Campaigns above their ceiling.
    pub held: i64,
    /// Messages that were handed over and whose answer was lost.
    pub uncertain: i64,
}

/// Reads them; `silent` are the campaigns whose messages wait by configuration.
pub async fn read(tx: &mut Tx, now: Instant, silent: &[String]) -> Result<Gauges> {
    let silent = Texts(silent.to_vec());
    let (ready, oldest): (i64, Option<i64>) =
        query!(fetch_one, (i64, Option<i64>), tx, READY, now.timestamp_millis(), MOST_READY, silent)?;
    let (under_way, in_flight): (i64, i64) = query!(fetch_one, (i64, i64), tx, UNDER_WAY)?;
    let (held,): (i64,) = query!(fetch_one, (i64,), tx, HELD)?;
    let (uncertain,): (i64,) = query!(fetch_one, (i64,), tx, UNCERTAIN)?;
    let (queued, oldest_ready) = (under_way - in_flight, oldest.map(instant));
    Ok(Gauges { ready, oldest_ready, queued, in_flight, held, uncertain })
}
