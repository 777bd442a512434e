//! What a demo shows of what was sent.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::app::App;
use crate::catalog::Catalog;
use crate::cli::output::{self, grouped};
use crate::cli::{CommandError, Result};
use crate::domain::message::{Channel, State};
use crate::domain::track::Track;
use crate::rendering::Variables;
use crate::store::messages::{self, Filter, Listed};
use crate::store::{gifts, purchases};

/// The states of a message that went out, whatever was heard of it since.
const SENT: [State; 4] = [State::Sent, State::Delivered, State::Bounced, State::Complained];

/// What was sent, by campaign and channel, and what was not, and why.
pub(super) async fn sent(app: &App) -> Result {
    let mut tx = app.store.read().await?;
    let counts = messages::counts(&mut tx).await?;
    tx.commit().await?;
    let mut sent: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
    let mut reasons: BTreeMap<&str, i64> = BTreeMap::new();
    for count in &counts {
        let row = sent.entry(&count.campaign).or_default();
        if SENT.iter().any(|state| count.state == state.as_str()) {
            row[usize::from(count.channel == Channel::Sms.as_str())] += count.messages.unsigned_abs();
        } else if !count.reason.is_empty() {
            *reasons.entry(&count.reason).or_default() += count.messages;
        }
    }
    let total = sent.values().fold([0, 0], |sum, row| [sum[0] + row[0], sum[1] + row[1]]);
    let line =
        |name: &str, row: [u64; 2]| vec![name.to_owned(), grouped(row[0]), grouped(row[1]), grouped(row[0] + row[1])];
    let mut rows: Vec<Vec<String>> = sent.iter().map(|(name, row)| line(name, *row)).collect();
    rows.push(line("all", total));
    output::table(&["campaign", "email", "sms", "sent"], &rows)?;
    if !reasons.is_empty() {
        let list: Vec<String> = reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        output::say(&format!("\nNot sent, and why: {}.", list.join(", ")))?;
    }
    Ok(())
}

/// Three of the messages, as a person would see them.
pub(super) async fn show_three(app: &App, catalog: &Catalog) -> Result {
    let wanted = [("birthday", "email", "en"), ("welcome", "sms", "fa"), ("at-risk", "email", "fa")];
    for (campaign, channel, locale) in wanted {
        let Some(listed) = pick(app, campaign, channel, locale).await? else { continue };
        let Some(shown) = render(app, catalog, &listed).await? else { continue };
        output::say(&format!("\n━━ {campaign}, by {channel} to member {} ━━\n{shown}", listed.member))?;
    }
    output::say("")
}

/// A sent message of the campaign, channel and language, the first by due instant.
async fn pick(app: &App, campaign: &str, channel: &str, locale: &str) -> Result<Option<Listed>> {
    let filter = Filter { campaign: Some(campaign.to_owned()), member: None, state: Some(State::Sent) };
    let mut tx = app.store.read().await?;
    let listed = messages::list(&mut tx, &filter, (i64::MIN, Uuid::nil()), 500).await?;
    for row in listed.into_iter().filter(|row| row.channel.as_deref() == Some(channel)) {
        let member = crate::store::members::by_external_id(&mut tx, &row.member).await?;
        if member.is_some_and(|member| member.locale.as_deref() == Some(locale)) {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

/// The message again, for the terminal.
async fn render(app: &App, catalog: &Catalog, listed: &Listed) -> Result<Option<String>> {
    let mut tx = app.store.read().await?;
    let Some(member) = crate::store::members::by_external_id(&mut tx, &listed.member).await? else { return Ok(None) };
    let all = messages::of_member(&mut tx, member.id).await?;
    let Some(message) = all.iter().find(|message| message.id == listed.id) else { return Ok(None) };
    let orders = purchases::by_ids(&mut tx, message.purchase_id.into_iter().collect()).await?;
    let (Some(campaign), Some(channel)) = (catalog.campaigns.get(&message.campaign), message.channel) else {
        return Ok(None);
    };
    let gift = gifts::of_message(&mut tx, message, campaign).await?;
    tx.commit().await?;
    let Some(step) = campaign.step_index(&message.step).map(|index| &campaign.steps[index]) else { return Ok(None) };
    let variables = Variables {
        brand: &catalog.brand,
        member: &member,
        campaign: &campaign.name,
        message: message.id,
        tokens: &catalog.tokens,
        track: Track::default(),
        step: &message.step,
        due_at: message.due_at,
        years: message.years,
        order: message.purchase_id.and_then(|id| orders.get(&id)),
        gift: gift.as_ref(),
    };
    let content = catalog
        .content(campaign, step, channel, member.address(channel).unwrap_or_default(), &variables)
        .map_err(|error| CommandError::Other(error.to_string()))?;
    Ok(Some(crate::cli::preview::shown(&content, campaign)))
}
