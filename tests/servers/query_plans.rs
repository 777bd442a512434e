//! What a scan reads grows with what is due, not with the members: PostgreSQL answers every trigger's
//! query from an index.

use rekindle::domain::campaign::Campaign;
use rekindle::domain::lifetime::{BgNbd, Lifetimes};
use rekindle::domain::occasion::{Bind, Rows};
use rekindle::settings::Settings;
use rekindle::store::ledger::dispatch;
use rekindle::store::{Database as Connected, Dialect, Store, Tx, members, occasions};
use rekindle::triggers;
use sqlx::{AssertSqlSafe, Row};

use crate::statements_contract::TRIGGERS;
use crate::support::shop::{PLAIN, at};
use crate::support::{Database, tidied, until};

/// 30,000 members and 60,000 orders over three years.
const SHOP: &[&str] = &[
    "INSERT INTO members (id, external_id, email, birth_date, birth_gregorian, birth_persian, joined_at, joined_gregorian, \
     joined_persian, calendar, email_consent, attributes, changed) \
     SELECT n, 'm' || n, 'm' || n || '@example.com', '1990-01-01', n % 12 * 100 + 101 + n % 28, n % 12 * 100 + 101 + n % 29, \
     1672531200000 + n * 3000000::BIGINT, n % 12 * 100 + 101 + n % 28, n % 12 * 100 + 101 + n % 29, \
     CASE WHEN n % 2 = 0 THEN 'persian' END, TRUE, '{}', n FROM generate_series(1, 30000) n",
    "INSERT INTO purchases (id, order_id, member_id, purchased_at, delivered_at, amount, currency, status, \
     visits, tenure_days, gap_ms) \
     SELECT n, 'o' || n, 1 + n % 30000, 1672531200000 + n * 1500000::BIGINT, 1672617600000 + n * 1500000::BIGINT, 100, 'USD', 'paid', \
     1 + n % 9, CASE WHEN n % 9 = 0 THEN 0 ELSE n % 700 END, CASE WHEN n % 9 > 1 THEN n % 100 * 86400000::BIGINT END \
     FROM generate_series(1, 60000) n",
    "INSERT INTO member_dates (member_id, name, date, gregorian, persian) \
     SELECT n, 'attributes.renewal', CAST(DATE '2026-01-01' + n % 365 AS TEXT), n % 12 * 100 + 101 + n % 28, \
     n % 12 * 100 + 101 + n % 29 FROM generate_series(1, 30000) n",
    "INSERT INTO member_dates (member_id, name, date, gregorian, persian) \
     SELECT n, 'first_purchase', CAST(DATE '2023-01-01' + n % 1000 AS TEXT), n % 12 * 100 + 101 + n % 28, \
     n % 12 * 100 + 101 + n % 29 FROM generate_series(1, 30000) n",
    "UPDATE members SET timezone = (ARRAY['Asia/Tehran', 'Europe/Berlin', 'Asia/Tokyo'])[1 + id % 4]",
    "ANALYZE",
];

/// For everybody at one hour: there is nothing to search.
const FOR_EVERYBODY: &[&str] = &["broadcast", "occasion"];

#[tokio::test]
async fn every_trigger_is_answered_from_an_index() {
    let database = Database::create().await;
    let store = database.store().await;
    let test = async {
        let Store::Postgres(pool) = &store else { unreachable!() };
        for sql in SHOP {
            sqlx::query(*sql).execute(pool).await.unwrap();
        }
        let settings = format!("brand: {PLAIN}\nemail: {{ from: a@shop.example }}");
        let settings = Settings::parse(std::path::Path::new("rekindle.yaml"), &settings, &|_| None).unwrap();
        let hour = at("2024-05-02T10:00:00Z");
        let quarter = Rows::Base { after: hour, until: hour + chrono::Duration::minutes(15) };
        let mut whole = Vec::new();
        for text in TRIGGERS.iter().filter(|text| !FOR_EVERYBODY.iter().any(|kind| text.contains(kind))) {
            let file = format!("name: x\nchannels: [email]\ncontent: x\ntrigger: {text}");
            let campaign = Campaign::parse("x.yaml", &file, &settings.brand, triggers::ALL).unwrap();
            let model = BgNbd { r: 0.24, alpha: 4.4, a: 0.8, b: 2.4 };
            let histories = (1..=9).flat_map(|visits| (0..700).map(move |days| (visits, days))).collect();
            let informed = campaign.trigger.with_lifetimes(Lifetimes { model, histories });
            let trigger = informed.unwrap_or(campaign.trigger);
            for rows in [quarter, Rows::Changed { after: 29_990, until: 30_000 }, Rows::Member(77)] {
                let query = trigger.query(rows, &settings.brand).unwrap();
                let sql = format!("EXPLAIN {}", Dialect::Postgres.expand(&occasions::page_sql(&query)));
                let mut explain = sqlx::query(AssertSqlSafe(sql)).bind(-1_i64).bind(-1_i64).bind(5_000_i64);
                for bind in &query.binds {
                    explain = match bind {
                        Bind::Integer(value) => explain.bind(*value),
                        Bind::Text(value) => explain.bind(value.clone()),
                    };
                }
                let plan: Vec<String> =
                    explain.fetch_all(pool).await.unwrap().iter().map(|row| row.get::<String, _>(0)).collect();
                let plan = plan.join("\n");
                if ["members", "purchases", "member_dates"]
                    .iter()
                    .any(|table| plan.contains(&format!("Seq Scan on {table}")))
                {
                    whole.push(format!("{text} {rows:?}:\n{plan}"));
                }
            }
        }
        let (_, zones) = members::STATEMENTS.iter().find(|(name, _)| *name == "ZONES").unwrap();
        let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN {zones}"))).fetch_all(pool).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get::<String, _>(0)).collect();
        if plan.join("\n").contains("Seq Scan on members") {
            whole.push(format!("the zones of members:\n{}", plan.join("\n")));
        }
        assert!(whole.is_empty(), "these read a whole table:\n{}", whole.join("\n\n"));
    };
    tidied(test, async {
        store.close().await;
        database.remove().await;
    })
    .await;
}

/// 30,000 messages of a campaign that is held, and ten behind them that may go.
const WAITING: &[&str] = &[
    "INSERT INTO members (id, external_id, email_consent, attributes, changed) VALUES (1, 'm1', TRUE, '{}', 1)",
    "INSERT INTO campaigns (name, held) VALUES ('held', TRUE), ('free', FALSE)",
    "INSERT INTO messages (id, member_id, campaign, occasion, step, slot, priority, turn, state, first_due_at, due_at, next_at, day) \
     SELECT gen_random_uuid(), 1, CASE WHEN n <= 30000 THEN 'held' ELSE 'free' END, 'o' || n, 'main', 'main', 0, 0, 'planned', n, n, n, 0 \
     FROM generate_series(1, 30010) n",
    "INSERT INTO pending (message_id, next_at, priority, due_at, campaign, turn, member) \
     SELECT id, next_at, 0, due_at, campaign, 0, 'm1' FROM messages",
    "ANALYZE",
];

/// How many rows of `pending` the session of a transaction has read.
async fn rows_read(tx: &mut Tx) -> i64 {
    let Connected::Postgres(connection) = &mut tx.database else { unreachable!() };
    let sql = "SELECT CAST(COALESCE(MAX(seq_tup_read + COALESCE(idx_tup_fetch, 0)), 0) AS BIGINT) \
        FROM pg_stat_xact_user_tables WHERE relname = 'pending'";
    sqlx::query_scalar(sql).fetch_one(&mut **connection).await.unwrap()
}

#[tokio::test]
async fn what_is_held_is_walked_over_once() {
    let database = Database::create().await;
    let store = database.store().await;
    let test = async {
        let Store::Postgres(pool) = &store else { unreachable!() };
        for sql in WAITING {
            sqlx::query(*sql).execute(pool).await.unwrap();
        }
        // What a look takes, how many it parks or brings back, and how many rows of `pending` it reads.
        let look = async || {
            let mut tx = store.begin_deciding().await.unwrap();
            // A session counts on for a while after its transactions end.
            let before = rows_read(&mut tx).await;
            let ready = dispatch::take(&mut tx, at("2024-05-02T10:00:00Z"), None, &[], 500).await.unwrap();
            let taken = if ready.is_blocked() { 0 } else { ready.messages.len() };
            let moved = dispatch::make_way(&mut tx, ready).await.unwrap();
            let read = rows_read(&mut tx).await - before;
            (taken, moved, read, tx)
        };
        let mut parked = 0;
        loop {
            let (taken, now, _, tx) = look().await;
            tx.commit().await.unwrap();
            parked += now;
            if taken > 0 {
                break;
            }
        }
        assert_eq!(parked, 30_000);
        // What was parked just now stays in the index until nobody can see it as it was; then ten rows are read for ten.
        until(true, async || {
            let (taken, parked, read, tx) = look().await;
            drop(tx);
            assert_eq!((taken, parked), (10, 0));
            read < 100
        })
        .await;
        // It goes on: all are in the order again, before anything is taken.
        sqlx::query("UPDATE campaigns SET held = FALSE").execute(pool).await.unwrap();
        let mut back = 0;
        while back < 30_000 {
            let (taken, moved, read, tx) = look().await;
            tx.commit().await.unwrap();
            assert!(taken == 0 && moved > 0 && read < 25_000, "{taken} taken, {moved} moved, {read} rows were read");
            back += moved;
        }
        let left: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM pending WHERE NOT parked").fetch_one(pool).await.unwrap();
        assert_eq!(left, 30_010, "nothing is forgotten");
        // Two who look at the same time: each message is with one of them.
        let (one, _, _, first) = look().await;
        let (other, _, _, second) = look().await;
        assert_eq!((one, other), (500, 500));
        drop((first, second));
    };
    tidied(test, async {
        store.close().await;
        database.remove().await;
    })
    .await;
}
