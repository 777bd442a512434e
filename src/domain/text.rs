//! Text as people in Iran and elsewhere type it, and as programs pass it on: Persian and Arabic digits, Arabic
//! letter forms, marks that nobody sees, what a spreadsheet would take for a formula.

use std::borrow::Cow;

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

/// A text without what nobody sees. Marks of direction, soft hyphens, zero-width spaces and byte-order marks go;
/// every kind of blank becomes a space, a line break or tab with the blanks around it a single one. The joiners stay
/// inside words and emoji, where they show, and go beside ASCII, digits and blanks. Trimmed.
pub fn clean(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    if text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let (mut joiner, mut after_break) = (None, false);
    for c in text.chars().filter(|c| !is_unseen(*c)) {
        if matches!(c, '\u{200c}' | '\u{200d}') {
            joiner = Some(c);
        } else if c.is_whitespace() {
            joiner = None;
            if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
                out.truncate(out.trim_end_matches(' ').len());
                after_break = true;
                out.push(' ');
            } else if !after_break {
                out.push(' ');
            }
        } else {
            let joins = |c: char| !c.is_ascii() && !c.is_numeric() && !c.is_whitespace();
            if let Some(joiner) = joiner.take()
                && joins(c)
                && out.chars().next_back().is_some_and(joins)
            {
                out.push(joiner);
            }
            after_break = false;
            out.push(c);
        }
    }
    Cow::Owned(out.trim().to_owned())
}

/// Marks that show nothing and only change how their surroundings are laid out.
pub const fn is_unseen(c: char) -> bool {
    is_direction(c)
        || matches!(c, '\u{ad}' | '\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// Marks that change the direction of what follows.
pub const fn is_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A cell as it is written to a CSV file: with an apostrophe in front where a spreadsheet would take it for a
/// formula, or where it begins with one, so that [`unguarded`] gives back what it was. Numbers such as -5 stay.
pub fn guarded(cell: &str) -> Cow<'_, str> {
    let is_number = cell.strip_prefix('-').is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_ascii_digit()) && rest.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    });
    if !is_number && cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\'']) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

/// A cell without the apostrophe that [`guarded`] or a spreadsheet wrote in front of it.
pub fn unguarded(cell: &str) -> &str {
    let rest = cell.strip_prefix('\'');
    rest.filter(|rest| rest.starts_with(['=', '+', '-', '@', '\t', '\r', '\'']) || rest.starts_with(char::is_numeric))
        .unwrap_or(cell)
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
    fn what_nobody_sees_goes_and_what_joins_letters_stays() {
        for (text, expected) in [
            ("plain", "plain"),
            ("\u{200e}v1@example.com\u{200b}", "v1@example.com"),
            ("\u{feff}\u{202a}+98\u{a0}912\u{202c}", "+98 912"),
            ("So\u{ad}fia", "Sofia"),
            ("می\u{200c}روم", "می\u{200c}روم"),
            ("\u{200c}می\u{200c}\u{200c}روم\u{200c} ", "می\u{200c}روم"),
            ("۰۹۱۲\u{200c}۱۱۱", "۰۹۱۲۱۱۱"),
            ("m\u{200d}1", "m1"),
            ("👩\u{200d}💻", "👩\u{200d}💻"),
            ("Eva\nLind", "Eva Lind"),
            ("Eva \r\n\t Lind", "Eva Lind"),
            ("Eva\u{2028}Lind\u{85}", "Eva Lind"),
            ("a  b", "a  b"),
            ("a\u{3000}b\u{2009}c", "a b c"),
            ("\u{200f} \u{200f}", ""),
        ] {
            assert_eq!(clean(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_guarded_from_spreadsheets_reads_back_as_it_was() {
        for (cell, written) in [
            ("=1+1", "'=1+1"),
            ("+989121234567", "'+989121234567"),
            ("-5", "-5"),
            ("-5.25", "-5.25"),
            ("-", "'-"),
            ("-1+1", "'-1+1"),
            ("@x", "'@x"),
            ("\tx", "'\tx"),
            ("'t Hooft", "''t Hooft"),
            ("'5", "''5"),
            ("a=b", "a=b"),
            ("", ""),
        ] {
            assert_eq!(guarded(cell), written);
            assert_eq!(unguarded(written), cell);
        }
        // As others write them.
        assert_eq!((unguarded("'0912"), unguarded("'t Hooft")), ("0912", "'t Hooft"));
    }

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
