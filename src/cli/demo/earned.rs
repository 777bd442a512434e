//! What the demo's year earned: what the reports say, beside what is known because the demo made it up.

use std::path::Path;

use chrono::NaiveDate;

use super::behaviour::{BEHAVIOURS, HOLDOUT};
use super::truth::{Caused, Truth};
use crate::app::App;
use crate::catalog::Catalog;
use crate::cli::output;
use crate::cli::{CommandError, Result};
use crate::domain::Instant;
use crate::domain::money::rounded;
use crate::files;
use crate::reports::effect::{Effect, Period, Whose};

/// Says of each campaign with an experiment what its report says and what it truly caused, and writes the latter
/// down as `truth.json`.
pub(super) async fn show(app: &App, catalog: &Catalog, caused: &[Caused], at: Instant, folder: &Path) -> Result {
    let currency = &catalog.brand.currency;
    output::say(&format!(
        "\nDid it bring anything? In the demo's own campaigns {:.0} % of the members are held out. \
         What the reports say of those who got messages, and what the demo knows, since it made the orders up:\n",
        HOLDOUT * 100.0
    ))?;
    let mut truths = Vec::new();
    let mut tx = app.store.read().await?;
    for campaign in BEHAVIOURS.iter().filter_map(|own| catalog.campaigns.get(own.campaign)) {
        let period = Period { from: None, to: at, at, run: None };
        let effect = Effect::read(&mut tx, Whose::Campaign(campaign), &catalog.brand, period).await?;
        let Some(truth) = Truth::of(&mut tx, campaign, caused, &catalog.brand, at).await? else { continue };
        let said = effect.comparisons.first().map_or("Nobody was compared yet.", |one| one.because.as_str());
        output::say(&format!(
            "  {}\n      {said}\n      In truth: {} {currency} a member, by {} that it caused.",
            campaign.name,
            rounded(truth.net_per_member, currency),
            output::counted(truth.orders as usize, "order"),
        ))?;
        truths.push(truth);
    }
    tx.commit().await?;
    let text = serde_json::to_string_pretty(&truths).map_err(std::io::Error::other)?;
    files::write(&folder.join("truth.json"), text.as_bytes()).map_err(CommandError::Output)
}

/// Where to look next.
pub(super) fn look_further(folder: &Path, program: &str, next: NaiveDate, seconds: f64) -> Result {
    let (folder, year) = (folder.display(), next - chrono::Days::new(365));
    output::say(&format!(
        "\nNothing left this machine. All of it took {seconds:.1} s. Look further:\n\n  \
         {folder}/outbox/                 every mail and SMS\n  \
         {folder}/campaigns/              the project's campaigns, some with an `experiment`\n  \
         {folder}/truth.json              what each campaign caused, as only the demo can know it\n\n  \
         {program} --config {folder}/rekindle.yaml report effect --campaign birthday --at {next}\n      \
         what the birthday wishes earned, with how sure that is\n  \
         {program} --config {folder}/rekindle.yaml report effect --campaign post-purchase --at {next}\n      \
         a campaign that changes nothing\n  \
         {program} --config {folder}/rekindle.yaml report campaigns --from {year} --to {next}\n      \
         what became of all messages; `--by month`, `--by channel` …\n  \
         {program} --config {folder}/rekindle.yaml report loyalty --from {year} --to {next} --by month\n      \
         whether customers stay\n  \
         {program} --config {folder}/rekindle.yaml messages --campaign birthday\n      \
         every message, with its arm\n"
    ))
}
