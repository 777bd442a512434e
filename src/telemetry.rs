//! Logs: one readable line per event, to stderr; `RUST_LOG` narrows them, `REKINDLE_LOG=json` turns
//! them into JSON. They carry ids, never addresses, numbers, codes or message text.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant as Monotonic;
use tracing_subscriber::EnvFilter;

use crate::settings::environment;

/// Who is silent whatever was asked for: lapin quotes payloads, async-imap passwords and mails. What they meet, the
/// queue and the mailbox report.
const SILENT: &[&str] = &["lapin", "async_imap"];

/// Starts logging: warnings, then with each level of verbosity what happens, and everything.
pub fn start(verbose: u8) {
    let default = match verbose {
        // html5ever warns of every template laid out with tables.
        0 => "warn,html5ever=off",
        1 => "warn,rekindle=info,html5ever=off",
        _ => "info,rekindle=debug,html5ever=off",
    };
    let asked = environment("RUST_LOG").and_then(|text| silenced(&text).parse::<EnvFilter>().ok());
    let filter = asked.unwrap_or_else(|| EnvFilter::new(silenced(default)));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // A second start (in tests) changes nothing.
    let _ = if environment("REKINDLE_LOG").as_deref() == Some("json") {
        builder.json().try_init()
    } else {
        builder.with_ansi(false).try_init()
    };
}

/// The directives without those that name somebody silent, or a part of one, who would have the last word.
fn silenced(directives: &str) -> String {
    let loud = directives.split(',').map(str::trim).filter(|directive| {
        !directive.is_empty() && !SILENT.iter().any(|name| directive.trim_start_matches(['[', '"']).starts_with(name))
    });
    let off = SILENT.iter().map(|name| format!("{name}=off"));
    loud.map(str::to_owned).chain(off).collect::<Vec<_>>().join(",")
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
    fn who_quotes_secrets_is_silent_whatever_was_asked_for() {
        let check = |asked: &str, expected: &str| assert_eq!(silenced(asked), expected, "{asked}");
        check("trace", "trace,lapin=off,async_imap=off");
        check("info, async_imap[span]=trace", "info,lapin=off,async_imap=off");
        check("lapin=debug,rekindle=debug", "rekindle=debug,lapin=off,async_imap=off");
        check("", "lapin=off,async_imap=off");
    }
}
