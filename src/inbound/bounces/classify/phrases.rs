//! Whether a text says a phrase, and means it.

/// So much of a text is looked at for words, in bytes.
const LONGEST: usize = 16 << 10;
/// What `…` in a phrase may stand for, in bytes.
const GAP: usize = 80;
/// Services that list who sends spam: their name in a host or a link is a reason.
const LISTS: &[&str] =
    &["spamhaus", "spamcop", "barracudacentral", "sorbs.net", "dnsbl", "uceprotect", "surbl", "uribl"];

/// Names of products that stand in their notices: their words are no reason.
#[rustfmt::skip]
const PRODUCTS: &[&str] = &[
    "unknown address error", // what one gateway says before any answer of the other server
    "email security", "e-mail security", "mail security", "messaging security", "content security", "security suite",
    "security gateway", "security appliance", "security.cloud", "internet security", "web security", "virus wall", "viruswall",
    "spam firewall", "spam & virus firewall", "email firewall", "mail firewall", "mail filter", "e-mail filter", "email filter",
    "antivirus for", "anti-virus for", "mailsweeper", "mimesweeper",
];

/// Words before a guess.
#[rustfmt::skip]
const MAYBE: &[&str] = &[
    "may", "might", "maybe", "perhaps", "possibly", "possible", "probably", "likely", "usually", "whether", "if",
    "could have", "appears", "seems", "such as", "for example", "e.g.", "möglicherweise", "eventuell", "könnte", "vielleicht",
    "peut-être", "pourrait", "puede que", "podría", "quizás", "pode não", "talvez", "potrebbe", "forse", "mogelijk",
    "misschien", "być może", "belki", "возможно", "может не",
];
/// Words after one.
const MAYBE_AFTER: &[&str] = &[
    "or is unable to receive",
    "or the recipient's mailbox is unavailable",
    "可能",
    "か、",
    "かもしれ",
    "또는",
    "수 있습니다",
    "olabilir",
];

/// Text as the rules look at it: lower case, single blanks, without addresses, host names and links,
/// whose words say nothing about the reason.
pub(super) fn plain(text: &str) -> String {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let lower = text[..end].to_lowercase().replace(['’', '‘', '´', '`'], "'").replace('_', " ");
    let lower =
        PRODUCTS.iter().fold(lower, |text, name| if text.contains(name) { text.replace(name, "") } else { text });
    let mut out = String::with_capacity(lower.len());
    for word in lower.split_whitespace() {
        if LISTS.iter().any(|list| word.contains(list)) {
            out.push_str("blocklist ");
        } else if word.contains("resolver.") || word.contains("storedrv.") || !is_host_or_link(word) {
            without_address(word, &mut out);
            out.push(' ');
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Cuts addresses out of a word; languages without blanks write on after them.
fn without_address(word: &str, out: &mut String) {
    let is_address = |c: char| c.is_ascii_alphanumeric() || "!#$%&*+-/=?^_{|}~.<>\"".contains(c);
    let mut rest = word;
    while let Some(at) = rest.find('@') {
        let before = rest[..at].trim_end_matches(is_address);
        out.push_str(before);
        let after = &rest[at + 1..];
        let domain = after.len() - after.trim_start_matches(is_address).len();
        // `sara@example.com...user unknown`
        rest = &after[after.find("..").map_or(domain, |dots| domain.min(dots))..];
    }
    out.push_str(rest);
}

fn is_host_or_link(word: &str) -> bool {
    if word.contains("://") || word.starts_with("www.") {
        return true;
    }
    let name = word.trim_start_matches(['(', '[', '<', '"']);
    let name = &name[..name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.')).unwrap_or(name.len())];
    name.trim_end_matches('.').matches('.').count() >= 2
}

/// Whether a text says a phrase. `…` stands for a few words; Latin letters end where words end.
pub(super) fn says(text: &str, phrase: &str) -> bool {
    any_span(text, phrase, &mut |_, _| true)
}

/// Whether a text says a phrase and means it: "the address may no longer exist" is no proof.
pub(super) fn asserts(text: &str, phrase: &str) -> bool {
    any_span(text, phrase, &mut |start, end| {
        let mut from = start.saturating_sub(GAP);
        while !text.is_char_boundary(from) {
            from += 1;
        }
        let sentence = from + text[from..start].rfind(". ").unwrap_or(0);
        let after = text[end..].split(['。', '.', ';']).next().unwrap_or_default();
        let guesses = MAYBE.iter().any(|word| says(&text[sentence..end], word));
        !guesses && !MAYBE_AFTER.iter().any(|word| after.contains(word))
    })
}

/// Whether one of the places where a text says a phrase is accepted.
fn any_span(text: &str, phrase: &str, accept: &mut dyn FnMut(usize, usize) -> bool) -> bool {
    let (first, rest) = phrase.split_once(" … ").map_or((phrase, None), |(first, rest)| (first, Some(rest)));
    text.match_indices(first).filter(|(at, _)| is_whole(text, *at, first)).any(|(start, _)| {
        let end = start + first.len();
        let Some(rest) = rest else { return accept(start, end) };
        let mut limit = text.len().min(end + GAP);
        while !text.is_char_boundary(limit) {
            limit += 1;
        }
        any_span(&text[end..limit], rest, &mut |_, after| accept(start, end + after))
    })
}

fn is_whole(text: &str, at: usize, phrase: &str) -> bool {
    let letter = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let begins = letter(phrase.chars().next()) && letter(text[..at].chars().next_back());
    let ends = letter(phrase.chars().next_back()) && letter(text[at + phrase.len()..].chars().next());
    !begins && !ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_plain_before_it_is_looked_at() {
        assert_eq!(plain("User <a.b@spam.example.com>\n  UNKNOWN; see http://blocked.example"), "user unknown; see");
        assert_eq!(plain("host mx.spam.example.com[192.0.2.1] said: 550"), "said: 550".replace("said", "host said"));
        assert_eq!(plain("blocked? https://www.spamhaus.org/q"), "blocked? blocklist");
        assert_eq!(plain("宛先sara@example.comが存在しません"), "宛先が存在しません");
        assert_eq!(plain("l’adresse"), "l'adresse");
    }

    #[test]
    fn a_guess_is_no_assertion() {
        let check = |text: &str, phrase: &str, expected: bool| {
            assert!(says(&plain(text), phrase), "{text}");
            assert_eq!(asserts(&plain(text), phrase), expected, "{text}");
        };
        check("The address does not exist.", "does not exist", true);
        check("Perhaps. The address does not exist.", "does not exist", true);
        check("It appears that the address does not exist.", "does not exist", false);
        check("The mailbox may be disabled.", "mailbox … disabled", false);
        check("The mailbox was disabled.", "mailbox … disabled", true);
        check("Either may be: mailbox disabled. The mailbox is disabled.", "mailbox … disabled", true);
        check("The address couldn't be found, or is unable to receive mail.", "couldn't be found", false);
        check("グループが存在しないか、権限がない可能性があります", "存在しない", false);
        check("宛先が存在しません。可能性", "存在しません", true);
    }
}
