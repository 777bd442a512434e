//! Calendars, clocks, quiet hours and days of rest.

use chrono_tz::Tz;

use super::*;
use crate::support::naive::brand::{DaysOfYear, Rest};
use crate::support::naive::calendar::{Calendar, is_persian_leap, local_midnight, round_up};
use crate::support::naive::schedule::{after_quiet_hours, first_open};

#[test]
fn persian_dates_are_the_known_ones() {
    for (persian, gregorian) in [
        ((1403, 1, 1), day(2024, 3, 20)),
        ((1403, 12, 30), day(2025, 3, 20)),
        ((1404, 1, 1), day(2025, 3, 21)),
        ((1399, 12, 30), day(2021, 3, 20)),
        ((1357, 11, 22), day(1979, 2, 11)),
        ((1376, 3, 2), day(1997, 5, 23)),
        ((1300, 1, 1), day(1921, 3, 21)),
        ((1402, 7, 1), day(2023, 9, 23)),
    ] {
        let (year, month, day) = persian;
        assert_eq!(Calendar::Persian.date(year, month, day), Some(gregorian));
        assert_eq!(Calendar::Persian.fields(gregorian), persian);
    }
    let leap: Vec<i32> = (1390..=1424).filter(|&year| is_persian_leap(year)).collect();
    assert_eq!(leap, [1391, 1395, 1399, 1403, 1408, 1412, 1416, 1420, 1424]);
    assert_eq!(Calendar::Persian.date(1404, 12, 30), None);
    assert_eq!(Calendar::Persian.date(1404, 7, 31), None);
    assert_eq!(Calendar::Persian.date(1499, 1, 1), None);
    for date in day(1830, 1, 1).iter_days().take(100_000).step_by(97) {
        let (year, month, day) = Calendar::Persian.fields(date);
        assert_eq!(Calendar::Persian.date(year, month, day), Some(date));
    }
}

#[test]
fn each_local_date_has_one_instant_of_a_time() {
    let next = |zone: Tz, from: &str, time: &str| utc(round_up(zone, instant(from), clock(time)));
    let york = chrono_tz::America::New_York;
    assert_eq!(next(york, "2024-03-10T05:00:00Z", "02:30"), "2024-03-10T07:00");
    assert_eq!(next(york, "2024-03-10T07:00:00Z", "02:30"), "2024-03-10T07:00");
    assert_eq!(next(york, "2024-03-10T07:01:00Z", "02:30"), "2024-03-11T06:30");
    assert_eq!(next(york, "2024-11-03T05:00:00Z", "01:30"), "2024-11-03T05:30");
    assert_eq!(next(york, "2024-11-03T05:31:00Z", "01:30"), "2024-11-04T06:30");
    let tehran = chrono_tz::Asia::Tehran;
    assert_eq!(utc(local_midnight(tehran, day(2022, 3, 22))), "2022-03-21T20:30");
    let apia = chrono_tz::Pacific::Apia; // had no 30 December 2011
    assert_eq!(utc(local_midnight(apia, day(2011, 12, 30))), "2011-12-30T10:00");
    assert_eq!(next(apia, "2011-12-30T09:00:00Z", "09:00"), "2011-12-30T19:00");
}

#[test]
fn quiet_hours_end_when_the_clock_shows_their_end() {
    let wait = |zone: Tz, due: &str, start: &str, end: &str| {
        utc(after_quiet_hours(zone, instant(due), Some((clock(start), clock(end)))))
    };
    assert_eq!(wait(Tz::UTC, "2024-01-01T20:59:00Z", "21:00", "08:00"), "2024-01-01T20:59");
    assert_eq!(wait(Tz::UTC, "2024-01-01T21:00:00Z", "21:00", "08:00"), "2024-01-02T08:00");
    assert_eq!(wait(Tz::UTC, "2024-01-01T07:59:00Z", "21:00", "08:00"), "2024-01-01T08:00");
    assert_eq!(wait(Tz::UTC, "2024-01-01T08:00:00Z", "21:00", "08:00"), "2024-01-01T08:00");
    assert_eq!(wait(Tz::UTC, "2024-01-01T12:30:00Z", "12:00", "13:00"), "2024-01-01T13:00");
    let york = chrono_tz::America::New_York;
    assert_eq!(wait(york, "2024-03-10T05:00:00Z", "21:00", "02:30"), "2024-03-10T07:00");
    assert_eq!(wait(york, "2024-11-03T05:10:00Z", "21:00", "01:30"), "2024-11-03T05:30");
    assert_eq!(wait(york, "2024-11-03T06:10:00Z", "21:00", "01:30"), "2024-11-03T06:30");
}
