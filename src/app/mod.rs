//! Wiring: settings become a store, a queue and senders, and these the running roles.

mod alerts;
mod once;
mod pages;
mod rehearsal;
mod restored;
mod run;
mod transports;
mod versions;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use metrics::counter;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::actions::By;
use crate::catalog::{Catalog, CatalogError, Files, Version};
use crate::clock::Clock;
use crate::dispatcher::{DispatchError, Dispatcher, Prepared, UNHEARD};
use crate::document::Problems;
use crate::files;
use crate::queue::embedded::{Embedded, Memory};
use crate::queue::rabbitmq::RabbitMq;
use crate::queue::{Queue, QueueError};
use crate::settings::{Apply, QueueSetting, Settings, environment};
use crate::store::ledger::Dispatch;
use crate::store::ledger::dispatch;
use crate::store::ledger::end::{self, Recovered};
use crate::store::ledger::plan::{self, Back};
use crate::store::versions::{Made, Origin, note_conflicts};
use crate::store::{Store, StoreError, messages};
use crate::transports::sms::SmsError;
use crate::transports::smtp::SmtpError;
use crate::web::BindError;

pub use once::Passed;
pub use pages::Pages;
pub use rehearsal::Rehearsed;
pub use run::Role;
pub use transports::{factories, signers};
pub use versions::Sides;

/// Connections that one process may open to the database.
const STORE_CONNECTIONS: u32 = 16;

/// How often the store is asked for work when there was none.
const IDLE: Duration = Duration::from_millis(500);

/// How often what dead processes held is taken back.
const RECOVERY: Duration = Duration::from_secs(5);

/// Why the program cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Invalid(#[from] Problems),
    #[error(transparent)]
    Smtp(#[from] SmtpError),
    #[error(transparent)]
    Sms(#[from] SmsError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("{0}")]
    Refused(String),
}

impl From<DispatchError> for AppError {
    fn from(error: DispatchError) -> Self {
        match error {
            DispatchError::Store(error) => Self::Store(error),
            DispatchError::Queue(error) => Self::Queue(error),
        }
    }
}

/// Who changes something by a command: `cli:` and the name of the machine's user.
pub fn author() -> String {
    let said = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| environment(name));
    format!("cli:{}", said.filter(|name| !name.is_empty()).unwrap_or_else(user))
}

/// As the machine names who runs this, where nothing says it: a service has no such variables.
fn user() -> String {
    let number = rustix::process::getuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut names = users.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then(|| name.to_owned())
    });
    names.next().unwrap_or(number)
}

/// A program at work on one store.
pub struct App {
    pub settings: Arc<Settings>,
    pub store: Store,
    pub clock: Clock,
    /// The queue, where it is in this process.
    embedded: Arc<Embedded>,
    /// Ends a pass or an import where it can go on later.
    pub stop: CancellationToken,
    /// Holds the embedded store for this process alone.
    _lock: Option<File>,
}

impl App {
    /// Opens the store for reading and importing; other processes may work on it.
    pub async fn open(settings: Arc<Settings>, clock: Clock) -> Result<Self, AppError> {
        let store = Store::open(&settings.store, STORE_CONNECTIONS).await?;
        match settings.apply {
            Apply::Auto => store.migrate().await?,
            Apply::Manual => store.require_migrated().await?,
        }
        Ok(Self { settings, store, clock, embedded: Arc::default(), stop: CancellationToken::new(), _lock: None })
    }

    /// Opens the store to send from it. An embedded store has one such process at a time.
    pub async fn open_to_send(settings: Arc<Settings>, clock: Clock) -> Result<Self, AppError> {
        transports::refuse_simulated_sending(&settings, &clock)?;
        let lock = match settings.store.strip_prefix("sqlite://") {
            Some(path) => Some(lock_embedded(&PathBuf::from(path))?),
            None => None,
        };
        let mut app = Self::open(settings, clock).await?;
        app._lock = lock;
        if app.settings.apply == Apply::Auto {
            app.apply_at_start().await?;
        }
        if app.store.is_embedded() {
            let recovered = app.recover(None).await?;
            if recovered != Recovered::default() {
                tracing::info!(
                    replanned = recovered.replanned,
                    uncertain = recovered.uncertain,
                    "took back what an ended process held"
                );
            }
        }
        Ok(app)
    }

    /// Who changes something here.
    pub fn by<'a>(&'a self, who: &'a str) -> By<'a> {
        By { store: &self.store, clock: &self.clock, who }
    }

    /// Checks the folder's files and merges them into the store's configuration; see [`Catalog::apply`].
    pub async fn apply(&self, ours: &BTreeSet<String>, message: &str) -> Result<Version, AppError> {
        let made = Made { author: author(), origin: Origin::Files, message: message.to_owned() };
        let files = Files::read(&self.settings)?;
        Ok(Catalog::apply(&self.store, &files, ours, &self.settings, &made, self.clock.now()).await?)
    }

    /// The same for a process that begins: where both were changed, it goes on with the store's.
    async fn apply_at_start(&self) -> Result<(), AppError> {
        match self.apply(&BTreeSet::new(), "").await {
            Err(AppError::Catalog(CatalogError::Conflict(paths))) => {
                tracing::error!(
                    files = paths.join(", "),
                    "nothing of the folder was applied: these files were changed both there and in the store, whose \
                     stay; see `rekindle campaigns diff`"
                );
                let mut tx = self.store.begin().await?;
                note_conflicts(&mut tx, &paths).await?;
                Ok(tx.commit().await?)
            }
            other => other.map(drop),
        }
    }

    /// The configuration to judge by without sending: with `apply: auto` that of the files, as the
    /// next `run` will see it, else the applied one.
    pub async fn catalog(&self) -> Result<Arc<Catalog>, AppError> {
        if self.settings.apply == Apply::Manual {
            return self.applied(None).await;
        }
        let folder = Files::read(&self.settings)?;
        let mut tx = self.store.read().await?;
        let (catalog, conflicts) = Catalog::merged(&mut tx, &folder, &self.settings).await?;
        if conflicts.is_empty() {
            tx.commit().await?;
            return Ok(Arc::new(catalog));
        }
        let catalog = Catalog::current(&mut tx, &self.settings, None).await?;
        tx.commit().await?;
        tracing::warn!(
            files = conflicts.join(", "),
            "judged by what is in the store: these files were changed both there and in the folder; see `rekindle \
             campaigns diff`"
        );
        Ok(catalog)
    }

    /// The applied configuration.
    pub async fn applied(&self, known: Option<&Arc<Catalog>>) -> Result<Arc<Catalog>, AppError> {
        let mut tx = self.store.read().await?;
        let catalog = Catalog::current(&mut tx, &self.settings, known).await?;
        tx.commit().await?;
        Ok(catalog)
    }

    /// The queue that the settings name.
    pub async fn queue(&self) -> Result<Arc<dyn Queue>, AppError> {
        Ok(match &self.settings.queue {
            QueueSetting::Embedded => Arc::clone(&self.embedded) as Arc<dyn Queue>,
            QueueSetting::RabbitMq(url) => Arc::new(RabbitMq::connect(url).await?),
        })
    }

    /// Takes back what dead processes held, and says that this one lives and has what waits in its queue. Without a
    /// queue it is alone on the store.
    async fn recover(&self, queue: Option<&dyn Queue>) -> Result<Recovered, StoreError> {
        let mut tx = self.store.begin_ledger(false).await?;
        let held = queue.and_then(Queue::memory).map(Memory::batches).unwrap_or_default();
        dispatch::hold(&mut tx, held.into_iter().collect(), UNHEARD).await?;
        let recovered = end::recover(&mut tx, queue.is_none(), self.clock.now()).await?;
        tx.commit().await?;
        for (result, count) in
            [("replanned", recovered.replanned), ("uncertain", recovered.uncertain), ("resent", recovered.resent)]
        {
            counter!("rekindle_recovered_total", "result" => result).increment(count);
        }
        Ok(recovered)
    }

    /// Puts back what waits in the memory of this process, whose senders have stopped.
    async fn abandon(&self, queue: &dyn Queue) -> Result<(), StoreError> {
        let Some(memory) = queue.memory() else { return Ok(()) };
        let back: Vec<Back> = memory.abandon().iter().map(|envelope| Dispatch::from(envelope).into()).collect();
        let mut tx = self.store.begin_ledger(false).await?;
        plan::back(&mut tx, &back).await?;
        tx.commit().await
    }

    async fn in_queue(&self) -> Result<i64, StoreError> {
        let mut tx = self.store.read().await?;
        let count = messages::in_queue(&mut tx).await?;
        tx.commit().await?;
        Ok(count)
    }

    fn dispatcher<'a>(&'a self, queue: &'a dyn Queue) -> Dispatcher<'a> {
        Dispatcher {
            store: &self.store,
            queue,
            clock: &self.clock,
            redirect: self.settings.redirect_all_to.as_ref(),
            due_before: None,
            prepared: Prepared::default(),
        }
    }
}

/// Tells that senders recorded something.
#[derive(Default)]
struct Pulse {
    progress: Arc<Notify>,
    recorded: Arc<AtomicU64>,
}

/// Locks an embedded store; the lock ends with the process, however it ends.
fn lock_embedded(path: &std::path::Path) -> Result<File, AppError> {
    let file = path.with_extension("lock");
    let refused = |reason: String| AppError::Refused(format!("cannot lock {}: {reason}", file.display()));
    if let Some(folder) = file.parent() {
        files::folder(folder).map_err(|error| refused(error.to_string()))?;
    }
    let lock = files::keep(&file, false).map_err(|error| refused(error.to_string()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(AppError::Refused(format!(
            "another rekindle works on {}; wait for it, stop it, or use PostgreSQL for several processes",
            path.display()
        ))),
        Err(std::fs::TryLockError::Error(error)) => Err(refused(error.to_string())),
    }
}
