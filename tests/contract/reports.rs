//! What became of messages and what customers did, on every size, against lists that share no code with the reports.
//! `reports_contract!` makes the tests; each gets a [`Size`] with nothing in it.

#![allow(dead_code, reason = "each test target uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use axum::http::Method;
use chrono::{Duration, NaiveDate};
use rekindle::clock::Clock;
use rekindle::domain::Instant;
use rekindle::domain::audience::Audience;
use rekindle::domain::calendar::Calendar;
use rekindle::domain::period::{Periods, Unit, week_begins};
use rekindle::import::Kind;
use rekindle::reports::cohorts::Cohorts;
use rekindle::reports::loyalty::{By as Told, Loyalty};
use rekindle::reports::programme::{Asked, By, Funnel, Programme};
use rekindle::reports::rfm::Rfm;
use rekindle::store::events::{self, Event};
use rekindle::store::loyalty::Parts;
use rekindle::store::{audience_sql, daily, rfm, stretches};
use rekindle::{credit, nightly};

use crate::support::contract::contract;
use crate::support::customers::{Order, assert_same, by_member, looked_over};
use crate::support::shop::{Shop, Size, at, differs, until_it_waits};
use crate::web_contract::{ask, link_of, web};

contract! {
    reports_contract:
    what_became_of_messages_is_counted_as_it_comes
    an_order_is_credited_to_the_last_touch_and_what_changes_later_follows
    the_night_finds_what_differs
    what_is_over_is_added_up_until_something_comes_late
    loyalty_is_what_a_list_of_orders_says
    cohorts_and_scores_are_what_a_list_of_orders_says
}

const BRAND: &str = "{ name: Shop, timezone: UTC, locale: en, currency: USD, base_url: \"https://shop.example\" }";
const FIRST: &str = "2024-05-01T09:30:00Z";

/// Members who join on the first of May, and a welcome with a code and a link that is followed.
async fn welcomed(size: &Size, members: usize) -> Shop {
    let shop = Shop::new(size, BRAND).with_settings("prices: { currency: USD, email_per_thousand: 7.50 }");
    shop.write("templates/giving/subject.txt", "A gift");
    shop.write(
        "templates/giving/email.html",
        "<html><body><p>{{gift.code}}</p><a href=\"https://a.example/x\">x</a><a href=\"{{unsubscribe_url}}\">u</a></body></html>",
    );
    shop.campaign(
        "hello",
        "trigger: { kind: welcome }\nchannels: [email]\ntrack: { clicks: true, opens: true }\ncontent: giving\n\
         gift: { coupon: { pool: p, value: 10%, cost: 2.25 } }\n\
         experiment: { holdout: 0%, goal: { event: purchase, within: 7d, min_amount: 5 } }",
    );
    let codes: String = (0..members).map(|n| format!("C-{n}\n")).collect();
    shop.import(Kind::Coupons { pool: Some("p") }, format!("code\n{codes}")).await;
    let mut file = "external_id,email,email_consent,joined_at,locale\n".to_owned();
    for member in 0..members {
        let domain = if member % 2 == 0 { "gmail.com" } else { "shop.example" };
        let locale = if member % 3 == 0 { "fa" } else { "en" };
        writeln!(file, "m{member},m{member}@{domain},{},2024-05-01T09:00:00Z,{locale}", member != 5).unwrap();
    }
    shop.import(Kind::Members, file).await;
    shop.once(FIRST).await;
    shop
}

/// Clicks as a browser does.
async fn click(shop: &Shop, member: &str, now: &str) {
    let id = shop.ledger().await.into_iter().find(|row| row.member == member).unwrap().id;
    let link = link_of(shop, id, "/c/");
    let (_, leads) = ask(&web(shop, now).await, Method::GET, &link, "").await;
    assert_eq!(leads, "https://a.example/x");
}

async fn heard(shop: &Shop, member: &str, kinds: &[&str]) {
    let id = shop.ledger().await.into_iter().find(|row| row.member == member).unwrap().id;
    let event = |kind: &&str| Event {
        key: format!("test:{member}:{kind}"),
        message_id: Some(id),
        kind: (*kind).to_owned(),
        at: at(FIRST).timestamp_millis() + 60_000,
        channel: "email".to_owned(),
        address: None,
        detail: None,
    };
    let mut tx = shop.store().await.begin().await.unwrap();
    events::record(&mut tx, &kinds.iter().map(event).collect::<Vec<_>>()).await.unwrap();
    tx.commit().await.unwrap();
}

async fn credited(shop: &Shop, now: &str) {
    let app = shop.app(at(now)).await;
    credit::pass(&app.store, app.applied(None).await.unwrap().as_ref(), at(now)).await.unwrap();
    app.store.close().await;
}

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn periods(unit: Unit) -> Periods {
    Periods { unit, calendar: Calendar::Persian, week_begins: week_begins("fa") }
}

/// Of the day of [`welcomed`] and the next one.
async fn programme(shop: &Shop, by: By) -> Programme {
    programme_of(shop, ("2024-05-01", "2024-05-03"), by).await
}

async fn programme_of(shop: &Shop, (from, to): (&str, &str), by: By) -> Programme {
    let asked = Asked {
        campaigns: vec!["hello".to_owned()],
        from: date(from),
        to: date(to),
        by,
        channel: None,
        periods: periods(Unit::Month),
        currency: "USD",
    };
    let mut tx = shop.store().await.read().await.unwrap();
    let programme = Programme::read(&mut tx, &asked).await.unwrap();
    tx.commit().await.unwrap();
    programme
}

pub async fn what_became_of_messages_is_counted_as_it_comes(size: Size) {
    let shop = welcomed(&size, 8).await;
    heard(&shop, "m0", &["delivered"]).await;
    heard(&shop, "m1", &["soft_bounced", "bounced"]).await;
    // Two in one batch, of one message, and one that a machine sent.
    heard(&shop, "m2", &["delivered", "complained", "prefetched"]).await;
    heard(&shop, "m2", &["complained"]).await;
    click(&shop, "m3", "2024-05-01T10:00:00Z").await;
    heard(&shop, "m4", &["opened", "unsubscribed", "replied"]).await;
    let found = programme(&shop, By::Campaign).await;
    let because = BTreeMap::from([("no_consent".to_owned(), 1)]);
    let expected = Funnel {
        part: "hello".to_owned(),
        due: 8,
        not_sent: 1,
        sent: 7,
        delivered: 2,
        bounced: 1,
        complained: 1,
        opened: 1,
        prefetched: 1,
        clicked: 1,
        unsubscribed: 1,
        message_cost: 0.0525,
        because,
        ..Funnel::default()
    };
    assert_eq!(found.parts, [expected]);
    let of = |found: &Programme| -> Vec<(String, i64, i64, i64)> {
        found
            .parts
            .iter()
            .map(|part| (part.part.clone(), part.due, part.sent, part.bounced + part.complained))
            .collect()
    };
    // Who was not sent to has no language and no receiver.
    let rows = |rows: &[(&str, i64, i64, i64)]| -> BTreeSet<(String, i64, i64, i64)> {
        rows.iter().map(|(part, due, sent, back)| ((*part).to_owned(), *due, *sent, *back)).collect()
    };
    let set = |rows: Vec<(String, i64, i64, i64)>| rows.into_iter().collect::<BTreeSet<_>>();
    let by = async |by| set(of(&programme(&shop, by).await));
    assert_eq!(by(By::Domain).await, rows(&[("gmail.com", 4, 4, 1), ("other", 3, 3, 1), ("", 1, 0, 0)]));
    assert_eq!(by(By::Locale).await, rows(&[("fa", 3, 3, 0), ("en", 4, 4, 2), ("", 1, 0, 0)]));
    assert_eq!(by(By::Arm).await, rows(&[("", 8, 7, 2)]));
    assert_eq!(by(By::Period).await, rows(&[("2024-04-20", 8, 7, 2)]), "Ordibehesht 1403");
    shop.close().await;
}

pub async fn an_order_is_credited_to_the_last_touch_and_what_changes_later_follows(size: Size) {
    let shop = welcomed(&size, 6).await;
    click(&shop, "m0", "2024-05-02T10:00:00Z").await;
    click(&shop, "m1", "2024-05-02T10:00:00Z").await;
    let code = {
        let id = shop.ledger().await.into_iter().find(|row| row.member == "m2").unwrap().id;
        shop.mails()[&id.to_string()].split("<p>").nth(1).unwrap().split("</p>").next().unwrap().to_owned()
    };
    let head = "order_id,member_external_id,purchased_at,amount,currency,status,coupon_code\n";
    let orders = |status: &str| {
        format!(
            "{head}o0,m0,2024-05-03T10:00:00Z,20.00,USD,{status},\n\
             o1,m0,2024-05-02T09:59:59Z,30.00,USD,paid,\n\
             o2,m0,2024-05-09T10:00:01Z,40.00,USD,paid,\n\
             o3,m1,2024-05-03T10:00:00Z,50.00,EUR,paid,\n\
             o4,m1,2024-05-03T10:00:00Z,4.99,USD,paid,\n\
             o5,m1,2024-05-09T10:00:00Z,60.00,USD,paid,\n\
             o6,m3,2024-05-20T10:00:00Z,3.00,USD,paid,{code}\n"
        )
    };
    // Within, before the click, too late, another currency, too little, just within; and a code, by somebody else.
    shop.import_at(Kind::Purchases, orders("paid"), "2024-05-21T00:00:00Z").await.unwrap();
    credited(&shop, "2024-05-21T00:00:00Z").await;
    let money = async || {
        let all = programme(&shop, By::Campaign).await.total;
        (all.credited_orders, all.credited_revenue, all.codes_used, all.gift_cost)
    };
    assert_eq!(money().await, (3, 83.0, 1, 2.25));
    // A refund is out the moment it is known, and back when it is taken back.
    shop.import_at(Kind::Purchases, orders("refunded"), "2024-05-22T00:00:00Z").await.unwrap();
    assert_eq!(money().await, (2, 63.0, 1, 2.25));
    shop.import_at(Kind::Purchases, orders("paid"), "2024-05-22T00:00:00Z").await.unwrap();
    assert_eq!(money().await, (3, 83.0, 1, 2.25));
    // Nothing is new, so nothing changes.
    credited(&shop, "2024-05-22T00:00:00Z").await;
    assert_eq!(money().await, (3, 83.0, 1, 2.25));
    // A click that comes after its order, in a page that the member opened before.
    heard(&shop, "m4", &["clicked"]).await;
    let late = format!("{head}o7,m4,2024-05-04T10:00:00Z,10.00,USD,paid,\n");
    shop.import_at(Kind::Purchases, late, "2024-05-23T00:00:00Z").await.unwrap();
    credited(&shop, "2024-05-23T00:00:00Z").await;
    assert_eq!(money().await, (4, 93.0, 1, 2.25));
    shop.close().await;
}

pub async fn the_night_finds_what_differs(size: Size) {
    let shop = welcomed(&size, 4).await;
    let right = programme(&shop, By::Campaign).await;
    let key = daily::Key {
        day: at(FIRST).timestamp() / 86_400,
        campaign: "hello".to_owned(),
        step: "main".to_owned(),
        arm: String::new(),
        channel: "email".to_owned(),
        locale: "en".to_owned(),
        domain: "gmail.com".to_owned(),
        fact: "sent".to_owned(),
        reason: String::new(),
    };
    let (found, counted) = (daily::Count { n: 5, amount: 9 }, daily::Count { n: 0, amount: 2 });
    let mut tx = shop.store().await.begin().await.unwrap();
    daily::mend(&mut tx, &[daily::Differs { key: key.clone(), counted, found }]);
    tx.commit().await.unwrap();
    assert_ne!(programme(&shop, By::Campaign).await, right);
    let app = shop.app(at("2024-05-03T09:00:00Z")).await;
    let catalog = app.applied(None).await.unwrap();
    let night = nightly::work(&app.store, &catalog, app.clock.now(), &mut |_| {}).await.unwrap();
    assert_eq!(night.differs.len(), 1);
    assert_eq!((&night.differs[0].key, night.differs[0].counted.n - night.differs[0].found.n), (&key, 5));
    assert_eq!(programme(&shop, By::Campaign).await, right);
    let again = nightly::work(&app.store, &catalog, app.clock.now(), &mut |_| {}).await.unwrap();
    assert_eq!(again.differs, []);
    // By itself it comes once a night: not again before the next one has begun.
    let mut tx = app.store.read().await.unwrap();
    let ended = nightly::last_ended(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    for (now, expected) in
        [("2024-05-04T02:59:00Z", "2024-05-03T09:00:00Z"), ("2024-05-04T03:00:00Z", "2024-05-04T03:00:00Z")]
    {
        nightly::keep_up(&app.store, &catalog, at(now)).await.unwrap();
        let mut tx = app.store.read().await.unwrap();
        assert_eq!(nightly::last_ended(&mut tx).await.unwrap(), Some(at(expected)), "{now} {ended:?}");
        tx.commit().await.unwrap();
    }
    app.store.close().await;
    assert_eq!(differs(shop.store().await).await, []);
    shop.close().await;
}

/// Ordibehesht 1403, of which the messages of [`welcomed`] are.
async fn month(shop: &Shop, by: By) -> Programme {
    let programme = programme_of(shop, ("2024-04-20", "2024-05-21"), by).await;
    // A count that went back to nothing is not added up.
    Programme { counts_read: 0, ..programme }
}

/// The first days of what is closed.
async fn closed(shop: &Shop) -> Vec<i64> {
    let mut tx = shop.store().await.read().await.unwrap();
    let found = stretches::read(&mut tx, &["hello".to_owned()], (0, 100_000)).await.unwrap();
    tx.commit().await.unwrap();
    found.iter().map(|closed| closed.day).collect()
}

async fn night(shop: &Shop, now: &str) {
    let app = shop.app(at(now)).await;
    let catalog = app.applied(None).await.unwrap();
    nightly::work(&app.store, &catalog, at(now), &mut |_| {}).await.unwrap();
    app.store.close().await;
}

pub async fn what_is_over_is_added_up_until_something_comes_late(size: Size) {
    let shop = welcomed(&size, 8).await;
    heard(&shop, "m1", &["delivered"]).await;
    let all = [By::Campaign, By::Step, By::Arm, By::Channel, By::Locale, By::Domain, By::Period];
    let mut before = Vec::new();
    for by in all {
        before.push(month(&shop, by).await);
    }
    // Two days after its last one, which is the twentieth, and not before.
    let day = |text: &str| at(&format!("{text}T00:00:00Z")).timestamp() / 86_400;
    night(&shop, "2024-05-22T23:59:00Z").await;
    assert_eq!(closed(&shop).await, [day("2024-04-20")], "the days before the first of May");
    night(&shop, "2024-05-23T00:00:00Z").await;
    assert_eq!(closed(&shop).await, [day("2024-04-20"), day("2024-05-01")]);
    for (by, before) in all.into_iter().zip(&before) {
        assert_eq!(month(&shop, by).await, *before, "{by}");
    }
    // Two in one batch: what comes late opens it, and whoever closes meanwhile does not miss it.
    let store = shop.store().await;
    let mut closing = store.begin().await.unwrap();
    stretches::close(&mut closing, "hello", day("2024-05-01")).await.unwrap();
    let late = heard(&shop, "m0", &["delivered", "complained"]);
    tokio::pin!(late);
    until_it_waits(store, late.as_mut()).await;
    closing.commit().await.unwrap();
    late.await;
    assert_eq!(closed(&shop).await, [day("2024-04-20")]);
    let found = month(&shop, By::Campaign).await.total;
    assert_eq!((found.delivered, found.complained), (2, 1));
    night(&shop, "2024-06-30T00:00:00Z").await;
    assert!(closed(&shop).await.contains(&day("2024-05-01")));
    assert_eq!(month(&shop, By::Campaign).await.total, found);
    // A night that is said to be in the future closes nothing that may still change today.
    night(&shop, "2100-01-01T00:00:00Z").await;
    let today = Clock::System.now().timestamp() / 86_400;
    assert!(closed(&shop).await.iter().all(|first| *first < today));
    shop.close().await;
}

const MEMBERS: usize = 300;
const FROM: &str = "2024-01-01T00:00:00Z";
const TO: &str = "2024-07-01T00:00:00Z";

fn tier(member: usize) -> &'static str {
    ["", "gold", "silver"][member % 3]
}

/// Members and their orders over two years and a half, some of them exactly where a time begins or ends.
async fn bought(size: &Size) -> (Shop, Vec<Order>) {
    let shop = Shop::new(size, BRAND).with_settings("reports: { active_within: 90d }");
    shop.campaign("hello", "trigger: { kind: welcome }\nchannels: [email]");
    let mut members = "external_id,email,tier,points,attributes.city\n".to_owned();
    for member in 0..MEMBERS {
        writeln!(
            members,
            "m{member},m{member}@example.com,{},{},{}",
            tier(member),
            member * 10,
            ["Shiraz", "Yazd"][member % 2]
        )
        .unwrap();
    }
    shop.import(Kind::Members, members).await;
    let mut state = 11_u64;
    let mut below = |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % bound) as i64
    };
    let begin = at("2022-06-01T00:00:00Z");
    let mut orders = Vec::new();
    for member in 0..MEMBERS {
        for _ in 0..below(9) {
            orders.push(Order {
                member,
                at: begin + Duration::minutes(below(2 * 365 * 24 * 60 + 70 * 24 * 60)),
                cents: 100 + below(50_000),
                currency: if below(8) == 0 { "EUR" } else { "USD" },
                paid: below(7) != 0,
            });
        }
    }
    let active = Duration::days(90);
    for (member, instant) in [
        (0, at(FROM)),
        (1, at(TO)),
        (2, at(FROM) - active),
        (3, at(TO) - active),
        (4, at(FROM) - Duration::milliseconds(1)),
        (5, at(TO) - Duration::milliseconds(1)),
    ] {
        orders.push(Order { member, at: instant, cents: 777, currency: "USD", paid: true });
    }
    let mut file = "order_id,member_external_id,purchased_at,amount,currency,status\n".to_owned();
    for (id, order) in orders.iter().enumerate() {
        let status = if order.paid { "paid" } else { "refunded" };
        let (whole, cents) = (order.cents / 100, order.cents % 100);
        writeln!(
            file,
            "o{id},m{},{},{whole}.{cents:02},{},{status}",
            order.member,
            order.at.to_rfc3339(),
            order.currency
        )
        .unwrap();
    }
    shop.import_at(Kind::Purchases, file, "2024-12-01T00:00:00Z").await.unwrap();
    (shop, orders)
}

pub async fn loyalty_is_what_a_list_of_orders_says(size: Size) {
    let (shop, orders) = bought(&size).await;
    let (settings, everybody) = (shop.settings(), Audience::everybody());
    let mut tx = shop.store().await.read().await.unwrap();
    let filter = audience_sql::compile(&mut tx, &everybody, &settings.brand, at(TO)).await.unwrap();
    let active = settings.reports.active_within;
    let span = (at(FROM), at(TO));
    let all: Vec<usize> = (0..MEMBERS).collect();
    let own = by_member(orders);
    let looked_over = |members: &[usize], span, part: &str| {
        let points = members.iter().map(|member| *member as i64 * 10).sum();
        looked_over(&own, members, span, (part, points), active)
    };
    let mut read = async |by: Told<'_>, span| {
        Loyalty::read(&mut tx, &filter, (&by, "by"), span, &settings.brand, active).await.unwrap().parts
    };
    let found = read(Told::Parts(Parts::All), span).await;
    assert_eq!(found.len(), 1);
    assert_same(&found[0], &looked_over(&all, span, ""));
    assert!(found[0].retention.unwrap() > 0.2 && found[0].days_between_orders.is_some());
    let found = read(Told::Parts(Parts::Tier), span).await;
    assert_eq!(found.len(), 3);
    for kept in &found {
        let members: Vec<usize> = all.iter().copied().filter(|member| tier(*member) == kept.part).collect();
        assert_same(kept, &looked_over(&members, span, &kept.part));
    }
    let found = read(Told::Parts(Parts::Attribute("city".to_owned())), span).await;
    let cities: BTreeSet<&str> = found.iter().map(|kept| kept.part.as_str()).collect();
    assert_eq!(cities, BTreeSet::from(["Shiraz", "Yazd"]));
    // Dey, Bahman, Esfand 1402 and on; the first and the last month are cut where the time is.
    let found = read(Told::Periods(periods(Unit::Month)), span).await;
    let starts = [
        "2023-12-22",
        "2024-01-21",
        "2024-02-20",
        "2024-03-20",
        "2024-04-20",
        "2024-05-21",
        "2024-06-21",
        "2024-07-22",
    ];
    assert_eq!(found.len(), 7);
    for (kept, pair) in found.iter().zip(starts.windows(2)) {
        let edge = |text: &str| at(&format!("{text}T00:00:00Z"));
        let span = (edge(pair[0]).max(span.0), edge(pair[1]).min(span.1));
        assert_same(kept, &looked_over(&all, span, pair[0]));
    }
    // Nothing to divide by is nothing, and no error.
    let empty = (at("2030-01-01T00:00:00Z"), at("2030-02-01T00:00:00Z"));
    let found = read(Told::Parts(Parts::All), empty).await;
    assert_same(&found[0], &looked_over(&all, empty, ""));
    assert_eq!((found[0].retention, found[0].repeat_rate, found[0].average_order), (None, None, None));
    tx.commit().await.unwrap();
    shop.close().await;
}

pub async fn cohorts_and_scores_are_what_a_list_of_orders_says(size: Size) {
    let (shop, orders) = bought(&size).await;
    let (settings, everybody) = (shop.settings(), Audience::everybody());
    let span = (at("2023-01-01T00:00:00Z"), at(TO));
    rfm::fit(shop.store().await, at(TO), "USD").await.unwrap().unwrap();
    let mut tx = shop.store().await.read().await.unwrap();
    let filter = audience_sql::compile(&mut tx, &everybody, &settings.brand, at(TO)).await.unwrap();
    let quarters = Periods { calendar: Calendar::Gregorian, ..periods(Unit::Quarter) };
    let found = Cohorts::read(&mut tx, &filter, &quarters, span, &settings.brand).await.unwrap();
    let starts = ["2023-01-01", "2023-04-01", "2023-07-01", "2023-10-01", "2024-01-01", "2024-04-01", "2024-07-01"];
    assert_eq!(
        found.cohorts.iter().map(|cohort| cohort.start).collect::<Vec<_>>(),
        starts[..6].iter().map(|text| date(text)).collect::<Vec<_>>()
    );
    let own = |member: usize| orders.iter().filter(move |order| order.member == member && order.paid);
    let in_quarter = |instant: Instant, place: usize| {
        instant >= at(&format!("{}T00:00:00Z", starts[place]))
            && instant < at(&format!("{}T00:00:00Z", starts[place + 1]))
    };
    for (place, cohort) in found.cohorts.iter().enumerate() {
        let members: Vec<usize> = (0..MEMBERS)
            .filter(|member| own(*member).map(|order| order.at).min().is_some_and(|first| in_quarter(first, place)))
            .collect();
        assert_eq!(cohort.members, members.len() as i64, "{}", cohort.start);
        for (after, period) in cohort.periods.iter().enumerate() {
            let back = members.iter().filter(|member| own(**member).any(|order| in_quarter(order.at, place + after)));
            assert_eq!(period.members, back.count() as i64, "{} {after}", cohort.start);
            let cents: i64 = members
                .iter()
                .flat_map(|member| own(*member))
                .filter(|order| order.currency == "USD" && in_quarter(order.at, place + after))
                .map(|order| order.cents)
                .sum();
            assert!((period.revenue - cents as f64 / 100.0).abs() < 1e-6, "{} {after}", cohort.start);
        }
    }
    let before = at("2024-03-01T00:00:00Z");
    let found = Rfm::read(&mut tx, &filter, (before, at(TO)), &settings.brand).await.unwrap().unwrap();
    let scores = |member: usize, instant: Instant| {
        let by_then: Vec<&Order> = own(member).filter(|order| order.at <= instant).collect();
        let Some(last) = by_then.iter().map(|order| order.at).max() else { return (0, 0) };
        let age = (instant - last).num_milliseconds();
        let recency = 1 + found.cuts.recency.iter().filter(|cut| age < **cut).count() as i64;
        let frequency = 1 + found.cuts.frequency.iter().filter(|cut| by_then.len() as i64 > **cut).count() as i64;
        (recency, frequency)
    };
    let (mut grid, mut moves) = (BTreeMap::new(), BTreeMap::new());
    for member in 0..MEMBERS {
        let (then, now) = (scores(member, before), scores(member, at(TO)));
        if now != (0, 0) {
            *grid.entry(now).or_insert(0) += 1;
        }
        if then != now {
            *moves.entry((then, now)).or_insert(0) += 1;
        }
    }
    assert_eq!(found.grid.len(), 25);
    for square in &found.grid {
        let expected = grid.get(&(square.recency, square.frequency)).copied().unwrap_or(0);
        assert_eq!(square.members, expected, "{square:?}");
    }
    let moved = found
        .moves
        .iter()
        .map(|one| (((one.recency_before, one.frequency_before), (one.recency, one.frequency)), one.members));
    assert_eq!(moved.collect::<BTreeMap<_, _>>(), moves);
    tx.commit().await.unwrap();
    shop.close().await;
}
