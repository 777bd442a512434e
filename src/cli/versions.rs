//! `campaigns apply|pull|diff|history|revert|propose|proposals|publish|withdraw|end|duplicate`.

use std::collections::BTreeSet;

use clap::Subcommand;
use serde::Serialize;

use super::output::{self, Format, Progress, counted, grouped};
use super::{CommandError, Result, Session, forecast, rfc3339};
use crate::app::App;
use crate::catalog::{Files, Version};
use crate::document::expected;
use crate::domain::campaign::Status;
use crate::domain::instant;
use crate::store::{configuration, versions};
use crate::views::forecast::{DAYS, Day};
use crate::views::versions::{Assessed, Change, Kind, assess, differences};

#[derive(Debug, Subcommand)]
pub(super) enum Versions {
    /// Check the folder's files and make them what every process works by.
    ///
    /// What was changed only in the store meanwhile stays. Where a file was changed in both, nothing is applied.
    Apply {
        /// Take the folder's file although the store's was changed, too, such as campaigns/birthday.yaml.
        #[arg(long, value_name = "FILE")]
        ours: Vec<String>,
        /// Why, for the history.
        #[arg(long, short, value_name = "TEXT", default_value = "")]
        message: String,
    },
    /// Write the store's files into the folder.
    Pull {
        /// Write over what was changed in the folder since it was applied.
        #[arg(long)]
        force: bool,
    },
    /// Show what differs: between the store and the folder, or between two versions.
    Diff {
        /// What this version changed of the one before it.
        #[arg(value_name = "VERSION")]
        number: Option<i64>,
        /// What differs from the version named first to this one.
        #[arg(value_name = "OTHER")]
        other: Option<i64>,
    },
    /// List the versions that were the store's, the newest first.
    History {
        /// How many.
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: u32,
    },
    /// Make an earlier version the store's again; the folder stays as it is.
    Revert {
        /// As `history` lists it.
        #[arg(value_name = "VERSION")]
        number: i64,
        /// Why, for the history.
        #[arg(long, short, value_name = "TEXT")]
        message: Option<String>,
    },
    /// Propose the folder's changes to whoever publishes, and show what they would do.
    Propose {
        /// What for.
        #[arg(long, short, value_name = "TEXT", default_value = "")]
        message: String,
    },
    /// List what is proposed.
    Proposals {
        /// Those that were published or withdrawn, too.
        #[arg(long)]
        all: bool,
    },
    /// Show what a proposal changes, and what it would do.
    Proposal {
        /// As `proposals` lists it.
        #[arg(value_name = "NUMBER")]
        number: i64,
    },
    /// Make a proposal what every process works by.
    Publish {
        /// As `proposals` lists it.
        #[arg(value_name = "NUMBER")]
        number: i64,
    },
    /// Take a proposal back.
    Withdraw {
        /// As `proposals` lists it.
        #[arg(value_name = "NUMBER")]
        number: i64,
    },
    /// End a campaign now; what fell due before still goes out.
    End {
        /// The campaign's name.
        name: String,
    },
    /// Make a draft of another name from a campaign; both send the same content until that is changed.
    Duplicate {
        /// The campaign's name.
        name: String,
        /// The name of the new one.
        copy: String,
    },
}

#[derive(Serialize)]
struct Applied<'a> {
    /// The hash of the files, which names them.
    version: &'a str,
    number: i64,
    changed: bool,
    campaigns: usize,
    live: usize,
    /// What the campaigns that went live will send.
    forecast: Vec<Day>,
}

#[derive(Serialize)]
struct Listed {
    version: i64,
    made_at: String,
    author: String,
    origin: String,
    message: String,
    hash: String,
}

#[derive(Serialize)]
struct Proposed {
    proposal: i64,
    /// The version that it changes.
    base: i64,
    made_at: String,
    author: String,
    message: String,
    state: &'static str,
    /// The version that it made.
    published: Option<i64>,
}

impl Versions {
    pub(super) async fn execute(self, app: &App, session: &Session) -> Result {
        match self {
            Self::Apply { ours, message } => apply(app, session, ours, &message).await,
            Self::Pull { force } => pull(app, session, force).await,
            Self::Diff { number, other } => diff(app, session, number, other).await,
            Self::History { limit } => history(app, session, limit).await,
            Self::Revert { number, message } => {
                let made = app.revert(number, message.as_deref()).await?;
                made_version(session, &made, "has what stood there")
            }
            Self::Propose { message } => {
                let (number, before, after) = app.propose(&message).await?;
                show_proposal(app, session, number, (&before, &after)).await
            }
            Self::Proposals { all } => proposals(app, session, all).await,
            Self::Proposal { number } => {
                let proposal = app.proposal(number).await?;
                let (before, after) = app.proposed_files(&proposal).await?;
                show_proposal(app, session, number, (&before, &after)).await
            }
            Self::Publish { number } => made_version(session, &app.publish(number).await?, "has the proposal"),
            Self::Withdraw { number } => {
                app.withdraw(number).await?;
                output::say(&format!("Proposal {number} is withdrawn."))
            }
            Self::End { name } => made_version(session, &app.end_campaign(&name).await?, &format!("ends {name}")),
            Self::Duplicate { name, copy } => {
                let made = app.duplicate(&name, &copy).await?;
                made_version(session, &made, &format!("has {copy}, a draft"))
            }
        }
    }
}

async fn apply(app: &App, session: &Session, ours: Vec<String>, message: &str) -> Result {
    let folder = Files::read(&app.settings)?;
    let known = folder.texts();
    if let Some(path) = ours.iter().find(|path| !known.contains_key(*path)) {
        let names: Vec<&str> = known.keys().map(String::as_str).collect();
        return Err(CommandError::Other(format!("the folder has no file `{path}`; {}", expected(path, &names))));
    }
    let mut tx = app.store.read().await?;
    let before = configuration::states(&mut tx).await?;
    tx.commit().await?;
    let now = app.clock.now();
    let ours: BTreeSet<String> = ours.into_iter().collect();
    let Version { catalog, number, changed } = app.apply(&ours, message).await?;
    let forecast = forecast::of_new(&app.store, &catalog, &before, now).await?;
    let live = catalog.campaigns.values().filter(|campaign| campaign.status == Status::Live).count();
    let campaigns = catalog.campaigns.len();
    if session.format != Format::Table {
        return output::json(&Applied { version: &catalog.hash, number, changed, campaigns, live, forecast });
    }
    let what = if changed { "Applied" } else { "Nothing changed in" };
    output::say(&format!("{what} version {number}: {campaigns} campaigns, {live} live."))?;
    forecast::show(&forecast)
}

async fn pull(app: &App, session: &Session, force: bool) -> Result {
    let written = app.pull(force).await?;
    if session.format != Format::Table {
        return output::json(&serde_json::json!({ "files": written }));
    }
    if written.is_empty() {
        return output::say("The folder has what the store has.");
    }
    written.iter().try_for_each(|path| output::say(path))?;
    output::say(&format!("{} written as the store has them.", counted(written.len(), "file")))
}

async fn diff(app: &App, session: &Session, version: Option<i64>, other: Option<i64>) -> Result {
    let (before, after, between) = match (version, other) {
        (None, _) => {
            let sides = app.sides().await?;
            (sides.store, sides.folder, "the store and the folder")
        }
        (Some(version), None) => {
            let before = if version == 1 { Files::default() } else { app.files_of(version - 1).await? };
            (before, app.files_of(version).await?, "these versions")
        }
        (Some(from), Some(to)) => (app.files_of(from).await?, app.files_of(to).await?, "these versions"),
    };
    let changes = differences(&before, &after);
    match session.format {
        Format::Table if changes.is_empty() => output::say(&format!("Nothing differs between {between}.")),
        Format::Table => changes.iter().try_for_each(|change| output::say(change.diff.trim_end())),
        Format::Json | Format::Csv => rows(session.format, &changes),
    }
}

fn rows(format: Format, changes: &[Change]) -> Result {
    output::rows(format, changes, &["file", "what"], |change| vec![change.file.clone(), word(change.kind).to_owned()])
}

const fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Added => "added",
        Kind::Changed => "changed",
        Kind::Removed => "removed",
    }
}

async fn history(app: &App, session: &Session, limit: u32) -> Result {
    let mut tx = app.store.read().await?;
    let found = versions::list(&mut tx, limit.into()).await?;
    tx.commit().await?;
    let listed = |version: versions::Version| Listed {
        version: version.version,
        made_at: rfc3339(instant(version.made_at)),
        author: version.author,
        origin: version.origin,
        message: version.message,
        hash: version.hash,
    };
    let rows: Vec<Listed> = found.into_iter().map(listed).collect();
    output::rows(session.format, &rows, &["version", "made at", "by", "from", "message"], |row| {
        vec![row.version.to_string(), row.made_at.clone(), row.author.clone(), row.origin.clone(), row.message.clone()]
    })
}

async fn proposals(app: &App, session: &Session, all: bool) -> Result {
    const MOST: i64 = 1_000;
    let mut tx = app.store.read().await?;
    let found = versions::proposals(&mut tx, all, MOST).await?;
    tx.commit().await?;
    let listed = |proposal: versions::Proposal| Proposed {
        proposal: proposal.proposal,
        base: proposal.base,
        made_at: rfc3339(instant(proposal.made_at)),
        author: proposal.author,
        message: proposal.message,
        state: match (proposal.ended_at, proposal.published) {
            (None, _) => "open",
            (_, Some(_)) => "published",
            _ => "withdrawn",
        },
        published: proposal.published,
    };
    let rows: Vec<Proposed> = found.into_iter().map(listed).collect();
    output::rows(session.format, &rows, &["proposal", "changes version", "made at", "by", "state", "message"], |row| {
        vec![
            row.proposal.to_string(),
            row.base.to_string(),
            row.made_at.clone(),
            row.author.clone(),
            row.state.to_owned(),
            row.message.clone(),
        ]
    })
}

async fn show_proposal(app: &App, session: &Session, number: i64, sides: (&Files, &Files)) -> Result {
    #[derive(Serialize)]
    struct Shown {
        proposal: i64,
        #[serde(flatten)]
        assessed: Assessed,
    }
    let mut progress = Progress::new("looking ahead", 2 * DAYS.unsigned_abs());
    let now = app.clock.now();
    let assessed = assess(&app.store, &app.settings, sides, now, &mut |done| progress.at(done)).await;
    progress.finish();
    let assessed = assessed?;
    if session.format != Format::Table {
        return output::json(&Shown { proposal: number, assessed });
    }
    assessed.changes.iter().try_for_each(|change| output::say(change.diff.trim_end()))?;
    if !assessed.findings.is_empty() {
        output::say(&format!("\nMust be mended before it can be published:\n{}", assessed.findings.join("\n")))?;
    }
    for audience in &assessed.audiences {
        let number = |count: i64| grouped(count.unsigned_abs());
        output::say(&format!(
            "\n{}: {} of {} members are in its audience.",
            audience.campaign,
            number(audience.members),
            number(audience.of)
        ))?;
    }
    if !assessed.outlook.is_empty() {
        output::say(&format!("\nMessages in the next {DAYS} days:\n"))?;
        let cells: Vec<Vec<String>> = assessed
            .outlook
            .iter()
            .map(|row| vec![row.campaign.clone(), grouped(row.now), grouped(row.then)])
            .collect();
        output::table(&["campaign", "as it is", "as proposed"], &cells)?;
    } else if assessed.findings.is_empty() {
        output::say(&format!("\nAs many messages as now in the next {DAYS} days."))?;
    }
    output::say(&format!("\nProposal {number}; `rekindle campaigns publish {number}` makes it what counts."))
}

fn made_version(session: &Session, made: &Version, what: &str) -> Result {
    if session.format != Format::Table {
        return output::json(&serde_json::json!({ "version": made.number, "changed": made.changed }));
    }
    if !made.changed {
        return output::say(&format!("Nothing changed in version {}.", made.number));
    }
    output::say(&format!("Version {} {what}. `rekindle campaigns pull` brings it into the folder.", made.number))
}
