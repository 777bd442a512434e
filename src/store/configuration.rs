//! What `campaigns apply` stored, the switches that people throw, and each campaign's cursor.

use std::collections::HashMap;

use super::{Result, StoreError, Tx, execute, query, statements};
use crate::domain::token::TokenKey;
use crate::domain::{Instant, instant};

statements! {
    SAVE = "INSERT INTO configurations (hash, document, applied_at) VALUES ($1, $2, $3) ON CONFLICT (hash) DO NOTHING";
    SET_CONTROL = "INSERT INTO controls (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    ADD_CONTROL = "INSERT INTO controls (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    CONTROL = "SELECT value FROM controls WHERE name = $1";
    DOCUMENT = "SELECT document FROM configurations WHERE hash = $1";
    ADD_CAMPAIGN = "INSERT INTO campaigns (name) VALUES ($1) ON CONFLICT (name) DO NOTHING";
    // A run ends with its experiment, and so does a choice.
    EXPERIMENT = "UPDATE campaigns SET run = CASE WHEN experiment IS NULL THEN run ELSE run + 1 END, experiment = $2, chosen = NULL \
        WHERE name = $1 AND (experiment IS NULL OR experiment <> $2)";
    AUDIENCE = "UPDATE campaigns SET audience = $2, audience_since = CASE WHEN audience IS NOT NULL THEN CAST($3 AS BIGINT) END \
        WHERE name = $1 AND (audience IS NULL OR audience <> $2)";
    CHOOSE = "UPDATE campaigns SET run = run + 1, chosen = $2 WHERE name = $1 AND (chosen IS NULL OR chosen <> $2)";
    ADD_RUN = "INSERT INTO runs (campaign, run, arms, started_at) SELECT name, run, $2, $3 FROM campaigns \
        WHERE name = $1 ON CONFLICT (campaign, run) DO NOTHING";
    BRAND_RUN = "SELECT run, arms FROM runs WHERE campaign = '' ORDER BY run DESC LIMIT 1";
    ADD_BRAND_RUN = "INSERT INTO runs (campaign, run, arms, started_at) VALUES ('', $1, $2, $3)";
    FIRST_LIVE = "UPDATE campaigns SET first_live_at = $2, seen_change = (SELECT value FROM counters WHERE name = 'change') \
        WHERE name = $1 AND first_live_at IS NULL";
    STATES = "SELECT name, first_live_at, paused, held, limit_a_day, approved_until, scanned_to, seen_change, backfilled FROM campaigns";
    PAUSE = "UPDATE campaigns SET paused = $2 WHERE name = $1";
    APPROVE = "UPDATE campaigns SET approved_until = $2, held = FALSE WHERE name = $1";
    NUMBER_POLICY = "UPDATE counters SET value = value + 1 WHERE name = 'policy'";
    POLICY = "SELECT value FROM counters WHERE name = 'policy'";
    CHANGE = "SELECT value FROM counters WHERE name = 'change'";
    MARK_SCANNING = "UPDATE campaigns SET scanning = $2 WHERE name = $1";
    // What is too late already will not go out, and does not count.
    END_SCANNING = "UPDATE campaigns SET scanning = CASE WHEN scanning = $2 THEN NULL ELSE scanning END, limit_a_day = $3, held = (approved_until IS NULL OR approved_until < $4) AND \
        ((SELECT COUNT(*) FROM pending WHERE dispatch_no IS NULL AND campaign = $1 AND next_at < $4 + 86400000 AND due_at > $5) > $3 OR \
        (SELECT COUNT(*) FROM pending WHERE dispatch_no IS NULL AND campaign = $1 AND due_at <= $4 AND due_at > $5) + (SELECT COUNT(*) FROM messages WHERE campaign = $1 \
        AND due_at > $4 - 604800000 AND queued_at > $4 - 86400000 AND state <> 'planned') > $3) WHERE name = $1 RETURNING held";
    MARK_BACKFILLED = "UPDATE campaigns SET backfilled = TRUE WHERE name = $1 AND NOT backfilled";
    MOVE_CURSOR = "UPDATE campaigns SET scanned_to = $2, seen_change = $3 \
        WHERE name = $1 AND COALESCE(scanned_to, -1) = $4 AND seen_change = $5";
}

/// What is known about a campaign beside its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CampaignState {
    /// When it was first applied as live; the default of `starts_at`.
    pub first_live_at: Option<Instant>,
    pub paused: bool,
    /// Above what a day may bring, waiting for approval.
    pub held: bool,
    /// What a day may bring, at its last scan: its ceiling, or less after a usual month.
    pub limit_a_day: Option<i64>,
    /// Until when its ceiling is lifted.
    pub approved_until: Option<Instant>,
    pub cursor: Cursor,
    /// Whether the occasions from before it began were taken up.
    pub backfilled: bool,
}

impl CampaignState {
    /// Why the campaign is held, for people.
    pub fn held_because(&self) -> String {
        match self.limit_a_day {
            Some(limit) => format!("it would send more than {limit} messages in a day"),
            None => "it would send too much in a day".to_owned(),
        }
    }
}

/// How far a campaign was scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub scanned_to: Option<Instant>,
    pub seen_change: i64,
}

/// A campaign of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    pub name: String,
    pub live: bool,
    /// What makes its experiment another one.
    pub experiment: String,
    /// The arms of that, as JSON: names and shares.
    pub arms: String,
    /// Its audience, in full.
    pub audience: String,
}

/// A variant is what all get from now on who are not held out: `arms`, as JSON, are those of the run that begins. False
/// where it was chosen before.
pub async fn choose(tx: &mut Tx, campaign: &str, variant: &str, arms: &str, now: Instant) -> Result<bool> {
    tx.policy_changes();
    let is_new = execute!(tx, CHOOSE, campaign, variant)? > 0;
    execute!(tx, ADD_RUN, campaign, arms, now.timestamp_millis())?;
    Ok(is_new)
}

/// Notes the arms of the brand's own holdout, as JSON: where they change, a run begins.
pub async fn divide_brand(tx: &mut Tx, arms: &str, now: Instant) -> Result<()> {
    let last: Option<(i64, String)> = query!(fetch_optional, (i64, String), tx, BRAND_RUN)?;
    let next = match last {
        Some((_, known)) if known == arms => return Ok(()),
        Some((run, _)) => run + 1,
        None => 1,
    };
    execute!(tx, ADD_BRAND_RUN, next, arms, now.timestamp_millis())?;
    Ok(())
}

/// Stores a configuration under its hash.
pub async fn store(tx: &mut Tx, hash: &str, document: &str, now: Instant) -> Result<()> {
    execute!(tx, SAVE, hash, document, now.timestamp_millis())?;
    Ok(())
}

/// Makes a stored configuration the current one, and notes the campaigns that it makes live.
pub async fn apply(tx: &mut Tx, hash: &str, campaigns: &[Applied], now: Instant) -> Result<()> {
    let at = now.timestamp_millis();
    tx.policy_changes();
    execute!(tx, SET_CONTROL, "configuration", hash)?;
    for Applied { name, live, experiment, arms, audience } in campaigns {
        execute!(tx, ADD_CAMPAIGN, name)?;
        execute!(tx, EXPERIMENT, name, experiment)?;
        execute!(tx, ADD_RUN, name, arms, at)?;
        execute!(tx, AUDIENCE, name, audience, at)?;
        if *live {
            execute!(tx, FIRST_LIVE, name, at)?;
        }
    }
    Ok(())
}

/// The hash of the current configuration, where there is one.
pub async fn current_hash(tx: &mut Tx) -> Result<Option<String>> {
    Ok(noted(tx, "configuration").await?.filter(|hash| !hash.is_empty()))
}

/// What stands under a name among the single facts.
pub async fn noted(tx: &mut Tx, name: &str) -> Result<Option<String>> {
    Ok(query!(fetch_optional, (String,), tx, CONTROL, name)?.map(|(value,)| value))
}

/// Writes a single fact.
pub async fn note(tx: &mut Tx, name: &str, value: &str) -> Result<()> {
    execute!(tx, SET_CONTROL, name, value)?;
    Ok(())
}

/// A stored configuration.
pub async fn document(tx: &mut Tx, hash: &str) -> Result<Option<String>> {
    Ok(query!(fetch_optional, (String,), tx, DOCUMENT, hash)?.map(|(document,)| document))
}

/// Why everything is silenced; `None` when it is not.
pub async fn paused_because(tx: &mut Tx) -> Result<Option<String>> {
    let value: Option<(String,)> = query!(fetch_optional, (String,), tx, CONTROL, "paused")?;
    Ok(value.map(|(value,)| value).filter(|value| !value.is_empty()))
}

/// Whether everything is silenced.
pub async fn all_paused(tx: &mut Tx) -> Result<bool> {
    Ok(paused_because(tx).await?.is_some())
}

/// Silences everything, for a reason, or lets it speak again.
pub async fn pause_all(tx: &mut Tx, because: Option<&str>) -> Result<()> {
    tx.policy_changes();
    execute!(tx, SET_CONTROL, "paused", because.unwrap_or_default())?;
    Ok(())
}

/// Pauses or resumes one campaign; false when there is none of that name.
pub async fn pause(tx: &mut Tx, campaign: &str, paused: bool) -> Result<bool> {
    tx.policy_changes();
    Ok(execute!(tx, PAUSE, campaign, paused)? > 0)
}

/// Lifts a campaign's ceiling until an instant; false when there is none of that name.
pub async fn approve(tx: &mut Tx, campaign: &str, until: Instant) -> Result<bool> {
    Ok(execute!(tx, APPROVE, campaign, until.timestamp_millis())? > 0)
}

/// The state of every campaign, by name.
pub async fn states(tx: &mut Tx) -> Result<HashMap<String, CampaignState>> {
    type Row = (String, Option<i64>, bool, bool, Option<i64>, Option<i64>, Option<i64>, i64, bool);
    let rows = query!(fetch_all, Row, tx, STATES)?;
    Ok(rows
        .into_iter()
        .map(|(name, first_live_at, paused, held, limit_a_day, approved_until, scanned_to, seen_change, backfilled)| {
            let cursor = Cursor { scanned_to: scanned_to.map(instant), seen_change };
            let state = CampaignState {
                first_live_at: first_live_at.map(instant),
                paused,
                held,
                limit_a_day,
                approved_until: approved_until.map(instant),
                cursor,
                backfilled,
            };
            (name, state)
        })
        .collect())
}

/// What policy asks about has changed once more.
pub(super) async fn number_policy(tx: &mut Tx) -> Result<()> {
    execute!(tx, NUMBER_POLICY)?;
    Ok(())
}

/// How often what policy asks about has changed: where the number is the same, so is its answer, but for the time.
pub async fn policy(tx: &mut Tx) -> Result<i64> {
    let (value,): (i64,) = query!(fetch_one, (i64,), tx, POLICY)?;
    Ok(value)
}

/// The number of the latest committed change of members and purchases.
pub async fn change(tx: &mut Tx) -> Result<i64> {
    let (value,): (i64,) = query!(fetch_one, (i64,), tx, CHANGE)?;
    Ok(value)
}

/// Says that `scan` is inserting messages of the campaign: nothing of it is dispatched until
/// [`end_scanning`], so that its ceiling can be judged on the whole. A scan that dies leaves the
/// mark to the next one.
pub async fn mark_scanning(tx: &mut Tx, campaign: &str, scan: &str) -> Result<()> {
    execute!(tx, MARK_SCANNING, campaign, scan)?;
    Ok(())
}

/// Ends what [`mark_scanning`] began (another scan's mark stays), and holds the campaign if what waits for the next day, or what
/// fell due and waits and what went out in the last day, are more than `limit` messages. What fell due
/// by `too_late` is not counted. Gives whether the campaign is held.
pub async fn end_scanning(
    tx: &mut Tx,
    campaign: &str,
    scan: &str,
    limit: i64,
    (too_late, now): (Instant, Instant),
) -> Result<bool> {
    let (now, too_late) = (now.timestamp_millis(), too_late.timestamp_millis());
    let held = query!(fetch_optional, (bool,), tx, END_SCANNING, campaign, scan, limit, now, too_late)?;
    let held = held.is_some_and(|(held,)| held);
    if held {
        tx.policy_changes();
    }
    Ok(held)
}

/// Notes that the occasions from before a campaign began are in the ledger; false when they were.
pub async fn mark_backfilled(tx: &mut Tx, campaign: &str) -> Result<bool> {
    Ok(execute!(tx, MARK_BACKFILLED, campaign)? > 0)
}

/// Moves a campaign's cursor, if nobody else did in the meantime.
pub async fn move_cursor(tx: &mut Tx, campaign: &str, from: Cursor, to: Cursor) -> Result<bool> {
    let old = from.scanned_to.map_or(-1, |at| at.timestamp_millis());
    let new = to.scanned_to.map(|at| at.timestamp_millis());
    Ok(execute!(tx, MOVE_CURSOR, campaign, new, to.seen_change, old, from.seen_change)? > 0)
}

/// Makes `fresh` the key under which this store's tokens are signed, unless there is one.
pub async fn keep_token_key(tx: &mut Tx, fresh: &TokenKey) -> Result<()> {
    execute!(tx, ADD_CONTROL, "token_key", fresh.to_hex())?;
    Ok(())
}

/// The key under which this store's tokens are signed.
pub async fn token_key(tx: &mut Tx) -> Result<TokenKey> {
    let (text,): (String,) = query!(fetch_one, (String,), tx, CONTROL, "token_key")?;
    let unknown = || StoreError::Unknown { table: "controls", column: "token_key", value: "…".to_owned() };
    TokenKey::from_hex(&text).ok_or_else(unknown)
}
