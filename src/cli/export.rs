//! `export suppressions|objections|consents`.

use clap::Subcommand;
use serde::Serialize;

use super::output::{self, Format};
use super::{Result, Session, rfc3339};
use crate::domain::instant;
use crate::store::{StoreError, Tx, consents, objections, suppressions};

/// Rows read at a time.
const PAGE: i64 = 5_000;

#[derive(Debug, Clone, Copy, Subcommand)]
pub(super) enum Export {
    /// Addresses that must not be written to, and why; `import suppressions` reads it.
    Suppressions,
    /// Members who said no, to what, and when.
    Objections,
    /// What was said about consent, line by line; `import consents` reads it.
    Consents,
}

#[derive(Serialize)]
struct Suppression {
    address: String,
    purpose: String,
    reason: String,
    at: String,
}

#[derive(Serialize)]
struct Objection {
    external_id: String,
    channel: String,
    purpose: String,
    reason: String,
    at: String,
}

#[derive(Serialize)]
struct Consent {
    external_id: String,
    channel: String,
    given: bool,
    at: String,
    source: String,
    evidence: Option<String>,
}

impl Export {
    pub(super) async fn execute(self, session: &Session) -> Result {
        let app = session.open().await?;
        let mut tx = app.store.read().await?;
        match self {
            Self::Suppressions => export_suppressions(&mut tx, session.format).await?,
            Self::Objections => export_objections(&mut tx, session.format).await?,
            Self::Consents => export_consents(&mut tx, session.format).await?,
        }
        tx.commit().await?;
        Ok(())
    }
}

async fn export_suppressions(tx: &mut Tx, format: Format) -> Result {
    let found = all(async |last| suppressions::list(tx, last, PAGE).await).await?;
    let row = |row: suppressions::Listed| Suppression {
        address: row.address,
        purpose: row.purpose,
        reason: row.reason,
        at: at(row.created_at),
    };
    let rows: Vec<Suppression> = found.into_iter().map(row).collect();
    output::rows(format, &rows, &["address", "purpose", "reason", "at"], |row| {
        vec![row.address.clone(), row.purpose.clone(), row.reason.clone(), row.at.clone()]
    })
}

async fn export_objections(tx: &mut Tx, format: Format) -> Result {
    let found = all(async |last| objections::list(tx, last, PAGE).await).await?;
    let row = |row: objections::Listed| Objection {
        external_id: row.external_id,
        channel: row.channel,
        purpose: row.purpose,
        reason: row.reason,
        at: at(row.made_at),
    };
    let rows: Vec<Objection> = found.into_iter().map(row).collect();
    output::rows(format, &rows, &["external_id", "channel", "purpose", "reason", "at"], |row| {
        let cells = [&row.external_id, &row.channel, &row.purpose, &row.reason, &row.at];
        cells.map(Clone::clone).to_vec()
    })
}

async fn export_consents(tx: &mut Tx, format: Format) -> Result {
    let found = all(async |last| consents::list(tx, last, PAGE).await).await?;
    let row = |row: consents::Listed| Consent {
        external_id: row.external_id,
        channel: row.channel,
        given: row.given,
        at: at(row.at),
        source: row.source,
        evidence: row.evidence,
    };
    let rows: Vec<Consent> = found.into_iter().map(row).collect();
    output::rows(format, &rows, &["external_id", "channel", "given", "at", "source", "evidence"], |row| {
        let given = if row.given { "yes" } else { "no" }.to_owned();
        let evidence = row.evidence.clone().unwrap_or_default();
        vec![row.external_id.clone(), row.channel.clone(), given, row.at.clone(), row.source.clone(), evidence]
    })
}

/// A time of the store as it is written.
fn at(millis: i64) -> String {
    rfc3339(instant(millis))
}

/// Everything, page by page: `next` gives what follows a row.
async fn all<T>(mut next: impl AsyncFnMut(Option<&T>) -> std::result::Result<Vec<T>, StoreError>) -> Result<Vec<T>> {
    let mut found: Vec<T> = Vec::new();
    loop {
        let page = next(found.last()).await?;
        if page.is_empty() {
            return Ok(found);
        }
        found.extend(page);
    }
}
