//! Notifications of services that send for shops (Amazon SES and others), as they come by mail: a JSON
//! text in the body. They say as much as a delivery status does, and are judged by the same words.

use serde_json::Value;

use super::addresses::address;
use super::mail::Mail;
use super::verdict::{Evidence, judge};
use super::words::Why;
use super::{Action, Heard, Kind, kinds};

/// So many recipients of one notification are looked at.
const MOST_RECIPIENTS: usize = 100;

/// What a service says happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// It will never arrive there.
    Hard,
    Full,
    /// It did not arrive this time: also what an automatic reply is to some.
    Passing,
    /// By policy or content, or because the service itself holds the address back.
    Held,
    Complained,
    /// A complaint that is no recipient's.
    Other,
    /// It arrived, was opened, …
    Nothing,
}

/// One recipient's fate.
#[derive(Debug, Default)]
struct Fate {
    said: Option<Said>,
    recipient: String,
    status: String,
    diagnostic: String,
    message_id: String,
}

/// What a mail notifies of, if it is a notification: a row for each recipient.
pub(super) fn notification(mail: &Mail, subject: &str) -> Option<Vec<Heard>> {
    let texts = mail.parts.iter().filter(|part| part.kind.starts_with("text/plain") || part.kind.contains("json"));
    let fates: Vec<Fate> = texts.filter_map(|part| json(&part.text)).find_map(|value| fates(&value))?;
    let rows: Vec<Heard> = fates.iter().take(MOST_RECIPIENTS).map(Fate::heard).collect();
    // Of several who may have complained nobody knows who did. What a person passes on proves nothing.
    let is_anybodys = rows.len() > 1 && rows.iter().all(|row| row.kind == Kind::Complaint);
    let hold_back = |row: Heard| Heard { action: if is_anybodys { Action::None } else { row.action }, ..row };
    let rows: Vec<Heard> = rows.into_iter().map(hold_back).collect();
    (!rows.is_empty()).then(|| if kinds::is_answer(subject) { super::careful(rows) } else { rows })
}

/// The JSON text of a part: what stands before and after it is for people.
fn json(text: &str) -> Option<Value> {
    // Mail servers break very long lines so.
    let text = text.replace("!\r\n ", "").replace("!\n ", "");
    let starts = |line: &&str| line.trim_start().starts_with(['{', '[']);
    let line = text.lines().find(starts)?;
    let at = line.as_ptr() as usize - text.as_ptr() as usize;
    let value = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>().next()?.ok()?;
    // What SNS wraps up.
    match value.get("Message").and_then(Value::as_str).filter(|_| value.get("Type").is_some()) {
        Some(inner) => serde_json::from_str(inner).ok(),
        None => Some(value),
    }
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    value.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Who writes so, by the names of the fields; `None` where nobody that is known does.
fn fates(value: &Value) -> Option<Vec<Fate>> {
    let single = |fate: Option<Fate>| fate.map(|fate| vec![fate]);
    match value {
        Value::Array(events) => {
            let found: Vec<Fate> = events.iter().filter_map(fates).flatten().collect();
            (!found.is_empty()).then_some(found)
        }
        value if value.get("mail").is_some() => amazon(value),
        value if value.get("RecordType").is_some() => single(postmark(value)),
        value if value.get("event-data").is_some() => single(mailgun(value)),
        value if value.get("msys").is_some() => single(sparkpost(value)),
        value if value.get("event").is_some() && value.get("email").is_some() => single(sendgrid(value)),
        _ => None,
    }
}

/// Amazon SES: `notificationType`, or `eventType` of its event publishing.
fn amazon(value: &Value) -> Option<Vec<Fate>> {
    let kind = ["/notificationType", "/eventType"].map(|path| text(value, path)).concat();
    let (said, path) = match kind.as_str() {
        "Bounce" => (bounce_of_amazon(value), "/bounce/bouncedRecipients"),
        "Complaint" => {
            let said = match text(value, "/complaint/complaintFeedbackType") {
                "not-spam" => Said::Nothing,
                "auth-failure" | "virus" | "other" => Said::Other,
                _ => Said::Complained,
            };
            (said, "/complaint/complainedRecipients")
        }
        "DeliveryDelay" => (Said::Passing, "/deliveryDelay/delayedRecipients"),
        "" => return None,
        _ => return Some(vec![Fate { said: Some(Said::Nothing), ..Fate::default() }]),
    };
    // The service gives the mail an id of its own; the one it had stands among its headers.
    let is_id = |header: &&Value| text(header, "/name").eq_ignore_ascii_case("message-id");
    let header = list(value, "/mail/headers").iter().find(is_id).map(|header| text(header, "/value"));
    let common = text(value, "/mail/commonHeaders/messageId");
    let message_id = header.unwrap_or(common);
    let of = |recipient: &Value| Fate {
        said: Some(said),
        recipient: text(recipient, "/emailAddress").to_owned(),
        status: text(recipient, "/status").to_owned(),
        diagnostic: text(recipient, "/diagnosticCode").to_owned(),
        message_id: message_id.to_owned(),
    };
    Some(list(value, path).iter().map(of).collect())
}

fn bounce_of_amazon(value: &Value) -> Said {
    match (text(value, "/bounce/bounceType"), text(value, "/bounce/bounceSubType")) {
        (_, "Suppressed" | "OnAccountSuppressionList" | "UnsubscribedRecipient") => Said::Held,
        (_, "MessageTooLarge" | "ContentRejected" | "AttachmentRejected") => Said::Held,
        ("Permanent", _) => Said::Hard,
        (_, "MailboxFull") | ("Undetermined", _) => Said::Full,
        _ => Said::Passing,
    }
}

/// SendGrid and, by the same names, Brevo.
fn sendgrid(value: &Value) -> Option<Fate> {
    let said = match (text(value, "/event"), text(value, "/type")) {
        ("bounce", "blocked") | ("blocked" | "dropped" | "error", _) => Said::Held,
        ("bounce" | "hard_bounce" | "hardBounce" | "invalid_email", _) => Said::Hard,
        ("soft_bounce" | "softBounce", _) => Said::Full,
        ("deferred", _) => Said::Passing,
        ("spamreport" | "spam" | "complaint", _) => Said::Complained,
        _ => Said::Nothing,
    };
    Some(Fate {
        said: Some(said),
        recipient: text(value, "/email").to_owned(),
        status: text(value, "/status").to_owned(),
        diagnostic: text(value, "/reason").to_owned(),
        message_id: [text(value, "/message-id"), text(value, "/smtp-id")].concat(),
    })
}

fn postmark(value: &Value) -> Option<Fate> {
    let said = match (text(value, "/RecordType"), text(value, "/Type")) {
        ("Bounce", "HardBounce" | "BadEmailAddress") => Said::Hard,
        ("Bounce", "SoftBounce" | "Undeliverable") => Said::Full,
        ("Bounce", "Transient" | "DnsError") => Said::Passing,
        ("Bounce", "AutoResponder" | "AddressChange" | "Subscribe" | "OpenRelayTest") => Said::Nothing,
        ("Bounce", _) => Said::Held,
        ("SpamComplaint", _) => Said::Complained,
        _ => Said::Nothing,
    };
    let recipient = [text(value, "/Email"), text(value, "/Recipient")].concat();
    let diagnostic = text(value, "/Details").to_owned();
    Some(Fate { said: Some(said), recipient, diagnostic, ..Fate::default() })
}

fn mailgun(value: &Value) -> Option<Fate> {
    let said = match (text(value, "/event-data/event"), text(value, "/event-data/severity")) {
        ("failed", _) if text(value, "/event-data/reason").starts_with("suppress-") => Said::Held,
        ("failed", "permanent") => Said::Hard,
        ("failed", _) => Said::Passing,
        ("rejected", _) => Said::Held,
        ("complained", _) => Said::Complained,
        _ => Said::Nothing,
    };
    let code = value.pointer("/event-data/delivery-status/code").map(Value::to_string).unwrap_or_default();
    Some(Fate {
        said: Some(said),
        recipient: text(value, "/event-data/recipient").to_owned(),
        status: text(value, "/event-data/delivery-status/enhanced-code").to_owned(),
        diagnostic: format!("{code} {}", text(value, "/event-data/delivery-status/message")),
        message_id: text(value, "/event-data/message/headers/message-id").to_owned(),
    })
}

fn sparkpost(value: &Value) -> Option<Fate> {
    let event = value.get("msys")?.as_object()?.values().next()?;
    let class = event.get("bounce_class").map(|class| class.to_string().trim_matches('"').to_owned());
    let said = match (text(event, "/type"), class.as_deref().unwrap_or_default()) {
        ("bounce" | "out_of_band", "10" | "30" | "90") => Said::Hard,
        ("bounce" | "out_of_band", "20" | "21" | "22" | "24" | "40" | "70") => Said::Full,
        ("bounce" | "out_of_band" | "policy_rejection", _) => Said::Held,
        ("delay", _) => Said::Passing,
        ("spam_complaint", _) => Said::Complained,
        _ => Said::Nothing,
    };
    let recipient = text(event, "/rcpt_to").to_owned();
    Some(Fate { said: Some(said), recipient, diagnostic: text(event, "/raw_reason").to_owned(), ..Fate::default() })
}

impl Fate {
    fn heard(&self) -> Heard {
        let (why, status) = judge(Evidence { status: &self.status, diagnostic: &self.diagnostic, notice: "" });
        let (kind, action) = match self.said.unwrap_or(Said::Nothing) {
            // The service knows who it is; only a reason that is another's outranks it.
            Said::Hard if why == Why::Refused => (Kind::Hard, Action::Suppress),
            Said::Hard => super::follows(why),
            Said::Full => (Kind::Soft, Action::Count),
            Said::Passing => (Kind::Soft, Action::None),
            Said::Held => (Kind::Block, Action::None),
            Said::Complained => (Kind::Complaint, Action::Suppress),
            Said::Other => (Kind::Complaint, Action::None),
            Said::Nothing => (Kind::NotABounce, Action::None),
        };
        let is_bounce = matches!(kind, Kind::Hard | Kind::Soft | Kind::Block);
        let message_id = self.message_id.trim().trim_matches(['<', '>']);
        Heard {
            kind,
            status: is_bounce.then(|| status.to_string()),
            recipient: address(&self.recipient),
            message_id: (message_id.contains('@') && !message_id.contains(char::is_whitespace))
                .then(|| message_id.to_owned()),
            action,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::classify;
    use super::*;

    fn read(body: &str) -> Vec<Heard> {
        classify(
            format!("From: AWS Notifications <no-reply@sns.example>\nSubject: Notification\n\n{body}\n").as_bytes(),
        )
    }

    fn check(body: &str, kind: Kind, action: Action) {
        let row = read(body).remove(0);
        assert_eq!((row.kind, row.action), (kind, action), "{body}");
        if kind != Kind::NotABounce {
            assert_eq!(row.recipient.as_deref(), Some("sara@example.com"), "{body}");
        }
    }

    fn amazon(kind: &str, sub: &str, diagnostic: &str) -> String {
        format!(
            r#"{{"notificationType":"Bounce","bounce":{{"bounceType":"{kind}","bounceSubType":"{sub}","bouncedRecipients":[{{"emailAddress":"sara@EXAMPLE.com","action":"failed","diagnosticCode":"{diagnostic}"}}]}},"mail":{{"messageId":"0100-000000","headers":[{{"name":"Message-ID","value":"<1@shop.example>"}}]}}}}"#
        )
    }

    #[test]
    fn each_service_means_what_it_says() {
        check(&amazon("Permanent", "General", "smtp; 550 5.1.1 user unknown"), Kind::Hard, Action::Suppress);
        check(&amazon("Permanent", "NoEmail", ""), Kind::Hard, Action::Suppress);
        check(&amazon("Permanent", "General", "smtp; 550 5.7.1 listed at a blocklist"), Kind::Block, Action::None);
        check(&amazon("Permanent", "General", "smtp; 552 5.2.2 mailbox full"), Kind::Soft, Action::Count);
        check(&amazon("Permanent", "OnAccountSuppressionList", ""), Kind::Block, Action::None);
        check(&amazon("Transient", "MailboxFull", ""), Kind::Soft, Action::Count);
        check(&amazon("Transient", "General", ""), Kind::Soft, Action::None);
        check(&amazon("Transient", "ContentRejected", ""), Kind::Block, Action::None);
        let complaint = |kind: &str| {
            format!(
                r#"{{"eventType":"Complaint","complaint":{{"complainedRecipients":[{{"emailAddress":"sara@example.com"}}]{kind}}},"mail":{{}}}}"#
            )
        };
        check(&complaint(r#","complaintFeedbackType":"abuse""#), Kind::Complaint, Action::Suppress);
        check(&complaint(""), Kind::Complaint, Action::Suppress);
        check(&complaint(r#","complaintFeedbackType":"auth-failure""#), Kind::Complaint, Action::None);
        check(&complaint(r#","complaintFeedbackType":"not-spam""#), Kind::NotABounce, Action::None);
        check(r#"{"eventType":"Delivery","mail":{}}"#, Kind::NotABounce, Action::None);
        check(
            r#"[{"email":"sara@example.com","event":"bounce","type":"bounce","status":"5.1.1","reason":"550 5.1.1 no such user"}]"#,
            Kind::Hard,
            Action::Suppress,
        );
        check(
            r#"[{"email":"sara@example.com","event":"bounce","type":"blocked","reason":"550 spam"}]"#,
            Kind::Block,
            Action::None,
        );
        check(
            r#"{"event":"hard_bounce","email":"sara@example.com","message-id":"<1@shop.example>"}"#,
            Kind::Hard,
            Action::Suppress,
        );
        check(
            r#"{"RecordType":"Bounce","Type":"HardBounce","Email":"sara@example.com","Details":"550 unknown user"}"#,
            Kind::Hard,
            Action::Suppress,
        );
        check(
            r#"{"RecordType":"Bounce","Type":"SpamNotification","Email":"sara@example.com"}"#,
            Kind::Block,
            Action::None,
        );
        check(r#"{"RecordType":"SpamComplaint","Email":"sara@example.com"}"#, Kind::Complaint, Action::Suppress);
        check(
            r#"{"event-data":{"event":"failed","severity":"permanent","reason":"bounce","recipient":"sara@example.com","delivery-status":{"code":550,"message":"5.1.1 no such user"}}}"#,
            Kind::Hard,
            Action::Suppress,
        );
        check(
            r#"{"event-data":{"event":"failed","severity":"permanent","reason":"suppress-bounce","recipient":"sara@example.com"}}"#,
            Kind::Block,
            Action::None,
        );
        check(
            r#"[{"msys":{"message_event":{"type":"bounce","bounce_class":"10","rcpt_to":"sara@example.com","raw_reason":"550 5.1.1 unknown"}}}]"#,
            Kind::Hard,
            Action::Suppress,
        );
        check(
            r#"[{"msys":{"message_event":{"type":"bounce","bounce_class":"51","rcpt_to":"sara@example.com"}}}]"#,
            Kind::Block,
            Action::None,
        );
    }

    #[test]
    fn it_is_found_wrapped_up_broken_and_among_words() {
        let plain = amazon("Permanent", "General", "smtp; 550 5.1.1 user unknown");
        let wrapped = serde_json::json!({ "Type": "Notification", "Message": plain }).to_string();
        let broken = plain.replace("bounceSubType", "bounce!\n SubType");
        for body in
            [plain.clone(), wrapped, broken, format!("Hello,\n\n{plain}\n\n--\nIf you wish to stop receiving\n")]
        {
            let row = read(&body).remove(0);
            assert_eq!((row.kind, row.action), (Kind::Hard, Action::Suppress), "{body}");
            assert_eq!((row.message_id.as_deref(), row.status.as_deref()), (Some("1@shop.example"), Some("5.1.1")));
        }
        // What a person passes on.
        let passed = classify(format!("From: Ali <ali@example.com>\nSubject: Fwd: look\n\n{plain}\n").as_bytes());
        assert_eq!((passed[0].kind, passed[0].action), (Kind::Hard, Action::Count));
        for body in ["{", "[1, 2]", "{\"a\": 1}", &"[".repeat(100_000)] {
            assert_eq!(read(body)[0].kind, Kind::NotABounce);
        }
    }

    #[test]
    fn of_several_who_may_have_complained_nobody_is_closed() {
        let body = r#"{"eventType":"Complaint","complaint":{"complainedRecipients":[{"emailAddress":"a@example.com"},{"emailAddress":"b@example.com"}]},"mail":{}}"#;
        let rows = read(body);
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|row| (row.kind, row.action) == (Kind::Complaint, Action::None)));
    }
}
