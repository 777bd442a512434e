//! Two arms compared by their means per member.
//!
//! The interval to go by is Student's, its variance pooled within the two arms: where a small holdout meets heavy
//! tails, its own variance is often badly underestimated, and Welch's interval believes it. Where nothing happened both
//! arms vary alike, so the large one says how much. Where the treated spend more they vary more, and the pooled
//! interval is a little too wide. Welch's stands beside it, for comparison with other tools.

use super::{
    always_valid,
    distribution::{student_p, student_quantile},
    interval::Interval,
    sums::Sums,
};

/// The smallest detectable difference in standard errors, for a two-sided test at 5 % that finds it in 80 % of
/// experiments: the normal distribution's quantiles at 0.975 and 0.8, summed up.
pub const DETECTABLE: f64 = 2.801_585_2;

/// A difference of means, in the caller's unit of money.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Means {
    /// The arm's mean less the other's. None where one of them is empty.
    pub difference: Option<f64>,
    /// Student's test. None below two members in an arm, and where nothing varies.
    pub pooled: Option<Estimate>,
    /// Over the pooled error.
    pub always_valid: Option<Interval>,
    /// The true difference that the pooled test finds in 80 % of experiments of this size.
    pub smallest_detectable: Option<f64>,
    /// Welch's test.
    pub welch: Option<Estimate>,
}

/// What one test says about a difference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The difference's standard error.
    pub se: f64,
    /// The difference over its standard error.
    pub t: f64,
    /// Degrees of freedom; Welch's are no whole number.
    pub df: f64,
    /// Two-sided.
    pub p: f64,
    /// At 95 %.
    pub interval: Interval,
}

impl Means {
    /// Compares an arm with another. `unit` is how many of the sums' units make one of the result's: 100 for
    /// cents to euros.
    pub fn compare(arm: &Sums, against: &Sums, unit: f64) -> Self {
        let Some(difference) = difference(arm, against, unit) else { return Self::default() };
        let pooled = pooled_error(arm, against, unit);
        let members = arm.n.saturating_add(against.n);
        Self {
            difference: Some(difference),
            pooled: pooled.and_then(|error| error.estimate(difference)),
            always_valid: pooled.and_then(|error| always_valid::interval(difference, error.se, members)),
            smallest_detectable: pooled.map(|error| DETECTABLE * error.se),
            welch: welch_error(arm, against, unit).and_then(|error| error.estimate(difference)),
        }
    }
}

/// A standard error, and how well it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct StandardError {
    pub se: f64,
    pub df: f64,
}

impl StandardError {
    fn new(variance: f64, df: f64) -> Option<Self> {
        let se = variance.sqrt();
        (se > 0.0 && se.is_finite() && df > 0.0 && df.is_finite()).then_some(Self { se, df })
    }

    fn estimate(self, difference: f64) -> Option<Estimate> {
        let Self { se, df } = self;
        let t = difference / se;
        let interval = Interval::around(difference, student_quantile(df) * se)?;
        t.is_finite().then(|| Estimate { se, t, df, p: student_p(t, df), interval })
    }
}

pub(super) fn difference(arm: &Sums, against: &Sums, unit: f64) -> Option<f64> {
    Some(arm.mean(unit)? - against.mean(unit)?).filter(|difference| difference.is_finite())
}

/// √(v/n₁ + v/n₂), v = ((n₁−1)s₁² + (n₂−1)s₂²) / (n₁+n₂−2), which are the degrees of freedom.
pub(super) fn pooled_error(arm: &Sums, against: &Sums, unit: f64) -> Option<StandardError> {
    let (v1, v2) = (arm.variance(unit)?, against.variance(unit)?);
    let (n1, n2) = (arm.n as f64, against.n as f64);
    let df = n1 + n2 - 2.0;
    let pooled = ((n1 - 1.0) * v1 + (n2 - 1.0) * v2) / df;
    StandardError::new(pooled / n1 + pooled / n2, df)
}

/// √(s₁²/n₁ + s₂²/n₂), with the degrees of freedom of Welch and Satterthwaite.
pub(super) fn welch_error(arm: &Sums, against: &Sums, unit: f64) -> Option<StandardError> {
    let (n1, n2) = (arm.n as f64, against.n as f64);
    let (a, b) = (arm.variance(unit)? / n1, against.variance(unit)? / n2);
    let (part_a, part_b) = (a / (a + b), b / (a + b));
    StandardError::new(a + b, 1.0 / (part_a * part_a / (n1 - 1.0) + part_b * part_b / (n2 - 1.0)))
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
    fn what_cannot_be_computed_is_none() {
        let some = of(&[100, 300, 0, 0]);
        for (arm, against) in [(of(&[]), some), (some, of(&[])), (of(&[]), of(&[]))] {
            assert_eq!(Means::compare(&arm, &against, 1.0), Means::default());
        }
        let only_difference = |difference| Means { difference: Some(difference), ..Means::default() };
        assert_eq!(Means::compare(&of(&[500]), &some, 1.0), only_difference(400.0));
        assert_eq!(Means::compare(&some, &of(&[500]), 1.0), only_difference(-400.0));
        // Nothing varies.
        assert_eq!(Means::compare(&of(&[0; 200]), &of(&[0; 20]), 1.0), only_difference(0.0));
        assert_eq!(Means::compare(&of(&[1_999; 200]), &of(&[999; 20]), 100.0), only_difference(19.99 - 9.99));
        // One arm that varies is enough; Welch's then has that arm's degrees of freedom.
        let one = Means::compare(&some, &of(&[0; 20]), 1.0);
        assert_eq!((one.pooled.unwrap().df, one.welch.unwrap().df), (22.0, 3.0));
        assert!(one.always_valid.is_some() && one.smallest_detectable.is_some());
        for unit in [0.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Means::compare(&some, &of(&[0; 20]), unit).pooled, None, "{unit}");
        }
    }

    #[test]
    fn equal_arms_have_the_same_error_by_both_tests() {
        let (one, other) = (of(&[0, 0, 900, 100]), of(&[100, 1_000, 1_900, 1_000]));
        let Means { pooled, welch, .. } = Means::compare(&one, &other, 1.0);
        assert!((pooled.unwrap().se / welch.unwrap().se - 1.0).abs() < 1e-15);
        assert!(welch.unwrap().df < pooled.unwrap().df);
    }

    #[test]
    fn turning_the_arms_turns_the_signs_and_the_unit_scales() {
        for i in 1..40_i64 {
            let one =
                of(&(0..30 + i).map(|k| if k % 5 == 0 { (k * 37 + i) % 101 * 100 } else { 0 }).collect::<Vec<_>>());
            let other = of(&(0..4 + i / 3).map(|k| (k * k * 53 + i) % 89 * 100).collect::<Vec<_>>());
            let (there, back) = (Means::compare(&one, &other, 1.0), Means::compare(&other, &one, 1.0));
            let euros = Means::compare(&one, &other, 100.0);
            assert_eq!(there.difference.map(|difference| -difference), back.difference);
            for (a, b, e) in [
                (there.pooled.unwrap(), back.pooled.unwrap(), euros.pooled.unwrap()),
                (there.welch.unwrap(), back.welch.unwrap(), euros.welch.unwrap()),
            ] {
                let close = |a: f64, b: f64| assert!((a - b).abs() <= 1e-11 * a.abs().max(1.0), "{a} {b}");
                close(a.interval.low, -b.interval.high);
                close(a.p, b.p);
                close(a.interval.high / 100.0, e.interval.high);
                close(a.p, e.p);
                close(a.df, e.df);
                // An interval excludes 0 exactly where its test rejects.
                assert_eq!(a.interval.excludes_zero(), a.p < 0.05);
                assert!((0.0..=1.0).contains(&a.p));
            }
            let (always, fixed) = (there.always_valid.unwrap(), there.pooled.unwrap().interval);
            assert!(always.low < fixed.low && fixed.high < always.high);
        }
    }
}
