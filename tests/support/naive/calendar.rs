//! Both calendars, and what the clocks of the zones show.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone};
use chrono_tz::Tz;

use super::HOUR;

/// The calendar in which a member's yearly occasions recur.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calendar {
    Gregorian,
    Persian,
}

impl Calendar {
    pub fn read(name: &str) -> Calendar {
        match name {
            "gregorian" => Calendar::Gregorian,
            "persian" => Calendar::Persian,
            other => panic!("calendar {other}"),
        }
    }

    /// The date of a year, month and day of this calendar, if it exists.
    pub fn date(self, year: i32, month: u32, day: u32) -> Option<NaiveDate> {
        match self {
            Calendar::Gregorian => NaiveDate::from_ymd_opt(year, month, day),
            Calendar::Persian => {
                let days_before_month = match month {
                    1..=6 => 31 * (month - 1),
                    7..=12 => 6 * 31 + 30 * (month - 7),
                    _ => return None,
                };
                let exists = (1206..=1498).contains(&year) && (1..=persian_month_length(year, month)).contains(&day);
                exists.then(|| persian_new_year(year) + days(days_before_month + day - 1))
            }
        }
    }

    /// The year, month and day of a date in this calendar.
    pub fn fields(self, date: NaiveDate) -> (i32, u32, u32) {
        match self {
            Calendar::Gregorian => (date.year(), date.month(), date.day()),
            Calendar::Persian => {
                let mut year = date.year() - 621;
                if persian_new_year(year) > date {
                    year -= 1;
                }
                let mut month = 1;
                let mut first_of_month = persian_new_year(year);
                while first_of_month + days(persian_month_length(year, month)) <= date {
                    first_of_month = first_of_month + days(persian_month_length(year, month));
                    month += 1;
                }
                (year, month, (date - first_of_month).num_days() as u32 + 1)
            }
        }
    }

    /// The day of a year on which a month and day are celebrated: a leap day that the year does not
    /// have, on the day before or after.
    pub fn celebrated(self, year: i32, month: u32, day: u32, leap_after: bool) -> Option<NaiveDate> {
        self.date(year, month, day).or_else(|| {
            let eve = self.date(year, month, day - 1)?;
            Some(if leap_after { eve + days(1) } else { eve })
        })
    }
}

pub fn days(count: u32) -> Days {
    Days::new(u64::from(count))
}

pub fn is_persian_leap(year: i32) -> bool {
    (25 * year + 11).rem_euclid(33) < 8
}

fn persian_month_length(year: i32, month: u32) -> u32 {
    match month {
        1..=6 => 31,
        7..=11 => 30,
        _ if is_persian_leap(year) => 30,
        _ => 29,
    }
}

/// 1 Farvardin, counted year by year from that of 1403.
fn persian_new_year(year: i32) -> NaiveDate {
    let length = |year: i32| if is_persian_leap(year) { 366 } else { 365 };
    let known = NaiveDate::from_ymd_opt(2024, 3, 20).expect("a date");
    if year >= 1403 {
        (1403..year).fold(known, |date, passed| date + days(length(passed)))
    } else {
        (year..1403).fold(known, |date, passed| date - days(length(passed)))
    }
}

/// A date of either calendar, if the text is one: a year from 1200 to 1499 is Persian.
pub fn date(text: &str) -> Option<NaiveDate> {
    let parts: Result<Vec<u32>, _> = latin(text).replace('/', "-").split('-').map(str::parse).collect();
    let &[year, month, day] = parts.ok()?.as_slice() else {
        return None;
    };
    let persian = (1200..=1499).contains(&year);
    let calendar = if persian { Calendar::Persian } else { Calendar::Gregorian };
    calendar.date(year as i32, month, day)
}

/// Persian and Arabic digits as Latin ones.
fn latin(text: &str) -> String {
    let digit = |c: char| match c {
        '۰'..='۹' => char::from_digit(c as u32 - '۰' as u32, 10),
        '٠'..='٩' => char::from_digit(c as u32 - '٠' as u32, 10),
        _ => None,
    };
    text.chars().map(|c| digit(c).unwrap_or(c)).collect()
}

/// A birth date as written: with its year, or only a month and day of the member's calendar.
#[derive(PartialEq)]
pub enum Birth {
    Full(NaiveDate),
    Yearless(u32, u32),
}

impl Birth {
    pub fn read(text: &str) -> Birth {
        match text.strip_prefix("--") {
            Some(rest) => {
                let (month, day) = month_and_day(rest);
                Birth::Yearless(month, day)
            }
            None => Birth::Full(date(text).unwrap_or_else(|| panic!("no such date: {text}"))),
        }
    }
}

/// `MM-DD`, or with a slash.
pub fn month_and_day(text: &str) -> (u32, u32) {
    let number = |part: &str| part.parse().unwrap_or_else(|_| panic!("not a month and day: {text}"));
    let dashed = text.replace('/', "-");
    let (month, day) = dashed.split_once('-').unwrap_or_else(|| panic!("not a month and day: {text}"));
    (number(month), number(day))
}

/// An instant; or a local date and time, or a date (its midnight), in a zone named elsewhere.
#[derive(Clone, Copy)]
pub enum Moment {
    Instant(i64),
    Local(NaiveDateTime),
    Date(NaiveDate),
}

impl Moment {
    pub fn read(text: String) -> Moment {
        let text = text.replacen(' ', "T", 1);
        if let Ok(time) = DateTime::parse_from_rfc3339(&text) {
            return Moment::Instant(time.timestamp_millis());
        }
        if let Some(date) = date(&text) {
            return Moment::Date(date);
        }
        let complete = if text.len() == 16 { text + ":00" } else { text };
        Moment::Local(complete.parse().expect("an instant, or a local date and time"))
    }

    pub fn in_zone(self, zone: Tz) -> i64 {
        match self {
            Moment::Instant(at) => at,
            Moment::Local(local) => first_instant(zone, local),
            Moment::Date(date) => local_midnight(zone, date),
        }
    }
}

/// What the clock of a zone shows at an instant.
pub fn local(zone: Tz, at: i64) -> NaiveDateTime {
    let utc = DateTime::from_timestamp_millis(at).expect("an instant").naive_utc();
    utc + zone.offset_from_utc_datetime(&utc).fix()
}

/// Every instant at which the clock of a zone shows `wanted`: one or two, in order. Inside a gap
/// it is the first instant after the gap.
pub fn instants(zone: Tz, wanted: NaiveDateTime) -> Vec<i64> {
    let as_if_utc = wanted.and_utc().timestamp_millis();
    let offset_at = |at: i64| local(zone, at).and_utc().timestamp_millis() - at;
    let (before, after) = (as_if_utc - 26 * HOUR, as_if_utc + 26 * HOUR);
    let mut found = vec![as_if_utc - offset_at(before), as_if_utc - offset_at(after)];
    found.retain(|&at| local(zone, at) == wanted);
    found.sort_unstable();
    found.dedup();
    if found.is_empty() {
        let (mut too_early, mut late_enough) = (before, after);
        while late_enough - too_early > 1 {
            let middle = (too_early + late_enough) / 2;
            if local(zone, middle) < wanted {
                too_early = middle;
            } else {
                late_enough = middle;
            }
        }
        found.push(late_enough);
    }
    found
}

pub fn first_instant(zone: Tz, wanted: NaiveDateTime) -> i64 {
    instants(zone, wanted)[0]
}

pub fn local_midnight(zone: Tz, date: NaiveDate) -> i64 {
    first_instant(zone, date.and_time(NaiveTime::MIN))
}

/// The local dates around an instant: from the day before to the third day after, without those
/// that the zone skipped altogether.
pub fn dates_around(zone: Tz, at: i64) -> Vec<NaiveDate> {
    let yesterday = local(zone, at).date() - days(1);
    let mut dates: Vec<NaiveDate> = yesterday.iter_days().take(5).collect();
    dates.retain(|&date| local(zone, local_midnight(zone, date)).date() == date);
    dates
}

/// The earliest instant from `at` on that is some local date's one instant of `time`.
pub fn round_up(zone: Tz, at: i64, time: NaiveTime) -> i64 {
    let of_each_date = dates_around(zone, at);
    let of_each_date = of_each_date.iter().map(|date| first_instant(zone, date.and_time(time)));
    of_each_date.filter(|&shown| shown >= at).min().expect("a later date")
}
