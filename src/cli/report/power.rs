//! `report power`.

use std::sync::Arc;

use clap::Args;

use super::{Asked, explain, page};
use crate::cli::output::{self, Format, Progress};
use crate::cli::{CommandError, Result, instant_of};
use crate::domain::Instant;
use crate::domain::experiment::arms::parse_share;
use crate::domain::money::{change, rounded};
use crate::reports::power::{Power, WEEKS, Wanted};
use crate::views::{self, forecast};

#[derive(Debug, Args)]
pub(in crate::cli) struct PowerArguments {
    #[arg(long, value_name = "NAME")]
    campaign: String,
    /// How much more a member would bring [default: 5%, 10% and 20%].
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    lift: Vec<f64>,
    /// Hold so many out [default: what the campaign says, else 10%].
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    holdout: Option<f64>,
    /// As if it were this date or time [default: now].
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

impl PowerArguments {
    pub(super) async fn execute(self, asked: &Asked<'_>) -> Result {
        let app = asked.session.open().await?;
        let at = self.at.map(|text| instant_of(&text, &app.settings, "--at")).transpose()?;
        let at = at.unwrap_or_else(|| app.clock.now());
        let name = self.campaign.as_str();
        let catalog = app.catalog().await?;
        views::campaign(&catalog, name)?;
        // Before it begins it is a draft.
        let catalog = Arc::into_inner(catalog).map(|catalog| catalog.with_live(name));
        let catalog = catalog.ok_or_else(|| CommandError::Other("the configuration is in use".to_owned()))?;
        let campaign = views::campaign(&catalog, name)?;
        let until = at + chrono::Duration::weeks(WEEKS.into());
        let mut progress = Progress::new("looking ahead", (until - at).num_days().unsigned_abs());
        let tell = &mut |now: Instant| progress.at((now - at).num_days().unsigned_abs());
        let coming = forecast::coming(&app.store, &catalog, name, (at, until), tell).await;
        progress.finish();
        let own = Some(campaign.experiment.holdout).filter(|share| *share > 0.0);
        let holdout = self.holdout.or(own).unwrap_or(0.1);
        let lifts = if self.lift.is_empty() { vec![0.05, 0.1, 0.2] } else { self.lift };
        let mut tx = app.store.read().await?;
        let power = Power::read(&mut tx, campaign, &catalog.brand, (holdout, &lifts), (coming?, at)).await?;
        tx.commit().await?;
        match asked.session.format {
            _ if asked.explain.is_some() => explain(asked, &power),
            _ if asked.session.is_page => page(asked, &catalog.brand, &power.sheet()),
            Format::Json => output::json(&power),
            Format::Csv => {
                output::rows(asked.session.format, &power.wanted, &["lift", "difference", "members", "weeks"], |one| {
                    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
                    let members = one.members.map(|members| members.to_string()).unwrap_or_default();
                    vec![one.lift.to_string(), number(one.difference), members, number(one.weeks)]
                })
            }
            Format::Table => show_power(&power),
        }
    }
}

fn show_power(power: &Power) -> Result {
    let Power { campaign, within_days, currency, .. } = power;
    let (Some(mean), Some(deviation)) = (power.revenue_per_member, power.deviation) else {
        return output::say(&format!("Nobody is in the audience of {campaign}, so nothing can be expected."));
    };
    output::say(&format!(
        "{} are in the audience of {campaign} now. In the last {within_days} days {} of them bought: {} {currency} \
         a member (deviation {}). {} come to it in the next {} days.\n",
        output::counted(usize::try_from(power.members).unwrap_or(usize::MAX), "member"),
        output::grouped(power.buyers.unsigned_abs()),
        rounded(mean, currency),
        rounded(deviation, currency),
        output::grouped(power.coming),
        WEEKS * 7,
    ))?;
    let row = |one: &Wanted| {
        vec![
            format!("{:+.0} %", one.lift * 100.0),
            one.difference.map(|money| change(money, currency)).unwrap_or_default(),
            one.members.map_or_else(|| "cannot be said".to_owned(), output::grouped),
            one.weeks.map_or_else(|| "unknown".to_owned(), weeks),
        ]
    };
    let each = format!("{currency} a member");
    let rows: Vec<_> = power.wanted.iter().map(row).collect();
    output::table(&["effect", &each, "members it takes", "weeks"], &rows)?;
    output::say(&format!(
        "\nWith {:.0} % held out, so that four of five such experiments would find it. Whoever looks every day needs more.",
        power.holdout * 100.0
    ))
}

/// Weeks, or years where nobody counts weeks.
fn weeks(weeks: f64) -> String {
    match weeks {
        few if few < 10.0 => format!("{few:.1}"),
        some if some < 104.0 => format!("{some:.0}"),
        many => format!("{} years", output::grouped((many / 52.0).round() as u64)),
    }
}
