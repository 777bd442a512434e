//! The plan, Rekindle at work and the independent evaluator agree on what becomes of each message
//! of a made-up shop, however the time is cut. `agreement_contract!` makes the tests; each gets a
//! [`Size`] with nothing in it.

#![allow(dead_code, reason = "each test target uses a part of it")]

use rekindle::domain::Instant;

use crate::support::generated::Generated;
use crate::support::naive::{Expected, Fate, Pass, evaluate};
use crate::support::shop::{Dice, Sent, Shop, Size, assert_same, at, sorted};

/// Makes a test of every rule; `$with` runs one on an empty size and cleans up.
macro_rules! agreement_contract {
    ($with:path) => {
        agreement_contract!(
            $with,
            plan_run_and_evaluator_agree_in_spring
            plan_run_and_evaluator_agree_in_autumn
            plan_run_and_evaluator_agree_at_the_turn_of_the_persian_year
            slices_of_a_window_are_the_window
            what_a_scheduler_that_was_down_catches_up_with_is_as_expected
        );
    };
    ($with:path, $($rule:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $rule() {
                $with(crate::agreement_contract::$rule).await;
            }
        )+
    };
}
pub(crate) use agreement_contract;

pub async fn plan_run_and_evaluator_agree_in_spring(size: Size) {
    agree(size, 11, "2024-03-01T00:00:00Z", 12).await;
}

pub async fn plan_run_and_evaluator_agree_in_autumn(size: Size) {
    agree(size, 22, "2024-10-25T00:00:00Z", 12).await;
}

pub async fn plan_run_and_evaluator_agree_at_the_turn_of_the_persian_year(size: Size) {
    agree(size, 33, "2025-03-16T00:00:00Z", 8).await;
}

pub async fn slices_of_a_window_are_the_window(size: Size) {
    let (from, days) = ("2024-03-01T00:00:00Z", 12);
    let generated = Generated::new(44, from, days);
    let mut dice = Dice(44);
    let window = Pass::Between(millis(at(from)), millis(end(from, days)));
    let slices = slices(&mut dice, millis(at(from)), millis(end(from, days)), 9);
    let expected = evaluate(&generated.world(), &[window]);
    let shop = generated.shop(&size).await;
    let to = end(from, days).to_rfc3339();
    assert_same("the plan", &shop.planned(from, &to).await, &sent(&expected));
    for slice in &slices {
        work(&shop, *slice).await;
    }
    assert_same("in slices", &shop.sent_between(from, &to).await, &sent(&expected));
    assert_same("the ledger", &fates(&shop).await, &all(&evaluate(&generated.world(), &slices)));
    shop.close().await;
}

pub async fn what_a_scheduler_that_was_down_catches_up_with_is_as_expected(size: Size) {
    let (from, days) = ("2024-10-20T00:00:00Z", 16);
    let generated = Generated::new(55, from, days);
    let passes = with_gaps(&mut Dice(55), millis(at(from)), millis(end(from, days)));
    let shop = generated.shop(&size).await;
    for pass in &passes {
        work(&shop, *pass).await;
    }
    assert_same("the ledger", &fates(&shop).await, &all(&evaluate(&generated.world(), &passes)));
    shop.close().await;
}

/// Some hundred members, campaigns of every trigger, a window of days: the plan, a run, and the
/// evaluator send the same.
async fn agree(size: Size, seed: u64, from: &str, days: u64) {
    let generated = Generated::new(seed, from, days);
    let (from, to) = (from, end(from, days).to_rfc3339());
    let window = Pass::Between(millis(at(from)), millis(at(&to)));
    let expected = evaluate(&generated.world(), &[window]);
    assert!(sent(&expected).len() > 300, "a shop in which little happens shows little: {}", sent(&expected).len());
    let shop = generated.shop(&size).await;
    assert_same(&format!("seed {seed}: the plan"), &shop.planned(from, &to).await, &sent(&expected));
    work(&shop, window).await;
    assert_same(&format!("seed {seed}: what was sent"), &shop.sent_between(from, &to).await, &sent(&expected));
    assert_same(&format!("seed {seed}: the ledger"), &fates(&shop).await, &all(&expected));
    shop.close().await;
}

fn end(from: &str, days: u64) -> Instant {
    at(from) + chrono::Duration::days(days as i64)
}

fn millis(at: Instant) -> i64 {
    at.timestamp_millis()
}

fn text(millis: i64) -> String {
    chrono::DateTime::from_timestamp_millis(millis).unwrap().to_rfc3339()
}

/// So many windows, one after another, from one instant to another.
fn slices(dice: &mut Dice, from: i64, to: i64, count: u64) -> Vec<Pass> {
    let mut cuts: Vec<i64> = (1..count).map(|_| from + dice.below((to - from) as u64) as i64).collect();
    cuts.extend([from, to]);
    cuts.sort_unstable();
    cuts.dedup();
    cuts.windows(2).map(|pair| Pass::Between(pair[0], pair[1])).collect()
}

/// Passes at random hours of some days, none on others, and one at the end.
fn with_gaps(dice: &mut Dice, from: i64, to: i64) -> Vec<Pass> {
    const DAY: i64 = 24 * 3_600_000;
    let mut instants = vec![from, to];
    for day in (from..to).step_by(DAY as usize) {
        if !dice.once_in(3) {
            instants.extend((0..4).map(|_| day + dice.below(DAY as u64) as i64));
        }
    }
    instants.sort_unstable();
    instants.into_iter().map(Pass::At).collect()
}

async fn work(shop: &Shop, pass: Pass) {
    match pass {
        Pass::Between(from, to) => drop(shop.once_between(&text(from), &text(to)).await),
        Pass::At(now) => drop(shop.once(&text(now)).await),
    }
}

fn sent(expected: &[Expected]) -> Vec<Sent> {
    sorted(expected.iter().cloned().filter_map(Expected::sent).collect())
}

/// Member, campaign, step, the channel or why it was not sent, and due instant of each message.
fn all(expected: &[Expected]) -> Vec<Sent> {
    let line = |m: Expected| {
        let fate = match m.fate {
            Fate::Sent { channel, .. } => channel,
            Fate::Ended(reason) => reason.to_owned(),
            Fate::Waiting => "planned".to_owned(),
        };
        (m.member, m.campaign, m.step, fate, m.due_at)
    };
    sorted(expected.iter().cloned().map(line).collect())
}

/// The same from the ledger.
async fn fates(shop: &Shop) -> Vec<Sent> {
    let rows = shop.ledger().await.into_iter().map(|row| {
        let fate = match row.state.as_str() {
            "sent" => row.channel.unwrap(),
            state => row.reason.unwrap_or_else(|| state.to_owned()),
        };
        (row.member, row.campaign, row.step, fate, row.due_at)
    });
    sorted(rows.collect())
}
