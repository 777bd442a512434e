//! `preview CAMPAIGN --member ID`.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::output::{self, Format};
use super::{CommandError, Result, Session};
use crate::app::{App, factories};
use crate::catalog::Catalog;
use crate::domain::campaign::{Campaign, MAIN};
use crate::domain::message::{Channel, Content, Envelope, SmsWords};
use crate::domain::sms::SmsSize;
use crate::transports::Outcome;
use crate::views::preview::{self, Wanted, preview};
use crate::views::{self, ViewError};

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
    /// Of this variant [default: the member's own].
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,
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
        let campaign = views::campaign(&catalog, &self.campaign)?;
        let preview = preview(&app.store, &catalog, self.wanted(campaign), app.clock.now()).await;
        let preview = preview.map_err(|error| match error {
            ViewError::BadAddress(error) => CommandError::Other(format!("--send-to: {error}")),
            other => other.into(),
        })?;
        if let Some(file) = &self.out {
            write(file, &preview.content)?;
        }
        let note = self.note(&preview);
        if let Some(to) = preview.to {
            return send(&app, &catalog, campaign, preview.channel, preview.content, to).await;
        }
        if session.format != Format::Table {
            return output::json(&preview.content);
        }
        output::say(&note)?;
        output::say(&shown(&preview.content, campaign))?;
        if let Some(file) = &self.out {
            output::say(&format!("\nWritten to {}.", file.display()))?;
        }
        Ok(())
    }

    fn wanted<'a>(&'a self, campaign: &'a Campaign) -> Wanted<'a> {
        Wanted {
            campaign,
            step: &self.step,
            variant: self.variant.as_deref(),
            member: &self.member,
            channel: self.channel,
            to: self.send_to.as_deref(),
        }
    }

    /// For whom it is, and when.
    fn note(&self, preview: &preview::Preview) -> String {
        let note = match preview.due_at {
            Some(due_at) => format!("For member {}, due {}:\n", self.member, due_at.format("%Y-%m-%d %H:%M (%Z)")),
            None => format!("Member {} has no occasion of this campaign near; with made-up values:\n", self.member),
        };
        if preview.has_address {
            return note;
        }
        format!("Member {} has no address for {}; this is what it would say.\n{note}", self.member, preview.channel)
    }
}

fn write(file: &Path, content: &Content) -> Result {
    let text = match content {
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
        .map_err(|error| CommandError::Other(format!("cannot write {}: {error}", file.display())))
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
