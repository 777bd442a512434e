//! `config/rekindle.yaml`: read, checked whole, paths resolved. The only file that reads the
//! environment.

use std::path::{Path, PathBuf};

use chrono::Weekday;
use chrono_tz::Tz;
use secrecy::SecretString;

use crate::document::{Document, Environment, Problem, Problems, Table, Value};
use crate::domain::almanac::{Almanac, OnDay, WEEKDAYS};
use crate::domain::calendar::{Calendar, QuietHours, parse_zone};
use crate::domain::duration;
use crate::domain::member::{Brand, FrequencyCap};
use crate::domain::message::Purpose;
use crate::domain::reply::{self, Words};
use crate::domain::sms::{Line, line_for};
use crate::domain::{address, money, phone};

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
    /// Absent: capture.
    pub smtp: Option<Smtp>,
    /// `Name <address>`.
    pub from: String,
}

/// A mail server.
#[derive(Debug, Clone)]
pub struct Smtp {
    pub host: String,
    pub port: u16,
    pub starttls: bool,
    pub ca_file: Option<PathBuf>,
    pub username: Option<String>,
    pub password: Option<SecretString>,
    pub connections: usize,
}

/// How SMS go out.
#[derive(Debug, Clone)]
pub struct Sms {
    /// The provider's name; absent: capture.
    pub provider: Option<String>,
    /// Another address of the provider's API, for staging.
    pub base_url: Option<String>,
    pub lines: Vec<Line>,
    pub credentials: Vec<(String, SecretString)>,
    pub connections: usize,
    pub uncertain: Uncertain,
    /// What a word sent back means.
    pub words: Words,
    pub replies: Replies,
}

impl Default for Sms {
    /// Captured, without lines.
    fn default() -> Self {
        Self {
            provider: None,
            base_url: None,
            lines: Vec::new(),
            credentials: Vec::new(),
            connections: 8,
            uncertain: Uncertain::Ask,
            words: Words::default(),
            replies: Replies::default(),
        }
    }
}

/// What happens to an SMS whose answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uncertain {
    /// The provider is asked by our own reference, where it can answer; else it is held.
    Ask,
    /// It stays uncertain, for a person to look at.
    Hold,
}

/// What a member is answered who sent a word; absent where nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replies {
    pub stop: Option<String>,
    pub start: Option<String>,
    pub help: Option<String>,
}

/// Staging: one address and one number that get everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    pub email: String,
    pub phone: String,
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
    let path = |value: Value<'_>| value.text().map(|text| folder.join(text));
    let default_path = |text: &str| folder.join(text);
    let store_value = table.get("store");
    let store = match environment("REKINDLE_STORE") {
        Some(url) => check_store(&url, Path::new(""))
            .map_err(|problem| table.value().problem(format!("REKINDLE_STORE: {problem}")))
            .ok(),
        None => match store_value {
            Some(value) => value.parse(|text| check_store(text, folder)),
            None => check_store("sqlite://../var/rekindle.db", folder).ok(),
        },
    };
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
    let brand = table.require("brand").and_then(decode_brand);
    let email = table.require("email").and_then(|value| decode_email(value, folder));
    let sms = match table.get("sms") {
        Some(value) => decode_sms(value, brand.as_ref()),
        None => Some(Sms::default()),
    };
    let brand = brand.map(|brand| {
        let line = sms.as_ref().and_then(|sms| line_for(&sms.lines, Purpose::Marketing));
        Brand { sms_closed: line.and_then(|line| line.closed), ..brand }
    });
    let redirect = table.get_or("redirect_all_to", None, |value| decode_redirect(value, brand.as_ref()));
    let outbox = table.get_or("outbox", default_path("../var/outbox"), path);
    table.not_yet(&["web", "alerts", "bounces"]);
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
        redirect_all_to: redirect?,
        outbox: outbox?,
    })
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

fn decode_brand(value: Value<'_>) -> Option<Brand> {
    let mut table = value.table()?;
    let name = table.require("name").and_then(|value| value.text());
    let timezone = table.get_or("timezone", Tz::UTC, |value| value.parse(parse_zone));
    let calendar = table.get_or("calendar", Calendar::Gregorian, |value| value.one_of(Calendar::WORDS));
    let locale = table.get_or("locale", "en".to_owned(), |value| value.parse(parse_locale));
    let currency = table.get_or("currency", "USD".to_owned(), |value| value.parse(money::parse_currency));
    let base_url = table.require("base_url").and_then(|value| {
        value.parse(|text| {
            if text.starts_with("http://") || text.starts_with("https://") {
                Ok(text.trim_end_matches('/').to_owned())
            } else {
                Err(format!("`{text}` is not a web address; write it with https://"))
            }
        })
    });
    let region = match table.get("phone_region") {
        Some(value) => value.parse(phone::parse_region),
        None => Some(default_region(timezone.unwrap_or(Tz::UTC))),
    };
    let quiet_hours = table.get_or("quiet_hours", None, |value| {
        if value.text().as_deref() == Some("none") {
            return Some(None);
        }
        value.parse(QuietHours::parse).map(Some)
    });
    let frequency_cap = table.get_or("frequency_cap", None, |value| {
        if !value.is_table() {
            return value.one_of(&[("none", None)]);
        }
        let mut table = value.table()?;
        let messages = table.require("messages").and_then(|value| value.integer_in(1..=1000));
        let per = table.require("per").and_then(|value| value.parse(duration::parse));
        table.finish();
        Some(Some(FrequencyCap { messages: u32::try_from(messages?).ok()?, per: per? }))
    });
    let weekend = match table.get("weekend") {
        Some(value) => decode_weekend(value),
        None => Some(default_weekend(locale.as_deref().unwrap_or_default())),
    };
    let rest = table.get_or("rest", (OnDay::Send, OnDay::Defer), decode_rest);
    table.finish();
    let (weekends, blackouts) = rest?;
    Some(Brand {
        name: name?,
        timezone: timezone?,
        calendar: calendar?,
        locale: locale?,
        currency: currency?,
        base_url: base_url?,
        phone_region: region?,
        quiet_hours: quiet_hours?,
        frequency_cap: frequency_cap?,
        sms_closed: None,
        almanac: Almanac { weekend: weekend?, weekends, blackouts, ..Almanac::EMPTY },
    })
}

fn decode_weekend(value: Value<'_>) -> Option<Vec<Weekday>> {
    let days = value.list()?.iter().map(|item| item.one_of(WEEKDAYS)).collect::<Vec<_>>();
    let days = days.into_iter().collect::<Option<Vec<_>>>()?;
    if WEEKDAYS.iter().all(|(_, day)| days.contains(day)) {
        value.problem("a week is not all weekend; leave out the days on which the brand works");
        return None;
    }
    Some(days)
}

/// The weekend where a language is at home.
fn default_weekend(locale: &str) -> Vec<Weekday> {
    match locale.split('-').next() {
        Some("fa") => vec![Weekday::Fri],
        Some("ar" | "he") => vec![Weekday::Fri, Weekday::Sat],
        _ => vec![Weekday::Sat, Weekday::Sun],
    }
}

/// What happens at weekends and on blackout dates.
fn decode_rest(value: Value<'_>) -> Option<(OnDay, OnDay)> {
    let mut table = value.table()?;
    let weekends = table.get_or("weekends", OnDay::Send, |value| value.one_of(OnDay::WORDS));
    let blackouts = table.get_or("blackouts", OnDay::Defer, |value| {
        value.one_of(&[(OnDay::Defer.as_str(), OnDay::Defer), (OnDay::Skip.as_str(), OnDay::Skip)])
    });
    table.finish();
    Some((weekends?, blackouts?))
}

/// Shops in Iran write `0912…`; elsewhere the operator says which national form is meant.
fn default_region(zone: Tz) -> phonenumber::country::Id {
    if zone == Tz::Asia__Tehran { phonenumber::country::Id::IR } else { phonenumber::country::Id::US }
}

/// A BCP 47 language tag, as far as this project looks at it: letters, digits and hyphens.
pub fn parse_locale(text: &str) -> Result<String, String> {
    let text = text.trim();
    let valid = text.split(['-', '_']).enumerate().all(|(index, part)| {
        (2..=8).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_alphanumeric())
            && (index > 0 || part.len() <= 3)
    });
    if valid {
        Ok(text.replace('_', "-"))
    } else {
        Err(format!("`{text}` is not a language; write it like fa, en or pt-BR"))
    }
}

fn decode_email(value: Value<'_>, folder: &Path) -> Option<Email> {
    let mut table = value.table()?;
    let sender_value = table.get("sender");
    let use_smtp = sender_value.map_or(Some(false), |value| value.one_of(&[("capture", false), ("smtp", true)]));
    let from = table.require("from").and_then(|value| value.parse(parse_from));
    let smtp = match table.get("smtp") {
        Some(value) => decode_smtp(value, folder).map(Some),
        None => Some(None),
    };
    table.not_yet(&["dkim", "rate", "bounces"]);
    table.finish();
    let (use_smtp, from, smtp) = (use_smtp?, from?, smtp?);
    if !use_smtp {
        return Some(Email { smtp: None, from });
    }
    let (Some(smtp), Some(place)) = (smtp, sender_value) else {
        value.problem("`sender: smtp` needs `smtp: { host: …, port: … }`");
        return None;
    };
    // Bulk mail that nobody can stop is unlawful and gets the domain blocked: until messages carry
    // an unsubscribe link, a mail server elsewhere is refused.
    if !is_loopback(&smtp.host) {
        place.problem(format!(
            "`sender: smtp` to `{}` is refused: this version cannot unsubscribe anybody yet; use capture, or a test server on 127.0.0.1",
            smtp.host
        ));
        return None;
    }
    Some(Email { smtp: Some(smtp), from })
}

/// Whether a host name or address is this machine.
pub fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
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

fn decode_smtp(value: Value<'_>, folder: &Path) -> Option<Smtp> {
    let mut table = value.table()?;
    let host = table.require("host").and_then(|value| value.text());
    let port = table.get_or("port", 25, |value| value.integer_in(1..=65535));
    let starttls = table.get_or("tls", false, |value| {
        if value.text().as_deref() == Some("implicit") {
            value.problem("`tls: implicit` is not in this version; write starttls or none");
            return None;
        }
        value.one_of(&[("none", false), ("starttls", true)])
    });
    let ca_file = table.get_or("ca_file", None, |value| value.text().map(|text| Some(folder.join(text))));
    let username = table.get_or("username", None, |value| value.text().map(Some));
    let password = table.get_or("password", None, |value| value.text().map(|text| Some(SecretString::from(text))));
    let connections = table.get_or("connections", 10, |value| value.integer_in(1..=500));
    table.not_yet(&["rate"]);
    table.finish();
    let (username, password) = (username?, password?);
    if username.is_some() != password.is_some() {
        value.problem("`username` and `password` come together; write both or neither");
        return None;
    }
    Some(Smtp {
        host: host?,
        port: u16::try_from(port?).ok()?,
        starttls: starttls?,
        ca_file: ca_file?,
        username,
        password,
        connections: usize::try_from(connections?).ok()?,
    })
}

fn decode_sms(value: Value<'_>, brand: Option<&Brand>) -> Option<Sms> {
    let mut table = value.table()?;
    let provider = table.get_or("sender", None, |value| {
        let name = value.text()?;
        Some((name != "capture").then_some(name))
    });
    let base_url = table.get_or("base_url", None, |value| value.text().map(Some));
    let lines = table.get_or("lines", Vec::new(), |value| {
        let lines = value.list()?.into_iter().map(decode_line);
        lines.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>()
    });
    let credentials = table.get_or("credentials", Vec::new(), |value| {
        let mut table = value.table()?;
        let entries = table.entries().into_iter().map(|(name, value)| Some((name, SecretString::from(value.text()?))));
        entries.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>()
    });
    let connections = table.get_or("connections", 8, |value| value.integer_in(1..=200));
    let uncertain = table.get_or("uncertain", Uncertain::Ask, |value| {
        value.one_of(&[("ask", Uncertain::Ask), ("hold", Uncertain::Hold)])
    });
    let words = table.get_or("words", Words::default(), decode_words);
    let default = brand.map(default_replies).unwrap_or_default();
    let replies = match table.get("replies") {
        Some(value) => decode_replies(value, default),
        None => Some(default),
    };
    table.not_yet(&["rate"]);
    table.finish();
    Some(Sms {
        provider: provider?,
        base_url: base_url?,
        lines: lines?,
        credentials: credentials?,
        connections: usize::try_from(connections?).ok()?,
        uncertain: uncertain?,
        words: words?,
        replies: replies?,
    })
}

fn decode_line(value: Value<'_>) -> Option<Line> {
    let mut table = value.table()?;
    let number = table.require("number").and_then(|value| value.text());
    let purpose = table.require("purpose").and_then(|value| value.one_of(Purpose::WORDS));
    let hours = table.get("hours").map(|value| (value, value.parse(QuietHours::parse)));
    let links = table.get_or("links", true, |value| value.boolean());
    let footer = table.get_or("footer", None, |value| value.text().map(Some));
    table.finish();
    let closed = match hours {
        None => None,
        Some((place, _)) if purpose == Some(Purpose::Service) => {
            place.problem("a line for service messages has no hours: they go out at any time");
            return None;
        }
        // What is written are the hours in which it is open.
        Some((_, hours)) => hours.map(|open| Some(QuietHours { start: open.end, end: open.start }))?,
    };
    Some(Line { number: number?, purpose: purpose?, closed, links: links?, footer: footer? })
}

/// Each list stands for the default one.
fn decode_words(value: Value<'_>) -> Option<Words> {
    let mut table = value.table()?;
    let mut list = |key: &'static str, default: &[&str]| {
        let default = default.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        table.get_or(key, default, |value| value.list()?.iter().map(|word| word.text()).collect())
    };
    let words = (list("stop", reply::STOP), list("start", reply::START), list("help", reply::HELP));
    table.finish();
    Some(Words::new(words.0?, words.1?, words.2?))
}

fn decode_replies(value: Value<'_>, default: Replies) -> Option<Replies> {
    let mut table = value.table()?;
    let mut text = |key: &'static str, default: Option<String>| {
        table.get_or(key, default, |value| value.text().map(|text| (text != "none").then_some(text)))
    };
    let replies = (text("stop", default.stop), text("start", default.start), text("help", default.help));
    table.finish();
    Some(Replies { stop: replies.0?, start: replies.1?, help: replies.2? })
}

/// What is answered where the settings say nothing, in the brand's language.
fn default_replies(brand: &Brand) -> Replies {
    let name = &brand.name;
    let [stop, start, help] = match brand.locale.split('-').next() {
        Some("fa") => [
            format!("{name}: پیامکی برای شما فرستاده نمی‌شود. برای دریافت دوباره ۱۲ بفرستید."),
            format!("{name}: دوباره برای شما پیامک می‌فرستیم. برای لغو ۱۱ بفرستید."),
            format!("{name}: برای لغو پیامک‌ها ۱۱ و برای دریافت دوباره ۱۲ بفرستید."),
        ],
        _ => [
            format!("{name}: you get no more messages. Reply START to get them again."),
            format!("{name}: you get our messages again. Reply STOP to end them."),
            format!("{name}: reply STOP to get no more messages, START to get them again."),
        ],
    };
    Replies { stop: Some(stop), start: Some(start), help: Some(help) }
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

/// A problem that concerns a file as a whole.
pub fn file_problem(file: &Path, message: impl Into<String>) -> Problem {
    Problem { file: file.display().to_string(), line: 0, column: 0, message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str =
        "brand: { name: Shop, base_url: \"https://shop.example\" }\nemail: { from: \"Shop <a@shop.example>\" }\n";

    fn problems(text: &str) -> String {
        Settings::parse(Path::new("config/x.yaml"), text, &|_| None).map_err(|e| e.to_string()).unwrap_err()
    }

    #[test]
    fn the_least_that_is_needed_takes_the_embedded_defaults() {
        let settings = Settings::parse(Path::new("config/x.yaml"), LEAST, &|_| None).unwrap();
        assert_eq!(settings.store, "sqlite://config/../var/rekindle.db");
        assert_eq!(settings.queue, QueueSetting::Embedded);
        assert!(settings.email.smtp.is_none() && settings.sms.provider.is_none());
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
    fn a_mail_server_elsewhere_is_refused_until_members_can_unsubscribe() {
        let text = format!("{LEAST}  ").replace("email: {", "email: { sender: smtp, smtp: { host: mail.example.com },");
        assert!(
            problems(&text).contains("config/x.yaml:2:18: `sender: smtp` to `mail.example.com` is refused"),
            "{}",
            problems(&text)
        );
        let local = text.replace("mail.example.com", "127.0.0.1");
        assert!(Settings::parse(Path::new("x"), &local, &|_| None).unwrap().email.smtp.is_some());
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
