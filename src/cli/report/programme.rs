//! `report today|campaigns|campaign|deliverability`.

use chrono::Days;
use clap::Args;

use super::{Asked as Wanted, Window, show};
use crate::app::App;
use crate::cli::Result;
use crate::domain::calendar::local_date;
use crate::domain::message::Channel;
use crate::domain::period::{Periods, Unit};
use crate::reports::programme::{Asked, By, Programme};
use crate::reports::sheet::{Cell, Text};
use crate::store::daily;
use crate::views;

#[derive(Debug, Args)]
pub(in crate::cli) struct Today {}

#[derive(Debug, Args)]
pub(in crate::cli) struct Campaigns {
    #[command(flatten)]
    window: Window,
    /// Put together by: campaign, channel, arm, locale, domain, day, week, month, quarter or year.
    #[arg(long, value_name = "WHAT", default_value = "campaign", value_parser = Split::parse)]
    by: Split,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Campaign {
    /// Of this campaign.
    name: String,
    #[command(flatten)]
    window: Window,
    /// Put together by: step, arm, channel, locale, domain, day, week, month, quarter or year.
    #[arg(long, value_name = "WHAT", default_value = "step", value_parser = Split::parse)]
    by: Split,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Deliverability {
    #[command(flatten)]
    window: Window,
    /// Put together by: domain, campaign, step, arm, channel, locale, day, week, month, quarter or year.
    #[arg(long, value_name = "WHAT", default_value = "domain", value_parser = Split::parse)]
    by: Split,
}

/// By what messages are put together.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) enum Split {
    Part(By),
    Period(Unit),
}

impl Split {
    fn parse(text: &str) -> std::result::Result<Self, String> {
        if let Ok(unit) = text.parse::<Unit>() {
            return Ok(Self::Period(unit));
        }
        match text.parse() {
            Ok(By::Period) | Err(_) => {
                let words = By::ALL.iter().filter(|by| **by != By::Period).map(|by| by.as_str());
                let words: Vec<&str> = words.chain(Unit::ALL.iter().map(|unit| unit.as_str())).collect();
                Err(format!("`{text}` is not one of: {}", words.join(", ")))
            }
            Ok(by) => Ok(Self::Part(by)),
        }
    }
}

/// Reads a programme; of all campaigns that were ever applied where none is named.
async fn read(
    app: &App,
    window: &Window,
    campaign: Option<&str>,
    channel: Option<Channel>,
    split: Split,
) -> Result<(Programme, Periods)> {
    let (by, unit) = match split {
        Split::Part(by) => (by, Unit::Day),
        Split::Period(unit) => (By::Period, unit),
    };
    let (from, to) = window.days(app, 28)?;
    let periods = window.periods(app, unit);
    let mut tx = app.store.read().await?;
    let campaigns = match campaign {
        Some(name) => vec![name.to_owned()],
        None => daily::campaigns(&mut tx).await?,
    };
    let asked = Asked { campaigns, from, to, by, channel, periods, currency: &app.settings.brand.currency };
    let programme = Programme::read(&mut tx, &asked).await?;
    tx.commit().await?;
    Ok((programme, periods))
}

impl Today {
    pub(super) async fn execute(self, asked: &Wanted<'_>) -> Result {
        let app = asked.session.open().await?;
        let today = local_date(app.settings.brand.timezone, app.clock.now());
        let window =
            Window { from: Some(today.to_string()), to: Some((today + Days::new(1)).to_string()), calendar: None };
        let (programme, periods) = read(&app, &window, None, None, Split::Part(By::Campaign)).await?;
        show(asked, &app.settings.brand, &programme, &programme.sheet("Today".into(), periods))
    }
}

impl Campaigns {
    pub(super) async fn execute(self, asked: &Wanted<'_>) -> Result {
        let app = asked.session.open().await?;
        let (programme, periods) = read(&app, &self.window, None, None, self.by).await?;
        show(asked, &app.settings.brand, &programme, &programme.sheet("All campaigns".into(), periods))
    }
}

impl Campaign {
    pub(super) async fn execute(self, asked: &Wanted<'_>) -> Result {
        let app = asked.session.open().await?;
        let (programme, periods) = read(&app, &self.window, Some(&self.name), None, self.by).await?;
        if programme.total.due == 0 {
            // One that is not there is no campaign without messages.
            views::campaign(app.catalog().await?.as_ref(), &self.name)?;
        }
        show(
            asked,
            &app.settings.brand,
            &programme,
            &programme.sheet(Text::new("Campaign {0}", [Cell::Name(self.name)]), periods),
        )
    }
}

impl Deliverability {
    pub(super) async fn execute(self, asked: &Wanted<'_>) -> Result {
        let app = asked.session.open().await?;
        let (programme, periods) = read(&app, &self.window, None, Some(Channel::Email), self.by).await?;
        show(asked, &app.settings.brand, &programme, &programme.deliverability(periods))
    }
}
