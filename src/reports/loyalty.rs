//! What customers are worth: who buys, comes back and stays, cohorts, scores and who moved between them, and what all are
//! expected to bring.

use std::collections::BTreeMap;

use chrono::{Duration, NaiveDate};
use serde::Serialize;

use super::sheet::{Cell, Chart, Sheet, Table, Text, ratio};
use crate::domain::Instant;
use crate::domain::brand::Brand;
use crate::domain::calendar::{local_date, local_midnight};
use crate::domain::money::decimals;
use crate::domain::period::Periods;
use crate::domain::rfm::Cuts;
use crate::store::audience_sql::Filter;
use crate::store::loyalty::{self, Gap, Parts, Span, Sum};
use crate::store::{StoreError, Tx, models, rfm};

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

fn unit(currency: &str) -> f64 {
    10_f64.powi(decimals(currency).try_into().unwrap_or(2))
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
    let unit = unit(currency);
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
        let name = |kept: &Kept| match periods {
            Some(periods) => {
                let period = |start| Cell::Period(periods, start);
                kept.part.parse().map_or_else(|_| Cell::Name(kept.part.clone()), period)
            }
            None if self.by.is_empty() => Cell::word("all"),
            None if kept.part.is_empty() => Cell::word("none"),
            None => Cell::Name(kept.part.clone()),
        };
        let row = |kept: &Kept| {
            vec![
                name(kept),
                Cell::Count(kept.members),
                Cell::Count(kept.customers_at_start),
                Cell::Count(kept.customers_at_end),
                Cell::Count(kept.new_customers),
                Cell::share(kept.retention),
                Cell::Count(kept.buyers),
                Cell::share(kept.repeat_rate),
                Cell::Count(kept.orders),
                Cell::number(kept.orders_per_buyer),
                Cell::Money(kept.revenue),
                Cell::money(kept.average_order),
                Cell::number(kept.days_between_orders),
                Cell::Count(kept.points),
            ]
        };
        let columns = vec![
            "part",
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
        ];
        let chart = match periods {
            Some(_) => Chart::Lines { label: 0, values: vec![5, 7] },
            None => Chart::Bars { label: 0, values: vec![5, 7] },
        };
        let others: i64 = self.parts.iter().map(|kept| kept.other_currencies).sum();
        let mut notes = Vec::new();
        if others > 0 {
            notes.push(Text::new("{0} orders in other currencies are in no amount.", [Cell::Count(others)]));
        }
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
                columns,
                rows: self.parts.iter().map(row).collect(),
                chart: Some(chart),
            }],
            notes,
            currency: self.currency.clone(),
        }
    }
}

/// A time in words, by the brand's dates.
fn between(brand: &Brand, (from, to): Span) -> Text {
    let last = to - Duration::milliseconds(1);
    Text::new("From {0} to {1}.", [from, last].map(|at| Cell::Date(local_date(brand.timezone, at))))
}

/// The periods that a time touches, each from its first day on and within the time.
fn spans(periods: &Periods, brand: &Brand, (from, to): Span) -> Vec<(NaiveDate, Span)> {
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
        let unit = unit(&brand.currency);
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

/// Members by their scores at an instant, and who moved there since an earlier one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rfm {
    pub from: Instant,
    pub at: Instant,
    pub fitted_at: Instant,
    pub cuts: Cuts,
    pub currency: String,
    /// By the scores of recency and frequency, from the worst to the best.
    pub grid: Vec<Square>,
    /// Who had other scores at the earlier instant; a score of 0: had not bought by then.
    pub moves: Vec<Move>,
}

/// Members with the same two scores.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Square {
    pub recency: i64,
    pub frequency: i64,
    pub members: i64,
    /// What they spent so far.
    pub revenue: f64,
}

/// Members who went from one square to another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Move {
    pub recency_before: i64,
    pub frequency_before: i64,
    pub recency: i64,
    pub frequency: i64,
    pub members: i64,
}

impl Rfm {
    /// By the cut points in use; `None` where there are none.
    pub async fn read(
        tx: &mut Tx,
        filter: &Filter<'_>,
        (from, at): Span,
        brand: &Brand,
    ) -> Result<Option<Self>, StoreError> {
        let Some(fitted) = rfm::current(tx).await? else { return Ok(None) };
        let unit = unit(&brand.currency);
        let mut grid: BTreeMap<(i64, i64), (i64, f64)> = BTreeMap::new();
        let mut moves: BTreeMap<(i64, i64, i64, i64), i64> = BTreeMap::new();
        for recency in 1..=5 {
            for frequency in 1..=5 {
                grid.insert((recency, frequency), (0, 0.0));
            }
        }
        for moved in loyalty::moves(tx, filter, &fitted.cuts, (from, at), &brand.currency).await? {
            let (before, now) = ((moved.recency_before, moved.frequency_before), (moved.recency, moved.frequency));
            let square = grid.entry(now).or_default();
            *square = (square.0 + moved.members, square.1 + moved.spent as f64 / unit);
            if before != now {
                *moves.entry((before.0, before.1, now.0, now.1)).or_default() += moved.members;
            }
        }
        let squares = grid.into_iter().map(|((recency, frequency), (members, revenue))| Square {
            recency,
            frequency,
            members,
            revenue,
        });
        let moves = moves.into_iter().map(|((recency_before, frequency_before, recency, frequency), members)| Move {
            recency_before,
            frequency_before,
            recency,
            frequency,
            members,
        });
        Ok(Some(Self {
            from,
            at,
            fitted_at: fitted.fitted_at,
            cuts: fitted.cuts,
            currency: brand.currency.clone(),
            grid: squares.collect(),
            moves: moves.collect(),
        }))
    }

    /// As it is looked at.
    pub fn sheet(&self, brand: &Brand) -> Sheet {
        const SCORES: [&str; 5] = ["bought 1 (least)", "bought 2", "bought 3", "bought 4", "bought 5 (most)"];
        let rows = (1..=5).rev().map(|recency| {
            let members = (1..=5).map(|frequency| {
                let of = |square: &&Square| (square.recency, square.frequency) == (recency, frequency);
                Cell::Count(self.grid.iter().find(of).map_or(0, |square| square.members))
            });
            std::iter::once(Cell::Word(Text::new("last order {0}", [Cell::Count(recency)]))).chain(members).collect()
        });
        let columns = [&["recency"], &SCORES[..]].concat();
        let grid = Table {
            name: "members by score",
            columns,
            rows: rows.collect(),
            chart: Some(Chart::Heat { values: (1..6).collect() }),
        };
        let mut moves: BTreeMap<(i64, i64), i64> = BTreeMap::new();
        for one in &self.moves {
            *moves.entry((one.recency_before, one.recency)).or_default() += one.members;
        }
        let score = |score: i64| if score == 0 { Cell::word("no order yet") } else { Cell::Count(score) };
        let rows = moves.into_iter().filter(|((before, now), _)| before != now);
        let rows = rows.map(|((before, now), members)| vec![score(before), score(now), Cell::Count(members)]);
        let [from, at] = [self.from, self.at].map(|at| Cell::Date(local_date(brand.timezone, at)));
        Sheet {
            title: "How recently and how often members bought".into(),
            about: vec![Text::new("Scores at {0}, 5 is best; who moved since {1}.", [at, from])],
            tables: vec![
                grid,
                Table {
                    name: "moves of recency",
                    columns: vec!["from score", "to score", "members"],
                    rows: rows.collect(),
                    chart: None,
                },
            ],
            notes: vec![Text::new(
                "Scores are fifths of all members with orders, as cut at {0}.",
                [Cell::Date(local_date(brand.timezone, self.fitted_at))],
            )],
            currency: self.currency.clone(),
        }
    }
}

/// What all customers are expected to bring in the next 12 months.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cltv {
    pub at: Instant,
    pub currency: String,
    pub discount: f64,
    pub customers: i64,
    /// Expected to buy again.
    pub alive: f64,
    /// Absent without a model of spending.
    pub expected_revenue: Option<f64>,
    /// Tenths of the customers by what is expected of each, the best first.
    pub tenths: Vec<Tenth>,
}

/// A tenth of the customers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tenth {
    pub tenth: i64,
    pub customers: i64,
    pub expected_revenue: f64,
    pub share: Option<f64>,
    /// What each of them is expected to bring at least.
    pub least: f64,
}

/// Customers read at a time.
const PAGE: i64 = 5_000;

impl Cltv {
    /// By the models in use; `None` where there are none.
    pub async fn read(tx: &mut Tx, at: Instant, brand: &Brand) -> Result<Option<Self>, StoreError> {
        let Some(fitted) = models::newest(tx).await? else { return Ok(None) };
        let models = fitted.models(&brand.currency);
        let unit = unit(&brand.currency);
        let (mut values, mut alive, mut after) = (Vec::new(), 0.0, 0);
        let mut is_priced = true;
        while let Some(page) = models::customers(tx, after, PAGE, at, &brand.currency).await? {
            after = page.last;
            for (_, customer) in &page.customers {
                alive += models.probability_alive(customer);
                let revenue = models.expected_revenue(customer, brand.discount);
                is_priced &= revenue.is_some();
                values.push(revenue.unwrap_or_default() / unit);
            }
        }
        values.sort_by(|one, other| other.total_cmp(one));
        let total: f64 = values.iter().sum();
        let size = values.len().div_ceil(10).max(1);
        let tenths = values.chunks(size).enumerate().map(|(place, values)| {
            let revenue = values.iter().sum();
            Tenth {
                tenth: place as i64 + 1,
                customers: values.len() as i64,
                expected_revenue: revenue,
                share: (total > 0.0).then(|| revenue / total),
                least: values.last().copied().unwrap_or_default(),
            }
        });
        Ok(Some(Self {
            at,
            currency: brand.currency.clone(),
            discount: brand.discount,
            customers: values.len() as i64,
            alive,
            expected_revenue: is_priced.then_some(total),
            tenths: if is_priced { tenths.collect() } else { Vec::new() },
        }))
    }

    /// As it is looked at.
    pub fn sheet(&self, brand: &Brand) -> Sheet {
        let row = |tenth: &Tenth| {
            vec![
                Cell::Count(tenth.tenth),
                Cell::Count(tenth.customers),
                Cell::Money(tenth.expected_revenue),
                Cell::share(tenth.share),
                Cell::Money(tenth.least),
            ]
        };
        let all = vec![
            vec![Cell::word("customers"), Cell::Count(self.customers)],
            vec![Cell::word("expected to buy again"), Cell::Count(self.alive.round() as i64)],
            vec![Cell::word("expected revenue"), Cell::money(self.expected_revenue)],
        ];
        let columns = vec!["tenth", "customers", "expected revenue", "share", "least a customer"];
        Sheet {
            title: "What customers are expected to bring".into(),
            about: vec![Text::new("In the 12 months from {0} on.", [Cell::Date(local_date(brand.timezone, self.at))])],
            tables: vec![
                Table { name: "all", columns: vec!["what", "number"], rows: all, chart: None },
                Table {
                    name: "tenths of the customers, the best first",
                    columns,
                    rows: self.tenths.iter().map(row).collect(),
                    chart: Some(Chart::Bars { label: 0, values: vec![2] }),
                },
            ],
            notes: Vec::new(),
            currency: self.currency.clone(),
        }
    }
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
