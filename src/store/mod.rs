//! The database: one file per table family, PostgreSQL and SQLite behind one type. One SQL text
//! serves both; what their dialects write differently stands in braces (see [`Dialect::expand`]).

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, PgConnection, PgPool, Postgres, Sqlite, SqlitePool, Transaction};

use crate::domain::host::is_loopback;
use crate::domain::token::TokenKey;
use crate::files;

pub mod answers;
pub mod attempts;
pub mod audience_facts;
pub mod audience_sql;
pub mod audit;
pub mod configuration;
pub mod consents;
pub mod credits;
pub mod daily;
pub mod dates;
pub mod dialect;
pub mod effect;
pub mod erasure;
pub mod events;
pub mod facts;
pub mod gauges;
pub mod gifts;
pub mod leases;
pub mod ledger;
pub mod loyalty;
mod measure;
pub mod member_rows;
pub mod members;
pub mod merging;
pub mod messages;
pub mod models;
mod moving;
mod nodelay;
pub mod objections;
pub mod occasions;
pub mod paces;
pub mod programme;
pub mod purchases;
pub mod receipts;
pub mod replies;
pub mod rfm;
mod rows;
pub mod stretches;
pub mod subject;
pub mod suppressions;
pub mod versions;
pub mod volumes;
pub mod waiting;

pub use dialect::{Dialect, Ids, Texts, Uuids};
pub use rows::Rows;

/// Statements of one file, listed so that a test can prepare each on both databases.
macro_rules! statements {
    ($($(#[$meta:meta])* $name:ident = $sql:expr;)+) => {
        $($(#[$meta])* const $name: &str = $sql;)+
        /// Name and text of every statement in this file.
        pub const STATEMENTS: &[(&str, &str)] = &[$((stringify!($name), $name)),+];
    };
}
pub(crate) use statements;

/// The arguments of a statement.
macro_rules! bound {
    ($db:ty, $sql:expr $(, $bind:expr)*) => {{
        #[allow(unused_mut, reason = "a statement may take none")]
        let mut arguments = <$db as sqlx::Database>::Arguments::default();
        $($crate::store::rows::Bind::<'_, $db>::bind($bind, &mut arguments, $sql).map_err(sqlx::Error::Encode)?;)*
        arguments
    }};
}
pub(crate) use bound;

/// Runs a statement in a [`Tx`]; gives the number of rows it touched.
macro_rules! execute {
    ($tx:expr, $sql:expr $(, $bind:expr)* $(,)?) => {{
        let sql = sqlx::AssertSqlSafe($tx.dialect().statement($sql));
        match &mut $tx.database {
            $crate::store::Database::Postgres(c) => {
                let bound = sqlx::query_with(sql, $crate::store::bound!(sqlx::Postgres, $sql $(, $bind)*));
                $crate::store::measure::statement($sql, bound.execute(&mut **c)).await.map(|done| done.rows_affected())
            }
            $crate::store::Database::Sqlite(c) => {
                let bound = sqlx::query_with(sql, $crate::store::bound!(sqlx::Sqlite, $sql $(, $bind)*));
                $crate::store::measure::statement($sql, bound.execute(&mut **c)).await.map(|done| done.rows_affected())
            }
        }
    }};
}
pub(crate) use execute;

/// Reads rows of a type in a [`Tx`], with `fetch_all`, `fetch_one` or `fetch_optional`.
macro_rules! query {
    ($fetch:ident, $row:ty, $tx:expr, $sql:expr $(, $bind:expr)* $(,)?) => {{
        let sql = sqlx::AssertSqlSafe($tx.dialect().statement($sql));
        match &mut $tx.database {
            $crate::store::Database::Postgres(c) => {
                let bound = $crate::store::bound!(sqlx::Postgres, $sql $(, $bind)*);
                let query = sqlx::query_as_with::<_, $row, _>(sql, bound);
                $crate::store::measure::statement($sql, query.$fetch(&mut **c)).await
            }
            $crate::store::Database::Sqlite(c) => {
                let bound = $crate::store::bound!(sqlx::Sqlite, $sql $(, $bind)*);
                let query = sqlx::query_as_with::<_, $row, _>(sql, bound);
                $crate::store::measure::statement($sql, query.$fetch(&mut **c)).await
            }
        }
    }};
}
pub(crate) use query;

/// File, name and text of every statement, marks unexpanded: what a test prepares on both databases.
/// Those that are built for the columns of a file stand with all of them and with none.
pub fn all_statements() -> Vec<(&'static str, &'static str, String)> {
    let listed = [
        ("answers", answers::STATEMENTS),
        ("attempts", attempts::STATEMENTS),
        ("audience_facts", audience_facts::STATEMENTS),
        ("audience_sql", audience_sql::STATEMENTS),
        ("audit", audit::STATEMENTS),
        ("configuration", configuration::STATEMENTS),
        ("consents", consents::STATEMENTS),
        ("credits", credits::STATEMENTS),
        ("daily", daily::STATEMENTS),
        ("dates", dates::STATEMENTS),
        ("effect", effect::STATEMENTS),
        ("erasure", erasure::STATEMENTS),
        ("events", events::STATEMENTS),
        ("facts", facts::STATEMENTS),
        ("gauges", gauges::STATEMENTS),
        ("gifts", gifts::STATEMENTS),
        ("leases", leases::STATEMENTS),
        ("member_rows", member_rows::STATEMENTS),
        ("members", members::STATEMENTS),
        ("merging", merging::STATEMENTS),
        ("messages", messages::STATEMENTS),
        ("models", models::STATEMENTS),
        ("moving", moving::STATEMENTS),
        ("objections", objections::STATEMENTS),
        ("paces", paces::STATEMENTS),
        ("programme", programme::STATEMENTS),
        ("purchases", purchases::STATEMENTS),
        ("receipts", receipts::STATEMENTS),
        ("replies", replies::STATEMENTS),
        ("rfm", rfm::STATEMENTS),
        ("stretches", stretches::STATEMENTS),
        ("suppressions", suppressions::STATEMENTS),
        ("versions", versions::STATEMENTS),
        ("volumes", volumes::STATEMENTS),
        ("waiting", waiting::STATEMENTS),
    ];
    let mut all: Vec<_> = listed
        .iter()
        .flat_map(|(file, statements)| statements.iter().map(|(name, sql)| (*file, *name, (*sql).to_owned())))
        .collect();
    all.extend(ledger::statements().into_iter().map(|(file, name, sql)| (file, name, sql.to_owned())));
    all.extend([
        ("member_rows", "upsert of every column", member_rows::upsert_sql(member_rows::COLUMNS)),
        ("member_rows", "upsert of no column", member_rows::upsert_sql(&[])),
        ("purchases", "upsert of every column", purchases::upsert_sql(purchases::OPTIONAL_COLUMNS)),
        ("purchases", "upsert of the required columns", purchases::upsert_sql(&[])),
    ]);
    all
}

/// The database schema, the same files for both databases.
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// How PostgreSQL keeps the tables that change: with room on each page, so that a row is updated in
/// place and no index hears of it; the short-lived rows are cleaned up early.
const POSTGRES_STORAGE: &[&str] = &[
    "ALTER TABLE messages SET (fillfactor = 50)",
    "ALTER TABLE daily SET (fillfactor = 50)",
    "ALTER TABLE pending SET (fillfactor = 60, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)",
];

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached or answers with an error. Never holds values of rows.
    #[error("the store failed: {}", explain(.0))]
    Database(#[from] sqlx::Error),
    /// Neither an answer nor an error came.
    #[error("the store failed: the database did not answer within {} s", SILENCE.as_secs())]
    Silent,
    #[error("the store's schema could not be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// It cannot be opened at all.
    #[error("cannot open the store {url}: {reason}")]
    Open { url: String, reason: String },
    #[error("this machine gives no random numbers, which the key of links needs")]
    Randomness,
    /// The schema is older than this program.
    #[error("the store is not up to date; run `rekindle migrate` first")]
    NotMigrated,
    /// A value in a row that this version does not understand.
    #[error("{table}.{column} holds `{value}`, which this version does not understand")]
    Unknown { table: &'static str, column: &'static str, value: String },
}

impl StoreError {
    /// Whether trying again can help: the connection is gone, or another transaction was in the way.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Database(error)) => {
                // Class 08: connection; 25P03: held a transaction too long; 40: rollback, such as a
                // deadlock; 53: out of resources; 57P0x: shutting down. SQLite: busy and locked.
                error.code().is_some_and(|code| {
                    ["08", "25P03", "40", "53", "57P"].iter().any(|class| code.starts_with(class))
                        || code == "5"
                        || code == "6"
                })
            }
            Self::Silent => true,
            Self::Database(error) => {
                matches!(
                    error,
                    sqlx::Error::Io(_)
                        | sqlx::Error::PoolTimedOut
                        | sqlx::Error::WorkerCrashed
                        | sqlx::Error::Protocol(_)
                )
            }
            _ => false,
        }
    }
}

type Result<T> = std::result::Result<T, StoreError>;

/// How long a role waits for a transaction of its own; none takes so long. When a machine vanishes or a
/// firewall forgets a line, no error ever comes.
const SILENCE: Duration = Duration::from_secs(60);

/// Gives up on what the database does not answer. For short transactions: what is dropped rolls back.
pub async fn within<T, E: From<StoreError>>(
    work: impl Future<Output = std::result::Result<T, E>>,
) -> std::result::Result<T, E> {
    tokio::time::timeout(SILENCE, work).await.unwrap_or_else(|_| Err(StoreError::Silent.into()))
}

/// What the driver says, in words for a person.
fn explain(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::PoolTimedOut => {
            format!("no connection within {} s: the database is away, or has none to spare", CONNECTION_WAIT.as_secs())
        }
        other => other.to_string(),
    }
}

/// How long to wait for a connection from the pool.
const CONNECTION_WAIT: Duration = Duration::from_secs(10);

/// What every session on PostgreSQL is opened with.
const SESSION: &[(&str, &str)] = &[
    // Every statement here joins a few rows by their keys. Without statistics of tables that have just
    // grown, the planner would rather hash the whole ledger for them. And none of them runs long
    // enough to be worth compiling.
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
    // A process that is paused, or whose machine is gone, in the middle of a transaction must not hold
    // its rows for long: others wait for them.
    ("idle_in_transaction_session_timeout", "30s"),
    ("tcp_keepalives_idle", "20"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
];

/// Connections that read from SQLite, each with a cache of its own.
const READERS: u32 = 8;

/// How many rows wait between the thread that runs a statement on SQLite and who reads them: all that a statement has,
/// so that the two do not wait for each other row by row.
const ROWS_AHEAD: usize = 1_024;

/// How long a database may take to let somebody in.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// How a transaction of the ledger begins on PostgreSQL. Whatever is in their arrays, its statements have one plan: to
/// make it anew each time costs more than they do. And they find all rows by indexes, whatever the planner, whose
/// statistics lag behind a ledger in motion, thinks of its tables.
const LEDGER: &str = "BEGIN; SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off";
const LEDGER_RELAXED: &str = "BEGIN; SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off; \
    SET LOCAL synchronous_commit = off";

/// How others begin on PostgreSQL that need not be on the disk at once.
const POSTGRES_RELAXED: &str = "BEGIN; SET LOCAL synchronous_commit = off";

/// How a transaction of SQLite begins. One that reads first and writes later would fail when another wrote between.
/// `FULL` syncs the log at the commit, with all that was committed before; `NORMAL` leaves that to a later one.
const DURABLE: &str = "PRAGMA synchronous = FULL; BEGIN IMMEDIATE";
const RELAXED: &str = "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE";

/// The member store and the ledger of messages.
#[derive(Debug, Clone)]
pub enum Store {
    Postgres(PgPool),
    /// One connection writes, handed on in the order in which it was asked for, so that nobody sleeps on a busy lock
    /// and no cache is emptied by another's writes. Those that read do not wait for it.
    Sqlite {
        readers: SqlitePool,
        writer: SqlitePool,
    },
}

/// A transaction on either database. Dropped without [`Tx::commit`], it rolls back.
pub struct Tx {
    pub database: Database,
    /// Whether it changes something that policy asks about.
    policy_changes: bool,
    /// What it changes in the counts of messages.
    daily: daily::Changes,
    /// Whether it only reads.
    snapshot: bool,
}

/// Its connection.
pub enum Database {
    Postgres(Transaction<'static, Postgres>),
    Sqlite(Transaction<'static, Sqlite>),
}

impl Store {
    /// Opens `sqlite://path` (created when missing) or `postgres://…`. `connections` bounds the pool.
    pub async fn open(url: &str, connections: u32) -> Result<Self> {
        let cannot = |reason: String| StoreError::Open { url: redact(url), reason };
        if let Some(path) = url.strip_prefix("sqlite://") {
            if let Some(folder) = Path::new(path).parent() {
                files::folder(folder).map_err(|error| cannot(format!("cannot create its folder: {error}")))?;
            }
            // Its journals take the mode of the file itself.
            files::keep(Path::new(path), false).map_err(|error| cannot(error.to_string()))?;
            let options = SqliteConnectOptions::new()
                .filename(path)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(Duration::from_secs(30))
                .foreign_keys(true)
                .row_buffer_size(ROWS_AHEAD)
                .pragma("temp_store", "memory");
            let pool = |connections| {
                SqlitePoolOptions::new()
                    .max_connections(connections)
                    // On a full disk SQLite ends a transaction by itself; its connection then counts one that
                    // never ends, and could begin no other.
                    .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
            };
            let cached = |kilobytes: &'static str| options.clone().pragma("cache_size", kilobytes);
            let writer = pool(1).connect_with(cached("-32768")).await.map_err(|error| cannot(error.to_string()))?;
            let readers = pool(connections.min(READERS)).connect_lazy_with(cached("-4096"));
            return Ok(Self::Sqlite { readers, writer });
        }
        let mut options = PgConnectOptions::from_str(url).map_err(|error| cannot(error.to_string()))?;
        // Nobody listens between a machine and itself; a server that insists is given what it wants.
        if is_loopback(options.get_host()) && !url.contains("sslmode") && !url.contains("ssl-mode") {
            let plain = options.clone().ssl_mode(PgSslMode::Disable);
            let tried = tokio::time::timeout(CONNECT_LIMIT, PgConnection::connect_with(&plain)).await;
            if let Ok(Ok(connection)) = tried {
                drop(connection.close().await);
                options = plain;
            }
        }
        // The pool would retry until its time is up and then only say so; one connection says why.
        match tokio::time::timeout(CONNECT_LIMIT, PgConnection::connect_with(&options)).await {
            Ok(Ok(connection)) => drop(connection.close().await),
            Ok(Err(error)) => {
                return Err(cannot(format!("{error}; is PostgreSQL running there, and has the user access?")));
            }
            Err(_) => return Err(cannot(format!("no answer within {} s", CONNECT_LIMIT.as_secs()))),
        }
        let options = options.options(SESSION.iter().copied());
        let port = options.get_port();
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(CONNECTION_WAIT)
            .after_connect(move |_, _| {
                nodelay::set(port);
                Box::pin(std::future::ready(Ok(())))
            })
            .connect_with(options)
            .await
            .map_err(|error| cannot(error.to_string()))?;
        Ok(Self::Postgres(pool))
    }

    /// Brings the schema up to date. Safe to run twice, and from several processes at once.
    pub async fn migrate(&self) -> Result<()> {
        match self {
            Self::Postgres(pool) => {
                MIGRATIONS.run(pool).await?;
                for setting in POSTGRES_STORAGE {
                    sqlx::query(*setting).execute(pool).await?;
                }
            }
            Self::Sqlite { writer, .. } => MIGRATIONS.run(writer).await?,
        }
        let mut bytes = [0; 32];
        SystemRandom::new().fill(&mut bytes).map_err(|_| StoreError::Randomness)?;
        let mut tx = self.begin().await?;
        configuration::keep_token_key(&mut tx, &TokenKey::new(bytes)).await?;
        tx.commit().await
    }

    /// Fails unless the schema is the one this program was built with.
    pub async fn require_migrated(&self) -> Result<()> {
        let wanted = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
        let mut tx = self.begin().await?;
        let found =
            query!(fetch_one, (Option<i64>,), &mut tx, "SELECT MAX(version) FROM _sqlx_migrations WHERE success");
        match found {
            Ok((Some(version),)) if version >= wanted => Ok(()),
            _ => Err(StoreError::NotMigrated),
        }
    }

    /// Starts a transaction that may write. What it commits survives a power cut.
    pub async fn begin(&self) -> Result<Tx> {
        self.begin_with("BEGIN", DURABLE).await
    }

    /// The same, where a power cut soon after the commit may undo it: what comes back is what was before, and nobody
    /// has acted on it yet. The next commit that is durable makes all before it durable, too.
    pub async fn begin_relaxed(&self) -> Result<Tx> {
        self.begin_with(POSTGRES_RELAXED, RELAXED).await
    }

    /// Starts a transaction of the ledger, of a few statements over many rows by their keys. `relaxed` as in
    /// [`Store::begin_relaxed`].
    pub async fn begin_ledger(&self, relaxed: bool) -> Result<Tx> {
        if relaxed { self.begin_with(LEDGER_RELAXED, RELAXED).await } else { self.begin_with(LEDGER, DURABLE).await }
    }

    /// Starts what the dispatcher decides in. On PostgreSQL it is a transaction of the ledger, whose locks keep other
    /// dispatchers away from its messages. On SQLite, whose one process decides alone, it is a snapshot: nobody waits
    /// for the writer while mails are rendered. [`Tx::write_on`] goes on to write.
    pub async fn begin_deciding(&self) -> Result<Tx> {
        match self {
            Self::Postgres(_) => self.begin_ledger(false).await,
            Self::Sqlite { .. } => self.read().await,
        }
    }

    async fn begin_with(&self, postgres: &'static str, sqlite: &'static str) -> Result<Tx> {
        Ok(Tx::on(match self {
            Self::Postgres(pool) => Database::Postgres(pool.begin_with(postgres).await?),
            Self::Sqlite { writer, .. } => Database::Sqlite(writer.begin_with(sqlite).await?),
        }))
    }

    /// Starts a transaction that only reads, from one snapshot.
    pub async fn read(&self) -> Result<Tx> {
        let database = match self {
            Self::Postgres(pool) => {
                Database::Postgres(pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?)
            }
            Self::Sqlite { readers, .. } => Database::Sqlite(readers.begin().await?),
        };
        Ok(Tx { snapshot: true, ..Tx::on(database) })
    }

    /// Whether only one process may work on it at a time.
    pub const fn is_embedded(&self) -> bool {
        matches!(self, Self::Sqlite { .. })
    }

    /// Closes all connections.
    pub async fn close(&self) {
        match self {
            Self::Postgres(pool) => {
                pool.close().await;
                measure::tell(None);
            }
            Self::Sqlite { readers, writer } => {
                readers.close().await;
                let rows: sqlx::Result<i64> = sqlx::query_scalar("SELECT total_changes()").fetch_one(writer).await;
                writer.close().await;
                measure::tell(rows.ok());
            }
        }
    }
}

impl Tx {
    fn on(database: Database) -> Self {
        Self { database, policy_changes: false, daily: daily::Changes::default(), snapshot: false }
    }

    /// Goes on where what was decided in it is written: after a snapshot, in a transaction of the ledger.
    pub async fn write_on(self, store: &Store) -> Result<Self> {
        if !self.snapshot {
            return Ok(self);
        }
        self.commit().await?;
        store.begin_ledger(false).await
    }

    /// How this database writes SQL.
    pub const fn dialect(&self) -> Dialect {
        match self.database {
            Database::Postgres(_) => Dialect::Postgres,
            Database::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// Says that it changes what policy asks about beside the time: a member, an order, an address or a person that
    /// must not be written to, the configuration, a pause. What was dispatched before is judged again.
    pub(crate) const fn policy_changes(&mut self) {
        self.policy_changes = true;
    }

    /// Makes everything in it durable and visible.
    pub async fn commit(mut self) -> Result<()> {
        if !self.daily.is_empty() {
            let changed = daily::changed(&mut self).await?;
            if !changed.is_empty() && daily::add(&mut self, &changed).await? {
                stretches::reopen(&mut self, &changed).await?;
            }
        }
        // Last of all, so that whoever holds this row waits for nobody.
        if self.policy_changes {
            configuration::number_policy(&mut self).await?;
        }
        match self.database {
            Database::Postgres(tx) => tx.commit().await?,
            Database::Sqlite(tx) => tx.commit().await?,
        }
        measure::transaction();
        Ok(())
    }
}

/// A URL without its password, for errors. A password may hold any character, and the URL be none: what is not plainly
/// something else is left out.
pub fn redact(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) if scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) => {
            (format!("{scheme}://"), rest)
        }
        _ => (String::new(), url),
    };
    let (user, rest) = match rest.rsplit_once('@') {
        // The @ may be one of a parameter's.
        Some((left, _)) if left.contains(['?', ' ']) || scheme.is_empty() && left.contains('=') => (String::new(), " "),
        Some((left, rest)) if scheme.is_empty() || left.contains('/') => ("…@".to_owned(), rest),
        Some((user, rest)) => (format!("{}:…@", user.split(':').next().unwrap_or_default()), rest),
        None => (String::new(), rest),
    };
    // Parameters may be secrets as well.
    let (place, query) = rest.split_once('?').map_or((rest, ""), |(place, _)| (place, "?…"));
    let is_place = |text: &str| {
        let authority = text.split('/').next().unwrap_or_default();
        let port = if authority.ends_with(']') { "" } else { authority.rsplit_once(':').map_or("", |(_, port)| port) };
        !text.contains([' ', '=']) && port.chars().all(|c| c.is_ascii_digit())
    };
    let place = if is_place(place) { place } else { "…" };
    format!("{scheme}{user}{place}{query}")
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn no_password_is_in_a_url_that_is_shown() {
        let check = |url: &str, expected: &str| assert_eq!(redact(url), expected, "{url}");
        check("postgres://shop:s3cret@db:5432/shop", "postgres://shop:…@db:5432/shop");
        check("postgres://shop:s3#cr=@et@db/shop?sslmode=require", "postgres://shop:…@db/shop?…");
        check("postgres://shop:s3/cr@et@db/shop", "postgres://…@db/shop");
        check("postgres://shop:s3?cret@db/shop", "postgres://…");
        check("postgres://db/shop?user=shop&password=s3cret", "postgres://db/shop?…");
        check("postgres://db/shop?user=shop&password=s3@cret", "postgres://…");
        check("postgres://shop:s3cret", "postgres://…");
        check("postgres://shop:s3cret/db", "postgres://…");
        check("postgres://[::1]:5432/shop", "postgres://[::1]:5432/shop");
        check("postgres://[::1]/shop", "postgres://[::1]/shop");
        check("shop:s3cret@db/shop", "…@db/shop");
        check("postgres:shop:s3cret@db/shop", "…@db/shop");
        check("postgres:/shop:s3cret@db:5432/shop?password=s3cret", "…@db:5432/shop?…");
        check("host=db user=shop password=s3cret", "…");
        check("host=db user=shop password=s3@cret", "…");
        check("password=s3@cret", "…");
        check("shop:s3cret", "…");
        check("shop:s3cret@", "…@");
        check("shop s3cret://db", "…");
        check("sqlite://../var/rekindle.db", "sqlite://../var/rekindle.db");
        check("kafka", "kafka");
        check("var/rekindle.db", "var/rekindle.db");
    }
}
