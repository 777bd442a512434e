//! `at_risk` by rhythm and by probability on every size: exactly the members whose orders say so, held
//! against a plain computation from the file, and what a later purchase, late data and a new model do.
//! `at_risk_contract!` makes the tests; each gets a [`Size`] with nothing in it.

#![allow(dead_code, reason = "each test target uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};

use rekindle::domain::lifetime::{BgNbd, Fit};
use rekindle::import::Kind;
use rekindle::model::{self, FitError};
use rekindle::store::Store;
use rekindle::store::models::{self, Fitted};

use crate::support::contract::contract;
use crate::support::shop::{Dice, PLAIN, Sent, Shop, Size, assert_same, at, sorted};

contract! {
    at_risk_contract:
    imports_keep_the_history_of_each_order
    each_way_finds_exactly_its_orders
    late_orders_are_found_as_punctual_ones_are
    a_later_purchase_ends_every_step
    a_new_model_counts_for_the_scans_that_follow
    a_model_is_fitted_to_what_was_bought_before_its_end
}

const DAY: i64 = 86_400_000;

/// What Fader, Hardie and Lee found for the CDNOW sample.
const CDNOW: BgNbd = BgNbd { r: 0.243, alpha: 4.414, a: 0.793, b: 2.426 };

const HEAD: &str = "order_id,member_external_id,purchased_at,amount,status\n";

/// An order as a file gives it.
#[derive(Clone)]
struct Order {
    id: String,
    member: String,
    at: i64,
    is_paid: bool,
}

impl Order {
    fn line(&self) -> String {
        let at = chrono::DateTime::from_timestamp_millis(self.at).unwrap().to_rfc3339();
        format!("{},{},{at},10,{}\n", self.id, self.member, if self.is_paid { "paid" } else { "refunded" })
    }
}

fn file(orders: &[Order]) -> String {
    HEAD.to_owned() + &orders.iter().map(Order::line).collect::<String>()
}

fn members(count: usize) -> String {
    let rows: String = (0..count).map(|n| format!("m{n},m{n}@example.com,true\n")).collect();
    "external_id,email,email_consent\n".to_owned() + &rows
}

/// Orders of a year before `until`: some people buy often, some once, some twice a day, some at one
/// instant.
fn orders(dice: &mut Dice, members: u64, until: &str) -> Vec<Order> {
    let from = at(until).timestamp_millis() - 365 * DAY;
    let mut all = Vec::new();
    for member in 0..members {
        let mut instant = from + i64::try_from(dice.below(300 * 86_400)).unwrap() * 1_000;
        let every = 1 + dice.below(60);
        for _ in 0..1 + dice.below(9) {
            // In no order of time or of lines.
            let id = format!("{:x}", dice.roll());
            all.push(Order { id, member: format!("m{member}"), at: instant, is_paid: !dice.once_in(8) });
            let step = match dice.below(6) {
                0 => 0,
                1 => dice.below(86_400),
                _ => dice.below(every * 2 * 86_400),
            };
            instant += i64::try_from(step).unwrap() * 1_000;
        }
    }
    all.retain(|order| order.at < at(until).timestamp_millis());
    all
}

/// What a valid order's member had bought up to it: the first instants of days with an order.
fn visits(order: &Order, all: &[Order]) -> Vec<i64> {
    let up_to = |other: &&Order| {
        other.is_paid && other.member == order.member && (other.at, &other.id) <= (order.at, &order.id)
    };
    let mut days: BTreeMap<i64, i64> = BTreeMap::new();
    for other in all.iter().filter(up_to) {
        let first = days.entry(other.at.div_euclid(DAY)).or_insert(other.at);
        *first = (*first).min(other.at);
    }
    days.into_values().collect()
}

/// When the member's next valid order was made.
fn next(order: &Order, all: &[Order]) -> Option<i64> {
    let later =
        |other: &&Order| other.is_paid && other.member == order.member && (other.at, &other.id) > (order.at, &order.id);
    all.iter().filter(later).map(|other| other.at).min()
}

fn median_gap(visits: &[i64]) -> Option<i64> {
    let gaps = sorted(visits.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>());
    let middle = gaps.len() / 2;
    match gaps.len() {
        0 | 1 => None,
        n if n % 2 == 1 => Some(gaps[middle]),
        _ => Some((gaps[middle - 1] + gaps[middle]) / 2),
    }
}

// ---- what imports keep -----------------------------------------------------------------------

type Row = (String, Option<i64>, Option<i64>, Option<i64>, Option<i64>);

async fn stored(shop: &Shop) -> Vec<Row> {
    let sql = "SELECT order_id, visits, tenure_days, gap_ms, next_at FROM purchases";
    let rows: Vec<Row> = match shop.store().await {
        Store::Sqlite { readers: pool, .. } => sqlx::query_as(sql).fetch_all(pool).await.unwrap(),
        Store::Postgres(pool) => sqlx::query_as(sql).fetch_all(pool).await.unwrap(),
    };
    sorted(rows)
}

fn computed(all: &[Order]) -> Vec<Row> {
    let row = |order: &Order| {
        if !order.is_paid {
            return (order.id.clone(), None, None, None, None);
        }
        let visits = visits(order, all);
        let days = visits.last().unwrap().div_euclid(DAY) - visits[0].div_euclid(DAY);
        let count = i64::try_from(visits.len()).unwrap();
        (order.id.clone(), Some(count), Some(days), median_gap(&visits), next(order, all))
    };
    sorted(all.iter().map(row).collect())
}

pub async fn imports_keep_the_history_of_each_order(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    shop.import(Kind::Members, members(30)).await;
    let mut dice = Dice(1);
    let mut all = orders(&mut dice, 30, "2024-06-01T00:00:00Z");
    dice.shuffle(&mut all);
    let (early, late) = all.split_at(all.len() / 2);
    let mut batches = vec![early.to_vec(), late.to_vec()];
    for _ in 0..4 {
        // Cancelled, paid after all, made at another time, or by somebody else.
        let mut changed = all.clone();
        dice.shuffle(&mut changed);
        changed.truncate(25);
        for order in &mut changed {
            match dice.below(4) {
                0 | 1 => order.is_paid = !order.is_paid,
                2 => order.at -= i64::try_from(dice.below(90)).unwrap() * DAY,
                _ => order.member = format!("m{}", dice.below(30)),
            }
        }
        batches.push(changed);
    }
    let mut known: BTreeMap<String, Order> = BTreeMap::new();
    for batch in batches {
        shop.import(Kind::Purchases, file(&batch)).await;
        known.extend(batch.into_iter().map(|order| (order.id.clone(), order)));
        let known: Vec<Order> = known.values().cloned().collect();
        assert_same("histories", &stored(&shop).await, &computed(&known));
    }
    shop.close().await;
}

// ---- who is at risk --------------------------------------------------------------------------

/// A rule and its lag in milliseconds for the visits of an order.
struct Way {
    name: &'static str,
    trigger: &'static str,
    lag: fn(&[i64]) -> Option<i64>,
}

const WAYS: &[Way] = &[
    Way {
        name: "rhythm",
        trigger: "{ kind: at_risk, rhythm: { times: 2.5 } }",
        lag: |visits| Some(rhythm(2.5, median_gap(visits)?).clamp(14 * DAY, 365 * DAY)),
    },
    Way {
        name: "bounded",
        trigger: "{ kind: at_risk, rhythm: { times: 0.7, floor: 9d, ceiling: 20d }, fallback: 33d }",
        lag: |visits| match median_gap(visits) {
            Some(gap) => Some(rhythm(0.7, gap).clamp(9 * DAY, 20 * DAY)),
            None => Some(33 * DAY),
        },
    },
    Way {
        name: "half",
        trigger: "{ kind: at_risk, probability: { below: 0.5 } }",
        lag: |visits| Some(left(0.5, visits)?.clamp(DAY, 365 * DAY)),
    },
    Way {
        name: "third",
        trigger: "{ kind: at_risk, probability: { below: 0.35, floor: 30d, ceiling: 80d }, fallback: 1w }",
        lag: |visits| Some(left(0.35, visits).map_or(7 * DAY, |lag| lag.clamp(30 * DAY, 80 * DAY))),
    },
];

fn rhythm(times: f64, gap: i64) -> i64 {
    (times * gap as f64).floor() as i64
}

/// The probability as the article gives it, halved until it meets the threshold.
fn left(below: f64, visits: &[i64]) -> Option<i64> {
    let repeats = visits.len() as f64 - 1.0;
    if repeats == 0.0 {
        return None;
    }
    let days = visits.last().unwrap().div_euclid(DAY) - visits[0].div_euclid(DAY);
    let recency = days as f64 / 7.0;
    let alive = |age: f64| {
        let ratio = ((CDNOW.alpha + age) / (CDNOW.alpha + recency)).powf(CDNOW.r + repeats);
        1.0 / (1.0 + CDNOW.a / (CDNOW.b + repeats - 1.0) * ratio)
    };
    if alive(recency) <= below {
        return Some(0);
    }
    let (mut least, mut most) = (recency, recency + 10_000.0);
    for _ in 0..200 {
        let middle = f64::midpoint(least, most);
        if alive(middle) > below { least = middle } else { most = middle }
    }
    Some(((least - recency) * 7.0 * DAY as f64).floor() as i64)
}

/// Every occasion in [from, to), as a message of the campaign of its way.
fn expected(all: &[Order], from: &str, to: &str) -> Vec<Sent> {
    expected_of(all.iter(), all, from, to)
}

/// Those of some orders.
fn expected_of<'a>(some: impl Iterator<Item = &'a Order>, all: &[Order], from: &str, to: &str) -> Vec<Sent> {
    let (from, to) = (at(from).timestamp_millis(), at(to).timestamp_millis());
    let mut found = Vec::new();
    for order in some.filter(|order| order.is_paid) {
        let (visits, next) = (visits(order, all), next(order, all));
        for way in WAYS {
            let Some(lag) = (way.lag)(&visits) else { continue };
            let base = order.at + lag;
            if (from..to).contains(&base) && next.is_none_or(|next| next > base) {
                found.push((order.member.clone(), way.name.to_owned(), "main".to_owned(), "email".to_owned(), base));
            }
        }
    }
    sorted(found)
}

async fn shop_of_every_way(size: &Size) -> Shop {
    let shop = Shop::new(size, PLAIN);
    for way in WAYS {
        shop.campaign(way.name, &format!("trigger: {}\nlimits: {{ late: always }}", way.trigger));
    }
    shop.write_store(async |tx| models::insert(tx, &fitted(CDNOW)).await.unwrap()).await;
    shop
}

fn fitted(model: BgNbd) -> Fitted {
    let now = at("2024-01-01T00:00:00Z");
    let fit = Fit { model, log_likelihood: -1.0 };
    Fitted {
        fitted_at: now,
        until: now,
        customers: 100,
        repeat_customers: 50,
        fit,
        currency: "USD".to_owned(),
        spenders: 0,
        spending: None,
    }
}

const FROM: &str = "2024-02-01T00:00:00Z";
const TO: &str = "2024-04-01T00:00:00Z";
const MEMBERS: u64 = 250;

/// To the second: the last fraction of a millisecond of a lag may be rounded in two ways.
fn in_seconds(sent: Vec<Sent>) -> Vec<Sent> {
    sent.into_iter().map(|(m, c, s, channel, due)| (m, c, s, channel, (due + 500) / 1_000)).collect()
}

pub async fn each_way_finds_exactly_its_orders(size: Size) {
    let all = orders(&mut Dice(7), MEMBERS, "2024-06-01T00:00:00Z");
    let wanted = in_seconds(expected(&all, FROM, TO));
    for way in WAYS {
        let count = wanted.iter().filter(|sent| sent.1 == way.name).count();
        assert!(count > 40, "{count} of {}", way.name);
    }
    let shop = shop_of_every_way(&size).await;
    shop.import(Kind::Members, members(usize::try_from(MEMBERS).unwrap())).await;
    shop.import(Kind::Purchases, file(&all)).await;
    assert_same("the plan", &in_seconds(shop.planned(FROM, TO).await), &wanted);
    shop.once_between(FROM, TO).await;
    assert_same("what was sent", &in_seconds(shop.sent_between(FROM, TO).await), &wanted);
    shop.close().await;
}

pub async fn late_orders_are_found_as_punctual_ones_are(size: Size) {
    let all = orders(&mut Dice(8), MEMBERS, "2024-02-01T00:00:00Z");
    let shop = shop_of_every_way(&size).await;
    shop.import(Kind::Members, members(usize::try_from(MEMBERS).unwrap())).await;
    shop.once(TO).await;
    let mut shuffled = all.clone();
    Dice(9).shuffle(&mut shuffled);
    for batch in shuffled.chunks(all.len() / 3) {
        shop.import(Kind::Purchases, file(batch)).await;
    }
    shop.once(TO).await;
    // By now whoever bought again is back.
    let is_last = |order: &&Order| next(order, &all).is_none();
    let begin = "2023-01-01T00:00:00Z";
    let wanted = in_seconds(expected_of(all.iter().filter(is_last), &all, begin, TO));
    assert!(wanted.len() > 300, "{}", wanted.len());
    assert_same("what was sent", &in_seconds(shop.sent_between(begin, TO).await), &wanted);
    shop.close().await;
}

pub async fn a_later_purchase_ends_every_step(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    let steps = "steps: [{ id: again, after: 10d, content: note }]";
    shop.campaign("rhythm", &format!("trigger: {{ kind: at_risk, rhythm: {{ times: 2 }}, fallback: 40d }}\n{steps}"));
    shop.campaign("sure", &format!("trigger: {{ kind: at_risk, rhythm: {{ times: 2 }} }}\n{steps}"));
    shop.import(Kind::Members, members(3)).await;
    let order = |id: &str, member: &str, day: &str| format!("{id},{member},{day}T10:00:00Z,10,paid\n");
    // Every ten days: at risk on the twentieth day after the last.
    let regular = |member: &str| {
        ["2024-01-01", "2024-01-11", "2024-01-21"].map(|day| order(&format!("{member}{day}"), member, day)).concat()
    };
    let file = HEAD.to_owned() + &regular("m0") + &regular("m1") + &order("once", "m2", "2024-01-21");
    shop.import(Kind::Purchases, file).await;
    shop.once("2024-02-10T09:59:59Z").await;
    assert!(shop.ledger().await.is_empty(), "a second too early");
    shop.once("2024-02-10T10:00:00Z").await;
    let first = ["m0 rhythm main sent -", "m0 sure main sent -", "m1 rhythm main sent -", "m1 sure main sent -"];
    assert_eq!(shop.states().await, first);
    shop.import(Kind::Purchases, HEAD.to_owned() + &order("back", "m1", "2024-02-15")).await;
    shop.once("2024-02-20T10:00:00Z").await;
    shop.once("2024-03-01T10:00:00Z").await;
    let mut wanted = first.map(str::to_owned).to_vec();
    wanted.extend(["rhythm", "sure"].map(|name| format!("m0 {name} again sent -")));
    wanted.extend(["rhythm", "sure"].map(|name| format!("m1 {name} again skipped goal_reached")));
    // With one visit there is no rhythm: the fallback, or nothing.
    wanted.push("m2 rhythm main sent -".to_owned());
    assert_eq!(shop.states().await, sorted(wanted));
    shop.close().await;
}

pub async fn a_new_model_counts_for_the_scans_that_follow(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    shop.campaign("risk", "trigger: { kind: at_risk, probability: { below: 0.5 }, fallback: 60d }");
    shop.campaign("sure", "trigger: { kind: at_risk, probability: { below: 0.5 } }");
    shop.import(Kind::Members, members(2)).await;
    let first = "a1,m0,2024-01-01T00:00:00Z,10,paid\na2,m0,2024-01-08T00:00:00Z,10,paid\n";
    shop.import(Kind::Purchases, HEAD.to_owned() + first).await;
    // Without a model: sixty days.
    shop.once("2024-03-08T00:00:00Z").await;
    assert_eq!(shop.states().await, ["m0 risk main sent -"]);
    // ((2.426 / 0.793)^(1 / 1.243) - 1) × (4.414 + 1) weeks are 55 days and a bit.
    shop.write_store(async |tx| models::insert(tx, &fitted(CDNOW)).await.unwrap()).await;
    let second = "b1,m1,2024-03-01T00:00:00Z,10,paid\nb2,m1,2024-03-08T00:00:00Z,10,paid\n";
    shop.import(Kind::Purchases, HEAD.to_owned() + second).await;
    let planned = shop.planned("2024-03-09T00:00:00Z", "2024-06-01T00:00:00Z").await;
    let due = at("2024-03-08T00:00:00Z").timestamp_millis() + left(0.5, &[0, 7 * DAY]).unwrap();
    let names: Vec<_> = planned.iter().map(|sent| (sent.0.as_str(), sent.1.as_str())).collect();
    assert_eq!(names, [("m1", "risk"), ("m1", "sure")]);
    assert!(planned.iter().all(|sent| (sent.4 - due).abs() <= 1), "{planned:?}, not {due}");
    // A later model, under which people stay longer: this holds for the old order as well.
    let patient = BgNbd { b: 4.0, ..CDNOW };
    shop.write_store(async |tx| models::insert(tx, &fitted(patient)).await.unwrap()).await;
    let later = shop.planned("2024-03-09T00:00:00Z", "2024-12-01T00:00:00Z").await;
    let names: Vec<_> = later.iter().map(|sent| (sent.0.as_str(), sent.1.as_str())).collect();
    assert_eq!(names, [("m0", "sure"), ("m1", "risk"), ("m1", "sure")]);
    assert!(later[1..].iter().all(|sent| sent.4 > due + DAY), "{later:?}");
    shop.once("2024-12-01T00:00:00Z").await;
    let states = shop.states().await;
    assert!(states.len() == 4 && states.contains(&"m0 risk main sent -".to_owned()), "what was sent stays: {states:?}");
    shop.close().await;
}

pub async fn a_model_is_fitted_to_what_was_bought_before_its_end(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    let store = shop.store().await;
    let (until, now) = (at("2024-06-01T00:00:00Z"), at("2024-07-01T00:00:00Z"));
    let refused = model::fit(store, "USD", until, now).await.unwrap_err();
    assert!(matches!(refused, FitError::Unfit(_)), "{refused}");
    assert_eq!(refused.to_string(), "0 customers have bought, and a model needs 100; import more purchases");
    let all = generated(&mut Dice(2005), 2_000, "2024-09-01T00:00:00Z");
    shop.import(Kind::Members, members(2_000)).await;
    shop.import(Kind::Purchases, file(&all)).await;
    let found = model::fit(store, "USD", until, now).await.unwrap();
    let buyers = |most: usize| {
        let mut days: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
        for order in all.iter().filter(|order| order.at < until.timestamp_millis()) {
            days.entry(&order.member).or_default().insert(order.at.div_euclid(DAY));
        }
        i64::try_from(days.values().filter(|days| days.len() > most).count()).unwrap()
    };
    assert_eq!((found.customers, found.repeat_customers), (buyers(0), buyers(1)));
    assert!((0.2..5.0).contains(&found.fit.model.r), "{found:?}");
    let mut tx = store.read().await.unwrap();
    assert_eq!(models::newest(&mut tx).await.unwrap(), Some(found));
    drop(tx);
    shop.close().await;
}

/// Customers as the model sees them, with r = 1, alpha = 6, a = 1 and b = 2.5; all orders are paid.
fn generated(dice: &mut Dice, members: usize, until: &str) -> Vec<Order> {
    let until = at(until).timestamp_millis();
    let mut unit = || (dice.roll() >> 11) as f64 / (1_u64 << 53) as f64;
    let mut all = Vec::new();
    for member in 0..members {
        let rate = -(1.0 - unit()).ln() / 6.0;
        let leaves = 1.0 - (1.0 - unit()).powf(1.0 / 2.5);
        let mut at = until - 365 * DAY + (unit() * 180.0 * DAY as f64) as i64;
        while at < until {
            all.push(Order { id: format!("o{}", all.len()), member: format!("m{member}"), at, is_paid: true });
            at = at.saturating_add((-(1.0 - unit()).ln() / rate * 7.0 * DAY as f64) as i64);
            if all.last().is_some_and(|order| order.at > until - 365 * DAY) && unit() < leaves {
                break;
            }
        }
    }
    all
}
