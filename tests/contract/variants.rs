//! Whom an experiment divides and what its variants change, on every size. `variants_contract!` makes the tests; each
//! gets a [`Size`] with nothing in it.

#![allow(dead_code, reason = "each test target uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use rekindle::app::App;
use rekindle::clock::Clock;
use rekindle::domain::message::Content;
use rekindle::import::Kind;
use rekindle::reports::effect::{Effect, Period, Whose};
use rekindle::store::configuration;
use rekindle::store::messages::Listed;
use rekindle::views::explain::explain;
use rekindle::views::preview::{self, Wanted, preview};
use rekindle::{deciding, nightly};

use crate::support::contract::contract;
use crate::support::shop::{PLAIN, Shop, Size, at};

contract! {
    variants_contract:
    each_variant_says_and_brings_what_is_its_own
    a_choice_begins_a_run_and_leaves_the_arms_of_before
    those_who_share_an_address_are_in_one_arm_and_count_once
    the_brand_holds_members_out_of_all_marketing
    the_better_variant_is_chosen_when_its_time_has_come
}

/// The same day of May 2024.
fn day(day: u32, time: &str) -> String {
    format!("2024-05-{day:02}T{time}Z")
}

const NOON: &str = "2024-05-02T12:00:00Z";

const VARIANTS: &str = "trigger: { kind: broadcast, at: 2024-05-02T12:00:00Z }\nchannels: [email]\ncontent: plain\n\
    experiment:\n  holdout: 20%\n  variants:\n  - { name: plain, share: 25% }\n  - { name: warm, share: 25%, content: warm }\n\
    \x20 - { name: other, share: 25%, subject: other, gift: { points: 7 } }\n  - { name: evening, share: 25%, send_at: \"18:30\" }\n\
    limits: { ceiling: 100000 }";

fn members(count: usize) -> String {
    let mut file = "external_id,email,email_consent,joined_at\n".to_owned();
    for n in 0..count {
        writeln!(file, "m{n},m{n}@example.com,true,2024-01-01T00:00:00Z").unwrap();
    }
    file
}

async fn shop(size: &Size, count: usize) -> Shop {
    let shop = Shop::new(size, PLAIN);
    shop.write("templates/plain/subject.txt", "Plain");
    shop.write("templates/plain/other.txt", "Another subject");
    shop.write(
        "templates/plain/email.html",
        "<html><body><p>From us{{#if gift}} {{gift.points}} points{{/if}}</p></body></html>",
    );
    shop.write("templates/warm/subject.txt", "Warm");
    shop.write("templates/warm/email.html", "<html><body><p>From all of us</p></body></html>");
    shop.campaign("letter", VARIANTS);
    shop.import(Kind::Members, members(count)).await;
    shop
}

fn by_arm(ledger: &[Listed]) -> BTreeMap<String, Vec<&Listed>> {
    let mut arms: BTreeMap<String, Vec<&Listed>> = BTreeMap::new();
    for row in ledger {
        arms.entry(row.arm.clone().unwrap_or_default()).or_default().push(row);
    }
    arms
}

pub async fn each_variant_says_and_brings_what_is_its_own(size: Size) {
    let shop = shop(&size, 200).await;
    let planned = shop.plan("2024-05-02T00:00:00Z", "2024-05-03T00:00:00Z").await;
    shop.once_between("2024-05-02T00:00:00Z", "2024-05-03T00:00:00Z").await;
    let ledger = shop.ledger().await;
    let (arms, mails) = (by_arm(&ledger), shop.mails());
    let names: Vec<&str> = arms.keys().map(String::as_str).collect();
    assert_eq!(names, ["evening", "holdout", "other", "plain", "warm"]);
    for (arm, subject, says, hour) in [
        ("plain", "Plain", "<p>From us</p>", 12.0),
        ("warm", "Warm", "<p>From all of us</p>", 12.0),
        ("other", "Another subject", "<p>From us 7 points</p>", 12.0),
        ("evening", "Plain", "<p>From us</p>", 18.5),
    ] {
        assert!((20..60).contains(&arms[arm].len()), "{arm}: {}", arms[arm].len());
        for row in &arms[arm] {
            let mail = &mails[&row.id.to_string()];
            assert!(mail.contains(&format!("Subject: {subject}\r\n")) && mail.contains(says), "{arm}: {mail}");
            let midnight = at("2024-05-02T00:00:00Z").timestamp_millis();
            let times = (row.assigned_at.unwrap(), row.due_at, row.sent_at.unwrap());
            let noon = midnight + 12 * 3_600_000;
            // All fall due and come to the question of their arm at the same time.
            assert_eq!(times, (noon, noon, midnight + (hour * 3_600_000.0) as i64), "{arm}");
        }
    }
    assert!(arms["holdout"].iter().all(|row| row.state == "held_out" && row.assigned_at.is_some()));
    let of_plan: BTreeSet<_> = planned.into_iter().map(|row| (row.member, row.arm)).collect();
    let of_ledger: BTreeSet<_> = ledger.iter().cloned().map(|row| (row.member, row.arm)).collect();
    assert_eq!(of_plan, of_ledger);
    looks(&shop, &arms).await;
    shop.close().await;
}

/// `explain` names the arm, and `preview` shows the member's own variant or the one that is asked for.
async fn looks(shop: &Shop, arms: &BTreeMap<String, Vec<&Listed>>) {
    let app = App::open(shop.settings(), Clock::simulated(at(NOON))).await.unwrap();
    let catalog = app.catalog().await.unwrap();
    let member = arms["warm"][0].member.clone();
    let explained = explain(&app.store, &catalog, &member, Some("letter"), at(NOON)).await.unwrap();
    assert_eq!(explained[0].messages[0].arm.as_deref(), Some("warm"));
    let campaign = &catalog.campaigns["letter"];
    let subject = async |variant: Option<&str>| {
        let wanted = Wanted { campaign, step: "main", variant, member: &member, channel: None, to: None };
        let shown: Result<preview::Preview, _> = preview(&app.store, &catalog, wanted, at(NOON)).await;
        shown.map(|shown| match shown.content {
            Content::Email { subject, .. } => subject,
            Content::Sms { .. } => panic!("an SMS"),
        })
    };
    assert_eq!(subject(None).await.unwrap(), "Warm");
    assert_eq!(subject(Some("other")).await.unwrap(), "Another subject");
    let error = subject(Some("wram")).await.unwrap_err().to_string();
    assert!(error.contains("`wram`") && error.contains("did you mean `warm`"), "{error}");
    app.store.close().await;
}

pub async fn a_choice_begins_a_run_and_leaves_the_arms_of_before(size: Size) {
    let shop = shop(&size, 120).await;
    // Those of the evening wait.
    shop.once(NOON).await;
    let choose = async |variant: &str| {
        let arms = r#"[["holdout",0.2],["warm",0.8]]"#;
        shop.write_store(async |tx| {
            assert!(configuration::choose(tx, "letter", variant, arms, at("2024-05-02T13:00:00Z")).await.unwrap());
        })
        .await;
    };
    choose("warm").await;
    shop.import(Kind::Members, members(240)).await;
    shop.once("2024-05-02T19:00:00Z").await;
    let ledger = shop.ledger().await;
    let runs: BTreeSet<_> = ledger.iter().map(|row| (row.run, row.arm.as_deref().unwrap())).collect();
    let expected = ["evening", "holdout", "other", "plain", "warm"].map(|arm| (Some(1), arm));
    assert_eq!(runs, expected.into_iter().chain([(Some(2), "holdout"), (Some(2), "warm")]).collect());
    let (arms, mails) = (by_arm(&ledger), shop.mails());
    for (arm, subject) in [("warm", "Warm"), ("evening", "Plain")] {
        let all = arms[arm].iter().all(|row| mails[&row.id.to_string()].contains(&format!("Subject: {subject}\r\n")));
        assert!(all, "{arm}");
    }
    // The same files applied again change nothing; another experiment ends the choice.
    shop.once("2024-05-02T20:00:00Z").await;
    let chosen = async || {
        let mut tx = shop.store().await.read().await.unwrap();
        let runs = rekindle::store::effect::runs(&mut tx, "letter").await.unwrap();
        runs.into_iter().map(|run| run.arms.len()).collect::<Vec<_>>()
    };
    assert_eq!(chosen().await, [5, 2]);
    shop.campaign("letter", &VARIANTS.replace("holdout: 20%", "holdout: 10%"));
    shop.once("2024-05-02T21:00:00Z").await;
    assert_eq!(chosen().await, [5, 2, 5]);
    shop.close().await;
}

pub async fn those_who_share_an_address_are_in_one_arm_and_count_once(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    shop.campaign(
        "hello",
        "trigger: { kind: welcome }\nchannels: [sms, email]\n\
         experiment: { holdout: 40%, holdout_by: address, goal: { event: purchase, within: 7d } }",
    );
    let mut file = "external_id,email,phone,email_consent,sms_consent,joined_at\n".to_owned();
    // Families of three with one telephone, of which one member has a mailbox only.
    for n in 0..300 {
        let phone = if n % 4 == 3 { String::new() } else { format!("+98912{:07}", n / 4) };
        writeln!(file, "m{n},M{n}@Example.com,{phone},true,true,2024-05-01T09:00:0{}Z", n % 4).unwrap();
    }
    shop.import(Kind::Members, file).await;
    shop.once_between("2024-05-01T00:00:00Z", "2024-05-02T00:00:00Z").await;
    let ledger = shop.ledger().await;
    let family = |row: &Listed| {
        let n: usize = row.member[1..].parse().unwrap();
        if n % 4 == 3 { format!("m{n}@example.com") } else { format!("+98912{:07}", n / 4) }
    };
    let mut arms: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for row in &ledger {
        arms.entry(family(row)).or_default().insert(row.arm.as_deref().unwrap());
    }
    assert!(arms.len() == 150 && arms.values().all(|arms| arms.len() == 1), "{arms:?}");
    // One order of each third member, within the week, and one after it.
    let mut orders = "order_id,member_external_id,purchased_at,amount,currency,status\n".to_owned();
    for n in (0..300).step_by(3) {
        writeln!(orders, "a{n},m{n},2024-05-04T09:00:00Z,{}.00,USD,paid", 10 + n).unwrap();
        writeln!(orders, "b{n},m{n},2024-05-20T09:00:00Z,99.00,USD,paid").unwrap();
    }
    shop.import(Kind::Purchases, orders).await;
    let found = effect(&shop, None).await;
    let mut spent: BTreeMap<&str, BTreeMap<String, f64>> = BTreeMap::new();
    for row in &ledger {
        let n: usize = row.member[1..].parse().unwrap();
        let sum = spent.entry(row.arm.as_deref().unwrap()).or_default().entry(family(row)).or_default();
        *sum += if n.is_multiple_of(3) { 10.0 + n as f64 } else { 0.0 };
    }
    for arm in &found.arms {
        let units = &spent[arm.arm.as_str()];
        let buyers = units.values().filter(|sum| **sum > 0.0).count() as i64;
        assert_eq!(
            (arm.members, arm.buyers, arm.revenue),
            (units.len() as i64, buyers, units.values().sum()),
            "{arm:?}"
        );
    }
    assert_eq!(found.arms.iter().map(|arm| arm.members).sum::<i64>(), 150);
    shop.close().await;
}

/// Of the campaign `hello`, or with names of all marketing.
async fn effect(shop: &Shop, marketing: Option<&[String]>) -> Effect {
    let now = at("2024-06-01T00:00:00Z");
    let app = App::open(shop.settings(), Clock::simulated(now)).await.unwrap();
    let catalog = app.catalog().await.unwrap();
    let whose = marketing.map_or_else(|| Whose::Campaign(&catalog.campaigns["hello"]), Whose::Brand);
    let mut tx = app.store.read().await.unwrap();
    let period = Period { from: None, to: now, at: now, run: None };
    let found = Effect::read(&mut tx, whose, &catalog.brand, period).await.unwrap();
    drop(tx);
    app.store.close().await;
    found
}

pub async fn the_brand_holds_members_out_of_all_marketing(size: Size) {
    let shop = Shop::new(&size, &PLAIN.replace(" }", ", holdout: 20% }"));
    shop.campaign("hello", "trigger: { kind: welcome }\nchannels: [email]\nexperiment: { holdout: 50% }");
    shop.campaign("news", "trigger: { kind: broadcast, at: 2024-05-02T12:00:00Z }\nchannels: [email]");
    shop.campaign("bill", "trigger: { kind: welcome }\nchannels: [email]\npurpose: service");
    let file = members(300).replace("2024-01-01", "2024-05-01");
    shop.import(Kind::Members, file).await;
    shop.once_between("2024-05-01T00:00:00Z", "2024-05-03T00:00:00Z").await;
    let ledger = shop.ledger().await;
    let out: BTreeSet<&str> = ledger
        .iter()
        .filter(|row| row.arm.as_deref() == Some("brand_holdout"))
        .map(|row| row.member.as_str())
        .collect();
    assert!((40..80).contains(&out.len()), "{}", out.len());
    for row in &ledger {
        let is_out = out.contains(row.member.as_str());
        let state = match (row.campaign.as_str(), is_out) {
            ("bill", _) => ("sent", None),
            (_, true) => ("held_out", Some("brand_holdout")),
            ("news", false) => ("sent", None),
            _ if row.arm.as_deref() == Some("holdout") => ("held_out", Some("holdout")),
            _ => ("sent", Some("treated")),
        };
        assert_eq!((row.state.as_str(), row.arm.as_deref()), state, "{row:?}");
    }
    let mut orders = "order_id,member_external_id,purchased_at,amount,currency,status\n".to_owned();
    for n in (0..300).step_by(2) {
        writeln!(orders, "a{n},m{n},2024-05-04T09:00:00Z,10.00,USD,paid").unwrap();
    }
    shop.import(Kind::Purchases, orders).await;
    // The campaign's comparison leaves them out; all marketing together is compared with them.
    let campaign = effect(&shop, None).await;
    assert_eq!(campaign.arms.iter().map(|arm| arm.members).sum::<i64>(), 300 - out.len() as i64);
    assert_eq!(campaign.arms.iter().map(|arm| arm.arm.as_str()).collect::<Vec<_>>(), ["holdout", "treated"]);
    let all = effect(&shop, Some(&["hello".to_owned(), "news".to_owned()])).await;
    let counts: Vec<_> = all.arms.iter().map(|arm| (arm.arm.as_str(), arm.members, arm.buyers)).collect();
    let bought =
        |is_out: bool| (0..300).step_by(2).filter(|n| out.contains(format!("m{n}").as_str()) == is_out).count() as i64;
    let held = out.len() as i64;
    assert_eq!(counts, [("brand_holdout", held, bought(true)), ("treated", 300 - held, bought(false))]);
    assert_eq!((all.campaign, all.run, all.comparisons.len()), (None, Some(1), 1));
    shop.close().await;
}

/// 1,200 members welcomed in two variants, of which one brings four orders where the other brings one.
pub async fn the_better_variant_is_chosen_when_its_time_has_come(size: Size) {
    let shop = shop(&size, 0).await;
    let text = |decide: &str| {
        format!(
            "trigger: {{ kind: welcome }}\nchannels: [email]\ncontent: plain\nlimits: {{ ceiling: 100000 }}\nexperiment:\n  \
             goal: {{ event: purchase, within: 3d }}\n  variants: [{{ name: plain }}, {{ name: warm, content: warm }}]\n  {decide}"
        )
    };
    shop.campaign("letter", "trigger: { kind: welcome }\nchannels: [email]\ncontent: plain\nstatus: draft");
    shop.campaign("hello", &text("decide: { after: 10d, by: buyers }"));
    let joined = |names: std::ops::Range<usize>, at: &str| {
        let mut file = "external_id,email,email_consent,joined_at\n".to_owned();
        for n in names {
            writeln!(file, "m{n},m{n}@example.com,true,{at}").unwrap();
        }
        file
    };
    shop.import(Kind::Members, joined(0..1_200, &day(2, "09:00:00"))).await;
    shop.once(&day(2, "09:10:00")).await;
    let ledger = shop.ledger().await;
    let arms = by_arm(&ledger);
    assert!(arms["plain"].len() > 500 && arms["warm"].len() > 500);
    let mut orders = "order_id,member_external_id,purchased_at,amount,currency\n".to_owned();
    for (arm, one_of) in [("plain", 12), ("warm", 3)] {
        for row in arms[arm].iter().step_by(one_of) {
            writeln!(orders, "o-{0},{0},{1},100000,USD", row.member, day(3, "10:00:00")).unwrap();
        }
    }
    shop.import_at(Kind::Purchases, orders, &day(12, "00:00:00")).await.unwrap();
    let decide = async |now: &str| {
        let app = shop.app(at(now)).await;
        let found = deciding::pass(&app.store, app.applied(None).await.unwrap().as_ref(), at(now)).await.unwrap();
        app.store.close().await;
        found.into_iter().map(|one| (one.campaign, one.run, one.winner)).collect::<Vec<_>>()
    };
    assert_eq!(decide(&day(12, "09:09:00")).await, [], "ten days from the first assignment on");
    // By itself in the night after, once; the same by `status`.
    let app = shop.app(at(&day(13, "03:00:00"))).await;
    let catalog = app.applied(None).await.unwrap();
    let night = nightly::work(&app.store, &catalog, app.clock.now(), &mut |_| {}).await.unwrap();
    assert_eq!(night.decided.len(), 1);
    assert_eq!(night.decided[0].winner.as_deref(), Some("warm"));
    let mut tx = app.store.read().await.unwrap();
    assert_eq!(deciding::latest(&mut tx, &catalog).await.unwrap(), night.decided);
    tx.commit().await.unwrap();
    app.store.close().await;
    drop(app);
    assert_eq!(decide(&day(14, "03:00:00")).await, [], "it is decided");
    shop.import(Kind::Members, joined(2_000..2_040, &day(14, "09:00:00"))).await;
    shop.once(&day(14, "09:10:00")).await;
    let later = shop.ledger().await.into_iter().filter(|row| row.member.starts_with("m20") && row.member.len() == 5);
    let later: BTreeSet<_> = later.map(|row| (row.arm, row.run)).collect();
    assert_eq!(later, BTreeSet::from([(Some("warm".to_owned()), Some(2))]));
    // Where no one is better than the other, nothing changes, and that is said each night.
    shop.campaign("hello", &text("decide: { after: 10d, by: revenue }").replace("name: plain", "name: first"));
    shop.import(Kind::Members, joined(3_000..3_400, &day(15, "09:00:00"))).await;
    shop.once(&day(15, "09:10:00")).await;
    for now in [day(26, "03:00:00"), day(27, "03:00:00")] {
        assert_eq!(decide(&now).await, [("hello".to_owned(), 3, None)]);
    }
    shop.close().await;
}
