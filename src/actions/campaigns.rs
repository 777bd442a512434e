//! Campaigns stopped, let go on, allowed more than their ceiling; a variant chosen.

use chrono::Duration;

use super::{ActionError, By, Result};
use crate::domain::Instant;
use crate::domain::calendar::rfc3339;
use crate::store::audit::{Deed, Line};
use crate::store::configuration;

/// How long a ceiling is lifted.
pub const APPROVED: Duration = Duration::hours(24);

/// Silences a campaign, or lets it speak again.
pub async fn pause(by: By<'_>, campaign: &str, paused: bool) -> Result<()> {
    let mut tx = by.store.begin().await?;
    if !configuration::pause(&mut tx, campaign, paused).await? {
        return Err(ActionError::NoCampaign(campaign.to_owned()));
    }
    let what = if paused { Deed::CampaignPaused } else { Deed::CampaignResumed };
    by.done(tx, Line { campaign: Some(campaign), ..Line::new(by.who, what) }).await
}

/// The same for everything.
pub async fn pause_all(by: By<'_>, paused: bool) -> Result<()> {
    let mut tx = by.store.begin().await?;
    configuration::pause_all(&mut tx, paused.then_some("an operator said so")).await?;
    by.done(tx, Line::new(by.who, if paused { Deed::AllPaused } else { Deed::AllResumed })).await
}

/// Lets a campaign send more than its ceiling, for [`APPROVED`] from an instant on. Gives until when.
pub async fn approve(by: By<'_>, campaign: &str, from: Instant) -> Result<Instant> {
    let until = from + APPROVED;
    let mut tx = by.store.begin().await?;
    if !configuration::approve(&mut tx, campaign, until).await? {
        return Err(ActionError::NoCampaign(campaign.to_owned()));
    }
    let detail = format!("until {}", rfc3339(until));
    let line = Line { campaign: Some(campaign), detail: Some(&detail), ..Line::new(by.who, Deed::CampaignApproved) };
    by.done(tx, line).await?;
    Ok(until)
}

/// Chooses a variant: `arms`, as JSON, are those of the run that begins. False where it was chosen before.
pub async fn choose(by: By<'_>, campaign: &str, variant: &str, arms: &str) -> Result<bool> {
    let mut tx = by.store.begin().await?;
    let is_new = configuration::choose(&mut tx, campaign, variant, arms, by.now()).await?;
    if is_new {
        let line = Line { campaign: Some(campaign), detail: Some(variant), ..Line::new(by.who, Deed::VariantChosen) };
        by.done(tx, line).await?;
    } else {
        tx.commit().await?;
    }
    Ok(is_new)
}
