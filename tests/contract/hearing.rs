//! What SMS providers tell us, on every size: receipts, words of members, and messages that may have
//! been taken. `hearing_contract!` makes the tests; each gets a [`Size`] with nothing in it.

#![allow(dead_code, reason = "each test target uses a part of it")]

use std::sync::Once;

use rekindle::clock::Clock;
use rekindle::import::Kind;
use rekindle::inbound::poll::Poller;
use rekindle::inbound::webhook::{Call, Hooks};
use rekindle::store::events::Event;
use rekindle::store::suppressions::{self, Suppression};
use rekindle::store::{Store, events};
use rekindle::transports::sms::{Provider, SmsFactory, SmsOptions};
use sqlx::AssertSqlSafe;
use wiremock::matchers::{path, path_regex};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::contract::contract;
use crate::support::shop::{PLAIN, Shop, Size, at, differs};

contract! {
    hearing_contract:
    a_receipt_moves_its_message_once
    a_receipt_before_the_outcome_is_not_lost
    a_receipt_about_an_sms_moves_no_mail_that_went_instead
    a_number_that_blocks_advertising_gets_service_messages_still
    a_word_stops_the_messages_of_its_line_and_another_brings_them_back
    what_a_number_said_last_counts_whatever_is_heard_first
    a_word_lifts_nothing_but_an_opt_out
    help_is_answered_once_a_day
    a_call_without_the_key_changes_nothing
    an_uncertain_message_is_asked_about
    what_is_polled_is_heard_once
    what_was_heard_is_listed_by_message_and_counted_by_kind
}

const KAVENEGAR: &str = include_str!("../../config/providers/kavenegar.yaml");
const KEY: &str = "0123456789abcdef";
const NOON: &str = "2024-05-02T12:00:00Z";
const NUMBER: &str = "+989121234567";

pub fn tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

/// A shop that sends by a double of Kavenegar which takes everything as message 8792343.
struct Texting {
    shop: Shop,
    provider: MockServer,
}

impl Texting {
    async fn new(size: &Size, more: &str) -> Self {
        tls();
        let provider = MockServer::start().await;
        let taken = r#"{"return":{"status":200},"entries":[{"messageid":8792343,"status":1}]}"#;
        let answer = ResponseTemplate::new(200).set_body_raw(taken, "application/json");
        Mock::given(path("/v1/k/sms/send.json")).respond_with(answer).mount(&provider).await;
        let settings = format!(
            "sms: {{ sender: kavenegar, base_url: \"{}\", credentials: {{ api_key: k, webhook_key: {KEY} }}, \
             lines: [{{ number: \"3000\", purpose: marketing }}, {{ number: \"9000\", purpose: service }}]{more} }}",
            provider.uri()
        );
        let shop = Shop::new(size, PLAIN).with_settings(&settings);
        shop.write("providers/kavenegar.yaml", KAVENEGAR);
        shop.campaign("hello", "trigger: { kind: welcome }\nchannels: [sms]");
        let members =
            "external_id,phone,first_name,sms_consent,joined_at\nm1,09121234567,Sara,true,2024-05-02T10:00:00Z\n";
        let members = members.replace("09121234567", NUMBER);
        shop.import(Kind::Members, members).await;
        Self { shop, provider }
    }

    /// Answers a question of the poller.
    async fn answers(&self, to: &str, entries: &str) {
        let body = format!(r#"{{"return":{{"status":200}},"entries":{entries}}}"#);
        let answer = ResponseTemplate::new(200).set_body_raw(body, "application/json");
        Mock::given(path_regex(format!("/{to}.json$"))).respond_with(answer).mount(&self.provider).await;
    }

    /// A call of the provider at an instant; the status of our answer.
    async fn hears(&self, now: &str, query: &str) -> u16 {
        self.called(now, &format!("key={KEY}&{query}")).await
    }

    async fn called(&self, now: &str, query: &str) -> u16 {
        let hooks = Hooks::new(self.shop.store().await.clone(), Clock::simulated(at(now)), self.shop.settings());
        let call = Call {
            method: "GET".to_owned(),
            url: format!("https://shop.example/hooks/kavenegar?{query}"),
            query: query.to_owned(),
            ..Call::default()
        };
        hooks.receive("kavenegar", call).await.status
    }

    /// Asks the provider once.
    async fn asks(&self, now: &str) {
        let options = SmsOptions {
            base_url: Some(self.provider.uri()),
            credentials: [("api_key".to_owned(), "k".to_owned().into())].into(),
            lines: self.shop.settings().sms.lines.clone(),
            ..SmsOptions::default()
        };
        let factory = SmsFactory::new(Provider::parse("kavenegar.yaml", KAVENEGAR).unwrap(), options).unwrap();
        let store = self.shop.store().await.clone();
        let mut poller = Poller::new(store, Clock::simulated(at(now)), self.shop.settings(), factory);
        poller.pass("test").await.unwrap();
    }

    /// Numbers that must not be written to: purpose and reason.
    async fn suppressed(&self) -> Vec<(String, String)> {
        let sql = "SELECT purpose, reason FROM suppressions WHERE address = '+989121234567' ORDER BY purpose";
        rows(self.shop.store().await, sql).await
    }

    /// The answers that wait or were sent, and whether they were taken.
    async fn replies(&self) -> Vec<(String, String)> {
        rows(self.shop.store().await, "SELECT purpose, text FROM answers ORDER BY created_at, text").await
    }

    async fn count(&self, sql: &str) -> usize {
        rows(self.shop.store().await, &format!("SELECT 'x', 'y' FROM {sql}")).await.len()
    }

    async fn runs(&self, sql: &str) {
        match self.shop.store().await {
            Store::Postgres(pool) => {
                sqlx::query(AssertSqlSafe(sql.to_owned())).execute(pool).await.unwrap();
            }
            Store::Sqlite { readers: pool, .. } => {
                sqlx::query(AssertSqlSafe(sql.to_owned())).execute(pool).await.unwrap();
            }
        }
    }

    /// How many texts the provider was handed.
    async fn sent(&self) -> usize {
        let requests = self.provider.received_requests().await.unwrap();
        requests.iter().filter(|request| request.url.path().ends_with("/sms/send.json")).count()
    }
}

async fn rows(store: &Store, sql: &str) -> Vec<(String, String)> {
    match store {
        Store::Postgres(pool) => sqlx::query_as(AssertSqlSafe(sql.to_owned())).fetch_all(pool).await.unwrap(),
        Store::Sqlite { readers: pool, .. } => {
            sqlx::query_as(AssertSqlSafe(sql.to_owned())).fetch_all(pool).await.unwrap()
        }
    }
}

fn pair(purpose: &str, reason: &str) -> (String, String) {
    (purpose.to_owned(), reason.to_owned())
}

pub async fn a_receipt_moves_its_message_once(size: Size) {
    let texting = Texting::new(&size, "").await;
    texting.shop.once(NOON).await;
    assert_eq!(texting.hears(NOON, "messageid=8792343&status=5").await, 200);
    assert_eq!(texting.shop.states().await, ["m1 hello main sent -"], "it is still under way");
    for _ in 0..2 {
        assert_eq!(texting.hears(NOON, "messageid=8792343&status=10").await, 200);
        assert_eq!(texting.shop.states().await, ["m1 hello main delivered -"]);
    }
    assert_eq!(texting.count("events").await, 1);
    // Nobody's.
    assert_eq!(texting.hears(NOON, "messageid=1&status=11").await, 200);
    assert_eq!(texting.hears(NOON, "something=else").await, 200);
    assert_eq!(texting.shop.states().await, ["m1 hello main delivered -"]);
    texting.shop.close().await;
}

pub async fn a_receipt_before_the_outcome_is_not_lost(size: Size) {
    let texting = Texting::new(&size, "").await;
    let app = texting.shop.app(at(NOON)).await;
    app.store.close().await;
    drop(app);
    assert_eq!(texting.hears(NOON, "messageid=8792343&status=11").await, 200);
    assert_eq!(texting.count("receipts_waiting").await, 1);
    texting.shop.once(NOON).await;
    assert_eq!(texting.shop.states().await, ["m1 hello main bounced -"]);
    assert_eq!(texting.count("receipts_waiting").await, 0);
    assert_eq!(texting.count("events WHERE message_id IS NOT NULL").await, 1);
    texting.shop.close().await;
}

/// `reach: fallback`: a mail goes instead of an SMS that did not arrive, or that nobody confirmed in time.
pub async fn a_receipt_about_an_sms_moves_no_mail_that_went_instead(size: Size) {
    // Undelivered, in two ways; delivered after all.
    for (at_first, later, ended) in
        [(Some("11"), ["11", "6", "10"], "sent"), (None, ["6", "11", "10"], "sent"), (None, ["10", "6", "14"], "sent")]
    {
        let texting = Texting::new(&size, "").await;
        for table in ["events", "attempts", "receipts_waiting", "suppressions", "messages"] {
            texting.runs(&format!("DELETE FROM {table}")).await;
        }
        let hello = "trigger: { kind: welcome }\nchannels: [sms, email]\nreach: fallback\nundelivered_after: 30m";
        texting.shop.campaign("hello", hello);
        texting.shop.import(Kind::Members, "external_id,email,email_consent\nm1,sara@example.com,true\n").await;
        texting.shop.once(NOON).await;
        assert_eq!((texting.sent().await, texting.shop.mails().len()), (1, 0));
        if let Some(status) = at_first {
            assert_eq!(texting.hears(NOON, &format!("messageid=8792343&status={status}")).await, 200);
            assert_eq!(texting.shop.states().await, ["m1 hello main bounced -"]);
        }
        texting.shop.once("2024-05-02T12:40:00Z").await;
        assert_eq!((texting.sent().await, texting.shop.mails().len()), (1, 1), "{at_first:?}");
        let expected = [format!("m1 hello main {ended} -")];
        assert_eq!(texting.shop.states().await, expected, "what was heard before the mail's outcome");
        for status in later {
            assert_eq!(texting.hears(NOON, &format!("messageid=8792343&status={status}")).await, 200);
            assert_eq!(texting.shop.states().await, expected, "{at_first:?} {status}");
        }
        texting.shop.once("2024-05-02T14:00:00Z").await;
        assert_eq!(texting.shop.states().await, expected);
        assert_eq!((texting.sent().await, texting.shop.mails().len()), (1, 1));
        assert_eq!(texting.count("events WHERE channel <> 'sms'").await, 0);
        texting.shop.close().await;
        if !size.store.starts_with("sqlite") {
            // Elsewhere the next shop would find the rows of this one.
            break;
        }
    }
}

pub async fn a_number_that_blocks_advertising_gets_service_messages_still(size: Size) {
    let texting = Texting::new(&size, "").await;
    texting.shop.once(NOON).await;
    assert_eq!(texting.hears(NOON, "messageid=8792343&status=14").await, 200);
    assert_eq!(texting.suppressed().await, [pair("marketing", "blocked")]);
    let later = "trigger: { kind: broadcast, at: 2024-05-03T12:00:00Z }\nchannels: [sms]";
    texting.shop.campaign("news", later);
    texting.shop.campaign("order", &format!("{later}\npurpose: service"));
    texting.shop.once("2024-05-03T12:00:00Z").await;
    let expected = ["m1 hello main bounced -", "m1 news main skipped suppressed", "m1 order main sent -"];
    assert_eq!(texting.shop.states().await, expected);
    texting.shop.close().await;
}

pub async fn a_word_stops_the_messages_of_its_line_and_another_brings_them_back(size: Size) {
    let texting = Texting::new(&size, ", replies: { stop: bye, start: welcome back, help: none }").await;
    texting.shop.once(NOON).await;
    // Stop, in three ways of writing; each is heard twice.
    for (id, text) in [(1, "%D9%84%D8%BA%D9%88%DB%B1%DB%B1"), (2, "Stop."), (3, "11")] {
        for _ in 0..2 {
            let call = format!("messageid={id}&from=09121234567&to=3000&message={text}");
            assert_eq!(texting.hears(NOON, &call).await, 200);
        }
    }
    assert_eq!(texting.suppressed().await, [pair("marketing", "opted_out")]);
    assert_eq!(texting.replies().await, [pair("marketing", "bye")], "confirmed once");
    let mut tx = texting.shop.store().await.read().await.unwrap();
    let message = texting.shop.ledger().await[0].id;
    let heard = events::of_message(&mut tx, message).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(heard.len(), 3);
    assert!(heard.iter().all(|event| event.kind == "opted_out" && event.address.as_deref() == Some(NUMBER)));
    // Not a word, but words: somebody has to read them.
    let call = "messageid=4&from=09121234567&to=3000&message=please+don%27t+stop+12";
    assert_eq!(texting.hears(NOON, call).await, 200);
    assert_eq!(texting.suppressed().await, [pair("marketing", "opted_out")]);
    assert_eq!(texting.count("replies WHERE urgent").await, 1);
    // The service line has its own.
    assert_eq!(texting.hears(NOON, "messageid=5&from=00989121234567&to=9000&message=stop").await, 200);
    assert_eq!(texting.suppressed().await, [pair("marketing", "opted_out"), pair("service", "opted_out")]);
    let back = "messageid=6&from=989121234567&to=3000&message=%DB%B1%DB%B2";
    assert_eq!(texting.hears("2024-05-02T13:00:00Z", back).await, 200);
    assert_eq!(texting.suppressed().await, [pair("service", "opted_out")]);
    texting.asks("2024-05-02T13:01:00Z").await;
    let texts = ["bye", "bye", "welcome back"].map(str::to_owned);
    let mut replied: Vec<String> = texting.replies().await.into_iter().map(|(_, text)| text).collect();
    replied.sort();
    assert_eq!(replied, texts);
    // What was answered more than an hour ago is not sent any more; here all are, once.
    let sent = texting.sent().await;
    texting.asks("2024-05-02T13:02:00Z").await;
    assert_eq!(texting.sent().await, sent);
    texting.shop.close().await;
}

pub async fn what_a_number_said_last_counts_whatever_is_heard_first(size: Size) {
    let texting = Texting::new(&size, "").await;
    texting.shop.once(NOON).await;
    // 1714651200 is noon.
    let start = "messageid=2&from=09121234567&to=3000&message=start&date=1714651260";
    let stop = "messageid=1&from=09121234567&to=3000&message=stop&date=1714651200";
    assert_eq!(texting.hears("2024-05-02T13:00:00Z", start).await, 200);
    assert_eq!(texting.hears("2024-05-02T13:00:00Z", stop).await, 200);
    assert_eq!(texting.suppressed().await, []);
    let again = "messageid=3&from=09121234567&to=3000&message=stop&date=1714651300";
    assert_eq!(texting.hears("2024-05-02T13:00:00Z", again).await, 200);
    assert_eq!(texting.hears("2024-05-02T13:00:00Z", start).await, 200);
    assert_eq!(texting.suppressed().await, [pair("marketing", "opted_out")]);
    texting.shop.close().await;
}

pub async fn a_word_lifts_nothing_but_an_opt_out(size: Size) {
    let texting = Texting::new(&size, "").await;
    texting.shop.once(NOON).await;
    texting
        .shop
        .write_store(async |tx| {
            let row = Suppression {
                address: NUMBER.to_owned(),
                purpose: "marketing",
                reason: "bad_recipient".to_owned(),
                created_at: 0,
            };
            suppressions::insert(tx, &[row]).await.unwrap();
        })
        .await;
    for (id, text) in [(1, "stop"), (2, "start"), (3, "12")] {
        assert_eq!(texting.hears(NOON, &format!("messageid={id}&from=09121234567&to=3000&message={text}")).await, 200);
        assert_eq!(texting.suppressed().await, [pair("marketing", "bad_recipient")]);
    }
    assert_eq!(texting.replies().await, []);
    texting.shop.close().await;
}

pub async fn help_is_answered_once_a_day(size: Size) {
    let texting = Texting::new(&size, ", replies: { help: write 11 to stop }").await;
    texting.shop.once(NOON).await;
    for (now, id) in [(NOON, 1), ("2024-05-02T14:00:00Z", 2), ("2024-05-03T09:00:00Z", 3)] {
        assert_eq!(texting.hears(now, &format!("messageid={id}&from=09121234567&to=3000&message=help")).await, 200);
    }
    let answer = pair("marketing", "write 11 to stop");
    assert_eq!(texting.replies().await, [answer.clone(), answer]);
    assert_eq!(texting.suppressed().await, []);
    texting.shop.close().await;
}

pub async fn a_call_without_the_key_changes_nothing(size: Size) {
    let texting = Texting::new(&size, "").await;
    texting.shop.once(NOON).await;
    for (query, status) in [
        ("messageid=8792343&status=10", 403),
        ("key=&messageid=8792343&status=10", 403),
        ("key=0123456789abcdeF&messageid=8792343&status=10", 403),
        ("key=x&key=0123456789abcdef&messageid=8792343&status=14", 403),
        ("KEY=0123456789abcdef&from=09121234567&to=3000&message=stop", 403),
    ] {
        assert_eq!(texting.called(NOON, query).await, status, "{query}");
    }
    assert_eq!(texting.shop.states().await, ["m1 hello main sent -"]);
    assert_eq!((texting.count("events").await, texting.suppressed().await), (0, vec![]));
    let hooks = Hooks::new(texting.shop.store().await.clone(), Clock::simulated(at(NOON)), texting.shop.settings());
    assert_eq!(hooks.receive("twilio", Call::default()).await.status, 404);
    texting.shop.close().await;
}

pub async fn an_uncertain_message_is_asked_about(size: Size) {
    // What the provider answers, by our own reference, and what becomes of the message then.
    for (more, status, expected, texts) in [
        ("", "10", "m1 hello main delivered -", 1),
        ("", "1", "m1 hello main sent -", 1),
        ("", "100", "m1 hello main planned -", 1),
        ("", "77", "m1 hello main uncertain -", 1),
        (", uncertain: hold", "100", "m1 hello main uncertain -", 1),
    ] {
        let texting = Texting::new(&size, more).await;
        texting.runs("DELETE FROM messages").await;
        texting.runs("DELETE FROM attempts").await;
        texting.shop.once(NOON).await;
        // As a process leaves it that was killed in the middle of the call.
        assert_eq!(texting.count("attempts WHERE traceable").await, 1, "the call carried our reference");
        texting.runs("UPDATE messages SET state = 'uncertain', reference = NULL, sent_at = NULL").await;
        texting.runs("UPDATE attempts SET uncertain = TRUE, reference = NULL, outcome = 'uncertain'").await;
        texting.shop.recount().await;
        let request = texting.provider.received_requests().await.unwrap().remove(0);
        let form = String::from_utf8(request.body).unwrap();
        let reference = form.rsplit_once("localid=").unwrap().1.to_owned();
        let entry = format!(r#"[{{"messageid":8792343,"localid":{reference},"status":{status}}}]"#);
        texting.answers("statuslocalmessageid", &entry).await;
        texting.answers("status", "[]").await;
        texting.answers("receive", "[]").await;
        // Not yet: the call may still be on its way.
        texting.asks("2024-05-02T12:01:00Z").await;
        assert_eq!(texting.shop.states().await, ["m1 hello main uncertain -"]);
        texting.asks("2024-05-02T12:03:00Z").await;
        assert_eq!(texting.shop.states().await, [expected], "{status}");
        assert_eq!(texting.sent().await, texts);
        assert_eq!(texting.count("attempts WHERE uncertain").await, 1, "for ever");
        if status == "100" && more.is_empty() {
            texting.shop.once("2024-05-02T12:04:00Z").await;
            assert_eq!(texting.shop.states().await, ["m1 hello main sent -"]);
            assert_eq!(texting.sent().await, 2);
        }
        assert_eq!(differs(texting.shop.store().await).await, []);
        texting.runs("DELETE FROM pending WHERE dispatch_no IS NOT NULL").await;
        texting.runs("DELETE FROM pending").await;
        for table in ["events", "attempts", "messages", "campaigns", "consents", "members"] {
            texting.runs(&format!("DELETE FROM {table}")).await;
        }
        texting.runs("UPDATE leases SET expires_at = 0").await;
        texting.shop.recount().await;
        texting.shop.close().await;
    }
}

pub async fn what_is_polled_is_heard_once(size: Size) {
    let texting = Texting::new(&size, "").await;
    texting.shop.once(NOON).await;
    texting.answers("sms/status", r#"[{"messageid":8792343,"status":10},{"messageid":7,"status":14}]"#).await;
    let stop = r#"[{"messageid":31,"message":"لغو۱۱","sender":"09121234567","receptor":"3000","date":1714651400}]"#;
    texting.answers("receive", stop).await;
    for now in ["2024-05-02T12:05:00Z", "2024-05-02T12:06:00Z"] {
        texting.asks(now).await;
        assert_eq!(texting.shop.states().await, ["m1 hello main delivered -"]);
        assert_eq!(texting.suppressed().await, [pair("marketing", "opted_out")]);
    }
    // Both lines are asked for; the message is one. Its confirmation went out once.
    assert_eq!(texting.count("events WHERE kind = 'opted_out'").await, 1);
    assert_eq!(texting.sent().await, 2);
    texting.shop.close().await;
}

pub async fn what_was_heard_is_listed_by_message_and_counted_by_kind(size: Size) {
    let texting = Texting::new(&size, "").await;
    let second = format!(
        "external_id,phone,first_name,sms_consent,joined_at\nm2,{},Ann,true,2024-05-02T10:00:00Z\n",
        "+989121234568"
    );
    texting.shop.import(Kind::Members, second).await;
    texting.shop.once(NOON).await;
    let store = texting.shop.store().await.clone();
    let listed = texting.shop.ledger().await;
    let id = |member: &str| listed.iter().find(|listed| listed.member == member).unwrap().id;
    let heard = |key: &str, member: &str, kind: &str, time: &str, detail: Option<&str>| Event {
        key: key.to_owned(),
        message_id: Some(id(member)),
        kind: kind.to_owned(),
        at: at(time).timestamp_millis(),
        channel: "sms".to_owned(),
        address: None,
        detail: detail.map(str::to_owned),
    };
    let events = [
        heard("b", "m1", "replied", "2024-05-02T13:00:00Z", None),
        heard("a", "m1", "delivered", "2024-05-02T12:01:00Z", Some("10")),
        heard("c", "m2", "delivered", "2024-05-01T12:01:00Z", Some("10")),
        Event { message_id: None, ..heard("d", "m2", "soft_bounced", "2024-05-02T13:00:00Z", None) },
    ];
    let mut tx = store.begin().await.unwrap();
    assert_eq!(events::record(&mut tx, &events).await.unwrap().len(), 4);
    tx.commit().await.unwrap();
    let mut tx = store.read().await.unwrap();
    let found = events::of_messages(&mut tx, vec![id("m1"), id("m2"), uuid::Uuid::nil()]).await.unwrap();
    assert_eq!(found, [&events[2], &events[1], &events[0]].map(Clone::clone));
    assert_eq!(events::of_messages(&mut tx, Vec::new()).await.unwrap(), []);
    assert_eq!(events::of_message(&mut tx, id("m1")).await.unwrap().len(), 2);
    let counts = async |tx: &mut rekindle::store::Tx, after: &str| {
        let mut counts = events::counts(tx, at(after).timestamp_millis()).await.unwrap();
        counts.sort();
        counts.into_iter().map(|(kind, count)| format!("{kind} {count}")).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(counts(&mut tx, "2024-05-01T12:00:00Z").await, "delivered 2, replied 1, soft_bounced 1");
    assert_eq!(counts(&mut tx, "2024-05-01T12:01:00Z").await, "delivered 1, replied 1, soft_bounced 1");
    assert_eq!(counts(&mut tx, "2024-05-03T12:00:00Z").await, "");
    tx.commit().await.unwrap();
    drop(store);
    texting.shop.close().await;
}
