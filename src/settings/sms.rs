//! The keys of `sms`: providers, their lines, and what members may answer.

use secrecy::SecretString;

use super::servers::decode_rate;
use crate::document::{Table, Value};
use crate::domain::brand::Brand;
use crate::domain::calendar::QuietHours;
use crate::domain::host::is_loopback;
use crate::domain::message::Purpose;
use crate::domain::pace::Rate;
use crate::domain::reply::{self, Words};
use crate::domain::sms::{Line, Route, Routes, line_for};

/// How SMS go out, and what members may answer.
#[derive(Debug, Clone)]
pub struct Sms {
    /// None: capture.
    pub providers: Vec<SmsProvider>,
    /// Every line, of whatever provider.
    pub lines: Vec<Line>,
    pub uncertain: Uncertain,
    /// What a word sent back means.
    pub words: Words,
    pub replies: Replies,
}

impl Default for Sms {
    /// Captured, without lines.
    fn default() -> Self {
        Self {
            providers: Vec::new(),
            lines: Vec::new(),
            uncertain: Uncertain::Ask,
            words: Words::default(),
            replies: Replies::default(),
        }
    }
}

impl Sms {
    /// The configured provider of this name.
    pub fn provider(&self, name: &str) -> Option<&SmsProvider> {
        self.providers.iter().find(|provider| provider.name == name)
    }

    /// Which numbers go out by which provider and lines.
    pub fn routes(&self) -> Routes {
        if self.providers.is_empty() {
            return Routes::new(vec![Route { lines: self.lines.clone(), ..Route::default() }]);
        }
        let routes = self.providers.iter().map(|provider| Route {
            provider: provider.name.clone(),
            prefixes: provider.prefixes.clone(),
            lines: provider.lines.clone(),
        });
        Routes::new(routes.collect())
    }
}

/// A provider of SMS.
#[derive(Debug, Clone)]
pub struct SmsProvider {
    /// Its description's name.
    pub name: String,
    /// Another address of its API, for staging.
    pub base_url: Option<String>,
    pub lines: Vec<Line>,
    pub credentials: Vec<(String, SecretString)>,
    pub connections: usize,
    /// For numbers that begin so; empty: for all others.
    pub prefixes: Vec<String>,
    pub weight: u32,
    pub rate: Rate,
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

/// One provider by its name, or a list of several that say for themselves what differs.
pub(super) fn decode_sms(value: Value<'_>, brand: Option<&Brand>) -> Option<Sms> {
    let mut table = value.table()?;
    let sender = table.get("sender");
    let own = decode_provider(&mut table, None);
    let uncertain = table.get_or("uncertain", Uncertain::Ask, |value| {
        value.one_of(&[("ask", Uncertain::Ask), ("hold", Uncertain::Hold)])
    });
    let words = table.get_or("words", Words::default(), decode_words);
    let default = brand.map(default_replies).unwrap_or_default();
    let replies = match table.get("replies") {
        Some(value) => decode_replies(value, default),
        None => Some(default),
    };
    table.finish();
    let own = own?;
    let providers = match sender {
        None => Vec::new(),
        Some(list) if list.is_list() => {
            let items = list.list()?;
            if items.is_empty() {
                list.problem("the list is empty; write capture, or at least one: [{ provider: kavenegar }]");
                return None;
            }
            let several = items.into_iter().map(|item| {
                let mut table = item.table()?;
                let name = table.require("provider").and_then(|value| value.text());
                let prefixes = table.get_or("prefixes", Vec::new(), decode_prefixes);
                let weight = table.get_or("weight", 1, |value| value.integer_in(1..=1000));
                let provider = decode_provider(&mut table, Some(&own));
                table.finish();
                let weight = u32::try_from(weight?).ok()?;
                Some(SmsProvider { name: name?, prefixes: prefixes?, weight, ..provider? })
            });
            let providers = several.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>()?;
            same_hours(&list, &providers)?;
            providers
        }
        Some(one) => match one.text()? {
            name if name == "capture" => Vec::new(),
            name => vec![SmsProvider { name, ..own.clone() }],
        },
    };
    let mut lines = own.lines;
    for line in providers.iter().flat_map(|provider| &provider.lines) {
        if !lines.contains(line) {
            lines.push(line.clone());
        }
    }
    Some(Sms { providers, lines, uncertain: uncertain?, words: words?, replies: replies? })
}

/// Which of several providers for the same numbers a message takes is drawn when it is sent; when it may go is decided
/// before.
fn same_hours(list: &Value<'_>, providers: &[SmsProvider]) -> Option<()> {
    let closed = |provider: &SmsProvider| line_for(&provider.lines, Purpose::Marketing).and_then(|line| line.closed);
    for (index, one) in providers.iter().enumerate() {
        for other in &providers[index + 1..] {
            let both_for_all = one.prefixes.is_empty() && other.prefixes.is_empty();
            let shares = both_for_all || one.prefixes.iter().any(|prefix| other.prefixes.contains(prefix));
            if shares && closed(one) != closed(other) {
                list.problem(format!(
                    "`{}` and `{}` share numbers, so their marketing lines need the same `hours`",
                    one.name, other.name
                ));
                return None;
            }
        }
    }
    Some(())
}

/// The keys of a provider; what is not there is as in `outer`, but for the base URL and credentials.
fn decode_provider(table: &mut Table<'_>, outer: Option<&SmsProvider>) -> Option<SmsProvider> {
    let base_url = table.get_or("base_url", None, |value| value.parse(parse_base_url).map(Some));
    let lines = table.get_or("lines", outer.map_or_else(Vec::new, |outer| outer.lines.clone()), |value| {
        let lines = value.list()?.into_iter().map(decode_line);
        lines.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>()
    });
    let credentials = table.get_or("credentials", Vec::new(), |value| {
        let mut table = value.table()?;
        let entries = table.entries().into_iter().map(|(name, value)| Some((name, SecretString::from(value.text()?))));
        entries.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>()
    });
    let default = outer.map_or(8, |outer| outer.connections);
    let connections = table.get_or("connections", default, |value| usize::try_from(value.integer_in(1..=200)?).ok());
    let rate = table.get_or("rate", outer.map_or_else(Rate::default, |outer| outer.rate), decode_rate);
    Some(SmsProvider {
        name: String::new(),
        base_url: base_url?,
        lines: lines?,
        credentials: credentials?,
        connections: connections?,
        prefixes: Vec::new(),
        weight: 1,
        rate: rate?,
    })
}

fn parse_base_url(text: &str) -> Result<String, String> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let host = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default().rsplit('@').next().unwrap_or_default();
    let host = host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map_or(host, |(host, _)| host);
    if scheme.eq_ignore_ascii_case("http") && !is_loopback(host) {
        return Err(
            "the key and the messages would cross the network in the clear; write an address with https:// (http:// is for 127.0.0.1)"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
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

fn decode_prefixes(value: Value<'_>) -> Option<Vec<String>> {
    let prefixes = value.list()?.into_iter().map(|item| {
        item.parse(|text| {
            let digits = text.strip_prefix('+').unwrap_or_default();
            match !digits.is_empty() && digits.len() <= 15 && digits.bytes().all(|b| b.is_ascii_digit()) {
                true => Ok(text.to_owned()),
                false => Err(format!(
                    "`{text}` is not the beginning of a number; write it in quotes with its country, such as \"+98\""
                )),
            }
        })
    });
    prefixes.collect::<Vec<_>>().into_iter().collect()
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

#[cfg(test)]
mod tests {
    use super::parse_base_url;

    #[test]
    fn messages_cross_no_network_in_the_clear() {
        for url in [
            "https://api.example.com",
            "http://127.0.0.1:13013",
            "http://localhost/x",
            "http://[::1]:80/",
            "http://[::1]",
            "HTTP://127.0.0.1",
        ] {
            assert_eq!(parse_base_url(url).as_deref(), Ok(url));
        }
        for url in [
            "http://api.example.com",
            "HTTP://api.example.com/",
            "http://10.0.0.1:80",
            "http://127.0.0.1@api.example.com",
            "http://localhost.example.com",
            "http://api.example.com?127.0.0.1",
            "http://[2001:db8::1]:80",
        ] {
            assert!(parse_base_url(url).unwrap_err().contains("in the clear"), "{url}");
        }
    }
}
