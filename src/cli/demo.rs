//! `demo`.
use super::{Result, Session};
#[derive(Debug, clap::Args)]
pub(super) struct Demo {}
impl Demo {
    pub(super) async fn execute(self, _: &Session) -> Result {
        Ok(())
    }
}
