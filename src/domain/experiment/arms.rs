//! The arms of experiments. A member is in one by a hash, so that it is the same on every machine, for ever.

use std::borrow::Cow;

use super::position;

/// Those whom the campaign holds out.
pub const HOLDOUT: &str = "holdout";

/// Those whom the brand holds out of all its marketing.
pub const BRAND_HOLDOUT: &str = "brand_holdout";

/// Those who are not held out, where there are no variants.
pub const TREATED: &str = "treated";

/// The arm that has a name of ours; a variant has the one that its campaign gives it.
pub fn named(arm: &str) -> Option<&'static str> {
    [HOLDOUT, BRAND_HOLDOUT, TREATED].into_iter().find(|known| *known == arm)
}

/// What the question of the arm came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assignment {
    /// None where nobody is divided.
    pub arm: Option<Cow<'static, str>>,
    /// The address that is divided instead of the member.
    pub unit: Option<String>,
}

impl Assignment {
    /// An arm of members.
    pub fn to(arm: impl Into<Cow<'static, str>>) -> Self {
        Self { arm: Some(arm.into()), unit: None }
    }

    /// Whether its members get nothing.
    pub fn is_held_out(&self) -> bool {
        matches!(self.arm.as_deref(), Some(HOLDOUT | BRAND_HOLDOUT))
    }
}

/// Whether the brand holds this member out of all its marketing: by [`position`] under `brand` and 0x00, a name that
/// no campaign has.
pub fn is_held_out_by_brand(external_id: &str, share: f64) -> bool {
    share > 0.0 && position("brand\0", external_id) < share
}

/// Whom a brand holds out of all its marketing and whom not, with their shares; none where it holds nobody out.
pub fn of_brand(holdout: f64) -> Vec<(&'static str, f64)> {
    if holdout > 0.0 { vec![(BRAND_HOLDOUT, holdout), (TREATED, 1.0 - holdout)] } else { Vec::new() }
}

/// Which of several variants, by their shares, is the one of a member (or of an address) in a campaign: by [`position`]
/// under `variant`, 0x00 and the campaign's name.
pub fn variant_of(campaign: &str, key: &str, shares: impl Iterator<Item = f64>) -> usize {
    let place = position(&format!("variant\0{campaign}"), key);
    let (mut upper, mut last) = (0.0, 0);
    for (index, share) in shares.enumerate() {
        upper += share;
        last = index;
        if place < upper {
            break;
        }
    }
    // Shares are not exact: the last one goes to the end.
    last
}

/// Reads a share below 1, such as `10%` or `0.1`.
pub fn parse_share(text: &str) -> Result<f64, String> {
    let number = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|share| share / 100.0),
        None => text.parse::<f64>(),
    };
    let wrong = || format!("`{text}` is not a share; write it like 10%, below 100%");
    number.ok().filter(|share| (0.0..1.0).contains(share)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_take_their_shares_and_go_to_the_end() {
        let mut counts = [0; 3];
        for n in 0..10_000 {
            counts[variant_of("letter", &format!("m{n}"), [0.2, 0.3, 0.5].into_iter())] += 1;
        }
        for (count, share) in counts.into_iter().zip([2_000, 3_000, 5_000]) {
            assert!((share - 150..share + 150).contains(&count), "{counts:?}");
        }
        let last = (0..10_000).map(|n| variant_of("letter", &format!("m{n}"), [0.5, 0.499].into_iter())).max();
        assert_eq!(last, Some(1), "what rounding leaves over");
        // Not by the hash that holds out: else a campaign that holds many out would leave one variant empty.
        let both = (0..10_000).filter(|n| {
            let id = format!("m{n}");
            position("letter", &id) < 0.5 && variant_of("letter", &id, [0.5, 0.5].into_iter()) == 0
        });
        assert!((2_400..2_600).contains(&both.count()));
    }

    #[test]
    fn a_share_is_below_all() {
        for (text, share) in [("10%", 0.1), ("0.25", 0.25), ("0 %", 0.0)] {
            assert_eq!(parse_share(text), Ok(share));
        }
        for text in ["100%", "1", "-1%", "ten", ""] {
            assert!(parse_share(text).is_err(), "{text}");
        }
    }
}
