//! `once`, `once --at T`, `once --from A --to B`.

use super::output::{self, Format, Progress};
use super::{CommandError, Result, Session, instant_of};
use crate::app::{App, Passed};
use crate::clock::Clock;

#[derive(Debug, clap::Args)]
pub(super) struct Once {
    /// Catch up to this instant, on a clock that stands there (senders must be capture or local).
    #[arg(long, value_name = "T", conflicts_with_all = ["from", "to"])]
    at: Option<String>,
    /// Work every instant from here, such as 2026-03-21, …
    #[arg(long, value_name = "T", requires = "to")]
    from: Option<String>,
    /// … up to, not with, this one, at which something falls due, in order.
    #[arg(long, value_name = "T", requires = "from")]
    to: Option<String>,
}

impl Once {
    pub(super) async fn execute(self, session: &Session) -> Result {
        let settings = session.settings()?;
        let latest = self.to.as_ref().or(self.at.as_ref());
        if let Some(text) = latest
            && instant_of(text, &settings, "the time")? > Clock::System.now() + chrono::Duration::days(1)
        {
            output::complain(
                "Note: this works the store as if that day had come, and the store remembers it.\n\
                 Rehearse on a store of its own, such as REKINDLE_STORE=sqlite://var/try.db",
            );
        }
        let passed = match (&self.at, &self.from, &self.to) {
            (_, Some(from), Some(to)) => {
                let from = instant_of(from, &settings, "--from")?;
                let to = instant_of(to, &settings, "--to")?;
                if to <= from {
                    return Err(CommandError::Other("--to is not after --from".to_owned()));
                }
                let app = session.stoppable(App::open_to_send(settings, Clock::simulated(from)).await?);
                let progress =
                    std::sync::Mutex::new(Progress::new("sending", (to - from).num_hours().unsigned_abs().max(1)));
                let passed = app
                    .once_between(from, to, &|_, at| {
                        if let Ok(mut progress) = progress.lock() {
                            progress.at((at - from).num_hours().unsigned_abs());
                        }
                    })
                    .await;
                if let Ok(progress) = progress.into_inner() {
                    progress.finish();
                }
                passed?
            }
            (at, ..) => {
                let clock = match at {
                    Some(at) => Clock::simulated(instant_of(at, &settings, "--at")?),
                    None => Clock::System,
                };
                let app = session.stoppable(App::open_to_send(settings, clock).await?);
                let passed = app.once(&|_| {}).await?;
                app.store.close().await;
                passed
            }
        };
        report(session, &passed)?;
        if passed.stopped { Err(CommandError::Stopped) } else { Ok(()) }
    }
}

fn report(session: &Session, passed: &Passed) -> Result {
    match session.format {
        Format::Json | Format::Csv => output::json(passed),
        Format::Table => {
            let Passed { planned, queued, ended, deferred, outcomes, waiting, .. } = passed;
            output::say(&format!(
                "{planned} fell due; {queued} dispatched, {ended} ended by policy, {deferred} put off; {outcomes} outcomes recorded."
            ))?;
            if *waiting > 0 {
                output::say(&format!("{waiting} wait for their time, a retry, or a campaign that is held."))?;
            }
            output::say("See `rekindle messages` and `rekindle status`.")
        }
    }
}
