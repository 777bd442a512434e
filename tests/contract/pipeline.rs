//! What the whole pipeline must do on every size: end each message it does not send with the
//! reason, and stop when it is told to. `pipeline_contract!` makes the tests; each gets a [`Size`]
//! with nothing in it.

#![allow(dead_code, reason = "each test target uses a part of it")]

use rekindle::domain::experiment::position;
use rekindle::import::Kind;
use rekindle::store::erasure;

use crate::support::contract::contract;
use crate::support::shop::{PLAIN, Shop, Size, at};

contract! {
    pipeline_contract:
    a_second_pass_sends_nothing
    a_member_who_left_the_audience_gets_nothing
    a_member_who_comes_into_the_audience_gets_what_is_not_too_late
    a_member_who_bought_again_is_not_at_risk
    a_reminder_that_a_purchase_ends_is_not_sent_after_one
    a_message_that_could_not_go_in_time_is_too_late
    a_second_greeting_within_half_a_year_is_not_sent
    a_member_without_an_address_gets_nothing
    a_member_who_takes_consent_back_gets_nothing
    a_suppressed_address_gets_nothing
    a_member_of_the_control_group_gets_nothing
    the_frequency_cap_keeps_the_more_important_messages
    where_the_cap_leaves_room_for_one_the_preferred_channel_has_it
    a_cancelled_order_is_not_thanked_for
    a_campaign_that_ended_or_is_gone_sends_nothing_more
    a_deleted_member_gets_nothing
    a_message_that_cannot_be_rendered_fails_alone
    a_paused_campaign_holds_its_messages_until_it_is_resumed
    a_campaign_that_is_paused_in_its_file_holds_its_messages
    after_a_long_pause_lateness_decides
    pausing_everything_holds_everything
    above_its_ceiling_a_campaign_sends_nothing_until_it_is_approved
    what_went_out_in_a_day_counts_for_the_ceiling
    a_redirect_gets_everything
    a_late_order_is_thanked_for_if_it_is_not_too_late
    an_import_clears_and_keeps_the_same_on_every_database
}

// ---- reasons ---------------------------------------------------------------------------------

/// UTC, silent at night.
pub const QUIET: &str = "{ name: Shop, timezone: UTC, locale: en, base_url: \"https://shop.example\", \
    quiet_hours: \"21:00-08:00\", currency: USD }";

pub const HEAD: &str = "external_id,email,phone,first_name,email_consent,sms_consent,tier,joined_at\n";
pub const EVENING: &str = "2024-05-01T22:30:00Z";
pub const MORNING: &str = "2024-05-02T08:00:00Z";

pub fn row(id: &str, joined: &str) -> String {
    format!("{id},{id}@example.com,+989121234567,Sara,true,true,gold,{joined}\n")
}

/// A shop in which a message to `m1` waits for the morning.
pub async fn waiting(size: &Size, campaign: &str) -> Shop {
    waiting_for("m1", size, campaign).await
}

async fn waiting_for(member: &str, size: &Size, campaign: &str) -> Shop {
    let shop = Shop::new(size, QUIET);
    shop.campaign("night", campaign);
    shop.import(Kind::Members, HEAD.to_owned() + &row(member, "2024-05-01T22:00:00Z")).await;
    shop.import(
        Kind::Purchases,
        format!("order_id,member_external_id,purchased_at,amount\no1,{member},2024-05-01T22:00:00Z,10\n"),
    )
    .await;
    shop.once(EVENING).await;
    assert_eq!(shop.states().await, [format!("{member} night main planned -")], "it waits for the morning");
    shop
}

/// It ended so, and nothing went out.
async fn ended(shop: Shop, now: &str, state_and_reason: &str) {
    shop.once(now).await;
    let states = shop.states().await;
    assert!(states.iter().all(|line| line.ends_with(state_and_reason)), "{states:?}, not {state_and_reason}");
    assert!(!states.is_empty() && shop.mails().is_empty() && shop.sms().is_empty(), "nothing went out");
    shop.close().await;
}

pub const WELCOME: &str = "trigger: { kind: welcome }";

pub async fn a_member_who_left_the_audience_gets_nothing(size: Size) {
    let shop = waiting(&size, "trigger: { kind: welcome }\naudience: { field: tier, eq: gold }").await;
    shop.import(Kind::Members, "external_id,tier\nm1,bronze\n").await;
    ended(shop, MORNING, "skipped outside_audience").await;
}

pub async fn a_member_who_comes_into_the_audience_gets_what_is_not_too_late(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    shop.campaign("gold", "trigger: { kind: welcome }\naudience: { field: tier, eq: gold }");
    let silver = |id: &str, joined: &str| row(id, joined).replace("gold", "silver");
    let members = silver("new", "2024-05-02T10:00:00Z") + &silver("old", "2024-04-01T10:00:00Z");
    shop.import(Kind::Members, HEAD.to_owned() + &members).await;
    shop.once("2024-05-02T12:00:00Z").await;
    assert_eq!(
        shop.states().await,
        ["new gold main skipped outside_audience", "old gold main skipped outside_audience"]
    );
    shop.import(Kind::Members, "external_id,tier\nnew,gold\nold,gold\n").await;
    shop.once("2024-05-02T13:00:00Z").await;
    assert_eq!(shop.states().await, ["new gold main sent -", "old gold main skipped too_late"]);
    shop.close().await;
}

pub async fn a_member_who_bought_again_is_not_at_risk(size: Size) {
    let shop = Shop::new(&size, QUIET);
    shop.campaign("risk", "trigger: { kind: at_risk, after: 10d }");
    shop.import(Kind::Members, HEAD.to_owned() + &row("m1", "2024-01-01T00:00:00Z")).await;
    let head = "order_id,member_external_id,purchased_at,amount\n";
    shop.import(Kind::Purchases, format!("{head}o1,m1,2024-04-21T22:00:00Z,10\n")).await;
    shop.once(EVENING).await;
    assert_eq!(shop.states().await, ["m1 risk main planned -"]);
    shop.import(Kind::Purchases, format!("{head}o2,m1,2024-05-02T07:00:00Z,10\n")).await;
    ended(shop, MORNING, "skipped goal_reached").await;
}

pub async fn a_reminder_that_a_purchase_ends_is_not_sent_after_one(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    shop.campaign(
        "hello",
        "trigger: { kind: welcome }\nsteps: [{ id: reminder, after: 2d, unless: [goal], content: note }]",
    );
    let members = ["bought", "stayed", "earlier"].map(|id| row(id, "2024-05-01T10:00:00Z")).concat();
    shop.import(Kind::Members, HEAD.to_owned() + &members).await;
    shop.import(
        Kind::Purchases,
        "order_id,member_external_id,purchased_at,amount,status\n\
         o1,bought,2024-05-02T10:00:00Z,10,paid\no2,earlier,2024-05-01T09:00:00Z,10,paid\n\
         o3,stayed,2024-05-02T10:00:00Z,10,refunded\n",
    )
    .await;
    shop.once("2024-05-01T10:00:00Z").await;
    shop.once("2024-05-03T10:00:00Z").await;
    assert_eq!(
        shop.states().await,
        [
            "bought hello main sent -",
            "bought hello reminder skipped goal_reached",
            "earlier hello main sent -",
            "earlier hello reminder sent -",
            "stayed hello main sent -",
            "stayed hello reminder sent -",
        ]
    );
    shop.close().await;
}

pub async fn a_message_that_could_not_go_in_time_is_too_late(size: Size) {
    let shop = waiting(&size, "trigger: { kind: welcome }\nlimits: { late: { send_within: 12h } }").await;
    // Twelve hours count from the end of the quiet hours.
    ended(shop, "2024-05-02T20:00:01Z", "skipped too_late").await;
}

pub async fn a_second_greeting_within_half_a_year_is_not_sent(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    shop.campaign("birthday", "trigger: { kind: birthday }\nstarts_at: 2024-12-01T00:00:00Z");
    let head = "external_id,email,email_consent,birth_date,calendar\n";
    shop.import(Kind::Members, format!("{head}moved,a@example.com,true,1990-12-30,gregorian\n")).await;
    shop.once("2024-12-30T09:00:00Z").await;
    assert_eq!(shop.states().await, ["moved birthday main sent -"]);
    // The date was wrong by a few days, across the end of the year: another occasion.
    shop.import(Kind::Members, format!("{head}moved,a@example.com,true,1990-01-04,gregorian\n")).await;
    shop.once("2025-01-04T09:00:00Z").await;
    assert_eq!(shop.states().await, ["moved birthday main sent -", "moved birthday main skipped already_greeted"]);
    // A year after the one that was sent is a greeting again.
    shop.once("2026-01-04T09:00:00Z").await;
    let sent = shop.states().await.iter().filter(|line| line.ends_with("sent -")).count();
    assert_eq!(sent, 2);
    shop.close().await;
}

pub async fn a_member_without_an_address_gets_nothing(size: Size) {
    let shop = waiting(&size, WELCOME).await;
    shop.import(Kind::Members, "external_id,email,phone\nm1,,\n").await;
    ended(shop, MORNING, "skipped no_address").await;
}

pub async fn a_member_who_takes_consent_back_gets_nothing(size: Size) {
    let shop = waiting(&size, WELCOME).await;
    shop.import(Kind::Members, "external_id,email_consent,sms_consent\nm1,false,false\n").await;
    ended(shop, MORNING, "skipped no_consent").await;
}

pub async fn a_suppressed_address_gets_nothing(size: Size) {
    let shop = waiting(&size, WELCOME).await;
    shop.import(Kind::Suppressions, "address,purpose\nM1@EXAMPLE.COM,marketing\n+989121234567,\n").await;
    ended(shop, MORNING, "skipped suppressed").await;
}

pub async fn a_member_of_the_control_group_gets_nothing(size: Size) {
    let held = (0..).map(|n| format!("m{n}")).find(|id| position("night", id) < 0.1).unwrap();
    let shop = waiting_for(&held, &size, "trigger: { kind: welcome }\nexperiment: { holdout: 10% }").await;
    ended(shop, MORNING, "held_out held_out").await;
}

pub async fn the_frequency_cap_keeps_the_more_important_messages(size: Size) {
    let brand = PLAIN.replace(" }", ", frequency_cap: { messages: 2, per: 7d } }");
    let shop = Shop::new(&size, &brand);
    let broadcast = |name: &str, limits: &str| {
        shop.campaign(name, &format!("trigger: {{ kind: broadcast, at: 2024-05-02T10:00:00Z }}\nlimits: {limits}"));
    };
    broadcast("a", "{}");
    broadcast("b", "{ priority: 1 }");
    broadcast("c", "{ priority: 2 }");
    broadcast("d", "{ frequency_cap: exempt }");
    shop.campaign("next", "trigger: { kind: broadcast, at: 2024-05-09T09:59:59Z }");
    shop.campaign("week", "trigger: { kind: broadcast, at: 2024-05-09T10:00:00Z }");
    shop.import(Kind::Members, HEAD.to_owned() + &row("m1", "")).await;
    for now in ["2024-05-02T10:00:00Z", "2024-05-09T09:59:59Z", "2024-05-09T10:00:00Z"] {
        shop.once(now).await;
    }
    assert_eq!(
        shop.states().await,
        [
            "m1 a main skipped frequency_cap",
            "m1 b main sent -",
            "m1 c main sent -",
            "m1 d main sent -",
            "m1 next main skipped frequency_cap",
            "m1 week main sent -",
        ]
    );
    shop.close().await;
}

pub async fn where_the_cap_leaves_room_for_one_the_preferred_channel_has_it(size: Size) {
    let brand = PLAIN.replace(" }", ", frequency_cap: { messages: 1, per: 7d } }");
    let shop = Shop::new(&size, &brand);
    shop.campaign("all", "trigger: { kind: broadcast, at: 2024-05-02T10:00:00Z }\nchannels: [sms, email]\nreach: all");
    shop.import(Kind::Members, HEAD.to_owned() + &row("m1", "")).await;
    shop.once("2024-05-02T10:00:00Z").await;
    assert_eq!((shop.sms().len(), shop.mails().len()), (1, 0));
    assert_eq!(shop.states().await, ["m1 all main sent -", "m1 all main skipped frequency_cap"]);
    shop.close().await;
}

pub async fn a_cancelled_order_is_not_thanked_for(size: Size) {
    for status in ["cancelled", "refunded"] {
        let shop = waiting(&size, "trigger: { kind: post_purchase }").await;
        shop.import(
            Kind::Purchases,
            format!("order_id,member_external_id,purchased_at,amount,status\no1,m1,2024-05-01T22:00:00Z,10,{status}\n"),
        )
        .await;
        ended(shop, MORNING, "cancelled order_cancelled").await;
        if size.store.starts_with("postgres") {
            return;
        }
    }
}

pub async fn a_campaign_that_ended_or_is_gone_sends_nothing_more(size: Size) {
    let shop = waiting(&size, WELCOME).await;
    shop.campaign("night", "trigger: { kind: welcome }\nends_at: 2024-05-01T21:00:00Z");
    ended(shop, MORNING, "cancelled campaign_ended").await;
    if size.store.starts_with("postgres") {
        return;
    }
    let shop = waiting(&size, WELCOME).await;
    std::fs::remove_file(shop.folder.0.join("campaigns/night.yaml")).unwrap();
    ended(shop, MORNING, "cancelled campaign_ended").await;
}

pub async fn a_deleted_member_gets_nothing(size: Size) {
    let shop = waiting(&size, WELCOME).await;
    erase(&shop, "m1").await;
    ended(shop, MORNING, "skipped member_deleted").await;
}

/// As `members erase` does.
pub async fn erase(shop: &Shop, id: &str) {
    let now = at("2024-05-01T23:00:00Z").timestamp_millis();
    shop.write_store(async |tx| assert!(erasure::erase(tx, id, now).await.unwrap())).await;
}

pub async fn a_message_that_cannot_be_rendered_fails_alone(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    shop.write("templates/visit/subject.txt", "Your visit");
    let html = "<html><body><p>{{number (default member.attributes.visit \"0\")}}</p></body></html>";
    shop.write("templates/visit/email.html", html);
    shop.campaign("visit", "trigger: { kind: broadcast, at: 2024-05-02T10:00:00Z }\nchannels: [email]\ncontent: visit");
    let rows = ["good,a@example.com,true,12", "none,b@example.com,true,", "odd,c@example.com,true,soon"];
    let head = "external_id,email,email_consent,attributes.visit\n";
    shop.import(Kind::Members, head.to_owned() + &rows.join("\n")).await;
    shop.once("2024-05-02T10:00:00Z").await;
    let states = ["good visit main sent -", "none visit main sent -", "odd visit main skipped render_failed"];
    assert_eq!(shop.states().await, states);
    shop.close().await;
}

// ---- switches --------------------------------------------------------------------------------

/// A shop of ten members and a broadcast to them.
async fn ten(size: &Size, limits: &str, more: &str) -> Shop {
    let shop = Shop::new(size, PLAIN).with_settings(more);
    shop.campaign("letter", &format!("trigger: {{ kind: broadcast, at: {TEN} }}\nlimits: {limits}"));
    // Each with a telephone of their own.
    let member = |n: i32| row(&format!("m{n}"), "").replace("1234567", &format!("12345{n:02}"));
    let members: String = (0..10).map(member).collect();
    shop.import(Kind::Members, HEAD.to_owned() + &members).await;
    shop
}

const TEN: &str = "2024-05-02T10:00:00Z";

/// How many messages are in each state and have each reason.
async fn tally(shop: &Shop) -> Vec<(String, usize)> {
    let mut counts = std::collections::BTreeMap::new();
    for row in shop.ledger().await {
        let key = row.reason.map_or(row.state.clone(), |reason| format!("{} {reason}", row.state));
        *counts.entry(key).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

async fn assert_tally(shop: &Shop, wanted: &[(&str, usize)]) {
    let wanted: Vec<(String, usize)> = wanted.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect();
    assert_eq!(tally(shop).await, wanted);
}

pub async fn a_second_pass_sends_nothing(size: Size) {
    let shop = ten(&size, "{}", "").await;
    let first = shop.once(TEN).await;
    assert_eq!((first.planned, first.queued, first.outcomes), (10, 10, 10));
    let (ledger, mails) = (shop.ledger().await, shop.mails());
    for now in [TEN, "2024-05-02T10:15:00Z", "2024-05-03T10:00:00Z"] {
        let again = shop.once(now).await;
        assert_eq!((again.planned, again.queued, again.outcomes), (0, 0, 0), "{now}");
    }
    assert_eq!((shop.ledger().await, shop.mails()), (ledger, mails));
    shop.close().await;
}

pub async fn a_paused_campaign_holds_its_messages_until_it_is_resumed(size: Size) {
    let shop = ten(&size, "{}", "").await;
    shop.campaign("other", &format!("trigger: {{ kind: broadcast, at: {TEN} }}\nchannels: [sms]"));
    shop.once("2024-05-02T09:00:00Z").await;
    shop.pause("letter", true).await;
    shop.once(TEN).await;
    assert_tally(&shop, &[("planned", 10), ("sent", 10)]).await;
    assert_eq!(shop.mails().len(), 0);
    shop.pause("letter", false).await;
    shop.once("2024-05-02T11:00:00Z").await;
    assert_tally(&shop, &[("sent", 20)]).await;
    assert_eq!(shop.mails().len(), 10);
    shop.close().await;
}

pub async fn a_campaign_that_is_paused_in_its_file_holds_its_messages(size: Size) {
    let shop = waiting(&size, WELCOME).await;
    shop.campaign("night", "trigger: { kind: welcome }\nstatus: paused");
    shop.once(MORNING).await;
    assert_tally(&shop, &[("planned", 1)]).await;
    shop.campaign("night", WELCOME);
    shop.once("2024-05-02T09:00:00Z").await;
    assert_tally(&shop, &[("sent", 1)]).await;
    shop.close().await;
}

pub async fn after_a_long_pause_lateness_decides(size: Size) {
    let shop = ten(&size, "{ late: { send_within: 2d } }", "").await;
    shop.campaign("always", &format!("trigger: {{ kind: broadcast, at: {TEN} }}\nlimits: {{ late: always }}"));
    shop.pause_all(true).await;
    shop.once(TEN).await;
    shop.pause_all(false).await;
    shop.once("2024-05-05T10:00:00Z").await;
    assert_tally(&shop, &[("sent", 10), ("skipped too_late", 10)]).await;
    shop.close().await;
}

pub async fn pausing_everything_holds_everything(size: Size) {
    let shop = ten(&size, "{}", "").await;
    shop.campaign("other", &format!("trigger: {{ kind: broadcast, at: {TEN} }}\nchannels: [sms]"));
    shop.pause_all(true).await;
    shop.once(TEN).await;
    assert_tally(&shop, &[("planned", 20)]).await;
    shop.once_between("2024-05-02T00:00:00Z", "2024-05-03T00:00:00Z").await;
    assert_tally(&shop, &[("planned", 20)]).await;
    assert!(shop.mails().is_empty() && shop.sms().is_empty());
    shop.pause_all(false).await;
    shop.once(TEN).await;
    assert_tally(&shop, &[("sent", 20)]).await;
    shop.close().await;
}

pub async fn above_its_ceiling_a_campaign_sends_nothing_until_it_is_approved(size: Size) {
    let shop = ten(&size, "{ ceiling: 9 }", "").await;
    shop.once(TEN).await;
    assert_tally(&shop, &[("planned", 10)]).await;
    shop.once("2024-05-02T11:00:00Z").await;
    assert_tally(&shop, &[("planned", 10)]).await;
    assert!(shop.mails().is_empty(), "not even the first one goes out");
    shop.approve("letter", "2024-05-03T00:00:00Z").await;
    shop.once("2024-05-02T12:00:00Z").await;
    assert_tally(&shop, &[("sent", 10)]).await;
    shop.close().await;
    if size.store.starts_with("postgres") {
        return;
    }
    let exact = ten(&size, "{ ceiling: 10 }", "").await;
    exact.once(TEN).await;
    assert_tally(&exact, &[("sent", 10)]).await;
    exact.close().await;
}

pub async fn what_went_out_in_a_day_counts_for_the_ceiling(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    shop.campaign("hello", "trigger: { kind: welcome }\nlimits: { ceiling: 5 }");
    let joined = |range: std::ops::Range<usize>, at: &str| -> String {
        HEAD.to_owned() + &range.map(|n| row(&format!("m{n}"), at)).collect::<String>()
    };
    shop.import(Kind::Members, joined(0..4, "2024-05-02T10:00:00Z")).await;
    shop.once("2024-05-02T10:00:00Z").await;
    assert_tally(&shop, &[("sent", 4)]).await;
    shop.import(Kind::Members, joined(4..6, "2024-05-02T12:00:00Z")).await;
    shop.once("2024-05-02T12:00:00Z").await;
    assert_tally(&shop, &[("planned", 2), ("sent", 4)]).await;
    // A day later there is room again.
    shop.once("2024-05-03T11:00:00Z").await;
    assert_tally(&shop, &[("sent", 6)]).await;
    shop.close().await;
}

pub async fn a_redirect_gets_everything(size: Size) {
    let more = "redirect_all_to: { email: staging@shop.example, phone: \"+989120000000\" }\n";
    let shop = ten(&size, "{}", more).await;
    shop.campaign("sms", &format!("trigger: {{ kind: broadcast, at: {TEN} }}\nchannels: [sms]"));
    shop.once(TEN).await;
    assert_tally(&shop, &[("sent", 20)]).await;
    let mails = shop.mails();
    assert_eq!((mails.len(), shop.sms().len()), (10, 10));
    for mail in mails.values() {
        assert!(mail.contains("staging@shop.example"), "{mail}");
        assert!(!mail.contains("@example.com>"), "no member's address is in it: {mail}");
    }
    assert!(shop.sms().iter().all(|sms| sms["to"] == "+989120000000"));
    shop.close().await;
}

pub async fn a_late_order_is_thanked_for_if_it_is_not_too_late(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    shop.campaign("thanks", "trigger: { kind: post_purchase, delay: 1h }\nlimits: { late: { send_within: 2d } }");
    shop.import(Kind::Members, HEAD.to_owned() + &row("m1", "")).await;
    shop.once("2024-05-10T00:00:00Z").await;
    shop.import(
        Kind::Purchases,
        "order_id,member_external_id,purchased_at,amount\n\
         fresh,m1,2024-05-09T10:00:00Z,10\nstale,m1,2024-05-01T10:00:00Z,10\n",
    )
    .await;
    let passed = shop.once("2024-05-10T06:00:00Z").await;
    assert_eq!(passed.planned, 2);
    assert_eq!(shop.states().await, ["m1 thanks main sent -", "m1 thanks main skipped too_late"]);
    shop.close().await;
}

pub async fn an_import_clears_and_keeps_the_same_on_every_database(size: Size) {
    let shop = Shop::new(&size, QUIET);
    let file = "external_id,email,points,birth_date,attributes.size,attributes.color\n\
        m1,a@example.com,5,1369/02/31,XL,red\nm2,,,,,blue\n";
    assert_eq!(shop.import(Kind::Members, file).await.inserted, 2);
    let again = shop.import(Kind::Members, file).await;
    assert_eq!((again.updated, again.unchanged), (0, 2));
    assert_eq!(shop.import(Kind::Members, "external_id,points,attributes.size\nm1,,\nm2,,\n").await.updated, 1);
    let mut tx = shop.store().await.read().await.unwrap();
    let member = rekindle::store::members::by_external_id(&mut tx, "m1").await.unwrap().unwrap();
    drop(tx);
    assert_eq!((member.points, member.email.as_deref()), (None, Some("a@example.com")));
    assert_eq!(member.attributes.into_iter().collect::<Vec<_>>(), [("color".to_owned(), "red".to_owned())]);
    let head = "order_id,member_external_id,purchased_at,amount";
    let file = format!("{head},currency,status\no1,m1,2024-01-01T10:00:00Z,5000,JPY,refunded\n");
    assert_eq!(shop.import(Kind::Purchases, &file).await.inserted, 1);
    assert_eq!(shop.import(Kind::Purchases, &file).await.unchanged, 1);
    let without = format!("{head}\no1,m1,2024-01-01T10:00:00Z,5000\n");
    assert_eq!(shop.import(Kind::Purchases, without).await.unchanged, 1, "the currency is still the yen");
    shop.close().await;
}
