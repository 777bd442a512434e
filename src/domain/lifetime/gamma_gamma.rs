//! What a customer spends on a purchase: the Gamma-Gamma model of Fader and Hardie ("The Gamma-Gamma Model of Monetary
//! Value", 2013). What one purchase comes to is gamma distributed about a mean of the customer's own, whatever the
//! number of purchases; the means differ between customers as an inverse gamma distribution says. As there, a
//! customer's first purchase is left out: purchases are repeats.

use std::collections::BTreeMap;

use super::Fit;
use super::gamma::ln_gamma;
use super::simplex::most_likely;

/// Fewer customers with a repeat purchase of known worth than this say too little.
pub const LEAST_SPENDERS: u64 = 50;

/// The model's three parameters: of the gamma distribution of a customer's purchases the shape `p`, of that of its rates
/// among the customers the shape `q` and the rate `v`. `v` is in the unit of the amounts, the others have none. `q` is
/// above 1, or there were no mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GammaGamma {
    pub p: f64,
    pub q: f64,
    pub v: f64,
}

impl GammaGamma {
    /// What a purchase of a customer is expected to come to, whose `purchases` came to `mean` on average: E(M), between
    /// the mean of all and the customer's own, nearer to the latter the more purchases there are. Without any it is the
    /// mean of all. In the unit of `v`.
    pub fn expected_mean(&self, purchases: i64, mean: f64) -> f64 {
        let x = purchases as f64;
        self.p * (self.v + x * mean) / (self.p * x + self.q - 1.0)
    }
}

/// What the model is fitted to: customers with repeat purchases.
#[derive(Debug, Clone, Default)]
pub struct SpendingSample {
    /// By number of purchases.
    spenders: BTreeMap<i64, Spent>,
}

/// What customers with the same number of purchases spent.
#[derive(Debug, Clone, Default)]
struct Spent {
    /// All that each of them did.
    totals: Vec<f64>,
    /// Their logarithms' sum.
    logarithms: f64,
}

impl SpendingSample {
    /// Adds a customer whose `purchases` came to `total`. Who bought nothing, or for nothing, says nothing about what
    /// people spend.
    pub fn add(&mut self, purchases: i64, total: f64) {
        if purchases > 0 && total > 0.0 {
            let spent = self.spenders.entry(purchases).or_default();
            spent.totals.push(total);
            spent.logarithms += total.ln();
        }
    }

    /// How many customers there are.
    pub fn spenders(&self) -> u64 {
        self.spenders.values().map(|spent| spent.totals.len() as u64).sum()
    }

    /// The logarithm of the sample's likelihood under a model: the density of each customer's mean,
    /// Γ(px + q) / (Γ(px) Γ(q)) · v^q m^(px − 1) x^(px) / (v + xm)^(px + q).
    pub fn log_likelihood(&self, model: &GammaGamma) -> f64 {
        let GammaGamma { p, q, v } = *model;
        let constant = q * v.ln() - ln_gamma(q);
        let mut sum = 0.0;
        for (purchases, spent) in &self.spenders {
            let x = *purchases as f64;
            let px = p * x;
            let each = constant + ln_gamma(px + q) - ln_gamma(px) + x.ln();
            let sizes: f64 = spent.totals.iter().map(|total| (v + total).ln()).sum();
            sum += spent.totals.len() as f64 * each + (px - 1.0) * spent.logarithms - (px + q) * sizes;
        }
        sum
    }

    /// The model under which the sample is most likely. `None` where there are fewer than [`LEAST_SPENDERS`], where no
    /// model is the best one, and where the best one has no mean.
    pub fn fit(&self) -> Option<Fit<GammaGamma>> {
        if self.spenders() < LEAST_SPENDERS {
            return None;
        }
        // The search begins at amounts of about 1, whatever a currency's units are worth.
        let (purchases, spent) = self.spenders.iter().fold((0.0, 0.0), |(purchases, all), (x, spent)| {
            (purchases + *x as f64 * spent.totals.len() as f64, all + spent.totals.iter().sum::<f64>())
        });
        let unit = spent / purchases;
        let at = |[p, q, v]: [f64; 3]| GammaGamma { p, q, v: v * unit };
        let (parameters, log_likelihood) = most_likely(|parameters| self.log_likelihood(&at(parameters)))?;
        let model = at(parameters);
        (model.q > 1.0).then_some(Fit { model, log_likelihood })
    }
}

#[cfg(test)]
mod tests {
    use super::super::dice::Dice;
    use super::*;

    /// What Fader and Hardie found for the customers of the CDNOW sample who bought again, in dollars.
    const CDNOW: GammaGamma = GammaGamma { p: 6.25, q: 3.74, v: 15.44 };

    #[test]
    fn expected_means_are_the_published_ones() {
        for (purchases, mean, wanted) in
            [(2, 22.35, 24.65), (1, 11.77, 18.91), (0, 0.0, 35.17), (7, 73.74, 71.46), (2, 25.55, 27.28)]
        {
            let found = CDNOW.expected_mean(purchases, mean);
            assert!((found - wanted).abs() < 0.1, "{purchases} of {mean}: {found} is not {wanted}");
        }
    }

    #[test]
    fn an_expected_mean_lies_between_that_of_all_and_ones_own() {
        let all = CDNOW.expected_mean(0, 0.0);
        for own in [0.0, 5.0, 35.0, 36.0, 4_000.0] {
            let found = [1, 2, 10, 1_000, 1_000_000].map(|purchases| CDNOW.expected_mean(purchases, own));
            let away = found.map(|mean| (mean - own).abs());
            assert!(away[0] < (all - own).abs() && away.is_sorted_by(|one, other| one > other), "{own}: {found:?}");
            assert!(away[4] < 0.01, "{own}: {found:?}");
        }
    }

    #[test]
    fn the_likelihood_of_a_customer_is_that_of_the_formula() {
        // As the formula says with 40 digits.
        for (purchases, mean, wanted) in [(2, 22.35, -3.551_316_759_731_704_7), (7, 73.74, -6.054_867_310_722_229)] {
            let mut sample = SpendingSample::default();
            sample.add(purchases, purchases as f64 * mean);
            let found = sample.log_likelihood(&CDNOW);
            assert!((found - wanted).abs() < 1e-12, "{found} is not {wanted}");
        }
        let mut sample = SpendingSample::default();
        sample.add(0, 0.0);
        sample.add(3, 0.0);
        assert_eq!((sample.spenders(), sample.log_likelihood(&CDNOW)), (0, 0.0));
    }

    /// Customers as a model with whole shapes sees them: a gamma variate is then a sum of exponential ones.
    fn generated(dice: &mut Dice, (p, q, v): (u32, u32, f64), customers: usize) -> SpendingSample {
        let mut gamma = |shape: u32| -> f64 { (0..shape).map(|_| -(1.0 - dice.roll()).ln()).sum() };
        let mut sample = SpendingSample::default();
        for n in 0..customers {
            let purchases = 1 + n % 6;
            let rate = gamma(q) / v;
            sample.add(purchases as i64, (0..purchases).map(|_| gamma(p) / rate).sum());
        }
        sample
    }

    #[test]
    fn a_model_is_found_again_in_what_it_generates() {
        // Dollars, and the cents of a currency of which a loaf costs a million.
        for (p, q, v) in [(6, 4, 15.5), (2, 3, 4e8), (1, 5, 0.02)] {
            let sample = generated(&mut Dice(2013), (p, q, v), 4_000);
            let fit = sample.fit().unwrap();
            let truth = GammaGamma { p: f64::from(p), q: f64::from(q), v };
            assert!(fit.log_likelihood >= sample.log_likelihood(&truth), "the best is better than the truth");
            let GammaGamma { p, q, v } = fit.model;
            for (p, q, v) in [(p * 1.01, q, v), (p / 1.01, q, v), (p, q * 1.01, v), (p, q, v / 1.01)] {
                assert!(sample.log_likelihood(&GammaGamma { p, q, v }) < fit.log_likelihood, "{p} {q} {v} is better");
            }
            for (name, found, wanted) in
                [("p", fit.model.p, truth.p), ("q", fit.model.q, truth.q), ("v", fit.model.v, truth.v)]
            {
                assert!((found / wanted).ln().abs() < 0.2, "{name} = {found}, not about {wanted}");
            }
            let means = [fit.model, truth].map(|model| model.expected_mean(0, 0.0));
            assert!((means[0] / means[1]).ln().abs() < 0.05, "{means:?}");
        }
    }

    #[test]
    fn what_says_too_little_gives_no_model() {
        assert_eq!(generated(&mut Dice(2), (6, 4, 15.5), 49).fit(), None);
        assert!(generated(&mut Dice(2), (6, 4, 15.5), 50).fit().is_some());
        // All of them always spend the same: the likelihood grows without end.
        let mut same = SpendingSample::default();
        for _ in 0..100 {
            same.add(3, 60.0);
        }
        assert_eq!(same.fit(), None);
        // A few spend more than any mean could hold.
        let mut wild = SpendingSample::default();
        for n in 0..300 {
            wild.add(1, 3_f64.powi(n % 60));
        }
        assert_eq!(wild.fit(), None);
    }
}
