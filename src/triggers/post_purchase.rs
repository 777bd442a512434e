//! `post_purchase`: after an order; every one, the first, or the n-th of a member.

use super::filled;
use crate::document::Table;
use crate::domain::Instant;
use crate::domain::member::Brand;
use crate::domain::money::parse_amount;
use crate::domain::occasion::{Candidate, Occasion, Query, Rows, Trigger};

/// Counts the member's valid orders up to and with this one; ties go by order id.
const ORDINAL: &str = "(SELECT COUNT(*) FROM purchases q WHERE q.member_id = p.member_id AND q.status = 'paid' \
    AND (q.purchased_at < p.purchased_at OR (q.purchased_at = p.purchased_at AND {bytes q.order_id} <= p.order_id)))";

#[derive(Debug)]
pub(super) struct PostPurchase {
    /// Which order of the member; `None` for every one.
    nth: Option<i64>,
    /// In minor units of the brand's currency; an order in another currency does not match.
    min_amount: Option<(i64, String)>,
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
    table.not_yet(&["from", "items", "collapse"]);
    Some(PostPurchase { nth: nth?, min_amount: min_amount? })
}

impl Trigger for PostPurchase {
    fn kind(&self) -> &'static str {
        "post_purchase"
    }

    fn query(&self, rows: Rows, _: &Brand) -> Option<Query> {
        let ordinal = if self.nth.is_some() { ORDINAL } else { "CAST(0 AS BIGINT)" };
        let sql = include_str!("post_purchase.sql").replace("{ordinal}", ordinal);
        Some(filled(&sql, rows, "p.purchased_at", 0))
    }

    fn occasions(&self, candidate: &Candidate, after: Instant, until: Instant, _: &Brand) -> Vec<Occasion> {
        let Some(order) = &candidate.order else { return Vec::new() };
        let wanted = self.nth.is_none_or(|nth| nth == candidate.ordinal)
            && self
                .min_amount
                .as_ref()
                .is_none_or(|(least, currency)| order.currency == *currency && order.amount >= *least)
            && after < order.purchased_at
            && order.purchased_at <= until;
        let key = self.nth.map_or_else(|| order.order_id.clone(), |nth| format!("#{nth}"));
        wanted.then_some(Occasion { key, base: order.purchased_at, years: None }).into_iter().collect()
    }
}
