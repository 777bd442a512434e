//! Lengths of time as people write them in campaigns: `90s`, `30m`, `12h`, `60d`, `2w`.

use chrono::Duration;

/// Reads a length of time; `d` is exactly 24 hours.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a length of time; write a whole number and a unit: 90s, 30m, 12h, 60d, 2w");
    let text_ascii = super::text::ascii_digits(text.trim());
    let unit = text_ascii.chars().last().ok_or_else(wrong)?;
    let number: i64 = text_ascii[..text_ascii.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return Err(wrong()),
    };
    // A century is more than any campaign means, and far from overflow.
    match number.checked_mul(seconds) {
        Some(total) if (0..=100 * 366 * 86_400).contains(&total) => Ok(Duration::seconds(total)),
        _ => Err(format!("`{text}` is out of range; expected 0 to 100 years")),
    }
}

/// Writes it the way it is read, in the largest unit that fits.
pub fn display(duration: Duration) -> String {
    let seconds = duration.num_seconds();
    for (unit, size) in [("d", 86_400), ("h", 3_600), ("m", 60)] {
        if seconds != 0 && seconds % size == 0 {
            return format!("{}{unit}", seconds / size);
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_and_written() {
        for (text, seconds, shown) in [
            ("90s", 90, "90s"),
            ("30m", 1_800, "30m"),
            ("12h", 43_200, "12h"),
            ("60d", 5_184_000, "60d"),
            ("۲w", 1_209_600, "14d"),
            ("0d", 0, "0s"),
        ] {
            let duration = parse(text).unwrap();
            assert_eq!(duration.num_seconds(), seconds, "{text}");
            assert_eq!(display(duration), shown, "{text}");
        }
        for text in ["", "60", "d", "-1d", "1.5h", "60 days", "999999999w", "۳é"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
