//! `coupons.csv`: `code,pool`; the pool of the command line where a row names none.

use super::{Cells, Columns, Rows};
use crate::domain::gift::{parse_code, parse_pool};
use crate::store::gifts::{self, Coupon};
use crate::store::members::Upserted;
use crate::store::{Store, StoreError};

pub(super) struct Coupons<'a> {
    pub store: &'a Store,
    pub pool: Option<&'a str>,
}

impl Rows for Coupons<'_> {
    type Row = Coupon;
    const REQUIRED: &'static [&'static str] = &["code"];
    const OPTIONAL: &'static [&'static str] = &["pool"];
    const KEYS: &'static [&'static str] = &["code"];

    fn decode(&self, cells: &Cells<'_>) -> Option<Coupon> {
        let code = cells.require("code", parse_code);
        let pool = match cells.get("pool") {
            Some(_) => cells.parse("pool", parse_pool),
            None => self.pool.map(str::to_owned),
        };
        if pool.is_none() && cells.get("pool").is_none() {
            let reason = "no pool is named; add the column `pool`, or say --pool NAME".to_owned();
            cells.problems.borrow_mut().push(reason);
        }
        Some(Coupon { code: code?, pool: pool? })
    }

    fn key(row: &Coupon) -> &str {
        &row.code
    }

    async fn write(&self, rows: Vec<Coupon>, _: &Columns) -> Result<(Upserted, Vec<(usize, String)>), StoreError> {
        let mut tx = self.store.begin().await?;
        let inserted = gifts::add(&mut tx, &rows).await?;
        let pools = gifts::pools_of(&mut tx, rows.iter().map(|row| row.code.clone()).collect()).await?;
        tx.commit().await?;
        // A code that is in two pools would be given twice.
        let elsewhere = |(index, row): (usize, &Coupon)| {
            let pool = pools.get(&row.code).filter(|pool| **pool != row.pool)?;
            Some((index, format!("the code is in the pool `{pool}` already")))
        };
        let bad = rows.iter().enumerate().filter_map(elsewhere).collect();
        Ok((Upserted { inserted, ..Upserted::default() }, bad))
    }
}
