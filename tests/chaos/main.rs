//! Chaos: thousands of messages through several processes on PostgreSQL, RabbitMQ, SMTP and an SMS provider, all
//! of which are killed, paused, cut off and silenced by dice. In the end the ledgers of mail server and provider
//! are held against the store: nothing lost, nothing doubled beyond what is recorded as uncertain, and no mail
//! to an address that policy did not judge.
//! `./scripts/chaos` runs it; it starts servers of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "its report")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rekindle::domain::message::{Channel, Envelope};
use rekindle::queue::Queue;
use rekindle::queue::rabbitmq::RabbitMq;
use tokio::time::{Instant, sleep};

use fleet::{ALONE, CAMPAIGNS, Fleet, Lines, ROLES, Shop};
use gateway::Gateway;
use monkey::Zoo;
use proxy::Proxy;
use smtp::Smtp;
use support::nodes::{PostgresNode, RabbitNode};

mod fleet;
mod gateway;
mod monkey;
mod oracle;
#[path = "../servers/proxy.rs"]
#[allow(dead_code, reason = "faults that only tests of the queue use")]
mod proxy;
mod smtp;
#[path = "../support/mod.rs"]
mod support;

/// Lines to the mail server that the senders have together.
const CONNECTIONS: f64 = 24.0;

/// How one run is made.
struct Plan {
    seed: u64,
    messages: usize,
    /// How long faults happen.
    chaos: Duration,
    /// How long what is left may take afterwards.
    rest: Duration,
    /// Members come in so many files.
    imports: usize,
    /// Whether retries are waited for to the last.
    patient: bool,
    keep: bool,
    /// Else each process sends what it dispatches.
    broker: bool,
}

impl Plan {
    /// The script's arguments, which come in REKINDLE_CHAOS.
    fn read() -> Self {
        let mut plan = Self {
            seed: 1,
            messages: 2_000,
            chaos: Duration::from_secs(40),
            rest: Duration::from_secs(300),
            imports: 4,
            patient: false,
            keep: false,
            broker: true,
        };
        #[allow(clippy::disallowed_methods, reason = "the script calls the test so")]
        let text = std::env::var("REKINDLE_CHAOS").unwrap_or_default();
        let mut arguments = text.split_whitespace();
        while let Some(argument) = arguments.next() {
            let mut number = || -> u64 {
                let number = arguments.next().and_then(|text| text.parse().ok());
                number.unwrap_or_else(|| panic!("{argument} wants a number"))
            };
            match argument {
                "--seed" => plan.seed = number(),
                "--messages" => plan.messages = usize::try_from(number()).unwrap(),
                "--seconds" => plan.chaos = Duration::from_secs(number()),
                "--keep" => plan.keep = true,
                "--without-broker" => plan.broker = false,
                "--long" => {
                    plan.messages = 20_000;
                    plan.chaos = Duration::from_secs(180);
                    plan.rest = Duration::from_secs(600);
                    plan.imports = 10;
                    plan.patient = true;
                }
                other => {
                    panic!(
                        "unknown: {other}; known are --long, --seed N, --messages N, --seconds N, --keep, --without-broker"
                    )
                }
            }
        }
        plan
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_and_nothing_doubled() {
    let plan = Plan::read();
    println!("chaos: seed {}, {} messages, {:?} of faults", plan.seed, plan.messages, plan.chaos);
    assert!(
        run(&plan).await,
        "chaos: the same dice again: scripts/chaos --seed {} --messages {} --seconds {}",
        plan.seed,
        plan.messages,
        plan.chaos.as_secs()
    );
    println!("chaos: seed {} passed", plan.seed);
}

async fn run(plan: &Plan) -> bool {
    let began = Instant::now();
    let (postgres, rabbit) = tokio::task::block_in_place(|| (PostgresNode::start(), RabbitNode::start()));
    // Slow enough that messages are under way as long as faults happen.
    let pace = plan.chaos.mul_f64(0.6 * CONNECTIONS / plan.messages as f64);
    let smtp = Smtp::start(plan.seed, pace).await;
    let lines = Lines {
        store: vec![Proxy::before(&postgres.address()).await, Proxy::before(&postgres.address()).await],
        queue: vec![Proxy::before(&rabbit.address()).await, Proxy::before(&rabbit.address()).await],
    };
    let (store, queue) = (postgres.url(&postgres.address()), rabbit.url(&rabbit.address()));
    let (shop, gateway) = open(&store, &queue, &smtp, plan.seed).await;
    let members = plan.messages / CAMPAIGNS.len();
    // Too few for all: a code that is set aside for nobody would show.
    tokio::task::block_in_place(|| shop.prepare(members - members / 20));
    oracle::watch(&store).await.unwrap();
    println!("chaos: servers are up after {:?}", began.elapsed());
    let addresses = lines
        .store
        .iter()
        .zip(&lines.queue)
        .map(|(store, queue)| {
            let queue = if plan.broker { rabbit.url(&queue.address.to_string()) } else { "embedded".to_owned() };
            (postgres.url(&store.address.to_string()), queue)
        })
        .collect();
    let fleet = Fleet::start(Arc::clone(&shop), &addresses, if plan.broker { ROLES } else { ALONE });
    let zoo = Arc::new(Zoo {
        fleet: Arc::clone(&fleet),
        shop: Arc::clone(&shop),
        lines,
        postgres: postgres.into(),
        rabbit: rabbit.into(),
        broker: plan.broker,
        store: store.clone(),
        queue,
        began: Instant::now(),
        timeline: std::sync::Mutex::default(),
        faults: AtomicUsize::new(0),
    });

    let importing = tokio::spawn(import(Arc::clone(&zoo), Arc::clone(&shop), members, plan.imports, plan.chaos / 2));
    monkey::play(Arc::clone(&zoo), plan.seed, plan.chaos).await;
    importing.await.unwrap();
    zoo.note("chaos is over".to_owned());
    // The next scan need not wait for the minute: a scheduler that begins looks at once.
    for index in 0..fleet.len() {
        let end = fleet.restart(index, Duration::from_secs(60)).await;
        zoo.note(format!("restart {}: {end}", fleet.name(index)));
    }
    let expected = members * CAMPAIGNS.len();
    let rested = rest(&zoo, expected, plan).await;
    let ends = fleet.stop().await;
    let verdict = oracle::judge(&store, &smtp.taken(), &gateway.taken(), expected).await.unwrap();

    let timeline = zoo.timeline.lock().unwrap().clone();
    for (at, what) in &timeline {
        println!("  {:6.1} s  {what}", at.as_secs_f64());
    }
    for exit in fleet.exits() {
        println!("  ended by itself: {exit}");
    }
    println!("  in the end: {}", ends.join(", "));
    println!("the mail server: {}", smtp.summary());
    println!("{}", verdict.show());
    println!(
        "  {} faults by dice, {} ends of processes by themselves, at most {} MB in a process, {} lines logged, {:.0} s",
        zoo.faults.load(Ordering::Relaxed),
        fleet.exits().len(),
        fleet.most_memory() / 1_024,
        fleet.lines_logged(),
        began.elapsed().as_secs_f64()
    );
    if let Err(left) = &rested {
        println!("  it did not come to rest: {left}");
    }
    for wrong in verdict.wrong.iter().take(50) {
        println!("  WRONG: {wrong}");
    }
    let told: serde_json::Value =
        serde_json::from_slice(&shop.succeed(&["--format", "json", "status"]).stdout).unwrap();
    let told = told["uncertain_attempts"].as_i64();
    if told != Some(verdict.uncertain_attempts) {
        println!("  WRONG: `status` says that {told:?} attempts are uncertain");
    }
    let passed = verdict.wrong.is_empty() && told == Some(verdict.uncertain_attempts);
    if plan.keep || !passed {
        println!("  logs: {}", shop.keep_logs(plan.seed).display());
    }
    passed
}

/// A shop on these servers, with an SMS provider that reports to it.
async fn open(store: &str, queue: &str, smtp: &Smtp, seed: u64) -> (Arc<Shop>, Arc<Gateway>) {
    let mut shop = None;
    let gateway = Gateway::start(seed, |port| {
        let opened = Arc::new(Shop::new(store, queue, smtp.address.port(), port));
        let settings = shop.insert(opened).settings();
        (store.to_owned(), settings)
    })
    .await;
    (shop.unwrap(), gateway)
}

/// To which the members' addresses belong.
const DOMAINS: usize = 40;

const COLUMNS: &str = "external_id,email,phone,first_name,email_consent,sms_consent,joined_at";

fn member(n: usize) -> String {
    format!("m{n},{},+98912{n:07},Sara,true,true,2026-01-01T00:00:00Z\n", mailbox(&format!("m{n}"), n))
}

/// An address in one of many domains: one that asks for less, and rests for a minute, must not hold up everybody.
fn mailbox(name: &str, n: usize) -> String {
    format!("{name}@d{}.example.com", n % DOMAINS)
}

/// Imports the members in parts, each until it succeeds: a file may come twice.
async fn import(zoo: Arc<Zoo>, shop: Arc<Shop>, members: usize, parts: usize, within: Duration) {
    for part in 0..parts {
        let (from, to) = (members * part / parts, members * (part + 1) / parts);
        let rows: String = (from..to).map(member).collect();
        let file = shop.folder.0.join(format!("members-{part}.csv"));
        std::fs::write(&file, format!("{COLUMNS}\n{rows}")).unwrap();
        let mut tries = 1;
        loop {
            let mut command = shop.command(&["import", "members", file.to_str().unwrap()]);
            // Through a proxy, as everybody.
            command.env(
                "REKINDLE_STORE",
                zoo.store.replace(&address(&zoo.store), &zoo.lines.store[0].address.to_string()),
            );
            let output = tokio::task::block_in_place(|| command.output().unwrap());
            if output.status.success() {
                break;
            }
            tries += 1;
            assert!(tries < 200, "{}", String::from_utf8_lossy(&output.stderr));
            sleep(Duration::from_millis(500)).await;
        }
        zoo.note(format!("imported {from} to {to} in {tries} tries"));
        sleep(within / u32::try_from(parts).unwrap()).await;
    }
}

/// `host:port` of a URL.
fn address(url: &str) -> String {
    url.split_once('@').unwrap().1.split('/').next().unwrap().to_owned()
}

/// A domain that asked for less rests so long: what is put off for it is no retry.
const GRACE: Duration = Duration::from_secs(300);

/// Waits until nothing is planned or under way, at most as long as planned; then only for what does not wait for its
/// second and third retry. The short form waits for those alone from the start.
async fn rest(zoo: &Zoo, expected: usize, plan: &Plan) -> Result<(), String> {
    let started = Instant::now();
    loop {
        let left = oracle::remaining(&zoo.store).await.map_err(|error| error.to_string())?;
        let oracle::Remaining { planned, retrying, under_way, falling, all } = left;
        let is_patient = plan.patient && started.elapsed() < plan.rest;
        let waiting = if is_patient { 0 } else { retrying };
        if planned == waiting && under_way == 0 && falling == 0 && usize::try_from(all).unwrap() == expected {
            zoo.note("at rest".to_owned());
            return Ok(());
        }
        if started.elapsed() > plan.rest + GRACE {
            let waits = oracle::what_waits(&zoo.store).await.map_err(|error| error.to_string())?;
            return Err(format!(
                "{planned} planned, {under_way} under way, {falling} to fall back, {all} of {expected} messages\n{waits}"
            ));
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Copies in the broker that nobody waits for any more, as after a long standstill of all senders.
const STALE: usize = 100_000;

/// What a process may have, in megabytes.
const MEMORY: u64 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backlog_of_100_000_is_worked_off_in_little_memory() {
    let began = Instant::now();
    let (postgres, rabbit) = tokio::task::block_in_place(|| (PostgresNode::start(), RabbitNode::start()));
    let smtp = Smtp::start(1, Duration::ZERO).await;
    let (store, url) = (postgres.url(&postgres.address()), rabbit.url(&rabbit.address()));
    let (shop, gateway) = open(&store, &url, &smtp, 1).await;
    let members: usize = 1_000;
    tokio::task::block_in_place(|| shop.prepare(members));
    oracle::watch(&store).await.unwrap();
    let rows: String = (0..members).map(member).collect();
    let file = shop.folder.0.join("members.csv");
    std::fs::write(&file, format!("{COLUMNS}\n{rows}")).unwrap();
    tokio::task::block_in_place(|| shop.succeed(&["import", "members", file.to_str().unwrap()]));
    let ended = oracle::end_one_each(&store).await.unwrap();
    let queue = RabbitMq::connect(&url).await.unwrap();
    let html = "Here is what is new in our shop this week. ".repeat(60);
    let mut published = 0;
    while published < STALE {
        let dispatched = |id: &uuid::Uuid| Envelope { message: *id, ..support::email(&html) };
        let batch: Vec<_> = ended.iter().take(500).map(dispatched).collect();
        published += queue.publish(batch).await.unwrap().len();
    }
    println!("backlog: {published} copies are in the broker after {:?}", began.elapsed());
    let fleet = Fleet::start(Arc::clone(&shop), &vec![(store.clone(), url.clone())], ROLES);
    let working = Instant::now();
    let expected = members * CAMPAIGNS.len() + ended.len();
    loop {
        let oracle::Remaining { planned, retrying, under_way, falling, all } = oracle::remaining(&store).await.unwrap();
        let depth = queue.depth(Channel::Email).await.unwrap();
        if (planned - retrying, under_way + falling, all, depth) == (0, 0, i64::try_from(expected).unwrap(), 0) {
            break;
        }
        assert!(
            working.elapsed() < Duration::from_secs(500),
            "{planned} planned, {under_way} under way, {all} messages, {depth} in the broker"
        );
        sleep(Duration::from_secs(1)).await;
    }
    let memory = fleet.most_memory() / 1_024;
    println!("backlog: worked off in {:?}, at most {memory} MB in a process", working.elapsed());
    assert!(memory < MEMORY);
    assert_eq!(queue.dead().await.unwrap(), 0);
    fleet.stop().await;
    queue.close().await;
    let verdict = oracle::judge(&store, &smtp.taken(), &gateway.taken(), expected).await.unwrap();
    println!("{}", verdict.show());
    assert!(verdict.wrong.is_empty(), "{:?}", verdict.wrong);
}

/// How often the process on SQLite is killed.
const KILLS: usize = 50;

/// One process that does everything, on a file, without a broker.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_process_on_one_file_is_killed_fifty_times() {
    let plan = Plan::read();
    let began = Instant::now();
    let members = plan.messages / CAMPAIGNS.len();
    let smtp = Smtp::start(plan.seed, Duration::from_millis(30)).await;
    let folder = support::Folder::new();
    let store = format!("sqlite://{}", folder.0.join("rekindle.db").display());
    let (shop, gateway) = open(&store, "embedded", &smtp, plan.seed).await;
    tokio::task::block_in_place(|| shop.prepare(members - members / 20));
    oracle::watch(&store).await.unwrap();
    let rows: String = (0..members).map(member).collect();
    let file = shop.folder.0.join("members.csv");
    std::fs::write(&file, format!("{COLUMNS}\n{rows}")).unwrap();
    tokio::task::block_in_place(|| shop.succeed(&["import", "members", file.to_str().unwrap()]));
    let fleet = Fleet::start(Arc::clone(&shop), &vec![(store.clone(), "embedded".to_owned())], &ALONE[..1]);
    let mut dice = support::shop::Dice(plan.seed);
    for _ in 0..KILLS {
        sleep(Duration::from_millis(200 + dice.below(700))).await;
        fleet.kill(0);
    }
    println!("chaos: killed {KILLS} times after {:?}, {} mails were taken", began.elapsed(), smtp.taken().len());
    let expected = members * CAMPAIGNS.len();
    let resting = Instant::now();
    loop {
        let oracle::Remaining { planned, retrying, under_way, falling, all } = oracle::remaining(&store).await.unwrap();
        if planned == retrying && under_way == 0 && falling == 0 && usize::try_from(all).unwrap() == expected {
            break;
        }
        if resting.elapsed() > plan.rest {
            println!("{}", oracle::what_waits(&store).await.unwrap());
            let kept = shop.keep_logs(plan.seed);
            panic!(
                "{planned} planned, {under_way} under way, {falling} to fall back, {all} of {expected}; ended: {:?}; logs: {}",
                fleet.exits(),
                kept.display()
            );
        }
        sleep(Duration::from_secs(1)).await;
    }
    println!("chaos: at rest after {:?}", resting.elapsed());
    fleet.stop().await;
    let verdict = oracle::judge(&store, &smtp.taken(), &gateway.taken(), expected).await.unwrap();
    println!("{}", verdict.show());
    assert!(verdict.wrong.is_empty(), "{:?}", verdict.wrong);
    assert!(verdict.uncertain_attempts > 0, "no kill met an attempt");
}
