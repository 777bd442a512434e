//! `birthday`: once a year, counted from the local midnight of (the birthday − `days_before`).

use chrono::Days;

use super::{UNKNOWN, days_before, decode_leap_day, filled_yearly, years_between};
use crate::document::Table;
use crate::domain::Instant;
use crate::domain::brand::Brand;
use crate::domain::calendar::{LeapDay, local_midnight, yearly_date};
use crate::domain::member::Member;
use crate::domain::occasion::{Candidate, Features, Occasion, Query, Rows, Trigger};

#[derive(Debug)]
pub(super) struct Birthday {
    days_before: u64,
    leap_day: LeapDay,
}

pub(super) fn decode(table: &mut Table<'_>) -> Option<Birthday> {
    let days_before = table.get_or("days_before", 0, |value| value.integer_in(0..=180));
    let leap_day = decode_leap_day(table);
    Some(Birthday { days_before: days_before?.unsigned_abs(), leap_day: leap_day? })
}

impl Trigger for Birthday {
    fn kind(&self) -> &'static str {
        "birthday"
    }

    fn counts_from(&self, member: &Member) -> String {
        let born = member.birth_date.map_or_else(|| UNKNOWN.to_owned(), |date| date.to_string());
        format!("{}the birthday, {born}", days_before(self.days_before))
    }

    fn query(&self, rows: Rows, brand: &Brand) -> Option<Query> {
        Some(filled_yearly(include_str!("birthday.sql"), rows, "m.birth_", self.days_before as i64, false, brand))
    }

    fn occasions(&self, candidate: &Candidate, after: Instant, until: Instant, brand: &Brand) -> Vec<Occasion> {
        let Some(birth) = candidate.member.birth_date else { return Vec::new() };
        let zone = candidate.member.zone(brand);
        let calendar = candidate.member.calendar(brand);
        let ahead = Days::new(self.days_before);
        // A birthday of the coming year can be announced in this one.
        years_between(after, until, calendar)
            .filter(|year| birth.year(calendar).is_none_or(|born| *year > born))
            .filter_map(|year| {
                let date = yearly_date(year, birth.month_day(calendar), calendar, self.leap_day)?;
                let base = local_midnight(zone, date.checked_sub_days(ahead)?);
                Some(Occasion { key: year.to_string(), base, years: None })
            })
            .filter(|occasion| after < occasion.base && occasion.base <= until)
            .collect()
    }

    fn features(&self) -> Features {
        Features { is_yearly: true, ..Features::default() }
    }
}
