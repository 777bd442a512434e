//! What keeps a campaign in bounds: how late, how many, who goes first.

use chrono::Duration;

use super::super::duration;
use super::super::policy::Late;
use crate::document::Value;

/// Messages a day above which a campaign waits for `campaigns approve`, unless it says otherwise.
pub const DEFAULT_CEILING: i64 = 20_000;

/// How many times its usual messages a day a campaign may send, unless it says otherwise.
const DEFAULT_SURGE: i64 = 10;

/// So many messages a day are never a surge.
const NO_SURGE: i64 = 100;

/// What keeps a campaign in bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Whether the frequency cap holds for its messages, and counts them.
    pub counts_for_cap: bool,
    pub late: Late,
    /// Messages a day above which the campaign waits for approval.
    pub ceiling: i64,
    /// More than so many times what it usually sends in a day waits as well.
    pub surge: Option<i64>,
    /// Higher goes first where the frequency cap leaves room for one.
    pub priority: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            counts_for_cap: true,
            late: Late::SendWithin(Duration::hours(24)),
            ceiling: DEFAULT_CEILING,
            surge: Some(DEFAULT_SURGE),
            priority: 0,
        }
    }
}

impl Limits {
    /// The most messages a day, for a campaign that `usually` sends so many, if that is known.
    pub fn a_day(&self, usually: Option<f64>) -> i64 {
        match (self.surge, usually) {
            (Some(times), Some(usually)) => self.ceiling.min(NO_SURGE.max((times as f64 * usually).ceil() as i64)),
            _ => self.ceiling,
        }
    }
}

pub(super) fn decode(value: Value<'_>) -> Option<Limits> {
    let mut table = value.table()?;
    let usual = Limits::default();
    let counts = table
        .get_or("frequency_cap", usual.counts_for_cap, |value| value.one_of(&[("counts", true), ("exempt", false)]));
    let late = table.get_or("late", usual.late, decode_late);
    let ceiling = table.get_or("ceiling", usual.ceiling, |value| value.integer_in(1..=1_000_000_000));
    let surge = table.get_or("surge", usual.surge, |value| {
        if value.text().as_deref() == Some("none") { Some(None) } else { value.integer_in(2..=1000).map(Some) }
    });
    let priority = table.get_or("priority", usual.priority, |value| value.integer_in(-1000..=1000));
    table.not_yet(&["budget"]);
    table.finish();
    Some(Limits { counts_for_cap: counts?, late: late?, ceiling: ceiling?, surge: surge?, priority: priority? })
}

fn decode_late(value: Value<'_>) -> Option<Late> {
    if !value.is_table() {
        return value.one_of(&[("always", Late::Always), ("skip", Late::SendWithin(Duration::hours(1)))]);
    }
    let mut table = value.table()?;
    let within = table.require("send_within").and_then(|value| value.parse(duration::parse));
    table.finish();
    Some(Late::SendWithin(within?))
}
