//! `messages cancel` and `messages retry`: what a person decides about single messages.

use clap::Subcommand;
use uuid::Uuid;

use super::names::known;
use super::output::{self, Format, counted};
use super::{CommandError, Result, Session};
use crate::actions::messages;
use crate::app::{App, author};
use crate::domain::message::State;
use crate::store::messages::{self as stored, Filter};

/// Messages looked at at a time.
const PAGE: i64 = 5_000;

#[derive(Debug, Subcommand)]
pub(super) enum ByHand {
    /// Cancel messages that wait or are in the queue; what a server may have is not taken back.
    Cancel(Chosen),
    /// Plan messages again that failed or came back. Policy is asked again: what is too late by now, or suppressed,
    /// stays unsent.
    Retry {
        #[command(flatten)]
        chosen: Chosen,
        /// Also those whose answer was lost: these may then come twice.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Chosen {
    /// Ids of messages, as `messages --format csv` lists them.
    #[arg(value_name = "MESSAGE", required_unless_present_any = ["campaign", "member"], conflicts_with_all = ["campaign", "member"])]
    ids: Vec<Uuid>,
    /// All of this campaign's.
    #[arg(long, value_name = "NAME")]
    campaign: Option<String>,
    /// All of this member's.
    #[arg(long, value_name = "ID", value_parser = super::member_id)]
    member: Option<String>,
}

impl ByHand {
    pub(super) async fn execute(self, session: &Session) -> Result {
        let app = session.open().await?;
        match self {
            Self::Cancel(chosen) => {
                let ids = chosen.ids(&app, &[State::Planned, State::Queued]).await?;
                let cancelled = messages::cancel(app.by(&author()), &ids).await?;
                said(session, "cancelled", cancelled, ids.len(), "what waits or is in the queue can be cancelled")
            }
            Self::Retry { chosen, yes } => {
                let ids = chosen.ids(&app, &[State::Failed, State::Bounced, State::Uncertain]).await?;
                let planned = messages::retry(app.by(&author()), &ids, yes).await?;
                let rest = if yes {
                    "what failed, came back, or is uncertain can be tried again"
                } else {
                    "what failed or came back can be tried again; what is uncertain only with --yes, since it may then come twice"
                };
                said(session, "planned again", planned, ids.len(), rest)
            }
        }
    }
}

impl Chosen {
    /// The messages that are meant; of a campaign or a member those in one of the states.
    async fn ids(self, app: &App, states: &[State]) -> Result<Vec<Uuid>> {
        let mut tx = app.store.read().await?;
        if !self.ids.is_empty() {
            let there = stored::existing(&mut tx, self.ids.clone()).await?;
            return match self.ids.iter().find(|id| !there.contains(id)) {
                Some(id) => Err(CommandError::Other(format!(
                    "there is no message `{id}`; `rekindle messages --format csv` lists their ids"
                ))),
                None => Ok(self.ids),
            };
        }
        known(app, &mut tx, self.campaign.as_deref(), self.member.as_deref()).await?;
        let mut ids = Vec::new();
        for state in states {
            let filter = Filter { campaign: self.campaign.clone(), member: self.member.clone(), state: Some(*state) };
            let mut after = (i64::MIN, Uuid::nil());
            loop {
                let page = stored::list(&mut tx, &filter, after, PAGE).await?;
                let Some(last) = page.last() else { break };
                after = (last.due_at, last.id);
                ids.extend(page.iter().map(|row| row.id));
            }
        }
        Ok(ids)
    }
}

fn said(session: &Session, what: &str, done: usize, asked: usize, rest: &str) -> Result {
    match session.format {
        Format::Table => {
            let left = asked - done;
            let left = if left == 0 { String::new() } else { format!(", {left} not: {rest}") };
            output::say(&format!("{} {what}{left}.", counted(done, "message")))
        }
        Format::Json | Format::Csv => {
            output::json(&serde_json::json!({ what.replace(' ', "_"): done, "left": asked - done }))
        }
    }
}
