//! Which of an experiment's variants has won, if one has.

use chrono::Duration;

use super::means::Means;
use super::sums::Sums;
use super::verdict::Size;
use crate::document::Value;
use crate::domain::duration;
use crate::domain::words::words;

words! {
    /// By what variants are compared.
    By {
        /// What a member brings, less costs.
        Revenue = "revenue",
        /// The share of members who buy.
        Buyers = "buyers",
    }
}

/// When the better variant is chosen by itself, and by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decide {
    /// From the first assignment of the run on.
    pub after: Duration,
    pub by: By,
}

impl Decide {
    /// Reads `decide`: `none`, or `{ after, by }`.
    pub fn decode(value: Value<'_>) -> Option<Option<Self>> {
        if !value.is_table() {
            return value.one_of(&[("none", None)]);
        }
        let mut table = value.table()?;
        let after = table.require("after").and_then(|value| value.parse(duration::parse));
        let by = table.get_or("by", By::Revenue, |value| value.one_of(By::WORDS));
        table.finish();
        Some(Some(Self { after: after?, by: by? }))
    }
}

/// A variant, and what its members came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    pub size: Size,
    /// What a member brings, less costs.
    pub net: Sums,
}

impl Candidate {
    fn sums(&self, by: By) -> Sums {
        match by {
            By::Revenue => self.net,
            // Each member is 1 or 0, which are their own squares.
            By::Buyers => {
                let buyers = i128::from(self.size.buyers);
                Sums { n: self.size.members, sum: buyers, squares: buyers }
            }
        }
    }
}

/// The place of the variant that is better than each other one, however often one looks: its always-valid interval against
/// every one of them lies above 0. None where no variant is, or one is too small to tell.
pub fn winner(variants: &[Candidate], by: By) -> Option<usize> {
    if variants.len() < 2 || !variants.iter().all(|variant| variant.size.is_enough()) {
        return None;
    }
    let is_better = |one: &Candidate, other: &Candidate| {
        let found = Means::compare(&one.sums(by), &other.sums(by), 1.0);
        found.always_valid.is_some_and(|interval| interval.is_above_zero())
    };
    let others = |place: usize| variants.iter().enumerate().filter(move |(other, _)| *other != place);
    (0..variants.len()).find(|place| others(*place).all(|(_, other)| is_better(&variants[*place], other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variant(members: u64, buyers: u64, spent: i64) -> Candidate {
        let mut net = Sums::default();
        (0..buyers).for_each(|buyer| net.add(spent + buyer as i64 % 7));
        net.add_zeros(members - buyers);
        Candidate { size: Size { members, buyers }, net }
    }

    #[test]
    fn only_who_beats_every_other_wins() {
        let [weak, strong, dear] =
            [variant(20_000, 2_000, 100), variant(20_000, 3_000, 100), variant(20_000, 2_000, 300)];
        let check =
            |variants: &[Candidate], by, expected| assert_eq!(winner(variants, by), expected, "{by} {variants:?}");
        check(&[weak, strong], By::Buyers, Some(1));
        check(&[weak, strong], By::Revenue, Some(1));
        check(&[weak, dear], By::Buyers, None);
        check(&[weak, dear], By::Revenue, Some(1));
        check(&[dear, weak, strong], By::Revenue, Some(0));
        // Two that are alike: neither of them beats the other.
        check(&[strong, weak, strong], By::Buyers, None);
        check(&[weak, weak], By::Revenue, None);
        check(&[strong], By::Revenue, None);
        // Too small, however large the difference.
        check(&[variant(99, 10, 1), variant(20_000, 19_000, 900)], By::Revenue, None);
        check(&[variant(1_000, 9, 1), variant(20_000, 19_000, 900)], By::Buyers, None);
    }
}
