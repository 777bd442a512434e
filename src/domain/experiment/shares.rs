//! Shares of members (who bought, who left), each with Wilson's interval, and two of them compared.
//! Wilson 1927; Newcombe 1998 (Statistics in Medicine 17:873, method 10).

use super::{
    distribution::{NORMAL_QUANTILE, normal_p},
    interval::Interval,
};

/// How many of the members.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    pub count: u64,
    pub members: u64,
}

/// A difference of shares, as a part of 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Shares {
    /// The arm's share less the other's. None where one of them is empty.
    pub difference: Option<f64>,
    /// Newcombe's, from Wilson's intervals of the two.
    pub interval: Option<Interval>,
    /// Two-sided, by the pooled z-test. None where all or none of both arms count.
    pub p: Option<f64>,
}

impl Share {
    /// The share as a part of 1. None without members, or with fewer members than are counted.
    pub fn value(&self) -> Option<f64> {
        (self.members > 0 && self.count <= self.members).then(|| self.count as f64 / self.members as f64)
    }

    /// Wilson's interval at 95 %: (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n).
    pub fn interval(&self) -> Option<Interval> {
        let p = self.value()?;
        let n = self.members as f64;
        let z_squared = NORMAL_QUANTILE * NORMAL_QUANTILE;
        let middle = p + z_squared / (2.0 * n);
        let half = NORMAL_QUANTILE * (p * (1.0 - p) / n + z_squared / (4.0 * n * n)).sqrt();
        let end = |value: f64| (value / (1.0 + z_squared / n)).clamp(0.0, 1.0);
        // At the edges the ends are exact, whatever rounding says.
        let low = if self.count == 0 { 0.0 } else { end(middle - half) };
        let high = if self.count == self.members { 1.0 } else { end(middle + half) };
        Some(Interval { low, high })
    }
}

impl Shares {
    /// Compares an arm's share with another's.
    pub fn compare(arm: Share, against: Share) -> Self {
        let (Some(p1), Some(p2)) = (arm.value(), against.value()) else { return Self::default() };
        Self { difference: Some(p1 - p2), interval: newcombe(arm, against), p: pooled_p(arm, against) }
    }
}

/// From d − √((p₁−l₁)² + (u₂−p₂)²) to d + √((u₁−p₁)² + (p₂−l₂)²).
fn newcombe(arm: Share, against: Share) -> Option<Interval> {
    let (p1, p2) = (arm.value()?, against.value()?);
    let (one, two) = (arm.interval()?, against.interval()?);
    Some(Interval {
        low: (p1 - p2 - f64::hypot(p1 - one.low, two.high - p2)).max(-1.0),
        high: (p1 - p2 + f64::hypot(one.high - p1, p2 - two.low)).min(1.0),
    })
}

fn pooled_p(arm: Share, against: Share) -> Option<f64> {
    let (n1, n2) = (arm.members as f64, against.members as f64);
    let pooled = (arm.count as f64 + against.count as f64) / (n1 + n2);
    let se = (pooled * (1.0 - pooled) * (1.0 / n1 + 1.0 / n2)).sqrt();
    (se > 0.0).then_some((arm.value()? - against.value()?) / se).map(normal_p)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(count: u64, members: u64) -> Share {
        Share { count, members }
    }

    fn check(found: Interval, low: f64, high: f64) {
        assert!((found.low - low).abs() < 5.1e-5 && (found.high - high).abs() < 5.1e-5, "{found:?}");
    }

    #[test]
    fn the_intervals_are_the_published_ones() {
        check(share(81, 263).interval().unwrap(), 0.2553, 0.3662);
        check(share(15, 148).interval().unwrap(), 0.0624, 0.1605);
        check(share(0, 20).interval().unwrap(), 0.0, 0.1611);
        check(share(1, 29).interval().unwrap(), 0.0061, 0.1718);
        check(Shares::compare(share(56, 70), share(48, 80)).interval.unwrap(), 0.0524, 0.3339);
        check(Shares::compare(share(9, 10), share(3, 10)).interval.unwrap(), 0.1705, 0.8090);
        check(Shares::compare(share(0, 10), share(0, 20)).interval.unwrap(), -0.1611, 0.2775);
        check(Shares::compare(share(10, 10), share(0, 20)).interval.unwrap(), 0.6791, 1.0);
    }

    #[test]
    fn what_cannot_be_computed_is_none() {
        for impossible in [share(0, 0), share(3, 2)] {
            assert_eq!((impossible.value(), impossible.interval()), (None, None));
            assert_eq!(Shares::compare(impossible, share(1, 2)), Shares::default());
            assert_eq!(Shares::compare(share(1, 2), impossible), Shares::default());
        }
        let none_buys = Shares::compare(share(0, 50), share(0, 5));
        assert_eq!((none_buys.difference, none_buys.p), (Some(0.0), None));
        assert!(none_buys.interval.is_some());
        assert_eq!(Shares::compare(share(50, 50), share(5, 5)).p, None);
    }

    #[test]
    fn intervals_hold_the_share_and_stay_within_bounds() {
        for members in [1, 2, 3, 10, 97, 1_000, 64_000] {
            for count in [0, 1, members / 3, members / 2, members - 1, members] {
                let one = share(count, members);
                let (value, interval) = (one.value().unwrap(), one.interval().unwrap());
                assert!(0.0 <= interval.low && interval.contains(value) && interval.high <= 1.0, "{one:?}");
                let rest = share(members - count, members).interval().unwrap();
                assert!((interval.low + rest.high - 1.0).abs() < 1e-14, "{one:?}");
                for against in [share(0, 7), share(3, 7), share(7, 7), share(200, 1_000)] {
                    let (there, back) = (Shares::compare(one, against), Shares::compare(against, one));
                    let (a, b) = (there.interval.unwrap(), back.interval.unwrap());
                    assert!((a.low + b.high).abs() < 1e-15 && a.contains(there.difference.unwrap()));
                    assert!(-1.0 <= a.low && a.high <= 1.0, "{a:?}");
                    assert!(there.p.is_none_or(|p| (0.0..=1.0).contains(&p)));
                    assert_eq!(there.p, back.p);
                }
            }
        }
    }
}
