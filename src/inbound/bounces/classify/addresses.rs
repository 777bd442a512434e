//! E-mail addresses in text that people and programs wrote.

/// So many addresses of one text are looked at.
const MOST: usize = 200;

/// The addresses of a text in order, each once. More lenient than what this project sends to: a
/// bounce names the address as somebody else wrote it.
pub(super) fn addresses(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (at, _) in text.match_indices('@') {
        let local = local_part(&text[..at]);
        let rest = &text[at + 1..];
        let domain = &rest[..rest.find(|c: char| !is_domain(c)).unwrap_or(rest.len())];
        if runs_on(domain, &rest[domain.len()..]) {
            continue;
        }
        // `sara@example.com...User unknown`
        let domain = domain.split("..").next().unwrap_or(domain).trim_end_matches(['.', '-']);
        let is_domain = domain.contains('.') && !domain.starts_with(['.', '-']);
        if local.is_empty() || local.len() > 128 || !is_domain || domain.len() > 253 {
            continue;
        }
        let address = format!("{local}@{}", domain.to_ascii_lowercase());
        if !found.iter().any(|other| other.eq_ignore_ascii_case(&address)) {
            found.push(address);
        }
        if found.len() == MOST {
            break;
        }
    }
    found
}

/// Whether what looks like a domain is a piece of one, or more than one: a line end was lost and the
/// next field's name stands right after it, or quoted-printable text that nobody decoded goes on in the
/// next line.
fn runs_on(domain: &str, after: &str) -> bool {
    #[rustfmt::skip]
    const FIELDS: &[&str] = &[
        "action", "status", "subject", "received", "return-path", "message-id", "content-type", "mime-version",
        "delivered-to", "diagnostic-code", "remote-mta", "reporting-mta", "-recipient", "-date", "auto-submitted",
    ];
    let is_field = || {
        let lower = domain.to_ascii_lowercase();
        FIELDS.iter().any(|name| lower.ends_with(name))
    };
    let is_soft_break =
        after.strip_prefix('=').is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
    is_soft_break || after.starts_with(':') && is_field()
}

/// The local part that ends a text: quoted, or as far as its letters go.
fn local_part(before: &str) -> &str {
    if let Some(quoted) = before.strip_suffix('"') {
        let start = quoted.rfind(['"', '\n']).filter(|start| quoted[*start..].starts_with('"'));
        return start.map_or("", |start| &before[start..]);
    }
    let start = before
        .rfind(|c: char| !is_local(c))
        .map_or(0, |start| start + before[start..].chars().next().map_or(0, char::len_utf8));
    let local = before[start..].trim_start_matches(['\'', '`', '*', '=', '-', '/', '.', '{', '|']);
    // An address within one of X.400: `c=us;dda:SMTP=sara@example.com`.
    let scheme = local.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("smtp="));
    if scheme { &local[5..] } else { local }
}

/// The first address of a text.
pub(super) fn address(text: &str) -> Option<String> {
    addresses(text).into_iter().next()
}

fn is_local(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c)
}

fn is_domain(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '.'
}

/// Whether a line is nothing but addresses.
pub(super) fn is_list(line: &str) -> bool {
    line.split([',', ';', ' ', '\t']).filter(|word| !word.is_empty()).all(|word| word.contains('@'))
}

/// Addresses that run the mail and are nobody's.
pub(super) fn is_role(address: &str) -> bool {
    const ROLES: &[&str] = &[
        "postmaster",
        "mailer-daemon",
        "mailerdaemon",
        "mailer_daemon",
        "mail-daemon",
        "mdaemon",
        "abuse",
        "hostmaster",
        "webmaster",
        "helpdesk",
        "support",
        "noreply",
        "no-reply",
        "donotreply",
        "do-not-reply",
        "double-bounce",
        "bounce",
        "bounces",
    ];
    let local = address.split('@').next().unwrap_or_default().to_ascii_lowercase();
    ROLES.contains(&local.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_as_bounces_write_them() {
        for (text, expected) in [
            ("<sara@example.com>: unknown", "sara@example.com"),
            ("rfc822;Sara@Example.COM", "Sara@example.com"),
            ("'sara@example.com' on Monday.", "sara@example.com"),
            ("550 sara@example.com... User unknown", "sara@example.com"),
            ("to sara@example.com.", "sara@example.com"),
            ("smtp:sara@example.com; and (sara@example.com)", "sara@example.com"),
            ("RCPT TO:<b+x=y.org@example.com>", "b+x=y.org@example.com"),
            ("宛先sara@example.comが", "sara@example.com"),
            ("a@b at @ @x.com x@ x@.com x@a..b", ""),
            ("one@example.com, two@example.com", "one@example.com two@example.com"),
            ("550 sara@example.com...User unknown", "sara@example.com"),
            ("c=US;a= ;p=x;dda:SMTP=sara@example.COM; on Friday", "sara@example.com"),
            ("<\"sara m..\"@example.com>", "\"sara m..\"@example.com"),
            ("\"@example.com", ""),
            ("rfc822; sara@example.comAction: failed", ""),
            ("sara@example.com: no Action: failed", "sara@example.com"),
            ("sara@examp=\r\nle.com, sara@example.c=\nom, sara@example.co=", ""),
            ("b+sara=example.com@example.org", "b+sara=example.com@example.org"),
        ] {
            assert_eq!(addresses(text).join(" "), expected, "{text}");
        }
        assert!(is_role("MAILER-DAEMON@example.com") && !is_role("sara@example.com"));
    }
}
