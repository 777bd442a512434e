//! Tables whose expectations were worked out by hand.

mod audience;
mod calendars;
mod policy;
mod triggers;

use chrono::{DateTime, NaiveDate, NaiveTime};

use super::shop::instant;
use super::{Brand, Campaign, Expected, Fate, Pass, Shop, World, evaluate};

fn day(year: i32, month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).expect("a date")
}

fn clock(text: &str) -> NaiveTime {
    NaiveTime::parse_from_str(text, "%H:%M").expect("a time")
}

fn utc(at: i64) -> String {
    let time = DateTime::from_timestamp_millis(at).expect("an instant");
    time.format("%Y-%m-%dT%H:%M").to_string()
}

/// UTC, without quiet hours or a cap, and whatever more is said.
fn brand(more: &str) -> Brand {
    Brand::from_yaml(&format!("{{ timezone: UTC, currency: USD, locale: en, {more} }}"))
}

/// Rows may end early.
fn shop(members: &str, purchases: &str) -> Shop {
    let padded = |head: &str, rows: &str| {
        let width = head.matches(',').count();
        let pad = |row: &str| format!("{row}{}\n", ",".repeat(width - row.matches(',').count()));
        format!("{head}\n{}", rows.lines().map(pad).collect::<String>())
    };
    let members = padded(
        "external_id,birth_date,joined_at,timezone,calendar,tier,points,email,email_consent,phone,sms_consent,\
         attributes.renewal",
        members,
    );
    let purchases =
        padded("order_id,member_external_id,purchased_at,amount,currency,status,delivered_at,items", purchases);
    Shop::from_csv(members.as_bytes(), purchases.as_bytes())
}

/// A row of a member who can be reached by mail.
fn member(id: &str, birth_date: &str, joined_at: &str, zone: &str, calendar: &str) -> String {
    format!("{id},{birth_date},{joined_at},{zone},{calendar},gold,10,{id}@example.com,true\n")
}

/// A row of an order in the brand's currency.
fn order(id: &str, member: &str, purchased_at: &str, amount: &str) -> String {
    format!("{id},{member},{purchased_at},{amount}\n")
}

/// A live campaign, from long ago where nothing else is said.
fn campaign(trigger: &str, more: &str) -> Campaign {
    named("c", trigger, more)
}

fn named(name: &str, trigger: &str, more: &str) -> Campaign {
    let begun = if more.contains("starts_at") { "" } else { "starts_at: 2000-01-01T00:00:00Z\n" };
    let head = format!("name: {name}\nstatus: live\nchannels: [email, sms]\ncontent: c\n{begun}");
    Campaign::from_yaml(&format!("{head}trigger: {trigger}\n{more}\n"))
}

fn world(shop: &Shop, campaigns: impl IntoIterator<Item = Campaign>) -> World {
    World::new(brand(""), shop.clone(), campaigns.into_iter().collect())
}

/// From 2023 to 2025.
fn years() -> Pass {
    Pass::Between(instant("2023-01-01T00:00:00Z"), instant("2026-01-01T00:00:00Z"))
}

fn sent(shop: &Shop, campaigns: impl IntoIterator<Item = Campaign>) -> Vec<String> {
    lines(&world(shop, campaigns))
}

fn sent_by(brand: Brand, shop: &Shop, campaigns: impl IntoIterator<Item = Campaign>) -> Vec<String> {
    lines(&World { brand, ..world(shop, campaigns) })
}

/// `member step due_at` of each message that is sent from 2023 to 2025, and `-> sent_at` where it
/// waits.
fn lines(world: &World) -> Vec<String> {
    let line = |m: Expected| match m.fate {
        Fate::Sent { at, .. } => {
            let wait = if at == m.due_at { String::new() } else { format!(" -> {}", utc(at)) };
            Some(format!("{} {} {}{wait}", m.member, m.step, utc(m.due_at)))
        }
        _ => None,
    };
    evaluate(world, &[years()]).into_iter().filter_map(line).collect()
}

/// `member campaign step`, and the moment of sending or the reason, of every message.
fn fates(world: &World, passes: &[Pass]) -> Vec<String> {
    let all = evaluate(world, passes).into_iter();
    all.map(|m| {
        let fate = match m.fate {
            Fate::Sent { at, channel } => format!("{channel} {}", utc(at)),
            Fate::Ended(reason) => reason.to_string(),
            Fate::Waiting => "waiting".to_string(),
        };
        format!("{} {} {} {fate}", m.member, m.campaign, m.step)
    })
    .collect()
}
