//! `messages`.

use serde::Serialize;
use uuid::Uuid;

use super::by_hand::ByHand;
use super::names::known;
use super::output::{self, Format};
use super::{Result, Session, rfc3339};
use crate::domain::instant;
use crate::domain::message::State;
use crate::store::messages::{self, Filter, Listed};

/// Rows read at a time.
const PAGE: i64 = 5_000;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Messages {
    #[command(subcommand)]
    pub(super) by_hand: Option<ByHand>,
    /// Only this campaign's.
    #[arg(long, value_name = "NAME")]
    campaign: Option<String>,
    /// Only this member's.
    #[arg(long, value_name = "ID", value_parser = super::member_id)]
    member: Option<String>,
    /// Only those in this state: planned, queued, sending, sent, failed, uncertain, skipped,
    /// held_out, cancelled …
    #[arg(long)]
    state: Option<State>,
    /// At most so many [default: 100 in a table, else all].
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

#[derive(Serialize)]
struct Row {
    id: Uuid,
    member: String,
    campaign: String,
    step: String,
    channel: Option<String>,
    state: String,
    reason: Option<String>,
    due_at: String,
    attempts: i64,
    sent_at: Option<String>,
    arm: Option<String>,
    run: Option<i64>,
    assigned_at: Option<String>,
}

const COLUMNS: &[&str] = &[
    "id",
    "member",
    "campaign",
    "step",
    "channel",
    "state",
    "reason",
    "due_at",
    "attempts",
    "sent_at",
    "arm",
    "run",
    "assigned_at",
];

/// What people see: times to the minute, in UTC, and no ids.
const TABLE: &[&str] = &["due (UTC)", "member", "campaign", "step", "channel", "state", "sent (UTC)", "attempts"];

impl Messages {
    pub(super) async fn execute(self, session: &Session) -> Result {
        if let Some(command) = self.by_hand {
            return command.execute(session).await;
        }
        let app = session.open().await?;
        let filter = Filter { campaign: self.campaign, member: self.member, state: self.state };
        // A table for people has an end; programs get everything.
        let limit = self.limit.unwrap_or(if session.format == Format::Table { 100 } else { usize::MAX });
        let mut rows: Vec<Row> = Vec::new();
        let mut after = (i64::MIN, Uuid::nil());
        let mut tx = app.store.read().await?;
        known(&app, &mut tx, filter.campaign.as_deref(), filter.member.as_deref()).await?;
        while rows.len() < limit {
            let page = messages::list(&mut tx, &filter, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = (last.due_at, last.id);
            let room = limit - rows.len();
            rows.extend(page.into_iter().take(room).map(row));
        }
        tx.commit().await?;
        let cut = session.format == Format::Table && rows.len() == limit;
        if session.format == Format::Table {
            output::table(TABLE, &rows.iter().map(shown).collect::<Vec<_>>())?;
        } else {
            output::rows(session.format, &rows, COLUMNS, cells)?;
        }
        if cut {
            output::say(&format!("… the first {limit}; --limit shows more, --format csv or json everything."))?;
        }
        Ok(())
    }
}

fn row(listed: Listed) -> Row {
    Row {
        id: listed.id,
        member: listed.member,
        campaign: listed.campaign,
        step: listed.step,
        channel: listed.channel,
        state: listed.state,
        reason: listed.reason,
        due_at: rfc3339(instant(listed.due_at)),
        attempts: listed.attempts,
        sent_at: listed.sent_at.map(|at| rfc3339(instant(at))),
        arm: listed.arm,
        run: listed.run,
        assigned_at: listed.assigned_at.map(|at| rfc3339(instant(at))),
    }
}

fn shown(row: &Row) -> Vec<String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    // 2027-03-21T06:30:00Z as 2027-03-21 06:30.
    let minute = |at: &str| at.chars().take(16).collect::<String>().replace('T', " ");
    let reason = row.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    vec![
        minute(&row.due_at),
        row.member.clone(),
        row.campaign.clone(),
        row.step.clone(),
        text(&row.channel),
        format!("{}{reason}", row.state),
        row.sent_at.as_deref().map(minute).unwrap_or_default(),
        row.attempts.to_string(),
    ]
}

fn cells(row: &Row) -> Vec<String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    vec![
        row.id.to_string(),
        row.member.clone(),
        row.campaign.clone(),
        row.step.clone(),
        text(&row.channel),
        row.state.clone(),
        text(&row.reason),
        row.due_at.clone(),
        row.attempts.to_string(),
        text(&row.sent_at),
        text(&row.arm),
        row.run.map(|run| run.to_string()).unwrap_or_default(),
        text(&row.assigned_at),
    ]
}
