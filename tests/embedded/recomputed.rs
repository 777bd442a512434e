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

/// One thing that is true of a message, with all by which messages are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Fact<'a> {
    /// On the shop's clock, since 1970.
    day: i64,
    campaign: &'a str,
    step: &'a str,
    arm: &'a str,
    channel: &'a str,
    locale: &'a str,
    domain: &'a str,
    what: &'static str,
    reason: &'a str,
}

/// As what mail to an address counts. Whether a domain that comes up here is a large receiver has to be said.
fn receiver(address: &str) -> &'static str {
    match address.rsplit_once('@').unwrap().1 {
        "example.com" => "other",
        unknown => panic!("is {unknown} a large receiver?"),
    }
}

/// What an event says of its message.
fn heard(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "delivered" => "delivered",
        "bounced" | "soft_bounced" | "undelivered" | "no_mail" | "blocked" => "bounced",
        "complained" => "complained",
        "opened" => "opened",
        "prefetched" => "prefetched",
        "clicked" => "clicked",
        "unsubscribed" | "opted_out" => "unsubscribed",
        "opted_in" | "replied" => return None,
        unknown => panic!("what is {unknown}?"),
    })
}

/// What is true of all messages, each with the money that goes with it.
fn facts(lists: &Lists) -> Vec<(Fact<'_>, f64)> {
    let orders = lists.orders.values().flatten().filter(|order| order.currency == BRAND);
    let credited = orders.filter_map(|order| Some((lists.by_code(order).or_else(|| lists.by_click(order))?, order)));
    let credited = grouped(credited, |(message, _)| *message);
    let of = |message| of_message(lists, message, credited.get(&message.id).map_or(&[], Vec::as_slice));
    lists.messages.iter().flat_map(of).collect()
}

fn of_message<'a>(lists: &'a Lists, message: &'a Message, orders: &[(Uuid, &Order)]) -> Vec<(Fact<'a>, f64)> {
    let text = |field: &'a Option<String>| field.as_deref().unwrap_or_default();
    let own = text(&message.channel);
    let fact = |channel: &'a str, what, reason| Fact {
        day: (message.due_at + TEHRAN).div_euclid(DAY),
        campaign: &message.campaign,
        step: &message.step,
        arm: text(&message.arm),
        channel,
        locale: text(&message.locale),
        domain: if channel == "email" { lists.address(message, channel).map_or("", receiver) } else { "" },
        what,
        reason,
    };
    let mut all = vec![match message.state.as_str() {
        "planned" | "queued" => (Fact { arm: "", locale: "", ..fact("", "waiting", "") }, 0.0),
        "uncertain" => (fact(own, "uncertain", ""), 0.0),
        "sent" | "delivered" | "bounced" | "complained" => (fact(own, "sent", ""), lists.cost(message)),
        _ => (fact(own, "not_sent", text(&message.reason)), 0.0),
    }];
    let events = lists.events(message).iter();
    let once: BTreeSet<_> = events.filter_map(|event| Some((event.channel.as_str(), heard(&event.kind)?))).collect();
    all.extend(once.into_iter().map(|(channel, what)| (fact(channel, what, ""), 0.0)));
    let taken = lists.attempts(message).iter().filter(|attempt| attempt.outcome == "sent");
    let left: BTreeSet<&str> =
        taken.map(|attempt| attempt.channel.as_str()).filter(|channel| *channel != own).collect();
    all.extend(left.into_iter().map(|channel| (fact(channel, "fell_back", ""), 0.0)));
    for (_, order) in orders {
        all.push((fact(own, "credited_orders", ""), order.amount as f64 / UNIT));
        let gift = lists.gifts.iter().find(|gift| gift.code.is_some() && gift.code == order.coupon_code);
        if let Some(gift) = gift.filter(|gift| gift.came_with(message)) {
            all.push((fact(own, "codes_used", ""), gift.cost.unwrap_or(0) as f64 / UNIT));
        }
    }
    all
}

impl Gift {
    fn came_with(&self, message: &Message) -> bool {
        let of_gift = (self.member_id, &self.campaign, &self.occasion, &self.step);
        of_gift == (message.member_id, &message.campaign, &message.occasion, &message.step)
    }
}

impl Lists {
    /// The message that told the code of an order, whoever made the order.
    fn by_code(&self, order: &Order) -> Option<Uuid> {
        let code = order.coupon_code.as_ref()?;
        let gift = self.gifts.iter().find(|gift| gift.code.as_ref() == Some(code))?;
        let told = self.messages.iter().filter(|message| gift.came_with(message));
        let sent = told.filter_map(|message| Some((message.sent_at?, message.id)));
        sent.filter(|(at, _)| *at <= order.purchased_at).max().map(|(_, message)| message)
    }

    /// The message that was clicked last before an order, not too long before. No campaign asks for a least amount.
    fn by_click(&self, order: &Order) -> Option<Uuid> {
        let own = self.messages.iter().filter(|message| message.member_id == order.member_id);
        let events = own.flat_map(|message| self.events(message).iter().map(|event| (event, message.id)));
        let clicks = events.filter(|(event, _)| event.kind == "clicked").map(|(event, message)| (event.at, message));
        let in_time = |at: i64| at <= order.purchased_at && order.purchased_at <= at + WITHIN;
        clicks.filter(|(at, _)| in_time(*at)).max().map(|(_, message)| message)
    }
}

/// How many of which facts, and what they came to.
fn funnel<'a>(part: &str, facts: impl IntoIterator<Item = &'a (Fact<'a>, f64)>) -> Value {
    const COUNTS: &str = "due waiting not_sent uncertain sent fell_back delivered bounced complained opened prefetched \
                          clicked unsubscribed credited_orders codes_used";
    let mut counts: BTreeMap<&str, i64> = COUNTS.split(' ').map(|name| (name, 0)).collect();
    let mut sums = BTreeMap::from([("credited_revenue", 0.0), ("gift_cost", 0.0), ("message_cost", 0.0)]);
    let mut because: BTreeMap<&str, i64> = BTreeMap::new();
    for (fact, amount) in facts {
        *counts.get_mut(fact.what).unwrap() += 1;
        if matches!(fact.what, "waiting" | "not_sent" | "uncertain" | "sent") {
            *counts.get_mut("due").unwrap() += 1;
        }
        match fact.what {
            "not_sent" => *because.entry(fact.reason).or_default() += 1,
            "sent" => *sums.get_mut("message_cost").unwrap() += amount,
            "credited_orders" => *sums.get_mut("credited_revenue").unwrap() += amount,
            "codes_used" => *sums.get_mut("gift_cost").unwrap() += amount,
            _ => {}
        }
    }
    let counts = counts.into_iter().map(|(name, count)| (name.to_owned(), json!(count)));
    let sums = sums.into_iter().map(|(name, sum)| (name.to_owned(), json!(sum)));
    let rest = [("part".to_owned(), json!(part)), ("because".to_owned(), json!(because))];
    Value::Object(counts.chain(sums).chain(rest).collect::<Map<_, _>>())
}

/// A report of messages: of which, and by what they are told apart.
struct Told<'a> {
    arguments: &'a [&'a str],
    by: &'a str,
    campaign: Option<&'a str>,
    channel: Option<&'a str>,
}

impl Told<'_> {
    fn part(&self, fact: &Fact<'_>) -> String {
        let date = || DateTime::from_timestamp_millis(fact.day * DAY).unwrap().date_naive().to_string();
        match self.by {
            "campaign" => fact.campaign.to_owned(),
            "step" => fact.step.to_owned(),
            "arm" => fact.arm.to_owned(),
            "channel" => fact.channel.to_owned(),
            "locale" => fact.locale.to_owned(),
            "domain" => fact.domain.to_owned(),
            "month" => MONTHS.into_iter().rfind(|first| *first <= date().as_str()).unwrap().to_owned(),
            other => panic!("{other}"),
        }
    }

    /// Holds the report of a time against the facts; gives it.
    fn holds(&self, lists: &Lists, facts: &[(Fact<'_>, f64)], (from, to): (&str, &str)) -> Value {
        let days = [from, to].map(|date| (midnight(date) + TEHRAN).div_euclid(DAY));
        let is_within = |day: i64, campaign: &str, channel: &str| {
            (days[0]..days[1]).contains(&day)
                && self.campaign.is_none_or(|own| own == campaign)
                && self.channel.is_none_or(|own| own == channel)
        };
        let within = facts.iter().filter(|(fact, _)| is_within(fact.day, fact.campaign, fact.channel));
        let within: Vec<&(Fact<'_>, f64)> = within.collect();
        let mut parts: BTreeMap<String, Vec<_>> = BTreeMap::new();
        if self.by == "month" {
            parts.extend(months((from, to)).into_iter().map(|(first, _)| (first.to_owned(), Vec::new())));
        }
        for fact in &within {
            parts.entry(self.part(&fact.0)).or_default().push(*fact);
        }
        let mut parts: Vec<Value> = parts.into_iter().map(|(part, facts)| funnel(&part, facts)).collect();
        let by = if self.by == "month" { "period" } else { self.by };
        if self.by != "month" {
            parts.sort_by_key(|part| Reverse(part["due"].as_i64()));
        }
        let counted = lists.counted.iter().filter(|row| is_within(row.day, &row.campaign, &row.channel));
        // Each count stands for messages of which the same is true; some may have been added up before.
        let (counts, nothing): (Vec<&Counted>, Vec<&Counted>) = counted.partition(|row| row.n != 0);
        let different: BTreeSet<&Fact<'_>> = within.iter().map(|(fact, _)| fact).collect();
        assert_eq!(different.len(), counts.len());
        let total = funnel("", within);
        let arguments = [self.arguments, &["--by", self.by, "--from", from, "--to", to]].concat();
        let found = report(&arguments);
        let read = found["counts_read"].as_u64().unwrap() as usize;
        assert!(read > 0 && read <= counts.len() + nothing.len(), "{read} of {}", counts.len());
        let expected = json!({
            "from": from, "to": to, "by": by, "currency": BRAND, "parts": parts, "total": total, "counts_read": read,
        });
        agree(&found, &expected, EXACT, &arguments.join(" "));
        adds_up(&found);
        found
    }
}

/// The parts are together the total.
fn adds_up(found: &Value) {
    let parts = found["parts"].as_array().unwrap();
    let total = found["total"].as_object().unwrap().iter();
    for (name, whole) in total.filter(|(_, whole)| whole.is_number()) {
        let sum: f64 = parts.iter().map(|part| part[name].as_f64().unwrap()).sum();
        let whole = whole.as_f64().unwrap();
        assert!((sum - whole).abs() <= EXACT * whole, "{name}: {sum} is not {whole}");
    }
}

/// The rates that only the table has, as judged by what receivers allow.
fn rates_hold(found: &Value, (from, to): (&str, &str)) {
    let text = printed("csv", &["deliverability", "--from", from, "--to", to]);
    let rows: BTreeMap<&str, Vec<&str>> = text
        .lines()
        .skip(1)
        .map(|line| line.split_once(',').unwrap())
        .map(|(name, rest)| (name, rest.split(',').collect()))
        .collect();
    let parts = found["parts"].as_array().unwrap().iter().map(|part| (part["part"].as_str().unwrap(), part));
    let sent = |part: &Value| part["sent"].as_i64().unwrap() + part["fell_back"].as_i64().unwrap();
    let all = parts.filter(|(_, part)| sent(part) > 0).chain([("all", &found["total"])]);
    let all: BTreeMap<&str, &Value> = all.collect();
    assert_eq!(rows.keys().collect::<Vec<_>>(), all.keys().collect::<Vec<_>>());
    for (name, part) in all {
        let row = &rows[name];
        let rate = |of: &str| part[of].as_f64().unwrap() / sent(part) as f64;
        assert_eq!(row[0], sent(part).to_string());
        for (place, of) in [(1, "bounced"), (3, "complained"), (5, "unsubscribed")] {
            assert_eq!(row[place], part[of].to_string(), "{name} {of}");
            assert!((row[place + 1].parse::<f64>().unwrap() - rate(of)).abs() <= EXACT * rate(of), "{name} {of}");
        }
        let verdict = match (rate("complained"), rate("bounced")) {
            _ if sent(part) < 100 => "too few",
            (complained, bounced) if complained >= 0.003 || bounced >= 0.1 => "too high",
            (complained, bounced) if complained >= 0.001 || bounced >= 0.05 => "high",
            _ => "fine",
        };
        assert_eq!(row[7], verdict, "{name}");
    }
}

#[test]
fn every_number_of_the_programme_is_what_its_lists_say() {
    let lists = lists();
    let facts = facts(lists);
    for window in [ALL, SOME] {
        for by in ["campaign", "arm", "channel", "locale", "domain", "month"] {
            let told = Told { arguments: &["campaigns"], by, campaign: None, channel: None };
            told.holds(lists, &facts, window);
        }
        for name in ["at-risk", "birthday", "post-purchase"] {
            let told = Told { arguments: &["campaign", name], by: "step", campaign: Some(name), channel: None };
            told.holds(lists, &facts, window);
        }
        let told = Told { arguments: &["deliverability"], by: "domain", campaign: None, channel: Some("email") };
        rates_hold(&told.holds(lists, &facts, window), window);
    }
    let told = Told { arguments: &["campaigns"], by: "campaign", campaign: None, channel: None };
    let found = told.holds(lists, &facts, ALL);
    // What never happens in the demo says nothing here.
    let total = found["total"].as_object().unwrap().iter();
    let never: Vec<&str> = total.filter(|(_, sum)| sum.as_f64() == Some(0.0)).map(|(name, _)| name.as_str()).collect();
    assert_eq!(never, ["complained", "fell_back", "uncertain", "waiting"]);
    assert_eq!(found["total"]["due"], lists.messages.len());
    for metric in ["sent", "because", "credited_revenue", "gift_cost"] {
        let arguments = ["campaigns", "--from", ALL.0, "--to", ALL.1];
        explained(&arguments, metric, &found, &[found["counts_read"].as_i64().unwrap()]);
    }
}

/// An arm: what it came to, and what each of its members brought, before and after costs.
#[derive(Default)]
struct Arm {
    not_yet: i64,
    buyers: i64,
    orders: i64,
    other_currencies: i64,
    gift_cost: f64,
    message_cost: f64,
    revenue: Vec<f64>,
    net: Vec<f64>,
}

/// The first message of each member that came to the question of its arm by an instant.
fn firsts<'a>(lists: &'a Lists, campaign: &str, run: i64, at: i64) -> BTreeMap<i64, &'a Message> {
    let of_run = |message: &&Message| message.campaign == campaign && message.run == Some(run);
    let mut assigned: Vec<&Message> = lists.messages.iter().filter(of_run).collect();
    assigned.retain(|message| message.arm.is_some() && message.assigned_at.is_some_and(|assigned| assigned <= at));
    assert!(assigned.iter().all(|message| message.unit.is_none()), "the demo divides members");
    assigned.sort_by_key(|message| Reverse((message.due_at, message.id)));
    assigned.into_iter().map(|message| (message.member_id, message)).collect()
}

fn arms<'a>(lists: &'a Lists, campaign: &str, run: i64, at: i64) -> BTreeMap<&'a str, Arm> {
    let mut arms: BTreeMap<&str, Arm> = BTreeMap::new();
    for (member, first) in firsts(lists, campaign, run, at) {
        let arm = arms.entry(first.arm.as_deref().unwrap()).or_default();
        let time = (first.due_at, first.due_at + WITHIN);
        if time.1 > at {
            arm.not_yet += 1;
            continue;
        }
        let (ours, others): (Vec<&Order>, Vec<&Order>) =
            lists.between(member, time).partition(|order| order.currency == BRAND);
        let revenue = ours.iter().map(|order| order.amount as f64 / UNIT).sum();
        // Whoever used it.
        let all = || lists.orders.keys().flat_map(|buyer| lists.between(*buyer, time));
        let is_used =
            |code: &String| all().any(|order| order.currency == BRAND && order.coupon_code.as_ref() == Some(code));
        let gifts = lists.gifts.iter().filter(|gift| gift.member_id == member && gift.campaign == campaign);
        let used = gifts.filter(|gift| gift.code.as_ref().is_some_and(is_used));
        let gift_cost = used.map(|gift| gift.cost.unwrap_or(0) as f64 / UNIT).sum::<f64>();
        let own = lists.messages.iter().filter(|message| message.member_id == member && message.campaign == campaign);
        let sent = own.filter(|message| message.sent_at.is_some_and(|sent| (time.0..=time.1).contains(&sent)));
        let message_cost = sent.map(|message| lists.cost(message)).sum::<f64>();
        arm.buyers += i64::from(!ours.is_empty());
        arm.orders += ours.len() as i64;
        arm.other_currencies += others.len() as i64;
        arm.gift_cost += gift_cost;
        arm.message_cost += message_cost;
        arm.revenue.push(revenue);
        arm.net.push(revenue - gift_cost - message_cost);
    }
    arms
}

/// The part of the area under an even curve that lies beyond a place, both sides together: by Simpson's rule, up to
/// where the curve ends.
fn tails(curve: impl Fn(f64) -> f64, from: f64, end: f64) -> f64 {
    const STEPS: u32 = 10_000;
    let area = |from: f64| {
        let step = (end - from) / f64::from(STEPS);
        let weight = |place| if place == 0 || place == STEPS { 1.0 } else { f64::from(2 + 2 * (place % 2)) };
        (0..=STEPS).map(|place| weight(place) * curve(from + f64::from(place) * step)).sum::<f64>() * step
    };
    area(from.abs()) / area(0.0)
}

fn normal_p(z: f64) -> f64 {
    tails(|x| (-x * x / 2.0).exp(), z, 40.0)
}

/// Student's t is √df · tan of an angle, and the density of that a power of its cosine.
fn student_p(t: f64, df: f64) -> f64 {
    tails(|angle| angle.cos().max(0.0).powf(df - 1.0), (t / df.sqrt()).atan(), FRAC_PI_2)
}

/// Beyond which 5 % lie.
fn student_quantile(df: f64) -> f64 {
    let (mut low, mut high) = (1.0, 20.0);
    while high - low > 1e-11 {
        let middle = f64::midpoint(low, high);
        if student_p(middle, df) > 0.05 { low = middle } else { high = middle }
    }
    low
}

/// How many, their mean, and the variance between them.
fn moments(values: &[f64]) -> (f64, f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (n, mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0))
}

/// Two arms by their means.
fn means(arm: &[f64], against: &[f64]) -> Value {
    let ((n1, m1, v1), (n2, m2, v2)) = (moments(arm), moments(against));
    let difference = m1 - m2;
    let test = |variance: f64, df: f64| {
        let se = variance.sqrt();
        let half = student_quantile(df) * se;
        json!({ "se": se, "low": difference - half, "high": difference + half, "p": student_p(difference / se, df) })
    };
    let (df, n) = (n1 + n2 - 2.0, n1 + n2);
    let pooled = ((n1 - 1.0) * v1 + (n2 - 1.0) * v2) / df;
    let mut all = test(pooled / n1 + pooled / n2, df);
    let (a, b) = (v1 / n1, v2 / n2);
    all["welch"] = test(a + b, (a + b).powi(2) / (a * a / (n1 - 1.0) + b * b / (n2 - 1.0)));
    // arXiv 2103.06476, equation 9, with ρ as it is best for 5,000 members.
    let (se, alpha) = (all["se"].as_f64().unwrap(), 0.05_f64);
    let scaled = n / 5_000.0 * (-2.0 * alpha.ln() + (1.0 - 2.0 * alpha.ln()).ln());
    let half = se * (2.0 * (scaled + 1.0) / scaled * ((scaled + 1.0).sqrt() / alpha).ln()).sqrt();
    all["always_valid"] = json!({ "low": difference - half, "high": difference + half });
    all["difference"] = json!(difference);
    all["smallest_detectable"] = json!(2.801_585_2 * se);
    // There is no other comparison.
    all["p_holm"] = all["p"].clone();
    all
}

/// Two arms by the shares that bought: Newcombe's interval from Wilson's two, and the pooled z-test.
fn shares(arm: &Arm, against: &Arm) -> Value {
    const Z: f64 = 1.959_963_984_540_054;
    let share = |arm: &Arm| (arm.buyers as f64, arm.revenue.len() as f64);
    let ((x1, n1), (x2, n2)) = (share(arm), share(against));
    let wilson = |x: f64, n: f64| {
        let (p, z) = (x / n, Z * Z);
        let half = Z * (p * (1.0 - p) / n + z / (4.0 * n * n)).sqrt();
        let end = |sign: f64| (p + z / (2.0 * n) + sign * half) / (1.0 + z / n);
        (p - end(-1.0), end(1.0) - p)
    };
    let ((below1, above1), (below2, above2)) = (wilson(x1, n1), wilson(x2, n2));
    let (difference, pooled) = (x1 / n1 - x2 / n2, (x1 + x2) / (n1 + n2));
    let p = normal_p(difference / (pooled * (1.0 - pooled) * (1.0 / n1 + 1.0 / n2)).sqrt());
    json!({
        "difference": difference, "low": difference - below1.hypot(above2), "high": difference + above1.hypot(below2),
        "p": p, "p_holm": p,
    })
}

/// The word, and the numbers that it goes by.
fn verdict(net: &Value, arms: [&Arm; 2]) -> (&'static str, Value) {
    let ends = |of: &Value| [&of["low"], &of["high"]].map(|end| end.as_f64().unwrap());
    let (always, fixed) = (ends(&net["always_valid"]), ends(net));
    let said = |kind, [low, high]: [f64; 2]| (kind, json!({ "kind": kind, "low": low, "high": high }));
    assert!(arms.iter().all(|arm| arm.revenue.len() >= 100 && arm.buyers >= 10), "the demo has enough of each");
    assert!(fixed[1] > 0.0, "no campaign of the demo harms");
    if always[0] > 0.0 {
        return said("works", always);
    }
    if fixed[0] > 0.0 {
        return said("promising", fixed);
    }
    let (kind, mut reason) = said("no_difference", fixed);
    reason["detectable"] = net["smallest_detectable"].clone();
    (kind, reason)
}

/// Whether a tenth of the members were in another experiment as well, in the time in which orders count.
fn overlaps(lists: &Lists, campaign: &str, run: i64, at: i64) -> bool {
    let in_others = |message: &Message| {
        let others = lists.messages.iter().filter(|other| other.campaign != campaign && other.arm.is_some());
        let mut own = others.filter(|other| other.member_id == message.member_id);
        own.any(|other| (other.due_at - message.due_at).abs() <= WITHIN)
    };
    let members = firsts(lists, campaign, run, at);
    let assigned = lists.messages.iter().filter(|message| message.campaign == campaign && message.arm.is_some());
    let both: BTreeSet<i64> = assigned.filter(|message| in_others(message)).map(|message| message.member_id).collect();
    both.len() * 10 >= members.len()
}

#[test]
fn every_number_of_effects_is_what_its_lists_say() {
    let lists = lists();
    for campaign in ["at-risk", "birthday", "post-purchase"] {
        let arguments = ["effect", "--campaign", campaign, "--at", END];
        let (found, at) = (report(&arguments), midnight(END));
        let own = || lists.messages.iter().filter(|message| message.campaign == campaign);
        let run = own().filter_map(|message| message.run).max().unwrap();
        let without = own().filter(|message| message.assigned_at.is_some() && message.arm.is_none());
        let arms = arms(lists, campaign, run, at);
        let shown: Vec<Value> = arms.iter().map(|(name, arm)| arm.shown(name)).collect();
        let [holdout, treated] = ["holdout", "treated"].map(|name| &arms[name]);
        let net = means(&treated.net, &holdout.net);
        let (verdict, reason) = verdict(&net, [treated, holdout]);
        // The demo holds out two in five.
        let sizes = [treated, holdout].map(|arm| arm.revenue.len() as f64 + arm.not_yet as f64);
        let wanted = [0.6, 0.4].map(|share| share * (sizes[0] + sizes[1]));
        let squares: f64 = sizes.iter().zip(wanted).map(|(size, wanted)| (size - wanted).powi(2) / wanted).sum();
        assert!(normal_p(squares.sqrt()) > 0.001, "chance alone");
        let warnings = if overlaps(lists, campaign, run, at) { vec!["overlap"] } else { Vec::new() };
        let expected = json!({
            "campaign": campaign, "from": null, "to": instant(at), "at": instant(at), "within_days": 14.0,
            "currency": BRAND, "run": run, "other_runs": [], "without_experiment": without.count(), "arms": shown,
            "comparisons": [{
                "arm": "treated", "against": "holdout", "revenue_per_member": means(&treated.revenue, &holdout.revenue),
                "net_per_member": net, "buyers_share": shares(treated, holdout), "verdict": verdict, "reason": reason,
                "because": found["comparisons"][0]["because"],
            }],
            "warnings": warnings,
        });
        agree(&found, &expected, NEAR, campaign);
        agree(&found["arms"], &expected["arms"], EXACT, campaign);
        assert!(arms.values().all(|arm| arm.not_yet > 0 && arm.other_currencies > 0), "{campaign}");
        assert!(treated.message_cost > 0.0 && (treated.gift_cost > 0.0) == (campaign == "birthday"), "{campaign}");
        let sum = |of: fn(&Arm) -> i64| arms.values().map(of).sum::<i64>();
        let rows = [sum(|arm| arm.revenue.len() as i64 + arm.not_yet), sum(|arm| arm.orders)];
        for metric in ["members", "revenue", "difference", "always_valid"] {
            explained(&arguments, metric, &found, &rows);
        }
    }
}

impl Arm {
    fn shown(&self, name: &str) -> Value {
        json!({
            "arm": name, "members": self.revenue.len(), "buyers": self.buyers, "orders": self.orders,
            "revenue": self.revenue.iter().sum::<f64>(), "gift_cost": self.gift_cost,
            "message_cost": self.message_cost, "not_yet": self.not_yet, "other_currencies": self.other_currencies,
        })
    }
}

fn share(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// What members did in [from, to).
fn kept(lists: &Lists, part: &str, members: &[&Member], (from, to): (i64, i64)) -> Value {
    let is_customer = |member: &Member, at: i64| lists.between(member.id, (at - 365 * DAY, at)).next().is_some();
    let count = |is: &dyn Fn(&Member) -> bool| members.iter().filter(|member| is(member)).count() as i64;
    let made = |member: &Member| lists.between(member.id, (from - 1, to - 1)).count();
    let at_start = count(&|member| is_customer(member, from));
    let at_end = count(&|member| is_customer(member, to));
    let stayed = count(&|member| is_customer(member, from) && is_customer(member, to));
    let (buyers, repeat_buyers) = (count(&|member| made(member) > 0), count(&|member| made(member) > 1));
    let all: Vec<&Order> = members.iter().flat_map(|member| lists.between(member.id, (from - 1, to - 1))).collect();
    let (ours, others): (Vec<&Order>, Vec<&Order>) = all.iter().partition(|order| order.currency == BRAND);
    let revenue = ours.iter().map(|order| order.amount as f64 / UNIT).sum::<f64>();
    let own = members.iter().filter_map(|member| lists.orders.get(&member.id));
    let pairs = own.flat_map(|orders| orders.windows(2)).filter(|pair| (from..to).contains(&pair[1].purchased_at));
    let mut gaps: Vec<i64> = pairs.map(|pair| pair[1].purchased_at - pair[0].purchased_at).collect();
    gaps.sort_unstable();
    let middle = |place: usize| gaps[place] as f64 / DAY as f64;
    let median = (!gaps.is_empty()).then(|| f64::midpoint(middle((gaps.len() - 1) / 2), middle(gaps.len() / 2)));
    let retention = share(stayed, at_start);
    json!({
        "part": part, "members": members.len(), "points": members.iter().filter_map(|member| member.points).sum::<i64>(),
        "customers_at_start": at_start, "customers_at_end": at_end, "new_customers": at_end - stayed,
        "retention": retention, "churn": retention.map(|kept| 1.0 - kept), "buyers": buyers,
        "repeat_buyers": repeat_buyers, "repeat_rate": share(repeat_buyers, buyers), "orders": all.len(),
        "orders_per_buyer": share(all.len() as i64, buyers), "revenue": revenue,
        "average_order": (!ours.is_empty()).then(|| revenue / ours.len() as f64), "days_between_orders": median,
        "other_currencies": others.len(),
    })
}

#[test]
fn every_number_of_loyalty_is_what_its_lists_say() {
    let lists = lists();
    let everybody: Vec<&Member> = lists.members.iter().collect();
    for window in [ALL, SOME] {
        let span = (midnight(window.0), midnight(window.1));
        for by in ["", "tier", "locale", "month"] {
            let mut parts: Vec<Value> = match by {
                "" => vec![kept(lists, "", &everybody, span)],
                "month" => {
                    months(window).into_iter().map(|(first, span)| kept(lists, first, &everybody, span)).collect()
                }
                _ => {
                    let key = |member: &&Member| if by == "tier" { member.tier.clone() } else { member.locale.clone() };
                    let parts = grouped(everybody.iter().copied(), key).into_iter();
                    parts.map(|(part, members)| kept(lists, &part.unwrap_or_default(), &members, span)).collect()
                }
            };
            if by != "month" {
                parts.sort_by_key(|part| (Reverse(part["members"].as_u64()), part["part"].to_string()));
            }
            let sum = |of: &str| parts.iter().map(|part| part[of].as_i64().unwrap()).sum::<i64>();
            // Every month looks at all members.
            let rows = [if by == "month" { everybody.len() as i64 } else { sum("members") }, sum("orders")];
            let split = ["--by", by];
            let split = if by.is_empty() { &[][..] } else { &split[..] };
            let arguments = [&["loyalty", "--from", window.0, "--to", window.1], split].concat();
            let found = report(&arguments);
            let expected = json!({
                "from": instant(span.0), "to": instant(span.1), "active_within_days": 365.0, "currency": BRAND, "by": by,
                "parts": parts,
            });
            agree(&found, &expected, EXACT, &arguments.join(" "));
            ["retention", "days_between_orders"].iter().for_each(|metric| explained(&arguments, metric, &found, &rows));
        }
        cohorts_hold(lists, window);
        scores_hold(lists, window);
    }
    expectations_hold(lists);
}

/// Members by the month of their first order, and what they bought in it and later.
fn cohorts_hold(lists: &Lists, (from, to): (&str, &str)) {
    let months = months((from, to));
    let is_in = |at: i64, (begin, end): (i64, i64)| (begin..end).contains(&at);
    let cohort = |(place, (first, month)): (usize, &(&str, (i64, i64)))| {
        let began = |own: &&Vec<Order>| is_in(own[0].purchased_at, *month);
        let members: Vec<&Vec<Order>> = lists.orders.values().filter(began).collect();
        let period = |(_, period): &(&str, (i64, i64))| {
            let bought = |own: &&&Vec<Order>| own.iter().any(|order| is_in(order.purchased_at, *period));
            let back = members.iter().filter(bought).count();
            let orders = members.iter().flat_map(|own| own.iter()).filter(|order| is_in(order.purchased_at, *period));
            let ours = orders.filter(|order| order.currency == BRAND).map(|order| order.amount as f64 / UNIT);
            let share = share(back as i64, members.len() as i64);
            json!({ "members": back, "share": share, "revenue": ours.fold(0.0, |sum, amount| sum + amount) })
        };
        let periods: Vec<Value> = months[place..].iter().map(period).collect();
        json!({ "start": first, "members": members.len(), "periods": periods })
    };
    let cohorts: Vec<Value> = months.iter().enumerate().map(cohort).collect();
    let members: i64 = cohorts.iter().map(|cohort| cohort["members"].as_i64().unwrap()).sum();
    let arguments = ["cohorts", "--by", "month", "--from", from, "--to", to];
    let found = report(&arguments);
    let expected = json!({
        "from": instant(midnight(from)), "to": instant(midnight(to)), "currency": BRAND, "cohorts": cohorts,
    });
    agree(&found, &expected, EXACT, &arguments.join(" "));
    ["share", "revenue"].iter().for_each(|metric| explained(&arguments, metric, &found, &[members]));
}

/// When a member bought last by an instant, how often, and for how much; nothing for who had not bought.
fn bought(own: &[Order], at: i64) -> Option<(i64, i64, i64)> {
    let by_then = own.iter().filter(|order| order.purchased_at <= at);
    let last = by_then.clone().map(|order| order.purchased_at).max()?;
    let ours = by_then.clone().filter(|order| order.currency == BRAND).map(|order| order.amount);
    Some((at - last, by_then.count() as i64, ours.sum()))
}

/// The values up to which one to four fifths come, from the worst on.
fn fifths(mut values: Vec<i64>, is_less_better: bool) -> Vec<i64> {
    values.sort_unstable();
    if is_less_better {
        values.reverse();
    }
    (1..5).map(|fifth| values[(fifth * values.len()).div_ceil(5) - 1]).collect()
}

/// Scores by fifths as of the last night, and who moved between the ends of a time.
fn scores_hold(lists: &Lists, (from, to): (&str, &str)) {
    let (before, at, fitted_at) = (midnight(from), midnight(to), midnight(END));
    let all: Vec<(i64, i64, i64)> = lists.orders.values().filter_map(|own| bought(own, fitted_at)).collect();
    let recency = fifths(all.iter().map(|one| one.0).collect(), true);
    let frequency = fifths(all.iter().map(|one| one.1).collect(), false);
    let monetary = fifths(all.iter().map(|one| one.2).collect(), false);
    let scores = |own: &[Order], at: i64| {
        let (age, orders, _) = bought(own, at)?;
        let score = |is_better: &dyn Fn(&&i64) -> bool, cuts: &[i64]| 1 + cuts.iter().filter(is_better).count();
        Some((score(&|cut| age < **cut, &recency), score(&|cut| orders > **cut, &frequency)))
    };
    let squares = (0..25).map(|square| ((1 + square / 5, 1 + square % 5), (0, 0.0)));
    let mut grid: BTreeMap<(usize, usize), (i64, f64)> = squares.collect();
    let mut moves: BTreeMap<[usize; 4], i64> = BTreeMap::new();
    for own in lists.orders.values() {
        let (Some(now), Some((_, _, spent))) = (scores(own, at), bought(own, at)) else { continue };
        let square = grid.get_mut(&now).unwrap();
        *square = (square.0 + 1, square.1 + spent as f64 / UNIT);
        let then = scores(own, before).unwrap_or((0, 0));
        if then != now {
            *moves.entry([then.0, then.1, now.0, now.1]).or_default() += 1;
        }
    }
    let customers: i64 = grid.values().map(|(members, _)| members).sum();
    let square = |((recency, frequency), (members, revenue)): ((usize, usize), (i64, f64))| json!({ "recency": recency, "frequency": frequency, "members": members, "revenue": revenue });
    let moved = |([recency_before, frequency_before, recency, frequency], members): ([usize; 4], i64)| {
        json!({
            "recency_before": recency_before, "frequency_before": frequency_before, "recency": recency,
            "frequency": frequency, "members": members,
        })
    };
    let expected = json!({
        "from": instant(before), "at": instant(at), "fitted_at": instant(fitted_at), "currency": BRAND,
        "cuts": { "recency": recency, "frequency": frequency, "monetary": monetary },
        "grid": grid.into_iter().map(square).collect::<Vec<_>>(),
        "moves": moves.into_iter().map(moved).collect::<Vec<_>>(),
    });
    let arguments = ["rfm", "--from", from, "--to", to];
    let found = report(&arguments);
    agree(&found, &expected, EXACT, &arguments.join(" "));
    explained(&arguments, "revenue", &found, &[customers]);
}

/// What the models ask for about a customer: days with an order after the first one, weeks from the first to the last of
/// them and until now; and of the former those with an order in the brand's currency, and what these came to.
struct Customer {
    repeats: f64,
    recency: f64,
    age: f64,
    priced: f64,
    spent: f64,
}

impl Customer {
    fn at(own: &[Order], at: i64) -> Option<Self> {
        let mut days: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for order in own.iter().filter(|order| order.purchased_at <= at) {
            let day = days.entry(order.purchased_at.div_euclid(DAY)).or_default();
            day.extend((order.currency == BRAND).then_some(order.amount));
        }
        let (first, last) = (*days.keys().next()?, *days.keys().next_back()?);
        let weeks = |day: i64| (day - first) as f64 / 7.0;
        let priced = || days.values().skip(1).filter(|amounts| !amounts.is_empty());
        Some(Self {
            repeats: days.len() as f64 - 1.0,
            recency: weeks(last),
            age: weeks(at.div_euclid(DAY)),
            priced: priced().count() as f64,
            spent: priced().flatten().sum::<i64>() as f64 / UNIT,
        })
    }

    /// Fader, Hardie and Lee 2005, equation 7 of the note on P(alive).
    fn alive(&self, model: &Model) -> f64 {
        if self.repeats == 0.0 {
            return 1.0;
        }
        let faded = ((model.alpha + self.age) / (model.alpha + self.recency)).powf(model.r + self.repeats);
        1.0 / (1.0 + model.a / (model.b + self.repeats - 1.0) * faded)
    }

    /// Purchases in so many weeks: equation 10 of the article as it is printed, times what a purchase comes to.
    fn purchases(&self, model: &Model, weeks: f64) -> f64 {
        let (one, two) = (model.r + self.repeats, model.b + self.repeats);
        let three = model.a + model.b + self.repeats - 1.0;
        let z = weeks / (model.alpha + self.age + weeks);
        let (mut term, mut sum, mut k) = (1.0, 1.0, 0.0);
        while term > 1e-17 * sum || k < 100.0 {
            term *= (one + k) * (two + k) / ((three + k) * (k + 1.0)) * z;
            sum += term;
            k += 1.0;
        }
        three / (model.a - 1.0) * (1.0 - (1.0 - z).powf(one) * sum) * self.alive(model)
    }

    /// What 13 months of four weeks bring, each discounted from its end by 10 % a year.
    fn revenue(&self, model: &Model) -> f64 {
        let worth = model.p * (model.v / UNIT + self.spent) / (model.p * self.priced + model.q - 1.0);
        let month = |month: i32| {
            let by = |month: i32| self.purchases(model, 4.0 * f64::from(month));
            (by(month) - by(month - 1)) / 1.1_f64.powf(f64::from(month) / 13.0)
        };
        worth * (1..=13).map(month).sum::<f64>()
    }
}

/// What customers are expected to bring, all and tenth by tenth.
fn expectations_hold(lists: &Lists) {
    let (at, arguments) = (midnight(END), ["cltv", "--at", END]);
    let found = report(&arguments);
    let customers: Vec<Customer> = lists.orders.values().filter_map(|own| Customer::at(own, at)).collect();
    let mut expected: Vec<f64> = customers.iter().map(|customer| customer.revenue(&lists.model)).collect();
    expected.sort_by(|one, other| other.total_cmp(one));
    let total = expected.iter().sum::<f64>();
    let mut best = expected.iter();
    let tenths = found["tenths"].as_array().unwrap().iter().enumerate().map(|(place, tenth)| {
        let size = tenth["customers"].as_u64().unwrap() as usize;
        assert!(size.abs_diff(customers.len() / 10) <= 1, "a tenth: {size} of {}", customers.len());
        let own: Vec<f64> = best.by_ref().take(size).copied().collect();
        let sum = own.iter().sum::<f64>();
        json!({
            "tenth": place + 1, "customers": own.len(), "expected_revenue": sum, "share": sum / total,
            "least": own.last(),
        })
    });
    let tenths: Vec<Value> = tenths.collect();
    assert_eq!((tenths.len(), best.len()), (10, 0));
    let alive = customers.iter().map(|customer| customer.alive(&lists.model)).sum::<f64>();
    let expected = json!({
        "at": instant(at), "currency": BRAND, "discount": 0.1, "customers": customers.len(), "alive": alive,
        "expected_revenue": total, "tenths": tenths,
    });
    agree(&found, &expected, NEAR, "cltv");
    agree(&found["alive"], &expected["alive"], EXACT, "cltv alive");
    ["alive", "least"].iter().for_each(|metric| explained(&arguments, metric, &found, &[customers.len() as i64]));
}
