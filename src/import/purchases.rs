//! `purchases.csv`.

use std::collections::HashMap;

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
#[derive(Clone)]
pub(super) struct Unresolved {
    member: String,
    row: PurchaseRow,
    /// As it stands in the file: how many decimals it may have depends on the currency.
    amount: String,
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
        let amount = cells.require("amount")?.to_owned();
        let row = PurchaseRow {
            id: 0,
            order_id,
            member_id: 0,
            purchased_at: instant("purchased_at")?.map_or(0, |at| at.timestamp_millis()),
            amount: 0,
            currency,
            status: cells
                .parse("status", |cell| cell.to_ascii_lowercase().parse::<OrderStatus>())?
                .unwrap_or(OrderStatus::Paid)
                .as_str(),
            delivered_at: instant("delivered_at")?.map(|at| at.timestamp_millis()),
            items: cells.get("items").map(tidy),
            coupon_code: cells.get("coupon_code").map(str::to_owned),
        };
        Ok(Unresolved { member, row, amount })
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
        // Where the file does not say it, an order keeps its currency.
        let currencies = if columns.index("currency").is_none() {
            purchases::currencies(&mut tx, rows.iter().map(|row| row.row.order_id.clone()).collect()).await?
        } else {
            HashMap::new()
        };
        let mut good = Vec::with_capacity(rows.len());
        let mut bad = Vec::new();
        for (index, Unresolved { member, mut row, amount }) in rows.into_iter().enumerate() {
            let Some(id) = known.get(&member) else {
                bad.push((index, format!("there is no member `{member}`; import members first")));
                continue;
            };
            row.member_id = *id;
            if let Some(currency) = currencies.get(&row.order_id) {
                row.currency.clone_from(currency);
            }
            match parse_amount(&amount, &row.currency) {
                Ok(minor) => {
                    row.amount = minor;
                    good.push(row);
                }
                Err(reason) => bad.push((index, format!("amount: {reason}"))),
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
