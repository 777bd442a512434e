//! What occasions, days of rest and shared addresses mean for the whole pipeline, on every size.
//! `days_contract!` makes the tests; each gets a [`Size`] with nothing in it.

#![allow(dead_code, reason = "each test target uses a part of it")]

use rekindle::import::Kind;
use rekindle::scheduler;
use rekindle::store::messages::Listed;

use crate::pipeline_contract::{HEAD, QUIET, row};
use crate::support::contract::contract;
use crate::support::shop::{PLAIN, Sent, Shop, Size, assert_same, at, sorted};

contract! {
    days_contract:
    an_occasion_begins_at_each_members_own_midnight
    an_occasion_finds_who_comes_later_and_leaves_no_row_outside_the_audience
    a_blackout_defers_marketing_to_the_first_free_morning
    a_blackout_that_skips_ends_marketing_and_no_service_message
    a_weekend_defers_or_skips_as_the_brand_says
    the_frequency_cap_holds_for_a_shared_address
    a_scan_between_the_hours_of_all_zones_looks_at_nobody
}

/// Nowruz is on 20 March 2024, a Wednesday.
const DAYS: &str = "occasions:\n\
    \x20 - { name: nowruz, every_year: { calendar: persian, date: 01-01 } }\n\
    \x20 - { name: mourning, dates: [2024-05-02, 1403-02-14], blackout: true }\n";

/// A shop with these days and members from one end of the world to the other.
async fn around_the_world(size: &Size, brand: &str) -> Shop {
    let shop = Shop::new(size, brand);
    shop.write("occasions/days.yaml", DAYS);
    let zones = ["Pacific/Kiritimati", "Asia/Tehran", "", "America/New_York", "Etc/GMT+12"];
    let rows = zones.iter().enumerate().map(|(n, zone)| format!("m{n},m{n}@example.com,true,{zone}\n"));
    let head = "external_id,email,email_consent,timezone\n".to_owned();
    shop.import(Kind::Members, head + &rows.collect::<String>()).await;
    shop
}

pub async fn an_occasion_begins_at_each_members_own_midnight(size: Size) {
    let shop = around_the_world(&size, PLAIN).await;
    shop.campaign("spring", "trigger: { kind: occasion, occasion: nowruz }\nstarts_at: 2024-01-01");
    shop.campaign("early", "trigger: { kind: occasion, occasion: nowruz, days_before: 3 }\nstarts_at: 2024-01-01");
    let midnights = ["19T10:00", "19T20:30", "20T00:00", "20T04:00", "20T12:00"];
    let three_days_before = ["16T10:00", "16T20:30", "17T00:00", "17T04:00", "17T12:00"];
    let due = |campaign: &str, dues: [&str; 5]| -> Vec<Sent> {
        let row = |(n, due): (usize, &str)| {
            let due = at(&format!("2024-03-{due}:00Z")).timestamp_millis();
            (format!("m{n}"), campaign.to_owned(), "main".to_owned(), "email".to_owned(), due)
        };
        dues.into_iter().enumerate().map(row).collect()
    };
    let expected = sorted([due("spring", midnights), due("early", three_days_before)].concat());
    let (from, to) = ("2024-03-01T00:00:00Z", "2025-03-01T00:00:00Z");
    assert_same("the plan", &shop.planned(from, to).await, &expected);
    // Scans of a few hours each find every one of them once.
    for scan in 0..24 {
        let now = at("2024-03-16T00:00:00Z") + chrono::Duration::hours(scan * 5);
        shop.once(&now.to_rfc3339()).await;
    }
    assert_same("what was sent", &shop.sent_between(from, to).await, &expected);
    let ledger = shop.ledger().await;
    assert_eq!(ledger.len(), expected.len());
    assert!(ledger.iter().all(|row| row.occasion == "2024-03-20"));
    // The next year it is on another day.
    shop.once("2025-03-21T12:00:00Z").await;
    assert!(shop.ledger().await.iter().any(|row| row.campaign == "spring" && row.occasion == "2025-03-21"));
    shop.close().await;
}

pub async fn an_occasion_finds_who_comes_later_and_leaves_no_row_outside_the_audience(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    shop.write("occasions/days.yaml", DAYS);
    shop.campaign(
        "spring",
        "trigger: { kind: occasion, occasion: nowruz }\nstarts_at: 2024-01-01\naudience: { field: tier, eq: gold }",
    );
    let row = |id: &str, tier: &str| format!("{HEAD}{}", row(id, "").replace(",gold,", &format!(",{tier},")));
    shop.import(Kind::Members, row("in", "gold")).await;
    shop.import(Kind::Members, row("out", "silver")).await;
    shop.once("2024-03-20T00:00:00Z").await;
    assert_eq!(shop.states().await, ["in spring main sent -"]);
    // One comes in time, one too late, and one into the audience.
    shop.import(Kind::Members, row("new", "gold")).await;
    shop.once("2024-03-20T12:00:00Z").await;
    shop.import(Kind::Members, row("late", "gold")).await;
    shop.import(Kind::Members, row("out", "gold")).await;
    shop.once("2024-03-21T12:00:00Z").await;
    let expected = [
        "in spring main sent -",
        "late spring main skipped too_late",
        "new spring main sent -",
        "out spring main skipped too_late",
    ];
    assert_eq!(shop.states().await, expected);
    shop.close().await;
}

/// When each message went out, and what became of the others.
async fn times(shop: &Shop) -> Vec<String> {
    let line = |row: Listed| {
        let time = |at: i64| rekindle::domain::instant(at).format("%m-%dT%H:%M").to_string();
        let end = row.sent_at.map_or(row.reason.unwrap_or(row.state), time);
        format!("{} {} {end}", row.member, row.campaign)
    };
    sorted(shop.ledger().await.into_iter().map(line).collect())
}

pub async fn a_blackout_defers_marketing_to_the_first_free_morning(size: Size) {
    // 2 and 3 May 2024 are days of mourning; the fourth is a Saturday.
    let shop = around_the_world(&size, QUIET).await;
    shop.campaign("letter", "trigger: { kind: broadcast, at: 2024-05-02T10:00 }\nlimits: { late: skip }");
    shop.campaign("night", "trigger: { kind: broadcast, at: 2024-05-01T22:00 }\nlimits: { late: skip }");
    shop.campaign("order", "trigger: { kind: broadcast, at: 2024-05-02T10:00 }\npurpose: service");
    let (from, to) = ("2024-05-01T00:00:00Z", "2024-05-03T00:00:00Z");
    let mut planned: Vec<String> = shop
        .plan(from, to)
        .await
        .into_iter()
        .map(|p| format!("{} {} {}", p.member, p.campaign, p.next_at.format("%m-%dT%H:%M")))
        .collect();
    planned.sort();
    shop.once_between(from, to).await;
    let mut expected = Vec::new();
    // Eight in the morning of the fourth, and ten of the second, on each clock.
    let mornings = ["03T18:00", "04T04:30", "04T08:00", "04T12:00", "04T20:00"];
    let tens = ["01T20:00", "02T06:30", "02T10:00", "02T14:00", "02T22:00"];
    for n in 0..5 {
        expected.push(format!("m{n} letter 05-{}", mornings[n]));
        expected.push(format!("m{n} night 05-{}", mornings[n]));
        expected.push(format!("m{n} order 05-{}", tens[n]));
    }
    assert_eq!(planned, sorted(expected.clone()), "the plan");
    assert_eq!(times(&shop).await, sorted(expected));
    shop.close().await;
}

pub async fn a_blackout_that_skips_ends_marketing_and_no_service_message(size: Size) {
    let brand = QUIET.replace(" }", ", rest: { blackouts: skip } }");
    let shop = Shop::new(&size, &brand);
    shop.write("occasions/days.yaml", DAYS);
    shop.campaign("letter", "trigger: { kind: broadcast, at: 2024-05-02T10:00:00Z }");
    shop.campaign("order", "trigger: { kind: broadcast, at: 2024-05-02T10:00:00Z }\npurpose: service");
    // At night it waits for a morning, and that morning is one on which nothing is sent.
    shop.campaign("night", "trigger: { kind: broadcast, at: 2024-05-01T22:00:00Z }");
    shop.import(Kind::Members, HEAD.to_owned() + &row("m1", "")).await;
    for now in ["2024-05-01T22:00:00Z", "2024-05-02T07:59:00Z", "2024-05-02T08:00:00Z", "2024-05-02T10:00:00Z"] {
        shop.once(now).await;
    }
    let expected = ["m1 letter main skipped rest_day", "m1 night main skipped rest_day", "m1 order main sent -"];
    assert_eq!(shop.states().await, expected);
    shop.close().await;
}

pub async fn a_weekend_defers_or_skips_as_the_brand_says(size: Size) {
    // Saturday 4 May 2024; in English the weekend is Saturday and Sunday, in Persian it is Friday.
    for (more, locale, expected) in [
        (", rest: { weekends: defer }", "en", "05-06T08:00"),
        ("", "en", "05-04T10:00"),
        (", rest: { weekends: defer }", "fa", "05-04T10:00"),
        (", rest: { weekends: defer }, weekend: [saturday]", "fa", "05-05T08:00"),
        (", rest: { weekends: skip }", "en", "rest_day"),
        (", rest: { weekends: skip }, weekend: []", "en", "05-04T10:00"),
    ] {
        let brand = QUIET.replace("locale: en", &format!("locale: {locale}")).replace(" }", &format!("{more} }}"));
        let shop = Shop::new(&size, &brand);
        shop.campaign("letter", "trigger: { kind: broadcast, at: 2024-05-04T10:00:00Z }");
        shop.import(Kind::Members, HEAD.to_owned() + &row("m1", "")).await;
        shop.once_between("2024-05-04T00:00:00Z", "2024-05-05T00:00:00Z").await;
        assert_eq!(times(&shop).await, [format!("m1 letter {expected}")], "{more} {locale}");
        shop.close().await;
        if size.store.starts_with("postgres") {
            return;
        }
    }
}

pub async fn the_frequency_cap_holds_for_a_shared_address(size: Size) {
    let brand = PLAIN.replace(" }", ", frequency_cap: { messages: 2, per: 7d } }");
    let shop = Shop::new(&size, &brand);
    // All joined at ten o'clock. (Of a broadcast an address has one anyway.)
    let after = |name: &str, delay: &str, rest: &str| {
        shop.campaign(name, &format!("trigger: {{ kind: welcome, delay: {delay} }}\n{rest}"));
    };
    after("free", "0s", "channels: [sms]\nlimits: { frequency_cap: exempt }");
    after("mail", "0s", "channels: [email]");
    after("text", "1h", "channels: [sms]\naudience: { field: tier, eq: gold }");
    after("turn", "1d", "channels: [sms]");
    after("week", "169h", "channels: [sms]");
    // Two who share a number, three who share a mailbox, and one alone; who goes first of equals is
    // not who was imported first.
    let head = "joined_at,external_id,email,phone,email_consent,sms_consent,tier\n";
    let rows = [
        "b2,b@Example.com,+989123333333,true,true,",
        "b3,B@EXAMPLE.com,+989124444444,true,true,",
        "a2,a2@example.com,+989121111111,true,true,",
        "b1,B@example.com,+989122222222,true,true,",
        "a1,a1@example.com,+989121111111,true,true,gold",
        "c1,c@example.com,+989125555555,true,true,gold",
    ];
    let rows: String = rows.map(|row| format!("2024-05-02T10:00:00Z,{row}\n")).concat();
    shop.import(Kind::Members, head.to_owned() + &rows).await;
    let (from, to) = ("2024-05-02T00:00:00Z", "2024-05-10T00:00:00Z");
    let skipped = [
        // A letter and a text of their own.
        "a1 turn main skipped frequency_cap",
        // Within a week the number had `turn` for a2, and now `week` for a1: one batch.
        "a2 week main skipped frequency_cap",
        // The third letter to one mailbox, in whatever case it is written.
        "b3 mail main skipped frequency_cap",
        // Two of their own, by either channel.
        "c1 turn main skipped frequency_cap",
    ];
    let planned = shop.plan(from, to).await.into_iter();
    let planned = planned.filter_map(|p| Some(format!("{} {} {} skipped {}", p.member, p.campaign, p.step, p.reason?)));
    let planned = planned.filter(|line| !line.ends_with("outside_audience"));
    assert_eq!(sorted(planned.collect()), skipped, "the plan knows it");
    shop.once_between(from, to).await;
    let states = shop.states().await.into_iter();
    let ended = states.filter(|line| !line.ends_with("sent -") && !line.ends_with("outside_audience"));
    assert_eq!(ended.collect::<Vec<_>>(), skipped);
    shop.close().await;
}

pub async fn a_scan_between_the_hours_of_all_zones_looks_at_nobody(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    shop.campaign("birthday", "trigger: { kind: birthday }\nschedule: { send_at: \"09:00\" }");
    let members = "external_id,email,email_consent,birth_date,timezone\nhome,h@example.com,true,1990-05-02,\n\
        tokyo,t@example.com,true,1990-05-02,Asia/Tokyo\nkiritimati,k@example.com,true,1990-05-02,Pacific/Kiritimati\n\
        niue,n@example.com,true,1990-05-02,Pacific/Niue\n";
    shop.import(Kind::Members, members).await;
    let app = shop.app(at("2024-05-01T12:00:00Z")).await;
    let catalog = app.applied(None).await.unwrap();
    let mut looked = Vec::new();
    for quarter in 0..=160 {
        let until = at("2024-05-01T12:00:00Z") + chrono::Duration::minutes(15 * quarter);
        app.clock.set(until);
        let scanned = scheduler::scan(&app.store, &catalog, &app.clock, until).await.unwrap();
        if quarter > 0 && scanned.candidates > 0 {
            looked.push((until.format("%d %H:%M").to_string(), scanned.inserted));
        }
    }
    let hours = ["01 19:00", "01 20:00", "02 00:00", "02 09:00", "02 19:00", "02 20:00", "03 00:00"];
    let inserted = [1, 0, 1, 1, 0, 1, 0];
    let expected: Vec<_> = hours.iter().map(|hour| (*hour).to_owned()).zip(inserted).collect();
    assert_eq!(looked, expected);
    app.store.close().await;
    shop.close().await;
}
