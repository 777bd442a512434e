//! `occasion`: for everybody, on each date of an occasion of the brand's almanac, counted from the
//! local midnight of (the date − `days_before`).

use chrono::{Days, NaiveDate};
use chrono_tz::Tz;

use super::{dates_of_midnights, days_before, filled, filled_zones};
use crate::document::{Table, expected};
use crate::domain::Instant;
use crate::domain::almanac::Dates;
use crate::domain::brand::Brand;
use crate::domain::calendar::{LeapDay, local_midnight};
use crate::domain::member::Member;
use crate::domain::occasion::{Candidate, Features, Occasion as Arising, Query, Rows, Trigger};

#[derive(Debug)]
pub(super) struct Occasion {
    name: String,
    dates: Dates,
    days_before: u64,
    /// In place of the occasion's own.
    leap_day: Option<LeapDay>,
}

pub(super) fn decode(table: &mut Table<'_>, brand: &Brand) -> Option<Occasion> {
    let named = table.require("occasion").and_then(|value| {
        let name = value.text()?;
        let days = &brand.almanac.days;
        if let Some(day) = days.get(&name) {
            return Some((name, day.dates.clone()));
        }
        let names: Vec<&str> = days.keys().map(String::as_str).collect();
        let known = match names.is_empty() {
            true => "there are no files in the folder that the setting `occasions` names".to_owned(),
            false => expected(&name, &names),
        };
        value.problem(format!("there is no occasion `{name}`; {known}"));
        None
    });
    let days_before = table.get_or("days_before", 0, |value| value.integer_in(0..=180));
    let leap_day = table.get_or("leap_day", None, |value| value.one_of(LeapDay::WORDS).map(Some));
    let (name, dates) = named?;
    Some(Occasion { name, dates, days_before: days_before?.unsigned_abs(), leap_day: leap_day? })
}

impl Occasion {
    /// The dates that may count from an instant in (after, until], on whatever clock.
    fn dates(&self, after: Instant, until: Instant) -> Vec<NaiveDate> {
        let midnights = dates_of_midnights(after, until);
        let ahead = Days::new(self.days_before);
        let span = midnights.start().checked_add_days(ahead).zip(midnights.end().checked_add_days(ahead));
        span.map_or(Vec::new(), |(first, last)| self.dates.between(first..=last, self.leap_day))
    }

    fn base(&self, date: NaiveDate, zone: Tz) -> Option<Instant> {
        Some(local_midnight(zone, date.checked_sub_days(Days::new(self.days_before))?))
    }
}

impl Trigger for Occasion {
    fn kind(&self) -> &'static str {
        "occasion"
    }

    fn counts_from(&self, _: &Member) -> String {
        format!("{}each {}", days_before(self.days_before), self.name)
    }

    fn query(&self, rows: Rows, brand: &Brand) -> Option<Query> {
        let sql = include_str!("occasion.sql");
        let Rows::Base { after, until } = rows else { return Some(filled(sql, rows, "", 0)) };
        let dates = self.dates(after, until);
        if dates.is_empty() {
            return None;
        }
        filled_zones(sql, brand, |zone| {
            let mut bases = dates.iter().filter_map(|date| self.base(*date, zone));
            bases.any(|base| after < base && base <= until)
        })
    }

    fn occasions(&self, candidate: &Candidate, after: Instant, until: Instant, brand: &Brand) -> Vec<Arising> {
        let zone = candidate.member.zone(brand);
        self.dates(after, until)
            .into_iter()
            .filter_map(|date| Some(Arising { key: date.to_string(), base: self.base(date, zone)?, years: None }))
            .filter(|arising| after < arising.base && arising.base <= until)
            .collect()
    }

    fn features(&self) -> Features {
        Features { is_for_everybody: true, ..Features::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::campaign::Campaign;
    use crate::domain::member::samples;

    fn parse(trigger: &str) -> Result<Campaign, String> {
        let mut brand = samples::brand();
        let days = "occasions: [{ name: nowruz, every_year: { calendar: persian, date: 01-01 } }, \
            { name: leap, every_year: { calendar: persian, date: 12-30 } }]";
        assert_eq!(brand.almanac.read([("days.yaml".to_owned(), days)]), []);
        let text = format!("name: x\nchannels: [email]\ncontent: x\ntrigger:\n  kind: occasion\n{trigger}\n");
        Campaign::parse("x.yaml", &text, &brand, crate::triggers::ALL).map_err(|problems| problems.to_string())
    }

    #[test]
    fn an_unknown_occasion_is_an_error_that_names_the_near_one() {
        let check = |trigger: &str, expected: &str| assert_eq!(parse(trigger).unwrap_err(), expected);
        check(
            "  occasion: norouz",
            "x.yaml:6:13: there is no occasion `norouz`; did you mean `nowruz`? Valid here: `leap`, `nowruz`",
        );
        check("  days_before: 3", "x.yaml:5:3: `occasion` is missing");
        let plain = Campaign::parse(
            "x.yaml",
            "name: x\nchannels: [email]\ncontent: x\ntrigger: { kind: occasion, occasion: nowruz }",
            &samples::brand(),
            crate::triggers::ALL,
        );
        let found = plain.unwrap_err().to_string();
        assert!(found.ends_with("there are no files in the folder that the setting `occasions` names"), "{found}");
    }

    #[test]
    fn members_are_looked_at_only_where_the_day_begins() {
        let brand = samples::brand();
        let zones = |campaign: &Campaign, after: &str, until: &str| {
            let rows = Rows::Base { after: after.parse().unwrap(), until: until.parse().unwrap() };
            campaign.trigger.query(rows, &brand).map(|query| query.sql)
        };
        let nowruz = parse("  occasion: nowruz").unwrap();
        assert_eq!(zones(&nowruz, "2025-03-20T09:00:00Z", "2025-03-20T09:45:00Z"), None);
        assert_eq!(zones(&nowruz, "2025-03-21T12:00:00Z", "2026-03-20T09:00:00Z"), None);
        let first = zones(&nowruz, "2025-03-20T09:45:00Z", "2025-03-20T10:15:00Z").unwrap();
        assert!(first.contains("'Pacific/Kiritimati'") && !first.contains("'Pacific/Apia'"), "{first}");
        let tehran = zones(&nowruz, "2025-03-20T20:29:00Z", "2025-03-20T20:30:00Z").unwrap();
        assert!(tehran.contains("IN ('Asia/Tehran', 'Iran')"), "{tehran}");
        let all = zones(&nowruz, "2025-03-20T00:00:00Z", "2025-03-22T00:00:00Z").unwrap();
        assert!(!all.contains("timezone"), "{all}");
        let before = parse("  occasion: nowruz\n  days_before: 3").unwrap();
        assert!(zones(&before, "2025-03-17T20:29:00Z", "2025-03-17T20:30:00Z").unwrap().contains("'Asia/Tehran'"));
    }

    #[test]
    fn the_campaigns_leap_rule_stands_in_for_the_files() {
        let member = samples::member();
        let candidate = Candidate { member, order: None, history: None, ordinal: 0 };
        let (after, until) = ("2026-01-01T00:00:00Z".parse().unwrap(), "2026-12-31T00:00:00Z".parse().unwrap());
        let keys = |more: &str| {
            let campaign = parse(&format!("  occasion: leap\n{more}")).unwrap();
            let found = campaign.trigger.occasions(&candidate, after, until, &samples::brand());
            found.into_iter().map(|occasion| occasion.key).collect::<Vec<_>>()
        };
        assert_eq!(keys(""), ["2026-03-20"]);
        assert_eq!(keys("  leap_day: after"), ["2026-03-21"]);
    }
}
