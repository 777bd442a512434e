//! `plan --from T --to T`.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::Serialize;

use super::output::{self, Format, Progress, counted, grouped};
use super::{CommandError, Result, Session, instant_of, rfc3339};
use crate::catalog::Catalog;
use crate::domain::calendar::local_date;
use crate::domain::message::Reason;
use crate::views::plan::{self, Planned};

/// Rows that a table shows before it only counts.
const SHOWN: usize = 40;

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

/// How many messages of each campaign are to go out on a date of the brand's calendar.
type Days = BTreeMap<String, BTreeMap<NaiveDate, usize>>;

#[derive(Serialize)]
struct Row {
    member: String,
    campaign: String,
    step: String,
    channel: Option<&'static str>,
    due_at: String,
    next_at: String,
    local_time: String,
    variant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
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
        let mut rows: Vec<Planned> = Vec::new();
        let mut progress = Progress::new("planning", (to - from).num_days().unsigned_abs().max(1));
        let mut days = Days::new();
        let mut emit = |planned: Planned| {
            // A scan counts what it puts into the ledger to wait, so also what policy will skip later.
            if planned.reason != Some(Reason::OutsideAudience) {
                let day = local_date(catalog.brand.timezone, planned.next_at);
                *days.entry(planned.campaign.clone()).or_default().entry(day).or_default() += 1;
            }
            if self.include_skipped || planned.reason.is_none() {
                rows.push(planned);
            }
        };
        let planned = plan::plan(&app.store, &catalog, from, to, &mut emit, &mut |at| {
            progress.at((at - from).num_days().unsigned_abs());
        })
        .await;
        progress.finish();
        planned?;
        rows.sort_by(|a, b| {
            (a.due_at, &a.campaign, &a.member, &a.step, a.channel).cmp(&(
                b.due_at,
                &b.campaign,
                &b.member,
                &b.step,
                b.channel,
            ))
        });
        let rows: Vec<Row> = rows.into_iter().map(Row::of).collect();
        if session.format != Format::Table {
            let columns =
                ["member", "campaign", "step", "channel", "due_at", "next_at", "local_time", "variant", "reason"];
            return output::rows(session.format, &rows, &columns, Row::cells);
        }
        show(&rows, &above_ceiling(&days, &catalog))
    }
}

impl Row {
    fn of(planned: Planned) -> Self {
        Self {
            member: planned.member,
            campaign: planned.campaign,
            step: planned.step,
            channel: planned.channel.map(|channel| channel.as_str()),
            due_at: rfc3339(planned.due_at),
            next_at: rfc3339(planned.next_at),
            local_time: planned.local_time,
            variant: None,
            reason: planned.reason.map(|reason| reason.as_str()),
        }
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.member.clone(),
            self.campaign.clone(),
            self.step.clone(),
            self.channel.unwrap_or_default().to_owned(),
            self.due_at.clone(),
            self.next_at.clone(),
            self.local_time.clone(),
            self.variant.clone().unwrap_or_default(),
            self.reason.unwrap_or_default().to_owned(),
        ]
    }
}

/// Says of which campaigns more than their ceiling falls due on a day, with the fullest day.
fn above_ceiling(days: &Days, catalog: &Catalog) -> Vec<String> {
    let line = |(name, days): (&String, &BTreeMap<NaiveDate, usize>)| {
        let ceiling = catalog.campaigns.get(name)?.limits.ceiling;
        let (day, count) = days.iter().rev().max_by_key(|(_, count)| **count)?;
        (*count as i64 > ceiling).then(|| {
            format!(
                "{name}: {} on {day} are above its ceiling of {}. It would stop before the first of them, and wait for \
                 `rekindle campaigns approve {name}`.",
                counted(*count, "message"),
                grouped(ceiling.unsigned_abs())
            )
        })
    };
    days.iter().filter_map(line).collect()
}

/// For people: the sums, then the first ones.
fn show(rows: &[Row], above: &[String]) -> Result {
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
    output::table(&["campaign", "step", "channel or reason", "messages"], &sums)?;
    let total = rows.iter().filter(|row| row.reason.is_none()).count();
    output::say(&format!("\n{} would be sent. Nothing was sent or changed.", counted(total, "message")))?;
    for line in above {
        output::say(line)?;
    }
    if rows.is_empty() {
        return Ok(());
    }
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
