//! `campaigns list|audience|pause|resume|choose|approve`; versions.rs has what makes and shows versions.

use clap::Subcommand;
use serde::Serialize;

use super::versions::Versions;
use super::{CommandError, Result, Session, instant_of, output, rfc3339};
use crate::actions::{ActionError, campaigns};
use crate::app::{App, author};
use crate::document::expected;
use crate::domain::Instant;
use crate::store::configuration;
use crate::views::{self, audience};

#[derive(Debug, Subcommand)]
pub(super) enum Campaigns {
    #[command(flatten)]
    Versions(Versions),
    /// List the campaigns that were applied, and what holds them.
    List,
    /// Count the members in a campaign's audience, and show some of them.
    Audience {
        /// The campaign's name.
        name: String,
        /// As of this instant, such as 2026-03-21 [default: now].
        #[arg(long, value_name = "T")]
        at: Option<String>,
        /// How many members to show.
        #[arg(long, value_name = "N", default_value_t = 10)]
        sample: u32,
    },
    /// Stop a campaign's messages; they wait, and lateness decides when it resumes.
    Pause(Target),
    /// Let a paused campaign go on.
    Resume(Target),
    /// Choose one of a campaign's variants: from now on all get it who are not held out.
    Choose {
        /// The campaign's name.
        name: String,
        /// The variant's name.
        variant: String,
    },
    /// Let a campaign send more than its ceiling, for the next 24 hours.
    Approve {
        /// The campaign's name.
        name: String,
        /// Count the 24 hours from this instant [default: now].
        #[arg(long, value_name = "T")]
        at: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct Target {
    /// The campaign's name.
    name: Option<String>,
    /// All campaigns at once.
    #[arg(long)]
    all: bool,
}

#[derive(Serialize)]
struct Row {
    name: String,
    status: &'static str,
    trigger: &'static str,
    channels: Vec<&'static str>,
    steps: usize,
    first_live_at: Option<String>,
    scanned_to: Option<String>,
}

impl Campaigns {
    pub(super) async fn execute(self, session: &Session) -> Result {
        let app = session.open().await?;
        match self {
            Self::Versions(command) => command.execute(&app, session).await,
            Self::List => list(&app, session).await,
            Self::Audience { name, at, sample } => {
                let at = at.map(|text| instant_of(&text, &app.settings, "--at")).transpose()?;
                audience(&app, session, &name, at.unwrap_or_else(|| app.clock.now()), sample).await
            }
            Self::Pause(target) => pause(&app, target, true).await,
            Self::Resume(target) => pause(&app, target, false).await,
            Self::Choose { name, variant } => choose(&app, &name, &variant).await,
            Self::Approve { name, at } => {
                let at = at.map(|text| instant_of(&text, &app.settings, "--at")).transpose()?;
                approve(&app, &name, at.unwrap_or_else(|| app.clock.now())).await
            }
        }
    }
}

async fn list(app: &App, session: &Session) -> Result {
    let catalog = app.applied(None).await?;
    let mut tx = app.store.read().await?;
    let states = configuration::states(&mut tx).await?;
    let silenced = configuration::all_paused(&mut tx).await?;
    tx.commit().await?;
    let rows: Vec<Row> = catalog
        .campaigns
        .values()
        .map(|campaign| {
            let state = states.get(&campaign.name);
            let status = match state {
                _ if silenced => "silenced",
                Some(state) if state.paused => "paused",
                Some(state) if state.held => "waits for approval",
                _ => campaign.status.as_str(),
            };
            Row {
                name: campaign.name.clone(),
                status,
                trigger: campaign.trigger.kind(),
                channels: campaign.channels.iter().map(|channel| channel.as_str()).collect(),
                steps: campaign.steps.len(),
                first_live_at: state.and_then(|state| state.first_live_at).map(rfc3339),
                scanned_to: state.and_then(|state| state.cursor.scanned_to).map(rfc3339),
            }
        })
        .collect();
    output::rows(session.format, &rows, &["campaign", "status", "trigger", "channels", "steps", "scanned to"], |row| {
        vec![
            row.name.clone(),
            row.status.to_owned(),
            row.trigger.to_owned(),
            row.channels.join(", "),
            row.steps.to_string(),
            row.scanned_to.clone().unwrap_or_else(|| "never".to_owned()),
        ]
    })
}

async fn audience(app: &App, session: &Session, name: &str, at: Instant, sample: u32) -> Result {
    let catalog = app.catalog().await?;
    let counted = audience::count(&app.store, &catalog, name, at, sample).await?;
    if session.format == output::Format::Json {
        return output::json(&counted);
    }
    if session.format == output::Format::Table {
        let number = |count: i64| output::grouped(count.unsigned_abs());
        let (inside, all) = (number(counted.members), number(counted.of));
        output::say(&format!("{inside} of {all} members are in the audience of {name} at {}:", counted.at))?;
        output::say(&format!("{}\n", counted.audience))?;
        if counted.sample.is_empty() {
            return Ok(());
        }
    }
    output::rows(session.format, &counted.sample, &["member", "first name", "last name"], |row| {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        vec![row.member.clone(), text(&row.first_name), text(&row.last_name)]
    })
}

async fn pause(app: &App, target: Target, paused: bool) -> Result {
    let who = author();
    let done = match &target.name {
        None => {
            campaigns::pause_all(app.by(&who), paused).await?;
            "Everything".to_owned()
        }
        Some(name) => {
            known(app, name, campaigns::pause(app.by(&who), name, paused).await).await?;
            format!("The campaign {name}")
        }
    };
    output::say(&format!("{done} is {}.", if paused { "paused; what falls due waits" } else { "running again" }))
}

async fn choose(app: &App, name: &str, variant: &str) -> Result {
    let catalog = app.applied(None).await?;
    let campaign = views::campaign(&catalog, name)?;
    let experiment = &campaign.experiment;
    if experiment.variant(variant).is_none() {
        let known: Vec<&str> = experiment.variants.iter().map(|variant| variant.name.as_str()).collect();
        let hint = if known.is_empty() { "it has none".to_owned() } else { expected(variant, &known) };
        return Err(CommandError::Other(format!("the campaign `{name}` has no variant `{variant}`; {hint}")));
    }
    let arms = serde_json::json!(experiment.arms(Some(variant))).to_string();
    let is_new = campaigns::choose(app.by(&author()), name, variant, &arms).await?;
    output::say(&if is_new {
        format!("From now on `{variant}` of the campaign {name} goes to all who are not held out; a new run begins.")
    } else {
        format!("`{variant}` of the campaign {name} was chosen before; nothing changed.")
    })
}

async fn approve(app: &App, name: &str, at: Instant) -> Result {
    let until = known(app, name, campaigns::approve(app.by(&author()), name, at).await).await?;
    output::say(&format!("The campaign {name} may go beyond its ceiling until {}.", rfc3339(until)))
}

/// What was done to a campaign, or that there is none of that name, and which there are.
async fn known<T>(app: &App, name: &str, done: std::result::Result<T, ActionError>) -> Result<T> {
    match done {
        Err(ActionError::NoCampaign(_)) => Err(unknown(app, name).await),
        other => Ok(other?),
    }
}

async fn unknown(app: &App, name: &str) -> CommandError {
    let known: Vec<String> = match app.applied(None).await {
        Ok(catalog) => catalog.campaigns.keys().cloned().collect(),
        Err(error) => return error.into(),
    };
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    CommandError::Other(format!("there is no campaign `{name}`; {}", expected(name, &known)))
}
