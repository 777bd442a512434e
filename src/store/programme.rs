//! What messages of a time came to, from the counts of their days, and of the stretches that are closed.

use std::collections::HashMap;

use super::stretches::{self, Closed, Item};
use super::{Result, Tx, query, statements};
use crate::domain::message::Channel;

statements! {
    // Of one campaign: with several and their days in a table, planners take the counts of all days for less.
    COUNTS = "SELECT CASE $4 WHEN 'campaign' THEN d.campaign WHEN 'step' THEN d.step WHEN 'arm' THEN d.arm \
        WHEN 'channel' THEN d.channel WHEN 'locale' THEN d.locale WHEN 'domain' THEN d.domain \
        WHEN 'day' THEN CAST(d.day AS TEXT) ELSE '' END AS part, d.fact, d.reason, \
        CAST(SUM(d.n) AS BIGINT) AS n, CAST(SUM(d.amount) AS BIGINT) AS amount, COUNT(*) AS counts \
        FROM daily d WHERE d.campaign = $1 AND d.day >= $2 AND d.day < $3 \
        AND (CAST($5 AS TEXT) IS NULL OR d.channel = $5) GROUP BY 1, 2, 3";
}

/// How many messages of a part came to a fact.
#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Counted {
    pub part: String,
    pub fact: String,
    pub reason: String,
    pub n: i64,
    pub amount: i64,
    /// Counts that were read for it.
    pub counts: i64,
}

/// Days of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range<'a> {
    campaign: &'a str,
    from: i64,
    to: i64,
}

/// The counts of campaigns from a day up to another (since 1970, on the brand's clock), put together by `campaign`,
/// `step`, `arm`, `channel`, `locale`, `domain` or `day`, all in one by anything else; of one channel, or of all. With
/// `stretches` a day may stand for all days of its stretch.
pub async fn counts(
    tx: &mut Tx,
    campaigns: &[String],
    (from, to): (i64, i64),
    (by, stretches): (&str, bool),
    channel: Option<Channel>,
) -> Result<Vec<Counted>> {
    let closed = if stretches { stretches::read(tx, campaigns, (from, to)).await? } else { Vec::new() };
    let channel = channel.map(Channel::as_str);
    let mut counts = Vec::new();
    for Range { campaign, from, to } in between(campaigns, &closed, (from, to)) {
        counts.extend(query!(fetch_all, Counted, tx, COUNTS, campaign, from, to, by, channel)?);
    }
    let mut sums: HashMap<[String; 3], Counted> = HashMap::new();
    let mut key = [const { String::new() }; 3];
    for closed in &closed {
        for Item(step, arm, on, locale, domain, fact, reason, n, amount) in closed.items()? {
            if channel.is_some_and(|channel| channel != on) {
                continue;
            }
            let day;
            let part = match by {
                "campaign" => closed.campaign.as_str(),
                "step" => &step,
                "arm" => &arm,
                "channel" => &on,
                "locale" => &locale,
                "domain" => &domain,
                "day" => {
                    day = closed.day.to_string();
                    &day
                }
                _ => "",
            };
            for (own, text) in key.iter_mut().zip([part, &fact, &reason]) {
                own.clear();
                own.push_str(text);
            }
            // Most are there already: only a new one takes the texts.
            let sum = match sums.get_mut(&key) {
                Some(sum) => sum,
                None => sums.entry(key.clone()).or_default(),
            };
            sum.n += n;
            sum.amount += amount;
            sum.counts += 1;
        }
    }
    counts.extend(sums.into_iter().map(|([part, fact, reason], sum)| Counted { part, fact, reason, ..sum }));
    Ok(counts)
}

/// The days that no closed stretch has; these are in the order of their days.
fn between<'a>(campaigns: &'a [String], closed: &[Closed], (first, last): (i64, i64)) -> Vec<Range<'a>> {
    let mut ranges = Vec::new();
    for campaign in campaigns {
        let mut from = first;
        let mut until = |to: i64, next: i64| {
            if from < to {
                ranges.push(Range { campaign, from, to });
            }
            from = next;
        };
        for closed in closed.iter().filter(|closed| closed.campaign == *campaign) {
            until(closed.day, closed.next());
        }
        until(last, last);
    }
    ranges
}
