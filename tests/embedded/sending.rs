//! The pace of sending: rates, places and rests by recipients' domain, servers that take over for
//! each other, and what becomes of the messages that must wait.

use std::collections::BTreeMap;

use rekindle::clock::Clock;
use rekindle::import::Kind;
use rekindle::store::paces;

use crate::support::mail_server::MailServer;
use crate::support::shop::{PLAIN, Shop, Size};

const TAKES_ALL: fn(&str) -> &'static str = |_| "250 ok";

fn with_rules(port: u16, more: &str) -> String {
    format!("sender: smtp, smtp: {{ host: 127.0.0.1, port: {port}, connections: 8 }}{more}")
}

/// A shop with one letter to so many members at each domain.
async fn shop(email: &str, members: &[(&str, usize)]) -> Shop {
    let shop = Shop::new(&Size::default(), PLAIN).with_email(email);
    shop.campaign(
        "letter",
        "trigger: { kind: broadcast, at: 2024-05-02T10:00:00Z }\nchannels: [email]\nlimits: { late: always }",
    );
    let mut rows = "external_id,email,email_consent\n".to_owned();
    for (domain, count) in members {
        rows.extend((0..*count).map(|n| format!("{n}-{domain},m{n}@{domain},true\n")));
    }
    shop.import(Kind::Members, rows).await;
    shop
}

/// State and number of ended attempts of the messages to each domain.
async fn fates(shop: &Shop) -> BTreeMap<String, BTreeMap<(String, i64), usize>> {
    let mut fates: BTreeMap<String, BTreeMap<(String, i64), usize>> = BTreeMap::new();
    for row in shop.ledger().await {
        let domain = row.member.split_once('-').unwrap().1.to_owned();
        *fates.entry(domain).or_default().entry((row.state, row.attempts)).or_default() += 1;
    }
    fates
}

fn all(state: &str, attempts: i64, count: usize) -> BTreeMap<(String, i64), usize> {
    BTreeMap::from([((state.to_owned(), attempts), count)])
}

async fn resting(shop: &Shop) -> Vec<(String, String, String)> {
    let mut tx = shop.store().await.read().await.unwrap();
    let resting = paces::resting(&mut tx).await.unwrap();
    resting.into_iter().map(|rests| (rests.name, rests.state, rests.reply)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_holds_back_its_domain_and_no_other() {
    let server = MailServer::start(TAKES_ALL).await;
    let rules = ", domains: { slow.example: { rate: { per_minute: 3 } } }";
    let shop = shop(&with_rules(server.port, rules), &[("slow.example", 12), ("fast.example", 60)]).await;
    shop.once_now().await;
    let fates = fates(&shop).await;
    assert_eq!(fates["fast.example"], all("sent", 1, 60));
    let mut expected = all("sent", 1, 3);
    expected.extend(all("planned", 0, 9));
    assert_eq!(fates["slow.example"], expected, "who waits has spent nothing");
    // A place each: three a minute.
    let now = Clock::System.now().timestamp_millis();
    let mut waits: Vec<i64> =
        shop.ledger().await.iter().filter(|row| row.state == "planned").map(|row| row.next_at - now).collect();
    waits.sort_unstable();
    assert!(waits.windows(2).all(|pair| pair[1] - pair[0] > 15_000), "{waits:?}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_has_room_for_its_number_of_messages() {
    let server = MailServer::start(TAKES_ALL).await;
    let rules = ", domains: { new.example: { rate: { per_day: 5 } }, default: { rate: { per_day: 40 } } }";
    let shop = shop(&with_rules(server.port, rules), &[("new.example", 12), ("old.example", 30)]).await;
    shop.once_now().await;
    let found = fates(&shop).await;
    assert_eq!(found["old.example"], all("sent", 1, 30));
    let mut expected = all("sent", 1, 5);
    expected.extend(all("planned", 0, 7));
    assert_eq!(found["new.example"], expected);
    // Another process counts on from there.
    shop.import(Kind::Members, "external_id,email,email_consent\nx-new.example,x@new.example,true\n").await;
    shop.once_now().await;
    assert_eq!(server.counts("new.example").taken, 5);
    shop.close().await;
}

/// How many places of today are counted, by name.
async fn counted(shop: &Shop) -> Vec<(String, i64)> {
    let rekindle::store::Store::Sqlite { readers: pool, .. } = shop.store().await else { unreachable!() };
    sqlx::query_as("SELECT name, taken FROM paces ORDER BY name").fetch_all(pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_domain_holds_back_uses_up_nothing_of_its_servers_day() {
    let server = MailServer::start(TAKES_ALL).await;
    let email = format!(
        "sender: smtp, smtp: {{ host: 127.0.0.1, port: {}, rate: {{ per_day: 40, per_minute: 35 }} }}, \
         domains: {{ new.example: {{ rate: {{ per_day: 5 }} }} }}",
        server.port
    );
    let shop = shop(&email, &[("new.example", 200), ("old.example", 25)]).await;
    shop.once_now().await;
    let mut expected = all("sent", 1, 5);
    expected.extend(all("planned", 0, 195));
    let found = fates(&shop).await;
    assert_eq!((&found["new.example"], &found["old.example"]), (&expected, &all("sent", 1, 25)));
    let day = |name: &str, taken| (name.to_owned(), taken);
    assert_eq!(counted(&shop).await, [day("domain new.example", 5), day("smtp", 30)]);
    // So the server has room for those who come later, in its minute and in its day.
    let more = "external_id,email,email_consent\n".to_owned()
        + &(0..5).map(|n| format!("x{n}-old.example,x{n}@old.example,true\n")).collect::<String>();
    shop.import(Kind::Members, more).await;
    shop.once_now().await;
    assert_eq!(server.counts("old.example").taken, 30);
    assert_eq!(counted(&shop).await, [day("domain new.example", 5), day("smtp", 35)]);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_server_was_handed_uses_up_nothing_of_the_day() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let email = format!("sender: smtp, smtp: {{ host: 127.0.0.1, port: {closed}, rate: {{ per_day: 50 }} }}");
    let shop = shop(&email, &[("one.example", 30)]).await;
    shop.once_now().await;
    assert_eq!(fates(&shop).await["one.example"].values().sum::<usize>(), 30);
    assert!(shop.ledger().await.iter().all(|row| row.state == "planned"), "it is away");
    assert_eq!(counted(&shop).await, [("smtp".to_owned(), 0)]);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_domain_gets_no_more_sends_at_once_than_it_may() {
    let server = MailServer::start(TAKES_ALL).await;
    let rules = ", domains: { narrow.example: { connections: 2 } }";
    let shop = shop(&with_rules(server.port, rules), &[("narrow.example", 80), ("wide.example", 200)]).await;
    shop.once_now().await;
    let narrow = server.counts("narrow.example");
    assert!((1..=2).contains(&narrow.most), "{narrow:?}");
    let fates = fates(&shop).await;
    assert_eq!(fates["wide.example"], all("sent", 1, 200));
    assert!(fates["narrow.example"].keys().all(|(state, attempts)| (state == "sent") == (*attempts == 1)), "{fates:?}");
    assert!(narrow.taken >= 50, "what waits in the process goes, too: {narrow:?}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_domain_that_wants_less_rests_and_the_others_go_on() {
    let throttle = |address: &str| if address.ends_with("busy.example") { "451 4.7.0 try later" } else { "250 ok" };
    let server = MailServer::start(throttle).await;
    let shop = shop(&with_rules(server.port, ""), &[("busy.example", 200), ("free.example", 100)]).await;
    shop.once_now().await;
    let fates = fates(&shop).await;
    assert_eq!(fates["free.example"], all("sent", 1, 100));
    assert!(fates["busy.example"].keys().all(|(state, _)| state == "planned"), "{fates:?}");
    // Each connection had at most one on its way when the first answer came.
    assert!(server.counts("busy.example").asked <= 8, "{:?}", server.counts("busy.example"));
    assert_eq!(
        resting(&shop).await,
        [("domain busy.example".to_owned(), "open".to_owned(), "RCPT: 451 4.7.0 try later".to_owned())]
    );
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_in_a_row_rest_the_domain_and_suppress_nobody() {
    let refuse =
        |address: &str| if address.ends_with("strict.example") { "550 5.7.1 low reputation" } else { "250 ok" };
    let server = MailServer::start(refuse).await;
    let shop = shop(&with_rules(server.port, ""), &[("strict.example", 200)]).await;
    shop.once_now().await;
    let counts = server.counts("strict.example");
    assert!((3..=11).contains(&counts.asked), "{counts:?}");
    let fates = fates(&shop).await;
    assert_eq!(fates["strict.example"][&("failed".to_owned(), 1)], counts.asked);
    let mut tx = shop.store().await.read().await.unwrap();
    assert_eq!(rekindle::store::suppressions::count(&mut tx).await.unwrap(), 0);
    tx.commit().await.unwrap();
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_takes_over_for_one_that_is_away() {
    let server = MailServer::start(TAKES_ALL).await;
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let servers = format!(
        "sender: smtp, smtp: [{{ host: 127.0.0.1, port: {closed}, weight: 3 }}, {{ host: localhost, port: {} }}]",
        server.port
    );
    let shop = shop(&servers, &[("one.example", 100)]).await;
    shop.once_now().await;
    assert_eq!(fates(&shop).await["one.example"], all("sent", 1, 100));
    assert_eq!(server.counts("one.example").taken, 100);
    let rests = resting(&shop).await;
    assert_eq!((rests[0].0.as_str(), rests[0].1.as_str()), (format!("smtp 127.0.0.1:{closed}").as_str(), "open"));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_wants_another_password_rests_and_no_attempt_is_spent() {
    let server = MailServer::start(|_| "530 5.7.0 authentication required").await;
    let shop = shop(&with_rules(server.port, ""), &[("one.example", 600)]).await;
    shop.once_now().await;
    for row in shop.ledger().await {
        assert_eq!((row.state.as_str(), row.reason.as_deref()), ("planned", None));
    }
    let rekindle::store::Store::Sqlite { readers: pool, .. } = shop.store().await else { unreachable!() };
    let spent: i64 = sqlx::query_scalar("SELECT SUM(retries) FROM messages").fetch_one(pool).await.unwrap();
    assert_eq!(spent, 0);
    let expected = ("smtp".to_owned(), "open".to_owned(), "RCPT: 530 5.7.0 authentication required".to_owned());
    assert_eq!(resting(&shop).await, [expected]);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mailbox_that_is_full_for_days_is_given_up() {
    let server = MailServer::start(|_| "550 5.1.1 mailbox full").await;
    let shop = Shop::new(&Size::default(), PLAIN).with_email(&with_rules(server.port, ""));
    for day in 1..=5 {
        shop.campaign(
            &format!("letter-{day}"),
            &format!("trigger: {{ kind: broadcast, at: 2024-05-0{day}T10:00:00Z }}\nchannels: [email]"),
        );
    }
    shop.import(Kind::Members, "external_id,email,email_consent\na,a@full.example,true\n").await;
    let suppressed = async || {
        let mut tx = shop.store().await.read().await.unwrap();
        let count = rekindle::store::suppressions::count(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
        count
    };
    for day in 1..=4 {
        shop.once(&format!("2024-05-0{day}T10:00:00Z")).await;
        assert_eq!(suppressed().await, 0, "day {day}");
    }
    shop.once("2024-05-05T10:00:00Z").await;
    assert_eq!(suppressed().await, 2, "of both purposes");
    shop.close().await;
}
