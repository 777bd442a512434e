//! What is refused of the keys for launching, dates and purchases, and that scans by dates use an index.

use std::path::Path;

use rekindle::clock::Clock;
use rekindle::domain::campaign::Campaign;
use rekindle::domain::occasion::{Bind, Rows};
use rekindle::import::Kind;
use rekindle::settings::Settings;
use rekindle::store::events::{self, Event};
use rekindle::store::{Dialect, Store, occasions};
use rekindle::triggers;
use sqlx::{AssertSqlSafe, Row};

use crate::support::shop::{PLAIN, Shop, Size, at};

fn parse(rest: &str) -> Result<Campaign, String> {
    let settings = format!("brand: {PLAIN}\nemail: {{ from: a@shop.example }}");
    let settings = Settings::parse(Path::new("rekindle.yaml"), &settings, &|_| None).unwrap();
    let text = format!("name: x\nchannels: [email]\ncontent: x\n{rest}");
    Campaign::parse("x.yaml", &text, &settings.brand, triggers::ALL).map_err(|problems| problems.to_string())
}

#[test]
fn what_cannot_work_is_refused_with_its_place() {
    let check = |rest: &str, expected: &str| {
        let problems = parse(rest).unwrap_err();
        assert!(problems.contains(expected), "{rest}\n{problems}");
    };
    check("trigger: { kind: date }", "x.yaml:4:10: `field` is missing");
    check(
        "trigger: { kind: date, field: renewal }",
        "x.yaml:4:31: `renewal` is not an attribute; write it like attributes.renewal",
    );
    check("trigger: { kind: date, field: attributes.x, every: month }", "x.yaml:4:52: `month` is not known here");
    check(
        "trigger: { kind: anniversary, of: birth_date }",
        "x.yaml:4:35: `birth_date` has no anniversary here; write joined_at, first_purchase or an attribute",
    );
    check("trigger: { kind: post_purchase, from: sent_at }", "x.yaml:4:39: `sent_at` is not known here");
    check("trigger: { kind: post_purchase, items: [] }", "x.yaml:4:40: nothing stands in the list");
    check("trigger: { kind: welcome }\ncollapse: 1d", "x.yaml:5:11: `collapse` is for post_purchase with");
    check("trigger: { kind: post_purchase, orders: first }\ncollapse: 1d", "x.yaml:5:11: `collapse` is for");
    check("trigger: { kind: post_purchase }\ncollapse: 0d", "x.yaml:5:11: nothing lies within no time");
    check("trigger: { kind: welcome }\nspread: 4h", "x.yaml:5:9: `spread` is for triggers that come to everybody");
    check("trigger: { kind: welcome }\nbackfill: { up_to: 30d }", "x.yaml:5:11: `per_day` is missing");
    check(
        "trigger: { kind: welcome }\nbackfill: { up_to: 30d, per_day: 0 }",
        "x.yaml:5:34: 0 is out of range; expected 1 to",
    );
    check(
        "trigger: { kind: broadcast, at: 2026-01-01 }\nbackfill: { up_to: 30d, per_day: 9 }",
        "x.yaml:5:11: there is nothing to catch up with",
    );
}

#[tokio::test]
async fn scans_by_dates_use_an_index() {
    let shop = Shop::new(&Size::default(), PLAIN);
    let Store::Sqlite { readers: pool, .. } = shop.store().await else { unreachable!() };
    let after = at("2026-03-01T00:00:00Z");
    let rows = Rows::Base { after, until: after + chrono::Duration::hours(1) };
    let brand = shop.settings().brand.clone();
    for (trigger, index) in [
        ("{ kind: anniversary, of: first_purchase }", "INDEX member_dates_gregorian (name=? AND gregorian>"),
        ("{ kind: anniversary, of: attributes.x }", "INDEX member_dates_persian (name=? AND persian>"),
        ("{ kind: date, field: attributes.x }", "INDEX member_dates_date (name=? AND date>"),
        ("{ kind: date, field: attributes.x, every: year }", "INDEX member_dates_gregorian (name=? AND gregorian>"),
        ("{ kind: post_purchase, from: delivered_at }", "INDEX purchases_delivered_at (delivered_at>"),
    ] {
        let query = parse(&format!("trigger: {trigger}")).unwrap().trigger.query(rows, &brand).unwrap();
        let sql = format!("EXPLAIN QUERY PLAN {}", Dialect::Sqlite.expand(&occasions::page_sql(&query)));
        let mut explained = sqlx::query(AssertSqlSafe(sql)).bind(-1).bind(-1).bind(5_000);
        for bind in &query.binds {
            explained = match bind {
                Bind::Integer(value) => explained.bind(*value),
                Bind::Text(value) => explained.bind(value.clone()),
            };
        }
        let plan: Vec<String> =
            explained.fetch_all(pool).await.unwrap().iter().map(|row| row.get::<String, _>("detail")).collect();
        assert!(plan.iter().any(|line| line.contains(index)), "{trigger}: {plan:#?}");
        assert!(!plan.iter().any(|line| line.starts_with("SCAN")), "{trigger}: {plan:#?}");
    }
    shop.close().await;
}

/// What the program prints as JSON in the shop's folder.
fn json(shop: &Shop, arguments: &[&str]) -> serde_json::Value {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_rekindle"))
        .args(["--format", "json", "--config", "rekindle.yaml"])
        .args(arguments)
        .current_dir(&shop.folder.0)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn what_goes_live_is_counted_by_day() {
    let shop = Shop::new(&Size::default(), PLAIN);
    let settings = format!(
        "store: sqlite://rekindle.db\nbrand: {PLAIN}\nemail: {{ sender: capture, from: a@shop.example }}\n\
         templates: templates\ncampaigns: campaigns\napply: manual\n"
    );
    shop.write("rekindle.yaml", settings);
    let day = (Clock::System.now() + chrono::Duration::days(3)).date_naive();
    shop.campaign("letter", &format!("trigger: {{ kind: broadcast, at: {day}T10:00 }}\nchannels: [email]"));
    shop.campaign("draft", &format!("status: draft\ntrigger: {{ kind: broadcast, at: {day}T10:00 }}"));
    assert_eq!(json(&shop, &["check"])["forecast"], serde_json::Value::Null, "there is no store");
    assert!(!shop.folder.0.join("rekindle.db").exists());
    let members =
        "external_id,email,email_consent,joined_at\na,a@example.com,true,2020-01-01\nb,b@example.com,true,\nc,,true,\n";
    shop.import(Kind::Members, members).await;
    // What a campaign takes up of the time before belongs to it, from the first moment.
    let hello = "trigger: { kind: welcome }\nstatus: live\nname: hello\ncontent: note\nchannels: [email]\n\
        backfill: { up_to: 20000d, per_day: 1 }\n";
    shop.write("campaigns/hello.yaml", hello);
    let today = Clock::System.now().date_naive();
    let expected = serde_json::json!([
        { "day": today, "campaign": "hello", "messages": 1 },
        { "day": day, "campaign": "letter", "messages": 2 },
    ]);
    assert_eq!(json(&shop, &["check"])["forecast"], expected);
    assert_eq!(json(&shop, &["campaigns", "apply"])["forecast"], expected);
    assert_eq!(json(&shop, &["campaigns", "apply"])["forecast"], serde_json::json!([]), "it is live now");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_shows_what_was_taken_up() {
    let shop = Shop::new(&Size::default(), PLAIN);
    let settings = format!(
        "store: sqlite://rekindle.db\nbrand: {PLAIN}\nemail: {{ sender: capture, from: a@shop.example }}\n\
         templates: templates\ncampaigns: campaigns\n"
    );
    shop.write("rekindle.yaml", settings);
    let rest =
        "trigger: { kind: post_purchase }\nstarts_at: 2024-05-01T12:00:00Z\nbackfill: { up_to: 90d, per_day: 1 }";
    shop.campaign("thanks", rest);
    shop.import(Kind::Members, "external_id,email,email_consent\na,a@example.com,true\nb,b@example.com,true\n").await;
    let orders = "order_id,member_external_id,purchased_at,amount\n\
        o1,a,2024-04-01T10:00:00Z,10\no2,b,2024-04-02T10:00:00Z,10\n";
    shop.import(Kind::Purchases, orders).await;
    shop.once("2024-05-01T12:00:00Z").await;
    let explained = json(&shop, &["explain", "--member", "a", "--at", "2024-05-01T13:00:00Z"]);
    let message = &explained[0]["messages"][0];
    assert_eq!((message["occasion"].as_str(), message["due_at"].as_str()), (Some("o1"), Some("2024-05-02T12:00:00Z")));
    assert_eq!(message["state"], "planned: would be sent");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_and_status_say_what_came_back() {
    let shop = Shop::new(&Size::default(), PLAIN);
    let settings = format!(
        "store: sqlite://rekindle.db\nbrand: {PLAIN}\nemail: {{ sender: capture, from: a@shop.example }}\n\
         templates: templates\ncampaigns: campaigns\n"
    );
    shop.write("rekindle.yaml", settings);
    shop.campaign("hello", "trigger: { kind: welcome }\nstarts_at: 2024-05-01T00:00:00Z");
    let members = "external_id,email,email_consent,joined_at,timezone\n\
        a,a@example.com,true,2024-05-01T10:00:00Z,Asia/Tehran\nb,b@example.com,true,2024-05-01T10:00:00Z,\n";
    shop.import(Kind::Members, members).await;
    shop.once("2024-05-01T12:00:00Z").await;
    let id = shop.ledger().await.iter().find(|listed| listed.member == "a").unwrap().id;
    let now = Clock::System.now().timestamp_millis();
    let heard = |kind: &str, at: i64, detail: Option<&str>| Event {
        key: format!("test:{kind}:{at}"),
        message_id: Some(id),
        kind: kind.to_owned(),
        at,
        channel: "email".to_owned(),
        address: None,
        detail: detail.map(str::to_owned),
    };
    let old = at("2024-05-01T12:05:00Z").timestamp_millis();
    let events = [
        heard("clicked", now, Some("https://shop.example/new")),
        heard("opened", old, None),
        heard("opened", now - 3_600_000, None),
    ];
    shop.write_store(async |tx| drop(events::record(tx, &events).await.unwrap())).await;
    let explained = json(&shop, &["explain", "--member", "a", "--at", "2024-05-01T13:00:00Z"]);
    let message = &explained[0]["messages"][0];
    assert_eq!(message["state"], "sent");
    let heard = message["heard"].as_array().unwrap();
    let kinds: Vec<&str> = heard.iter().map(|heard| heard["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["opened", "opened", "clicked"]);
    let first = serde_json::json!({
        "kind": "opened", "at": "2024-05-01T12:05:00Z", "local_time": "2024-05-01 15:35", "detail": null
    });
    assert_eq!(heard[0], first);
    assert_eq!(heard[2]["detail"], "https://shop.example/new");
    // Of another's message nothing was heard.
    let explained = json(&shop, &["explain", "--member", "b", "--at", "2024-05-01T13:00:00Z"]);
    assert_eq!(explained[0]["messages"][0]["heard"], serde_json::json!([]));
    let status = json(&shop, &["status"]);
    assert_eq!(status["heard"], serde_json::json!({ "clicked": 1, "opened": 1 }));
    shop.close().await;
}
