//! SMS: how many segments a text takes and why, the lines that a shop sends from, and what a line
//! asks of a text.

use super::calendar::QuietHours;
use super::message::Purpose;
use super::text::ascii_digits;

/// One number that the shop may send from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// As the provider writes it: `30001234`, `+15550001111`.
    pub number: String,
    /// What may be sent from it.
    pub purpose: Purpose,
    /// When operators deliver nothing from it, on the brand's clock.
    pub closed: Option<QuietHours>,
    /// Whether a text may hold a link.
    pub links: bool,
    /// The last line of each text, such as `لغو۱۱`.
    pub footer: Option<String>,
}

impl Line {
    /// A line that asks for nothing.
    pub fn plain(number: impl Into<String>, purpose: Purpose) -> Self {
        Self { number: number.into(), purpose, closed: None, links: true, footer: None }
    }

    /// The text as it goes out from this line: with the footer, once. The error says why it cannot.
    pub fn finish(&self, text: &str) -> Result<String, String> {
        if let Some(link) = (!self.links).then(|| find_link(text)).flatten() {
            return Err(format!(
                "the text holds a link (`{link}`), and the line for {} messages permits none (`links: false`)",
                self.purpose
            ));
        }
        Ok(match &self.footer {
            Some(footer) if !ascii_digits(text).contains(&ascii_digits(footer)) => format!("{text}\n{footer}"),
            _ => text.to_owned(),
        })
    }
}

/// The first line for this purpose.
pub fn line_for(lines: &[Line], purpose: Purpose) -> Option<&Line> {
    lines.iter().find(|line| line.purpose == purpose)
}

/// A way for SMS to go out: a provider, the numbers that it is for, and its lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    /// By name; empty where SMS are captured.
    pub provider: String,
    /// Beginnings of numbers; empty: all others.
    pub prefixes: Vec<String>,
    pub lines: Vec<Line>,
}

/// How well a number fits prefixes: the length of the longest. No prefixes fit every number, and none well.
pub fn fits(prefixes: &[String], number: &str) -> Option<usize> {
    if prefixes.is_empty() {
        return Some(0);
    }
    prefixes.iter().filter(|prefix| number.starts_with(prefix.as_str())).map(String::len).max()
}

/// Every way for SMS to go out, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routes(Vec<Route>);

impl Default for Routes {
    /// One way for all numbers.
    fn default() -> Self {
        Self(vec![Route::default()])
    }
}

impl Routes {
    pub fn new(routes: Vec<Route>) -> Self {
        Self(routes)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.0.iter()
    }

    /// Those that a number may take; those with the longest prefix come first.
    pub fn of(&self, number: &str) -> Vec<&Route> {
        let mut fitting: Vec<(usize, &Route)> =
            self.0.iter().filter_map(|route| Some((fits(&route.prefixes, number)?, route))).collect();
        fitting.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        fitting.into_iter().map(|(_, route)| route).collect()
    }

    /// Whether a number has any.
    pub fn cover(&self, number: &str) -> bool {
        self.0.iter().any(|route| fits(&route.prefixes, number).is_some())
    }

    /// The line from which a number gets messages of this purpose, unless another provider takes over.
    pub fn line(&self, number: &str, purpose: Purpose) -> Option<&Line> {
        let mut best: Option<(usize, &Line)> = None;
        for route in &self.0 {
            let (Some(length), Some(line)) = (fits(&route.prefixes, number), line_for(&route.lines, purpose)) else {
                continue;
            };
            if best.is_none_or(|(longest, _)| length > longest) {
                best = Some((length, line));
            }
        }
        best.map(|(_, line)| line)
    }

    /// A beginning of a number for each choice of routes that there is; empty: of any other number.
    pub fn starts(&self) -> Vec<&str> {
        let mut starts: Vec<&str> = self.0.iter().flat_map(|route| &route.prefixes).map(String::as_str).collect();
        if self.0.iter().any(|route| route.prefixes.is_empty()) {
            starts.push("");
        }
        starts.sort_unstable();
        starts.dedup();
        starts
    }
}

/// Endings of names that people and operators take for an address, with or without `https://`.
const ENDINGS: &[&str] = &["ir", "com", "net", "org", "io", "me", "co", "info", "shop", "app", "link", "ly", "biz"];

/// What an operator takes for a link: an address with its scheme, or a name such as `shop.ir/a`.
/// Gives its beginning without path, which may be a member's own.
pub fn find_link(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-');
    for word in lower.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '«' | '»' | '"' | ',' | '،')) {
        let (scheme, rest) = match word.find("://") {
            Some(at) if word[..at].ends_with("http") || word[..at].ends_with("https") => (true, &word[at + 3..]),
            _ => (false, word),
        };
        let name: String = rest.chars().take_while(|c| is_name(*c)).collect();
        let name = name.trim_matches(['.', '-']);
        // What stands before an @ is no name of a host, and what is after it is a mail's.
        let mail = rest[..].chars().nth(name.chars().count()) == Some('@');
        let ending = name.rsplit_once('.').filter(|(host, _)| !host.is_empty()).map(|(_, ending)| ending);
        if !name.is_empty() && !mail && (scheme || ending.is_some_and(|ending| ENDINGS.contains(&ending))) {
            return Some(name.to_owned());
        }
    }
    None
}

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

    #[test]
    fn a_link_is_what_an_operator_takes_for_one() {
        for (text, link) in [
            ("see https://shop.example/a?b=c", Some("shop.example")),
            ("HTTP://10.0.0.1:80", Some("10.0.0.1")),
            ("www.shop.ir", Some("www.shop.ir")),
            ("در shop.ir/x ببینید", Some("shop.ir")),
            ("(bit.ly/abc)", Some("bit.ly")),
            ("Shop.COM.", Some("shop.com")),
            ("write to a@shop.ir", None),
            ("3.5 million, e.g. you", None),
            ("version 1.2.3 of v.4", None),
            ("سلام. خوبید؟", None),
            ("", None),
        ] {
            assert_eq!(find_link(text).as_deref(), link, "{text}");
        }
    }

    #[test]
    fn a_line_adds_its_footer_once_and_permits_links_or_not() {
        let line = Line { footer: Some("لغو۱۱".to_owned()), ..Line::plain("3000", Purpose::Marketing) };
        assert_eq!(line.finish("سلام").unwrap(), "سلام\nلغو۱۱");
        assert_eq!(line.finish("سلام\nلغو11").unwrap(), "سلام\nلغو11");
        assert!(line.finish("https://shop.ir").is_ok());
        let error = Line { links: false, ..line }.finish("see https://shop.ir/secret").unwrap_err();
        assert!(error.contains("`shop.ir`") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn the_purpose_decides_the_line() {
        let lines = [
            Line::plain("3000", Purpose::Marketing),
            Line::plain("9000", Purpose::Service),
            Line::plain("9001", Purpose::Service),
        ];
        let number = |lines, purpose| line_for(lines, purpose).map(|line| line.number.as_str());
        assert_eq!(number(&lines, Purpose::Marketing), Some("3000"));
        assert_eq!(number(&lines, Purpose::Service), Some("9000"));
        assert_eq!(number(&lines[..1], Purpose::Service), None);
    }

    #[test]
    fn the_longest_prefix_decides_the_line() {
        let route = |provider: &str, prefixes: &[&str], line: &str| Route {
            provider: provider.to_owned(),
            prefixes: prefixes.iter().map(|prefix| (*prefix).to_owned()).collect(),
            lines: vec![Line::plain(line, Purpose::Marketing)],
        };
        let routes = Routes::new(vec![
            route("world", &["+1", "+44"], "1"),
            route("iran", &["+98"], "2"),
            route("irancell", &["+98935", "+98936"], "3"),
            route("second", &["+98"], "4"),
        ]);
        let check = |number: &str, providers: &[&str], line: Option<&str>| {
            let found: Vec<&str> = routes.of(number).iter().map(|route| route.provider.as_str()).collect();
            assert_eq!(found, providers, "{number}");
            assert_eq!(routes.cover(number), !providers.is_empty(), "{number}");
            let found = routes.line(number, Purpose::Marketing).map(|line| line.number.as_str());
            assert_eq!(found, line, "{number}");
            assert_eq!(routes.line(number, Purpose::Service), None);
        };
        check("+989121234567", &["iran", "second"], Some("2"));
        check("+989351234567", &["irancell", "iran", "second"], Some("3"));
        check("+447911123456", &["world"], Some("1"));
        check("+33123456789", &[], None);
        assert_eq!(routes.starts(), ["+1", "+44", "+98", "+98935", "+98936"]);
        assert_eq!(Routes::default().starts(), [""]);
        assert!(Routes::default().cover("+33123456789"));
    }

    proptest! {
        #[test]
        fn more_text_is_never_cheaper(text in "\\PC{0,400}", more in "\\PC{1,9}") {
            let (short, long) = (SmsSize::of(&text), SmsSize::of(&format!("{text}{more}")));
            prop_assert!(short.segments <= long.segments);
        }

        #[test]
        fn nothing_panics_on_any_text(text in "\\PC*") {
            let _ = find_link(&text);
        }
    }
}
