//! The SMS lines of the shop: which number a message goes out from. Iranian operators tie hours,
//! footers and opt-outs to the line, so the purpose of the message decides it.

use crate::domain::message::Purpose;

/// One number that the shop may send from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// As the provider writes it: `30001234`, `+15550001111`.
    pub number: String,
    /// What may be sent from it.
    pub purpose: Purpose,
}

/// The first line for this purpose.
pub fn line_for(lines: &[Line], purpose: Purpose) -> Option<&str> {
    lines.iter().find(|line| line.purpose == purpose).map(|line| line.number.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_purpose_decides_the_line() {
        let line = |number: &str, purpose| Line { number: number.to_owned(), purpose };
        let lines = [line("3000", Purpose::Marketing), line("9000", Purpose::Service), line("9001", Purpose::Service)];
        assert_eq!(line_for(&lines, Purpose::Marketing), Some("3000"));
        assert_eq!(line_for(&lines, Purpose::Service), Some("9000"));
        assert_eq!(line_for(&lines[..1], Purpose::Service), None);
    }
}
