//! Whether the arms have the sizes that they were to have. Where they do not, something sorts members on the way,
//! and no comparison of the arms can be believed.

use super::distribution::chi_square_p;

/// A p below this is an alarm: a fault, not chance.
const ALARM: f64 = 0.001;

/// An arm's members, and the share that was meant for it. Shares count as weights; they need not sum to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arm {
    pub members: u64,
    pub share: f64,
}

/// Pearson's chi-square test of the arms' sizes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleRatio {
    /// Σ(observed − expected)² / expected.
    pub chi_square: f64,
    /// One less than there are arms.
    pub df: u32,
    pub p: f64,
}

impl SampleRatio {
    /// Tests all arms of a run. None with fewer than two arms, without members, and where a share is not above 0.
    pub fn test(arms: &[Arm]) -> Option<Self> {
        let members: f64 = arms.iter().map(|arm| arm.members as f64).sum();
        let shares: f64 = arms.iter().map(|arm| arm.share).sum();
        let are_shares = shares.is_finite() && arms.iter().all(|arm| arm.share > 0.0);
        if arms.len() < 2 || members == 0.0 || !are_shares {
            return None;
        }
        let part = |arm: &Arm| {
            let expected = members * (arm.share / shares);
            (arm.members as f64 - expected).powi(2) / expected
        };
        let chi_square = Some(arms.iter().map(part).sum()).filter(|sum: &f64| sum.is_finite())?;
        let df = u32::try_from(arms.len() - 1).ok()?;
        Some(Self { chi_square, df, p: chi_square_p(chi_square, df) })
    }

    /// Whether the arms have the wrong sizes.
    pub fn is_alarm(&self) -> bool {
        self.p < ALARM
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(arms: &[(u64, f64)]) -> Option<SampleRatio> {
        SampleRatio::test(
            &arms.iter().map(|(members, share)| Arm { members: *members, share: *share }).collect::<Vec<_>>(),
        )
    }

    #[test]
    fn wrong_sizes_are_an_alarm_and_chance_is_none() {
        let exact = test(&[(900, 0.9), (100, 0.1)]).unwrap();
        assert_eq!((exact.chi_square, exact.df, exact.p, exact.is_alarm()), (0.0, 1, 1.0, false));
        // (1050 − 1000)² / 1000 twice: p is 0.0254.
        let chance = test(&[(1_050, 0.5), (950, 0.5)]).unwrap();
        assert!((chance.chi_square - 5.0).abs() < 1e-12 && !chance.is_alarm());
        assert!((chance.p - 0.025_347_318_677_468_3).abs() < 1e-14, "{}", chance.p);
        let fault = test(&[(8_800, 0.9), (1_200, 0.1)]).unwrap();
        assert!((fault.chi_square - 44.444_444_444_444_4).abs() < 1e-10 && fault.is_alarm());
    }

    #[test]
    fn shares_are_weights() {
        let parts = test(&[(310, 0.3), (360, 0.35), (330, 0.35)]).unwrap();
        let percent = test(&[(310, 30.0), (360, 35.0), (330, 35.0)]).unwrap();
        assert!((parts.p - percent.p).abs() < 1e-12 && parts.df == 2);
    }

    #[test]
    fn what_cannot_be_computed_is_none() {
        assert_eq!(test(&[]), None);
        assert_eq!(test(&[(10, 1.0)]), None);
        assert_eq!(test(&[(0, 0.5), (0, 0.5)]), None);
        for share in [0.0, -0.1, f64::NAN, f64::INFINITY] {
            assert_eq!(test(&[(10, 0.5), (10, share)]), None, "{share}");
        }
        assert!(test(&[(0, 0.05), (10_000, 0.95)]).unwrap().is_alarm());
    }
}
