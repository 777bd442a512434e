//! Many comparisons at once: Holm's step-down correction (1979). Whoever calls a family's member significant at
//! a corrected p below 0.05 is wrong about any of them in at most 5 % of reports.

/// The family's p-values, corrected and in the same order. Those that are none stay so and do not count.
pub fn correct(family: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut order: Vec<(usize, f64)> = family.iter().enumerate().filter_map(|(i, p)| Some((i, (*p)?))).collect();
    order.sort_by(|one, other| one.1.total_cmp(&other.1));
    let mut corrected = vec![None; family.len()];
    let mut least = 0.0;
    for (rank, (index, p)) in order.iter().enumerate() {
        // No p is corrected to less than a smaller one was.
        least = f64::max(least, p * (order.len() - rank) as f64).min(1.0);
        corrected[*index] = Some(least);
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_counts_all_and_the_largest_itself() {
        let check = |family: &[Option<f64>], wanted: &[Option<f64>]| {
            let found = correct(family);
            assert_eq!(found.len(), wanted.len());
            for (found, wanted) in found.iter().zip(wanted) {
                assert_eq!(found.is_some(), wanted.is_some());
                assert!((found.unwrap_or(0.0) - wanted.unwrap_or(0.0)).abs() < 1e-15, "{found:?} {wanted:?}");
            }
        };
        check(&[], &[]);
        check(&[None], &[None]);
        check(&[Some(0.03)], &[Some(0.03)]);
        // R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm").
        let four = [Some(0.01), Some(0.04), Some(0.03), Some(0.005)];
        check(&four, &[Some(0.03), Some(0.06), Some(0.06), Some(0.02)]);
        check(&[Some(0.01), None, Some(0.04)], &[Some(0.02), None, Some(0.04)]);
        check(&[Some(0.6), Some(0.7)], &[Some(1.0), Some(1.0)]);
        check(&[Some(0.02), Some(0.02)], &[Some(0.04), Some(0.04)]);
    }

    #[test]
    fn corrected_values_keep_their_order_and_never_fall() {
        for seed in 1..200_u32 {
            let family: Vec<Option<f64>> =
                (1..=seed % 9).map(|i| f64::from(i * i * 7_919 * seed % 1_009) / 1_008.0).map(Some).collect();
            let corrected = correct(&family);
            for (i, p) in family.iter().enumerate() {
                assert!(corrected[i] >= *p && corrected[i] <= p.map(|p| (p * family.len() as f64).min(1.0)));
                for (j, other) in family.iter().enumerate() {
                    assert!(p > other || corrected[i] <= corrected[j]);
                }
            }
        }
    }
}
