//! `replies` and `replies done`.

use clap::Subcommand;
use serde::Serialize;

use super::output::{self, Format, grouped};
use super::{CommandError, Result, Session, rfc3339};
use crate::actions::messages::read_replies;
use crate::app::author;
use crate::domain::instant;
use crate::store::replies::{self, Kept};

#[derive(Debug, clap::Args)]
pub(super) struct Replies {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Mark as read.
    Done {
        /// Keys as `replies` lists them.
        #[arg(value_name = "KEY", required_unless_present = "all")]
        keys: Vec<String>,
        /// All that are unread.
        #[arg(long, conflicts_with = "keys")]
        all: bool,
    },
}

#[derive(Serialize)]
struct Row {
    key: String,
    /// When it was written.
    at: String,
    channel: String,
    address: String,
    /// Who has this address now, by external id.
    members: Vec<String>,
    /// Nearly an opt-out.
    urgent: bool,
    done: bool,
    text: String,
}

const COLUMNS: &[&str] = &["key", "at", "channel", "address", "members", "urgent", "done", "text"];

impl Replies {
    pub(super) async fn execute(self, session: &Session) -> Result {
        let app = session.open().await?;
        let now = app.clock.now();
        let Some(Command::Done { keys, all }) = self.command else {
            let mut tx = app.store.read().await?;
            let kept = replies::list(&mut tx, now).await?;
            let members = replies::members(&mut tx, kept.iter().map(|reply| reply.address.clone()).collect()).await?;
            tx.commit().await?;
            let row = |reply: Kept| Row {
                members: members.get(&reply.address).cloned().unwrap_or_default(),
                key: reply.key,
                at: rfc3339(instant(reply.at)),
                channel: reply.channel,
                address: reply.address,
                urgent: reply.urgent,
                done: reply.done,
                text: reply.text,
            };
            let rows: Vec<Row> = kept.into_iter().map(row).collect();
            return output::rows(session.format, &rows, COLUMNS, cells);
        };
        if !all {
            let mut tx = app.store.read().await?;
            let known = replies::known(&mut tx, keys.clone()).await?;
            tx.commit().await?;
            if let Some(key) = keys.iter().find(|key| !known.contains(key)) {
                return Err(CommandError::Other(format!(
                    "there is no reply `{key}`; `rekindle replies` lists their keys"
                )));
            }
        }
        let done = read_replies(app.by(&author()), (!all).then_some(keys)).await?;
        match session.format {
            Format::Table => output::say(&format!("{} marked as read", grouped(done))),
            Format::Json | Format::Csv => output::json(&serde_json::json!({ "done": done })),
        }
    }
}

fn cells(row: &Row) -> Vec<String> {
    vec![
        row.key.clone(),
        row.at.clone(),
        row.channel.clone(),
        row.address.clone(),
        row.members.join(" "),
        row.urgent.to_string(),
        row.done.to_string(),
        row.text.clone(),
    ]
}
