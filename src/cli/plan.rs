//! `plan --from T --to T`.

use std::collections::BTreeMap;

use super::output::{self, Format, Progress, counted, grouped};
use super::{CommandError, Result, Session, instant_of};
use crate::views::plan::{self, AboveCeiling, Listed, Row};

/// Rows that a table shows before it only counts.
const SHOWN: usize = 40;

const COLUMNS: &[&str] = &["member", "campaign", "step", "channel", "due_at", "next_at", "local_time", "arm", "reason"];

#[derive(Debug, clap::Args)]
pub(super) struct Plan {
    /// The first instant: 2026-03-21 (midnight), 2026-03-21 09:00 (both on the brand's clock) or
    /// 2026-03-21T09:00:00Z.
    #[arg(long, value_name = "T")]
    from: String,
    /// The first instant that is no longer planned, written like it.
    #[arg(long, value_name = "T")]
    to: String,
    /// Also what would not be sent, with its reason.
    #[arg(long)]
    include_skipped: bool,
}

impl Plan {
    pub(super) async fn execute(self, session: &Session) -> Result {
        let app = session.open().await?;
        let from = instant_of(&self.from, &app.settings, "--from")?;
        let to = instant_of(&self.to, &app.settings, "--to")?;
        if to <= from {
            return Err(CommandError::Other("--to is not after --from".to_owned()));
        }
        let catalog = app.catalog().await?;
        let mut progress = Progress::new("planning", (to - from).num_days().unsigned_abs().max(1));
        let listed = plan::list(&app.store, &catalog, from, to, self.include_skipped, &mut |at| {
            progress.at((at - from).num_days().unsigned_abs());
        })
        .await;
        progress.finish();
        let listed = listed?;
        if session.format != Format::Table {
            return output::rows(session.format, &listed.rows, COLUMNS, cells);
        }
        show(&listed)
    }
}

fn cells(row: &Row) -> Vec<String> {
    vec![
        row.member.clone(),
        row.campaign.clone(),
        row.step.clone(),
        row.channel.unwrap_or_default().to_owned(),
        row.due_at.clone(),
        row.next_at.clone(),
        row.local_time.clone(),
        row.arm.clone().unwrap_or_default(),
        row.reason.unwrap_or_default().to_owned(),
    ]
}

/// For people: the sums, then the first ones.
fn show(listed: &Listed) -> Result {
    let rows = &listed.rows;
    show_sums(rows)?;
    let total = rows.iter().filter(|row| row.reason.is_none()).count();
    output::say(&format!("\n{} would be sent. Nothing was sent or changed.", counted(total, "message")))?;
    for above in &listed.above_ceiling {
        output::say(&stopped(above))?;
    }
    if rows.is_empty() { Ok(()) } else { show_first(rows) }
}

/// What stops a campaign, and who can let it go on.
fn stopped(above: &AboveCeiling) -> String {
    let AboveCeiling { campaign, day, messages, ceiling } = above;
    format!(
        "{campaign}: {} on {day} are above its ceiling of {}. It would stop before the first of them, and wait for \
         `rekindle campaigns approve {campaign}`.",
        counted(*messages, "message"),
        grouped(ceiling.unsigned_abs())
    )
}

fn show_sums(rows: &[Row]) -> Result {
    let mut sums: BTreeMap<(&str, &str, &str), u64> = BTreeMap::new();
    for row in rows {
        let what = row.reason.or(row.channel).unwrap_or_default();
        *sums.entry((&row.campaign, &row.step, what)).or_default() += 1;
    }
    let sums: Vec<Vec<String>> = sums
        .into_iter()
        .map(|((campaign, step, what), count)| {
            vec![campaign.to_owned(), step.to_owned(), what.to_owned(), grouped(count)]
        })
        .collect();
    output::table(&["campaign", "step", "channel or reason", "messages"], &sums)
}

fn show_first(rows: &[Row]) -> Result {
    output::say("")?;
    let first: Vec<Vec<String>> = rows
        .iter()
        .take(SHOWN)
        .map(|row| {
            let what = row.reason.or(row.channel).unwrap_or_default();
            vec![row.local_time.clone(), row.member.clone(), row.campaign.clone(), row.step.clone(), what.to_owned()]
        })
        .collect();
    output::table(&["member's local time", "member", "campaign", "step", "channel or reason"], &first)?;
    if rows.len() > SHOWN {
        output::say(&format!(
            "… and {} more; --format csv or json has all of them.",
            grouped((rows.len() - SHOWN) as u64)
        ))?;
    }
    Ok(())
}
