//! `config/rekindle.yaml`: read, checked whole, paths resolved. The only file that reads the
//! environment.

use std::path::{Component, Path, PathBuf};

mod bounces;
mod brand;
mod prices;
mod reports;
mod servers;
mod sms;
mod web;

pub use bounces::{Bounces, Imap, Then};
pub use prices::Prices;
pub use reports::Reports;
pub use servers::{Dkim, DomainRule, DomainRules, Encryption, Smtp};
pub use sms::{Replies, Sms, SmsProvider, Uncertain};
pub use web::{MetricsListen, Web};

use crate::document::{Document, Environment, Problem, Problems, Table, Value};
use crate::domain::brand::Brand;
use crate::domain::host::is_loopback;
use crate::domain::message::Channel;
use crate::domain::{address, phone};

/// Everything an operator sets.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The file they were read from, as it was named.
    pub file: PathBuf,
    /// `sqlite://path` (absolute) or `postgres://…`.
    pub store: String,
    pub queue: QueueSetting,
    /// Whether `run` and `once` migrate and apply by themselves.
    pub apply: Apply,
    pub campaigns: PathBuf,
    pub occasions: PathBuf,
    pub providers: PathBuf,
    pub templates: PathBuf,
    pub segments: PathBuf,
    pub brand: Brand,
    pub email: Email,
    pub sms: Sms,
    pub web: Web,
    pub bounces: Bounces,
    pub prices: Prices,
    pub reports: Reports,
    pub redirect_all_to: Option<Redirect>,
    /// Where capture writes.
    pub outbox: PathBuf,
}

/// Where rendered messages wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueSetting {
    /// In the store.
    Embedded,
    /// `amqp://…`.
    RabbitMq(String),
}

/// Who brings the store up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apply {
    /// `run` and `once`, at their start.
    Auto,
    /// The operator, with `migrate` and `campaigns apply`.
    Manual,
}

/// How mail goes out.
#[derive(Debug, Clone)]
pub struct Email {
    /// None: capture.
    pub smtp: Vec<Smtp>,
    /// `Name <address>`.
    pub from: String,
    /// The mailbox to which mail comes back: each message gets its own address there (VERP).
    pub return_path: Option<String>,
    /// The keys that sign each mail.
    pub dkim: Vec<Dkim>,
    /// What holds for the recipients' domains.
    pub domains: DomainRules,
}

/// Staging: one address and one number that get everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    pub email: String,
    pub phone: String,
}

impl Redirect {
    /// Where everything of a channel goes.
    pub fn address(&self, channel: Channel) -> &str {
        match channel {
            Channel::Email => &self.email,
            Channel::Sms => &self.phone,
        }
    }
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("cannot read {file}: {reason}")]
    Unreadable { file: String, reason: String },
    #[error(transparent)]
    Invalid(#[from] Problems),
}

/// Reads an environment variable of the process.
#[expect(clippy::disallowed_methods, reason = "settings are where the environment comes in")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl Settings {
    /// Reads and checks a settings file; reports everything that is wrong with it.
    pub fn load(file: &Path, environment: Environment<'_>) -> Result<Self, SettingsError> {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|error| {
            let hint = if error.kind() == std::io::ErrorKind::NotFound {
                "; start in the project's folder, or name the file with --config"
            } else {
                ""
            };
            SettingsError::Unreadable { file: name.clone(), reason: format!("{error}{hint}") }
        })?;
        Ok(Self::parse(file, &text, environment)?)
    }

    /// The same from text already read. Relative paths count from the file's folder.
    pub fn parse(file: &Path, text: &str, environment: Environment<'_>) -> Result<Self, Problems> {
        let name = file.display().to_string();
        let document = Document::parse(&name, text, Some(environment)).map_err(|problem| Problems(vec![problem]))?;
        let folder = file.parent().unwrap_or(Path::new("")).to_owned();
        let decoded = document.root().table().and_then(|table| decode(table, file, &folder, environment));
        document.finish(decoded)
    }
}

fn decode(mut table: Table<'_>, file: &Path, folder: &Path, environment: Environment<'_>) -> Option<Settings> {
    let path = |value: Value<'_>| value.text().map(|text| below(folder, &text));
    let default_path = |text: &str| below(folder, text);
    let store = decode_store(&mut table, folder, environment);
    let queue_value = table.get("queue");
    let queue = match environment("REKINDLE_QUEUE") {
        Some(text) => {
            check_queue(&text).map_err(|problem| table.value().problem(format!("REKINDLE_QUEUE: {problem}"))).ok()
        }
        None => queue_value.map_or(Some(QueueSetting::Embedded), |value| value.parse(check_queue)),
    };
    let apply =
        table.get_or("apply", Apply::Auto, |value| value.one_of(&[("auto", Apply::Auto), ("manual", Apply::Manual)]));
    let campaigns = table.get_or("campaigns", default_path("campaigns"), path);
    let occasions = table.get_or("occasions", default_path("occasions"), path);
    let providers = table.get_or("providers", default_path("providers"), path);
    let templates = table.get_or("templates", default_path("../templates"), path);
    let segments = table.get_or("segments", default_path("segments"), path);
    let brand = table.require("brand").and_then(brand::decode);
    let email = table
        .require("email")
        .and_then(|value| decode_email(value, brand.as_ref().map(|brand| brand.base_url.as_str()), folder));
    let sms = match table.get("sms") {
        Some(value) => sms::decode_sms(value, brand.as_ref()),
        None => Some(Sms::default()),
    };
    let reports = table.get_or("reports", Reports::default(), reports::decode);
    let brand = brand.map(|brand| {
        let sms = sms.as_ref().map(Sms::routes).unwrap_or_default();
        Brand { sms, discount: reports.unwrap_or_default().discount, ..brand }
    });
    let prices = table.get_or("prices", Prices::default(), |value| Prices::decode(value, brand.as_ref()));
    let redirect = table.get_or("redirect_all_to", None, |value| decode_redirect(value, brand.as_ref()));
    let outbox = table.get_or("outbox", default_path("../var/outbox"), path);
    let web = web::decode(table.get("web"));
    let bounces = table.get_or("bounces", Bounces::default(), |value| bounces::decode_bounces(value, folder));
    table.not_yet(&["alerts"]);
    table.finish();
    Some(Settings {
        file: file.to_owned(),
        store: store?,
        queue: queue?,
        apply: apply?,
        campaigns: campaigns?,
        occasions: occasions?,
        providers: providers?,
        templates: templates?,
        segments: segments?,
        brand: brand?,
        email: email?,
        sms: sms?,
        web: web?,
        bounces: bounces?,
        prices: prices?,
        reports: reports?,
        redirect_all_to: redirect?,
        outbox: outbox?,
    })
}

fn decode_store(table: &mut Table<'_>, folder: &Path, environment: Environment<'_>) -> Option<String> {
    let value = table.get("store");
    match environment("REKINDLE_STORE") {
        Some(url) => check_store(&url, Path::new(""))
            .map_err(|problem| table.value().problem(format!("REKINDLE_STORE: {problem}")))
            .ok(),
        None => match value {
            Some(value) => value.parse(|text| check_store(text, folder)),
            None => check_store("sqlite://../var/rekindle.db", folder).ok(),
        },
    }
}

fn check_store(text: &str, folder: &Path) -> Result<String, String> {
    if let Some(path) = text.strip_prefix("sqlite://") {
        if path.is_empty() {
            return Err("`sqlite://` names no file; write sqlite://../var/rekindle.db".to_owned());
        }
        return Ok(format!("sqlite://{}", folder.join(path).display()));
    }
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return Ok(text.to_owned());
    }
    Err(format!(
        "`{}` is not a store; write sqlite://path or postgres://user:password@host/database",
        crate::store::redact(text)
    ))
}

fn check_queue(text: &str) -> Result<QueueSetting, String> {
    if text == "embedded" {
        return Ok(QueueSetting::Embedded);
    }
    if text.starts_with("amqp://") || text.starts_with("amqps://") {
        return Ok(QueueSetting::RabbitMq(text.to_owned()));
    }
    Err(format!(
        "`{}` is not a queue; write embedded or amqp://user:password@host:5672/%2f",
        crate::store::redact(text)
    ))
}

fn decode_email(value: Value<'_>, base_url: Option<&str>, folder: &Path) -> Option<Email> {
    let mut table = value.table()?;
    let sender_value = table.get("sender");
    let use_smtp = sender_value.map_or(Some(false), |value| value.one_of(&[("capture", false), ("smtp", true)]));
    let from = table.require("from").and_then(|value| value.parse(parse_from));
    let smtp = table.get_or("smtp", Vec::new(), |value| servers::decode_smtp(value, folder));
    let return_path = table.get_or("return_path", None, |value| value.parse(servers::parse_return_path).map(Some));
    let dkim = table.get_or("dkim", Vec::new(), |value| servers::decode_dkim(value, from.as_deref(), folder));
    let domains = table.get_or("domains", DomainRules::default(), servers::decode_domains);
    table.not_yet(&["bounces"]);
    table.finish();
    let (use_smtp, from, mut smtp) = (use_smtp?, from?, smtp?);
    if !use_smtp {
        smtp.clear();
    } else if smtp.is_empty() {
        value.problem("`sender: smtp` needs `smtp: { host: …, port: … }`");
        return None;
    }
    // Bulk mail that nobody can stop is unlawful and gets the domain blocked: the link in each mail
    // must lead to where this service can be reached.
    if let Some(server) = smtp.iter().find(|server| !is_loopback(&server.host))
        && let Some(place) = sender_value
        && let Some(base_url) = base_url
        && !is_public_https(base_url)
    {
        place.problem(format!(
            "mail to `{}` is refused while `brand.base_url` is {base_url}: nobody could unsubscribe there; write the https address under which members reach this service, or use capture or a server on 127.0.0.1",
            server.host
        ));
        return None;
    }
    Some(Email { smtp, from, return_path: return_path?, dkim: dkim?, domains: domains? })
}

/// Whether a link can lead there from anywhere, encrypted.
fn is_public_https(url: &str) -> bool {
    let host = url.strip_prefix("https://").map(|rest| rest.split('/').next().unwrap_or_default());
    host.is_some_and(|host| !is_loopback(host) && !is_loopback(host.rsplit_once(':').map_or(host, |(host, _)| host)))
}

fn parse_from(text: &str) -> Result<String, String> {
    let wrong = || format!("`{text}` is not a sender; write it like \"Shop <hello@example.com>\"");
    if text.chars().any(char::is_control) {
        return Err(wrong());
    }
    let inner = match text.rsplit_once('<') {
        Some((_, rest)) => rest.strip_suffix('>').ok_or_else(wrong)?,
        None => text,
    };
    address::parse(inner).map_err(|_| wrong())?;
    Ok(text.to_owned())
}

fn decode_redirect(value: Value<'_>, brand: Option<&Brand>) -> Option<Option<Redirect>> {
    if !value.is_table() {
        if value.text().as_deref() == Some("none") {
            return Some(None);
        }
        value.problem("write none, or { email: you@example.com, phone: \"+989121234567\" }");
        return None;
    }
    let mut table = value.table()?;
    let email = table.require("email").and_then(|value| value.parse(address::parse));
    let region = brand.map_or(phonenumber::country::Id::IR, |brand| brand.phone_region);
    let number = table.require("phone").and_then(|value| value.parse(|text| phone::parse(text, region)));
    table.finish();
    Some(Some(Redirect { email: email?, phone: number? }))
}

/// A path as people write it: `config` and `../templates` are `templates`.
fn below(folder: &Path, path: &str) -> PathBuf {
    let mut short = PathBuf::new();
    for part in folder.join(path).components() {
        let goes_up = part == Component::ParentDir;
        match short.components().next_back() {
            Some(Component::Normal(_)) if goes_up => drop(short.pop()),
            _ => short.push(part),
        }
    }
    if short.as_os_str().is_empty() { PathBuf::from(".") } else { short }
}

/// A problem that concerns a file as a whole.
pub fn file_problem(file: &Path, message: impl Into<String>) -> Problem {
    Problem { file: file.display().to_string(), line: 0, column: 0, message: message.into() }
}

#[cfg(test)]
mod tests {
    use chrono::Weekday;

    use super::*;
    use crate::domain::almanac::{Almanac, OnDay};

    const LEAST: &str =
        "brand: { name: Shop, base_url: \"https://shop.example\" }\nemail: { from: \"Shop <a@shop.example>\" }\n";

    fn problems(text: &str) -> String {
        Settings::parse(Path::new("config/x.yaml"), text, &|_| None).map_err(|e| e.to_string()).unwrap_err()
    }

    #[test]
    fn paths_are_as_short_as_people_write_them() {
        let check = |folder: &str, path: &str, expected: &str| {
            assert_eq!(below(Path::new(folder), path), Path::new(expected), "{folder} {path}");
        };
        check("config", "campaigns", "config/campaigns");
        check("config", "../templates", "templates");
        check("config", "../../shop/./templates", "../shop/templates");
        check("", "templates", "templates");
        check("/etc/rekindle", "../../var/outbox", "/var/outbox");
        check("config", "..", ".");
        check("config", "/srv/templates", "/srv/templates");
    }

    #[test]
    fn the_least_that_is_needed_takes_the_embedded_defaults() {
        let settings = Settings::parse(Path::new("config/x.yaml"), LEAST, &|_| None).unwrap();
        assert_eq!(settings.store, "sqlite://config/../var/rekindle.db");
        assert_eq!(settings.queue, QueueSetting::Embedded);
        assert!(settings.email.smtp.is_empty() && settings.sms.providers.is_empty());
    }

    #[test]
    fn the_environment_overrides_store_and_queue() {
        let environment = |name: &str| match name {
            "REKINDLE_STORE" => Some("postgres://u:p@h/d".to_owned()),
            "REKINDLE_QUEUE" => Some("amqp://h".to_owned()),
            _ => None,
        };
        let settings = Settings::parse(Path::new("x.yaml"), LEAST, &environment).unwrap();
        assert_eq!(settings.store, "postgres://u:p@h/d");
        assert_eq!(settings.queue, QueueSetting::RabbitMq("amqp://h".to_owned()));
    }

    #[test]
    fn a_mail_server_elsewhere_needs_a_place_where_members_can_unsubscribe() {
        let text = LEAST.replace("email: {", "email: { sender: smtp, smtp: { host: mail.example.com },");
        assert_eq!(Settings::parse(Path::new("x"), &text, &|_| None).unwrap().email.smtp.len(), 1);
        for url in ["http://shop.example", "https://localhost:8080", "https://127.0.0.1/x", "https://[::1]:80"] {
            let found = problems(&text.replace("https://shop.example", url));
            let expected =
                format!("config/x.yaml:2:18: mail to `mail.example.com` is refused while `brand.base_url` is {url}");
            assert!(found.contains(&expected), "{found}");
        }
        let local = text.replace("mail.example.com", "127.0.0.1").replace("https://", "http://");
        assert!(Settings::parse(Path::new("x"), &local, &|_| None).is_ok());
    }

    #[test]
    fn the_yearly_discount_is_a_share_in_percent() {
        let discount = |text: &str| {
            let settings = Settings::parse(Path::new("config/x.yaml"), &format!("{LEAST}{text}"), &|_| None);
            settings.map(|settings| settings.brand.discount).map_err(|problems| problems.to_string())
        };
        for (text, expected) in [
            ("", 0.1),
            ("reports: {}", 0.1),
            ("reports: { discount: 0% }", 0.0),
            ("reports: { discount: 7.125% }", 0.07125),
            ("reports: { discount: \"۱۲ ٪\" }", 0.12),
            ("reports: { discount: 100% }", 1.0),
        ] {
            assert_eq!(discount(text), Ok(expected), "{text}");
        }
        for wrong in ["10", "0.1", "101%", "-1%", "much", "NaN%", "%"] {
            let expected = format!(
                "config/x.yaml:3:22: `{wrong}` is not a yearly discount; write it in percent, from 0% to 100%, such as 10%"
            );
            assert_eq!(discount(&format!("reports: {{ discount: \"{wrong}\" }}")), Err(expected));
        }
        let expected = "config/x.yaml:3:12: unknown key `discont`; did you mean `discount`? Valid here: `discount`, `active_within`";
        assert_eq!(discount("reports: { discont: 10% }"), Err(expected.to_owned()));
    }

    #[test]
    fn the_weekend_follows_the_language_and_days_of_rest_have_defaults() {
        let almanac = |more: &str| {
            let text = LEAST.replace("brand: {", &format!("brand: {{ {more}"));
            Settings::parse(Path::new("config/x.yaml"), &text, &|_| None).map(|settings| settings.brand.almanac)
        };
        use Weekday::{Fri, Sat, Sun, Thu};
        for (more, weekend) in [
            ("", vec![Sat, Sun]),
            ("locale: pt-BR,", vec![Sat, Sun]),
            ("locale: fa,", vec![Fri]),
            ("locale: fa-IR,", vec![Fri]),
            ("locale: ar,", vec![Fri, Sat]),
            ("locale: he,", vec![Fri, Sat]),
            ("locale: fa, weekend: [thursday, friday],", vec![Thu, Fri]),
            ("weekend: [],", vec![]),
        ] {
            assert_eq!(almanac(more).unwrap(), Almanac { weekend, ..Almanac::EMPTY }, "{more}");
        }
        let found = almanac("rest: { weekends: skip },").unwrap();
        assert_eq!((found.weekends, found.blackouts), (OnDay::Skip, OnDay::Defer));
        for (more, expected) in [
            ("rest: { blackouts: send },", "x.yaml:1:29: `send` is not known here; valid here: `defer`, `skip`"),
            ("weekend: [fri],", "x.yaml:1:20: `fri` is not known here; valid here: `saturday`"),
            (
                "weekend: [saturday, sunday, monday, tuesday, wednesday, thursday, friday],",
                "x.yaml:1:19: a week is not all weekend; leave out the days on which the brand works",
            ),
        ] {
            let found = almanac(more).unwrap_err().to_string();
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn every_problem_is_named_at_its_place() {
        let found = problems(
            "store: mysql://u:secret@h\nqueue: kafka\nbrand: { name: x, base_url: x, timezone: Asia/Teheran, quiet_hours: 9 }\nemial: {}\ngift: 1\n",
        );
        for part in [
            "x.yaml:1:8: `mysql://u:…@h` is not a store",
            "x.yaml:2:8: `kafka` is not a queue",
            "x.yaml:3:29: `x` is not a web address",
            "did you mean `Asia/Tehran`?",
            "`9` is not a span of hours",
            "unknown key `emial`; did you mean `email`?",
            "`email` is missing",
        ] {
            assert!(found.contains(part), "{part}\nin\n{found}");
        }
        assert!(!found.contains("secret"));
    }
}
