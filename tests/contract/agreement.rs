//! The plan, Rekindle at work and the independent evaluator agree on what becomes of each message
//! of a made-up shop, and when, however the time is cut. `agreement_contract!` makes the tests; each gets a
//! [`Size`] with nothing in it.

#![allow(dead_code, reason = "each test target uses a part of it")]

use rekindle::domain::Instant;

use crate::support::contract::contract;
use crate::support::fates::{
    arms, expected_arms, expected_fates, expected_moments, fates, moments, planned_arms, planned_moments, work,
};
use crate::support::generated::Generated;
use crate::support::naive::{Pass, evaluate};
use crate::support::seed;
use crate::support::shop::{Dice, Shop, Size, assert_same, at};

contract! {
    agreement_contract:
    plan_run_and_evaluator_agree_in_spring
    plan_run_and_evaluator_agree_in_autumn
    plan_run_and_evaluator_agree_at_the_turn_of_the_persian_year
    without_a_cap_slices_of_a_window_are_the_window
    slices_of_a_window_do_what_is_expected_of_slices
    a_scheduler_that_was_down_catches_up
    single_passes_at_any_hour_do_what_is_due
}

pub async fn plan_run_and_evaluator_agree_in_spring(size: Size) {
    agree(size, seed(11), "2024-03-01T00:00:00Z", 12).await;
}

pub async fn plan_run_and_evaluator_agree_in_autumn(size: Size) {
    agree(size, seed(22), "2024-10-25T00:00:00Z", 12).await;
}

pub async fn plan_run_and_evaluator_agree_at_the_turn_of_the_persian_year(size: Size) {
    agree(size, seed(33), "2025-03-16T00:00:00Z", 8).await;
}

pub async fn without_a_cap_slices_of_a_window_are_the_window(size: Size) {
    uncapped_slices(size, seed(44), "2024-03-01T00:00:00Z", 12).await;
}

pub async fn slices_of_a_window_do_what_is_expected_of_slices(size: Size) {
    capped_slices(size, seed(77), "2024-03-01T00:00:00Z", 12).await;
}

pub async fn a_scheduler_that_was_down_catches_up(size: Size) {
    with_gaps(size, seed(55), "2024-10-20T00:00:00Z", 16).await;
}

pub async fn single_passes_at_any_hour_do_what_is_due(size: Size) {
    now_and_then(size, seed(66), "2024-10-20T00:00:00Z", 16).await;
}

/// Where no message depends on others, the window in slices is the window at once and its plan.
async fn uncapped_slices(size: Size, seed: u64, from: &str, days: u64) {
    let (start, to) = (millis(at(from)), end(from, days).to_rfc3339());
    let slices = slices(&mut Dice(seed), start, millis(at(&to)), 9);
    let generated = Generated::new(members(&size), seed, from, days).without_cap();
    let expected = evaluate(&generated.world(), &[Pass::Between(start, millis(at(&to)))]);
    let shop = generated.shop(&size).await;
    assert_same(
        &format!("seed {seed}: the plan"),
        &planned_moments(shop.plan(from, &to).await),
        &expected_moments(&expected),
    );
    works(&shop, seed, &generated, &slices).await;
    let ledger = shop.ledger().await;
    assert_same(&format!("seed {seed}: in slices"), &fates(&ledger, &slices), &expected_fates(&expected));
    assert_same(&format!("seed {seed}: in slices"), &moments(&ledger), &expected_moments(&expected));
    shop.close().await;
}

/// With a frequency cap it is not quite. A slice also sends what quiet hours move beyond its end;
/// the next one then begins earlier, and its messages cannot know which of them would have come
/// first. What slices do then is still as expected of slices.
async fn capped_slices(size: Size, seed: u64, from: &str, days: u64) {
    let slices = slices(&mut Dice(seed), millis(at(from)), millis(end(from, days)), 9);
    let generated = shop_of_dice(&size, seed, from, days);
    let shop = generated.shop(&size).await;
    works(&shop, seed, &generated, &slices).await;
    shop.close().await;
}

/// On some days every instant, on others nobody is at work, and after them everything at once.
async fn with_gaps(size: Size, seed: u64, from: &str, days: u64) {
    let generated = shop_of_dice(&size, seed, from, days);
    let mut dice = Dice(seed);
    let mut passes = vec![Pass::At(millis(at(from)))];
    let mut since = millis(at(from));
    for day in 1..=days {
        let until = millis(end(from, day)) - dice.below(12 * 3_600_000) as i64;
        if dice.once_in(3) {
            passes.push(Pass::At(until));
        } else {
            passes.extend(slices(&mut dice, since, until, 2));
        }
        since = until;
    }
    let shop = generated.shop(&size).await;
    works(&shop, seed, &generated, &passes).await;
    shop.close().await;
}

/// Single passes at random hours of some days.
async fn now_and_then(size: Size, seed: u64, from: &str, days: u64) {
    let generated = shop_of_dice(&size, seed, from, days);
    let mut dice = Dice(seed);
    let mut instants = vec![millis(at(from)), millis(end(from, days))];
    for day in 0..days {
        let hours = if dice.once_in(3) { 0 } else { 4 };
        instants.extend((0..hours).map(|_| millis(end(from, day)) + dice.below(24 * 3_600_000) as i64));
    }
    instants.sort_unstable();
    let passes: Vec<Pass> = instants.into_iter().map(Pass::At).collect();
    let shop = generated.shop(&size).await;
    works(&shop, seed, &generated, &passes).await;
    shop.close().await;
}

/// The ledger after these passes is what the evaluator expects of them.
async fn works(shop: &Shop, seed: u64, generated: &Generated, passes: &[Pass]) {
    for pass in passes {
        work(shop, *pass).await;
    }
    let (ledger, expected) = (shop.ledger().await, evaluate(&generated.world(), passes));
    assert_same(&format!("seed {seed}: the ledger"), &fates(&ledger, passes), &expected_fates(&expected));
    assert_same(&format!("seed {seed}: when they went"), &moments(&ledger), &expected_moments(&expected));
    assert_same(&format!("seed {seed}: their arms"), &arms(&ledger), &expected_arms(&expected));
}

/// Some hundred members, campaigns of every trigger, a window of days: the plan, a run, and the
/// evaluator send the same.
async fn agree(size: Size, seed: u64, from: &str, days: u64) {
    let generated = shop_of_dice(&size, seed, from, days);
    let (from, to) = (from, end(from, days).to_rfc3339());
    let window = Pass::Between(millis(at(from)), millis(at(&to)));
    let expected = evaluate(&generated.world(), &[window]);
    let sent = expected_moments(&expected).len();
    assert!(sent > members(&size), "a shop in which little happens shows little: {sent}");
    let shop = generated.shop(&size).await;
    let plan = shop.plan(from, &to).await;
    assert_same(&format!("seed {seed}: arms of the plan"), &planned_arms(&plan), &expected_arms(&expected));
    assert_same(&format!("seed {seed}: the plan"), &planned_moments(plan), &expected_moments(&expected));
    works(&shop, seed, &generated, &[window]).await;
    shop.close().await;
}

/// Servers take longer for each message.
pub fn members(size: &Size) -> usize {
    if size.store.starts_with("postgres") { 80 } else { 200 }
}

fn shop_of_dice(size: &Size, seed: u64, from: &str, days: u64) -> Generated {
    Generated::new(members(size), seed, from, days).with_few_codes().with_objections()
}

fn end(from: &str, days: u64) -> Instant {
    at(from) + chrono::Duration::days(days as i64)
}

fn millis(at: Instant) -> i64 {
    at.timestamp_millis()
}

/// So many windows, one after another, from one instant to another.
fn slices(dice: &mut Dice, from: i64, to: i64, count: u64) -> Vec<Pass> {
    let mut cuts: Vec<i64> = (1..count).map(|_| from + dice.below((to - from) as u64) as i64).collect();
    cuts.extend([from, to]);
    cuts.sort_unstable();
    cuts.dedup();
    cuts.windows(2).map(|pair| Pass::Between(pair[0], pair[1])).collect()
}
