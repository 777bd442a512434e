//! What becomes of messages when campaigns, members and clocks change under them. `changes_contract!`
//! makes the tests; each gets a [`Size`] with nothing in it.

#![allow(dead_code, reason = "each test target uses a part of it")]

use std::sync::Mutex;

use chrono::Duration;
use rekindle::dispatcher::BATCH;
use rekindle::import::Kind;
use rekindle::store::erasure;
use rekindle::store::messages::Listed;

use crate::pipeline_contract::{EVENING, HEAD, MORNING, QUIET, WELCOME, erase, row, waiting};
use crate::support::contract::contract;
use crate::support::fates::fates;
use crate::support::generated::Generated;
use crate::support::naive::{Pass, evaluate};
use crate::support::seed;
use crate::support::shop::{Dice, PLAIN, Shop, Size, assert_same, at, sorted, without};

contract! {
    changes_contract:
    a_campaign_under_another_name_is_another_one
    a_new_send_at_is_for_what_has_no_row_yet
    a_new_delay_is_for_what_falls_due_from_the_cursor_on
    a_step_that_is_added_reaches_what_falls_due_from_now_on
    a_step_that_is_gone_ends_its_messages
    a_wider_audience_calls_nobody_back_who_does_not_change
    a_narrower_audience_holds_for_what_is_not_sent
    a_campaign_that_was_paused_in_its_file_goes_on_from_its_cursor
    a_campaign_that_is_paused_by_command_is_scanned_all_the_same
    a_member_in_another_zone_has_each_occasion_once
    a_member_of_another_calendar_has_no_second_birthday
    a_corrected_birth_date_counts_until_there_is_a_message
    everything_imported_again_changes_nothing
    a_member_who_was_deleted_and_comes_back_gets_what_is_new
    after_an_outage_of_weeks_each_campaign_does_what_its_lateness_says
    a_clock_that_is_set_back_sends_nothing_twice
}

/// `member campaign step due state` of every message, in the order of `due`.
async fn dues(shop: &Shop) -> Vec<String> {
    let line = |row: &Listed| {
        let due = chrono::DateTime::from_timestamp_millis(row.due_at).unwrap().format("%m-%dT%H:%M");
        let fate = row.reason.as_deref().unwrap_or(&row.state);
        format!("{due} {} {} {} {fate}", row.member, row.campaign, row.step)
    };
    sorted(shop.ledger().await.iter().map(line).collect())
}

async fn join(shop: &Shop, members: &[(&str, &str)]) {
    let rows: String = members.iter().map(|(id, joined)| row(id, joined)).collect();
    shop.import(Kind::Members, HEAD.to_owned() + &rows).await;
}

// ---- campaigns -------------------------------------------------------------------------------

pub async fn a_campaign_under_another_name_is_another_one(size: Size) {
    let shop = Shop::new(&size, QUIET);
    // Without `starts_at` it begins when it is first applied.
    let named = |name: &str| {
        let text =
            format!("name: {name}\nstatus: live\nchannels: [email]\ncontent: note\ntrigger: {{ kind: welcome }}\n");
        shop.write("campaigns/hello.yaml", text);
    };
    named("hello");
    shop.once("2024-05-01T12:00:00Z").await;
    join(&shop, &[("day", "2024-05-01T13:00:00Z"), ("night", "2024-05-01T22:00:00Z")]).await;
    shop.once("2024-05-01T14:00:00Z").await;
    shop.once(EVENING).await;
    named("welcome");
    shop.once(MORNING).await;
    join(&shop, &[("new", "2024-05-02T09:00:00Z")]).await;
    shop.once("2024-05-02T10:00:00Z").await;
    assert_eq!(
        shop.states().await,
        ["day hello main sent -", "new welcome main sent -", "night hello main cancelled campaign_ended"]
    );
    shop.close().await;
}

pub async fn a_new_send_at_is_for_what_has_no_row_yet(size: Size) {
    let shop = waiting(&size, WELCOME).await;
    shop.campaign("night", "trigger: { kind: welcome }\nschedule: { send_at: \"12:00\" }");
    join(&shop, &[("m2", "2024-05-02T07:30:00Z")]).await;
    shop.once(MORNING).await;
    assert_eq!(dues(&shop).await, ["05-01T22:00 m1 night main sent"], "it waited for the morning, not for noon");
    shop.once("2024-05-02T12:00:00Z").await;
    shop.once("2024-05-03T12:00:00Z").await;
    assert_eq!(dues(&shop).await, ["05-01T22:00 m1 night main sent", "05-02T12:00 m2 night main sent"]);
    shop.close().await;
}

pub async fn a_new_delay_is_for_what_falls_due_from_the_cursor_on(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    let delayed = |delay: &str| shop.campaign("hello", &format!("trigger: {{ kind: welcome, delay: {delay} }}"));
    join(&shop, &[("sent", "2024-05-01T10:00:00Z"), ("later", "2024-05-02T10:00:00Z")]).await;
    join(&shop, &[("behind", "2024-05-05T08:00:00Z"), ("ahead", "2024-05-05T09:30:00Z")]).await;
    delayed("1d");
    shop.once("2024-05-02T11:00:00Z").await;
    // Longer: who has a message gets no second one.
    delayed("3d");
    shop.once("2024-05-04T10:00:00Z").await;
    shop.once("2024-05-05T10:00:00Z").await;
    let expected = ["05-02T10:00 sent hello main sent", "05-05T10:00 later hello main sent"];
    assert_eq!(dues(&shop).await, expected);
    // Shorter: what would have fallen due before the cursor did not.
    delayed("1h");
    shop.once("2024-05-05T12:00:00Z").await;
    let expected = [expected[0], expected[1], "05-05T10:30 ahead hello main sent"];
    assert_eq!(dues(&shop).await, expected);
    shop.close().await;
}

pub async fn a_step_that_is_added_reaches_what_falls_due_from_now_on(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    shop.campaign("hello", WELCOME);
    join(&shop, &[("old", "2024-05-01T10:00:00Z"), ("new", "2024-05-05T10:00:00Z")]).await;
    for now in ["2024-05-01T10:00:00Z", "2024-05-05T10:00:00Z"] {
        shop.once(now).await;
    }
    shop.campaign("hello", "trigger: { kind: welcome }\nsteps: [{ id: again, after: 3d, content: note }]");
    for now in ["2024-05-06T10:00:00Z", "2024-05-08T10:00:00Z", "2024-05-20T10:00:00Z"] {
        shop.once(now).await;
    }
    let expected =
        ["05-01T10:00 old hello main sent", "05-05T10:00 new hello main sent", "05-08T10:00 new hello again sent"];
    assert_eq!(dues(&shop).await, expected);
    shop.close().await;
}

pub async fn a_step_that_is_gone_ends_its_messages(size: Size) {
    let shop = Shop::new(&size, QUIET);
    shop.campaign("hello", "trigger: { kind: welcome }\nsteps: [{ id: again, after: 12h, content: note }]");
    join(&shop, &[("m1", "2024-05-01T10:30:00Z")]).await;
    shop.once("2024-05-01T11:00:00Z").await;
    shop.once(EVENING).await;
    assert_eq!(shop.states().await, ["m1 hello again planned -", "m1 hello main sent -"]);
    shop.campaign("hello", WELCOME);
    shop.once(MORNING).await;
    assert_eq!(shop.states().await, ["m1 hello again cancelled campaign_ended", "m1 hello main sent -"]);
    shop.close().await;
}

pub async fn a_wider_audience_calls_nobody_back_who_does_not_change(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    let with = |audience: &str| {
        shop.campaign("hello", &format!("trigger: {{ kind: welcome }}\n{audience}"));
        let letter = "trigger: { kind: broadcast, at: 2024-05-02T10:00:00Z }\n";
        shop.campaign("letter", &format!("{letter}{audience}"));
    };
    with("audience: { field: points, gte: 10 }");
    let head = "external_id,email,email_consent,joined_at,points\n";
    let poor = |id: &str, points: u8| format!("{id},{id}@example.com,true,2024-05-02T09:00:00Z,{points}\n");
    shop.import(Kind::Members, head.to_owned() + &poor("stays", 1) + &poor("moves", 1)).await;
    shop.once("2024-05-02T11:00:00Z").await;
    let outside = ["moves hello main skipped outside_audience", "stays hello main skipped outside_audience"];
    assert_eq!(shop.states().await, outside, "a letter leaves no row");
    with("audience: { field: points, gte: 1 }");
    shop.once("2024-05-02T12:00:00Z").await;
    assert_eq!(shop.states().await, outside);
    // Who changes is looked at with the eyes of now.
    shop.import(Kind::Members, head.to_owned() + &poor("moves", 2)).await;
    shop.once("2024-05-02T13:00:00Z").await;
    assert_eq!(shop.states().await, ["moves hello main sent -", "moves letter main sent -", outside[1]]);
    shop.close().await;
}

pub async fn a_narrower_audience_holds_for_what_is_not_sent(size: Size) {
    let shop = waiting(&size, WELCOME).await;
    shop.campaign("night", "trigger: { kind: welcome }\naudience: { field: tier, eq: silver }");
    shop.once(MORNING).await;
    assert_eq!(shop.states().await, ["m1 night main skipped outside_audience"]);
    shop.close().await;
}

const FIVE_DAYS: [(&str, &str); 5] = [
    ("d1", "2024-05-01T10:00:00Z"),
    ("d2", "2024-05-02T10:00:00Z"),
    ("d3", "2024-05-03T10:00:00Z"),
    ("d4", "2024-05-04T10:00:00Z"),
    ("d5", "2024-05-05T10:00:00Z"),
];

/// A day is the default for being late.
const RESUMED_ON_THE_FIFTH: [&str; 5] = [
    "05-01T10:00 d1 hello main sent",
    "05-02T10:00 d2 hello main too_late",
    "05-03T10:00 d3 hello main too_late",
    "05-04T10:00 d4 hello main sent",
    "05-05T10:00 d5 hello main sent",
];

pub async fn a_campaign_that_was_paused_in_its_file_goes_on_from_its_cursor(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    join(&shop, &FIVE_DAYS).await;
    shop.campaign("hello", "trigger: { kind: welcome }\nstarts_at: 2024-05-01T00:00:00Z");
    shop.once("2024-05-01T10:00:00Z").await;
    shop.campaign("hello", "trigger: { kind: welcome }\nstarts_at: 2024-05-01T00:00:00Z\nstatus: paused");
    for (_, now) in &FIVE_DAYS[1..4] {
        shop.once(now).await;
    }
    assert_eq!(dues(&shop).await, RESUMED_ON_THE_FIFTH[..1], "nobody looks");
    shop.campaign("hello", "trigger: { kind: welcome }\nstarts_at: 2024-05-01T00:00:00Z");
    shop.once(FIVE_DAYS[4].1).await;
    assert_eq!(dues(&shop).await, RESUMED_ON_THE_FIFTH);
    shop.close().await;
}

pub async fn a_campaign_that_is_paused_by_command_is_scanned_all_the_same(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    join(&shop, &FIVE_DAYS).await;
    shop.campaign("hello", WELCOME);
    shop.once("2024-05-01T10:00:00Z").await;
    shop.pause("hello", true).await;
    for (_, now) in &FIVE_DAYS[1..4] {
        shop.once(now).await;
    }
    let waiting = dues(&shop).await.into_iter().filter(|line| line.ends_with("planned")).count();
    assert_eq!(waiting, 3);
    shop.pause("hello", false).await;
    shop.once(FIVE_DAYS[4].1).await;
    assert_eq!(dues(&shop).await, RESUMED_ON_THE_FIFTH);
    shop.close().await;
}

// ---- members ---------------------------------------------------------------------------------

/// A birthday at nine in the morning from May 2024 on.
const BIRTHDAY: &str = "trigger: { kind: birthday }\nschedule: { send_at: \"09:00\" }\nstarts_at: 2024-05-01T00:00:00Z";

async fn born(shop: &Shop, rows: &[&str]) {
    let head = "external_id,email,email_consent,birth_date,timezone,calendar\n";
    let cell = |row: &&str| row.replacen(',', ",a@example.com,true,", 1) + "\n";
    shop.import(Kind::Members, head.to_owned() + &rows.iter().map(cell).collect::<String>()).await;
}

pub async fn a_member_in_another_zone_has_each_occasion_once(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    shop.campaign("cake", BIRTHDAY);
    born(&shop, &["west,1990-05-10,Asia/Tehran,", "east,1990-05-10,America/New_York,"]).await;
    shop.once("2024-05-10T05:30:00Z").await;
    shop.once("2024-05-10T06:00:00Z").await;
    assert_eq!(dues(&shop).await, ["05-10T05:30 west cake main sent"]);
    // Nine in the morning is still to come for one, and over for the other.
    born(&shop, &["west,1990-05-10,America/New_York,", "east,1990-05-10,Asia/Tehran,"]).await;
    for now in ["2024-05-10T07:00:00Z", "2024-05-10T13:00:00Z", "2024-05-11T13:00:00Z"] {
        shop.once(now).await;
    }
    assert_eq!(dues(&shop).await, ["05-10T05:30 east cake main sent", "05-10T05:30 west cake main sent"]);
    shop.close().await;
}

pub async fn a_member_of_another_calendar_has_no_second_birthday(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    shop.campaign("cake", BIRTHDAY);
    // 11 Khordad 1369, which is 31 May in 2024.
    born(&shop, &["m1,1990-06-01,UTC,persian"]).await;
    shop.once("2024-05-31T09:00:00Z").await;
    born(&shop, &["m1,1990-06-01,UTC,gregorian"]).await;
    shop.once("2024-06-01T09:00:00Z").await;
    assert_eq!(dues(&shop).await, ["05-31T09:00 m1 cake main sent", "06-01T09:00 m1 cake main already_greeted"]);
    shop.close().await;
}

pub async fn a_corrected_birth_date_counts_until_there_is_a_message(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    shop.campaign("cake", BIRTHDAY);
    born(&shop, &["before,1990-05-10,,", "after,1990-05-10,,", "past,1990-05-20,,", "long-past,1990-05-20,,"]).await;
    shop.once("2024-05-09T12:00:00Z").await;
    born(&shop, &["before,1990-05-12,,"]).await;
    shop.once("2024-05-10T12:00:00Z").await;
    born(&shop, &["after,1990-05-13,,", "past,1990-05-11,,", "long-past,1990-05-08,,"]).await;
    for now in ["2024-05-11T12:00:00Z", "2024-05-12T12:00:00Z", "2024-05-13T12:00:00Z", "2024-05-20T12:00:00Z"] {
        shop.once(now).await;
    }
    assert_eq!(
        dues(&shop).await,
        [
            "05-08T09:00 long-past cake main too_late",
            "05-10T09:00 after cake main sent",
            "05-11T09:00 past cake main sent",
            "05-12T09:00 before cake main sent",
        ]
    );
    shop.close().await;
}

/// Some members with every trigger.
const FROM: &str = "2024-03-05T00:00:00Z";
const DAYS: u64 = 8;
const SOME: usize = 60;

fn after(days: i64) -> String {
    (at(FROM) + Duration::days(days)).to_rfc3339()
}

/// All that the ledger says, a message a line.
fn lines(ledger: &[Listed]) -> Vec<String> {
    sorted(ledger.iter().map(|row| format!("{row:?}")).collect())
}

pub async fn everything_imported_again_changes_nothing(size: Size) {
    let generated = Generated::new(SOME, seed(88), FROM, DAYS);
    let shop = generated.shop(&size).await;
    for day in [0, 3, DAYS as i64] {
        shop.once(&after(day)).await;
    }
    let ledger = shop.ledger().await;
    assert!(ledger.len() > 10 * SOME, "{}", ledger.len());
    let again = [
        shop.import(Kind::Members, &generated.members).await,
        shop.import(Kind::Purchases, &generated.purchases).await,
    ];
    assert_eq!(again.map(|imported| (imported.inserted, imported.updated)), [(0, 0); 2]);
    shop.once(&after(DAYS as i64)).await;
    assert_same("imported again", &lines(&shop.ledger().await), &lines(&ledger));
    // Where every row differs in something that no campaign asks for, all is looked at, and is there.
    let ids: String = (0..SOME).map(|n| format!("m{n},1\n")).collect();
    assert_eq!(shop.import(Kind::Members, format!("external_id,attributes.seen\n{ids}")).await.updated, SOME as u64);
    shop.once(&after(DAYS as i64)).await;
    let again = shop.ledger().await;
    assert_eq!(again.len(), ledger.len());
    // Only who was outside the audience can have come in meanwhile.
    let changed = without(&lines(&ledger), &lines(&again));
    assert!(changed.iter().all(|line| line.contains("outside_audience")), "{changed:#?}");
    shop.close().await;
}

pub async fn a_member_who_was_deleted_and_comes_back_gets_what_is_new(size: Size) {
    let shop = waiting(&size, "trigger: { kind: post_purchase }").await;
    let order = async |id: &str, at: &str| {
        let head = "order_id,member_external_id,purchased_at,amount\n";
        shop.import(Kind::Purchases, format!("{head}{id},m1,2024-05-{at}:00Z,10\n")).await;
    };
    let readmit = async || shop.write_store(async |tx| assert!(erasure::readmit(tx, "m1").await.unwrap())).await;
    erase(&shop, "m1").await;
    shop.once(MORNING).await;
    let nobody = "05-01T22:00 erased:1 night main member_deleted";
    assert_eq!(dues(&shop).await, [nobody]);
    order("meanwhile", "02T08:30").await;
    shop.once("2024-05-02T09:00:00Z").await;
    assert_eq!(dues(&shop).await, [nobody], "nobody looks at a deleted member");
    readmit().await;
    join(&shop, &[("m1", "2024-05-01T22:00:00Z")]).await;
    order("new", "02T10:00").await;
    shop.once("2024-05-02T11:00:00Z").await;
    // What had ended stays so, and of what happened in between nothing was stored.
    let back = ["05-01T22:00 m1 night main member_deleted", "05-02T10:00 m1 night main sent"];
    assert_eq!(dues(&shop).await, back);
    erase(&shop, "m1").await;
    readmit().await;
    join(&shop, &[("m1", "2024-05-01T22:00:00Z")]).await;
    shop.once("2024-05-02T12:00:00Z").await;
    assert_eq!(dues(&shop).await, back, "and no second time");
    shop.close().await;
}

// ---- time ------------------------------------------------------------------------------------

pub async fn after_an_outage_of_weeks_each_campaign_does_what_its_lateness_says(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    let rules = [("skip", "skip", 1), ("day", "{ send_within: 24h }", 24), ("days", "{ send_within: 10d }", 240)];
    for (name, late, _) in rules {
        shop.campaign(name, &format!("{WELCOME}\nlimits: {{ late: {late} }}\nstarts_at: 2024-05-01"));
    }
    shop.campaign("always", &format!("{WELCOME}\nlimits: {{ late: always }}\nstarts_at: 2024-05-01"));
    let begin = at("2024-05-01T00:00:00Z");
    shop.once(&begin.to_rfc3339()).await;
    // Somebody joins every half hour of the three weeks.
    let (count, half_hours) = (3 * 7 * 48, |n: usize| begin + Duration::minutes(30 * (n as i64 + 1)));
    let rows: String = (0..count).map(|n| row(&format!("m{n}"), &half_hours(n).to_rfc3339())).collect();
    shop.import(Kind::Members, HEAD.to_owned() + &rows).await;
    let app = shop.app(half_hours(count - 1)).await;
    let told = Mutex::new(vec![0]);
    let note = |passed: &rekindle::app::Passed| told.lock().unwrap().push(passed.queued + passed.ended);
    app.once(&note).await.unwrap();
    app.store.close().await;
    let told = told.into_inner().unwrap();
    let most = told.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(0 < most && most <= BATCH as u64, "{most} at a time");
    let ledger = shop.ledger().await;
    assert_eq!(ledger.len(), 4 * count);
    for (name, _, hours) in rules.into_iter().chain([("always", "", 24 * 21)]) {
        let sent = ledger.iter().filter(|row| row.campaign == name && row.state == "sent");
        let due: Vec<i64> = sorted(sent.map(|row| row.due_at).collect());
        // The last that is not too late fell due exactly so long ago.
        let expected = (0..count).map(half_hours).filter(|at| half_hours(count - 1) - *at <= Duration::hours(hours));
        assert_eq!(due, expected.map(|at| at.timestamp_millis()).collect::<Vec<_>>(), "{name}");
    }
    let reasons: std::collections::BTreeSet<_> = ledger.iter().filter_map(|row| row.reason.as_deref()).collect();
    assert_eq!(reasons.into_iter().collect::<Vec<_>>(), ["too_late"]);
    shop.close().await;
}

pub async fn a_clock_that_is_set_back_sends_nothing_twice(size: Size) {
    let generated = Generated::new(SOME, seed(99), FROM, DAYS);
    let shop = generated.shop(&size).await;
    let mut dice = Dice(seed(99));
    let end = at(FROM) + Duration::days(DAYS as i64);
    for _ in 0..10 {
        let now = at(FROM) + Duration::minutes(dice.below(DAYS * 24 * 60) as i64);
        shop.once(&now.to_rfc3339()).await;
    }
    shop.once(&end.to_rfc3339()).await;
    let ledger = shop.ledger().await;
    for row in &ledger {
        assert_eq!(row.attempts, i64::from(row.state == "sent"), "{row:?}");
    }
    let sent = |channel: &str| {
        ledger.iter().filter(|row| row.state == "sent" && row.channel.as_deref() == Some(channel)).count()
    };
    assert_eq!((shop.mails().len(), shop.sms().len()), (sent("email"), sent("sms")));
    assert!(sent("email") + sent("sms") > SOME && sent("sms") > 0, "{} mails, {} SMS", sent("email"), sent("sms"));
    // And nothing is lost: the messages are those of one pass at the end.
    let pass = [Pass::At(end.timestamp_millis())];
    let keys = |fates: Vec<crate::support::shop::Sent>| {
        sorted(fates.into_iter().map(|(member, campaign, step, _, due)| (member, campaign, step, due)).collect())
    };
    let expected = crate::support::fates::expected_fates(&evaluate(&generated.world(), &pass));
    assert_same("the messages", &keys(fates(&ledger, &pass)), &keys(expected));
    shop.close().await;
}
