//! `report`: numbers that people decide by. Each is computed in `reports`, and shown here as a table, JSON, CSV or a
//! page.

use chrono::{Days, NaiveDate};
use clap::{Args, Subcommand};

use super::output::{self, Format};
use super::{CommandError, Result, Session};
use crate::app::App;
use crate::domain::Instant;
use crate::domain::brand::Brand;
use crate::domain::calendar::{Calendar, local_date, local_midnight, parse_date};
use crate::domain::period::{Periods, Unit, week_begins};
use crate::reports::definitions::{self, Defined, Value};
use crate::reports::html;
use crate::reports::sheet::{Cell, Sheet, Text};
use crate::reports::words::Language;

mod effect;
mod loyalty;
mod power;
mod programme;

#[derive(Debug, Args)]
pub(super) struct Reports {
    /// The language of --format html: en or fa [default: fa where the brand's locale is Persian, else en].
    #[arg(long, global = true, value_name = "LANGUAGE", value_parser = language)]
    locale: Option<Language>,
    /// Say what a number is instead, what it comes to, and from how many rows: under its name in the JSON, like sent.
    #[arg(long, global = true, value_name = "METRIC")]
    explain: Option<String>,
    #[command(subcommand)]
    report: Report,
}

fn language(text: &str) -> std::result::Result<Language, String> {
    text.parse()
}

/// What every report starts from.
struct Asked<'a> {
    session: &'a Session,
    /// Absent: the brand's.
    language: Option<Language>,
    /// The number of which the definition is asked for.
    explain: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Report {
    /// What became of the messages of today, by campaign.
    Today(programme::Today),
    /// What became of the messages of a time, by campaign or otherwise.
    Campaigns(programme::Campaigns),
    /// The same of one campaign, by step or otherwise.
    Campaign(programme::Campaign),
    /// How well mail gets through, by its receivers: bounces and complaints against what they allow.
    Deliverability(programme::Deliverability),
    /// What a campaign earned, or all marketing: who got messages against who was held out.
    Effect(effect::EffectArguments),
    /// How many members it takes to find an effect of a campaign, before it begins, and how long until they have come.
    Power(power::PowerArguments),
    /// Who buys, comes back and stays: retention, repeat rate, average order, days between orders.
    Loyalty(loyalty::Loyalty),
    /// What came back of members by the time of their first order: how many, and their revenue.
    Cohorts(loyalty::Cohorts),
    /// Members by how recently and how often they bought, and who moved.
    Rfm(loyalty::Rfm),
    /// What customers are expected to bring in the next 12 months.
    Cltv(loyalty::Cltv),
}

impl Reports {
    pub(super) async fn execute(self, session: &Session) -> Result {
        let asked = &Asked { session, language: self.locale, explain: self.explain };
        match self.report {
            Report::Today(arguments) => arguments.execute(asked).await,
            Report::Campaigns(arguments) => arguments.execute(asked).await,
            Report::Campaign(arguments) => arguments.execute(asked).await,
            Report::Deliverability(arguments) => arguments.execute(asked).await,
            Report::Effect(arguments) => arguments.execute(asked).await,
            Report::Power(arguments) => arguments.execute(asked).await,
            Report::Loyalty(arguments) => arguments.execute(asked).await,
            Report::Cohorts(arguments) => arguments.execute(asked).await,
            Report::Rfm(arguments) => arguments.execute(asked).await,
            Report::Cltv(arguments) => arguments.execute(asked).await,
        }
    }
}

/// Of which days a report is.
#[derive(Debug, Args)]
struct Window {
    /// The first day, on the brand's clock [default: a year before --to for loyalty and cohorts, else 28 days].
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// The day behind the last one [default: tomorrow].
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// The calendar of months, quarters and years [default: the brand's].
    #[arg(long, value_name = "CALENDAR", value_parser = calendar)]
    calendar: Option<Calendar>,
}

fn calendar(text: &str) -> std::result::Result<Calendar, String> {
    text.parse()
}

impl Window {
    /// The days, where `days` of them come before the last one if nothing is said.
    fn days(&self, app: &App, days: u64) -> Result<(NaiveDate, NaiveDate)> {
        let date = |text: &Option<String>, name: &str| {
            let parsed = text.as_deref().map(parse_date).transpose();
            parsed.map_err(|error| CommandError::Other(format!("{name}: {error}")))
        };
        let tomorrow = local_date(app.settings.brand.timezone, app.clock.now()) + Days::new(1);
        let to = date(&self.to, "--to")?.unwrap_or(tomorrow);
        let from = date(&self.from, "--from")?.unwrap_or(to - Days::new(days));
        if from >= to {
            return Err(CommandError::Other(format!("--from {from} is not before --to {to}, which is not included")));
        }
        Ok((from, to))
    }

    /// The same as instants.
    fn span(&self, app: &App, days: u64) -> Result<(Instant, Instant)> {
        let (from, to) = self.days(app, days)?;
        Ok((local_midnight(app.settings.brand.timezone, from), local_midnight(app.settings.brand.timezone, to)))
    }

    /// Periods of this length by the calendar.
    fn periods(&self, app: &App, unit: Unit) -> Periods {
        let brand = &app.settings.brand;
        Periods { unit, calendar: self.calendar.unwrap_or(brand.calendar), week_begins: week_begins(&brand.locale) }
    }
}

/// Shows a report. JSON is the report itself, CSV its first table.
fn show<T: Defined>(asked: &Asked<'_>, brand: &Brand, report: &T, sheet: &Sheet) -> Result {
    match asked.session.format {
        _ if asked.explain.is_some() => explain(asked, report),
        _ if asked.session.is_page => page(asked, brand, sheet),
        Format::Json => output::json(report),
        Format::Csv => {
            let Some(first) = sheet.tables.first() else { return Ok(()) };
            let rows: Vec<Vec<String>> = first.rows.iter().map(|row| row.iter().map(Cell::exact).collect()).collect();
            output::rows(Format::Csv, &rows, &first.columns, Clone::clone)
        }
        Format::Table => in_lines(sheet),
    }
}

/// Shows what one number of a report is instead of all.
fn explain<T: Defined>(asked: &Asked<'_>, report: &T) -> Result {
    let metric = asked.explain.as_deref().unwrap_or_default();
    let explained = definitions::explain(report, metric).map_err(|known| {
        CommandError::Other(format!("--explain {metric}: this report has no such number; it has {}", known.join(", ")))
    })?;
    if asked.session.is_page {
        return Err(CommandError::Other("--explain has no page; leave out --format html".to_owned()));
    }
    if asked.session.format == Format::Json {
        return output::json(&explained);
    }
    let cells = |value: &Value| match &value.value {
        serde_json::Value::Null => vec![value.of.clone(), "-".to_owned()],
        other => vec![value.of.clone(), other.to_string()],
    };
    if asked.session.format == Format::Table {
        let from: Vec<String> = explained
            .rows
            .iter()
            .map(|rows| format!("{} {}", output::grouped(rows.count.unsigned_abs()), rows.of))
            .collect();
        output::say(&format!("{}: {}\nFrom {}.\n", explained.metric, explained.definition, from.join(" and ")))?;
    }
    output::rows(asked.session.format, &explained.values, &["of", explained.metric], cells)
}

fn page(asked: &Asked<'_>, brand: &Brand, sheet: &Sheet) -> Result {
    let language = asked.language.unwrap_or_else(|| Language::of(&brand.locale));
    output::page(&html::page(sheet, language, &brand.name))
}

fn in_lines(sheet: &Sheet) -> Result {
    let english = |text: &Text| Language::English.text(text, &sheet.currency);
    let all = |texts: &[Text]| texts.iter().map(english).collect::<Vec<_>>();
    output::say(&format!("{}\n{}", english(&sheet.title), all(&sheet.about).join(" ")))?;
    for table in sheet.tables.iter().filter(|table| !table.rows.is_empty()) {
        let shown = table.shown();
        let text = |cell: &Cell| Language::English.cell(cell, &sheet.currency);
        let cells = |row: &Vec<Cell>| shown.iter().filter_map(|place| row.get(*place)).map(text).collect();
        let columns: Vec<&str> = shown.iter().map(|place| table.columns[*place]).collect();
        output::say("")?;
        output::table(&columns, &table.rows.iter().map(cells).collect::<Vec<_>>())?;
    }
    if !sheet.notes.is_empty() {
        output::say(&format!("\n{}", all(&sheet.notes).join("\n")))?;
    }
    Ok(())
}
