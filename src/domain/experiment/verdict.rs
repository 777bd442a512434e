//! What a comparison comes to, in one word, and why.

use std::fmt;

use serde::Serialize;

use super::interval::Interval;

/// An arm with fewer members says too little.
pub const LEAST_MEMBERS: u64 = 100;
/// And with fewer buyers.
pub const LEAST_BUYERS: u64 = 10;

/// The word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// An arm is too small to tell.
    TooFew,
    /// The always-valid interval lies above 0.
    Works,
    /// The always-valid interval lies below 0.
    Harms,
    /// Only the fixed interval lies above 0; or both do, but the arms have the wrong sizes.
    Promising,
    /// Only the fixed interval lies below 0.
    Worrying,
    /// Neither excludes 0.
    NoDifference,
}

/// How large an arm is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    pub members: u64,
    pub buyers: u64,
}

/// What a verdict goes by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    pub arm: Size,
    pub against: Size,
    /// Of the difference per member in what is judged: revenue, less costs where they are known.
    pub always_valid: Option<Interval>,
    /// Student's, of the same difference.
    pub fixed: Option<Interval>,
    /// Whether the arms have the wrong sizes.
    pub is_sample_ratio_wrong: bool,
}

impl Size {
    /// Whether it is enough for a verdict.
    pub fn is_enough(&self) -> bool {
        self.members >= LEAST_MEMBERS && self.buyers >= LEAST_BUYERS
    }
}

impl Verdict {
    /// Judges. Wrong sizes turn `works` into `promising`, since what sorts members may have made the difference; a
    /// warning of harm stays as it is. An interval that cannot be computed excludes nothing: in arms that are large
    /// enough that means that nothing varies.
    pub fn of(evidence: &Evidence) -> Self {
        if !evidence.arm.is_enough() || !evidence.against.is_enough() {
            return Self::TooFew;
        }
        let is_above = |interval: Option<Interval>| interval.is_some_and(|interval| interval.is_above_zero());
        let is_below = |interval: Option<Interval>| interval.is_some_and(|interval| interval.is_below_zero());
        if is_above(evidence.always_valid) {
            if evidence.is_sample_ratio_wrong { Self::Promising } else { Self::Works }
        } else if is_below(evidence.always_valid) {
            Self::Harms
        } else if is_above(evidence.fixed) {
            Self::Promising
        } else if is_below(evidence.fixed) {
            Self::Worrying
        } else {
            Self::NoDifference
        }
    }

    /// As reports write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooFew => "too_few",
            Self::Works => "works",
            Self::Harms => "harms",
            Self::Promising => "promising",
            Self::Worrying => "worrying",
            Self::NoDifference => "no_difference",
        }
    }
}

/// Why a verdict is what it is, with the numbers that it goes by: what a member brings more, or where it harms, less.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Because {
    /// So many more members in all are needed, if they buy as these did.
    TooFew {
        more_members: u64,
    },
    /// An arm is empty or has bought nothing, so nothing says how many are needed.
    NoBuyers,
    /// However often one looks.
    Works {
        low: f64,
        high: f64,
    },
    Harms {
        low: f64,
        high: f64,
    },
    /// It would work, but the arms have the wrong sizes.
    WrongSizes,
    /// For who looks once.
    Promising {
        low: f64,
        high: f64,
    },
    Worrying {
        low: f64,
        high: f64,
    },
    /// The difference lies within these; so large a one would have been found in four of five experiments.
    NoDifference {
        low: f64,
        high: f64,
        detectable: f64,
    },
    /// Nothing varies.
    Same,
}

impl Because {
    /// Of a verdict by its evidence.
    pub fn of(evidence: &Evidence, smallest_detectable: Option<f64>) -> Self {
        let Evidence { arm, against, always_valid, fixed, .. } = *evidence;
        let is_above = always_valid.is_some_and(|interval| interval.is_above_zero());
        match (Verdict::of(evidence), always_valid, fixed) {
            (Verdict::TooFew, ..) => more_members_until_enough(&[arm, against])
                .map_or(Self::NoBuyers, |more_members| Self::TooFew { more_members }),
            (Verdict::Works, Some(Interval { low, high }), _) => Self::Works { low, high },
            (Verdict::Harms, Some(Interval { low, high }), _) => Self::Harms { low: -high, high: -low },
            (Verdict::Promising, ..) if is_above => Self::WrongSizes,
            (Verdict::Promising, _, Some(Interval { low, high })) => Self::Promising { low, high },
            (Verdict::Worrying, _, Some(Interval { low, high })) => Self::Worrying { low: -high, high: -low },
            (_, _, fixed) => match (fixed, smallest_detectable) {
                (Some(Interval { low, high }), Some(detectable)) => Self::NoDifference { low, high, detectable },
                _ => Self::Same,
            },
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How many more members are needed, in all and split as before, until all arms are large enough, if as many of them
/// buy as did. 0 where they are. None where an arm has no members or no buyers yet, so that nothing can be said.
pub fn more_members_until_enough(arms: &[Size]) -> Option<u64> {
    // Each arm has to grow to (wanted / had) times its size; the one that has to grow most decides.
    let mut growth = (1, 1);
    for arm in arms {
        for (wanted, had) in [(LEAST_MEMBERS, arm.members), (LEAST_BUYERS, arm.buyers)] {
            if had == 0 {
                return None;
            }
            if u128::from(wanted) * growth.1 > u128::from(had) * growth.0 {
                growth = (u128::from(wanted), u128::from(had));
            }
        }
    }
    let members: u128 = arms.iter().map(|arm| u128::from(arm.members)).sum();
    u64::try_from((members * growth.0).div_ceil(growth.1) - members).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENOUGH: Size = Size { members: LEAST_MEMBERS, buyers: LEAST_BUYERS };
    const ABOVE: Option<Interval> = Some(Interval { low: 0.1, high: 2.0 });
    const AROUND: Option<Interval> = Some(Interval { low: -1.0, high: 2.0 });
    const BELOW: Option<Interval> = Some(Interval { low: -2.0, high: -0.1 });

    fn evidence(always_valid: Option<Interval>, fixed: Option<Interval>) -> Evidence {
        Evidence { arm: ENOUGH, against: ENOUGH, always_valid, fixed, is_sample_ratio_wrong: false }
    }

    #[test]
    fn the_stronger_evidence_decides_and_wrong_sizes_never_work() {
        for (always_valid, fixed, word, with_wrong_sizes) in [
            (ABOVE, ABOVE, "works", "promising"),
            (BELOW, BELOW, "harms", "harms"),
            (AROUND, ABOVE, "promising", "promising"),
            (AROUND, BELOW, "worrying", "worrying"),
            (AROUND, AROUND, "no_difference", "no_difference"),
            (None, None, "no_difference", "no_difference"),
            (None, ABOVE, "promising", "promising"),
        ] {
            let evidence = evidence(always_valid, fixed);
            assert_eq!(Verdict::of(&evidence).to_string(), word);
            let wrong = Evidence { is_sample_ratio_wrong: true, ..evidence };
            assert_eq!(Verdict::of(&wrong).to_string(), with_wrong_sizes);
        }
        assert_eq!(format!("{:>9}|", Verdict::Works), "    works|");
    }

    #[test]
    fn the_reason_has_the_interval_that_decided() {
        let check = |evidence: Evidence, expected| assert_eq!(Because::of(&evidence, Some(3.0)), expected);
        check(evidence(ABOVE, AROUND), Because::Works { low: 0.1, high: 2.0 });
        check(evidence(BELOW, AROUND), Because::Harms { low: 0.1, high: 2.0 });
        check(evidence(AROUND, ABOVE), Because::Promising { low: 0.1, high: 2.0 });
        check(evidence(AROUND, BELOW), Because::Worrying { low: 0.1, high: 2.0 });
        check(evidence(AROUND, AROUND), Because::NoDifference { low: -1.0, high: 2.0, detectable: 3.0 });
        check(evidence(None, None), Because::Same);
        check(Evidence { is_sample_ratio_wrong: true, ..evidence(ABOVE, ABOVE) }, Because::WrongSizes);
        let small = |buyers| Size { members: 50, buyers };
        check(Evidence { arm: small(10), ..evidence(ABOVE, ABOVE) }, Because::TooFew { more_members: 150 });
        check(Evidence { arm: small(0), ..evidence(ABOVE, ABOVE) }, Because::NoBuyers);
    }

    #[test]
    fn an_arm_that_is_too_small_is_too_few_whatever_the_intervals_say() {
        for small in [Size { members: 99, buyers: 10 }, Size { members: 100, buyers: 9 }, Size::default()] {
            for intervals in [evidence(ABOVE, ABOVE), evidence(BELOW, BELOW), evidence(None, None)] {
                assert_eq!(Verdict::of(&Evidence { arm: small, ..intervals }), Verdict::TooFew);
                assert_eq!(Verdict::of(&Evidence { against: small, ..intervals }), Verdict::TooFew);
            }
        }
    }

    #[test]
    fn the_arm_that_grows_slowest_says_how_many_more() {
        let size = |members, buyers| Size { members, buyers };
        assert_eq!(more_members_until_enough(&[ENOUGH, ENOUGH]), Some(0));
        assert_eq!(more_members_until_enough(&[size(950, 190), size(50, 10)]), Some(1_000));
        // 4 buyers have to become 10, so everything grows to 2.5 times.
        assert_eq!(more_members_until_enough(&[size(950, 190), size(50, 4)]), Some(1_500));
        assert_eq!(more_members_until_enough(&[size(950, 190), size(70, 30)]), Some(438));
        assert_eq!(more_members_until_enough(&[size(950, 190), size(50, 0)]), None);
        assert_eq!(more_members_until_enough(&[size(950, 190), size(0, 0)]), None);
    }
}
