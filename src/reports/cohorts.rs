//! What comes back of members by the time of their first order.

use chrono::NaiveDate;
use serde::Serialize;

use super::sheet::{Cell, Chart, Sheet, Table, Text, ratio};
use super::spans::{between, spans};
use crate::domain::Instant;
use crate::domain::brand::Brand;
use crate::domain::money::minor_units;
use crate::domain::period::Periods;
use crate::store::audience_sql::Filter;
use crate::store::loyalty::{self, Span};
use crate::store::{StoreError, Tx};

/// Cohorts by the period of the first valid order, and what came back of each.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cohorts {
    pub from: Instant,
    pub to: Instant,
    pub currency: String,
    pub cohorts: Vec<Cohort>,
}

/// Who bought first in a period.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cohort {
    /// The first day of the period.
    pub start: NaiveDate,
    pub members: i64,
    /// What they did in that period and in each that came after it.
    pub periods: Vec<CohortPeriod>,
}

/// What was left of a cohort in a period.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct CohortPeriod {
    pub members: i64,
    /// Of the cohort; null for one of nobody.
    pub share: Option<f64>,
    pub revenue: f64,
}

impl Cohorts {
    /// Of the filter's members whose first order was in a time.
    pub async fn read(
        tx: &mut Tx,
        filter: &Filter<'_>,
        periods: &Periods,
        span: Span,
        brand: &Brand,
    ) -> Result<Self, StoreError> {
        let spans = spans(periods, brand, span);
        let bounds: Vec<Span> = spans.iter().map(|(_, span)| *span).collect();
        let unit = minor_units(&brand.currency);
        let mut cohorts: Vec<Cohort> = spans
            .iter()
            .enumerate()
            .map(|(place, (start, _))| Cohort {
                start: *start,
                members: 0,
                periods: vec![CohortPeriod::default(); spans.len() - place],
            })
            .collect();
        for returned in loyalty::cohorts(tx, filter, &bounds, &brand.currency).await? {
            let place = |at: i64| usize::try_from(at).unwrap_or_default();
            let (cohort, period) = (place(returned.cohort), place(returned.period));
            let after = period.checked_sub(cohort).and_then(|after| cohorts.get_mut(cohort)?.periods.get_mut(after));
            if let Some(found) = after {
                found.members += returned.members;
                found.revenue += returned.revenue as f64 / unit;
            }
        }
        for cohort in &mut cohorts {
            cohort.members = cohort.periods.first().map_or(0, |first| first.members);
            for period in &mut cohort.periods {
                period.share = ratio(period.members, cohort.members);
            }
        }
        Ok(Self { from: span.0, to: span.1, currency: brand.currency.clone(), cohorts })
    }

    /// As it is looked at.
    pub fn sheet(&self, brand: &Brand, periods: Periods) -> Sheet {
        const COLUMNS: &[&str] = &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"];
        let shown = self.cohorts.len().min(COLUMNS.len());
        let columns = [&["first order in", "members"], &COLUMNS[..shown]].concat();
        let table = |name, cell: fn(&CohortPeriod) -> Cell| {
            let row = |cohort: &Cohort| {
                let after = (0..shown).map(|after| cohort.periods.get(after).map_or(Cell::Nothing, cell));
                let head = [Cell::Period(periods, cohort.start), Cell::Count(cohort.members)];
                head.into_iter().chain(after).collect()
            };
            let values = (2..2 + shown).collect();
            let rows = self.cohorts.iter().map(row).collect();
            Table { name, columns: columns.clone(), rows, chart: Some(Chart::Heat { values }) }
        };
        Sheet {
            title: "What comes back of each cohort".into(),
            about: vec![
                between(brand, (self.from, self.to)),
                Text::new(
                    "Members by the {0} of their first order, and what they did so many of them later.",
                    [Cell::word(periods.unit.as_str())],
                ),
            ],
            tables: vec![
                table("share that bought", |period| Cell::share(period.share)),
                table("revenue", |period| Cell::Money(period.revenue)),
            ],
            notes: Vec::new(),
            currency: self.currency.clone(),
        }
    }
}
