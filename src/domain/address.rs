//! E-mail addresses: what this project accepts as one (RFC 5321 sizes, no quoted local parts).

/// Reads an address, folding the domain to lower case and digits to ASCII.
pub fn parse(text: &str) -> Result<String, String> {
    let wrong = |why: &str| Err(format!("`{text}` is not an e-mail address: {why}"));
    let text_ascii = super::text::ascii_digits(text.trim());
    let Some((local, domain)) = text_ascii.rsplit_once('@') else {
        return wrong("it has no @");
    };
    if local.is_empty() || local.len() > 64 || text_ascii.len() > 254 {
        return wrong("the part before @ must have 1 to 64 characters, the whole at most 254");
    }
    let atom = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&b);
    if !local.bytes().all(atom) || local.starts_with('.') || local.ends_with('.') || local.contains("..") {
        return wrong("the part before @ has a character or a dot that cannot stand there");
    }
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    if !domain.split('.').all(label) || !domain.contains('.') {
        return wrong("the part after @ is not a domain");
    }
    Ok(format!("{local}@{}", domain.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_accepted_or_refused_with_the_reason() {
        for (text, stored) in [
            (" Ali@Example.COM ", "Ali@example.com"),
            ("a.b+c@x-y.example.org", "a.b+c@x-y.example.org"),
            ("m۱@example.net", "m1@example.net"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(stored));
        }
        for text in [
            "",
            "ali",
            "@x.com",
            "a@b",
            "a b@x.com",
            ".a@x.com",
            "a..b@x.com",
            "a@-x.com",
            "a@x..com",
            "a\r\n@x.com",
            "علی@x.com",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
