//! A purchase: one order of a member.

use super::Instant;
use super::message::words;

words! {
    /// What became of an order; only a paid one counts for rules, aggregates and goals.
    OrderStatus { Paid = "paid", Cancelled = "cancelled", Refunded = "refunded" }
}

/// One order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purchase {
    /// The store's key.
    pub id: i64,
    pub order_id: String,
    pub purchased_at: Instant,
    /// In minor units of `currency`.
    pub amount: i64,
    pub currency: String,
    pub status: OrderStatus,
}
