//! `model fit|show`: what is known of all customers.

use clap::Subcommand;
use serde::Serialize;

use super::output::{self, Format};
use super::{CommandError, Result, Session, instant_of, rfc3339};
use crate::model::{self, FitError};
use crate::store::models::{self, Fitted};

#[derive(Debug, Subcommand)]
pub(super) enum Model {
    /// Fit the model to the purchases so far; scans from now on go by it.
    Fit {
        /// As if it were this instant [default: now].
        #[arg(long, value_name = "T")]
        at: Option<String>,
        /// The first date (midnight of the brand's clock) or instant whose purchases are not looked at
        /// any more [default: the instant of the fit].
        #[arg(long, value_name = "DATE")]
        to: Option<String>,
    },
    /// Show the model in use.
    Show,
}

#[derive(Serialize)]
struct Row {
    fitted_at: String,
    until: String,
    customers: i64,
    repeat_customers: i64,
    r: f64,
    alpha: f64,
    a: f64,
    b: f64,
    log_likelihood: f64,
}

impl Model {
    pub(super) async fn execute(self, session: &Session) -> Result {
        let app = session.open().await?;
        match self {
            Self::Fit { at, to } => {
                let instant =
                    |text: Option<String>, name| text.map(|text| instant_of(&text, &app.settings, name)).transpose();
                let now = instant(at, "--at")?.unwrap_or_else(|| app.clock.now());
                let until = instant(to, "--to")?.unwrap_or(now);
                let fitted = model::fit(&app.store, until, now).await.map_err(|error| match error {
                    FitError::Store(error) => error.into(),
                    FitError::Unfit(reason) => CommandError::Other(format!("no model was fitted: {reason}")),
                })?;
                show(session.format, &fitted)
            }
            Self::Show => {
                let mut tx = app.store.read().await?;
                let newest = models::newest(&mut tx).await?;
                tx.commit().await?;
                let fitted = newest
                    .ok_or_else(|| CommandError::Other("there is no model yet; run `rekindle model fit`".to_owned()))?;
                show(session.format, &fitted)
            }
        }
    }
}

fn show(format: Format, fitted: &Fitted) -> Result {
    let parameters = fitted.fit.model;
    let row = Row {
        fitted_at: rfc3339(fitted.fitted_at),
        until: rfc3339(fitted.until),
        customers: fitted.customers,
        repeat_customers: fitted.repeat_customers,
        r: parameters.r,
        alpha: parameters.alpha,
        a: parameters.a,
        b: parameters.b,
        log_likelihood: fitted.fit.log_likelihood,
    };
    if format == Format::Json {
        return output::json(&row);
    }
    let columns = ["fitted at", "until", "customers", "with a repeat", "r", "alpha", "a", "b", "log-likelihood"];
    output::rows(format, &[row], &columns, |row| {
        vec![
            row.fitted_at.clone(),
            row.until.clone(),
            row.customers.to_string(),
            row.repeat_customers.to_string(),
            format!("{:.4}", row.r),
            format!("{:.4}", row.alpha),
            format!("{:.4}", row.a),
            format!("{:.4}", row.b),
            format!("{:.2}", row.log_likelihood),
        ]
    })
}
