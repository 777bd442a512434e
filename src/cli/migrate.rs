//! `migrate`.

use super::{Result, Session, output};
use crate::store::Store;

pub(super) async fn execute(session: &Session) -> Result {
    let settings = session.settings()?;
    let store = Store::open(&settings.store, 1).await?;
    store.migrate().await?;
    output::say("The store is up to date.")
}
