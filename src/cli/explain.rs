//! `explain --member ID [--campaign NAME] [--at T]`.

use super::output::{self, Format};
use super::{CommandError, Result, Session, instant_of};
use crate::domain::money::decimals;
use crate::views::ViewError;
use crate::views::explain::{Backfill, Expected, Explained, Row, explain};

#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// The member's external id.
    #[arg(long, value_name = "ID", value_parser = super::member_id)]
    member: String,
    /// Only this campaign.
    #[arg(long, value_name = "NAME")]
    campaign: Option<String>,
    /// As of this instant, such as 2026-03-21 [default: now].
    #[arg(long, value_name = "T")]
    at: Option<String>,
}

impl Explain {
    pub(super) async fn execute(self, session: &Session) -> Result {
        let app = session.open().await?;
        let at = match &self.at {
            Some(text) => instant_of(text, &app.settings, "--at")?,
            None => app.clock.now(),
        };
        let catalog = app.catalog().await?;
        let all = explain(&app.store, &catalog, &self.member, self.campaign.as_deref(), at).await;
        let all = all.map_err(|error| match error {
            ViewError::NoMember(_) => {
                CommandError::Other(format!("{error}; `rekindle import members` brings members in"))
            }
            other => other.into(),
        })?;
        match session.format {
            Format::Json | Format::Csv => output::json(&all),
            Format::Table => show(&self.member, &all, &app.settings.brand.currency),
        }
    }
}

fn show(member: &str, all: &[Explained], currency: &str) -> Result {
    output::say(&format!("Member {member}"))?;
    if let Some(explained) = all.first() {
        show_expected(explained.expected, currency)?;
    }
    for explained in all {
        output::say(&format!("\n{} ({}, {})", explained.campaign, explained.trigger, explained.status))?;
        output::say(&format!("  counts from {}", output::one_line(&explained.counts_from)))?;
        output::say(if explained.in_audience { "  in the audience:" } else { "  not in the audience:" })?;
        for line in &explained.audience {
            let mark = if line.holds { "✓" } else { "✗" };
            let value = line.value.as_ref().map(|value| format!(" ({})", output::one_line(value))).unwrap_or_default();
            output::say(&format!("  {}{mark} {}{value}", "  ".repeat(line.depth + 1), line.term))?;
        }
        if let Some(Backfill { begins_at, occasion, was_due_at, because }) = &explained.backfill {
            let what = occasion.as_ref().zip(was_due_at.as_ref());
            let what = what.map_or("nothing".to_owned(), |(occasion, due)| format!("{occasion}, due {due}"));
            output::say(&format!("  backfill from {begins_at}: {what}: {because}"))?;
        }
        if explained.messages.is_empty() {
            output::say("  no occasion in the last 90 or the next 400 days")?;
        }
        for row in &explained.messages {
            show_message(row)?;
        }
    }
    Ok(())
}

fn show_expected(expected: Expected, currency: &str) -> Result {
    if let Some(probability) = expected.alive_probability {
        output::say(&format!("  is still a customer with probability {probability:.2}"))?;
    }
    if let Some(revenue) = expected.expected_revenue {
        let digits = decimals(currency) as usize;
        output::say(&format!("  is expected to bring {revenue:.digits$} {currency} in the next 12 months"))?;
    }
    Ok(())
}

fn show_message(row: &Row) -> Result {
    let channel = row.channel.map(|channel| format!(" by {channel}")).unwrap_or_default();
    let because = if row.because.is_empty() { String::new() } else { format!(": {}", row.because) };
    let arm = row.arm.as_ref().map(|arm| format!(" [{arm}]")).unwrap_or_default();
    let gift = row.gift.as_ref().map(|gift| format!(", with {gift}")).unwrap_or_default();
    output::say(&format!(
        "  {}  {} ({})  {}{channel}{arm}{because}{gift}",
        row.local_time, row.step, row.occasion, row.state
    ))?;
    for heard in &row.heard {
        let detail = heard.detail.as_ref().map(|detail| format!(" ({})", output::one_line(detail))).unwrap_or_default();
        output::say(&format!("    {}  {}{detail}", heard.local_time, heard.kind))?;
    }
    Ok(())
}
