//! How much of a day's number of messages is taken, by all processes together, and which servers
//! rest at the moment, for `status`.

use serde::Serialize;

use super::{Result, Rows, Tx, execute, query, statements};

statements! {
    TAKE = "INSERT INTO paces (day, name, taken) SELECT $2, r.name, r.wanted FROM {rows $1: name TEXT, wanted BIGINT} \
        WHERE TRUE ON CONFLICT (day, name) DO UPDATE SET taken = paces.taken + excluded.taken RETURNING name, taken";
    FORGET_DAYS = "DELETE FROM paces WHERE day < $1";
    FORGET = "DELETE FROM resting WHERE process = $1 OR until_at < {now}";
    REMEMBER = "INSERT INTO resting (process, name, state, until_at, reply) \
        SELECT $2, r.name, r.state, {now} + r.left_ms, r.reply FROM {rows $1: name TEXT, state TEXT, left_ms BIGINT, reply TEXT} \
        WHERE TRUE";
    RESTING = "SELECT name, state, until_at, reply FROM resting WHERE until_at > {now} ORDER BY name, until_at";
}

/// How the name of a mailbox that rests begins. All others are servers and domains that mail goes to.
pub const MAILBOX: &str = "mailbox ";

/// Places of a day that somebody wants, or gives back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wanted {
    pub name: String,
    pub wanted: i64,
}

/// A server that rests, as a process reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    pub name: String,
    pub state: &'static str,
    /// Milliseconds.
    pub left_ms: i64,
    pub reply: String,
}

/// A server that rests in some process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Rests {
    pub name: String,
    pub state: String,
    /// By the database's clock, in epoch milliseconds.
    pub until_at: i64,
    pub reply: String,
}

/// Takes places of a day, counted from 1970 in UTC, or gives them back (a negative number). Gives for each name
/// how many are taken now; nobody else counts there until the transaction ends. Names must be in order, so that
/// two processes do not wait for each other.
pub async fn take(tx: &mut Tx, day: i64, wanted: &[Wanted]) -> Result<Vec<(String, i64)>> {
    execute!(tx, FORGET_DAYS, day - 7)?;
    Ok(query!(fetch_all, (String, i64), tx, TAKE, Rows(wanted), day)?)
}

/// Says which servers rest in a process, in place of what it said before.
pub async fn report(tx: &mut Tx, process: &str, rows: &[Report]) -> Result<()> {
    execute!(tx, FORGET, process)?;
    if !rows.is_empty() {
        execute!(tx, REMEMBER, Rows(rows), process)?;
    }
    Ok(())
}

/// The servers that rest now, in any process.
pub async fn resting(tx: &mut Tx) -> Result<Vec<Rests>> {
    Ok(query!(fetch_all, Rests, tx, RESTING)?)
}
