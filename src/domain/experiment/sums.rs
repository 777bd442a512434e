//! Sums of one value per member, from which mean and variance follow, so that no value is kept.
//!
//! They are whole numbers of a small unit: minor units of the currency, or millionths of the major unit where
//! costs of messages are taken off. That makes them exact. A refund takes out precisely what an order put in,
//! a nightly recount finds the same numbers or a real fault, and equal values have a variance of exactly 0.
//! With floating point each of the three would hold but nearly.
//!
//! Σx² outgrows 64 bits (one order of 31 million rial, in minor units, does so), hence 128: 10 million members
//! with 10¹² each come to 10³¹, and there is room for 1.7 × 10³⁸. In a database that is a decimal, or text.
//! Where only a floating-point Σx² is to be had, convert it with `as i128`: spending is mostly zeros, so Σx² stands
//! well above (Σx)² / n, and the variance has about as many right digits as Σx².

/// n, Σx and Σx² over the members of an arm; each member counts once, those who spent nothing with 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    pub n: u64,
    pub sum: i128,
    pub squares: i128,
}

impl Sums {
    /// Counts a member with its value.
    pub fn add(&mut self, value: i64) {
        self.n = self.n.saturating_add(1);
        self.shift(value, 1);
    }

    /// Counts members who all have the value 0.
    pub fn add_zeros(&mut self, members: u64) {
        self.n = self.n.saturating_add(members);
    }

    /// Takes out a member that was added with this value.
    pub fn remove(&mut self, value: i64) {
        self.n = self.n.saturating_sub(1);
        self.shift(value, -1);
    }

    /// A member's value has changed.
    pub fn replace(&mut self, before: i64, after: i64) {
        self.shift(before, -1);
        self.shift(after, 1);
    }

    /// Counts other members as well.
    pub fn merge(&mut self, other: &Self) {
        self.n = self.n.saturating_add(other.n);
        self.sum = self.sum.saturating_add(other.sum);
        self.squares = self.squares.saturating_add(other.squares);
    }

    fn shift(&mut self, value: i64, sign: i128) {
        let value = i128::from(value);
        self.sum = self.sum.saturating_add(sign * value);
        // At most 2¹²⁶.
        self.squares = self.squares.saturating_add(sign * value * value);
    }

    /// The mean per member, in units of `unit` (how many of the sums' units make one: 100 for cents to euros).
    /// None without members
    /// or with a unit of 0.
    pub fn mean(&self, unit: f64) -> Option<f64> {
        let mean = self.sum as f64 / self.n as f64 / unit;
        mean.is_finite().then_some(mean)
    }

    /// The variance between members with n − 1, in units of `unit` squared. None below two members
    /// or with a unit of 0.
    pub fn variance(&self, unit: f64) -> Option<f64> {
        let variance = self.squared_deviations() / self.n.checked_sub(1)? as f64 / (unit * unit);
        variance.is_finite().then_some(variance)
    }

    /// Σ(x − mean)²: without rounding up to the last step, as long as n·Σx² fits 128 bits.
    fn squared_deviations(&self) -> f64 {
        let n = i128::from(self.n);
        let exact = n
            .checked_mul(self.squares)
            .zip(self.sum.checked_mul(self.sum))
            .map(|(squares, square)| squares.saturating_sub(square) as f64 / self.n as f64);
        let rounded = || self.squares as f64 - self.sum as f64 * (self.sum as f64 / self.n as f64);
        // Below 0 only where Σx² was rounded elsewhere.
        exact.unwrap_or_else(rounded).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[i64]) -> Sums {
        let mut sums = Sums::default();
        values.iter().for_each(|value| sums.add(*value));
        sums
    }

    #[test]
    fn mean_and_variance_are_those_of_the_values() {
        let sums = of(&[200, 400, 400, 400, 500, 500, 700, 900]);
        assert_eq!(sums, Sums { n: 8, sum: 4_000, squares: 2_320_000 });
        assert_eq!((sums.mean(1.0), sums.mean(100.0)), (Some(500.0), Some(5.0)));
        assert_eq!(
            (sums.variance(1.0), sums.variance(100.0)),
            (Some(320_000.0 / 7.0), Some(320_000.0 / 7.0 / 10_000.0))
        );
        // Losses count as what they are: net of costs may be negative.
        assert_eq!((of(&[-300, 100]).mean(1.0), of(&[-300, 100]).variance(1.0)), (Some(-100.0), Some(80_000.0)));
    }

    #[test]
    fn what_too_few_members_cannot_say_is_none() {
        assert_eq!((of(&[]).mean(1.0), of(&[]).variance(1.0)), (None, None));
        assert_eq!((of(&[7]).mean(1.0), of(&[7]).variance(1.0)), (Some(7.0), None));
        for unit in [0.0, f64::NAN] {
            assert_eq!((of(&[7, 8]).mean(unit), of(&[7, 8]).variance(unit)), (None, None), "{unit}");
        }
        let mut zeros = Sums::default();
        zeros.add_zeros(3);
        assert_eq!((zeros, zeros.variance(1.0)), (of(&[0, 0, 0]), Some(0.0)));
    }

    #[test]
    fn parts_merge_into_the_whole_and_what_was_put_in_comes_out() {
        let values: Vec<i64> = (0..500).map(|i| (i * i * 7_919) % 1_000_003 - 250_000).collect();
        let whole = of(&values);
        for cut in [0, 1, 250, 499, 500] {
            let mut parts = of(&values[..cut]);
            parts.merge(&of(&values[cut..]));
            assert_eq!(parts, whole);
        }
        let mut changed = whole;
        for value in &values[100..] {
            changed.remove(*value);
        }
        assert_eq!(changed, of(&values[..100]));
        changed.replace(values[99], 5);
        changed.replace(5, values[99]);
        changed.add(i64::MAX);
        changed.remove(i64::MAX);
        assert_eq!(changed, of(&values[..100]));
    }

    #[test]
    fn equal_values_vary_by_nothing_and_large_ones_by_what_is_left() {
        for value in [1, 1_999, 3_100_000_001, 1_234_567_890_123] {
            assert_eq!(of(&[value; 7]).variance(1.0), Some(0.0), "{value}");
            // Far from 0 and close together, where floating point finds nothing or nonsense.
            assert_eq!(of(&[value, value + 1, value + 2]).variance(1.0), Some(1.0), "{value}");
        }
        // n·Σx² needs 131 bits here, and is rounded: half the members spent 2 × 10¹⁵, half nothing.
        let (n, value) = (1_000_000, 2_000_000_000_000_000_i128);
        let rounded = Sums { n, sum: 500_000 * value, squares: 500_000 * value * value };
        let variance = rounded.variance(1.0).unwrap();
        assert!((variance / (1e30 * 1e6 / 999_999.0) - 1.0).abs() < 1e-15, "{variance}");
    }

    #[test]
    fn the_sizes_that_are_told_are_those_that_fit() {
        assert!(3_000_000_000_i64.checked_mul(3_000_000_000).is_some());
        assert!(3_100_000_000_i64.checked_mul(3_100_000_000).is_none());
        // Ten million members with 10¹² each, half of them: exact even then.
        let (n, value) = (10_000_000, 1_000_000_000_000_i128);
        let large = Sums { n, sum: 5_000_000 * value, squares: 5_000_000 * value * value };
        assert!(i128::from(n).checked_mul(large.squares).is_some() && large.sum.checked_mul(large.sum).is_some());
    }
}
