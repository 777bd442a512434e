//! What may change between a message's dispatch and its start, on every size: its member's address, and which
//! of its copies counts. `dispatched_contract!` makes the tests; each gets a [`Size`] with nothing in it.

#![allow(dead_code, reason = "each test target uses a part of it")]

use std::collections::BTreeSet;

use rekindle::app::App;
use rekindle::dispatcher::{Dispatcher, Prepared};
use rekindle::domain::Instant;
use rekindle::import::Kind;
use rekindle::store::ledger::end;
use rekindle::store::{Store, suppressions};
use sqlx::AssertSqlSafe;

use crate::support::contract::contract;
use crate::support::shop::{PLAIN, Shop, Size, at};

contract! {
    dispatched_contract:
    a_mail_goes_to_no_address_that_policy_did_not_judge
    an_sms_goes_to_no_number_that_policy_did_not_judge
    an_address_that_is_only_written_otherwise_is_the_same
    who_has_no_address_any_more_gets_nothing
    a_redirected_message_follows_its_member_too
    of_two_copies_the_newer_goes_out
    of_two_copies_in_one_batch_the_newer_goes_out
}

const NOON: &str = "2024-05-02T12:00:00Z";
const HEAD: &str = "external_id,email,phone,email_consent,sms_consent,joined_at\n";

/// A shop with a message to `m1` on a channel, and a process that has dispatched it and sent nothing yet.
async fn dispatched(size: &Size, channel: &str, more: &str) -> (Shop, App) {
    let shop = Shop::new(size, PLAIN).with_settings(more);
    shop.campaign("hello", &format!("trigger: {{ kind: welcome }}\nchannels: [{channel}]"));
    let member = "m1,old@example.com,+989121234567,true,true,2024-05-02T12:00:00Z\n";
    shop.import(Kind::Members, HEAD.to_owned() + member).await;
    let app = shop.app(at(NOON)).await;
    let catalog = app.applied(None).await.unwrap();
    rekindle::scheduler::scan(&app.store, &catalog, &app.clock, at(NOON)).await.unwrap();
    dispatch(&app).await;
    assert_eq!(shop.states().await, ["m1 hello main queued -"]);
    (shop, app)
}

async fn dispatch(app: &App) {
    dispatch_due(app, None).await;
}

/// Dispatches the one message that was due before an instant.
async fn dispatch_due(app: &App, due_before: Option<Instant>) {
    let (queue, catalog) = (app.queue().await.unwrap(), app.applied(None).await.unwrap());
    let redirect = app.settings.redirect_all_to.as_ref();
    let (store, clock, prepared) = (&app.store, &app.clock, Prepared::default());
    let mut dispatcher = Dispatcher { store, queue: queue.as_ref(), clock, redirect, due_before, prepared };
    assert_eq!(dispatcher.step(&catalog).await.unwrap().queued, 1);
    dispatcher.finish().await.unwrap();
    queue.close().await;
}

/// The lease of the one message that is dispatched runs out while its copy waits.
async fn expire(app: &App) {
    let sql =
        AssertSqlSafe("UPDATE pending SET lease_until = 0 WHERE lease_until = (SELECT MAX(lease_until) FROM pending)");
    match &app.store {
        Store::Sqlite { readers: pool, .. } => drop(sqlx::query(sql).execute(pool).await.unwrap()),
        Store::Postgres(pool) => drop(sqlx::query(sql).execute(pool).await.unwrap()),
    }
    let mut tx = app.store.begin().await.unwrap();
    assert_eq!(end::recover(&mut tx, false, at(NOON)).await.unwrap().replanned, 1);
    tx.commit().await.unwrap();
}

/// Sends what waits in the queue; how often something was dispatched anew. Nothing but the end counts as an attempt.
async fn send(shop: &Shop, app: &App) -> u64 {
    let passed = app.once(&|_| {}).await.unwrap();
    let rows = shop.ledger().await;
    assert!(rows.iter().all(|row| row.attempts == i64::from(row.state == "sent")), "{rows:?}");
    passed.queued
}

async fn end(shop: Shop, app: App) {
    app.store.close().await;
    shop.close().await;
}

async fn suppress(shop: &Shop, address: &str) {
    let row = suppressions::Suppression {
        address: address.to_owned(),
        purpose: "marketing",
        reason: "complained".to_owned(),
        created_at: 0,
    };
    shop.write_store(async |tx| assert_eq!(suppressions::insert(tx, &[row]).await.unwrap(), 1)).await;
}

/// To whom the captured mails went.
fn mailed(shop: &Shop) -> Vec<String> {
    let to = |mail: &String| mail.lines().find_map(|line| line.strip_prefix("To: ")).unwrap_or_default().to_owned();
    shop.mails().values().map(to).collect()
}

pub async fn a_mail_goes_to_no_address_that_policy_did_not_judge(size: Size) {
    let (shop, app) = dispatched(&size, "email", "").await;
    shop.import(Kind::Members, "external_id,email\nm1,new@example.com\n").await;
    suppress(&shop, "old@example.com").await;
    assert_eq!(send(&shop, &app).await, 1);
    assert_eq!(shop.states().await, ["m1 hello main sent -"]);
    let mailed = mailed(&shop);
    assert!(mailed.len() == 1 && mailed[0].contains("new@example.com"), "{mailed:?}");
    end(shop, app).await;
    // And the other way round: the new one is closed.
    if size.store.starts_with("sqlite") {
        let (shop, app) = dispatched(&size, "email", "").await;
        shop.import(Kind::Members, "external_id,email\nm1,new@example.com\n").await;
        suppress(&shop, "new@example.com").await;
        assert_eq!(send(&shop, &app).await, 0);
        assert_eq!(shop.states().await, ["m1 hello main skipped suppressed"]);
        assert!(shop.mails().is_empty());
        end(shop, app).await;
    }
}

pub async fn an_sms_goes_to_no_number_that_policy_did_not_judge(size: Size) {
    let (shop, app) = dispatched(&size, "sms", "").await;
    shop.import(Kind::Members, "external_id,phone\nm1,+989121234568\n").await;
    suppress(&shop, "+989121234567").await;
    assert_eq!(send(&shop, &app).await, 1);
    let to: Vec<String> = shop.sms().iter().map(|line| line["to"].as_str().unwrap().to_owned()).collect();
    assert_eq!(to, ["+989121234568"]);
    end(shop, app).await;
}

pub async fn an_address_that_is_only_written_otherwise_is_the_same(size: Size) {
    for (channel, row) in [("email", "email\nm1,OLD@Example.COM\n"), ("sms", "phone\nm1,0098 912 123 4567\n")] {
        if channel == "sms" && !size.store.starts_with("sqlite") {
            break;
        }
        let (shop, app) = dispatched(&size, channel, "").await;
        shop.import(Kind::Members, format!("external_id,{row}")).await;
        assert_eq!(send(&shop, &app).await, 0, "{channel}");
        assert_eq!(shop.states().await, ["m1 hello main sent -"]);
        end(shop, app).await;
    }
}

pub async fn who_has_no_address_any_more_gets_nothing(size: Size) {
    let (shop, app) = dispatched(&size, "email", "").await;
    shop.import(Kind::Members, "external_id,email\nm1,\n").await;
    assert_eq!(send(&shop, &app).await, 0);
    assert_eq!(shop.states().await, ["m1 hello main skipped no_address"]);
    assert!(shop.mails().is_empty());
    end(shop, app).await;
}

pub async fn a_redirected_message_follows_its_member_too(size: Size) {
    const REDIRECT: &str = "redirect_all_to: { email: test@shop.example, phone: \"+989000000000\" }";
    let (shop, app) = dispatched(&size, "email", REDIRECT).await;
    assert_eq!(send(&shop, &app).await, 0, "nothing has changed");
    assert_eq!(shop.states().await, ["m1 hello main sent -"]);
    assert!(mailed(&shop)[0].contains("test@shop.example"));
    end(shop, app).await;
    if size.store.starts_with("sqlite") {
        for (channel, row) in [("email", "email\nm1,new@example.com\n"), ("sms", "phone\nm1,+989121234568\n")] {
            let (shop, app) = dispatched(&size, channel, REDIRECT).await;
            shop.import(Kind::Members, format!("external_id,{row}")).await;
            assert_eq!(send(&shop, &app).await, 1, "{channel}");
            assert_eq!(shop.states().await, ["m1 hello main sent -"]);
            assert_eq!((mailed(&shop).len(), shop.sms().len()), if channel == "email" { (1, 0) } else { (0, 1) });
            end(shop, app).await;
        }
    }
}

pub async fn of_two_copies_the_newer_goes_out(size: Size) {
    let (shop, app) = dispatched(&size, "email", "").await;
    expire(&app).await;
    shop.write("templates/note/subject.txt", "the newer words");
    app.apply(&BTreeSet::new(), "").await.unwrap();
    dispatch(&app).await;
    assert_eq!(send(&shop, &app).await, 0);
    assert_eq!(shop.states().await, ["m1 hello main sent -"]);
    let mails = shop.mails();
    assert_eq!(mails.len(), 1);
    assert!(mails.values().all(|mail| mail.contains("Subject: the newer words")), "{mails:?}");
    end(shop, app).await;
}

pub async fn of_two_copies_in_one_batch_the_newer_goes_out(size: Size) {
    const MEMBERS: u32 = 40;
    let shop = Shop::new(&size, PLAIN);
    shop.campaign("hello", "trigger: { kind: welcome }\nchannels: [email]");
    let member = |i: u32| format!("m{i},m{i}@example.com,,true,true,2024-05-02T11:00:{i:02}Z\n");
    shop.import(Kind::Members, HEAD.to_owned() + &(0..MEMBERS).map(member).collect::<String>()).await;
    let app = shop.app(at(NOON)).await;
    let catalog = app.applied(None).await.unwrap();
    rekindle::scheduler::scan(&app.store, &catalog, &app.clock, at(NOON)).await.unwrap();
    // Each message's second copy lies right behind its first one, so that a connection takes both at once.
    for i in 0..MEMBERS {
        let due_before = Some(at(&format!("2024-05-02T11:00:{i:02}Z")) + chrono::Duration::seconds(1));
        for (again, words) in [(false, "the older words"), (true, "the newer words")] {
            if again {
                expire(&app).await;
            }
            shop.write("templates/note/subject.txt", words);
            app.apply(&BTreeSet::new(), "").await.unwrap();
            dispatch_due(&app, due_before).await;
        }
    }
    assert_eq!(send(&shop, &app).await, 0);
    let rows = shop.ledger().await;
    assert!(rows.iter().all(|row| row.state == "sent"), "{rows:?}");
    let mails = shop.mails();
    assert_eq!(mails.len(), MEMBERS as usize);
    assert!(mails.values().all(|mail| mail.contains("Subject: the newer words")), "{mails:?}");
    end(shop, app).await;
}
