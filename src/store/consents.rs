//! Consents: a log of what was said about marketing, by member and channel. The last line is in force; it stands
//! in the member's row, where audiences and policy read it.

use std::collections::HashMap;

use serde::Serialize;

use super::members::{self, next_change, touch};
use super::{Ids, Result, Rows, Tx, execute, objections, query, statements, suppressions};
use crate::domain::member::suppression_key;
use crate::domain::message::{Channel, Purpose};

/// The source of what a file of members says.
pub const MEMBERS_FILE: &str = "members file";

statements! {
    ADD = "INSERT INTO consents (member_id, channel, at, given, source, evidence) \
        SELECT r.member_id, r.channel, r.at, r.given, r.source, r.evidence \
        FROM {rows $1: member_id BIGINT, channel TEXT, at BIGINT, given BOOLEAN, source TEXT, evidence TEXT} WHERE TRUE \
        ON CONFLICT (member_id, channel, at, given, source) DO NOTHING RETURNING member_id";
    STATES = "SELECT id, email_consent, sms_consent FROM members WHERE id {in $1}";
    // Of two at one instant the withdrawal is the last.
    OF_MEMBERS = "SELECT member_id, channel, at, given, source, evidence FROM consents WHERE member_id {in $1} \
        ORDER BY member_id, channel, at, CASE WHEN given THEN 0 ELSE 1 END, source";
    SET_EMAIL = "UPDATE members SET email_consent = r.given FROM {rows $1: id BIGINT, given BOOLEAN} \
        WHERE members.id = r.id AND members.email_consent <> r.given";
    SET_SMS = "UPDATE members SET sms_consent = r.given FROM {rows $1: id BIGINT, given BOOLEAN} \
        WHERE members.id = r.id AND members.sms_consent <> r.given";
    LIST = "SELECT e.external_id, c.channel, c.given, c.at, c.source, c.evidence, c.member_id FROM consents c \
        JOIN members e ON e.id = c.member_id WHERE e.deleted_at IS NULL AND \
        (c.member_id, c.channel, c.at, CASE WHEN c.given THEN 0 ELSE 1 END, c.source) > ($1, $2, $3, $4, $5) \
        ORDER BY c.member_id, c.channel, c.at, CASE WHEN c.given THEN 0 ELSE 1 END, c.source LIMIT $6";
    FORGET = "DELETE FROM consents WHERE member_id = $1";
    COPY = "INSERT INTO consents (member_id, channel, at, given, source, evidence) \
        SELECT $2, c.channel, c.at, c.given, c.source, c.evidence FROM consents c WHERE c.member_id = $1 \
        ON CONFLICT (member_id, channel, at, given, source) DO NOTHING";
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Consent {
    pub member_id: i64,
    pub channel: String,
    /// When it was said, in epoch milliseconds.
    pub at: i64,
    pub given: bool,
    pub source: String,
    pub evidence: Option<String>,
}

/// What a file of members says about a member and a channel: yes or no, and nothing of when or why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    pub member_id: i64,
    pub channel: Channel,
    pub yes: bool,
}

/// Adds lines; gives how many are new. Members' consents become what the last line says, and an objection, or an
/// address that was closed by the member's own word, is opened by a later consent that has evidence.
pub async fn add(tx: &mut Tx, lines: &[Consent]) -> Result<u64> {
    if lines.is_empty() {
        return Ok(0);
    }
    let change = next_change(tx).await?;
    let mut ids: Vec<i64> = lines.iter().map(|line| line.member_id).collect();
    ids.sort_unstable();
    ids.dedup();
    members::lock(tx, ids.clone()).await?;
    let new: Vec<(i64,)> = query!(fetch_all, (i64,), tx, ADD, Rows(lines))?;
    let count = new.len() as u64;
    let mut touched: Vec<i64> = new.into_iter().map(|(id,)| id).collect();
    touched.dedup();
    if touched.is_empty() {
        return Ok(0);
    }
    for line in lines.iter().filter(|line| line.given && line.evidence.is_some()) {
        if let Ok(channel) = line.channel.parse() {
            reopen(tx, line.member_id, channel, line.at).await?;
        }
    }
    settle(tx, ids.clone()).await?;
    touch(tx, ids, change).await?;
    Ok(count)
}

/// Lifts what the member's own word closed before an instant.
async fn reopen(tx: &mut Tx, member: i64, channel: Channel, at: i64) -> Result<()> {
    if objections::lift(tx, vec![member], channel, Purpose::Marketing, at - 1).await? == 0 {
        return Ok(());
    }
    let found = members::by_ids(tx, vec![member]).await?;
    let address = found.get(&member).and_then(|member| suppression_key(member, channel));
    if let Some(address) = address {
        suppressions::lift_own(tx, vec![address], at - 1).await?;
    }
    Ok(())
}

/// Brings members' consents to what the last lines of the log say.
pub(super) async fn settle(tx: &mut Tx, ids: Vec<i64>) -> Result<()> {
    #[derive(Serialize)]
    struct State {
        id: i64,
        given: bool,
    }
    let log = of_members(tx, ids.clone()).await?;
    for (channel, sql) in [(Channel::Email, SET_EMAIL), (Channel::Sms, SET_SMS)] {
        let state = |id: &i64| State { id: *id, given: last(&log, *id, channel).is_some_and(|line| line.given) };
        execute!(tx, sql, Rows(&ids.iter().map(state).collect::<Vec<_>>()))?;
    }
    Ok(())
}

fn last(log: &HashMap<i64, Vec<Consent>>, member: i64, channel: Channel) -> Option<&Consent> {
    log.get(&member)?.iter().rfind(|line| line.channel == channel.as_str())
}

/// The log of some members, in order.
pub async fn of_members(tx: &mut Tx, ids: Vec<i64>) -> Result<HashMap<i64, Vec<Consent>>> {
    let mut found: HashMap<i64, Vec<Consent>> = HashMap::new();
    for line in query!(fetch_all, Consent, tx, OF_MEMBERS, Ids(ids))? {
        found.entry(line.member_id).or_default().push(line);
    }
    Ok(found)
}

/// What becomes of the answers of a file of members. A no always counts. A yes gives consent where none is
/// recorded, or where such a file withdrew it; it says nothing against what was recorded otherwise. Gives the lines to
/// [`append`] once the members are written, and the answers that do not count.
pub(super) async fn judge(tx: &mut Tx, answers: &[Answer], now: i64) -> Result<(Vec<Consent>, Vec<Answer>)> {
    let mut ids: Vec<i64> = answers.iter().map(|answer| answer.member_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let states: HashMap<i64, (bool, bool)> = query!(fetch_all, (i64, bool, bool), tx, STATES, Ids(ids))?
        .into_iter()
        .map(|(id, email, sms)| (id, (email, sms)))
        .collect();
    let state = |answer: &Answer| {
        states.get(&answer.member_id).is_some_and(|(email, sms)| match answer.channel {
            Channel::Email => *email,
            Channel::Sms => *sms,
        })
    };
    let changing: Vec<Answer> = answers.iter().filter(|answer| answer.yes != state(answer)).copied().collect();
    let known = changing.iter().map(|answer| answer.member_id).filter(|id| states.contains_key(id)).collect();
    let log = of_members(tx, known).await?;
    let (mut lines, mut void) = (Vec::new(), Vec::new());
    for answer in changing {
        let before = last(&log, answer.member_id, answer.channel);
        if answer.yes && before.is_some_and(|line| line.source != MEMBERS_FILE) {
            void.push(answer);
            continue;
        }
        lines.push(Consent {
            member_id: answer.member_id,
            channel: answer.channel.to_string(),
            // Two files of one millisecond say it one after the other.
            at: before.map_or(now, |line| now.max(line.at + 1)),
            given: answer.yes,
            source: MEMBERS_FILE.to_owned(),
            evidence: None,
        });
    }
    Ok((lines, void))
}

/// Adds lines of members whose rows say the same already.
pub(super) async fn append(tx: &mut Tx, lines: &[Consent]) -> Result<()> {
    if !lines.is_empty() {
        query!(fetch_all, (i64,), tx, ADD, Rows(lines))?;
    }
    Ok(())
}

/// Records that members asked for a channel again themselves, where they consent to it: what is said later against it
/// has to be later than this.
pub async fn confirm(tx: &mut Tx, members: Vec<i64>, channel: Channel, evidence: &str, at: i64) -> Result<()> {
    let mut lines = Vec::new();
    for (id, email, sms) in query!(fetch_all, (i64, bool, bool), tx, STATES, Ids(members))? {
        let consents = if channel == Channel::Email { email } else { sms };
        lines.extend(consents.then(|| Consent {
            member_id: id,
            channel: channel.to_string(),
            at,
            given: true,
            source: "member".to_owned(),
            evidence: Some(evidence.to_owned()),
        }));
    }
    append(tx, &lines).await
}

/// Withdraws consents that the rows of a file of members withdraw, though something else in them is damaged: by
/// external id and channel. Gives how many changed.
pub async fn withdraw(tx: &mut Tx, rows: &[(String, Channel)], now: i64) -> Result<u64> {
    let ids = members::keys(tx, rows.iter().map(|(id, _)| id.clone()).collect()).await?;
    let mut answers: Vec<Answer> = Vec::new();
    for (external_id, channel) in rows {
        let answer = ids.get(external_id).map(|id| Answer { member_id: *id, channel: *channel, yes: false });
        answers.extend(answer.filter(|answer| !answers.contains(answer)));
    }
    let (lines, _) = judge(tx, &answers, now).await?;
    add(tx, &lines).await
}

/// A line as it is exported.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Listed {
    pub external_id: String,
    pub channel: String,
    pub given: bool,
    pub at: i64,
    pub source: String,
    pub evidence: Option<String>,
    member_id: i64,
}

/// Up to `limit` lines after one, in order.
pub async fn list(tx: &mut Tx, after: Option<&Listed>, limit: i64) -> Result<Vec<Listed>> {
    let (member, channel, at, withdrawn, source) = after.map_or((0, "", 0, 0_i64, ""), |row| {
        (row.member_id, row.channel.as_str(), row.at, i64::from(!row.given), row.source.as_str())
    });
    Ok(query!(fetch_all, Listed, tx, LIST, member, channel, at, withdrawn, source, limit)?)
}

/// Forgets what a member said.
pub(super) async fn forget(tx: &mut Tx, member: i64) -> Result<()> {
    execute!(tx, FORGET, member)?;
    Ok(())
}

/// Gives another member the lines of one.
pub(super) async fn copy(tx: &mut Tx, from: i64, to: i64) -> Result<()> {
    execute!(tx, COPY, from, to)?;
    Ok(())
}
