//! A purchase: one order of a member.

use super::Instant;
use super::words::words;

words! {
    /// What became of an order; only a paid one counts for rules, aggregates and goals.
    OrderStatus { Paid = "paid", Cancelled = "cancelled", Refunded = "refunded" }
}

/// One order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purchase {
    /// The store's key.
    pub id: i64,
    /// The store's key of the member to whom it belongs now.
    pub member_id: i64,
    pub order_id: String,
    pub purchased_at: Instant,
    /// In minor units of `currency`.
    pub amount: i64,
    pub currency: String,
    pub status: OrderStatus,
    pub delivered_at: Option<Instant>,
    /// What it holds, as imported: items separated by `;`, each `SKU` or `CATEGORY/SKU`, optionally ` xN`.
    pub items: Option<String>,
}

impl Purchase {
    /// The order's items: category, where it is given, and SKU; in lower case.
    pub fn items(&self) -> impl Iterator<Item = (Option<String>, String)> {
        let cells = self.items.as_deref().unwrap_or_default().split(';').map(str::trim).filter(|cell| !cell.is_empty());
        cells.map(|cell| {
            let cell = cell.to_lowercase();
            let item = without_count(&cell);
            match item.split_once('/') {
                Some((category, sku)) => (Some(category.trim().to_owned()), sku.trim().to_owned()),
                None => (None, item.to_owned()),
            }
        })
    }
}

/// An order among others of its member.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Placed {
    pub purchased_at: Instant,
    pub order_id: String,
    /// The store's key.
    pub id: i64,
}

/// The store's keys of the orders that are one occasion with order `id`: each within `span` of the one
/// before. The first of them opens the occasion. Empty where the order is not among `orders`.
pub fn chain(mut orders: Vec<Placed>, id: i64, span: chrono::Duration) -> Vec<i64> {
    orders.sort();
    orders.dedup();
    orders
        .chunk_by(|before, order| before.purchased_at > order.purchased_at - span)
        .find(|chain| chain.iter().any(|order| order.id == id))
        .map(|chain| chain.iter().map(|order| order.id).collect())
        .unwrap_or_default()
}

/// An item without how many of it there are.
fn without_count(item: &str) -> &str {
    match item.rsplit_once(' ') {
        Some((name, count)) if is_count(count) => name.trim_end(),
        _ => item,
    }
}

fn is_count(text: &str) -> bool {
    text.strip_prefix('x').is_some_and(|number| !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_within_a_span_of_the_one_before_are_one_occasion() {
        let hours = |hours: i64| super::super::instant(hours * 3_600_000);
        let order = |id, at| Placed { purchased_at: hours(at), order_id: format!("o{id}"), id };
        let orders = vec![order(4, 60), order(1, 0), order(3, 40), order(2, 20), order(5, 84), order(6, 84)];
        let check = |id, expected: &[i64]| {
            assert_eq!(chain(orders.clone(), id, chrono::Duration::hours(24)), expected, "{id}");
        };
        check(1, &[1, 2, 3, 4]);
        check(4, &[1, 2, 3, 4]);
        // A whole day later it is another one; two of one instant are one.
        check(5, &[5, 6]);
        check(7, &[]);
    }

    #[test]
    fn items_are_read_as_they_are_written() {
        let check = |cell: &str, expected: &[(&str, &str)]| {
            let order = Purchase {
                id: 1,
                member_id: 1,
                order_id: "o1".to_owned(),
                purchased_at: super::super::instant(0),
                amount: 0,
                currency: "USD".to_owned(),
                status: OrderStatus::Paid,
                delivered_at: None,
                items: Some(cell.to_owned()),
            };
            let found: Vec<(String, String)> =
                order.items().map(|(category, sku)| (category.unwrap_or_default(), sku)).collect();
            let expected: Vec<(String, String)> =
                expected.iter().map(|(category, sku)| ((*category).to_owned(), (*sku).to_owned())).collect();
            assert_eq!(found, expected, "{cell}");
        };
        check("", &[]);
        check("AB-1", &[("", "ab-1")]);
        check("Shoes/AB-1 x2; CD 3 ;;EF X10", &[("shoes", "ab-1"), ("", "cd 3"), ("", "ef")]);
        check("red box; x2; tea x", &[("", "red box"), ("", "x2"), ("", "tea x")]);
    }
}
