//! Audiences: which members a campaign is for. `all`, `any` and `not` over comparisons of a
//! member's fields, checked against the fields' types when they are read.

use chrono::NaiveDate;
use chrono_tz::Tz;
use serde_json::Value as Json;

use super::calendar::parse_date;
use super::member::{BirthDate, Member};
use crate::document::{Table, Value, expected};

/// A filter over members.
#[derive(Debug, Clone, PartialEq)]
pub enum Audience {
    /// Every one holds; empty: everybody.
    All(Vec<Audience>),
    /// At least one holds; empty: nobody.
    Any(Vec<Audience>),
    Not(Box<Audience>),
    Compare(Comparison),
}

/// One field compared with constants.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    pub field: String,
    pub operator: Operator,
    /// One value, several for `in` and `not_in`, none for `exists`.
    pub operands: Vec<Operand>,
}

/// How a field is compared. A member who lacks the field fails every comparison but `ne`, `not_in`
/// and `exists: false`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Eq,
    Ne,
    Gt,
    Gte,
    Lt,
    Lte,
    In,
    NotIn,
    Exists(bool),
}

/// A constant, or a member's value, of a comparable type.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub enum Operand {
    Text(String),
    Number(f64),
    Flag(bool),
    Date(NaiveDate),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Type {
    Text,
    Number,
    Flag,
    Date,
    /// Attributes: the constant's type decides.
    Any,
}

const FIELDS: &[(&str, Type)] = &[
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

/// Named in the design, not built yet.
const LATER_FIELDS: &[&str] =
    &["purchase_count", "purchase_sum", "purchase_average", "first_purchase_at", "last_purchase_at", "segment"];

const OPERATORS: &[&str] = &["eq", "ne", "gt", "gte", "lt", "lte", "in", "not_in", "exists"];

impl Audience {
    /// Everybody.
    pub const fn everybody() -> Self {
        Self::All(Vec::new())
    }

    /// Reads a filter; problems are reported at their place.
    pub fn decode(value: Value<'_>) -> Option<Self> {
        let mut table = value.table()?;
        let list = |value: Value<'_>| -> Option<Vec<Self>> {
            let decoded: Vec<Option<Self>> = value.list()?.into_iter().map(Self::decode).collect();
            decoded.into_iter().collect()
        };
        let (all, any, not) = (table.get("all"), table.get("any"), table.get("not"));
        let groups = [all, any, not].iter().flatten().count();
        if groups > 1 {
            value.problem("only one of `all`, `any` and `not` can stand here; nest them instead");
            return None;
        }
        if groups == 0 {
            return Comparison::decode(table).map(Self::Compare);
        }
        table.finish();
        match (all, any, not) {
            (Some(items), ..) => list(items).map(Self::All),
            (_, Some(items), _) => list(items).map(Self::Any),
            (_, _, Some(inner)) => Self::decode(inner).map(|inner| Self::Not(Box::new(inner))),
            _ => None,
        }
    }

    /// Whether the member is in the audience. `zone` is the brand's: dates begin at its midnight.
    pub fn matches(&self, member: &Member, zone: Tz) -> bool {
        match self {
            Self::All(items) => items.iter().all(|item| item.matches(member, zone)),
            Self::Any(items) => items.iter().any(|item| item.matches(member, zone)),
            Self::Not(inner) => !inner.matches(member, zone),
            Self::Compare(comparison) => comparison.matches(member, zone),
        }
    }

    /// The first term that decides against a member, in words, for `explain`.
    pub fn failing_term(&self, member: &Member, zone: Tz) -> Option<String> {
        if self.matches(member, zone) {
            return None;
        }
        match self {
            Self::All(items) => items.iter().find_map(|item| item.failing_term(member, zone)),
            other => Some(other.to_string()),
        }
    }
}

impl Comparison {
    fn decode(mut table: Table<'_>) -> Option<Self> {
        let place = table.value();
        let field = table.require("field");
        // Asked one by one, so that an unknown key is told all that is valid.
        let given: Vec<(&str, Value<'_>)> =
            OPERATORS.iter().filter_map(|name| table.get(name).map(|value| (*name, value))).collect();
        table.finish();
        let field_value = field?;
        let name = field_value.text()?;
        let kind = if name.strip_prefix("attributes.").is_some_and(|rest| !rest.is_empty()) {
            Type::Any
        } else if let Some((_, kind)) = FIELDS.iter().find(|(field, _)| *field == name) {
            *kind
        } else if LATER_FIELDS.contains(&name.as_str()) {
            field_value.problem(format!("the field `{name}` is not in this version; remove this comparison"));
            return None;
        } else {
            let mut names: Vec<&str> = FIELDS.iter().map(|(field, _)| *field).collect();
            names.push("attributes.*");
            field_value.problem(format!("unknown field `{name}`; {}", expected(&name, &names)));
            return None;
        };
        let [(operator, value)] = given[..] else {
            place.problem(format!("a comparison has exactly one of {}; found {}", OPERATORS.join(", "), given.len()));
            return None;
        };
        let (operator, values) = match operator {
            "exists" => {
                return Some(Self { field: name, operator: Operator::Exists(value.boolean()?), operands: vec![] });
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
        Some(Self { field: name, operator, operands: operands.into_iter().collect::<Option<_>>()? })
    }

    fn matches(&self, member: &Member, zone: Tz) -> bool {
        let value = self.member_value(member, zone);
        let Some(value) = value else {
            return matches!(self.operator, Operator::Ne | Operator::NotIn | Operator::Exists(false));
        };
        let first = self.operands.first();
        let compare = |wanted: &[std::cmp::Ordering]| {
            first.and_then(|operand| value.partial_cmp(operand)).is_some_and(|found| wanted.contains(&found))
        };
        use std::cmp::Ordering::{Equal, Greater, Less};
        match self.operator {
            Operator::Eq => compare(&[Equal]),
            Operator::Ne => !compare(&[Equal]),
            Operator::Gt => compare(&[Greater]),
            Operator::Gte => compare(&[Greater, Equal]),
            Operator::Lt => compare(&[Less]),
            Operator::Lte => compare(&[Less, Equal]),
            Operator::In => self.operands.contains(&value),
            Operator::NotIn => !self.operands.contains(&value),
            Operator::Exists(wanted) => wanted,
        }
    }

    /// The member's value in the type of the constants it is compared with.
    fn member_value(&self, member: &Member, zone: Tz) -> Option<Operand> {
        let text = |value: &Option<String>| value.clone().map(Operand::Text);
        match self.field.as_str() {
            "external_id" => Some(Operand::Text(member.external_id.clone())),
            "email" => text(&member.email),
            "phone" => text(&member.phone),
            "title" => text(&member.title),
            "first_name" => text(&member.first_name),
            "last_name" => text(&member.last_name),
            "locale" => text(&member.locale),
            "timezone" => member.timezone.map(|zone| Operand::Text(zone.name().to_owned())),
            "calendar" => member.calendar.map(|calendar| Operand::Text(calendar.to_string())),
            "tier" => text(&member.tier),
            "points" => member.points.map(|points| Operand::Number(points as f64)),
            "email_consent" => Some(Operand::Flag(member.email_consent)),
            "sms_consent" => Some(Operand::Flag(member.sms_consent)),
            "birth_date" => match member.birth_date? {
                BirthDate::Full(date) => Some(Operand::Date(date)),
                // Without a year it exists, but is neither before nor after any date.
                BirthDate::Yearless(_) => matches!(self.operator, Operator::Exists(_)).then_some(Operand::Flag(true)),
            },
            "joined_at" => member.joined_at.map(|at| Operand::Date(super::calendar::local_date(zone, at))),
            attribute => {
                let stored = member.attributes.get(attribute.strip_prefix("attributes.")?)?;
                match self.operands.first() {
                    Some(Operand::Number(_)) => stored.parse().ok().map(Operand::Number),
                    Some(Operand::Flag(_)) => stored.parse().ok().map(Operand::Flag),
                    Some(Operand::Date(_)) => parse_date(stored).ok().map(Operand::Date),
                    _ => Some(Operand::Text(stored.clone())),
                }
            }
        }
    }
}

fn operand(value: Value<'_>, field: &str, kind: Type) -> Option<Operand> {
    let scalar = value.scalar()?;
    let decoded = match (kind, &scalar) {
        (Type::Text, Json::String(text)) => Some(Operand::Text(text.clone())),
        (Type::Text, Json::Number(number)) => Some(Operand::Text(number.to_string())),
        (Type::Number | Type::Any, Json::Number(number)) => number.as_f64().map(Operand::Number),
        (Type::Flag | Type::Any, Json::Bool(flag)) => Some(Operand::Flag(*flag)),
        (Type::Date, Json::String(text)) => parse_date(text).ok().map(Operand::Date),
        (Type::Any, Json::String(text)) => {
            Some(parse_date(text).map_or_else(|_| Operand::Text(text.clone()), Operand::Date))
        }
        _ => None,
    };
    if decoded.is_none() {
        let wanted = match kind {
            Type::Text => "text",
            Type::Number => "a number",
            Type::Flag => "true or false",
            Type::Date => "a date like 2026-03-21",
            Type::Any => "a value",
        };
        value.problem(format!("`{field}` is compared with {wanted}, found `{}`", scalar.to_string().trim_matches('"')));
    }
    decoded
}

impl std::fmt::Display for Audience {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let join =
            |items: &[Self], word: &str| items.iter().map(|item| format!("({item})")).collect::<Vec<_>>().join(word);
        match self {
            Self::All(items) if items.is_empty() => f.write_str("everybody"),
            Self::All(items) => f.write_str(&join(items, " and ")),
            Self::Any(items) => f.write_str(&join(items, " or ")),
            Self::Not(inner) => write!(f, "not ({inner})"),
            Self::Compare(comparison) => {
                let values = comparison.operands.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let name = match comparison.operator {
                    Operator::Eq => "=",
                    Operator::Ne => "≠",
                    Operator::Gt => ">",
                    Operator::Gte => "≥",
                    Operator::Lt => "<",
                    Operator::Lte => "≤",
                    Operator::In => return write!(f, "{} in [{values}]", comparison.field),
                    Operator::NotIn => return write!(f, "{} not in [{values}]", comparison.field),
                    Operator::Exists(true) => return write!(f, "{} exists", comparison.field),
                    Operator::Exists(false) => return write!(f, "{} is missing", comparison.field),
                };
                write!(f, "{} {name} {values}", comparison.field)
            }
        }
    }
}

impl std::fmt::Display for Operand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Date(date) => write!(f, "{date}"),
        }
    }
}
