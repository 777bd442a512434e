//! `date`: a date among the member's attributes, on the day itself, or on it and each yearly return.

use chrono::Days;

use super::{
    attribute, date_attribute, days_before, decode_leap_day, filled_dates, filled_yearly, named, parse_attribute,
    years_between,
};
use crate::document::Table;
use crate::domain::Instant;
use crate::domain::brand::Brand;
use crate::domain::calendar::{LeapDay, in_calendar, local_midnight, yearly_date};
use crate::domain::member::Member;
use crate::domain::occasion::{Candidate, Features, Occasion, Query, Rows, Trigger};

#[derive(Debug)]
pub(super) struct OnDate {
    /// The attribute's name.
    attribute: String,
    every_year: bool,
    days_before: u64,
    leap_day: LeapDay,
}

pub(super) fn decode(table: &mut Table<'_>) -> Option<OnDate> {
    let attribute = table.require("field").and_then(|value| value.parse(parse_attribute));
    let every_year = table.get_or("every", false, |value| value.one_of(&[("once", false), ("year", true)]));
    let days_before = table.get_or("days_before", 0, |value| value.integer_in(0..=180));
    let leap_day = decode_leap_day(table);
    Some(OnDate {
        attribute: attribute?,
        every_year: every_year?,
        days_before: days_before?.unsigned_abs(),
        leap_day: leap_day?,
    })
}

impl Trigger for OnDate {
    fn kind(&self) -> &'static str {
        "date"
    }

    fn counts_from(&self, member: &Member) -> String {
        let returns = if self.every_year { " and its yearly returns" } else { "" };
        format!("{}{}{returns}", days_before(self.days_before), attribute(member, &self.attribute))
    }

    fn query(&self, rows: Rows, brand: &Brand) -> Option<Query> {
        let (sql, shift) = (include_str!("date.sql"), self.days_before as i64);
        let query = if self.every_year {
            filled_yearly(sql, rows, "d.", shift, false, brand)
        } else {
            filled_dates(sql, rows, shift)
        };
        Some(named(query, &format!("attributes.{}", self.attribute)))
    }

    fn occasions(&self, candidate: &Candidate, after: Instant, until: Instant, brand: &Brand) -> Vec<Occasion> {
        let Some(date) = date_attribute(candidate, &self.attribute) else { return Vec::new() };
        let zone = candidate.member.zone(brand);
        let ahead = Days::new(self.days_before);
        let occasion = |key: String, date: chrono::NaiveDate| {
            let base = local_midnight(zone, date.checked_sub_days(ahead)?);
            (after < base && base <= until).then_some(Occasion { key, base, years: None })
        };
        if !self.every_year {
            return occasion(date.to_string(), date).into_iter().collect();
        }
        let calendar = candidate.member.calendar(brand);
        let (first_year, at) = in_calendar(date, calendar);
        // A return in the coming year can be announced in this one.
        years_between(after, until, calendar)
            .filter(|year| *year >= first_year)
            .filter_map(|year| occasion(year.to_string(), yearly_date(year, at, calendar, self.leap_day)?))
            .collect()
    }

    fn features(&self) -> Features {
        Features { is_yearly: self.every_year, ..Features::default() }
    }
}
