//! `preview CAMPAIGN --member ID`.

use std::io::Write;
use std::path::PathBuf;

use chrono::Duration;

use super::output::{self, Format};
use super::{CommandError, Result, Session};
use crate::app::{App, factories};
use crate::catalog::Catalog;
use crate::domain::campaign::{Campaign, MAIN};
use crate::domain::member::{Member, Track};
use crate::domain::message::{Channel, Content, Envelope, SmsWords};
use crate::domain::sms::SmsSize;
use crate::domain::{address, phone};
use crate::rendering::{Variables, sample};
use crate::store::{configuration, gifts, members};
use crate::transports::Outcome;
use crate::views::occasions;

#[derive(Debug, clap::Args)]
pub(super) struct Preview {
    /// The campaign's name.
    campaign: String,
    /// The member's external id.
    #[arg(long, value_name = "ID", value_parser = super::member_id)]
    member: String,
    /// On this channel [default: the first on which the member has an address].
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<Channel>,
    /// This step.
    #[arg(long, value_name = "ID", default_value = MAIN)]
    step: String,
    /// Write the HTML (or the text of an SMS) to a file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Send it to a test address or number, through the configured sender.
    #[arg(long, value_name = "ADDRESS")]
    send_to: Option<String>,
}

impl Preview {
    pub(super) async fn execute(self, session: &Session) -> Result {
        let app = session.open().await?;
        let catalog = app.catalog().await?;
        let known: Vec<&str> = catalog.campaigns.keys().map(String::as_str).collect();
        let Some(campaign) = catalog.campaigns.get(&self.campaign) else {
            let hint = crate::document::expected(&self.campaign, &known);
            return Err(CommandError::Other(format!("there is no campaign `{}`; {hint}", self.campaign)));
        };
        let Rendered { channel, content, note, to } = self.render(&app, &catalog, campaign).await?;
        if let Some(file) = &self.out {
            let text = match &content {
                Content::Email { html: Some(html), .. } => html,
                Content::Email { text, .. } => text,
                Content::Sms { forms } => match forms.first().map(|form| &form.words) {
                    Some(SmsWords::Text(text)) => text,
                    Some(SmsWords::Pattern { template, .. }) => template,
                    None => "",
                },
            };
            crate::files::create(file)
                .and_then(|mut out| out.write_all(text.as_bytes()))
                .map_err(|error| CommandError::Other(format!("cannot write {}: {error}", file.display())))?;
        }
        if let Some(to) = to {
            return send(&app, &catalog, campaign, channel, content, to).await;
        }
        if session.format != Format::Table {
            return output::json(&content);
        }
        output::say(&note)?;
        output::say(&shown(&content, campaign))?;
        if let Some(file) = &self.out {
            output::say(&format!("\nWritten to {}.", file.display()))?;
        }
        Ok(())
    }

    /// The message of the member's nearest occasion, or of a made-up one where there is none.
    async fn render(&self, app: &App, catalog: &Catalog, campaign: &Campaign) -> Result<Rendered> {
        let Some(step) = campaign.step_index(&self.step).map(|index| &campaign.steps[index]) else {
            let known: Vec<&str> = campaign.steps.iter().map(|step| step.id.as_str()).collect();
            let hint = crate::document::expected(&self.step, &known);
            return Err(CommandError::Other(format!("{} has no step `{}`; {hint}", campaign.name, self.step)));
        };
        let mut tx = app.store.read().await?;
        let Some(member) = members::by_external_id(&mut tx, &self.member).await? else {
            return Err(CommandError::Other(format!("there is no member `{}`", self.member)));
        };
        let reachable = campaign.channels.iter().copied().find(|channel| member.address(*channel).is_some());
        let channel = self.channel.or(reachable).unwrap_or(campaign.channels[0]);
        let states = configuration::states(&mut tx).await?;
        let now = app.clock.now();
        let around = (Duration::days(400), Duration::days(400));
        let found =
            occasions::of_member(&mut tx, catalog, campaign, states.get(&campaign.name), &member, now, around).await?;
        let nearest = found
            .iter()
            .filter(|found| found.message.step == step.id)
            .min_by_key(|found| ((found.message.due_at - now).abs(), found.message.id));
        let gift = match nearest {
            // A member's own code goes to nobody else.
            Some(found) if self.send_to.is_none() => gifts::of_message(&mut tx, &found.message, campaign).await?,
            _ => None,
        };
        // Nothing is taken out of a pool for a look.
        let day = nearest.map_or(now, |found| found.message.due_at).date_naive();
        let gift = gift.or_else(|| Some(sample::gift(step.gift.as_ref()?, day)));
        tx.commit().await?;
        let made_up = sample::order(&catalog.brand);
        let needs_order = matches!(campaign.trigger.kind(), "post_purchase" | "at_risk");
        let (due_at, years, order) = match nearest {
            Some(found) => (found.message.due_at, found.message.years, found.candidate.order.as_ref()),
            None => (now, (campaign.trigger.kind() == "anniversary").then_some(1), needs_order.then_some(&made_up)),
        };
        let note = match nearest {
            Some(found) => {
                format!("For member {}, due {}:\n", self.member, local(&member, catalog, found.message.due_at))
            }
            None => format!("Member {} has no occasion of this campaign near; with made-up values:\n", self.member),
        };
        let variables = Variables {
            brand: &catalog.brand,
            member: &member,
            campaign: &campaign.name,
            message: uuid::Uuid::nil(),
            tokens: &catalog.tokens,
            // What somebody does with a preview is nobody's opening.
            track: Track::default(),
            step: &step.id,
            due_at,
            years,
            order,
            gift: gift.as_ref(),
        };
        let to = self.send_to.as_deref().map(|to| test_address(catalog, channel, to)).transpose()?;
        let nobody = || catalog.brand.sms.starts().first().copied().unwrap_or_default();
        let address = to.as_deref().or_else(|| member.address(channel)).unwrap_or_else(nobody);
        let content = catalog
            .content(campaign, &step.content, channel, address, &variables)
            .map_err(|error| CommandError::Other(error.to_string()))?;
        let note = match member.address(channel) {
            Some(_) => note,
            None => format!("Member {} has no address for {channel}; this is what it would say.\n{note}", self.member),
        };
        Ok(Rendered { channel, content, note, to })
    }
}

fn local(member: &Member, catalog: &Catalog, at: crate::domain::Instant) -> String {
    at.with_timezone(&member.zone(&catalog.brand)).format("%Y-%m-%d %H:%M (%Z)").to_string()
}

/// A message as a person would see it.
pub(super) fn shown(content: &Content, campaign: &Campaign) -> String {
    match content {
        Content::Email { from, to_name, subject, text, .. } => {
            let [from, to_name, subject] = [from, to_name, subject].map(|value| output::one_line(value));
            format!("From:    {from}\nTo:      {to_name}\nSubject: {subject}\n\n{text}")
        }
        Content::Sms { forms } => {
            let forms = forms.iter().map(|form| {
                let by = match form.providers.as_slice() {
                    [] => String::new(),
                    providers => format!(" by {}", providers.join(", ")),
                };
                match &form.words {
                    SmsWords::Text(text) => {
                        let segments = SmsSize::of(text);
                        let remark = segments.remark().map(|remark| format!(": {remark}")).unwrap_or_default();
                        format!("SMS ({}){by}\n\n{text}\n\n{segments}{remark}\n", campaign.purpose)
                    }
                    SmsWords::Pattern { template, values } => {
                        let values: String = values
                            .iter()
                            .map(|(name, value)| format!("\n  {name}: {}", output::one_line(value)))
                            .collect();
                        format!("SMS ({}){by}, the pattern {template}{values}\n", campaign.purpose)
                    }
                }
            });
            forms.collect::<Vec<_>>().join("\n")
        }
    }
}

/// A rendered message.
struct Rendered {
    channel: Channel,
    content: Content,
    /// For whom, and when.
    note: String,
    /// Where it is sent to.
    to: Option<String>,
}

fn test_address(catalog: &Catalog, channel: Channel, to: &str) -> Result<String> {
    let parsed = match channel {
        Channel::Email => address::parse(to),
        Channel::Sms => phone::parse(to, catalog.brand.phone_region),
    };
    parsed.map_err(|error| CommandError::Other(format!("--send-to: {error}")))
}

async fn send(
    app: &App,
    catalog: &Catalog,
    campaign: &Campaign,
    channel: Channel,
    mut content: Content,
    to: String,
) -> Result {
    let (email, sms) = factories(&app.settings, catalog)?;
    let factory = if channel == Channel::Email { email } else { sms };
    let message = app.clock.new_id();
    catalog.origin().complete(&mut content, &campaign.name, campaign.purpose, campaign.trigger.kind(), message);
    let envelope = Envelope {
        at: app.clock.now().timestamp_millis(),
        campaign: campaign.name.clone(),
        ..Envelope::new(message, campaign.purpose, to, content)
    };
    let mut sender = factory.open();
    let outcome = sender.send(&envelope).await;
    sender.close().await;
    match outcome {
        Outcome::Sent { .. } => output::say(&format!("Sent through {} as {}.", factory.name(), envelope.message)),
        Outcome::Retry { reply, .. }
        | Outcome::Rejected { reply, .. }
        | Outcome::Pause { reply, .. }
        | Outcome::Later { reply, .. }
        | Outcome::Uncertain { reply } => {
            Err(CommandError::Other(format!("{} did not take it: {reply}", factory.name())))
        }
    }
}
