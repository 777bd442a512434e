//! The Kavenegar description against a double of its documented API. `description` holds the tests
//! of descriptions that are wrong.

use std::sync::Once;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wiremock::matchers::{body_string, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::domain::message::{Content, SmsWords};
use crate::transports::Blame;

mod description;
mod providers;

const KAVENEGAR: &str = include_str!("../../../config/providers/kavenegar.yaml");
const KEY: &str = "4B/s3cret=";
/// What `sms/send` answers; the documentation's sample.
const TAKEN: &str = r#"{"return":{"status":200,"message":"تایید شد"},"entries":[{"messageid":8792343,"message":"سلام سارا",
    "status":1,"statustext":"در صف ارسال","sender":"3000","receptor":"09121234567","date":1356619709,"cost":120}]}"#;
/// What `verify/lookup` answers: an object in place of the list.
const LOOKED_UP: &str = r#"{"return":{"status":200,"message":"تایید شد"},"entries":{"messageid":8792344,"status":5}}"#;

fn tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

fn kavenegar() -> Provider {
    Provider::parse("kavenegar.yaml", KAVENEGAR).unwrap()
}

fn options(base_url: &str) -> SmsOptions {
    let line = Line::plain;
    SmsOptions {
        base_url: Some(base_url.to_owned()),
        credentials: [("api_key".to_owned(), KEY.to_owned().into())].into(),
        lines: vec![line("3000", Purpose::Marketing), line("9000", Purpose::Service)],
        connections: 4,
        timeout: Duration::from_secs(10),
        ..SmsOptions::default()
    }
}

fn factory(base_url: &str) -> SmsFactory {
    tls();
    SmsFactory::new(kavenegar(), options(base_url)).unwrap()
}

fn envelope(content: Content) -> Envelope {
    Envelope {
        at: 1_767_225_600_000,
        campaign: "birthday-gift".to_owned(),
        ..Envelope::new(
            "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
            Purpose::Marketing,
            "+989121234567",
            content,
        )
    }
}

fn text() -> Envelope {
    envelope(Content::text("سلام سارا"))
}

fn pattern(values: &[(&str, &str)]) -> Envelope {
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    envelope(Content::sms([(String::new(), SmsWords::Pattern { template: "order-ready".to_owned(), values })]))
}

async fn send(factory: &SmsFactory, envelope: &Envelope) -> Outcome {
    let outcome = factory.open().send(envelope).await;
    let shown = format!("{outcome:?}");
    for secret in [KEY, "s3cret", "9121234567", "سارا", "http://"] {
        assert!(!shown.contains(secret), "{secret} is in {shown}");
    }
    outcome
}

fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Sent { reference } => format!("sent {}", reference.as_deref().unwrap_or("-")),
        Outcome::Retry { .. } => "retry".to_owned(),
        Outcome::Rejected { reason, suppress, .. } => format!("{reason}{}", if *suppress { " suppress" } else { "" }),
        Outcome::Pause { pause, .. } => format!("pause {}", pause.as_secs()),
        Outcome::Later { .. } => "later".to_owned(),
        Outcome::Uncertain { .. } => "uncertain".to_owned(),
    }
}

/// A double that answers each call the same way.
async fn answering(status: u16, body: &str) -> MockServer {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(status).set_body_raw(body.to_owned(), "application/json");
    Mock::given(method("POST")).respond_with(answer).mount(&server).await;
    server
}

#[tokio::test]
async fn a_text_is_the_documented_call() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v1/4B%2Fs3cret%3D/sms/send.json"))
        .and(header("content-type", "application/x-www-form-urlencoded"))
        .and(body_string(
            "receptor=09121234567&sender=3000&message=%D8%B3%D9%84%D8%A7%D9%85+%D8%B3%D8%A7%D8%B1%D8%A7\
             &localid=4381636308810498135",
        ))
        .respond_with(ResponseTemplate::new(200).set_body_raw(TAKEN, "application/json"))
        .expect(2)
        .mount(&server)
        .await;
    let factory = factory(&server.uri());
    // A second attempt is the same call, so that the provider knows it again.
    assert_eq!(word(&send(&factory, &text()).await), "sent 8792343");
    assert_eq!(word(&send(&factory, &text()).await), "sent 8792343");
}

#[tokio::test]
async fn a_service_message_and_a_foreign_number_have_their_own_forms() {
    let server = MockServer::start().await;
    Mock::given(body_string("receptor=0014155550123&sender=9000&message=Hi&localid=4381636308810498135"))
        .respond_with(ResponseTemplate::new(200).set_body_raw(TAKEN, "application/json"))
        .mount(&server)
        .await;
    let mut message = envelope(Content::text("Hi"));
    message.purpose = Purpose::Service;
    message.to = "+14155550123".to_owned();
    assert_eq!(word(&send(&factory(&server.uri()), &message).await), "sent 8792343");
}

#[tokio::test]
async fn a_pattern_is_the_documented_call_without_the_values_that_were_not_given() {
    let server = MockServer::start().await;
    Mock::given(path("/v1/4B%2Fs3cret%3D/verify/lookup.json"))
        .and(body_string("receptor=09121234567&template=order-ready&token=852596&token10=%D8%B3%D8%A7%D8%B1%D8%A7+x"))
        .respond_with(ResponseTemplate::new(200).set_body_raw(LOOKED_UP, "application/json"))
        .mount(&server)
        .await;
    let message = pattern(&[("token10", "سارا x"), ("token", "852596")]);
    assert_eq!(word(&send(&factory(&server.uri()), &message).await), "sent 8792344");
}

#[tokio::test]
async fn each_documented_code_has_its_outcome() {
    let table = [
        (400, "our_fault"),
        (401, "pause 900"),
        (402, "retry"),
        (403, "pause 900"),
        (404, "our_fault"),
        (405, "our_fault"),
        (406, "our_fault"),
        (407, "pause 900"),
        (409, "retry"),
        (411, "bad_recipient"),
        (412, "our_fault"),
        (413, "our_fault"),
        (414, "our_fault"),
        (415, "our_fault"),
        (416, "pause 900"),
        (417, "our_fault"),
        (418, "pause 900"),
        (419, "our_fault"),
        (420, "message_refused"),
        (422, "message_refused"),
        (424, "our_fault"),
        (426, "pause 900"),
        (427, "pause 900"),
        (428, "our_fault"),
        (429, "pause 900"),
        (430, "pause 900"),
        (431, "our_fault"),
        (432, "our_fault"),
        (451, "retry"),
        (501, "refused"),
        (607, "our_fault"),
        (499, "retry"),
    ];
    for (code, expected) in table {
        let body = format!(r#"{{"return":{{"status":{code},"message":"09121234567 سارا"}},"entries":null}}"#);
        // Kavenegar repeats its code as the HTTP status; where it does not, the body counts.
        for status in [if code < 600 { code } else { 400 }, 200] {
            let server = answering(status, &body).await;
            assert_eq!(word(&send(&factory(&server.uri()), &text()).await), expected, "{code} with HTTP {status}");
        }
    }
    let listed: Vec<u16> = kavenegar().reply.call.codes.iter().map(|(code, _)| code.parse().unwrap()).collect();
    assert!(listed.iter().all(|code| *code == 200 || table.iter().any(|(tested, _)| tested == code)), "{listed:?}");
}

#[tokio::test]
async fn a_message_can_fail_inside_a_successful_call() {
    let check = async |status: u16, purpose, expected: &str| {
        let server = answering(200, &TAKEN.replace("\"status\":1", &format!("\"status\":{status}"))).await;
        let message = Envelope { purpose, ..text() };
        assert_eq!(word(&send(&factory(&server.uri()), &message).await), expected, "{status}");
    };
    check(5, Purpose::Marketing, "sent 8792343").await;
    check(6, Purpose::Marketing, "refused").await;
    check(14, Purpose::Marketing, "refused suppress").await;
    // The list is against advertising: the number stays good for service messages.
    check(14, Purpose::Service, "refused").await;
}

#[tokio::test]
async fn a_space_in_a_token_is_found_before_the_provider_finds_it() {
    let server = answering(431, r#"{"return":{"status":431,"message":"ساختار کد صحیح نمی‌باشد"}}"#).await;
    let outcome = send(&factory(&server.uri()), &pattern(&[("token", "two words")])).await;
    let reply = "the pattern value `token` holds a space or a line break, where none may be".to_owned();
    assert_eq!(outcome, Outcome::Rejected { reason: Reason::Unbuildable, reply, suppress: false });
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_answer_that_cannot_be_understood_is_uncertain_unless_the_call_can_be_repeated() {
    for body in ["", "<html>", "{\"return\":", "{}", "[]", r#"{"return":{"status":null}}"#] {
        let server = answering(200, body).await;
        let factory = factory(&server.uri());
        assert_eq!(word(&send(&factory, &text()).await), "retry", "{body}");
        assert_eq!(word(&send(&factory, &pattern(&[("token", "1")])).await), "uncertain", "{body}");
    }
}

#[tokio::test]
async fn an_answer_from_something_in_front_of_the_api_means_what_http_says() {
    let check = async |status: u16, expected: [&str; 2]| {
        for body in ["<html>", "", "{}", "no healthy upstream"] {
            let server = answering(status, body).await;
            let factory = factory(&server.uri());
            let found = [&text(), &pattern(&[("token", "1")])];
            for (message, expected) in found.into_iter().zip(expected) {
                let outcome = send(&factory, message).await;
                assert_eq!(word(&outcome), expected, "{status} {body}");
                // Only the same provider knows the same call again.
                if let Outcome::Retry { blame, .. } = outcome {
                    assert_eq!(blame == Blame::Lost, status >= 500, "{status} {body}");
                }
            }
        }
    };
    for status in [500, 501, 502, 503, 504, 520] {
        check(status, ["retry", "uncertain"]).await;
    }
    check(429, ["retry", "retry"]).await;
    check(403, ["pause 300", "pause 300"]).await;
    check(404, ["pause 300", "pause 300"]).await;
    check(301, ["pause 300", "pause 300"]).await;
}

#[tokio::test]
async fn a_slow_or_lost_answer_is_uncertain_unless_the_call_can_be_repeated() {
    // Takes the request and says nothing; then one that closes after the request.
    for closes in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let mut open = Vec::new();
            loop {
                let (mut tcp, _) = listener.accept().await.unwrap();
                let mut request = [0; 4096];
                assert!(tcp.read(&mut request).await.unwrap() > 0);
                match closes {
                    true => tcp.shutdown().await.unwrap(),
                    false => open.push(tcp),
                }
            }
        });
        tls();
        let mut options = options(&address);
        options.timeout = Duration::from_millis(200);
        let factory = SmsFactory::new(kavenegar(), options).unwrap();
        assert_eq!(word(&send(&factory, &text()).await), "retry", "closes: {closes}");
        assert_eq!(word(&send(&factory, &pattern(&[("token", "1")])).await), "uncertain", "closes: {closes}");
        server.abort();
    }
}

#[tokio::test]
async fn a_provider_that_cannot_be_reached_pauses_the_sender() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let outcome = send(&factory(&format!("http://{address}")), &text()).await;
    let Outcome::Pause { reply, pause } = outcome else { panic!("{outcome:?}") };
    assert_eq!(reply, "cannot reach the provider: Connection refused (os error 111)");
    assert_eq!(pause, Duration::from_secs(30));
}

#[tokio::test]
async fn what_is_wrong_with_a_message_is_found_before_anything_goes_out() {
    // Nothing listens there: an attempt to connect would pause.
    tls();
    let mut options = options("http://127.0.0.1:1");
    options.lines.truncate(1);
    let factory = SmsFactory::new(kavenegar(), options).unwrap();
    assert!(factory.has_line(Purpose::Marketing) && !factory.has_line(Purpose::Service));
    let check = async |message: &Envelope, expected: &str| match send(&factory, message).await {
        Outcome::Rejected { reason: Reason::Unbuildable, reply, suppress: false } => assert_eq!(reply, expected),
        other => panic!("{other:?}"),
    };
    check(&pattern(&[]), "the pattern value `token` is missing").await;
    check(
        &pattern(&[("token", "1"), ("tokan2", "2")]),
        "there is no pattern value `tokan2`; did you mean `token2`? \
         Valid here: `token`, `token2`, `token3`, `token10`, `token20`",
    )
    .await;
    let service = Envelope { purpose: Purpose::Service, ..text() };
    check(&service, "no line is configured for service messages: add one to `sms.lines`").await;
    let content = Content::Email {
        from: String::new(),
        to_name: String::new(),
        return_path: None,
        headers: Vec::new(),
        subject: String::new(),
        html: None,
        text: String::new(),
    };
    check(&envelope(content), "the message has no form for `kavenegar`").await;
}

#[test]
fn settings_that_do_not_fit_the_description_are_refused() {
    tls();
    let check = |change: fn(&mut SmsOptions), expected: &str| {
        let mut options = options("https://sms.example.com/");
        change(&mut options);
        let error = SmsFactory::new(kavenegar(), options).err().unwrap();
        assert_eq!(error.to_string(), expected);
    };
    check(
        |options| options.credentials.clear(),
        "the provider `kavenegar` needs the credential `api_key`: add it to `sms.credentials`",
    );
    check(
        |options| {
            options.credentials.insert("apikey".to_owned(), "x".to_owned().into());
        },
        "in `sms.credentials`: there is no credential `apikey`; did you mean `api_key`? \
         Valid here: `api_key`, `webhook_key`",
    );
    check(
        |options| options.base_url = Some("ftp://sms.example.com".to_owned()),
        "the base URL of `kavenegar` is not an http(s) address: `ftp` is another protocol",
    );
    for url in ["http://10.0.0.1", "http://127.0.0.1@sms.example.com", "HTTP:\\\\sms.example.com"] {
        let options = SmsOptions { base_url: Some(url.to_owned()), ..options("") };
        let error = SmsFactory::new(kavenegar(), options).err().unwrap().to_string();
        assert_eq!(error, "the base URL of `kavenegar` leads to another machine without TLS: write https://");
    }
    let local = |url: &str| factory(url).is_local();
    assert!(local("http://127.0.0.1:8080") && local("http://[::1]:1/") && local("http://localhost"));
    assert!(!local("https://api.kavenegar.com"));
    assert!(!format!("{:?}", options("http://x")).contains("s3cret"));
}

#[tokio::test]
async fn other_ways_of_authentication_can_be_described() {
    tls();
    let description = r#"
name: other
base_url: https://sms.example.com
credentials: [user, password, key]
text:
  url: "{base_url}/send"
  headers: { X-API-KEY: "{credential.key}" }
  basic: { username: "{credential.user}", password: "{credential.password}" }
  body: json
  fields: { number: "{to}", id: "{message}" }
pattern:
  method: GET
  url: "{base_url}/pattern"
  body: query
  fields: { to: "{to}", bodyId: "{template}", name: "{value.name}" }
reply:
  code: [/code, http]
  codes:
    201: { then: sent, means: taken }
    21610: { then: suppress_marketing, means: opted out }
  unlisted: { then: our_fault, means: unknown }
"#;
    let server = MockServer::start().await;
    Mock::given(path("/send"))
        .and(header("x-api-key", "k"))
        .and(header("authorization", "Basic dTpw"))
        .and(body_string(r#"{"id":"01890a5d-ac96-774b-bcce-b302099a8057","number":"+989121234567"}"#))
        .respond_with(ResponseTemplate::new(201))
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .and(path("/pattern"))
        .and(wiremock::matchers::query_param("name", "a b&c"))
        .respond_with(ResponseTemplate::new(400).set_body_raw(r#"{"code":21610}"#, "application/json"))
        .mount(&server)
        .await;
    let credentials = [("user", "u"), ("password", "p"), ("key", "k")];
    let options = SmsOptions {
        base_url: Some(server.uri()),
        credentials: credentials.map(|(name, value)| (name.to_owned(), value.to_owned().into())).into(),
        timeout: Duration::from_secs(10),
        ..SmsOptions::default()
    };
    let factory = SmsFactory::new(Provider::parse("other.yaml", description).unwrap(), options).unwrap();
    assert_eq!(word(&send(&factory, &text()).await), "sent -");
    assert_eq!(word(&send(&factory, &pattern(&[("name", "a b&c")])).await), "refused suppress");
}
