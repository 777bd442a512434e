//! Members are people: what they said follows them to a new address, an order's occasion follows the order, an address
//! that several share gets one letter, who was erased stays so, and two names of one person are one. On every size;
//! `people_contract!` makes the tests; each gets a [`Size`] with nothing in it.

#![allow(dead_code, reason = "each test target uses a part of it")]

use axum::http::Method;
use chrono::Duration;
use rekindle::domain::experiment::position;
use rekindle::domain::policy::Decision;
use rekindle::import::{Imported, Kind};
use rekindle::store::merging::{self, Merged};
use rekindle::store::suppressions::Suppression;
use rekindle::store::{Store, configuration, erasure, members, suppressions};
use rekindle::views::occasions;
use sqlx::AssertSqlSafe;

use crate::support::contract::contract;
use crate::support::shop::{PLAIN, Shop, Size, at};
use crate::web_contract::{ask, path, web};

contract! {
    people_contract:
    who_unsubscribed_stays_so_at_a_new_address
    a_bounce_stays_with_its_address
    an_order_that_was_thanked_for_is_not_thanked_for_under_another_name
    an_order_that_changes_hands_before_is_thanked_for_once
    who_shares_an_address_gets_one_letter
    who_is_held_out_stands_for_the_address
    who_was_skipped_stands_for_nobody
    two_who_share_a_phone_have_two_birthdays
    a_consent_with_evidence_lifts_an_objection_and_a_yes_does_not
    a_later_no_holds
    who_was_erased_is_not_brought_back_by_a_file
    who_is_readmitted_is_written_down_again_and_gets_nothing_twice
    an_address_that_an_erased_member_shared_is_closed
    two_names_of_one_person_are_one
    of_two_answers_the_later_holds
}

const HEAD: &str = "external_id,email,phone,email_consent,sms_consent,joined_at\n";
const JOINED: &str = "2024-05-01T10:00:00Z";
const FIRST: &str = "2024-05-01T10:30:00Z";
const SECOND: &str = "2024-05-01T11:30:00Z";
const THIRD: &str = "2024-05-01T12:30:00Z";
const WELCOME: &str = "trigger: { kind: welcome }\nlimits: { late: always }";
const LETTER: &str = "trigger: { kind: broadcast, at: 2024-05-01T11:00:00Z }\nlimits: { late: always }";

fn row(id: &str, email: &str, phone: &str) -> String {
    format!("{id},{email},{phone},true,true,{JOINED}\n")
}

/// A shop that welcomed these members.
async fn welcomed(size: &Size, rows: &str) -> Shop {
    let shop = Shop::new(size, PLAIN);
    shop.campaign("hello", WELCOME);
    import(&shop, JOINED, Kind::Members, HEAD.to_owned() + rows).await;
    shop.once(FIRST).await;
    shop
}

/// What became of the letter, as `member state reason`.
async fn letters(shop: &Shop) -> Vec<String> {
    let states = shop.states().await;
    let letters = states.iter().filter(|line| line.contains(" letter "));
    letters.map(|line| line.replace(" letter main", "")).collect()
}

/// Imports at an instant; some rows may be set aside.
async fn import(shop: &Shop, now: &str, kind: Kind<'_>, text: impl AsRef<[u8]>) -> Imported {
    shop.import_at(kind, text, now).await.unwrap()
}

async fn count(shop: &Shop, sql: &str) -> i64 {
    let sql = AssertSqlSafe(sql.to_owned());
    let (count,): (i64,) = match shop.store().await {
        Store::Postgres(pool) => sqlx::query_as(sql).fetch_one(pool).await.unwrap(),
        Store::Sqlite { readers: pool, .. } => sqlx::query_as(sql).fetch_one(pool).await.unwrap(),
    };
    count
}

async fn unsubscribe(shop: &Shop, member: &str, now: &str) {
    let message = shop.ledger().await.into_iter().find(|row| row.member == member).unwrap().id;
    let web = web(shop, now).await;
    ask(&web, Method::POST, &path(shop, "u", message).await, "List-Unsubscribe=One-Click").await;
}

pub async fn who_unsubscribed_stays_so_at_a_new_address(size: Size) {
    let shop = welcomed(&size, &row("m", "m@example.com", "")).await;
    unsubscribe(&shop, "m", FIRST).await;
    shop.import(Kind::Members, HEAD.to_owned() + &row("m", "new@example.com", "")).await;
    shop.campaign("letter", LETTER);
    let planned = shop.plan("2024-05-01T11:00:00Z", "2024-05-01T12:00:00Z").await;
    assert_eq!(planned[0].reason.unwrap().as_str(), "suppressed", "the plan says it, too");
    shop.once(SECOND).await;
    assert_eq!(letters(&shop).await, ["m skipped suppressed"]);
    // Their own page brings it back.
    let message = shop.ledger().await.into_iter().find(|row| row.campaign == "hello").unwrap().id;
    let (web, path) = (web(&shop, SECOND).await, path(&shop, "p", message).await);
    let (_, page) = ask(&web, Method::GET, &path, "").await;
    assert!(!page.contains("checked"), "{page}");
    ask(&web, Method::POST, &path, "action=channels&email=on").await;
    shop.campaign("next", WELCOME);
    shop.once(THIRD).await;
    assert!(shop.states().await.contains(&"m next main sent -".to_owned()));
    shop.close().await;
}

pub async fn a_bounce_stays_with_its_address(size: Size) {
    let shop = welcomed(&size, &row("m", "m@example.com", "")).await;
    let dead = Suppression {
        address: "m@example.com".to_owned(),
        purpose: "marketing",
        reason: "bounced".to_owned(),
        created_at: 0,
    };
    shop.write_store(async |tx| assert_eq!(suppressions::insert(tx, &[dead]).await.unwrap(), 1)).await;
    shop.import(Kind::Members, HEAD.to_owned() + &row("m", "new@example.com", "")).await;
    shop.campaign("letter", LETTER);
    shop.once(SECOND).await;
    assert_eq!(letters(&shop).await, ["m sent -"]);
    shop.close().await;
}

const ORDERS: &str = "order_id,member_external_id,purchased_at,amount,status\n";

async fn thankful(size: &Size, thanks: &str) -> Shop {
    let shop = Shop::new(size, PLAIN);
    shop.campaign("thanks", thanks);
    let rows = row("acct-5", "acct@example.com", "") + &row("guest-5", "guest@example.com", "");
    shop.import(Kind::Members, HEAD.to_owned() + &rows).await;
    shop.import(Kind::Purchases, ORDERS.to_owned() + "501,guest-5,2024-05-01T10:00:00Z,10,paid\n").await;
    shop
}

pub async fn an_order_that_was_thanked_for_is_not_thanked_for_under_another_name(size: Size) {
    let thanks =
        |orders: &str| format!("trigger: {{ kind: post_purchase, orders: {orders} }}\nlimits: {{ late: always }}");
    let shop = thankful(&size, &thanks("every")).await;
    shop.campaign("first", &thanks("first"));
    shop.once(FIRST).await;
    assert_eq!(shop.states().await, ["guest-5 first main sent -", "guest-5 thanks main sent -"]);
    let moved = "501,acct-5,2024-05-01T10:00:00Z,10,paid\n".to_owned();
    // Two in one batch: the order that moved, and another one of the account.
    let batch = ORDERS.to_owned() + &moved + "502,acct-5,2024-05-01T11:00:00Z,10,paid\n";
    shop.import(Kind::Purchases, batch).await;
    shop.once(SECOND).await;
    shop.once(THIRD).await;
    let expected = ["acct-5 first main sent -", "acct-5 thanks main sent -", "acct-5 thanks main sent -"];
    assert_eq!(shop.states().await, expected, "the order's messages go along, and 502 is its own occasion");
    assert_eq!(shop.mails().len(), 3);
    // And back again.
    shop.import(Kind::Purchases, ORDERS.to_owned() + &moved.replace("acct", "guest")).await;
    shop.once("2024-05-01T13:30:00Z").await;
    // Now 502 is the account's first order, and was not yet thanked for as such.
    let expected = [
        "acct-5 first main sent -",
        "acct-5 thanks main sent -",
        "guest-5 first main sent -",
        "guest-5 thanks main sent -",
    ];
    assert_eq!(shop.states().await, expected);
    assert_eq!(shop.mails().len(), 4);
    shop.close().await;
}

pub async fn an_order_that_changes_hands_before_is_thanked_for_once(size: Size) {
    let shop = thankful(&size, "trigger: { kind: post_purchase }\nlimits: { late: always }").await;
    shop.once("2024-05-01T09:00:00Z").await;
    shop.pause("thanks", true).await;
    shop.once(FIRST).await;
    assert_eq!(shop.states().await, ["guest-5 thanks main planned -"]);
    shop.import(Kind::Purchases, ORDERS.to_owned() + "501,acct-5,2024-05-01T10:00:00Z,10,paid\n").await;
    assert_eq!(shop.states().await, ["acct-5 thanks main planned -"]);
    shop.pause("thanks", false).await;
    shop.once(SECOND).await;
    shop.once(THIRD).await;
    assert_eq!(shop.states().await, ["acct-5 thanks main sent -"]);
    let mails = shop.mails();
    assert_eq!(mails.len(), 1);
    assert!(mails.values().next().unwrap().contains("acct@example.com"));
    shop.close().await;
}

pub async fn who_shares_an_address_gets_one_letter(size: Size) {
    let rows = row("a", "home@example.com", "") + &row("b", "Home@Example.com", "+989121234567");
    let rows = rows + &row("c", "", "0098 912 123 4567") + &row("d", "", "+98 912 123 4567");
    let shop = Shop::new(&size, &PLAIN.replace(" }", ", phone_region: IR }"));
    shop.import(Kind::Members, HEAD.to_owned() + &rows).await;
    shop.campaign("letter", LETTER);
    let planned = shop.plan("2024-05-01T11:00:00Z", "2024-05-01T12:00:00Z").await;
    let mut planned: Vec<String> = planned
        .into_iter()
        .map(|planned| format!("{} {}", planned.member, planned.reason.map_or("sent", |reason| reason.as_str())))
        .collect();
    planned.sort();
    let expected = ["a sent", "b same_address", "c sent", "d same_address"];
    assert_eq!(planned, expected, "the plan");
    let app = shop.app(at(SECOND)).await;
    let catalog = app.catalog().await.unwrap();
    for (id, expected) in [("a", "Send(Email)"), ("b", "Skip(SameAddress)"), ("d", "Skip(SameAddress)")] {
        let mut tx = app.store.read().await.unwrap();
        let member = members::by_external_id(&mut tx, id).await.unwrap().unwrap();
        let states = configuration::states(&mut tx).await.unwrap();
        let (campaign, state) = (&catalog.campaigns["letter"], states.get("letter"));
        let around = (Duration::days(1), Duration::days(1));
        let found =
            occasions::of_member(&mut tx, &catalog, campaign, state, &member, at(SECOND), around).await.unwrap();
        tx.commit().await.unwrap();
        let decision: Decision = found[0].decision;
        assert_eq!(format!("{decision:?}"), expected, "what explain says of {id}");
    }
    app.store.close().await;
    drop(app);
    shop.once(SECOND).await;
    assert_eq!(letters(&shop).await, ["a sent -", "b skipped same_address", "c sent -", "d skipped same_address"]);
    // Who joins later with the same mailbox is not written to again, and an address that is nobody else's is.
    shop.import(Kind::Members, HEAD.to_owned() + &row("e", "HOME@example.com", "") + &row("f", "f@example.com", ""))
        .await;
    shop.once(THIRD).await;
    assert_eq!(letters(&shop).await[4..], ["e skipped same_address", "f sent -"]);
    shop.close().await;
}

pub async fn who_is_held_out_stands_for_the_address(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    // Two of the control group and one who is not: the first of them all stands for the address.
    let (held, free): (Vec<String>, Vec<String>) =
        (10..60).map(|n| format!("m{n}")).partition(|name| position("letter", name) < 0.5);
    let rows = row(&held[0], "home@example.com", "") + &row(&held[1], "home@example.com", "");
    let last = free.iter().find(|name| **name > held[1]).unwrap();
    shop.import(Kind::Members, HEAD.to_owned() + &rows + &row(last, "home@example.com", "")).await;
    shop.campaign("letter", &format!("{LETTER}\nexperiment: {{ holdout: 50% }}"));
    shop.once(SECOND).await;
    let expected = [
        format!("{} held_out held_out", held[0]),
        format!("{} skipped same_address", held[1]),
        format!("{last} skipped same_address"),
    ];
    assert_eq!(letters(&shop).await, expected);
    shop.close().await;
}

pub async fn who_was_skipped_stands_for_nobody(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    let without = row("a", "home@example.com", "").replace("true,true", "false,true");
    shop.import(Kind::Members, HEAD.to_owned() + &without + &row("b", "home@example.com", "")).await;
    shop.campaign("letter", &format!("{LETTER}\nchannels: [email]"));
    shop.once(SECOND).await;
    assert_eq!(letters(&shop).await, ["a skipped no_consent", "b sent -"]);
    shop.close().await;
}

pub async fn two_who_share_a_phone_have_two_birthdays(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    let head = "external_id,phone,sms_consent,birth_date,joined_at\n";
    let rows: String =
        ["a", "b"].iter().map(|id| format!("{id},+989121234567,true,1990-05-02,2024-01-01T00:00:00Z\n")).collect();
    shop.import(Kind::Members, head.to_owned() + &rows).await;
    shop.campaign("birthday", "trigger: { kind: birthday }\nschedule: { send_at: \"09:00\" }\nchannels: [sms]");
    shop.once_between("2024-05-02T00:00:00Z", "2024-05-03T00:00:00Z").await;
    assert_eq!(shop.states().await, ["a birthday main sent -", "b birthday main sent -"]);
    shop.close().await;
}

const CONSENTS: &str = "external_id,channel,given,at,source,evidence\n";

pub async fn a_consent_with_evidence_lifts_an_objection_and_a_yes_does_not(size: Size) {
    let shop = welcomed(&size, &row("m", "m@example.com", "")).await;
    unsubscribe(&shop, "m", FIRST).await;
    let letter = async |name: &str| {
        shop.campaign(name, WELCOME);
        shop.once(THIRD).await;
        let states = shop.states().await;
        states
            .into_iter()
            .find(|line| line.contains(&format!(" {name} ")))
            .unwrap()
            .replace(&format!("m {name} main "), "")
    };
    let consents = async |line: &str| import(&shop, THIRD, Kind::Consents, CONSENTS.to_owned() + line).await;
    import(&shop, SECOND, Kind::Members, HEAD.to_owned() + &row("m", "m@example.com", "")).await;
    assert_eq!(letter("a").await, "skipped suppressed", "a plain yes");
    consents("m,email,yes,2024-05-01T10:00:00Z,shop,\"box ticked at checkout\"\n").await;
    assert_eq!(letter("b").await, "skipped suppressed", "said before the objection");
    consents("m,email,yes,2024-05-01T12:00:00Z,shop,\n").await;
    assert_eq!(letter("c").await, "skipped suppressed", "without evidence");
    let done = consents("m,email,yes,2024-05-01T12:10:00Z,shop,\"box ticked at checkout\"\n").await;
    assert_eq!((done.inserted, done.rejected), (1, 0));
    assert_eq!(letter("d").await, "sent -");
    let done = consents("m,email,yes,2024-05-01T12:10:00Z,shop,\"box ticked at checkout\"\n").await;
    assert_eq!((done.inserted, done.unchanged), (0, 1), "twice is once");
    shop.close().await;
}

pub async fn a_later_no_holds(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    shop.campaign("hello", &format!("{WELCOME}\nchannels: [email]"));
    import(&shop, JOINED, Kind::Members, HEAD.to_owned() + &row("m", "m@example.com", "")).await;
    let no = "m,email,no,2024-05-01T10:10:00Z,call centre,\"asked us to stop\"\n";
    import(&shop, FIRST, Kind::Consents, CONSENTS.to_owned() + no).await;
    // The shop's file knows nothing of the call.
    import(&shop, FIRST, Kind::Members, HEAD.to_owned() + &row("m", "m@example.com", "")).await;
    shop.once(FIRST).await;
    assert_eq!(shop.states().await, ["m hello main skipped no_consent"]);
    shop.close().await;
}

async fn erase(shop: &Shop, id: &str) {
    let now = at(SECOND).timestamp_millis();
    shop.write_store(async |tx| assert!(erasure::erase(tx, id, now).await.unwrap())).await;
}

/// Whether any table of the store holds the text.
async fn holds(shop: &Shop, text: &str) -> Vec<&'static str> {
    let tables = [
        (
            "members",
            "COALESCE(external_id, '') || COALESCE(email, '') || COALESCE(phone, '') || COALESCE(first_name, '')",
        ),
        ("member_aliases", "alias"),
        ("consents", "source || COALESCE(evidence, '')"),
        ("suppressions", "address"),
        ("attempts", "COALESCE(address, '') || COALESCE(reply, '')"),
        ("events", "COALESCE(address, '') || COALESCE(detail, '') || key"),
        ("messages", "COALESCE(detail, '')"),
    ];
    let mut found = Vec::new();
    for (table, columns) in tables {
        let sql = format!("SELECT COUNT(*) FROM {table} WHERE {columns} LIKE '%{text}%'");
        if count(shop, &sql).await > 0 {
            found.push(table);
        }
    }
    found
}

pub async fn who_was_erased_is_not_brought_back_by_a_file(size: Size) {
    let rows = row("m", "m@example.com", "+989121234567") + &row("n", "n@example.com", "");
    let shop = welcomed(&size, &rows).await;
    unsubscribe(&shop, "m", FIRST).await;
    assert!(!holds(&shop, "m@example.com").await.is_empty());
    let before = shop.states().await.len();
    erase(&shop, "m").await;
    for text in ["m@example.com", "+989121234567", "m@"] {
        assert_eq!(holds(&shop, text).await, Vec::<&str>::new(), "{text}");
    }
    assert_eq!(shop.states().await.len(), before, "the ledger counts what it counted");
    // By the id, by an address under another id, by an order, a suppression and a consent.
    let again = row("m", "other@example.com", "") + &row("x", "M@example.com", "") + &row("y", "", "00989121234567");
    let done = import(&shop, SECOND, Kind::Members, HEAD.to_owned() + &again + &row("z", "z@example.com", "")).await;
    assert_eq!((done.erased, done.inserted, done.rejected), (3, 1, 0));
    let done = import(&shop, SECOND, Kind::Purchases, ORDERS.to_owned() + "9,m,2024-05-01T10:00:00Z,10,paid\n").await;
    assert_eq!((done.erased, done.inserted, done.rejected), (1, 0, 0));
    let done = import(&shop, SECOND, Kind::Suppressions, "address\nm@example.com\n").await;
    assert_eq!((done.erased, done.inserted), (1, 0));
    let line = "m,email,yes,2024-05-01T11:00:00Z,shop,asked for it\n";
    let done = import(&shop, SECOND, Kind::Consents, CONSENTS.to_owned() + line).await;
    assert_eq!((done.erased, done.inserted), (1, 0));
    for text in ["m@example.com", "+989121234567", "other@"] {
        assert_eq!(holds(&shop, text).await, Vec::<&str>::new(), "{text}");
    }
    shop.campaign("letter", LETTER);
    shop.once(SECOND).await;
    assert_eq!(letters(&shop).await, ["n sent -", "z sent -"]);
    shop.close().await;
}

pub async fn who_is_readmitted_is_written_down_again_and_gets_nothing_twice(size: Size) {
    let shop = welcomed(&size, &row("m", "m@example.com", "")).await;
    erase(&shop, "m").await;
    shop.write_store(async |tx| assert!(!erasure::readmit(tx, "nobody").await.unwrap())).await;
    shop.write_store(async |tx| assert!(erasure::readmit(tx, "m").await.unwrap())).await;
    let done = import(&shop, SECOND, Kind::Members, HEAD.to_owned() + &row("m", "m@example.com", "")).await;
    assert_eq!((done.erased, done.inserted, done.updated), (0, 0, 1));
    shop.campaign("letter", LETTER);
    shop.once(SECOND).await;
    assert_eq!(shop.states().await, ["m hello main sent -", "m letter main sent -"]);
    shop.close().await;
}

pub async fn an_address_that_an_erased_member_shared_is_closed(size: Size) {
    let rows = row("a", "home@example.com", "") + &row("b", "home@example.com", "+989121234567");
    let shop = welcomed(&size, &rows).await;
    erase(&shop, "a").await;
    shop.campaign("letter", &format!("{LETTER}\nchannels: [email]"));
    shop.once(SECOND).await;
    assert_eq!(letters(&shop).await, ["b skipped suppressed"]);
    shop.write_store(async |tx| assert!(erasure::readmit(tx, "a").await.unwrap())).await;
    shop.campaign("next", &format!("{WELCOME}\nchannels: [email]"));
    shop.once(THIRD).await;
    assert!(shop.states().await.contains(&"b next main sent -".to_owned()), "{:?}", shop.states().await);
    shop.close().await;
}

async fn merge(shop: &Shop, from: &str, into: &str) {
    let now = at(SECOND).timestamp_millis();
    shop.write_store(async |tx| assert_eq!(merging::merge(tx, from, into, now).await.unwrap(), Merged::Done)).await;
}

pub async fn two_names_of_one_person_are_one(size: Size) {
    let shop = thankful(&size, "trigger: { kind: post_purchase }\nlimits: { late: always }").await;
    shop.campaign("hello", WELCOME);
    shop.once(FIRST).await;
    merge(&shop, "guest-5", "acct-5").await;
    let states = shop.states().await;
    assert!(states.contains(&"acct-5 thanks main sent -".to_owned()), "{states:?}");
    assert_eq!(states.iter().filter(|line| line.starts_with("acct-5 hello")).count(), 1, "its own stays: {states:?}");
    // An order of the old name is thanked for once, and the own row of the account holds over that of its other name.
    let both = row("guest-5", "guest@example.com", "") + &row("acct-5", "acct@example.com", "");
    let done = import(&shop, SECOND, Kind::Members, HEAD.to_owned() + &both).await;
    assert_eq!((done.rows, done.inserted, done.updated, done.rejected), (2, 0, 0, 0));
    shop.import(Kind::Purchases, ORDERS.to_owned() + "777,guest-5,2024-05-01T11:00:00Z,10,paid\n").await;
    shop.once(THIRD).await;
    let states = shop.states().await;
    assert_eq!(states.iter().filter(|line| line.starts_with("acct-5 thanks")).count(), 2, "{states:?}");
    assert_eq!(states.iter().filter(|line| line.contains("hello")).count(), 2, "nobody is welcomed again: {states:?}");
    // Alone in a file, the other name means the member.
    import(&shop, THIRD, Kind::Members, HEAD.to_owned() + &row("guest-5", "third@example.com", "")).await;
    let mut tx = shop.store().await.read().await.unwrap();
    let member = members::by_external_id(&mut tx, "guest-5").await.unwrap().unwrap();
    tx.commit().await.unwrap();
    assert_eq!((member.external_id.as_str(), member.email.as_deref()), ("acct-5", Some("third@example.com")));
    shop.close().await;
}

pub async fn of_two_answers_the_later_holds(size: Size) {
    let rows = row("a", "a@example.com", "") + &row("b", "b@example.com", "");
    let shop = welcomed(&size, &(rows + &row("c", "c@example.com", "") + &row("d", "d@example.com", ""))).await;
    unsubscribe(&shop, "a", FIRST).await;
    unsubscribe(&shop, "d", FIRST).await;
    let later = "c,email,yes,2024-05-01T11:10:00Z,shop,\"signed a form\"\n";
    import(&shop, SECOND, Kind::Consents, CONSENTS.to_owned() + later).await;
    merge(&shop, "a", "b").await;
    merge(&shop, "d", "c").await;
    shop.campaign("letter", LETTER);
    shop.once(SECOND).await;
    assert_eq!(letters(&shop).await, ["b skipped suppressed", "c sent -"]);
    shop.close().await;
}
