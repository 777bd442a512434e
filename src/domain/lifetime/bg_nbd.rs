//! Whether a customer will come back: the BG/NBD model of Fader, Hardie and Lee (2005). While they are
//! customers, people buy at random at a rate of their own; after each purchase some leave for good.

use std::collections::BTreeMap;

use super::gamma::ln_gamma;
use super::simplex::most_likely;
use super::{DAYS_A_WEEK, Fit};

/// Fewer customers than this say too little.
pub const LEAST_CUSTOMERS: u64 = 100;
/// And fewer of them with a repeat purchase.
pub const LEAST_REPEAT_CUSTOMERS: u64 = 50;

/// The model's four parameters: purchase rates are gamma distributed (`r`, `alpha`), the chances of
/// leaving after a purchase beta distributed (`a`, `b`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BgNbd {
    pub r: f64,
    pub alpha: f64,
    pub a: f64,
    pub b: f64,
}

impl BgNbd {
    /// The probability that somebody is still a customer: `repeats` purchases after the first, the last
    /// of them `recency` weeks after it, looked at `age` weeks after the first.
    pub fn probability_alive(&self, repeats: i64, recency: f64, age: f64) -> f64 {
        if repeats == 0 {
            return 1.0;
        }
        let x = repeats as f64;
        let ratio = (self.alpha + age) / (self.alpha + recency);
        1.0 / (1.0 + self.a / (self.b + x - 1.0) * ratio.powf(self.r + x))
    }

    /// How many weeks after the last purchase that probability falls to `below`. Somebody without a
    /// repeat purchase stays a customer for ever as far as this model can tell.
    pub fn weeks_until(&self, below: f64, repeats: i64, recency: f64) -> Option<f64> {
        if repeats == 0 {
            return None;
        }
        let x = repeats as f64;
        let ratio = ((1.0 / below - 1.0) * (self.b + x - 1.0) / self.a).powf(1.0 / (self.r + x));
        let age = ratio * (self.alpha + recency) - self.alpha;
        Some((age - recency).max(0.0))
    }

    /// How many purchases somebody with such a history is expected to make in the next `weeks`: E(Y(t)), equation 10 of
    /// the article. `repeats`, `recency` and `age` are those of [`BgNbd::probability_alive`]; weeks are at least 0.
    pub fn expected_purchases(&self, weeks: f64, repeats: i64, recency: f64, age: f64) -> f64 {
        self.probability_alive(repeats, recency, age) * self.expected_while_alive(weeks, repeats as f64, age)
    }

    /// How many purchases somebody of whom nothing else is known is expected to make in the `weeks` after the first:
    /// E(X(t)), equation 9 of the article.
    pub fn expected_purchases_of_new(&self, weeks: f64) -> f64 {
        self.expected_while_alive(weeks, 0.0, 0.0)
    }

    /// What is expected of somebody who is still a customer, the numerator of equation 10:
    ///
    /// (a + b + x − 1) / (a − 1) · (1 − (1 − z)^(r + x) · ₂F₁(r + x, b + x; a + b + x − 1; z)), z = t / (α + T + t).
    ///
    /// With the Gaussian hypergeometric function as its series, and 1 as the same series of (1 − z)^−(r + x), this is
    /// Σ w(k) · (q(0) + … + q(k − 1)): w(k) is the negative binomial probability of k purchases by somebody who never
    /// leaves, q(j) = (b + x)_j / (a + b + x)_j that of being a customer still after j of them. Every term is positive,
    /// so nothing cancels, for whatever x and t, and a = 1 is a number like others.
    fn expected_while_alive(&self, weeks: f64, x: f64, age: f64) -> f64 {
        const MOST_TERMS: u32 = 10_000_000;
        const LARGE: f64 = 1e200;
        let (shape, rate) = (self.r + x, self.alpha + age);
        let z = weeks / (rate + weeks);
        // Weights stand as multiples of the first, which can be too small a number; their sum sets that right.
        let (mut weight, mut weights) = (1.0, 1.0);
        let (mut stays, mut made, mut sum) = (1.0, 0.0, 0.0);
        for k in (0..MOST_TERMS).map(f64::from) {
            made += stays;
            stays *= (self.b + x + k) / (self.a + self.b + x + k);
            let ratio = (shape + k) / (k + 1.0) * z;
            weight *= ratio;
            weights += weight;
            sum += weight * made;
            if weight > LARGE {
                (weight, weights, sum) = (1.0, weights / weight, sum / weight);
            }
            // What follows is about a geometric series.
            if ratio < 1.0 && weight * made <= 1e-16 * (1.0 - z) * sum {
                break;
            }
        }
        sum / weights
    }
}

/// What the model is fitted to: customers, those with the same numbers as one entry.
#[derive(Debug, Clone, Default)]
pub struct PurchaseSample {
    /// (repeat purchases, recency in days, age in days) → customers
    customers: BTreeMap<(i64, i64, i64), u64>,
}

/// Why no model can be fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("{found} customers have bought, and a model needs {LEAST_CUSTOMERS}; import more purchases")]
    Customers { found: u64 },
    #[error(
        "{found} customers have bought on more than one day, and a model needs {LEAST_REPEAT_CUSTOMERS}; \
         import more purchases"
    )]
    RepeatCustomers { found: u64 },
    #[error(
        "no model describes these purchases: the search for one found no end; \
         a longer history, or more customers, may help"
    )]
    NoEnd,
}

impl PurchaseSample {
    /// Adds a customer: purchases after the first, days from the first to the last and to the end.
    pub fn add(&mut self, repeats: i64, recency_days: i64, age_days: i64) {
        *self.customers.entry((repeats, recency_days, age_days)).or_default() += 1;
    }

    /// How many customers there are.
    pub fn customers(&self) -> u64 {
        self.customers.values().sum()
    }

    /// How many of them bought again.
    pub fn repeat_customers(&self) -> u64 {
        self.customers.iter().filter(|((repeats, ..), _)| *repeats > 0).map(|(_, count)| count).sum()
    }

    /// The logarithm of the sample's likelihood under a model.
    pub fn log_likelihood(&self, model: &BgNbd) -> f64 {
        let BgNbd { r, alpha, a, b } = *model;
        let constant = r * alpha.ln() - ln_gamma(r) + ln_gamma(a + b) - ln_gamma(b);
        // What depends on the repeats alone is the same for many customers on end.
        let (mut known, mut of_repeats) = (-1, 0.0);
        let mut sum = 0.0;
        for ((repeats, recency, age), count) in &self.customers {
            let x = *repeats as f64;
            if *repeats != known {
                known = *repeats;
                of_repeats = constant + ln_gamma(r + x) + ln_gamma(b + x) - ln_gamma(a + b + x);
            }
            let alive = -(r + x) * (alpha + *age as f64 / DAYS_A_WEEK).ln();
            let mut either = alive;
            if *repeats > 0 {
                let gone = (a / (b + x - 1.0)).ln() - (r + x) * (alpha + *recency as f64 / DAYS_A_WEEK).ln();
                either = alive.max(gone) + (-(alive - gone).abs()).exp().ln_1p();
            }
            sum += *count as f64 * (of_repeats + either);
        }
        sum
    }

    /// The model under which the sample is most likely.
    pub fn fit(&self) -> Result<Fit<BgNbd>, Unfit> {
        if self.customers() < LEAST_CUSTOMERS {
            return Err(Unfit::Customers { found: self.customers() });
        }
        if self.repeat_customers() < LEAST_REPEAT_CUSTOMERS {
            return Err(Unfit::RepeatCustomers { found: self.repeat_customers() });
        }
        let at = |[r, alpha, a, b]: [f64; 4]| BgNbd { r, alpha, a, b };
        let found = most_likely(|parameters| self.log_likelihood(&at(parameters)));
        let (parameters, log_likelihood) = found.ok_or(Unfit::NoEnd)?;
        Ok(Fit { model: at(parameters), log_likelihood })
    }
}

#[cfg(test)]
mod tests {
    use super::super::dice::Dice;
    use super::*;

    /// What Fader, Hardie and Lee found for the CDNOW sample.
    const CDNOW: BgNbd = BgNbd { r: 0.243, alpha: 4.414, a: 0.793, b: 2.426 };

    #[test]
    fn the_probability_falls_to_the_threshold_when_it_is_said_to() {
        for (repeats, recency_days, below) in [(1, 0, 0.5), (1, 90, 0.5), (3, 200, 0.3), (12, 300, 0.7), (80, 900, 0.5)]
        {
            let recency = f64::from(recency_days) / 7.0;
            let weeks = CDNOW.weeks_until(below, repeats, recency).unwrap();
            assert!(weeks > 0.0);
            let found = CDNOW.probability_alive(repeats, recency, recency + weeks);
            assert!((found - below).abs() < 1e-12, "{repeats} {recency}: {found} after {weeks} weeks");
        }
        // The article's customer: two repeat purchases, the last in week 30.43, looked at in week 38.86.
        let found = CDNOW.probability_alive(2, 30.43, 38.86);
        assert!((found - 0.7266).abs() < 5e-4, "{found}");
        // 1 / (1 + 0.793 / 2.426) is all that there is right after the first repeat purchase.
        assert!((CDNOW.probability_alive(1, 5.0, 5.0) - 2.426 / 3.219).abs() < 1e-12);
        assert_eq!(CDNOW.weeks_until(0.9, 1, 5.0), Some(0.0));
        assert_eq!(CDNOW.weeks_until(0.5, 0, 0.0), None);
        assert_eq!(CDNOW.probability_alive(0, 0.0, 30.0), 1.0);
    }

    /// E(Y(t)), as its formula says with 60 digits: r, alpha, a, b; weeks, repeats, recency, age; E(Y(t)).
    const EXPECTED: [[f64; 9]; 10] = [
        // The article's customer.
        [0.243, 4.414, 0.793, 2.426, 39.0, 2.0, 30.43, 38.86, 1.226_028_174_767_144_4],
        [0.243, 4.414, 0.793, 2.426, 0.001, 0.0, 0.0, 0.0, 5.505_019_750_267_748e-5],
        [0.243, 4.414, 0.793, 2.426, 10_000.0, 0.0, 0.0, 0.0, 15.067_913_315_055_178],
        [0.243, 4.414, 0.793, 2.426, 52.0, 500.0, 200.0, 201.0, 113.537_350_806_172_59],
        [0.243, 4.414, 0.793, 2.426, 10_000.0, 500.0, 200.0, 201.0, 2_961.152_073_090_452],
        // Where the formula divides 0 by 0: a = 1, and a + b + x = 1.
        [1.0, 6.0, 1.0, 2.5, 52.0, 3.0, 20.0, 30.0, 2.149_030_333_851_26],
        [0.5, 2.0, 0.3, 0.7, 52.0, 0.0, 0.0, 10.0, 1.429_419_062_377_435_4],
        // Models at the edge of what is fitted.
        [0.3, 0.01, 1.7, 0.4, 52.0, 1.0, 0.5, 1.0, 0.235_497_510_371_955_1],
        [0.001, 0.05, 5_000.0, 3_000.0, 52.0, 0.0, 0.0, 1.0, 0.005_533_448_005_824_692],
        [100.0, 50.0, 30.0, 1.5, 52.0, 7.0, 19.0, 20.0, 0.065_804_097_980_542_08],
    ];

    #[test]
    fn expected_purchases_are_those_of_the_formula() {
        for [r, alpha, a, b, weeks, repeats, recency, age, wanted] in EXPECTED {
            let found = BgNbd { r, alpha, a, b }.expected_purchases(weeks, repeats as i64, recency, age);
            assert!((found / wanted - 1.0).abs() < 1e-11, "{found} is not {wanted}");
        }
        // Published, with parameters that are rounded here.
        assert!((CDNOW.expected_purchases(39.0, 2, 30.43, 38.86) - 1.226).abs() < 5e-4);
        for (weeks, wanted) in [(1.0, 0.0532), (31.857, 1.0405), (78.0, 1.8576)] {
            let found = CDNOW.expected_purchases_of_new(weeks);
            assert!((found - wanted).abs() < 0.003, "{found} in {weeks} weeks, not {wanted}");
        }
    }

    #[test]
    fn more_time_brings_more_purchases_and_each_week_without_one_fewer() {
        let mut dice = Dice(10);
        for _ in 0..300 {
            let [r, alpha, a, b] = [0.05, 0.5, 0.05, 0.2].map(|least| least * 100_f64.powf(dice.roll()));
            let model = BgNbd { r, alpha, a, b };
            let repeats = (dice.roll() * dice.roll() * 60.0) as i64;
            let recency = if repeats == 0 { 0.0 } else { dice.roll() * 100.0 };
            let mut ages = [0.0, 0.1, 1.0, 10.0, 100.0].map(|weeks| recency + weeks).into_iter();
            let mut before = ages.next().unwrap();
            for age in ages {
                let alive = [before, age].map(|age| model.probability_alive(repeats, recency, age));
                assert!((0.0..=1.0).contains(&alive[1]) && alive[1] <= alive[0], "{model:?} {repeats} {age}");
                assert!(repeats == 0 || alive[1] < alive[0], "{model:?} {repeats} {age}");
                let bought = [before, age].map(|age| model.expected_purchases(52.0, repeats, recency, age));
                assert!(bought[1] < bought[0], "{model:?} {repeats} {age}: {bought:?}");
                before = age;
            }
            let times = [0.0, 0.01, 1.0, 4.0, 52.0, 520.0];
            let bought = times.map(|weeks| model.expected_purchases(weeks, repeats, recency, before));
            assert!(
                bought[0] == 0.0 && bought.is_sorted_by(|one, other| one < other),
                "{model:?} {repeats}: {bought:?}"
            );
            // Nobody leaves and nothing is uncertain: so many as the rate says; those who leave buy less.
            let rate = (r + repeats as f64) / (alpha + before);
            assert!(bought.iter().zip(times).all(|(bought, weeks)| *bought <= rate * weeks * (1.0 + 1e-12)));
        }
    }

    #[test]
    fn the_likelihood_of_a_customer_is_that_of_the_formula() {
        // With r = a = b = 1 and alpha = 1 everything is a fraction.
        let model = BgNbd { r: 1.0, alpha: 1.0, a: 1.0, b: 1.0 };
        let of = |repeats, recency, age| {
            let mut sample = PurchaseSample::default();
            sample.add(repeats, recency, age);
            sample.log_likelihood(&model)
        };
        // No repeat in 3 weeks: 1 / (1 + 3).
        assert!((of(0, 0, 21) - 0.25_f64.ln()).abs() < 1e-12);
        // One after a week, looked at after 3: B(1,2)/B(1,1) / 4² + B(2,1)/B(1,1) / 2².
        assert!((of(1, 7, 21) - (0.5_f64 / 16.0 + 0.5 / 4.0).ln()).abs() < 1e-12);
        let mut twice = PurchaseSample::default();
        twice.add(1, 7, 21);
        twice.add(1, 7, 21);
        assert!((twice.log_likelihood(&model) - 2.0 * of(1, 7, 21)).abs() < 1e-12);
    }

    #[test]
    fn too_little_data_is_refused_with_what_is_missing() {
        let mut sample = PurchaseSample::default();
        for _ in 0..99 {
            sample.add(0, 0, 100);
        }
        assert_eq!(sample.fit(), Err(Unfit::Customers { found: 99 }));
        for day in 0..49 {
            sample.add(1 + day % 3, 10 + day, 100);
        }
        assert_eq!(sample.fit(), Err(Unfit::RepeatCustomers { found: 49 }));
        // Everybody buys every week and nobody leaves: the likelihood grows without end.
        let mut steady = PurchaseSample::default();
        for _ in 0..200 {
            steady.add(10, 70, 70);
        }
        assert_eq!(steady.fit(), Err(Unfit::NoEnd));
    }

    #[test]
    fn a_model_is_found_again_in_what_it_generates() {
        // r = 1 makes rates exponential, and a = 1 makes the chance of leaving 1 - u^(1/b).
        let truth = BgNbd { r: 1.0, alpha: 6.0, a: 1.0, b: 2.5 };
        let mut dice = Dice(2005);
        let mut sample = PurchaseSample::default();
        for _ in 0..3_000 {
            let rate = -(1.0 - dice.roll()).ln() / truth.alpha;
            let leaves = 1.0 - (1.0 - dice.roll()).powf(1.0 / truth.b);
            let age = 26.0 + 26.0 * dice.roll();
            let (mut repeats, mut last, mut at) = (0, 0.0, 0.0);
            loop {
                at += -(1.0 - dice.roll()).ln() / rate;
                if at > age {
                    break;
                }
                (repeats, last) = (repeats + 1, at);
                if dice.roll() < leaves {
                    break;
                }
            }
            sample.add(repeats, (last * 7.0).round() as i64, (age * 7.0).round() as i64);
        }
        let fit = sample.fit().unwrap();
        assert!(fit.log_likelihood >= sample.log_likelihood(&truth), "the best is better than the truth");
        let BgNbd { r, alpha, a, b } = fit.model;
        for (name, found, wanted) in [("r", r, 1.0), ("alpha", alpha, 6.0), ("a", a, 1.0), ("b", b, 2.5)] {
            assert!((found / wanted).ln().abs() < 0.2, "{name} = {found}, not about {wanted}");
        }
    }
}
