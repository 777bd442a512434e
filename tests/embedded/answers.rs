//! Answers to members' words go out at most once, whatever the providers answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use rekindle::clock::Clock;
use rekindle::domain::pace::Rate;
use rekindle::inbound::poll::Poller;
use rekindle::inbound::webhook::{Call, Hooks};
use rekindle::transports::pool::{Pool, Server};
use rekindle::transports::sms::{Provider, SmsFactory, SmsOptions};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

use crate::hearing_contract::tls;
use crate::support::shop::{PLAIN, Shop, Size, at};

const NOW: &str = "2024-05-02T12:00:00Z";
const KEY: &str = "0123456789abcdef";
const MEMBERS: usize = 12;

async fn answering(status: u16, body: &str) -> MockServer {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(status).set_body_raw(body.to_owned(), "text/html");
    Mock::given(matchers::any()).respond_with(answer).mount(&server).await;
    server
}

/// How often a provider was given an answer for each number.
async fn given(server: &MockServer) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in server.received_requests().await.unwrap() {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let is_text = request.url.path().ends_with("/send.json") || request.url.path().ends_with("/send/bulk");
        if let (true, Some(place)) = (is_text, body.find("09121234")) {
            *counts.entry(body[place..place + 11].to_owned()).or_default() += 1;
        }
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_one_provider_may_have_is_given_to_no_other() {
    tls();
    // Kavenegar takes the same call only once; SMS.ir does not.
    for (status, body) in [(500, ""), (502, "<html>"), (503, "busy"), (200, "<html>"), (504, "")] {
        let (first, second) = (answering(status, body).await, answering(status, body).await);
        let provider = |name: &str, url: String| {
            format!(
                "{{ provider: {name}, base_url: \"{url}\", credentials: {{ api_key: k, webhook_key: {KEY} }}, \
                 lines: [{{ number: \"3000\", purpose: marketing }}] }}"
            )
        };
        let shop = Shop::new(&Size::default(), PLAIN).with_settings(&format!(
            "sms: {{ sender: [{}, {}], replies: {{ help: write 11 to stop }} }}",
            provider("kavenegar", first.uri()),
            provider("smsir", second.uri())
        ));
        let descriptions = [
            ("kavenegar", include_str!("../../config/providers/kavenegar.yaml"), first.uri()),
            ("smsir", include_str!("../../config/providers/smsir.yaml"), second.uri()),
        ];
        for (name, text, _) in &descriptions {
            shop.write(&format!("providers/{name}.yaml"), text);
        }
        let app = shop.app(at(NOW)).await;
        let hooks = Hooks::new(app.store.clone(), app.clock.clone(), Arc::clone(&app.settings));
        for n in 0..MEMBERS {
            let query = format!("key={KEY}&messageid={n}&from=09121234{n:03}&to=3000&message=help");
            let url = format!("https://shop.example/hooks/kavenegar?{query}");
            let call = Call { method: "GET".to_owned(), url, query, ..Call::default() };
            assert_eq!(hooks.receive("kavenegar", call).await.status, 200);
        }
        for minute in 0..5 {
            let factory = |(name, text, url): &(&str, &str, String)| {
                let options = SmsOptions {
                    base_url: Some(url.clone()),
                    credentials: [("api_key".to_owned(), "k".to_owned().into())].into(),
                    lines: app.settings.sms.lines.clone(),
                    ..SmsOptions::default()
                };
                SmsFactory::new(Provider::parse(name, text).unwrap(), options).unwrap()
            };
            let server = |description| {
                let factory = Arc::new(factory(description));
                Server { factory, weight: 1, rate: Rate::default(), prefixes: Vec::new() }
            };
            // Each pass is another process: nothing rests yet.
            let pool = Pool::new("both", descriptions.iter().map(server).collect());
            let clock = Clock::simulated(at(NOW) + chrono::Duration::minutes(minute));
            let settings = Arc::clone(&app.settings);
            let poller = Poller::new(app.store.clone(), clock, settings, factory(&descriptions[0]));
            Poller { answers: Some(Arc::new(pool)), ..poller }.pass("test").await.unwrap();
        }
        let (first, second) = (given(&first).await, given(&second).await);
        assert!(!first.is_empty() && !second.is_empty(), "{status}: both had their share");
        assert!(first.keys().all(|number| !second.contains_key(number)), "{status} {body}: {first:?} {second:?}");
        assert!(second.values().all(|times| *times == 1), "{status} {body}: {second:?}");
        assert!(first.values().any(|times| *times > 1), "the same call is made again: {first:?}");
        app.store.close().await;
        shop.close().await;
    }
}
