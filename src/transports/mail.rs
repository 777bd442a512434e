//! The bytes of a mail, the same at every attempt. Used by `smtp`, which hands them to a server,
//! and by `capture`, which writes them to a file; beside the SMTP folder this is the only file that
//! names lettre.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use data_encoding::BASE64;
use lettre::Address;
use lettre::address::Envelope as Addresses;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, Message, MessageBuilder, MultiPart, SinglePart};

use crate::domain::message::{Content, Envelope, Reason};
use crate::transports::Outcome;

/// No line may be longer, without its CRLF (RFC 5322, 2.1.1).
const LINE_LIMIT: usize = 998;

/// Where headers are folded.
const FOLD_AT: usize = 78;

/// What one encoded word holds, so that it fits into a line behind a header's name.
const ENCODED_AT: usize = 36;

/// A mail, ready for a server or a file.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// The envelope sender: the return path, else the address in `From`.
    pub from: Address,
    /// The envelope recipient.
    pub to: Address,
    /// Headers and body in seven-bit ASCII, lines ended by CRLF. Not dot-stuffed.
    pub text: String,
}

/// Why an envelope cannot be made into a mail. Names the place, never the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// Header injection, or a template that ends its subject with a newline.
    #[error("the {0} holds a line break or another control character; a header cannot")]
    ControlCharacter(&'static str),
    /// Only folded at spaces: a word of a thousand letters stays whole.
    #[error("a header line is longer than 998 octets")]
    LineTooLong,
    /// A setting of ours.
    #[error("the sender is neither `Name <address>` nor an address")]
    From,
    /// A setting of ours, too.
    #[error("the return path is not an ASCII e-mail address")]
    ReturnPath,
    /// Ours are ASCII; what is not would have to be encoded as its own rules say.
    #[error("a header's name or value is not ASCII")]
    Header,
    /// Addresses beyond ASCII need SMTPUTF8, which this version does not speak.
    #[error("the recipient is not an ASCII e-mail address")]
    Recipient,
    /// An SMS came to a sender of mail.
    #[error("the message is not an e-mail")]
    NotMail,
}

impl MailError {
    /// Nothing of this mends itself by waiting.
    pub fn outcome(self) -> Outcome {
        // Not suppressed: no server has said that the address is dead.
        Outcome::Rejected { reason: Reason::Unbuildable, reply: self.to_string(), suppress: false }
    }
}

/// Builds the mail of an envelope. Depends on nothing but the envelope, so that a retry sends the
/// same bytes under the same `Message-ID` and a receiver can drop the second copy.
pub fn build(envelope: &Envelope) -> Result<Mail, MailError> {
    let Content::Email { from, to_name, return_path, headers, subject, html, text } = &envelope.content else {
        return Err(MailError::NotMail);
    };
    refuse_control_characters(envelope)?;
    let from = mailbox(from).ok_or(MailError::From)?;
    let to = ascii_address(&envelope.to).ok_or(MailError::Recipient)?;
    let back = match return_path {
        Some(path) => ascii_address(path).ok_or(MailError::ReturnPath)?,
        None => from.email.clone(),
    };
    let to_name = Some(to_name.trim()).filter(|name| !name.is_empty()).map(str::to_owned);

    let id = envelope.message;
    let mut builder = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(to_name.clone(), to.clone()))
        .subject(subject.as_str())
        .date(written_at(envelope.at))
        .message_id(Some(format!("<{id}@{}>", from.email.domain())))
        .envelope(Addresses::new(Some(from.email.clone()), vec![to.clone()]).map_err(|_| MailError::Recipient)?);
    builder = with_words_that_look_encoded(builder, &from, to_name.as_deref(), &to, subject)?;
    for (name, value) in headers {
        let name = HeaderName::new_from_ascii(name.clone()).map_err(|_| MailError::Header)?;
        if !value.is_ascii() {
            return Err(MailError::Header);
        }
        // Not lettre's own encoding: it may put a long word into an encoded one, where no program looks for a URL.
        let folded = folded(name.len(), value);
        builder = builder.raw_header(HeaderValue::dangerous_new_pre_encoded(name, value.clone(), folded));
    }
    let plain = SinglePart::builder().header(ContentType::TEXT_PLAIN).body(body(text));
    let message = match html {
        None => builder.singlepart(plain),
        Some(html) => {
            let html = SinglePart::builder().header(ContentType::TEXT_HTML).body(body(html));
            // `=_` occurs in no quoted-printable or base64 line, so the boundary is in neither part.
            let parts = MultiPart::alternative().boundary(format!("=_{}", id.simple()));
            builder.multipart(parts.singlepart(plain).singlepart(html))
        }
    };
    let bytes = message.map_err(|_| MailError::From)?.formatted();
    let text = String::from_utf8(bytes).map_err(|_| MailError::From)?;
    if longest_line(&text) > LINE_LIMIT {
        return Err(MailError::LineTooLong);
    }
    Ok(Mail { from: back, to, text })
}

/// A header holds no line break, which would begin another one, and nothing else that nobody sees.
fn refuse_control_characters(envelope: &Envelope) -> Result<(), MailError> {
    let Content::Email { from, to_name, return_path, headers, subject, .. } = &envelope.content else {
        return Err(MailError::NotMail);
    };
    let named = [("sender", from), ("recipient", &envelope.to), ("recipient's name", to_name), ("subject", subject)];
    let more = headers.iter().flat_map(|(name, value)| [("header's name", name), ("header", value)]);
    let mut all = named.into_iter().chain(return_path.iter().map(|path| ("return path", path))).chain(more);
    match all.find(|(_, value)| value.chars().any(|c| c.is_control() && c != '\t')) {
        Some((name, _)) => Err(MailError::ControlCharacter(name)),
        None => Ok(()),
    }
}

/// The library lets what looks encoded pass, and readers would decode it: these headers are encoded here.
fn with_words_that_look_encoded(
    mut builder: MessageBuilder,
    from: &Mailbox,
    to_name: Option<&str>,
    to: &Address,
    subject: &str,
) -> Result<MessageBuilder, MailError> {
    let given = [
        ("From", from.name.as_deref(), Some(&from.email)),
        ("To", to_name, Some(to)),
        ("Subject", Some(subject), None),
    ];
    for (header, words, address) in given {
        let Some(words) = words.filter(|words| words.contains("=?")) else { continue };
        let name = HeaderName::new_from_ascii(header.to_owned()).map_err(|_| MailError::Header)?;
        // What the library reads again of it is the address.
        let (read, behind) = match address {
            Some(address) => (address.to_string(), format!("\r\n <{address}>")),
            None => (words.to_owned(), String::new()),
        };
        builder = builder.raw_header(HeaderValue::dangerous_new_pre_encoded(name, read, encoded(words) + &behind));
    }
    Ok(builder)
}

/// A text in encoded words (RFC 2047), each in a line of at most 76 octets.
fn encoded(text: &str) -> String {
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.floor_char_boundary(ENCODED_AT);
        words.push(format!("=?utf-8?b?{}?=", BASE64.encode(&rest.as_bytes()[..end])));
        rest = &rest[end..];
    }
    words.join("\r\n ")
}

/// A header's value with a line break before the word that would make its line longer than 78 octets
/// (RFC 5322, 2.1.1). A longer word stays whole.
fn folded(name: usize, value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 16);
    let mut used = name + 1;
    for word in value.split(' ').filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            let fits = used + 1 + word.len() <= FOLD_AT;
            out.push_str(if fits { " " } else { "\r\n " });
            used = if fits { used } else { 0 };
        }
        out.push_str(word);
        used += 1 + word.len();
    }
    out
}

/// A mail's `Date`: when this copy was dispatched.
fn written_at(millis: i64) -> SystemTime {
    // A constant, not a look at the clock.
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis.unsigned_abs())
}

/// `Name <address>`, `"Name" <address>` or a bare address.
fn mailbox(text: &str) -> Option<Mailbox> {
    let Some((name, rest)) = text.rsplit_once('<') else {
        return Some(Mailbox::new(None, ascii_address(text.trim())?));
    };
    let address = ascii_address(rest.trim_end().strip_suffix('>')?.trim())?;
    let name = name.trim();
    let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
    Some(Mailbox::new(Some(name.to_owned()).filter(|name| !name.is_empty()), address))
}

fn ascii_address(text: &str) -> Option<Address> {
    text.parse().ok().filter(|_| text.is_ascii())
}

/// A part's text, encoded. What every server takes as it is goes as it is; of the rest lettre, which would encode a line
/// of 77 letters already, chooses how.
fn body(text: &str) -> Body {
    let text = with_crlf(text);
    if text.is_ascii() && !text.contains('\0') && longest_line(&text) <= LINE_LIMIT {
        return Body::dangerous_pre_encoded(text.into_bytes(), ContentTransferEncoding::SevenBit);
    }
    Body::new(text)
}

/// In octets, of lines that end with CRLF.
fn longest_line(text: &str) -> usize {
    text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line).len()).max().unwrap_or(0)
}

/// Every line end becomes CRLF. Done here in one pass, because lettre inserts each missing CR by
/// moving the rest of the text.
fn with_crlf(text: &str) -> String {
    let bare = if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    };
    let mut out = String::with_capacity(bare.len() + bare.len() / 32);
    for line in bare.split_inclusive('\n') {
        match line.strip_suffix('\n') {
            Some(line) => out.extend([line, "\r\n"]),
            None => out.push_str(line),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::Purpose;

    fn envelope(subject: &str, html: Option<&str>, text: &str) -> Envelope {
        Envelope {
            at: 1_767_225_600_000,
            campaign: "birthday-gift".to_owned(),
            ..Envelope::new(
                "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
                Purpose::Marketing,
                "sara@example.org",
                Content::Email {
                    from: "Shop <hello@example.com>".to_owned(),
                    to_name: "سارا".to_owned(),
                    return_path: None,
                    headers: Vec::new(),
                    subject: subject.to_owned(),
                    html: html.map(str::to_owned),
                    text: text.to_owned(),
                },
            )
        }
    }

    fn with_from(from: &str) -> Envelope {
        let mut envelope = envelope("Hi", None, "Hello");
        if let Content::Email { from: field, .. } = &mut envelope.content {
            *field = from.to_owned();
        }
        envelope
    }

    #[test]
    fn a_mail_has_its_headers_and_the_text_part_first() {
        let mail = build(&envelope("تولدت مبارک", Some("<p>۲۰٪</p>\n"), "Happy\nbirthday\r\n")).unwrap();
        let expected = "\
From: Shop <hello@example.com>\r
To: =?utf-8?b?2LPYp9ix2Kc=?= <sara@example.org>\r
Subject: =?utf-8?b?2KrZiNmE2K/YqiDZhdio2KfYsdqp?=\r
Date: Thu, 01 Jan 2026 00:00:00 +0000\r
Message-ID: <01890a5d-ac96-774b-bcce-b302099a8057@example.com>\r
MIME-Version: 1.0\r
Content-Type: multipart/alternative;\r
 boundary=\"=_01890a5dac96774bbcceb302099a8057\"\r
\r
--=_01890a5dac96774bbcceb302099a8057\r
Content-Type: text/plain; charset=utf-8\r
Content-Transfer-Encoding: 7bit\r
\r
Happy\r
birthday\r
\r
--=_01890a5dac96774bbcceb302099a8057\r
Content-Type: text/html; charset=utf-8\r
Content-Transfer-Encoding: base64\r
\r
PHA+27LbsNmqPC9wPg0K\r
--=_01890a5dac96774bbcceb302099a8057--\r
";
        assert_eq!(mail.text, expected);
        assert_eq!(mail.from.to_string(), "hello@example.com");
        assert_eq!(mail.to.to_string(), "sara@example.org");
    }

    fn with_header(name: &str, value: &str) -> Envelope {
        let mut envelope = envelope("Hi", None, "Hello");
        if let Content::Email { headers, .. } = &mut envelope.content {
            headers.push((name.to_owned(), value.to_owned()));
        }
        envelope
    }

    #[test]
    fn more_headers_are_folded_between_words_and_the_return_path_is_the_envelopes() {
        let value = format!(
            "<https://shop.example/u/{}>, <mailto:unsubscribe+{}@shop.example>",
            "a".repeat(42),
            "a".repeat(42)
        );
        let mut envelope = with_header("List-Unsubscribe", &value);
        if let Content::Email { return_path, .. } = &mut envelope.content {
            *return_path = Some("bounces+x@example.net".to_owned());
        }
        let mail = build(&envelope).unwrap();
        assert_eq!(mail.from.to_string(), "bounces+x@example.net");
        let expected = format!("\r\nList-Unsubscribe: {}\r\n", value.replace(", ", ",\r\n "));
        assert!(mail.text.contains(&expected), "{}", mail.text);
        assert!(
            mail.text.contains("\r\nList-Unsubscribe: ") && mail.text.starts_with("From: Shop <hello@example.com>")
        );
    }

    #[test]
    fn no_header_can_carry_another_one() {
        for value in ["a\r\nBcc: all@example.com", "a\n", "a\rb", "a\0b", "a\u{85}b"] {
            assert_eq!(
                build(&with_header("List-Id", value)).err(),
                Some(MailError::ControlCharacter("header")),
                "{value:?}"
            );
        }
        assert_eq!(build(&with_header("X\r\nBcc", "a")).err(), Some(MailError::ControlCharacter("header's name")));
        assert_eq!(build(&with_header("List Id", "a")).err(), Some(MailError::Header));
        assert_eq!(build(&with_header("List-Id", "سلام")).err(), Some(MailError::Header));
    }

    #[test]
    fn each_attempt_has_the_same_bytes() {
        let envelope = envelope("Hi", Some("<p>Hi</p>"), "Hi");
        assert_eq!(build(&envelope).unwrap().text, build(&envelope).unwrap().text);
    }

    #[test]
    fn a_server_of_seven_bits_can_take_every_mail() {
        let persian = "سلام ".repeat(500);
        let long = "a".repeat(5000);
        for (html, text) in [(Some(persian.as_str()), "short"), (None, persian.as_str()), (Some(long.as_str()), &long)]
        {
            let mail = build(&envelope(&"سلام ".repeat(60), html, text)).unwrap().text;
            assert!(mail.is_ascii());
            assert!(mail.split("\r\n").all(|line| line.len() <= LINE_LIMIT));
            assert!(!mail.replace("\r\n", "").contains(['\r', '\n']));
        }
    }

    #[test]
    fn what_cannot_be_a_mail_is_refused_with_its_place() {
        let subject = |subject: &str| build(&envelope(subject, None, "x")).err();
        assert_eq!(subject("Hi\r\nBcc: all@example.com"), Some(MailError::ControlCharacter("subject")));
        assert_eq!(subject("Hi\n"), Some(MailError::ControlCharacter("subject")));
        assert_eq!(subject(&"a".repeat(2000)), Some(MailError::LineTooLong));
        assert_eq!(build(&with_from("a\r\nb <a@example.com>")).err(), Some(MailError::ControlCharacter("sender")));
        assert_eq!(build(&with_from("nobody")).err(), Some(MailError::From));
        let mut to = with_from("a@example.com");
        to.to = "sara@نامه.ایران".to_owned();
        assert_eq!(build(&to).err(), Some(MailError::Recipient));
        to.to = "sara@example.org\nX: y".to_owned();
        assert_eq!(build(&to).err(), Some(MailError::ControlCharacter("recipient")));
        to.content = Content::text("x");
        assert_eq!(build(&to).err(), Some(MailError::NotMail));
        assert_eq!(
            MailError::Recipient.outcome(),
            Outcome::Rejected {
                reason: Reason::Unbuildable,
                reply: "the recipient is not an ASCII e-mail address".to_owned(),
                suppress: false,
            }
        );
    }

    #[test]
    fn a_sender_may_have_a_name_in_any_script_and_in_quotes() {
        let check = |from: &str, expected: &str| {
            let text = build(&with_from(from)).unwrap().text;
            assert_eq!(text.split("\r\n").next().unwrap(), format!("From: {expected}"));
        };
        check("hello@example.com", "hello@example.com");
        check("<hello@example.com>", "hello@example.com");
        check("\"Shop, Ltd\" <hello@example.com>", "=?utf-8?b?U2hvcCwgTHRk?= <hello@example.com>");
        check("فروشگاه <hello@example.com>", "=?utf-8?b?2YHYsdmI2LTar9in2Yc=?= <hello@example.com>");
    }

    #[test]
    fn line_ends_become_crlf() {
        for (input, expected) in
            [("a\nb", "a\r\nb"), ("a\r\nb\r\n", "a\r\nb\r\n"), ("a\rb\n\n", "a\r\nb\r\n\r\n"), ("", "")]
        {
            assert_eq!(with_crlf(input), expected, "{input:?}");
        }
    }
}
