//! `segments rfm`.

use clap::Subcommand;
use serde::Serialize;

use super::{CommandError, Result, Session, instant_of, output, rfc3339};
use crate::domain::money;
use crate::domain::rfm::Cuts;
use crate::store::rfm;

#[derive(Debug, Subcommand)]
pub(super) enum Segments {
    /// Compute the cut points of RFM scores (`rfm.recency`, `rfm.frequency`, `rfm.monetary`) from all
    /// members with purchases, and use them from now on.
    Rfm {
        /// From the purchases up to this instant [default: now].
        #[arg(long, value_name = "T")]
        at: Option<String>,
    },
}

#[derive(Serialize)]
struct Fitted {
    fitted_at: String,
    members: i64,
    #[serde(flatten)]
    cuts: Cuts,
}

impl Segments {
    pub(super) async fn execute(self, session: &Session) -> Result {
        let Self::Rfm { at } = self;
        let app = session.open().await?;
        let at = at.map(|text| instant_of(&text, &app.settings, "--at")).transpose()?;
        let at = at.unwrap_or_else(|| app.clock.now());
        let currency = &app.settings.brand.currency;
        let Some(fitted) = rfm::fit(&app.store, at, currency).await? else {
            return Err(CommandError::Other(format!(
                "nobody has bought anything by {}; `rekindle import purchases` brings orders in",
                rfc3339(at)
            )));
        };
        if session.format != output::Format::Table {
            let (fitted_at, members, cuts) = (rfc3339(fitted.fitted_at), fitted.members, fitted.cuts);
            return output::json(&Fitted { fitted_at, members, cuts });
        }
        output::say(&format!(
            "From {} members with purchases. A score is the highest that a member reaches:\n",
            fitted.members
        ))?;
        let rows: Vec<Vec<String>> = (0..4)
            .rev()
            .map(|cut| {
                let days = fitted.cuts.recency[cut] as f64 / 86_400_000.0;
                vec![
                    (cut + 2).to_string(),
                    format!("{days:.1} days ago"),
                    fitted.cuts.frequency[cut].to_string(),
                    format!("{} {currency}", money::display(fitted.cuts.monetary[cut], currency)),
                ]
            })
            .collect();
        output::table(&["score", "last purchase less than", "purchases more than", "spent more than"], &rows)
    }
}
