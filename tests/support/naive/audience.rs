//! Audiences: whether a rule admits a member at an instant.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::World;
use super::calendar::{Birth, Moment, date, local};
use super::keys::{Keys, decimal, millionths, span};
use super::shop::{Member, Order, instant};

const TEXT_FIELDS: &str = "external_id email phone title first_name last_name locale timezone calendar tier";
const INSTANTS: &str = "joined_at first_purchase_at last_purchase_at";
const AGGREGATES: &str = "purchase_count purchase_sum purchase_average first_purchase_at last_purchase_at";

/// A member at an instant, and what they were sent until then.
pub struct Scene<'a> {
    pub world: &'a World,
    pub member: &'a Member,
    pub at: i64,
    /// The campaign and the moment of sending of each message; `None`: not known yet.
    pub received: Option<&'a [(&'a str, i64)]>,
}

/// The audience of a segment's file.
pub fn of_segment(yaml: &str) -> Value {
    let mut keys = Keys::read(yaml);
    let audience = keys.need("audience");
    keys.end(&["name"]);
    audience
}

/// Panics where a rule cannot be understood.
pub fn check(rule: &Value, world: &World) {
    admits(rule, &Scene { world, member: &Member::default(), at: 0, received: None });
}

/// Whether an audience rule admits a member; `None` where that rests on what is not known yet. Looks
/// at every part of the rule, also where the answer is already known, so that any mistake in it
/// panics.
pub fn admits(rule: &Value, scene: &Scene) -> Option<bool> {
    let map = rule.as_object().expect("a rule is a mapping");
    if map.contains_key("field") {
        return Some(field_holds(map, scene));
    }
    let each = |rules: &Value| -> Vec<Option<bool>> {
        let rules = rules.as_array().expect("a list of rules");
        rules.iter().map(|rule| admits(rule, scene)).collect()
    };
    assert!(map.len() == 1, "one of all, any, not, segment, reachable and received: {rule}");
    match map.iter().next().map(|(key, inner)| (key.as_str(), inner)) {
        Some(("all", rules)) => decided_by(false, &each(rules)),
        Some(("any", rules)) => decided_by(true, &each(rules)),
        Some(("not", inner)) => admits(inner, scene).map(|admitted| !admitted),
        Some(("segment", name)) => {
            let name = name.as_str().expect("the name of a segment");
            admits(scene.world.segments.get(name).unwrap_or_else(|| panic!("no segment {name}")), scene)
        }
        Some(("reachable", channel)) => {
            let objects =
                |channel: &str| scene.world.objections.contains(&(scene.member.id.clone(), channel.to_string()));
            let can = |channel| {
                scene.member.address(channel).is_some() && scene.member.has_consent(channel) && !objects(channel)
            };
            match channel.as_str() {
                Some("any") => Some(can("email") || can("sms")),
                Some(channel @ ("email" | "sms")) => Some(can(channel)),
                other => panic!("unknown channel {other:?}"),
            }
        }
        Some(("received", what)) => received(what, scene),
        other => panic!("unknown rule {other:?}"),
    }
}

/// One such answer decides; without it, one that is not known leaves all open.
fn decided_by(decisive: bool, answers: &[Option<bool>]) -> Option<bool> {
    if answers.contains(&Some(decisive)) {
        Some(decisive)
    } else if answers.contains(&None) {
        None
    } else {
        Some(!decisive)
    }
}

fn received(what: &Value, scene: &Scene) -> Option<bool> {
    let mut keys = Keys(serde_json::from_value(what.clone()).expect("what was received"));
    let campaign: String = keys.need("campaign");
    let oldest = keys.get("within").map_or(i64::MIN, |within| scene.at - span(within));
    keys.end(&[]);
    assert!(scene.world.campaigns.iter().any(|other| other.name == campaign), "no campaign {campaign}");
    let counts = |(name, sent_at): &(&str, i64)| *name == campaign && *sent_at > oldest && *sent_at <= scene.at;
    scene.received.map(|received| received.iter().any(counts))
}

/// All comparisons of one field.
fn field_holds(map: &Map<String, Value>, scene: &Scene) -> bool {
    let field = map["field"].as_str().expect("the name of a field");
    let (about, operators): (Vec<_>, Vec<_>) = map
        .iter()
        .filter(|(key, _)| *key != "field")
        .partition(|(key, _)| ["within", "since", "until"].contains(&key.as_str()));
    assert!(about.is_empty() || is_one_of(AGGREGATES, field), "{field} is of no time");
    assert!(!operators.is_empty(), "no operator for {field}");
    let orders = orders_of(map, scene);
    let answers: Vec<bool> =
        operators.iter().map(|(operator, literal)| holds(field, operator, literal, &orders, scene)).collect();
    !answers.contains(&false)
}

/// Whether a field holds a date without a time.
fn is_date(field: &str) -> bool {
    field == "birth_date" || field.starts_with("attributes.")
}

fn is_one_of(list: &str, field: &str) -> bool {
    list.split(' ').any(|other| other == field)
}

/// The orders that an aggregate is of.
fn orders_of<'a>(map: &Map<String, Value>, scene: &'a Scene) -> Vec<&'a Order> {
    let moment = |key: &str| {
        let text = map.get(key)?.as_str().expect("a moment").to_string();
        Some(Moment::read(text).in_zone(scene.world.brand.timezone))
    };
    let within = map.get("within").map(|within| span(within.as_str().expect("a duration").to_string()));
    let (since, until) = (moment("since"), moment("until"));
    assert!(within.is_none() || (since.is_none() && until.is_none()), "within, or since and until");
    let counts = |order: &&Order| {
        let at = order.purchased_at;
        at <= scene.at
            && within.is_none_or(|within| at > scene.at - within)
            && since.is_none_or(|since| at >= since)
            && until.is_none_or(|until| at < until)
    };
    scene.member.orders.iter().filter(counts).collect()
}

/// One comparison. With a missing value only `ne` and `not_in` hold, and `exists: false`.
fn holds(field: &str, operator: &str, literal: &Value, orders: &[&Order], scene: &Scene) -> bool {
    let value = Fact::of(field, orders, scene);
    let ordering = || value.compare(field, literal, scene);
    let is_listed = || {
        let list = literal.as_array().expect("a list").iter();
        let orderings: Vec<_> = list.map(|item| value.compare(field, item, scene)).collect();
        orderings.contains(&Some(Ordering::Equal))
    };
    let is_older = || {
        let limit = scene.at - span(literal.as_str().expect("a duration").to_string());
        assert!(is_one_of(INSTANTS, field) || is_date(field), "{field} has no age");
        match &value {
            Fact::Instant(then) => Some(*then <= limit),
            Fact::Cell(cell) => Some(date(cell)? <= local(scene.world.brand.timezone, limit).date()),
            _ => None,
        }
    };
    match operator {
        "eq" => ordering() == Some(Ordering::Equal),
        "ne" => ordering() != Some(Ordering::Equal),
        "gt" => ordering().is_some_and(Ordering::is_gt),
        "gte" => ordering().is_some_and(Ordering::is_ge),
        "lt" => ordering().is_some_and(Ordering::is_lt),
        "lte" => ordering().is_some_and(Ordering::is_le),
        "in" => is_listed(),
        "not_in" => !is_listed(),
        "exists" => literal.as_bool().expect("true or false") == !matches!(value, Fact::Missing),
        "older_than" => is_older() == Some(true),
        "newer_than" => is_older() == Some(false),
        other => panic!("unknown operator {other}"),
    }
}

/// The value of a field.
enum Fact {
    Missing,
    /// A cell as it was imported.
    Cell(String),
    Instant(i64),
    /// So many millionths, divided by so many.
    Ratio(i128, i128),
}

impl Fact {
    fn of(field: &str, orders: &[&Order], scene: &Scene) -> Fact {
        let brand = &scene.world.brand;
        let in_currency = orders.iter().filter(|o| o.currency.is_empty() || o.currency == brand.currency);
        let amounts: Vec<i128> = in_currency.map(|order| order.amount).collect();
        let instant_or_none = |at: Option<i64>| at.map_or(Fact::Missing, Fact::Instant);
        match field {
            "purchase_count" => Fact::Ratio(orders.len() as i128 * decimal("1"), 1),
            "purchase_sum" => Fact::Ratio(amounts.iter().sum(), 1),
            "purchase_average" if amounts.is_empty() => Fact::Missing,
            "purchase_average" => Fact::Ratio(amounts.iter().sum(), amounts.len() as i128),
            "first_purchase_at" => instant_or_none(orders.first().map(|order| order.purchased_at)),
            "last_purchase_at" => instant_or_none(orders.last().map(|order| order.purchased_at)),
            "joined_at" => instant_or_none(scene.member.cell(field).map(instant)),
            _ => match scene.member.cell(field) {
                Some(cell) => Fact::Cell(cell.to_string()),
                None if field.ends_with("_consent") => Fact::Cell("false".to_string()),
                None => Fact::Missing,
            },
        }
    }

    /// How it compares with a literal; `None` where it is missing or the two have no order.
    fn compare(&self, field: &str, literal: &Value, scene: &Scene) -> Option<Ordering> {
        let cell = match self {
            Fact::Cell(cell) => Some(cell.as_str()),
            _ => None,
        };
        let is_attribute = field.starts_with("attributes.");
        let is_instant = is_one_of(INSTANTS, field);
        match literal {
            Value::String(text) if is_instant => {
                let other = Moment::read(text.clone()).in_zone(scene.world.brand.timezone);
                match self {
                    Fact::Instant(at) => Some(at.cmp(&other)),
                    _ => None,
                }
            }
            Value::Number(_) if is_one_of(AGGREGATES, field) && !is_instant => match self {
                Fact::Ratio(sum, count) => Some(sum.cmp(&(millionths(literal) * count))),
                _ => None,
            },
            Value::String(text) if field == "birth_date" => match (Birth::read(text), Birth::read(cell?)) {
                (Birth::Full(other), Birth::Full(born)) => Some(born.cmp(&other)),
                (other, born) => (born == other).then_some(Ordering::Equal),
            },
            Value::String(text) if is_attribute && date(text).is_some() => Some(date(cell?)?.cmp(&date(text)?)),
            Value::String(text) if field == "tier" => Some(cell?.to_ascii_lowercase().cmp(&text.to_ascii_lowercase())),
            Value::String(text) if is_attribute || is_one_of(TEXT_FIELDS, field) => Some(cell?.cmp(text)),
            Value::Number(number) if is_attribute || field == "points" => {
                cell?.parse::<f64>().ok()?.partial_cmp(&number.as_f64()?)
            }
            Value::Bool(wanted) if is_attribute || field.ends_with("_consent") => {
                Some(cell?.parse::<bool>().ok()?.cmp(wanted))
            }
            _ => panic!("{field} cannot be compared with {literal}"),
        }
    }
}
