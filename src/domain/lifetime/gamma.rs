//! The gamma function, which both likelihoods are made of.

/// The logarithm of the gamma function of a positive number: Stirling's series, from ten upwards.
pub(super) fn ln_gamma(x: f64) -> f64 {
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
}
