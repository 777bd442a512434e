//! `purchases.csv`.

use super::{Cells, Columns, Rows};
use crate::domain::calendar::parse_instant;
use crate::domain::member::Brand;
use crate::domain::money::{parse_amount, parse_currency};
use crate::domain::purchase::OrderStatus;
use crate::domain::text::{ascii_digits, tidy};
use crate::store::members::{self, Upserted};
use crate::store::purchases::{self, OPTIONAL_COLUMNS, PurchaseRow};
use crate::store::{Store, StoreError};

pub(super) struct Purchases<'a> {
    pub store: &'a Store,
    pub brand: &'a Brand,
}

/// A row whose member is not looked up yet.
pub(super) struct Unresolved {
    member: String,
    row: PurchaseRow,
}

impl Rows for Purchases<'_> {
    type Row = Unresolved;
    const REQUIRED: &'static [&'static str] = &["order_id", "member_external_id", "purchased_at", "amount"];
    const OPTIONAL: &'static [&'static str] = &["currency", "status", "delivered_at", "items", "coupon_code"];

    fn decode(&self, cells: &Cells<'_>) -> Result<Unresolved, String> {
        let order_id = ascii_digits(cells.require("order_id")?);
        let member = ascii_digits(cells.require("member_external_id")?);
        let instant = |name| cells.parse(name, |cell| parse_instant(cell, self.brand.timezone));
        let currency = cells.parse("currency", parse_currency)?.unwrap_or_else(|| self.brand.currency.clone());
        cells.require("purchased_at")?;
        cells.require("amount")?;
        let row = PurchaseRow {
            id: 0,
            order_id,
            member_id: 0,
            purchased_at: instant("purchased_at")?.map_or(0, |at| at.timestamp_millis()),
            amount: cells.parse("amount", |cell| parse_amount(cell, &currency))?.unwrap_or(0),
            currency,
            status: cells
                .parse("status", |cell| cell.to_ascii_lowercase().parse::<OrderStatus>())?
                .unwrap_or(OrderStatus::Paid)
                .as_str(),
            delivered_at: instant("delivered_at")?.map(|at| at.timestamp_millis()),
            items: cells.get("items").map(tidy),
            coupon_code: cells.get("coupon_code").map(str::to_owned),
        };
        Ok(Unresolved { member, row })
    }

    fn key(row: &Unresolved) -> &str {
        &row.row.order_id
    }

    async fn write(
        &self,
        rows: Vec<Unresolved>,
        columns: &Columns,
    ) -> Result<(Upserted, Vec<(usize, String)>), StoreError> {
        let mut tx = self.store.begin().await?;
        let known = members::keys(&mut tx, rows.iter().map(|row| row.member.clone()).collect()).await?;
        let mut good = Vec::with_capacity(rows.len());
        let mut bad = Vec::new();
        for (index, Unresolved { member, mut row }) in rows.into_iter().enumerate() {
            match known.get(&member) {
                Some(id) => {
                    row.member_id = *id;
                    good.push(row);
                }
                None => bad.push((index, format!("there is no member `{member}`; import members first"))),
            }
        }
        let upserted = if good.is_empty() {
            Upserted::default()
        } else {
            purchases::upsert(&mut tx, &mut good, &columns.present(OPTIONAL_COLUMNS)).await?
        };
        tx.commit().await?;
        Ok((upserted, bad))
    }
}
