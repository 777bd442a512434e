//! A year of real orders, day by day: campaigns of every trigger, at work all the time, in slices,
//! and with days on which nobody was. What becomes of each message is what the evaluator expects.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use chrono_tz::Asia::Tehran;
use rekindle::domain::calendar::Calendar;
use rekindle::domain::period::{Periods, Unit, week_begins};
use rekindle::import::Kind;
use rekindle::reports::programme::{Asked, By, Funnel, Programme};
use rekindle::store::daily;

use super::data;
use crate::support::fates::{expected_fates, fates, work};
use crate::support::generated::store_model;
use crate::support::naive::{self, Expected, Fate, Pass, evaluate};
use crate::support::shop::{Dice, Shop, Size, assert_same, at};

const FROM: &str = "1997-06-01T00:00:00Z";
const TO: &str = "1998-06-01T00:00:00Z";
const DAY: i64 = 24 * 3_600_000;

const BRAND: &str = "{ name: Shop, timezone: Asia/Tehran, calendar: persian, locale: fa, currency: USD, \
    base_url: \"https://shop.example\", quiet_hours: \"21:00-08:00\", frequency_cap: { messages: 3, per: 7d }, \
    weekend: [friday], rest: { weekends: defer, blackouts: skip } }";

/// The published one of these customers' first nine months.
const MODEL: naive::Model = naive::Model { r: 0.243, alpha: 4.414, a: 0.793, b: 2.426 };

/// The name and the text of each file of a folder of fixtures.
fn files(folder: &str) -> Vec<(String, String)> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder);
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    let mut files: Vec<_> = paths.map(|path| (name(&path), std::fs::read_to_string(&path).unwrap())).collect();
    files.sort();
    files
}

/// The members, with something that they have to renew.
fn members() -> String {
    let mut dice = Dice(1997);
    let text = data("members.csv");
    let mut rows = text.lines();
    let head = rows.next().unwrap();
    let rows = rows.map(|row| {
        let (month, day) = (1 + dice.below(12), 1 + dice.below(28));
        let renewal = match dice.below(6) {
            0 => String::new(),
            1 => "soon".to_owned(),
            2 => "1996-02-29".to_owned(),
            3 => format!("137{}/{month:02}/{day:02}", 3 + dice.below(4)),
            _ => format!("199{}-{month:02}-{day:02}", 5 + dice.below(4)),
        };
        format!("{row},{renewal}\n")
    });
    format!("{head},attributes.renewal\n{}", rows.collect::<String>())
}

/// The orders, some of them cancelled, without those of some members; with what else is known of
/// an order.
fn purchases() -> String {
    let mut dice = Dice(1998);
    let text = data("purchases.csv");
    let mut rows = text.lines();
    let head = rows.next().unwrap();
    let rows = rows.filter_map(|row| {
        let cells: Vec<&str> = row.split(',').collect();
        let [order, member, purchased_at, amount, currency, items] = cells[..] else { panic!("{row}") };
        let status = if dice.once_in(30) { "cancelled" } else { "paid" };
        let delivered = at(purchased_at) + chrono::Duration::hours(12 + dice.below(150) as i64);
        let delivered = if dice.once_in(5) { String::new() } else { delivered.to_rfc3339() };
        let category = *dice.pick(&["", "music/", "Gifts/"]);
        let row = format!("{order},{member},{purchased_at},{amount},{currency},{category}{items},{status}");
        (!member.ends_with('7')).then(|| format!("{row},{delivered}\n"))
    });
    format!("{head},status,delivered_at\n{}", rows.collect::<String>())
}

fn world() -> naive::World {
    let shop = naive::Shop::from_csv(members().as_bytes(), purchases().as_bytes());
    let campaigns = files("campaigns-year").iter().map(|(_, text)| naive::Campaign::from_yaml(text)).collect();
    let segments = files("segments-year");
    let world = naive::World::new(naive::Brand::from_yaml(BRAND), shop, campaigns);
    let world = world.with_segments(segments.iter().map(|(name, text)| (name.as_str(), text.as_str())));
    let occasions = files("occasions-year");
    let occasions = naive::DaysOfYear::from_yaml(occasions.iter().map(|(_, text)| text.as_str()));
    naive::World { occasions, model: Some(MODEL), ..world }
}

/// Nobody is there to approve the four hundred who renew on one day.
fn without_surge(campaign: &str) -> String {
    match campaign.split_once("limits: {") {
        Some((before, after)) => format!("{before}limits: {{ surge: none,{after}"),
        None => format!("{campaign}\nlimits: {{ surge: none }}\n"),
    }
}

async fn shop() -> Shop {
    let shop = Shop::new(&Size::default(), BRAND);
    for folder in ["campaigns", "occasions", "segments"] {
        for (name, text) in files(&format!("{folder}-year")) {
            let text = if folder == "campaigns" { without_surge(&text) } else { text };
            shop.write(&format!("{folder}/{name}.yaml"), text);
        }
    }
    shop.import(Kind::Members, members()).await;
    shop.import(Kind::Purchases, purchases()).await;
    store_model(&shop, MODEL).await;
    shop
}

/// Works through the passes and compares every message, and the counts of each day.
async fn check(title: &str, passes: &[Pass]) {
    let expected = evaluate(&world(), passes);
    let shop = shop().await;
    for pass in passes {
        // A pass ends with a model of its own; what is expected is said with this one.
        store_model(&shop, MODEL).await;
        work(&shop, *pass).await;
    }
    let ledger = shop.ledger().await;
    print_year(title, &expected);
    assert_same(title, &fates(&ledger, passes), &expected_fates(&expected));
    let sent = ledger.iter().filter_map(|row| Some((row.sent_at.filter(|_| row.state == "sent")?, row)));
    let of_ledger = per_day(sent.map(|(at, row)| (at, row.campaign.as_str())));
    assert_eq!(of_ledger, per_day(sent_of(&expected)), "{title}: messages of a day and campaign");
    check_programme(title, &shop, &expected).await;
    shop.close().await;
}

/// The report of all days but the first and the last one, which the passes cut, is what is expected of them.
async fn check_programme(title: &str, shop: &Shop, expected: &[Expected]) {
    let (from, to): (NaiveDate, NaiveDate) = ("1997-06-02".parse().unwrap(), "1998-05-31".parse().unwrap());
    let day = |at: i64| chrono::DateTime::from_timestamp_millis(at).unwrap().with_timezone(&Tehran).date_naive();
    let mut of: BTreeMap<String, Funnel> = BTreeMap::new();
    for message in expected.iter().filter(|message| (from..to).contains(&day(message.due_at))) {
        let part = message.campaign.clone();
        let funnel = of.entry(part.clone()).or_insert_with(|| Funnel { part, ..Funnel::default() });
        funnel.due += 1;
        match &message.fate {
            Fate::Sent { .. } => funnel.sent += 1,
            Fate::Waiting => funnel.waiting += 1,
            Fate::Ended(reason) => {
                funnel.not_sent += 1;
                *funnel.because.entry((*reason).to_owned()).or_default() += 1;
            }
        }
    }
    let mut tx = shop.store().await.read().await.unwrap();
    let campaigns = daily::campaigns(&mut tx).await.unwrap();
    let periods = Periods { unit: Unit::Day, calendar: Calendar::Persian, week_begins: week_begins("fa") };
    let (by, channel, currency) = (By::Campaign, None, "USD");
    let asked = Asked { campaigns, from, to, by, channel, periods, currency };
    let programme = Programme::read(&mut tx, &asked).await.unwrap();
    tx.commit().await.unwrap();
    let mut found: BTreeMap<String, Funnel> = BTreeMap::new();
    for mut part in programme.parts.into_iter().filter(|part| part.due > 0) {
        part.because.retain(|_, count| *count != 0);
        found.insert(part.part.clone(), part);
    }
    assert_eq!(found, of, "{title}: the programme");
}

/// How many messages of each campaign went out on each day.
fn per_day<'a>(sent: impl Iterator<Item = (i64, &'a str)>) -> BTreeMap<(i64, &'a str), usize> {
    let mut counts = BTreeMap::new();
    for (at, campaign) in sent {
        *counts.entry((at.div_euclid(DAY), campaign)).or_default() += 1;
    }
    counts
}

fn sent_of(expected: &[Expected]) -> impl Iterator<Item = (i64, &str)> {
    expected.iter().filter_map(|message| match &message.fate {
        Fate::Sent { at, .. } => Some((*at, message.campaign.as_str())),
        _ => None,
    })
}

/// Prints what each campaign sends in each month, and why it does not send the rest.
fn print_year(title: &str, expected: &[Expected]) {
    let months: Vec<String> = (0..13).map(|n| format!("{}-{:02}", 1997 + (5 + n) / 12, (5 + n) % 12 + 1)).collect();
    type Counts<K> = BTreeMap<K, usize>;
    let mut rows: BTreeMap<&str, (Counts<String>, Counts<&str>)> = BTreeMap::new();
    for message in expected {
        let (sent, ended) = rows.entry(&message.campaign).or_default();
        match &message.fate {
            Fate::Sent { at, .. } => {
                let month = chrono::DateTime::from_timestamp_millis(*at).unwrap().format("%Y-%m").to_string();
                *sent.entry(month).or_default() += 1;
            }
            Fate::Ended(reason) => *ended.entry(reason).or_default() += 1,
            Fate::Waiting => *ended.entry("waiting").or_default() += 1,
        }
    }
    println!("{title}: {} of {} messages sent", sent_of(expected).count(), expected.len());
    for (campaign, (sent, ended)) in rows {
        let counts: String = months.iter().map(|month| format!("{:5}", sent.get(month).unwrap_or(&0))).collect();
        println!("  {campaign:<16}{counts}   {ended:?}");
    }
}

fn millis(text: &str) -> i64 {
    at(text).timestamp_millis()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_year_is_planned_and_sent_as_expected() {
    let year = [Pass::Between(millis(FROM), millis(TO))];
    let shop = shop().await;
    let expected = evaluate(&world(), &year);
    let to_send: Vec<_> = expected.iter().cloned().filter_map(Expected::sent).collect();
    assert_same("the plan of the year", &shop.planned(FROM, TO).await, &to_send);
    shop.close().await;
    check("the year", &year).await;
}

/// More than half of the days is lost, in spells of up to nine; after each, one pass catches up.
#[tokio::test(flavor = "multi_thread")]
async fn a_year_with_days_on_which_nobody_was_at_work() {
    let mut dice = Dice(1997);
    let mut now = millis(FROM);
    let mut passes = vec![Pass::At(now)];
    while now < millis(TO) {
        let up = (now + (1 + dice.below(6) as i64) * DAY + dice.below(DAY as u64) as i64).min(millis(TO));
        passes.push(Pass::Between(now, up));
        now = up + (1 + dice.below(8) as i64) * DAY + dice.below(DAY as u64) as i64;
        passes.push(Pass::At(now));
    }
    check("the year with gaps", &passes).await;
}
