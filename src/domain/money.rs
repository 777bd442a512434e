//! Money in minor units with its currency (ISO 4217).

/// How many decimals a currency has. ISO 4217 gives most currencies two.
pub fn decimals(currency: &str) -> u32 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND"
        | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

/// A currency code: three letters, upper case.
pub fn parse_currency(text: &str) -> Result<String, String> {
    let code = text.trim().to_ascii_uppercase();
    if code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase()) {
        Ok(code)
    } else {
        Err(format!("`{text}` is not a currency; write its ISO 4217 code, such as IRR or EUR"))
    }
}

/// Reads an amount in major units (`29.33`, `1,250,000`, `۱۲۵۰۰۰`) into minor units.
pub fn parse_amount(text: &str, currency: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is not an amount; write it like 29.33");
    let plain: String =
        super::text::ascii_digits(text.trim()).chars().map(|c| if c == '٫' { '.' } else { c }).collect();
    let plain = if grouped(&plain) { plain.replace([',', '٬'], "") } else { plain };
    if plain.starts_with('-') {
        return Err(format!("`{text}` is negative; write refunds with `status` refunded"));
    }
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let digits = decimals(currency) as usize;
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > digits {
        return Err(format!("`{text}` has more than the {digits} decimals of {currency}"));
    }
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    format!("{whole}{fraction:0<digits$}").parse().map_err(|_| wrong())
}

/// Whether every group separator stands before exactly three digits.
fn grouped(text: &str) -> bool {
    let whole = text.split('.').next().unwrap_or_default();
    let mut groups = whole.split([',', '٬']);
    let first = groups.next().unwrap_or_default();
    (1..=3).contains(&first.trim_start_matches('-').len()) && groups.all(|g| g.len() == 3)
}

/// Minor units as a plain decimal in major units; no decimals when they are all zero.
pub fn display(minor: i64, currency: &str) -> String {
    let digits = decimals(currency);
    let unit = 10_i64.pow(digits);
    if minor % unit == 0 {
        (minor / unit).to_string()
    } else {
        format!("{}.{:0width$}", minor / unit, (minor % unit).abs(), width = digits as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        for (text, currency, minor) in [
            ("29.33", "USD", 2933),
            ("29.3", "USD", 2930),
            ("29", "USD", 2900),
            ("29.3300", "USD", 2933),
            ("1,250,000", "IRR", 125_000_000),
            ("۱۲۵۰۰۰", "IRR", 12_500_000),
            ("500", "JPY", 500),
            ("0.125", "KWD", 125),
            ("0", "USD", 0),
        ] {
            assert_eq!(parse_amount(text, currency), Ok(minor), "{text}");
        }
        for text in ["", "-5", "1.234", "abc", "1,2", ".5", "12,34.5", "99999999999999999999", "1.2.3", "NaN"] {
            assert!(parse_amount(text, "USD").is_err(), "{text}");
        }
        assert_eq!(display(2933, "USD"), "29.33");
        assert_eq!(display(2900, "USD"), "29");
        assert_eq!(display(2905, "USD"), "29.05");
        assert_eq!(display(500, "JPY"), "500");
    }
}
