//! An interval that a true value is believed to lie in.

/// From `low` to `high`, both finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

impl Interval {
    /// `half` to either side of the middle; none where an end would be no number.
    pub(super) fn around(middle: f64, half: f64) -> Option<Self> {
        let interval = Self { low: middle - half, high: middle + half };
        (interval.low.is_finite() && interval.high.is_finite()).then_some(interval)
    }

    /// Whether all of it lies above 0.
    pub fn is_above_zero(&self) -> bool {
        self.low > 0.0
    }

    /// Whether all of it lies below 0.
    pub fn is_below_zero(&self) -> bool {
        self.high < 0.0
    }

    /// Whether 0 lies outside of it.
    pub fn excludes_zero(&self) -> bool {
        self.is_above_zero() || self.is_below_zero()
    }

    /// Whether the value lies in it, its ends included.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_at_zero_does_not_exclude_it() {
        let interval = |low, high| Interval { low, high };
        assert!(interval(0.1, 2.0).is_above_zero() && interval(0.1, 2.0).excludes_zero());
        assert!(interval(-2.0, -0.1).is_below_zero() && interval(-2.0, -0.1).excludes_zero());
        for spanning in [interval(-1.0, 1.0), interval(0.0, 1.0), interval(-1.0, 0.0)] {
            assert!(!spanning.excludes_zero() && spanning.contains(0.0), "{spanning:?}");
        }
        assert_eq!(Interval::around(1.0, 0.25), Some(interval(0.75, 1.25)));
        assert_eq!(Interval::around(f64::MAX, f64::MAX), None);
        assert_eq!(Interval::around(0.0, f64::NAN), None);
    }
}
