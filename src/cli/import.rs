//! `import members|purchases|suppressions FILE`.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::output::{self, Format, Progress, complain, counted, grouped};
use super::{CommandError, Result, Session};
use crate::app::App;
use crate::import::{self, Imported, Kind};

#[derive(Debug, Subcommand)]
pub(super) enum Import {
    /// Members: `external_id` and any of email, phone, title, first_name, last_name, birth_date,
    /// joined_at, locale, timezone, calendar, email_consent, sms_consent, tier, points, attributes.*.
    Members(File),
    /// Orders: `order_id,member_external_id,purchased_at,amount` and any of currency, status,
    /// delivered_at, items, coupon_code.
    Purchases(File),
    /// Addresses that must not be written to: `address` and any of purpose, reason.
    Suppressions(File),
    /// What was said about consent, with when, where and by what words: `external_id`, `channel`, `given`, `at`, `source`,
    /// and if you like `evidence`.
    Consents(File),
}

#[derive(Debug, clap::Args)]
pub(super) struct File {
    /// A CSV file whose first line names the columns.
    file: PathBuf,
    /// Where bad rows go, with line and reason [default: beside FILE, as NAME.rejects.csv].
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
}

impl Import {
    pub(super) async fn execute(self, session: &Session) -> Result {
        let (kind, what, File { file, rejects }) = match self {
            Self::Members(file) => (Kind::Members, "members", file),
            Self::Purchases(file) => (Kind::Purchases, "purchases", file),
            Self::Suppressions(file) => (Kind::Suppressions, "suppressions", file),
            Self::Consents(file) => (Kind::Consents, "consents", file),
        };
        let rejects = rejects.unwrap_or_else(|| file.with_extension("rejects.csv"));
        let app = session.open().await?;
        let done = import(&app, kind, what, &file, &rejects).await?;
        report(session.format, what, &done, &rejects)
    }
}

/// Says what an import did; an error where rows were rejected.
pub(super) fn report(format: Format, what: &str, done: &Imported, rejects: &Path) -> Result {
    match format {
        Format::Table => output::say(&format!(
            "{} {what}: {} new, {} changed, {} as they were, {} rejected.",
            grouped(done.rows),
            grouped(done.inserted),
            grouped(done.updated),
            grouped(done.unchanged),
            grouped(done.rejected)
        ))
        .and_then(|()| remarks(done))?,
        Format::Json | Format::Csv => output::json(done)?,
    }
    if done.rejected > 0 {
        complain(&format!("The rejected rows and their reasons are in {}.", rejects.display()));
        return Err(CommandError::Silent);
    }
    Ok(())
}

/// What is not said by the counts of rows.
fn remarks(done: &Imported) -> Result {
    if done.repeated > 0 {
        let rows = counted(done.repeated as usize, "row");
        output::say(&format!("{rows} repeated the id of a row before; the later one counts."))?;
    }
    if done.erased > 0 {
        let rows = counted(done.erased as usize, "row");
        output::say(&format!("{rows} named somebody who was erased; nothing of them is stored."))?;
    }
    if done.withdrawn > 0 {
        let consents = counted(done.withdrawn as usize, "consent");
        output::say(&format!("{consents} ended by the \"no\" of a rejected row."))?;
    }
    Ok(())
}

/// Imports a file, with progress.
pub(super) async fn import(app: &App, kind: Kind<'_>, what: &str, file: &Path, rejects: &Path) -> Result<Imported> {
    let size = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
    let mut progress = Progress::new(&format!("importing {what}"), size);
    let import = import::Import {
        store: &app.store,
        brand: &app.settings.brand,
        clock: &app.clock,
        file,
        rejects: rejects.to_owned(),
        stop: &app.stop,
    };
    let done = import.run(kind, &mut |bytes| progress.at(bytes)).await;
    progress.finish();
    Ok(done?)
}
