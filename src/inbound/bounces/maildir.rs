//! A Maildir that bounces are delivered to. A mail in `new` is ingested, then moved to `cur` as seen:
//! killed in between, it is ingested again, which changes nothing.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::classify::LARGEST;
use super::ingest::ingest;
use crate::clock::Clock;
use crate::files;
use crate::store::{Store, StoreError};

/// Mails ingested before it is looked whether to stop.
const BATCH: usize = 100;

/// Why a Maildir could not be read further.
#[derive(Debug, thiserror::Error)]
pub enum MaildirError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot read the Maildir {folder}: {reason}")]
    Unreadable { folder: String, reason: String },
}

/// Ingests the mails that wait in `new`, the oldest first, at most a batch. Gives how many there were.
/// A mail that cannot be read stays where it is and is named.
pub async fn poll(folder: &Path, store: &Store, clock: &Clock) -> Result<usize, MaildirError> {
    let unreadable = |error: std::io::Error| MaildirError::Unreadable {
        folder: folder.display().to_string(),
        reason: error.to_string(),
    };
    let mut waiting: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder.join("new")).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            waiting.push(entry.path());
        }
    }
    // Names begin with the time of delivery.
    waiting.sort();
    let mut done = 0;
    for path in waiting.iter().take(BATCH) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut mail = Vec::new();
        let read = files::open(path).and_then(|file| file.take(LARGEST as u64).read_to_end(&mut mail));
        if let Err(error) = read {
            tracing::error!(%name, %error, "a mail of the Maildir cannot be read; it stays there");
            continue;
        }
        ingest(store, &mail, None, clock.now()).await?;
        let seen = folder.join("cur").join(format!("{name}:2,S"));
        // Another process may have been faster.
        if let Err(error) = std::fs::rename(path, &seen)
            && path.exists()
        {
            return Err(unreadable(error));
        }
        done += 1;
    }
    Ok(done)
}
