//! `post_purchase`: after an order or its delivery; every one, the first, or the n-th of a member.

use std::sync::Arc;

use chrono::Duration;

use super::filled;
use crate::document::{Table, Value};
use crate::domain::Instant;
use crate::domain::brand::Brand;
use crate::domain::member::Member;
use crate::domain::money::parse_amount;
use crate::domain::occasion::{Bind, Candidate, Features, Occasion, Query, Rows, Trigger};
use crate::domain::purchase::Purchase;

/// Counts the member's valid orders up to and with this one; ties go by order id.
const ORDINAL: &str = "(SELECT COUNT(*) FROM purchases q WHERE q.member_id = p.member_id AND q.status = 'paid' \
    AND (q.purchased_at < p.purchased_at OR (q.purchased_at = p.purchased_at AND {bytes q.order_id} <= p.order_id)))";

/// No valid order of the member shortly before this one.
const OPENS: &str = " AND NOT EXISTS (SELECT 1 FROM purchases q WHERE q.member_id = p.member_id AND q.status = 'paid' \
    AND q.purchased_at > p.purchased_at - {collapse} AND q.purchased_at <= p.purchased_at \
    AND (q.purchased_at < p.purchased_at OR {bytes q.order_id} < p.order_id))";

#[derive(Debug, Clone)]
pub(super) struct PostPurchase {
    from: From,
    /// Which order of the member; `None` for every one.
    nth: Option<i64>,
    /// In minor units of the brand's currency; an order in another currency does not match.
    min_amount: Option<(i64, String)>,
    /// In lower case. Not empty: the order must hold one of them.
    items: Vec<String>,
    categories: Vec<String>,
    /// Orders that follow each other within this time are one occasion, that of the first.
    collapse: Option<Duration>,
}

/// What of an order the occasion counts from.
#[derive(Debug, Clone, Copy)]
enum From {
    PurchasedAt,
    DeliveredAt,
}

pub(super) fn decode(table: &mut Table<'_>, brand: &Brand) -> Option<PostPurchase> {
    let nth = table.get_or("orders", None, |value| {
        if value.is_table() {
            let mut table = value.table()?;
            let nth = table.require("nth").and_then(|value| value.integer_in(1..=10_000));
            table.finish();
            return nth.map(Some);
        }
        value.one_of(&[("every", None), ("first", Some(1))])
    });
    let min_amount = table.get_or("min_amount", None, |value| {
        value.parse(|text| parse_amount(text, &brand.currency)).map(|amount| Some((amount, brand.currency.clone())))
    });
    let from = table.get_or("from", From::PurchasedAt, |value| {
        value.one_of(&[("purchased_at", From::PurchasedAt), ("delivered_at", From::DeliveredAt)])
    });
    let items = table.get_or("items", Vec::new(), decode_words);
    let categories = table.get_or("categories", Vec::new(), decode_words);
    Some(PostPurchase {
        from: from?,
        nth: nth?,
        min_amount: min_amount?,
        items: items?,
        categories: categories?,
        collapse: None,
    })
}

fn decode_words(value: Value<'_>) -> Option<Vec<String>> {
    let items = value.list()?;
    if items.is_empty() {
        value.problem("nothing stands in the list, so no order would match; write [NAME, NAME] or remove the key");
        return None;
    }
    items.into_iter().map(|item| item.text().map(|text| text.trim().to_lowercase())).collect()
}

impl PostPurchase {
    /// Whether the order is large enough and holds what it must hold.
    fn wants(&self, order: &Purchase) -> bool {
        let large = self
            .min_amount
            .as_ref()
            .is_none_or(|(least, currency)| order.currency == *currency && order.amount >= *least);
        let has_item = self.items.is_empty() || order.items().any(|(_, sku)| self.items.contains(&sku));
        let has_category = self.categories.is_empty()
            || order.items().any(|(category, _)| category.is_some_and(|category| self.categories.contains(&category)));
        large && has_item && has_category
    }
}

impl Trigger for PostPurchase {
    fn kind(&self) -> &'static str {
        "post_purchase"
    }

    fn counts_from(&self, _: &Member) -> String {
        let order = match self.nth {
            None => "each order".to_owned(),
            Some(1) => "the first order".to_owned(),
            Some(nth) => format!("order number {nth}"),
        };
        let delivery = if matches!(self.from, From::DeliveredAt) { "the delivery of " } else { "" };
        let some = self.min_amount.is_some() || !self.items.is_empty() || !self.categories.is_empty();
        format!("{delivery}{order}{}", if some { ", where it is of the kind that the campaign names" } else { "" })
    }

    fn query(&self, rows: Rows, _: &Brand) -> Option<Query> {
        let ordinal = if self.nth.is_some() { ORDINAL } else { "CAST(0 AS BIGINT)" };
        let opens = if self.collapse.is_some() { OPENS } else { "" };
        let sql = include_str!("post_purchase.sql").replace("{ordinal}", ordinal).replace("{opens}", opens);
        let column = match self.from {
            From::PurchasedAt => "p.purchased_at",
            From::DeliveredAt => "p.delivered_at",
        };
        let mut query = filled(&sql, rows, column, 0);
        if let Some(span) = self.collapse {
            query.sql = query.sql.replace("{collapse}", "$6");
            query.binds.push(Bind::Integer(span.num_milliseconds()));
        }
        Some(query)
    }

    fn occasions(&self, candidate: &Candidate, after: Instant, until: Instant, _: &Brand) -> Vec<Occasion> {
        let Some(order) = &candidate.order else { return Vec::new() };
        let base = match self.from {
            From::PurchasedAt => Some(order.purchased_at),
            From::DeliveredAt => order.delivered_at,
        };
        let Some(base) = base.filter(|base| after < *base && *base <= until) else { return Vec::new() };
        let wanted = self.nth.is_none_or(|nth| nth == candidate.ordinal) && self.wants(order);
        let key = self.nth.map_or_else(|| order.order_id.clone(), |nth| format!("#{nth}"));
        wanted.then_some(Occasion { key, base, years: None }).into_iter().collect()
    }

    fn collapsed(&self, span: Duration) -> Option<Arc<dyn Trigger>> {
        self.nth.is_none().then(|| Arc::new(Self { collapse: Some(span), ..self.clone() }) as Arc<_>)
    }

    fn features(&self) -> Features {
        Features { collapse: self.collapse, ..Features::default() }
    }
}
