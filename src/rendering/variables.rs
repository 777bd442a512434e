//! What templates may say. This is the one place where the variables are listed and filled.
//!
//! | variable | value |
//! |---|---|
//! | `member.external_id`, `.title`, `.first_name`, `.last_name`, `.full_name`, `.email`, `.phone`, `.locale`, `.tier` | text; empty where the member lacks it |
//! | `member.points`, `.joined_at`, `.birth_date` | number, instant, date; null where the member lacks it |
//! | `member.attributes.NAME` | text; missing where the member lacks it: use `{{default member.attributes.size "your size"}}` |
//! | `brand.name`, `brand.base_url` | text |
//! | `unsubscribe_url`, `preferences_url` | where the member stops such messages, and says what to get |
//! | `campaign.name`, `message.id`, `message.step` | text |
//! | `occasion.date` | the local date on which the message is due |
//! | `occasion.years` | which anniversary; else null |
//! | `occasion.days_since` | whole days since the order, for `post_purchase` and `at_risk`; else null |
//! | `order.id`, `.amount`, `.currency`, `.purchased_at` | of the order that the occasion rests on; else null |
//! | `gift.code`, `.value`, `.valid_until` | of a coupon: its code, what it is worth, the last day on which it holds (missing without `valid_days`) |
//! | `gift.points` | how many points the message brings |
//!
//! `gift` is there only where the message brings one: its step's own or, where that gives nothing, the last one of
//! its occasion. Where it can be missing, what says it stands between `{{#if gift}}` and `{{/if}}`.
//!
//! Helpers: `{{date X}}`, `{{number X}}`, `{{money AMOUNT CURRENCY}}`, `{{default X "text"}}`; and those of
//! Handlebars: `if`, `unless`, `each`, `with`, `lookup`, `eq`, `ne`, `gt`, `gte`, `lt`, `lte`, `and`, `or`, `not`,
//! `len`.

use handlebars::Context;
use serde_json::{Value, json};
use uuid::Uuid;

use super::links;
use crate::domain::Instant;
use crate::domain::brand::Brand;
use crate::domain::calendar::local_date;
use crate::domain::gift::Gift;
use crate::domain::member::Member;
use crate::domain::purchase::Purchase;
use crate::domain::text::{clean, persian_digits};
use crate::domain::token::TokenKey;
use crate::domain::track::Track;

/// Every variable with a fixed name, for suggestions.
pub const NAMES: &[&str] = &[
    "member.external_id",
    "member.title",
    "member.first_name",
    "member.last_name",
    "member.full_name",
    "member.email",
    "member.phone",
    "member.locale",
    "member.tier",
    "member.points",
    "member.joined_at",
    "member.birth_date",
    "brand.name",
    "brand.base_url",
    "unsubscribe_url",
    "preferences_url",
    "campaign.name",
    "message.id",
    "message.step",
    "occasion.date",
    "occasion.years",
    "occasion.days_since",
    "order.id",
    "order.amount",
    "order.currency",
    "order.purchased_at",
    "gift.code",
    "gift.value",
    "gift.valid_until",
    "gift.points",
];

/// Those that are numbers whoever the member is.
pub(super) const NUMBERS: &[&str] = &["member.points", "occasion.years", "occasion.days_since", "gift.points"];

/// What to say of a name that stands for nothing.
pub(super) fn missing(name: &str) -> String {
    if name.starts_with("gift.") && NAMES.contains(&name) {
        return format!(
            "a message can go out without `{name}`; write it between {{{{#if {name}}}}} and {{{{/if}}}}, or let the \
             step's `gift` always bring it"
        );
    }
    format!("there is no variable `{name}`; {}", crate::document::expected(name, NAMES))
}

/// What one message is rendered from.
#[derive(Debug, Clone, Copy)]
pub struct Variables<'a> {
    pub brand: &'a Brand,
    pub member: &'a Member,
    pub campaign: &'a str,
    pub message: Uuid,
    /// Signs the message's links.
    pub tokens: &'a TokenKey,
    /// What is to be heard of an HTML mail.
    pub track: Track,
    pub step: &'a str,
    pub due_at: Instant,
    pub years: Option<i64>,
    pub order: Option<&'a Purchase>,
    pub gift: Option<&'a Gift>,
}

impl Variables<'_> {
    /// The member's language.
    pub fn locale(&self) -> &str {
        self.member.locale(self.brand)
    }

    /// First and last name.
    pub fn full_name(&self) -> String {
        [&self.member.first_name, &self.member.last_name]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .map(clean)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The HTML of the message, as far as it is tracked.
    pub(super) fn tracked(&self, html: &str) -> String {
        links::tracked(html, &self.brand.base_url, self.tokens, self.message, self.track)
    }

    pub(super) fn context(&self) -> Context {
        let member = self.member;
        // Nothing that a member is called adds a line to a message.
        let text = |value: &Option<String>| Value::from(clean(value.as_deref().unwrap_or_default()));
        let zone = member.zone(self.brand);
        let order = self.order;
        let mut values = json!({
            "member": {
                "external_id": member.external_id,
                "title": text(&member.title),
                "first_name": text(&member.first_name),
                "last_name": text(&member.last_name),
                "full_name": self.full_name(),
                "email": text(&member.email),
                "phone": text(&member.phone),
                "locale": self.locale(),
                "tier": text(&member.tier),
                "points": member.points,
                "joined_at": member.joined_at.map(|at| at.to_rfc3339()),
                "birth_date": member.birth_date.map(|date| date.to_string()),
                "attributes": member.attributes,
            },
            "brand": { "name": self.brand.name, "base_url": self.brand.base_url },
            "unsubscribe_url": links::unsubscribe_url(&self.brand.base_url, self.tokens, self.message),
            "preferences_url": links::preferences_url(&self.brand.base_url, self.tokens, self.message),
            "campaign": { "name": self.campaign },
            "message": { "id": self.message.to_string(), "step": self.step },
            "occasion": {
                "date": local_date(zone, self.due_at).to_string(),
                "years": self.years,
                "days_since": order.map(|order| (self.due_at - order.purchased_at).num_days()),
            },
            "order": {
                "id": order.map(|order| &order.order_id),
                "amount": order.map(|order| crate::domain::money::display(order.amount, &order.currency)),
                "currency": order.map(|order| &order.currency),
                "purchased_at": order.map(|order| order.purchased_at.to_rfc3339()),
            },
            // For the helpers, which must write as the member reads.
            "@locale": self.locale(),
            "@zone": zone.name(),
            "@calendar": member.calendar(self.brand).as_str(),
        });
        if let Some(gift) = self.gift {
            let mut known = serde_json::Map::new();
            let mut say = |name: &str, value: Option<Value>| value.map(|value| known.insert(name.to_owned(), value));
            say("code", gift.code.as_deref().map(Value::from));
            say("value", gift.value.as_deref().map(|value| Value::from(self.as_read(value))));
            say("points", gift.points.map(Value::from));
            say("valid_until", gift.valid_until.map(|date| Value::from(date.to_string())));
            values["gift"] = Value::Object(known);
        }
        Context::from(values)
    }

    /// A text with its digits as the member reads them.
    fn as_read(&self, text: &str) -> String {
        let language = self.locale().split('-').next().unwrap_or_default();
        if language == "fa" { persian_digits(text).replace('%', "٪") } else { text.to_owned() }
    }
}
