//! What members write that is no known word: kept through the webhook's door, listed and marked as read.

use rekindle::clock::Clock;
use rekindle::import::Kind;
use rekindle::inbound::webhook::{Call, Hooks};

use crate::support::shop::{PLAIN, Shop, Size, at};

/// A provider whose calls hold several messages.
fn shop() -> Shop {
    crate::hearing_contract::tls();
    let settings = "sms: { sender: kavenegar, base_url: \"http://127.0.0.1:1\", \
        credentials: { api_key: k, webhook_key: 0123456789abcdef }, lines: [{ number: \"3000\", purpose: marketing }] }";
    let shop = Shop::new(&Size::default(), PLAIN).with_settings(settings);
    let file = include_str!("../../config/providers/kavenegar.yaml");
    let several = file.replace("inbound: { id:", "inbound: { items: [/messages], id:");
    assert_ne!(several, file);
    shop.write("providers/kavenegar.yaml", several);
    shop
}

async fn hear(shop: &Shop, clock: Clock, body: &str) {
    let hooks = Hooks::new(shop.store().await.clone(), clock, shop.settings());
    let call = Call {
        method: "POST".to_owned(),
        url: "https://shop.example/hooks/kavenegar?key=0123456789abcdef".to_owned(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        query: "key=0123456789abcdef".to_owned(),
        body: body.as_bytes().to_vec(),
    };
    assert_eq!(hooks.receive("kavenegar", call).await.status, 200);
}

/// What the program prints in the shop's folder, and whether it succeeds.
fn program(shop: &Shop, arguments: &[&str]) -> (String, String, bool) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_rekindle"))
        .args(["--config", "rekindle.yaml"])
        .args(arguments)
        .current_dir(&shop.folder.0)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr), output.status.success())
}

fn json(shop: &Shop, arguments: &[&str]) -> serde_json::Value {
    let (out, problem, succeeds) = program(shop, &[&["--format", "json"], arguments].concat());
    assert!(succeeds, "{problem}");
    serde_json::from_str(&out).unwrap()
}

const BATCH: &str = r#"{"messages":[
    {"messageid":1,"from":"09121234567","to":"3000","message":"thank you\u001b[31m,\r\nsee you!"},
    {"messageid":2,"from":"09121234567","to":"3000","message":"STOP please"},
    {"messageid":3,"from":"09120000000","to":"3000","message":"لطفا لغو کنید"},
    {"messageid":4,"from":"Bank","to":"3000","message":"stop"},
    {"messageid":5,"from":"09129999999","to":"3000","message":"help"}]}"#;

#[tokio::test]
async fn what_members_write_is_listed_until_somebody_has_read_it() {
    let shop = shop();
    shop.write("rekindle.yaml", shop.settings_text());
    shop.import(Kind::Members, "external_id,phone\nm2,+989121234567\nm1,+989121234567\n").await;
    let app = shop.app(Clock::System.now()).await;
    app.store.close().await;
    drop(app);
    for _ in 0..2 {
        hear(&shop, Clock::System, BATCH).await;
    }
    let listed = json(&shop, &["replies"]);
    let row = |row: &serde_json::Value| {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        (text("key"), text("address"), row["members"].to_string(), row["urgent"].as_bool().unwrap(), text("text"))
    };
    let mut rows: Vec<_> = listed.as_array().unwrap().iter().map(row).collect();
    assert!(!rows[3].3, "what is nearly an opt-out stands first: {rows:?}");
    rows.sort();
    let wanted = |id: u8, address: &str, members: &str, urgent, text: &str| {
        (format!("sms:kavenegar:in:{id}"), address.to_owned(), members.to_owned(), urgent, text.to_owned())
    };
    let both = r#"["m1","m2"]"#;
    let expected = [
        wanted(1, "+989121234567", both, false, "thank you [31m, see you!"),
        wanted(2, "+989121234567", both, true, "STOP please"),
        wanted(3, "+989120000000", "[]", true, "لطفا لغو کنید"),
        // Nobody knows who that is, so nothing stops by itself.
        wanted(4, "Bank", "[]", true, "stop"),
    ];
    assert_eq!(rows, expected);
    let status = json(&shop, &["status"]);
    assert_eq!((&status["unread_replies"], &status["unread_urgent_replies"]), (&4.into(), &3.into()));
    let (table, ..) = program(&shop, &["status"]);
    assert!(table.starts_with("4 REPLIES TO READ, 3 NEARLY AN OPT-OUT"), "{table}");

    let (_, problem, succeeds) = program(&shop, &["replies", "done", "sms:kavenegar:in:2", "sms:kavenegar:in:9"]);
    assert!(!succeeds && problem.contains("no reply `sms:kavenegar:in:9`"), "{problem}");
    assert_eq!(json(&shop, &["status"])["unread_replies"], 4, "all or none");
    assert_eq!(json(&shop, &["replies", "done", "sms:kavenegar:in:2", "sms:kavenegar:in:3"])["done"], 2);
    let status = json(&shop, &["status"]);
    assert_eq!((&status["unread_replies"], &status["unread_urgent_replies"]), (&2.into(), &1.into()));
    assert_eq!(json(&shop, &["replies", "done", "--all"])["done"], 2);
    // The provider calls again: what was read stays so.
    hear(&shop, Clock::System, BATCH).await;
    assert_eq!(json(&shop, &["status"])["unread_replies"], 0);
    assert!(json(&shop, &["replies"]).as_array().unwrap().iter().all(|row| row["done"] == true));
    let (csv, ..) = program(&shop, &["--format", "csv", "replies"]);
    assert!(csv.starts_with("key,at,channel,address,members,urgent,done,text\n") && !csv.contains('\u{1b}'), "{csv}");
    let (_, _, succeeds) = program(&shop, &["replies", "done"]);
    assert!(!succeeds, "which?");
    shop.close().await;
}

#[tokio::test]
async fn a_text_is_deleted_after_thirty_days() {
    let shop = shop();
    let app = shop.app(at("2024-05-02T12:00:00Z")).await;
    app.store.close().await;
    drop(app);
    hear(&shop, Clock::simulated(at("2024-05-02T12:00:00Z")), BATCH).await;
    let rekindle::store::Store::Sqlite { readers: pool, .. } = shop.store().await.clone() else { unreachable!() };
    let kept = async || -> i64 { sqlx::query_scalar("SELECT COUNT(*) FROM replies").fetch_one(&pool).await.unwrap() };
    shop.once("2024-06-01T11:59:00Z").await;
    assert_eq!(kept().await, 4);
    shop.once("2024-06-01T12:00:00Z").await;
    assert_eq!(kept().await, 0);
    shop.close().await;
}
