//! What an operator takes for a link in a text.

/// Endings of names that people and operators take for an address, with or without `https://`.
const ENDINGS: &[&str] = &["ir", "com", "net", "org", "io", "me", "co", "info", "shop", "app", "link", "ly", "biz"];

/// What an operator takes for a link: an address with its scheme, or a name such as `shop.ir/a`.
/// Gives its beginning without path, which may be a member's own.
pub fn find_link(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-');
    for word in lower.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '«' | '»' | '"' | ',' | '،')) {
        let (scheme, rest) = match word.find("://") {
            Some(at) if word[..at].ends_with("http") || word[..at].ends_with("https") => (true, &word[at + 3..]),
            _ => (false, word),
        };
        let name: String = rest.chars().take_while(|c| is_name(*c)).collect();
        let name = name.trim_matches(['.', '-']);
        // What stands before an @ is no name of a host, and what is after it is a mail's.
        let mail = rest[..].chars().nth(name.chars().count()) == Some('@');
        let ending = name.rsplit_once('.').filter(|(host, _)| !host.is_empty()).map(|(_, ending)| ending);
        if !name.is_empty() && !mail && (scheme || ending.is_some_and(|ending| ENDINGS.contains(&ending))) {
            return Some(name.to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_link_is_what_an_operator_takes_for_one() {
        for (text, link) in [
            ("see https://shop.example/a?b=c", Some("shop.example")),
            ("HTTP://10.0.0.1:80", Some("10.0.0.1")),
            ("www.shop.ir", Some("www.shop.ir")),
            ("در shop.ir/x ببینید", Some("shop.ir")),
            ("(bit.ly/abc)", Some("bit.ly")),
            ("Shop.COM.", Some("shop.com")),
            ("write to a@shop.ir", None),
            ("3.5 million, e.g. you", None),
            ("version 1.2.3 of v.4", None),
            ("سلام. خوبید؟", None),
            ("", None),
        ] {
            assert_eq!(find_link(text).as_deref(), link, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_on_any_text(text in "\\PC*") {
            let _ = find_link(&text);
        }
    }
}
