//! Which configurations were the store's, and what is proposed to be the next one.

use serde::Serialize;

use super::{Result, Tx, configuration, execute, query, statements};
use crate::domain::Instant;

statements! {
    HOLD = "SELECT value FROM controls WHERE name = 'configuration' {lock}";
    ADD = "INSERT INTO versions (version, hash, author, origin, message, made_at) \
        SELECT COALESCE(MAX(version), 0) + 1, $1, $2, $3, $4, $5 FROM versions RETURNING version";
    VERSIONS = "SELECT version, hash, author, origin, message, made_at FROM versions ORDER BY version DESC LIMIT $1";
    VERSION = "SELECT version, hash, author, origin, message, made_at FROM versions WHERE version = $1";
    PROPOSE = "INSERT INTO proposals (proposal, base, changes, author, message, made_at) \
        SELECT COALESCE(MAX(proposal), 0) + 1, $1, $2, $3, $4, $5 FROM proposals RETURNING proposal";
    PROPOSALS = "SELECT proposal, base, changes, author, message, made_at, ended_at, published FROM proposals \
        WHERE ended_at IS NULL OR $1 ORDER BY proposal DESC LIMIT $2";
    PROPOSAL = "SELECT proposal, base, changes, author, message, made_at, ended_at, published FROM proposals WHERE proposal = $1";
    END = "UPDATE proposals SET ended_at = $2, published = $3 WHERE proposal = $1 AND ended_at IS NULL";
}

/// One of the store's configurations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Version {
    /// 1 for the first one; its parent is the one before it.
    pub version: i64,
    /// Of its files.
    pub hash: String,
    pub author: String,
    pub origin: String,
    pub message: String,
    /// Epoch milliseconds.
    pub made_at: i64,
}

/// Who makes a version, by what, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    pub author: String,
    pub origin: Origin,
    pub message: String,
}

/// What makes a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The folder's files, merged into the store's.
    Files,
    /// This proposal was published.
    Proposal(i64),
    /// An earlier version came back.
    Revert,
    /// A command changed a file, such as `campaigns end`.
    Command,
}

impl Origin {
    /// As it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Proposal(_) => "proposal",
            Self::Revert => "revert",
            Self::Command => "command",
        }
    }
}

/// Changes of files that somebody may publish.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Proposal {
    pub proposal: i64,
    /// The version that was changed.
    pub base: i64,
    /// JSON: the text of each changed file by its path; null where it goes away.
    pub changes: String,
    pub author: String,
    pub message: String,
    /// Epoch milliseconds.
    pub made_at: i64,
    pub ended_at: Option<i64>,
    /// The version that it made.
    pub published: Option<i64>,
}

/// Holds the store's configuration until the transaction ends: nobody else makes a version meanwhile.
pub async fn hold(tx: &mut Tx) -> Result<()> {
    query!(fetch_all, (String,), tx, HOLD)?;
    Ok(())
}

/// Says that a configuration, which is stored, is the store's from now on. Gives its version.
pub async fn add(tx: &mut Tx, hash: &str, made: &Made, now: Instant) -> Result<i64> {
    let Made { author, origin, message } = made;
    let (version,): (i64,) =
        query!(fetch_one, (i64,), tx, ADD, hash, author, origin.as_str(), message, now.timestamp_millis())?;
    Ok(version)
}

/// The last ones, the newest first.
pub async fn list(tx: &mut Tx, limit: i64) -> Result<Vec<Version>> {
    Ok(query!(fetch_all, Version, tx, VERSIONS, limit)?)
}

/// One of them, if there is one of that number.
pub async fn version(tx: &mut Tx, version: i64) -> Result<Option<Version>> {
    Ok(query!(fetch_optional, Version, tx, VERSION, version)?)
}

/// The number of the current one; 0 where nothing was applied yet.
pub async fn current(tx: &mut Tx) -> Result<i64> {
    Ok(list(tx, 1).await?.first().map_or(0, |version| version.version))
}

/// The hash of the files that were applied last, as they were in their folder.
pub async fn folder(tx: &mut Tx) -> Result<Option<String>> {
    configuration::noted(tx, FOLDER).await
}

/// Notes what the folder holds, whose document is stored.
pub async fn note_folder(tx: &mut Tx, hash: &str) -> Result<()> {
    configuration::note(tx, FOLDER, hash).await
}

const FOLDER: &str = "folder";

/// The files that were changed both in the folder and in the store, by the last process that should have applied them
/// by itself.
pub async fn conflicts(tx: &mut Tx) -> Result<Vec<String>> {
    let noted = configuration::noted(tx, CONFLICTS).await?.unwrap_or_default();
    Ok(noted.lines().map(str::to_owned).collect())
}

/// Notes them.
pub async fn note_conflicts(tx: &mut Tx, paths: &[String]) -> Result<()> {
    configuration::note(tx, CONFLICTS, &paths.join("\n")).await
}

const CONFLICTS: &str = "conflicts";

/// Proposes changes of a version. Gives the proposal's number.
pub async fn propose(
    tx: &mut Tx,
    base: i64,
    changes: &str,
    (author, message): (&str, &str),
    now: Instant,
) -> Result<i64> {
    let at = now.timestamp_millis();
    let (proposal,): (i64,) = query!(fetch_one, (i64,), tx, PROPOSE, base, changes, author, message, at)?;
    Ok(proposal)
}

/// The last proposals, the newest first: those that are open, or all.
pub async fn proposals(tx: &mut Tx, all: bool, limit: i64) -> Result<Vec<Proposal>> {
    Ok(query!(fetch_all, Proposal, tx, PROPOSALS, all, limit)?)
}

/// One of them, if there is one of that number.
pub async fn proposal(tx: &mut Tx, proposal: i64) -> Result<Option<Proposal>> {
    Ok(query!(fetch_optional, Proposal, tx, PROPOSAL, proposal)?)
}

/// A proposal is over: it made this version, or was withdrawn. False where it was over before.
pub async fn end(tx: &mut Tx, proposal: i64, published: Option<i64>, now: Instant) -> Result<bool> {
    Ok(execute!(tx, END, proposal, now.timestamp_millis(), published)? > 0)
}
