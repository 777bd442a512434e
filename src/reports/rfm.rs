//! Members by how recently and how often they bought, and who moved.

use std::collections::BTreeMap;

use serde::Serialize;

use super::sheet::{Cell, Chart, Sheet, Table, Text};
use crate::domain::Instant;
use crate::domain::brand::Brand;
use crate::domain::calendar::local_date;
use crate::domain::money::minor_units;
use crate::domain::rfm::Cuts;
use crate::store::audience_sql::Filter;
use crate::store::loyalty::{self, Span};
use crate::store::{StoreError, Tx, rfm};

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
        let unit = minor_units(&brand.currency);
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
