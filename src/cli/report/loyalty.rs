//! `report loyalty|cohorts|rfm|cltv`.

use std::sync::Arc;

use clap::Args;

use super::{Asked, Window, show};
use crate::app::App;
use crate::catalog::Catalog;
use crate::cli::{CommandError, Result, instant_of};
use crate::domain::audience::Audience;
use crate::domain::period::Unit;
use crate::reports::loyalty::{self, By};
use crate::reports::{cltv, cohorts, rfm};
use crate::store::audience_sql;
use crate::store::loyalty::Parts;

#[derive(Debug, Args)]
pub(in crate::cli) struct Loyalty {
    #[command(flatten)]
    window: Window,
    #[command(flatten)]
    whose: Whose,
    /// Told apart by: tier, locale, segment, attributes.NAME, day, week, month, quarter or year.
    #[arg(long, value_name = "WHAT", value_parser = Split::parse)]
    by: Option<Split>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Cohorts {
    #[command(flatten)]
    window: Window,
    #[command(flatten)]
    whose: Whose,
    /// Put together by: week, month, quarter or year.
    #[arg(long, value_name = "UNIT", default_value = "month", value_parser = unit)]
    by: Unit,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Rfm {
    #[command(flatten)]
    window: Window,
    #[command(flatten)]
    whose: Whose,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Cltv {
    /// As if it were this date or time [default: now].
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

#[derive(Debug, Args)]
struct Whose {
    /// Only the members of this segment, as they are now.
    #[arg(long, value_name = "NAME")]
    segment: Option<String>,
}

fn unit(text: &str) -> std::result::Result<Unit, String> {
    text.parse()
}

/// By what members are told apart.
#[derive(Debug, Clone)]
pub(in crate::cli) enum Split {
    Parts(Parts),
    Segments,
    Periods(Unit),
}

impl Split {
    fn parse(text: &str) -> std::result::Result<Self, String> {
        match text {
            "tier" => Ok(Self::Parts(Parts::Tier)),
            "locale" => Ok(Self::Parts(Parts::Locale)),
            "segment" => Ok(Self::Segments),
            _ => match (text.strip_prefix("attributes."), text.parse()) {
                (Some(name), _) if !name.is_empty() => Ok(Self::Parts(Parts::Attribute(name.to_owned()))),
                (_, Ok(unit)) => Ok(Self::Periods(unit)),
                _ => {
                    let units: Vec<&str> = Unit::ALL.iter().map(|unit| unit.as_str()).collect();
                    Err(format!("`{text}` is not one of: tier, locale, segment, attributes.NAME, {}", units.join(", ")))
                }
            },
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Parts(Parts::All) => String::new(),
            Self::Parts(Parts::Tier) => "tier".to_owned(),
            Self::Parts(Parts::Locale) => "locale".to_owned(),
            Self::Parts(Parts::Attribute(name)) => format!("attributes.{name}"),
            Self::Segments => "segment".to_owned(),
            Self::Periods(unit) => unit.to_string(),
        }
    }
}

impl Whose {
    fn audience(&self, catalog: &Catalog) -> Result<Arc<Audience>> {
        let Some(name) = &self.segment else { return Ok(Arc::new(Audience::everybody())) };
        catalog.segments.get(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = catalog.segments.keys().map(String::as_str).collect();
            let known =
                if known.is_empty() { "there are none".to_owned() } else { format!("known: {}", known.join(", ")) };
            CommandError::Other(format!("there is no segment `{name}`; {known}"))
        })
    }
}

/// The catalog of an app, where segments stand.
async fn opened(asked: &Asked<'_>) -> Result<(Arc<App>, Arc<Catalog>)> {
    let app = Arc::new(asked.session.open().await?);
    let catalog = app.catalog().await?;
    Ok((app, catalog))
}

impl Loyalty {
    pub(super) async fn execute(self, asked: &Asked<'_>) -> Result {
        let (app, catalog) = opened(asked).await?;
        let (brand, split) = (&catalog.brand, self.by.unwrap_or(Split::Parts(Parts::All)));
        let span = self.window.span(&app, 365)?;
        let audience = self.whose.audience(&catalog)?;
        let mut tx = app.store.read().await?;
        let now = app.clock.now();
        let filter = audience_sql::compile(&mut tx, &audience, brand, now).await?;
        let periods = if let Split::Periods(unit) = split { Some(self.window.periods(&app, unit)) } else { None };
        let by = match (&split, periods) {
            (Split::Parts(parts), _) => By::Parts(parts.clone()),
            (_, Some(periods)) => By::Periods(periods),
            _ => {
                let mut segments = Vec::new();
                for (name, audience) in &catalog.segments {
                    segments.push((name.as_str(), audience_sql::compile(&mut tx, audience, brand, now).await?));
                }
                By::Segments(segments)
            }
        };
        let active = app.settings.reports.active_within;
        let report = loyalty::Loyalty::read(&mut tx, &filter, (&by, &split.name()), span, brand, active).await?;
        tx.commit().await?;
        show(asked, brand, &report, &report.sheet(brand, periods))
    }
}

impl Cohorts {
    pub(super) async fn execute(self, asked: &Asked<'_>) -> Result {
        let (app, catalog) = opened(asked).await?;
        let (periods, span) = (self.window.periods(&app, self.by), self.window.span(&app, 365)?);
        let audience = self.whose.audience(&catalog)?;
        let mut tx = app.store.read().await?;
        let filter = audience_sql::compile(&mut tx, &audience, &catalog.brand, app.clock.now()).await?;
        let report = cohorts::Cohorts::read(&mut tx, &filter, &periods, span, &catalog.brand).await?;
        tx.commit().await?;
        show(asked, &catalog.brand, &report, &report.sheet(&catalog.brand, periods))
    }
}

impl Rfm {
    pub(super) async fn execute(self, asked: &Asked<'_>) -> Result {
        let (app, catalog) = opened(asked).await?;
        let span = self.window.span(&app, 28)?;
        let audience = self.whose.audience(&catalog)?;
        let mut tx = app.store.read().await?;
        let filter = audience_sql::compile(&mut tx, &audience, &catalog.brand, app.clock.now()).await?;
        let report = rfm::Rfm::read(&mut tx, &filter, span, &catalog.brand).await?;
        tx.commit().await?;
        let report = report.ok_or_else(|| {
            CommandError::Other(
                "there are no cut points of scores yet; `rekindle segments rfm` computes them".to_owned(),
            )
        })?;
        show(asked, &catalog.brand, &report, &report.sheet(&catalog.brand))
    }
}

impl Cltv {
    pub(super) async fn execute(self, asked: &Asked<'_>) -> Result {
        let app = asked.session.open().await?;
        let at = self.at.map(|text| instant_of(&text, &app.settings, "--at")).transpose()?;
        let at = at.unwrap_or_else(|| app.clock.now());
        let mut tx = app.store.read().await?;
        let report = cltv::Cltv::read(&mut tx, at, &app.settings.brand).await?;
        tx.commit().await?;
        let report = report.ok_or_else(|| {
            CommandError::Other("there is no model of the customers yet; `rekindle model fit` makes one".to_owned())
        })?;
        show(asked, &app.settings.brand, &report, &report.sheet(&app.settings.brand))
    }
}
