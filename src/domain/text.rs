//! Text as people in Iran and elsewhere type it: Persian and Arabic digits, Arabic letter forms.

/// Persian (۰-۹) and Arabic-Indic (٠-٩) digits become ASCII; everything else stays.
pub fn ascii_digits(text: &str) -> String {
    text.chars().map(ascii_digit).collect()
}

fn ascii_digit(c: char) -> char {
    match c {
        '۰'..='۹' => char::from(b'0' + (c as u32 - '۰' as u32) as u8),
        '٠'..='٩' => char::from(b'0' + (c as u32 - '٠' as u32) as u8),
        _ => c,
    }
}

/// ASCII digits become Persian ones.
pub fn persian_digits(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '0'..='9' => char::from_u32('۰' as u32 + (c as u32 - '0' as u32)).unwrap_or(c),
            _ => c,
        })
        .collect()
}

/// A name or free text as it is stored: trimmed, with the Arabic ي and ك that many keyboards
/// produce written as the Persian ی and ک when the text is otherwise Persian.
pub fn tidy(text: &str) -> String {
    let trimmed = text.trim();
    if !trimmed.contains(['ي', 'ك']) {
        return trimmed.to_owned();
    }
    // Letters that Arabic has and Persian has not: leave such text alone.
    if trimmed.contains(['ة', 'ى']) {
        return trimmed.to_owned();
    }
    trimmed
        .chars()
        .map(|c| match c {
            'ي' => 'ی',
            'ك' => 'ک',
            c => c,
        })
        .collect()
}

/// Text of strangers as people may look at it: in one line, without control characters and marks that
/// turn the direction of what follows, at most so many letters.
pub fn legible(text: &str, most: usize) -> String {
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let text: String = text.chars().filter(|c| !turns(*c)).map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_letters_are_folded() {
        assert_eq!(ascii_digits("۱۴۰۳/٠٥-09"), "1403/05-09");
        assert_eq!(persian_digits("1403-a"), "۱۴۰۳-a");
        assert_eq!(tidy("  علي كريمي "), "علی کریمی");
        assert_eq!(tidy("فاطمة علي"), "فاطمة علي");
        assert_eq!(legible("\u{1b}[31mno\r\n\tmore\u{0}\u{202e}!", 20), "[31mno more !");
        assert_eq!(legible("نمی\u{200c}خواهم", 4), "نمی\u{200c}");
    }
}
