//! `purchases.csv`.

use std::collections::HashMap;

use super::members::moment;
use super::{Cells, Columns, Rows};
use crate::domain::Instant;
use crate::domain::brand::Brand;
use crate::domain::calendar::local_date;
use crate::domain::cell::parse_key;
use crate::domain::gift::parse_code;
use crate::domain::money::{parse_amount, parse_currency};
use crate::domain::purchase::OrderStatus;
use crate::domain::text::tidy;
use crate::store::erasure::{self, Named};
use crate::store::members::{self, Upserted};
use crate::store::purchases::{self, OPTIONAL_COLUMNS, PurchaseRow};
use crate::store::{Store, StoreError};

pub(super) struct Purchases<'a> {
    pub store: &'a Store,
    pub brand: &'a Brand,
    pub now: Instant,
}

/// A row whose member is not looked up yet.
#[derive(Clone)]
pub(super) struct Unresolved {
    member: String,
    row: PurchaseRow,
    /// As it stands in the file: how many decimals it may have depends on the currency.
    amount: String,
}

impl Purchases<'_> {
    /// An order or its delivery may be planned, but not years ahead.
    fn moment(&self, cell: &str) -> Result<Instant, String> {
        moment(cell, self.brand, self.now + chrono::Duration::days(366))
    }

    /// Not before the day of the order.
    fn delivered_at(&self, cell: &str, purchased_at: Option<Instant>) -> Result<Instant, String> {
        let (at, zone) = (self.moment(cell)?, self.brand.timezone);
        match purchased_at {
            Some(purchased_at) if local_date(zone, at) < local_date(zone, purchased_at) => {
                Err(format!("`{cell}` is before the order was made"))
            }
            _ => Ok(at),
        }
    }
}

impl Rows for Purchases<'_> {
    type Row = Unresolved;
    const REQUIRED: &'static [&'static str] = &["order_id", "member_external_id", "purchased_at", "amount"];
    const OPTIONAL: &'static [&'static str] = &["currency", "status", "delivered_at", "items", "coupon_code"];

    const KEYS: &'static [&'static str] = &["order_id", "member_external_id"];
    const TEXTS: &'static [&'static str] = &["items"];

    fn decode(&self, cells: &Cells<'_>) -> Option<Unresolved> {
        let order_id = cells.require("order_id", parse_key);
        let member = cells.require("member_external_id", parse_key);
        let purchased_at = cells.require("purchased_at", |cell| self.moment(cell));
        let delivered_at = cells.parse("delivered_at", |cell| self.delivered_at(cell, purchased_at));
        let currency = cells.parse("currency", parse_currency).unwrap_or_else(|| self.brand.currency.clone());
        let amount = cells.require("amount", |cell| Ok(cell.to_owned()));
        let status = cells.parse("status", |cell| cell.to_ascii_lowercase().parse::<OrderStatus>());
        let row = PurchaseRow {
            id: 0,
            order_id: order_id?,
            member_id: 0,
            purchased_at: purchased_at?.timestamp_millis(),
            amount: 0,
            currency,
            status: status.unwrap_or(OrderStatus::Paid).as_str(),
            delivered_at: delivered_at.map(|at| at.timestamp_millis()),
            items: cells.get("items").map(tidy),
            coupon_code: cells.parse("coupon_code", parse_code),
        };
        Some(Unresolved { member: member?, row, amount: amount? })
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
        let named: Vec<_> = rows.iter().map(|row| vec![Named::Id(&row.member)]).collect();
        let erased = erasure::erased(&mut tx, &named).await?;
        let mut good = Vec::with_capacity(rows.len());
        let mut bad = Vec::new();
        for (index, Unresolved { member, mut row, amount }) in rows.into_iter().enumerate() {
            if erased[index] {
                continue;
            }
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
        let erased = erased.into_iter().filter(|erased| *erased).count() as u64;
        Ok((Upserted { erased, ..upserted }, bad))
    }
}
