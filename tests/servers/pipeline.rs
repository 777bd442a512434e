//! The contracts of the pipeline on PostgreSQL, RabbitMQ and capture, and what several processes on one
//! database promise.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use rekindle::app::{App, Role};
use rekindle::clock::Clock;
use rekindle::import::Kind;
use rekindle::store::{Store, configuration};
use tokio_util::sync::CancellationToken;

use crate::agreement_contract::agreement_contract;
use crate::arrival_contract::arrival_contract;
use crate::at_risk_contract::at_risk_contract;
use crate::bounces_contract::bounces_contract;
use crate::changes_contract::changes_contract;
use crate::configurations_contract::configurations_contract;
use crate::days_contract::days_contract;
use crate::dispatched_contract::dispatched_contract;
use crate::effect_contract::effect_contract;
use crate::fallback_contract::fallback_contract;
use crate::gifts_contract::gifts_contract;
use crate::hearing_contract::hearing_contract;
use crate::known_effects_contract::known_effects_contract;
use crate::launching_contract::launching_contract;
use crate::mistakes_contract::mistakes_contract;
use crate::people_contract::people_contract;
use crate::pipeline_contract::pipeline_contract;
use crate::reasons_contract::reasons_contract;
use crate::recovery_contract::recovery_contract;
use crate::reports_contract::reports_contract;
use crate::support::rabbitmq::Prefix;
use crate::support::shop::{Dice, PLAIN, Shop, Size, at};
use crate::support::{Database, tidied, until};
use crate::transitions_contract::transitions_contract;
use crate::variants_contract::variants_contract;

agreement_contract!(on_servers);
pipeline_contract!(on_servers);
people_contract!(on_postgres);
launching_contract!(on_postgres);
hearing_contract!(on_postgres);
at_risk_contract!(on_servers);
days_contract!(on_servers);
configurations_contract!(on_servers);
dispatched_contract!(on_servers);
fallback_contract!(on_servers);
gifts_contract!(on_servers);
effect_contract!(on_postgres);
reports_contract!(on_postgres);
known_effects_contract!(on_postgres);
variants_contract!(on_postgres);
mistakes_contract!(on_postgres);
recovery_contract!(on_postgres);
transitions_contract!(on_postgres);
changes_contract!(on_servers);
arrival_contract!(on_servers);
reasons_contract!(on_servers);
bounces_contract!(on_postgres);

async fn on_servers<F: Future<Output = ()>>(test: impl FnOnce(Size) -> F) {
    let (database, prefix) = (Database::create().await, Prefix::new());
    let size = Size { store: database.url.clone(), queue: prefix.url(), smtp: None };
    tidied(test(size), async {
        prefix.remove().await;
        database.remove().await;
    })
    .await;
}

/// The embedded queue in PostgreSQL: what is tried here is the store.
async fn on_postgres<F: Future<Output = ()>>(test: impl FnOnce(Size) -> F) {
    let database = Database::create().await;
    tidied(test(Size { store: database.url.clone(), ..Size::default() }), database.remove()).await;
}

const MEMBERS: usize = 1_000;
const CAMPAIGNS: usize = 10;
const DUE: &str = "2024-05-02T10:00:00Z";

/// Members who have many messages due at one instant, under a cap.
async fn crowd(size: &Size) -> Shop {
    let brand = PLAIN.replace(" }", ", frequency_cap: { messages: 3, per: 7d } }");
    let shop = Shop::new(size, &brand);
    for n in 0..CAMPAIGNS {
        shop.campaign(&format!("c{n}"), &format!("trigger: {{ kind: broadcast, at: {DUE} }}\nchannels: [email]"));
    }
    shop.import(Kind::Members, members(0, &mut Dice(0))).await;
    shop
}

/// The members in any order, as an import of a day brings them.
fn members(points: usize, dice: &mut Dice) -> String {
    let mut rows: Vec<String> = (0..MEMBERS).map(|n| format!("m{n},m{n}@example.com,true,{points}\n")).collect();
    dice.shuffle(&mut rows);
    "external_id,email,email_consent,points\n".to_owned() + &rows.concat()
}

/// How many messages each member was sent.
async fn sent_by_member(shop: &Shop) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for row in shop.ledger().await.into_iter().filter(|row| row.state == "sent") {
        *counts.entry(row.member).or_default() += 1;
    }
    counts
}

/// How often PostgreSQL had to end a transaction that waited for another which waited for it.
async fn deadlocks(shop: &Shop) -> i64 {
    let Store::Postgres(pool) = shop.store().await else { unreachable!() };
    let sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

async fn pass(app: &App) -> Result<(), String> {
    let passed = app.once(&|_| {}).await.map(|_| ()).map_err(|error| error.to_string());
    app.store.close().await;
    passed
}

/// Two processes work at once, the second one's clock `behind` the first one's.
async fn two_keep_the_cap(size: Size, behind: chrono::Duration) {
    let shop = crowd(&size).await;
    let first = shop.app(at(DUE) + chrono::Duration::minutes(1)).await;
    let second = shop.app(at(DUE) + chrono::Duration::minutes(1) - behind).await;
    let passed = tokio::join!(pass(&first), pass(&second));
    assert_eq!(passed, (Ok(()), Ok(())));
    let counts = sent_by_member(&shop).await;
    let over: Vec<_> = counts.iter().filter(|(_, count)| **count > 3).collect();
    assert!(over.is_empty(), "{} of {MEMBERS} members got more than 3 messages: {over:?}", over.len());
    assert_eq!(counts.values().sum::<usize>(), 3 * MEMBERS, "and each got 3");
    assert_eq!(deadlocks(&shop).await, 0);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_dispatchers_at_once_keep_the_frequency_cap() {
    on_postgres(async |size| two_keep_the_cap(size, chrono::Duration::zero()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_dispatchers_whose_clocks_differ_keep_the_frequency_cap() {
    on_postgres(async |size| two_keep_the_cap(size, chrono::Duration::seconds(2)).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_dispatchers_at_once_keep_the_frequency_cap_of_a_shared_number() {
    on_postgres(async |size| {
        let brand = PLAIN.replace(" }", ", frequency_cap: { messages: 3, per: 7d } }");
        let shop = Shop::new(&size, &brand);
        for n in 0..4 {
            shop.campaign(&format!("c{n}"), &format!("trigger: {{ kind: broadcast, at: {DUE} }}\nchannels: [sms]"));
        }
        // Five members a number, and no two of them side by side.
        let numbers = MEMBERS / 5;
        let row = |n: usize| format!("m{n},+98912{:07},true\n", 1_000_000 + n % numbers);
        let rows: String = (0..MEMBERS).map(row).collect();
        shop.import(Kind::Members, "external_id,phone,sms_consent\n".to_owned() + &rows).await;
        let first = shop.app(at(DUE) + chrono::Duration::minutes(1)).await;
        let second = shop.app(at(DUE) + chrono::Duration::minutes(1)).await;
        assert_eq!(tokio::join!(pass(&first), pass(&second)), (Ok(()), Ok(())));
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for (member, sent) in sent_by_member(&shop).await {
            *counts.entry(member[1..].parse::<usize>().unwrap() % numbers).or_default() += sent;
        }
        assert_eq!(counts.len(), numbers);
        let odd: Vec<_> = counts.iter().filter(|(_, count)| **count != 3).collect();
        assert!(odd.is_empty(), "{} of {numbers} numbers did not get 3 messages: {odd:?}", odd.len());
        assert_eq!(deadlocks(&shop).await, 0);
        shop.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn imports_and_passes_at_once_do_not_stop_each_other() {
    on_postgres(async |size| {
        let shop = crowd(&size).await;
        let app = App::open_to_send(shop.settings(), Clock::simulated(at(DUE))).await.unwrap();
        let passed = AtomicBool::new(false);
        let import = async {
            let mut dice = Dice(7);
            let mut round = 0;
            while !passed.load(Ordering::Relaxed) {
                round += 1;
                let done = shop.try_import(Kind::Members, members(round, &mut dice)).await;
                let done = done.map_err(|error| error.to_string())?;
                assert_eq!(done.updated, MEMBERS as u64);
            }
            Ok::<(), String>(())
        };
        let passing = async {
            let result = pass(&app).await;
            passed.store(true, Ordering::Relaxed);
            result
        };
        let outcomes = tokio::join!(import, passing);
        assert_eq!(outcomes, (Ok(()), Ok(())));
        assert_eq!(sent_by_member(&shop).await.values().sum::<usize>(), 3 * MEMBERS);
        assert_eq!(deadlocks(&shop).await, 0);
        shop.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_that_share_a_queue_do_not_stop_each_other() {
    on_servers(async |size| two_keep_the_cap(size, chrono::Duration::zero()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_older_than_the_queue_pauses_everything() {
    on_servers(async |size| {
        let shop = Shop::new(&size, PLAIN);
        shop.campaign("letter", &format!("trigger: {{ kind: broadcast, at: {DUE} }}\nchannels: [sms]"));
        let app = shop.app(at("2024-05-01T10:00:00Z")).await;
        // A dispatch of which the store knows nothing.
        let queue = app.queue().await.unwrap();
        let envelope = crate::support::sms("Hello");
        assert_eq!(queue.publish(vec![envelope.clone()]).await.unwrap(), [envelope.message]);
        queue.close().await;
        app.store.close().await;
        // A sender sees it.
        let shutdown = CancellationToken::new();
        let app = std::sync::Arc::new(shop.app(at("2024-05-01T10:00:00Z")).await);
        let running = tokio::spawn(app.run(&[Role::Sender], shutdown.clone()));
        let store = shop.store().await;
        until(true, async || {
            let mut tx = store.read().await.unwrap();
            let because = configuration::paused_because(&mut tx).await.unwrap();
            because.is_some_and(|because| because.contains("this store never dispatched"))
        })
        .await;
        shutdown.cancel();
        running.await.unwrap().unwrap();
        shop.import(Kind::Members, "external_id,phone,sms_consent\nm1,+989121234567,true\n").await;
        shop.once(DUE).await;
        assert_eq!(shop.states().await, ["m1 letter main planned -"]);
        assert!(shop.sms().is_empty());
        shop.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_dispatchers_at_once_give_each_code_once_and_find_every_one() {
    on_postgres(async |size| {
        let shop = Shop::new(&size, PLAIN);
        shop.write("templates/gift/sms.txt", "{{gift.code}}");
        let keys = "channels: [sms]\ncontent: gift\ngift: { coupon: { pool: may, value: 20% } }";
        shop.campaign("letter", &format!("trigger: {{ kind: broadcast, at: {DUE} }}\n{keys}"));
        // Every second member is held out, so half of what a batch could take is left to the other.
        let held_out = format!("trigger: {{ kind: broadcast, at: {DUE} }}\n{keys}\nexperiment: {{ holdout: 50% }}");
        shop.campaign("half", &held_out);
        let rows: String = (0..MEMBERS).map(|n| format!("m{n},+98912{:07},true\n", 1_000_000 + n)).collect();
        shop.import(Kind::Members, "external_id,phone,sms_consent\n".to_owned() + &rows).await;
        let codes = MEMBERS + MEMBERS / 2 - 200;
        let rows: String = (0..codes).map(|n| format!("c{n}\n")).collect();
        shop.import(Kind::Coupons { pool: Some("may") }, "code\n".to_owned() + &rows).await;
        let first = shop.app(at(DUE) + chrono::Duration::minutes(1)).await;
        let second = shop.app(at(DUE) + chrono::Duration::minutes(1)).await;
        assert_eq!(tokio::join!(pass(&first), pass(&second)), (Ok(()), Ok(())));
        let sent: Vec<String> = shop.sms().iter().map(|line| line["text"].as_str().unwrap().to_owned()).collect();
        assert_eq!(sent.len(), codes, "as long as there are codes, nobody is told that there is none");
        assert_eq!(sent.iter().collect::<std::collections::BTreeSet<_>>().len(), codes, "and none is given twice");
        let lacking = shop.ledger().await.into_iter().filter(|row| row.reason.as_deref() == Some("gift_unavailable"));
        assert!(lacking.count() > 100);
        assert_eq!(deadlocks(&shop).await, 0);
        shop.close().await;
    })
    .await;
}
