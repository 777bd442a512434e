//! `suppressions.csv`: `address,purpose,reason,at`; without a purpose, both.

use super::members::moment;
use super::{Cells, Columns, Rows};
use crate::domain::brand::Brand;
use crate::domain::message::{Channel, Purpose};
use crate::domain::{Instant, address, phone};
use crate::store::erasure::{self, Named};
use crate::store::members::Upserted;
use crate::store::suppressions::{self, Suppression};
use crate::store::{Store, StoreError};

pub(super) struct Suppressions<'a> {
    pub store: &'a Store,
    pub brand: &'a Brand,
    pub now: Instant,
}

/// One line: an address closed for some purposes.
#[derive(Clone)]
pub(super) struct Line {
    key: String,
    rows: Vec<Suppression>,
}

impl Rows for Suppressions<'_> {
    type Row = Line;
    const REQUIRED: &'static [&'static str] = &["address"];
    const OPTIONAL: &'static [&'static str] = &["purpose", "reason", "at"];

    const KEYS: &'static [&'static str] = &["address"];
    const TEXTS: &'static [&'static str] = &["reason"];

    fn decode(&self, cells: &Cells<'_>) -> Option<Line> {
        let parse = |cell: &str| {
            if cell.contains('@') { address::parse(cell) } else { phone::parse(cell, self.brand.phone_region) }
        };
        let address = cells.require("address", parse);
        let purpose = cells.parse("purpose", |cell| cell.to_ascii_lowercase().parse::<Purpose>());
        let reason = cells.get("reason").unwrap_or("imported");
        let at = cells.parse("at", |cell| moment(cell, self.brand, self.now)).unwrap_or(self.now);
        let address = address?.to_lowercase();
        let closed = |purpose: Purpose| Suppression {
            address: address.clone(),
            purpose: purpose.as_str(),
            reason: reason.to_owned(),
            created_at: at.timestamp_millis(),
        };
        let rows = purpose.map_or(Purpose::ALL.to_vec(), |purpose| vec![purpose]).into_iter().map(closed).collect();
        Some(Line { key: address, rows })
    }

    fn key(row: &Line) -> &str {
        &row.key
    }

    /// Two rows may close an address for one purpose each.
    fn identity(row: &Line) -> String {
        row.rows.iter().fold(row.key.clone(), |id, closed| id + " " + closed.purpose)
    }

    async fn write(&self, lines: Vec<Line>, _: &Columns) -> Result<(Upserted, Vec<(usize, String)>), StoreError> {
        let mut tx = self.store.begin().await?;
        let channel = |line: &Line| if line.key.contains('@') { Channel::Email } else { Channel::Sms };
        let named: Vec<_> = lines.iter().map(|line| vec![Named::Address(channel(line), &line.key)]).collect();
        let is_erased = erasure::erased(&mut tx, &named).await?;
        let erased = is_erased.iter().filter(|erased| **erased).count() as u64;
        let kept = lines.iter().zip(&is_erased).filter(|(_, erased)| !**erased);
        let rows: Vec<Suppression> = kept.flat_map(|(line, _)| line.rows.iter().cloned()).collect();
        let inserted = suppressions::insert(&mut tx, &rows).await?;
        tx.commit().await?;
        // A line counts as one, however many purposes it closes.
        let inserted = inserted.min(lines.len() as u64 - erased);
        Ok((Upserted { inserted, updated: 0, erased }, Vec::new()))
    }
}
