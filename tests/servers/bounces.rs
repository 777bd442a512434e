//! A real Postfix takes mails, refuses some, puts one off, and sends others back later through its
//! pipe into `bounces ingest`.

use rekindle::import::Kind;
use rekindle::store::suppressions;

use crate::support::bouncing::Postfix;
use crate::support::shop::{PLAIN, Shop, Size, at};
use crate::support::{Database, tidied};

const SENT: &str = "2024-05-01T10:00:00Z";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_postfix_rejects_defers_and_sends_back_ends_as_it_should() {
    let database = Database::create().await;
    let store = database.url.clone();
    tidied(async { ends_as_it_should(store).await }, database.remove()).await;
}

async fn ends_as_it_should(store: String) {
    // The pipe's process reads the settings before the port is known; it needs only the store.
    let pipe_settings = crate::support::Folder::new();
    let file = pipe_settings.0.join("rekindle.yaml");
    let text = format!("store: {store}\nbrand: {PLAIN}\nemail: {{ from: \"Shop <hello@shop.example>\" }}\n");
    std::fs::write(&file, text).unwrap();
    let program = env!("CARGO_BIN_EXE_rekindle");
    let postfix =
        Postfix::start(&format!("{program} --config {} bounces ingest --recipient ${{recipient}}", file.display()));
    let size = Size { store, smtp: Some(postfix.port), ..Size::default() };
    let shop = Shop::new(&size, PLAIN);
    shop.campaign("hello", "trigger: { kind: welcome }\nchannels: [email]");
    let rows = ["gone", "busy", "later", "full", "fine"]
        .map(|name| format!("{name},{name}@example.com,true,{SENT}\n"))
        .concat();
    shop.import(Kind::Members, "external_id,email,email_consent,joined_at\n".to_owned() + &rows).await;
    let app = shop.app(at(SENT)).await;
    app.once(&|_| {}).await.unwrap();
    app.store.close().await;
    let expected = [
        "busy hello main planned -",
        "fine hello main sent -",
        "full hello main bounced -",
        "gone hello main failed bad_recipient",
        "later hello main bounced -",
    ];
    let expected = expected.map(str::to_owned).to_vec();
    let started = tokio::time::Instant::now();
    while shop.states().await != expected && started.elapsed() < crate::support::DEADLINE {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(shop.states().await, expected, "{}", postfix.log());
    let ledger = shop.ledger().await;
    let busy = ledger.iter().find(|row| row.member == "busy").unwrap();
    assert_eq!((busy.attempts, busy.sent_at), (1, None), "it is tried again");
    let addresses = ledger.iter().map(|row| format!("{}@example.com", row.member)).collect();
    let mut tx = shop.store().await.read().await.unwrap();
    let closed = suppressions::of_addresses(&mut tx, addresses).await.unwrap();
    tx.commit().await.unwrap();
    let mut closed: Vec<String> = closed.into_iter().map(|(address, purpose)| format!("{address} {purpose}")).collect();
    closed.sort();
    assert_eq!(
        closed,
        [
            "gone@example.com marketing",
            "gone@example.com service",
            "later@example.com marketing",
            "later@example.com service"
        ]
    );
    shop.close().await;
}
