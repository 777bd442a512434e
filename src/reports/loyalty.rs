//! How loyal customers are: who buys, comes back and stays.

use std::collections::BTreeMap;

use chrono::Duration;
use serde::Serialize;

use super::sheet::{Cell, Chart, Sheet, Table, Text, ratio};
use super::spans::{between, spans};
use crate::domain::Instant;
use crate::domain::brand::Brand;
use crate::domain::money::minor_units;
use crate::domain::period::Periods;
use crate::store::audience_sql::Filter;
use crate::store::loyalty::{self, Gap, Parts, Span, Sum};
use crate::store::{StoreError, Tx};

/// What customers did in a time, all together and part by part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Loyalty {
    pub from: Instant,
    pub to: Instant,
    /// Who bought in so many days is a customer.
    pub active_within_days: f64,
    pub currency: String,
    pub by: String,
    pub parts: Vec<Kept>,
}

/// What the customers of a part did. What has nothing to divide by is null.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Kept {
    pub part: String,
    pub members: i64,
    /// Of their accounts, together.
    pub points: i64,
    /// Customers at the beginning, at the end, and those of the end who were none at the beginning.
    pub customers_at_start: i64,
    pub customers_at_end: i64,
    pub new_customers: i64,
    /// (at the end − new) / at the beginning.
    pub retention: Option<f64>,
    /// 1 − retention.
    pub churn: Option<f64>,
    pub buyers: i64,
    /// Who bought at least twice in the time.
    pub repeat_buyers: i64,
    pub repeat_rate: Option<f64>,
    pub orders: i64,
    pub orders_per_buyer: Option<f64>,
    /// In the brand's currency, like the average order.
    pub revenue: f64,
    pub average_order: Option<f64>,
    /// The median, of orders of the time to the one before.
    pub days_between_orders: Option<f64>,
    /// Valid orders in other currencies: counted as orders, and in no amount.
    pub other_currencies: i64,
}

impl Kept {
    fn new(sum: Sum, days_between_orders: Option<f64>, unit: f64) -> Self {
        let retention = ratio(sum.stayed, sum.at_start);
        let revenue = sum.revenue as f64 / unit;
        Self {
            members: sum.members,
            points: sum.points,
            customers_at_start: sum.at_start,
            customers_at_end: sum.at_end,
            new_customers: sum.at_end - sum.stayed,
            retention,
            churn: retention.map(|kept| 1.0 - kept),
            buyers: sum.buyers,
            repeat_buyers: sum.repeat_buyers,
            repeat_rate: ratio(sum.repeat_buyers, sum.buyers),
            orders: sum.orders,
            orders_per_buyer: ratio(sum.orders, sum.buyers),
            revenue,
            average_order: (sum.priced_orders > 0).then(|| revenue / sum.priced_orders as f64),
            days_between_orders,
            other_currencies: sum.orders - sum.priced_orders,
            part: sum.part,
        }
    }

    /// As a row of a table, behind its name.
    fn row(&self, name: Cell) -> Vec<Cell> {
        vec![
            name,
            Cell::Count(self.members),
            Cell::Count(self.customers_at_start),
            Cell::Count(self.customers_at_end),
            Cell::Count(self.new_customers),
            Cell::share(self.retention),
            Cell::Count(self.buyers),
            Cell::share(self.repeat_rate),
            Cell::Count(self.orders),
            Cell::number(self.orders_per_buyer),
            Cell::Money(self.revenue),
            Cell::money(self.average_order),
            Cell::number(self.days_between_orders),
            Cell::Count(self.points),
        ]
    }
}

/// A day in milliseconds.
const DAY: f64 = 86_400_000.0;

/// The median of lengths of time in days: the middle one, or the mean of the two in the middle.
fn median(gaps: &BTreeMap<i64, i64>) -> Option<f64> {
    let all: i64 = gaps.values().sum();
    let at = |place: i64| {
        let mut seen = 0;
        gaps.iter().find(|(_, orders)| {
            seen += **orders;
            seen > place
        })
    };
    let (low, high) = (at((all - 1) / 2)?.0, at(all / 2)?.0);
    Some((*low as f64 + *high as f64) / 2.0 / DAY)
}

/// What the filter's members did in a time, by part, with a name for each where it is not its own.
async fn kept(
    tx: &mut Tx,
    filter: &Filter<'_>,
    parts: &Parts,
    span: Span,
    (active, currency): (Duration, &str),
) -> Result<Vec<Kept>, StoreError> {
    // Filters that are worked through page by page give a part several times.
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    for sum in loyalty::sums(tx, filter, parts, span, active, currency).await? {
        let all = sums.entry(sum.part.clone()).or_default();
        all.part.clone_from(&sum.part);
        all.members += sum.members;
        all.points += sum.points;
        all.at_start += sum.at_start;
        all.at_end += sum.at_end;
        all.stayed += sum.stayed;
        all.buyers += sum.buyers;
        all.repeat_buyers += sum.repeat_buyers;
        all.orders += sum.orders;
        all.priced_orders += sum.priced_orders;
        all.revenue += sum.revenue;
    }
    let mut gaps: BTreeMap<String, BTreeMap<i64, i64>> = BTreeMap::new();
    for Gap { part, gap, orders } in loyalty::gaps(tx, filter, parts, span).await? {
        *gaps.entry(part).or_default().entry(gap).or_default() += orders;
    }
    let unit = minor_units(currency);
    let of = |sum: Sum| {
        let days = gaps.get(&sum.part).and_then(median);
        Kept::new(sum, days, unit)
    };
    Ok(sums.into_values().map(of).collect())
}

/// By what loyalty is told apart.
#[derive(Debug)]
pub enum By<'a> {
    Parts(Parts),
    /// Each of these filters by itself: a member may be in several.
    Segments(Vec<(&'a str, Filter<'a>)>),
    Periods(Periods),
}

impl Loyalty {
    /// Of the filter's members in a time; `named` is what it is told apart by.
    pub async fn read(
        tx: &mut Tx,
        filter: &Filter<'_>,
        (by, named): (&By<'_>, &str),
        span: Span,
        brand: &Brand,
        active: Duration,
    ) -> Result<Self, StoreError> {
        let how = (active, brand.currency.as_str());
        let mut parts = match by {
            By::Parts(parts) => kept(tx, filter, parts, span, how).await?,
            By::Segments(segments) => {
                let mut all = Vec::new();
                for (name, filter) in segments {
                    let kept = kept(tx, filter, &Parts::All, span, how).await?;
                    all.extend(kept.into_iter().map(|kept| Kept { part: (*name).to_owned(), ..kept }));
                }
                all
            }
            By::Periods(periods) => {
                let mut all = Vec::new();
                for (start, span) in spans(periods, brand, span) {
                    let kept = kept(tx, filter, &Parts::All, span, how).await?;
                    all.extend(kept.into_iter().map(|kept| Kept { part: start.to_string(), ..kept }));
                }
                all
            }
        };
        if matches!(by, By::Parts(_)) {
            parts.sort_by(|one, other| other.members.cmp(&one.members).then_with(|| one.part.cmp(&other.part)));
        }
        Ok(Self {
            from: span.0,
            to: span.1,
            active_within_days: active.num_milliseconds() as f64 / DAY,
            currency: brand.currency.clone(),
            by: named.to_owned(),
            parts,
        })
    }

    /// As it is looked at.
    pub fn sheet(&self, brand: &Brand, periods: Option<Periods>) -> Sheet {
        let rows = self.parts.iter().map(|kept| kept.row(self.name(kept, periods)));
        Sheet {
            title: "How loyal customers are".into(),
            about: vec![
                between(brand, (self.from, self.to)),
                Text::new(
                    "A customer is who has a valid order in the {0} days before.",
                    [Cell::Length(self.active_within_days)],
                ),
            ],
            tables: vec![Table {
                name: "customers",
                columns: columns(periods.is_some()),
                rows: rows.collect(),
                chart: Some(chart(periods.is_some())),
            }],
            notes: self.notes(),
            currency: self.currency.clone(),
        }
    }

    /// What a row is called: its period, its part, or what stands for all or for none.
    fn name(&self, kept: &Kept, periods: Option<Periods>) -> Cell {
        match periods {
            Some(periods) => {
                let period = |start| Cell::Period(periods, start);
                kept.part.parse().map_or_else(|_| Cell::Name(kept.part.clone()), period)
            }
            None if self.by.is_empty() => Cell::word("all"),
            None if kept.part.is_empty() => Cell::word("none"),
            None if self.by == "locale" => Cell::language(&kept.part),
            None => Cell::Name(kept.part.clone()),
        }
    }

    /// What to know of the amounts.
    fn notes(&self) -> Vec<Text> {
        let others: i64 = self.parts.iter().map(|kept| kept.other_currencies).sum();
        let note = || Text::new("{0} orders in other currencies are in no amount.", [Cell::Count(others)]);
        (others > 0).then(note).into_iter().collect()
    }
}

/// The heads of the cells that [`Kept::row`] gives.
fn columns(is_by_period: bool) -> Vec<&'static str> {
    vec![
        if is_by_period { "period" } else { "part" },
        "members",
        "customers before",
        "customers after",
        "new",
        "retention",
        "buyers",
        "repeat rate",
        "orders",
        "orders per buyer",
        "revenue",
        "average order",
        "days between orders",
        "points",
    ]
}

/// Retention and the repeat rate, by their columns.
fn chart(is_by_period: bool) -> Chart {
    let values = vec![5, 7];
    if is_by_period { Chart::Lines { label: 0, values } } else { Chart::Bars { label: 0, values } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_the_two() {
        let day = |days: i64| days * 86_400_000;
        let check = |gaps: &[(i64, i64)], expected| {
            assert_eq!(
                median(&gaps.iter().map(|(days, orders)| (day(*days), *orders)).collect()),
                expected,
                "{gaps:?}"
            );
        };
        check(&[], None);
        check(&[(7, 1)], Some(7.0));
        check(&[(7, 1), (10, 1)], Some(8.5));
        check(&[(7, 2), (10, 1)], Some(7.0));
        check(&[(1, 1), (7, 2), (10, 1), (30, 1)], Some(7.0));
        check(&[(1, 2), (10, 2)], Some(5.5));
    }
}
