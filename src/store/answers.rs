//! Answers to words that members sent: the confirmation of an opt-out, help. Each is sent at most once:
//! that it goes out is committed before it does.

use serde::Serialize;
use uuid::Uuid;

use super::{Result, Rows, Tx, execute, query, statements};

statements! {
    INSERT = "INSERT INTO answers (key, id, address, purpose, text, created_at) \
        SELECT r.key, r.id, r.address, r.purpose, r.text, r.created_at \
        FROM {rows $1: key TEXT, id UUID, address TEXT, purpose TEXT, text TEXT, created_at BIGINT} WHERE TRUE \
        ON CONFLICT (key) DO NOTHING";
    TAKE = "UPDATE answers SET taken_at = $1 WHERE key IN (SELECT p.key FROM answers p WHERE p.taken_at IS NULL \
        AND p.created_at > $2 ORDER BY p.created_at LIMIT 20 {skip_locked p}) \
        RETURNING key, id, address, purpose, text, created_at, only_by";
    GIVE_BACK = "UPDATE answers SET taken_at = NULL, only_by = COALESCE($2, only_by) WHERE key = $1";
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Answer {
    /// What it answers: there is one answer to it.
    pub key: String,
    /// Under which the provider knows it.
    pub id: Uuid,
    /// A number in E.164.
    pub address: String,
    /// Of the line that the word came to.
    pub purpose: String,
    pub text: String,
    pub created_at: i64,
    /// Who may have it already, and takes it only once: nobody else is given it.
    pub only_by: Option<String>,
}

/// Adds answers; those whose question was answered are left alone.
pub async fn insert(tx: &mut Tx, rows: &[Answer]) -> Result<()> {
    execute!(tx, INSERT, Rows(rows))?;
    Ok(())
}

/// Takes some that nobody has taken and that are younger than `after`. What is taken counts as sent.
pub async fn take(tx: &mut Tx, now: i64, after: i64) -> Result<Vec<Answer>> {
    Ok(query!(fetch_all, Answer, tx, TAKE, now, after)?)
}

/// One that surely did not go out may be taken again; one that `only_by` may have, by this provider alone.
pub async fn give_back(tx: &mut Tx, key: &str, only_by: Option<&str>) -> Result<()> {
    execute!(tx, GIVE_BACK, key, only_by)?;
    Ok(())
}
