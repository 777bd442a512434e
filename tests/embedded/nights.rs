//! What `run` does beside sending, to the program itself: orders are credited and the night's work is done without
//! anybody asking for it.

use std::process::{Child, Command, Stdio};

use rekindle::import::Kind;
use rekindle::nightly;
use rekindle::store::{daily, rfm, stretches};

use crate::support::nodes::signal;
use crate::support::shop::{PLAIN, Shop, Size, at};
use crate::support::until;

const SENT: &str = "2024-05-02T12:00:00Z";

/// A letter with a code to three members, one of whom used it.
async fn shop() -> Shop {
    let shop = Shop::new(&Size::default(), PLAIN);
    shop.campaign(
        "letter",
        "trigger: { kind: broadcast, at: 2024-05-02T10:00:00Z }\nchannels: [email]\n\
         gift: { coupon: { pool: p, value: 10% } }",
    );
    shop.write("templates/note/email.html", "<html><body><p>{{gift.code}}</p></body></html>");
    shop.write("rekindle.yaml", shop.settings_text());
    shop.import(Kind::Coupons { pool: Some("p") }, "code\nC-1\nC-2\nC-3\n").await;
    let members: String = (0..3).map(|n| format!("m{n},m{n}@example.com,true\n")).collect();
    shop.import(Kind::Members, format!("external_id,email,email_consent\n{members}")).await;
    shop.once(SENT).await;
    let mails = shop.mails();
    let code = mails.values().next().unwrap().split("C-").nth(1).unwrap().chars().next().unwrap();
    let head = "order_id,member_external_id,purchased_at,amount,currency,status,coupon_code\n";
    let order = format!("{head}o1,m1,2024-05-03T10:00:00Z,20.00,USD,paid,C-{code}\n");
    shop.import_at(Kind::Purchases, order, "2024-05-04T00:00:00Z").await.unwrap();
    shop
}

fn run(shop: &Shop) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rekindle"));
    command.args(["--config", "rekindle.yaml", "run"]).current_dir(&shop.folder.0);
    command.env_remove("REKINDLE_STORE").env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_credits_orders_and_does_the_work_of_a_night_that_has_come() {
    let shop = shop().await;
    // Counts that nobody made, which a night finds.
    let day = at(SENT).timestamp() / 86_400;
    shop.write_store(async |tx| {
        let stored = daily::stored(tx, "letter", (day, day + 1)).await.unwrap();
        let sent = stored.into_iter().find(|row| row.key.fact == "sent").unwrap();
        let wrong = daily::Count { n: 7, amount: 0 };
        daily::mend(tx, &[daily::Differs { key: sent.key, counted: daily::Count::default(), found: wrong }]);
    })
    .await;
    let mut process = run(&shop);
    let done = async || {
        let mut tx = shop.store().await.read().await.unwrap();
        let counted = daily::stored(&mut tx, "letter", (day, day + 1)).await.unwrap();
        let count = |fact: &str| counted.iter().filter(|row| row.key.fact == fact).map(|row| row.count.n).sum::<i64>();
        let ended = nightly::last_ended(&mut tx).await.unwrap();
        let cuts = rfm::current(&mut tx).await.unwrap();
        let closed = stretches::read(&mut tx, &["letter".to_owned()], (0, 100_000)).await.unwrap();
        tx.commit().await.unwrap();
        let found = (count("sent"), count("bought"), count("code_used"));
        found == (3, 1, 1)
            && ended.is_some_and(|ended| ended > at("2026-01-01T00:00:00Z"))
            && cuts.is_some()
            && !closed.is_empty()
    };
    until(true, async || done().await).await;
    signal("TERM", i64::from(process.id()));
    assert!(process.wait().unwrap().success());
    shop.close().await;
}
