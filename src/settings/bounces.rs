//! The key `bounces`: from where mails that come back are taken.

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

use super::Encryption;
use super::servers::parse_host;
use crate::document::Value;
use crate::domain::duration;
use crate::domain::host::is_loopback;

/// How often a mailbox may be looked at, in seconds. Servers hang up after half an hour of silence
/// (RFC 2177).
const EVERY: std::ops::RangeInclusive<i64> = 1..=25 * 60;

/// From where bounces are taken beside `bounces ingest`; from nowhere, where nothing is said.
#[derive(Debug, Clone, Default)]
pub struct Bounces {
    /// A Maildir that they are delivered to.
    pub maildir: Option<PathBuf>,
    pub imap: Option<Imap>,
}

/// A mailbox on a server.
#[derive(Debug, Clone)]
pub struct Imap {
    pub host: String,
    pub port: u16,
    pub tls: Encryption,
    pub ca_file: Option<PathBuf>,
    pub username: String,
    pub password: SecretString,
    /// As people see its name.
    pub mailbox: String,
    pub then: Then,
    pub every: Duration,
}

/// What happens to a mail that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// It stays and is marked as read; read mails are not looked at.
    Seen,
    Delete,
    /// To another mailbox.
    Move(String),
}

/// Where bounces come in; `none`: only by `bounces ingest`.
pub(super) fn decode_bounces(value: Value<'_>, folder: &Path) -> Option<Bounces> {
    if !value.is_table() {
        return value.one_of(&[("none", ())]).map(|()| Bounces::default());
    }
    let mut table = value.table()?;
    let maildir = table.get_or("maildir", None, |value| value.text().map(|text| Some(folder.join(text))));
    let imap = table.get_or("imap", None, |value| decode_imap(value, folder).map(Some));
    table.finish();
    let bounces = Bounces { maildir: maildir?, imap: imap? };
    if bounces.maildir.is_none() && bounces.imap.is_none() {
        value.problem("write `maildir: FOLDER` or `imap: { host: …, username: …, password: … }`, or `bounces: none`");
        return None;
    }
    Some(bounces)
}

fn decode_imap(value: Value<'_>, folder: &Path) -> Option<Imap> {
    let mut table = value.table()?;
    let host = table.require("host").and_then(|value| value.parse(parse_host));
    let port = table.get_or("port", None, |value| value.integer_in(1..=65535).map(Some));
    let words = [("implicit", Encryption::Implicit), ("starttls", Encryption::Starttls), ("none", Encryption::None)];
    let tls_value = table.get("tls");
    let tls = tls_value.map_or(Some(Encryption::Implicit), |value| value.one_of(&words));
    let ca_file = table.get_or("ca_file", None, |value| value.text().map(|text| Some(folder.join(text))));
    let username = table.require("username").and_then(|value| word(value, "the user name"));
    let password = table.require("password").and_then(|value| word(value, "the password").map(SecretString::from));
    let mailbox = table.get_or("mailbox", "INBOX".to_owned(), |value| word(value, "the mailbox's name"));
    let then_value = table.get("then");
    let then = then_value.map_or(Some(Then::Seen), decode_then);
    let every = table.get_or("every", Duration::from_secs(60), |value| value.parse(parse_every));
    table.finish();
    let (host, tls, mailbox, then) = (host?, tls?, mailbox?, then?);
    if tls == Encryption::None && !is_loopback(&host) {
        tls_value.unwrap_or(value).problem(
            "the password would cross the network in the clear; write `tls: implicit` or `tls: starttls` (none is for 127.0.0.1)",
        );
        return None;
    }
    if let (Then::Move(folder), Some(place)) = (&then, then_value)
        && is_same(folder, &mailbox)
    {
        place.problem(format!("mails are moved out of `{mailbox}`; name another mailbox"));
        return None;
    }
    let port = port?.unwrap_or(if tls == Encryption::Implicit { 993 } else { 143 });
    Some(Imap {
        host,
        port: u16::try_from(port).ok()?,
        tls,
        ca_file: ca_file?,
        username: username?,
        password: password?,
        mailbox,
        then,
        every: every?,
    })
}

fn decode_then(value: Value<'_>) -> Option<Then> {
    if !value.is_table() {
        let delete = value.one_of(&[("seen", false), ("delete", true)])?;
        return Some(if delete { Then::Delete } else { Then::Seen });
    }
    let mut table = value.table()?;
    let folder = table.require("move").and_then(|value| word(value, "the mailbox's name"));
    table.finish();
    Some(Then::Move(folder?))
}

/// The inbox's name is the only one of which the case says nothing (RFC 3501, 5.1).
fn is_same(one: &str, other: &str) -> bool {
    one == other || (one.eq_ignore_ascii_case("INBOX") && other.eq_ignore_ascii_case("INBOX"))
}

/// What is said to the server between quotes. What is wrong with it is said without it.
fn word(value: Value<'_>, what: &str) -> Option<String> {
    let text = value.text()?;
    if text.is_empty() || text.chars().any(char::is_control) {
        value.problem(format!("{what} is empty or holds a line break or another control character"));
        return None;
    }
    Some(text)
}

fn parse_every(text: &str) -> Result<Duration, String> {
    let every = duration::parse(text)?;
    match every.to_std() {
        Ok(length) if EVERY.contains(&every.num_seconds()) => Ok(length),
        _ => Err(format!("`{text}` is out of range; write 1s to {}m", EVERY.end() / 60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn bounces(keys: &str) -> Result<Bounces, String> {
        let text = format!(
            "brand: {{ name: Shop, base_url: \"https://shop.example\" }}\nemail: {{ from: \"Shop <a@shop.example>\" }}\nbounces: {keys}\n"
        );
        let environment = |name: &str| (name == "IMAP_PASSWORD").then(|| "s3cret".to_owned());
        let parsed = Settings::parse(Path::new("config/x.yaml"), &text, &environment);
        parsed.map(|settings| settings.bounces).map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_mailbox_needs_a_server_and_a_login_and_has_defaults_for_the_rest() {
        use secrecy::ExposeSecret;
        let imap =
            bounces("{ imap: { host: mail.example.com, username: b, password: \"${IMAP_PASSWORD}\" } }").unwrap();
        let imap = imap.imap.unwrap();
        assert_eq!((imap.port, imap.tls, imap.mailbox.as_str()), (993, Encryption::Implicit, "INBOX"));
        assert_eq!((imap.then, imap.every), (Then::Seen, Duration::from_secs(60)));
        assert_eq!(imap.password.expose_secret(), "s3cret");
        let more = "tls: starttls, mailbox: Bounces, then: { move: Done }, every: 5m, ca_file: ca.pem";
        let imap = bounces(&format!("{{ maildir: M, imap: {{ host: a.example, username: b, password: c, {more} }} }}"));
        let Bounces { maildir, imap } = imap.unwrap();
        let imap = imap.unwrap();
        assert_eq!(maildir, Some("config/M".into()));
        assert_eq!((imap.port, imap.tls, imap.ca_file), (143, Encryption::Starttls, Some("config/ca.pem".into())));
        assert_eq!((imap.then, imap.every), (Then::Move("Done".to_owned()), Duration::from_secs(300)));
        assert!(bounces("none").unwrap().imap.is_none());
    }

    #[test]
    fn what_cannot_work_is_named_at_its_place() {
        let server = |keys: &str| {
            bounces(&format!("{{ imap: {{ host: a.example, username: b, password: \"pass\\nword\", {keys} }} }}"))
                .map(|_| ())
                .unwrap_err()
        };
        for (keys, expected) in [
            ("tls: none", "x.yaml:3:79: the password would cross the network in the clear"),
            ("tls: ssl", "`ssl` is not known here; valid here: `implicit`, `starttls`, `none`"),
            ("then: forward", "x.yaml:3:80: `forward` is not known here; valid here: `seen`, `delete`"),
            ("mailbox: inbox, then: { move: INBOX }", "mails are moved out of `inbox`; name another mailbox"),
            ("then: { copy: X }", "unknown key `copy`"),
            ("every: 2h", "`2h` is out of range; write 1s to 25m"),
            ("every: often", "`often` is not a length of time"),
            ("folder: X", "unknown key `folder`"),
            ("port: 0", "x.yaml:3:80: 0 is out of range"),
        ] {
            let found = server(keys);
            assert!(found.contains(expected), "{expected}\nin\n{found}");
            assert!(found.contains("the password is empty or holds a line break"), "{found}");
            assert!(!found.contains("pass\n"), "{found}");
        }
        for (keys, expected) in [
            ("{}", "x.yaml:3:10: write `maildir: FOLDER` or `imap:"),
            ("{ imap: {} }", "`host` is missing"),
            ("{ pop3: {} }", "unknown key `pop3`"),
            ("imap", "`imap` is not known here; valid here: `none`"),
            ("{ imap: { host: localhost, tls: none, username: b, password: \"${NO}\" } }", "NO"),
        ] {
            let found = bounces(keys).map(|_| ()).unwrap_err();
            assert!(found.contains(expected), "{expected}\nin\n{found}");
        }
    }
}
