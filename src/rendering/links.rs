//! The links that messages carry back to us. Their tokens are signed and say nothing about anybody; a
//! followed link's target is signed with its message, so that nobody can send people elsewhere through us.

use data_encoding::BASE64URL_NOPAD;
use uuid::Uuid;

use super::marks::{FOREIGN, OWN, unmarked};
use crate::domain::token::{TokenKey, TokenUse};
use crate::domain::track::Track;

/// Where an address may lead that a value brought.
const SCHEMES: &[&str] = &["http", "https", "mailto", "tel", "sms", "cid"];

/// Where a message's recipient stops such messages: RFC 8058's address, and a page with one button.
pub fn unsubscribe_url(base_url: &str, tokens: &TokenKey, message: Uuid) -> String {
    format!("{base_url}/u/{}", tokens.token(TokenUse::Unsubscribe, message))
}

/// Where a message's recipient says what to get.
pub fn preferences_url(base_url: &str, tokens: &TokenKey, message: Uuid) -> String {
    format!("{base_url}/p/{}", tokens.token(TokenUse::Unsubscribe, message))
}

/// The picture whose loading says that a mail was opened.
fn open_url(base_url: &str, tokens: &TokenKey, message: Uuid) -> String {
    format!("{base_url}/o/{}", tokens.token(TokenUse::Open, message))
}

/// The way to a target through us. `to` is the signature over message and target, then the target.
pub fn click_url(base_url: &str, tokens: &TokenKey, message: Uuid, target: &str) -> String {
    let mut to = tokens.sign(TokenUse::Click, &signed(message, target)).to_vec();
    to.extend_from_slice(target.as_bytes());
    format!("{base_url}/c/{}?to={}", tokens.token(TokenUse::Click, message), BASE64URL_NOPAD.encode(&to))
}

/// The message and the target of a followed link; `None` where we did not sign it.
pub fn click_target(tokens: &TokenKey, token: &str, to: &str) -> Option<(Uuid, String)> {
    let message = tokens.message(TokenUse::Click, token)?;
    let bytes = BASE64URL_NOPAD.decode(to.as_bytes()).ok()?;
    let (signature, target) = bytes.split_at_checked(TokenKey::SIGNATURE)?;
    let target = std::str::from_utf8(target).ok()?;
    tokens.verify(TokenUse::Click, &signed(message, target), signature).then(|| (message, target.to_owned()))
}

fn signed(message: Uuid, target: &str) -> Vec<u8> {
    [message.as_bytes(), target.as_bytes()].concat()
}

/// HTML in which no address that a value brought does anything but lead somewhere.
pub(super) fn harmless(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find(FOREIGN) {
        out.push_str(&rest[..at]);
        rest = &rest[at + FOREIGN.len_utf8()..];
        // What a value follows that was written already does not begin the address.
        let before = out.trim_end_matches(|c: char| c.is_whitespace() || c == OWN);
        let quote = before.chars().next_back().filter(|c| matches!(c, '"' | '\''));
        let end = quote.and_then(|quote| rest.find(quote)).unwrap_or(0);
        if leads(&unescape(&rest[..end])) {
            continue;
        }
        out.push('#');
        rest = &rest[end..];
    }
    out + rest
}

/// Whether an address names no scheme, or one by which people are led somewhere. Mail programs skip blanks and
/// controls in it.
fn leads(address: &str) -> bool {
    let address: String = address.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
    let address = unmarked(&address);
    match address.find([':', '/', '?', '#']) {
        Some(end) if address[end..].starts_with(':') => {
            SCHEMES.iter().any(|scheme| address[..end].eq_ignore_ascii_case(scheme))
        }
        _ => true,
    }
}

/// An HTML mail whose links lead through us, and whose end is a picture, as `track` wants.
/// Links to our own pages stay, as does what is not a web address, and what a value brought: whoever filled it in
/// would lead people elsewhere in our name.
pub(super) fn tracked(html: &str, base_url: &str, tokens: &TokenKey, message: Uuid, track: Track) -> String {
    let html = if track.clicks { through_us(html, base_url, tokens, message) } else { html.to_owned() };
    let mut html = unmarked(&html);
    if track.opens {
        let picture =
            format!("<img src=\"{}\" width=\"1\" height=\"1\" alt=\"\">", open_url(base_url, tokens, message));
        let end = html.to_ascii_lowercase().rfind("</body").unwrap_or(html.len());
        html.insert_str(end, &picture);
    }
    html
}

fn through_us(html: &str, base_url: &str, tokens: &TokenKey, message: Uuid) -> String {
    let ours = ["u", "p"].map(|page| format!("{base_url}/{page}/"));
    let mut out = String::with_capacity(html.len() * 2);
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        // Comments hold what only some mail programs read; nobody clicks in them.
        let length = if rest.starts_with("<!--") {
            rest.find("-->").map_or(rest.len(), |end| end + 3)
        } else {
            tag_length(rest)
        };
        let tag = &rest[..length];
        let own = |at: std::ops::Range<usize>| Some((at.clone(), unescape(tag[at].trim().strip_prefix(OWN)?)));
        let target = href(tag).and_then(own).map(|(at, target)| (at, unmarked(&target)));
        match target {
            Some((at, target)) if is_web(&target) && !ours.iter().any(|page| target.starts_with(page)) => {
                out.push_str(&tag[..at.start]);
                out.push_str(&click_url(base_url, tokens, message, &target));
                out.push_str(&tag[at.end..]);
            }
            _ => out.push_str(tag),
        }
        rest = &rest[length..];
    }
    out + rest
}

fn is_web(target: &str) -> bool {
    let starts = |scheme: &str| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    starts("https://") || starts("http://")
}

/// How long a tag is: to its `>` outside of quotes.
fn tag_length(text: &str) -> usize {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, '>') => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Where the value of `href` stands in an `a` tag, without its quotes.
fn href(tag: &str) -> Option<std::ops::Range<usize>> {
    let attributes = tag.strip_prefix("<a").or_else(|| tag.strip_prefix("<A"))?;
    if !attributes.starts_with(|c: char| c.is_ascii_whitespace()) {
        return None;
    }
    let mut at = tag.len() - attributes.len();
    loop {
        at += tag[at..].find(|c: char| !c.is_ascii_whitespace() && c != '/')?;
        let name = tag[at..].find(|c: char| c.is_ascii_whitespace() || c == '=' || c == '>')?;
        let is_href = tag[at..at + name].eq_ignore_ascii_case("href");
        at += name;
        let Some(value) = tag[at..].trim_start().strip_prefix('=') else {
            if name == 0 {
                return None;
            }
            continue;
        };
        let value = value.trim_start();
        at = tag.len() - value.len();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let length = match quote {
            Some(quote) => {
                at += 1;
                tag[at..].find(quote)?
            }
            None => value.find(|c: char| c.is_ascii_whitespace() || c == '>')?,
        };
        if is_href {
            return Some(at..at + length);
        }
        at += length + usize::from(quote.is_some());
    }
}

/// An attribute's text without the references of HTML: the numbers, and the names that are written in addresses.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let reference = rest.find(';').filter(|end| *end <= 10).map(|end| &rest[1..end]);
        let decoded = reference.and_then(|reference| match reference.strip_prefix('#') {
            Some(number) => {
                let code = match number.strip_prefix(['x', 'X']) {
                    Some(hex) => u32::from_str_radix(hex, 16),
                    None => number.parse(),
                };
                code.ok().and_then(char::from_u32)
            }
            None => [("amp", '&'), ("lt", '<'), ("gt", '>'), ("quot", '"'), ("apos", '\'')]
                .into_iter()
                .find_map(|(name, c)| (name == reference).then_some(c)),
        });
        let taken = match (decoded, reference) {
            (Some(c), Some(reference)) => {
                out.push(c);
                reference.len() + 2
            }
            _ => {
                out.push('&');
                1
            }
        };
        rest = &rest[taken..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://shop.example";
    const MESSAGE: Uuid = Uuid::from_u128(7);

    fn key() -> TokenKey {
        TokenKey::new([7; 32])
    }

    /// HTML as a template's own text.
    fn written(html: &str) -> String {
        super::super::html::Html::default().text(html)
    }

    /// The targets of a mail's links, in order; those that lead through us after an arrow.
    fn targets(html: &str) -> Vec<String> {
        let tracked = unmarked(&through_us(&written(html), BASE, &key(), MESSAGE));
        let mut found = Vec::new();
        let mut rest = tracked.as_str();
        while let Some(start) = rest.find('<') {
            let tag = &rest[start..start + tag_length(&rest[start..])];
            if let Some(at) = href(tag) {
                let target = &tag[at];
                found.push(
                    match target.strip_prefix("https://shop.example/c/").and_then(|rest| rest.split_once("?to=")) {
                        Some((token, to)) => format!("-> {}", click_target(&key(), token, to).unwrap().1),
                        None => target.to_owned(),
                    },
                );
            }
            rest = &rest[start + tag.len()..];
        }
        found
    }

    #[test]
    fn links_lead_through_us_and_all_else_stays() {
        let check = |html: &str, expected: &[&str]| assert_eq!(targets(html), expected, "{html}");
        check(r#"<p><a href="https://a.example/x?a=1&amp;b&#x3D;2">x</a>"#, &["-> https://a.example/x?a=1&b=2"]);
        check("<A target=_blank HREF='HTTP://a.example'>x</A>", &["-> HTTP://a.example"]);
        check("<a href=https://a.example/>x</a>", &["-> https://a.example/"]);
        check(r#"<a title="a > b" data-href="https://no" href = "https://a.example">x</a>"#, &["-> https://a.example"]);
        check(r#"<a href="https://a.example/سلام">x</a>"#, &["-> https://a.example/سلام"]);
        check(r##"<a href="mailto:a@b.c">x</a><a href="#top">x</a><a name=x>"##, &["mailto:a@b.c", "#top"]);
        check(&format!("<a href=\"{BASE}/u/abc\">x</a>"), &["https://shop.example/u/abc"]);
        check("<abbr href=\"https://a.example\"><link href=\"https://a.example\">", &[]);
        for html in
            ["", "<", "<a", "<a ", "<a href", "<a href=", "<a href=\"https://", "<a href=\"x\" <a>", "&<&;>", "a<!--"]
        {
            assert_eq!(unmarked(&through_us(&written(html), BASE, &key(), MESSAGE)), html);
        }
        let comment = "<!--[if mso]><a href=\"https://a.example\"><![endif]-->";
        assert_eq!(through_us(&written(comment), BASE, &key(), MESSAGE), comment);
    }

    #[test]
    fn a_target_that_we_did_not_sign_leads_nowhere() {
        let url = click_url(BASE, &key(), MESSAGE, "https://a.example/");
        let (token, to) = url.strip_prefix("https://shop.example/c/").unwrap().split_once("?to=").unwrap();
        assert_eq!(click_target(&key(), token, to), Some((MESSAGE, "https://a.example/".to_owned())));
        let evil = BASE64URL_NOPAD.encode(&[&[0; 10][..], b"https://evil.example/"].concat());
        let other = key().token(TokenUse::Click, Uuid::from_u128(8));
        for (token, to) in
            [(token, evil.as_str()), (&other, to), (token, ""), (token, "§"), ("", to), (token, &to[1..])]
        {
            assert_eq!(click_target(&key(), token, to), None, "{token} {to}");
        }
    }

    #[test]
    fn the_picture_stands_at_the_end_and_only_what_is_asked_for_is_tracked() {
        let html = "<html><BODY><a href=\"https://a.example\">x</a></BODY></html>";
        let with = |opens, clicks| tracked(&written(html), BASE, &key(), MESSAGE, Track { opens, clicks });
        assert_eq!(with(false, false), html);
        assert!(with(true, false).contains("height=\"1\" alt=\"\"></BODY>"), "{}", with(true, false));
        assert!(!with(true, false).contains("/c/") && with(false, true).contains("/c/"));
        assert!(!with(false, true).contains("<img"));
    }
}
