//! Members as a file gives them, and how a batch of them is written.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use super::consents::{self, Answer};
use super::members::{self, Upserted, next_change, take_numbers};
use super::{Result, Rows, Texts, Tx, dates, execute, query, statements};
use crate::domain::Instant;
use crate::domain::birth_date::BirthDate;
use crate::domain::calendar::{Calendar, in_calendar, parse_life_date};
use crate::domain::message::Channel;

statements! {
    EXISTING = "SELECT external_id, id FROM members WHERE external_id {in $1}";
}

/// What an import may set, in column order; only those that the file has are written.
pub const COLUMNS: &[&str] = &[
    "email",
    "phone",
    "title",
    "first_name",
    "last_name",
    "birth_date",
    "joined_at",
    "locale",
    "timezone",
    "calendar",
    "email_consent",
    "sms_consent",
    "tier",
    "points",
];

/// A member as a file gives it. Columns that the file does not have are not written.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MemberRow {
    /// Set when the batch is written.
    pub id: i64,
    /// Whether the member is there already; set when the batch is written.
    pub known: bool,
    pub external_id: String,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub title: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub birth_date: Option<String>,
    pub birth_gregorian: Option<i64>,
    pub birth_persian: Option<i64>,
    pub joined_at: Option<i64>,
    pub joined_gregorian: Option<i64>,
    pub joined_persian: Option<i64>,
    pub locale: Option<String>,
    pub timezone: Option<String>,
    pub calendar: Option<String>,
    pub email_consent: bool,
    pub sms_consent: bool,
    pub tier: Option<String>,
    pub points: Option<i64>,
    /// A null removes the attribute.
    pub attributes: BTreeMap<String, Option<String>>,
}

impl MemberRow {
    /// Sets the birth date and the keys by which its yearly returns are found.
    pub fn set_birth_date(&mut self, birth: Option<BirthDate>) {
        self.birth_date = birth.map(|birth| birth.to_string());
        self.birth_gregorian = birth.map(|birth| birth.month_day(Calendar::Gregorian).number());
        self.birth_persian = birth.map(|birth| birth.month_day(Calendar::Persian).number());
    }

    /// Sets when the member joined and the keys by which its yearly returns are found.
    pub fn set_joined_at(&mut self, at: Option<Instant>) {
        let key = |calendar| at.map(|at| in_calendar(at.date_naive(), calendar).1.number());
        self.joined_at = at.map(|at| at.timestamp_millis());
        self.joined_gregorian = key(Calendar::Gregorian);
        self.joined_persian = key(Calendar::Persian);
    }
}

/// Writes a batch in which each external id stands once; `columns` are those that the file has. A row that changes
/// nothing is left alone. What it says about consent is said at `now` (epoch milliseconds), and does not always count:
/// see `consents.rs`.
pub async fn upsert(tx: &mut Tx, rows: &mut [MemberRow], columns: &[&str], now: i64) -> Result<Upserted> {
    let change = next_change(tx).await?;
    let last = take_numbers(tx, "member", rows.len() as i64).await?;
    for (index, row) in rows.iter_mut().enumerate() {
        row.id = last - index as i64;
    }
    let keys = Texts(rows.iter().map(|row| row.external_id.clone()).collect());
    let existing: HashMap<String, i64> = query!(fetch_all, (String, i64), tx, EXISTING, keys)?.into_iter().collect();
    for row in rows.iter_mut() {
        row.known = existing.contains_key(&row.external_id);
    }
    // In the order in which dispatchers hold members, not in that of the file.
    members::lock(tx, existing.values().copied().collect()).await?;
    let mut answers = Vec::new();
    for row in rows.iter() {
        let member_id = existing.get(&row.external_id).copied().unwrap_or(row.id);
        let said =
            [(Channel::Email, "email_consent", row.email_consent), (Channel::Sms, "sms_consent", row.sms_consent)];
        let said = said.into_iter().filter(|(_, column, _)| columns.contains(column));
        answers.extend(said.map(|(channel, _, yes)| Answer { member_id, channel, yes }));
    }
    let (consented, void) = consents::judge(tx, &answers, now).await?;
    let void: HashSet<(i64, Channel)> = void.into_iter().map(|answer| (answer.member_id, answer.channel)).collect();
    if !void.is_empty() {
        for row in rows.iter_mut() {
            let id = existing.get(&row.external_id).copied().unwrap_or(row.id);
            row.email_consent &= !void.contains(&(id, Channel::Email));
            row.sms_consent &= !void.contains(&(id, Channel::Sms));
        }
    }
    let sql = upsert_sql(columns);
    let touched = execute!(tx, &sql, Rows(rows), change)?;
    consents::append(tx, &consented).await?;
    keep_dates(tx, rows).await?;
    let inserted = (rows.len() - existing.len()) as u64;
    Ok(Upserted { inserted, updated: touched - inserted, erased: 0 })
}

/// Keeps the dates among the attributes of an imported batch.
async fn keep_dates(tx: &mut Tx, rows: &[MemberRow]) -> Result<()> {
    if rows.iter().all(|row| row.attributes.is_empty()) {
        return Ok(());
    }
    let ids = members::keys(tx, rows.iter().map(|row| row.external_id.clone()).collect()).await?;
    let mut found = Vec::new();
    for row in rows {
        let Some(id) = ids.get(&row.external_id) else { continue };
        for (name, text) in &row.attributes {
            let date = text.as_deref().and_then(|text| parse_life_date(text).ok());
            found.push((*id, format!("attributes.{name}"), date));
        }
    }
    dates::keep(tx, found).await
}

pub(super) fn upsert_sql(columns: &[&str]) -> String {
    let mut written = Vec::new();
    for column in COLUMNS.iter().filter(|column| columns.contains(column)) {
        written.push(*column);
        match *column {
            "birth_date" => written.extend(["birth_gregorian", "birth_persian"]),
            "joined_at" => written.extend(["joined_gregorian", "joined_persian"]),
            _ => {}
        }
    }
    let kind = |column: &str| match column {
        "email_consent" | "sms_consent" => "BOOLEAN",
        "points" | "joined_at" | "birth_gregorian" | "birth_persian" | "joined_gregorian" | "joined_persian" => {
            "BIGINT"
        }
        _ => "TEXT",
    };
    let names: String = written.iter().map(|column| format!(", {column}")).collect();
    let values: String = written.iter().map(|column| format!(", r.{column}")).collect();
    let kinds: String = written.iter().map(|column| format!(", {column} {}", kind(column))).collect();
    let sets: String = written.iter().map(|column| format!(", {column} = excluded.{column}")).collect();
    let differs: String =
        written.iter().map(|column| format!(" OR members.{column} IS DISTINCT FROM excluded.{column}")).collect();
    // A null removes an attribute of a member who is there, and is not stored with a new one.
    format!(
        "INSERT INTO members (id, external_id, attributes, changed{names}) \
         SELECT r.id, r.external_id, CASE WHEN r.known THEN r.attributes ELSE {{merge r.attributes, r.attributes}} END, \
         $2{values} FROM {{rows $1: id BIGINT, known BOOLEAN, external_id TEXT, attributes JSONB{kinds}}} WHERE TRUE \
         ON CONFLICT (external_id) DO UPDATE SET changed = excluded.changed, \
         attributes = {{merge members.attributes, excluded.attributes}}{sets} \
         WHERE members.attributes IS DISTINCT FROM {{merge members.attributes, excluded.attributes}}{differs}"
    )
}
