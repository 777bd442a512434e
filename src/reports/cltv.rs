//! What all customers are expected to bring.

use serde::Serialize;

use super::sheet::{Cell, Chart, Sheet, Table, Text};
use crate::domain::Instant;
use crate::domain::brand::Brand;
use crate::domain::calendar::local_date;
use crate::domain::money::minor_units;
use crate::store::{StoreError, Tx, models};

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
        let unit = minor_units(&brand.currency);
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
        // As even as whole customers are: of 23 the first tenth has two, the last one three.
        let tenths = (0..10).filter_map(|place| {
            let own = &values[values.len() * place / 10..values.len() * (place + 1) / 10];
            (!own.is_empty()).then_some((place, own))
        });
        let tenths = tenths.map(|(place, values)| {
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
