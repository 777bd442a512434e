//! How many members an experiment needs, before it begins: from what its audience spends, and how many come to it.

use serde::Serialize;

use super::sheet::{Cell, Chart, Sheet, Table, Text};
use crate::domain::Instant;
use crate::domain::brand::Brand;
use crate::domain::campaign::Campaign;
use crate::domain::experiment::power::{Spending, Split, members_for_lift};
use crate::domain::money::minor_units;
use crate::store::{StoreError, Tx, audience_sql};

/// What a wanted effect takes. Money is in major units of the brand's currency.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Power {
    pub campaign: String,
    /// What was spent up to here is what is expected.
    pub at: Instant,
    /// In so many days, as long as orders count after a message.
    pub within_days: f64,
    pub currency: String,
    /// The share that gets nothing.
    pub holdout: f64,
    /// Those in the audience now, and those of them who bought in that time.
    pub members: u64,
    pub buyers: i64,
    /// Per member, those who bought nothing included; absent without members.
    pub revenue_per_member: Option<f64>,
    pub deviation: Option<f64>,
    /// Who will come to it in the next 28 days.
    pub coming: u64,
    pub wanted: Vec<Wanted>,
}

/// An effect, and what it takes to find it in four of five experiments.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Wanted {
    /// More revenue per member, as a part of what is spent now.
    pub lift: f64,
    pub difference: Option<f64>,
    /// In all arms; absent where nothing is spent, or nobody is held out.
    pub members: Option<u64>,
    /// Until so many have come, at the pace of the next 28 days.
    pub weeks: Option<f64>,
}

/// Weeks over which it is counted who comes.
pub const WEEKS: u32 = 4;

/// A day in milliseconds.
const DAY: f64 = 86_400_000.0;

impl Power {
    /// Works out what these lifts take where a share of the members is held out.
    pub async fn read(
        tx: &mut Tx,
        campaign: &Campaign,
        brand: &Brand,
        (holdout, lifts): (f64, &[f64]),
        (coming, at): (u64, Instant),
    ) -> Result<Self, StoreError> {
        let goal = campaign.experiment.goal;
        let filter = audience_sql::compile(tx, &campaign.audience, brand, at).await?;
        let counts = (goal.min_amount, brand.currency.as_str());
        let (buyers, sums) = audience_sql::spending(tx, &filter, (at - goal.within, at), counts).await?;
        let unit = minor_units(&brand.currency);
        let (mean, deviation) = (sums.mean(unit), sums.variance(unit).map(f64::sqrt));
        let spending = mean.zip(deviation).map(|(mean, deviation)| Spending { mean, deviation });
        // The smallest of the arms that are compared decides.
        let smallest = campaign.experiment.variants.iter().map(|variant| variant.share).fold(1.0, f64::min);
        let split = Split { arm: (1.0 - holdout) * smallest, against: holdout };
        let wanted = lifts.iter().map(|lift| {
            let needed =
                spending.and_then(|spending| members_for_lift(spending, *lift, split)).map(|needed| needed.total);
            let a_week = coming as f64 / f64::from(WEEKS);
            Wanted {
                lift: *lift,
                difference: mean.map(|mean| mean * lift),
                members: needed,
                weeks: needed.filter(|_| coming > 0).map(|needed| needed as f64 / a_week),
            }
        });
        Ok(Self {
            campaign: campaign.name.clone(),
            at,
            within_days: goal.within.num_milliseconds() as f64 / DAY,
            currency: brand.currency.clone(),
            holdout,
            members: sums.n,
            buyers,
            revenue_per_member: mean,
            deviation,
            coming,
            wanted: wanted.collect(),
        })
    }

    /// As it is looked at.
    pub fn sheet(&self) -> Sheet {
        let count = |count: u64| Cell::Count(i64::try_from(count).unwrap_or(i64::MAX));
        let name = || Cell::Name(self.campaign.clone());
        let title = Text::new("What an experiment with {0} takes", [name()]);
        let currency = self.currency.clone();
        let (Some(mean), Some(deviation)) = (self.revenue_per_member, self.deviation) else {
            let nobody = Text::new("Nobody is in the audience of {0}, so nothing can be expected.", [name()]);
            return Sheet { title, about: vec![nobody], tables: vec![], notes: vec![], currency };
        };
        let about = Text::new(
            "{0} members are in the audience of {1} now. In the last {2} days {3} of them bought: {4} a member (deviation {5}). {6} come to it in the next {7} days.",
            [
                count(self.members),
                name(),
                Cell::Length(self.within_days),
                Cell::Count(self.buyers),
                Cell::Amount(mean),
                Cell::Amount(deviation),
                count(self.coming),
                Cell::Count(i64::from(WEEKS) * 7),
            ],
        );
        let row = |one: &Wanted| {
            let needed = one.members.map_or(Cell::Nothing, count);
            vec![Cell::Chosen(one.lift), Cell::change(one.difference), needed, one.weeks.map_or(Cell::Nothing, weeks)]
        };
        Sheet {
            title,
            about: vec![about],
            tables: vec![Table {
                name: "what it takes to find an effect",
                columns: vec!["effect", "more a member", "members it takes", "weeks until they came"],
                rows: self.wanted.iter().map(row).collect(),
                chart: Some(Chart::Bars { label: 0, values: vec![2] }),
            }],
            notes: vec![Text::new(
                "With {0} held out, so that four of five such experiments would find it. Whoever looks every day needs more.",
                [Cell::Chosen(self.holdout)],
            )],
            currency,
        }
    }
}

/// Of more than a hundred weeks nobody counts tenths.
fn weeks(weeks: f64) -> Cell {
    if weeks > 100.0 { Cell::Count(weeks.round() as i64) } else { Cell::Number(weeks) }
}
