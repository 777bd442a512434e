//! Experiments: who gets nothing, so that what a campaign earns can be measured, and what the difference between the
//! arms is worth. The statistics are computed from sums alone, without clock, chance or store. Differences are *arm −
//! against*, all intervals are at 95 %, all tests two-sided. What cannot be computed is `None`, never NaN or infinite.

use chrono::Duration;
use sha2::{Digest, Sha256};

pub mod always_valid;
pub mod arms;
pub mod decide;
mod distribution;
pub mod goal;
pub mod holm;
pub mod interval;
pub mod means;
pub mod power;
pub mod sample_ratio;
pub mod shares;
pub mod sums;
pub mod verdict;

#[cfg(test)]
mod hillstrom;
#[cfg(test)]
mod simulation;

/// Where a member falls in [0, 1) under a name: the first 8 bytes (big-endian) of
/// SHA-256(name, 0x00, external id) / 2⁶⁴. The same on every machine, for ever.
pub fn position(name: &str, external_id: &str) -> f64 {
    first_bytes(name, external_id) as f64 / 2_f64.powi(64)
}

/// The member's part of a time over which a campaign spreads its messages: [`position`] under
/// `spread`, 0x00 and the campaign's name, to the millisecond below.
pub fn part_of(spread: Duration, campaign: &str, external_id: &str) -> Duration {
    let part = u128::from(first_bytes(&format!("spread\0{campaign}"), external_id));
    // Less than the spread itself, so it fits.
    Duration::milliseconds(((part * u128::from(spread.num_milliseconds().unsigned_abs())) >> 64) as i64)
}

fn first_bytes(name: &str, external_id: &str) -> u64 {
    let mut hash = Sha256::new();
    hash.update(name.as_bytes());
    hash.update([0]);
    hash.update(external_id.as_bytes());
    let digest = hash.finalize();
    let mut first = [0_u8; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_documented_one() {
        // The first 16 hex digits of `printf 'birthday-gift\0m1' | sha256sum`.
        let check = |name: &str, id: &str, first8: u64| {
            assert_eq!(position(name, id), first8 as f64 / 2_f64.powi(64));
        };
        check("birthday-gift", "m1", 0xb5e0_9d2c_0bc3_6ab9);
        check("a", "", 0xffe9_aaea_a2a2_d504);
    }

    #[test]
    fn a_spread_gives_each_member_the_same_part_of_it_for_ever() {
        // `printf 'spread\0letter\0m1' | sha256sum` begins with 6a41c557d89dced6.
        let part = |hours| part_of(Duration::hours(hours), "letter", "m1");
        assert_eq!(part(0), Duration::zero());
        let exact = (0x6a41_c557_d89d_ced6_u64 as f64 / 2_f64.powi(64) * 14_400_000.0).floor() as i64;
        assert_eq!(part(4), Duration::milliseconds(exact));
    }

    #[test]
    fn a_tenth_is_about_a_tenth() {
        let held = (0..10_000).filter(|n| position("win-back", &format!("m{n}")) < 0.1).count();
        assert!((900..1100).contains(&held), "{held}");
    }
}
