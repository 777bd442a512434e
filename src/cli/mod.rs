//! The command line: what can be asked, and who answers. One file per command.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};

use crate::actions::ActionError;
use crate::app::{App, AppError};
use crate::clock::Clock;
use crate::document::Problems;
use crate::domain::Instant;
use crate::domain::calendar::{parse_instant, rfc3339};
use crate::domain::text::{ascii_digits, clean};
use crate::import::ImportError;
use crate::settings::{Settings, SettingsError, environment};
use crate::store::StoreError;
use crate::views::ViewError;

mod audit;
mod bounces;
mod by_hand;
mod campaigns;
mod check;
mod demo;
mod dkim;
mod explain;
mod export;
mod forecast;
mod gifts;
mod import;
mod members;
mod messages;
mod migrate;
mod model;
mod names;
mod nightly;
mod once;
mod output;
mod plan;
mod preview;
mod replies;
mod report;
mod restored;
mod run;
mod segments;
mod status;
mod stop;
mod suppressions;
mod versions;

use output::{Format, Printed};
use stop::Stop;

/// Rekindle brings a shop's customers back: it finds the moments that matter, sends each member one
/// personal message, and never the same one twice.
#[derive(Debug, Parser)]
#[command(name = "rekindle", version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Start with `rekindle demo`. Then: import members, `rekindle plan`, `rekindle run`.\nREADME.md tells the first campaign step by step, docs/reference.md every key."
)]
struct Arguments {
    /// The settings file.
    #[arg(long, global = true, value_name = "FILE", default_value = "config/rekindle.yaml")]
    config: PathBuf,
    /// How data is printed; html is for reports.
    #[arg(long, global = true, value_enum, default_value_t = Printed::Table)]
    format: Printed,
    /// Log more: once for what happens, twice for everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show it all on a generated shop: one simulated day, nothing installed, nothing sent.
    Demo(demo::Demo),
    /// Check settings, campaigns, providers and templates; say where to mend what.
    Check,
    /// Show the DNS records that publish the keys by which mail is signed.
    Dkim,
    /// Bring the store's schema up to date.
    Migrate,
    /// Apply, propose, list, pause, resume and approve campaigns, count their audiences, and look back at what they were.
    #[command(subcommand)]
    Campaigns(campaigns::Campaigns),
    /// Compute what divides the members into groups.
    #[command(subcommand)]
    Segments(segments::Segments),
    /// Bring members, purchases and suppressions in from CSV files.
    #[command(subcommand)]
    Import(import::Import),
    /// Show, erase, readmit, merge and pause members; write their consents down.
    #[command(subcommand)]
    Members(members::Members),
    /// Close addresses, and open them again.
    #[command(subcommand)]
    Suppressions(suppressions::Suppressions),
    /// Say who changed what, and when.
    Audit(audit::Audit),
    /// Write out who must not be written to, who objected, and who consented to what.
    #[command(subcommand)]
    Export(export::Export),
    /// Bring coupon codes in, and see who was given what.
    #[command(subcommand)]
    Gifts(gifts::Gifts),
    /// Fit and show the model of all customers, which tells who is slipping away.
    #[command(subcommand)]
    Model(model::Model),
    /// Say what would be sent, to whom and when; send nothing, change nothing.
    Plan(plan::Plan),
    /// Say why a member gets, or does not get, each campaign's message.
    Explain(explain::Explain),
    /// Show a campaign's message as one member would get it.
    Preview(preview::Preview),
    /// What was earned, and whether it was the campaign that did it.
    Report(report::Reports),
    /// What is done once a night, now: counts are checked, orders credited, scores and models fitted anew.
    Nightly,
    /// One full pass: scan, dispatch and send until nothing is due.
    Once(once::Once),
    /// The service. Stops gracefully on SIGTERM and Ctrl-C.
    Run(run::Run),
    /// Say that the store was restored from a backup, so that nothing is sent twice.
    Restored(restored::Restored),
    /// Read mails that came back: say what they are, or act on them.
    #[command(subcommand)]
    Bounces(bounces::Bounces),
    /// List what members wrote that nobody understood by itself, for 30 days; mark it as read.
    Replies(replies::Replies),
    /// List the ledger of messages.
    Messages(messages::Messages),
    /// Show what is in the store, what waits, and what needs somebody.
    Status,
}

/// Why a command failed; printed to stderr, exit code 1.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Invalid(#[from] Problems),
    #[error(transparent)]
    App(#[from] AppError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    View(#[from] ViewError),
    #[error(transparent)]
    Action(#[from] ActionError),
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error("cannot write: {0}")]
    Output(#[from] std::io::Error),
    #[error("{0}")]
    Other(String),
    /// A mail that could not be taken now; whoever brought it tries again.
    #[error("{0}")]
    TryAgain(String),
    /// The message was printed already.
    #[error("")]
    Silent,
    #[error("stopped by a signal; what was begun is finished or undone, and the same command goes on from there")]
    Stopped,
}

type Result<T = ()> = std::result::Result<T, CommandError>;

/// What every command starts from.
struct Session {
    config: PathBuf,
    format: Format,
    /// Whether a page is printed instead, which only reports are.
    is_page: bool,
    stop: Stop,
}

impl Session {
    fn settings(&self) -> Result<Arc<Settings>> {
        Ok(Arc::new(Settings::load(&self.config, &environment)?))
    }

    /// The store, for reading and importing.
    async fn open(&self) -> Result<App> {
        Ok(self.stoppable(App::open(self.settings()?, Clock::System).await?))
    }

    /// Lets signals stop what the program does.
    fn stoppable(&self, mut app: App) -> App {
        app.stop = self.stop.token.clone();
        app
    }
}

/// Parses the command line, runs the command, and gives the exit code: 0, 1 for an error, 2 for
/// wrong usage, 130 or 143 where Ctrl-C or SIGTERM ended it before it was done.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let is_service = matches!(arguments.command, Command::Run(_));
    crate::telemetry::start(arguments.verbose + u8::from(is_service));
    // TLS libraries find their cryptography here; a second start (in tests) changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::complain(&format!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let (done, stopped) = runtime.block_on(async {
        match Stop::listen(arguments.command.only_reads()) {
            Ok(stop) => (execute(arguments, stop.clone()).await, stop.code()),
            Err(error) => (Err(error), 0),
        }
    });
    // Nobody waits for a read of stdin that never ends.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output closed it, like `head`.
        Err(CommandError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            if !matches!(error, CommandError::Silent) {
                output::complain(&error.to_string());
            }
            match error {
                // EX_TEMPFAIL of sysexits.h.
                CommandError::TryAgain(_) => ExitCode::from(75),
                CommandError::Stopped | CommandError::Import(ImportError::Stopped { .. }) => ExitCode::from(stopped),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

impl Command {
    /// Whether it may end at any moment.
    const fn only_reads(&self) -> bool {
        matches!(
            self,
            Self::Check
                | Self::Dkim
                | Self::Plan(_)
                | Self::Explain(_)
                | Self::Preview(_)
                | Self::Messages(messages::Messages { by_hand: None, .. })
                | Self::Export(_)
                | Self::Report(_)
                | Self::Members(members::Members::Show { .. })
                | Self::Status
                | Self::Bounces(bounces::Bounces::Classify(_))
        )
    }

    /// Whether it ends by itself where it can go on later; the others are whole or undone.
    const fn stops_by_itself(&self) -> bool {
        matches!(
            self,
            Self::Run(_)
                | Self::Once(_)
                | Self::Demo(_)
                | Self::Import(_)
                | Self::Gifts(gifts::Gifts::Import { .. })
                | Self::Bounces(_)
        )
    }
}

async fn execute(arguments: Arguments, stop: Stop) -> Result {
    let is_page = arguments.format == Printed::Html;
    if is_page && !matches!(arguments.command, Command::Report(_)) {
        return Err(CommandError::Other("--format html is for reports: `rekindle report … --format html`".to_owned()));
    }
    let by_itself = arguments.command.stops_by_itself();
    let format = arguments.format.format().unwrap_or(Format::Table);
    let session = Session { config: arguments.config, format, is_page, stop: stop.clone() };
    let command = Box::pin(answer(arguments.command, &session));
    if by_itself { command.await } else { stop.or(command).await }
}

async fn answer(command: Command, session: &Session) -> Result {
    match command {
        Command::Demo(command) => command.execute(session).await,
        Command::Check => check::execute(session).await,
        Command::Dkim => dkim::execute(session),
        Command::Migrate => migrate::execute(session).await,
        Command::Campaigns(command) => command.execute(session).await,
        Command::Segments(command) => command.execute(session).await,
        Command::Gifts(command) => command.execute(session).await,
        Command::Import(command) => command.execute(session).await,
        Command::Model(command) => command.execute(session).await,
        Command::Plan(command) => command.execute(session).await,
        Command::Explain(command) => command.execute(session).await,
        Command::Preview(command) => command.execute(session).await,
        Command::Once(command) => command.execute(session).await,
        Command::Run(command) => command.execute(session).await,
        Command::Restored(command) => command.execute(session).await,
        Command::Bounces(command) => command.execute(session).await,
        Command::Members(command) => command.execute(session).await,
        Command::Suppressions(command) => command.execute(session).await,
        Command::Audit(command) => command.execute(session).await,
        Command::Export(command) => command.execute(session).await,
        Command::Report(command) => command.execute(session).await,
        Command::Replies(command) => command.execute(session).await,
        Command::Messages(command) => command.execute(session).await,
        Command::Status => status::execute(session).await,
        Command::Nightly => nightly::execute(session).await,
    }
}

/// Reads an instant of the command line: RFC 3339, or a date or time on the brand's clock.
fn instant_of(text: &str, settings: &Settings, name: &str) -> Result<Instant> {
    parse_instant(text, settings.brand.timezone).map_err(|error| CommandError::Other(format!("{name}: {error}")))
}

/// Reads a member's id as an import does, so that the two are the same.
fn member_id(text: &str) -> std::result::Result<String, String> {
    Ok(ascii_digits(&clean(text)))
}
