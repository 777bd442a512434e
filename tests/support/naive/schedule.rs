//! When a message may go: quiet hours and days of rest.

use chrono::{NaiveDate, NaiveTime};
use chrono_tz::Tz;

use super::World;
use super::brand::Rest;
use super::calendar::{dates_around, days, instants, local, local_midnight};

/// The moment at which quiet hours end that hold at an instant; the instant itself where none do.
pub fn after_quiet_hours(zone: Tz, at: i64, quiet_hours: Option<(NaiveTime, NaiveTime)>) -> i64 {
    let Some((start, end)) = quiet_hours else {
        return at;
    };
    let now = local(zone, at).time();
    let quiet = if start <= end { start <= now && now < end } else { start <= now || now < end };
    if !quiet {
        return at;
    }
    let dates = dates_around(zone, at);
    let ends = dates.iter().flat_map(|date| instants(zone, date.and_time(end)));
    ends.filter(|&shown| shown >= at).min().expect("a later date")
}

/// Whether a day is one of rest where an instant is local.
pub fn rest_at(world: &World, zone: Tz, at: i64) -> Rest {
    world.brand.rest_on(local(zone, at).date(), &world.occasions)
}

/// The first instant from `at` on that is neither in quiet hours nor on a day that defers.
pub fn first_open(world: &World, zone: Tz, at: i64) -> i64 {
    let mut open = at;
    loop {
        let from = open;
        open = after_quiet_hours(zone, open, world.brand.quiet_hours);
        if rest_at(world, zone, open) == Rest::Defer {
            open = next_day(zone, open);
        }
        if open == from {
            return open;
        }
    }
}

/// The first instant after `at` that shows a later date.
fn next_day(zone: Tz, at: i64) -> i64 {
    let today: NaiveDate = local(zone, at).date();
    let tomorrow = local_midnight(zone, today + days(1));
    assert!(tomorrow > at, "a day comes twice");
    tomorrow
}
