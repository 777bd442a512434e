//! `model fit|show`: what is known of all customers.

use clap::Subcommand;
use serde::Serialize;

use super::output::{self, Format};
use super::{CommandError, Result, Session, instant_of, rfc3339};
use crate::domain::lifetime::{BgNbd, LEAST_SPENDERS};
use crate::domain::money::minor_units;
use crate::model::{self, FitError};
use crate::store::models::{self, Fitted};

#[derive(Debug, Subcommand)]
pub(super) enum Model {
    /// Fit the models of purchases and of spending to the orders so far; scans and audiences go by them from now on.
    Fit {
        /// As if it were this instant [default: now].
        #[arg(long, value_name = "T")]
        at: Option<String>,
        /// The first date (midnight of the brand's clock) or instant whose purchases are not looked at
        /// any more [default: the instant of the fit].
        #[arg(long, value_name = "DATE")]
        to: Option<String>,
    },
    /// Show the models in use.
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
    currency: String,
    spenders: i64,
    p: Option<f64>,
    q: Option<f64>,
    /// In major units.
    v: Option<f64>,
    /// Why there is no model of spending.
    no_spending: Option<String>,
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
                let currency = &app.settings.brand.currency;
                let fitted = model::fit(&app.store, currency, until, now).await.map_err(|error| match error {
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
    let row = row(fitted);
    if format == Format::Json {
        return output::json(&row);
    }
    let four = |number: f64| format!("{number:.4}");
    let purchases = vec![
        row.fitted_at.clone(),
        row.until.clone(),
        row.customers.to_string(),
        row.repeat_customers.to_string(),
        four(row.r),
        four(row.alpha),
        four(row.a),
        four(row.b),
        format!("{:.2}", row.log_likelihood),
    ];
    let spending = [row.p, row.q, row.v].map(|number| number.map(four).unwrap_or_default());
    let spending = [vec![row.currency.clone(), row.spenders.to_string()], spending.to_vec()].concat();
    if format == Format::Csv {
        let columns = [PURCHASES, SPENDING].concat();
        return output::rows(format, &[row], &columns, |_| [purchases.clone(), spending.clone()].concat());
    }
    output::table(PURCHASES, &[purchases])?;
    output::say("")?;
    match &row.no_spending {
        Some(why) => output::say(why),
        None => output::table(SPENDING, &[spending]),
    }
}

const PURCHASES: &[&str] =
    &["fitted at", "until", "customers", "with a repeat", "r", "alpha", "a", "b", "log-likelihood"];
const SPENDING: &[&str] = &["currency", "with a repeat in it", "p", "q", "v"];

fn row(fitted: &Fitted) -> Row {
    let BgNbd { r, alpha, a, b } = fitted.fit.model;
    let unit = minor_units(&fitted.currency);
    Row {
        fitted_at: rfc3339(fitted.fitted_at),
        until: rfc3339(fitted.until),
        customers: fitted.customers,
        repeat_customers: fitted.repeat_customers,
        r,
        alpha,
        a,
        b,
        log_likelihood: fitted.fit.log_likelihood,
        currency: fitted.currency.clone(),
        spenders: fitted.spenders,
        p: fitted.spending.map(|model| model.p),
        q: fitted.spending.map(|model| model.q),
        v: fitted.spending.map(|model| model.v / unit),
        no_spending: no_spending(fitted),
    }
}

/// Why there is no model of spending, in a sentence.
fn no_spending(fitted: &Fitted) -> Option<String> {
    let Fitted { currency, spenders, spending, .. } = fitted;
    if spending.is_some() {
        return None;
    }
    let reason = if spenders.unsigned_abs() < LEAST_SPENDERS {
        format!(
            "{spenders} customers have bought again in {currency}, and it needs {LEAST_SPENDERS}; import more purchases"
        )
    } else {
        format!("none describes what the {spenders} who bought again in {currency} spend; a longer history may help")
    };
    Some(format!("No model of spending, so `expected_revenue` is unknown: {reason}."))
}
