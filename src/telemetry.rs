//! Logs: one readable line per event, to stderr; `RUST_LOG` narrows them, `REKINDLE_LOG=json` turns
//! them into JSON. They carry ids, never addresses, numbers, codes or message text.

use tracing_subscriber::EnvFilter;

use crate::settings::environment;

/// Starts logging: warnings, then with each level of verbosity what happens, and everything.
pub fn start(verbose: u8) {
    let default = match verbose {
        // html5ever warns of every template laid out with tables; what lapin meets, the queue reports.
        0 => "warn,html5ever=off,lapin=off",
        1 => "warn,rekindle=info,html5ever=off,lapin=off",
        _ => "info,rekindle=debug,html5ever=off,lapin=off",
    };
    // lapin quotes payloads in its warnings: it stays silent whatever was asked for.
    let asked = environment("RUST_LOG").and_then(|text| format!("{text},lapin=off").parse::<EnvFilter>().ok());
    let filter = asked.unwrap_or_else(|| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // A second start (in tests) changes nothing.
    let _ = if environment("REKINDLE_LOG").as_deref() == Some("json") {
        builder.json().try_init()
    } else {
        builder.with_ansi(false).try_init()
    };
}
