//! SIGTERM and Ctrl-C, to the program itself at several moments: nothing is left in the middle, and the same
//! command goes on from there.

use std::process::{Child, Command, Output, Stdio};

use rekindle::import::Kind;

use crate::support::mail_server::MailServer;
use crate::support::nodes::signal;
use crate::support::shop::{PLAIN, Shop, Size};
use crate::support::until;

const MEMBERS: usize = 200;
/// So many that a pass is in the middle of them whenever it is stopped.
const MANY: usize = 1_000;

/// A shop with a letter to so many members, who get it slowly.
async fn shop(server: &MailServer, members: usize) -> Shop {
    let email = format!("sender: smtp, smtp: {{ host: 127.0.0.1, port: {}, connections: 5 }}", server.port);
    let shop = Shop::new(&Size::default(), PLAIN).with_email(&email);
    shop.campaign(
        "letter",
        "trigger: { kind: broadcast, at: 2024-05-02T10:00:00Z }\nchannels: [email]\nlimits: { late: always }",
    );
    shop.write("rekindle.yaml", shop.settings_text());
    let rows: String = (0..members).map(|n| format!("m{n},m{n}@example.com,true\n")).collect();
    shop.import(Kind::Members, format!("external_id,email,email_consent\n{rows}")).await;
    shop
}

fn start(shop: &Shop, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rekindle"));
    command.args(["--config", "rekindle.yaml"]).args(arguments).current_dir(&shop.folder.0);
    command.env_remove("REKINDLE_STORE").env_remove("RUST_LOG");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Its exit code, and all that it said.
fn ended(process: Child) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = process.wait_with_output().unwrap();
    (status.code(), String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr))
}

fn stop(process: &Child, name: &str) {
    signal(name, i64::from(process.id()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pass_that_is_interrupted_three_times_sends_each_mail_once() {
    let server = MailServer::start(|_| {
        std::thread::sleep(std::time::Duration::from_millis(4));
        "250 ok"
    })
    .await;
    let shop = shop(&server, MANY).await;
    for (more, name, code) in [(10, "TERM", 143), (20, "INT", 130), (20, "TERM", 143)] {
        let before = server.counts("example.com").taken;
        let process = start(&shop, &["once"]);
        until(true, async || server.counts("example.com").taken >= before + more).await;
        stop(&process, name);
        if name == "TERM" {
            // As `timeout` does: to the process, and to its group.
            stop(&process, name);
        }
        let (ended, said) = ended(process);
        assert_eq!(ended, Some(code), "{said}");
        assert!(said.contains("stopped by a signal") && said.contains("outcomes recorded"), "{said}");
        let rows = shop.ledger().await;
        let sent = rows.iter().filter(|row| row.state == "sent").count();
        assert_eq!(sent, server.counts("example.com").taken, "what went out is recorded");
        assert!(sent < MANY, "it was in the middle");
        assert!(rows.iter().all(|row| row.state != "uncertain"), "{rows:?}");
    }
    let (code, said) = ended(start(&shop, &["once"]));
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(server.counts("example.com").taken, MANY);
    assert!(shop.ledger().await.iter().all(|row| row.state == "sent" && row.attempts == 1));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pass_over_days_stops_where_it_is() {
    let server = MailServer::start(|_| "250 ok").await;
    let shop = shop(&server, MEMBERS).await;
    let days = ["once", "--from", "2024-05-02", "--to", "2024-06-02"];
    let process = start(&shop, &days);
    until(true, async || server.counts("example.com").taken >= 20).await;
    stop(&process, "INT");
    let (code, said) = ended(process);
    assert_eq!(code, Some(130), "{said}");
    let (code, said) = ended(start(&shop, &days));
    assert_eq!((code, server.counts("example.com").taken), (Some(0), MEMBERS), "{said}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_ctrl_c_ends_at_once() {
    // A server that says nothing: the mail that it was handed cannot be finished.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = MailServer::start(|_| "250 ok").await;
    let shop = shop(&server, 3).await;
    let port = silent.local_addr().unwrap().port();
    shop.write("rekindle.yaml", shop.settings_text().replace(&server.port.to_string(), &port.to_string()));
    let process = start(&shop, &["once"]);
    let (_line, _) = silent.accept().await.unwrap();
    let began = std::time::Instant::now();
    stop(&process, "INT");
    let mut process = Some(process);
    until(true, async || {
        stop(process.as_ref().unwrap(), "INT");
        process.as_mut().unwrap().try_wait().unwrap().is_some()
    })
    .await;
    assert_eq!(ended(process.take().unwrap()).0, Some(130));
    assert!(began.elapsed().as_secs() < 15, "an attempt alone may take 20 s");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_stops_after_its_batch_and_says_how_far_it_came() {
    let server = MailServer::start(|_| "250 ok").await;
    let shop = shop(&server, 0).await;
    let rows: String = (0..150_000).map(|n| format!("x{n},x{n}@example.com,true\n")).collect();
    shop.write("members.csv", format!("external_id,email,email_consent\n{rows}"));
    let process = start(&shop, &["import", "members", "members.csv"]);
    let count = async || {
        let mut tx = shop.store().await.read().await.unwrap();
        let count = rekindle::store::members::count(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
        count
    };
    until(true, async || count().await >= 2_000).await;
    stop(&process, "TERM");
    let (code, said) = ended(process);
    assert_eq!(code, Some(143), "{said}");
    let there = count().await;
    assert!(there % 2_000 == 0 && there < 150_000, "whole batches: {there}");
    let expected =
        format!("stopped before line {} of members.csv: {there} rows were read, {there} of them new", there + 2);
    assert!(said.contains(&expected), "{said}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_command_does_a_signal_ends_it_with_its_code() {
    let server = MailServer::start(|_| "250 ok").await;
    let shop = shop(&server, 10).await;
    // A mail that never comes to its end must come again.
    for (arguments, name, code) in [
        (&["bounces", "ingest"][..], "TERM", 75),
        (&["bounces", "classify", "-"], "INT", 130),
        (&["demo", "--members", "200000", "--folder", "demo"], "TERM", 143),
        (&["run"], "TERM", 0),
        (&["run"], "INT", 0),
    ] {
        let mut process = start(&shop, arguments);
        let stdin = process.stdin.take();
        // Asked until it listens; before that the signal would end it as ever.
        let status = std::path::PathBuf::from(format!("/proc/{}/status", process.id()));
        let listens = || {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0").trim().to_owned();
            u64::from_str_radix(&caught, 16).unwrap_or(0) & (1 << 14) != 0
        };
        until(true, async || listens()).await;
        stop(&process, name);
        let (ended, said) = ended(process);
        assert_eq!(ended, Some(code), "{arguments:?}: {said}");
        drop(stdin);
    }
    shop.close().await;
}
