//! The keys of `email` that say by which servers mail goes and how it is signed, and the pace of sending.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use crate::document::{Table, Value};
use crate::domain::address;
use crate::domain::host::is_loopback;
use crate::domain::pace::Rate;

/// A mail server.
#[derive(Debug, Clone)]
pub struct Smtp {
    pub host: String,
    pub port: u16,
    pub tls: Encryption,
    pub ca_file: Option<PathBuf>,
    pub username: Option<String>,
    pub password: Option<SecretString>,
    pub connections: usize,
    /// Its share of the messages, where there are several.
    pub weight: u32,
    pub rate: Rate,
}

/// Whether the connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    None,
    Starttls,
    /// From the first byte, as on port 465.
    Implicit,
}

/// A key that signs mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dkim {
    pub domain: String,
    pub selector: String,
    /// A private key in PEM form.
    pub key: PathBuf,
}

/// What holds for one recipients' domain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DomainRule {
    pub rate: Rate,
    /// Sends at once, of one process.
    pub connections: Option<usize>,
}

/// What holds for recipients' domains: those that are named, and all others each by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DomainRules {
    named: BTreeMap<String, DomainRule>,
    default: Option<DomainRule>,
}

impl DomainRules {
    /// The rule of a domain in lower case.
    pub fn of(&self, domain: &str) -> Option<DomainRule> {
        self.named.get(domain).copied().or(self.default)
    }
}

/// One server, or a list of them.
pub(super) fn decode_smtp(value: Value<'_>, folder: &Path) -> Option<Vec<Smtp>> {
    if value.is_table() {
        return Some(vec![decode_server(value, folder, false)?]);
    }
    let servers = value.list()?;
    if servers.is_empty() {
        value.problem("the list is empty; write at least one server: [{ host: …, port: … }]");
        return None;
    }
    let servers = servers.into_iter().map(|server| decode_server(server, folder, true)).collect::<Vec<_>>();
    servers.into_iter().collect()
}

fn decode_server(value: Value<'_>, folder: &Path, several: bool) -> Option<Smtp> {
    let mut table = value.table()?;
    let host = table.require("host").and_then(|value| value.parse(parse_host));
    let port = table.get_or("port", None, |value| value.integer_in(1..=65535).map(Some));
    let words = [("none", Encryption::None), ("starttls", Encryption::Starttls), ("implicit", Encryption::Implicit)];
    let tls = table.get_or("tls", Encryption::None, |value| value.one_of(&words));
    let ca_file = table.get_or("ca_file", None, |value| value.text().map(|text| Some(folder.join(text))));
    let username = table.get_or("username", None, |value| value.text().map(Some));
    let password = table.get_or("password", None, |value| value.text().map(|text| Some(SecretString::from(text))));
    let connections = table.get_or("connections", 10, |value| value.integer_in(1..=500));
    let weight = if several { table.get_or("weight", 1, |value| value.integer_in(1..=1000)) } else { Some(1) };
    let rate = table.get_or("rate", Rate::default(), decode_rate);
    table.finish();
    let (tls, username, password) = (tls?, username?, password?);
    if username.is_some() != password.is_some() {
        value.problem("`username` and `password` come together; write both or neither");
        return None;
    }
    let host = host?;
    if username.is_some() && tls == Encryption::None && !is_loopback(&host) {
        value.problem("the password would cross the network in the clear; write `tls: starttls` or `tls: implicit`");
        return None;
    }
    let port = port?.unwrap_or(if tls == Encryption::Implicit { 465 } else { 25 });
    Some(Smtp {
        host,
        port: u16::try_from(port).ok()?,
        tls,
        ca_file: ca_file?,
        username,
        password,
        connections: usize::try_from(connections?).ok()?,
        weight: u32::try_from(weight?).ok()?,
        rate: rate?,
    })
}

/// A server's name or address, without anything else: what is said of the server names it.
pub(super) fn parse_host(text: &str) -> Result<String, String> {
    let is_host = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-_.:[]".contains(c));
    let is_address = text.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
    if !is_host || text.contains([':', '[']) && !is_address {
        return Err(
            "write a host name alone, such as mail.example.com; port, user name and password have their own keys"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}

/// `{ per_second: …, per_minute: …, per_day: … }`, any of them.
pub(super) fn decode_rate(value: Value<'_>) -> Option<Rate> {
    let mut table = value.table()?;
    let mut number = |key, most| {
        let read = table.get_or(key, None, |value: Value<'_>| value.integer_in(1..=most).map(Some))?;
        Some(read.and_then(|number| u32::try_from(number).ok()))
    };
    let (second, minute) = (number("per_second", 10_000), number("per_minute", 100_000));
    let day = number("per_day", 1_000_000_000);
    table.finish();
    Some(Rate { per_second: second?, per_minute: minute?, per_day: day? })
}

/// Rules by the recipients' domain; `default` is for each of the others.
pub(super) fn decode_domains(value: Value<'_>) -> Option<DomainRules> {
    let mut rules = DomainRules::default();
    let mut table: Table<'_> = value.table()?;
    let mut whole = true;
    for (name, value) in table.entries() {
        let rule = decode_domain(value);
        whole &= rule.is_some();
        let Some(rule) = rule else { continue };
        if name == "default" {
            rules.default = Some(rule);
        } else if is_domain(&name) {
            rules.named.insert(name.to_lowercase(), rule);
        } else {
            value.problem(format!("`{name}` is not a domain; write one like gmail.com, or default for all others"));
            whole = false;
        }
    }
    whole.then_some(rules)
}

fn decode_domain(value: Value<'_>) -> Option<DomainRule> {
    let mut table = value.table()?;
    let rate = table.get_or("rate", Rate::default(), decode_rate);
    let connections = table.get_or("connections", None, |value| value.integer_in(1..=500).map(Some));
    table.finish();
    let connections = connections?.and_then(|number| usize::try_from(number).ok());
    Some(DomainRule { rate: rate?, connections })
}

/// The keys, each of which signs every mail.
pub(super) fn decode_dkim(value: Value<'_>, from: Option<&str>, folder: &Path) -> Option<Vec<Dkim>> {
    let keys = value.list()?.into_iter().map(|item| {
        let mut table = item.table()?;
        let domain = table.require("domain").and_then(|value| value.parse(parse_domain));
        let selector = table.require("selector").and_then(|value| {
            value.parse(|text| match text.split('.').all(is_label) {
                true => Ok(text.to_ascii_lowercase()),
                false => Err(format!("`{text}` is not a selector; use letters, digits and hyphens, such as 2026a")),
            })
        });
        let key = table.require("key").and_then(|value| value.text());
        table.finish();
        Some(Dkim { domain: domain?, selector: selector?, key: folder.join(key?) })
    });
    let keys = keys.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>()?;
    let sender = from.and_then(|from| from.rsplit_once('@')).map(|(_, domain)| domain.trim_end_matches(['>', ' ']));
    // DMARC asks for a signature of the domain in From, or one above or below it.
    if let Some(sender) = sender.map(str::to_lowercase)
        && !keys.is_empty()
        && !keys.iter().any(|key| is_within(&sender, &key.domain) || is_within(&key.domain, &sender))
    {
        value.problem(format!(
            "no key is for {sender}, the domain in `from`, so receivers would not count the signatures (DMARC); add one with `domain: {sender}`"
        ));
        return None;
    }
    Some(keys)
}

/// The mailbox for bounces. A token is put behind its local part.
pub(super) fn parse_return_path(text: &str) -> Result<String, String> {
    let address = address::parse(text)?;
    let local = address.split('@').next().unwrap_or_default();
    // `+` and the 42 letters of a token; RFC 5321 allows 64 in all.
    if local.len() > 21 || local.contains('+') {
        return Err(format!(
            "`{text}` cannot carry the token of a message: the part before @ must have at most 21 characters and no +; write it like bounces@example.com"
        ));
    }
    Ok(address)
}

fn parse_domain(text: &str) -> Result<String, String> {
    match is_domain(text) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(format!("`{text}` is not a domain; write it like example.com")),
    }
}

fn is_domain(text: &str) -> bool {
    text.contains('.') && text.len() <= 253 && text.split('.').all(is_label)
}

fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_within(domain: &str, above: &str) -> bool {
    domain == above || domain.strip_suffix(above).is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::settings::Settings;

    fn email(keys: &str) -> Result<crate::settings::Email, String> {
        let text = format!(
            "brand: {{ name: Shop, base_url: \"https://shop.example\" }}\nemail:\n  sender: smtp\n  from: \"Shop <a@shop.example>\"\n{keys}"
        );
        let parsed = Settings::parse(Path::new("config/x.yaml"), &text, &|_| None);
        parsed.map(|settings| settings.email).map_err(|problems| problems.to_string())
    }

    #[test]
    fn one_server_or_several_with_weights() {
        let one = email("  smtp: { host: localhost }\n").unwrap().smtp;
        assert_eq!((one.len(), one[0].port, one[0].tls, one[0].weight), (1, 25, Encryption::None, 1));
        let several =
            email("  smtp:\n    - { host: a.example, tls: implicit, weight: 3, rate: { per_second: 10, per_day: 5000 } }\n    - { host: b.example, tls: starttls, port: 587 }\n")
                .unwrap()
                .smtp;
        let found: Vec<_> = several.iter().map(|server| (server.port, server.tls, server.weight)).collect();
        assert_eq!(found, [(465, Encryption::Implicit, 3), (587, Encryption::Starttls, 1)]);
        assert_eq!(several[0].rate, Rate { per_second: Some(10), per_minute: None, per_day: Some(5000) });
    }

    #[test]
    fn domains_have_rules_and_a_default() {
        let rules = email("  smtp: { host: localhost }\n  domains:\n    Gmail.com: { rate: { per_minute: 600 }, connections: 4 }\n    default: { connections: 2 }\n")
            .unwrap()
            .domains;
        let gmail = rules.of("gmail.com").unwrap();
        assert_eq!((gmail.rate.per_minute, gmail.connections), (Some(600), Some(4)));
        assert_eq!(rules.of("other.example").unwrap().connections, Some(2));
        assert_eq!(DomainRules::default().of("gmail.com"), None);
    }

    #[test]
    fn what_cannot_work_is_named_at_its_place() {
        let found = |keys: &str| email(keys).map(|_| ()).unwrap_err();
        for (keys, expected) in [
            ("  smtp: []\n", "x.yaml:5:9: the list is empty"),
            (
                "  smtp: { host: a.example, username: x, password: y }\n",
                "x.yaml:5:9: the password would cross the network in the clear",
            ),
            ("  smtp: { host: localhost, weight: 3 }\n", "unknown key `weight`"),
            ("  smtp: { host: localhost, rate: { per_hour: 3 } }\n", "unknown key `per_hour`"),
            (
                "  smtp: { host: localhost, tls: ssl }\n",
                "`ssl` is not known here; valid here: `none`, `starttls`, `implicit`",
            ),
            ("  smtp: { host: localhost }\n  domains: { gmail: { connections: 1 } }\n", "`gmail` is not a domain"),
            (
                "  smtp: { host: localhost }\n  dkim: [{ domain: other.example, selector: a, key: k.pem }]\n",
                "x.yaml:6:9: no key is for shop.example",
            ),
            (
                "  smtp: { host: localhost }\n  dkim: [{ domain: shop.example, selector: a_b, key: k.pem }]\n",
                "`a_b` is not a selector",
            ),
            (
                "  smtp: { host: localhost }\n  return_path: bounces+x@shop.example\n",
                "cannot carry the token of a message",
            ),
        ] {
            assert!(found(keys).contains(expected), "{expected}\nin\n{}", found(keys));
        }
        let dkim = email(
            "  smtp: { host: localhost }\n  dkim: [{ domain: shop.example, selector: 2026A, key: keys/a.pem }]\n",
        )
        .unwrap()
        .dkim;
        assert_eq!(
            dkim,
            [Dkim { domain: "shop.example".to_owned(), selector: "2026a".to_owned(), key: "config/keys/a.pem".into() }]
        );
    }
}
