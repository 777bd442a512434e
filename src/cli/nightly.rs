//! `nightly`: the night's work, now.

use super::output::{self, Format, Progress};
use super::{Result, Session};
use crate::deciding::Decision;
use crate::nightly;
use crate::store::daily;

/// A decision in a sentence.
pub(super) fn decided(decision: &Decision) -> String {
    let Decision { campaign, run, winner, by, .. } = decision;
    match winner {
        Some(variant) => {
            format!("`{variant}` of the campaign {campaign} won run {run} by {by}: all who are not held out get it.")
        }
        None => format!(
            "Run {run} of the campaign {campaign}: no variant is better than every other by {by}; nothing changes."
        ),
    }
}

pub(super) async fn execute(session: &Session) -> Result {
    let app = session.open().await?;
    let catalog = app.catalog().await?;
    let mut tx = app.store.read().await?;
    let campaigns = daily::campaigns(&mut tx).await?.len() as u64;
    tx.commit().await?;
    let (mut progress, mut done) = (Progress::new("counting campaigns anew", campaigns), 0);
    let night = nightly::work(&app.store, &catalog, app.clock.now(), &mut |_| {
        progress.at(done);
        done += 1;
    })
    .await;
    progress.finish();
    let night = night?;
    if session.format != Format::Table {
        return output::json(&night);
    }
    output::say(&match night.differs.len() {
        0 => "All counts are what the messages say.".to_owned(),
        some => format!("{} were not what the messages say, and are now:", output::counted(some, "count")),
    })?;
    if !night.differs.is_empty() {
        let row = |one: &daily::Differs| {
            let date = chrono::NaiveDate::default() + chrono::Duration::days(one.key.day);
            let key = [&one.key.campaign, &one.key.step, &one.key.fact].map(Clone::clone);
            [vec![date.to_string()], key.to_vec(), vec![one.counted.n.to_string(), one.found.n.to_string()]].concat()
        };
        let rows: Vec<Vec<String>> = night.differs.iter().map(row).collect();
        output::table(&["day", "campaign", "step", "what", "counted", "found"], &rows)?;
    }
    for decision in &night.decided {
        output::say(&decided(decision))?;
    }
    let orders = output::counted(usize::try_from(night.credited).unwrap_or_default(), "order");
    output::say(&format!("{orders} credited otherwise than before."))?;
    let from = |what: &str, count: Option<i64>| match count {
        Some(count) => {
            format!("{what} from {}.", output::counted(usize::try_from(count).unwrap_or_default(), "customer"))
        }
        None => format!("{what}: nobody, or too few, to tell from."),
    };
    output::say(&from("Scores are cut anew", night.rfm_members))?;
    output::say(&from("The models are fitted anew", night.model_customers))
}
