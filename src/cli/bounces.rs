//! `bounces classify` and `bounces ingest`.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use super::output::{self, Format};
use super::{CommandError, Result, Session};
use crate::inbound::bounces::classify::{Heard, Kind, LARGEST, classify};
use crate::inbound::bounces::ingest::ingest;
use crate::inbound::bounces::{mailbox, mbox};

#[derive(Debug, Subcommand)]
pub(super) enum Bounces {
    /// Say what mails are: bounces, complaints, automatic replies. Reads no settings, changes nothing.
    Classify(Classify),
    /// Take one mail in and act on it, for a mail server's pipe; or all that wait in the mailbox of the
    /// settings. Exit code 75 asks to try again.
    Ingest(Ingest),
}

#[derive(Debug, clap::Args)]
pub(super) struct Ingest {
    /// The mail [default: stdin].
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// To whom it was sent, where the mail server tells it (`${recipient}` of Postfix).
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<String>,
    /// Take what waits in the mailbox of the settings (`bounces.imap`), and say what it was.
    #[arg(long, conflicts_with_all = ["file", "recipient"])]
    imap: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Classify {
    /// Mails: files, mbox files, folders of them (a Maildir, too), or - for stdin.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Bounces {
    pub(super) async fn execute(self, session: &Session) -> Result {
        match self {
            Self::Classify(command) => command.execute(session),
            // Whatever is wrong here, the mail must not be lost: what is taken a second time changes nothing.
            Self::Ingest(command) => {
                let done = session.stop.or(command.execute(session)).await;
                done.map_err(|error| CommandError::TryAgain(error.to_string()))
            }
        }
    }
}

impl Ingest {
    async fn execute(self, session: &Session) -> Result {
        if self.imap {
            return work_off_mailbox(session).await;
        }
        let file = self.file.clone();
        let mail = tokio::task::spawn_blocking(move || match &file {
            Some(path) => std::fs::File::open(path).and_then(whole),
            None => whole(std::io::stdin().lock()),
        });
        let mail = mail.await.map_err(std::io::Error::other).flatten();
        let mail = mail.map_err(|error| CommandError::Other(format!("cannot read the mail: {error}")))?;
        let app = session.open().await?;
        let done = ingest(&app.store, &mail, self.recipient.as_deref(), app.clock.now()).await?;
        // A pipe's output is for nobody, so people ask for it.
        if session.format == Format::Table {
            return Ok(());
        }
        let columns = ["kind", "status", "message", "is_new", "suppressed"];
        output::rows(session.format, &done, &columns, |row| {
            vec![
                row.kind.to_string(),
                row.status.clone().unwrap_or_default(),
                row.message.map(|id| id.to_string()).unwrap_or_default(),
                row.is_new.to_string(),
                row.suppressed.to_string(),
            ]
        })
    }
}

/// What was taken from a mailbox.
#[derive(Debug, Serialize)]
struct Taken {
    mails: usize,
    kinds: Vec<OfKind>,
}

#[derive(Debug, Serialize)]
struct OfKind {
    kind: Kind,
    #[serde(flatten)]
    heard: mailbox::Heard,
}

async fn work_off_mailbox(session: &Session) -> Result {
    let app = session.open().await?;
    let Some(settings) = &app.settings.bounces.imap else {
        let file = app.settings.file.display();
        return Err(CommandError::Other(format!("{file} names no mailbox; write bounces: {{ imap: {{ host: … }} }}")));
    };
    let worked = mailbox::work_off(settings, &app.store, &app.clock).await;
    let worked = worked.map_err(|error| CommandError::Other(error.to_string()))?;
    let kinds = worked.heard.into_iter().map(|(kind, heard)| OfKind { kind, heard }).collect();
    let taken = Taken { mails: worked.mails, kinds };
    match session.format {
        Format::Json => return output::json(&taken),
        Format::Table => output::say(&output::counted(taken.mails, "mail"))?,
        Format::Csv => {}
    }
    if taken.mails == 0 {
        return Ok(());
    }
    let columns = ["kind", "recipients", "new", "suppressed"];
    output::rows(session.format, &taken.kinds, &columns, |OfKind { kind, heard }| {
        let numbers = [heard.recipients, heard.new, heard.suppressed];
        std::iter::once(kind.to_string()).chain(numbers.map(|number| number.to_string())).collect()
    })
}

/// As much of a mail as is looked at. The rest is read, too: a mail server whose pipe breaks brings
/// the mail again, for ever.
fn whole(mut from: impl Read) -> std::io::Result<Vec<u8>> {
    let mut mail = Vec::new();
    from.by_ref().take(LARGEST as u64).read_to_end(&mut mail)?;
    std::io::copy(&mut from, &mut std::io::sink())?;
    Ok(mail)
}

/// What a file says about one recipient.
#[derive(Debug, Serialize)]
struct Row {
    /// The file as it was named; of the mails of an mbox, `#` and the number after it.
    file: String,
    #[serde(flatten)]
    heard: Heard,
}

impl Classify {
    fn execute(&self, session: &Session) -> Result {
        let mut rows = Vec::new();
        for path in &self.files {
            if path.as_os_str() == "-" {
                rows.extend(rows_of("-", &bounded(std::io::stdin().lock())?));
                continue;
            }
            for file in files_of(path)? {
                let name = file.display().to_string();
                let read = std::fs::File::open(&file).and_then(bounded);
                let mail = read.map_err(|error| CommandError::Other(format!("cannot read {name}: {error}")))?;
                rows.extend(rows_of(&name, &mail));
            }
        }
        let columns = ["file", "kind", "status", "recipient", "message_id", "action"];
        output::rows(session.format, &rows, &columns, |Row { file, heard }| {
            let text = |value: &Option<String>| value.clone().unwrap_or_default();
            vec![
                file.clone(),
                heard.kind.to_string(),
                text(&heard.status),
                text(&heard.recipient),
                text(&heard.message_id),
                heard.action.to_string(),
            ]
        })
    }
}

fn rows_of(name: &str, file: &[u8]) -> Vec<Row> {
    let mails = mbox::mails(file);
    let several = mails.len() > 1;
    let mut rows = Vec::new();
    for (index, mail) in mails.into_iter().enumerate() {
        let file = if several { format!("{name}#{}", index + 1) } else { name.to_owned() };
        rows.extend(classify(mail).into_iter().map(|heard| Row { file: file.clone(), heard }));
    }
    rows
}

/// An mbox may hold many mails; of a single one no more is looked at than [`LARGEST`].
fn bounded(from: impl Read) -> std::io::Result<Vec<u8>> {
    let mut mail = Vec::new();
    from.take(64 * LARGEST as u64).read_to_end(&mut mail)?;
    Ok(mail)
}

/// A file itself; of a folder all files in it, in order, without hidden ones.
fn files_of(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = |error: std::io::Error| CommandError::Other(format!("cannot read {}: {error}", path.display()));
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        // A link to a folder may lead in a circle.
        let is_file = entry.path().is_file();
        let is_folder = entry.file_type().map_err(unreadable)?.is_dir();
        if (is_file || is_folder) && !entry.file_name().to_string_lossy().starts_with('.') {
            entries.push(entry.path());
        }
    }
    entries.sort();
    let mut files = Vec::new();
    for entry in entries {
        files.extend(files_of(&entry)?);
    }
    Ok(files)
}
