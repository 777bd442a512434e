//! Servers that answer as they are told, and which of them get the messages.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::domain::message::{Content, Purpose, SmsWords};

/// Time that passes when a test says so.
#[derive(Clone, Default)]
struct Time(Arc<AtomicUsize>);

impl Time {
    fn passes(&self, seconds: usize) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }

    fn pool(&self, servers: Vec<Server>) -> Pool {
        let time = self.clone();
        Pool::timed("servers", servers, move || Duration::from_secs(time.0.load(Ordering::Relaxed) as u64))
    }
}

/// A server that gives the same answer to everybody.
struct Fixed {
    name: &'static str,
    answer: Mutex<Outcome>,
    asked: AtomicUsize,
}

struct FixedSender(Arc<Fixed>);

/// A factory of such senders, shared with the test.
struct FixedFactory(Arc<Fixed>);

impl Fixed {
    fn new(name: &'static str, answer: Outcome) -> Arc<Self> {
        Arc::new(Self { name, answer: Mutex::new(answer), asked: AtomicUsize::new(0) })
    }

    fn answers(&self, answer: Outcome) {
        *self.answer.lock().unwrap() = answer;
    }

    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }
}

impl Sender for FixedSender {
    fn send<'a>(&'a mut self, _: &'a Envelope) -> BoxFuture<'a, Outcome> {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        let answer = self.0.answer.lock().unwrap().clone();
        Box::pin(async move { answer })
    }

    fn name(&self) -> &str {
        self.0.name
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

impl SenderFactory for FixedFactory {
    fn name(&self) -> &str {
        self.0.name
    }

    fn connections(&self) -> usize {
        1
    }

    fn is_local(&self) -> bool {
        true
    }

    fn open(&self) -> Box<dyn Sender> {
        Box::new(FixedSender(Arc::clone(&self.0)))
    }
}

fn server(fixed: &Arc<Fixed>, weight: u32, prefixes: &[&str]) -> Server {
    let prefixes = prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
    Server { factory: Arc::new(FixedFactory(Arc::clone(fixed))), weight, rate: Rate::default(), prefixes }
}

fn sent() -> Outcome {
    Outcome::Sent { reference: None }
}

fn pause(seconds: u64) -> Outcome {
    Outcome::Pause { reply: "away".to_owned(), pause: Duration::from_secs(seconds) }
}

fn envelope(n: u128, to: &str) -> Envelope {
    Envelope {
        // Spread over all bits, as random ones are.
        at: 0,
        campaign: "c".to_owned(),
        ..Envelope::new(
            uuid::Uuid::from_u128(n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)),
            Purpose::Marketing,
            to,
            Content::text("x"),
        )
    }
}

async fn send(pool: &Pool, count: u128, to: &str) -> BTreeMap<String, usize> {
    let mut sender = pool.open();
    let mut went = BTreeMap::new();
    for n in 0..count {
        let outcome = sender.send(&envelope(n, to)).await;
        let word = match outcome {
            Outcome::Sent { .. } => sender.name().to_owned(),
            Outcome::Pause { pause, .. } => format!("pause {}", pause.as_secs()),
            Outcome::Later { wait, .. } => format!("later {}", wait.as_secs()),
            other => format!("{other:?}"),
        };
        *went.entry(word).or_default() += 1;
    }
    went
}

#[tokio::test]
async fn messages_are_shared_by_weight_and_each_keeps_its_server() {
    let time = Time::default();
    let (a, b) = (Fixed::new("a", sent()), Fixed::new("b", sent()));
    let pool = time.pool(vec![server(&a, 3, &[]), server(&b, 1, &[])]);
    let went = send(&pool, 1000, "+1").await;
    assert!((680..820).contains(&went["a"]), "{went:?}");
    assert_eq!(send(&pool, 1000, "+1").await, went);
}

#[tokio::test]
async fn another_server_takes_over_while_one_rests_and_gives_back() {
    let time = Time::default();
    let (a, b) = (Fixed::new("a", pause(300)), Fixed::new("b", sent()));
    let pool = time.pool(vec![server(&a, 1, &[]), server(&b, 1, &[])]);
    assert_eq!(send(&pool, 100, "+1").await, BTreeMap::from([("b".to_owned(), 100)]));
    assert_eq!(a.asked(), 1, "after its refusal nobody asks it");
    let resting = pool.resting();
    assert_eq!((resting[0].name.as_str(), resting[0].state, resting[0].left.as_secs()), ("a", BreakerState::Open, 300));
    time.passes(301);
    send(&pool, 100, "+1").await;
    assert_eq!(a.asked(), 1, "one message tries");
    time.passes(601);
    a.answers(sent());
    let went = send(&pool, 100, "+1").await;
    assert!(went["a"] > 20 && went["b"] > 20, "{went:?}");
    assert!(pool.resting().is_empty());
}

#[tokio::test]
async fn after_any_answer_nobody_else_is_asked() {
    let time = Time::default();
    let retry = Outcome::Retry { reply: String::new(), blame: Blame::Nobody };
    let (a, b) = (Fixed::new("a", retry.clone()), Fixed::new("b", retry));
    let pool = time.pool(vec![server(&a, 1, &[]), server(&b, 1, &[])]);
    send(&pool, 50, "+1").await;
    assert_eq!(a.asked() + b.asked(), 50);
}

#[tokio::test]
async fn a_server_that_falls_silent_rests_and_its_messages_are_not_asked_of_another() {
    let time = Time::default();
    let broke_off = Outcome::Retry { reply: "MAIL: it closed".to_owned(), blame: Blame::Server };
    for answer in [broke_off, Outcome::Uncertain { reply: "after the mail: no answer".to_owned() }] {
        let (a, b) = (Fixed::new("a", answer), Fixed::new("b", sent()));
        let pool = time.pool(vec![server(&a, 1, &[]), server(&b, 1, &[])]);
        let went = send(&pool, 50, "+1").await;
        assert_eq!(a.asked(), 3, "then it rests");
        assert_eq!((went["b"], b.asked()), (47, 47), "{went:?}");
        assert_eq!(pool.resting()[0].left, AWAY);
    }
}

#[tokio::test]
async fn a_server_that_is_away_for_a_moment_is_asked_again_before_it_rests() {
    let time = Time::default();
    let a = Fixed::new("a", pause(30));
    let pool = time.pool(vec![server(&a, 1, &[])]);
    let went = send(&pool, 5, "+1").await;
    assert_eq!(went, BTreeMap::from([("later 30".to_owned(), 2), ("pause 30".to_owned(), 3)]));
    assert_eq!(a.asked(), 3);
}

#[tokio::test]
async fn the_longest_prefix_decides_and_a_route_that_rests_stops_no_other() {
    let time = Time::default();
    let (iran, irancell, world) =
        (Fixed::new("iran", sent()), Fixed::new("irancell", sent()), Fixed::new("world", sent()));
    let servers = vec![server(&iran, 1, &["+98"]), server(&irancell, 1, &["+98935", "+98936"]), server(&world, 1, &[])];
    let pool = time.pool(servers);
    let one = |name: &str| BTreeMap::from([(name.to_owned(), 20)]);
    assert_eq!(send(&pool, 20, "+989121234567").await, one("iran"));
    assert_eq!(send(&pool, 20, "+989351234567").await, one("irancell"));
    assert_eq!(send(&pool, 20, "+15551234567").await, one("world"));
    irancell.answers(pause(300));
    assert_eq!(send(&pool, 20, "+989351234567").await, one("iran"));
    world.answers(pause(300));
    assert_eq!(send(&pool, 20, "+15551234567").await, one("later 300"));
    assert_eq!(send(&pool, 20, "+989121234567").await, one("iran"));
    assert_eq!(pool.admit(&envelope(1, "+15551234567")), Admission::Wait(Duration::from_secs(300)));
    assert_eq!(pool.admit(&envelope(1, "+989121234567")), Admission::Go);
}

#[tokio::test]
async fn each_server_has_its_rate_and_its_number_a_day() {
    let time = Time::default();
    let a = Fixed::new("a", sent());
    let rate = Rate { per_second: Some(2), per_minute: None, per_day: Some(7) };
    let pool = time.pool(vec![Server { rate, ..server(&a, 1, &[]) }]);
    assert_eq!(pool.daily(&envelope(1, "+1")), Some(Daily { name: "a".to_owned(), most: 7 }));
    assert_eq!(pool.admit(&envelope(1, "+1")), Admission::Go);
    assert_eq!(pool.admit(&envelope(2, "+1")), Admission::Go);
    assert_eq!(pool.admit(&envelope(3, "+1")), Admission::Wait(Duration::from_secs(1)));
    time.passes(1);
    assert_eq!(pool.admit(&envelope(3, "+1")), Admission::Go);
}

#[tokio::test]
async fn only_servers_for_which_the_message_has_a_form_get_it() {
    let time = Time::default();
    let (a, b, c) = (Fixed::new("a", sent()), Fixed::new("b", sent()), Fixed::new("c", sent()));
    let pool = time.pool(vec![server(&a, 1, &["+98"]), server(&b, 1, &["+98"]), server(&c, 1, &[])]);
    let pattern =
        |provider: &str| (provider.to_owned(), SmsWords::Pattern { template: provider.to_owned(), values: Vec::new() });
    let mut sender = pool.open();
    let mut went = async |given: &[&str], to: &str| {
        let mut envelope = envelope(1, to);
        envelope.content = Content::sms(given.iter().map(|provider| pattern(provider)));
        match sender.send(&envelope).await {
            Outcome::Sent { .. } => sender.name().to_owned(),
            Outcome::Later { wait, .. } => format!("later {}", wait.as_secs()),
            Outcome::Rejected { reason, suppress: false, .. } => reason.to_string(),
            other => format!("{other:?}"),
        }
    };
    assert_eq!(went(&["a"], "+989121234567").await, "a");
    assert_eq!(went(&["b", "c"], "+989121234567").await, "b");
    assert_eq!(went(&["c"], "+989121234567").await, "c", "what is for all others takes over");
    // Whoever could take over has no form of it: it waits.
    b.answers(pause(300));
    assert_eq!(went(&["b"], "+989121234567").await, "later 300");
    assert_eq!(went(&["b", "a"], "+989121234567").await, "a");
    // What was rendered for somebody who is gone is dispatched anew, at no cost.
    assert_eq!(went(&["a"], "+15551234567").await, "later 60");
    let mut gone = envelope(1, "+15551234567");
    gone.content = Content::sms([pattern("a")]);
    assert_eq!(pool.admit(&gone), Admission::Wait(RENDERED_ANEW));
    let mut only_b = envelope(1, "+989121234567");
    only_b.content = Content::sms([pattern("b")]);
    assert_eq!(pool.admit(&only_b), Admission::Wait(Duration::from_secs(300)));
}

#[tokio::test]
async fn who_may_have_a_message_already_gets_it_alone() {
    let time = Time::default();
    let lost = Outcome::Retry { reply: "no answer".to_owned(), blame: Blame::Lost };
    let (a, b) = (Fixed::new("a", lost), Fixed::new("b", sent()));
    let pool = time.pool(vec![server(&a, 1000, &[]), server(&b, 1, &[])]);
    let mut sender = pool.open();
    for n in 0..3 {
        sender.send(&envelope(n, "+1")).await;
    }
    assert_eq!((a.asked(), pool.resting()[0].name.as_str()), (3, "a"), "it rests, since its answers are lost");
    // A new message goes elsewhere; those that it may have wait for it.
    assert_eq!(sender.send(&envelope(9, "+1")).await, sent());
    let only = |name: &str| Envelope { only: Some(name.to_owned()), ..envelope(1, "+1") };
    assert!(matches!(sender.send(&only("a")).await, Outcome::Later { wait, .. } if wait == AWAY));
    assert_eq!(b.asked(), 1);
    a.answers(sent());
    time.passes(31);
    assert_eq!(sender.send(&only("a")).await, sent());
    assert_eq!((a.asked(), b.asked()), (1, 0));
    // Should it be gone for ever, nobody can say.
    assert!(matches!(sender.send(&only("z")).await, Outcome::Uncertain { .. }));
}

#[tokio::test]
async fn a_number_that_nobody_is_for_asks_nobody() {
    let time = Time::default();
    let a = Fixed::new("a", sent());
    let pool = time.pool(vec![server(&a, 1, &["+98"])]);
    let outcome = pool.open().send(&envelope(1, "+15551234567")).await;
    assert!(matches!(outcome, Outcome::Rejected { reason: Reason::Unbuildable, suppress: false, .. }), "{outcome:?}");
}
