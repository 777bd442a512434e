//! One person in two rows: merging members, and orders that turn out to be somebody else's. Messages go along, so
//! that an occasion that was greeted under one name is not greeted again under the other.

use std::collections::HashSet;

use serde::Serialize;
use uuid::Uuid;

use super::ledger::plan::reorder;
use super::members::{self, next_change, touch};
use super::objections::{self, Objection};
use super::{Result, Rows, Tx, consents, erasure, execute, purchases, query, statements};
use crate::domain::message::{Channel, Purpose};

statements! {
    // Where both have a row for one occasion each keeps its own.
    MOVABLE = "SELECT m.id, r.to_id, m.campaign, m.occasion, m.step, m.slot, m.state FROM {rows $1: from_id BIGINT, to_id BIGINT, \
        purchase_id BIGINT} JOIN messages m ON m.member_id = r.from_id AND (r.purchase_id IS NULL OR m.purchase_id = r.purchase_id) \
        WHERE NOT EXISTS (SELECT 1 FROM messages o WHERE o.member_id = r.to_id AND o.campaign = m.campaign \
        AND o.occasion = m.occasion AND o.step = m.step AND o.slot = m.slot) ORDER BY m.due_at, m.id";
    // Before its messages: a gift is found by their key.
    MOVE_GIFTS = "UPDATE gifts SET member_id = r.to_id FROM {rows $1: id UUID, to_id BIGINT} JOIN messages m ON m.id = r.id \
        WHERE gifts.member_id = m.member_id AND gifts.campaign = m.campaign AND gifts.occasion = m.occasion \
        AND gifts.step = m.step AND NOT EXISTS (SELECT 1 FROM gifts o WHERE o.member_id = r.to_id AND o.campaign = m.campaign \
        AND o.occasion = m.occasion AND o.step = m.step)";
    MOVE = "UPDATE messages SET member_id = r.to_id FROM {rows $1: id UUID, to_id BIGINT} WHERE messages.id = r.id";
    MOVE_PURCHASES = "UPDATE purchases SET member_id = $2 WHERE member_id = $1";
    MOVE_ALIASES = "UPDATE member_aliases SET member_id = $2 WHERE member_id = $1";
    ADD_ALIAS = "INSERT INTO member_aliases (alias, member_id) VALUES ($1, $2)";
    COPY_OBJECTIONS = "SELECT channel, purpose, reason, made_at FROM objections WHERE member_id = $1";
    FORGET_OBJECTIONS = "DELETE FROM objections WHERE member_id = $1";
    FORGET_DATES = "DELETE FROM member_dates WHERE member_id = $1";
}

/// What goes from one member to another: the messages of an order, or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Moved {
    pub from_id: i64,
    pub to_id: i64,
    pub purchase_id: Option<i64>,
}

/// Moves messages and the gifts they bring. Where the new member has the same occasion already, the row stays behind
/// with the old one, for whom it is no occasion any more.
pub(super) async fn move_messages(tx: &mut Tx, rows: &[Moved]) -> Result<()> {
    #[derive(Serialize)]
    struct Going {
        id: Uuid,
        to_id: i64,
    }
    if rows.is_empty() {
        return Ok(());
    }
    type Row = (Uuid, i64, String, String, String, String, String);
    let mut movable = query!(fetch_all, Row, tx, MOVABLE, Rows(rows))?;
    // Of two that come to one place, what went out comes first.
    movable.sort_by_key(|(.., state)| state == "planned");
    let mut places = HashSet::new();
    let mut going = Vec::new();
    let mut waiting = Vec::new();
    for (id, to_id, campaign, occasion, step, slot, state) in movable {
        if places.insert((to_id, campaign, occasion, step, slot)) {
            going.push(Going { id, to_id });
            waiting.extend((state == "planned").then_some(id));
        }
    }
    if going.is_empty() {
        return Ok(());
    }
    execute!(tx, MOVE_GIFTS, Rows(&going))?;
    execute!(tx, MOVE, Rows(&going))?;
    reorder(tx, waiting).await
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
