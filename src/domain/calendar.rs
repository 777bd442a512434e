//! Local time and yearly dates: zones with their daylight-saving changes, the Gregorian and the
//! Persian calendar, leap days, quiet hours. Rules: "When each trigger fires" in docs/rules.md.

use chrono::{Datelike, Duration, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;
use icu_calendar::cal::Persian;
use icu_calendar::{Date, Iso};

use super::Instant;
use super::words::words;

words! {
    /// The calendar in which a member's yearly occasions recur.
    Calendar { Gregorian = "gregorian", Persian = "persian" }
}

words! {
    /// Where a leap day (29 February, 30 Esfand) is celebrated in a common year.
    LeapDay {
        /// 28 February, 29 Esfand.
        Before = "before",
        /// 1 March, 1 Farvardin.
        After = "after",
    }
}

/// A month and day of some calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MonthDay {
    pub month: u8,
    pub day: u8,
}

impl MonthDay {
    /// As one comparable number: month × 100 + day.
    pub const fn number(self) -> i64 {
        self.month as i64 * 100 + self.day as i64
    }
}

/// The year, month and day of a date in a calendar.
pub fn in_calendar(date: NaiveDate, calendar: Calendar) -> (i32, MonthDay) {
    match calendar {
        Calendar::Gregorian => (date.year(), MonthDay { month: date.month() as u8, day: date.day() as u8 }),
        Calendar::Persian => {
            let Ok(iso) = Date::try_new_iso(date.year(), date.month() as u8, date.day() as u8) else {
                // icu covers ±9999 years; dates beyond are refused at import.
                return (date.year(), MonthDay { month: 1, day: 1 });
            };
            let persian = iso.to_calendar(Persian);
            (
                persian.year().extended_year(),
                MonthDay { month: persian.month().number(), day: persian.day_of_month().0 },
            )
        }
    }
}

/// The date of year, month and day in a calendar, if that day exists.
pub fn from_calendar(year: i32, at: MonthDay, calendar: Calendar) -> Option<NaiveDate> {
    match calendar {
        Calendar::Gregorian => NaiveDate::from_ymd_opt(year, at.month.into(), at.day.into()),
        Calendar::Persian => {
            let persian = Date::try_new_persian(year, at.month, at.day).ok()?;
            let iso = persian.to_calendar(Iso);
            NaiveDate::from_ymd_opt(
                iso.year().extended_year(),
                iso.month().number().into(),
                iso.day_of_month().0.into(),
            )
        }
    }
}

/// The one date in `year` on which a yearly date falls; a day that the year does not have (a leap
/// day in a common year) moves as `leap_day` says.
pub fn yearly_date(year: i32, at: MonthDay, calendar: Calendar, leap_day: LeapDay) -> Option<NaiveDate> {
    if let Some(date) = from_calendar(year, at, calendar) {
        return Some(date);
    }
    let next_month = if at.month >= 12 {
        from_calendar(year + 1, MonthDay { month: 1, day: 1 }, calendar)?
    } else {
        from_calendar(year, MonthDay { month: at.month + 1, day: 1 }, calendar)?
    };
    match leap_day {
        LeapDay::After => Some(next_month),
        LeapDay::Before => next_month.pred_opt(),
    }
}

/// The instant at which a zone's clock shows a local time: inside a gap the first instant after
/// it, where the time comes twice the first.
pub fn local_instant(zone: Tz, local: NaiveDateTime) -> Instant {
    use chrono::LocalResult;
    match zone.from_local_datetime(&local) {
        LocalResult::Single(at) => at.with_timezone(&Utc),
        LocalResult::Ambiguous(first, second) => first.min(second).with_timezone(&Utc),
        LocalResult::None => after_gap(zone, local),
    }
}

/// The first instant after the gap that `local` lies in. Local time passes `local` exactly once
/// here, at the end of the gap, so the crossing can be searched by halving.
fn after_gap(zone: Tz, local: NaiveDateTime) -> Instant {
    // Offsets are between -12 and +14 hours, so the crossing is within these bounds.
    let mut before = (local - Duration::hours(15)).and_utc().timestamp();
    let mut after = (local + Duration::hours(15)).and_utc().timestamp();
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        let shown = super::instant(middle * 1000).with_timezone(&zone).naive_local();
        if shown >= local {
            after = middle;
        } else {
            before = middle;
        }
    }
    super::instant(after * 1000)
}

/// The instant at which a local date begins.
pub fn local_midnight(zone: Tz, date: NaiveDate) -> Instant {
    local_instant(zone, date.and_time(NaiveTime::MIN))
}

/// The first instant after `at` at which a zone's clock shows a later local time. In the second pass
/// through a repeated hour the first showing is already over.
fn next_showing(zone: Tz, at: Instant, local: NaiveDateTime) -> Instant {
    match zone.from_local_datetime(&local) {
        chrono::LocalResult::Ambiguous(first, second) => {
            let (first, second) = (first.min(second), first.max(second));
            if first > at { first.with_timezone(&Utc) } else { second.with_timezone(&Utc) }
        }
        _ => local_instant(zone, local),
    }
}

/// The instant at which the local date after that of `at` begins.
pub fn next_midnight(zone: Tz, at: Instant) -> Instant {
    let next = local_date(zone, at).succ_opt();
    next.map_or(at, |date| next_showing(zone, at, date.and_time(NaiveTime::MIN)))
}

/// The local date that a zone's clock shows.
pub fn local_date(zone: Tz, at: Instant) -> NaiveDate {
    at.with_timezone(&zone).date_naive()
}

/// The same in days since 1970.
pub fn local_day(zone: Tz, at: Instant) -> i64 {
    local_date(zone, at).signed_duration_since(NaiveDate::default()).num_days()
}

/// The earliest instant from `base` on at which the zone's clock shows `time`; each local date has
/// one such instant.
pub fn next_local_time(zone: Tz, base: Instant, time: NaiveTime) -> Instant {
    let mut date = local_date(zone, base);
    // A gap or a skipped date can carry a date's instant to the next day, so one day back counts.
    if let Some(before) = date.pred_opt() {
        let at = local_instant(zone, before.and_time(time));
        if at >= base {
            return at;
        }
    }
    loop {
        let at = local_instant(zone, date.and_time(time));
        if at >= base {
            return at;
        }
        match date.succ_opt() {
            Some(next) => date = next,
            None => return at,
        }
    }
}

/// Hours in which marketing stays silent: `[start, end)` on the member's clock, across midnight
/// when `start` is later than `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    pub start: NaiveTime,
    pub end: NaiveTime,
}

impl QuietHours {
    /// Reads `21:00-08:00`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a span of hours; write it like \"21:00-08:00\", or none");
        let (start, end) = text.split_once('-').ok_or_else(wrong)?;
        let start = parse_time(start.trim()).map_err(|_| wrong())?;
        let end = parse_time(end.trim()).map_err(|_| wrong())?;
        if start == end {
            return Err(format!("`{text}` has no length; write none for no quiet hours"));
        }
        Ok(Self { start, end })
    }

    fn contains(&self, time: NaiveTime) -> bool {
        if self.start < self.end {
            self.start <= time && time < self.end
        } else {
            time >= self.start || time < self.end
        }
    }

    /// `at` itself outside quiet hours, else the first instant from then on that shows `end`.
    pub fn defer(&self, at: Instant, zone: Tz) -> Instant {
        let local = at.with_timezone(&zone).naive_local();
        if !self.contains(local.time()) {
            return at;
        }
        let crosses = self.start > self.end && local.time() >= self.start;
        let date = if crosses { local.date().succ_opt() } else { Some(local.date()) };
        date.map_or(at, |date| next_showing(zone, at, date.and_time(self.end)))
    }
}

/// Reads a time of day, `09:00` or `09:00:30`.
pub fn parse_time(text: &str) -> Result<NaiveTime, String> {
    let plain = super::text::ascii_digits(text.trim());
    ["%H:%M", "%H:%M:%S"]
        .iter()
        .find_map(|format| NaiveTime::parse_from_str(&plain, format).ok())
        .ok_or_else(|| format!("`{text}` is not a time of day; write it like \"09:00\""))
}

/// Reads an IANA zone name.
pub fn parse_zone(text: &str) -> Result<Tz, String> {
    let text = text.trim();
    let same = |zone: &&Tz| zone.name().eq_ignore_ascii_case(&text.replace(' ', "_"));
    text.parse().ok().or_else(|| chrono_tz::TZ_VARIANTS.iter().find(same).copied()).ok_or_else(|| {
        let near = chrono_tz::TZ_VARIANTS
            .iter()
            .map(|zone| (strsim::damerau_levenshtein(text, zone.name()), zone.name()))
            .min()
            .filter(|(distance, _)| *distance <= 3)
            .map(|(_, name)| format!("; did you mean `{name}`?"))
            .unwrap_or_default();
        format!("`{text}` is not a time zone; write an IANA name such as Asia/Tehran{near}")
    })
}

/// Reads a full date with `-` or `/`, Persian when its year is between 1200 and 1499.
pub fn parse_date(text: &str) -> Result<NaiveDate, String> {
    let wrong = || format!("`{text}` is not a date; write it like 1990-05-21 or 1369/02/31");
    let plain = super::text::ascii_digits(text.trim()).replace('/', "-");
    let parts: Vec<&str> = plain.split('-').collect();
    let [year, month, day] = parts[..] else { return Err(wrong()) };
    if year.len() != 4 || !(1..=2).contains(&month.len()) || !(1..=2).contains(&day.len()) {
        return Err(wrong());
    }
    let number = |s: &str| s.parse::<u16>().map_err(|_| wrong());
    let (year, month, day) = (number(year)?, number(month)?, number(day)?);
    let calendar = if (1200..=1499).contains(&year) { Calendar::Persian } else { Calendar::Gregorian };
    let at = MonthDay { month: month.min(99) as u8, day: day.min(99) as u8 };
    from_calendar(year.into(), at, calendar)
        .ok_or_else(|| format!("`{text}` does not exist in the {calendar} calendar"))
}

/// Reads a date of somebody's life as [`parse_date`] does, but none before 1900: what programs write for no date.
pub fn parse_life_date(text: &str) -> Result<NaiveDate, String> {
    let date = parse_date(text)?;
    if date.year() < 1900 { Err(format!("`{text}` is before 1900")) } else { Ok(date) }
}

/// Refuses what cannot have happened, by a zone's clock: before 1970, or after tomorrow.
pub fn happened(at: Instant, now: Instant, zone: Tz) -> Result<Instant, &'static str> {
    if at.timestamp() < 0 {
        return Err("is before 1970");
    }
    if local_date(zone, at) > local_date(zone, now) + Duration::days(1) { Err("is in the future") } else { Ok(at) }
}

/// An instant as JSON and CSV write it.
pub fn rfc3339(at: Instant) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

/// Reads an instant (RFC 3339), or a local date or date-time in `zone`; the date may be Persian.
pub fn parse_instant(text: &str, zone: Tz) -> Result<Instant, String> {
    let plain = super::text::ascii_digits(text.trim());
    if let Some((date, time)) = plain.split_once(['T', 't', ' '])
        && let Ok(date) = parse_date(date)
        && let Ok(at) = chrono::DateTime::parse_from_rfc3339(&format!("{date}T{time}"))
    {
        return Ok(at.with_timezone(&Utc));
    }
    if let Ok(local) = parse_local(&plain) {
        return Ok(local_instant(zone, local));
    }
    parse_date(&plain).map(|date| local_midnight(zone, date)).map_err(|_| {
        format!("`{text}` is not a time; write it like 2026-03-21T09:00:00Z, 2026-03-21 09:00 or 2026-03-21")
    })
}

/// Reads a date and time without a zone; the date may be Persian.
pub fn parse_local(text: &str) -> Result<NaiveDateTime, String> {
    let plain = super::text::ascii_digits(text.trim());
    let wrong = || format!("`{text}` is not a date and time; write it like 2026-03-21T09:00");
    let (date, time) = plain.split_once(['T', ' ']).ok_or_else(wrong)?;
    Ok(parse_date(date)?.and_time(parse_time(time).map_err(|_| wrong())?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn utc(text: &str) -> Instant {
        text.parse().unwrap()
    }

    fn zone(name: &str) -> Tz {
        name.parse().unwrap()
    }

    #[test]
    fn local_times_in_gaps_and_repeated_hours() {
        let check = |name: &str, local: &str, expected: &str| {
            let local = parse_local(local).unwrap();
            assert_eq!(local_instant(zone(name), local), utc(expected), "{name} {local}");
        };
        check("Asia/Tehran", "2026-03-21 09:00", "2026-03-21T05:30:00Z");
        // Spring: 02:00-03:00 does not exist; the first instant after it.
        check("Europe/Berlin", "2026-03-29 02:30", "2026-03-29T01:00:00Z");
        // Autumn: 02:30 comes twice; the first.
        check("Europe/Berlin", "2026-10-25 02:30", "2026-10-25T00:30:00Z");
        // Midnight inside a gap (Tehran until 2022).
        check("Asia/Tehran", "2022-03-22 00:00", "2022-03-21T20:30:00Z");
        // A whole day that never was.
        check("Pacific/Apia", "2011-12-30 09:00", "2011-12-30T10:00:00Z");
        check("Pacific/Kiritimati", "2026-01-01 00:00", "2025-12-31T10:00:00Z");
        check("Etc/GMT+12", "2026-01-01 00:00", "2026-01-01T12:00:00Z");
    }

    #[test]
    fn the_next_local_time_is_the_earliest_from_the_base() {
        let check = |name: &str, base: &str, time: &str, expected: &str| {
            let at = next_local_time(zone(name), utc(base), parse_time(time).unwrap());
            assert_eq!(at, utc(expected), "{name} {base} {time}");
        };
        check("Asia/Tehran", "2026-01-01T05:30:00Z", "09:00", "2026-01-01T05:30:00Z");
        check("Asia/Tehran", "2026-01-01T05:30:00.001Z", "09:00", "2026-01-02T05:30:00Z");
        check("Europe/Berlin", "2026-03-28T23:30:00Z", "02:30", "2026-03-29T01:00:00Z");
        check("Europe/Berlin", "2026-03-29T01:00:00Z", "02:30", "2026-03-29T01:00:00Z");
        check("Europe/Berlin", "2026-10-25T00:30:00Z", "02:30", "2026-10-25T00:30:00Z");
        // The second 02:30 is not one: the next date's.
        check("Europe/Berlin", "2026-10-25T01:00:00Z", "02:30", "2026-10-26T01:30:00Z");
    }

    #[test]
    fn quiet_hours_end_at_the_first_instant_that_shows_their_end() {
        let check = |hours: &str, name: &str, at: &str, expected: &str| {
            let quiet = QuietHours::parse(hours).unwrap();
            assert_eq!(quiet.defer(utc(at), zone(name)), utc(expected), "{hours} {name} {at}");
        };
        check("21:00-08:00", "UTC", "2026-01-01T20:59:59Z", "2026-01-01T20:59:59Z");
        check("21:00-08:00", "UTC", "2026-01-01T21:00:00Z", "2026-01-02T08:00:00Z");
        check("21:00-08:00", "UTC", "2026-01-02T07:59:59Z", "2026-01-02T08:00:00Z");
        check("21:00-08:00", "UTC", "2026-01-02T08:00:00Z", "2026-01-02T08:00:00Z");
        check("12:00-14:00", "Asia/Tehran", "2026-01-01T09:00:00Z", "2026-01-01T10:30:00Z");
        // The end lies in the spring gap, and in a repeated hour that has passed once.
        check("22:00-02:30", "Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T01:00:00Z");
        check("22:00-02:30", "Europe/Berlin", "2026-10-25T01:10:00Z", "2026-10-25T01:30:00Z");
        for text in ["", "21:00", "21-08", "08:00-08:00", "25:00-08:00"] {
            assert!(QuietHours::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn dates_are_read_in_both_calendars() {
        let check = |text: &str, expected: &str| {
            assert_eq!(parse_date(text).map(|d| d.to_string()).as_deref(), Ok(expected), "{text}");
        };
        check("1990-05-21", "1990-05-21");
        check("1990/5/1", "1990-05-01");
        check("۱۴۰۳/۱۲/۳۰", "2025-03-20");
        check("1403/01/01", "2024-03-20");
        for text in ["1404/12/30", "2025-02-29", "2025-13-01", "05-21", "90-05-21", "2025-1-1-1", "20250101", "x"] {
            assert!(parse_date(text).is_err(), "{text}");
        }
    }

    #[test]
    fn leap_days_fall_once_in_every_year() {
        let check = |year, month, day, calendar, leap, expected: &str| {
            let date = yearly_date(year, MonthDay { month, day }, calendar, leap).unwrap();
            assert_eq!(date.to_string(), expected);
        };
        use {Calendar::*, LeapDay::*};
        check(2024, 2, 29, Gregorian, Before, "2024-02-29");
        check(2025, 2, 29, Gregorian, Before, "2025-02-28");
        check(2025, 2, 29, Gregorian, After, "2025-03-01");
        check(1403, 12, 30, Persian, Before, "2025-03-20");
        check(1404, 12, 30, Persian, Before, "2026-03-20");
        check(1404, 12, 30, Persian, After, "2026-03-21");
    }

    #[test]
    fn persian_leap_years_near_now_are_the_authoritative_ones() {
        let leap: Vec<i32> = (1391..=1424)
            .filter(|y| from_calendar(*y, MonthDay { month: 12, day: 30 }, Calendar::Persian).is_some())
            .collect();
        assert_eq!(leap, [1391, 1395, 1399, 1403, 1408, 1412, 1416, 1420, 1424]);
    }

    proptest! {
        #[test]
        fn calendars_round_trip(days in 0_i64..110_000) {
            let date = NaiveDate::from_ymd_opt(1827, 3, 22).unwrap() + Duration::days(days);
            for calendar in [Calendar::Gregorian, Calendar::Persian] {
                let (year, at) = in_calendar(date, calendar);
                prop_assert_eq!(from_calendar(year, at, calendar), Some(date));
            }
        }

        #[test]
        fn each_local_date_has_one_instant_of_a_time(hours in 0_i64..400_000, minute in 0_u32..1440, pick in 0_usize..596) {
            let zone = chrono_tz::TZ_VARIANTS[pick % chrono_tz::TZ_VARIANTS.len()];
            let base = utc("1990-01-01T00:00:00Z") + Duration::hours(hours);
            let time = NaiveTime::from_num_seconds_from_midnight_opt(minute * 60, 0).unwrap();
            let at = next_local_time(zone, base, time);
            prop_assert!(at >= base && at - base <= Duration::hours(49));
            prop_assert_eq!(next_local_time(zone, at, time), at);
        }
    }
}
