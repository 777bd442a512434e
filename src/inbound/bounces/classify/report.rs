//! Delivery status (RFC 3464), whole or with what servers make of it.

use super::addresses::{address, addresses};
use super::mail::{Field, fields, first, parameter};

/// So many recipients of one report are looked at.
const MOST_RECIPIENTS: usize = 500;

/// What a delivery status says about one recipient.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Recipient {
    /// In lower case, the first word; empty where it is missing.
    pub action: String,
    pub address: Option<String>,
    pub status: String,
    pub diagnostic: String,
}

/// The media types of a delivery status.
pub(super) const KINDS: &[&str] =
    &["message/delivery-status", "message/global-delivery-status", "text/delivery-status"];

/// Whether a mail says of itself that it is a report of delivery.
pub(super) fn is_announced(content_type: &str) -> bool {
    parameter(content_type, "report-type").is_some_and(|kind| kind.eq_ignore_ascii_case("delivery-status"))
}

/// Whether a receipt (RFC 8098) is how a mailbox refuses a mail: servers that deliver answer so for
/// a filter (RFC 5429) and for a full mailbox.
pub(super) fn is_rejection(receipt: &str, text: &str) -> bool {
    let fields = fields(receipt);
    let disposition = first(&fields, "disposition").unwrap_or_default().to_ascii_lowercase();
    disposition.starts_with("automatic-action") && (text.contains("rejected") || text.contains("refused"))
}

const OF_RECIPIENT: &[&str] = &[
    "final-recipient",
    "original-recipient",
    "x-actual-recipient",
    "action",
    "status",
    "diagnostic-code",
    "remote-mta",
    "last-attempt-date",
    "final-log-id",
    "will-retry-until",
    "x-original-recipient",
];

/// The recipients of a delivery status. A blank line divides them, or a field that comes again: some
/// servers forget the one, some put blank lines where none belong.
pub(super) fn recipients(text: &str) -> Vec<Recipient> {
    let mut groups: Vec<Vec<Field>> = Vec::new();
    for block in unbroken(text).split("\n\n") {
        let mut group: Vec<Field> = Vec::new();
        for field in fields(block).into_iter().filter(|(name, _)| OF_RECIPIENT.contains(&name.as_str())) {
            let begins = matches!(field.0.as_str(), "final-recipient" | "original-recipient");
            let is_again = group.iter().any(|(name, _)| *name == field.0);
            if is_again && (begins || names_somebody(&group)) {
                groups.push(std::mem::take(&mut group));
            }
            group.push(field);
        }
        if group.is_empty() {
            continue;
        }
        match groups.last_mut() {
            // A blank line in the middle of a recipient.
            Some(last) if !names_somebody(&group) && !group.iter().any(|(name, _)| first(last, name).is_some()) => {
                last.extend(group);
            }
            _ => groups.push(group),
        }
    }
    let found = groups.iter().map(|group| recipient(group)).filter(|found| *found != Recipient::default());
    let mut found: Vec<Recipient> = found.take(MOST_RECIPIENTS).collect();
    // A field of recipients among those of the message is about nobody.
    if found.iter().any(|recipient| recipient.address.is_some()) {
        found.retain(|recipient| recipient.address.is_some() || !recipient.status.is_empty());
    }
    found
}

/// With `\n` as line ends, and what a server answered in several lines as one field: there are servers
/// that forget to fold it.
fn unbroken(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let (code, rest) = line.split_at_checked(3).unwrap_or((line, ""));
        let is_answer =
            rest.starts_with(['-', ' ']) && code.starts_with(['4', '5']) && code.bytes().all(|b| b.is_ascii_digit());
        if is_answer {
            out.push(' ');
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

fn names_somebody(group: &[Field]) -> bool {
    group.iter().any(|(name, _)| name.ends_with("-recipient"))
}

fn recipient(group: &[Field]) -> Recipient {
    let field = |name| first(group, name).unwrap_or_default();
    // The final recipient is who failed: a list's own address is not dead with one of its members.
    let names = ["final-recipient", "original-recipient", "x-original-recipient", "x-actual-recipient"];
    let diagnostic = field("diagnostic-code");
    let named = names.iter().find_map(|name| address(&unescaped(field(name))));
    let action = field("action").split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    Recipient {
        action: action.to_ascii_lowercase(),
        // A local name only: the whole address may stand in what the server said.
        address: named.or_else(|| single(addresses(diagnostic))),
        status: field("status").to_owned(),
        diagnostic: diagnostic.to_owned(),
    }
}

fn single(mut found: Vec<String>) -> Option<String> {
    if found.len() == 1 { found.pop() } else { None }
}

/// RFC 3461's xtext: `+2B` is a plus.
fn unescaped(text: &str) -> String {
    text.replace("+2B", "+").replace("+2b", "+").replace("+3D", "=").replace("+3d", "=")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        let show = |r: &Recipient| {
            format!("{} {} {}", r.address.as_deref().unwrap_or("-"), r.action, r.status).trim_end().to_owned()
        };
        recipients(text).iter().map(show).collect()
    }

    #[test]
    fn recipients_are_told_apart_whatever_the_blank_lines() {
        let a = "Final-Recipient: rfc822;a@example.com\nAction: failed\nStatus: 5.1.1";
        let b = "Final-Recipient: RFC822; <b@example.com>\nAction: Delayed (later)\nStatus: 4.4.1";
        let both = ["a@example.com failed 5.1.1", "b@example.com delayed 4.4.1"];
        assert_eq!(read(&format!("Reporting-MTA: dns; x\n\n{a}\n\n{b}\n")), both);
        assert_eq!(read(&format!("Reporting-MTA: dns; x\n{a}\n{b}\n")), both);
        assert_eq!(read(&format!("{a}\r\n\r\n{b}").replace("\nAction", "\n\nAction")), both);
        assert_eq!(read("Reporting-MTA: dns; x\n"), Vec::<String>::new());
    }

    #[test]
    fn the_address_is_found_where_it_stands() {
        assert_eq!(
            read("Original-Recipient: rfc822;a+2Bb@example.com\nFinal-Recipient: LOCAL;<>"),
            ["a+b@example.com"]
        );
        let local = "Final-Recipient: rfc822; sara\nAction: failed\nDiagnostic-Code: smtp; 550 <s@example.com> unknown";
        assert_eq!(read(local), ["s@example.com failed"]);
        assert_eq!(read("Action: failed\nStatus: 5.0.0"), ["- failed 5.0.0"]);
        let broken =
            "Final-Recipient: rfc822; s@example.com\nDiagnostic-Code: smtp; 550-mx here: no.\n550 5.1.1 unknown user\n";
        assert_eq!(recipients(broken)[0].diagnostic, "smtp; 550-mx here: no. 550 5.1.1 unknown user");
        // The end of a line was lost.
        assert_eq!(read("Final-Recipient: rfc822; s@example.comAction: failed\nStatus: 5.1.1"), ["-  5.1.1"]);
    }
}
