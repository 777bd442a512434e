//! An interval for whoever looks every day: the asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha,
//! Kennedy and Ramdas (arXiv 2103.06476, equation 9). It holds at all instants at once with probability 95 %,
//! so it may be looked at as often as wanted, and acted on when it excludes 0. As the name says it does so once there
//! is enough to look at: with a handful of members in an arm it is too sure of itself, and a verdict waits for more.

use super::interval::Interval;

const ALPHA: f64 = 0.05;
/// The members of both arms together at which the interval is about as narrow as it can be.
pub const TUNED_TO: f64 = 5_000.0;

/// The interval about a difference with standard error `se` > 0, `n` members in both arms together.
pub fn interval(difference: f64, se: f64, n: u64) -> Option<Interval> {
    Interval::around(difference, half_width(se, n, TUNED_TO)?)
}

/// σ √(2(nρ² + 1) / (n²ρ²) · ln(√(nρ² + 1) / α)), where σ² = se²·n.
fn half_width(se: f64, n: u64, tuned_to: f64) -> Option<f64> {
    if n == 0 || se <= 0.0 || !se.is_finite() {
        return None;
    }
    let rho_squared = (1.0 - 2.0 * ALPHA.ln()).ln() - 2.0 * ALPHA.ln();
    let scaled = n as f64 * rho_squared / tuned_to;
    Some(se * (2.0 * (scaled + 1.0) / scaled * ((scaled + 1.0).sqrt() / ALPHA).ln()).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GrowthBook's checks (`gbstats`, `test_tests.py`): relative differences with the variance by the delta method.
    #[test]
    fn it_is_the_one_that_growthbook_computes() {
        let check = |(n1, m1, v1): (f64, f64, f64), (n2, m2, v2): (f64, f64, f64), tuned_to, wanted: [f64; 3]| {
            let lift = (m2 - m1) / m1;
            let se = f64::sqrt(v2 / n2 / (m1 * m1) + v1 / n1 * m2 * m2 / m1.powi(4));
            let half = half_width(se, (n1 + n2) as u64, tuned_to).unwrap();
            for (found, wanted) in [lift, lift - half, lift + half].into_iter().zip(wanted) {
                assert!((found - wanted).abs() < 5.1e-6, "{found} is not {wanted}");
            }
        };
        let share = |count: f64, n: f64| (n, count / n, count / n * (1.0 - count / n));
        check(share(1396.0, 3000.0), share(2422.0, 3461.0), TUNED_TO, [0.50386, 0.40098, 0.60675]);
        let mean = |sum: f64, squares: f64, n: f64| (n, sum / n, (squares - sum * sum / n) / (n - 1.0));
        let (control, treated) = (mean(1396.87, 52377.9767, 3000.0), mean(2422.7, 134_698.29, 3461.0));
        check(control, treated, 1_000.0, [0.50336, -0.55844, 1.56516]);
    }

    #[test]
    fn it_is_wider_than_the_fixed_one_and_narrowest_about_where_it_is_tuned_to() {
        let widths: Vec<f64> = (0..40).map(|i| half_width(1.0, 1 << i, TUNED_TO).unwrap()).collect();
        assert!(widths.iter().all(|width| width.is_finite() && *width > 2.7), "{widths:?}");
        let least = half_width(1.0, 5_000, TUNED_TO).unwrap();
        assert!(widths.iter().all(|width| *width > least - 0.01), "{least} {widths:?}");
    }

    #[test]
    fn without_members_or_error_there_is_none() {
        for (se, n) in [(1.0, 0), (0.0, 100), (-1.0, 100), (f64::NAN, 100), (f64::INFINITY, 100)] {
            assert_eq!(interval(1.0, se, n), None, "{se} {n}");
        }
        assert_eq!(interval(f64::INFINITY, 1.0, 100), None);
    }
}
