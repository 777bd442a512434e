//! `audit`.

use serde::Serialize;

use super::output;
use super::{Result, Session, instant_of, rfc3339};
use crate::domain::instant;
use crate::store::audit;

#[derive(Debug, clap::Args)]
pub(super) struct Audit {
    /// From this instant on, such as 2026-03-21 [default: all that there is].
    #[arg(long, value_name = "T")]
    from: Option<String>,
    /// Up to this instant [default: now].
    #[arg(long, value_name = "T")]
    to: Option<String>,
    /// What concerned this campaign.
    #[arg(long, value_name = "NAME")]
    campaign: Option<String>,
    /// How many lines at most, the newest first.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
}

#[derive(Serialize)]
struct Row {
    at: String,
    who: String,
    what: String,
    campaign: Option<String>,
    member: Option<String>,
    detail: Option<String>,
}

impl Audit {
    pub(super) async fn execute(self, session: &Session) -> Result {
        let app = session.open().await?;
        let read = |text: Option<String>, key| text.map(|text| instant_of(&text, &app.settings, key)).transpose();
        let from = read(self.from, "--from")?.unwrap_or_else(|| instant(0));
        let to = read(self.to, "--to")?.unwrap_or_else(|| app.clock.now() + chrono::Duration::milliseconds(1));
        let mut tx = app.store.read().await?;
        let found = audit::list(&mut tx, (from, to), self.campaign.as_deref(), self.limit.into()).await?;
        tx.commit().await?;
        let row = |line: audit::Listed| Row {
            at: rfc3339(instant(line.at)),
            who: line.who,
            what: line.what,
            campaign: line.campaign,
            member: line.member,
            detail: line.detail,
        };
        let rows: Vec<Row> = found.into_iter().map(row).collect();
        output::rows(session.format, &rows, &["at", "who", "what", "campaign", "member", "detail"], |row| {
            let text = |value: &Option<String>| value.clone().unwrap_or_default();
            vec![
                row.at.clone(),
                row.who.clone(),
                row.what.clone(),
                text(&row.campaign),
                text(&row.member),
                text(&row.detail),
            ]
        })
    }
}
