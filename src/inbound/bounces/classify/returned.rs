//! The parts of a mail that came back: the notice's own words, and what is known of the mail.

use super::addresses::{addresses, is_list};
use super::mail::{Mail, fields, first};

/// What is known of the mail that came back.
#[derive(Debug, Default)]
pub(super) struct Returned {
    pub message_id: Option<String>,
    /// Who it was sent to.
    pub to: Vec<String>,
    /// Who sent it.
    pub from: Vec<String>,
    /// In lower case: notices quote it, and its words are no reason.
    pub subject: String,
    /// Whether it came back as a part of the notice.
    pub is_part: bool,
}

impl Returned {
    /// From the headers of the returned mail, as a part or in the notice's text.
    pub fn read(text: &str) -> Self {
        // Headers only; of text that quotes them, the first lines that are some.
        let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '>');
        let header: Vec<&str> = text.lines().take(300).collect();
        let end = header.iter().position(|line| line.trim().is_empty()).unwrap_or(header.len());
        let found = fields(&header[..end].join("\n"));
        let all = |names: &[&str]| {
            let values = found.iter().filter(|(name, _)| names.contains(&name.as_str()));
            values.flat_map(|(_, value)| addresses(value)).collect::<Vec<_>>()
        };
        Self {
            message_id: first(&found, "message-id").and_then(message_id),
            to: all(&["to", "x-original-to", "delivered-to", "x-hmxmroriginalrecipient", "x-envelope-to"]),
            subject: Mail::headers(text.as_bytes()).words_of("subject"),
            from: all(&["from", "sender", "return-path", "reply-to", "x-original-from"]),
            is_part: false,
        }
    }
}

/// The notice's own text, and what is known of the mail that came back.
pub(super) fn texts(mail: &Mail) -> (String, Returned) {
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
    let part = mail.parts.get(end);
    let mut returned = part.map(|part| Returned::read(&part.text)).unwrap_or_default();
    returned.is_part = part.is_some();
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
        returned = Returned { is_part: returned.is_part, ..Returned::read(&quoted) };
    }
    if returned.message_id.is_none() {
        let header = |names: &[&str]| names.iter().find_map(|name| message_id(mail.header(name)));
        let told = |text: &str| {
            let named = fields(text).into_iter().filter(|(name, _)| name.ends_with("message-id"));
            named.map(|(_, value)| value).find_map(|value| message_id(&value))
        };
        let reported = || mail.parts[..end].iter().filter(|part| part.kind.starts_with("message/"));
        returned.message_id = header(&["original-message-id", "x-original-message-id"])
            .or_else(|| reported().find_map(|part| told(&part.text)))
            .or_else(|| told(&own.lines().map(str::trim_start).collect::<Vec<_>>().join("\n")))
            .or_else(|| header(&["in-reply-to", "references"]));
    }
    (own_words(&own), returned)
}

/// The identifier of a Message-ID without its brackets.
fn message_id(text: &str) -> Option<String> {
    let inner = text.split('<').nth(1).map_or(text, |rest| rest.split('>').next().unwrap_or(rest)).trim();
    let is_id = inner.contains('@') && inner.len() <= 250 && !inner.contains(char::is_whitespace);
    is_id.then(|| inner.to_owned())
}

/// A notice's own text, and what it quotes of the returned mail.
fn divide(text: &str) -> (&str, &str) {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if begins_returned(line.trim_end(), at > 0) {
            let rest = &text[at..];
            // The marker itself belongs to neither.
            let skip = if is_header(line) { 0 } else { line.len() };
            return (&text[..at], &rest[skip..]);
        }
        at += line.len();
    }
    (text, "")
}

fn is_header(line: &str) -> bool {
    ["Received: ", "Return-Path: ", "Return-path: ", "Message-ID: ", "Message-Id: ", "DKIM-Signature: "]
        .iter()
        .any(|name| line.starts_with(name))
}

/// Whether the returned mail begins with this line.
fn begins_returned(line: &str, is_inside: bool) -> bool {
    #[rustfmt::skip]
    const MARKS: &[&str] = &[
        "this is a copy of", "below this line is a copy", "below is a copy", "copy of the message",
        "copy of your message", "copy of the original message", "original message", "original headers",
        "original message headers", "original mail", "unsent message", "message header",
        "header of the message", "headers of the message", "header of your message", "message text follows",
        "message follows", "message contents follow", "message body follows", "undelivered message follows",
        "returned message", "returned mail", "returned text", "returned content", "forwarded message",
        "begin message", "included message", "rejected message", "text of your message",
        "message to be returned", "ursprüngliche nachricht", "originalnachricht", "kopie ihrer nachricht",
        "message d'origine", "message original", "mensaje original", "mensagem original", "messaggio originale",
        "исходное сообщение", "元のメッセージ", "原始邮件",
    ];
    if is_inside && is_header(line) {
        return true;
    }
    let rule = |c: char| "-=*_#+~<> \t".contains(c);
    let inner = line.trim_matches(|c: char| rule(c) || c == ':' || c == '.').to_lowercase();
    let ruled =
        line.trim_start().starts_with(['-', '=', '*', '_', '#', '+', '~']) && line.trim_start().len() > inner.len() + 1;
    let follows =
        inner.ends_with("follows") || inner.ends_with("follow") || line.ends_with(':') && !inner.contains(". ");
    MARKS.iter().any(|mark| {
        inner.starts_with(mark) && (ruled || inner == *mark)
            || (ruled || follows) && inner.len() < 100 && inner.contains(mark)
    }) && !inner.starts_with("the original message was received")
        && !inner.contains("transcript")
        && !inner.contains("not receive")
}

/// A notice without what people quote, and without header fields that stand in it: their words (`spf`,
/// `antispam`) are no reason.
fn own_words(text: &str) -> String {
    const TELLING: &[&str] =
        &["diagnostic-code", "final-recipient", "original-recipient", "remote-mta", "error-for", "error-text"];
    let mut in_field = false;
    let mut own = String::with_capacity(text.len());
    for line in text.lines() {
        let is_more = in_field && line.starts_with([' ', '\t']);
        let name = line.split(':').next().unwrap_or_default();
        let is_name = name.len() < line.len()
            && name.contains('-')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        in_field = is_more || is_name && !TELLING.contains(&name.to_ascii_lowercase().as_str());
        let is_quoted =
            line == ">" || line.strip_prefix("> ").is_some_and(|rest| !(is_list(rest) && rest.contains('@')));
        let lower = line.to_lowercase();
        if !(in_field || is_quoted || is_seal(&lower) || is_subject(&lower)) {
            own.push_str(line);
            own.push('\n');
        }
    }
    own
}

/// Whether a line tells the subject of the mail that came back.
fn is_subject(line: &str) -> bool {
    #[rustfmt::skip]
    const STARTS: &[&str] = &[
        "subject:", "subject was", "the message subject was", "message subject:", "with subject", "with the subject", "betreff:", "objet:", "objet :",
        "asunto:", "assunto:", "oggetto:", "onderwerp:", "temat:", "konu:", "тема:", "件名", "主题", "主旨", "제목", "موضوع",
    ];
    let line = line.trim_start_matches(|c: char| !c.is_alphanumeric());
    STARTS.iter().any(|start| line.starts_with(start))
}

/// Whether a line is what a filter writes under every mail that passes it.
fn is_seal(line: &str) -> bool {
    #[rustfmt::skip]
    const SEALS: &[&str] = &[
        "scanned for", "scanned by", "has been scanned", "was scanned", "checked for virus", "virus-free", "virus free",
        "free of virus", "free from virus", "no virus", "auf viren geprüft", "analyse antivirus",
    ];
    const FINDINGS: &[&str] = &["found", "infected", "contain", "detected", "blocked", "rejected", "refused"];
    SEALS.iter().any(|seal| line.contains(seal)) && !FINDINGS.iter().any(|word| line.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_returned_mail_is_cut_off() {
        let check = |text: &str, own: &str| assert_eq!(divide(text).0.trim(), own, "{text}");
        check("x\n--- Below this line is a copy of the message.\nReturn-Path: <>\n", "x");
        check("x\n------ This is a copy of the message, including all the headers. ------\ny", "x");
        check("x\n   ----- Original message follows -----\ny", "x");
        check("The original message was received at Mon\nfrom x\n", "The original message was received at Mon\nfrom x");
        check(
            "x\n   ----- Transcript of session follows -----\ny",
            "x\n   ----- Transcript of session follows -----\ny",
        );
        check("x\nReceived: from y\nz", "x");
        check("x\nOriginal message:\nz", "x");
        check("A copy of the message is kept.\nz", "A copy of the message is kept.\nz");
        let returned = Returned::read(
            divide("x\n--- Original message ---\n\nTo: a@example.com\nMessage-ID: <1@x>\n\nFrom: z@z.z").1,
        );
        assert_eq!((returned.to.join(""), returned.message_id), ("a@example.com".to_owned(), Some("1@x".to_owned())));
    }

    #[test]
    fn quotes_and_header_fields_are_not_the_notices_own() {
        assert_eq!(own_words("no\nThis mail has been scanned for viruses and spam.\n"), "no\n");
        assert_eq!(own_words("no\n  Subject: Spam-free\nThe message subject was: Security\n"), "no\n");
        assert_eq!(own_words("It was scanned: a virus was found.\n"), "It was scanned: a virus was found.\n");
        let text = "no\n> 550 unknown\nX-Antispam: spf\n more\nDiagnostic-Code: 550\n full\nsee: it\n";
        assert_eq!(own_words(text), "no\nDiagnostic-Code: 550\n full\nsee: it\n");
    }
}
