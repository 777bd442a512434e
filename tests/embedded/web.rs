//! The public pages against what the internet sends: nothing panics, nothing happens without a signature,
//! limits hold; and every metric is documented.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rekindle::clock::Clock;
use rekindle::domain::token::TokenUse;
use rekindle::import::Kind;
use rekindle::inbound::webhook::{Answer, Call};
use rekindle::rendering::links;
use rekindle::settings::Settings;
use rekindle::store::{configuration, events, members, suppressions};
use rekindle::web::Web;
use rekindle::web::hooks::Hooks;
use rekindle::web::operations::scrape::METRICS;
use tower::ServiceExt;
use uuid::Uuid;

use crate::support::shop::{PLAIN, Shop, Size, at};
use crate::web_contract::{ask, web, web_contract};

async fn embedded<F: Future<Output = ()>>(test: impl FnOnce(Size) -> F) {
    test(Size::default()).await;
}

web_contract!(embedded);

const NOW: &str = "2024-05-01T12:00:00Z";

/// A shop in which `m1` got a message, and the message.
async fn greeted(settings: &str) -> (Shop, Uuid) {
    let shop = Shop::new(&Size::default(), PLAIN).with_settings(settings);
    shop.campaign("hello", "trigger: { kind: welcome }");
    let row = "m1,m1@example.com,+989121234567,Sara,true,true,2024-05-01T10:00:00Z\n";
    let head = "external_id,email,phone,first_name,email_consent,sms_consent,joined_at\n";
    shop.import(Kind::Members, head.to_owned() + row).await;
    shop.once(NOW).await;
    let message = shop.ledger().await[0].id;
    (shop, message)
}

/// One request as it may come from anywhere, with the place of its path at which a token is spoilt.
fn requests() -> impl Strategy<Value = (usize, usize, u8, usize, Vec<u8>, String)> {
    (0..8_usize, 0..60_usize, any::<u8>(), 0..5_usize, prop::collection::vec(any::<u8>(), 0..200), "\\PC{0,12}")
}

#[test]
fn without_a_signature_nothing_happens_whatever_comes() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (shop, message) = runtime.block_on(greeted("web: { rate: 100000 }\n"));
    let web = runtime.block_on(web(&shop, NOW));
    let key = runtime.block_on(async {
        let mut tx = shop.store().await.read().await.unwrap();
        configuration::token_key(&mut tx).await.unwrap()
    });
    let token = |used_for| key.token(used_for, message);
    let click = links::click_url("", &key, message, "https://a.example/x");
    let paths = [
        format!("/u/{}", token(TokenUse::Unsubscribe)),
        format!("/p/{}", token(TokenUse::Unsubscribe)),
        format!("/o/{}", token(TokenUse::Open)),
        click.clone(),
        // Signed for something else, or for nobody.
        format!("/u/{}", token(TokenUse::Click)),
        format!("/p/{}", token(TokenUse::Return)),
        format!("/o/{}", key.token(TokenUse::Open, Uuid::from_u128(7))),
        format!("/hooks/{}", token(TokenUse::Open)),
    ];
    let methods = ["GET", "POST", "PUT", "HEAD", "OPTIONS"];
    let bodies = ["List-Unsubscribe=One-Click", "action=pause", "action=channels", "email=on&action=channels"];
    let (mut asked, mut refused_by_http) = (0_u32, 0_u32);
    let mut runner = TestRunner::new_with_rng(
        Config { cases: 10_000, failure_persistence: None, ..Config::default() },
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let (asked, refused_by_http) = {
        let counters = std::cell::RefCell::new((&mut asked, &mut refused_by_http));
        runner
            .run(&requests(), |(path, place, byte, method, noise, words)| {
                let whole = &paths[path];
                let mut spoilt = whole.clone().into_bytes();
                // Behind the page's name: the token, the query, or the end.
                let place = (3 + place).min(spoilt.len());
                match byte % 4 {
                    0 => drop(spoilt.splice(place.., words.bytes())),
                    1 => spoilt.insert(place, byte),
                    2 if place < spoilt.len() => spoilt[place] = byte,
                    _ => spoilt.truncate(place),
                }
                let text = String::from_utf8_lossy(&spoilt).into_owned();
                // The case of a token's letters does not matter, and a query is nothing to most pages.
                let page = |text: &str| text.split('?').next().unwrap().to_ascii_lowercase();
                if path < 3 && page(&text) == page(whole) || text.eq_ignore_ascii_case(whole) && path == 3 {
                    return Ok(());
                }
                let body = if noise.len() % 2 == 0 { bodies[noise.len() % 4].as_bytes().to_vec() } else { noise };
                let request = Request::builder().method(methods[method]).uri(&text).body(Body::from(body));
                let mut counters = counters.borrow_mut();
                let Ok(request) = request else {
                    *counters.1 += 1;
                    return Ok(());
                };
                *counters.0 += 1;
                let response = runtime.block_on(web.public().oneshot(request)).unwrap();
                prop_assert!(
                    response.status() == StatusCode::NOT_FOUND
                        || response.status() == StatusCode::METHOD_NOT_ALLOWED
                        || response.status() == StatusCode::BAD_REQUEST
                        || (path == 6 && response.status() == StatusCode::OK),
                    "{text}: {}",
                    response.status()
                );
                Ok(())
            })
            .unwrap();
        (asked, refused_by_http)
    };
    assert!(asked > 5_000, "{asked} were asked, {refused_by_http} are no requests");
    runtime.block_on(async {
        let mut tx = shop.store().await.read().await.unwrap();
        assert_eq!(suppressions::count(&mut tx).await.unwrap(), 0);
        assert_eq!(events::of_message(&mut tx, message).await.unwrap(), []);
        let member = members::by_external_id(&mut tx, "m1").await.unwrap().unwrap();
        assert_eq!(member.paused_until, None);
        tx.commit().await.unwrap();
        shop.close().await;
    });
}

#[tokio::test]
async fn limits_hold_and_pages_keep_to_themselves() {
    let (shop, message) = greeted("web: { rate: 2 }\n").await;
    let web = web(&shop, NOW).await;
    let mut tx = shop.store().await.read().await.unwrap();
    let key = configuration::token_key(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    let path = links::preferences_url("", &key, message);
    let large = "x".repeat(70_000);
    assert_eq!(ask(&web, Method::POST, &path, &large).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(ask(&web, Method::POST, &path.replace("/p/", "/u/"), &large).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let (status, page) = ask(&web, Method::DELETE, &path, "").await;
    assert!(status == StatusCode::METHOD_NOT_ALLOWED && page.contains("<h1>"), "{page}");
    let (status, page) = ask(&web, Method::GET, "/nothing", "").await;
    assert!(status == StatusCode::NOT_FOUND && page.contains("<h1>"), "{page}");
    let request = Request::builder().uri(&path).body(Body::empty()).unwrap();
    let response = web.public().oneshot(request).await.unwrap();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
    ] {
        assert_eq!(response.headers()[&name], value, "{name}");
    }
    assert!(response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("default-src 'none'"));
    let page = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let page = String::from_utf8(page.to_vec()).unwrap();
    for private in ["m1@example.com", "9121234567", "Sara", "<script", "http:", "https:", "src="] {
        assert!(!page.contains(private), "{private} in {page}");
    }
    let mut last = StatusCode::OK;
    for _ in 0..30 {
        last = ask(&web, Method::GET, &path, "").await.0;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS, "ten seconds' worth at once, and no more");
    let (status, _) = ask(&web, Method::POST, "/hooks/nobody", "").await;
    assert_eq!(status, StatusCode::NOT_FOUND, "providers' calls have no such limit");
    shop.close().await;
}

#[tokio::test]
async fn a_providers_call_comes_whole_and_its_answer_goes_back() {
    let shop = Shop::new(&Size::default(), PLAIN);
    let hooks: Hooks = Arc::new(|provider, call: Call| {
        Box::pin(async move {
            let body = format!("{provider} {} {} {:?}", call.method, call.url, String::from_utf8(call.body));
            assert_eq!(call.query, "key=a%20b");
            assert!(call.headers.contains(&("x-signature".to_owned(), "abc".to_owned())));
            Answer { status: 202, content_type: "text/plain", body }
        })
    });
    let store = shop.store().await.clone();
    let clock = Clock::simulated(at(NOW));
    let web = Web::new(shop.settings(), store, clock, None, Some(hooks)).await.unwrap();
    let request = Request::builder()
        .method("POST")
        .uri("/hooks/twilio?key=a%20b")
        .header("X-Signature", "abc")
        .body(Body::from("Body=STOP"))
        .unwrap();
    let response = web.public().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    assert_eq!(
        String::from_utf8(body.to_vec()).unwrap(),
        "twilio POST https://shop.example/hooks/twilio?key=a%20b Ok(\"Body=STOP\")"
    );
    let nobody = crate::web_contract::web(&shop, NOW).await;
    assert_eq!(ask(&nobody, Method::POST, "/hooks/twilio", "").await.0, StatusCode::NOT_FOUND);
    shop.close().await;
}

#[tokio::test]
async fn an_address_that_is_taken_fails_a_web_role_that_was_asked_for_and_no_other() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let shop =
        Shop::new(&Size::default(), PLAIN).with_settings(&format!("web: {{ listen: {address}, metrics: none }}\n"));
    let shutdown = tokio_util::sync::CancellationToken::new();
    let refused = web(&shop, NOW).await.run(true, shutdown.clone()).await.unwrap_err().to_string();
    assert!(refused.contains(&format!("cannot listen on {address}, which web.listen names")), "{refused}");
    let running = web(&shop, NOW).await.run(false, shutdown.clone()).await.unwrap();
    shutdown.cancel();
    for task in running {
        task.await.unwrap();
    }
    shop.close().await;
}

#[test]
fn addresses_and_rates_that_cannot_be_are_refused() {
    let check = |web: &str, expected: &str| {
        let text = format!("brand: {PLAIN}\nemail: {{ from: a@shop.example }}\nweb: {web}");
        let problems = Settings::parse(Path::new("x.yaml"), &text, &|_| None).unwrap_err().to_string();
        assert!(problems.contains(expected), "{web}\n{problems}");
    };
    check("{ listen: localhost }", "x.yaml:3:16: `localhost` is not an address to listen on");
    check("{ metrics: yes please }", "or same, or none");
    check("{ rate: 0 }", "x.yaml:3:14: 0 is out of range");
    check("{ listen: 127.0.0.1:80, metrics: 127.0.0.1:80 }", "`metrics` has the address of `listen`");
}

#[test]
fn steps_that_ask_what_nobody_hears_are_refused() {
    let check = |text: &str, expected: &str| {
        let shop = Shop::new(&Size::default(), PLAIN);
        let text = format!("name: x\ncontent: x\ntrigger: {{ kind: welcome }}\n{text}");
        let settings = shop.settings();
        let found =
            rekindle::domain::campaign::Campaign::parse("x.yaml", &text, &settings.brand, rekindle::triggers::ALL);
        let problems = found.map(drop).unwrap_err().to_string();
        assert!(problems.contains(expected), "{text}\n{problems}");
    };
    let step = |unless: &str| format!("steps: [{{ id: y, after: 1d, content: x, unless: [{unless}] }}]");
    check(
        &format!("channels: [email]\n{}", step("goal, clicked")),
        "x.yaml:5:56: nothing says whether a mail was clicked; add `track: { clicks: true }` to the campaign",
    );
    check(&format!("channels: [sms]\ntrack: {{ opens: true }}\n{}", step("opened")), "add email to `channels`");
    check(&format!("channels: [email]\n{}", step("read")), "valid here: `goal`, `opened`, `clicked`");
}

/// How often each metric's name stands in the sources.
fn named_in_sources(folder: &Path, found: &mut BTreeMap<String, usize>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            named_in_sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            for (at, _) in text.match_indices("\"rekindle_") {
                *found.entry(text[at + 1..].split('"').next().unwrap().to_owned()).or_default() += 1;
            }
        }
    }
}

#[test]
fn every_metric_is_listed_used_and_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let documented = std::fs::read_to_string(root.join("docs/operations.md")).unwrap();
    let mut named = BTreeMap::new();
    named_in_sources(&root.join("src"), &mut named);
    for (_, name, labels, _) in METRICS {
        let row = if labels.is_empty() { format!("| `{name}` | ") } else { format!("| `{name}` | {labels} |") };
        assert!(documented.contains(&row), "docs/operations.md has no row that begins with: {row}");
        let named = named.remove(*name).unwrap_or_default();
        assert!(named > 1, "{name} stands in the list alone");
    }
    assert!(named.is_empty(), "src/web/operations/scrape.rs does not list {named:?}");
}
