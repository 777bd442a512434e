//! How much an experiment can see: how many members a wanted difference needs, and the smallest difference that
//! members suffice for. Always for a two-sided test at 5 % that finds a true difference in 80 % of experiments.

use super::means::DETECTABLE;

/// What part of all members each of two arms gets. They sum to less than 1 where there are others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Split {
    pub arm: f64,
    pub against: f64,
}

/// How many members a difference needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needed {
    pub arm: u64,
    pub against: u64,
    /// Of all arms.
    pub total: u64,
}

/// What members spend before the experiment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spending {
    /// Per member, those who buy nothing included.
    pub mean: f64,
    /// Between members, in the same unit.
    pub deviation: f64,
}

impl Split {
    /// The members that let √(v₁/n₁ + v₂/n₂) be so small that the difference is detectable.
    fn needed(self, variances: (f64, f64), difference: f64) -> Option<Needed> {
        let Self { arm, against } = self;
        let total = (DETECTABLE / difference).powi(2) * (variances.0 / arm + variances.1 / against);
        let are_parts = arm > 0.0 && against > 0.0 && arm + against <= 1.0 + 1e-9;
        if !are_parts || !total.is_finite() || total <= 0.0 {
            return None;
        }
        let (arm, against) = ((total * arm).ceil() as u64, (total * against).ceil() as u64);
        Some(Needed { arm, against, total: (total.ceil() as u64).max(arm.saturating_add(against)) })
    }
}

/// How many members it takes to detect a difference of means, in the unit of the spending, in either direction.
/// None where it is 0, and where spending does not vary.
fn members_for_difference(spending: Spending, difference: f64, split: Split) -> Option<Needed> {
    let variance = spending.deviation * spending.deviation;
    split.needed((variance, variance), difference)
}

/// The same for a change by a part of the mean: 0.1 for ten per cent more.
pub fn members_for_lift(spending: Spending, lift: f64, split: Split) -> Option<Needed> {
    members_for_difference(spending, spending.mean * lift, split)
}

#[cfg(test)]
mod tests {
    use super::super::distribution::NORMAL_QUANTILE;
    use super::*;

    const HALVES: Split = Split { arm: 0.5, against: 0.5 };

    #[test]
    fn sizes_are_those_of_the_textbook() {
        assert!((DETECTABLE - NORMAL_QUANTILE - 0.841_621_233_572_914_2).abs() < 2e-8);
        // (1.96 + 0.8416)² × 2σ² / δ²: 15.7 σ² / δ² per arm.
        let spending = Spending { mean: 20.0, deviation: 10.0 };
        let equal = members_for_difference(spending, 1.0, HALVES).unwrap();
        assert_eq!(equal, Needed { arm: 1_570, against: 1_570, total: 3_140 });
        assert_eq!(members_for_difference(spending, -1.0, HALVES), Some(equal));
        assert_eq!(members_for_lift(spending, 0.05, HALVES), Some(equal));
        // A holdout of a tenth needs 1 / (4 × 0.1 × 0.9) as many in all.
        let tenth = members_for_difference(spending, 1.0, Split { arm: 0.9, against: 0.1 }).unwrap();
        assert_eq!(tenth, Needed { arm: 7_849, against: 873, total: 8_722 });
        // Two variants: the other one's members are in the total.
        let third = members_for_difference(spending, 1.0, Split { arm: 0.45, against: 0.1 }).unwrap();
        assert!(third.total > third.arm + third.against + 4_000, "{third:?}");
    }

    #[test]
    fn what_cannot_be_computed_is_none() {
        let spending = Spending { mean: 20.0, deviation: 10.0 };
        for (spending, lift, split) in [
            (spending, 0.0, HALVES),
            (Spending { deviation: 0.0, ..spending }, 0.1, HALVES),
            (Spending { mean: 0.0, ..spending }, 0.1, HALVES),
            (spending, 0.1, Split { arm: 1.0, against: 0.0 }),
            (spending, 0.1, Split { arm: 0.9, against: 0.2 }),
            (spending, f64::NAN, HALVES),
        ] {
            assert_eq!(members_for_lift(spending, lift, split), None, "{spending:?} {lift} {split:?}");
        }
    }
}
