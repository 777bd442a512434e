//! When a failed send is tried again.

use chrono::Duration;

use super::Instant;

/// Messages are retried until they are this old, counted from their first attempt.
pub const MAX_AGE: Duration = Duration::hours(24);

/// After so many attempts the next one is an hour away.
pub const AN_HOUR_LATER: u32 = 7;

/// When to try again after `attempts` spent attempts: a minute, doubling to two hours, shortened
/// by up to a quarter by `jitter` in [0, 1) so that a crowd does not come back at once. `None` when
/// the message is too old to try again.
pub fn next_attempt(attempts: u32, first_attempt_at: Instant, now: Instant, jitter: f64) -> Option<Instant> {
    let full = 60_000_i64.saturating_mul(1 << attempts.saturating_sub(1).min(7)).min(7_200_000);
    let delay = full - (full as f64 * 0.25 * jitter.clamp(0.0, 1.0)) as i64;
    let at = now + Duration::milliseconds(delay);
    (at - first_attempt_at <= MAX_AGE).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_two_hours_and_end_with_age() {
        let start: Instant = "2026-01-01T00:00:00Z".parse().unwrap();
        let minutes = |attempts, jitter| {
            next_attempt(attempts, start, start, jitter).map(|at| (at - start).num_seconds() as f64 / 60.0)
        };
        assert_eq!(minutes(1, 0.0), Some(1.0));
        assert_eq!(minutes(2, 0.0), Some(2.0));
        assert_eq!(minutes(AN_HOUR_LATER, 0.0), Some(64.0));
        assert_eq!(minutes(8, 0.0), Some(120.0));
        assert_eq!(minutes(1000, 0.0), Some(120.0));
        assert_eq!(minutes(2, 0.999_999), Some(1.5));
        assert_eq!(next_attempt(9, start, start + Duration::hours(23), 0.0), None);
    }
}
