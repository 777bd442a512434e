//! Occasions: the seam every trigger implements, and when the messages of an occasion are due.

use std::fmt::Debug;
use std::sync::Arc;

use chrono::{Duration, NaiveTime};
use chrono_tz::Tz;

use super::Instant;
use super::brand::Brand;
use super::calendar::next_local_time;
use super::history::History;
use super::lifetime::Lifetimes;
use super::member::Member;
use super::purchase::Purchase;

/// One arising of a trigger for one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occasion {
    /// Unique for the campaign and member: the year, the order, the ordinal.
    pub key: String,
    /// The instant it counts from; `delay` and `send_at` come on top.
    pub base: Instant,
    /// Which return it is, for anniversaries.
    pub years: Option<i64>,
}

/// A row that a trigger's SQL found: a member and, where the trigger rests on one, an order.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    pub member: Member,
    pub order: Option<Purchase>,
    /// What stands behind the order, where it is valid.
    pub history: Option<History>,
    /// Which valid order of the member it is, from 1; 0 where the trigger does not count.
    pub ordinal: i64,
}

/// Which rows a trigger's SQL looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Those whose base instant may lie in (after, until]: a superset is fine, the exact instant is
    /// computed from the row.
    Base { after: Instant, until: Instant },
    /// Those of members that changed in (after, until] (change numbers, not times).
    Changed { after: i64, until: i64 },
    /// Those of one member.
    Member(i64),
}

/// A value for a placeholder of a trigger's SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    Integer(i64),
    Text(String),
}

/// A SELECT of `member_id`, `purchase_id` (0 for none) and `ordinal`. Its first placeholder is
/// `$4`: the store pages through it by (member_id, purchase_id) with the first three.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub sql: String,
    pub binds: Vec<Bind>,
}

/// What sets a trigger's occasions apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Features {
    /// It recurs every year, so that two greetings within 180 days are one too many.
    pub is_yearly: bool,
    /// Everybody has the occasion at about the same time: it can be spread, has nothing to catch up with, and leaves
    /// no row for whom it is not meant.
    pub is_for_everybody: bool,
    /// Any purchase after the occasion's order (or any at all, where it has none) ends it: the member came back.
    pub ends_with_any_purchase: bool,
    /// Within which time orders are one occasion.
    pub collapse: Option<Duration>,
    /// It rests on the fitted model of all customers, given to [`Trigger::with_lifetimes`].
    pub needs_lifetimes: bool,
}

/// The rule that says for whom an occasion arises and when. A trigger is pure: it says which SQL
/// finds its candidates, and computes their occasions exactly.
pub trait Trigger: Debug + Send + Sync {
    /// The word in `trigger: { kind: … }`.
    fn kind(&self) -> &'static str;

    /// What its occasions count from, in words for people, with the member's own date where there is one.
    fn counts_from(&self, member: &Member) -> String;

    /// The SQL for the rows; `None` where none can be.
    fn query(&self, rows: Rows, brand: &Brand) -> Option<Query>;

    /// The candidate's occasions whose base instant lies in (after, until].
    fn occasions(&self, candidate: &Candidate, after: Instant, until: Instant, brand: &Brand) -> Vec<Occasion>;

    /// What sets its occasions apart from those of other triggers.
    fn features(&self) -> Features {
        Features::default()
    }

    /// The same trigger, where orders that follow each other within `span` are one occasion; `None`
    /// where that has no meaning.
    fn collapsed(&self, _span: Duration) -> Option<Arc<dyn Trigger>> {
        None
    }

    /// The same trigger resting on the model; without this it stands as where none was fitted.
    fn with_lifetimes(&self, _: Lifetimes) -> Option<Arc<dyn Trigger>> {
        None
    }
}

/// When each step of an occasion is due: from `begins`, base + delay, each `after` counted from the step
/// before, each moved to the next `send_at` of the member's clock where there is one. The first is
/// moved by `spread` in the end.
pub fn due_instants(
    begins: Instant,
    afters: impl IntoIterator<Item = Duration>,
    send_at: Option<NaiveTime>,
    zone: Tz,
    spread: Duration,
) -> Vec<Instant> {
    let shift = |at: Instant| send_at.map_or(at, |time| next_local_time(zone, at, time));
    let mut due = begins;
    let mut all = Vec::new();
    for after in afters {
        due = shift(due + after);
        if all.is_empty() {
            due += spread;
        }
        all.push(due);
    }
    all
}

/// The longest that one `send_at` can move an instant: a day, and the day that Samoa skipped.
pub const LONGEST_SHIFT: Duration = Duration::hours(49);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_count_from_the_step_before() {
        let check = |zone: &str, base: &str, delay: i64, afters: &[i64], send_at: Option<&str>, expected: &[&str]| {
            let due = due_instants(
                base.parse::<Instant>().unwrap() + Duration::hours(delay),
                afters.iter().map(|days| Duration::days(*days)),
                send_at.map(|time| super::super::calendar::parse_time(time).unwrap()),
                zone.parse().unwrap(),
                Duration::zero(),
            );
            let expected: Vec<Instant> = expected.iter().map(|at| at.parse().unwrap()).collect();
            assert_eq!(due, expected);
        };
        check("UTC", "2026-01-01T10:00:00Z", 0, &[0], None, &["2026-01-01T10:00:00Z"]);
        check("UTC", "2026-01-01T10:00:00Z", 2, &[0, 3], None, &["2026-01-01T12:00:00Z", "2026-01-04T12:00:00Z"]);
        check(
            "UTC",
            "2026-01-01T10:00:00Z",
            0,
            &[0, 3],
            Some("09:00"),
            &["2026-01-02T09:00:00Z", "2026-01-05T09:00:00Z"],
        );
        // Over the spring change a day of 24 hours ends at 10:00 local, so 09:00 is the next day's.
        check(
            "Europe/Berlin",
            "2026-03-28T08:00:00Z",
            0,
            &[0, 1],
            Some("09:00"),
            &["2026-03-28T08:00:00Z", "2026-03-30T07:00:00Z"],
        );
    }
}
