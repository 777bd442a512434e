//! Leases: one holder of a name at a time, by the database's clock, with a token that grows.

use super::{Result, Tx, execute, query, statements};

statements! {
    ACQUIRE = "INSERT INTO leases (name, holder, token, expires_at) VALUES ($1, $2, 1, {now} + $3) \
        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at, \
        token = leases.token + CASE WHEN leases.holder = excluded.holder THEN 0 ELSE 1 END \
        WHERE leases.holder = excluded.holder OR leases.expires_at < {now} RETURNING token";
    RELEASE = "UPDATE leases SET expires_at = 0 WHERE name = $1 AND holder = $2";
}

/// Takes or renews a lease for `millis`; gives its token, or `None` while somebody else holds it.
pub async fn acquire(tx: &mut Tx, name: &str, holder: &str, millis: i64) -> Result<Option<i64>> {
    Ok(query!(fetch_optional, (i64,), tx, ACQUIRE, name, holder, millis)?.map(|(token,)| token))
}

/// A lease as it was taken. Under its token whoever lost it meanwhile is told from the holder of now.
#[derive(Debug, Clone)]
pub struct Lease {
    pub name: &'static str,
    pub holder: String,
    /// Grows with each new holder.
    pub token: i64,
    /// How long it holds from the last renewal on.
    pub millis: i64,
}

/// Renews a lease; false when somebody else has held it since it was taken. On PostgreSQL nobody can
/// take it before the transaction ends: what is written in it is written by the holder.
pub async fn keep(tx: &mut Tx, lease: &Lease) -> Result<bool> {
    Ok(acquire(tx, lease.name, &lease.holder, lease.millis).await? == Some(lease.token))
}

/// Gives a lease up, so that the next one need not wait.
pub async fn release(tx: &mut Tx, name: &str, holder: &str) -> Result<()> {
    execute!(tx, RELEASE, name, holder)?;
    Ok(())
}
