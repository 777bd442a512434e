//! Days put together: weeks, months, quarters and years, by either calendar.

use chrono::{Datelike, Days, NaiveDate, Weekday};

use super::calendar::{Calendar, MonthDay, from_calendar, in_calendar};
use super::words::words;

words! {
    /// How long a period is.
    Unit { Day = "day", Week = "week", Month = "month", Quarter = "quarter", Year = "year" }
}

/// How periods are told apart: by which calendar, and on which day weeks begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Periods {
    pub unit: Unit,
    pub calendar: Calendar,
    pub week_begins: Weekday,
}

impl Periods {
    /// The first day of the period that a date is in.
    pub fn start(&self, date: NaiveDate) -> NaiveDate {
        let (year, MonthDay { month, .. }) = in_calendar(date, self.calendar);
        let first = |month| from_calendar(year, MonthDay { month, day: 1 }, self.calendar).unwrap_or(date);
        match self.unit {
            Unit::Day => date,
            Unit::Week => date - Days::new(u64::from(date.weekday().days_since(self.week_begins))),
            Unit::Month => first(month),
            Unit::Quarter => first((month - 1) / 3 * 3 + 1),
            Unit::Year => first(1),
        }
    }

    /// The first day of the next period.
    pub fn next(&self, start: NaiveDate) -> NaiveDate {
        // From its first day on, this leads into the next one and not beyond.
        let far = match self.unit {
            Unit::Day => 1,
            Unit::Week => 7,
            Unit::Month => 32,
            Unit::Quarter => 94,
            Unit::Year => 367,
        };
        self.start(start + Days::new(far))
    }

    /// What it is called: `2026-04-22` for a day and the first one of a week, `2026-04`, `2026 Q2`, `2026`.
    pub fn name(&self, start: NaiveDate) -> String {
        let (year, MonthDay { month, day }) = in_calendar(start, self.calendar);
        match self.unit {
            Unit::Day | Unit::Week => format!("{year}-{month:02}-{day:02}"),
            Unit::Month => format!("{year}-{month:02}"),
            Unit::Quarter => format!("{year} Q{}", (month - 1) / 3 + 1),
            Unit::Year => year.to_string(),
        }
    }
}

/// The days from a first of a month, of whichever calendar, up to the next one, which is not included: months, quarters and
/// years of both calendars are made of whole ones.
pub fn stretch(date: NaiveDate) -> (NaiveDate, NaiveDate) {
    let months = |calendar| Periods { unit: Unit::Month, calendar, week_begins: Weekday::Mon };
    let (one, other) = (months(Calendar::Gregorian), months(Calendar::Persian));
    let starts = (one.start(date), other.start(date));
    (starts.0.max(starts.1), one.next(starts.0).min(other.next(starts.1)))
}

/// The day on which weeks begin where a locale is spoken: Saturday in Iran and Afghanistan, Sunday in the USA and
/// other countries of America, Monday else (CLDR, supplemental week data).
pub fn week_begins(locale: &str) -> Weekday {
    let lower = locale.to_ascii_lowercase();
    let (language, region) = lower.split_once('-').unwrap_or((&lower, ""));
    match (language, region.rsplit('-').next().unwrap_or_default()) {
        (_, "ir" | "af" | "ae" | "eg" | "iq" | "kw" | "qa" | "jo" | "sy" | "om" | "bh" | "ly" | "dz" | "sd") => {
            Weekday::Sat
        }
        ("fa" | "ps", _) => Weekday::Sat,
        (
            _,
            "us" | "ca" | "mx" | "br" | "co" | "pe" | "ve" | "il" | "in" | "jp" | "kr" | "pk" | "sa" | "ph" | "th"
            | "tw",
        ) => Weekday::Sun,
        ("he" | "ja" | "ko" | "hi", _) => Weekday::Sun,
        _ => Weekday::Mon,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn each_unit_begins_where_its_calendar_says() {
        let check = |unit, calendar, at: &str, start: &str, next: &str, name: &str| {
            let periods = Periods { unit, calendar, week_begins: Weekday::Sat };
            let found = periods.start(date(at));
            assert_eq!(
                (found, periods.next(found), periods.name(found).as_str()),
                (date(start), date(next), name),
                "{at}"
            );
        };
        use Calendar::*;
        check(Unit::Day, Gregorian, "2026-04-22", "2026-04-22", "2026-04-23", "2026-04-22");
        check(Unit::Day, Persian, "2026-04-22", "2026-04-22", "2026-04-23", "1405-02-02");
        check(Unit::Week, Persian, "2026-04-24", "2026-04-18", "2026-04-25", "1405-01-29");
        check(Unit::Month, Gregorian, "2024-02-29", "2024-02-01", "2024-03-01", "2024-02");
        check(Unit::Month, Persian, "2026-04-22", "2026-04-21", "2026-05-22", "1405-02");
        // The leap day of 1403 is the last of its year.
        check(Unit::Year, Persian, "2025-03-20", "2024-03-20", "2025-03-21", "1403");
        check(Unit::Quarter, Persian, "2025-03-20", "2024-12-21", "2025-03-21", "1403 Q4");
        check(Unit::Quarter, Gregorian, "2026-04-22", "2026-04-01", "2026-07-01", "2026 Q2");
        check(Unit::Year, Gregorian, "2024-12-31", "2024-01-01", "2025-01-01", "2024");
    }

    #[test]
    fn periods_follow_each_other_without_a_gap() {
        for unit in Unit::ALL {
            for calendar in [Calendar::Gregorian, Calendar::Persian] {
                let periods = Periods { unit: *unit, calendar, week_begins: Weekday::Mon };
                let mut start = periods.start(date("2019-12-31"));
                while start < date("2026-01-01") {
                    let next = periods.next(start);
                    let last = next.pred_opt().unwrap();
                    assert_eq!((periods.start(last), periods.start(next)), (start, next), "{unit} {calendar} {start}");
                    start = next;
                }
            }
        }
    }

    #[test]
    fn stretches_follow_each_other_and_make_up_every_month_of_both_calendars() {
        assert_eq!(stretch(date("2026-04-20")), (date("2026-04-01"), date("2026-04-21")));
        assert_eq!(stretch(date("2026-04-21")), (date("2026-04-21"), date("2026-05-01")));
        let mut firsts = std::collections::BTreeSet::new();
        let mut first = date("1970-01-01");
        while first < date("2060-01-01") {
            let next = stretch(first).1;
            assert!(first < next && (next - first).num_days() < 25, "{first} {next}");
            assert_eq!((stretch(next.pred_opt().unwrap()), stretch(next).0), ((first, next), next), "{first}");
            firsts.insert(first);
            first = next;
        }
        for calendar in [Calendar::Gregorian, Calendar::Persian] {
            let months = Periods { unit: Unit::Month, calendar, week_begins: Weekday::Mon };
            let mut start = months.start(date("1980-01-15"));
            while start < date("2059-01-01") {
                assert!(firsts.contains(&start), "{calendar} {start}");
                start = months.next(start);
            }
        }
    }

    #[test]
    fn weeks_begin_where_people_say() {
        let check = |locale: &str, day| assert_eq!(week_begins(locale), day, "{locale}");
        check("fa", Weekday::Sat);
        check("fa-IR", Weekday::Sat);
        check("en", Weekday::Mon);
        check("en-US", Weekday::Sun);
        check("de-DE", Weekday::Mon);
        check("zh-Hant-TW", Weekday::Sun);
    }
}
