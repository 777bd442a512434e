//! Which message each order is credited to. It stands beside the order, and the counts of the message's day follow.

use std::collections::HashMap;

use serde::Serialize;
use uuid::Uuid;

use super::{Ids, Result, Rows, Tx, daily, execute, query, statements};
use crate::domain::credit::{Click, credited};

statements! {
    // Whoever bought and got a message, and whose orders or details have changed since.
    CHANGED = "SELECT b.id, b.changed FROM members b WHERE (b.changed, b.id) > ($1, $2) \
        AND EXISTS (SELECT 1 FROM purchases p WHERE p.member_id = b.id) \
        AND EXISTS (SELECT 1 FROM messages m WHERE m.member_id = b.id) ORDER BY b.changed, b.id LIMIT $3";
    LATEST_CHANGE = "SELECT value FROM counters WHERE name = 'change'";
    CLICKED = "SELECT DISTINCT m.member_id FROM events e JOIN messages m ON m.id = e.message_id \
        WHERE e.kind = 'clicked' AND e.at >= $1 AND e.at < $2";
    CLICKS = "SELECT m.member_id, m.id, m.campaign, e.at FROM messages m \
        JOIN events e ON e.message_id = m.id AND e.kind = 'clicked' WHERE m.member_id {in $1}";
    // The message that went out last before the order, of those that told the code.
    BY_CODE = "SELECT p.id, (SELECT m.id FROM messages m WHERE m.member_id = g.member_id AND m.campaign = g.campaign \
        AND m.occasion = g.occasion AND m.step = g.step AND m.sent_at <= p.purchased_at ORDER BY m.sent_at DESC, m.id DESC LIMIT 1) \
        FROM purchases p JOIN gifts g ON g.code = p.coupon_code WHERE p.member_id {in $1}";
    ORDERS = "SELECT id, member_id, purchased_at, amount, currency, credited_to FROM purchases WHERE member_id {in $1}";
    CREDIT = "UPDATE purchases SET credited_to = r.message FROM {rows $1: id BIGINT, message UUID} WHERE purchases.id = r.id";
    CREDITED = "SELECT DISTINCT credited_to FROM purchases WHERE order_id {in $1} AND credited_to IS NOT NULL";
}

/// What campaigns say about the orders that count after a click.
#[derive(Debug)]
pub struct Rules<'a> {
    /// Orders in others are credited to nobody.
    pub currency: &'a str,
    /// By campaign: milliseconds after a click, and the least amount in minor units.
    pub campaigns: HashMap<&'a str, (i64, i64)>,
    /// Of a campaign that is no more.
    pub otherwise: (i64, i64),
}

/// Members from a place in the order of their changes on, and the place behind them.
pub async fn changed(tx: &mut Tx, (change, id): (i64, i64), limit: i64) -> Result<Vec<(i64, i64)>> {
    Ok(query!(fetch_all, (i64, i64), tx, CHANGED, change, id, limit)?)
}

/// The number of the newest change.
pub async fn latest_change(tx: &mut Tx) -> Result<i64> {
    Ok(query!(fetch_one, (i64,), tx, LATEST_CHANGE)?.0)
}

/// Members who clicked from one instant on and before another, in epoch milliseconds.
pub async fn clicked(tx: &mut Tx, (from, to): (i64, i64)) -> Result<Vec<i64>> {
    Ok(query!(fetch_all, (i64,), tx, CLICKED, from, to)?.into_iter().map(|(member,)| member).collect())
}

/// Credits the orders of members anew. Gives how many are credited otherwise than before.
pub async fn assign(tx: &mut Tx, members: Vec<i64>, rules: &Rules<'_>) -> Result<u64> {
    #[derive(Serialize)]
    struct Row {
        id: i64,
        message: Option<Uuid>,
    }
    type Order = (i64, i64, i64, i64, String, Option<Uuid>);
    let mut clicks: HashMap<i64, Vec<Click>> = HashMap::new();
    for (member, message, campaign, at) in
        query!(fetch_all, (i64, Uuid, String, i64), tx, CLICKS, Ids(members.clone()))?
    {
        let (within, min_amount) = rules.campaigns.get(campaign.as_str()).copied().unwrap_or(rules.otherwise);
        clicks.entry(member).or_default().push(Click { message, at, within, min_amount });
    }
    let by_code = query!(fetch_all, (i64, Option<Uuid>), tx, BY_CODE, Ids(members.clone()))?;
    let by_code: HashMap<i64, Uuid> =
        by_code.into_iter().filter_map(|(order, message)| Some((order, message?))).collect();
    let (mut rows, mut messages) = (Vec::new(), Vec::new());
    for (id, member, at, amount, currency, before) in query!(fetch_all, Order, tx, ORDERS, Ids(members))? {
        let its = clicks.get(&member).map(Vec::as_slice).unwrap_or_default();
        let counts = currency == rules.currency;
        let message = counts.then(|| credited(at, amount, by_code.get(&id).copied(), its)).flatten();
        if message != before {
            messages.extend(before.into_iter().chain(message));
            rows.push(Row { id, message });
        }
    }
    if !rows.is_empty() {
        daily::open(tx, messages).await?;
        execute!(tx, CREDIT, Rows(&rows))?;
    }
    Ok(rows.len() as u64)
}

/// Before orders are written: what they count for now is taken off.
pub(super) async fn open(tx: &mut Tx, orders: super::Texts) -> Result<()> {
    let credited = query!(fetch_all, (Uuid,), tx, CREDITED, orders)?;
    daily::open(tx, credited.into_iter().map(|(id,)| id)).await
}
