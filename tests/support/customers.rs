//! What customers did, by looping over a list of their orders: it shares no code with the reports.

#![allow(dead_code, reason = "each test target uses a part of it")]

use std::collections::BTreeMap;

use chrono::Duration;
use rekindle::domain::Instant;
use rekindle::reports::loyalty::Kept;

/// An order as the lists know it.
#[derive(Debug, Clone)]
pub struct Order {
    pub member: usize,
    pub at: Instant,
    pub cents: i64,
    pub currency: &'static str,
    pub paid: bool,
}

/// The valid orders of each member, in their order.
pub fn by_member(orders: Vec<Order>) -> BTreeMap<usize, Vec<Order>> {
    let mut all: BTreeMap<usize, Vec<Order>> = BTreeMap::new();
    for order in orders.into_iter().filter(|order| order.paid) {
        all.entry(order.member).or_default().push(order);
    }
    all.values_mut().for_each(|own| own.sort_by_key(|order| order.at));
    all
}

/// What members did between two instants; they are called `part` and have so many points.
pub fn looked_over(
    orders: &BTreeMap<usize, Vec<Order>>,
    members: &[usize],
    (from, to): (Instant, Instant),
    (part, points): (&str, i64),
    active: Duration,
) -> Kept {
    let mut kept = Kept { part: part.to_owned(), members: members.len() as i64, points, ..Kept::default() };
    let (mut stayed, mut priced, mut gaps, mut cents) = (0, 0, Vec::new(), 0);
    for member in members {
        let own = orders.get(member).map(Vec::as_slice).unwrap_or_default();
        let customer = |at: Instant| own.iter().any(|order| order.at > at - active && order.at <= at);
        let within: Vec<&Order> = own.iter().filter(|order| order.at >= from && order.at < to).collect();
        kept.customers_at_start += i64::from(customer(from));
        kept.customers_at_end += i64::from(customer(to));
        stayed += i64::from(customer(from) && customer(to));
        kept.buyers += i64::from(!within.is_empty());
        kept.repeat_buyers += i64::from(within.len() > 1);
        kept.orders += within.len() as i64;
        for order in within.iter().filter(|order| order.currency == "USD") {
            priced += 1;
            cents += order.cents;
        }
        for pair in own.windows(2).filter(|pair| pair[1].at >= from && pair[1].at < to) {
            gaps.push((pair[1].at - pair[0].at).num_milliseconds());
        }
    }
    kept.revenue = cents as f64 / 100.0;
    kept.new_customers = kept.customers_at_end - stayed;
    let share = |part: i64, whole: i64| if whole == 0 { None } else { Some(part as f64 / whole as f64) };
    kept.retention = share(stayed, kept.customers_at_start);
    kept.churn = kept.retention.map(|kept| 1.0 - kept);
    kept.repeat_rate = share(kept.repeat_buyers, kept.buyers);
    kept.orders_per_buyer = share(kept.orders, kept.buyers);
    kept.average_order = if priced == 0 { None } else { Some(kept.revenue / priced as f64) };
    kept.other_currencies = kept.orders - priced;
    gaps.sort_unstable();
    let middle = |place: usize| gaps[place] as f64 / 86_400_000.0;
    kept.days_between_orders = match gaps.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(middle(odd / 2)),
        even => Some((middle(even / 2 - 1) + middle(even / 2)) / 2.0),
    };
    kept
}

/// Equal, but for the last digits of what was divided.
pub fn assert_same(found: &Kept, expected: &Kept) {
    let close = |one: Option<f64>, other: Option<f64>| match (one, other) {
        (Some(one), Some(other)) => (one - other).abs() <= 1e-9 * other.abs().max(1.0),
        (one, other) => one == other,
    };
    assert!(close(found.days_between_orders, expected.days_between_orders), "{found:?}\n{expected:?}");
    assert!(close(found.average_order, expected.average_order), "{found:?}\n{expected:?}");
    let plain = |kept: &Kept| Kept { days_between_orders: None, average_order: None, ..kept.clone() };
    assert_eq!(plain(found), plain(expected));
}
