//! What the settings and the occasions' files say.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use chrono::{Datelike, NaiveDate, NaiveTime, Weekday};
use chrono_tz::Tz;
use serde_json::Value;

use super::calendar::{self, Calendar, days};
use super::keys::{Keys, share, span, time_of_day};

/// The settings of the brand that decide what is sent when.
pub struct Brand {
    /// For members without a zone, and for dates without one.
    pub timezone: Tz,
    /// For members without a calendar.
    pub calendar: Calendar,
    /// The currency of every amount in a campaign.
    pub currency: String,
    /// `[start, end)` on the member's clock; it may cross midnight.
    pub quiet_hours: Option<(NaiveTime, NaiveTime)>,
    /// At most so many messages in so many milliseconds.
    pub frequency_cap: Option<(usize, i64)>,
    /// The share of members who get no marketing.
    pub holdout: f64,
    /// Whether the cap also holds for an address that several members share.
    pub caps_addresses: bool,
    pub weekend: Vec<Weekday>,
    pub on_weekends: Rest,
    pub on_blackouts: Rest,
}

/// What becomes of marketing on a rest day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    Send,
    Defer,
    Skip,
}

impl Brand {
    /// What stands under `brand:` in the settings.
    pub fn from_yaml(yaml: &str) -> Brand {
        let mut keys = Keys::read(yaml);
        let language: String = keys.get("locale").unwrap_or_else(|| "en".to_string());
        let mut rest = keys.map("rest");
        let weekend: Option<Vec<String>> = keys.get("weekend");
        let weekend = weekend.unwrap_or_else(|| {
            let usual: &[&str] = match &language[..2] {
                "fa" => &["friday"],
                "ar" | "he" => &["friday", "saturday"],
                _ => &["saturday", "sunday"],
            };
            usual.iter().map(|day| (*day).to_string()).collect()
        });
        let brand = Brand {
            timezone: keys.need::<String>("timezone").parse().expect("a time zone"),
            calendar: Calendar::read(&keys.get::<String>("calendar").unwrap_or_else(|| "gregorian".to_string())),
            currency: keys.get("currency").unwrap_or_else(|| "USD".to_string()),
            quiet_hours: keys.get::<String>("quiet_hours").filter(|text| text != "none").map(|text| {
                let (start, end) = text.split_once('-').expect("quiet hours");
                (time_of_day(start.to_string()), time_of_day(end.to_string()))
            }),
            frequency_cap: keys.get("frequency_cap").filter(|cap: &Value| cap != "none").map(|cap| {
                let per = cap["per"].as_str().expect("the cap's per").to_string();
                (cap["messages"].as_u64().expect("the cap's messages") as usize, span(per))
            }),
            holdout: keys.get("holdout").map_or(0.0, share),
            caps_addresses: true,
            weekend: weekend.iter().map(|day| weekday(day)).collect(),
            on_weekends: rest.get("weekends").map_or(Rest::Send, Rest::read),
            on_blackouts: rest.get("blackouts").map_or(Rest::Defer, Rest::read),
        };
        assert!(brand.on_blackouts != Rest::Send, "blackouts: send");
        rest.end(&[]);
        keys.end(&["name", "base_url", "phone_region"]);
        brand
    }

    /// Whether a local date is a day of rest, and of which kind.
    pub fn rest_on(&self, date: NaiveDate, occasions: &DaysOfYear) -> Rest {
        let weekend = if self.weekend.contains(&date.weekday()) { self.on_weekends } else { Rest::Send };
        let blackout = if occasions.blackouts.contains(&date) { self.on_blackouts } else { Rest::Send };
        let both = [weekend, blackout];
        let strictest = [Rest::Skip, Rest::Defer].into_iter().find(|rest| both.contains(rest));
        strictest.unwrap_or(Rest::Send)
    }
}

impl Rest {
    fn read(word: String) -> Rest {
        match word.as_str() {
            "send" => Rest::Send,
            "defer" => Rest::Defer,
            "skip" => Rest::Skip,
            other => panic!("unknown rest {other}"),
        }
    }
}

fn weekday(name: &str) -> Weekday {
    Weekday::from_str(name).expect("a day of the week")
}

/// The named days of the occasions' files, from 1990 to 2040.
#[derive(Default)]
pub struct DaysOfYear {
    rules: BTreeMap<String, Vec<Rule>>,
    blackouts: BTreeSet<NaiveDate>,
}

enum Rule {
    Day(NaiveDate),
    /// The leap rule that the file gives.
    Yearly(Calendar, u32, u32, Option<bool>),
    /// Of a month of a calendar the n-th such day of the week, or the last.
    Nth(Calendar, u32, Weekday, i32),
}

impl DaysOfYear {
    /// Reads the text of each file.
    pub fn from_yaml<'a>(files: impl IntoIterator<Item = &'a str>) -> DaysOfYear {
        let mut days = DaysOfYear::default();
        for file in files {
            let mut file = Keys::read(file);
            for occasion in file.need::<Vec<_>>("occasions") {
                days.add(Keys(occasion));
            }
            file.end(&[]);
        }
        days
    }

    fn add(&mut self, mut keys: Keys) {
        let name: String = keys.need("name");
        let dates: Vec<String> = keys.get("dates").unwrap_or_default();
        let mut rules: Vec<Rule> = Vec::new();
        for text in dates {
            rules.push(Rule::Day(calendar::date(&text).unwrap_or_else(|| panic!("no such date: {text}"))));
        }
        if keys.0.contains_key("every_year") {
            let mut yearly = keys.map("every_year");
            let calendar = Calendar::read(&yearly.need::<String>("calendar"));
            rules.push(match yearly.get::<String>("date") {
                Some(date) => {
                    let (month, day) = calendar::month_and_day(&date);
                    Rule::Yearly(calendar, month, day, yearly.get("leap_day").map(is_after))
                }
                None => Rule::Nth(
                    calendar,
                    yearly.need("month"),
                    weekday(&yearly.need::<String>("weekday")),
                    yearly.need("nth"),
                ),
            });
            yearly.end(&[]);
        }
        assert!(!rules.is_empty(), "{name} has no days");
        let is_blackout = keys.get("blackout").unwrap_or(false);
        keys.end(&[]);
        let is_new = self.rules.insert(name.clone(), rules).is_none();
        assert!(is_new, "{name} stands there twice");
        if is_blackout {
            let dates = self.dates(&name, None);
            self.blackouts.extend(dates);
        }
    }

    /// The dates of an occasion; a leap rule given here goes before that of the file.
    pub fn dates(&self, name: &str, leap_after: Option<bool>) -> Vec<NaiveDate> {
        let rules = self.rules.get(name).unwrap_or_else(|| panic!("no occasion {name}"));
        let mut dates = BTreeSet::new();
        for rule in rules {
            match *rule {
                Rule::Day(date) => dates.extend([date]),
                Rule::Yearly(calendar, month, day, of_file) => {
                    let after = leap_after.or(of_file).unwrap_or(false);
                    dates.extend(years(calendar).filter_map(|year| calendar.celebrated(year, month, day, after)));
                }
                Rule::Nth(calendar, month, weekday, nth) => {
                    dates.extend(years(calendar).filter_map(|year| nth_weekday(calendar, year, month, weekday, nth)));
                }
            }
        }
        dates.into_iter().collect()
    }
}

/// Whether a leap day is celebrated on the day after.
pub fn is_after(word: String) -> bool {
    match word.as_str() {
        "after" => true,
        "before" => false,
        other => panic!("unknown leap_day {other}"),
    }
}

fn years(calendar: Calendar) -> std::ops::RangeInclusive<i32> {
    match calendar {
        Calendar::Gregorian => 1990..=2040,
        Calendar::Persian => 1369..=1419,
    }
}

fn nth_weekday(calendar: Calendar, year: i32, month: u32, weekday: Weekday, nth: i32) -> Option<NaiveDate> {
    let first = calendar.date(year, month, 1)?;
    let of_month = (0..31).map(|day| first + days(day)).filter(|&date| calendar.fields(date).1 == month);
    let found: Vec<NaiveDate> = of_month.filter(|date| date.weekday() == weekday).collect();
    match nth {
        -1 => found.last().copied(),
        1..=5 => found.get(nth as usize - 1).copied(),
        _ => panic!("nth: {nth}"),
    }
}
