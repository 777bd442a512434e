//! `demo`: a generated shop, one simulated day through the real pipeline, a summary, and where to
//! look next.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant as Stopwatch;

use uuid::Uuid;

use super::output::{self, Progress, complain, grouped};
use super::{CommandError, Result, Session, import};
use crate::app::App;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::domain::calendar::local_midnight;
use crate::domain::message::{Channel, State};
use crate::domain::track::Track;
use crate::files;
use crate::import::Kind;
use crate::rendering::Variables;
use crate::settings::{QueueSetting, Settings};
use crate::store::messages::{self, Filter, Listed};
use crate::store::{gifts, purchases};

mod shop;

/// The simulated day: a Wednesday in spring, 2 Ordibehesht 1405.
const DAY: (i32, u32, u32) = (2026, 4, 22);

#[derive(Debug, clap::Args)]
pub(super) struct Demo {
    /// How many members the shop has.
    #[arg(long, value_name = "N", default_value_t = 3_000, value_parser = clap::value_parser!(u32).range(10..=200_000))]
    members: u32,
    /// Where the shop, its store and its outbox go; what an earlier demo left there is replaced.
    #[arg(long, value_name = "FOLDER", default_value = "var/demo")]
    folder: PathBuf,
}

impl Demo {
    pub(super) async fn execute(self, session: &Session) -> Result {
        let watch = Stopwatch::now();
        self.prepare_folder()?;
        let settings = Arc::new(self.settings(session)?);
        let date = chrono::NaiveDate::from_ymd_opt(DAY.0, DAY.1, DAY.2).unwrap_or_default();
        let from = local_midnight(settings.brand.timezone, date);
        let to = from + chrono::Duration::days(1);
        complain(&format!("Making up a shop of {} members (the same one every time) …", grouped(self.members.into())));
        let files = shop::write(&self.folder, self.members, from).map_err(CommandError::Output)?;
        // The campaigns are live since a month ago; the files tell of the day to come as well.
        let app = App::open_to_send(settings, Clock::simulated(from - chrono::Duration::days(30))).await?;
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
        summary(&app).await?;
        show_three(&app, &catalog).await?;
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
            program = std::env::args().next().unwrap_or_else(|| "rekindle".to_owned()),
            date = date + chrono::Days::new(1),
            next = date + chrono::Days::new(8),
        ))
    }

    fn prepare_folder(&self) -> Result {
        let made_by_a_demo = |path: &std::path::Path| path.join("rekindle.yaml").exists();
        let failed = |what: &str, error: std::io::Error| {
            CommandError::Other(format!("cannot {what} {}: {error}", self.folder.display()))
        };
        if self.folder.exists() {
            let empty = std::fs::read_dir(&self.folder).map_err(|error| failed("read", error))?.next().is_none();
            if !empty && !made_by_a_demo(&self.folder) {
                return Err(CommandError::Other(format!(
                    "{} holds other files; name an empty folder with --folder",
                    self.folder.display()
                )));
            }
            for name in [
                "rekindle.db",
                "rekindle.db-wal",
                "rekindle.db-shm",
                "members.csv",
                "purchases.csv",
                "coupons.csv",
                "rejects.csv",
            ] {
                gone(std::fs::remove_file(self.folder.join(name))).map_err(|error| failed("empty", error))?;
            }
            gone(std::fs::remove_dir_all(self.folder.join("outbox"))).map_err(|error| failed("empty", error))?;
        }
        files::folder(&self.folder).map_err(|error| failed("create", error))
    }

    /// The project's settings on the embedded defaults, in the demo's own folder; written there, so
    /// that other commands can be tried on it.
    fn settings(&self, session: &Session) -> Result<Settings> {
        let mut settings = Settings::load(&session.config, &super::environment)?;
        let absolute = std::path::absolute(&self.folder).map_err(CommandError::Output)?;
        settings.store = format!("sqlite://{}", absolute.join("rekindle.db").display());
        settings.queue = QueueSetting::Embedded;
        settings.outbox = absolute.join("outbox");
        settings.email.smtp.clear();
        settings.sms.providers.clear();
        settings.redirect_all_to = None;
        let text = std::fs::read_to_string(&session.config).map_err(CommandError::Output)?;
        let config = std::path::absolute(&session.config).map_err(CommandError::Output)?;
        let root = config.parent().unwrap_or(&config);
        let own = own_settings(&text, root);
        files::write(&self.folder.join("rekindle.yaml"), own.as_bytes()).map_err(CommandError::Output)?;
        Ok(settings)
    }
}

/// Removing what is not there is as good. A link is removed itself, not what it leads to.
fn gone(removed: std::io::Result<()>) -> std::io::Result<()> {
    match removed {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The settings file with its own store and outbox, and the project's folders.
fn own_settings(text: &str, root: &std::path::Path) -> String {
    let keys = [
        ("store:", "store: sqlite://rekindle.db".to_owned()),
        ("queue:", "queue: embedded".to_owned()),
        ("campaigns:", format!("campaigns: \"{}\"", root.join("campaigns").display())),
        ("occasions:", format!("occasions: \"{}\"", root.join("occasions").display())),
        ("providers:", format!("providers: \"{}\"", root.join("providers").display())),
        ("templates:", format!("templates: \"{}\"", root.join("../templates").display())),
        ("outbox:", "outbox: outbox".to_owned()),
    ];
    let lines = text.lines().map(|line| match keys.iter().find(|(key, _)| line.starts_with(key)) {
        Some((_, own)) => own.clone(),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

/// What was sent, by campaign and channel, and what was not, and why.
async fn summary(app: &App) -> Result {
    let mut tx = app.store.read().await?;
    let counts = messages::counts(&mut tx).await?;
    tx.commit().await?;
    let mut sent: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
    let mut reasons: BTreeMap<&str, i64> = BTreeMap::new();
    for count in &counts {
        let row = sent.entry(&count.campaign).or_default();
        if count.state == State::Sent.as_str() {
            row[usize::from(count.channel == Channel::Sms.as_str())] += count.messages.unsigned_abs();
        } else if !count.reason.is_empty() {
            *reasons.entry(&count.reason).or_default() += count.messages;
        }
    }
    let total = sent.values().fold([0, 0], |sum, row| [sum[0] + row[0], sum[1] + row[1]]);
    let line =
        |name: &str, row: [u64; 2]| vec![name.to_owned(), grouped(row[0]), grouped(row[1]), grouped(row[0] + row[1])];
    let mut rows: Vec<Vec<String>> = sent.iter().map(|(name, row)| line(name, *row)).collect();
    rows.push(line("all", total));
    output::table(&["campaign", "email", "sms", "sent"], &rows)?;
    if !reasons.is_empty() {
        let list: Vec<String> = reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        output::say(&format!("\nNot sent, and why: {}.", list.join(", ")))?;
    }
    Ok(())
}

/// Three of the messages, as a person would see them.
async fn show_three(app: &App, catalog: &Catalog) -> Result {
    let wanted = [("birthday", "email", "en"), ("welcome", "sms", "fa"), ("at-risk", "email", "fa")];
    for (campaign, channel, locale) in wanted {
        let Some(listed) = pick(app, campaign, channel, locale).await? else { continue };
        let Some(shown) = render(app, catalog, &listed).await? else { continue };
        output::say(&format!("\n━━ {campaign}, by {channel} to member {} ━━\n{shown}", listed.member))?;
    }
    output::say("")
}

/// A sent message of the campaign, channel and language, the first by due instant.
async fn pick(app: &App, campaign: &str, channel: &str, locale: &str) -> Result<Option<Listed>> {
    let filter = Filter { campaign: Some(campaign.to_owned()), member: None, state: Some(State::Sent) };
    let mut tx = app.store.read().await?;
    let listed = messages::list(&mut tx, &filter, (i64::MIN, Uuid::nil()), 500).await?;
    for row in listed.into_iter().filter(|row| row.channel.as_deref() == Some(channel)) {
        let member = crate::store::members::by_external_id(&mut tx, &row.member).await?;
        if member.is_some_and(|member| member.locale.as_deref() == Some(locale)) {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

/// The message again, for the terminal.
async fn render(app: &App, catalog: &Catalog, listed: &Listed) -> Result<Option<String>> {
    let mut tx = app.store.read().await?;
    let Some(member) = crate::store::members::by_external_id(&mut tx, &listed.member).await? else { return Ok(None) };
    let all = messages::of_member(&mut tx, member.id).await?;
    let Some(message) = all.iter().find(|message| message.id == listed.id) else { return Ok(None) };
    let orders = purchases::by_ids(&mut tx, message.purchase_id.into_iter().collect()).await?;
    let (Some(campaign), Some(channel)) = (catalog.campaigns.get(&message.campaign), message.channel) else {
        return Ok(None);
    };
    let gift = gifts::of_message(&mut tx, message, campaign).await?;
    tx.commit().await?;
    let Some(step) = campaign.step_index(&message.step).map(|index| &campaign.steps[index]) else { return Ok(None) };
    let variables = Variables {
        brand: &catalog.brand,
        member: &member,
        campaign: &campaign.name,
        message: message.id,
        tokens: &catalog.tokens,
        track: Track::default(),
        step: &message.step,
        due_at: message.due_at,
        years: message.years,
        order: message.purchase_id.and_then(|id| orders.get(&id)),
        gift: gift.as_ref(),
    };
    let content = catalog
        .content(campaign, step, channel, member.address(channel).unwrap_or_default(), &variables)
        .map_err(|error| CommandError::Other(error.to_string()))?;
    Ok(Some(super::preview::shown(&content, campaign)))
}
