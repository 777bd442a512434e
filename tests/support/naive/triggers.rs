//! Which occasions each trigger finds, and when their messages fall due.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate};
use chrono_tz::Tz;
use sha2::{Digest, Sha256};

use super::brand::Brand;
use super::calendar::{self, Birth, Calendar, Moment, days, local, local_midnight, round_up};
use super::campaign::{Campaign, Lag, Since, Trigger};
use super::shop::{Member, Order};
use super::{DAY, Model, World};

/// A week in milliseconds, as the model counts time.
const WEEK: f64 = 7.0 * DAY as f64;

pub struct Occasion {
    pub key: String,
    base: i64,
    /// For a lapse: a purchase after this instant means that the member came back.
    pub lapsed_since: Option<i64>,
}

/// One step of an occasion, and when it falls due.
pub struct Due {
    pub occasion: usize,
    pub step_position: usize,
    pub first_due_at: i64,
    pub due_at: i64,
    /// When a backfill takes it up.
    pub taken_up_at: Option<i64>,
}

/// The instants between which occasions are looked for.
pub type Window = (i64, i64);

/// The occasions of one member, and all their steps that fall due before the end of the window.
pub fn steps_of(
    world: &World,
    campaign: &Campaign,
    member: &Member,
    window: Window,
    backfilled: &Backfilled,
) -> (Vec<Occasion>, Vec<Due>) {
    let brand = &world.brand;
    let (starts_at, ends_at) = life_of(campaign, brand, window);
    let found = occasions(world, campaign, member, window);
    let mut steps = Vec::new();
    for (occasion, of_occasion) in found.iter().enumerate() {
        let place = backfilled.get(&(member.id.clone(), of_occasion.key.clone()));
        let first_due_at = place.copied().unwrap_or_else(|| first_due(campaign, brand, member, of_occasion.base));
        let taken_up_at = place.map(|_| starts_at);
        if first_due_at < starts_at || first_due_at >= ends_at {
            continue; // there is no such occasion
        }
        let mut due_at = first_due_at;
        for (step_position, step) in campaign.steps.iter().enumerate() {
            if step_position > 0 {
                due_at = at_the_hour(campaign, brand, member, due_at + step.after);
            }
            steps.push(Due { occasion, step_position, first_due_at, due_at, taken_up_at });
        }
    }
    (found, steps)
}

/// From when to when the first message of an occasion may fall due.
fn life_of(campaign: &Campaign, brand: &Brand, window: Window) -> (i64, i64) {
    let starts_at = campaign.starts_at.map_or(window.0, |at| at.in_zone(brand.timezone));
    let ends_at = campaign.ends_at.map_or(i64::MAX, |at| at.in_zone(brand.timezone));
    (starts_at, ends_at)
}

fn first_due(campaign: &Campaign, brand: &Brand, member: &Member, base: i64) -> i64 {
    let due_at = at_the_hour(campaign, brand, member, base + campaign.steps[0].after);
    due_at + spread(campaign, &member.id)
}

/// The next `send_at` on the member's clock, where the campaign has one.
fn at_the_hour(campaign: &Campaign, brand: &Brand, member: &Member, at: i64) -> i64 {
    campaign.send_at.map_or(at, |time| round_up(member.zone(brand), at, time))
}

/// This member's part of the campaign's `spread`.
fn spread(campaign: &Campaign, member: &str) -> i64 {
    if campaign.spread == 0 {
        return 0;
    }
    let hash = first_eight_bytes(&format!("spread\0{}\0{member}", campaign.name));
    ((campaign.spread as u128 * u128::from(hash)) >> 64) as i64
}

/// Of the SHA-256 of a text, as a number with the first byte in front.
pub fn first_eight_bytes(text: &str) -> u64 {
    let hash = Sha256::digest(text);
    hash.iter().take(8).fold(0, |number, &byte| (number << 8) | u64::from(byte))
}

// ---- backfill --------------------------------------------------------------------------------

/// When the first message of an occasion falls due that is made up for, by member and occasion.
pub type Backfilled = BTreeMap<(String, String), i64>;

/// Gives each member's latest occasion before the campaign began a place after it; a lapse that a
/// purchase ended has none.
pub fn backfilled(world: &World, campaign: &Campaign, window: Window) -> Backfilled {
    let Some(backfill) = &campaign.backfill else {
        return Backfilled::new();
    };
    let brand = &world.brand;
    let (starts_at, _) = life_of(campaign, brand, window);
    let earliest = starts_at - backfill.up_to;
    let mut latest = Vec::new();
    for member in world.shop.members.values() {
        let found = occasions(world, campaign, member, (earliest, starts_at));
        let with_due = found.iter().map(|occasion| (first_due(campaign, brand, member, occasion.base), occasion));
        let before = with_due.filter(|(due_at, _)| (earliest..starts_at).contains(due_at));
        let Some((due_at, occasion)) = before.max_by_key(|(due_at, _)| *due_at) else {
            continue;
        };
        let came_back = occasion.lapsed_since.is_some_and(|since| {
            member.orders.iter().any(|order| order.purchased_at > since && order.purchased_at < starts_at)
        });
        if !came_back {
            latest.push((due_at, member, occasion.key.clone()));
        }
    }
    latest.sort_by(|a, b| (b.0, &a.1.id).cmp(&(a.0, &b.1.id)));
    let mut places = Backfilled::new();
    for (n, (_, member, key)) in latest.into_iter().enumerate() {
        let day = n as i64 / backfill.per_day;
        let due_at = at_the_hour(campaign, brand, member, starts_at + day * DAY);
        places.insert((member.id.clone(), key), due_at);
    }
    places
}

// ---- the triggers ----------------------------------------------------------------------------

/// The occasions of one member: all that can have a step in the window, and others.
fn occasions(world: &World, campaign: &Campaign, member: &Member, window: Window) -> Vec<Occasion> {
    let brand = &world.brand;
    let zone = member.zone(brand);
    let calendar = member.calendar(brand);
    let orders = member.orders.as_slice();
    let mut found = Vec::new();
    let mut add = |key: String, base: i64, lapsed_since: Option<i64>| {
        found.push(Occasion { key, base, lapsed_since });
    };
    match &campaign.trigger {
        Trigger::Welcome => {
            if let Some(joined_at) = member.joined_at() {
                add("joined".to_string(), joined_at, None);
            }
        }
        Trigger::Birthday { days_before, leap_after } => {
            let (birth_year, month, day) = match member.cell("birth_date").map(Birth::read) {
                None => return found,
                Some(Birth::Full(date)) => calendar.fields(date),
                Some(Birth::Yearless(month, day)) => (i32::MIN, month, day),
            };
            for year in years_around(campaign, calendar, window).filter(|&y| y > birth_year) {
                if let Some(date) = calendar.celebrated(year, month, day, *leap_after) {
                    add(year.to_string(), local_midnight(zone, date - days(*days_before)), None);
                }
            }
        }
        Trigger::Anniversary { of, years, leap_after } => {
            let Some(first) = first_day(of, member, zone) else {
                return found;
            };
            let (first_year, month, day) = calendar.fields(first);
            for year in years_around(campaign, calendar, window).filter(|&y| y > first_year) {
                let nth = year - first_year;
                if years.as_ref().is_none_or(|years| years.contains(&nth))
                    && let Some(date) = calendar.celebrated(year, month, day, *leap_after)
                {
                    add(nth.to_string(), local_midnight(zone, date), None);
                }
            }
        }
        Trigger::Date { attribute, every_year, days_before, leap_after } => {
            let Some(first) = member.cell(attribute).and_then(calendar::date) else {
                return found;
            };
            let base = |date: NaiveDate| local_midnight(zone, date - days(*days_before));
            if !every_year {
                add(first.to_string(), base(first), None);
                return found;
            }
            let (first_year, month, day) = calendar.fields(first);
            for year in years_around(campaign, calendar, window).filter(|&y| y >= first_year) {
                if let Some(date) = calendar.celebrated(year, month, day, *leap_after) {
                    add(year.to_string(), base(date), None);
                }
            }
        }
        Trigger::Occasion { name, days_before, leap_after } => {
            for date in world.occasions.dates(name, *leap_after) {
                add(date.to_string(), local_midnight(zone, date - days(*days_before)), None);
            }
        }
        Trigger::PostPurchase { nth, min_amount, from_delivery, items, categories, collapse } => {
            for (index, order) in orders.iter().enumerate() {
                let is_chosen = nth.is_none_or(|nth| index + 1 == nth);
                let in_brand_currency = order.currency.is_empty() || order.currency == brand.currency;
                let is_large_enough = min_amount.is_none_or(|least| in_brand_currency && order.amount >= least);
                let holds_items =
                    items.as_ref().is_none_or(|wanted| order.items.iter().any(|i| wanted.contains(&i.sku)));
                let holds_categories = categories.as_ref().is_none_or(|wanted| {
                    let is_wanted = |category: &String| wanted.contains(category);
                    order.items.iter().any(|item| item.category.as_ref().is_some_and(is_wanted))
                });
                let opens = !orders[..index].iter().any(|earlier| earlier.purchased_at > order.purchased_at - collapse);
                let base = if *from_delivery { order.delivered_at } else { Some(order.purchased_at) };
                if is_chosen
                    && is_large_enough
                    && holds_items
                    && holds_categories
                    && (*collapse == 0 || opens)
                    && let Some(base) = base
                {
                    add(order.id.clone(), base, None);
                }
            }
        }
        Trigger::AtRisk(lag) => {
            for (index, order) in orders.iter().enumerate() {
                let Some(lag) = lag_after(lag, &orders[..=index], world.model) else {
                    continue;
                };
                let base = order.purchased_at + lag;
                // What stands behind it in the list is later.
                let bought_again = orders[index + 1..].iter().any(|later| later.purchased_at <= base);
                if !bought_again {
                    add(order.id.clone(), base, Some(order.purchased_at));
                }
            }
        }
        Trigger::NeverBought { after } => {
            if let Some(base) = member.joined_at().map(|joined_at| joined_at + after)
                && !orders.iter().any(|order| order.purchased_at <= base)
            {
                add("joined".to_string(), base, Some(i64::MIN));
            }
        }
        Trigger::Broadcast { at } => {
            let zone = if matches!(at, Moment::Date(_)) { brand.timezone } else { zone };
            add("broadcast".to_string(), at.in_zone(zone), None);
        }
    }
    found
}

/// The local date that an anniversary counts from.
fn first_day(of: &Since, member: &Member, zone: Tz) -> Option<NaiveDate> {
    match of {
        Since::Joining => member.joined_at().map(|at| local(zone, at).date()),
        Since::FirstPurchase => member.orders.first().map(|order| local(zone, order.purchased_at).date()),
        Since::Attribute(name) => member.cell(name).and_then(calendar::date),
    }
}

/// The years of a calendar whose occasions can have a step in the window, with a wide margin.
fn years_around(campaign: &Campaign, calendar: Calendar, (from, to): Window) -> impl Iterator<Item = i32> {
    let year_of = |at| calendar.fields(local(Tz::UTC, at).date()).0;
    let days_before = match campaign.trigger {
        Trigger::Birthday { days_before, .. } | Trigger::Date { days_before, .. } => i64::from(days_before),
        _ => 0,
    };
    let last_step: i64 = campaign.steps.iter().map(|step| step.after + DAY).sum();
    year_of(from - last_step) - 2..=year_of(to + days_before * DAY) + 2
}

// ---- at risk ---------------------------------------------------------------------------------

/// How long after the last of these orders the member is at risk.
fn lag_after(lag: &Lag, orders: &[Order], model: Option<Model>) -> Option<i64> {
    let visits = visits(orders);
    match *lag {
        Lag::After(after) => Some(after),
        Lag::Rhythm { times, limits: (floor, ceiling), fallback } => {
            if visits.len() < 3 {
                return fallback;
            }
            let mut gaps: Vec<i64> = visits.windows(2).map(|pair| pair[1] - pair[0]).collect();
            gaps.sort_unstable();
            let middle = gaps.len() / 2;
            let median = if gaps.len() % 2 == 1 { gaps[middle] } else { (gaps[middle - 1] + gaps[middle]) / 2 };
            Some(((times * median as f64).floor() as i64).clamp(floor, ceiling))
        }
        Lag::Probability { below, limits: (floor, ceiling), fallback } => {
            let (Some(model), [first, .., last]) = (model, visits.as_slice()) else {
                return fallback;
            };
            let x = (visits.len() - 1) as f64;
            let tx = (utc_date(*last) - utc_date(*first)).num_days() as f64 / 7.0;
            let weeks = weeks_until(model, below, x, tx).max(0.0);
            Some(((weeks * WEEK).floor() as i64).clamp(floor, ceiling))
        }
    }
}

/// The time of the first order of each UTC date.
fn visits(orders: &[Order]) -> Vec<i64> {
    let mut visits: Vec<i64> = orders.iter().map(|order| order.purchased_at).collect();
    visits.dedup_by_key(|at| utc_date(*at));
    visits
}

fn utc_date(at: i64) -> NaiveDate {
    DateTime::from_timestamp_millis(at).expect("an instant").date_naive()
}

/// How many weeks after the last of x + 1 visits in tx weeks the probability of being alive has
/// fallen to `below`.
pub fn weeks_until(Model { r, alpha, a, b }: Model, below: f64, x: f64, tx: f64) -> f64 {
    let odds = (1.0 / below - 1.0) * (b + x - 1.0) / a;
    (alpha + tx) * odds.powf(1.0 / (r + x)) - alpha - tx
}
