//! A mailbox of bounces that is worked off: each mail is ingested, and only then put away. Killed in
//! between, it is ingested again, which changes nothing.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::classify::Kind;
use super::imap::{Connection, ImapError};
use super::ingest::{Ingested, ingest};
use crate::clock::Clock;
use crate::domain::breaker::BreakerState;
use crate::settings::Imap;
use crate::store::paces::{self, MAILBOX, Report};
use crate::store::{Store, StoreError, within};
use crate::telemetry::Trouble;

/// Mails read before they are put away.
const BATCH: usize = 50;

/// Pauses after a failure, each twice the one before: where trying again may help …
const AWAY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];
/// … and where a person must do something. Servers lock out who tries a wrong password often.
const LASTING: [Duration; 2] = [Duration::from_secs(300), Duration::from_secs(900)];

/// Why a mailbox could not be worked off.
#[derive(Debug, thiserror::Error)]
pub enum MailboxError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Imap(#[from] ImapError),
}

/// What the mails of a mailbox were, and what they changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Worked {
    pub mails: usize,
    pub heard: BTreeMap<Kind, Heard>,
}

/// What was heard of one kind; a mail may be about several recipients.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Heard {
    pub recipients: usize,
    /// Of these, heard for the first time.
    pub new: usize,
    /// Of these, with an address that is closed now.
    pub suppressed: usize,
}

impl Worked {
    fn add(&mut self, rows: &[Ingested]) {
        self.mails += 1;
        for row in rows {
            let heard = self.heard.entry(row.kind).or_default();
            heard.recipients += 1;
            heard.new += usize::from(row.is_new);
            heard.suppressed += usize::from(row.suppressed);
        }
    }
}

/// Takes what waits in the mailbox now.
pub async fn work_off(settings: &Imap, store: &Store, clock: &Clock) -> Result<Worked, MailboxError> {
    let mut connection = Connection::open(settings).await?;
    let worked = pass(&mut connection, store, clock).await?;
    connection.close().await;
    Ok(worked)
}

async fn pass(connection: &mut Connection, store: &Store, clock: &Clock) -> Result<Worked, MailboxError> {
    let mut worked = Worked::default();
    for batch in connection.waiting().await?.chunks(BATCH) {
        let mut recorded = Vec::new();
        let mut reading = connection.read(batch).await?;
        while let Some((uid, mail)) = reading.next().await? {
            worked.add(&within(ingest(store, &mail, None, clock.now())).await?);
            recorded.push(uid);
        }
        recorded.sort_unstable();
        connection.put_away(&recorded).await?;
    }
    Ok(worked)
}

/// A mailbox that is watched.
pub struct Watcher<'a> {
    settings: &'a Imap,
    store: &'a Store,
    clock: &'a Clock,
    /// Its row in `resting`.
    process: String,
    is_shown: bool,
    trouble: Trouble,
    /// Failures since it worked last.
    failures: u32,
}

impl<'a> Watcher<'a> {
    pub fn new(settings: &'a Imap, store: &'a Store, clock: &'a Clock) -> Self {
        let trouble = Trouble::new("taking bounces from the mailbox");
        Self { settings, store, clock, process: clock.new_id().to_string(), is_shown: false, trouble, failures: 0 }
    }

    /// Works the mailbox off, and takes what arrives, until `shutdown`.
    pub async fn run(mut self, shutdown: &CancellationToken) {
        let work = async {
            loop {
                let Err(error) = self.visit().await;
                self.rest(&error).await;
            }
        };
        shutdown.run_until_cancelled(work).await;
        self.show(None).await;
    }

    /// Waits after a failure.
    async fn rest(&mut self, error: &MailboxError) {
        let is_lasting = matches!(error, MailboxError::Imap(error) if error.is_lasting());
        let [first, longest] = if is_lasting { LASTING } else { AWAY };
        let pause = first.saturating_mul(1 << self.failures.min(10)).min(longest);
        // Servers end a connection now and then: that is no trouble as long as the next one works.
        if self.failures > 0 || is_lasting {
            self.trouble.met(error);
            if let MailboxError::Imap(error) = error {
                self.show(Some((error, pause))).await;
            }
        }
        self.failures += 1;
        tokio::time::sleep(pause).await;
    }

    /// Works until something fails.
    async fn visit(&mut self) -> Result<Infallible, MailboxError> {
        let mut connection = Connection::open(self.settings).await?;
        loop {
            pass(&mut connection, self.store, self.clock).await?;
            self.failures = 0;
            self.trouble.over();
            self.show(None).await;
            connection.wait(self.settings.every).await?;
        }
    }

    /// Tells `status` why nothing is taken for a while, or that this is over.
    async fn show(&mut self, resting: Option<(&ImapError, Duration)>) {
        if resting.is_none() && !self.is_shown {
            return;
        }
        let row = resting.map(|(error, pause)| Report {
            name: format!("{MAILBOX}{}", self.settings.host),
            state: BreakerState::Open.as_str(),
            left_ms: i64::try_from(pause.as_millis()).unwrap_or(i64::MAX),
            reply: error.to_string(),
        });
        let written = within(async {
            let mut tx = self.store.begin().await?;
            paces::report(&mut tx, &self.process, row.as_slice()).await?;
            tx.commit().await
        });
        match written.await {
            Ok(()) => self.is_shown = row.is_some(),
            Err(error) => tracing::warn!(%error, "cannot record that the mailbox rests"),
        }
    }
}
