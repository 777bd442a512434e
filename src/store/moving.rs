//! Messages go from one member to another, with an order or all of them, so that an occasion that was greeted under one
//! name is not greeted again under the other.

use std::collections::HashSet;

use serde::Serialize;
use uuid::Uuid;

use super::ledger::plan::reorder;
use super::{Result, Rows, Tx, execute, query, statements};

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
