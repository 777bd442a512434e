//! Reading filters; every problem is reported at its place.

use chrono_tz::Tz;
use serde_json::Value as Json;

use super::{Aggregate, Audience, Comparison, Field, Operand, Operator, Prediction, Received, Segment, Span};
use crate::document::{Document, Problems, Table, Value, expected};
use crate::domain::calendar::{Calendar, parse_date, parse_instant, parse_zone};
use crate::domain::member::parse_attribute;
use crate::domain::message::Channel;
use crate::domain::rfm::Measure;
use crate::domain::text::{ascii_digits, clean, tidy};
use crate::domain::{address, duration, locale};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Type {
    Text,
    Number,
    /// A number from 1 to 5.
    Score,
    /// A number from 0 to 1.
    Probability,
    Flag,
    Date,
    /// Attributes: the constant's type decides.
    Any,
}

const COLUMNS: &[(&str, Type)] = &[
    ("external_id", Type::Text),
    ("email", Type::Text),
    ("phone", Type::Text),
    ("title", Type::Text),
    ("first_name", Type::Text),
    ("last_name", Type::Text),
    ("locale", Type::Text),
    ("timezone", Type::Text),
    ("calendar", Type::Text),
    ("tier", Type::Text),
    ("points", Type::Number),
    ("email_consent", Type::Flag),
    ("sms_consent", Type::Flag),
    ("birth_date", Type::Date),
    ("joined_at", Type::Date),
];

const OPERATORS: &[&str] =
    &["eq", "ne", "gt", "gte", "lt", "lte", "in", "not_in", "exists", "older_than", "newer_than"];

/// What a filter can be beside a comparison.
const FORMS: &[&str] = &["all", "any", "not", "reachable", "segment", "received"];

/// The keys of [`Span`].
const SPAN: [&str; 3] = ["within", "since", "until"];

impl Audience {
    /// Reads a file of a segment. `zone` is the brand's, for dates.
    pub fn parse_segment(file: &str, text: &str, zone: Tz) -> Result<Self, Problems> {
        let document = Document::parse(file, text, None).map_err(|problem| Problems(vec![problem]))?;
        let decoded = document.root().table().and_then(|mut table| {
            let audience = table.require("audience").and_then(|value| Self::decode(value, zone));
            table.finish();
            audience
        });
        document.finish(decoded)
    }

    /// Reads a filter.
    pub fn decode(value: Value<'_>, zone: Tz) -> Option<Self> {
        let mut table = value.table()?;
        let list = |value: Value<'_>| -> Option<Vec<Self>> {
            let decoded: Vec<Option<Self>> = value.list()?.into_iter().map(|item| Self::decode(item, zone)).collect();
            decoded.into_iter().collect()
        };
        let given: Vec<(&str, Value<'_>)> =
            FORMS.iter().filter_map(|name| table.get(name).map(|value| (*name, value))).collect();
        let (form, inner) = match given[..] {
            [] => return Comparison::decode(table, zone).map(Self::Compare),
            [only] => only,
            _ => {
                let names = given.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(" and ");
                value.problem(format!("only one of {names} can stand here; put them into one `all` or `any`"));
                return None;
            }
        };
        table.finish();
        match form {
            "all" => list(inner).map(Self::All),
            "any" => list(inner).map(Self::Any),
            "not" => Self::decode(inner, zone).map(|inner| Self::Not(Box::new(inner))),
            "reachable" => {
                let words = [("email", Some(Channel::Email)), ("sms", Some(Channel::Sms)), ("any", None)];
                inner.one_of(&words).map(Self::Reachable)
            }
            "segment" => {
                let name = inner.text()?;
                Some(Self::Segment(Segment { name, place: inner.place(), filter: None }))
            }
            _ => decode_received(inner).map(Self::Received),
        }
    }
}

fn decode_received(value: Value<'_>) -> Option<Received> {
    let mut table = value.table()?;
    let named = table.require("campaign");
    let within = table.get_or("within", None, |value| value.parse(duration::parse).map(Some));
    table.finish();
    let named = named?;
    Some(Received { campaign: named.text()?, within: within?, place: named.place() })
}

impl Comparison {
    fn decode(mut table: Table<'_>, zone: Tz) -> Option<Self> {
        let place = table.value();
        let field = table.require("field");
        // Asked one by one, so that an unknown key is told all that is valid.
        let given: Vec<(&str, Value<'_>)> =
            OPERATORS.iter().filter_map(|name| table.get(name).map(|value| (*name, value))).collect();
        let spans = [table.get(SPAN[0]), table.get(SPAN[1]), table.get(SPAN[2])];
        table.finish();
        let (field, name, kind) = decode_field(field?, spans, zone)?;
        let [(operator, value)] = given[..] else {
            place.problem(format!("a comparison has exactly one of {}; found {}", OPERATORS.join(", "), given.len()));
            return None;
        };
        let (operator, values) = match operator {
            "exists" => {
                return Some(Self { field, operator: Operator::Exists(value.boolean()?), operands: vec![] });
            }
            "older_than" | "newer_than" => {
                if !matches!(kind, Type::Date | Type::Any) {
                    place.problem(format!("`{name}` is not a date; `{operator}` is for dates, such as joined_at"));
                    return None;
                }
                let length = Operand::Length(value.parse(duration::parse)?);
                let operator = if operator == "older_than" { Operator::OlderThan } else { Operator::NewerThan };
                return Some(Self { field, operator, operands: vec![length] });
            }
            "in" => (Operator::In, value.list()?),
            "not_in" => (Operator::NotIn, value.list()?),
            "eq" => (Operator::Eq, vec![value]),
            "ne" => (Operator::Ne, vec![value]),
            "gt" => (Operator::Gt, vec![value]),
            "gte" => (Operator::Gte, vec![value]),
            "lt" => (Operator::Lt, vec![value]),
            _ => (Operator::Lte, vec![value]),
        };
        if kind == Type::Flag && !matches!(operator, Operator::Eq | Operator::Ne) {
            place.problem(format!("`{name}` is true or false; compare it with eq or ne"));
            return None;
        }
        let operands: Vec<Option<Operand>> = values.into_iter().map(|value| operand(value, &name, kind)).collect();
        Some(Self { field, operator, operands: operands.into_iter().collect::<Option<_>>()? })
    }
}

/// `within`, `since` and `until`, where they are written.
type Spans<'d> = [Option<Value<'d>>; 3];

/// The field with its name and the type of its constants.
fn decode_field(value: Value<'_>, spans: Spans<'_>, zone: Tz) -> Option<(Field, String, Type)> {
    let name = value.text()?;
    if let Ok(aggregate) = name.parse::<Aggregate>() {
        let kind = if matches!(aggregate, Aggregate::First | Aggregate::Last) { Type::Date } else { Type::Number };
        return Some((Field::Purchases(aggregate, decode_span(spans, zone)?), name, kind));
    }
    if let Some((key, value)) = SPAN.iter().zip(spans).find_map(|(key, value)| value.map(|value| (key, value))) {
        let fields = Aggregate::ALL.iter().map(|field| field.as_str()).collect::<Vec<_>>().join(", ");
        value.problem(format!("`{key}` belongs to the fields of purchases ({fields}), not to `{name}`"));
        return None;
    }
    if let Some((column, kind)) = COLUMNS.iter().find(|(column, _)| *column == name) {
        return Some((Field::Column(column), name, *kind));
    }
    if let Some(attribute) = name.strip_prefix("attributes.").filter(|rest| !rest.is_empty()) {
        let attribute = parse_attribute(attribute).map_err(|reason| value.problem(reason)).ok()?;
        return Some((Field::Attribute(attribute), name, Type::Any));
    }
    if let Some(Ok(measure)) = name.strip_prefix("rfm.").map(str::parse) {
        return Some((Field::Rfm(measure), name, Type::Score));
    }
    if let Ok(prediction) = name.parse::<Prediction>() {
        let kind = if prediction == Prediction::AliveProbability { Type::Probability } else { Type::Number };
        return Some((Field::Prediction(prediction), name, kind));
    }
    let scores: Vec<String> = Measure::ALL.iter().map(|measure| format!("rfm.{measure}")).collect();
    let names: Vec<&str> = COLUMNS
        .iter()
        .map(|(column, _)| *column)
        .chain(Aggregate::ALL.iter().map(|field| field.as_str()))
        .chain(scores.iter().map(String::as_str))
        .chain(Prediction::ALL.iter().map(|field| field.as_str()))
        .chain(["attributes.*"])
        .collect();
    value.problem(format!("unknown field `{name}`; {}", expected(&name, &names)));
    None
}

fn decode_span([within, since, until]: Spans<'_>, zone: Tz) -> Option<Span> {
    if let (Some(within), Some(_)) = (within, since.or(until)) {
        within.problem("`within` counts back from the moment it is asked; write it alone, or `since` and `until`");
        return None;
    }
    if let Some(within) = within {
        return within.parse(duration::parse).map(Span::Within);
    }
    let instant = |value: Option<Value<'_>>| match value {
        Some(value) => value.parse(|text| parse_instant(text, zone)).map(Some),
        None => Some(None),
    };
    let (from, to) = (instant(since)?, instant(until)?);
    if let (Some(since), Some(end), Some(value)) = (from, to, until)
        && end <= since
    {
        value.problem("`until` is not after `since`, so no purchase would count");
        return None;
    }
    Some(Span::Between { since: from, until: to })
}

/// A constant in the form in which an import stores such a text, or nobody would ever have it.
fn as_stored(field: &str, text: &str) -> Result<String, String> {
    let text = clean(text);
    match field {
        "locale" => locale::parse(&text),
        "timezone" => parse_zone(&text).map(|zone| zone.name().to_owned()),
        "calendar" => text.to_ascii_lowercase().parse::<Calendar>().map(|calendar| calendar.to_string()),
        "email" => Ok(address::parse(&text).unwrap_or_else(|_| text.into_owned())),
        "external_id" | "phone" => Ok(ascii_digits(&text)),
        "tier" => Ok(tidy(&text).to_ascii_lowercase()),
        _ => Ok(tidy(&text)),
    }
}

fn operand(value: Value<'_>, field: &str, kind: Type) -> Option<Operand> {
    let scalar = value.scalar()?;
    let decoded = match (kind, &scalar) {
        (Type::Text, Json::String(text)) => {
            Some(Operand::Text(as_stored(field, text).map_err(|reason| value.problem(reason)).ok()?))
        }
        (Type::Text, Json::Number(number)) => Some(Operand::Text(number.to_string())),
        (Type::Number | Type::Any, Json::Number(number)) => number.as_f64().map(Operand::Number),
        (Type::Score, Json::Number(number)) => {
            number.as_f64().filter(|score| (1.0..=5.0).contains(score)).map(Operand::Number)
        }
        (Type::Probability, Json::Number(number)) => {
            number.as_f64().filter(|probability| (0.0..=1.0).contains(probability)).map(Operand::Number)
        }
        (Type::Flag | Type::Any, Json::Bool(flag)) => Some(Operand::Flag(*flag)),
        (Type::Date, Json::String(text)) => parse_date(text).ok().map(Operand::Date),
        (Type::Any, Json::String(text)) => {
            Some(parse_date(text).map_or_else(|_| Operand::Text(tidy(&clean(text))), Operand::Date))
        }
        _ => None,
    };
    if decoded.is_none() {
        let wanted = match kind {
            Type::Text => "text",
            Type::Number => "a number",
            Type::Score => "a score from 1 to 5 (5 is best)",
            Type::Probability => "a probability from 0 to 1, such as 0.5",
            Type::Flag => "true or false",
            Type::Date => "a date like 2026-03-21; for a length of time write older_than or newer_than",
            Type::Any => "a value",
        };
        value.problem(format!("`{field}` is compared with {wanted}, found `{}`", scalar.to_string().trim_matches('"')));
    }
    decoded
}
