//! `status`.

use std::collections::BTreeMap;

use super::output::{self, Format, grouped};
use super::{Result, Session};
use crate::store::paces;
use crate::views::status::{self, Sent, Status};

pub(super) async fn execute(session: &Session) -> Result {
    let app = session.open().await?;
    // What cannot be used any more draws on nothing.
    let catalog = app.catalog().await.ok();
    let mut status = status::status(&app.store, catalog.as_deref(), app.clock.now()).await?;
    status.queue = match app.queue().await {
        Ok(queue) => {
            let depths = status::depths(&*queue).await;
            queue.close().await;
            depths
        }
        Err(error) => status::unreachable(error.to_string()),
    };
    match session.format {
        Format::Json | Format::Csv => output::json(&status),
        Format::Table => show(&status),
    }
}

fn show(status: &Status) -> Result {
    show_what_needs_somebody(status)?;
    show_counts(status)?;
    show_queues(status)?;
    show_pools_and_servers(status)?;
    show_uncertain(status)?;
    show_sent(status)
}

fn number(count: i64) -> String {
    grouped(count.unsigned_abs())
}

/// Names with their counts, in one line.
fn pairs(map: &BTreeMap<String, i64>) -> String {
    if map.is_empty() {
        return "none".to_owned();
    }
    map.iter().map(|(name, count)| format!("{name} {}", number(*count))).collect::<Vec<_>>().join(", ")
}

fn show_what_needs_somebody(status: &Status) -> Result {
    if let Some(because) = &status.paused_because {
        output::say(&format!("EVERYTHING IS PAUSED, {because} (`rekindle campaigns resume --all` ends it)\n"))?;
    }
    for (campaign, because) in status.waiting_for_approval.iter().zip(&status.held_because) {
        output::say(&format!("{campaign} IS HELD, {because}: `rekindle campaigns approve {campaign}` lets it go\n"))?;
    }
    if !status.conflicts.is_empty() {
        output::say(&format!(
            "CHANGED BOTH IN THE FOLDER AND IN THE STORE, whose stay: {} (`rekindle campaigns diff` shows how)\n",
            status.conflicts.join(", ")
        ))?;
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
    Ok(())
}

fn show_counts(status: &Status) -> Result {
    let latest = status.latest_purchase_at.as_ref().map_or(String::new(), |at| format!(" (the latest at {at})"));
    output::say(&format!("members       {}", number(status.members)))?;
    output::say(&format!("purchases     {}{latest}", number(status.purchases)))?;
    output::say(&format!("suppressions  {}", number(status.suppressions)))?;
    output::say(&format!("messages      {}", pairs(&status.messages)))?;
    output::say(&format!("not sent      {}", pairs(&status.reasons)))?;
    output::say(&format!("heard in 24h  {}", pairs(&status.heard)))
}

fn show_queues(status: &Status) -> Result {
    for queue in &status.queue {
        let what = match (&queue.problem, queue.waiting) {
            (Some(problem), _) => problem.clone(),
            (None, waiting) => format!("{} waiting", grouped(waiting.unwrap_or(0))),
        };
        output::say(&format!("queue {:7} {what}", queue.channel))?;
    }
    Ok(())
}

fn show_pools_and_servers(status: &Status) -> Result {
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
    Ok(())
}

fn show_uncertain(status: &Status) -> Result {
    if let Some(ended) = &status.nightly_ended_at {
        output::say(&format!("nightly work  ended last at {ended}"))?;
    }
    for decision in &status.decisions {
        output::say(&format!("decided       {}", super::nightly::decided(decision)))?;
    }
    output::say(&format!("uncertain     {} attempts, ever", number(status.uncertain_attempts)))?;
    for uncertain in &status.latest_uncertain {
        output::say(&format!(
            "  {} {} {} {}",
            uncertain.started_at, uncertain.channel, uncertain.campaign, uncertain.message
        ))?;
    }
    Ok(())
}

fn show_sent(status: &Status) -> Result {
    if status.sent.is_empty() {
        return Ok(());
    }
    output::say("")?;
    let cells = |sent: &Sent| vec![sent.campaign.clone(), sent.channel.clone(), number(sent.messages)];
    output::table(&["campaign", "channel", "sent"], &status.sent.iter().map(cells).collect::<Vec<_>>())
}
