//! The description of an SMS provider: a YAML file that says how its HTTP API is called and what
//! each answer means. `config/providers/kavenegar.yaml` explains the keys.

use std::time::Duration;

use crate::document::{Document, Problems, Table, Value};
use crate::domain::message::Reason;

use super::heard::{Delivery, Poll, Webhook, delivery};
use super::operation::{Operation, operation};
use super::reading::{each, length, pointer, whole};
use super::template::Place;

/// How long a provider rests where its description does not say.
const PAUSE: Duration = Duration::from_secs(5 * 60);

/// A provider's HTTP API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// As settings call it.
    pub name: String,
    /// The beginning of each URL, unless the settings give another.
    pub base_url: String,
    /// Names of the credentials that the settings must give.
    pub credentials: Vec<String>,
    /// Prefixes of an E.164 number and what they become; the first that fits.
    pub numbers: Vec<(String, String)>,
    /// The call that sends a text, where the provider has one.
    pub text: Option<Operation>,
    /// The call that sends a pattern, where the provider has one.
    pub pattern: Option<Operation>,
    pub reply: Reply,
    /// What each status of delivery means.
    pub delivery: Vec<(String, Delivery)>,
    /// How the provider tells us what it hears.
    pub webhook: Option<Webhook>,
    /// How it is asked for that.
    pub poll: Poll,
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Of the call.
    pub call: Codes,
    /// What a code of the call that is not listed means.
    pub unlisted: Meaning,
    /// Of the message inside a successful call; one that is not listed means that it was taken.
    pub message: Option<Codes>,
    /// JSON pointers to the provider's id of the message.
    pub reference: Vec<String>,
}

/// Where an answer holds a code, and what each code means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codes {
    /// The first place that holds a listed one counts, else the first that holds any.
    pub code: Vec<Source>,
    pub codes: Vec<(String, Meaning)>,
}

impl Codes {
    /// What a code means, where it is listed.
    pub fn meaning(&self, code: &str) -> Option<&Meaning> {
        self.codes.iter().find(|(listed, _)| listed == code).map(|(_, meaning)| meaning)
    }
}

/// A place in an HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The HTTP status.
    Http,
    /// The first word of a body that is plain text.
    Body,
    /// A JSON pointer (RFC 6901) into the body.
    Pointer(String),
}

/// What a code means for a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meaning {
    pub then: Then,
    /// For the operator who reads the log.
    pub means: String,
}

/// What is done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Sent,
    /// It was not taken.
    Retry,
    /// Nobody can know whether it was taken.
    Uncertain,
    Pause(Duration),
    Reject(Reason),
    /// The recipient is on a list against advertising: marketing stops, service messages do not.
    SuppressMarketing,
}

/// The words of `then`.
#[derive(Clone, Copy)]
enum Word {
    Sent,
    Retry,
    Uncertain,
    Pause,
    Reject,
    SuppressMarketing,
    OurFault,
}

const WORDS: &[(&str, Word)] = &[
    ("sent", Word::Sent),
    ("retry", Word::Retry),
    ("uncertain", Word::Uncertain),
    ("pause", Word::Pause),
    ("reject", Word::Reject),
    ("suppress_marketing", Word::SuppressMarketing),
    ("our_fault", Word::OurFault),
];

const REASONS: &[(&str, Reason)] = &[
    (Reason::BadRecipient.as_str(), Reason::BadRecipient),
    (Reason::Refused.as_str(), Reason::Refused),
    (Reason::MessageRefused.as_str(), Reason::MessageRefused),
];

impl Provider {
    /// Reads a description; every problem is reported with its line and column.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problems> {
        // No environment: secrets belong in the settings, and a description can be shared.
        let document = Document::parse(file, text, None).map_err(|problem| Problems(vec![problem]))?;
        let provider = decode(document.root());
        document.finish(provider)
    }
}

fn decode(root: Value<'_>) -> Option<Provider> {
    let mut table = root.table()?;
    let name = table.require("name").and_then(|value| value.text());
    let base_url = table.require("base_url").and_then(base_url);
    let credentials = table.get_or("credentials", Vec::new(), texts);
    let numbers = table.get_or("numbers", Vec::new(), |value| each(value.list()?, number));
    let mut known = credentials.clone().unwrap_or_default();
    let webhook = table.get("webhook").map(Webhook::parse);
    if let Some(Some(webhook)) = &webhook
        && !known.contains(&webhook.secret)
    {
        known.push(webhook.secret.clone());
    }
    let text = table.get("text").map(|value| operation(value, Place::Text, &known));
    let pattern = table.get("pattern").map(|value| operation(value, Place::Pattern, &known));
    if text.is_none() && pattern.is_none() {
        root.problem("there is neither `text` nor `pattern`: the provider could send nothing");
    }
    let reply = table.require("reply").and_then(reply);
    let delivery = table.get_or("delivery", Vec::new(), delivery);
    let poll = table.get_or("poll", Poll::default(), |value| Poll::parse(value, &known));
    table.finish();
    Some(Provider {
        name: name?,
        base_url: base_url?,
        credentials: credentials?,
        numbers: numbers?,
        text: whole(text)?,
        pattern: whole(pattern)?,
        reply: reply?,
        delivery: delivery?,
        webhook: whole(webhook)?,
        poll: poll?,
    })
}

fn texts(value: Value<'_>) -> Option<Vec<String>> {
    each(value.list()?, |item| item.text())
}

fn base_url(value: Value<'_>) -> Option<String> {
    value.parse(|text| match text.starts_with("https://") || text.starts_with("http://") {
        true => Ok(text.trim_end_matches('/').to_owned()),
        false => Err(format!("`{text}` is not an address; write https://…")),
    })
}

fn number(value: Value<'_>) -> Option<(String, String)> {
    let mut table = value.table()?;
    let prefix = table.require("prefix").and_then(|value| value.text());
    let becomes = table.require("becomes").and_then(|value| value.text());
    table.finish();
    Some((prefix?, becomes?))
}

fn reply(value: Value<'_>) -> Option<Reply> {
    let mut table = value.table()?;
    let call = codes(&mut table);
    if call.as_ref().is_some_and(|call| !call.codes.iter().any(|(_, meaning)| meaning.then == Then::Sent)) {
        value.problem("none of the `codes` means `sent`");
    }
    let reference = table.get_or("reference", Vec::new(), |value| each(value.list()?, pointer));
    let unlisted = table.require("unlisted").and_then(meaning);
    let message = table.get("message").map(|value| {
        let mut table = value.table()?;
        let message = codes(&mut table);
        table.finish();
        message
    });
    table.finish();
    Some(Reply { call: call?, unlisted: unlisted?, message: whole(message)?, reference: reference? })
}

fn codes(table: &mut Table<'_>) -> Option<Codes> {
    let code = table.require("code").and_then(|value| each(value.list()?, source));
    let codes = table.require("codes").and_then(|value| {
        let entries = value.table()?.entries().into_iter();
        let read: Vec<_> = entries.map(|(code, value)| Some((code, meaning(value)?))).collect();
        read.into_iter().collect()
    });
    Some(Codes { code: code?, codes: codes? })
}

fn source(value: Value<'_>) -> Option<Source> {
    match value.text()?.as_str() {
        "http" => Some(Source::Http),
        "body" => Some(Source::Body),
        _ => pointer(value).map(Source::Pointer),
    }
}

fn meaning(value: Value<'_>) -> Option<Meaning> {
    let mut table = value.table()?;
    let word = table.require("then").and_then(|value| value.one_of(WORDS));
    let means = table.require("means").and_then(|value| value.text());
    // Only a pause has a length and only a rejection a reason: elsewhere the key is unknown.
    let then = match word {
        Some(Word::Pause) => table.get_or("for", PAUSE, length).map(Then::Pause),
        Some(Word::Reject) => {
            table.get_or("reason", Reason::BadRecipient, |value| value.one_of(REASONS)).map(Then::Reject)
        }
        Some(Word::Sent) => Some(Then::Sent),
        Some(Word::Retry) => Some(Then::Retry),
        Some(Word::Uncertain) => Some(Then::Uncertain),
        Some(Word::SuppressMarketing) => Some(Then::SuppressMarketing),
        Some(Word::OurFault) => Some(Then::Reject(Reason::OurFault)),
        None => None,
    };
    table.finish();
    Some(Meaning { then: then?, means: means? })
}
