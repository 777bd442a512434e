//! Complaints: feedback reports (RFC 5965), and what providers sent before there was a standard.

use super::addresses::address;
use super::mail::{Mail, fields, first};
use super::returned::Returned;
use super::{Action, Heard, Kind};

/// So many recipients of one report are looked at.
const MOST_RECIPIENTS: usize = 100;

/// What a feedback report says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Feedback {
    /// `abuse`, `opt-out`, `not-spam`, …, in lower case.
    kind: String,
    recipients: Vec<String>,
}

impl Feedback {
    fn read(text: &str) -> Self {
        let fields = fields(text);
        let names = ["original-rcpt-to", "original-recipient", "removal-recipient", "final-recipient"];
        let named = |name: &&str| {
            let values = fields.iter().filter(|(other, _)| other == name);
            values.filter_map(|(_, value)| address(value)).take(MOST_RECIPIENTS).collect::<Vec<_>>()
        };
        Self {
            kind: first(&fields, "feedback-type").unwrap_or_default().trim().to_ascii_lowercase(),
            recipients: names.iter().map(named).find(|named| !named.is_empty()).unwrap_or_default(),
        }
    }

    /// From the part of its own, or from one that has lost its boundary; `None` where it is none.
    fn of(mail: &Mail) -> Option<Self> {
        if let Some(part) = mail.part(&["message/feedback-report"]) {
            return Some(Self::read(&part.text));
        }
        let is_announced = mail.header("content-type").to_ascii_lowercase().contains("feedback-report");
        let subject = mail.words_of("subject");
        let is_old = subject.starts_with("complaint about message from")
            || subject.starts_with("email feedback report for ip")
            || mail.header("x-loop").eq_ignore_ascii_case("scomp");
        if !(is_announced || is_old) {
            return None;
        }
        let told = Self::read(&mail.all_text());
        let is_bare = told == Self::default() && !is_announced;
        Some(if is_bare { Self { kind: "abuse".to_owned(), ..told } } else { told })
    }
}

/// The complaint that a mail is, if it is one: a row for each who complains.
pub(super) fn complaint(mail: &Mail, returned: &Returned) -> Option<Vec<Heard>> {
    let feedback = Feedback::of(mail)?;
    let recipients = match feedback.recipients.is_empty() {
        true => vec![returned.to.first().cloned()],
        false => feedback.recipients.into_iter().map(Some).collect(),
    };
    let (kind, action) = match feedback.kind.as_str() {
        "not-spam" => (Kind::NotABounce, Action::None),
        "abuse" | "opt-out" | "opt-out-list" | "fraud" => (Kind::Complaint, Action::Suppress),
        // Somebody sends in our name, or our signature is wrong (`auth-failure`), or nobody knows: no
        // recipient complained.
        _ => (Kind::Complaint, Action::None),
    };
    let message_id = &returned.message_id;
    let row = |recipient| Heard { kind, status: None, recipient, message_id: message_id.clone(), action };
    Some(recipients.into_iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feedback_is_read() {
        let found = Feedback::read(
            "Feedback-Type: Abuse\nOriginal-Rcpt-To: <sara@example.com>\nOriginal-Rcpt-To: reza@example.com\n",
        );
        let recipients = vec!["sara@example.com".to_owned(), "reza@example.com".to_owned()];
        assert_eq!(found, Feedback { kind: "abuse".to_owned(), recipients });
    }

    #[test]
    fn a_report_without_a_part_of_its_own_says_what_its_fields_say() {
        let check = |fields: &str, expected: (Kind, Action, Option<&str>)| {
            let text = format!("Subject: Email Feedback Report for IP 192.0.2.1\n\nabout <1@example.com>\n{fields}");
            let found = complaint(&Mail::read(text.as_bytes()), &Returned::default()).unwrap().remove(0);
            assert_eq!((found.kind, found.action, found.recipient.as_deref()), expected, "{fields}");
        };
        check("", (Kind::Complaint, Action::Suppress, None));
        check("Feedback-Type: not-spam\n", (Kind::NotABounce, Action::None, None));
        check("Original-Rcpt-To: sara@example.com\n", (Kind::Complaint, Action::None, Some("sara@example.com")));
    }
}
