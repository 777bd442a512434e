//! Forged webhook calls change nothing and cost little: ten thousand genuine ones of each provider with something
//! changed, and floods of unsigned ones.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rekindle::clock::Clock;
use rekindle::inbound::webhook::{Call, Hooks};
use rekindle::store::Store;
use rekindle::web::Web;
use ring::hmac;
use tower::ServiceExt;

use crate::support::shop::{PLAIN, Shop, Size, at};

const NOW: &str = "2024-05-02T12:00:00Z";
const KEY: &str = "0123456789abcdef";
const FORGED_EACH: u32 = 1_112;

struct Provider {
    name: &'static str,
    credentials: &'static str,
    genuine: fn() -> Call,
}

fn call(name: &str, query: &str, kind: &str, body: &str, headers: Vec<(String, String)>) -> Call {
    let mark = if query.is_empty() { "" } else { "?" };
    let kind = ("content-type".to_owned(), kind.to_owned());
    Call {
        method: "POST".to_owned(),
        url: format!("https://shop.example/hooks/{name}{mark}{query}"),
        headers: std::iter::once(kind).chain(headers).collect(),
        query: query.to_owned(),
        body: body.as_bytes().to_vec(),
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

fn keyed(name: &str, fields: &str) -> Call {
    call(name, &format!("key={KEY}&{fields}"), FORM, "", Vec::new())
}

fn tag(algorithm: hmac::Algorithm, signed: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(algorithm, b"s3cret"), signed.as_bytes()).as_ref().to_vec()
}

fn twilio() -> Call {
    let mut call = call("twilio", "message=1", FORM, "Body=stop&From=%2B989121234567&MessageSid=SM1&To=3000", vec![]);
    let signed = format!("{}Bodystop{}", call.url, "From+989121234567MessageSidSM1To3000");
    let signature = BASE64.encode(&tag(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &signed));
    call.headers.push(("x-twilio-signature".to_owned(), signature));
    call
}

fn plivo() -> Call {
    let mut call = call("plivo", "", FORM, "From=989121234567&MessageUUID=u1&Text=stop&To=3000", vec![]);
    let signed = format!("{}?From989121234567MessageUUIDu1TextstopTo3000.n1", call.url);
    call.headers.push(("x-plivo-signature-v3-nonce".to_owned(), "n1".to_owned()));
    call.headers.push(("x-plivo-signature-v3".to_owned(), BASE64.encode(&tag(hmac::HMAC_SHA256, &signed))));
    call
}

fn token(claims: serde_json::Value) -> String {
    let part = |json: &str| BASE64URL_NOPAD.encode(json.as_bytes());
    let signed = format!("{}.{}", part(r#"{"alg":"HS256","typ":"JWT"}"#), part(&claims.to_string()));
    let signature = BASE64URL_NOPAD.encode(&tag(hmac::HMAC_SHA256, &signed));
    format!("{signed}.{signature}")
}

fn hash(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    HEXLOWER.encode(&Sha256::digest(bytes))
}

fn vonage() -> Call {
    let body = r#"{"msisdn":"989121234567","to":"3000","messageId":"0C","text":"stop","type":"text"}"#;
    let token = token(serde_json::json!({ "iat": 1_714_651_200, "payload_hash": hash(body.as_bytes()) }));
    call("vonage", "", "application/json", body, vec![("authorization".to_owned(), format!("Bearer {token}"))])
}

fn messagebird() -> Call {
    let body = r#"{"id":"e8","originator":"989121234567","recipient":"3000","body":"stop"}"#;
    let mut call = call("messagebird", "", "application/json", body, vec![]);
    let claims = serde_json::json!({ "iss": "MessageBird", "nbf": 1_714_651_200, "exp": 1_714_651_260,
        "url_hash": hash(call.url.as_bytes()), "payload_hash": hash(body.as_bytes()) });
    call.headers.push(("messagebird-signature-jwt".to_owned(), token(claims)));
    call
}

const PROVIDERS: &[Provider] = &[
    Provider {
        name: "kavenegar",
        credentials: "api_key: k, webhook_key: 0123456789abcdef",
        genuine: || keyed("kavenegar", "messageid=1&from=09121234567&to=3000&message=stop"),
    },
    Provider {
        name: "smsir",
        credentials: "api_key: k, webhook_key: 0123456789abcdef",
        genuine: || keyed("smsir", "receiveReturnId=1&mobile=09121234567&number=3000&messageText=stop"),
    },
    Provider {
        name: "melipayamak",
        credentials: "username: u, password: p, webhook_key: 0123456789abcdef",
        genuine: || keyed("melipayamak", "from=09121234567&to=3000&body=stop"),
    },
    Provider {
        name: "ghasedak",
        credentials: "api_key: k, webhook_key: 0123456789abcdef",
        genuine: || keyed("ghasedak", "id=1&sender=09121234567&lineNumber=3000&message=stop"),
    },
    Provider {
        name: "kannel",
        credentials: "username: u, password: p, webhook_key: 0123456789abcdef",
        genuine: || keyed("kannel", "id=1&from=%2B989121234567&to=3000&text=stop&at=1714651200"),
    },
    Provider { name: "twilio", credentials: "account_sid: AC1, auth_token: s3cret", genuine: twilio },
    Provider { name: "plivo", credentials: "auth_id: MA1, auth_token: s3cret", genuine: plivo },
    Provider { name: "vonage", credentials: "api_key: k, api_secret: x, signature_secret: s3cret", genuine: vonage },
    Provider { name: "messagebird", credentials: "access_key: k, signing_key: s3cret", genuine: messagebird },
];

/// One change: of which part, where, and by what.
#[derive(Debug, Clone)]
enum Change {
    Byte { part: usize, place: usize, with: u8 },
    Cut { part: usize, place: usize },
    Grow { part: usize, place: usize, with: Vec<u8> },
    Drop { header: usize },
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (0..3_usize, any::<usize>(), 1..=255_u8).prop_map(|(part, place, with)| Change::Byte { part, place, with }),
        1 => (0..3_usize, any::<usize>()).prop_map(|(part, place)| Change::Cut { part, place }),
        2 => (0..3_usize, any::<usize>(), prop::collection::vec(any::<u8>(), 1..40))
            .prop_map(|(part, place, with)| Change::Grow { part, place, with }),
        1 => any::<usize>().prop_map(|header| Change::Drop { header }),
    ]
}

impl Change {
    /// Changes the body, the query (and with it the URL), or the last header, which is the signature.
    fn apply(&self, call: &Call) -> Call {
        let mut call = call.clone();
        let mut edit = |part: usize, edit: &dyn Fn(&mut Vec<u8>)| match part {
            0 => edit(&mut call.body),
            1 => {
                let mut query = call.query.clone().into_bytes();
                edit(&mut query);
                call.query = String::from_utf8_lossy(&query).into_owned();
                let base = call.url.split('?').next().unwrap().to_owned();
                let mark = if call.query.is_empty() { "" } else { "?" };
                call.url = format!("{base}{mark}{}", call.query);
            }
            _ => {
                if let Some((_, value)) = call.headers.last_mut() {
                    let mut bytes = value.clone().into_bytes();
                    edit(&mut bytes);
                    *value = String::from_utf8_lossy(&bytes).into_owned();
                }
            }
        };
        match self {
            Self::Byte { part, place, with } => edit(*part, &|bytes| {
                if !bytes.is_empty() {
                    let place = place % bytes.len();
                    bytes[place] ^= with;
                }
            }),
            Self::Cut { part, place } => edit(*part, &|bytes| bytes.truncate(place % (bytes.len() + 1))),
            Self::Grow { part, place, with } => edit(*part, &|bytes| {
                let place = place % (bytes.len() + 1);
                bytes.splice(place..place, with.iter().copied());
            }),
            Self::Drop { header } => {
                if !call.headers.is_empty() {
                    call.headers.remove(header % call.headers.len());
                }
            }
        }
        call
    }
}

/// Whether all that authenticates the call is as it was: then it is the provider's own.
fn still_genuine(provider: &str, genuine: &Call, changed: &Call) -> bool {
    let key = |call: &Call| call.pairs(&call.query).into_iter().find(|(name, _)| name == "key");
    if let Some(own) = key(genuine) {
        return key(changed) == Some(own);
    }
    // Vonage signs the body alone; a form is what it decodes to, and its kind decides whether it is one.
    let same_place = provider == "vonage" || genuine.url == changed.url;
    let same_body = genuine.body == changed.body
        || (!genuine.form().is_empty() && (genuine.form() == changed.form() || changed.form().is_empty()));
    let signatures = |call: &Call| {
        let mut headers = call.headers.clone();
        headers.retain(|(name, _)| name != "content-type");
        headers
    };
    let (own, given) = (signatures(genuine), signatures(changed));
    // One of several may be the right one; a scheme's name has any case, and spaces are nothing.
    let has = |own: &str, given: &str| {
        let plain = |text: &str| text.trim().rsplit(' ').next().unwrap_or_default().trim_end_matches('=').to_owned();
        given.split(',').any(|part| plain(part) == plain(own))
    };
    let same_signature = own.len() == given.len() && own.iter().zip(&given).all(|(own, given)| has(&own.1, &given.1));
    same_place && same_body && same_signature
}

async fn counted(store: &Store, table: &str) -> i64 {
    let Store::Sqlite { readers: pool, .. } = store else { unreachable!() };
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"))).fetch_one(pool).await.unwrap()
}

/// A shop that hears from a provider.
async fn hearing(provider: &Provider, more: &str) -> (Hooks, Store, Shop) {
    crate::hearing_contract::tls();
    let settings = format!(
        "{more}sms: {{ sender: {}, base_url: \"http://127.0.0.1:1\", credentials: {{ {} }}, \
         lines: [{{ number: \"3000\", purpose: marketing }}] }}",
        provider.name, provider.credentials
    );
    let shop = Shop::new(&Size::default(), PLAIN).with_settings(&settings);
    let file = format!("{}/config/providers/{}.yaml", env!("CARGO_MANIFEST_DIR"), provider.name);
    shop.write(&format!("providers/{}.yaml", provider.name), std::fs::read(file).unwrap());
    let app = shop.app(at(NOW)).await;
    app.store.close().await;
    let store = shop.store().await.clone();
    (Hooks::new(store.clone(), Clock::simulated(at(NOW)), shop.settings()), store, shop)
}

/// What is logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn unsigned_calls_cost_no_transaction_and_one_line_of_the_log() {
    let log = Log::default();
    let writer = log.clone();
    let logging = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    let logging = tracing::subscriber::set_default(logging);
    for provider in PROVIDERS {
        let (hooks, store, shop) = hearing(provider, "").await;
        let genuine = (provider.genuine)();
        assert_eq!(hooks.receive(provider.name, genuine.clone()).await.status, 200);
        // Whoever needs the store now fails.
        store.close().await;
        log.0.lock().unwrap().clear();
        let unsigned = Call { query: String::new(), headers: Vec::new(), ..genuine.clone() };
        for _ in 0..1_000 {
            assert_eq!(hooks.receive(provider.name, unsigned.clone()).await.status, 403);
        }
        assert_eq!(hooks.receive("nobody", unsigned).await.status, 404);
        let said = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("without a right signature or key") && said.contains(provider.name), "{said}");
        assert_eq!(hooks.receive(provider.name, genuine).await.status, 503, "the provider repeats it");
        shop.close().await;
    }
    drop(logging);
}

#[tokio::test]
async fn a_network_that_forges_calls_is_limited_and_a_provider_is_not() {
    let kavenegar = &PROVIDERS[0];
    let (hooks, store, shop) = hearing(kavenegar, "web: { rate: 1 }\n").await;
    let hooks = Arc::new(hooks);
    let receive: rekindle::web::hooks::Hooks = Arc::new(move |provider, call| {
        let hooks = Arc::clone(&hooks);
        Box::pin(async move { hooks.receive(&provider, call).await })
    });
    let web = Web::new(shop.settings(), store, Clock::simulated(at(NOW)), None, Some(receive)).await.unwrap();
    let status = async |from: &str, query: &str| {
        let peer: SocketAddr = format!("{from}:9").parse().unwrap();
        let uri = format!("/hooks/kavenegar?{query}");
        let request = Request::builder().uri(uri).extension(ConnectInfo(peer)).body(Body::empty()).unwrap();
        let response = web.public().oneshot(request).await.unwrap();
        let closes = response.headers().get("connection").is_some_and(|value| value == "close");
        assert_eq!(closes, response.status() == 429);
        response.status().as_u16()
    };
    let genuine = format!("key={KEY}&something=else");
    let mut forged = Vec::new();
    for n in 0..30 {
        forged.push(status(&format!("192.0.2.{n}"), "key=guess").await);
        // However often the provider itself calls, and wherever from.
        assert_eq!(status("192.0.2.1", &genuine).await, 200);
        assert_eq!(status("198.51.100.1", &genuine).await, 200);
    }
    assert!(forged[..10].iter().all(|status| *status == 403), "{forged:?}");
    assert!(forged[20..].iter().all(|status| *status == 429), "{forged:?}");
    assert_eq!(status("203.0.113.1", "key=guess").await, 403, "another network");
    shop.close().await;
}

#[test]
fn forged_calls_change_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for provider in PROVIDERS {
        let (hooks, store, shop) = runtime.block_on(hearing(provider, ""));
        let genuine = (provider.genuine)();
        let mut runner = TestRunner::new(Config { cases: FORGED_EACH, failure_persistence: None, ..Config::default() });
        let forged = runner.run(&prop::collection::vec(change(), 1..4), |changes| {
            let changed = changes.iter().fold(genuine.clone(), |call, change| change.apply(&call));
            if still_genuine(provider.name, &genuine, &changed) {
                return Ok(());
            }
            let answer = runtime.block_on(hooks.receive(provider.name, changed));
            prop_assert!(answer.status == 403, "{}: {}", provider.name, answer.status);
            Ok(())
        });
        forged.unwrap();
        runtime.block_on(async {
            let (events, suppressed) = (counted(&store, "events").await, counted(&store, "suppressions").await);
            assert_eq!((events, suppressed), (0, 0), "{}", provider.name);
            // The same call, unchanged, is believed; and whatever it holds, nothing breaks.
            assert_eq!(hooks.receive(provider.name, genuine.clone()).await.status, 200, "{}", provider.name);
            assert_eq!(counted(&store, "suppressions").await, 1, "{}", provider.name);
        });
        if genuine.query.contains("key=") {
            let mut runner = TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() });
            let held = |text: String, body: Vec<u8>| {
                let query = format!("key={KEY}&{text}");
                Call { url: format!("https://shop.example/?{query}"), query, body, ..genuine.clone() }
            };
            let strange = ("\\PC{0,80}", prop::collection::vec(any::<u8>(), 0..200));
            let found = runner.run(&strange, |(text, body)| {
                let status = runtime.block_on(hooks.receive(provider.name, held(text, body))).status;
                prop_assert!(status == 200, "{status}");
                Ok(())
            });
            found.unwrap();
        }
        runtime.block_on(shop.close());
    }
}
