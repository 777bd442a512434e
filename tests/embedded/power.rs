//! A power cut: what was not synced to the disk is gone, and what servers saw is still known.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use rekindle::import::Kind;
use rekindle::store::Store;

use crate::support::mail_server::MailServer;
use crate::support::shop::{PLAIN, Shop, Size};
use crate::support::until;

/// The library that copies each file as it is synced.
fn shim(folder: &Path) -> PathBuf {
    let (source, library) = (folder.join("synced.c"), folder.join("synced.so"));
    std::fs::write(&source, include_str!("../fixtures/synced.c")).unwrap();
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl");
    let built = compile.output().expect("a C compiler, which the build needs as well");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    library
}

/// Members whose mails the server has seen.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<BTreeSet<String>>>);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_attempt_that_a_server_saw_survives_a_power_cut() {
    for after in [1, 23, 57] {
        let seen = Seen::default();
        let sees = seen.clone();
        let server = MailServer::start(move |address| {
            sees.0.lock().unwrap().insert(address.split('@').next().unwrap().to_owned());
            "250 ok"
        })
        .await;
        let email = format!("sender: smtp, smtp: {{ host: 127.0.0.1, port: {}, connections: 3 }}", server.port);
        let shop = Shop::new(&Size::default(), PLAIN).with_email(&email);
        shop.campaign(
            "letter",
            "trigger: { kind: broadcast, at: 2024-05-02T10:00:00Z }\nchannels: [email]\nlimits: { late: always }",
        );
        shop.write("rekindle.yaml", shop.settings_text());
        let rows: String = (0..400).map(|n| format!("m{n},m{n}@example.com,true\n")).collect();
        shop.import(Kind::Members, format!("external_id,email,email_consent\n{rows}")).await;
        shop.close().await;
        let database = shop.folder.0.join("rekindle.db");
        std::fs::copy(&database, shop.folder.0.join("rekindle.db.synced")).unwrap();
        let library = shim(&shop.folder.0);
        let mut command = Command::new(env!("CARGO_BIN_EXE_rekindle"));
        command.args(["--config", "rekindle.yaml", "once"]).current_dir(&shop.folder.0);
        command.env("LD_PRELOAD", &library).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        until(true, async || seen.0.lock().unwrap().len() >= after).await;
        process.kill().unwrap();
        process.wait().unwrap();
        // The power is gone: of each file there is what was synced last.
        for file in ["rekindle.db", "rekindle.db-wal", "rekindle.db-shm"] {
            let (file, synced) = (shop.folder.0.join(file), shop.folder.0.join(format!("{file}.synced")));
            let _ = std::fs::remove_file(&file);
            let _ = std::fs::rename(synced, file);
        }
        let seen = seen.0.lock().unwrap().clone();
        let known: BTreeSet<String> = column(&database, KNOWN).await.into_iter().collect();
        let lost: Vec<&String> = seen.iter().filter(|member| !known.contains(*member)).collect();
        assert!(lost.is_empty(), "{} of {} were seen and nobody knows: {lost:?}", lost.len(), seen.len());
        // And it goes on from there: what may have arrived is recorded as uncertain.
        shop.once_now().await;
        let states = column(&database, "SELECT state FROM messages").await;
        assert_eq!(states.iter().filter(|state| *state == "sent").count(), 400);
        let uncertain = column(&database, "SELECT outcome FROM attempts WHERE uncertain").await.len();
        let doubled = server.counts("example.com").taken - 400;
        assert!(doubled <= uncertain, "{doubled} came twice, {uncertain} attempts are uncertain");
    }
}

/// Members of whose message an attempt has begun or ended.
const KNOWN: &str = "SELECT b.external_id FROM messages m JOIN members b ON b.id = m.member_id WHERE \
    EXISTS (SELECT 1 FROM attempts a WHERE a.message_id = m.id) \
    OR EXISTS (SELECT 1 FROM pending u WHERE u.message_id = m.id AND u.claim IS NOT NULL)";

async fn column(database: &Path, sql: &'static str) -> Vec<String> {
    let store = Store::open(&format!("sqlite://{}", database.display()), 1).await.unwrap();
    let Store::Sqlite { readers: pool, .. } = &store else { unreachable!() };
    let found = sqlx::query_scalar(sql).fetch_all(pool).await.unwrap();
    store.close().await;
    found
}
