//! Members: reading and holding them, and the numbers of their changes.

use std::collections::{BTreeMap, HashMap};

use chrono_tz::Tz;
use sqlx::types::Json;

use super::{Ids, Result, StoreError, Texts, Tx, execute, query, statements};
use crate::domain::birth_date::BirthDate;
use crate::domain::calendar::parse_zone;
use crate::domain::member::Member;
use crate::domain::{Instant, instant};

/// The columns of a member, in the order of [`StoredMember`], with the table alias `m`.
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
