//! The description of an SMS provider: a YAML file that says how its HTTP API is called and what
//! each answer means. `config/providers/kavenegar.yaml` explains the keys.

use std::time::Duration;

use crate::document::{Document, Problems, Table, Value, expected};
use crate::domain::duration;
use crate::domain::message::{Reason, words};

use super::fields::{Field, ValueRule, takes_any};
use super::heard::{Delivery, Poll, Webhook, delivery};
use super::template::{Place, Template};

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

/// One HTTP call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    pub method: Method,
    pub url: Template,
    pub headers: Vec<(String, Template)>,
    /// User name and password of HTTP basic authentication.
    pub basic: Option<(Template, Template)>,
    pub body: Body,
    pub fields: Vec<(String, Field)>,
    /// What is asked of a pattern's values, by name; `*` is for all others.
    pub rules: Vec<(String, ValueRule)>,
    /// The provider takes the same `{reference}` only once, so that a call whose answer was lost
    /// can be repeated.
    pub idempotent: bool,
}

impl Operation {
    /// The named values that this call uses, and whether each one must be given.
    pub fn values(&self) -> impl Iterator<Item = (&str, bool)> {
        self.templates().flat_map(Template::values)
    }

    /// Whether the call names our line.
    pub fn names_line(&self) -> bool {
        self.templates().any(Template::names_line)
    }

    /// Whether the call carries our own reference, so that the provider can be asked about it.
    pub fn names_reference(&self) -> bool {
        self.templates().any(Template::names_reference)
    }

    /// Whether a pattern's values are what the call takes; the error names the value and its rule.
    pub fn check_values(&self, values: &[(String, String)]) -> Result<(), String> {
        let known: Vec<&str> = self.values().map(|(name, _)| name).collect();
        for (name, value) in values {
            if !takes_any(&self.fields) && !known.contains(&name.as_str()) {
                return Err(not_known("pattern value", name, &known));
            }
            let rule = self.rules.iter().find(|(own, _)| own == name);
            let rule = rule.or_else(|| self.rules.iter().find(|(own, _)| own == "*"));
            if let Some(why) = rule.and_then(|(_, rule)| rule.refuse(name, value)) {
                return Err(why);
            }
        }
        let missing = self.values().find(|(name, needed)| *needed && !values.iter().any(|(given, _)| given == name));
        missing.map_or(Ok(()), |(name, _)| Err(format!("the pattern value `{name}` is missing")))
    }

    fn templates(&self) -> impl Iterator<Item = &Template> {
        let headers = self.headers.iter().map(|(_, template)| template);
        let fields = self.fields.iter().flat_map(|(_, field)| field.templates());
        let basic = self.basic.iter().flat_map(|(user, password)| [user, password]);
        std::iter::once(&self.url).chain(headers).chain(fields).chain(basic)
    }
}

words! {
    /// The HTTP methods that send something.
    Method { Get = "GET", Post = "POST" }
}

words! {
    /// Where the fields go.
    Body {
        /// `application/x-www-form-urlencoded`.
        Form = "form",
        /// An object, as the fields are written.
        Json = "json",
        /// Behind the URL's question mark.
        Query = "query",
    }
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

/// A key that is absent is fine, one that could not be read is not.
pub(super) fn whole<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    match read {
        None => Some(None),
        Some(None) => None,
        Some(value) => Some(value),
    }
}

/// All items, or none where one could not be read; each one reports its problem.
pub(super) fn each<'d, T>(items: Vec<Value<'d>>, read: impl Fn(Value<'d>) -> Option<T>) -> Option<Vec<T>> {
    let read: Vec<Option<T>> = items.into_iter().map(read).collect();
    read.into_iter().collect()
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

fn operation(value: Value<'_>, place: Place, credentials: &[String]) -> Option<Operation> {
    let mut table = value.table()?;
    let operation = call(&mut table, place, credentials);
    let idempotent = table.get("idempotent").map(|value| Some((value, value.boolean()?)));
    let rules = table.get_or("rules", Vec::new(), |value| {
        let rules: Vec<_> =
            value.table()?.entries().into_iter().map(|(n, v)| Some((n, ValueRule::parse(v)?))).collect();
        rules.into_iter().collect()
    });
    table.finish();
    let idempotent = whole(idempotent)?;
    let mut operation = operation?;
    operation.idempotent = idempotent.is_some_and(|(_, idempotent)| idempotent);
    operation.rules = rules?;
    if let Some((at, true)) = idempotent
        && !operation.names_reference()
    {
        at.problem("this needs `{reference}` or `{message}` in the call: by it the provider knows the message again");
    }
    Some(operation)
}

/// The keys of any call.
pub(super) fn call(table: &mut Table<'_>, place: Place, credentials: &[String]) -> Option<Operation> {
    let template = |value: Value<'_>| value.parse(|text| Template::parse(text, place, credentials));
    let method = table.get_or("method", Method::Post, |value| value.one_of(Method::WORDS));
    let url = table.require("url").filter(|value| {
        let clear = value.text().is_some_and(|text| super::is_in_the_clear(&text));
        if clear {
            value.problem("this leads to another machine without TLS; write https://");
        }
        !clear
    });
    let url = url.and_then(template);
    let headers = table.get_or("headers", Vec::new(), |value| pairs(value, template));
    let basic = table.get("basic").map(|value| {
        let mut basic = value.table()?;
        let user = basic.require("username").and_then(template);
        let password = basic.require("password").and_then(template);
        basic.finish();
        Some((user?, password?))
    });
    let body = table.get_or("body", Body::Form, |value| value.one_of(Body::WORDS));
    let json = body == Some(Body::Json);
    let fields =
        table.get_or("fields", Vec::new(), |value| pairs(value, |value| Field::parse(value, json, place, credentials)));
    Some(Operation {
        method: method?,
        url: url?,
        headers: headers?,
        basic: whole(basic)?,
        body: body?,
        fields: fields?,
        rules: Vec::new(),
        idempotent: false,
    })
}

fn pairs<'d, T>(value: Value<'d>, read: impl Fn(Value<'d>) -> Option<T>) -> Option<Vec<(String, T)>> {
    let entries: Vec<_> =
        value.table()?.entries().into_iter().map(|(name, value)| Some((name, read(value)?))).collect();
    entries.into_iter().collect()
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

pub(super) fn pointer(value: Value<'_>) -> Option<String> {
    value.parse(|text| match text.starts_with('/') {
        true => Ok(text.to_owned()),
        false => Err(format!("`{text}` is not a place in the answer; write a JSON pointer: /return/status")),
    })
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

pub(super) fn length(value: Value<'_>) -> Option<Duration> {
    value.parse(|text| duration::parse(text)?.to_std().map_err(|error| error.to_string()))
}

/// For messages about a name that was written in a description or in the settings.
pub(super) fn not_known(what: &str, found: &str, valid: &[&str]) -> String {
    format!("there is no {what} `{found}`; {}", expected(found, valid))
}
