//! Mail to a real Postfix that takes, defers and refuses: what each answer does to the ledger, and
//! the ways of encryption.

use rekindle::import::Kind;
use rekindle::store::{Store, attempts};

use crate::support::postfix::Postfix;
use crate::support::shop::{PLAIN, Shop, Size};

/// Recipient, Postfix's answer in access(5)'s words, and the fate: state, reason, words of the reply,
/// suppressions.
const FATES: &[(&str, &str, &str, &str, &str, i64)] = &[
    ("takes", "OK", "sent", "-", "", 0),
    ("grey", "450 4.2.0 Greylisted, see http://postgrey.example/", "planned", "-", "Greylisted", 0),
    ("later", "451 4.3.0 try again", "planned", "-", "451 4.3.0", 0),
    ("slower", "450 4.7.1 too much from you", "planned", "-", "450 4.7.1", 0),
    ("full", "552 5.2.2 over quota", "planned", "-", "552 5.2.2", 0),
    ("gone-full", "550 5.1.1 mailbox full", "planned", "-", "mailbox full", 0),
    ("unknown", "550 5.1.1 no such user", "failed", "bad_recipient", "550 5.1.1", 2),
    ("policy-unknown", "550 5.7.1 User unknown", "failed", "bad_recipient", "550 5.7.1", 2),
    ("policy", "550 5.7.1 blocked, see our blocklist", "failed", "refused", "550 5.7.1", 0),
    ("reputation", "550 5.1.1 bad reputation of your address", "failed", "refused", "550 5.1.1", 0),
    ("vague", "550 mailbox unavailable", "failed", "refused", "550 5.7.1", 0),
    ("ours", "550 5.5.2 syntax", "failed", "our_fault", "550 5.5.2", 0),
    ("large", "552 5.3.4 too big", "failed", "message_refused", "552 5.3.4", 0),
];

fn keys() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/src/transports/smtp/tests")
}

async fn shop(smtp: &str, members: &[&str]) -> Shop {
    let shop = Shop::new(&Size::default(), PLAIN).with_email(&format!("sender: smtp, smtp: {smtp}"));
    shop.campaign("letter", "trigger: { kind: broadcast, at: 2024-05-02T10:00:00Z }\nchannels: [email]");
    let rows: String = members.iter().map(|name| format!("{name},{name}@pf.example,true\n")).collect();
    shop.import(Kind::Members, "external_id,email,email_consent\n".to_owned() + &rows).await;
    shop
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_answer_has_its_fate() {
    let table: String = FATES.iter().map(|(name, answer, ..)| format!("{name}@pf.example {answer}\n")).collect();
    let postfix = Postfix::start(&table);
    let members: Vec<&str> = FATES.iter().map(|(name, ..)| *name).collect();
    let shop = shop(&format!("{{ host: 127.0.0.1, port: {} }}", postfix.port), &members).await;
    shop.once("2024-05-02T10:00:00Z").await;
    let ledger = shop.ledger().await;
    let Store::Sqlite { readers: pool, .. } = shop.store().await else { unreachable!() };
    for (name, _, state, reason, words, suppressed) in FATES {
        let row = ledger.iter().find(|row| row.member == *name).unwrap();
        let mut tx = shop.store().await.read().await.unwrap();
        let attempts = attempts::of_message(&mut tx, row.id).await.unwrap();
        tx.commit().await.unwrap();
        let reply = attempts[0].reply.clone().unwrap_or_default();
        assert_eq!((row.state.as_str(), row.reason.as_deref().unwrap_or("-")), (*state, *reason), "{name}: {reply}");
        assert!(reply.contains(words) && !reply.contains("@pf.example"), "{name}: {reply}");
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM suppressions WHERE address = $1")
            .bind(format!("{name}@pf.example"))
            .fetch_one(pool)
            .await
            .unwrap();
        assert_eq!(count, *suppressed, "{name}");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_goes_out_encrypted_either_way_and_never_in_the_clear() {
    let postfix = Postfix::start("");
    for (port, tls) in [(postfix.port, "starttls"), (postfix.tls_port, "implicit")] {
        let trusted = format!("{{ host: localhost, port: {port}, tls: {tls}, ca_file: \"{}/ca.pem\" }}", keys());
        let shop_that_trusts = shop(&trusted, &["a", "b"]).await;
        shop_that_trusts.once("2024-05-02T10:00:00Z").await;
        assert_eq!(shop_that_trusts.states().await, ["a letter main sent -", "b letter main sent -"], "{tls}");
        shop_that_trusts.close().await;
        // Trusts nobody's authority but the system's.
        let mistrusting = format!("{{ host: localhost, port: {port}, tls: {tls}, connections: 1 }}");
        let shop = shop(&mistrusting, &["a"]).await;
        let settings = shop.settings();
        let factory = rekindle::app::factories(&settings, &catalog(&settings)).unwrap().0;
        let outcome = factory.open().send(&crate::support::email("<p>x</p>")).await;
        let rekindle::transports::Outcome::Pause { reply, .. } = outcome else { panic!("{outcome:?}") };
        assert!(reply.contains("name that authority's certificate as `ca_file`"), "{tls}: {reply}");
        shop.close().await;
    }
}

fn catalog(settings: &rekindle::settings::Settings) -> rekindle::catalog::Catalog {
    let files = rekindle::catalog::Files::read(settings).unwrap_or_else(|problems| panic!("{problems}"));
    rekindle::catalog::Catalog::compile(&files, settings).unwrap_or_else(|problems| panic!("{problems}"))
}
