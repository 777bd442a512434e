//! What a mail that came back says: pure, bounded, and made for mails that keep no standard. It
//! reads delivery status notifications (RFC 3464), feedback reports (RFC 5965) and the notifications of
//! services that send for shops, and where there is none of these, what people are meant to read.

mod addresses;
mod complaint;
mod dialogue;
mod kinds;
mod letter;
mod mail;
mod notice;
mod notification;
mod phrases;
mod report;
mod returned;
mod verdict;
mod words;

use addresses::{address, addresses};
use complaint::complaint;
use mail::{Mail, Part};
use notice::sections;
use notification::notification;
use report::Recipient;
use returned::{Returned, texts};
use verdict::{Evidence, judge};
use words::Why;

pub use letter::{Letter, letter};
pub use mail::LARGEST;

crate::domain::words::words! {
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

crate::domain::words::words! {
    /// What follows for the address.
    Action {
        /// It must not be written to again.
        Suppress = "suppress",
        /// Several of these over days and it must not be written to.
        Count = "count",
        /// The domain takes no mail: a second of these on another day and it must not be written to.
        Twice = "twice",
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

/// How deep bounces within mails are looked for.
const DEEPEST: usize = 2;

/// Classifies a mail: one row for each recipient it is about, at least one.
pub fn classify(raw: &[u8]) -> Vec<Heard> {
    let raw = &raw[..raw.len().min(LARGEST)];
    let mail = Mail::read(raw);
    let mut heard = read(&mail, 0);
    if !raw.ends_with(b"\n") && !raw.ends_with(b"\r") {
        // The mail was cut off: an address that it ends with may have gone on.
        let last = mail.parts.last().map_or("", |part| part.text.as_str());
        let is_cut = |address: &str| ends_with(raw, address) || ends_with(last.as_bytes(), address);
        let cut = heard.iter_mut().filter(|row| row.recipient.as_deref().is_some_and(is_cut));
        cut.for_each(be_careful);
    }
    heard
}

fn ends_with(text: &[u8], address: &str) -> bool {
    let end = text.iter().rposition(|b| !matches!(b, b'.' | b'-')).map_or(0, |last| last + 1);
    let tail = end.checked_sub(address.len()).map(|start| &text[start..end]);
    tail.is_some_and(|tail| tail.eq_ignore_ascii_case(address.as_bytes()))
}

/// The bounce within a mail. A person, or another server, passed it on: it tells what happened, but
/// to whose mail?
fn within(mail: &Mail, depth: usize) -> Option<Vec<Heard>> {
    let part = mail.part(&["message/rfc822"]).filter(|_| depth < DEEPEST)?;
    let heard = read(&Mail::read(part.text.as_bytes()), depth + 1);
    let is_bounce = |row: &Heard| matches!(row.kind, Kind::Hard | Kind::Soft | Kind::Block);
    heard.iter().any(is_bounce).then(|| careful(heard))
}

/// What is heard at second hand closes no address by itself.
fn careful(mut heard: Vec<Heard>) -> Vec<Heard> {
    heard.iter_mut().for_each(be_careful);
    heard
}

fn be_careful(row: &mut Heard) {
    if matches!(row.action, Action::Suppress | Action::Twice) {
        row.action = Action::Count;
    }
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

/// A complaint, the notification of a service, a delivery status, a notice for people, or none of these.
fn read(mail: &Mail, depth: usize) -> Vec<Heard> {
    let (text, returned) = texts(mail);
    if let Some(complaint) = complaint(mail, &returned) {
        return complaint;
    }
    let subject = mail.words_of("subject");
    if let Some(notified) = notification(mail, &subject) {
        return notified;
    }
    let seen = Seen::new(mail, subject, text, returned);
    if let Some(heard) = seen.heard_of_status() {
        return heard;
    }
    let is_bounce = seen.is_bounce();
    let is_reply = seen.is_reply(is_bounce);
    if is_bounce && (seen.is_certain() || !is_reply) {
        return seen.heard_of_notice(depth);
    }
    let row = |kind| vec![Heard { kind, status: None, recipient: None, message_id: None, action: Action::None }];
    if is_reply { row(Kind::AutoReply) } else { within(mail, depth).unwrap_or_else(|| row(Kind::NotABounce)) }
}

/// A mail with what shows at first sight, before anybody asks what it means.
struct Seen<'m> {
    mail: &'m Mail,
    subject: String,
    text: String,
    /// The text as phrases are looked for in it.
    lower: String,
    returned: Returned,
    status: Option<&'m Part>,
    receipt: Option<&'m Part>,
    /// The receipt, where it is how a mailbox refuses a mail.
    rejection: Option<&'m Part>,
    /// Whom a header names as failed.
    failed: Vec<String>,
    /// Whether its subject says that a mail came back, and whether its text opens so.
    says_failed: bool,
    opens_failed: bool,
    is_answer: bool,
    is_bulk: bool,
    is_report: bool,
    from_daemon: bool,
}

impl<'m> Seen<'m> {
    fn new(mail: &'m Mail, subject: String, text: String, returned: Returned) -> Self {
        let lower = words_of(&text);
        let (says_failed, opens_failed) = kinds::looks_failed(&subject, &lower);
        let is_answer = kinds::is_answer(&subject);
        let begins_as_notice = kinds::begins_as_notice(&lower);
        let status = mail.part(report::KINDS);
        let receipt = mail.part(&["message/disposition-notification"]);
        Self {
            mail,
            status,
            receipt,
            rejection: receipt.filter(|part| report::is_rejection(&part.text, &lower)),
            failed: addresses(&mail.all("x-failed-recipients").collect::<Vec<_>>().join(" ")),
            says_failed,
            opens_failed,
            is_answer,
            is_bulk: kinds::is_bulk(mail) && !begins_as_notice,
            is_report: status.is_some() || report::is_announced(mail.header("content-type")),
            from_daemon: kinds::is_from_daemon(mail) || says_failed && !is_answer && begins_as_notice,
            subject,
            text,
            lower,
            returned,
        }
    }

    /// What a delivery status says, where it has one and is no receipt.
    fn heard_of_status(&self) -> Option<Vec<Heard>> {
        let is_notice = self.from_daemon || self.is_report || self.says_failed && !self.is_answer && !self.is_bulk;
        let recipients = match self.status {
            Some(part) => report::recipients(&part.text),
            // The parts of a report whose boundary was lost are in its text.
            None if is_notice && self.lower.contains("final-recipient:") => report::recipients(&self.mail.all_text()),
            None => Vec::new(),
        };
        if recipients.is_empty() || self.receipt.is_some() {
            return None;
        }
        let heard = reported(self.mail, &self.text, &self.returned, recipients);
        // Somebody may answer, pass on or quote what a server said.
        let is_servers_own = match self.status {
            Some(_) => self.from_daemon || !self.is_answer,
            None => self.from_daemon && !self.is_answer && !kinds::is_from_person(self.mail),
        };
        Some(if is_servers_own { heard } else { careful(heard) })
    }

    /// Whether it says by more than words that a mail was refused.
    fn is_certain(&self) -> bool {
        !self.failed.is_empty() || self.rejection.is_some()
    }

    /// Whether a program that delivers mail wrote it, or it says of itself that it is a report.
    fn is_known(&self) -> bool {
        self.from_daemon || self.is_report
    }

    /// Whether it says that a mail was refused, as far as who writes so is to be believed.
    fn is_bounce(&self) -> bool {
        let (said, opened, is_answer) = (self.says_failed, self.opens_failed, self.is_answer);
        let is_part = self.returned.is_part;
        self.is_certain()
            || self.is_known() && (said && !is_answer || opened || is_part && !is_answer)
            || said && (opened || is_part) && !is_answer && !self.is_bulk
    }

    /// Whether a program of the recipient's answered.
    fn is_reply(&self, is_bounce: bool) -> bool {
        let auto_reply = kinds::is_auto_reply(self.mail, &self.subject, &self.lower);
        // The subject of a notice often quotes that of the mail that came back.
        let is_plain = self.is_known() && self.says_failed && (self.opens_failed || self.returned.is_part);
        self.receipt.is_some() && self.rejection.is_none()
            || auto_reply.by_subject && !(is_plain && kinds::begins_failed(&self.subject))
            || auto_reply.by_text && !self.opens_failed
            || auto_reply.by_header && !is_bounce
    }

    /// What people are meant to read in it.
    fn heard_of_notice(&self, depth: usize) -> Vec<Heard> {
        let mut failed = self.failed.clone();
        if failed.is_empty()
            && let Some(part) = self.rejection
        {
            failed.extend(report::recipients(&part.text).into_iter().filter_map(|recipient| recipient.address));
        }
        let found = sections(self.mail, &self.text, &self.returned);
        // A gateway put the notice into one of its own.
        if failed.is_empty()
            && found.is_empty()
            && let Some(heard) = within(self.mail, depth)
        {
            return heard;
        }
        let heard = told(&self.subject, &self.text, &self.returned, found, failed);
        if self.is_about_mail(&heard) { heard } else { careful(heard) }
    }

    /// Whether what was heard is a server's word about a mail of somebody.
    fn is_about_mail(&self, heard: &[Heard]) -> bool {
        let returned = &self.returned;
        // A parcel that could not be delivered sounds the same, and so does who wants the reader's password; of
        // a rejection anybody chose the words.
        let is_marked = self.is_report || !self.failed.is_empty() || returned.message_id.is_some();
        let from_daemon = self.from_daemon && !(self.is_answer && kinds::is_from_person(self.mail));
        let is_mail = self.rejection.is_none()
            && (is_marked || from_daemon && (returned.is_part || !kinds::is_about_reader(&self.lower)));
        let names_it = returned.is_part || returned.message_id.is_some();
        is_mail && (names_it || heard.iter().any(|row| row.recipient.is_some()))
    }
}

/// Text as phrases are looked for in it.
fn words_of(text: &str) -> String {
    let head: String = text.chars().take(16 << 10).collect();
    head.to_lowercase().replace(['’', '‘', '´', '`'], "'").split_whitespace().collect::<Vec<_>>().join(" ")
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
            // Its sender has to answer a challenge.
            _ if recipient.diagnostic.to_ascii_lowercase().starts_with("x-boxbe") => {
                (Kind::AutoReply, None, Action::None)
            }
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
fn told(
    subject: &str,
    text: &str,
    returned: &Returned,
    mut found: Vec<(String, String)>,
    failed_recipients: Vec<String>,
) -> Vec<Heard> {
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
    // What stands before the first of several is about all of them.
    let first = rows.iter().filter_map(|(recipient, _)| text.find(recipient.as_deref()?)).min();
    let before = &text[..first.unwrap_or(0)];
    let mut heard = Vec::new();
    for (recipient, words) in rows {
        let about_all = format!(
            "{}\n{text}",
            if returned.subject.is_empty() { subject.to_owned() } else { subject.replace(&returned.subject, "") }
        );
        let notice = if single || words.split_whitespace().count() <= 2 { about_all.as_str() } else { "" };
        let evidence = Evidence { status: "", diagnostic: &words, notice };
        let (mut kind, mut status, mut action) = failed(evidence);
        if !single && (kind, action) == (Kind::Hard, Action::Count) {
            let all = failed(Evidence { notice: before, ..evidence });
            if !matches!(all.2, Action::Suppress | Action::Twice) {
                (kind, status, action) = all;
            }
        }
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
    let (kind, action) = follows(why);
    (kind, Some(status), action)
}

/// What follows from a reason.
const fn follows(why: Why) -> (Kind, Action) {
    match why {
        Why::Dead | Why::NoDomain => (Kind::Hard, Action::Suppress),
        Why::NoMail => (Kind::Hard, Action::Twice),
        Why::Refused => (Kind::Hard, Action::Count),
        Why::Full | Why::Temporary => (Kind::Soft, Action::Count),
        Why::Blocked => (Kind::Block, Action::None),
    }
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
