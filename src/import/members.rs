//! `members.csv`.

use std::collections::BTreeMap;

use super::{Cells, Columns, Rows};
use crate::domain::calendar::{Calendar, parse_instant, parse_zone};
use crate::domain::member::{BirthDate, Brand};
use crate::domain::text::{ascii_digits, tidy};
use crate::domain::{address, phone};
use crate::settings::parse_locale;
use crate::store::members::{self, COLUMNS, MemberRow, Upserted};
use crate::store::{Store, StoreError};

pub(super) struct Members<'a> {
    pub store: &'a Store,
    pub brand: &'a Brand,
    /// Epoch milliseconds.
    pub now: i64,
}

impl Rows for Members<'_> {
    type Row = MemberRow;
    const REQUIRED: &'static [&'static str] = &["external_id"];
    const OPTIONAL: &'static [&'static str] = COLUMNS;
    const FREE_PREFIX: Option<&'static str> = Some("attributes.");

    fn decode(&self, cells: &Cells<'_>) -> Result<MemberRow, String> {
        let text = |name: &str| cells.get(name).map(tidy);
        let mut row = MemberRow {
            external_id: ascii_digits(cells.require("external_id")?),
            email: cells.parse("email", address::parse)?,
            phone: cells.parse("phone", |cell| phone::parse(cell, self.brand.phone_region))?,
            title: text("title"),
            first_name: text("first_name"),
            last_name: text("last_name"),
            locale: cells.parse("locale", parse_locale)?,
            timezone: cells.parse("timezone", |cell| parse_zone(cell).map(|zone| zone.name().to_owned()))?,
            calendar: cells
                .parse("calendar", |cell| cell.to_ascii_lowercase().parse::<Calendar>().map(|c| c.to_string()))?,
            email_consent: cells.parse("email_consent", parse_flag)?.unwrap_or(false),
            sms_consent: cells.parse("sms_consent", parse_flag)?.unwrap_or(false),
            tier: text("tier"),
            points: cells.parse("points", parse_points)?,
            attributes: BTreeMap::new(),
            ..MemberRow::default()
        };
        row.set_birth_date(cells.parse("birth_date", BirthDate::parse)?);
        row.set_joined_at(cells.parse("joined_at", |cell| parse_instant(cell, self.brand.timezone))?);
        for name in cells.columns.names.iter().filter_map(|name| name.strip_prefix("attributes.")) {
            row.attributes.insert(name.to_owned(), cells.get(&format!("attributes.{name}")).map(tidy));
        }
        Ok(row)
    }

    fn key(row: &MemberRow) -> &str {
        &row.external_id
    }

    async fn write(
        &self,
        mut rows: Vec<MemberRow>,
        columns: &Columns,
    ) -> Result<(Upserted, Vec<(usize, String)>), StoreError> {
        let mut tx = self.store.begin().await?;
        let upserted = members::upsert(&mut tx, &mut rows, &columns.present(COLUMNS), self.now).await?;
        tx.commit().await?;
        Ok((upserted, Vec::new()))
    }
}

fn parse_flag(cell: &str) -> Result<bool, String> {
    match ascii_digits(cell).to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" | "بله" => Ok(true),
        "false" | "no" | "0" | "خیر" => Ok(false),
        _ => Err(format!("`{cell}` is not a yes or no; write true or false")),
    }
}

fn parse_points(cell: &str) -> Result<i64, String> {
    let plain = ascii_digits(cell).replace([',', '٬'], "");
    plain.parse().map_err(|_| format!("`{cell}` is not a whole number"))
}
