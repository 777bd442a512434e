//! How many segments a text takes, and why.

/// How a text is written on the air.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// GSM 03.38, seven bits a character.
    Gsm7,
    /// Sixteen bits a character.
    Ucs2,
}

/// What a text costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct SmsSize {
    pub encoding: Encoding,
    /// Messages that it is sent and charged as; at least one.
    pub segments: usize,
    /// Septets, or UTF-16 units.
    pub units: usize,
    /// The first character that GSM 03.38 lacks.
    pub forced_by: Option<char>,
}

/// The basic characters of GSM 03.38, one septet each.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
    ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// Those behind an escape, two septets each, which no segment's end divides.
const EXTENDED: &str = "^{}[]~\\|€\u{c}";

impl SmsSize {
    /// Counts a text's segments: 160 septets in one or 153 in each of several; else 70 UTF-16 units
    /// in one or 67 in each of several.
    pub fn of(text: &str) -> Self {
        let forced_by = text.chars().find(|c| !BASIC.contains(*c) && !EXTENDED.contains(*c));
        let (encoding, one, several) =
            if forced_by.is_none() { (Encoding::Gsm7, 160, 153) } else { (Encoding::Ucs2, 70, 67) };
        let size = |c: char| match encoding {
            Encoding::Gsm7 => 1 + usize::from(EXTENDED.contains(c)),
            Encoding::Ucs2 => c.len_utf16(),
        };
        let units = text.chars().map(size).sum();
        let mut segments = 1;
        if units > one {
            let mut filled = 0;
            for size in text.chars().map(size) {
                if filled + size > several {
                    (segments, filled) = (segments + 1, 0);
                }
                filled += size;
            }
        }
        Self { encoding, segments, units, forced_by }
    }

    /// What makes the text dear, and what to write instead where there is something; `None` for one
    /// that is as cheap as can be. Names the character alone.
    pub fn remark(&self) -> Option<String> {
        let forced_by = self.forced_by?;
        Some(match plain_form(forced_by) {
            Some(plain) => format!("`{forced_by}` alone makes it UCS-2; write `{plain}`"),
            None => format!("`{forced_by}` makes it UCS-2"),
        })
    }
}

impl std::fmt::Display for SmsSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plural = if self.segments == 1 { "" } else { "s" };
        let (name, unit) = match self.encoding {
            Encoding::Gsm7 => ("GSM 03.38", "septets"),
            Encoding::Ucs2 => ("UCS-2", "units"),
        };
        write!(f, "{} segment{plural} ({name}, {} {unit})", self.segments, self.units)
    }
}

/// What says the same in GSM 03.38, for the characters that editors put in unasked.
fn plain_form(c: char) -> Option<&'static str> {
    Some(match c {
        '‘' | '’' | '‚' | '′' | '`' => "'",
        '“' | '”' | '„' | '″' => "\"",
        '–' | '—' | '‐' | '‑' | '−' => "-",
        '…' => "...",
        '\u{a0}' | '\u{2009}' | '\u{202f}' | '\t' => " ",
        '•' | '·' => "*",
        'ç' => "Ç",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn segments_are_counted_as_they_are_charged() {
        let check = |text: &str, encoding, units, segments| {
            let found = SmsSize::of(text);
            assert_eq!((found.encoding, found.units, found.segments), (encoding, units, segments), "{text}");
        };
        use Encoding::{Gsm7, Ucs2};
        check("", Gsm7, 0, 1);
        check(&"a".repeat(160), Gsm7, 160, 1);
        check(&"a".repeat(161), Gsm7, 161, 2);
        check(&"a".repeat(306), Gsm7, 306, 2);
        check(&"a".repeat(307), Gsm7, 307, 3);
        check(&"€".repeat(80), Gsm7, 160, 1);
        // The escape and its character stay together: 152 and then a segment of one more.
        check(&format!("{}€{}", "a".repeat(152), "a".repeat(152)), Gsm7, 306, 3);
        check("سلام", Ucs2, 4, 1);
        check(&"س".repeat(70), Ucs2, 70, 1);
        check(&"س".repeat(71), Ucs2, 71, 2);
        check(&"س".repeat(134), Ucs2, 134, 2);
        check(&"س".repeat(135), Ucs2, 135, 3);
        check(&"🎁".repeat(35), Ucs2, 70, 1);
        // 33 pairs fit in 67 units.
        check(&"🎁".repeat(67), Ucs2, 134, 3);
        check("a\u{200c}b", Ucs2, 3, 1);
        check("۱۲", Ucs2, 2, 1);
    }

    #[test]
    fn it_says_what_forced_the_dear_encoding() {
        let remark = |text| SmsSize::of(text).remark().unwrap_or_default();
        assert_eq!(remark("It's 5 € [today]"), "");
        assert_eq!(remark("It’s here"), "`’` alone makes it UCS-2; write `'`");
        assert_eq!(remark("سلام"), "`س` makes it UCS-2");
        assert_eq!(SmsSize::of("سلام").to_string(), "1 segment (UCS-2, 4 units)");
    }

    proptest! {
        #[test]
        fn more_text_is_never_cheaper(text in "\\PC{0,400}", more in "\\PC{1,9}") {
            let (short, long) = (SmsSize::of(&text), SmsSize::of(&format!("{text}{more}")));
            prop_assert!(short.segments <= long.segments);
        }
    }
}
