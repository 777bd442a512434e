//! `status`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::output::{self, Format, grouped};
use super::{Result, Session, rfc3339};
use crate::app::alerts::pools_in_use;
use crate::domain::instant;
use crate::domain::message::Channel;
use crate::store::{configuration, events, gifts, members, messages, paces, purchases, replies, suppressions};

/// Uncertain attempts that are shown.
const SHOWN: i64 = 10;

/// How far back what was heard is counted.
const HEARD: chrono::Duration = chrono::Duration::hours(24);

#[derive(Serialize)]
struct Status {
    members: i64,
    purchases: i64,
    latest_purchase_at: Option<String>,
    suppressions: i64,
    paused: bool,
    paused_because: Option<String>,
    /// Messages by state.
    messages: BTreeMap<String, i64>,
    /// Why messages were not sent, by reason.
    reasons: BTreeMap<String, i64>,
    /// What was heard back in the last 24 hours, by kind: `delivered`, `bounced`, `clicked` …
    heard: BTreeMap<String, i64>,
    /// Sent messages by campaign and channel.
    sent: Vec<Sent>,
    /// Campaigns above what a day may bring, waiting for `campaigns approve`.
    waiting_for_approval: Vec<String>,
    /// Why, in the same order.
    held_because: Vec<String>,
    /// What members wrote and nobody has read; of these, what is nearly an opt-out.
    unread_replies: i64,
    unread_urgent_replies: i64,
    queue: Vec<Queue>,
    /// Pools of codes that are empty or will be within a week, of those on which live campaigns draw.
    low_pools: Vec<gifts::Pool>,
    /// Servers and recipients' domains to which nothing goes at the moment, in any process, and mailboxes
    /// from which no bounces come.
    resting: Vec<Resting>,
    /// Attempts whose answer was lost, ever.
    uncertain_attempts: i64,
    latest_uncertain: Vec<Uncertain>,
}

#[derive(Serialize)]
struct Sent {
    campaign: String,
    channel: String,
    messages: i64,
}

#[derive(Serialize)]
struct Queue {
    channel: &'static str,
    waiting: Option<u64>,
    problem: Option<String>,
}

#[derive(Serialize)]
struct Resting {
    name: String,
    state: String,
    until: String,
    reply: String,
}

#[derive(Serialize)]
struct Uncertain {
    message: String,
    campaign: String,
    channel: String,
    started_at: String,
}

pub(super) async fn execute(session: &Session) -> Result {
    let app = session.open().await?;
    // What cannot be used any more draws on nothing.
    let pools = app.catalog().await.map(|catalog| pools_in_use(&catalog)).unwrap_or_default();
    let mut tx = app.store.read().await?;
    let (orders, latest) = purchases::summary(&mut tx).await?;
    let states = configuration::states(&mut tx).await?;
    let (uncertain_attempts, latest_uncertain) = messages::uncertain(&mut tx, SHOWN).await?;
    let unread = replies::unread(&mut tx, app.clock.now()).await?;
    let paused_because = configuration::paused_because(&mut tx).await?;
    let mut held: Vec<_> = states.into_iter().filter(|(_, state)| state.held).collect();
    held.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut status = Status {
        members: members::count(&mut tx).await?,
        purchases: orders,
        latest_purchase_at: latest.map(|at| rfc3339(instant(at))),
        suppressions: suppressions::count(&mut tx).await?,
        paused: paused_because.is_some(),
        paused_because,
        messages: BTreeMap::new(),
        reasons: BTreeMap::new(),
        heard: events::counts(&mut tx, (app.clock.now() - HEARD).timestamp_millis()).await?.into_iter().collect(),
        sent: Vec::new(),
        waiting_for_approval: held.iter().map(|(name, _)| name.clone()).collect(),
        held_because: held.iter().map(|(_, state)| state.held_because()).collect(),
        unread_replies: unread.all,
        unread_urgent_replies: unread.urgent,
        queue: Vec::new(),
        low_pools: gifts::pools(&mut tx, pools, app.clock.now())
            .await?
            .into_iter()
            .filter(gifts::Pool::is_low)
            .collect(),
        resting: paces::resting(&mut tx)
            .await?
            .into_iter()
            .map(|rests| Resting {
                name: rests.name,
                state: rests.state,
                until: rfc3339(instant(rests.until_at)),
                reply: rests.reply,
            })
            .collect(),
        uncertain_attempts,
        latest_uncertain: latest_uncertain
            .into_iter()
            .map(|attempt| Uncertain {
                message: attempt.message.to_string(),
                campaign: attempt.campaign,
                channel: attempt.channel,
                started_at: rfc3339(instant(attempt.started_at)),
            })
            .collect(),
    };
    for messages::Count { campaign, channel, state, reason, messages } in messages::counts(&mut tx).await? {
        *status.messages.entry(state.clone()).or_default() += messages;
        if !reason.is_empty() {
            *status.reasons.entry(reason).or_default() += messages;
        }
        if state == "sent" {
            status.sent.push(Sent { campaign, channel, messages });
        }
    }
    tx.commit().await?;
    match app.queue().await {
        Ok(queue) => {
            for channel in Channel::ALL {
                let depth = queue.depth(*channel).await;
                status.queue.push(Queue {
                    channel: channel.as_str(),
                    problem: depth.as_ref().err().map(ToString::to_string),
                    waiting: depth.ok(),
                });
            }
            queue.close().await;
        }
        Err(error) => {
            status.queue.push(Queue { channel: "email, sms", waiting: None, problem: Some(error.to_string()) });
        }
    }
    match session.format {
        Format::Json | Format::Csv => output::json(&status),
        Format::Table => show(&status),
    }
}

fn show(status: &Status) -> Result {
    let number = |count: i64| grouped(count.unsigned_abs());
    let pairs = |map: &BTreeMap<String, i64>| -> String {
        if map.is_empty() {
            return "none".to_owned();
        }
        map.iter().map(|(name, count)| format!("{name} {}", number(*count))).collect::<Vec<_>>().join(", ")
    };
    if let Some(because) = &status.paused_because {
        output::say(&format!("EVERYTHING IS PAUSED, {because} (`rekindle campaigns resume --all` ends it)\n"))?;
    }
    for (campaign, because) in status.waiting_for_approval.iter().zip(&status.held_because) {
        output::say(&format!("{campaign} IS HELD, {because}: `rekindle campaigns approve {campaign}` lets it go\n"))?;
    }
    if status.unread_replies > 0 {
        let urgent = match status.unread_urgent_replies {
            0 => String::new(),
            urgent => format!(", {} NEARLY AN OPT-OUT", number(urgent)),
        };
        output::say(&format!(
            "{} REPLIES TO READ{urgent}: `rekindle replies` lists them\n",
            number(status.unread_replies)
        ))?;
    }
    let latest = status.latest_purchase_at.as_ref().map_or(String::new(), |at| format!(" (the latest at {at})"));
    output::say(&format!("members       {}", number(status.members)))?;
    output::say(&format!("purchases     {}{latest}", number(status.purchases)))?;
    output::say(&format!("suppressions  {}", number(status.suppressions)))?;
    output::say(&format!("messages      {}", pairs(&status.messages)))?;
    output::say(&format!("not sent      {}", pairs(&status.reasons)))?;
    output::say(&format!("heard in 24h  {}", pairs(&status.heard)))?;
    for queue in &status.queue {
        let what = match (&queue.problem, queue.waiting) {
            (Some(problem), _) => problem.clone(),
            (None, waiting) => format!("{} waiting", grouped(waiting.unwrap_or(0))),
        };
        output::say(&format!("queue {:7} {what}", queue.channel))?;
    }
    for pool in &status.low_pools {
        let (left, used) = (number(pool.left), number(pool.last_seven_days));
        output::say(&format!("codes         {} IS LOW: {left} left, {used} given in the last 7 days", pool.pool))?;
    }
    for rests in &status.resting {
        let until = match rests.state.as_str() {
            "open" => format!("rests until {}", rests.until),
            _ => "is being tried again".to_owned(),
        };
        let what = if rests.name.starts_with(paces::MAILBOX) { "bounces" } else { "sender" };
        output::say(&format!("{what:13} {} {until}: {}", rests.name, output::one_line(&rests.reply)))?;
    }
    output::say(&format!("uncertain     {} attempts, ever", number(status.uncertain_attempts)))?;
    for uncertain in &status.latest_uncertain {
        output::say(&format!(
            "  {} {} {} {}",
            uncertain.started_at, uncertain.channel, uncertain.campaign, uncertain.message
        ))?;
    }
    if !status.sent.is_empty() {
        output::say("")?;
        let rows: Vec<Vec<String>> = status
            .sent
            .iter()
            .map(|sent| vec![sent.campaign.clone(), sent.channel.clone(), number(sent.messages)])
            .collect();
        output::table(&["campaign", "channel", "sent"], &rows)?;
    }
    Ok(())
}
