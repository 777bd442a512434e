//! One shop of each kind of which it is known what its campaign earns, through import, `once` and `report`, on every
//! size. What the report has to say is worked out from the lists that were imported, without the library's code.
//! `known_effects_contract!` makes the tests; each gets a [`Size`] with nothing in it.

#![allow(dead_code, reason = "each test target uses a part of it")]

use std::collections::BTreeMap;

use rekindle::import::Kind;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::contract::contract;
use crate::support::known::{
    self, BRAND, DAY, DAYS, FIRST, HOUR, Known, NAME, Order, Person, Shape, WINDOW, members_file, orders_file, text,
};
use crate::support::shop::{Shop, Size, assert_same, sorted};

contract! {
    known_effects_contract:
    where_nothing_happens_the_report_says_what_the_lists_say
    larger_orders_are_reported_as_the_lists_say
    fewer_orders_are_reported_as_the_lists_say
    a_few_large_orders_are_reported_as_the_lists_say
    what_is_bought_while_messages_wait_is_reported_as_the_lists_say
    refunds_are_reported_as_the_lists_say
    families_with_one_telephone_are_reported_as_the_lists_say
}

pub async fn where_nothing_happens_the_report_says_what_the_lists_say(size: Size) {
    reported(size, &known::NONE).await;
}

pub async fn larger_orders_are_reported_as_the_lists_say(size: Size) {
    reported(size, &known::MORE).await;
}

pub async fn fewer_orders_are_reported_as_the_lists_say(size: Size) {
    reported(size, &known::LESS).await;
}

pub async fn a_few_large_orders_are_reported_as_the_lists_say(size: Size) {
    reported(size, &known::HEAVY_TAILED).await;
}

pub async fn what_is_bought_while_messages_wait_is_reported_as_the_lists_say(size: Size) {
    reported(size, &known::BOUGHT_WHILE_WAITING).await;
}

pub async fn refunds_are_reported_as_the_lists_say(size: Size) {
    reported(size, &known::REFUNDS).await;
}

pub async fn families_with_one_telephone_are_reported_as_the_lists_say(size: Size) {
    reported(size, &known::SHARED_PHONES).await;
}

/// No shop in memory has this number.
const SHOP: u64 = 1;
const MEMBERS: usize = 400;

/// What has to become of a member's message.
struct Fate<'a> {
    person: &'a Person,
    due_at: i64,
    /// The arm and from when, where it comes to the question of it.
    arm: Option<(&'static str, i64)>,
    /// State, reason.
    ends: (&'static str, Option<&'static str>),
    sent_at: Option<i64>,
}

impl<'a> Fate<'a> {
    fn of(person: &'a Person, known: &Known) -> Self {
        let orders = person.orders(known, None);
        let midnight = |at: i64| at - at.rem_euclid(DAY);
        let (due_at, asked_at, sent_at) = match known.shape {
            Shape::Joining | Shape::Families => {
                let ten = midnight(person.joined_at) + 10 * HOUR;
                (ten, ten, ten)
            }
            Shape::Waiting => {
                let due_at = orders[0].at + 30 * DAY;
                (due_at, midnight(due_at) + 22 * HOUR, midnight(due_at) + 32 * HOUR)
            }
        };
        let buys_by = |end: i64| known.shape == Shape::Waiting && orders[1..].iter().any(|order| order.at <= end);
        let skipped = |arm, reason| Self { person, due_at, arm, ends: ("skipped", Some(reason)), sent_at: None };
        if buys_by(asked_at) {
            return skipped(None, "goal_reached");
        }
        if !person.consents {
            return skipped(None, "no_consent");
        }
        if position(unit(person)) < 0.3 {
            let arm = Some(("holdout", asked_at));
            return Self { person, due_at, arm, ends: ("held_out", Some("held_out")), sent_at: None };
        }
        let arm = Some(("treated", asked_at));
        if buys_by(sent_at) {
            return skipped(arm, "goal_reached");
        }
        Self { person, due_at, arm, ends: ("sent", None), sent_at: Some(sent_at) }
    }
}

/// What is divided: the telephone, where there is one.
fn unit(person: &Person) -> &str {
    person.phone.as_deref().unwrap_or(&person.id)
}

/// Where it falls in [0, 1).
fn position(unit: &str) -> f64 {
    let digest = Sha256::digest(format!("{NAME}\0{unit}"));
    digest[..8].iter().rev().fold(0.0, |below, byte| (below + f64::from(*byte)) / 256.0)
}

async fn reported(size: Size, known: &Known) {
    let shop = Shop::new(&size, BRAND);
    shop.campaign(NAME, &known.campaign());
    let people = known.people(SHOP, MEMBERS);
    let end = text(FIRST + 30 * DAY);
    shop.import_at(Kind::Members, members_file(&people), &end).await.unwrap();
    let fates: Vec<Fate<'_>> = people.iter().map(|person| Fate::of(person, known)).collect();
    pass(&shop, known, &fates).await;
    let row = |fate: &Fate<'_>| {
        let (state, reason) = fate.ends;
        let arm = fate.arm.map(|(arm, at)| (arm.to_owned(), at));
        (fate.person.id.clone(), fate.due_at, state.to_owned(), reason.map(str::to_owned), arm, fate.sent_at)
    };
    let ledger = shop.ledger().await;
    let listed = ledger
        .into_iter()
        .map(|row| (row.member, row.due_at, row.state, row.reason, row.arm.zip(row.assigned_at), row.sent_at));
    assert_same(known.name, &sorted(listed.collect()), &sorted(fates.iter().map(row).collect()));
    // What is paid back is paid back later.
    for is_over in [false, true] {
        shop.import_at(Kind::Purchases, orders_file(bought(known, &fates), is_over), &end).await.unwrap();
    }
    let found = report(&shop, &end);
    assert_eq!((&found["run"], &found["warnings"]), (&Value::from(1), &Value::Array(Vec::new())), "{found}");
    let [holdout, treated] = ["holdout", "treated"].map(|arm| Brought::of(arm, &fates, known));
    for (arm, brought) in found["arms"].as_array().unwrap().iter().zip([&holdout, &treated]) {
        brought.is_said(arm);
    }
    compared(&found["comparisons"][0], &treated, &holdout);
    shop.close().await;
}

/// The days of the campaign. What is bought before a message goes out is imported before that.
async fn pass(shop: &Shop, known: &Known, fates: &[Fate<'_>]) {
    if known.shape != Shape::Waiting {
        shop.once_between(&text(FIRST), &text(FIRST + DAYS * DAY)).await;
        return;
    }
    for day in 0..DAYS {
        for hour in [22, 32] {
            let now = FIRST + day * DAY + hour * HOUR;
            let file = orders_file(bought(known, fates).filter(|(_, order)| order.at <= now), false);
            shop.import_at(Kind::Purchases, file, &text(now)).await.unwrap();
            shop.once(&text(now)).await;
        }
    }
}

/// What they buy, given what became of their messages.
fn bought<'a>(known: &'a Known, fates: &'a [Fate<'a>]) -> impl Iterator<Item = (&'a Person, Order)> {
    fates.iter().flat_map(|fate| fate.person.orders(known, fate.sent_at).into_iter().map(|order| (fate.person, order)))
}

/// `report effect` as JSON.
fn report(shop: &Shop, at: &str) -> Value {
    shop.write("rekindle.yaml", shop.settings_text());
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rekindle"));
    command.args(["--config", "rekindle.yaml", "--format", "json", "report", "effect", "--campaign", NAME, "--at", at]);
    let output = command.current_dir(&shop.folder.0).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What the units of an arm brought, in major units, by the lists.
struct Brought {
    arm: &'static str,
    orders: usize,
    by_unit: Vec<f64>,
}

impl Brought {
    fn of(arm: &'static str, fates: &[Fate<'_>], known: &Known) -> Self {
        let mut of_arm: Vec<&Fate<'_>> =
            fates.iter().filter(|fate| fate.arm.is_some_and(|(of, _)| of == arm)).collect();
        of_arm.sort_by_key(|fate| fate.due_at);
        // From when orders count, and the cents of those that do.
        let mut units: BTreeMap<&str, (i64, Vec<i64>)> = BTreeMap::new();
        for fate in of_arm {
            let (since, cents) = units.entry(unit(fate.person)).or_insert((fate.due_at, Vec::new()));
            let valid = fate.person.orders(known, fate.sent_at).into_iter().filter(|order| !order.is_paid_back);
            cents.extend(
                valid.filter(|order| order.at > *since && order.at <= *since + WINDOW).map(|order: Order| order.cents),
            );
        }
        let orders = units.values().map(|(_, cents)| cents.len()).sum();
        let by_unit = units.values().map(|(_, cents)| cents.iter().sum::<i64>() as f64 / 100.0).collect();
        Self { arm, orders, by_unit }
    }

    fn is_said(&self, arm: &Value) {
        let buyers = self.by_unit.iter().filter(|sum| **sum > 0.0).count();
        assert!(buyers >= 10 && buyers < self.by_unit.len(), "{arm}");
        let counts = [("members", self.by_unit.len()), ("buyers", buyers), ("orders", self.orders), ("not_yet", 0)];
        assert_eq!(arm["arm"], self.arm);
        for (key, count) in counts {
            assert_eq!(arm[key], count, "{key}: {arm}");
        }
        near(&arm["revenue"], self.by_unit.iter().sum());
    }

    fn mean(&self) -> f64 {
        self.by_unit.iter().sum::<f64>() / self.by_unit.len() as f64
    }

    /// The squares of what lies between each unit and the mean.
    fn squares(&self) -> f64 {
        self.by_unit.iter().map(|sum| (sum - self.mean()).powi(2)).sum()
    }
}

fn near(found: &Value, wanted: f64) {
    let number = found.as_f64().unwrap_or_else(|| panic!("{found} is no number"));
    assert!((number - wanted).abs() <= 1e-7 * wanted.abs().max(1.0), "{number} is not {wanted}");
}

/// Student's interval, the variance pooled.
fn compared(one: &Value, arm: &Brought, against: &Brought) {
    assert_eq!((&one["arm"], &one["against"]), (&Value::from(arm.arm), &Value::from(against.arm)));
    let (n1, n2) = (arm.by_unit.len() as f64, against.by_unit.len() as f64);
    let freedom = n1 + n2 - 2.0;
    let se = ((arm.squares() + against.squares()) / freedom * (1.0 / n1 + 1.0 / n2)).sqrt();
    let (difference, half) = (arm.mean() - against.mean(), quantile(freedom) * se);
    for mean in [&one["revenue_per_member"], &one["net_per_member"]] {
        near(&mean["difference"], difference);
        near(&mean["se"], se);
        near(&mean["low"], difference - half);
        near(&mean["high"], difference + half);
    }
}

/// Between minus this and this lie 95 % of Student's distribution, by adding up its density.
fn quantile(freedom: f64) -> f64 {
    let density = |x: f64| (1.0 + x * x / freedom).powf(-(freedom + 1.0) / 2.0);
    // Simpson's rule from 0 on; beyond 12 nothing is left with as many degrees of freedom as here.
    let area = |end: f64| {
        let (parts, mut sum) = (2_000, density(0.0) + density(end));
        for part in 1..parts {
            sum += density(end * f64::from(part) / f64::from(parts)) * if part % 2 == 1 { 4.0 } else { 2.0 };
        }
        sum * end / f64::from(parts) / 3.0
    };
    let (wanted, mut low, mut high) = (0.95 * area(12.0), 1.0, 4.0);
    for _ in 0..50 {
        let middle = (low + high) / 2.0;
        if area(middle) < wanted { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}
