//! What campaigns do at their start, around dates of members and after purchases: on every size the
//! plan and the run agree, and each message is due when it should be. `launching_contract!` makes the
//! tests; each gets a [`Size`] with nothing in it.

#![allow(dead_code, reason = "each test target uses a part of it")]

use std::fmt::Write as _;

use rekindle::import::Kind;

use crate::support::contract::contract;
use crate::support::shop::{PLAIN, Shop, Size, at, sorted};

contract! {
    launching_contract:
    an_attribute_that_is_a_date_has_its_day_and_its_returns
    the_first_purchase_returns_every_year
    a_date_is_forgotten_with_its_attribute
    an_order_counts_from_its_delivery
    an_order_is_chosen_by_what_it_holds
    orders_close_together_are_one_occasion
    an_order_that_comes_in_late_before_another_takes_its_occasion_over
    an_order_is_not_thanked_for_where_one_close_to_it_was
    a_broadcast_is_spread_by_member
    what_lay_before_the_start_is_taken_up_some_each_day
    what_was_taken_up_is_frozen_and_planned
    a_window_takes_up_what_lay_before_a_start_inside_it
    who_came_back_is_not_taken_up
    who_is_taken_up_must_be_in_the_audience_when_it_is_due
    a_campaign_that_was_scanned_already_takes_nothing_up
    messages_of_later_days_do_not_count_for_the_ceiling
}

/// Imports members with an address; `rows` are `id,…` with the cells of the columns `more`.
async fn members(shop: &Shop, more: &str, rows: &[&str]) {
    let mut file = format!("external_id,email,email_consent{more}\n");
    for row in rows {
        let (id, rest) = row.split_at(row.find(',').unwrap_or(row.len()));
        writeln!(file, "{id},{id}@example.com,true{rest}").unwrap();
    }
    shop.import(Kind::Members, file).await;
}

async fn orders(shop: &Shop, rows: &[&str]) {
    let head = "order_id,member_external_id,purchased_at,amount,status,delivered_at,items\n";
    shop.import(Kind::Purchases, format!("{head}{}\n", rows.join("\n"))).await;
}

/// `member campaign step due_at state reason` of every message, by due instant and member.
async fn ledger(shop: &Shop) -> Vec<String> {
    let rows = shop.ledger().await.into_iter().map(|row| {
        let due = rekindle::domain::instant(row.due_at).format("%Y-%m-%dT%H:%M");
        let reason = row.reason.unwrap_or_else(|| "-".to_owned());
        format!("{due} {} {} {} {} {reason}", row.member, row.campaign, row.step, row.state)
    });
    sorted(rows.collect())
}

/// The plan of a window and a run over it send the same, and so many messages.
async fn agree(shop: &Shop, from: &str, to: &str, count: usize) {
    let planned = shop.planned(from, to).await;
    shop.once_between(from, to).await;
    assert_eq!(shop.sent_between(from, to).await, planned);
    assert_eq!(planned.len(), count, "{planned:?}");
}

// ---- dates -----------------------------------------------------------------------------------

pub async fn an_attribute_that_is_a_date_has_its_day_and_its_returns(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    let field = "field: attributes.renewal";
    shop.campaign("once", &format!("trigger: {{ kind: date, {field}, days_before: 10 }}"));
    shop.campaign("yearly", &format!("trigger: {{ kind: date, {field}, every: year }}"));
    shop.campaign("returns", "trigger: { kind: anniversary, of: attributes.renewal, years: [1, 3] }");
    let rows = ["a,2024-02-29,gregorian", "b,1402/12/10,persian", "c,soon,gregorian", "d,,persian"];
    members(&shop, ",attributes.renewal,calendar", &rows).await;
    agree(&shop, "2024-01-01T00:00:00Z", "2027-04-01T00:00:00Z", 2 + 8 + 4).await;
    let found = ledger(&shop).await;
    let of = |member: &str, campaign: &str| -> Vec<String> {
        let word = format!(" {member} {campaign} ");
        found.iter().filter(|line| line.contains(&word)).map(|line| line[..10].to_owned()).collect()
    };
    assert_eq!(of("a", "once"), ["2024-02-19"]);
    assert_eq!(of("a", "yearly"), ["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28"]);
    assert_eq!(of("a", "returns"), ["2025-02-28", "2027-02-28"]);
    // 10 Esfand 1402 is 29 February 2024; 1403 is a leap year of the Persian calendar, at its end.
    assert_eq!(of("b", "once"), ["2024-02-19"]);
    assert_eq!(of("b", "yearly"), ["2024-02-29", "2025-02-28", "2026-03-01", "2027-03-01"]);
    assert_eq!(of("b", "returns"), ["2025-02-28", "2027-03-01"]);
    shop.close().await;
}

pub async fn the_first_purchase_returns_every_year(size: Size) {
    let shop =
        Shop::new(&size, "{ name: Shop, timezone: Asia/Tehran, locale: en, base_url: \"https://shop.example\" }");
    shop.campaign("thanks", "trigger: { kind: anniversary, of: first_purchase }");
    members(&shop, "", &["a", "b"]).await;
    // The evening of UTC is the next day in Tehran.
    let first = ["o1,a,2023-05-01T22:00:00Z,10,paid,,", "o2,a,2023-05-01T10:00:00Z,10,cancelled,,"];
    orders(&shop, &first).await;
    orders(&shop, &["o3,a,2023-09-01T10:00:00Z,10,paid,,", "o4,b,2023-03-01T10:00:00Z,10,cancelled,,"]).await;
    agree(&shop, "2024-01-01T00:00:00Z", "2024-12-31T00:00:00Z", 1).await;
    assert_eq!(ledger(&shop).await, ["2024-05-01T20:30 a thanks main sent -"]);
    // The first one is cancelled: the second is the first.
    orders(&shop, &["o1,a,2023-05-01T22:00:00Z,10,refunded,,"]).await;
    agree(&shop, "2025-01-01T00:00:00Z", "2025-12-31T00:00:00Z", 1).await;
    assert!(ledger(&shop).await.contains(&"2025-08-31T20:30 a thanks main sent -".to_owned()));
    shop.close().await;
}

pub async fn a_date_is_forgotten_with_its_attribute(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    shop.campaign("renew", "trigger: { kind: date, field: attributes.renewal }");
    members(&shop, ",attributes.renewal", &["a,2024-05-01", "b,2024-05-01", "c,2024-05-01", "d,2024-05-01"]).await;
    members(&shop, ",attributes.renewal", &["a,", "b,never", "c,2024-05-02"]).await;
    members(&shop, ",attributes.other", &["d,x"]).await;
    agree(&shop, "2024-04-01T00:00:00Z", "2024-06-01T00:00:00Z", 2).await;
    let expected = ["2024-05-01T00:00 d renew main sent -", "2024-05-02T00:00 c renew main sent -"];
    assert_eq!(ledger(&shop).await, expected);
    shop.close().await;
}

// ---- purchases -------------------------------------------------------------------------------

pub async fn an_order_counts_from_its_delivery(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    shop.campaign("all", "trigger: { kind: post_purchase, from: delivered_at, delay: 1d }");
    shop.campaign("first", "trigger: { kind: post_purchase, from: delivered_at, orders: first }");
    members(&shop, "", &["a", "b"]).await;
    orders(
        &shop,
        &[
            "o1,a,2024-05-01T10:00:00Z,10,paid,2024-05-09T10:00:00Z,",
            "o2,a,2024-05-02T10:00:00Z,10,paid,2024-05-03T10:00:00Z,",
            "o3,b,2024-05-02T10:00:00Z,10,paid,,",
        ],
    )
    .await;
    shop.once("2024-05-04T12:00:00Z").await;
    // The delivery becomes known with a later import.
    orders(&shop, &["o3,b,2024-05-02T10:00:00Z,10,paid,2024-05-04T08:00:00Z,"]).await;
    shop.once("2024-05-20T00:00:00Z").await;
    let expected = [
        "2024-05-04T08:00 b first main skipped too_late",
        "2024-05-04T10:00 a all main sent -",
        "2024-05-05T08:00 b all main skipped too_late",
        "2024-05-09T10:00 a first main skipped too_late",
        "2024-05-10T10:00 a all main skipped too_late",
    ];
    assert_eq!(ledger(&shop).await, expected);
    shop.close().await;
}

pub async fn an_order_is_chosen_by_what_it_holds(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    let campaign = |name: &str, keys: &str| shop.campaign(name, &format!("trigger: {{ kind: post_purchase, {keys} }}"));
    campaign("item", "items: [AB-1, zz]");
    campaign("category", "categories: [Shoes]");
    campaign("both", "items: [ab-1], categories: [hats]");
    members(&shop, "", &["a"]).await;
    orders(
        &shop,
        &[
            "o1,a,2024-05-01T10:00:00Z,10,paid,,shoes/ab-1 x2; tea",
            "o2,a,2024-05-02T10:00:00Z,10,paid,,AB-1;HATS/cap x1",
            "o3,a,2024-05-03T10:00:00Z,10,paid,,shoes/ab-12",
            "o4,a,2024-05-04T10:00:00Z,10,paid,,",
        ],
    )
    .await;
    agree(&shop, "2024-05-01T00:00:00Z", "2024-06-01T00:00:00Z", 5).await;
    let expected = [
        "2024-05-01T10:00 a category main sent -",
        "2024-05-01T10:00 a item main sent -",
        "2024-05-02T10:00 a both main sent -",
        "2024-05-02T10:00 a item main sent -",
        "2024-05-03T10:00 a category main sent -",
    ];
    assert_eq!(ledger(&shop).await, expected);
    shop.close().await;
}

const THANKS: &str = "trigger: { kind: post_purchase, delay: 30h, min_amount: 5 }\ncollapse: 1d";

pub async fn orders_close_together_are_one_occasion(size: Size) {
    let shop = Shop::new(&size, &PLAIN.replace(" }", ", currency: USD }"));
    shop.campaign("thanks", THANKS);
    members(&shop, "", &["a", "b"]).await;
    orders(
        &shop,
        &[
            "o1,a,2024-05-01T10:00:00Z,10,paid,,",
            "o2,a,2024-05-02T09:00:00Z,10,paid,,",
            "o3,a,2024-05-03T08:00:00Z,10,paid,,",
            // A whole day after the last of them: another occasion, and a cancelled order is none.
            "o4,a,2024-05-03T20:00:00Z,10,cancelled,,",
            "o5,a,2024-05-04T08:00:00Z,10,paid,,",
            // Of one instant, the first by its id; it is too small, and the others are not asked.
            "p1,b,2024-05-01T10:00:00Z,3,paid,,",
            "p2,b,2024-05-01T10:00:00Z,10,paid,,",
        ],
    )
    .await;
    agree(&shop, "2024-05-01T00:00:00Z", "2024-06-01T00:00:00Z", 2).await;
    let expected = ["2024-05-02T16:00 a thanks main sent -", "2024-05-05T14:00 a thanks main sent -"];
    assert_eq!(ledger(&shop).await, expected);
    shop.close().await;
}

pub async fn an_order_that_comes_in_late_before_another_takes_its_occasion_over(size: Size) {
    let shop = Shop::new(
        &size,
        "{ name: Shop, timezone: UTC, locale: en, base_url: \"https://shop.example\", \
        quiet_hours: \"21:00-08:00\", currency: USD }",
    );
    shop.campaign("thanks", "trigger: { kind: post_purchase }\ncollapse: 1d");
    members(&shop, "", &["a"]).await;
    orders(&shop, &["o2,a,2024-05-01T22:00:00Z,10,paid,,"]).await;
    shop.once("2024-05-01T22:30:00Z").await;
    assert_eq!(ledger(&shop).await, ["2024-05-01T22:00 a thanks main planned -"]);
    orders(&shop, &["o1,a,2024-05-01T21:00:00Z,10,paid,,"]).await;
    shop.once("2024-05-02T08:00:00Z").await;
    let expected = ["2024-05-01T21:00 a thanks main sent -", "2024-05-01T22:00 a thanks main skipped collapsed"];
    assert_eq!(ledger(&shop).await, expected);
    shop.close().await;
}

pub async fn an_order_is_not_thanked_for_where_one_close_to_it_was(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    shop.campaign("thanks", "trigger: { kind: post_purchase }\ncollapse: 1d\nlimits: { late: always }");
    members(&shop, "", &["a", "b"]).await;
    orders(&shop, &["o2,a,2024-05-01T12:00:00Z,10,paid,,", "p1,b,2024-05-01T12:00:00Z,10,paid,,"]).await;
    orders(&shop, &["p2,b,2024-05-01T13:00:00Z,10,paid,,"]).await;
    shop.once("2024-05-01T12:30:00Z").await;
    // An earlier order comes late, and the one that was thanked for is cancelled: neither is thanked for again.
    orders(&shop, &["o1,a,2024-05-01T11:00:00Z,10,paid,,", "p1,b,2024-05-01T12:00:00Z,10,cancelled,,"]).await;
    shop.once("2024-05-01T14:00:00Z").await;
    let expected = [
        "2024-05-01T11:00 a thanks main skipped collapsed",
        "2024-05-01T12:00 a thanks main sent -",
        "2024-05-01T12:00 b thanks main sent -",
        "2024-05-01T13:00 b thanks main skipped collapsed",
    ];
    assert_eq!(ledger(&shop).await, expected);
    shop.close().await;
}

// ---- the start -------------------------------------------------------------------------------

pub async fn a_broadcast_is_spread_by_member(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    shop.campaign(
        "letter",
        "trigger: { kind: broadcast, at: \"2024-05-01\" }\nspread: 4h\nschedule: { send_at: \"09:00\" }\n\
         steps: [{ id: again, after: 1d, content: note }]",
    );
    let ids: Vec<String> = (0..50).map(|n| format!("m{n}")).collect();
    members(&shop, "", &ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    agree(&shop, "2024-05-01T00:00:00Z", "2024-05-05T00:00:00Z", 100).await;
    let begun = at("2024-05-01T09:00:00Z").timestamp_millis();
    let mut parts = Vec::new();
    for row in shop.ledger().await {
        if row.step == "main" {
            let part = rekindle::domain::experiment::part_of(chrono::Duration::hours(4), "letter", &row.member);
            assert_eq!(row.due_at, begun + part.num_milliseconds(), "{}", row.member);
            parts.push(row.due_at - begun);
        } else {
            // The day after, at the next nine o'clock.
            assert_eq!(row.due_at, begun + 2 * 86_400_000, "{}", row.member);
        }
    }
    let hour = 3_600_000;
    assert!((0..4).all(|n| parts.iter().any(|part| (n * hour..(n + 1) * hour).contains(part))), "{parts:?}");
    shop.close().await;
}

/// Six members whose orders lie before the campaign's start, on 1 May 2024 at noon.
async fn lapsed(size: &Size, more: &str) -> Shop {
    let shop = Shop::new(size, PLAIN);
    shop.campaign(
        "back",
        &format!(
            "trigger: {{ kind: at_risk, after: 60d }}\nstarts_at: 2024-05-01T12:00:00Z\n\
             backfill: {{ up_to: 90d, per_day: 2 }}\nsteps: [{{ id: again, after: 3d, content: note }}]\n{more}"
        ),
    );
    members(&shop, "", &["a", "b", "c", "d", "e", "f"]).await;
    orders(
        &shop,
        &[
            "o1,a,2024-02-01T10:00:00Z,10,paid,,",
            "o2,b,2024-02-01T10:00:00Z,10,paid,,",
            "o3,c,2024-02-20T10:00:00Z,10,paid,,",
            // Earlier lapses of the same member are over.
            "o4,d,2023-12-20T10:00:00Z,10,paid,,",
            "o5,d,2024-02-25T10:00:00Z,10,paid,,",
            // Longer ago than the campaign looks back.
            "o6,e,2023-11-01T10:00:00Z,10,paid,,",
            // Not yet at risk when it starts.
            "o7,f,2024-03-04T10:00:00Z,10,paid,,",
        ],
    )
    .await;
    shop
}

const TAKEN_UP: [&str; 5] = [
    "2024-05-01T12:00 c back main",
    "2024-05-01T12:00 d back main",
    "2024-05-02T12:00 a back main",
    "2024-05-02T12:00 b back main",
    "2024-05-03T10:00 f back main",
];

/// Member and due instant of the first steps that were sent.
async fn first_steps(shop: &Shop) -> Vec<String> {
    let main = ledger(shop).await.into_iter().filter(|line| line.contains(" main sent "));
    main.map(|line| line.trim_end_matches(" sent -").to_owned()).collect()
}

pub async fn what_lay_before_the_start_is_taken_up_some_each_day(size: Size) {
    let shop = lapsed(&size, "").await;
    assert_eq!(shop.once("2024-05-01T11:45:00Z").await.planned, 0, "it has not begun");
    let passed = shop.once("2024-05-01T12:00:00Z").await;
    assert_eq!((passed.planned, passed.outcomes, passed.waiting), (8, 2, 6));
    for now in ["2024-05-02T12:00:00Z", "2024-05-03T12:00:00Z", "2024-05-04T12:00:00Z", "2024-05-05T12:00:00Z"] {
        shop.once(now).await;
    }
    assert_eq!(first_steps(&shop).await, TAKEN_UP);
    let again: Vec<String> = ledger(&shop).await.into_iter().filter(|line| line.contains("again sent")).collect();
    let expected = [
        "2024-05-04T12:00 c back again sent -",
        "2024-05-04T12:00 d back again sent -",
        "2024-05-05T12:00 a back again sent -",
        "2024-05-05T12:00 b back again sent -",
    ];
    assert_eq!(again, expected);
    shop.close().await;
}

pub async fn what_was_taken_up_is_frozen_and_planned(size: Size) {
    let shop = lapsed(&size, "schedule: { send_at: \"09:00\" }").await;
    let window = ("2024-05-02T00:00:00Z", "2024-05-12T00:00:00Z");
    shop.once("2024-05-01T12:00:00Z").await;
    // Who arrives later is left alone; who buys is no longer at risk.
    members(&shop, "", &["z"]).await;
    orders(&shop, &["o8,z,2024-02-10T10:00:00Z,10,paid,,", "o9,a,2024-05-01T18:00:00Z,10,paid,,"]).await;
    shop.once("2024-05-01T13:00:00Z").await;
    let due: Vec<String> = shop.ledger().await.iter().map(|row| row.member.clone()).collect();
    assert!(!due.contains(&"z".to_owned()));
    let planned = shop.plan(window.0, window.1).await;
    assert!(planned.iter().any(|planned| planned.member == "a" && planned.reason.is_some()));
    // c, d and b of those taken up, f of the ordinary ones; twice each.
    agree(&shop, window.0, window.1, 8).await;
    shop.close().await;
}

pub async fn a_window_takes_up_what_lay_before_a_start_inside_it(size: Size) {
    let shop = lapsed(&size, "").await;
    agree(&shop, "2024-04-20T00:00:00Z", "2024-05-20T00:00:00Z", 10).await;
    assert_eq!(first_steps(&shop).await, TAKEN_UP);
    shop.close().await;
    if size.store.starts_with("postgres") {
        return;
    }
    // A window after the start, of a campaign that has never been anywhere.
    let shop = lapsed(&size, "").await;
    agree(&shop, "2024-05-02T12:00:00Z", "2024-05-20T00:00:00Z", 8).await;
    shop.close().await;
}

pub async fn who_came_back_is_not_taken_up(size: Size) {
    let shop = lapsed(&size, "").await;
    orders(&shop, &["o10,c,2024-05-01T11:59:59Z,10,paid,,", "o11,d,2024-05-01T12:00:00Z,10,paid,,"]).await;
    // d bought when it began: taken up, and policy ends it.
    agree(&shop, "2024-05-01T12:00:00Z", "2024-05-20T00:00:00Z", 6).await;
    let expected = ["2024-05-01T12:00 a back main", "2024-05-02T12:00 b back main", "2024-05-03T10:00 f back main"];
    assert_eq!(first_steps(&shop).await, expected);
    shop.close().await;
}

pub async fn who_is_taken_up_must_be_in_the_audience_when_it_is_due(size: Size) {
    let shop = lapsed(&size, "audience: { field: tier, eq: gold }").await;
    members(&shop, ",tier", &["c,gold", "a,silver", "b,gold"]).await;
    shop.once("2024-05-01T12:00:00Z").await;
    members(&shop, ",tier", &["a,gold", "b,silver"]).await;
    agree(&shop, "2024-05-01T12:00:01Z", "2024-05-20T00:00:00Z", 3).await;
    // d was in no audience, but has a place among the first two all the same.
    assert_eq!(first_steps(&shop).await, ["2024-05-01T12:00 c back main", "2024-05-02T12:00 a back main"]);
    shop.close().await;
}

pub async fn a_campaign_that_was_scanned_already_takes_nothing_up(size: Size) {
    let shop = lapsed(&size, "").await;
    let rest = "trigger: { kind: at_risk, after: 60d }\nstarts_at: 2024-05-01T12:00:00Z\n";
    shop.campaign("back", rest);
    shop.once("2024-05-01T13:00:00Z").await;
    shop.campaign("back", &format!("{rest}backfill: {{ up_to: 90d, per_day: 2 }}\n"));
    assert_eq!(shop.once("2024-05-01T14:00:00Z").await.planned, 0);
    agree(&shop, "2024-05-02T00:00:00Z", "2024-05-20T00:00:00Z", 1).await;
    shop.close().await;
}

pub async fn messages_of_later_days_do_not_count_for_the_ceiling(size: Size) {
    let shop = lapsed(&size, "limits: { ceiling: 2 }").await;
    assert_eq!(shop.once("2024-05-01T12:00:00Z").await.outcomes, 2, "the other days' messages do not hold it");
    assert_eq!(shop.once("2024-05-02T12:00:00.001Z").await.outcomes, 2);
    shop.close().await;
}
