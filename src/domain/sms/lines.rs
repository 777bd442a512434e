//! The lines that a shop sends from, and what they ask of a text.

use super::links::find_link;
use crate::domain::calendar::QuietHours;
use crate::domain::message::Purpose;
use crate::domain::text::ascii_digits;

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
