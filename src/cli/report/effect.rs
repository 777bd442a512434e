//! `report effect`.

use clap::Args;

use super::{Asked, explain, page};
use crate::cli::output::{self, Format};
use crate::cli::{CommandError, Result, instant_of};
use crate::domain::Instant;
use crate::domain::message::Purpose;
use crate::domain::money::{change, rounded};
use crate::reports::effect::{Arm, Effect, Mean, Period, Whose, warned};
use crate::reports::sheet::Cell;
use crate::reports::words::Language;
use crate::views;

#[derive(Debug, Args)]
pub(in crate::cli) struct EffectArguments {
    #[command(flatten)]
    whose: Chosen,
    /// Members whose first message was due from this date or time on.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// And before this one [default: what --at says].
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// As it was known then [default: now].
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Of this run of the experiment [default: the latest].
    #[arg(long, value_name = "N")]
    run: Option<i64>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(in crate::cli) struct Chosen {
    /// Of this campaign.
    #[arg(long, value_name = "NAME")]
    campaign: Option<String>,
    /// Of all marketing, against those whom the brand holds out (`brand: { holdout: 5% }`).
    #[arg(long)]
    brand: bool,
}

impl EffectArguments {
    pub(super) async fn execute(self, asked: &Asked<'_>) -> Result {
        let arguments = self;
        let app = asked.session.open().await?;
        let catalog = app.catalog().await?;
        let marketing = catalog.campaigns.values().filter(|campaign| campaign.purpose == Purpose::Marketing);
        let marketing: Vec<String> = marketing.map(|campaign| campaign.name.clone()).collect();
        let whose = match &arguments.whose.campaign {
            Some(name) => Whose::Campaign(views::campaign(&catalog, name)?),
            None => Whose::Brand(&marketing),
        };
        let instant = |text: &Option<String>, option: &str| {
            text.as_deref().map(|text| instant_of(text, &app.settings, option)).transpose()
        };
        let now = app.clock.now();
        let at = instant(&arguments.at, "--at")?.unwrap_or(now);
        let (from, to) = (instant(&arguments.from, "--from")?, instant(&arguments.to, "--to")?.unwrap_or(at));
        let mut tx = app.store.read().await?;
        let period = Period { from, to, at, run: arguments.run };
        let effect = Effect::read(&mut tx, whose, &catalog.brand, period).await?;
        tx.commit().await?;
        if let Some(run) = arguments.run.filter(|run| effect.run != Some(*run)) {
            let known: Vec<String> = effect.other_runs.iter().map(ToString::to_string).collect();
            let known = if known.is_empty() { "it has none".to_owned() } else { known.join(", ") };
            let name = named(&effect);
            return Err(CommandError::Other(format!("{name} has no run {run} with an experiment; known: {known}")));
        }
        match asked.session.format {
            _ if asked.explain.is_some() => explain(asked, &effect),
            _ if asked.session.is_page => page(asked, &catalog.brand, &effect.sheet(&catalog.brand)),
            Format::Json => output::json(&effect),
            Format::Csv => output::rows(asked.session.format, &effect.arms, CSV, cells),
            Format::Table => table(&effect),
        }
    }
}

const CSV: &[&str] =
    &["arm", "members", "buyers", "orders", "revenue", "gift_cost", "message_cost", "not_yet", "other_currencies"];

fn cells(arm: &Arm) -> Vec<String> {
    let counts = [arm.members, arm.buyers, arm.orders].map(|count| count.to_string());
    let rest = [arm.not_yet, arm.other_currencies].map(|count| count.to_string());
    let money = [arm.revenue, arm.gift_cost, arm.message_cost].map(|amount| amount.to_string());
    [vec![arm.arm.clone()], counts.to_vec(), money.to_vec(), rest.to_vec()].concat()
}

/// Whose effect it is, in a sentence.
fn named(effect: &Effect) -> String {
    effect.campaign.as_ref().map_or_else(|| "all marketing".to_owned(), |name| format!("`{name}`"))
}

/// For people: whose purchases, arm by arm, what was caused, and what to know of it.
fn table(effect: &Effect) -> Result {
    let Some(run) = effect.run else { return without_experiment(effect) };
    heading(effect, run)?;
    arms(effect)?;
    for one in &effect.comparisons {
        output::say(&format!("\n{} against {}: {}", one.arm, one.against, one.because))?;
        output::say(&difference(&one.net_per_member, &effect.currency))?;
    }
    for warning in &effect.warnings {
        output::say(&format!("\n{}", warned(warning)))?;
    }
    not_counted(effect)?;
    other_runs(effect)
}

/// What to write, so that there is something to compare with.
fn without_experiment(effect: &Effect) -> Result {
    let (name, place) = match &effect.campaign {
        Some(_) => (named(effect), "`experiment: { holdout: 10% }` in its file"),
        None => ("Marketing".to_owned(), "`holdout: 5%` under `brand` in the settings"),
    };
    output::say(&format!(
        "{name} has no experiment: nobody is held out, so nothing says what would have been bought without it. \
         Write {place}."
    ))
}

/// Whose purchases the table is about, and of when.
fn heading(effect: &Effect, run: i64) -> Result {
    let day = |at: Instant| at.format("%Y-%m-%d %H:%M UTC");
    let from = effect.from.map_or_else(|| "the beginning".to_owned(), |from| day(from).to_string());
    output::say(&format!(
        "{}, run {run}: members whose first message was due from {from} to {}, and what they bought within {} days, \
         as known at {}.\n",
        effect.campaign.as_deref().unwrap_or("All marketing"),
        day(effect.to),
        effect.within_days,
        day(effect.at)
    ))
}

/// A row for each arm; what gifts and messages cost stands in it only where they cost something.
fn arms(effect: &Effect) -> Result {
    let revenue = format!("revenue ({})", effect.currency);
    let has_costs = effect.arms.iter().any(|arm| arm.gift_cost > 0.0 || arm.message_cost > 0.0);
    let columns = ["arm", "members", "buyers", "orders", revenue.as_str(), "not yet over", "net a member", "cost"];
    let columns = if has_costs { &columns[..] } else { &columns[..7] };
    let row = |arm: &Arm| {
        let mut cells = shown(arm, &effect.currency);
        cells.truncate(columns.len());
        cells
    };
    output::table(columns, &effect.arms.iter().map(row).collect::<Vec<_>>())
}

/// An arm as people read it, its cost last.
fn shown(arm: &Arm, currency: &str) -> Vec<String> {
    let cost = arm.gift_cost + arm.message_cost;
    let net = (arm.revenue - cost) / arm.members as f64;
    let count = |count: i64| output::grouped(count.unsigned_abs());
    let share = if arm.members > 0 { 100.0 * arm.buyers as f64 / arm.members as f64 } else { 0.0 };
    vec![
        arm.arm.clone(),
        count(arm.members),
        format!("{} ({share:.1} %)", count(arm.buyers)),
        count(arm.orders),
        rounded(arm.revenue, currency),
        count(arm.not_yet),
        if arm.members > 0 { rounded(net, currency) } else { String::new() },
        rounded(cost, currency),
    ]
}

fn not_counted(effect: &Effect) -> Result {
    let others: i64 = effect.arms.iter().map(|arm| arm.other_currencies).sum();
    if others <= 0 {
        return Ok(());
    }
    output::say(&format!("Not counted, since in other currencies: {}.", output::counted(others as usize, "order")))
}

fn other_runs(effect: &Effect) -> Result {
    if effect.other_runs.is_empty() {
        return Ok(());
    }
    let runs: Vec<String> = effect.other_runs.iter().map(ToString::to_string).collect();
    output::say(&format!("Other runs, with other shares: {}; `--run N` shows one.", runs.join(", ")))
}

fn difference(mean: &Mean, currency: &str) -> String {
    let money = |amount| change(amount, currency);
    match (mean.difference, mean.low, mean.high, mean.p) {
        (Some(difference), Some(low), Some(high), Some(p)) => format!(
            "Caused: {} {currency} a member (95 %: {} to {}, p {}; whoever looks every day: {}).",
            money(difference),
            money(low),
            money(high),
            Language::English.cell(&Cell::P(p), currency),
            mean.always_valid
                .map_or_else(|| "unknown".to_owned(), |ends| format!("{} to {}", money(ends.low), money(ends.high)))
        ),
        _ => "Nothing varies yet, so there is no interval.".to_owned(),
    }
}
