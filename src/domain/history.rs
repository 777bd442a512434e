//! What stands behind an order: the member's visits up to and with it, and what came next.

use super::Instant;

const DAY_MS: i64 = 86_400_000;

/// The history of a valid order. Orders of one UTC date are one visit, at the time of the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// Visits of the member up to and with the order's own.
    pub visits: i64,
    /// Days between the UTC dates of the first and of the last of them.
    pub tenure_days: i64,
    /// The median time between visits in milliseconds, from the third visit on.
    pub gap_ms: Option<i64>,
    /// When the member's next valid order was made.
    pub next_at: Option<Instant>,
}

/// The UTC date of an instant, as days since 1970.
pub fn utc_day(at: Instant) -> i64 {
    at.timestamp_millis().div_euclid(DAY_MS)
}

/// The histories of a member's valid orders, which are given in their order.
pub fn histories(orders: &[Instant]) -> Vec<History> {
    let mut gaps: Vec<i64> = Vec::new();
    let mut last_visit: Option<Instant> = None;
    let mut visits = 0;
    let mut found = Vec::with_capacity(orders.len());
    for (index, at) in orders.iter().enumerate() {
        if last_visit.is_none_or(|last| utc_day(last) != utc_day(*at)) {
            if let Some(last) = last_visit {
                let gap = (*at - last).num_milliseconds();
                gaps.insert(gaps.partition_point(|other| *other < gap), gap);
            }
            visits += 1;
            last_visit = Some(*at);
        }
        found.push(History {
            visits,
            tenure_days: utc_day(*at) - utc_day(orders[0]),
            gap_ms: if gaps.len() < 2 { None } else { Some(median(&gaps)) },
            next_at: orders.get(index + 1).copied(),
        });
    }
    found
}

/// Of sorted numbers; the mean of the two in the middle is rounded down.
fn median(sorted: &[i64]) -> i64 {
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { (sorted[middle - 1] + sorted[middle]).div_euclid(2) } else { sorted[middle] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_of_a_day_are_one_visit_and_gaps_have_their_median() {
        let orders: Vec<Instant> = [
            "2024-01-01T10:00:00Z",
            "2024-01-01T23:59:59.999Z",
            "2024-01-02T00:00:00Z",
            "2024-01-12T00:00:00Z",
            "2024-01-12T00:00:00Z",
            "2024-01-13T00:00:00.001Z",
            "2024-02-13T00:00:00.001Z",
        ]
        .map(|at| at.parse().unwrap())
        .to_vec();
        const HOUR: i64 = 3_600_000;
        let wanted = [
            (1, 0, None),
            (1, 0, None),
            (2, 1, None),
            // Gaps: 14 h and 10 d, the mean rounded down.
            (3, 11, Some((14 * HOUR + 240 * HOUR) / 2)),
            (3, 11, Some((14 * HOUR + 240 * HOUR) / 2)),
            // 14 h, 1 d and a millisecond, 10 d.
            (4, 12, Some(24 * HOUR + 1)),
            (5, 43, Some((24 * HOUR + 1 + 240 * HOUR) / 2)),
        ];
        let found = histories(&orders);
        assert_eq!(found.len(), wanted.len());
        for (index, (history, (visits, tenure_days, gap_ms))) in found.into_iter().zip(wanted).enumerate() {
            let next_at = orders.get(index + 1).copied();
            assert_eq!(history, History { visits, tenure_days, gap_ms, next_at }, "order {index}");
        }
        assert!(histories(&[]).is_empty());
    }
}
