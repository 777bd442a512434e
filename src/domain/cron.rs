//! Five-field cron expressions in the brand's zone: minute, hour, day of month, month, day of week.

use std::str::FromStr;

use chrono::{Duration, TimeZone, Utc};
use chrono_tz::Tz;

use super::Instant;
use super::calendar::local_instant;

/// A checked expression. Weekdays are written by name (`MON-FRI`), since numbers mean different
/// days to different tools.
#[derive(Debug, Clone)]
pub struct Cron {
    text: String,
    schedule: ::cron::Schedule,
    /// It fires in every hour.
    hourly: bool,
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Cron {
    /// Reads five fields.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let example = "write five fields: minute, hour, day of month, month, weekday, like \"*/15 * * * *\"";
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(format!("`{text}` has {} fields; {example}", fields.len()));
        };
        if weekday.chars().any(|c| c.is_ascii_digit()) {
            return Err(format!("`{text}` names a weekday by number; write its name, such as MON or SAT-WED"));
        }
        if day != "*" && weekday != "*" {
            return Err(format!("`{text}` restricts both the day of month and the weekday; restrict one of them"));
        }
        let schedule = ::cron::Schedule::from_str(&format!("0 {minute} {hour} {day} {month} {weekday}"))
            .map_err(|_| format!("`{text}` is not a cron expression; {example}"))?;
        Ok(Self { text: text.to_owned(), schedule, hourly: hour == "*" })
    }

    /// The first firing after `after`. Local times inside a gap fire at its end. A time that comes
    /// twice fires once where the expression names hours, and both times where it fires in every one:
    /// `*/15 * * * *` goes on every quarter of an hour.
    pub fn next(&self, after: Instant, zone: Tz) -> Option<Instant> {
        // The schedule is walked in local time, as if it were UTC; the zone's rules are ours.
        let local = after.with_timezone(&zone).naive_local() - Duration::hours(25);
        let mut firings = self.schedule.after(&local.and_utc()).map(|at| at.naive_utc());
        if self.hourly {
            // The second showings of a repeated hour come after first showings of later times, but
            // no clock goes back by more than a few hours.
            let again = |at| zone.from_local_datetime(&at).latest().map(|at| at.with_timezone(&Utc));
            let mut best: Option<Instant> = None;
            for at in firings {
                let first = local_instant(zone, at);
                let showings = [Some(first), again(at)];
                best = showings.into_iter().flatten().filter(|at| *at > after).chain(best).min();
                if first > after + Duration::hours(4) {
                    break;
                }
            }
            return best;
        }
        firings.find_map(|at| Some(local_instant(zone, at)).filter(|at| *at > after))
    }
}

impl std::fmt::Display for Cron {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firings_follow_the_zone() {
        let check = |text: &str, zone: &str, after: &str, expected: &str| {
            let next = Cron::parse(text).unwrap().next(after.parse().unwrap(), zone.parse().unwrap());
            assert_eq!(next, Some(expected.parse().unwrap()), "{text} {zone} {after}");
        };
        check("*/15 * * * *", "Asia/Tehran", "2026-01-01T00:00:00Z", "2026-01-01T00:15:00Z");
        check("0 9 * * *", "Asia/Tehran", "2026-01-01T05:30:00Z", "2026-01-02T05:30:00Z");
        check("0 9 * * SAT", "Asia/Tehran", "2026-01-01T00:00:00Z", "2026-01-03T05:30:00Z");
        check("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z");
        check("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z");
        // An hour that comes twice, and one that does not come.
        check("*/15 * * * *", "Europe/Berlin", "2026-10-25T00:45:00Z", "2026-10-25T01:00:00Z");
        check("*/15 * * * *", "Europe/Berlin", "2026-10-25T01:00:00Z", "2026-10-25T01:15:00Z");
        check("*/15 * * * *", "Europe/Berlin", "2026-10-25T01:45:00Z", "2026-10-25T02:00:00Z");
        check("*/15 * * * *", "Europe/Berlin", "2026-03-29T00:45:00Z", "2026-03-29T01:00:00Z");
        check("0 * * * *", "Australia/Lord_Howe", "2026-04-04T14:00:00Z", "2026-04-04T15:30:00Z");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in ["", "* * * *", "* * * * * *", "61 * * * *", "0 9 * * 1", "0 9 1 * MON", "@daily"] {
            assert!(Cron::parse(text).is_err(), "{text}");
        }
    }
}
