//! `restored`.

use super::output::{self, Format, grouped};
use super::{CommandError, Result, Session};
use crate::app::App;
use crate::clock::Clock;

/// Say that this store was restored from a backup.
///
/// Between the backup and now Rekindle may have sent messages of which the restored store knows
/// nothing; left alone, it would send them again. This pauses everything and ends what fell due until
/// now as cancelled(restored). Stop all other rekindle processes first, empty the queue if it is
/// RabbitMQ, and import members, purchases and suppressions again. Coupon codes that nobody seems to have are
/// forgotten, since some may have been given: import those again that your shop knows as unused. Then
/// `rekindle campaigns resume --all`.
#[derive(Debug, clap::Args)]
pub(super) struct Restored {
    /// Do it: without this, nothing is changed.
    #[arg(long)]
    yes: bool,
}

#[derive(serde::Serialize)]
struct Done {
    cancelled: u64,
    codes_forgotten: u64,
}

impl Restored {
    pub(super) async fn execute(self, session: &Session) -> Result {
        if !self.yes {
            return Err(CommandError::Other(
                "this ends every message that fell due until now as cancelled(restored); stop the other rekindle \
                 processes, then say `rekindle restored --yes`"
                    .to_owned(),
            ));
        }
        let app = App::open_to_send(session.settings()?, Clock::System).await?;
        let (cancelled, codes_forgotten) = app.restored().await?;
        match session.format {
            Format::Json | Format::Csv => output::json(&Done { cancelled, codes_forgotten }),
            Format::Table => output::say(&format!(
                "{} messages that may have gone out before are cancelled, {} coupon codes that may have been given \
                 are forgotten. Everything is paused: `rekindle campaigns resume --all` starts it again.",
                grouped(cancelled),
                grouped(codes_forgotten)
            )),
        }
    }
}
