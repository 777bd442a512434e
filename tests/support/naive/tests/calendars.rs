//! Calendars, clocks, quiet hours and days of rest.

use chrono_tz::Tz;

use super::*;
use crate::support::naive::brand::{DaysOfYear, Rest};
use crate::support::naive::calendar::{Calendar, date, is_persian_leap, local_midnight, round_up};
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

#[test]
fn dates_of_both_calendars_are_read() {
    let read = |text: &str| date(text).map(|date| date.to_string()).unwrap_or_default();
    assert_eq!(read("2024-03-20"), "2024-03-20");
    assert_eq!(read("1403/01/01"), "2024-03-20");
    assert_eq!(read("۱۴۰۳/۰۱/۰۱"), "2024-03-20");
    assert_eq!(read("1404-12-30"), "");
    assert_eq!(read("soon"), "");
}

const OCCASIONS: &str = "occasions:
  - { name: nowruz, every_year: { calendar: persian, date: \"01-01\" } }
  - { name: leap, every_year: { calendar: persian, date: \"12-30\", leap_day: after }, blackout: true }
  - { name: second-sunday, every_year: { calendar: gregorian, month: 5, weekday: sunday, nth: 2 } }
  - { name: last-friday, every_year: { calendar: gregorian, month: 11, weekday: friday, nth: -1 } }
  - { name: fifth, every_year: { calendar: gregorian, month: 2, weekday: thursday, nth: 5 } }
  - { name: black, dates: [2026-06-26, 1403-01-02], blackout: true }
";

#[test]
fn named_days_are_the_known_ones() {
    let days = DaysOfYear::from_yaml([OCCASIONS]);
    let in_years = |name: &str, leap_after: Option<bool>| -> Vec<String> {
        let of_name = days.dates(name, leap_after).into_iter().map(|date| date.to_string());
        of_name.filter(|date| ("2024".."2026").contains(&&date[..4])).collect()
    };
    assert_eq!(in_years("nowruz", None), ["2024-03-20", "2025-03-21"]);
    // 1402 is a common year: the day after 29 Esfand is Nowruz. 1403 has a 30 Esfand.
    assert_eq!(in_years("leap", None), ["2024-03-20", "2025-03-20"]);
    assert_eq!(in_years("leap", Some(false)), ["2024-03-19", "2025-03-20"]);
    assert_eq!(in_years("second-sunday", None), ["2024-05-12", "2025-05-11"]);
    assert_eq!(in_years("last-friday", None), ["2024-11-29", "2025-11-28"]);
    assert_eq!(in_years("fifth", None), ["2024-02-29"]);
    assert_eq!(in_years("black", None), ["2024-03-21"]);
}

#[test]
fn the_stricter_rest_wins() {
    let days = DaysOfYear::from_yaml([OCCASIONS]);
    let rest = |more: &str, date: NaiveDate| brand(more).rest_on(date, &days);
    let (weekend, black_friday, monday) = (day(2026, 6, 27), day(2026, 6, 26), day(2026, 6, 29));
    assert_eq!(rest("", weekend), Rest::Send);
    assert_eq!(rest("", black_friday), Rest::Defer);
    assert_eq!(rest("rest: { weekends: skip }", weekend), Rest::Skip);
    assert_eq!(rest("rest: { weekends: skip }", black_friday), Rest::Defer);
    assert_eq!(rest("weekend: [friday], rest: { weekends: skip }", black_friday), Rest::Skip);
    assert_eq!(rest("weekend: [friday], rest: { weekends: defer, blackouts: skip }", black_friday), Rest::Skip);
    assert_eq!(rest("weekend: [friday], rest: { weekends: defer }", weekend), Rest::Send);
    assert_eq!(rest("rest: { weekends: skip, blackouts: skip }", monday), Rest::Send);
    let weekend_of = |locale: &str| Brand::from_yaml(&format!("{{ timezone: UTC, locale: {locale} }}")).weekend;
    assert_eq!(weekend_of("fa-IR"), [chrono::Weekday::Fri]);
    assert_eq!(weekend_of("ar"), [chrono::Weekday::Fri, chrono::Weekday::Sat]);
    assert_eq!(weekend_of("de"), [chrono::Weekday::Sat, chrono::Weekday::Sun]);
}

#[test]
fn what_rests_waits_for_an_open_hour() {
    let open = |more: &str, zone: Tz, at: &str| {
        let mut world = World::new(brand(more), shop("", ""), Vec::new());
        world.occasions = DaysOfYear::from_yaml([OCCASIONS]);
        utc(first_open(&world, zone, instant(at)))
    };
    // 27 and 28 June 2026 are a weekend, and the 26th is black.
    let weekends = "rest: { weekends: defer }";
    assert_eq!(open(weekends, Tz::UTC, "2026-06-26T00:00:00Z"), "2026-06-29T00:00");
    assert_eq!(open(weekends, Tz::UTC, "2026-06-25T23:59:00Z"), "2026-06-25T23:59");
    assert_eq!(open("", Tz::UTC, "2026-06-26T23:59:00Z"), "2026-06-27T00:00");
    let quiet = "quiet_hours: \"21:00-08:00\", rest: { weekends: defer }";
    assert_eq!(open(quiet, Tz::UTC, "2026-06-25T21:00:00Z"), "2026-06-29T08:00");
    assert_eq!(open(quiet, Tz::UTC, "2026-06-25T20:59:00Z"), "2026-06-25T20:59");
    assert_eq!(open(quiet, Tz::UTC, "2026-06-28T22:00:00Z"), "2026-06-29T08:00");
    // A skip day is no reason to wait: policy skips there.
    let skipped = "quiet_hours: \"21:00-08:00\", rest: { weekends: skip }";
    assert_eq!(open(skipped, Tz::UTC, "2026-06-26T12:00:00Z"), "2026-06-27T08:00");
    let tehran = chrono_tz::Asia::Tehran;
    assert_eq!(open("", tehran, "2026-06-25T20:29:00Z"), "2026-06-25T20:29");
    assert_eq!(open("", tehran, "2026-06-25T20:30:00Z"), "2026-06-26T20:30");
}
