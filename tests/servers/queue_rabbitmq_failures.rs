//! What the queue on RabbitMQ does when the broker, or the way to it, fails.

use std::sync::Arc;
use std::time::Duration;

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use rekindle::domain::message::Channel;
use rekindle::queue::rabbitmq::{Limits, RabbitMq};
use rekindle::queue::{Queue, QueueError, Settle};

use crate::proxy::Proxy;
use crate::queue_contract::{complaint, emails, ids, messages, set, take};
use crate::queue_rabbitmq::{Prefix, direct, with_prefix};
use crate::support::{DEADLINE, email, server, sms, tidied, until};

/// Short, so that a test of what takes too long does not.
const LIMITS: Limits = Limits { connect: Duration::from_secs(5), confirm: Duration::from_millis(400) };

/// A queue whose connections go through a proxy.
struct Bench {
    queue: Arc<RabbitMq>,
    proxy: Arc<Proxy>,
    prefix: Arc<Prefix>,
}

async fn through_a_proxy<F: Future<Output = ()>>(limits: Limits, test: impl FnOnce(Bench) -> F) {
    let url = server("REKINDLE_TEST_RABBITMQ");
    let (host, port) = address(&url);
    let proxy = Proxy::before(&format!("{host}:{port}")).await;
    let prefix = Arc::new(Prefix::new());
    let url = through(&proxy, &prefix);
    let queue = Arc::new(RabbitMq::connect_within(&url, limits).await.unwrap());
    let bench = Bench { queue: queue.clone(), proxy: proxy.clone(), prefix: prefix.clone() };
    tidied(test(bench), async {
        proxy.mend();
        proxy.cut();
        queue.close().await;
        prefix.remove().await;
    })
    .await;
}

/// The URL of the broker behind a proxy.
pub fn through(proxy: &Proxy, prefix: &Prefix) -> String {
    let url = server("REKINDLE_TEST_RABBITMQ");
    let user = authority(&url).rsplit_once('@').map_or("guest:guest", |(user, _)| user);
    with_prefix(&url.replacen(authority(&url), &format!("{user}@{}", proxy.address), 1), &prefix.0)
}

pub fn address(url: &str) -> (String, u16) {
    let host = authority(url).rsplit('@').next().unwrap();
    let (host, port) = host.split_once(':').unwrap_or((host, "5672"));
    (host.to_owned(), port.parse().unwrap())
}

/// `user:password@host:port` of a URL.
fn authority(url: &str) -> &str {
    url.split_once("://").unwrap().1.split(['/', '?']).next().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishing_goes_on_after_its_connection_was_cut() {
    through_a_proxy(Limits::default(), async |bench| {
        let first = emails(10);
        assert_eq!(set(&bench.queue.publish(first.clone()).await.unwrap()), ids(&first));
        bench.proxy.cut();
        // The first call may not know yet; then it fails. No call says less or more than the truth.
        let second = emails(10);
        let confirmed = bench.queue.publish(second.clone()).await.unwrap_or_default();
        let again: Vec<_> = second.iter().filter(|e| !confirmed.contains(&e.message)).cloned().collect();
        until(true, async || bench.queue.publish(again.clone()).await.is_ok_and(|ids| ids.len() == again.len())).await;
        let mut consumer = bench.queue.consume(Channel::Email, 100).await.unwrap();
        let mut came = std::collections::BTreeSet::new();
        while came.len() < 20 {
            came.extend(messages(&consumer.next(100, DEADLINE).await.unwrap()));
        }
        assert_eq!(came, &ids(&first) | &ids(&second));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_in_the_middle_of_a_batch_confirms_only_what_arrived() {
    through_a_proxy(Limits::default(), async |bench| {
        let html = "سلام سارا. ".repeat(400);
        let sent: Vec<_> = (0..3_000).map(|_| email(&html)).collect();
        bench.queue.publish(sent[..1].to_vec()).await.unwrap();
        // Far more than may be in flight at once, and far less than all.
        bench.proxy.cut_after(6_000_000);
        let confirmed = set(&bench.queue.publish(sent.clone()).await.unwrap());
        assert!(!confirmed.is_empty() && confirmed.len() < sent.len(), "{} were confirmed", confirmed.len());
        let watcher = RabbitMq::connect(&bench.prefix.url()).await.unwrap();
        let mut consumer = watcher.consume(Channel::Email, 500).await.unwrap();
        let mut came = std::collections::BTreeSet::new();
        while !came.is_superset(&confirmed) {
            let batch = consumer.next(500, DEADLINE).await.unwrap();
            assert!(!batch.is_empty(), "{} of {} came", came.len(), confirmed.len());
            came.extend(messages(&batch));
            consumer.settle(batch.iter().map(|d| (d.tag, Settle::Acknowledge)).collect()).await.unwrap();
        }
        consumer.close().await;
        watcher.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_was_cut_off_fails_and_the_next_gets_what_was_unsettled() {
    through_a_proxy(Limits::default(), async |bench| {
        for mail in emails(6) {
            bench.queue.publish(vec![mail]).await.unwrap();
        }
        let mut consumer = bench.queue.consume(Channel::Email, 10).await.unwrap();
        let came = take(&mut consumer, 6).await;
        consumer.settle(came[..2].iter().map(|d| (d.tag, Settle::Acknowledge)).collect()).await.unwrap();
        bench.proxy.cut();
        let error = complaint(consumer.next(10, DEADLINE).await);
        assert!(error.contains("cannot be used"), "{error}");
        assert!(consumer.settle(vec![(came[2].tag, Settle::Acknowledge)]).await.is_err());
        assert!(consumer.next(10, DEADLINE).await.is_err());
        consumer.close().await;
        let mut next = bench.queue.consume(Channel::Email, 10).await.unwrap();
        let unsettled = set(&messages(&came[2..]));
        let mut again = std::collections::BTreeSet::new();
        // The acknowledgements may have been cut off as well: then all six come.
        while !again.is_superset(&unsettled) {
            again.extend(messages(&take(&mut next, 1).await));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_queue_takes_is_not_confirmed_and_the_next_call_mends_it() {
    through_a_proxy(Limits::default(), async |bench| {
        assert_eq!(bench.queue.publish(emails(2)).await.unwrap().len(), 2);
        let direct = direct().await;
        bench.prefix.delete_queue("email", &direct).await;
        assert_eq!(bench.queue.depth(Channel::Email).await.unwrap(), 0);
        // The broker acknowledges what it returns. In one batch with what does arrive, only that counts.
        let (lost, arrived) = (emails(40), (0..40).map(|_| sms("سلام")).collect::<Vec<_>>());
        let mixed: Vec<_> = lost.iter().zip(&arrived).flat_map(|(a, b)| [a.clone(), b.clone()]).collect();
        assert_eq!(set(&bench.queue.publish(mixed.clone()).await.unwrap()), ids(&arrived));
        assert_eq!(set(&bench.queue.publish(lost.clone()).await.unwrap()), ids(&lost));
        let mut consumer = bench.queue.consume(Channel::Email, 100).await.unwrap();
        assert_eq!(set(&messages(&take(&mut consumer, 40).await)), ids(&lost));
        direct.close(200, "done".into()).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_exchange_nothing_is_confirmed_and_the_next_call_mends_it() {
    through_a_proxy(Limits::default(), async |bench| {
        bench.queue.publish(emails(1)).await.unwrap();
        bench.prefix.remove().await;
        let sent = emails(5);
        let error = complaint(bench.queue.publish(sent.clone()).await);
        assert!(error.contains("no exchange"), "{error}");
        assert_eq!(set(&bench.queue.publish(sent.clone()).await.unwrap()), ids(&sent));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_whose_queue_is_deleted_fails_and_the_next_declares_it() {
    through_a_proxy(Limits::default(), async |bench| {
        let mut consumer = bench.queue.consume(Channel::Email, 10).await.unwrap();
        let direct = direct().await;
        bench.prefix.delete_queue("email", &direct).await;
        let error = complaint(consumer.next(10, DEADLINE).await);
        assert!(error.contains("it stopped sending from"), "{error}");
        let mut next = bench.queue.consume(Channel::Email, 10).await.unwrap();
        let sent = emails(3);
        assert_eq!(set(&bench.queue.publish(sent.clone()).await.unwrap()), ids(&sent));
        assert_eq!(set(&messages(&take(&mut next, 3).await)), ids(&sent));
        direct.close(200, "done".into()).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_falls_silent_is_given_up() {
    through_a_proxy(LIMITS, async |bench| {
        bench.queue.publish(emails(1)).await.unwrap();
        bench.proxy.freeze();
        let sent = emails(5);
        let start = tokio::time::Instant::now();
        let error = complaint(bench.queue.publish(sent.clone()).await);
        assert!(error.contains("did not answer within 400ms"), "{error}");
        assert!(start.elapsed() < DEADLINE / 10);
        bench.proxy.mend();
        assert_eq!(set(&bench.queue.publish(sent.clone()).await.unwrap()), ids(&sent));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_accepts_and_says_nothing_is_called_once() {
    let limits = Limits { connect: Duration::from_secs(2), ..Limits::default() };
    through_a_proxy(limits, async |bench| {
        let before = bench.proxy.accepted();
        bench.proxy.freeze();
        bench.proxy.cut();
        until(true, async || bench.queue.depth(Channel::Email).await.is_err()).await;
        let error = complaint(bench.queue.depth(Channel::Email).await);
        assert!(error.contains("did not answer within 2s"), "{error}");
        assert!(bench.proxy.accepted() <= before + 1);
        bench.proxy.mend();
        until(true, async || bench.queue.depth(Channel::Email).await.is_ok()).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_blocks_publishers_is_not_pressed() {
    through_a_proxy(LIMITS, async |bench| {
        bench.queue.publish(emails(1)).await.unwrap();
        // Connection.Blocked, as with a disk alarm, and later Connection.Unblocked.
        bench.proxy.inject(b"\x01\0\0\0\0\0\x09\0\x0a\0\x3c\x04disk\xce");
        let sent = emails(5);
        until(true, async || {
            let error = bench.queue.publish(sent.clone()).await.err().map(|error| error.to_string());
            error.is_some_and(|error| error.contains("for want of disk space or memory"))
        })
        .await;
        // Known to be blocked, it is not tried at all.
        let start = tokio::time::Instant::now();
        assert!(bench.queue.publish(sent.clone()).await.is_err());
        assert!(start.elapsed() < LIMITS.confirm / 2);
        bench.proxy.inject(b"\x01\0\0\0\0\0\x04\0\x0a\0\x3d\xce");
        until(true, async || {
            bench.queue.publish(sent.clone()).await.is_ok_and(|confirmed| set(&confirmed) == ids(&sent))
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_restarts_is_waited_for() {
    through_a_proxy(Limits::default(), async |bench| {
        bench.queue.publish(emails(1)).await.unwrap();
        bench.proxy.refuse();
        until(true, async || bench.queue.publish(emails(1)).await.is_err()).await;
        let sent = emails(3);
        let (published, ()) = tokio::join!(bench.queue.publish(sent.clone()), async { bench.proxy.mend() });
        assert_eq!(set(&published.unwrap()), ids(&sent));
    })
    .await;
}

#[tokio::test]
async fn a_queue_with_other_settings_is_refused_with_what_to_do() {
    let prefix = Prefix::new();
    let test = async {
        let connection = direct().await;
        let channel = connection.create_channel().await.unwrap();
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        let name = format!("{}.email", prefix.0);
        channel.queue_declare(name.clone().into(), durable, FieldTable::default()).await.unwrap();
        let error = RabbitMq::connect(&prefix.url()).await.err().unwrap();
        assert!(matches!(&error, QueueError::Mismatch { queue, .. } if *queue == name), "{error:?}");
        let error = error.to_string();
        assert!(error.contains("inequivalent arg") && error.contains("delete it, or use another prefix"), "{error}");
        connection.close(200, "done".into()).await.unwrap();
    };
    tidied(test, prefix.remove()).await;
}

#[tokio::test]
async fn what_keeps_it_from_connecting_is_said_without_the_password() {
    let good = server("REKINDLE_TEST_RABBITMQ");
    let (host, port) = address(&good);
    let check = async |url: String, part: &str| {
        let start = tokio::time::Instant::now();
        let limits = Limits { connect: Duration::from_secs(1), ..Limits::default() };
        let error = complaint(RabbitMq::connect_within(&url, limits).await);
        assert!(error.contains(part) && !error.contains("sesame"), "{url}: {error}");
        assert!(start.elapsed() < DEADLINE / 6, "{url} took {:?}", start.elapsed());
    };
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    check(format!("amqp://guest:sesame@{host}:{port}/%2f"), "refuses the user name or the password").await;
    check(format!("amqp://nobody:sesame@{host}:{port}/%2f"), "refuses the user name or the password").await;
    check(format!("amqp://guest:sesame@127.0.0.1:{unused}/%2f"), "nothing answers at that address").await;
    check(format!("amqp://guest:sesame@127.0.0.1:{silent_port}/%2f"), "did not answer within 1s").await;
    check(format!("amqp://guest:sesame@no-such-host.invalid:{port}/%2f"), "lookup").await;
    check(format!("amqps://guest:sesame@{host}:{port}/%2f"), "its port for TLS").await;
    check(format!("amqp://{}/no-such-vhost", authority(&good)), "virtual host `no-such-vhost`").await;
}
