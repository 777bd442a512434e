//! What a cell of a file says: nothing, a spreadsheet's slip, or something that can be a key.

use super::text::ascii_digits;

/// How databases and programs write that there is no value. A name such as Null or Nan has other letters.
const NOTHING: &[&str] = &[
    "NULL",
    "null",
    "\\N",
    "(null)",
    "<null>",
    "(NULL)",
    "<NULL>",
    "nil",
    "None",
    "NaN",
    "nan",
    "NaT",
    "undefined",
    "-",
    "--",
    "–",
    "—",
];

/// Errors of spreadsheets that end in neither `!` nor `?`, in the languages in which they are written.
const ERRORS: &[&str] =
    &["#N/A", "#NV", "#N/D", "#N/B", "#Н/Д", "#YOK", "#I/T", "#HIÁNYZIK", "#GETTING_DATA", "#N/A N/A", "#N/A!"];

/// Whether a cell only says that there is nothing.
pub fn is_nothing(text: &str) -> bool {
    NOTHING.contains(&text)
}

/// What a spreadsheet did to a cell, where it left an error or a rounded number in its place.
pub fn slip(text: &str) -> Option<&'static str> {
    if is_error(text) {
        return Some("is a spreadsheet's error");
    }
    is_rounded(text).then_some("is a number that a spreadsheet rounded; format the column as text and export it again")
}

/// `#N/A`, `#VALUE!`, `#¿NOMBRE?`, `Err:502`, `####`.
fn is_error(text: &str) -> bool {
    let Some(word) = text.strip_prefix('#') else {
        let number = text.strip_prefix("Err:").or_else(|| text.strip_prefix("Fehler:"));
        return number.is_some_and(|number| number.len() == 3 && number.bytes().all(|b| b.is_ascii_digit()));
    };
    let is_word = word.chars().count() <= 16
        && word.chars().any(char::is_uppercase)
        && !word.chars().any(|c| c.is_lowercase() || c.is_whitespace());
    ERRORS.contains(&text)
        || is_word && word.ends_with(['!', '?'])
        || !word.is_empty() && word.bytes().all(|b| b == b'#')
}

/// `7.01235E+12`, `9,12E+09`.
fn is_rounded(text: &str) -> bool {
    if !text.starts_with(|c: char| c.is_numeric() || matches!(c, '+' | '-')) {
        return false;
    }
    let plain = ascii_digits(text);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let Some((number, exponent)) = plain.split_once(['E', 'e']) else { return false };
    let (whole, fraction) = number.split_once(['.', ',', '٫']).unwrap_or((number, "0"));
    digits(whole.trim_start_matches(['+', '-']))
        && digits(fraction)
        && exponent.strip_prefix(['+', '-']).is_some_and(digits)
}

/// Reads a key: the id of a member or an order. Digits become ASCII.
pub fn parse_key(text: &str) -> Result<String, String> {
    let key = ascii_digits(text.trim());
    if is_nothing(&key) || !key.chars().any(char::is_alphanumeric) {
        return Err(format!("`{text}` is no id"));
    }
    if let Some(what) = slip(&key) {
        return Err(format!("`{text}` {what}"));
    }
    if key.starts_with('=') {
        return Err(format!("`{text}` is a spreadsheet's formula; export its value"));
    }
    let whole = key.split_once('.').filter(|(_, zeros)| !zeros.is_empty() && zeros.bytes().all(|b| b == b'0'));
    if let Some((whole, _)) = whole.filter(|(whole, _)| !whole.is_empty() && whole.bytes().all(|b| b.is_ascii_digit()))
    {
        return Err(format!("`{text}` is an id with decimals, which a program has added; write it as {whole}"));
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_neither_nothing_nor_what_a_spreadsheet_made_of_it() {
        for key in [
            "m1",
            "1001",
            "#1001",
            "Null",
            "Nan",
            "۱۲",
            "E+5",
            "1E5",
            "a-b",
            "10.5",
            "1.2.0",
            "NULL-1",
            "#A1",
            "سفارش ۵",
            "12E34",
            "Err:1",
        ] {
            assert_eq!(parse_key(key), Ok(ascii_digits(key)), "{key}");
        }
        for (key, why) in [
            ("7.01235E+12", "rounded"),
            ("9.12E+09", "rounded"),
            ("1,23457E+11", "rounded"),
            ("1E+11", "rounded"),
            ("۹٫۱۲E+۰۹", "rounded"),
            ("-1.5e-07", "rounded"),
            ("#N/A", "spreadsheet's error"),
            ("#REF!", "spreadsheet's error"),
            ("#VALUE!", "spreadsheet's error"),
            ("#NAME?", "spreadsheet's error"),
            ("#DIV/0!", "spreadsheet's error"),
            ("#NULL!", "spreadsheet's error"),
            ("#NUM!", "spreadsheet's error"),
            ("#SPILL!", "spreadsheet's error"),
            ("#WERT!", "spreadsheet's error"),
            ("#NV", "spreadsheet's error"),
            ("#¿NOMBRE?", "spreadsheet's error"),
            ("#ЗНАЧ!", "spreadsheet's error"),
            ("Err:502", "spreadsheet's error"),
            ("########", "no id"),
            ("=A1", "formula"),
            ("1001.0", "write it as 1001"),
            ("NULL", "no id"),
            ("\\N", "no id"),
            ("nan", "no id"),
            ("None", "no id"),
            ("undefined", "no id"),
            ("-", "no id"),
            ("...", "no id"),
        ] {
            assert!(parse_key(key).is_err_and(|reason| reason.contains(why)), "{key}");
        }
        assert_eq!(slip("########"), Some("is a spreadsheet's error"));
    }
}
