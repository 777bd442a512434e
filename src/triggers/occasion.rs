//! `occasion`: for everybody, on each date of an occasion of the brand's almanac, counted from the
//! local midnight of (the date − `days_before`).

use chrono::{Days, NaiveDate};
use chrono_tz::Tz;

use super::{dates_of_midnights, filled, filled_zones};
use crate::document::{Table, expected};
use crate::domain::Instant;
use crate::domain::almanac::Dates;
use crate::domain::calendar::{LeapDay, local_midnight};
use crate::domain::member::Brand;
use crate::domain::occasion::{Candidate, Occasion as Arising, Query, Rows, Trigger};

#[derive(Debug)]
pub(super) struct Occasion {
    dates: Dates,
    days_before: u64,
    /// In place of the occasion's own.
    leap_day: Option<LeapDay>,
}

pub(super) fn decode(table: &mut Table<'_>, brand: &Brand) -> Option<Occasion> {
    let dates = table.require("occasion").and_then(|value| {
        let name = value.text()?;
        let days = &brand.almanac.days;
        if let Some(day) = days.get(&name) {
            return Some(day.dates.clone());
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
    Some(Occasion { dates: dates?, days_before: days_before?.unsigned_abs(), leap_day: leap_day? })
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

    fn is_for_everybody(&self) -> bool {
        true
    }
}
