//! `anniversary`: each yearly return of the local date on which the member joined, from year 1.

use super::{decode_leap_day, filled_yearly, years_between};
use crate::document::Table;
use crate::domain::Instant;
use crate::domain::calendar::{LeapDay, in_calendar, local_date, local_midnight, yearly_date};
use crate::domain::member::Brand;
use crate::domain::occasion::{Candidate, Occasion, Query, Rows, Trigger};

#[derive(Debug)]
pub(super) struct Anniversary {
    /// Empty: every year.
    years: Vec<i64>,
    leap_day: LeapDay,
}

pub(super) fn decode(table: &mut Table<'_>) -> Option<Anniversary> {
    let years = table
        .get_or("years", Vec::new(), |value| value.list()?.into_iter().map(|item| item.integer_in(1..=150)).collect());
    let leap_day = decode_leap_day(table);
    Some(Anniversary { years: years?, leap_day: leap_day? })
}

impl Trigger for Anniversary {
    fn kind(&self) -> &'static str {
        "anniversary"
    }

    fn query(&self, rows: Rows, _: &Brand) -> Option<Query> {
        Some(filled_yearly(include_str!("anniversary.sql"), rows, "joined", 0))
    }

    fn occasions(&self, candidate: &Candidate, after: Instant, until: Instant, brand: &Brand) -> Vec<Occasion> {
        let Some(joined_at) = candidate.member.joined_at else { return Vec::new() };
        let zone = candidate.member.zone(brand);
        let calendar = candidate.member.calendar(brand);
        let (joined_year, at) = in_calendar(local_date(zone, joined_at), calendar);
        years_between(after, until, calendar)
            .map(|year| (year, i64::from(year - joined_year)))
            .filter(|(_, years)| *years >= 1 && (self.years.is_empty() || self.years.contains(years)))
            .filter_map(|(year, years)| {
                let base = local_midnight(zone, yearly_date(year, at, calendar, self.leap_day)?);
                Some(Occasion { key: years.to_string(), base, years: Some(years) })
            })
            .filter(|occasion| after < occasion.base && occasion.base <= until)
            .collect()
    }

    fn is_yearly(&self) -> bool {
        true
    }
}
