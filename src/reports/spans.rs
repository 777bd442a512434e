//! The time that a report is of, in words and in periods.

use chrono::{Duration, NaiveDate};

use super::sheet::{Cell, Text};
use crate::domain::brand::Brand;
use crate::domain::calendar::{local_date, local_midnight};
use crate::domain::period::Periods;
use crate::store::loyalty::Span;

/// A time in words, by the brand's dates.
pub(super) fn between(brand: &Brand, (from, to): Span) -> Text {
    let last = to - Duration::milliseconds(1);
    Text::new("From {0} to {1}.", [from, last].map(|at| Cell::Date(local_date(brand.timezone, at))))
}

/// The periods that a time touches, each from its first day on and within the time.
pub(super) fn spans(periods: &Periods, brand: &Brand, (from, to): Span) -> Vec<(NaiveDate, Span)> {
    let midnight = |date| local_midnight(brand.timezone, date);
    let mut start = periods.start(local_date(brand.timezone, from));
    let mut all = Vec::new();
    while midnight(start) < to {
        let next = periods.next(start);
        all.push((start, (midnight(start).max(from), midnight(next).min(to))));
        start = next;
    }
    all
}
