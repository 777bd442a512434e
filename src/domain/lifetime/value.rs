//! What a customer will bring: customer lifetime value from BG/NBD and Gamma-Gamma (as Fader, Hardie and Lee, "RFM and
//! CLV", 2005, do with the older Pareto/NBD), over the next 52 weeks.

use super::DAYS_A_WEEK;
use super::bg_nbd::BgNbd;
use super::customer::Customer;
use super::gamma_gamma::GammaGamma;

/// How far it looks ahead, in months of four weeks: whole weeks, and 13 of them are 52.
const MONTHS: i32 = 13;
const WEEKS_A_MONTH: f64 = 4.0;

/// What all customers so far say about each of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Models {
    pub purchases: BgNbd,
    /// In minor units of the brand's currency. `None` where too few customers spent any of it.
    pub spending: Option<GammaGamma>,
}

impl Models {
    /// The probability that the customer is still one.
    pub fn probability_alive(&self, customer: &Customer) -> f64 {
        let Customer { repeats, recency_days, age_days, .. } = *customer;
        self.purchases.probability_alive(repeats, weeks(recency_days), weeks(age_days))
    }

    /// How many purchases are expected in the next `weeks`.
    pub fn expected_purchases(&self, customer: &Customer, ahead: f64) -> f64 {
        let Customer { repeats, recency_days, age_days, .. } = *customer;
        self.purchases.expected_purchases(ahead, repeats, weeks(recency_days), weeks(age_days))
    }

    /// What a purchase is expected to come to, in minor units of the brand's currency.
    pub fn expected_mean(&self, customer: &Customer) -> Option<f64> {
        let Customer { priced, spent, .. } = *customer;
        let mean = if priced > 0 { spent as f64 / priced as f64 } else { 0.0 };
        Some(self.spending?.expected_mean(priced, mean))
    }

    /// What the purchases of the next 52 weeks are expected to bring, in minor units of the brand's currency. What comes
    /// in a month of four weeks is discounted from its end, at a yearly rate from 0 to 1.
    pub fn expected_revenue(&self, customer: &Customer, discount: f64) -> Option<f64> {
        let mean = self.expected_mean(customer)?;
        let monthly = (1.0 + discount).powf(-1.0 / f64::from(MONTHS));
        let (mut revenue, mut before) = (0.0, 0.0);
        for month in 1..=MONTHS {
            let by_then = self.expected_purchases(customer, WEEKS_A_MONTH * f64::from(month));
            revenue += mean * (by_then - before) * monthly.powi(month);
            before = by_then;
        }
        Some(revenue)
    }
}

fn weeks(days: i64) -> f64 {
    days as f64 / DAYS_A_WEEK
}

#[cfg(test)]
mod tests {
    use super::super::dice::Dice;
    use super::*;

    /// The published models of the CDNOW sample; money in cents.
    const CDNOW: Models = Models {
        purchases: BgNbd { r: 0.243, alpha: 4.414, a: 0.793, b: 2.426 },
        spending: Some(GammaGamma { p: 6.25, q: 3.74, v: 1_544.0 }),
    };

    #[test]
    fn revenue_is_purchases_times_their_worth_and_is_worth_less_later() {
        // The article's customer, in whole days: two repeats that came to 44.70 dollars.
        let customer = Customer { repeats: 2, recency_days: 213, age_days: 272, priced: 2, spent: 4_470 };
        let mean = CDNOW.expected_mean(&customer).unwrap();
        assert!((mean - 2_466.4).abs() < 0.1, "{mean}");
        let purchases = CDNOW.expected_purchases(&customer, 52.0);
        let [whole, discounted] = [0.0, 0.1].map(|rate| CDNOW.expected_revenue(&customer, rate).unwrap());
        assert!((whole - mean * purchases).abs() < 1e-9 * whole, "{whole}");
        // Month by month, with a rate of a thirteenth of a year in each.
        let month = |n: i32| {
            let by = |n: i32| CDNOW.expected_purchases(&customer, 4.0 * f64::from(n));
            mean * (by(n) - by(n - 1)) / 1.1_f64.powf(f64::from(n) / 13.0)
        };
        let wanted: f64 = (1..=13).map(month).sum();
        assert!((discounted - wanted).abs() < 1e-9 * wanted, "{discounted} is not {wanted}");
        assert!((0.95..0.96).contains(&(discounted / whole)), "half a year on average: {}", discounted / whole);
        let without = Models { spending: None, ..CDNOW };
        assert_eq!((without.expected_mean(&customer), without.expected_revenue(&customer, 0.1)), (None, None));
    }

    #[test]
    fn what_comes_later_never_counts_for_more() {
        let mut dice = Dice(52);
        for _ in 0..200 {
            let repeats = (dice.roll() * dice.roll() * 30.0) as i64;
            let recency_days = if repeats == 0 { 0 } else { repeats + (dice.roll() * 500.0) as i64 };
            let age_days = recency_days + (dice.roll() * 300.0) as i64;
            let priced = (dice.roll() * (repeats + 1) as f64) as i64;
            let customer = Customer { repeats, recency_days, age_days, priced, spent: priced * 3_000 };
            let by_rate = [0.0, 0.01, 0.1, 1.0].map(|rate| CDNOW.expected_revenue(&customer, rate).unwrap());
            assert!(by_rate.is_sorted_by(|less, more| less > more) && by_rate[3] > 0.0, "{customer:?}: {by_rate:?}");
            assert!(by_rate[3] > by_rate[0] / 2.0, "{customer:?}: {by_rate:?}");
            let later = Customer { age_days: age_days + 30, ..customer };
            assert!(CDNOW.expected_revenue(&later, 0.1).unwrap() < by_rate[2], "{customer:?}");
        }
    }
}
