//! Phone numbers in E.164, read as people write them.

use phonenumber::country::Id;

/// The region whose national form (`0912…`) is understood, such as `IR`.
pub fn parse_region(text: &str) -> Result<Id, String> {
    text.parse().map_err(|_| format!("`{text}` is not a region; write its ISO 3166 code, such as IR or DE"))
}

/// Reads a number in international (`+98…`, `0098…`) or national form into E.164.
pub fn parse(text: &str, region: Id) -> Result<String, String> {
    let mut plain = super::text::ascii_digits(text.trim());
    if let Some(rest) = plain.strip_prefix("00") {
        plain = format!("+{rest}");
    }
    let number = phonenumber::parse(Some(region), &plain)
        .map_err(|_| format!("`{text}` is not a phone number; write it like +989121234567"))?;
    if !number.is_valid() && !is_reserved_example(&plain) {
        return Err(format!("`{text}` is not a valid number of its country; write it like +989121234567"));
    }
    Ok(number.format().mode(phonenumber::Mode::E164).to_string())
}

/// `+1 202 555 01xx` is reserved for fiction: no exchange serves it, and sample data use it.
fn is_reserved_example(plain: &str) -> bool {
    let digits: String = plain.chars().filter(char::is_ascii_digit).collect();
    plain.starts_with('+') && digits.len() == 11 && digits.starts_with('1') && &digits[4..9] == "55501"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_e164() {
        for (text, stored) in [
            ("09121234567", "+989121234567"),
            ("۰۹۱۲ ۱۲۳ ۴۵۶۷", "+989121234567"),
            ("+98 912-123-4567", "+989121234567"),
            ("00989121234567", "+989121234567"),
            ("9121234567", "+989121234567"),
            ("+12025550102", "+12025550102"),
            ("+44 7911 123456", "+447911123456"),
        ] {
            assert_eq!(parse(text, Id::IR).as_deref(), Ok(stored), "{text}");
        }
        for text in ["", "12", "abc", "+98", "0912123", "+999123456789", "0912123456789012"] {
            assert!(parse(text, Id::IR).is_err(), "{text}");
        }
    }
}
