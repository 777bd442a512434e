//! `check`.

use std::path::Path;

use serde::Serialize;

use super::output::{self, Format, complain, counted};
use super::{CommandError, Result, Session, forecast};
use crate::app::{factories, signers};
use crate::catalog::{Catalog, Files};
use crate::clock::Clock;
use crate::domain::sms::SmsSize;
use crate::settings::Settings;
use crate::store::{Store, configuration};
use crate::views::forecast::Day;

pub(super) async fn execute(session: &Session) -> Result {
    let settings = session.settings()?;
    let files = Files::read(&settings)?;
    let catalog = match Catalog::compile(&files, &settings) {
        Ok(catalog) => catalog,
        Err(problems) => {
            complain(&problems.to_string());
            complain(&format!("\n{} found", counted(problems.0.len(), "problem")));
            return Err(CommandError::Silent);
        }
    };
    factories(&settings, &catalog)?;
    // Before mail is really sent, too.
    signers(&settings)?;
    let forecast = forecast(&settings, &catalog).await?;
    let sms: Vec<Sms> = catalog.sms_sizes.iter().map(Sms::of).collect();
    let found = Checked {
        sms,
        campaigns: catalog.campaigns.len(),
        templates: files.templates.len(),
        providers: catalog.providers.len(),
        forecast,
    };
    if session.format != Format::Table {
        return output::json(&found);
    }
    let Checked { campaigns, templates, providers, sms, forecast } = found;
    output::say(&format!(
        "All good: {}, {}, {}.",
        counted(campaigns, "campaign"),
        counted(templates, "template"),
        counted(providers, "SMS provider")
    ))?;
    let rows: Vec<Vec<String>> = sms.into_iter().map(Sms::cells).collect();
    if !rows.is_empty() {
        output::say("\nWhat an SMS to a sample member is charged as:")?;
        output::table(&["content", "language", "segments", "because"], &rows)?;
    }
    forecast.map_or(Ok(()), |rows| forecast::show(&rows))
}

/// What the SMS of a content takes in a language.
#[derive(Serialize)]
struct Sms {
    content: String,
    locale: String,
    #[serde(flatten)]
    segments: SmsSize,
}

impl Sms {
    fn of(((content, locale), segments): (&(String, String), &SmsSize)) -> Self {
        Self { content: content.clone(), locale: locale.clone(), segments: *segments }
    }

    fn cells(self) -> Vec<String> {
        vec![self.content, self.locale, self.segments.to_string(), self.segments.remark().unwrap_or_default()]
    }
}

#[derive(Serialize)]
struct Checked {
    campaigns: usize,
    templates: usize,
    providers: usize,
    sms: Vec<Sms>,
    /// What the campaigns that are not live yet will send; absent without a store to read.
    forecast: Option<Vec<Day>>,
}

/// Looks ahead where there is a store; makes none, and changes nothing.
async fn forecast(settings: &Settings, catalog: &Catalog) -> Result<Option<Vec<Day>>> {
    if settings.store.strip_prefix("sqlite://").is_some_and(|path| !Path::new(path).exists()) {
        return Ok(None);
    }
    let Ok(store) = Store::open(&settings.store, 1).await else { return Ok(None) };
    if store.require_migrated().await.is_err() {
        return Ok(None);
    }
    let mut tx = store.read().await?;
    let states = configuration::states(&mut tx).await?;
    tx.commit().await?;
    let rows = forecast::of_new(&store, catalog, &states, Clock::System.now()).await?;
    store.close().await;
    Ok(Some(rows))
}
