//! RFM scores: how recently, how often and for how much a member bought, each from 1 to 5 by the
//! quintiles of all members with purchases.

use serde::{Deserialize, Serialize};

use super::words::words;

words! {
    /// What is scored.
    Measure {
        /// How long ago the last purchase was.
        Recency = "recency",
        /// How many there were.
        Frequency = "frequency",
        /// What they came to in the brand's currency.
        Monetary = "monetary",
    }
}

/// Between the quintiles, from the worst to the best. A member's score is 1 and one more for each
/// cut that the member is better than, so that equal members have equal scores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cuts {
    /// Milliseconds since the last purchase; less is better.
    pub recency: [i64; 4],
    /// Purchases; more is better.
    pub frequency: [i64; 4],
    /// Minor units of the brand's currency; more is better.
    pub monetary: [i64; 4],
}

impl Cuts {
    /// The cuts of one measure.
    pub const fn of(&self, measure: Measure) -> &[i64; 4] {
        match measure {
            Measure::Recency => &self.recency,
            Measure::Frequency => &self.frequency,
            Measure::Monetary => &self.monetary,
        }
    }

    /// The score of a value, 1 to 5.
    pub fn score(&self, measure: Measure, value: i64) -> u8 {
        let better = |cut: &&i64| if measure == Measure::Recency { value < **cut } else { value > **cut };
        self.of(measure).iter().filter(better).fold(1, |score, _| score + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_equal_scores() {
        let cuts = Cuts { recency: [40, 30, 20, 10], frequency: [1, 1, 2, 3], monetary: [10, 20, 30, 40] };
        let check = |measure, value, score| assert_eq!(cuts.score(measure, value), score, "{measure} {value}");
        check(Measure::Recency, 50, 1);
        check(Measure::Recency, 40, 1);
        check(Measure::Recency, 39, 2);
        check(Measure::Recency, 0, 5);
        check(Measure::Frequency, 1, 1);
        check(Measure::Frequency, 2, 3);
        check(Measure::Frequency, 3, 4);
        check(Measure::Frequency, 9, 5);
        check(Measure::Monetary, 10, 1);
        check(Measure::Monetary, 41, 5);
    }
}
