//! `demo`: a generated shop, one simulated day or many of them through the real pipeline, a summary, and where to
//! look next.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant as Stopwatch;

use chrono::{Days, Duration, NaiveDate};

use super::output::{self, Progress, complain, grouped};
use super::{CommandError, Result, Session, import};
use crate::app::App;
use crate::clock::Clock;
use crate::domain::Instant;
use crate::domain::calendar::local_midnight;
use crate::import::Kind;
use crate::settings::Settings;

mod behaviour;
mod campaigns;
mod dice;
mod doors;
mod earned;
mod folder;
mod shop;
mod summary;
mod truth;
mod year;

use shop::Shop;
use year::Year;

/// The last simulated day: a Wednesday in spring, 2 Ordibehesht 1405.
const DAY: (i32, u32, u32) = (2026, 4, 22);

/// How many members the shop has, where nobody says it: of one day, and of more.
const MEMBERS: u32 = 3_000;
const MEMBERS_OF_A_YEAR: u32 = 2_000;

#[derive(Debug, clap::Args)]
pub(super) struct Demo {
    /// How many members the shop has [default: 3000; 2000 with --days].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(10..=200_000))]
    members: Option<u32>,
    /// So many days, in which members open, click, buy because of messages, and complain: 365 for a year that
    /// `report` can tell about.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=366))]
    days: u32,
    /// Where the shop, its store and its outbox go; what an earlier demo left there is replaced.
    #[arg(long, value_name = "FOLDER", default_value = "var/demo")]
    folder: PathBuf,
}

/// The program as it was called.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "rekindle".to_owned())
}

impl Demo {
    pub(super) async fn execute(self, session: &Session) -> Result {
        let watch = Stopwatch::now();
        folder::prepare(&self.folder)?;
        let settings = Arc::new(folder::settings(session, &self.folder, self.days > 1)?);
        let date = NaiveDate::from_ymd_opt(DAY.0, DAY.1, DAY.2).unwrap_or_default();
        if self.days > 1 {
            self.many(session, settings, date, watch).await
        } else {
            self.one(session, settings, date, watch).await
        }
    }

    fn shop(&self, default: u32, day: Instant) -> Shop {
        let members = self.members.unwrap_or(default);
        complain(&format!("Making up a shop of {} members (the same one every time) …", grouped(members.into())));
        Shop::make(members, day)
    }

    async fn one(&self, session: &Session, settings: Arc<Settings>, date: NaiveDate, watch: Stopwatch) -> Result {
        let from = local_midnight(settings.brand.timezone, date);
        let to = from + Duration::days(1);
        let files = self.shop(MEMBERS, from).write(&self.folder, 50).map_err(CommandError::Output)?;
        // The campaigns are live since a month ago; the files tell of the day to come as well.
        let app = App::open_to_send(settings, Clock::simulated(from - Duration::days(30))).await?;
        let app = session.stoppable(app);
        app.clock.set(to);
        let rejects = self.folder.join("rejects.csv");
        let people = import::import(&app, Kind::Members, "members", &files.members, &rejects).await?;
        let orders = import::import(&app, Kind::Purchases, "purchases", &files.purchases, &rejects).await?;
        import::import(&app, Kind::Coupons { pool: None }, "codes", &files.coupons, &rejects).await?;
        let mut progress = Progress::new("one day goes by", 24);
        let shared = std::sync::Mutex::new(&mut progress);
        let passed = app
            .once_between(from, to, &|_, at| {
                if let Ok(mut progress) = shared.lock() {
                    progress.at((at - from).num_hours().clamp(0, 24).unsigned_abs());
                }
            })
            .await;
        progress.finish();
        if passed?.stopped {
            return Err(CommandError::Stopped);
        }

        let catalog = app.applied(None).await?;
        output::say(&format!(
            "\nA day at {}: {} members, {} orders; {} by the shop's clock.\n",
            catalog.brand.name,
            grouped(people.inserted),
            grouped(orders.inserted),
            date.format("%A %-d %B %Y")
        ))?;
        summary::sent(&app).await?;
        summary::show_three(&app, &catalog).await?;
        let folder = self.folder.display();
        output::say(&format!(
            "Nothing left this machine. All of it took {:.1} s. Look further:\n\n  \
             {folder}/outbox/email/           every mail as a file that a mail program opens\n  \
             {folder}/outbox/sms.jsonl        every SMS, a line each\n  \
             {folder}/members.csv             the shop, as a file that `rekindle import members` reads\n  \
             config/campaigns/                the campaigns that did this: change one, run the demo again\n\n  \
             {program} --config {folder}/rekindle.yaml plan --from {date} --to {next}\n      \
             what goes out in the week after\n  \
             {program} --config {folder}/rekindle.yaml explain --member M00007 --at {date}\n      \
             why one member gets what\n  \
             {program} --config {folder}/rekindle.yaml gifts list\n      \
             who got which coupon\n",
            watch.elapsed().as_secs_f64(),
            program = program(),
            date = date + Days::new(1),
            next = date + Days::new(8),
        ))
    }

    /// So many days, of which the last is the same as the one of [`Self::one`].
    async fn many(&self, session: &Session, settings: Arc<Settings>, date: NaiveDate, watch: Stopwatch) -> Result {
        let zone = settings.brand.timezone;
        let last = local_midnight(zone, date);
        let first = date - Days::new(u64::from(self.days) - 1);
        let (from, to) = (local_midnight(zone, first), last + Duration::days(1));
        let shop = self.shop(MEMBERS_OF_A_YEAR, last);
        let files = shop.write(&self.folder, 1).map_err(CommandError::Output)?;
        let app = App::open_to_send(settings, Clock::simulated(from - Duration::days(30))).await?;
        let app = session.stoppable(app);
        let rejects = self.folder.join("rejects.csv");
        import::import(&app, Kind::Coupons { pool: None }, "codes", &files.coupons, &rejects).await?;
        let members = shop.members.len() as u64;
        let mut year = Year::new(&app, &self.folder, shop).await?;
        year.pass(from, to).await?;
        let catalog = app.applied(None).await?;
        output::say(&format!(
            "\n{} days at {}, until {} by the shop's clock: {} members, {} orders.\n",
            self.days,
            catalog.brand.name,
            date.format("%A %-d %B %Y"),
            grouped(members),
            grouped(year.orders()),
        ))?;
        summary::sent(&app).await?;
        earned::show(&app, &catalog, &year.caused, to, &self.folder).await?;
        let next = date + Days::new(1);
        earned::look_further(&self.folder, &program(), next, watch.elapsed().as_secs_f64())
    }
}
