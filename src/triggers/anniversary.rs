//! `anniversary`: each yearly return, from year 1, of the local date on which the member joined, of
//! that of the first order, or of a date among the member's attributes.

use chrono::NaiveDate;

use super::{attribute, date_attribute, decode_leap_day, filled_yearly, joined, named, parse_attribute, years_between};
use crate::document::{Table, Value};
use crate::domain::Instant;
use crate::domain::brand::Brand;
use crate::domain::calendar::{LeapDay, in_calendar, local_date, local_midnight, yearly_date};
use crate::domain::member::Member;
use crate::domain::occasion::{Candidate, Features, Occasion, Query, Rows, Trigger};

#[derive(Debug)]
pub(super) struct Anniversary {
    of: Of,
    /// Empty: every year.
    years: Vec<i64>,
    leap_day: LeapDay,
}

/// What returns.
#[derive(Debug)]
enum Of {
    JoinedAt,
    FirstPurchase,
    Attribute(String),
}

pub(super) fn decode(table: &mut Table<'_>) -> Option<Anniversary> {
    let of = table.get_or("of", Of::JoinedAt, decode_of);
    let years = table
        .get_or("years", Vec::new(), |value| value.list()?.into_iter().map(|item| item.integer_in(1..=150)).collect());
    let leap_day = decode_leap_day(table);
    Some(Anniversary { of: of?, years: years?, leap_day: leap_day? })
}

fn decode_of(value: Value<'_>) -> Option<Of> {
    value.parse(|text| match text {
        "joined_at" => Ok(Of::JoinedAt),
        "first_purchase" => Ok(Of::FirstPurchase),
        _ => parse_attribute(text).map(Of::Attribute).map_err(|_| {
            format!("`{text}` has no anniversary here; write joined_at, first_purchase or an attribute such as attributes.wedding")
        }),
    })
}

impl Anniversary {
    /// The local date that returns.
    fn date(&self, candidate: &Candidate, zone: chrono_tz::Tz) -> Option<NaiveDate> {
        match &self.of {
            Of::JoinedAt => candidate.member.joined_at.map(|at| local_date(zone, at)),
            Of::FirstPurchase => candidate.order.as_ref().map(|order| local_date(zone, order.purchased_at)),
            Of::Attribute(name) => date_attribute(candidate, name),
        }
    }
}

impl Trigger for Anniversary {
    fn kind(&self) -> &'static str {
        "anniversary"
    }

    fn counts_from(&self, member: &Member) -> String {
        match &self.of {
            Of::JoinedAt => format!("the yearly return of joining, {}", joined(member)),
            Of::FirstPurchase => "the yearly return of the first order".to_owned(),
            Of::Attribute(name) => format!("the yearly return of {}", attribute(member, name)),
        }
    }

    fn query(&self, rows: Rows, brand: &Brand) -> Option<Query> {
        let by_date = |sql, name: &str, utc| named(filled_yearly(sql, rows, "d.", 0, utc, brand), name);
        Some(match &self.of {
            Of::JoinedAt => filled_yearly(include_str!("anniversary.sql"), rows, "m.joined_", 0, true, brand),
            Of::FirstPurchase => by_date(include_str!("anniversary_first_purchase.sql"), "first_purchase", true),
            Of::Attribute(name) => by_date(include_str!("date.sql"), &format!("attributes.{name}"), false),
        })
    }

    fn occasions(&self, candidate: &Candidate, after: Instant, until: Instant, brand: &Brand) -> Vec<Occasion> {
        let zone = candidate.member.zone(brand);
        let Some(date) = self.date(candidate, zone) else { return Vec::new() };
        let calendar = candidate.member.calendar(brand);
        let (first_year, at) = in_calendar(date, calendar);
        years_between(after, until, calendar)
            .map(|year| (year, i64::from(year - first_year)))
            .filter(|(_, years)| *years >= 1 && (self.years.is_empty() || self.years.contains(years)))
            .filter_map(|(year, years)| {
                let base = local_midnight(zone, yearly_date(year, at, calendar, self.leap_day)?);
                Some(Occasion { key: years.to_string(), base, years: Some(years) })
            })
            .filter(|occasion| after < occasion.base && occasion.base <= until)
            .collect()
    }

    fn features(&self) -> Features {
        Features { is_yearly: true, ..Features::default() }
    }
}
