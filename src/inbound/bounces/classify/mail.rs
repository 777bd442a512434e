//! Reads a mail as far as a bounce needs it: headers, the parts in order, their text decoded. It
//! takes what it finds: broken MIME, a missing boundary, a wrong charset are usual here. What is
//! looked at is bounded, whatever the mail is.

use std::borrow::Cow;

use mail_parser::MessageParser;
use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::decoders::html::html_to_text;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;

/// So much of a mail is looked at, in bytes.
pub const LARGEST: usize = 10 << 20;
/// So much of one part's text, in bytes before it is decoded.
const LARGEST_TEXT: usize = 128 << 10;
/// So much of a mail's headers.
const LARGEST_HEADERS: usize = 128 << 10;
/// How deep multiparts are opened.
const DEEPEST: usize = 6;
/// How many parts are looked at.
const MOST_PARTS: usize = 40;

/// A header's name in lower case and its unfolded value.
pub(super) type Field = (String, String);

/// A mail, taken apart.
#[derive(Debug, Default)]
pub(super) struct Mail {
    pub headers: Vec<Field>,
    pub parts: Vec<Part>,
}

/// A part that is not a multipart.
#[derive(Debug)]
pub(super) struct Part {
    /// The media type in lower case.
    pub kind: String,
    pub text: String,
}

impl Mail {
    pub fn read(raw: &[u8]) -> Self {
        let raw = with_lines(&raw[..raw.len().min(LARGEST)]);
        let (_, body) = split(without_envelope(&raw));
        let mut mail = Self::headers(&raw);
        open(&mail.headers, body, 0, &mut mail.parts);
        mail
    }

    /// The headers alone.
    pub fn headers(raw: &[u8]) -> Self {
        let raw = with_lines(raw);
        let (headers, _) = split(without_envelope(&raw));
        let headers = fields(&decoded(&headers[..headers.len().min(LARGEST_HEADERS)], None));
        Self { headers, parts: Vec::new() }
    }

    /// The first header of a name in lower case; empty without one.
    pub fn header(&self, name: &str) -> &str {
        first(&self.headers, name).unwrap_or_default()
    }

    /// Every header of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The header with its encoded words (RFC 2047) decoded, in lower case.
    pub fn words_of(&self, name: &str) -> String {
        self.decoded(name).to_lowercase()
    }

    /// The header with its encoded words decoded.
    pub fn decoded(&self, name: &str) -> String {
        let raw = format!("Subject: {}\r\n\r\n", self.header(name));
        let parsed = MessageParser::default().parse_headers(raw.as_bytes());
        let decoded = parsed.as_ref().and_then(|message| message.subject()).unwrap_or_else(|| self.header(name));
        decoded.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The text of all parts.
    pub fn all_text(&self) -> String {
        self.parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join("\n\n")
    }

    /// The first part of a media type.
    pub fn part(&self, kinds: &[&str]) -> Option<&Part> {
        self.parts.iter().find(|part| kinds.contains(&part.kind.as_str()))
    }
}

/// The first field of a name.
pub(super) fn first<'a>(fields: &'a [Field], name: &str) -> Option<&'a str> {
    fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

/// Header fields of a text, unfolded. A line that is none is left out.
pub(super) fn fields(text: &str) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    for line in text.lines() {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':')
            && !name.is_empty()
            && name.trim_end().bytes().all(|b| b.is_ascii_graphic())
        {
            fields.push((name.trim_end().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    fields
}

/// With the line ends that are looked for: there are mails that have carriage returns alone.
fn with_lines(raw: &[u8]) -> Cow<'_, [u8]> {
    let head = &raw[..raw.len().min(LARGEST_HEADERS)];
    if head.contains(&b'\n') || !head.contains(&b'\r') {
        return Cow::Borrowed(raw);
    }
    raw.iter().map(|b| if *b == b'\r' { b'\n' } else { *b }).collect::<Vec<_>>().into()
}

/// Without the `From ` line of mbox files, a byte order mark and blank lines before the headers.
fn without_envelope(mut raw: &[u8]) -> &[u8] {
    raw = raw.strip_prefix(b"\xef\xbb\xbf").unwrap_or(raw);
    raw = raw.trim_ascii_start();
    while raw.starts_with(b"From ") || raw.starts_with(b">From ") {
        let end = raw.iter().position(|b| *b == b'\n').map_or(raw.len(), |at| at + 1);
        raw = raw[end..].trim_ascii_start();
    }
    raw
}

/// The headers, and what follows the first blank line.
pub(super) fn split(raw: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    while at < raw.len() {
        let end = raw[at..].iter().position(|b| *b == b'\n').map_or(raw.len(), |found| at + found + 1);
        if raw[at..end].trim_ascii().is_empty() {
            return (&raw[..at], &raw[end..]);
        }
        at = end;
    }
    (raw, &[])
}

/// Opens one level of a mail.
fn open(headers: &[Field], body: &[u8], depth: usize, parts: &mut Vec<Part>) {
    if parts.len() >= MOST_PARTS {
        return;
    }
    let content_type = first(headers, "content-type").unwrap_or_default();
    let kind = content_type.split([';', ' ', '\t']).next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind.starts_with("multipart/") && depth < DEEPEST {
        let boundary = parameter(content_type, "boundary").filter(|boundary| !boundary.is_empty());
        let sections = boundary.map(|boundary| sections(body, boundary.as_bytes())).unwrap_or_default();
        if !sections.is_empty() {
            for section in sections {
                let (raw, rest) = split(section);
                let headers = fields(&decoded(&raw[..raw.len().min(LARGEST_HEADERS)], None));
                let has = |names: &[&str]| headers.iter().any(|(name, _)| names.contains(&name.as_str()));
                if has(&["received", "return-path", "message-id"]) {
                    // The mail that came back, without a type of its own.
                    let section = &section[..section.len().min(LARGEST_TEXT)];
                    parts.push(Part { kind: "message/rfc822".to_owned(), text: decoded(section, None).into_owned() });
                    continue;
                }
                // A part may begin with its text at once, without headers.
                let is_bare = !raw.is_empty() && headers.is_empty();
                open(&headers, if is_bare { section } else { rest }, depth + 1, parts);
            }
            return;
        }
    }
    let body = &body[..body.len().min(2 * LARGEST_TEXT)];
    let encoding = first(headers, "content-transfer-encoding").unwrap_or_default().trim().to_ascii_lowercase();
    let body = match encoding.as_str() {
        "base64" => Cow::Owned(from_base64(body)),
        "quoted-printable" => quoted_printable_decode(body).map_or(Cow::Borrowed(body), Cow::Owned),
        _ => Cow::Borrowed(body),
    };
    let body = &body[..body.len().min(LARGEST_TEXT)];
    let text = decoded(body, parameter(content_type, "charset").as_deref()).into_owned();
    // Without a usable type, and where a multipart has no parts, it is text.
    let kind = match kind.as_str() {
        "" | "text" => "text/plain".to_owned(),
        kind if kind.starts_with("multipart/") => "text/plain".to_owned(),
        _ => kind,
    };
    let text = if kind == "text/html" { html_to_text(&text) } else { text };
    parts.push(Part { kind, text });
}

/// What stands between the boundary lines.
fn sections<'a>(body: &'a [u8], boundary: &[u8]) -> Vec<&'a [u8]> {
    let mut sections = Vec::new();
    let mut open: Option<usize> = None;
    let mut at = 0;
    while at < body.len() && sections.len() < MOST_PARTS {
        let end = body[at..].iter().position(|b| *b == b'\n').map_or(body.len(), |found| at + found + 1);
        let line = body[at..end].trim_ascii_end();
        if let Some(rest) = line.strip_prefix(b"--").and_then(|rest| rest.strip_prefix(boundary)) {
            let is_end = rest == b"--";
            if is_end || rest.is_empty() {
                sections.extend(open.map(|start| &body[start..at]));
                open = (!is_end).then_some(end);
            }
        }
        at = end;
    }
    if sections.len() < MOST_PARTS {
        // The mail was cut off.
        sections.extend(open.filter(|start| *start < body.len()).map(|start| &body[start..]));
    }
    sections
}

/// A parameter of a structured header, quoted or not.
pub(super) fn parameter(value: &str, name: &str) -> Option<String> {
    let lower = value.to_ascii_lowercase();
    let mut from = 0;
    while let Some(found) = lower[from..].find(name) {
        let at = from + found;
        from = at + name.len();
        let is_start = lower[..at].ends_with([';', ' ', '\t']);
        let Some(rest) = value[from..].trim_start().strip_prefix('=').filter(|_| is_start) else { continue };
        let rest = rest.trim_start();
        let found = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split('"').next(),
            None => rest.split([';', ' ', '\t']).next(),
        };
        return found.map(|text| text.trim_end().to_owned());
    }
    None
}

/// As much as can be read of base 64 that may be broken.
fn from_base64(text: &[u8]) -> Vec<u8> {
    let is_letter = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    let mut letters: Vec<u8> = text.iter().copied().filter(is_letter).collect();
    letters.truncate(letters.len() / 4 * 4);
    base64_decode(&letters).unwrap_or_else(|| text.to_vec())
}

/// Bytes as text: UTF-8 where they are, else the charset that is named, else by what they look like.
fn decoded<'a>(bytes: &'a [u8], charset: Option<&str>) -> Cow<'a, str> {
    // ISO 2022-JP shifts with escapes, all in ASCII.
    if bytes.windows(3).any(|window| window == b"\x1b$B" || window == b"\x1b$@")
        && let Some(decode) = charset_decoder(b"iso-2022-jp")
    {
        return decode(bytes).into();
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => return text.into(),
        // A text of UTF-8 that was cut in a character is still one.
        Err(error) if error.error_len().is_none() => return String::from_utf8_lossy(bytes),
        Err(_) => {}
    }
    let named = charset.filter(|name| !matches!(name.to_ascii_lowercase().as_str(), "utf-8" | "utf8" | "us-ascii"));
    named
        .and_then(|name| charset_decoder(name.as_bytes()))
        .or_else(|| charset_decoder(b"windows-1252"))
        .map_or_else(|| String::from_utf8_lossy(bytes), |decode| decode(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Mail {
        Mail::read(text.as_bytes())
    }

    fn parts(mail: &Mail) -> Vec<(&str, &str)> {
        mail.parts.iter().map(|part| (part.kind.as_str(), part.text.trim())).collect()
    }

    #[test]
    fn headers_are_unfolded_and_decoded() {
        let mail = read("\n\nFrom x Mon\nSubject: =?utf-8?B?2LPZhNin2YU=?=\n of\r\n\tday\nTo: a\nTo: b\n\ntext: x\n");
        assert_eq!(mail.words_of("subject"), "سلام of day");
        assert_eq!(mail.all("to").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(mail.header("text"), "");
        assert_eq!(parts(&mail), [("text/plain", "text: x")]);
    }

    #[test]
    fn parts_are_found_whole_broken_and_cut_off() {
        let whole = "Content-Type: multipart/report; report-type=x;\n boundary=\"b=1\"\n\npreamble\n--b=1\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nf=FCr\n--b=1\nContent-Type: message/delivery-status\n\nAction: failed\n--b=1--\nrest";
        assert_eq!(parts(&read(whole)), [("text/plain", "für"), ("message/delivery-status", "Action: failed")]);
        let cut = whole.split("--b=1--").next().unwrap();
        assert_eq!(parts(&read(cut)).len(), 2);
        let without = "Content-Type: multipart/mixed\n\n--x\n\ntext";
        assert_eq!(parts(&read(without)), [("text/plain", "--x\n\ntext")]);
        let nested = "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\nplain\n--b\nContent-Type: text/html\n\n<p>html</p>\n--b--\n--a--\n";
        assert_eq!(parts(&read(nested)), [("text/plain", "plain"), ("text/html", "html")]);
    }

    #[test]
    fn what_is_looked_at_is_bounded() {
        let mut deep = String::new();
        for level in 0..500 {
            deep.push_str(&format!("Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n"));
        }
        assert_eq!(read(&deep).parts.len(), 1);
        let many = format!("Content-Type: multipart/mixed; boundary=b\n\n{}", "--b\n\nx\n".repeat(5000));
        assert_eq!(read(&many).parts.len(), MOST_PARTS);
        let long = format!("Subject: x\n\n{}", "x".repeat(1 << 20));
        assert_eq!(read(&long).parts[0].text.len(), LARGEST_TEXT);
    }

    #[test]
    fn texts_in_other_charsets_are_read() {
        let check = |bytes: &[u8], charset: Option<&str>, expected: &str| {
            assert_eq!(decoded(bytes, charset), expected);
        };
        check("سلام".as_bytes(), Some("iso-8859-1"), "سلام");
        check(b"f\xfcr", None, "für");
        check(b"f\xfcr", Some("utf-8"), "für");
        check(b"\x1b$B08@h\x1b(B", None, "宛先");
        check(&[0xcd, 0xe5, 0xf2, 0x21, 0xe5], Some("windows-1251"), "Нет!е");
        check(&from_base64(b"c2Fs\r\nYW 0=="), None, "salam");
    }
}
