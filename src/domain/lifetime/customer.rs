//! What a customer did by an instant, in the numbers that the models ask for.

use std::collections::BTreeMap;

use crate::domain::Instant;
use crate::domain::history::utc_day;

/// A customer at an instant. As the articles count, a UTC day with a valid order is one purchase, whatever the number of
/// its orders, and the first of them is no repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Customer {
    /// Days with an order after the first: x.
    pub repeats: i64,
    /// Days from the first to the last of them: t_x.
    pub recency_days: i64,
    /// Days from the first to the instant: T.
    pub age_days: i64,
    /// Of the repeats, those with an order in the brand's currency,
    pub priced: i64,
    /// and what these came to, in minor units.
    pub spent: i64,
}

impl Customer {
    /// From the valid orders in any order, each with what it came to where that is in the brand's currency. Those after
    /// `at` are not seen; without any there is no customer.
    pub fn at(at: Instant, orders: impl IntoIterator<Item = (Instant, Option<i64>)>) -> Option<Self> {
        let mut days: BTreeMap<i64, Option<i64>> = BTreeMap::new();
        for (made, amount) in orders.into_iter().filter(|(made, _)| *made <= at) {
            let day = days.entry(utc_day(made)).or_default();
            *day = amount.map(|amount| day.unwrap_or_default().saturating_add(amount)).or(*day);
        }
        let (first, last) = (*days.first_key_value()?.0, *days.last_key_value()?.0);
        let repeats = days.values().skip(1);
        let amounts = repeats.clone().flatten();
        Some(Self {
            repeats: repeats.len() as i64,
            recency_days: last - first,
            age_days: utc_day(at) - first,
            priced: amounts.clone().count() as i64,
            spent: amounts.fold(0, |sum, amount| sum.saturating_add(*amount)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_purchase_and_the_first_is_no_repeat() {
        let utc = |text: &str| -> Instant { text.parse().unwrap() };
        let orders = [
            (utc("2024-01-20T00:00:00Z"), Some(7)),
            (utc("2024-01-01T23:00:00Z"), Some(1_000)),
            (utc("2024-01-01T01:00:00Z"), None),
            (utc("2024-01-10T10:00:00Z"), None),
            (utc("2024-01-12T10:00:00Z"), Some(0)),
            (utc("2024-01-15T10:00:00Z"), None),
            (utc("2024-01-15T12:00:00Z"), Some(30)),
            (utc("2024-01-15T23:59:59Z"), Some(12)),
            (utc("2024-01-20T00:00:00.001Z"), Some(100)),
        ];
        let check = |at: &str, expected| assert_eq!(Customer::at(utc(at), orders), expected, "{at}");
        let customer = |repeats, recency_days, age_days, priced, spent| {
            Some(Customer { repeats, recency_days, age_days, priced, spent })
        };
        check("2024-01-01T00:59:59Z", None);
        check("2024-01-01T01:00:00Z", customer(0, 0, 0, 0, 0));
        check("2024-01-09T23:59:59Z", customer(0, 0, 8, 0, 0));
        check("2024-01-11T00:00:00Z", customer(1, 9, 10, 0, 0));
        check("2024-01-15T12:00:00Z", customer(3, 14, 14, 2, 30));
        // What is made in the very instant counts.
        check("2024-01-20T00:00:00Z", customer(4, 19, 19, 3, 49));
        check("2025-01-01T00:00:00Z", customer(4, 19, 366, 3, 149));
    }
}
