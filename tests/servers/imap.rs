//! Bounces are taken from a mailbox of a real Dovecot, on loopback, in a folder of its own.

use std::sync::Arc;
use std::time::Duration;

use rekindle::app::Role;
use rekindle::clock::Clock;
use rekindle::domain::token::TokenUse;
use rekindle::import::Kind as Rows;
use rekindle::inbound::bounces::classify::Kind;
use rekindle::inbound::bounces::mailbox::{self, MailboxError, Watcher, Worked};
use rekindle::settings::{Imap, Then};
use rekindle::store::{Store, paces, suppressions};
use tokio_util::sync::CancellationToken;

use crate::bounces_contract::{dsn, token};
use crate::proxy::Proxy;
use crate::support::dovecot::{Dovecot, PASSWORD, certificates};
use crate::support::shop::{PLAIN, Shop, Size, at};
use crate::support::{DEADLINE, until};

const SENT: &str = "2024-05-01T10:00:00Z";
const NOW: &str = "2024-05-01T12:00:00Z";
const USER: &str = "bounces";
/// How Dovecot names the mailbox `برگشتی` on disk.
const ON_DISK: &str = "&BigGMQavBjQGKgbM-";

/// A shop that has sent a mail to each of `count` members, `m0@example.com` and on.
async fn sent(count: usize) -> Shop {
    let shop = Shop::new(&Size::default(), PLAIN);
    shop.campaign("hello", "trigger: { kind: welcome }\nchannels: [email]");
    let rows: String = (0..count).map(|n| format!("m{n},m{n}@example.com,true,{SENT}\n")).collect();
    shop.import(Rows::Members, format!("external_id,email,email_consent,joined_at\n{rows}")).await;
    shop.once(SENT).await;
    shop
}

/// The mail that says that a member's address is dead, for each member in order.
async fn bounces(shop: &Shop) -> Vec<String> {
    let mut mails = Vec::new();
    let mut rows = shop.ledger().await;
    rows.sort_by(|one, other| one.member.cmp(&other.member));
    for row in rows {
        let to = format!("{}@example.com", row.member);
        let own = format!("bounces+{}@shop.example", token(shop, TokenUse::Return, row.id).await);
        mails.push(dsn(&own, &to, "5.1.1", "550 5.1.1 User unknown", "x@y"));
    }
    mails
}

/// The keys of the user's mailbox.
fn keys_of(port: u16, keys: &str) -> String {
    format!(
        "bounces: {{ imap: {{ host: localhost, port: {port}, username: {USER}, password: '{PASSWORD}', {keys} }} }}\n"
    )
}

/// Settings of the user's mailbox, with more keys.
fn imap(port: u16, keys: &str) -> Imap {
    let text = format!("brand: {PLAIN}\nemail: {{ from: \"Shop <hello@shop.example>\" }}\n{}", keys_of(port, keys));
    let settings = rekindle::settings::Settings::parse("x.yaml".as_ref(), &text, &|_| None);
    settings.unwrap_or_else(|problems| panic!("{problems}")).bounces.imap.unwrap()
}

async fn work_off(shop: &Shop, settings: &Imap) -> Result<Worked, MailboxError> {
    mailbox::work_off(settings, shop.store().await, &Clock::simulated(at(NOW))).await
}

/// How many addresses are closed.
async fn closed(shop: &Shop) -> i64 {
    let mut tx = shop.store().await.read().await.unwrap();
    let count = suppressions::count(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    count
}

/// What `status` says of mailboxes.
async fn resting(shop: &Shop) -> Vec<String> {
    let mut tx = shop.store().await.read().await.unwrap();
    let rests = paces::resting(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    rests.into_iter().map(|rests| format!("{}: {}", rests.name, rests.reply)).collect()
}

/// Watches a mailbox while a test goes on.
struct Watching {
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Watching {
    async fn start(shop: &Shop, settings: &Imap) -> Self {
        let (store, settings) = (shop.store().await.clone(), settings.clone());
        let shutdown = CancellationToken::new();
        let until = shutdown.clone();
        let task = tokio::spawn(async move {
            Watcher::new(&settings, &store, &Clock::simulated(at(NOW))).run(&until).await;
        });
        Self { shutdown, task }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(5), self.task).await.expect("it stops at once").unwrap();
    }
}

fn flags(mails: &[(String, String)]) -> Vec<&str> {
    mails.iter().map(|(_, flags)| flags.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bounces_in_a_mailbox_close_addresses_and_are_put_away() {
    let shop = sent(3).await;
    let mails = bounces(&shop).await;
    let dovecot = Dovecot::start(&[USER, "b", "c"], "");
    // The case of the inbox's name says nothing; a mail that is none, and one larger than is looked at.
    let large = [b"Subject: x\r\n\r\n".as_slice(), &vec![b'x'; 11_000_000]].concat();
    for user in [USER, "b", "c"] {
        dovecot.deliver(user, "INBOX", "1", &mails[0]);
        dovecot.deliver(user, "INBOX", "2", b"\xff\x00no mail at all");
        dovecot.deliver(user, "INBOX", "3", &large);
        dovecot.deliver(user, "INBOX", "4", "");
    }
    dovecot.create("c", ON_DISK);
    let seen = imap(dovecot.port, "tls: none, mailbox: inbox");
    let worked = work_off(&shop, &seen).await.unwrap_or_else(|error| panic!("{error}\n{}", dovecot.log()));
    assert_eq!(worked.mails, 4);
    let hard = worked.heard[&Kind::Hard];
    assert_eq!((hard.recipients, hard.new, hard.suppressed), (1, 1, 1));
    assert_eq!(worked.heard[&Kind::NotABounce].recipients, 3);
    assert_eq!(shop.states().await, ["m0 hello main bounced -", "m1 hello main sent -", "m2 hello main sent -"]);
    assert_eq!(closed(&shop).await, 2, "for both purposes");
    assert_eq!(flags(&dovecot.mails(USER, "INBOX")), ["S"; 4]);
    assert_eq!(work_off(&shop, &seen).await.unwrap(), Worked::default(), "read mails are not looked at");

    let of_other = |user: &str, keys: &str| Imap { username: user.to_owned(), ..imap(dovecot.port, keys) };
    let again = work_off(&shop, &of_other("b", "tls: none, then: delete")).await.unwrap();
    assert_eq!((again.mails, again.heard[&Kind::Hard].new), (4, 0), "the same mails change nothing");
    assert!(dovecot.mails("b", "INBOX").is_empty());

    let moved = work_off(&shop, &of_other("c", "tls: none, then: { move: برگشتی }")).await.unwrap();
    assert_eq!(moved.mails, 4);
    assert!(dovecot.mails("c", "INBOX").is_empty());
    assert_eq!(dovecot.mails("c", ON_DISK).len(), 4);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_few_talents_is_polled_and_nothing_is_expunged_but_our_own() {
    let shop = sent(2).await;
    let mails = bounces(&shop).await;
    let dovecot = Dovecot::start(&[USER], "imap_capability = IMAP4rev1\n");
    dovecot.create(USER, "Done");
    dovecot.deliver(USER, "INBOX", "1", &mails[0]);
    let settings = imap(dovecot.port, "tls: none, then: { move: Done }, every: 1s");
    let watching = Watching::start(&shop, &settings).await;
    until(["T"].map(str::to_owned).to_vec(), async || {
        dovecot.mails(USER, "INBOX").into_iter().map(|(_, flags)| flags).collect::<Vec<_>>()
    })
    .await;
    dovecot.deliver(USER, "INBOX", "2", &mails[1]);
    until(2, async || dovecot.mails(USER, "Done").len()).await;
    until(4, async || closed(&shop).await).await;
    watching.stop().await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_checked_before_anything_is_said() {
    let shop = sent(1).await;
    let mails = bounces(&shop).await;
    let dovecot = Dovecot::start(&[USER], "");
    let plain = Dovecot::start(&[USER], "ssl = no\n");
    let trusted = format!("ca_file: {}", certificates().join("ca.pem").display());
    let check = async |port: u16, keys: &str, change: fn(&mut Imap), expected: &str| {
        let mut settings = imap(port, keys);
        change(&mut settings);
        let error = work_off(&shop, &settings).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{keys}: {error}");
    };
    let (by_address, as_it_is) = (|imap: &mut Imap| imap.host = "127.0.0.1".to_owned(), |_: &mut Imap| {});
    for (port, tls) in [(dovecot.tls_port, "implicit"), (dovecot.port, "starttls")] {
        check(port, &format!("tls: {tls}"), as_it_is, "name that authority's certificate as `ca_file`").await;
        check(port, &format!("tls: {tls}, {trusted}"), by_address, "certificate is not for `127.0.0.1`").await;
        check(port, &format!("tls: {tls}, ca_file: /nowhere.pem"), as_it_is, "cannot read the certificates in").await;
        dovecot.deliver(USER, "INBOX", tls, &mails[0]);
        assert_eq!(work_off(&shop, &imap(port, &format!("tls: {tls}, {trusted}"))).await.unwrap().mails, 1);
    }
    check(plain.port, &format!("tls: starttls, {trusted}"), as_it_is, "does not offer STARTTLS").await;
    check(plain.port, &format!("tls: implicit, {trusted}"), as_it_is, "does not speak TLS here; write `tls: starttls`")
        .await;
    until(2, async || dovecot.log().matches("Login: user=<bounces>").count()).await;
    assert!(!plain.log().contains(USER), "nobody logged in there: {}", plain.log());
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_and_a_missing_mailbox_are_said_and_shown() {
    let shop = sent(1).await;
    let dovecot = Dovecot::start(&[USER, "reader"], "");
    let keys = "tls: none";
    let other = |change: fn(&mut Imap)| {
        let mut settings = imap(dovecot.port, keys);
        change(&mut settings);
        settings
    };
    let wrong = other(|imap| imap.password = "another".to_owned().into());
    let lost = other(|imap| imap.mailbox = "Nowhere".to_owned());
    let nowhere = imap(dovecot.port, "tls: none, then: { move: Nowhere }");
    for (settings, expected) in [
        (&wrong, "the mailbox's server refuses `username` and `password`: "),
        (&lost, "cannot use the mailbox `Nowhere`: Mailbox doesn't exist: Nowhere"),
        (&nowhere, "cannot use the mailbox `Nowhere`: Mailbox doesn't exist: Nowhere"),
    ] {
        let error = work_off(&shop, settings).await.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
        assert!(!error.contains("another") && !error.contains("bounces"), "{error}");
        let watching = Watching::start(&shop, settings).await;
        let shown = format!("mailbox localhost: {expected}");
        until(vec![true], async || resting(&shop).await.iter().map(|line| line.starts_with(&shown)).collect()).await;
        watching.stop().await;
        assert!(resting(&shop).await.is_empty(), "nobody waits for it any more");
    }
    // Nobody is there at all.
    let port = dovecot.port;
    drop(dovecot);
    let error = work_off(&shop, &imap(port, keys)).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot reach the mailbox's server: "), "{error}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_the_line_is_cut_nothing_is_lost_and_nothing_counts_twice() {
    let shop = sent(4).await;
    let mails = bounces(&shop).await;
    let dovecot = Dovecot::start(&[USER], "");
    dovecot.create(USER, "Done");
    let proxy = Proxy::before(&format!("localhost:{}", dovecot.port)).await;
    let settings = imap(proxy.address.port(), "tls: none, then: { move: Done }");
    let deleting = imap(proxy.address.port(), "tls: none, then: delete");
    let (mut failures, mut new, mut moved) = (0, 0, 0);
    // Later and later, until the whole conversation fits.
    for settings in [&settings, &deleting] {
        for bytes in (10..).step_by(9) {
            for (n, mail) in mails.iter().enumerate() {
                dovecot.deliver(USER, "INBOX", &format!("{bytes}-{n}"), mail);
            }
            proxy.cut_after(bytes);
            let cut = work_off(&shop, settings).await;
            proxy.mend();
            let whole = work_off(&shop, settings).await.unwrap();
            let of = |worked: &Worked| worked.heard.get(&Kind::Hard).map_or(0, |heard| heard.new);
            new += of(&whole) + cut.as_ref().map_or(0, of);
            moved += if settings.then == Then::Delete { 0 } else { mails.len() };
            assert_eq!(dovecot.mails(USER, "INBOX"), [], "cut after {bytes} bytes");
            assert_eq!(dovecot.mails(USER, "Done").len(), moved, "cut after {bytes} bytes");
            match cut {
                Ok(_) => break,
                Err(_) => failures += 1,
            }
        }
    }
    assert!(failures > 30, "{failures}");
    // What a first try recorded before it was cut is not in the second one's numbers.
    assert!(new <= mails.len(), "{new}");
    assert_eq!(closed(&shop).await, 8);
    assert!(shop.states().await.iter().all(|state| state.ends_with(" bounced -")));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mailbox_is_watched_through_a_restart_of_its_server() {
    let shop = sent(300).await;
    let mails = bounces(&shop).await;
    let mut dovecot = Dovecot::start(&[USER], "");
    for (n, mail) in mails.iter().enumerate().skip(1) {
        dovecot.deliver(USER, "INBOX", &n.to_string(), mail);
    }
    let proxy = Proxy::before(&format!("localhost:{}", dovecot.port)).await;
    // Polling would come too late: the server says when mail arrives.
    let settings = imap(proxy.address.port(), "tls: none, then: delete, every: 25m");
    // As two schedulers do.
    let watching = Watching::start(&shop, &settings).await;
    let other = Watching::start(&shop, &settings).await;
    let started = tokio::time::Instant::now();
    while closed(&shop).await < 100 {
        assert!(started.elapsed() < DEADLINE);
        tokio::task::yield_now().await;
    }
    proxy.refuse();
    let before = closed(&shop).await;
    dovecot.stop();
    dovecot.start_again();
    proxy.mend();
    until(598, async || closed(&shop).await).await;
    assert!(before < 598, "it was cut off in the middle");
    until(0, async || dovecot.mails(USER, "INBOX").len()).await;
    dovecot.deliver(USER, "INBOX", "0", &mails[0]);
    until(600, async || closed(&shop).await).await;
    watching.stop().await;
    other.stop().await;
    assert!(shop.states().await.iter().all(|state| state.ends_with(" bounced -")));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_recorded_stays_unread() {
    let shop = sent(2).await;
    let mails = bounces(&shop).await;
    let dovecot = Dovecot::start(&[USER], "");
    for (n, mail) in mails.iter().enumerate() {
        dovecot.deliver(USER, "INBOX", &n.to_string(), mail);
    }
    let settings = imap(dovecot.port, "tls: none");
    let away = Store::open(&shop.settings().store, 1).await.unwrap();
    away.close().await;
    let failed = mailbox::work_off(&settings, &away, &Clock::simulated(at(NOW))).await;
    assert!(matches!(failed, Err(MailboxError::Store(_))), "{failed:?}");
    assert_eq!(flags(&dovecot.mails(USER, "INBOX")), ["", ""]);
    assert_eq!(work_off(&shop, &settings).await.unwrap().mails, 2);
    assert_eq!(flags(&dovecot.mails(USER, "INBOX")), ["S", "S"]);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scheduler_takes_bounces_and_so_does_the_command() {
    let dovecot = Dovecot::start(&[USER], "");
    let shop = sent(2).await.with_settings(&keys_of(dovecot.port, "tls: none"));
    let mails = bounces(&shop).await;
    dovecot.deliver(USER, "INBOX", "0", &mails[0]);
    let app = Arc::new(shop.app(at(NOW)).await);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(Arc::clone(&app).run(&[Role::Scheduler], shutdown.clone()));
    until(2, async || closed(&shop).await).await;
    until(vec!["S".to_owned()], async || dovecot.mails(USER, "INBOX").into_iter().map(|mail| mail.1).collect()).await;
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), running).await.expect("it stops at once").unwrap().unwrap();
    app.store.close().await;

    dovecot.deliver(USER, "INBOX", "1", &mails[1]);
    let file = shop.write("rekindle.yaml", shop.settings_text());
    let command = || {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_rekindle"))
            .arg("--config")
            .arg(&file)
            .args(["bounces", "ingest", "--imap", "--format", "json"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let of_kind = serde_json::json!({ "kind": "hard", "recipients": 1, "new": 1, "suppressed": 1 });
    assert_eq!(command(), serde_json::json!({ "mails": 1, "kinds": [of_kind] }));
    assert_eq!(command(), serde_json::json!({ "mails": 0, "kinds": [] }));
    assert_eq!(closed(&shop).await, 4);
    shop.close().await;
}
