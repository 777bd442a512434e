//! What the evaluator expects of each message, beside what the ledger says.

use chrono::DateTime;
use rekindle::store::messages::Listed;

use super::naive::{Expected, Fate, Pass};
use super::shop::{Sent, Shop, sorted};

/// Has Rekindle do what happens in a pass.
pub async fn work(shop: &Shop, pass: Pass) {
    let text = |millis: i64| DateTime::from_timestamp_millis(millis).unwrap().to_rfc3339();
    match pass {
        Pass::Between(from, to) => drop(shop.once_between(&text(from), &text(to)).await),
        Pass::At(now) => drop(shop.once(&text(now)).await),
    }
}

/// Member, campaign, step, the channel or why it was not sent, and due instant of each message.
pub fn expected_fates(expected: &[Expected]) -> Vec<Sent> {
    let line = |message: Expected| {
        let fate = match message.fate {
            Fate::Sent { channel, .. } => channel,
            Fate::Ended(reason) => reason.to_owned(),
            Fate::Waiting => "planned".to_owned(),
        };
        (message.member, message.campaign, message.step, fate, message.due_at)
    };
    sorted(expected.iter().cloned().map(line).collect())
}

/// The same from the ledger, of what fell due by the end of the passes: a backfill also writes down
/// what is due later.
pub fn fates(ledger: &[Listed], passes: &[Pass]) -> Vec<Sent> {
    let ends = passes.iter().map(|pass| match *pass {
        Pass::Between(_, to) => to - 1,
        Pass::At(now) => now,
    });
    let end = ends.max().unwrap();
    let line = |row: &Listed| {
        let fate = match row.state.as_str() {
            "sent" => row.channel.clone().unwrap(),
            state => row.reason.clone().unwrap_or_else(|| state.to_owned()),
        };
        (row.member.clone(), row.campaign.clone(), row.step.clone(), fate, row.due_at)
    };
    sorted(ledger.iter().filter(|row| row.due_at <= end).map(line).collect())
}
