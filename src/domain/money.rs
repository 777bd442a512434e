//! Money in minor units with its currency (ISO 4217).

use super::number::{self, Number};

/// The currencies in use (ISO 4217).
const CURRENCIES: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP \
    BYN BZD CAD CDF CHF CLF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD \
    GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP \
    LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK \
    PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT \
    TND TOP TRY TTD TWD TZS UAH UGX USD UYI UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG ZWL";

/// How many decimals a currency has. ISO 4217 gives most currencies two.
pub fn decimals(currency: &str) -> u32 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND"
        | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

/// How many minor units a currency's major unit has.
pub fn minor_units(currency: &str) -> f64 {
    10_f64.powi(decimals(currency).cast_signed())
}

/// A currency code: three letters, upper case.
pub fn parse_currency(text: &str) -> Result<String, String> {
    let code = text.trim().to_ascii_uppercase();
    if CURRENCIES.split(' ').any(|known| known == code) {
        Ok(code)
    } else if ["IRT", "TOM", "TMN"].contains(&code.as_str()) {
        Err(format!("`{text}` has no ISO 4217 code; write amounts in rial (ten for a toman), and IRR"))
    } else {
        Err(format!("`{text}` is not a currency; write its ISO 4217 code, such as IRR or EUR"))
    }
}

/// Reads an amount in major units (`29.33`, `1,250,000`, `۱۲۵۰۰۰`) into minor units.
pub fn parse_amount(text: &str, currency: &str) -> Result<i64, String> {
    let digits = decimals(currency) as usize;
    let Number { is_negative, whole, fraction } = number::parse(text, digits)?;
    if is_negative {
        return Err(format!("`{text}` is negative; write refunds with `status` refunded"));
    }
    if fraction.len() > digits {
        return Err(format!("`{text}` has more than the {digits} decimals of {currency}"));
    }
    format!("{whole}{fraction:0<digits$}").parse().map_err(|_| format!("`{text}` is too much to be an amount"))
}

/// Reads an amount in major units into millionths of the major unit, of whatever currency: prices are often below its
/// smallest coin.
pub fn parse_millionths(text: &str) -> Result<i64, String> {
    let Number { is_negative, whole, fraction } = number::parse(text, MILLIONTHS)?;
    if is_negative {
        return Err(format!("`{text}` is negative; a price is not"));
    }
    if fraction.len() > MILLIONTHS {
        return Err(format!("`{text}` has more than {MILLIONTHS} decimals"));
    }
    format!("{whole}{fraction:0<MILLIONTHS$}").parse().map_err(|_| format!("`{text}` is too much to be a price"))
}

/// Decimals of a millionth.
const MILLIONTHS: usize = 6;

/// How many decimals people write. ISO 4217 gives the rial two, but nobody divides one.
fn decimals_in_use(currency: &str) -> u32 {
    if currency == "IRR" { 0 } else { decimals(currency) }
}

/// An amount in major units as people read it: `12.50`, `-0.31`, and from a thousand on without decimals, `1,250,000`.
pub fn rounded(amount: f64, currency: &str) -> String {
    let digits = if amount.abs() >= 1_000.0 { 0 } else { decimals_in_use(currency) as usize };
    let plain = format!("{:.digits$}", amount.abs());
    let (whole, fraction) = plain.split_once('.').map_or((plain.as_str(), None), |(whole, part)| (whole, Some(part)));
    let grouped = number::grouped(whole);
    let sign = if amount < 0.0 && !is_zero(&plain) { "-" } else { "" };
    fraction.map_or_else(|| format!("{sign}{grouped}"), |part| format!("{sign}{grouped}.{part}"))
}

/// The same as a change: with its sign, where it is more than nothing once rounded.
pub fn change(amount: f64, currency: &str) -> String {
    let text = rounded(amount, currency);
    if text.starts_with('-') || is_zero(&text) { text } else { format!("+{text}") }
}

/// Whether a written amount says nothing but zero.
fn is_zero(written: &str) -> bool {
    written.bytes().all(|byte| matches!(byte, b'0' | b'.'))
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
    fn amounts_for_people_have_the_decimals_that_matter() {
        for (amount, currency, expected) in [
            (12.5, "EUR", "12.50"),
            (0.0, "EUR", "0.00"),
            (0.0, "IRR", "0"),
            (0.4, "IRR", "0"),
            (89.0, "IRR", "89"),
            (88.96, "IRR", "89"),
            (-88.96, "IRR", "-89"),
            (-0.001, "EUR", "0.00"),
            (-0.314, "EUR", "-0.31"),
            (999.994, "EUR", "999.99"),
            (1_234_567.8, "IRR", "1,234,568"),
            (-374_152.95, "IRR", "-374,153"),
            (1_000.0, "JPY", "1,000"),
            (12.0, "JPY", "12"),
            (1.5, "KWD", "1.500"),
        ] {
            assert_eq!(rounded(amount, currency), expected);
        }
        for (amount, currency, expected) in [
            (2.0, "EUR", "+2.00"),
            (-2.0, "EUR", "-2.00"),
            (0.0, "EUR", "0.00"),
            (-0.001, "EUR", "0.00"),
            (0.4, "IRR", "0"),
            (0.6, "IRR", "+1"),
        ] {
            assert_eq!(change(amount, currency), expected);
        }
    }

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
            ("1,250.50", "EUR", 125_050),
            ("12.5", "EUR", 1250),
            ("1.500", "KWD", 1500),
        ] {
            assert_eq!(parse_amount(text, currency), Ok(minor), "{text}");
        }
        for code in ["usd", " IRR ", "Eur"] {
            assert!(parse_currency(code).is_ok(), "{code}");
        }
        for code in ["", "euro", "IRT", "XYZ", "€"] {
            assert!(parse_currency(code).is_err(), "{code}");
        }
        for text in [
            "1.500",
            "980.000",
            "2.450.000",
            "1,500",
            "",
            "-5",
            "1.234",
            "abc",
            "1,2",
            ".5",
            "12,34.5",
            "99999999999999999999",
            "1.2.3",
            "NaN",
        ] {
            assert!(parse_amount(text, "USD").is_err(), "{text}");
        }
        assert_eq!(display(2933, "USD"), "29.33");
        assert_eq!(display(2900, "USD"), "29");
        assert_eq!(display(2905, "USD"), "29.05");
        assert_eq!(display(500, "JPY"), "500");
    }
}
