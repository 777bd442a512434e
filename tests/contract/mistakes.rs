//! What keeps a mistake small, on every size: a surge waits for a person, and a store from a backup
//! sends nothing again. `mistakes_contract!` makes the tests; each gets a [`Size`] with nothing in it.

#![allow(dead_code, reason = "each test target uses a part of it")]

use rekindle::import::Kind;
use rekindle::store::{Store, configuration};

use crate::support::contract::contract;
use crate::support::shop::{PLAIN, Shop, Size, at};

contract! {
    mistakes_contract:
    far_more_than_usual_waits_for_approval
    a_young_campaign_has_no_usual_days
    what_waits_for_a_person_stands_in_nobodys_way
    what_fell_due_before_a_restored_backup_was_noticed_is_not_sent_again
    what_a_person_cancels_is_not_sent_and_what_failed_is_tried_again
}

/// So many members who join on a day of May.
async fn join(shop: &Shop, day: u32, count: usize) {
    let rows: String =
        (0..count).map(|n| format!("m{day}-{n},m{day}-{n}@example.com,true,2024-05-{day:02}T10:00:00Z\n")).collect();
    shop.import(Kind::Members, format!("external_id,email,email_consent,joined_at\n{rows}")).await;
}

/// How many messages are in a state.
async fn count(shop: &Shop, state: &str) -> usize {
    shop.ledger().await.iter().filter(|row| row.state == state).count()
}

/// A campaign that sent 12 messages on each of the first days of May.
async fn usual(size: &Size, days: u32, limits: &str) -> Shop {
    let shop = Shop::new(size, PLAIN);
    shop.campaign("hello", &format!("trigger: {{ kind: welcome }}\nlimits: {limits}"));
    for day in 1..=days {
        join(&shop, day, 12).await;
        shop.once(&format!("2024-05-{day:02}T12:00:00Z")).await;
    }
    assert_eq!(count(&shop, "sent").await, 12 * days as usize);
    shop
}

pub async fn far_more_than_usual_waits_for_approval(size: Size) {
    // Ten times 12 a day is 120; the ceiling would let them go.
    let shop = usual(&size, 10, "{ ceiling: 1000 }").await;
    join(&shop, 11, 121).await;
    shop.once("2024-05-11T12:00:00Z").await;
    assert_eq!((count(&shop, "sent").await, count(&shop, "planned").await), (120, 121), "not even the first");
    let mut tx = shop.store().await.read().await.unwrap();
    let state = configuration::states(&mut tx).await.unwrap().remove("hello").unwrap();
    drop(tx);
    assert!(state.held);
    assert_eq!(state.held_because(), "it would send more than 120 messages in a day");
    shop.approve("hello", "2024-05-12T00:00:00Z").await;
    shop.once("2024-05-11T13:00:00Z").await;
    assert_eq!((count(&shop, "sent").await, count(&shop, "planned").await), (241, 0));
    // A day with 120 is not held: that is the limit, and what was approved is usual now.
    join(&shop, 12, 120).await;
    shop.once("2024-05-12T13:30:00Z").await;
    assert_eq!(count(&shop, "planned").await, 0);
    shop.close().await;
}

pub async fn a_young_campaign_has_no_usual_days(size: Size) {
    let shop = usual(&size, 5, "{ ceiling: 1000 }").await;
    join(&shop, 6, 200).await;
    shop.once("2024-05-06T12:00:00Z").await;
    assert_eq!(count(&shop, "sent").await, 260);
    shop.close().await;
    if size.store.starts_with("postgres") {
        return;
    }
    let careless = usual(&size, 10, "{ surge: none }").await;
    join(&careless, 11, 200).await;
    careless.once("2024-05-11T12:00:00Z").await;
    assert_eq!(count(&careless, "sent").await, 320);
    careless.close().await;
}

/// Messages that are planned and out of the dispatcher's order, and all that are planned.
async fn parked(shop: &Shop) -> (i64, i64) {
    let sql = "SELECT (SELECT COUNT(*) FROM pending WHERE parked), (SELECT COUNT(*) FROM pending)";
    match shop.store().await {
        Store::Sqlite { readers: pool, .. } => sqlx::query_as(sql).fetch_one(pool).await.unwrap(),
        Store::Postgres(pool) => sqlx::query_as(sql).fetch_one(pool).await.unwrap(),
    }
}

pub async fn what_waits_for_a_person_stands_in_nobodys_way(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    let crowd = "trigger: { kind: broadcast, at: 2024-05-01T10:00:00Z }\nchannels: [email]\nlimits: { ceiling: 100, late: always }\naudience: { field: tier, eq: gold }";
    shop.campaign("crowd", crowd);
    shop.campaign("hello", "trigger: { kind: welcome }\nlimits: { ceiling: 100000 }");
    let rows: String = (0..1_200).map(|n| format!("c{n},c{n}@example.com,true,gold\n")).collect();
    shop.import(Kind::Members, format!("external_id,email,email_consent,tier\n{rows}")).await;
    let mut sent = 0;
    let mut goes_on = async |now: &str, more: usize, waiting: i64| {
        sent += more;
        shop.once(now).await;
        assert_eq!((count(&shop, "sent").await, parked(&shop).await), (sent, (waiting, waiting)), "{now}");
    };
    // Held, and others behind it go.
    join(&shop, 1, 3).await;
    goes_on("2024-05-01T11:00:00Z", 3, 1_200).await;
    join(&shop, 2, 4).await;
    goes_on("2024-05-02T11:00:00Z", 4, 1_200).await;
    // Approved, and paused before anybody looked; resumed, and paused in its file.
    shop.approve("crowd", "2024-06-01T00:00:00Z").await;
    shop.pause("crowd", true).await;
    goes_on("2024-05-02T12:00:00Z", 0, 1_200).await;
    shop.pause("crowd", false).await;
    shop.campaign("crowd", &format!("status: paused\n{crowd}"));
    goes_on("2024-05-02T13:00:00Z", 0, 1_200).await;
    shop.pause_all(true).await;
    shop.campaign("crowd", crowd);
    goes_on("2024-05-02T14:00:00Z", 0, 1_200).await;
    shop.pause_all(false).await;
    join(&shop, 3, 2).await;
    goes_on("2024-05-03T11:00:00Z", 1_202, 0).await;
    shop.close().await;
}

/// What `messages` with these arguments prints as JSON, or says is wrong.
fn by_hand(shop: &Shop, arguments: &[&str]) -> Result<serde_json::Value, String> {
    shop.write("rekindle.yaml", shop.settings_text() + "\napply: manual\n");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rekindle"));
    command.args(["--config", "rekindle.yaml", "--format", "json", "messages"]).args(arguments);
    let output = command.current_dir(&shop.folder.0).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(serde_json::from_slice(&output.stdout).unwrap()) } else { Err(said) }
}

pub async fn what_a_person_cancels_is_not_sent_and_what_failed_is_tried_again(size: Size) {
    let shop = Shop::new(&size, &PLAIN.replace(" }", ", quiet_hours: \"21:00-08:00\" }"));
    shop.campaign("hello", "trigger: { kind: welcome }");
    shop.campaign("other", "trigger: { kind: welcome }");
    // No line of a header can hold it.
    shop.write("templates/note/subject.txt", "x".repeat(1_000));
    let shop = shop;
    join(&shop, 1, 2).await;
    // At night they wait.
    shop.once("2024-05-01T22:00:00Z").await;
    assert_eq!(count(&shop, "planned").await, 4);
    let one = shop.ledger().await.into_iter().find(|row| row.campaign == "other" && row.member == "m1-0").unwrap();
    assert_eq!(by_hand(&shop, &["cancel", &one.id.to_string()]), Ok(serde_json::json!({ "cancelled": 1, "left": 0 })));
    assert_eq!(by_hand(&shop, &["cancel", &one.id.to_string()]), Ok(serde_json::json!({ "cancelled": 0, "left": 1 })));
    assert_eq!(
        by_hand(&shop, &["cancel", "--campaign", "hello"]),
        Ok(serde_json::json!({ "cancelled": 2, "left": 0 }))
    );
    shop.once("2024-05-02T09:00:00Z").await;
    let last = |state: &str| {
        let cancelled = ["m1-0 hello", "m1-0 other", "m1-1 hello"].map(|row| format!("{row} main cancelled by_hand"));
        cancelled.into_iter().chain([format!("m1-1 other main {state}")]).collect::<Vec<_>>()
    };
    assert_eq!(shop.states().await, last("failed unbuildable"));
    // Mended, and tried again by hand; what was cancelled stays so.
    shop.write("templates/note/subject.txt", "Hello");
    assert_eq!(
        by_hand(&shop, &["retry", "--member", "m1-1"]),
        Ok(serde_json::json!({ "planned_again": 1, "left": 0 }))
    );
    assert_eq!(shop.states().await, last("planned -"));
    shop.once("2024-05-02T09:30:00Z").await;
    assert_eq!(shop.states().await, last("sent -"));
    assert_eq!(
        by_hand(&shop, &["retry", "--campaign", "other"]),
        Ok(serde_json::json!({ "planned_again": 0, "left": 0 }))
    );
    // One that may have arrived comes a second time only where somebody says so.
    for sql in [
        "UPDATE messages SET state = 'uncertain', sent_at = NULL WHERE state = 'sent'",
        "UPDATE attempts SET uncertain = TRUE, outcome = 'uncertain'",
    ] {
        match shop.store().await {
            Store::Sqlite { readers: pool, .. } => drop(sqlx::query(sql).execute(pool).await.unwrap()),
            Store::Postgres(pool) => drop(sqlx::query(sql).execute(pool).await.unwrap()),
        }
    }
    shop.recount().await;
    assert_eq!(
        by_hand(&shop, &["retry", "--campaign", "other"]),
        Ok(serde_json::json!({ "planned_again": 0, "left": 1 }))
    );
    let again = by_hand(&shop, &["retry", "--yes", "--campaign", "other"]);
    assert_eq!(again, Ok(serde_json::json!({ "planned_again": 1, "left": 0 })));
    shop.once("2024-05-02T09:45:00Z").await;
    assert_eq!(shop.states().await, last("sent -"));
    let error = by_hand(&shop, &["cancel", "01890a5d-ac96-774b-bcce-b302099a8057"]).unwrap_err();
    assert!(error.contains("there is no message") && error.contains("messages --format csv"), "{error}");
    assert!(by_hand(&shop, &["cancel"]).is_err(), "not everything");
    shop.close().await;
}

pub async fn what_fell_due_before_a_restored_backup_was_noticed_is_not_sent_again(size: Size) {
    let shop = Shop::new(&size, &PLAIN.replace(" }", ", quiet_hours: \"21:00-08:00\" }"));
    shop.campaign("hello", "trigger: { kind: welcome }\nsteps: [{ id: later, after: 5d, content: note }]");
    join(&shop, 1, 3).await;
    shop.once("2024-05-01T12:00:00Z").await;
    // The backup is of this moment; the restored store knows nothing of what was sent since.
    join(&shop, 2, 4).await;
    let app = shop.app(at("2024-05-03T09:00:00Z")).await;
    assert_eq!(app.restored().await.unwrap(), (4, 0));
    app.store.close().await;
    drop(app);
    shop.once("2024-05-03T10:00:00Z").await;
    assert_eq!((count(&shop, "sent").await, count(&shop, "cancelled").await), (3, 4));
    let reasons = shop.ledger().await.into_iter().filter_map(|row| row.reason);
    assert!(reasons.into_iter().all(|reason| reason == "restored"));
    let because = async |shop: &Shop| {
        let mut tx = shop.store().await.read().await.unwrap();
        configuration::paused_because(&mut tx).await.unwrap()
    };
    assert_eq!(because(&shop).await.as_deref(), Some("the store was restored from a backup"));
    shop.pause_all(false).await;
    assert_eq!(because(&shop).await, None);
    // What falls due from now on is sent as ever.
    shop.once("2024-05-06T12:00:00Z").await;
    shop.once("2024-05-07T12:00:00Z").await;
    assert_eq!((count(&shop, "sent").await, count(&shop, "cancelled").await), (3 + 3 + 4, 4));
    shop.close().await;
}
