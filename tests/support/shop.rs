//! A shop for a test: settings, campaigns and templates in a folder of its own, and Rekindle at work
//! on it, on the store and the queue of the target's size.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use rekindle::app::{App, Passed};
use rekindle::clock::Clock;
use rekindle::domain::Instant;
use rekindle::domain::calendar::parse_date;
use rekindle::domain::text::ascii_digits;
use rekindle::import::{Import, ImportError, Imported, Kind};
use rekindle::settings::Settings;
use rekindle::store::messages::{self, Filter, Listed};
use rekindle::store::{Store, StoreError, configuration, daily, stretches};
use rekindle::views::plan;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Folder;

/// What a shop runs on; the default is embedded.
#[derive(Debug, Clone)]
pub struct Size {
    pub store: String,
    pub queue: String,
    /// The mail server's port on the loopback address; without one mails are captured.
    pub smtp: Option<u16>,
}

impl Default for Size {
    fn default() -> Self {
        Self { store: "sqlite://rekindle.db".to_owned(), queue: "embedded".to_owned(), smtp: None }
    }
}

/// A brand in UTC that is never quiet and has no cap.
pub const PLAIN: &str = "{ name: Shop, timezone: UTC, locale: en, base_url: \"https://shop.example\" }";

/// A shop with nothing in it. [`Shop::close`] ends what it has open.
pub struct Shop {
    pub folder: Folder,
    size: Size,
    brand: String,
    /// Further lines of the settings.
    more: String,
    /// The keys of `email` but `from`, where the size does not say them.
    email: Option<String>,
    templates: PathBuf,
    /// The store, once it was asked for.
    store: tokio::sync::OnceCell<Store>,
}

/// One message that is sent: member, campaign, step, channel, `due_at`.
pub type Sent = (String, String, String, String, i64);

impl Shop {
    /// With one content, `note`, of all parts.
    pub fn new(size: &Size, brand: &str) -> Self {
        let folder = Folder::new();
        let templates = folder.0.join("templates");
        let shop = Self {
            folder,
            size: size.clone(),
            brand: brand.to_owned(),
            more: String::new(),
            email: None,
            templates,
            store: tokio::sync::OnceCell::new(),
        };
        shop.write("templates/note/subject.txt", "{{campaign.name}} {{message.step}}");
        shop.write("templates/note/email.html", "<html><body><p>Hello {{member.first_name}}</p></body></html>");
        shop.write("templates/note/sms.txt", "Hello {{member.first_name}}");
        shop.write("campaigns/.keep", "");
        shop
    }

    /// With the templates of the package.
    pub fn with_templates(size: &Size, brand: &str) -> Self {
        let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        Self { templates, ..Self::new(size, brand) }
    }

    /// Adds lines to the settings.
    pub fn with_settings(self, more: &str) -> Self {
        Self { more: more.to_owned(), ..self }
    }

    /// Sends mail as these keys of `email` say.
    pub fn with_email(self, keys: &str) -> Self {
        Self { email: Some(keys.to_owned()), ..self }
    }

    /// Writes a file below the shop's folder; gives its path.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Writes a campaign file: its name, `status: live`, the content `note`, mail and SMS, and
    /// what `rest` says.
    pub fn campaign(&self, name: &str, rest: &str) {
        let default = |key: &str, line: &str| {
            if rest.lines().any(|other| other.starts_with(key)) { String::new() } else { format!("{line}\n") }
        };
        let text = [
            format!("name: {name}\n"),
            default("status:", "status: live"),
            default("starts_at:", "starts_at: 2000-01-01T00:00:00Z"),
            default("channels:", "channels: [email, sms]"),
            default("content:", "content: note"),
            rest.to_owned(),
            "\n".to_owned(),
        ];
        self.write(&format!("campaigns/{name}.yaml"), text.concat());
    }

    pub fn settings(&self) -> Arc<Settings> {
        let file = self.folder.0.join("rekindle.yaml");
        let text = self.settings_text();
        Arc::new(Settings::parse(&file, &text, &|_| None).unwrap_or_else(|problems| panic!("{problems}")))
    }

    /// The settings file of a program that works on this shop.
    pub fn settings_text(&self) -> String {
        let sender = match self.size.smtp {
            _ if self.email.is_some() => self.email.clone().unwrap_or_default(),
            Some(port) => format!("sender: smtp, smtp: {{ host: 127.0.0.1, port: {port}, connections: 8 }}"),
            None => "sender: capture".to_owned(),
        };
        format!(
            "store: {}\nqueue: {}\nbrand: {}\nemail: {{ {sender}, from: \"Shop <hello@shop.example>\" }}\ntemplates: {}\noutbox: outbox\n{}",
            self.size.store,
            self.size.queue,
            self.brand,
            self.templates.display(),
            self.more
        )
    }

    /// The migrated store.
    pub async fn store(&self) -> &Store {
        let open = async || {
            let store = Store::open(&self.settings().store, 4).await.unwrap();
            store.migrate().await.unwrap();
            store
        };
        self.store.get_or_init(open).await
    }

    /// Counts anew what a test has changed behind the ledger's back.
    pub async fn recount(&self) {
        let store = self.store().await;
        let differs = differs(store).await;
        let mut tx = store.begin().await.unwrap();
        daily::mend(&mut tx, &differs);
        tx.commit().await.unwrap();
    }

    /// Whatever a test did, the counts of its messages are those that the messages say.
    pub async fn close(&self) {
        if let Some(store) = self.store.get() {
            let differs = differs(store).await;
            // Some tests leave a store that cannot be read.
            let _ = check_stretches(store).await;
            store.close().await;
            assert!(differs.is_empty(), "counts that are not what the messages say: {differs:#?}");
        }
    }

    /// Imports a file's text when all that happened by then stands in it; what is rejected goes to `rejects.csv`.
    pub async fn try_import(&self, kind: Kind<'_>, text: impl AsRef<[u8]>) -> Result<Imported, ImportError> {
        let now = written_at(&String::from_utf8_lossy(text.as_ref()));
        self.import_at(kind, text, &now).await
    }

    /// The same at an instant.
    pub async fn import_at(&self, kind: Kind<'_>, text: impl AsRef<[u8]>, now: &str) -> Result<Imported, ImportError> {
        let settings = self.settings();
        let file = self.write("import.csv", text);
        let import = Import {
            store: self.store().await,
            brand: &settings.brand,
            clock: &Clock::simulated(at(now)),
            file: &file,
            rejects: self.folder.0.join("rejects.csv"),
            stop: &CancellationToken::new(),
        };
        import.run(kind, &mut |_| {}).await
    }

    /// The same for a file of which every row is good.
    pub async fn import(&self, kind: Kind<'_>, text: impl AsRef<[u8]>) -> Imported {
        let imported = self.try_import(kind, text).await.unwrap();
        let rejects = std::fs::read_to_string(self.folder.0.join("rejects.csv")).unwrap_or_default();
        assert_eq!(imported.rejected, 0, "{rejects}");
        imported
    }

    /// A process that may send, at an instant.
    pub async fn app(&self, now: Instant) -> App {
        App::open_to_send(self.settings(), Clock::simulated(now)).await.unwrap_or_else(|error| panic!("{error}"))
    }

    pub async fn once(&self, now: &str) -> Passed {
        let app = self.app(at(now)).await;
        let passed = app.once(&|_| {}).await.unwrap();
        self.assert_settled(&app.store).await;
        app.store.close().await;
        passed
    }

    /// A pass on the machine's clock.
    pub async fn once_now(&self) -> Passed {
        let app = App::open_to_send(self.settings(), Clock::System).await.unwrap_or_else(|error| panic!("{error}"));
        let passed = app.once(&|_| {}).await.unwrap();
        self.assert_settled(&app.store).await;
        app.store.close().await;
        passed
    }

    pub async fn once_between(&self, from: &str, to: &str) -> Passed {
        let app = self.app(at(from)).await;
        let passed = Box::pin(app.once_between(at(from), at(to), &|_, _| {})).await.unwrap();
        self.assert_settled(&app.store).await;
        app.store.close().await;
        passed
    }

    /// Nothing is under way, and `planned` lists exactly the messages that are planned.
    async fn assert_settled(&self, store: &Store) {
        let sql = "SELECT (SELECT COUNT(*) FROM pending WHERE dispatch_no IS NOT NULL) + (SELECT COUNT(*) FROM messages WHERE state = 'queued'), \
            (SELECT COUNT(*) FROM messages m WHERE m.state = 'planned' AND NOT EXISTS \
            (SELECT 1 FROM pending p WHERE p.message_id = m.id AND p.dispatch_no IS NULL AND p.next_at = m.next_at)), \
            (SELECT COUNT(*) FROM pending p JOIN messages m ON m.id = p.message_id WHERE p.dispatch_no IS NULL AND m.state <> 'planned')";
        let found: (i64, i64, i64) = match store {
            Store::Sqlite { readers: pool, .. } => sqlx::query_as(sql).fetch_one(pool).await.unwrap(),
            Store::Postgres(pool) => sqlx::query_as(sql).fetch_one(pool).await.unwrap(),
        };
        assert_eq!(found, (0, 0, 0), "(under way, planned but not listed, listed but not planned)");
    }

    /// Everything that falls due in the window and is not sent yet: what would go, and the rest
    /// with its reason.
    pub async fn plan(&self, from: &str, to: &str) -> Vec<plan::Planned> {
        let app = App::open(self.settings(), Clock::simulated(at(from))).await.unwrap();
        let catalog = app.catalog().await.unwrap_or_else(|error| panic!("{error}"));
        let mut all = Vec::new();
        plan::plan(&app.store, &catalog, at(from), at(to), &mut |planned| all.push(planned), &mut |_| {})
            .await
            .unwrap();
        app.store.close().await;
        all
    }

    /// What a plan would send.
    pub async fn planned(&self, from: &str, to: &str) -> Vec<Sent> {
        let to_send = self.plan(from, to).await.into_iter().filter(|planned| planned.reason.is_none());
        let key = |p: plan::Planned| {
            (p.member, p.campaign, p.step, p.channel.unwrap().to_string(), p.due_at.timestamp_millis())
        };
        sorted(to_send.map(key).collect())
    }

    /// Every message, in the order of `due_at`.
    pub async fn ledger(&self) -> Vec<Listed> {
        let mut tx = self.store().await.read().await.unwrap();
        let mut all: Vec<Listed> = Vec::new();
        loop {
            let after = all.last().map_or((i64::MIN, Uuid::nil()), |last| (last.due_at, last.id));
            let page = messages::list(&mut tx, &Filter::default(), after, 5_000).await.unwrap();
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }

    /// What the ledger says was sent, of what fell due in [from, to).
    pub async fn sent_between(&self, from: &str, to: &str) -> Vec<Sent> {
        let (from, to) = (at(from).timestamp_millis(), at(to).timestamp_millis());
        let rows = self.ledger().await.into_iter().filter(|row| row.state == "sent");
        let rows = rows.filter(|row| (from..to).contains(&row.due_at));
        sorted(rows.map(|row| (row.member, row.campaign, row.step, row.channel.unwrap(), row.due_at)).collect())
    }

    /// `member campaign step state reason` of every message, sorted.
    pub async fn states(&self) -> Vec<String> {
        let line = |row: &Listed| {
            let reason = row.reason.as_deref().unwrap_or("-");
            format!("{} {} {} {} {reason}", row.member, row.campaign, row.step, row.state)
        };
        let mut lines: Vec<String> = self.ledger().await.iter().map(line).collect();
        lines.sort();
        lines
    }

    /// Changes the store as an operator or an importer would, in one transaction.
    pub async fn write_store(&self, change: impl AsyncFnOnce(&mut rekindle::store::Tx)) {
        let mut tx = self.store().await.begin().await.unwrap();
        change(&mut tx).await;
        tx.commit().await.unwrap();
    }

    pub async fn pause_all(&self, paused: bool) {
        self.write_store(async |tx| configuration::pause_all(tx, paused.then_some("a test")).await.unwrap()).await;
    }

    pub async fn pause(&self, campaign: &str, paused: bool) {
        self.write_store(async |tx| assert!(configuration::pause(tx, campaign, paused).await.unwrap())).await;
    }

    pub async fn approve(&self, campaign: &str, until: &str) {
        let until = at(until);
        self.write_store(async |tx| assert!(configuration::approve(tx, campaign, until).await.unwrap())).await;
    }

    /// The captured mails, by message.
    pub fn mails(&self) -> BTreeMap<String, String> {
        let Ok(entries) = std::fs::read_dir(self.folder.0.join("outbox/email")) else { return BTreeMap::new() };
        let paths = entries.map(|entry| entry.unwrap().path());
        let eml = paths.filter(|path| path.extension().is_some_and(|ending| ending == "eml"));
        let stem = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
        eml.map(|path| (stem(&path), std::fs::read_to_string(&path).unwrap())).collect()
    }

    /// The captured SMS, one a line.
    pub fn sms(&self) -> Vec<serde_json::Value> {
        let lines = std::fs::read_to_string(self.folder.0.join("outbox/sms.jsonl")).unwrap_or_default();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The beginning of the latest day in a file, from 2020 on.
fn written_at(file: &str) -> String {
    let plain = ascii_digits(file);
    let date = |at: usize| parse_date(plain.get(at..at + 10).filter(|text| text.starts_with(['1', '2']))?).ok();
    let latest = (0..plain.len()).filter_map(date).max().unwrap_or_default();
    let day = latest.max(chrono::NaiveDate::from_ymd_opt(2020, 1, 1).unwrap());
    format!("{day}T00:00:00Z")
}

/// An instant, as RFC 3339.
pub fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

pub fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort();
    list
}

/// Fails with the first differences between two sorted lists.
pub fn assert_same<T: Ord + Clone + std::fmt::Debug>(name: &str, found: &[T], wanted: &[T]) {
    let extra = without(found, wanted);
    let missing = without(wanted, found);
    let first = |list: &[T]| list.iter().take(5).map(|item| format!("\n    {item:?}")).collect::<String>();
    assert!(
        extra.is_empty() && missing.is_empty(),
        "{name}: {} too many:{}\n  {} missing:{}",
        extra.len(),
        first(&extra),
        missing.len(),
        first(&missing)
    );
}

/// What is in a list more often than in another one.
pub fn without<T: Ord + Clone>(list: &[T], other: &[T]) -> Vec<T> {
    let mut left: BTreeMap<&T, usize> = BTreeMap::new();
    for item in other {
        *left.entry(item).or_default() += 1;
    }
    let mut rest = Vec::new();
    for item in list {
        match left.get_mut(item) {
            Some(count) if *count > 0 => *count -= 1,
            _ => rest.push(item.clone()),
        }
    }
    rest
}

/// Small numbers that look random and are the same in every run (SplitMix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `sides` - 1.
    pub fn below(&mut self, sides: u64) -> u64 {
        self.roll() % sides
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[usize::try_from(self.below(list.len() as u64)).unwrap()]
    }

    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for index in (1..list.len()).rev() {
            list.swap(index, usize::try_from(self.below(index as u64 + 1)).unwrap());
        }
    }
}

/// Whether somebody waits for a row that another transaction holds; on SQLite the next writer waits before it begins.
async fn somebody_waits(store: &Store) -> bool {
    let sql = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    match store {
        // Not in a transaction, which would see the same sessions each time.
        Store::Postgres(pool) => sqlx::query_scalar::<_, i64>(sql).fetch_one(pool).await.unwrap() > 0,
        Store::Sqlite { .. } => true,
    }
}

/// Lets something go on until it waits for what another transaction holds; it may not end before.
pub async fn until_it_waits(store: &Store, mut work: Pin<&mut impl Future<Output = ()>>) {
    loop {
        tokio::select! {
            () = work.as_mut() => panic!("it waits for nobody"),
            waits = somebody_waits(store) => if waits { break },
        }
    }
}

/// What is added up of days that are over is what these days have.
async fn check_stretches(store: &Store) -> Result<(), StoreError> {
    let mut tx = store.read().await?;
    let campaigns = daily::campaigns(&mut tx).await?;
    for closed in stretches::read(&mut tx, &campaigns, (0, 100_000)).await? {
        let days = daily::stored(&mut tx, &closed.campaign, (closed.day, closed.next())).await?;
        let (mut of_days, mut added_up) = (BTreeMap::new(), BTreeMap::new());
        let add = |to: &mut BTreeMap<[String; 7], (i64, i64)>, key, n, amount| {
            let sum = to.entry(key).or_default();
            *sum = (sum.0 + n, sum.1 + amount);
        };
        for daily::Row { key, count } in days {
            let daily::Key { step, arm, channel, locale, domain, fact, reason, .. } = key;
            add(&mut of_days, [step, arm, channel, locale, domain, fact, reason], count.n, count.amount);
        }
        for stretches::Item(step, arm, channel, locale, domain, fact, reason, n, amount) in closed.items().unwrap() {
            let key = [step, arm, channel, locale, domain, fact, reason].map(String::from);
            add(&mut added_up, key, n, amount);
        }
        of_days.retain(|_, sum| *sum != (0, 0));
        assert_eq!(added_up, of_days, "{} from day {}", closed.campaign, closed.day);
    }
    tx.commit().await
}

/// The counts of a store that are not what its messages say; none where a test has made it unreadable.
pub async fn differs(store: &Store) -> Vec<daily::Differs> {
    let read = async {
        let mut tx = store.read().await?;
        let mut all = Vec::new();
        for campaign in daily::campaigns(&mut tx).await? {
            all.extend(daily::compare(&mut tx, &campaign, (0, 100_000)).await?);
        }
        tx.commit().await?;
        Ok::<_, StoreError>(all)
    };
    read.await.unwrap_or_default()
}
