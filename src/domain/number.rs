//! Numbers as people write them. One rule for all: a point (or `٫`) stands before decimals, a comma (or `٬`)
//! between groups of three; what means one number to some and another to others is refused.

use super::text::ascii_digits;

/// A number as its digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number {
    pub is_negative: bool,
    pub whole: String,
    /// Without zeros at its end.
    pub fraction: String,
}

/// Reads a number. `decimals` is how many are usual: only where it is three do three digits behind a point mean them.
pub fn parse(text: &str, decimals: usize) -> Result<Number, String> {
    let wrong = || {
        format!(
            "`{text}` is not a number; write it like 1250.50, with a point before the decimals and nothing between the thousands"
        )
    };
    let plain = ascii_digits(text.trim()).replace('−', "-");
    let (is_negative, plain) = match plain.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    if let Some(why) = doubt(text, plain).filter(|_| decimals != 3 || plain.contains(',')) {
        return Err(why);
    }
    let (whole, fraction) = plain.split_once(['.', '٫']).unwrap_or((plain, ""));
    let groups: Vec<&str> = whole.split([',', '٬']).collect();
    let is_grouped = groups.len() == 1
        || (1..=3).contains(&groups[0].len())
            && !groups[0].starts_with('0')
            && groups[1..].iter().all(|group| group.len() == 3);
    let whole = groups.concat();
    if !is_grouped || whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    Ok(Number { is_negative, whole, fraction: fraction.trim_end_matches('0').to_owned() })
}

/// What `1.500` and `1,500` mean to some, and to others. `plain` is without its sign.
fn doubt(text: &str, plain: &str) -> Option<String> {
    let (whole, rest) = plain.split_once(['.', ','])?;
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let can_be_group = (1..=3).contains(&whole.len()) && !whole.starts_with('0');
    (can_be_group && rest.len() == 3 && digits(whole) && digits(rest)).then(|| {
        let sign = if text.starts_with(['-', '−']) { "-" } else { "" };
        let (thousands, decimals) = (format!("{sign}{whole}{rest}"), format!("{sign}{whole}.{rest}"));
        let written = &decimals[..decimals.len() - 1];
        format!("`{text}` means {thousands} to some and {decimals} to others; write {thousands}, or {written}")
    })
}

/// Reads a whole number.
pub fn parse_whole(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is not a whole number; write it like 1250");
    let plain = ascii_digits(text);
    let unsigned = plain.trim_start_matches(['-', '−', '+']);
    if let Some(why) = doubt(text, unsigned) {
        return Err(why);
    }
    let Number { is_negative, whole, fraction } = parse(text, 0).map_err(|_| wrong())?;
    let sign = if is_negative { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}").parse().map_err(|_| wrong()) } else { Err(wrong()) }
}

/// Digits in groups of three: `1,250,000`.
pub fn grouped(digits: &str) -> String {
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A text as a number to compare, where it is one.
pub fn value(text: &str) -> Option<f64> {
    let Number { is_negative, whole, fraction } = parse(text, 0).ok()?;
    format!("{}{whole}.{fraction}", if is_negative { "-" } else { "" }).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_means_one_thing_or_is_refused() {
        let check = |text: &str, decimals, expected: &str| {
            let found = parse(text, decimals).map(|Number { is_negative, whole, fraction }| {
                format!("{}{whole}.{fraction}", if is_negative { "-" } else { "" })
            });
            assert_eq!(found.as_deref(), Ok(expected), "{text}");
        };
        check("1250.50", 2, "1250.5");
        check("1,250.50", 2, "1250.5");
        check("1,250,000", 2, "1250000.");
        check("۱٬۲۵۰", 2, "1250.");
        check("۱٬۲۵۰٫۵", 2, "1250.5");
        check("12.5", 2, "12.5");
        check("0.125", 2, "0.125");
        check("0.500", 2, "0.5");
        check("1000.500", 2, "1000.5");
        check("1.500", 3, "1.5");
        check("29.3300", 2, "29.33");
        check("-5", 0, "-5.");
        check("−5", 0, "-5.");
        check("420.0", 0, "420.");
        for text in ["1.500", "1,500", "980.000", "12,345", "-1.500", "۱.۵۰۰"] {
            assert!(parse(text, 2).is_err_and(|reason| reason.contains("to others; write ")), "{text}");
        }
        assert!(parse("1,500", 3).is_err());
        for text in [
            "",
            "-",
            "abc",
            "1,2",
            "12,5",
            ".5",
            "12,34.5",
            "2.450.000",
            "1.250,50",
            "0,500",
            "1 250",
            "1e3",
            "NaN",
            "inf",
            "1..5",
            "1٫2٫3",
        ] {
            assert!(parse(text, 2).is_err_and(|reason| reason.contains("write it like 1250.50")), "{text}");
        }
        assert_eq!(parse_whole("1,250,000"), Ok(1_250_000));
        assert!(parse_whole("1.5").is_err() && parse_whole("1,200").is_err());
        assert_eq!((value("۱۲"), value("-0.5"), value("inf"), value("1.500")), (Some(12.0), Some(-0.5), None, None));
    }
}
