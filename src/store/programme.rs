//! What messages of a time came to, from the counts of their days.

use super::{Result, Texts, Tx, query, statements};
use crate::domain::message::Channel;

statements! {
    COUNTS = "SELECT CASE $4 WHEN 'campaign' THEN d.campaign WHEN 'step' THEN d.step WHEN 'arm' THEN d.arm \
        WHEN 'channel' THEN d.channel WHEN 'locale' THEN d.locale WHEN 'domain' THEN d.domain \
        WHEN 'day' THEN CAST(d.day AS TEXT) ELSE '' END AS part, d.fact, d.reason, \
        CAST(SUM(d.n) AS BIGINT) AS n, CAST(SUM(d.amount) AS BIGINT) AS amount, COUNT(*) AS counts \
        FROM daily d WHERE d.campaign {in $1} AND d.day >= $2 AND d.day < $3 AND (CAST($5 AS TEXT) IS NULL OR d.channel = $5) GROUP BY 1, 2, 3";
}

/// How many messages of a part came to a fact.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Counted {
    pub part: String,
    pub fact: String,
    pub reason: String,
    pub n: i64,
    pub amount: i64,
    /// Rows that were read for it.
    pub counts: i64,
}

/// The counts of campaigns from a day up to another (since 1970, on the brand's clock), put together by `campaign`,
/// `step`, `arm`, `channel`, `locale`, `domain` or `day`, all in one by anything else; of one channel, or of all.
pub async fn counts(
    tx: &mut Tx,
    campaigns: Vec<String>,
    (from, to): (i64, i64),
    by: &str,
    channel: Option<Channel>,
) -> Result<Vec<Counted>> {
    Ok(query!(fetch_all, Counted, tx, COUNTS, Texts(campaigns), from, to, by, channel.map(Channel::as_str))?)
}
