//! In what order and how late the rows of imports arrive changes nobody's messages. `arrival_contract!`
//! makes the tests; each gets a [`Size`] with nothing in it.

#![allow(dead_code, reason = "each test target uses a part of it")]

use std::collections::BTreeMap;

use rekindle::import::Kind;

use crate::agreement_contract::members;
use crate::support::contract::contract;
use crate::support::fates::{expected_fates, fates, work};
use crate::support::features::{Feature, leaving_out};
use crate::support::generated::Generated;
use crate::support::naive::{Pass, evaluate};
use crate::support::seed;
use crate::support::shop::{Dice, Sent, Shop, Size, assert_same, at, without};

contract! {
    arrival_contract:
    what_arrives_late_is_sent_late_or_not
    the_order_of_arrival_changes_nothing_for_what_waits
}

const FROM: &str = "2024-03-01T00:00:00Z";
const DAYS: i64 = 20;

/// The rows of a file and when each of them arrives.
struct Arrivals {
    kind: Kind<'static>,
    head: String,
    /// With the id of the member.
    rows: Vec<(i64, String)>,
}

impl Arrivals {
    /// Hours or weeks after its own time, which stands in the cell `time`; a third of them at once.
    fn new(kind: Kind<'static>, file: &str, time: usize, dice: &mut Dice, not_before: impl Fn(&[&str]) -> i64) -> Self {
        let mut lines = file.lines();
        let head = format!("{}\n", lines.next().unwrap());
        let rows = lines.map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            let own = if cells[time].is_empty() { i64::MIN } else { millis(cells[time]) };
            let begin = own.max(not_before(&cells)).max(millis(FROM));
            let hours = *dice.pick(&[1, 24, 24 * 7 * 3]);
            (begin + dice.below(hours * 3_600_000) as i64, format!("{line}\n"))
        });
        let mut rows: Vec<_> = rows.collect();
        dice.shuffle(&mut rows);
        Self { kind, head, rows }
    }

    /// Of each member.
    fn by_id(&self) -> BTreeMap<String, i64> {
        self.rows.iter().map(|(at, line)| (line.split(',').next().unwrap().to_owned(), *at)).collect()
    }

    /// Imports what arrives in (after, until].
    async fn import(&self, shop: &Shop, after: i64, until: i64) {
        let arrived = self.rows.iter().filter(|(at, _)| after < *at && *at <= until);
        let lines: String = arrived.map(|(_, line)| line.as_str()).collect();
        if !lines.is_empty() {
            shop.import(self.kind, self.head.clone() + &lines).await;
        }
    }
}

/// The members of a shop and their orders, which do not arrive before them.
fn arrivals(generated: &Generated, dice: &mut Dice) -> [Arrivals; 2] {
    let members = Arrivals::new(Kind::Members, &generated.members, 5, dice, |_| i64::MIN);
    let arrived = members.by_id();
    let orders = Arrivals::new(Kind::Purchases, &generated.purchases, 2, dice, |cells| arrived[cells[1]]);
    [members, orders]
}

/// Goes through the passes; before each of the first `arriving` what has arrived by then is imported, and
/// before the last of these all the rest.
async fn arrive(shop: &Shop, arrivals: &[Arrivals], passes: &[i64], arriving: usize) {
    let mut after = i64::MIN;
    for (n, now) in passes.iter().enumerate() {
        if n < arriving {
            let until = if n + 1 == arriving { i64::MAX } else { *now };
            for arrivals in arrivals {
                arrivals.import(shop, after, until).await;
            }
            after = until;
        }
        work(shop, Pass::At(*now)).await;
    }
}

/// A shop without a cap, in which one message takes another one's place, and without those campaigns.
fn shop_without(size: &Size, seed: u64, out: &[Feature], campaigns: &[&str]) -> Generated {
    let mut generated = leaving_out(out, || Generated::new(members(size) / 2, seed, FROM, DAYS as u64)).without_cap();
    generated.campaigns.retain(|(_, text)| !campaigns.iter().any(|word| text.contains(word)));
    generated
}

/// Where the instant rests on other orders than its own, a message keeps the one that it was found with.
const BY_OTHER_ORDERS: [&str; 5] = ["rhythm", "probability", "of: first_purchase", "orders: first", "orders: { nth"];

/// While data arrive, messages go as they do where everything was there in time, or are too late; but for
/// those that an order ends, which is known only when it is there.
pub async fn what_arrives_late_is_sent_late_or_not(size: Size) {
    // What looks at orders or messages sees those that are there, and what a backfill takes up is frozen.
    // A later day can be one of rest.
    let out = [Feature::Aggregates, Feature::Received, Feature::Collapse, Feature::Backfill, Feature::RestDays];
    let seed = seed(111);
    let generated = shop_without(&size, seed, &out, &[&BY_OTHER_ORDERS[..], &["at_risk"]].concat());
    let arrivals = arrivals(&generated, &mut Dice(seed));
    let day = |n: i64| millis(FROM) + n * 24 * 3_600_000;
    // At the end every few hours, until whatever waited for an hour of the day has had it.
    let mut passes: Vec<i64> = (0..=DAYS).map(day).collect();
    passes.extend((1..6).map(|n| day(DAYS) + n * 7 * 3_600_000));
    let shop = generated.shop_without_members(&size).await;
    arrive(&shop, &arrivals, &passes, DAYS as usize + 1).await;
    let passes: Vec<Pass> = passes.into_iter().map(Pass::At).collect();
    let punctual = expected_fates(&evaluate(&generated.world(), &passes));
    let late = fates(&shop.ledger().await, &passes);
    shop.close().await;
    let missing = without(&punctual, &late);
    let (expected, found) = (by_key(&missing), by_key(&without(&late, &punctual)));
    assert_eq!(
        expected.keys().collect::<Vec<_>>(),
        found.keys().collect::<Vec<_>>(),
        "seed {seed}: nobody's messages change"
    );
    for (key, expected) in &expected {
        let found = &found[key];
        assert_eq!(found.len(), expected.len(), "{key:?}");
        let ends = |fate: &String| fate == "too_late" || fate == "goal_reached";
        // Who was there first stands for an address that several have.
        let shared = found.iter().chain(expected).any(|fate| fate == "same_address");
        let explained = shared || found.iter().all(ends) || expected.iter().all(|fate| fate == "goal_reached");
        assert!(explained, "seed {seed}: {key:?} ended with {found:?}, not {expected:?}");
    }
    assert!(
        missing.len() > members(&size) / 20 && punctual.len() > 5 * missing.len(),
        "{} of {}",
        missing.len(),
        punctual.len()
    );
}

/// While nothing goes out, scans see now one row and now another. In the end everything is as if all had
/// been there from the beginning, but for what was found before the order that ends it.
pub async fn the_order_of_arrival_changes_nothing_for_what_waits(size: Size) {
    // What a backfill takes up is frozen.
    let seed = seed(1);
    let generated = shop_without(&size, seed, &[Feature::Backfill], &BY_OTHER_ORDERS).never_late();
    let arrivals = arrivals(&generated, &mut Dice(seed));
    let passes: Vec<i64> = (0..=DAYS).map(|n| millis(FROM) + (24 * n + 12) * 3_600_000).collect();
    let shop = generated.shop_without_members(&size).await;
    shop.pause_all(true).await;
    arrive(&shop, &arrivals, &passes, passes.len()).await;
    shop.pause_all(false).await;
    let end = [Pass::At(passes[passes.len() - 1])];
    work(&shop, end[0]).await;
    let punctual = expected_fates(&evaluate(&generated.world(), &end));
    let shuffled = fates(&shop.ledger().await, &end);
    shop.close().await;
    let mut found_too_early = without(&shuffled, &punctual);
    found_too_early.retain(|(.., fate, _)| ["goal_reached", "collapsed", "outside_audience"].contains(&fate.as_str()));
    assert!(!found_too_early.is_empty(), "orders did arrive late");
    assert_same(&format!("seed {seed}: whatever the order"), &without(&shuffled, &found_too_early), &punctual);
}

type Key = (String, String, String, i64);

/// The fates by member, campaign, step and due instant.
fn by_key(messages: &[Sent]) -> BTreeMap<Key, Vec<String>> {
    let mut fates: BTreeMap<Key, Vec<String>> = BTreeMap::new();
    for (member, campaign, step, fate, due) in messages {
        fates.entry((member.clone(), campaign.clone(), step.clone(), *due)).or_default().push(fate.clone());
    }
    fates
}

fn millis(text: &str) -> i64 {
    at(text).timestamp_millis()
}
