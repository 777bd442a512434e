//! The program itself, in several processes: each message once, graceful stops, and SIGKILL.

#![allow(clippy::print_stdout, reason = "the counts are worth reading beside the result")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::proxy::Proxy;
use crate::queue_rabbitmq::Prefix;
use crate::queue_rabbitmq_failures::{address, through};
use crate::support::sink::Sink;
use crate::support::{Database, Folder, server, until};

/// How many messages each test sends.
const MESSAGES: usize = 5_000;

/// Leases of killed processes must run out before others go on.
const PATIENCE: Duration = Duration::from_secs(240);

const SETTINGS: &str = "
brand: { name: Shop, timezone: Asia/Tehran, locale: en, base_url: \"https://shop.example\" }
email:
  sender: smtp
  from: \"Shop <hello@shop.example>\"
  smtp: { host: 127.0.0.1, port: PORT, connections: 10 }
templates: templates
outbox: outbox
store: STORE
queue: QUEUE
";

const CAMPAIGN: &str = "
name: everybody
status: live
trigger: { kind: broadcast, at: 2020-01-01T00:00:00Z }
starts_at: 2020-01-01T00:00:00Z
channels: [email]
content: hello
limits: { late: always }
";

/// A shop with one broadcast to everybody, and the program that works on it.
struct Shop {
    folder: Folder,
}

impl Shop {
    fn new(store: &str, queue: &str, port: u16) -> Self {
        let folder = Folder::new();
        let write = |path: &str, text: &str| {
            let path = folder.0.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let settings = SETTINGS.replace("PORT", &port.to_string()).replace("STORE", store).replace("QUEUE", queue);
        write("rekindle.yaml", &settings);
        write("campaigns/everybody.yaml", CAMPAIGN);
        write("templates/hello/subject.txt", "Hello {{member.first_name}}");
        write("templates/hello/email.html", "<html><body><p>Hello {{member.first_name}}</p></body></html>");
        let rows: String = (0..MESSAGES).map(|n| format!("m{n},m{n}@example.com,Sara,true\n")).collect();
        write("members.csv", &format!("external_id,email,first_name,email_consent\n{rows}"));
        let shop = Self { folder };
        let members = shop.path("members.csv");
        let imported = shop.command(&["import", "members", members.to_str().unwrap()]).output().unwrap();
        assert!(imported.status.success(), "{}", text(&imported));
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.0.join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_rekindle")));
        command.arg("--config").arg(self.path("rekindle.yaml")).args(arguments);
        command.env_remove("REKINDLE_STORE").env_remove("REKINDLE_QUEUE").env_remove("RUST_LOG");
        command
    }

    fn run(&self, roles: &str) -> Child {
        self.command(&["run", "--role", roles]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn status(&self) -> Value {
        let output = self.command(&["--format", "json", "status"]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// How many messages are in a state.
    fn count(&self, state: &str) -> usize {
        usize::try_from(self.status()["messages"][state].as_u64().unwrap_or(0)).unwrap()
    }

    /// Waits until at least so many are sent.
    fn until_sent(&self, least: usize) {
        let started = Instant::now();
        loop {
            let sent = self.count("sent");
            if sent >= least {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{sent} of {least} are sent: {}", self.status());
        }
    }

    /// Nothing is left behind, nothing is lost, and only what is reported as uncertain came twice.
    fn check_ledgers(&self, sink: &Sink) {
        let status = self.status();
        assert_eq!(status["messages"], serde_json::json!({ "sent": MESSAGES }), "{status}");
        let accepted = sink.accepted();
        assert_eq!(accepted.len(), MESSAGES, "every message arrived");
        let doubled: usize = accepted.values().map(|count| count - 1).sum();
        let uncertain = usize::try_from(status["uncertain_attempts"].as_u64().unwrap()).unwrap();
        assert!(doubled <= uncertain, "{doubled} came twice, {uncertain} attempts are reported as uncertain");
        println!("{MESSAGES} messages: {doubled} came twice, {uncertain} attempts uncertain");
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Asks a process to stop as a service manager does; gives its exit code.
fn terminate(mut process: Child) -> Option<i32> {
    let asked = Command::new("kill").args(["-TERM", &process.id().to_string()]).status().unwrap();
    assert!(asked.success());
    process.wait().unwrap().code()
}

#[tokio::test]
async fn four_processes_deliver_each_message_once_and_stop_gracefully() {
    let database = Database::create().await;
    let prefix = Prefix::new();
    let sink = Sink::start();
    let shop = Shop::new(&database.url, &prefix.url(), sink.port);
    let processes = ["scheduler", "dispatcher", "sender", "sender"].map(|role| shop.run(role));
    shop.until_sent(MESSAGES);
    let exits = processes.map(terminate);
    assert_eq!(exits, [Some(0); 4], "each process stops with exit code 0");
    shop.check_ledgers(&sink);
    assert_eq!(shop.status()["uncertain_attempts"], 0);
    prefix.remove().await;
    database.remove().await;
}

#[tokio::test]
async fn a_sender_that_is_asked_to_stop_midway_leaves_nothing_uncertain() {
    let database = Database::create().await;
    let prefix = Prefix::new();
    let sink = Sink::start();
    let shop = Shop::new(&database.url, &prefix.url(), sink.port);
    let first = shop.run("scheduler,dispatcher");
    for part in 1..=4 {
        let sender = shop.run("sender");
        shop.until_sent(MESSAGES / 5 * part);
        assert_eq!(terminate(sender), Some(0));
    }
    let last = shop.run("sender");
    shop.until_sent(MESSAGES);
    assert_eq!([terminate(first), terminate(last)], [Some(0); 2]);
    shop.check_ledgers(&sink);
    assert_eq!(shop.status()["uncertain_attempts"], 0);
    prefix.remove().await;
    database.remove().await;
}

#[tokio::test]
async fn killed_and_restarted_processes_lose_nothing() {
    let database = Database::create().await;
    let prefix = Prefix::new();
    let sink = Sink::start();
    let shop = Shop::new(&database.url, &prefix.url(), sink.port);
    let roles = ["scheduler", "dispatcher", "sender", "sender"];
    let mut processes = roles.map(|role| shop.run(role));
    for round in 1..=8 {
        shop.until_sent((MESSAGES / 10 * round).min(MESSAGES * 4 / 5));
        let victim = (round - 1) % roles.len();
        processes[victim].kill().unwrap();
        processes[victim].wait().unwrap();
        processes[victim] = shop.run(roles[victim]);
    }
    shop.until_sent(MESSAGES);
    let exits = processes.map(terminate);
    assert_eq!(exits, [Some(0); 4]);
    shop.check_ledgers(&sink);
    prefix.remove().await;
    database.remove().await;
}

#[tokio::test]
async fn an_embedded_process_that_was_killed_goes_on_where_it_was() {
    let sink = Sink::start();
    let shop = Shop::new("sqlite://rekindle.db", "embedded", sink.port);
    let mut process = shop.run("scheduler,dispatcher,sender");
    shop.until_sent(MESSAGES / 3);
    process.kill().unwrap();
    process.wait().unwrap();
    let process = shop.run("scheduler,dispatcher,sender");
    shop.until_sent(MESSAGES);
    assert_eq!(terminate(process), Some(0));
    shop.check_ledgers(&sink);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_goes_away_is_waited_for_and_logged_once() {
    let (database, prefix, sink) = (Database::create().await, Prefix::new(), Sink::start());
    let (host, port) = address(&server("REKINDLE_TEST_RABBITMQ"));
    let proxy = Proxy::before(&format!("{host}:{port}")).await;
    let shop = Shop::new(&database.url, &through(&proxy, &prefix), sink.port);
    let log = shop.path("log");
    let mut command = shop.command(&["run"]);
    let process = command.stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    shop.until_sent(MESSAGES / 10);
    proxy.refuse();
    let problem = shop.status()["queue"][0]["problem"].as_str().unwrap_or_default().to_owned();
    assert!(problem.contains("cannot be used"), "`status` says: {problem}");
    // Several tries of everybody.
    let before = proxy.accepted();
    until(true, async || proxy.accepted() > before + 30).await;
    proxy.mend();
    shop.until_sent(MESSAGES);
    assert_eq!(terminate(process), Some(0));
    let text = std::fs::read_to_string(log).unwrap();
    for what in ["taking messages (email)", "taking messages (sms)"] {
        for (word, times) in [("stopped", 1), ("goes on", 1)] {
            assert_eq!(text.matches(&format!("{what} {word}")).count(), times, "{what} {word}: {text}");
        }
    }
    shop.check_ledgers(&sink);
    prefix.remove().await;
    database.remove().await;
}
