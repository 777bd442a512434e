//! What an operator says after the store came back from a backup: what fell due since then may have gone
//! out, and is not sent again.

use super::{App, AppError};
use crate::scheduler;
use crate::store::ledger::end;
use crate::store::{configuration, gifts};

impl App {
    /// Pauses everything, takes the ledger up to now, and ends what would go out by now as
    /// `cancelled(restored)`. Forgets the coupon codes that seem free: they may have been given since. Gives
    /// how many messages and codes that were. No other process may be at work.
    pub async fn restored(&self) -> Result<(u64, u64), AppError> {
        let mut tx = self.store.begin().await?;
        configuration::pause_all(&mut tx, Some("the store was restored from a backup")).await?;
        tx.commit().await?;
        let catalog = self.applied(None).await?;
        let now = self.clock.now();
        scheduler::scan(&self.store, &catalog, &self.clock, now).await?;
        // Whatever was under way when the backup was made has long been sent, or not.
        self.recover(None).await?;
        let mut tx = self.store.begin().await?;
        let ended = end::give_up(&mut tx, now).await?;
        let forgotten = gifts::forget_free(&mut tx, None).await?;
        tx.commit().await?;
        Ok((ended, forgotten))
    }
}
