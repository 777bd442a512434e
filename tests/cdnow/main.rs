//! Real members and purchases: the CDNOW sample, imported, and a month and a year of it worked. The plan, both
//! sizes of Rekindle and an evaluator that shares no code with it must send the same messages.
//! `./scripts/check-cdnow FOLDER` runs this.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the counts are there to be quoted")]
#![allow(clippy::disallowed_methods, reason = "only scripts/check-cdnow knows where the data are")]

mod calibration;
mod reports;
#[path = "../support/mod.rs"]
mod support;
mod year;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use rekindle::import::Kind;
use rekindle::store::messages::Listed;
use support::naive;
use support::rabbitmq::Prefix;
use support::shop::{Dice, Sent, Shop, Size, assert_same, at, sorted, without};
use support::sink::Sink;
use support::{Database, until};

const BRAND: &str = "{ name: Shop, timezone: Asia/Tehran, calendar: persian, locale: fa, currency: USD, \
    base_url: \"https://shop.example\", quiet_hours: \"21:00-08:00\", frequency_cap: { messages: 3, per: 7d } }";

const FROM: &str = "1998-06-01T00:00:00Z";
const TO: &str = "1998-07-01T00:00:00Z";

/// The data set that REKINDLE_CDNOW names.
fn data(file: &str) -> String {
    let folder = std::env::var("REKINDLE_CDNOW").unwrap_or_else(|_| {
        panic!("REKINDLE_CDNOW is not set: run ./scripts/check-cdnow FOLDER, with the folder of members.csv and purchases.csv")
    });
    let path = Path::new(&folder).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// One set of campaign files, each with its text.
struct Campaigns(BTreeMap<String, String>);

impl Campaigns {
    /// The samples of the package that send, as if they had begun before the first order.
    fn samples() -> Self {
        let mut all = Self::read("config/campaigns", "\nstarts_at: 1997-01-01T00:00:00Z\n");
        all.0.retain(|_, text| !text.contains("\nstatus: draft"));
        all
    }

    /// Those that combine what the samples keep apart.
    fn combined() -> Self {
        Self::read("tests/fixtures/campaigns", "")
    }

    fn read(folder: &str, more: &str) -> Self {
        let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        Self(paths.map(|path| (name(&path), std::fs::read_to_string(&path).unwrap() + more)).collect())
    }

    /// A shop with these campaigns and the members.
    async fn shop(&self, size: &Size) -> Shop {
        let shop = Shop::with_templates(size, BRAND);
        for (name, text) in &self.0 {
            shop.write(&format!("campaigns/{name}"), text);
        }
        shop
    }

    async fn imported(&self, size: &Size) -> Shop {
        let shop = self.shop(size).await;
        shop.import(Kind::Members, data("members.csv")).await;
        shop.import(Kind::Purchases, data("purchases.csv")).await;
        shop
    }

    /// What the evaluator expects.
    fn expected(&self) -> Vec<Sent> {
        let brand = naive::Brand::from_yaml(BRAND);
        let shop = naive::Shop::from_csv(data("members.csv").as_bytes(), data("purchases.csv").as_bytes());
        let campaigns = self.0.values().map(|text| naive::Campaign::from_yaml(text)).collect();
        let world = naive::World::new(brand, shop, campaigns);
        let window = naive::Pass::Between(at(FROM).timestamp_millis(), at(TO).timestamp_millis());
        sorted(naive::evaluate(&world, &[window]).into_iter().filter_map(naive::Expected::sent).collect())
    }
}

/// Prints how many of each campaign, step and channel there are.
fn print_counts(title: &str, sent: &[Sent]) {
    let mut counts: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
    for (_, campaign, step, channel, _) in sent {
        *counts.entry((campaign, step, channel)).or_default() += 1;
    }
    println!("{title}: {} messages", sent.len());
    for ((campaign, step, channel), count) in counts {
        println!("  {campaign:<20} {step:<14} {channel:<6} {count:>6}");
    }
}

async fn check_plan(campaigns: &Campaigns) {
    let shop = campaigns.imported(&Size::default()).await;
    assert_same("the plan", &shop.planned(FROM, TO).await, &campaigns.expected());
    assert!(shop.ledger().await.is_empty(), "planning writes nothing");
    shop.close().await;
}

async fn check_embedded(title: &str, campaigns: &Campaigns) {
    let expected = campaigns.expected();
    print_counts(title, &expected);
    let shop = campaigns.imported(&Size::default()).await;
    shop.once_between(FROM, TO).await;
    assert_same("SQLite, embedded queue, capture", &shop.sent_between(FROM, TO).await, &expected);
    let by_channel = |channel: &str| expected.iter().filter(|sent| sent.3 == channel).count();
    assert_eq!(shop.mails().len(), by_channel("email"), "one file for each mail");
    assert_eq!(shop.sms().len(), by_channel("sms"), "one line for each SMS");
    let before = (shop.ledger().await, shop.mails().len(), shop.sms().len());
    let again = shop.once_between(FROM, TO).await;
    assert_eq!((again.planned, again.queued, again.outcomes), (0, 0, 0));
    assert_eq!((shop.ledger().await, shop.mails().len(), shop.sms().len()), before, "a second run changes nothing");
    shop.close().await;
}

async fn check_servers(campaigns: &Campaigns) {
    let expected = campaigns.expected();
    let (database, prefix, sink) = (Database::create().await, Prefix::new(), Sink::start());
    let size = Size { store: database.url.clone(), queue: prefix.url(), smtp: Some(sink.port) };
    let shop = campaigns.imported(&size).await;
    let test = async {
        shop.once_between(FROM, TO).await;
        assert_same("PostgreSQL, RabbitMQ, smtp-sink", &shop.sent_between(FROM, TO).await, &expected);
        let ledger = shop.ledger().await;
        let mails = ledger.iter().filter(|row| row.state == "sent" && row.channel.as_deref() == Some("email"));
        let ids: BTreeMap<String, usize> = mails.map(|row| (format!("<{}@shop.example>", row.id), 1)).collect();
        // The server may still be writing the last file when it has answered.
        until(ids.len(), async || sink.accepted().len()).await;
        let accepted = sink.accepted();
        assert!(accepted == ids, "the server received each mail of the ledger once, and no other");
        println!("  {} mails received by smtp-sink, {} Message-IDs", accepted.values().sum::<usize>(), accepted.len());
        assert_eq!(shop.sms().len(), expected.iter().filter(|sent| sent.3 == "sms").count());
        let again = shop.once_between(FROM, TO).await;
        assert_eq!((again.planned, again.queued, again.outcomes), (0, 0, 0));
        assert_eq!(shop.ledger().await, ledger, "a second run changes nothing");
        assert!(sink.accepted() == accepted, "and sends nothing");
    };
    support::tidied(test, async {
        shop.close().await;
        prefix.remove().await;
        database.remove().await;
    })
    .await;
}

/// Half of the orders arrive before a first pass, the rest after it, in any order of lines. What
/// falls due in the window is then the same, but for two honest reasons: a message of the first
/// pass, which half the orders called for, can take a place under the frequency cap; and one that
/// the cap would have stopped gets the place that this leaves.
async fn check_late_arrival(title: &str, campaigns: &Campaigns) {
    const FIRST_PASS: &str = "1998-05-31T00:00:00Z";
    let expected = campaigns.expected();
    let in_order = campaigns.imported(&Size::default()).await;
    in_order.once_between(FROM, TO).await;
    let capped_in_order: BTreeSet<_> = capped(&in_order.ledger().await);
    in_order.close().await;

    let shop = campaigns.shop(&Size::default()).await;
    let mut dice = Dice(1998);
    let (head, members) = shuffled(&data("members.csv"), &mut dice);
    shop.import(Kind::Members, head + &members.concat()).await;
    let (head, orders) = shuffled(&data("purchases.csv"), &mut dice);
    let (early, late) = orders.split_at(orders.len() / 2);
    shop.import(Kind::Purchases, head.clone() + &early.concat()).await;
    shop.once(FIRST_PASS).await;
    // A year and a half of occasions at once is above some ceilings: nothing went out until now.
    for name in campaigns.0.values().filter_map(|text| text.lines().find_map(|line| line.strip_prefix("name: "))) {
        shop.approve(name.split_whitespace().next().unwrap(), "1999-01-01T00:00:00Z").await;
    }
    shop.once(FIRST_PASS).await;
    let first_pass = shop.ledger().await;
    shop.import(Kind::Purchases, head + &late.concat()).await;
    shop.once_between(FROM, TO).await;

    let sent = shop.sent_between(FROM, TO).await;
    let (missing, extra) = (without(&expected, &sent), without(&sent, &expected));
    let ledger = shop.ledger().await;
    let reasons: HashMap<_, _> = ledger.iter().map(|row| (key(row), row.reason.clone().unwrap_or_default())).collect();
    let households = Households::new();
    let mut why: BTreeMap<&str, usize> = BTreeMap::new();
    for message in &missing {
        let (member, campaign, step, _, due_at) = message;
        let reason = reasons.get(&(member.as_str(), campaign.as_str(), step.as_str(), *due_at));
        let reason = reason.unwrap_or_else(|| panic!("{message:?} is not in the ledger")).as_str();
        match reason {
            "too_late" => {}
            "frequency_cap" => assert!(
                households.of(member).iter().any(|member| earlier(&ledger, member).next().is_some()),
                "{message:?} was capped, but nothing was sent to this address before the window"
            ),
            _ => panic!("{message:?} ended with `{reason}`"),
        }
        *why.entry(reason).or_default() += 1;
    }
    for message in &extra {
        let (member, campaign, step, _, due_at) = message;
        let key = (member.clone(), campaign.clone(), step.clone(), *due_at);
        assert!(capped_in_order.contains(&key), "{message:?} is one too many");
        let household = households.of(member);
        assert!(missing.iter().any(|other| household.contains(&other.0)), "{message:?} took no other's place");
    }
    let earlier_sent = first_pass.iter().filter(|row| row.state == "sent").count();
    println!(
        "{title}, late and shuffled: {} messages before the window, {} in it; {} missing {why:?}, {} in their place",
        earlier_sent,
        sent.len(),
        missing.len(),
        extra.len()
    );
    shop.close().await;
}

/// The header and the lines of a file in any order.
fn shuffled(text: &str, dice: &mut Dice) -> (String, Vec<String>) {
    let mut lines = text.lines().map(|line| format!("{line}\n"));
    let head = lines.next().unwrap();
    let mut lines: Vec<String> = lines.collect();
    dice.shuffle(&mut lines);
    (head, lines)
}

fn key(row: &Listed) -> (&str, &str, &str, i64) {
    (&row.member, &row.campaign, &row.step, row.due_at)
}

/// What the frequency cap stopped.
fn capped(ledger: &[Listed]) -> BTreeSet<(String, String, String, i64)> {
    let rows = ledger.iter().filter(|row| row.reason.as_deref() == Some("frequency_cap"));
    rows.map(|row| (row.member.clone(), row.campaign.clone(), row.step.clone(), row.due_at)).collect()
}

/// Who shares a number with whom: the frequency cap holds for an address, too.
struct Households(BTreeMap<String, Vec<String>>, BTreeMap<String, String>);

impl Households {
    fn new() -> Self {
        let mut households = Self(BTreeMap::new(), BTreeMap::new());
        for line in data("members.csv").lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            let (member, phone) = (cells[0].to_owned(), cells[2].to_owned());
            let phone = if phone.is_empty() { member.clone() } else { phone };
            households.0.entry(phone.clone()).or_default().push(member.clone());
            households.1.insert(member, phone);
        }
        households
    }

    fn of(&self, member: &str) -> &[String] {
        &self.0[&self.1[member]]
    }
}

/// What was sent to a member in the week before the window or later and had fallen due before it.
fn earlier<'a>(ledger: &'a [Listed], member: &str) -> impl Iterator<Item = &'a Listed> {
    let from = at(FROM).timestamp_millis();
    let week_before = from - 7 * 24 * 3_600_000;
    let member = member.to_owned();
    ledger.iter().filter(move |row| {
        row.member == member && row.due_at < from && row.sent_at.is_some_and(|sent| sent > week_before)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_samples_are_planned_as_expected() {
    check_plan(&Campaigns::samples()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_samples_are_sent_as_expected_embedded() {
    check_embedded("samples", &Campaigns::samples()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_samples_are_sent_as_expected_on_servers() {
    check_servers(&Campaigns::samples()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_samples_are_the_same_when_orders_come_late_and_shuffled() {
    check_late_arrival("samples", &Campaigns::samples()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_combined_campaigns_are_planned_as_expected() {
    check_plan(&Campaigns::combined()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_combined_campaigns_are_sent_as_expected_embedded() {
    check_embedded("combined", &Campaigns::combined()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_combined_campaigns_are_sent_as_expected_on_servers() {
    check_servers(&Campaigns::combined()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_combined_campaigns_are_the_same_when_orders_come_late_and_shuffled() {
    check_late_arrival("combined", &Campaigns::combined()).await;
}

/// The article fits the purchases up to the end of September 1997, time in weeks, one purchase a day
/// at most: r = 0.243, alpha = 4.414, a = 0.793, b = 2.426, log-likelihood -9582.4.
#[tokio::test(flavor = "multi_thread")]
async fn the_model_is_the_published_one() {
    let shop = Campaigns::samples().imported(&Size::default()).await;
    let until = at("1997-10-01T00:00:00Z");
    let fitted = rekindle::model::fit(shop.store().await, "USD", until, at(FROM)).await.unwrap();
    println!("{fitted:?}");
    assert_eq!((fitted.customers, fitted.repeat_customers), (2_357, 946));
    let model = fitted.fit.model;
    for (name, found, wanted) in
        [("r", model.r, 0.243), ("alpha", model.alpha, 4.414), ("a", model.a, 0.793), ("b", model.b, 2.426)]
    {
        assert!((found / wanted - 1.0).abs() < 0.01, "{name} is {found}, not {wanted}");
    }
    assert!((fitted.fit.log_likelihood + 9_582.4).abs() < 0.1, "{}", fitted.fit.log_likelihood);
    shop.close().await;
}
