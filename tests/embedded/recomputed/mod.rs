//! Every number of the reports on the demo's days, worked out a second time from the plain lists of its store: in
//! memory, by what the docs say that each number is, with nothing of what computes the reports.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::f64::consts::FRAC_PI_2;
use std::sync::OnceLock;

use chrono::{DateTime, NaiveDate, SecondsFormat};
use serde_json::{Map, Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use uuid::Uuid;

mod effects;
mod loyalty;
mod programme;

use super::demo::{END, rekindle, year};

/// In milliseconds.
const DAY: i64 = 86_400_000;
/// How far the clocks of Tehran are ahead, all year round since 2023.
const TEHRAN: i64 = 12_600_000;
/// How long after a message orders count, where a campaign says nothing else.
const WITHIN: i64 = 14 * DAY;
const BRAND: &str = "IRR";
/// Minor units of a rial.
const UNIT: f64 = 100.0;

/// The first days of the months from Mehr 1404 to Khordad 1405, as Iran's calendars print them.
const MONTHS: [&str; 9] = [
    "2025-09-23",
    "2025-10-23",
    "2025-11-22",
    "2025-12-22",
    "2026-01-21",
    "2026-02-20",
    "2026-03-21",
    "2026-04-21",
    "2026-05-22",
];

/// All days of the demo, and some of them, which begin and end within a month.
const ALL: (&str, &str) = ("2025-10-01", END);
const SOME: (&str, &str) = ("2025-11-05", "2026-03-10");

#[derive(sqlx::FromRow)]
struct Member {
    id: i64,
    tier: Option<String>,
    locale: Option<String>,
    points: Option<i64>,
    deleted_at: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct Order {
    member_id: i64,
    purchased_at: i64,
    amount: i64,
    currency: String,
    status: String,
    coupon_code: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Message {
    id: Uuid,
    member_id: i64,
    campaign: String,
    occasion: String,
    step: String,
    state: String,
    reason: Option<String>,
    channel: Option<String>,
    due_at: i64,
    sent_at: Option<i64>,
    assigned_at: Option<i64>,
    arm: Option<String>,
    run: Option<i64>,
    unit: Option<String>,
    locale: Option<String>,
    segments: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct Event {
    message_id: Option<Uuid>,
    kind: String,
    at: i64,
    channel: String,
}

#[derive(sqlx::FromRow)]
struct Attempt {
    message_id: Uuid,
    channel: String,
    outcome: String,
    address: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Gift {
    member_id: i64,
    campaign: String,
    occasion: String,
    step: String,
    code: Option<String>,
    cost: Option<i64>,
}

/// A count that the reports add up; only how many there are matters here.
#[derive(sqlx::FromRow)]
struct Counted {
    day: i64,
    campaign: String,
    channel: String,
    n: i64,
}

#[derive(sqlx::FromRow)]
struct Model {
    id: i64,
    r: f64,
    alpha: f64,
    a: f64,
    b: f64,
    p: f64,
    q: f64,
    v: f64,
}

/// What the store holds.
struct Lists {
    members: Vec<Member>,
    /// The valid ones of each member, in their order.
    orders: BTreeMap<i64, Vec<Order>>,
    messages: Vec<Message>,
    events: HashMap<Uuid, Vec<Event>>,
    attempts: HashMap<Uuid, Vec<Attempt>>,
    gifts: Vec<Gift>,
    counted: Vec<Counted>,
    model: Model,
}

/// Read once; where that fails, each test says why.
fn lists() -> &'static Lists {
    static LISTS: OnceLock<Lists> = OnceLock::new();
    LISTS.get_or_init(|| tokio::runtime::Runtime::new().unwrap().block_on(Lists::read()))
}

impl Lists {
    async fn read() -> Self {
        let options = SqliteConnectOptions::new().filename(year().join("rekindle.db")).read_only(true);
        let pool = &SqlitePool::connect_with(options).await.unwrap();
        macro_rules! list {
            ($row:ty, $sql:literal) => {
                sqlx::query_as::<_, $row>($sql).fetch_all(pool).await.unwrap()
            };
        }
        let all = list!(Order, "SELECT member_id, purchased_at, amount, currency, status, coupon_code FROM purchases");
        let paid = all.into_iter().filter(|order| order.status == "paid");
        let mut orders: BTreeMap<i64, Vec<Order>> = grouped(paid, |order| order.member_id).into_iter().collect();
        orders.values_mut().for_each(|own| own.sort_by_key(|order| order.purchased_at));
        let messages = list!(
            Message,
            "SELECT id, member_id, campaign, occasion, step, state, reason, channel, due_at, sent_at, assigned_at, arm, \
             run, unit, locale, segments FROM messages"
        );
        let members = list!(Member, "SELECT id, tier, locale, points, deleted_at FROM members");
        assert!(members.iter().all(|member| member.deleted_at.is_none()), "nobody is erased in the demo");
        let mut events = list!(Event, "SELECT message_id, kind, at, channel FROM events");
        events.retain(|event| event.message_id.is_some());
        let attempts = list!(Attempt, "SELECT message_id, channel, outcome, address FROM attempts");
        Self {
            members,
            orders,
            messages,
            events: grouped(events, |event| event.message_id.unwrap()),
            attempts: grouped(attempts, |attempt| attempt.message_id),
            gifts: list!(Gift, "SELECT member_id, campaign, occasion, step, code, cost FROM gifts"),
            counted: list!(Counted, "SELECT day, campaign, channel, n FROM daily"),
            model: list!(Model, "SELECT id, r, alpha, a, b, p, q, v FROM models")
                .into_iter()
                .max_by_key(|model| model.id)
                .unwrap(),
        }
    }

    fn attempts(&self, message: &Message) -> &[Attempt] {
        self.attempts.get(&message.id).map_or(&[], Vec::as_slice)
    }

    fn events(&self, message: &Message) -> &[Event] {
        self.events.get(&message.id).map_or(&[], Vec::as_slice)
    }

    /// Where a message went by a channel.
    fn address(&self, message: &Message, channel: &str) -> Option<&str> {
        let attempt = self.attempts(message).iter().find(|attempt| attempt.channel == channel)?;
        attempt.address.as_deref()
    }

    /// What a message cost by the demo's prices, in rials.
    fn cost(&self, message: &Message) -> f64 {
        let channel = message.channel.as_deref().unwrap_or_default();
        match (message.sent_at.and_then(|_| self.address(message, channel)), channel) {
            (Some(_), "email") => 150.0,
            (Some(number), "sms") if number.starts_with("+98") => 1_500.5 * message.segments.unwrap() as f64,
            _ => 0.0,
        }
    }

    /// A member's valid orders that were made after one instant and until another.
    fn between(&self, member: i64, (after, until): (i64, i64)) -> impl Iterator<Item = &Order> {
        let own = self.orders.get(&member).into_iter().flatten();
        own.filter(move |order| order.purchased_at > after && order.purchased_at <= until)
    }
}

fn grouped<K: std::hash::Hash + Eq, V>(all: impl IntoIterator<Item = V>, key: impl Fn(&V) -> K) -> HashMap<K, Vec<V>> {
    let mut groups: HashMap<K, Vec<V>> = HashMap::new();
    for one in all {
        groups.entry(key(&one)).or_default().push(one);
    }
    groups
}

/// When a day begins at the shop.
fn midnight(date: &str) -> i64 {
    date.parse::<NaiveDate>().unwrap().and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis() - TEHRAN
}

fn instant(at: i64) -> String {
    DateTime::from_timestamp_millis(at).unwrap().to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// The months that a time touches: the first day, and the part of the month that is within.
fn months((from, to): (&str, &str)) -> Vec<(&'static str, (i64, i64))> {
    assert!(MONTHS[0] <= from && to <= MONTHS[MONTHS.len() - 1]);
    let touched = MONTHS.windows(2).filter(|pair| pair[1] > from && pair[0] < to);
    touched.map(|pair| (pair[0], (midnight(pair[0].max(from)), midnight(pair[1].min(to))))).collect()
}

fn report(arguments: &[&str]) -> Value {
    serde_json::from_str(&printed("json", arguments)).unwrap()
}

fn printed(format: &str, arguments: &[&str]) -> String {
    let settings = year().join("rekindle.yaml");
    rekindle(&[&["--config", settings.to_str().unwrap(), "--format", format, "report"], arguments].concat())
}

/// The same names, texts and counts, and the same other numbers but for their last digits.
fn agree(found: &Value, expected: &Value, digits: f64, way: &str) {
    match (found, expected) {
        (Value::Object(fields), Value::Object(wanted)) => {
            assert_eq!(fields.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>(), "{way}");
            wanted.iter().for_each(|(name, one)| agree(&fields[name], one, digits, &format!("{way} {name}")));
        }
        (Value::Array(items), Value::Array(wanted)) => {
            assert_eq!(items.len(), wanted.len(), "{way}: {found:#} is not {expected:#}");
            let pairs = items.iter().zip(wanted).enumerate();
            pairs.for_each(|(place, (item, one))| agree(item, one, digits, &format!("{way} {place}")));
        }
        (Value::Number(number), Value::Number(wanted)) if number.is_f64() && wanted.is_f64() => {
            let [number, wanted] = [number, wanted].map(|number| number.as_f64().unwrap());
            assert!((number - wanted).abs() <= digits * wanted.abs(), "{way}: {number} is not {wanted}");
        }
        _ => assert_eq!(found, expected, "{way}"),
    }
}

/// For all but what was integrated.
const EXACT: f64 = 1e-9;
const NEAR: f64 = 1e-7;

/// The explanation of a number has the values that the report has, and comes from so many rows.
fn explained(arguments: &[&str], metric: &str, report_itself: &Value, rows: &[i64]) {
    let found = report(&[arguments, &["--explain", metric]].concat());
    assert_eq!(found["metric"], metric);
    assert_ne!(found["definition"], "");
    let of = |key: &str, field: &str| -> Vec<Value> {
        found[key].as_array().unwrap().iter().map(|one| one[field].clone()).collect()
    };
    let mut values = Vec::new();
    named(report_itself, metric, &mut values);
    assert!(!values.is_empty(), "{metric}");
    assert_eq!(of("values", "value"), values, "{metric}");
    assert_eq!(of("rows", "count"), rows.iter().map(|count| json!(count)).collect::<Vec<_>>(), "{metric}");
}

/// Everything that has this name.
fn named(report: &Value, metric: &str, values: &mut Vec<Value>) {
    match report {
        Value::Object(fields) => fields.iter().for_each(|(name, field)| {
            if name == metric { values.push(field.clone()) } else { named(field, metric, values) }
        }),
        Value::Array(items) => items.iter().for_each(|item| named(item, metric, values)),
        _ => {}
    }
}
