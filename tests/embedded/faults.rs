//! What the embedded size does when the disk is full.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use rekindle::import::Kind;
use rekindle::store::Store;
use sqlx::{AssertSqlSafe, SqlitePool};

use crate::support::shop::{PLAIN, Shop, Size, at};

const NOW: &str = "2024-05-02T10:00:00Z";
const MEMBERS: usize = 400;

/// A disk on which the database has so many pages.
struct Disk {
    pool: SqlitePool,
    pages: AtomicI64,
}

impl Disk {
    /// One that is full.
    async fn full(pool: SqlitePool) -> Self {
        let (pages,): (i64,) = sqlx::query_as("PRAGMA page_count").fetch_one(&pool).await.unwrap();
        let disk = Self { pool, pages: AtomicI64::new(pages) };
        disk.grow(0).await;
        disk
    }

    async fn grow(&self, pages: i64) {
        let pages = self.pages.fetch_add(pages, Ordering::SeqCst) + pages;
        // A bound is that of one connection: there is one, and one that was given up is replaced.
        let sql = format!("PRAGMA max_page_count = {pages}");
        sqlx::query(AssertSqlSafe(sql)).execute(&self.pool).await.unwrap();
    }
}

/// There is room for a little at a time, and none again soon: everything that writes meets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_the_work_and_it_goes_on_when_there_is_room() {
    let shop = Shop::new(&Size::default(), PLAIN);
    shop.campaign("c", &format!("trigger: {{ kind: broadcast, at: {NOW} }}\nchannels: [email]"));
    let rows: String = (0..MEMBERS).map(|n| format!("m{n},m{n}@example.com,true\n")).collect();
    shop.import(Kind::Members, format!("external_id,email,email_consent\n{rows}")).await;
    let mut app = shop.app(at(NOW)).await;
    app.store.close().await;
    app.store = Store::open(&shop.settings().store, 1).await.unwrap();
    let Store::Sqlite { writer: pool, .. } = app.store.clone() else { unreachable!() };
    let disk = Disk::full(pool).await;
    let failures = AtomicUsize::new(0);
    let work = async {
        while let Err(error) = app.once(&|_| {}).await {
            assert!(error.to_string().contains("database or disk is full"), "{error}");
            failures.fetch_add(1, Ordering::Relaxed);
            disk.grow(1).await;
        }
    };
    let operator = async {
        loop {
            // What is to be recorded waits for room: nobody comes back to ask for it.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            disk.grow(4).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = operator => {}
    }
    assert!(failures.load(Ordering::Relaxed) > 5, "{failures:?}");
    let ledger = shop.ledger().await;
    assert_eq!(ledger.len(), MEMBERS);
    assert!(ledger.iter().all(|row| row.state == "sent" && row.attempts == 1));
    let mails = std::fs::read_dir(shop.folder.0.join("outbox/email")).unwrap().count();
    assert_eq!(mails, MEMBERS);
    app.store.close().await;
    shop.close().await;
}
