//! Faults of the servers that chaos does not meet for certain: a queue that is deleted with what is in
//! it, a disk alarm, a broker that is killed, a commit whose answer is lost, a session that was paused
//! in the middle of a transaction.

use std::collections::BTreeSet;
use std::sync::Arc;

use rekindle::dispatcher::{Dispatcher, Prepared};
use rekindle::domain::message::Channel;
use rekindle::import::Kind;
use rekindle::queue::rabbitmq::RabbitMq;
use rekindle::queue::{Queue, Settle};
use rekindle::scheduler;
use rekindle::store::Store;

use crate::proxy::Proxy;
use crate::queue_contract::{complaint, emails, ids, messages, set, take};
use crate::support::nodes::RabbitNode;
use crate::support::rabbitmq::{Prefix, direct};
use crate::support::shop::{PLAIN, Shop, Size, at};
use crate::support::{DEADLINE, Database, tidied, until};

const NOW: &str = "2024-05-02T10:00:00Z";
const MEMBERS: usize = 60;

/// A shop with a message for each of its members.
async fn shop(size: &Size) -> Shop {
    let shop = Shop::new(size, PLAIN);
    shop.campaign("c", &format!("trigger: {{ kind: broadcast, at: {NOW} }}\nchannels: [email]"));
    let rows: String = (0..MEMBERS).map(|n| format!("m{n},m{n}@example.com,true\n")).collect();
    shop.import(Kind::Members, format!("external_id,email,email_consent\n{rows}")).await;
    shop
}

/// Each message is sent, in so many attempts.
async fn assert_sent(shop: &Shop, attempts: i64) {
    let ledger = shop.ledger().await;
    assert_eq!(ledger.len(), MEMBERS);
    let odd: Vec<_> = ledger.iter().filter(|row| row.state != "sent" || row.attempts != attempts).collect();
    assert!(odd.is_empty(), "{odd:?}");
    assert_eq!(shop.mails().len(), MEMBERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_deleted_with_what_is_in_it_costs_time_and_no_message() {
    let (database, prefix) = (Database::create().await, Prefix::new());
    let test = async {
        let size = Size { store: database.url.clone(), queue: prefix.url(), smtp: None };
        let shop = shop(&size).await;
        let app = shop.app(at(NOW)).await;
        let (queue, catalog) = (app.queue().await.unwrap(), app.applied(None).await.unwrap());
        scheduler::scan(&app.store, &catalog, &app.clock, at(NOW)).await.unwrap();
        let mut dispatcher = Dispatcher {
            store: &app.store,
            queue: queue.as_ref(),
            clock: &app.clock,
            redirect: None,
            prepared: Prepared::default(),
            due_before: None,
        };
        dispatcher.step(&catalog).await.unwrap();
        assert_eq!(dispatcher.step(&catalog).await.unwrap().published, MEMBERS as u64);
        assert_eq!(queue.depth(Channel::Email).await.unwrap(), MEMBERS.div_ceil(32) as u64, "many share a delivery");
        let connection = direct().await;
        prefix.delete_queue("email", &connection).await;
        // The lease of what was confirmed would run out by itself.
        let Store::Postgres(pool) = &app.store else { unreachable!() };
        sqlx::query("UPDATE pending SET lease_until = 0").execute(pool).await.unwrap();
        queue.close().await;
        let passed = app.once(&|_| {}).await.unwrap();
        assert_eq!((passed.replanned, passed.uncertain), (MEMBERS as u64, 0));
        assert_sent(&shop, 1).await;
        app.store.close().await;
        shop.close().await;
    };
    tidied(test, async {
        prefix.remove().await;
        database.remove().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_disk_alarm_and_a_kill_of_the_broker_are_waited_out() {
    let mut node = tokio::task::block_in_place(RabbitNode::start);
    let queue = RabbitMq::connect(&node.url(&node.address())).await.unwrap();
    let mut before = emails(20);
    assert_eq!(set(&queue.publish(before.clone()).await.unwrap()), ids(&before));

    tokio::task::block_in_place(|| node.disk_alarm(true));
    // The broker notices a moment later, and what came until then it has.
    let noticed = async {
        loop {
            let probe = emails(1);
            match queue.publish(probe.clone()).await {
                Ok(_) => before.extend(probe),
                Err(error) => break error.to_string(),
            }
        }
    };
    let error = tokio::time::timeout(DEADLINE, noticed).await.unwrap();
    let during = emails(5);
    assert_eq!(complaint(queue.publish(during.clone()).await), error);
    assert!(error.contains("for want of disk space or memory"), "{error}");
    // Who consumes is not stopped: that is what makes room.
    let mut consumer = queue.consume(Channel::Email, 100).await.unwrap();
    let came = take(&mut consumer, 10).await;
    consumer.settle(came.iter().map(|delivery| (delivery.tag, Settle::Acknowledge)).collect()).await.unwrap();
    tokio::task::block_in_place(|| node.disk_alarm(false));
    until(true, async || queue.publish(during.clone()).await.is_ok_and(|confirmed| set(&confirmed) == ids(&during)))
        .await;

    // What was confirmed and not acknowledged survives the broker.
    tokio::task::block_in_place(|| {
        node.kill();
        node.start_again();
    });
    while consumer.next(100, DEADLINE).await.is_ok() {}
    let mut expected = &ids(&before) | &ids(&during);
    for delivery in messages(&came) {
        expected.remove(&delivery);
    }
    let mut consumer = queue.consume(Channel::Email, 100).await.unwrap();
    let mut again = BTreeSet::new();
    while !again.is_superset(&expected) {
        again.extend(messages(&take(&mut consumer, 1).await));
    }
    let after = emails(5);
    until(true, async || queue.publish(after.clone()).await.is_ok_and(|confirmed| confirmed.len() == 5)).await;
    queue.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_whose_answers_are_lost_cost_no_message() {
    let database = Database::create().await;
    let test = async {
        let (through, proxy) = behind_proxy(&database).await;
        let shop = shop(&Size { store: through, ..Size::default() }).await;
        let app = shop.app(at(NOW)).await;
        // A pass that fails is made again, as `run` does.
        let mut passes = 0;
        for lost in (0..8).rev() {
            proxy.lose_answers_to_commits(lost);
            while app.once(&|_| {}).await.is_err() {
                passes += 1;
            }
        }
        assert!(passes > 0);
        assert_sent(&shop, 1).await;
        app.store.close().await;
        shop.close().await;
    };
    tidied(test, database.remove()).await;
}

/// The database's address through a proxy, and the proxy.
async fn behind_proxy(database: &Database) -> (String, Arc<Proxy>) {
    let (server, name) = database.url.split_once("://").unwrap().1.split_once('/').unwrap();
    let (user, address) = server.rsplit_once('@').unwrap();
    let proxy = Proxy::before(address).await;
    // Behind TLS the proxy would not know a commit.
    (format!("postgres://{user}@{}/{name}?sslmode=disable", proxy.address), proxy)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_goes_on_where_the_answer_to_a_commit_is_lost() {
    let database = Database::create().await;
    let test = async {
        let (through, proxy) = behind_proxy(&database).await;
        let shop = Shop::new(&Size { store: through, ..Size::default() }, PLAIN);
        // More than one batch.
        let rows: String = (0..5_000).map(|n| format!("m{n},m{n}@example.com,true\n")).collect();
        let file = format!("external_id,email,email_consent\n{rows}");
        shop.store().await;
        proxy.lose_answers_to_commits(2);
        let done = shop.import(Kind::Members, &file).await;
        assert_eq!((done.rows, done.rejected), (5_000, 0));
        let again = shop.import(Kind::Members, &file).await;
        assert_eq!((again.unchanged, again.inserted, again.updated), (5_000, 0, 0), "all of them were there");
        shop.close().await;
    };
    tidied(test, database.remove()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_holds_nothing_for_long_while_its_process_is_paused() {
    let database = Database::create().await;
    let test = async {
        let store = database.store().await;
        let Store::Postgres(pool) = &store else { unreachable!() };
        let setting = async |name: &str| -> String {
            let sql = sqlx::AssertSqlSafe(format!("SHOW {name}"));
            sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
        };
        assert_eq!(setting("idle_in_transaction_session_timeout").await, "30s");
        assert_eq!(setting("tcp_keepalives_idle").await, "20");
        // The same in short: whoever was ended so has met what passes, and the pool goes on.
        let mut tx = pool.begin().await.unwrap();
        sqlx::query("SET LOCAL idle_in_transaction_session_timeout = '20ms'").execute(&mut *tx).await.unwrap();
        let sql = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'";
        until(0_i64, async || sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()).await;
        let ended = sqlx::query("SELECT 1").execute(&mut *tx).await.unwrap_err();
        assert!(rekindle::store::StoreError::from(ended).is_transient());
        drop(tx);
        assert_eq!(setting("idle_in_transaction_session_timeout").await, "30s");
        store.close().await;
    };
    tidied(test, database.remove()).await;
}
