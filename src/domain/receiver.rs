//! Receivers of mail that are counted by themselves: those large enough that each has rules of its own for senders. All
//! others are one.

/// Domains of large providers of mailboxes.
const LARGE: &[&str] = &[
    "126.com",
    "163.com",
    "aol.com",
    "chmail.ir",
    "fastmail.com",
    "free.fr",
    "gmail.com",
    "gmx.com",
    "gmx.de",
    "gmx.net",
    "googlemail.com",
    "hotmail.com",
    "hotmail.fr",
    "icloud.com",
    "laposte.net",
    "libero.it",
    "live.com",
    "mac.com",
    "mail.com",
    "mail.ru",
    "me.com",
    "msn.com",
    "naver.com",
    "orange.fr",
    "outlook.com",
    "proton.me",
    "protonmail.com",
    "qq.com",
    "seznam.cz",
    "t-online.de",
    "vatanmail.ir",
    "web.de",
    "yahoo.co.jp",
    "yahoo.co.uk",
    "yahoo.com",
    "yahoo.de",
    "yahoo.fr",
    "yandex.ru",
    "ymail.com",
    "zoho.com",
];

/// What all others are counted as.
pub const OTHER: &str = "other";

/// As what mail to a domain (in lower case) is counted; nothing for none.
pub fn of(domain: &str) -> &str {
    if domain.is_empty() || LARGE.binary_search(&domain).is_ok() { domain } else { OTHER }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_the_rest_is_other() {
        assert!(LARGE.is_sorted());
        assert_eq!(
            ["", "gmail.com", "shop.example", "zoho.com", OTHER].map(of),
            ["", "gmail.com", OTHER, "zoho.com", OTHER]
        );
    }
}
