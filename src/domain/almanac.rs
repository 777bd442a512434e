//! The shop's almanac: named occasions with their dates (Nowruz, Black Friday, Ashura), the weekend,
//! and what marketing does on days of rest.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use chrono::{Datelike, NaiveDate, Weekday};

use super::calendar::{Calendar, LeapDay, MonthDay, from_calendar, in_calendar, parse_date, yearly_date};
use super::name;
use super::text::ascii_digits;
use super::words::words;
use crate::document::{Document, Problem, Problems, Value};

words! {
    /// What marketing does on a day. The later word wins where a day is two things at once.
    OnDay {
        /// A day like any other.
        Send = "send",
        /// Messages wait for the next day that is not one of these.
        Defer = "defer",
        /// Messages that would go out are skipped.
        Skip = "skip",
    }
}

/// The days of the week, as settings and occasions write them.
pub const WEEKDAYS: &[(&str, Weekday)] = &[
    ("saturday", Weekday::Sat),
    ("sunday", Weekday::Sun),
    ("monday", Weekday::Mon),
    ("tuesday", Weekday::Tue),
    ("wednesday", Weekday::Wed),
    ("thursday", Weekday::Thu),
    ("friday", Weekday::Fri),
];

/// The shop's special days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Almanac {
    /// The occasions, by name.
    pub days: BTreeMap<String, Day>,
    pub weekend: Vec<Weekday>,
    /// What happens on a day of the weekend.
    pub weekends: OnDay,
    /// What happens on a date of an occasion with `blackout: true`.
    pub blackouts: OnDay,
}

/// One named occasion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    pub dates: Dates,
    /// Whether its dates are days of rest.
    pub blackout: bool,
}

/// When an occasion is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dates {
    /// On a month and day of a calendar.
    Yearly { calendar: Calendar, at: MonthDay, leap_day: LeapDay },
    /// On the n-th such weekday of a month of a calendar; -1 is the last.
    NthWeekday { calendar: Calendar, month: u8, weekday: Weekday, nth: i64 },
    /// On these dates.
    Listed(BTreeSet<NaiveDate>),
}

impl Almanac {
    /// Every day is like any other.
    pub const EMPTY: Self =
        Self { days: BTreeMap::new(), weekend: Vec::new(), weekends: OnDay::Send, blackouts: OnDay::Defer };

    /// Reads the files of occasions into it; gives everything that is wrong with any of them.
    pub fn read<'a>(&mut self, files: impl IntoIterator<Item = (String, &'a str)>) -> Vec<Problem> {
        let mut places = BTreeMap::new();
        let mut problems = Vec::new();
        for (file, text) in files {
            let read = match Document::parse(&file, text, None) {
                Ok(document) => {
                    let decoded = self.decode(&file, document.root(), &mut places);
                    document.finish(decoded)
                }
                Err(problem) => Err(Problems(vec![problem])),
            };
            problems.extend(read.err().into_iter().flat_map(|found| found.0));
        }
        problems
    }

    /// `places` says where a name stands already.
    fn decode(&mut self, file: &str, root: Value<'_>, places: &mut BTreeMap<String, String>) -> Option<()> {
        let mut table = root.table()?;
        let list = table.require("occasions").and_then(|value| value.list());
        table.finish();
        for item in list? {
            let Some(mut table) = item.table() else { continue };
            let name_value = table.require("name");
            let name = name_value.and_then(|value| value.parse(name::parse));
            let dates = match (table.get("every_year"), table.get("dates")) {
                (Some(value), None) => decode_every_year(value),
                (None, Some(value)) => decode_listed(value),
                _ => {
                    item.problem("an occasion has `every_year` or `dates`; write one of them");
                    None
                }
            };
            let blackout = table.get_or("blackout", false, |value| value.boolean());
            table.finish();
            let (Some(name), Some(value)) = (name, name_value) else { continue };
            if let Some(place) = places.get(&name) {
                value.problem(format!("the name `{name}` is taken by {place}; each occasion needs its own"));
                continue;
            }
            let (line, column) = value.place();
            places.insert(name.clone(), format!("{file}:{line}:{column}"));
            // One whose dates are wrong is known by its name: who uses it did nothing wrong.
            let dates = dates.unwrap_or(Dates::Listed(BTreeSet::new()));
            self.days.insert(name, Day { dates, blackout: blackout.unwrap_or(false) });
        }
        Some(())
    }

    /// What marketing does on a date.
    pub fn on(&self, date: NaiveDate) -> OnDay {
        let weekend = if self.weekend.contains(&date.weekday()) { self.weekends } else { OnDay::Send };
        let is_blackout = || {
            let mut blackouts = self.days.values().filter(|day| day.blackout);
            blackouts.any(|day| !day.dates.between(date..=date, None).is_empty())
        };
        if weekend < self.blackouts && is_blackout() { self.blackouts } else { weekend }
    }
}

impl Dates {
    /// Those in a span, in order; none in one that ends before it begins. `leap_day` stands in for the occasion's own.
    pub fn between(&self, span: RangeInclusive<NaiveDate>, leap_day: Option<LeapDay>) -> Vec<NaiveDate> {
        let calendar = match self {
            Self::Listed(dates) => return dates.iter().filter(|date| span.contains(date)).copied().collect(),
            Self::Yearly { calendar, .. } | Self::NthWeekday { calendar, .. } => *calendar,
        };
        // A leap day can move into the year after its own.
        let years = in_calendar(*span.start(), calendar).0 - 1..=in_calendar(*span.end(), calendar).0;
        years.filter_map(|year| self.in_year(year, leap_day)).filter(|date| span.contains(date)).collect()
    }

    fn in_year(&self, year: i32, leap_day: Option<LeapDay>) -> Option<NaiveDate> {
        match self {
            Self::Yearly { calendar, at, leap_day: own } => yearly_date(year, *at, *calendar, leap_day.unwrap_or(*own)),
            Self::NthWeekday { calendar, month, weekday, nth } => {
                let first = from_calendar(year, MonthDay { month: *month, day: 1 }, *calendar)?;
                let of_month = first.iter_days().take_while(|date| in_calendar(*date, *calendar).1.month == *month);
                let mut such = of_month.filter(|date| date.weekday() == *weekday);
                if *nth < 0 { such.last() } else { such.nth(usize::try_from(nth - 1).ok()?) }
            }
            Self::Listed(_) => None,
        }
    }
}

fn decode_every_year(value: Value<'_>) -> Option<Dates> {
    let mut table = value.table()?;
    let calendar = table.require("calendar").and_then(|value| value.one_of(Calendar::WORDS));
    if let Some(date) = table.get("date") {
        let at = date.parse(|text| parse_month_day(text, calendar.unwrap_or(Calendar::Gregorian)));
        let leap_day = table.get_or("leap_day", LeapDay::Before, |value| value.one_of(LeapDay::WORDS));
        table.finish();
        return Some(Dates::Yearly { calendar: calendar?, at: at?, leap_day: leap_day? });
    }
    let Some(month) = table.get("month") else {
        value.problem("write `date: \"MM-DD\"`, or `month`, `weekday` and `nth`");
        return None;
    };
    let month = month.integer_in(1..=12);
    let weekday = table.require("weekday").and_then(|value| value.one_of(WEEKDAYS));
    let nth = table.require("nth").and_then(|value| {
        let nth = value.integer_in(-1..=5)?;
        if nth == 0 {
            value.problem("`nth` counts from 1 to 5; -1 is the last of the month");
            return None;
        }
        Some(nth)
    });
    table.finish();
    let month = u8::try_from(month?).ok()?;
    Some(Dates::NthWeekday { calendar: calendar?, month, weekday: weekday?, nth: nth? })
}

/// Reads `MM-DD`, a day that some year of the calendar has.
fn parse_month_day(text: &str, calendar: Calendar) -> Result<MonthDay, String> {
    let wrong = || format!("`{text}` is not a month and day; write it like \"03-21\"");
    let plain = ascii_digits(text.trim()).replace('/', "-");
    let (month, day) = plain.split_once('-').ok_or_else(wrong)?;
    let number = |part: &str| part.parse::<u8>().ok().filter(|_| part.len() <= 2).ok_or_else(wrong);
    let at = MonthDay { month: number(month)?, day: number(day)? };
    // Years in which each calendar has its leap day.
    let leap_year = match calendar {
        Calendar::Gregorian => 2024,
        Calendar::Persian => 1403,
    };
    match from_calendar(leap_year, at, calendar) {
        Some(_) => Ok(at),
        None => Err(format!("`{text}` does not exist in the {calendar} calendar")),
    }
}

fn decode_listed(value: Value<'_>) -> Option<Dates> {
    let mut dates = BTreeSet::new();
    let mut complete = true;
    for item in value.list()? {
        match item.parse(parse_date) {
            Some(date) if !dates.insert(date) => {
                item.problem(format!("{date} stands here twice"));
                complete = false;
            }
            found => complete &= found.is_some(),
        }
    }
    complete.then_some(Dates::Listed(dates))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dates(every_year: &str, from: &str, to: &str) -> String {
        let mut almanac = Almanac::EMPTY;
        let text = format!("occasions: [{{ name: x, {every_year} }}]");
        assert_eq!(almanac.read([("x.yaml".to_owned(), text.as_str())]), [], "{every_year}");
        let span = from.parse().unwrap()..=to.parse().unwrap();
        let found = almanac.days["x"].dates.between(span, None);
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn occasions_have_their_dates_in_each_calendar() {
        let check = |text: &str, from: &str, to: &str, expected: &str| {
            assert_eq!(dates(text, from, to), expected, "{text}");
        };
        let nowruz = "every_year: { calendar: persian, date: \"01-01\" }";
        check(nowruz, "2024-03-20", "2026-03-21", "2024-03-20 2025-03-21 2026-03-21");
        check(nowruz, "2025-03-22", "2026-03-20", "");
        let esfand = |leap_day| format!("every_year: {{ calendar: persian, date: \"12-30\", leap_day: {leap_day} }}");
        check(&esfand("before"), "2025-01-01", "2026-12-31", "2025-03-20 2026-03-20");
        check(&esfand("after"), "2025-01-01", "2026-12-31", "2025-03-20 2026-03-21");
        // Beside the end of the span: the year before its own.
        check(&esfand("after"), "2026-03-21", "2026-03-21", "2026-03-21");
        let february = "every_year: { calendar: gregorian, date: ۰۲/۲۹, leap_day: after }";
        check(february, "2024-01-01", "2025-12-31", "2024-02-29 2025-03-01");
        let weekday = |rest: &str| format!("every_year: {{ calendar: gregorian, {rest} }}");
        check(
            &weekday("month: 5, weekday: sunday, nth: 2"),
            "2024-01-01",
            "2026-12-31",
            "2024-05-12 2025-05-11 2026-05-10",
        );
        check(&weekday("month: 5, weekday: monday, nth: -1"), "2026-01-01", "2026-12-31", "2026-05-25");
        // January 2026 has a fifth Thursday, January 2025 has none after its fifth on the 30th.
        check(&weekday("month: 2, weekday: thursday, nth: 5"), "2023-01-01", "2026-12-31", "2024-02-29");
        let last_wednesday = "every_year: { calendar: persian, month: 12, weekday: wednesday, nth: -1 }";
        check(last_wednesday, "2025-01-01", "2026-12-31", "2025-03-19 2026-03-18");
        check("dates: [2026-06-26, 1406-03-26]", "2026-01-01", "2027-12-31", "2026-06-26 2027-06-16");
    }

    #[test]
    fn every_problem_of_all_files_is_named_at_its_place() {
        let mut almanac = Almanac::EMPTY;
        let first = "occasions:\n  - { name: a, dates: [2026-02-30, 2026-01-01, 1404-10-11] }\n  - { name: b }\n";
        let second = "occasions:\n\
            \x20 - { name: a, dates: [2026-01-01] }\n\
            \x20 - { name: c, every_year: { calendar: gregorian, date: 02-30 } }\n\
            \x20 - { name: d, every_year: { calendar: gregorian, month: 5, weekday: sundey, nth: 0 } }\n\
            \x20 - { name: e, dates: [2026-01-01], blakout: true }\n\
            more: 1\n";
        let problems = almanac.read([("1.yaml".to_owned(), first), ("2.yaml".to_owned(), second)]);
        let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let expected = [
            "1.yaml:2:24: `2026-02-30` does not exist in the gregorian calendar",
            "1.yaml:2:48: 2026-01-01 stands here twice",
            "1.yaml:3:5: an occasion has `every_year` or `dates`; write one of them",
            "2.yaml:2:13: the name `a` is taken by 1.yaml:2:13; each occasion needs its own",
            "2.yaml:3:57: `02-30` does not exist in the gregorian calendar",
            "2.yaml:4:70: `sundey` is not known here; did you mean `sunday`? Valid here: `saturday`, `sunday`, \
             `monday`, `tuesday`, `wednesday`, `thursday`, `friday`",
            "2.yaml:4:83: `nth` counts from 1 to 5; -1 is the last of the month",
            "2.yaml:5:37: unknown key `blakout`; did you mean `blackout`? Valid here: `name`, `every_year`, `dates`, \
             `blackout`",
            "2.yaml:6:1: unknown key `more`; valid here: `occasions`",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_day_that_is_two_things_is_the_stricter() {
        let mut almanac = Almanac { weekend: vec![Weekday::Fri], ..Almanac::EMPTY };
        let text = "occasions: [{ name: x, dates: [2026-01-02, 2026-01-03], blackout: true }, { name: y, dates: [2026-01-04] }]";
        assert_eq!(almanac.read([("x".to_owned(), text)]), []);
        let mut check = |weekends, blackouts, expected: [OnDay; 4]| {
            (almanac.weekends, almanac.blackouts) = (weekends, blackouts);
            // A Friday that is a blackout, a Saturday that is one, an occasion that is none, a Friday.
            let days = ["2026-01-02", "2026-01-03", "2026-01-04", "2026-01-09"];
            assert_eq!(days.map(|day| almanac.on(day.parse().unwrap())), expected);
        };
        use OnDay::*;
        check(Send, Defer, [Defer, Defer, Send, Send]);
        check(Defer, Skip, [Skip, Skip, Send, Defer]);
        check(Skip, Defer, [Skip, Defer, Send, Skip]);
    }
}
