//! One person in two rows: merging members.

use super::members::{self, next_change, touch};
use super::moving::{Moved, move_messages};
use super::objections::{self, Objection};
use super::{Result, Tx, consents, erasure, execute, purchases, query, statements};
use crate::domain::message::{Channel, Purpose};

statements! {
    MOVE_PURCHASES = "UPDATE purchases SET member_id = $2 WHERE member_id = $1";
    MOVE_ALIASES = "UPDATE member_aliases SET member_id = $2 WHERE member_id = $1";
    ADD_ALIAS = "INSERT INTO member_aliases (alias, member_id) VALUES ($1, $2)";
    COPY_OBJECTIONS = "SELECT channel, purpose, reason, made_at FROM objections WHERE member_id = $1";
    FORGET_OBJECTIONS = "DELETE FROM objections WHERE member_id = $1";
    FORGET_DATES = "DELETE FROM member_dates WHERE member_id = $1";
}

/// What became of a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merged {
    Done,
    /// There is no such member.
    Unknown,
    /// They are one already.
    Same,
}

/// Makes a member another name of `into`, at an instant in epoch milliseconds: orders, messages, gifts, objections and
/// consents go over, and of two answers the later one holds. Its own fields go; those of `into` stay.
pub async fn merge(tx: &mut Tx, from: &str, into: &str, now: i64) -> Result<Merged> {
    let found = [members::by_external_id(tx, from).await?, members::by_external_id(tx, into).await?];
    let [Some(from), Some(into)] = found.map(|member| member.filter(|member| !member.deleted)) else {
        return Ok(Merged::Unknown);
    };
    if from.id == into.id {
        return Ok(Merged::Same);
    }
    let change = next_change(tx).await?;
    members::lock(tx, vec![from.id, into.id]).await?;
    execute!(tx, MOVE_PURCHASES, from.id, into.id)?;
    move_messages(tx, &[Moved { from_id: from.id, to_id: into.id, purchase_id: None }]).await?;
    consents::copy(tx, from.id, into.id).await?;
    let said = query!(fetch_all, (String, String, String, i64), tx, COPY_OBJECTIONS, from.id)?;
    let objections: Vec<Objection> = said
        .into_iter()
        .filter_map(|(channel, purpose, reason, made_at)| {
            let (channel, purpose) = (channel.parse().ok()?, purpose.parse().ok()?);
            Some(Objection { member_id: into.id, channel, purpose, reason, made_at })
        })
        .collect();
    objections::insert(tx, &objections).await?;
    let log = consents::of_members(tx, vec![into.id]).await?;
    for line in log.values().flatten().filter(|line| line.given && line.evidence.is_some()) {
        if let Ok(channel) = line.channel.parse::<Channel>() {
            objections::lift(tx, vec![into.id], channel, Purpose::Marketing, line.at - 1).await?;
        }
    }
    consents::settle(tx, vec![into.id]).await?;
    members::pause(tx, into.id, from.paused_until.max(into.paused_until)).await?;
    for statement in [FORGET_OBJECTIONS, FORGET_DATES] {
        execute!(tx, statement, from.id)?;
    }
    consents::forget(tx, from.id).await?;
    erasure::clear(tx, from.id, format!("merged:{}", from.id), change, now).await?;
    execute!(tx, MOVE_ALIASES, from.id, into.id)?;
    execute!(tx, ADD_ALIAS, from.external_id, into.id)?;
    purchases::moved(tx, vec![from.id, into.id], change).await?;
    touch(tx, vec![into.id], change).await?;
    Ok(Merged::Done)
}
