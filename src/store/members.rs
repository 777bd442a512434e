//! Members: upserts from imports, and reading them.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono_tz::Tz;
use serde::Serialize;
use sqlx::types::Json;

use super::consents::{self, Answer};
use super::{Ids, Result, Rows, StoreError, Texts, Tx, dates, execute, query, statements};
use crate::domain::calendar::{Calendar, in_calendar, parse_zone};
use crate::domain::member::{BirthDate, Member};
use crate::domain::message::Channel;
use crate::domain::{Instant, instant};

/// The columns of a member, in the order of [`MemberRow`], with the table alias `m`.
macro_rules! member_columns {
    () => {
        "m.id, m.external_id, m.email, m.phone, m.title, m.first_name, m.last_name, m.birth_date, m.joined_at, \
         m.locale, m.timezone, m.calendar, m.email_consent, m.sms_consent, m.tier, m.points, m.attributes, \
         m.paused_until, m.deleted_at"
    };
}
pub(super) use member_columns;

statements! {
    TAKE_NUMBERS = "UPDATE counters SET value = value + $2 WHERE name = $1 RETURNING value";
    EXISTING = "SELECT external_id, id FROM members WHERE external_id {in $1}";
    KEYS = "SELECT external_id, id FROM members WHERE external_id {in $1} \
        UNION ALL SELECT alias, member_id FROM member_aliases WHERE alias {in $1}";
    ALIASES = "SELECT a.alias, e.external_id FROM member_aliases a JOIN members e ON e.id = a.member_id WHERE a.alias {in $1}";
    HAVE_ALIASES = "SELECT DISTINCT e.external_id FROM member_aliases a JOIN members e ON e.id = a.member_id \
        WHERE e.external_id {in $1}";
    NAMES = "SELECT id, external_id FROM members WHERE id {in $1}";
    BY_IDS = concat!("SELECT ", member_columns!(), " FROM members m WHERE m.id {in $1}");
    BY_EXTERNAL_ID = concat!("SELECT ", member_columns!(), " FROM members m WHERE m.external_id = $1 \
        OR m.id = (SELECT a.member_id FROM member_aliases a WHERE a.alias = $1)");
    AFTER = concat!("SELECT ", member_columns!(), " FROM members m WHERE m.id > $1 ORDER BY m.id LIMIT $2");
    COUNT = "SELECT COUNT(*) FROM members WHERE deleted_at IS NULL";
    // From one zone of the index to the next: their number is what it costs, not that of the members.
    ZONES = "WITH RECURSIVE z (timezone) AS (SELECT MIN(timezone) FROM members UNION ALL \
        SELECT (SELECT MIN(m.timezone) FROM members m WHERE m.timezone > z.timezone) FROM z WHERE z.timezone IS NOT NULL) \
        SELECT timezone FROM z WHERE timezone IS NOT NULL";
    LOCK = "SELECT id FROM members WHERE id {in $1} ORDER BY id {lock}";
    SHARING = "SELECT o.id, o.email, o.phone FROM members m JOIN members o ON LOWER(o.email) = LOWER(m.email) \
        WHERE m.id {in $1} UNION SELECT o.id, o.email, o.phone FROM members m JOIN members o ON o.phone = m.phone \
        WHERE m.id {in $1}";
    PAUSE = "UPDATE members SET paused_until = $2 WHERE id = $1";
    TOUCH = "UPDATE members SET changed = $2 WHERE id {in $1}";
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

/// How a batch ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Upserted {
    pub inserted: u64,
    pub updated: u64,
    /// About somebody who was erased: nothing of them is stored.
    pub erased: u64,
}

/// The next change number. Taken first in an importing transaction: it holds the row's lock until
/// commit, so numbers become visible in order.
pub(super) async fn next_change(tx: &mut Tx) -> Result<i64> {
    tx.policy_changes();
    take_numbers(tx, "change", 1).await
}

/// Reserves `count` numbers; gives the last.
pub(super) async fn take_numbers(tx: &mut Tx, name: &str, count: i64) -> Result<i64> {
    let (value,): (i64,) = query!(fetch_one, (i64,), tx, TAKE_NUMBERS, name, count)?;
    Ok(value)
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
    lock(tx, existing.values().copied().collect()).await?;
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
    dates::keep_attributes(tx, rows).await?;
    let inserted = (rows.len() - existing.len()) as u64;
    Ok(Upserted { inserted, updated: touched - inserted, erased: 0 })
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

/// Holds members until the transaction ends. Everybody who holds several takes them in this order, or
/// two could wait for each other.
pub async fn lock(tx: &mut Tx, ids: Vec<i64>) -> Result<()> {
    if tx.dialect() == super::Dialect::Postgres {
        query!(fetch_all, (i64,), tx, LOCK, Ids(ids))?;
    }
    Ok(())
}

/// Every member who shares an e-mail address or a phone number with one of these, themselves
/// included: (key, e-mail address, number).
pub async fn sharing(tx: &mut Tx, ids: Vec<i64>) -> Result<Vec<(i64, Option<String>, Option<String>)>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(query!(fetch_all, (i64, Option<String>, Option<String>), tx, SHARING, Ids(ids))?)
}

/// Marks members as changed, so that the next scans look at their older occasions again.
pub(super) async fn touch(tx: &mut Tx, ids: Vec<i64>, change: i64) -> Result<()> {
    lock(tx, ids.clone()).await?;
    execute!(tx, TOUCH, Ids(ids), change)?;
    Ok(())
}

/// The store's keys of external ids, and of other names of members.
pub async fn keys(tx: &mut Tx, external_ids: Vec<String>) -> Result<HashMap<String, i64>> {
    Ok(query!(fetch_all, (String, i64), tx, KEYS, Texts(external_ids))?.into_iter().collect())
}

/// Whose other names some ids are: the external id by name.
pub async fn aliases(tx: &mut Tx, names: Vec<String>) -> Result<HashMap<String, String>> {
    Ok(query!(fetch_all, (String, String), tx, ALIASES, Texts(names))?.into_iter().collect())
}

/// Those of the external ids whose members have other names.
pub async fn with_aliases(tx: &mut Tx, external_ids: Vec<String>) -> Result<Vec<String>> {
    let found = query!(fetch_all, (String,), tx, HAVE_ALIASES, Texts(external_ids))?;
    Ok(found.into_iter().map(|(id,)| id).collect())
}

/// The shop's own ids by key.
pub async fn names(tx: &mut Tx, ids: Vec<i64>) -> Result<HashMap<i64, String>> {
    Ok(query!(fetch_all, (i64, String), tx, NAMES, Ids(ids))?.into_iter().collect())
}

/// Members by key.
pub async fn by_ids(tx: &mut Tx, ids: Vec<i64>) -> Result<HashMap<i64, Member>> {
    let found = query!(fetch_all, StoredMember, tx, BY_IDS, Ids(ids))?;
    found.into_iter().map(|row| row.into_member().map(|member| (member.id, member))).collect()
}

/// Keeps marketing from a member until an instant; `None` ends that.
pub async fn pause(tx: &mut Tx, member: i64, until: Option<Instant>) -> Result<()> {
    tx.policy_changes();
    execute!(tx, PAUSE, member, until.map(|at| at.timestamp_millis()))?;
    Ok(())
}

/// One member by the shop's id, or by another name.
pub async fn by_external_id(tx: &mut Tx, external_id: &str) -> Result<Option<Member>> {
    let found = query!(fetch_optional, StoredMember, tx, BY_EXTERNAL_ID, external_id)?;
    found.map(StoredMember::into_member).transpose()
}

/// Up to `limit` members whose key is greater than `after`, in order.
pub async fn after(tx: &mut Tx, after: i64, limit: i64) -> Result<Vec<Member>> {
    let found = query!(fetch_all, StoredMember, tx, AFTER, after, limit)?;
    found.into_iter().map(StoredMember::into_member).collect()
}

/// The zones that members have of their own.
pub async fn zones(tx: &mut Tx) -> Result<Vec<Tz>> {
    let names: Vec<(String,)> = query!(fetch_all, (String,), tx, ZONES)?;
    let unknown = |value: String| StoreError::Unknown { table: "members", column: "timezone", value };
    names.into_iter().map(|(name,)| parse_zone(&name).map_err(|_| unknown(name))).collect()
}

/// How many members there are.
pub async fn count(tx: &mut Tx) -> Result<i64> {
    let (count,): (i64,) = query!(fetch_one, (i64,), tx, COUNT)?;
    Ok(count)
}

/// A row of the table, as read.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct StoredMember {
    id: i64,
    external_id: String,
    email: Option<String>,
    phone: Option<String>,
    title: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    birth_date: Option<String>,
    joined_at: Option<i64>,
    locale: Option<String>,
    timezone: Option<String>,
    calendar: Option<String>,
    email_consent: bool,
    sms_consent: bool,
    tier: Option<String>,
    points: Option<i64>,
    attributes: Json<BTreeMap<String, String>>,
    paused_until: Option<i64>,
    deleted_at: Option<i64>,
}

impl StoredMember {
    pub(super) fn into_member(self) -> Result<Member> {
        let unknown = |column, value: &str| StoreError::Unknown { table: "members", column, value: value.to_owned() };
        Ok(Member {
            id: self.id,
            external_id: self.external_id,
            email: self.email,
            phone: self.phone,
            title: self.title,
            first_name: self.first_name,
            last_name: self.last_name,
            birth_date: self
                .birth_date
                .map(|text| BirthDate::parse(&text).map_err(|_| unknown("birth_date", &text)))
                .transpose()?,
            joined_at: self.joined_at.map(instant),
            locale: self.locale,
            timezone: self.timezone.map(|text| text.parse().map_err(|_| unknown("timezone", &text))).transpose()?,
            calendar: self.calendar.map(|text| text.parse().map_err(|_| unknown("calendar", &text))).transpose()?,
            email_consent: self.email_consent,
            sms_consent: self.sms_consent,
            tier: self.tier,
            points: self.points,
            attributes: self.attributes.0,
            paused_until: self.paused_until.map(instant),
            deleted: self.deleted_at.is_some(),
        })
    }
}
