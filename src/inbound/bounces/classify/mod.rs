//! What a mail that came back says: pure, bounded, and made for mails that keep no standard. It
//! reads delivery status notifications (RFC 3464) and feedback reports (RFC 5965), and where there
//! is none of these, what people are meant to read.

mod addresses;
mod kinds;
mod mail;
mod notice;
mod report;
mod verdict;
mod words;

use addresses::{address, addresses};
use mail::Mail;
use notice::{Returned, divide, message_id, own_words, sections};
use report::Recipient;
use verdict::{Evidence, Why, judge};

pub use mail::LARGEST;

crate::domain::message::words! {
    /// What a mail is.
    Kind {
        /// The mail was refused for good.
        Hard = "hard",
        /// It was refused for a reason that may pass, or is late.
        Soft = "soft",
        /// It was refused because of who sent it or what it is.
        Block = "block",
        /// The recipient, or the recipient's provider, complains (RFC 5965).
        Complaint = "complaint",
        /// A program of the recipient's answered.
        AutoReply = "auto_reply",
        NotABounce = "not_a_bounce",
    }
}

crate::domain::message::words! {
    /// What follows for the address.
    Action {
        /// It must not be written to again.
        Suppress = "suppress",
        /// Several of these over days and it must not be written to.
        Count = "count",
        None = "none",
    }
}

/// What a mail says about one recipient.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Heard {
    pub kind: Kind,
    /// The enhanced status code (RFC 3463), found or derived.
    pub status: Option<String>,
    /// Whom it is about, as the mail writes it, the domain in lower case.
    pub recipient: Option<String>,
    /// The Message-ID of the mail that came back, without brackets.
    pub message_id: Option<String>,
    pub action: Action,
}

/// Classifies a mail: one row for each recipient it is about, at least one.
pub fn classify(raw: &[u8]) -> Vec<Heard> {
    let mail = Mail::read(raw);
    let heard = read(&mail);
    if heard.iter().any(|row| row.kind != Kind::NotABounce) {
        return heard;
    }
    // A person, or another server, passed a bounce on. It tells what happened, but to whose mail?
    let inner = mail.part(&["message/rfc822"]).map(|part| read(&Mail::read(part.text.as_bytes())));
    let is_bounce = |row: &Heard| matches!(row.kind, Kind::Hard | Kind::Soft | Kind::Block);
    inner.filter(|rows| rows.iter().any(is_bounce)).map_or(heard, careful)
}

/// What is heard at second hand closes no address by itself.
fn careful(mut heard: Vec<Heard>) -> Vec<Heard> {
    for row in heard.iter_mut().filter(|row| row.action == Action::Suppress) {
        row.action = Action::Count;
    }
    heard
}

/// The addresses that a mail was sent to, the mail server's word first.
pub fn addressed_to(raw: &[u8]) -> Vec<String> {
    const NAMES: &[&str] =
        &["delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "x-delivered-to", "to", "cc"];
    let mail = Mail::headers(raw);
    NAMES.iter().flat_map(|name| mail.all(name)).flat_map(addresses).collect()
}

/// The subject of a mail in lower case, one blank between words.
pub fn subject_of(raw: &[u8]) -> String {
    Mail::headers(raw).words_of("subject")
}

fn read(mail: &Mail) -> Vec<Heard> {
    let (text, returned) = texts(mail);
    if let Some(complaint) = complaint(mail, &text, &returned) {
        return vec![complaint];
    }
    let subject = mail.words_of("subject");
    let lower = words_of(&text);
    let (said, opened) = kinds::looks_failed(&subject, &lower);
    let from_daemon = kinds::is_from_daemon(mail);
    let is_answer = kinds::is_answer(&subject);
    let auto_reply = kinds::is_auto_reply(mail, &subject, &lower);
    let read_receipt = mail.part(&["message/disposition-notification"]).is_some();

    let status = mail.part(&["message/delivery-status", "message/global-delivery-status", "text/delivery-status"]);
    let is_notice = from_daemon || said && !is_answer && !kinds::is_bulk(mail);
    let recipients = match status {
        Some(part) => report::recipients(&part.text),
        // The parts of a report whose boundary was lost are in its text.
        None if is_notice && lower.contains("final-recipient:") => report::recipients(&all_text(mail)),
        None => Vec::new(),
    };
    if !recipients.is_empty() && !read_receipt {
        let heard = reported(mail, &text, &returned, recipients);
        // Somebody answers, passes on or quotes what a server said.
        return if (is_answer || status.is_none()) && !from_daemon { careful(heard) } else { heard };
    }

    let failed = addresses(&mail.all("x-failed-recipients").collect::<Vec<_>>().join(" "));
    let named_failed = !failed.is_empty();
    let is_bounce = named_failed
        || from_daemon && (said && !is_answer || opened)
        || said && opened && !is_answer && !kinds::is_bulk(mail);
    let replied =
        read_receipt || auto_reply.by_subject || auto_reply.by_text && !opened || auto_reply.by_header && !is_bounce;
    if is_bounce && (named_failed || !replied) {
        let heard = told(mail, &subject, &text, &returned, failed);
        // A parcel that could not be delivered sounds the same.
        let is_mail = from_daemon || named_failed || returned.message_id.is_some();
        return if is_mail { heard } else { careful(heard) };
    }
    let kind = if replied { Kind::AutoReply } else { Kind::NotABounce };
    vec![Heard { kind, status: None, recipient: None, message_id: None, action: Action::None }]
}

/// The notice's own text, and what is known of the mail that came back.
fn texts(mail: &Mail) -> (String, Returned) {
    const RETURNED: &[&str] = &[
        "message/rfc822",
        "message/global",
        "text/rfc822-headers",
        "message/rfc822-headers",
        "message/global-headers",
        "text/rfc822",
        "message/partial",
    ];
    let end = mail.parts.iter().position(|part| RETURNED.contains(&part.kind.as_str())).unwrap_or(mail.parts.len());
    let mut returned = mail.parts.get(end).map(|part| Returned::read(&part.text)).unwrap_or_default();
    let of_kind = |kind: &str| {
        let texts = mail.parts[..end].iter().filter(|part| part.kind == kind);
        let mut own = String::new();
        let mut quoted = String::new();
        for part in texts {
            let (before, after) = divide(&part.text);
            own.push_str(before);
            own.push('\n');
            quoted.push_str(after);
        }
        (own, quoted)
    };
    let (mut own, mut quoted) = of_kind("text/plain");
    if own.trim().is_empty() {
        (own, quoted) = of_kind("text/html");
    }
    if returned.message_id.is_none() && returned.to.is_empty() && !quoted.trim().is_empty() {
        returned = Returned::read(&quoted);
    }
    if returned.message_id.is_none() {
        let names = ["original-message-id", "x-original-message-id", "in-reply-to", "references"];
        returned.message_id = names.iter().find_map(|name| message_id(mail.header(name)));
    }
    (own_words(&own), returned)
}

fn all_text(mail: &Mail) -> String {
    mail.parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join("\n\n")
}

/// Text as phrases are looked for in it.
fn words_of(text: &str) -> String {
    let head: String = text.chars().take(16 << 10).collect();
    head.to_lowercase().replace(['’', '‘', '´', '`'], "'").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A feedback report, or one of those that providers sent before there was a standard.
fn complaint(mail: &Mail, text: &str, returned: &Returned) -> Option<Heard> {
    let part = mail.part(&["message/feedback-report"]).map(|part| part.text.as_str());
    let is_report = mail.header("content-type").to_ascii_lowercase().contains("feedback-report");
    let feedback = match part {
        Some(part) => report::feedback(part),
        None if is_report => report::feedback(&all_text(mail)),
        None => {
            let subject = mail.words_of("subject");
            let old = subject.starts_with("complaint about message from")
                || subject.starts_with("email feedback report for ip")
                || mail.header("x-loop").eq_ignore_ascii_case("scomp");
            if !old {
                return None;
            }
            report::Feedback { kind: "abuse".to_owned(), recipient: None }
        }
    };
    let recipient = feedback.recipient.or_else(|| returned.to.first().cloned()).or_else(|| {
        let mut named = addresses(text);
        named.retain(|address| !addresses::is_role(address));
        (named.len() == 1).then(|| named.remove(0))
    });
    let (kind, action) = match feedback.kind.as_str() {
        "not-spam" => (Kind::NotABounce, Action::None),
        "abuse" | "opt-out" | "opt-out-list" | "fraud" => (Kind::Complaint, Action::Suppress),
        // Somebody sends in our name, or our signature is wrong (`auth-failure`), or nobody knows: no
        // recipient complained.
        _ => (Kind::Complaint, Action::None),
    };
    Some(Heard { kind, status: None, recipient, message_id: returned.message_id.clone(), action })
}

/// The rows of a delivery status.
fn reported(mail: &Mail, text: &str, returned: &Returned, recipients: Vec<Recipient>) -> Vec<Heard> {
    let single = recipients.len() == 1;
    let told = sections(mail, text, returned);
    let warns = kinds::is_warning(&mail.words_of("subject"), &words_of(text));
    let mut heard: Vec<Heard> = Vec::new();
    for recipient in recipients {
        let named = recipient.address.or_else(|| {
            let failed = address(mail.header("x-failed-recipients"));
            failed.or_else(|| only(&told)).or_else(|| only_to(returned)).filter(|_| single)
        });
        if heard.iter().any(|row| row.recipient.is_some() && row.recipient == named) {
            continue;
        }
        let own =
            named.as_deref().and_then(|address| told.iter().find(|(other, _)| other.eq_ignore_ascii_case(address)));
        let notice = if single { text } else { own.map_or("", |(_, words)| words.as_str()) };
        let evidence = Evidence { status: &recipient.status, diagnostic: &recipient.diagnostic, notice };
        let (kind, status, action) = match recipient.action.as_str() {
            "delivered" | "relayed" | "expanded" | "deliverable" => (Kind::NotABounce, None, Action::None),
            "delayed" => (Kind::Soft, Some(judge(evidence).1), Action::None),
            "" if warns => (Kind::Soft, Some(judge(evidence).1), Action::None),
            _ => failed(evidence),
        };
        heard.push(Heard {
            kind,
            status: status.map(|status| status.to_string()),
            recipient: named,
            message_id: returned.message_id.clone(),
            action,
        });
    }
    heard
}

/// The rows of a notice for people.
fn told(mail: &Mail, subject: &str, text: &str, returned: &Returned, failed_recipients: Vec<String>) -> Vec<Heard> {
    let mut found = sections(mail, text, returned);
    if !failed_recipients.is_empty() {
        let words = |address: &String| {
            let own = found.iter().find(|(other, _)| other.eq_ignore_ascii_case(address));
            own.map_or_else(String::new, |(_, words)| words.clone())
        };
        found = failed_recipients.iter().map(|address| (address.clone(), words(address))).collect();
    }
    let warns = kinds::is_warning(subject, &words_of(text));
    let rows: Vec<(Option<String>, String)> = match found.len() {
        0 => vec![(only_to(returned), text.to_owned())],
        _ => found.into_iter().map(|(address, words)| (Some(address), words)).collect(),
    };
    let single = rows.len() == 1;
    let mut heard = Vec::new();
    for (recipient, words) in rows {
        let about_all = format!("{subject}\n{text}");
        let notice = if single || words.split_whitespace().count() <= 2 { about_all.as_str() } else { "" };
        let evidence = Evidence { status: "", diagnostic: &words, notice };
        let (kind, status, action) = failed(evidence);
        let (kind, action) = if warns { (Kind::Soft, Action::None) } else { (kind, action) };
        heard.push(Heard {
            kind,
            status: status.map(|status| status.to_string()),
            recipient,
            message_id: returned.message_id.clone(),
            action,
        });
    }
    heard
}

fn failed(evidence: Evidence<'_>) -> (Kind, Option<verdict::Status>, Action) {
    let (why, status) = judge(evidence);
    let (kind, action) = match why {
        Why::Dead | Why::NoDomain => (Kind::Hard, Action::Suppress),
        Why::Refused => (Kind::Hard, Action::Count),
        Why::Full | Why::Temporary => (Kind::Soft, Action::Count),
        Why::Blocked => (Kind::Block, Action::None),
    };
    (kind, Some(status), action)
}

fn only(told: &[(String, String)]) -> Option<String> {
    if let [(address, _)] = told { Some(address.clone()) } else { None }
}

/// Who the returned mail was sent to, if that was one.
fn only_to(returned: &Returned) -> Option<String> {
    let mut to = returned.to.clone();
    to.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
    if to.len() == 1 { to.pop() } else { None }
}
