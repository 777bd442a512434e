//! Logs: one readable line per event, to stderr; `RUST_LOG` narrows them, `REKINDLE_LOG=json` turns
//! them into JSON. They carry ids, never addresses, numbers, codes or message text.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant as Monotonic;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterFn, LevelFilter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use crate::settings::environment;

/// Libraries that are silent whatever was asked for: they quote mails, templates with what was filled in, payloads or
/// passwords even in warnings. What they meet, whoever uses them reports.
const SILENT: &[&str] =
    &["lapin", "async_imap", "imap_proto", "handlebars", "html5ever", "html2text", "mail_parser", "lettre"];

/// Starts logging: warnings, then with each level of verbosity what happens, and everything.
pub fn start(verbose: u8) {
    let default = match verbose {
        0 => "warn",
        1 => "warn,rekindle=info",
        _ => "info,rekindle=debug",
    };
    let asked = environment("RUST_LOG").and_then(|text| text.parse::<EnvFilter>().ok());
    let allowed = FilterFn::new(|event: &Metadata<'_>| may_say(event.target(), *event.level()))
        .with_max_level_hint(LevelFilter::TRACE);
    let filter = asked.unwrap_or_else(|| EnvFilter::new(default));
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let lines: Box<dyn Layer<_> + Send + Sync> = match environment("REKINDLE_LOG").as_deref() {
        Some("json") => lines.json().boxed(),
        _ => lines.with_ansi(false).boxed(),
    };
    // Both filters are for everything, not for the layer of lines: a library that only asks whether it might say
    // something (as the database driver does) would take the next line of its thread with it.
    // A second start (in tests) changes nothing.
    let _ = tracing_subscriber::registry().with(filter).with(allowed).with(lines).try_init();
}

/// What of a library is written whatever was asked for. Only our own code takes care to name nobody: what others tell
/// step by step holds statements, headers, URLs and mails.
fn may_say(target: &str, level: Level) -> bool {
    let library = target.split("::").next().unwrap_or_default();
    library == "rekindle" || level <= Level::WARN && !SILENT.contains(&library)
}

/// How often trouble that goes on is said again.
const AGAIN: Duration = Duration::from_secs(60);

/// Trouble that lasts, such as a server that is away: said when it begins, once a minute while it goes
/// on, and when it is over. What tries again every second would else fill the logs.
pub struct Trouble {
    /// What does not work meanwhile, as in "dispatching stopped".
    what: String,
    lasting: Option<Lasting>,
}

struct Lasting {
    since: Monotonic,
    said: Monotonic,
    tries: u64,
}

impl Trouble {
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), lasting: None }
    }

    /// A try failed.
    pub fn met(&mut self, error: &dyn Display) {
        let now = Monotonic::now();
        let what = &self.what;
        match &mut self.lasting {
            None => {
                tracing::error!("{what} stopped: {error}; trying again");
                self.lasting = Some(Lasting { since: now, said: now, tries: 1 });
            }
            Some(lasting) => {
                lasting.tries += 1;
                if lasting.said.elapsed() >= AGAIN {
                    let (seconds, tries) = (lasting.since.elapsed().as_secs(), lasting.tries);
                    tracing::error!(seconds, tries, "{what} is still stopped: {error}");
                    lasting.said = now;
                }
            }
        }
    }

    /// A try succeeded.
    pub fn over(&mut self) {
        if let Some(lasting) = self.lasting.take() {
            let (seconds, tries) = (lasting.since.elapsed().as_secs(), lasting.tries);
            tracing::warn!(seconds, tries, "{} goes on", self.what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_code_says_more_than_warnings_whatever_was_asked_for() {
        let check = |target: &str, loudest: Option<Level>| {
            for level in [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE] {
                assert_eq!(may_say(target, level), loudest.is_some_and(|loudest| level <= loudest), "{target} {level}");
            }
        };
        check("rekindle", Some(Level::TRACE));
        check("rekindle::delivery::pace", Some(Level::TRACE));
        for library in ["rekindles", "sqlx", "hyper_util::client", "reqwest", "rustls::conn", "log", ""] {
            check(library, Some(Level::WARN));
        }
        for library in ["handlebars", "html5ever::tree_builder", "lapin", "async_imap", "lettre"] {
            check(library, None);
        }
    }
}
