//! What is known about a member at an instant, and the values that filters compare.

use std::cmp::Ordering;

use chrono::{Duration, NaiveDate};
use chrono_tz::Tz;

use super::{Aggregate, Comparison, Field, Operand, Prediction, Span};
use crate::domain::Instant;
use crate::domain::birth_date::BirthDate;
use crate::domain::brand::Brand;
use crate::domain::calendar::{local_date, local_midnight, parse_life_date};
use crate::domain::lifetime::{Customer, Models};
use crate::domain::member::Member;
use crate::domain::message::Channel;
use crate::domain::money::minor_units;
use crate::domain::number;
use crate::domain::rfm::{Cuts, Measure};

/// A valid order, as far as filters look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paid {
    pub at: Instant,
    /// In minor units of `currency`.
    pub amount: i64,
    pub currency: String,
}

/// What is known about a member beside the member's own fields; what a filter does not use
/// ([`super::Audience::uses`]) may be left out.
#[derive(Debug, Clone, Default)]
pub struct Known<'a> {
    /// Valid orders, whenever they were made.
    pub purchases: &'a [Paid],
    /// Channels whose address is closed to marketing, or to which the member objects.
    pub suppressed: Vec<Channel>,
    /// Campaigns whose messages were sent, and when; `None` while that is not decided.
    pub received: Option<Vec<(&'a str, Instant)>>,
    pub cuts: Option<&'a Cuts>,
    /// For the brand's currency; `None` as long as none are fitted.
    pub models: Option<Models>,
}

/// A member as seen at an instant.
#[derive(Debug, Clone)]
pub struct View<'a> {
    pub member: &'a Member,
    pub brand: &'a Brand,
    pub at: Instant,
    pub known: Known<'a>,
}

/// A member's value of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(String),
    Number(f64),
    Flag(bool),
    Date(NaiveDate),
    Instant(Instant),
    /// It is there, but is neither equal to anything nor before or after it: a birthday without
    /// its year.
    Other(String),
}

/// The instants of a local date: its first, and the first that is no longer of it.
pub fn day(date: NaiveDate, zone: Tz) -> (Instant, Instant) {
    let end = date.succ_opt().map_or(Instant::MAX_UTC, |next| local_midnight(zone, next));
    (local_midnight(zone, date), end)
}

impl View<'_> {
    /// The member's value of the field, in the type of the constants that it is compared with.
    pub fn value(&self, comparison: &Comparison) -> Option<Value> {
        match &comparison.field {
            Field::Column(name) => self.column(name),
            Field::Attribute(name) => attribute(self.member.attributes.get(name)?, comparison.operands.first()),
            Field::Purchases(aggregate, span) => self.aggregate(*aggregate, *span),
            Field::Rfm(measure) => self.score(*measure),
            Field::Prediction(prediction) => {
                predicted(*prediction, &self.known.models?, &self.customer()?, self.brand).map(Value::Number)
            }
        }
    }

    /// What the models ask for about the member; `None` without orders.
    fn customer(&self) -> Option<Customer> {
        let amount = |order: &Paid| (order.currency == self.brand.currency).then_some(order.amount);
        Customer::at(self.at, self.known.purchases.iter().map(|order| (order.at, amount(order))))
    }

    fn column(&self, name: &str) -> Option<Value> {
        let member = self.member;
        let text = |value: &Option<String>| value.clone().map(Value::Text);
        match name {
            "external_id" => Some(Value::Text(member.external_id.clone())),
            "email" => text(&member.email),
            "phone" => text(&member.phone),
            "title" => text(&member.title),
            "first_name" => text(&member.first_name),
            "last_name" => text(&member.last_name),
            "locale" => text(&member.locale),
            "timezone" => member.timezone.map(|zone| Value::Text(zone.name().to_owned())),
            "calendar" => member.calendar.map(|calendar| Value::Text(calendar.to_string())),
            // A shop writes Gold and GOLD, and means one.
            "tier" => member.tier.as_ref().map(|tier| Value::Text(tier.to_ascii_lowercase())),
            "points" => member.points.map(|points| Value::Number(points as f64)),
            "email_consent" => Some(Value::Flag(member.email_consent)),
            "sms_consent" => Some(Value::Flag(member.sms_consent)),
            "birth_date" => member.birth_date.map(|birth| match birth {
                BirthDate::Full(date) => Value::Date(date),
                BirthDate::Yearless(_) => Value::Other(birth.to_string()),
            }),
            "joined_at" => member.joined_at.map(Value::Instant),
            _ => None,
        }
    }

    fn aggregate(&self, aggregate: Aggregate, span: Span) -> Option<Value> {
        let orders = || self.known.purchases.iter().filter(|order| span.holds(order.at, self.at));
        let in_currency = || orders().filter(|order| order.currency == self.brand.currency);
        let sum = || in_currency().map(|order| order.amount).fold(0, i64::saturating_add) as f64;
        let unit = minor_units(&self.brand.currency);
        match aggregate {
            Aggregate::Count => Some(Value::Number(orders().count() as f64)),
            Aggregate::Sum => Some(Value::Number(sum() / unit)),
            Aggregate::Average => {
                let count = in_currency().count();
                (count > 0).then(|| Value::Number(sum() / (count as f64 * unit)))
            }
            Aggregate::First => orders().map(|order| order.at).min().map(Value::Instant),
            Aggregate::Last => orders().map(|order| order.at).max().map(Value::Instant),
        }
    }

    fn score(&self, measure: Measure) -> Option<Value> {
        let cuts = self.known.cuts?;
        let orders = || self.known.purchases.iter().filter(|order| order.at <= self.at);
        let last = orders().map(|order| order.at).max()?;
        let value = match measure {
            Measure::Recency => (self.at - last).num_milliseconds(),
            Measure::Frequency => i64::try_from(orders().count()).unwrap_or(i64::MAX),
            Measure::Monetary => {
                let amounts = orders().filter(|order| order.currency == self.brand.currency).map(|order| order.amount);
                amounts.fold(0, i64::saturating_add)
            }
        };
        Some(Value::Number(cuts.score(measure, value).into()))
    }
}

/// A customer's value of a prediction; `None` where there is no model for it.
pub fn predicted(prediction: Prediction, models: &Models, customer: &Customer, brand: &Brand) -> Option<f64> {
    match prediction {
        Prediction::AliveProbability => Some(models.probability_alive(customer)),
        Prediction::ExpectedRevenue => {
            Some(models.expected_revenue(customer, brand.discount)? / minor_units(&brand.currency))
        }
    }
}

/// An attribute's text in the type of the constant that it is compared with.
pub fn attribute(stored: &str, operand: Option<&Operand>) -> Option<Value> {
    match operand {
        Some(Operand::Number(_)) => number::value(stored).map(Value::Number),
        Some(Operand::Flag(_)) => stored.parse().ok().map(Value::Flag),
        Some(Operand::Date(_) | Operand::Length(_)) => parse_life_date(stored).ok().map(Value::Date),
        _ => Some(Value::Text(stored.to_owned())),
    }
}

impl Value {
    /// How it stands to a constant; `None` where the two cannot be compared. An instant is compared
    /// with a date by the zone's clock, and with a length by the instant so long before `at`.
    pub fn compare(&self, operand: &Operand, zone: Tz, at: Instant) -> Option<Ordering> {
        let ago = |length: &Duration| at - *length;
        match (self, operand) {
            (Self::Text(value), Operand::Text(wanted)) => Some(value.cmp(wanted)),
            (Self::Number(value), Operand::Number(wanted)) => value.partial_cmp(wanted),
            (Self::Flag(value), Operand::Flag(wanted)) => Some(value.cmp(wanted)),
            (Self::Date(value), Operand::Date(wanted)) => Some(value.cmp(wanted)),
            (Self::Date(value), Operand::Length(length)) => Some(value.cmp(&local_date(zone, ago(length)))),
            (Self::Instant(value), Operand::Length(length)) => Some(value.cmp(&ago(length))),
            (Self::Instant(value), Operand::Date(wanted)) => {
                let (start, end) = day(*wanted, zone);
                Some(if *value < start {
                    Ordering::Less
                } else if *value < end {
                    Ordering::Equal
                } else {
                    Ordering::Greater
                })
            }
            _ => None,
        }
    }

    /// For people.
    pub fn shown(&self, view: &View<'_>) -> String {
        match self {
            Self::Text(text) | Self::Other(text) => text.clone(),
            Self::Number(number) => format!("{number:.4}").trim_end_matches('0').trim_end_matches('.').to_owned(),
            Self::Flag(flag) => flag.to_string(),
            Self::Date(date) => date.to_string(),
            Self::Instant(at) => at.with_timezone(&view.brand.timezone).format("%Y-%m-%d %H:%M").to_string(),
        }
    }
}
