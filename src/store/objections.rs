//! Objections: members who said no, by channel and purpose. They are about the person, whatever the address; a
//! suppression is about the address.

use std::collections::HashSet;
use std::str::FromStr;

use serde::Serialize;

use super::{Ids, Result, Rows, Tx, execute, query, statements};
use crate::domain::message::{Channel, Purpose};

statements! {
    // What the member, or the shop with evidence, said later holds.
    INSERT = "INSERT INTO objections (member_id, channel, purpose, reason, made_at) \
        SELECT r.member_id, r.channel, r.purpose, r.reason, r.made_at \
        FROM {rows $1: member_id BIGINT, channel TEXT, purpose TEXT, reason TEXT, made_at BIGINT} \
        WHERE r.purpose <> 'marketing' OR NOT EXISTS (SELECT 1 FROM consents c WHERE c.member_id = r.member_id \
        AND c.channel = r.channel AND c.given AND c.evidence IS NOT NULL AND c.at > r.made_at) \
        ON CONFLICT (member_id, channel, purpose) DO UPDATE SET reason = excluded.reason, made_at = excluded.made_at \
        WHERE objections.made_at < excluded.made_at";
    LIFT = "DELETE FROM objections WHERE member_id {in $1} AND channel = $2 AND purpose = $3 AND made_at <= $4";
    OF_MEMBERS = "SELECT member_id, channel, purpose FROM objections WHERE member_id {in $1}";
    OF_MEMBER = "SELECT channel, purpose, reason, made_at FROM objections WHERE member_id = $1 ORDER BY channel, purpose";
    BY_NUMBER = "SELECT id FROM members WHERE phone = $1 ORDER BY id";
    LIST = "SELECT e.external_id, o.channel, o.purpose, o.reason, o.made_at, o.member_id FROM objections o \
        JOIN members e ON e.id = o.member_id WHERE e.deleted_at IS NULL \
        AND (o.member_id, o.channel, o.purpose) > ($1, $2, $3) ORDER BY o.member_id, o.channel, o.purpose LIMIT $4";
}

/// One objection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Objection {
    pub member_id: i64,
    pub channel: Channel,
    pub purpose: Purpose,
    /// `unsubscribed`, `opted_out`.
    pub reason: String,
    /// Epoch milliseconds.
    pub made_at: i64,
}

/// Who objects to what.
pub type Objections = HashSet<(i64, Channel, Purpose)>;

/// Records objections; gives how many are new or later than the one that was known. One that a consent with
/// evidence followed changes nothing.
pub async fn insert(tx: &mut Tx, rows: &[Objection]) -> Result<u64> {
    if rows.is_empty() {
        return Ok(0);
    }
    tx.policy_changes();
    Ok(execute!(tx, INSERT, Rows(rows))?)
}

/// Takes members' objections back that were made by an instant; gives how many.
pub async fn lift(tx: &mut Tx, members: Vec<i64>, channel: Channel, purpose: Purpose, by: i64) -> Result<u64> {
    if members.is_empty() {
        return Ok(0);
    }
    tx.policy_changes();
    Ok(execute!(tx, LIFT, Ids(members), channel.as_str(), purpose.as_str(), by)?)
}

/// What some members object to.
pub async fn of_members(tx: &mut Tx, members: Vec<i64>) -> Result<Objections> {
    let rows = query!(fetch_all, (i64, String, String), tx, OF_MEMBERS, Ids(members))?;
    let parsed = rows.into_iter().filter_map(|(member, channel, purpose)| {
        Some((member, Channel::from_str(&channel).ok()?, Purpose::from_str(&purpose).ok()?))
    });
    Ok(parsed.collect())
}

/// An objection of one member, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Shown {
    pub channel: String,
    pub purpose: String,
    pub reason: String,
    pub made_at: i64,
}

/// What a member objects to.
pub async fn of_member(tx: &mut Tx, member: i64) -> Result<Vec<Shown>> {
    Ok(query!(fetch_all, Shown, tx, OF_MEMBER, member)?)
}

/// The members who have a phone number now.
pub async fn with_number(tx: &mut Tx, number: &str) -> Result<Vec<i64>> {
    Ok(query!(fetch_all, (i64,), tx, BY_NUMBER, number)?.into_iter().map(|(id,)| id).collect())
}

/// An objection as it is exported.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Listed {
    pub external_id: String,
    pub channel: String,
    pub purpose: String,
    pub reason: String,
    pub made_at: i64,
    member_id: i64,
}

/// Up to `limit` objections after one, in order.
pub async fn list(tx: &mut Tx, after: Option<&Listed>, limit: i64) -> Result<Vec<Listed>> {
    let (member, channel, purpose) =
        after.map_or((0, "", ""), |row| (row.member_id, row.channel.as_str(), row.purpose.as_str()));
    Ok(query!(fetch_all, Listed, tx, LIST, member, channel, purpose, limit)?)
}
