//! Faults by dice: what goes wrong, when, and for how long.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rekindle::domain::message::Envelope;
use rekindle::queue::Queue;
use rekindle::queue::rabbitmq::RabbitMq;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::fleet::{Fleet, Lines, ROLES, Shop};
use crate::mailbox;
use crate::support::email;
use crate::support::nodes::{PostgresNode, RabbitNode};
use crate::support::shop::Dice;

/// A fault and how often it comes, of all.
const FAULTS: &[(&str, u64)] = &[
    ("kill", 22),
    ("pause", 8),
    ("restart", 8),
    ("kill the broker", 4),
    ("kill the database", 4),
    ("kill a backend", 4),
    ("end database sessions", 8),
    ("cut the database", 10),
    ("cut the database in the middle", 8),
    ("lose answers to commits", 14),
    ("silence the database", 5),
    ("refuse the database", 4),
    ("cut the broker", 10),
    ("cut the broker in the middle", 8),
    ("silence the broker", 4),
    ("refuse the broker", 4),
    ("raise the disk alarm", 3),
    ("crowd the database", 3),
    ("stand in the way", 8),
    ("change addresses", 10),
    ("let leases run out", 8),
    ("leave older copies", 6),
];

/// Words in the names of faults that nobody feels without a broker.
const OF_THE_BROKER: &[&str] = &["broker", "disk alarm", "older copies"];

/// What the monkey plays with.
pub struct Zoo {
    pub fleet: Arc<Fleet>,
    pub shop: Arc<Shop>,
    pub lines: Lines,
    pub postgres: Mutex<PostgresNode>,
    pub rabbit: Mutex<RabbitNode>,
    /// Whether the processes use it.
    pub broker: bool,
    /// Past the proxies.
    pub store: String,
    pub queue: String,
    pub began: Instant,
    pub timeline: std::sync::Mutex<Vec<(Duration, String)>>,
    /// How many faults there were.
    pub faults: AtomicUsize,
}

impl Zoo {
    pub fn note(&self, what: String) {
        self.timeline.lock().unwrap().push((self.began.elapsed(), what));
    }
}

/// Lets faults happen for so long; when it returns, everything is mended and running.
pub async fn play(zoo: Arc<Zoo>, seed: u64, length: Duration) {
    let mut dice = Dice(seed);
    let end = Instant::now() + length;
    let mut lasting = JoinSet::new();
    // One of each role is paused for longer than every lease, so that others take over.
    for (one, role) in ["sender", "scheduler", "dispatcher"].into_iter().enumerate() {
        // Without a broker each of the three does everything.
        let index = if zoo.broker { ROLES.iter().position(|other| *other == role).unwrap() } else { one };
        let after = Duration::from_millis(3_000 + dice.below(5_000));
        let pause = if role == "sender" { 66 } else { 34 };
        lasting.spawn(pause_for(Arc::clone(&zoo), index, after, Duration::from_secs(pause)));
    }
    // And a line on which nothing comes any more, for longer than anybody waits.
    if length > Duration::from_secs(120) {
        lasting.spawn(fall_silent(Arc::clone(&zoo), Duration::from_secs(20 + dice.below(40))));
    }
    while Instant::now() < end {
        sleep(Duration::from_millis(300 + dice.below(2_200))).await;
        let faults =
            FAULTS.iter().filter(|(fault, _)| zoo.broker || !OF_THE_BROKER.iter().any(|word| fault.contains(word)));
        let mut roll = dice.below(faults.clone().map(|(_, share)| share).sum());
        let mut chosen = FAULTS[0].0;
        for (fault, share) in faults {
            if roll < *share {
                chosen = fault;
                break;
            }
            roll -= share;
        }
        let some = dice.roll();
        lasting.spawn(happen(Arc::clone(&zoo), chosen, some));
        while lasting.try_join_next().is_some_and(|ended| ended.map(|()| true).unwrap()) {}
    }
    while let Some(ended) = lasting.join_next().await {
        ended.unwrap();
    }
    zoo.lines.mend();
    for index in 0..zoo.fleet.len() {
        zoo.fleet.resume(index);
    }
}

async fn pause_for(zoo: Arc<Zoo>, index: usize, after: Duration, length: Duration) {
    sleep(after).await;
    if zoo.fleet.pause(index) {
        zoo.note(format!("pause {} for {} s", zoo.fleet.name(index), length.as_secs()));
        sleep(length).await;
        zoo.fleet.resume(index);
    }
}

async fn fall_silent(zoo: Arc<Zoo>, after: Duration) {
    sleep(after).await;
    zoo.note("one line to the database falls silent for 75 s".to_owned());
    let end = Instant::now() + Duration::from_secs(75);
    while Instant::now() < end {
        // Other faults on the same line mend it when they are over.
        zoo.lines.store[1].freeze();
        sleep(Duration::from_millis(200)).await;
    }
    zoo.lines.store[1].mend();
}

async fn happen(zoo: Arc<Zoo>, fault: &'static str, some: u64) {
    zoo.faults.fetch_add(1, Ordering::Relaxed);
    let mut dice = Dice(some);
    let index = usize::try_from(dice.below(zoo.fleet.len() as u64)).unwrap();
    let name = zoo.fleet.name(index);
    let store = &zoo.lines.store[usize::try_from(dice.below(zoo.lines.store.len() as u64)).unwrap()];
    let queue = &zoo.lines.queue[usize::try_from(dice.below(zoo.lines.queue.len() as u64)).unwrap()];
    let proxy = if fault.contains("broker") { queue } else { store };
    let moment = Duration::from_millis(500 + dice.below(5_000));
    match fault {
        "kill" => {
            zoo.note(format!("kill {name}"));
            zoo.fleet.kill(index);
        }
        "pause" => pause_for(Arc::clone(&zoo), index, Duration::ZERO, 3 * moment).await,
        "restart" => {
            let end = zoo.fleet.restart(index, Duration::from_secs(40)).await;
            zoo.note(format!("restart {name}: {end}"));
        }
        "kill the broker" => {
            let mut rabbit = zoo.rabbit.lock().await;
            zoo.note(fault.to_owned());
            tokio::task::block_in_place(|| {
                rabbit.kill();
                std::thread::sleep(moment / 2);
                rabbit.start_again();
            });
            zoo.note("the broker is back".to_owned());
        }
        "kill the database" => {
            let mut postgres = zoo.postgres.lock().await;
            zoo.note(fault.to_owned());
            tokio::task::block_in_place(|| {
                postgres.kill();
                std::thread::sleep(moment / 2);
                postgres.start_again();
            });
            zoo.note("the database is back".to_owned());
        }
        "kill a backend" => {
            let postgres = zoo.postgres.lock().await;
            zoo.note(fault.to_owned());
            postgres.kill_a_backend(dice.roll());
        }
        "raise the disk alarm" => {
            let rabbit = zoo.rabbit.lock().await;
            zoo.note(fault.to_owned());
            tokio::task::block_in_place(|| {
                rabbit.disk_alarm(true);
                std::thread::sleep(moment);
                rabbit.disk_alarm(false);
            });
            zoo.note("the disk alarm is over".to_owned());
        }
        "end database sessions" => {
            let some = dice.below(4) + 1;
            let sql = format!(
                "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
                 WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' AND pid % 4 < {some}"
            );
            zoo.note(fault.to_owned());
            zoo.ask(&sql).await;
        }
        "crowd the database" => {
            zoo.note(fault.to_owned());
            let mut crowd = Vec::new();
            while let Ok(connection) = PgConnection::connect(&zoo.store).await {
                crowd.push(connection);
            }
            sleep(moment).await;
        }
        "stand in the way" => {
            zoo.note(fault.to_owned());
            zoo.stand_in_the_way(&mut dice).await;
        }
        "change addresses" => {
            let changed = zoo.change_addresses(dice.roll()).await.unwrap_or_default();
            zoo.note(format!("{fault} of {changed}"));
        }
        "let leases run out" => {
            // So that a message is dispatched again while its copy still waits.
            zoo.note(fault.to_owned());
            zoo.ask(
                "UPDATE pending SET lease_until = 0 WHERE dispatch_no IS NOT NULL AND claim IS NULL AND random() < 0.3",
            )
            .await;
        }
        "leave older copies" => {
            let left = tokio::time::timeout(Duration::from_secs(10), zoo.leave_older_copies()).await;
            zoo.note(format!("{fault}: {}", left.ok().flatten().unwrap_or_default()));
        }
        "cut the database" | "cut the broker" => {
            zoo.note(fault.to_owned());
            proxy.cut();
        }
        "cut the database in the middle" | "cut the broker in the middle" => {
            zoo.note(fault.to_owned());
            proxy.cut_after(1_000 + dice.below(400_000));
            sleep(moment).await;
            proxy.mend();
        }
        "lose answers to commits" => {
            zoo.note(fault.to_owned());
            proxy.lose_answers_to_commits(usize::try_from(3 + dice.below(20)).unwrap());
        }
        "silence the database" | "silence the broker" => {
            zoo.note(format!("{fault} for {moment:?}"));
            proxy.freeze();
            sleep(3 * moment).await;
            proxy.mend();
        }
        "refuse the database" | "refuse the broker" => {
            zoo.note(format!("{fault} for {moment:?}"));
            proxy.refuse();
            sleep(2 * moment).await;
            proxy.mend();
        }
        other => unreachable!("{other}"),
    }
}

impl Zoo {
    /// Runs a statement, if the database is there.
    async fn ask(&self, sql: &str) {
        if let Ok(mut connection) = PgConnection::connect(&self.store).await {
            let _ = connection.execute(AssertSqlSafe(sql)).await;
        }
    }

    /// An import brings some members new addresses, and some of the old ones are closed. Gives how many changed.
    async fn change_addresses(&self, roll: u64) -> sqlx::Result<usize> {
        let mut connection = PgConnection::connect(&self.store).await?;
        let sql = "SELECT external_id, COALESCE(email, '') FROM members ORDER BY random() LIMIT 60";
        let members: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(&mut connection).await?;
        let moved =
            |(n, (id, _)): (usize, &(String, String))| format!("{id},{}\n", mailbox(&format!("{id}.{roll}"), n));
        let new: String = members.iter().enumerate().map(moved).collect();
        let old: String = members.iter().step_by(2).map(|(_, email)| format!("{email},marketing\n")).collect();
        for (kind, head, rows) in [("members", "external_id,email", new), ("suppressions", "address,purpose", old)] {
            let file = self.shop.folder.0.join(format!("{kind}-{roll}.csv"));
            std::fs::write(&file, format!("{head}\n{rows}"))?;
            let mut command = self.shop.command(&["import", kind, file.to_str().unwrap()]);
            // The database may be away: then nothing has changed.
            tokio::task::block_in_place(|| command.output())?;
        }
        Ok(members.len())
    }

    /// Copies of dispatches that are over, to somebody else: whoever pairs them with a newer claim sends them.
    async fn leave_older_copies(&self) -> Option<usize> {
        let mut connection = PgConnection::connect(&self.store).await.ok()?;
        let sql =
            "SELECT message_id, dispatch_no FROM pending WHERE dispatch_no IS NOT NULL AND claim IS NULL LIMIT 40";
        let waiting: Vec<(sqlx::types::Uuid, i64)> = sqlx::query_as(sql).fetch_all(&mut connection).await.ok()?;
        let older = |(message, number): (sqlx::types::Uuid, i64)| Envelope {
            message,
            dispatch_no: number - 1,
            to: "older@example.com".to_owned(),
            ..email("older")
        };
        let queue = RabbitMq::connect(&self.queue).await.ok()?;
        let left = queue.publish(waiting.into_iter().map(older).collect()).await;
        queue.close().await;
        left.ok().map(|left| left.len())
    }

    /// Holds rows that others want, one after another in no order: who meets this waits, or both wait
    /// for each other and the database ends one of them.
    async fn stand_in_the_way(&self, dice: &mut Dice) {
        let Ok(mut connection) = PgConnection::connect(&self.store).await else { return };
        let rows = async {
            let ids: Vec<(sqlx::types::Uuid,)> =
                sqlx::query_as("SELECT message_id FROM pending WHERE dispatch_no IS NOT NULL LIMIT 60")
                    .fetch_all(&mut connection)
                    .await?;
            let mut tx = connection.begin().await?;
            let mut ids: Vec<_> = ids.into_iter().map(|(id,)| id).collect();
            dice.shuffle(&mut ids);
            for id in ids {
                let table = *dice.pick(&["pending", "messages"]);
                let column = if table == "messages" { "id" } else { "message_id" };
                let sql = format!("SELECT 1 FROM {table} WHERE {column} = $1 FOR UPDATE");
                sqlx::query(AssertSqlSafe(sql)).bind(id).execute(&mut *tx).await?;
                sleep(Duration::from_millis(dice.below(30))).await;
            }
            tx.rollback().await
        };
        // Whoever the database chose to end.
        let _: sqlx::Result<()> = rows.await;
    }
}
