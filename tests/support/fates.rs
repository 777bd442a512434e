//! What the evaluator expects of each message, beside what the ledger says.

use chrono::DateTime;
use rekindle::store::messages::Listed;
use rekindle::views::plan::Planned;

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

/// Member, campaign, step, due instant and arm of each message that came to the question of it.
pub type InArm = (String, String, String, i64, String);

/// Which messages are in which arm.
pub fn expected_arms(expected: &[Expected]) -> Vec<InArm> {
    let line = |message: &Expected| {
        let Expected { member, campaign, step, due_at, arm, .. } = message.clone();
        Some((member, campaign, step, due_at, arm?))
    };
    sorted(expected.iter().filter_map(line).collect())
}

/// The same from the ledger.
pub fn arms(ledger: &[Listed]) -> Vec<InArm> {
    let line = |row: Listed| Some((row.member, row.campaign, row.step, row.due_at, row.arm?));
    sorted(ledger.iter().cloned().filter_map(line).collect())
}

/// The same from a plan.
pub fn planned_arms(plan: &[Planned]) -> Vec<InArm> {
    let line = |planned: Planned| {
        let due_at = planned.due_at.timestamp_millis();
        Some((planned.member, planned.campaign, planned.step, due_at, planned.arm?))
    };
    sorted(plan.iter().cloned().filter_map(line).collect())
}

/// A message that was sent, and when.
pub type Moment = (Sent, i64);

/// The messages that are sent, and when.
pub fn expected_moments(expected: &[Expected]) -> Vec<Moment> {
    let moment = |message: &Expected| match message.fate {
        Fate::Sent { at, .. } => Some((message.clone().sent()?, at)),
        _ => None,
    };
    sorted(expected.iter().filter_map(moment).collect())
}

/// The same from the ledger.
pub fn moments(ledger: &[Listed]) -> Vec<Moment> {
    let sent = ledger.iter().filter(|row| row.state == "sent").cloned();
    let moment =
        |row: Listed| ((row.member, row.campaign, row.step, row.channel.unwrap(), row.due_at), row.sent_at.unwrap());
    sorted(sent.map(moment).collect())
}

/// The same from a plan.
pub fn planned_moments(plan: Vec<Planned>) -> Vec<Moment> {
    let moment = |planned: Planned| {
        let channel = planned.channel?.to_string();
        let due_at = planned.due_at.timestamp_millis();
        let sent = (planned.member, planned.campaign, planned.step, channel, due_at);
        Some((sent, planned.next_at.timestamp_millis()))
    };
    sorted(plan.into_iter().filter_map(moment).collect())
}

/// The fates from the ledger, of what fell due by the end of the passes: a backfill also writes down
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
