//! What is expected of members, on every size: through the import, the fit and the audiences that ask for it, held
//! against the articles' formulas worked from the file. `lifetime_contract!` makes the tests; each gets a [`Size`] with
//! nothing in it.

#![allow(dead_code, reason = "each test target uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};

use rekindle::domain::audience::Audience;
use rekindle::domain::lifetime::{BgNbd, Fit, GammaGamma};
use rekindle::import::Kind;
use rekindle::model;
use rekindle::store::audience_facts::AudienceFacts;
use rekindle::store::models::{self, Fitted};
use rekindle::store::{audience_sql, configuration, members};
use rekindle::views::audience::count;
use rekindle::views::explain::explain;

use crate::support::contract::contract;
use crate::support::shop::{Dice, PLAIN, Shop, Size, assert_same, at};

contract! {
    lifetime_contract:
    segments_are_counted_by_what_is_expected
    what_is_not_known_is_neither_above_nor_below
    other_currencies_say_nothing_about_spending
    campaigns_and_plans_go_by_what_is_expected
}

const DAY: i64 = 86_400_000;
const NOW: &str = "2024-09-01T10:00:00Z";

/// More members than are looked at in one statement, and fewer who buy: some among the last.
const MEMBERS: usize = 5_400;

fn members_file(count: usize) -> String {
    let rows: String = (0..count).map(|n| format!("m{n},m{n}@example.com,true\n")).collect();
    "external_id,email,email_consent\n".to_owned() + &rows
}

struct Order {
    member: String,
    at: i64,
    cents: i64,
    currency: &'static str,
    status: &'static str,
}

fn file(orders: &[Order]) -> String {
    let line = |(n, order): (usize, &Order)| {
        let at = chrono::DateTime::from_timestamp_millis(order.at).unwrap().to_rfc3339();
        let Order { member, cents, currency, status, .. } = order;
        format!("o{n},{member},{at},{}.{:02},{currency},{status}\n", cents / 100, cents % 100)
    };
    let lines: String = orders.iter().enumerate().map(line).collect();
    "order_id,member_external_id,purchased_at,amount,currency,status\n".to_owned() + &lines
}

/// Customers as the models see them (r = 1, alpha = 6, a = 1, b = 2.5; p = 3, q = 4, v = 6,000 cents), of whom one in
/// eight orders is in another currency and one in twelve is refunded.
fn generated(dice: &mut Dice, members: impl Iterator<Item = usize>) -> Vec<Order> {
    let now = at(NOW).timestamp_millis();
    let unit = |dice: &mut Dice| (dice.roll() >> 11) as f64 / (1_u64 << 53) as f64;
    let gamma = |dice: &mut Dice, shape: u32| -> f64 { (0..shape).map(|_| -(1.0 - unit(dice)).ln()).sum() };
    let mut all = Vec::new();
    for member in members {
        let rate = gamma(dice, 1) / 6.0;
        let leaves = 1.0 - (1.0 - unit(dice)).powf(1.0 / 2.5);
        let spending = gamma(dice, 4) / 6_000.0;
        let mut at = now - (60.0 + unit(dice) * 300.0) as i64 * DAY;
        let first = at;
        while at < now {
            let cents = (gamma(dice, 3) / spending) as i64;
            let currency = if dice.once_in(8) { "EUR" } else { "USD" };
            let status = if dice.once_in(12) { "refunded" } else { "paid" };
            all.push(Order { member: format!("m{member}"), at, cents, currency, status });
            // Now and then again on the same day.
            if at > first && unit(dice) < leaves {
                break;
            }
            let days = if dice.once_in(9) { 0.1 } else { gamma(dice, 1) / rate * 7.0 };
            at = at.saturating_add((days * DAY as f64) as i64);
        }
    }
    all
}

/// x, t_x and T in weeks, and the cents of each repeat purchase in dollars, of those who have bought.
type Bought = (f64, f64, f64, Vec<i64>);

fn bought(orders: &[Order]) -> BTreeMap<String, Bought> {
    let mut days: BTreeMap<String, BTreeMap<i64, Option<i64>>> = BTreeMap::new();
    for order in orders.iter().filter(|order| order.status == "paid") {
        let day = days.entry(order.member.clone()).or_default().entry(order.at.div_euclid(DAY)).or_default();
        if order.currency == "USD" {
            *day = Some(day.unwrap_or(0) + order.cents);
        }
    }
    let today = at(NOW).timestamp_millis().div_euclid(DAY);
    let customer = |days: BTreeMap<i64, Option<i64>>| {
        let (first, last) = (*days.keys().next().unwrap(), *days.keys().last().unwrap());
        let repeats = days.len() as f64 - 1.0;
        let amounts = days.into_values().skip(1).flatten().collect();
        (repeats, (last - first) as f64 / 7.0, (today - first) as f64 / 7.0, amounts)
    };
    days.into_iter().map(|(member, days)| (member, customer(days))).collect()
}

/// The probability and the revenue in dollars, as the articles write them.
fn expected((x, recency, age, amounts): &Bought, fitted: &Fitted, discount: f64) -> (f64, f64) {
    let BgNbd { r, alpha, a, b } = fitted.fit.model;
    let GammaGamma { p, q, v } = fitted.spending.unwrap();
    let gone = if *x == 0.0 { 0.0 } else { a / (b + x - 1.0) * ((alpha + age) / (alpha + recency)).powf(r + x) };
    let by = |weeks: f64| {
        let z = weeks / (alpha + age + weeks);
        let (mut term, mut series) = (1.0, 1.0);
        for n in (0..5_000).map(f64::from) {
            term *= (r + x + n) * (b + x + n) / (a + b + x - 1.0 + n) / (n + 1.0) * z;
            series += term;
        }
        (a + b + x - 1.0) / (a - 1.0) * (1.0 - (1.0 - z).powf(r + x) * series) / (1.0 + gone)
    };
    let n = amounts.len() as f64;
    let own = if n > 0.0 { amounts.iter().sum::<i64>() as f64 / n } else { 0.0 };
    let weight = p * n / (p * n + q - 1.0);
    let mean = (1.0 - weight) * p * v / (q - 1.0) + weight * own;
    let month =
        |i: i32| (by(4.0 * f64::from(i)) - by(4.0 * f64::from(i - 1))) / (1.0 + discount).powf(f64::from(i) / 13.0);
    (1.0 / (1.0 + gone), mean / 100.0 * (1..=13).map(month).sum::<f64>())
}

/// Between two neighbours of the sorted values, a share of the way up, where they are clearly apart.
fn between(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let from = (values.len() as f64 * share) as usize;
    let gap = values[from..].windows(2).find(|pair| pair[1] - pair[0] > 1e-7 * pair[1]).unwrap();
    f64::midpoint(gap[0], gap[1])
}

pub async fn segments_are_counted_by_what_is_expected(size: Size) {
    let shop = Shop::new(&size, PLAIN).with_settings("reports: { discount: 25% }\n");
    shop.import(Kind::Members, members_file(MEMBERS)).await;
    let buyers = (0..1_500).chain((4_000..MEMBERS).step_by(7));
    let orders = generated(&mut Dice(2005), buyers);
    shop.import(Kind::Purchases, file(&orders)).await;
    let fitted = model::fit(shop.store().await, "USD", at(NOW), at(NOW)).await.unwrap();
    let bought = bought(&orders);
    let with = |holds: fn(&Bought) -> bool| bought.values().filter(|one| holds(one)).count() as i64;
    assert_eq!((fitted.customers, fitted.repeat_customers), (with(|_| true), with(|one| one.0 > 0.0)));
    assert_eq!((fitted.spenders, fitted.currency.as_str()), (with(|one| one.3.iter().sum::<i64>() > 0), "USD"));
    let GammaGamma { p, q, v } = fitted.spending.unwrap();
    for (name, found, wanted) in [("p", p, 3.0), ("q", q, 4.0), ("v", v, 6_000.0)] {
        assert!((found / wanted).ln().abs() < 0.4, "{name} is {found}, not about {wanted}");
    }
    let mut tx = shop.store().await.read().await.unwrap();
    assert_eq!(models::newest(&mut tx).await.unwrap().as_ref(), Some(&fitted));
    tx.commit().await.unwrap();

    let values: BTreeMap<&String, (f64, f64)> =
        bought.iter().map(|(member, one)| (member, expected(one, &fitted, 0.25))).collect();
    let mut alive: Vec<f64> = values.values().map(|(alive, _)| *alive).filter(|alive| *alive < 1.0).collect();
    let mut revenue: Vec<f64> = values.values().map(|(_, revenue)| *revenue).collect();
    let (half, above) = (between(&mut alive, 0.5), between(&mut revenue, 0.4));
    for (n, (filter, holds)) in [
        (format!("{{ field: alive_probability, lt: {half} }}"), Box::new(|(alive, _)| alive < half) as Box<dyn Fn((f64, f64)) -> bool>),
        (format!("{{ field: expected_revenue, gte: {above} }}"), Box::new(|(_, revenue)| revenue >= above)),
        (
            format!("{{ all: [{{ field: alive_probability, lt: {half} }}, {{ not: {{ field: expected_revenue, lt: {above} }} }}] }}"),
            Box::new(|(alive, revenue)| alive < half && revenue >= above),
        ),
        // One purchase, and nobody has left.
        ("{ field: alive_probability, eq: 1 }".to_owned(), Box::new(|(alive, _)| alive == 1.0)),
    ]
    .into_iter()
    .enumerate()
    {
        shop.write(&format!("segments/s{n}.yaml"), format!("audience: {filter}"));
        shop.campaign(&format!("c{n}"), &format!("trigger: {{ kind: welcome }}\naudience: {{ segment: s{n} }}"));
        let app = shop.app(at(NOW)).await;
        let catalog = app.catalog().await.unwrap();
        let wanted = values.values().filter(|one| holds(**one)).count() as i64;
        let counted = count(&app.store, &catalog, &format!("c{n}"), at(NOW), 2_000).await.unwrap();
        assert_eq!((counted.members, counted.of), (wanted, MEMBERS as i64), "{filter}");
        assert!(wanted > 0 && wanted < bought.len() as i64, "{filter}: {wanted}");
        let sampled: Vec<_> = counted.sample.iter().map(|one| one.member.as_str()).collect();
        assert_eq!(sampled.len() as i64, wanted, "{filter}");
        assert!(sampled.iter().all(|member| holds(values[&(*member).to_owned()])), "{filter}");
        let few = count(&app.store, &catalog, &format!("c{n}"), at(NOW), 7).await.unwrap();
        assert_eq!(few.sample.iter().map(|one| one.member.as_str()).collect::<Vec<_>>(), sampled[..7], "{filter}");
        app.store.close().await;
    }
    explains_what_is_expected(&shop, &values).await;
    shop.close().await;
}

async fn explains_what_is_expected(shop: &Shop, values: &BTreeMap<&String, (f64, f64)>) {
    let app = shop.app(at(NOW)).await;
    let catalog = app.catalog().await.unwrap();
    for (member, (alive, revenue)) in values.iter().step_by(100) {
        let all = explain(&app.store, &catalog, member, None, at(NOW)).await.unwrap();
        assert_eq!(all.len(), 4);
        for one in all {
            let found = (one.expected.alive_probability.unwrap(), one.expected.expected_revenue.unwrap());
            let close = |found: f64, wanted: f64| (found / wanted - 1.0).abs() < 1e-8;
            assert!(close(found.0, *alive) && close(found.1, *revenue), "{member}: {found:?}, not {alive} {revenue}");
        }
    }
    let never = explain(&app.store, &catalog, "m2000", Some("c0"), at(NOW)).await.unwrap().remove(0);
    assert_eq!((never.expected.alive_probability, never.expected.expected_revenue), (None, None));
    app.store.close().await;
}

/// As if it had been fitted to the CDNOW sample, in cents.
pub fn cdnow(currency: &str) -> Fitted {
    let long_ago = at("2024-01-01T00:00:00Z");
    Fitted {
        fitted_at: long_ago,
        until: long_ago,
        customers: 2_357,
        repeat_customers: 946,
        fit: Fit { model: BgNbd { r: 0.243, alpha: 4.414, a: 0.793, b: 2.426 }, log_likelihood: -9_582.4 },
        currency: currency.to_owned(),
        spenders: 946,
        spending: Some(GammaGamma { p: 6.25, q: 3.74, v: 1_544.0 }),
    }
}

async fn store(shop: &Shop, fitted: Fitted) {
    shop.write_store(async |tx| models::insert(tx, &fitted).await.unwrap()).await;
}

/// Who is in an audience, by SQL, which memory must agree with.
async fn inside(shop: &Shop, filter: &str) -> String {
    let settings = shop.settings();
    let brand = &settings.brand;
    let audience = Audience::parse_segment("x.yaml", &format!("audience: {filter}"), brand.timezone).unwrap();
    let mut tx = shop.store().await.read().await.unwrap();
    let compiled = audience_sql::compile(&mut tx, &audience, brand, at(NOW)).await.unwrap();
    let sampled = audience_sql::sample(&mut tx, &compiled, 100).await.unwrap();
    let by_sql: Vec<String> = sampled.into_iter().map(|member| member.external_id).collect();
    assert_eq!(audience_sql::count(&mut tx, &compiled).await.unwrap(), by_sql.len() as i64, "{filter}");
    let everybody = members::after(&mut tx, 0, 100).await.unwrap();
    let known = AudienceFacts::load(&mut tx, everybody.iter().map(|member| (&audience, member)), true).await.unwrap();
    let holds = |member: &&_| audience.verdict(&known.view(member, brand, at(NOW), None)) == Some(true);
    let in_memory: Vec<String> = everybody.iter().filter(holds).map(|member| member.external_id.clone()).collect();
    tx.commit().await.unwrap();
    assert_eq!(by_sql, in_memory, "{filter}");
    by_sql.into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" ")
}

const ORDERS: &str = "order_id,member_external_id,purchased_at,amount,currency,status\n";

pub async fn what_is_not_known_is_neither_above_nor_below(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    shop.import(Kind::Members, members_file(4)).await;
    let orders = "a,m0,2024-03-01T10:00:00Z,20,,\nb,m0,2024-06-01T10:00:00Z,30,,\nc,m1,2024-08-01T10:00:00Z,20,,\n\
        d,m2,2024-08-01T10:00:00Z,20,,cancelled\ne,m3,2024-09-01T10:00:00.001Z,20,,\n";
    shop.import(Kind::Purchases, ORDERS.to_owned() + orders).await;
    let check = async |field: &str, known: &str| {
        let unknown: Vec<&str> = ["m0", "m1", "m2", "m3"].into_iter().filter(|one| !known.contains(one)).collect();
        for (rest, expected) in [
            ("gte: 0", known),
            ("exists: true", known),
            ("exists: false", &unknown.join(" ")),
            ("lt: 0", ""),
            ("in: [0, 0.5]", ""),
            ("ne: 0.5", "m0 m1 m2 m3"),
            ("not_in: [0.5]", "m0 m1 m2 m3"),
        ] {
            assert_eq!(inside(&shop, &format!("{{ field: {field}, {rest} }}")).await, expected, "{field} {rest}");
        }
        let not_above = format!("{{ not: {{ field: {field}, gte: 0 }} }}");
        assert_eq!(inside(&shop, &not_above).await, unknown.join(" "), "{field}");
    };
    for field in ["alive_probability", "expected_revenue"] {
        check(field, "").await;
    }
    store(&shop, Fitted { spending: None, ..cdnow("USD") }).await;
    check("alive_probability", "m0 m1").await;
    check("expected_revenue", "").await;
    store(&shop, cdnow("USD")).await;
    check("expected_revenue", "m0 m1").await;
    assert_eq!(inside(&shop, "{ field: alive_probability, lt: 1 }").await, "m0", "who bought once has not left");
    shop.close().await;
}

pub async fn other_currencies_say_nothing_about_spending(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    shop.import(Kind::Members, members_file(3)).await;
    // Alike, but for what the second and the third purchase cost: 60 USD, 60 EUR, and both on one day.
    let history = |member: &str, amounts: [&str; 2]| {
        let first = format!("{member}1,{member},2024-03-01T10:00:00Z,20,USD,\n");
        let rest = amounts.into_iter().enumerate().filter(|(_, amount)| !amount.is_empty());
        first
            + &rest
                .map(|(n, amount)| format!("{member}{n}x,{member},2024-06-0{}T10:00:00Z,{amount},\n", n + 1))
                .collect::<String>()
    };
    let orders = history("m0", ["60,USD", "60,USD"])
        + &history("m1", ["60,EUR", "60,EUR"])
        + &history("m2", ["60,USD", "60,EUR"]);
    shop.import(Kind::Purchases, ORDERS.to_owned() + &orders).await;
    let mut tx = shop.store().await.read().await.unwrap();
    let before = configuration::policy(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    store(&shop, cdnow("USD")).await;
    let mut tx = shop.store().await.read().await.unwrap();
    assert_eq!(
        configuration::policy(&mut tx).await.unwrap(),
        before + 1,
        "policy may decide in another way from now on"
    );
    let page = models::customers(&mut tx, 0, 10, at(NOW), "USD").await.unwrap().unwrap();
    // An import numbers the rows of its file from the last to the first.
    let customers: Vec<_> = page.customers.iter().rev().map(|(_, customer)| *customer).collect();
    let spent: Vec<_> = customers.iter().map(|one| (one.repeats, one.priced, one.spent)).collect();
    assert_eq!(spent, [(2, 2, 12_000), (2, 0, 0), (2, 1, 6_000)]);
    assert_eq!(models::customers(&mut tx, page.last, 10, at(NOW), "USD").await.unwrap(), None);
    tx.commit().await.unwrap();
    let models = cdnow("USD").models("USD");
    let [own, all, between] = [0, 1, 2].map(|n: usize| models.expected_revenue(&customers[n], 0.1).unwrap() / 100.0);
    assert!(all < between && between < own, "{all} {between} {own}");
    let above = format!("{{ field: expected_revenue, gt: {} }}", f64::midpoint(all, between));
    assert_eq!(inside(&shop, &above).await, "m0 m2");
    // A model of another currency's amounts.
    store(&shop, cdnow("EUR")).await;
    assert_eq!(inside(&shop, "{ field: expected_revenue, exists: true }").await, "");
    assert_eq!(inside(&shop, "{ field: alive_probability, exists: true }").await, "m0 m1 m2");
    shop.close().await;
}

pub async fn campaigns_and_plans_go_by_what_is_expected(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    let audience = "{ all: [{ field: alive_probability, lt: 0.5 }, { field: expected_revenue, gte: 1 }] }";
    let trigger = "trigger: { kind: broadcast, at: 2024-09-01T10:00:00Z }\nchannels: [email]";
    shop.campaign("back", &format!("{trigger}\naudience: {audience}"));
    shop.import(Kind::Members, members_file(4)).await;
    let often = |member: &str, month: &str| {
        let order = |day: u32| format!("{member}{day},{member},2024-{month}-{day:02}T10:00:00Z,40,,\n");
        [1, 8, 15, 22].map(order).concat()
    };
    // Left in spring, left long ago for a little, still there, never came.
    let orders = often("m0", "04")
        + &often("m1", "08")
        + "m2a,m2,2023-03-01T10:00:00Z,0.01,,\nm2b,m2,2023-03-02T10:00:00Z,0.01,,\n";
    shop.import(Kind::Purchases, ORDERS.to_owned() + &orders).await;
    let (from, to) = ("2024-09-01T00:00:00Z", "2024-09-02T00:00:00Z");
    assert!(shop.planned(from, to).await.is_empty(), "nothing is known without a model");
    store(&shop, cdnow("USD")).await;
    let planned = shop.planned(from, to).await;
    let names: Vec<&str> = planned.iter().map(|sent| sent.0.as_str()).collect();
    assert_eq!(names, ["m0"]);
    shop.once_between(from, to).await;
    assert_same("what was sent", &shop.sent_between(from, to).await, &planned);
    shop.close().await;
}
