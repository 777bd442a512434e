//! What the test targets share: envelopes, temporary folders, a PostgreSQL database for one test,
//! and cleaning up after a test that failed as well.
#![allow(dead_code, reason = "each test target uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "only scripts/test knows where the servers are")]

pub mod bouncing;
pub mod contract;
pub mod customers;
pub mod dovecot;
pub mod fates;
pub mod features;
pub mod gateway;
pub mod generated;
pub mod known;
pub mod mail_server;
pub mod naive;
pub mod nodes;
pub mod postfix;
pub mod rabbitmq;
pub mod shop;
pub mod sink;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use rekindle::domain::message::{Content, Envelope, Purpose};
use rekindle::store::{MIGRATIONS, Store};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::OnceCell;
use uuid::Uuid;

/// Longer than anything here takes, even on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// After this a test hangs; the longest take a minute on a machine that has nothing else to do.
const LONGEST: Duration = Duration::from_secs(900);

/// Long enough for something that must not happen to happen.
pub const MOMENT: Duration = Duration::from_millis(300);

/// Runs a test and then its cleaning up, whether or not it failed.
pub async fn tidied(test: impl Future<Output = ()>, cleaning: impl Future<Output = ()>) {
    let outcome = AssertUnwindSafe(tokio::time::timeout(LONGEST, test)).catch_unwind().await;
    cleaning.await;
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(_)) => panic!("the test did not end within {LONGEST:?}"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Asks again and again until the answer is the expected one.
pub async fn until<T: PartialEq + std::fmt::Debug>(expected: T, mut ask: impl AsyncFnMut() -> T) {
    let start = tokio::time::Instant::now();
    loop {
        let answer = ask().await;
        if answer == expected {
            return;
        }
        assert!(start.elapsed() < DEADLINE, "it is still {answer:?}, not {expected:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Where a test's dice begin. REKINDLE_TEST_SEED is a number that is added, for other shops and passes.
pub fn seed(own: u64) -> u64 {
    let more =
        std::env::var("REKINDLE_TEST_SEED").map_or(0, |text| text.parse().expect("REKINDLE_TEST_SEED is a number"));
    own + more
}

/// A name that no other test has.
pub fn unique(word: &str) -> String {
    format!("{word}_{}", Uuid::now_v7().simple())
}

/// An address that a server of the tests listens on.
pub fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: run ./scripts/test"))
}

/// A folder that is removed with this value.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(unique("rekindle"));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A PostgreSQL database for one test.
pub struct Database {
    pub url: String,
    admin: String,
    name: String,
}

impl Database {
    /// Creates one on the server that REKINDLE_TEST_POSTGRES names.
    pub async fn create() -> Self {
        let admin = server("REKINDLE_TEST_POSTGRES");
        let name = unique("rekindle_test");
        let template = TEMPLATE.get_or_init(template).await;
        run(&admin, format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        Self::at(admin, name)
    }

    fn at(admin: String, name: String) -> Self {
        let (address, query) = admin.split_once('?').map_or((admin.as_str(), ""), |(a, q)| (a, q));
        let server = match address.split_once("://").unwrap().1.find('/') {
            Some(slash) => &address[..address.find("://").unwrap() + 3 + slash],
            None => address,
        };
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        Self { url: format!("{server}/{name}{query}"), admin, name }
    }

    /// A migrated store in it.
    pub async fn store(&self) -> Store {
        let store = Store::open(&self.url, 4).await.unwrap();
        store.migrate().await.unwrap();
        store
    }

    /// Removes it. Not `WITH (FORCE)`, which a role that is no superuser may not while autovacuum works
    /// there: without it PostgreSQL itself waits for autovacuum and ends it. Our own connections that are
    /// still about to close are ended, and it is tried until the database is free.
    pub async fn remove(&self) {
        let mut connection = connect(&self.admin).await;
        let drop = format!("DROP DATABASE IF EXISTS {}", self.name);
        let ours = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}' AND usename = current_user",
            self.name
        );
        let started = Instant::now();
        loop {
            connection.execute(AssertSqlSafe(ours.as_str())).await.unwrap();
            let Err(error) = connection.execute(AssertSqlSafe(drop.as_str())).await else { break };
            let in_use = error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("55006"));
            assert!(in_use && started.elapsed() < DEADLINE, "cannot remove {}: {error}", self.name);
        }
        connection.close().await.unwrap();
    }
}

/// The database that all others are copies of: the schema is made once.
static TEMPLATE: OnceCell<String> = OnceCell::const_new();

async fn template() -> String {
    let admin = server("REKINDLE_TEST_POSTGRES");
    let schema: String = MIGRATIONS.iter().map(|migration| migration.sql.as_str().to_owned()).collect();
    let mut hasher = DefaultHasher::new();
    (schema, env!("CARGO_MANIFEST_DIR")).hash(&mut hasher);
    let name = format!("rekindle_template_{:x}", hasher.finish());
    let mut connection = connect(&admin).await;
    let there = format!("SELECT COUNT(*) FROM pg_database WHERE datname = '{name}'");
    let there: i64 = sqlx::query_scalar(AssertSqlSafe(there)).fetch_one(&mut connection).await.unwrap();
    if there == 0 {
        // Not a copy of template1: whatever somebody has put there, and its encoding, stay out.
        let made = unique("rekindle_making");
        run(&admin, format!("CREATE DATABASE {made} TEMPLATE template0 ENCODING 'UTF8'")).await;
        let database = Database::at(admin, made.clone());
        database.store().await.close().await;
        // Another process may have been faster.
        let rename = format!("ALTER DATABASE {made} RENAME TO {name}");
        if connection.execute(AssertSqlSafe(rename)).await.is_err() {
            database.remove().await;
        }
    }
    connection.close().await.unwrap();
    name
}

async fn run(url: &str, sql: String) {
    let mut connection = connect(url).await;
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
    connection.close().await.unwrap();
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.expect("PostgreSQL does not answer at REKINDLE_TEST_POSTGRES: run ./scripts/test")
}

/// An e-mail of about so many bytes.
pub fn email(html: &str) -> Envelope {
    envelope(Content::Email {
        from: "فروشگاه <hello@example.com>".to_owned(),
        to_name: "سارا".to_owned(),
        return_path: None,
        headers: Vec::new(),
        subject: "تولدت مبارک، سارا!".to_owned(),
        html: Some(html.to_owned()),
        text: "سلام".to_owned(),
    })
}

pub fn sms(text: &str) -> Envelope {
    envelope(Content::text(text))
}

pub fn envelope(content: Content) -> Envelope {
    let to = if matches!(content, Content::Email { .. }) { "sara@example.com" } else { "+989121234567" };
    Envelope {
        campaign: "birthday-gift".to_owned(),
        at: 1_790_000_000_000,
        ..Envelope::new(Uuid::now_v7(), Purpose::Marketing, to, content)
    }
}
