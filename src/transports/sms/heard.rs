//! What a provider hears: receipts and messages that came in, as its webhooks tell them and as it
//! answers when it is asked.

use std::time::Duration;

use serde_json::Value as Json;

use super::operation::{Operation, call};
use super::reading::{each, length, pointer, scalar, whole};
use super::template::Place;
use crate::document::{Table, Value};
use crate::domain::words::words;
use crate::domain::{Instant, instant};

words! {
    /// What a status of delivery means.
    Delivery {
        Delivered = "delivered",
        Undelivered = "undelivered",
        /// The recipient blocks advertising: marketing stops, service messages do not.
        Blocked = "blocked",
        /// Nothing yet.
        UnderWay = "under_way",
    }
}

words! {
    /// How a webhook call proves where it comes from.
    Auth {
        /// A secret in the URL's query, `?key=`: for providers that sign nothing.
        Key = "key",
        /// `X-Twilio-Signature`: HMAC-SHA1 over URL and fields.
        Twilio = "twilio",
        /// HMAC over the fields, or a JWT in `Authorization` with the body's hash.
        Vonage = "vonage",
        /// `X-Plivo-Signature-V3`: HMAC-SHA256 over URL, fields and nonce.
        Plivo = "plivo",
        /// A JWT in `MessageBird-Signature-JWT` with the hashes of URL and body.
        MessageBird = "messagebird",
    }
}

/// How the provider's webhooks look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    pub auth: Auth,
    /// The credential that authenticates a call.
    pub secret: String,
    pub receipt: Option<Receipt>,
    pub inbound: Option<Inbound>,
    /// The body of our answer; some providers want a word, others would send it on.
    pub answer: String,
}

/// The statuses of delivery that a description lists, and what they mean.
pub type Statuses = [(String, Delivery)];

/// Where a receipt holds what. Each is a list of JSON pointers of which the first that is there counts
/// (of `status` the first that is listed); a form's or query's fields read as an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Where receipts come as a list: the list.
    pub items: Vec<String>,
    pub status: Vec<String>,
    /// The provider's id of the message.
    pub reference: Vec<String>,
    /// Our own id of it, or our reference.
    pub message: Vec<String>,
}

/// Where a message that came in holds what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inbound {
    pub items: Vec<String>,
    /// The provider's id of it.
    pub id: Vec<String>,
    pub from: Vec<String>,
    /// The line.
    pub to: Vec<String>,
    pub text: Vec<String>,
    /// When: seconds, RFC 3339, or a date and time in UTC.
    pub at: Vec<String>,
}

/// How the provider is asked, at intervals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poll {
    pub every: Duration,
    /// What became of messages, and how many one call may ask about.
    pub receipts: Option<(Operation, Receipt, usize)>,
    pub ask: Option<Ask>,
    /// What came in to a line.
    pub inbound: Option<(Operation, Inbound)>,
}

/// The question about a message by our own reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub call: Operation,
    pub receipt: Receipt,
    /// The statuses that say that the provider never had it.
    pub not_found: Vec<String>,
    /// For how long after the attempt it knows.
    pub within: Duration,
}

impl Default for Poll {
    fn default() -> Self {
        Self { every: Duration::from_secs(60), receipts: None, ask: None, inbound: None }
    }
}

/// A receipt, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipted {
    /// The provider's id of the message.
    pub reference: Option<String>,
    /// Our own id or reference, as it came.
    pub message: Option<String>,
    pub status: String,
}

/// A message that came in, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub id: Option<String>,
    pub from: String,
    pub to: Option<String>,
    pub text: String,
    pub at: Option<Instant>,
}

impl Webhook {
    pub(super) fn parse(value: Value<'_>) -> Option<Self> {
        let mut table = value.table()?;
        let auth = table.require("auth").and_then(|value| value.one_of(Auth::WORDS));
        let secret = table.require("secret").and_then(|value| value.text());
        let receipt = table.get("receipt").map(|value| {
            let mut table = value.table()?;
            let receipt = receipt(&mut table);
            table.finish();
            receipt
        });
        let inbound = table.get("inbound").map(|value| {
            let mut table = value.table()?;
            let inbound = inbound(&mut table);
            table.finish();
            inbound
        });
        let answer = table.get_or("answer", String::new(), |value| value.text());
        table.finish();
        Some(Self { auth: auth?, secret: secret?, receipt: whole(receipt)?, inbound: whole(inbound)?, answer: answer? })
    }

    /// What a call says: receipts where a status is there, else messages where a text is. `None`
    /// where it says neither.
    pub fn read(&self, root: &Json, delivery: &Statuses) -> Option<(Vec<Receipted>, Vec<Received>)> {
        let receipts = self.receipt.as_ref().map(|receipt| receipt.read(root, delivery)).unwrap_or_default();
        if !receipts.is_empty() {
            return Some((receipts, Vec::new()));
        }
        let inbound = self.inbound.as_ref().map(|inbound| inbound.read(root)).unwrap_or_default();
        (!inbound.is_empty()).then_some((Vec::new(), inbound))
    }
}

impl Poll {
    pub(super) fn parse(value: Value<'_>, credentials: &[String]) -> Option<Self> {
        let default = Self::default();
        let mut table = value.table()?;
        let every = table.get_or("every", default.every, length);
        let receipts = table.get("receipts").map(|value| {
            let mut table = value.table()?;
            let call = call(&mut table, Place::Receipts, credentials);
            let batch = table.get_or("batch", 1, |value| value.integer_in(1..=1000));
            let receipt = receipt(&mut table);
            table.finish();
            Some((call?, receipt?, usize::try_from(batch?).ok()?))
        });
        let ask = table.get("ask").map(|value| {
            let mut table = value.table()?;
            let call = call(&mut table, Place::Ask, credentials);
            let receipt = receipt(&mut table);
            let not_found = table.get_or("not_found", Vec::new(), |value| each(value.list()?, |item| item.text()));
            let within = table.require("within").and_then(length);
            table.finish();
            Some(Ask { call: call?, receipt: receipt?, not_found: not_found?, within: within? })
        });
        let inbound = table.get("inbound").map(|value| {
            let mut table = value.table()?;
            let call = call(&mut table, Place::Inbox, credentials);
            let inbound = inbound(&mut table);
            table.finish();
            Some((call?, inbound?))
        });
        table.finish();
        Some(Self { every: every?, receipts: whole(receipts)?, ask: whole(ask)?, inbound: whole(inbound)? })
    }
}

impl Receipt {
    /// Every receipt in an answer.
    pub fn read(&self, root: &Json, delivery: &Statuses) -> Vec<Receipted> {
        let read = |item: &Json| {
            let statuses = || self.status.iter().filter_map(|pointer| scalar(item.pointer(pointer)?));
            let listed = statuses().find(|found| delivery.iter().any(|(status, _)| status == found));
            Some(Receipted {
                status: listed.or_else(|| statuses().next())?,
                reference: first(item, &self.reference),
                message: first(item, &self.message),
            })
        };
        items(root, &self.items).into_iter().filter_map(read).collect()
    }
}

impl Inbound {
    /// Every message in an answer.
    pub fn read(&self, root: &Json) -> Vec<Received> {
        let text = |item: &Json, places: &[String]| {
            places.iter().find_map(|pointer| match item.pointer(pointer)? {
                Json::String(text) => Some(text.clone()),
                Json::Number(number) => Some(number.to_string()),
                _ => None,
            })
        };
        let read = |item: &Json| {
            Some(Received {
                id: first(item, &self.id),
                from: text(item, &self.from).filter(|from| from.len() < 40)?,
                to: text(item, &self.to).filter(|to| to.len() < 40),
                text: text(item, &self.text)?,
                at: text(item, &self.at).and_then(|at| moment(&at)),
            })
        };
        items(root, &self.items).into_iter().filter_map(read).collect()
    }
}

/// The items of a list, or the one object that is there; at most a thousand, which no provider exceeds.
fn items<'j>(root: &'j Json, places: &[String]) -> Vec<&'j Json> {
    let found = match places {
        [] => Some(root),
        _ => places.iter().find_map(|pointer| root.pointer(pointer)),
    };
    match found {
        Some(Json::Array(items)) => items.iter().take(1000).collect(),
        Some(one @ Json::Object(_)) => vec![one],
        _ => Vec::new(),
    }
}

fn first(item: &Json, places: &[String]) -> Option<String> {
    places.iter().find_map(|pointer| scalar(item.pointer(pointer)?))
}

fn moment(text: &str) -> Option<Instant> {
    if let Ok(number) = text.parse::<i64>() {
        // Seconds, unless that were the year 5138 or later.
        return Some(instant(if number < 100_000_000_000 { number.checked_mul(1000)? } else { number }));
    }
    if let Ok(at) = chrono::DateTime::parse_from_rfc3339(text) {
        return Some(at.to_utc());
    }
    ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|format| chrono::NaiveDateTime::parse_from_str(text, format).ok())
        .map(|at| at.and_utc())
}

fn receipt(table: &mut Table<'_>) -> Option<Receipt> {
    let items = table.get_or("items", Vec::new(), places);
    let status = table.require("status").and_then(places);
    let reference = table.get_or("reference", Vec::new(), places);
    let message = table.get_or("message", Vec::new(), places);
    Some(Receipt { items: items?, status: status?, reference: reference?, message: message? })
}

fn inbound(table: &mut Table<'_>) -> Option<Inbound> {
    let items = table.get_or("items", Vec::new(), places);
    let id = table.get_or("id", Vec::new(), places);
    let from = table.require("from").and_then(places);
    let to = table.get_or("to", Vec::new(), places);
    let text = table.require("text").and_then(places);
    let at = table.get_or("at", Vec::new(), places);
    Some(Inbound { items: items?, id: id?, from: from?, to: to?, text: text?, at: at? })
}

fn places(value: Value<'_>) -> Option<Vec<String>> {
    each(value.list()?, pointer)
}

/// `status: meaning`, for each status.
pub(super) fn delivery(value: Value<'_>) -> Option<Vec<(String, Delivery)>> {
    let entries = value.table()?.entries().into_iter();
    let read: Vec<_> = entries.map(|(status, value)| Some((status, value.one_of(Delivery::WORDS)?))).collect();
    read.into_iter().collect()
}
