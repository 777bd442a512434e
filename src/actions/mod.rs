//! What people change, by a command or in the panel: each in one transaction, with its line in the audit log.

use crate::clock::Clock;
use crate::domain::Instant;
use crate::store::audit::{self, Line};
use crate::store::{Store, StoreError, Tx};

pub mod addresses;
pub mod campaigns;
pub mod members;
pub mod messages;

/// Who acts, on what.
#[derive(Clone, Copy)]
pub struct By<'a> {
    pub store: &'a Store,
    pub clock: &'a Clock,
    /// As the audit log names them.
    pub who: &'a str,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("there is no member `{0}`")]
    NoMember(String),
    #[error("there is no campaign `{0}`")]
    NoCampaign(String),
    #[error("nobody with the id `{0}` was erased")]
    NotErased(String),
    #[error("{0}")]
    Refused(String),
}

type Result<T> = std::result::Result<T, ActionError>;

impl By<'_> {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Writes what was done, as the last of a transaction, and commits it.
    async fn done(&self, mut tx: Tx, line: Line<'_>) -> Result<()> {
        audit::add(&mut tx, self.clock.new_id(), &line, self.now()).await?;
        Ok(tx.commit().await?)
    }
}
