//! `members.csv`.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;

use super::{ATTRIBUTES, Cells, Columns, Rows};
use crate::domain::birth_date::BirthDate;
use crate::domain::brand::Brand;
use crate::domain::calendar::{Calendar, happened, local_date, parse_instant, parse_zone};
use crate::domain::cell::parse_key;
use crate::domain::message::Channel;
use crate::domain::number::parse_whole;
use crate::domain::text::{ascii_digits, tidy};
use crate::domain::{Instant, address, locale, phone};
use crate::store::erasure::{self, Named};
use crate::store::member_rows::{self, COLUMNS, MemberRow};
use crate::store::members::{self, Upserted};
use crate::store::{Store, StoreError, Tx, consents};

pub(super) struct Members<'a> {
    pub store: &'a Store,
    pub brand: &'a Brand,
    pub now: Instant,
    pub names: Mutex<Names>,
}

/// Rows under other names of members, which merging gave them: they hold where the file has none under the own name.
#[derive(Debug, Default)]
pub(super) struct Names {
    others: Vec<MemberRow>,
    /// The own names that stood in the file, of members that have others.
    own: HashSet<String>,
}

/// The columns in which members say yes or no.
const CONSENTS: [(&str, Channel); 2] = [("email_consent", Channel::Email), ("sms_consent", Channel::Sms)];

impl Members<'_> {
    async fn upsert(&self, tx: &mut Tx, rows: &mut [MemberRow], columns: &Columns) -> Result<Upserted, StoreError> {
        if rows.is_empty() {
            return Ok(Upserted::default());
        }
        member_rows::upsert(tx, rows, &columns.present(COLUMNS), self.now.timestamp_millis()).await
    }

    fn birth_date(&self, cell: &str) -> Result<BirthDate, String> {
        let birth = BirthDate::parse(cell)?;
        let today = local_date(self.brand.timezone, self.now);
        if matches!(birth, BirthDate::Full(date) if date > today) {
            return Err(format!("`{cell}` is in the future"));
        }
        Ok(birth)
    }
}

impl Rows for Members<'_> {
    type Row = MemberRow;
    const REQUIRED: &'static [&'static str] = &["external_id"];
    const OPTIONAL: &'static [&'static str] = COLUMNS;
    const KEYS: &'static [&'static str] = &["external_id"];
    const HAS_ATTRIBUTES: bool = true;

    fn decode(&self, cells: &Cells<'_>) -> Option<MemberRow> {
        let text = |name: &str| cells.get(name).map(tidy);
        let external_id = cells.require("external_id", parse_id);
        let mut row = MemberRow {
            email: cells.parse("email", address::parse),
            phone: cells.parse("phone", |cell| phone::parse(cell, self.brand.phone_region)),
            title: text("title"),
            first_name: text("first_name"),
            last_name: text("last_name"),
            locale: cells.parse("locale", locale::parse),
            timezone: cells.parse("timezone", |cell| parse_zone(cell).map(|zone| zone.name().to_owned())),
            calendar: cells
                .parse("calendar", |cell| cell.to_ascii_lowercase().parse::<Calendar>().map(|c| c.to_string())),
            email_consent: cells.parse("email_consent", parse_flag).unwrap_or(false),
            sms_consent: cells.parse("sms_consent", parse_flag).unwrap_or(false),
            tier: text("tier"),
            points: cells.parse("points", parse_whole),
            attributes: BTreeMap::new(),
            ..MemberRow::default()
        };
        row.set_birth_date(cells.parse("birth_date", |cell| self.birth_date(cell)));
        row.set_joined_at(cells.parse("joined_at", |cell| moment(cell, self.brand, self.now)));
        for name in &cells.columns.names {
            if let Some(attribute) = name.strip_prefix(ATTRIBUTES) {
                row.attributes.insert(attribute.to_owned(), text(name));
            }
        }
        Some(MemberRow { external_id: external_id?, ..row })
    }

    fn key(row: &MemberRow) -> &str {
        &row.external_id
    }

    fn withdrawn(&self, cells: &Cells<'_>) -> Vec<(String, Channel)> {
        let Some(Ok(id)) = cells.get("external_id").map(parse_key) else { return Vec::new() };
        let says_no =
            |(column, _): &(&str, Channel)| cells.get(column).is_some_and(|cell| parse_flag(cell) == Ok(false));
        CONSENTS.into_iter().filter(says_no).map(|(_, channel)| (id.clone(), channel)).collect()
    }

    async fn write(
        &self,
        rows: Vec<MemberRow>,
        columns: &Columns,
    ) -> Result<(Upserted, Vec<(usize, String)>), StoreError> {
        let mut tx = self.store.begin().await?;
        let named: Vec<Vec<Named<'_>>> = rows.iter().map(named).collect();
        let erased = erasure::erased(&mut tx, &named).await?;
        let count = erased.iter().filter(|erased| **erased).count() as u64;
        let mut rows: Vec<MemberRow> =
            rows.into_iter().zip(erased).filter(|(_, erased)| !erased).map(|(row, _)| row).collect();
        let ids = || rows.iter().map(|row| row.external_id.clone()).collect();
        let aliases = members::aliases(&mut tx, ids()).await?;
        let own = members::with_aliases(&mut tx, ids()).await?;
        let mut others = Vec::new();
        rows.retain_mut(|row| match aliases.get(&row.external_id) {
            None => true,
            Some(name) => {
                others.push(MemberRow { external_id: name.clone(), ..std::mem::take(row) });
                false
            }
        });
        let upserted = self.upsert(&mut tx, &mut rows, columns).await?;
        tx.commit().await?;
        if let Ok(mut names) = self.names.lock() {
            names.own.extend(own);
            names.others.extend(others);
        }
        Ok((Upserted { erased: count, ..upserted }, Vec::new()))
    }

    /// Rows under other names of members, where the file has none under their own.
    async fn finish(&self, columns: &Columns) -> Result<Upserted, StoreError> {
        let mut rows = BTreeMap::new();
        if let Ok(names) = self.names.lock() {
            let others = names.others.iter().filter(|row| !names.own.contains(&row.external_id));
            rows.extend(others.map(|row| (row.external_id.clone(), row.clone())));
        }
        let mut rows: Vec<MemberRow> = rows.into_values().collect();
        let mut tx = self.store.begin().await?;
        let upserted = self.upsert(&mut tx, &mut rows, columns).await?;
        tx.commit().await?;
        Ok(upserted)
    }

    async fn withdraw(&self, consents: &[(String, Channel)]) -> Result<u64, StoreError> {
        let mut tx = self.store.begin().await?;
        let withdrawn = consents::withdraw(&mut tx, consents, self.now.timestamp_millis()).await?;
        tx.commit().await?;
        Ok(withdrawn)
    }
}

/// All that may name somebody who was erased.
fn named(row: &MemberRow) -> Vec<Named<'_>> {
    let email = row.email.as_deref().map(|address| Named::Address(Channel::Email, address));
    let phone = row.phone.as_deref().map(|number| Named::Address(Channel::Sms, number));
    [Named::Id(&row.external_id)].into_iter().chain(email).chain(phone).collect()
}

fn parse_id(cell: &str) -> Result<String, String> {
    let id = parse_key(cell)?;
    if erasure::is_reserved(&id) {
        return Err(format!("`{id}` is the name of an erased or merged member in this store"));
    }
    Ok(id)
}

/// Reads when something happened.
pub(super) fn moment(cell: &str, brand: &Brand, now: Instant) -> Result<Instant, String> {
    let at = parse_instant(cell, brand.timezone)?;
    happened(at, now, brand.timezone).map_err(|why| format!("`{cell}` {why}"))
}

/// Reads a yes or no.
pub(super) fn parse_flag(cell: &str) -> Result<bool, String> {
    match tidy(&ascii_digits(cell)).to_lowercase().as_str() {
        "true" | "yes" | "y" | "1" | "بله" => Ok(true),
        "false" | "no" | "n" | "0" | "خیر" | "نه" => Ok(false),
        _ => Err(format!("`{cell}` is not a yes or no; write true or false")),
    }
}
