//! Whether a customer will come back: the BG/NBD model of Fader, Hardie and Lee (2005). While they are
//! customers, people buy at random at a rate of their own; after each purchase some leave for good.
//! Time is in weeks.

use std::collections::BTreeMap;

/// Fewer customers than this say too little.
pub const LEAST_CUSTOMERS: u64 = 100;
/// And fewer of them with a repeat purchase.
pub const LEAST_REPEAT_CUSTOMERS: u64 = 50;

const DAYS_A_WEEK: f64 = 7.0;

/// The model's four parameters: purchase rates are gamma distributed (`r`, `alpha`), the chances of
/// leaving after a purchase beta distributed (`a`, `b`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Model {
    pub r: f64,
    pub alpha: f64,
    pub a: f64,
    pub b: f64,
}

/// The newest model, and which histories there are: (visits, days between first and last).
#[derive(Debug, Clone, PartialEq)]
pub struct Lifetimes {
    pub model: Model,
    pub histories: Vec<(i64, i64)>,
}

impl Model {
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
}

/// What the model is fitted to: customers, those with the same numbers as one entry.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// (repeat purchases, recency in days, age in days) → customers
    customers: BTreeMap<(i64, i64, i64), u64>,
}

/// A model that was fitted, and how well it explains the sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    pub model: Model,
    pub log_likelihood: f64,
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

impl Sample {
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
    pub fn log_likelihood(&self, model: &Model) -> f64 {
        let Model { r, alpha, a, b } = *model;
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
    pub fn fit(&self) -> Result<Fit, Unfit> {
        if self.customers() < LEAST_CUSTOMERS {
            return Err(Unfit::Customers { found: self.customers() });
        }
        if self.repeat_customers() < LEAST_REPEAT_CUSTOMERS {
            return Err(Unfit::RepeatCustomers { found: self.repeat_customers() });
        }
        let cost = |point: &Point| -self.log_likelihood(&model_at(point));
        let mut best = [0.0; 4];
        let mut before = f64::INFINITY;
        // A simplex can collapse before it is there; a fresh one from where it ended shows.
        for _ in 0..RESTARTS {
            let (point, least) = descend(&cost, best).ok_or(Unfit::NoEnd)?;
            // Towards an edge the likelihood only creeps up: no such parameters are the best ones.
            if !least.is_finite() || point.iter().any(|parameter| parameter.abs() > EDGE) {
                return Err(Unfit::NoEnd);
            }
            best = point;
            if before - least < CLOSE {
                return Ok(Fit { model: model_at(&best), log_likelihood: -least });
            }
            before = least;
        }
        Err(Unfit::NoEnd)
    }
}

/// The logarithms of the four parameters, which keeps them positive.
type Point = [f64; 4];

const RESTARTS: usize = 20;
/// A restart that gains less than this ends the search.
const CLOSE: f64 = 1e-4;
/// As far as a parameter may be from 1, as a logarithm.
const EDGE: f64 = 9.0;

fn model_at(point: &Point) -> Model {
    let [r, alpha, a, b] = point.map(f64::exp);
    Model { r, alpha, a, b }
}

/// Nelder and Mead's downhill simplex: where `cost` is least near `start`, and how much it is there.
fn descend(cost: &impl Fn(&Point) -> f64, start: Point) -> Option<(Point, f64)> {
    const STEPS: usize = 2_000;
    const STEP: f64 = 0.5;
    let mut simplex: Vec<(Point, f64)> = vec![(start, cost(&start))];
    for axis in 0..start.len() {
        let mut point = start;
        point[axis] += STEP;
        simplex.push((point, cost(&point)));
    }
    for _ in 0..STEPS {
        simplex.sort_by(|one, other| one.1.total_cmp(&other.1));
        let (best, worst) = (simplex[0], simplex[4]);
        let size = simplex.iter().map(|(point, _)| distance(point, &best.0)).fold(0.0, f64::max);
        if worst.1 - best.1 < 1e-7 && size < 1e-5 {
            return Some(best);
        }
        let centre: Point = std::array::from_fn(|axis| simplex[..4].iter().map(|(point, _)| point[axis] / 4.0).sum());
        let along = |by: f64| {
            let point: Point = std::array::from_fn(|axis| centre[axis] + by * (worst.0[axis] - centre[axis]));
            (point, cost(&point))
        };
        let reflected = along(-1.0);
        let replacement = if reflected.1 < best.1 {
            let expanded = along(-2.0);
            Some(if expanded.1 < reflected.1 { expanded } else { reflected })
        } else if reflected.1 < simplex[3].1 {
            Some(reflected)
        } else {
            let contracted = along(if reflected.1 < worst.1 { -0.5 } else { 0.5 });
            (contracted.1 < worst.1.min(reflected.1)).then_some(contracted)
        };
        if let Some(replacement) = replacement {
            simplex[4] = replacement;
            continue;
        }
        for vertex in &mut simplex[1..] {
            let point: Point = std::array::from_fn(|axis| (vertex.0[axis] + best.0[axis]) / 2.0);
            *vertex = (point, cost(&point));
        }
    }
    None
}

fn distance(one: &Point, other: &Point) -> f64 {
    one.iter().zip(other).map(|(one, other)| (one - other).abs()).fold(0.0, f64::max)
}

/// The logarithm of the gamma function of a positive number: Stirling's series, from ten upwards.
fn ln_gamma(x: f64) -> f64 {
    const SERIES: [f64; 7] =
        [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1_260.0, -1.0 / 1_680.0, 1.0 / 1_188.0, -691.0 / 360_360.0, 1.0 / 156.0];
    let (mut z, mut below) = (x, 1.0);
    while z < 10.0 {
        below *= z;
        z += 1.0;
    }
    let square = z * z;
    let tail = SERIES.iter().rev().fold(0.0, |sum, term| sum / square + term) / z;
    (z - 0.5) * z.ln() - z + 0.5 * std::f64::consts::TAU.ln() + tail - below.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Fader, Hardie and Lee found for the CDNOW sample.
    const CDNOW: Model = Model { r: 0.243, alpha: 4.414, a: 0.793, b: 2.426 };

    #[test]
    fn the_gamma_function_is_exact() {
        for (x, wanted) in [
            (1e-5, 11.512_919_692_895_824),
            (0.1, 2.252_712_651_734_206),
            (0.5, 0.572_364_942_924_700_1),
            (1.0, 0.0),
            (1.5, -0.120_782_237_635_245_22),
            (2.0, 0.0),
            (3.0, std::f64::consts::LN_2),
            (5.0, 3.178_053_830_347_945_8),
            (10.0, 12.801_827_480_081_469),
            (20.5, 40.831_500_974_530_8),
            (171.0, 706.573_062_245_787_4),
            (1e6, 12_815_504.569_147_61),
        ] {
            let error = (ln_gamma(x) - wanted).abs() / wanted.abs().max(1.0);
            assert!(error < 1e-13, "{x}: {} is not {wanted}", ln_gamma(x));
        }
    }

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

    #[test]
    fn the_likelihood_of_a_customer_is_that_of_the_formula() {
        // With r = a = b = 1 and alpha = 1 everything is a fraction.
        let model = Model { r: 1.0, alpha: 1.0, a: 1.0, b: 1.0 };
        let of = |repeats, recency, age| {
            let mut sample = Sample::default();
            sample.add(repeats, recency, age);
            sample.log_likelihood(&model)
        };
        // No repeat in 3 weeks: 1 / (1 + 3).
        assert!((of(0, 0, 21) - 0.25_f64.ln()).abs() < 1e-12);
        // One after a week, looked at after 3: B(1,2)/B(1,1) / 4² + B(2,1)/B(1,1) / 2².
        assert!((of(1, 7, 21) - (0.5_f64 / 16.0 + 0.5 / 4.0).ln()).abs() < 1e-12);
        let mut twice = Sample::default();
        twice.add(1, 7, 21);
        twice.add(1, 7, 21);
        assert!((twice.log_likelihood(&model) - 2.0 * of(1, 7, 21)).abs() < 1e-12);
    }

    #[test]
    fn too_little_data_is_refused_with_what_is_missing() {
        let mut sample = Sample::default();
        for _ in 0..99 {
            sample.add(0, 0, 100);
        }
        assert_eq!(sample.fit(), Err(Unfit::Customers { found: 99 }));
        for day in 0..49 {
            sample.add(1 + day % 3, 10 + day, 100);
        }
        assert_eq!(sample.fit(), Err(Unfit::RepeatCustomers { found: 49 }));
        // Everybody buys every week and nobody leaves: the likelihood grows without end.
        let mut steady = Sample::default();
        for _ in 0..200 {
            steady.add(10, 70, 70);
        }
        assert_eq!(steady.fit(), Err(Unfit::NoEnd));
    }

    /// Numbers between 0 and 1 that look random (SplitMix64).
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        }
    }

    #[test]
    fn a_model_is_found_again_in_what_it_generates() {
        // r = 1 makes rates exponential, and a = 1 makes the chance of leaving 1 - u^(1/b).
        let truth = Model { r: 1.0, alpha: 6.0, a: 1.0, b: 2.5 };
        let mut dice = Dice(2005);
        let mut sample = Sample::default();
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
        let Model { r, alpha, a, b } = fit.model;
        for (name, found, wanted) in [("r", r, 1.0), ("alpha", alpha, 6.0), ("a", a, 1.0), ("b", b, 2.5)] {
            assert!((found / wanted).ln().abs() < 0.2, "{name} = {found}, not about {wanted}");
        }
    }
}
