//! What a line and a provider ask of an SMS: hours, a footer, no links, the rules of a pattern's values.

use std::path::Path;

use rekindle::app::App;
use rekindle::clock::Clock;
use rekindle::domain::message::{Channel, Reason, SmsWords};
use rekindle::import::Kind;
use rekindle::settings::Settings;
use rekindle::store::members;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::shop::{PLAIN, Shop, Size, at};

const MEMBERS: &str = "external_id,phone,email,first_name,sms_consent,email_consent,joined_at\n\
    m1,+989121234567,m1@example.com,Sara Ahmadi,true,true,2024-05-01T22:00:00Z\n";
const KAVENEGAR: &str = include_str!("../../config/providers/kavenegar.yaml");

async fn shop(settings: &str) -> Shop {
    let shop = Shop::new(&Size::default(), PLAIN).with_settings(settings);
    shop.import(Kind::Members, MEMBERS).await;
    shop
}

/// What is wrong with the shop's files; empty where nothing is.
async fn problems(shop: &Shop) -> String {
    let app = App::open(shop.settings(), Clock::simulated(at("2024-05-01T00:00:00Z"))).await.unwrap();
    let found = app.catalog().await.err().map(|error| error.to_string()).unwrap_or_default();
    app.store.close().await;
    found
}

#[tokio::test]
async fn marketing_waits_for_its_lines_hours_and_service_does_not() {
    let lines = "sms: { lines: [{ number: \"3000\", purpose: marketing, hours: \"08:00-21:00\", footer: \"لغو۱۱\" }, \
        { number: \"9000\", purpose: service }] }";
    let shop = shop(lines).await;
    for (name, rest) in
        [("news", "channels: [sms]"), ("order", "channels: [sms]\npurpose: service"), ("mail", "channels: [email]")]
    {
        shop.campaign(name, &format!("trigger: {{ kind: welcome }}\n{rest}"));
    }
    // A short lateness counts from when the line opens.
    shop.campaign("short", "trigger: { kind: welcome }\nchannels: [sms]\nlimits: { late: { send_within: 30m } }");
    let planned = shop.plan("2024-05-01T21:00:00Z", "2024-05-02T00:00:00Z").await;
    let when = |name: &str| planned.iter().find(|p| p.campaign == name).map(|p| (p.next_at, p.reason)).unwrap();
    assert_eq!(when("news"), (at("2024-05-02T08:00:00Z"), None));
    assert_eq!(when("short"), (at("2024-05-02T08:00:00Z"), None));
    assert_eq!(when("order"), (at("2024-05-01T22:00:00Z"), None));
    assert_eq!(when("mail"), (at("2024-05-01T22:00:00Z"), None));
    shop.once("2024-05-01T22:10:00Z").await;
    let texts: Vec<String> = shop.sms().iter().map(|line| line["text"].as_str().unwrap().to_owned()).collect();
    assert_eq!(texts, ["Hello Sara Ahmadi"], "the service line has no footer and no hours");
    shop.once("2024-05-02T08:20:00Z").await;
    let states = ["m1 mail main sent -", "m1 news main sent -", "m1 order main sent -", "m1 short main sent -"];
    assert_eq!(shop.states().await, states);
    assert_eq!(shop.sms().last().unwrap()["text"], "Hello Sara Ahmadi\nلغو۱۱");
    assert_eq!(shop.sms().last().unwrap()["line"], "3000");
    shop.close().await;
}

#[tokio::test]
async fn a_link_on_a_line_without_links_is_refused_before_anything_is_sent() {
    let shop = shop("sms: { lines: [{ number: \"3000\", purpose: marketing, links: false }] }").await;
    shop.campaign("news", "trigger: { kind: welcome }\nchannels: [sms]");
    assert_eq!(problems(&shop).await, "");
    shop.write("templates/note/sms.fa.txt", "ببینید: {{brand.base_url}}/x");
    let found = problems(&shop).await;
    assert!(found.contains("note/sms.txt: the text holds a link (`shop.example`)"), "{found}");
    shop.write("templates/note/sms.fa.txt", "سلام");
    // What only this member's data bring in ends the message, with its reason.
    shop.write("templates/note/sms.txt", "Hello {{member.first_name}}");
    shop.import(Kind::Members, "external_id,first_name\nm1,bit.ly/x\n").await;
    shop.once("2024-05-01T22:10:00Z").await;
    assert_eq!(shop.states().await, ["m1 news main skipped render_failed"]);
    shop.close().await;
}

#[tokio::test]
async fn a_pattern_takes_the_place_of_a_text_and_keeps_its_rules() {
    let lines = "lines: [{ number: \"3000\", purpose: marketing }]";
    let captured = shop(&format!("sms: {{ {lines} }}")).await;
    let pattern =
        "kavenegar: { template: hello, values: { token: \"{{message.step}}\", token10: \"{{member.first_name}}\" } }\n";
    captured.write("templates/note/sms.pattern.yaml", pattern);
    captured.campaign("news", "trigger: { kind: welcome }\nchannels: [sms]");
    captured.once("2024-05-01T22:10:00Z").await;
    let line = &captured.sms()[0];
    assert_eq!((line["pattern"].as_str(), line["values"]["token10"].as_str()), (Some("hello"), Some("Sara Ahmadi")));
    captured.close().await;

    let sending = format!(
        "sms: {{ sender: kavenegar, base_url: \"http://127.0.0.1:1\", credentials: {{ api_key: k }}, {lines} }}"
    );
    let shop = shop(&sending).await;
    shop.write("providers/kavenegar.yaml", KAVENEGAR);
    shop.campaign("news", "trigger: { kind: welcome }\nchannels: [sms]");
    for (values, expected) in [
        ("token: \"{{member.full_name}}\"", "the pattern value `token` holds a space or a line break"),
        ("token: x, tokan2: y", "there is no pattern value `tokan2`; did you mean `token2`?"),
        ("token10: x", "the pattern value `token` is missing"),
        ("token: \"{{member.frist_name}}\"", "did you mean `member.first_name`?"),
    ] {
        let text = format!("kavenegar: {{ template: hello, values: {{ {values} }} }}");
        shop.write("templates/note/sms.pattern.yaml", text);
        let found = problems(&shop).await;
        assert!(found.contains("note/sms.pattern.yaml") && found.contains(expected), "{found}");
    }
    // Without a pattern for this provider the text goes out, and with neither the content lacks something.
    shop.write("templates/note/sms.pattern.yaml", "smsir: { template: 1, values: {} }");
    assert_eq!(problems(&shop).await, "");
    std::fs::remove_file(shop.folder.0.join("templates/note/sms.txt")).unwrap();
    assert!(problems(&shop).await.contains("sms.txt, which is missing"));
    shop.write("templates/note/sms.pattern.yaml", "kavenegar: { template: hello, values: { token: x } }");
    assert_eq!(problems(&shop).await, "");
    shop.write("templates/note/sms.pattern.yaml", "kavenegar: { tempalte: hello }");
    assert!(problems(&shop).await.contains("unknown key `tempalte`; did you mean `template`?"));
    shop.close().await;
}

/// Two Iranian providers, and one for a part of the rest of the world.
const SEVERAL: &str = "sms: { sender: [\
    { provider: kavenegar, prefixes: [\"+98\"], base_url: \"http://127.0.0.1:1\", credentials: { api_key: k }, \
      lines: [{ number: \"3000\", purpose: marketing, hours: \"08:00-21:00\", footer: \"لغو۱۱\", links: false }] }, \
    { provider: smsir, prefixes: [\"+98\"], base_url: \"http://127.0.0.1:1\", credentials: { api_key: k }, \
      lines: [{ number: \"9000\", purpose: marketing, hours: \"08:00-21:00\" }] }, \
    { provider: twilio, prefixes: [\"+1\"], base_url: \"http://127.0.0.1:1\", \
      credentials: { account_sid: s, auth_token: t }, \
      lines: [{ number: \"+15550001111\", purpose: marketing, footer: \"Reply STOP to end\" }] }] }";

#[test]
fn providers_that_share_numbers_keep_the_same_hours() {
    let problem = |text: &str| {
        let shop = Shop::new(&Size::default(), PLAIN).with_settings(text);
        Settings::parse(Path::new("x.yaml"), &shop.settings_text(), &|_| None).err().map(|error| error.to_string())
    };
    assert_eq!(problem(SEVERAL), None);
    let others = problem(&SEVERAL.replacen("08:00-21:00", "09:00-21:00", 1)).unwrap();
    let expected = "`kavenegar` and `smsir` share numbers, so their marketing lines need the same `hours`";
    assert!(others.contains(expected), "{others}");
}

async fn several(settings: &str) -> Shop {
    let shop = shop(settings).await;
    for (name, text) in [
        ("kavenegar", KAVENEGAR),
        ("smsir", include_str!("../../config/providers/smsir.yaml")),
        ("twilio", include_str!("../../config/providers/twilio.yaml")),
    ] {
        shop.write(&format!("providers/{name}.yaml"), text);
    }
    shop
}

#[tokio::test]
async fn a_content_needs_a_form_for_one_provider_of_each_number() {
    let shop = several(SEVERAL).await;
    shop.campaign("news", "trigger: { kind: welcome }\nchannels: [sms]");
    assert_eq!(problems(&shop).await, "");
    // A link keeps it off one line, and another provider takes it.
    shop.write("templates/note/sms.txt", "See {{brand.base_url}}");
    assert_eq!(problems(&shop).await, "");
    // Patterns alone leave those out whose provider has none.
    std::fs::remove_file(shop.folder.0.join("templates/note/sms.txt")).unwrap();
    shop.write("templates/note/sms.pattern.yaml", "kavenegar: { template: hello, values: { token: x } }");
    let found = problems(&shop).await;
    let expected = "note/sms.pattern.yaml: there is no pattern for `twilio`, and no sms.txt \
        (and no other provider takes it to +1…)";
    assert!(found.contains(expected) && !found.contains("+98"), "{found}");
    // A pattern that the one refuses is no loss where the other has one that it takes.
    shop.write("templates/note/sms.txt", "Hello");
    let bad = "kavenegar: { template: hello, values: { tokan: x } }\n";
    shop.write("templates/note/sms.pattern.yaml", bad);
    assert_eq!(problems(&shop).await, "");
    shop.write(
        "templates/note/sms.pattern.yaml",
        format!("{bad}smsir: {{ template: 7, values: {{ A: \"{}\" }} }}", "x".repeat(26)),
    );
    let found = problems(&shop).await;
    assert!(found.contains("did you mean `token`?") && found.contains("takes it to +98…"), "{found}");
    // What is no template is said, whoever would get it.
    shop.write("templates/note/sms.pattern.yaml", "smsir: { template: 7, values: { A: x } }");
    shop.write("templates/note/sms.txt", "Hello {{member.frist_name}}");
    assert!(problems(&shop).await.contains("did you mean `member.first_name`?"));
    shop.close().await;
}

#[tokio::test]
async fn an_sms_goes_out_as_the_provider_of_its_number_wants_it() {
    let shop = several(SEVERAL).await;
    let more = "external_id,phone,email,first_name,sms_consent,email_consent,joined_at\n\
        m2,+14155552671,m2@example.com,Ann,true,true,2024-05-01T22:00:00Z\n\
        m3,+447911123456,m3@example.com,Bob,true,true,2024-05-01T22:00:00Z\n";
    shop.import(Kind::Members, more).await;
    shop.campaign("news", "trigger: { kind: welcome }\nchannels: [sms]");
    shop.campaign("both", "trigger: { kind: welcome }\nchannels: [sms, email]");
    // The hours are those of the number's own line, and a number that nobody is for is no address.
    let planned = shop.plan("2024-05-01T21:00:00Z", "2024-05-02T00:00:00Z").await;
    let when = |member: &str, name: &str| {
        let found = planned.iter().find(|p| p.campaign == name && p.member == member).unwrap();
        (found.channel, found.next_at, found.reason)
    };
    let (night, morning) = (at("2024-05-01T22:00:00Z"), at("2024-05-02T08:00:00Z"));
    assert_eq!(when("m1", "news"), (Some(Channel::Sms), morning, None));
    assert_eq!(when("m2", "news"), (Some(Channel::Sms), night, None));
    assert_eq!(when("m3", "news"), (None, night, Some(Reason::NoAddress)));
    assert_eq!(when("m3", "both"), (Some(Channel::Email), night, None));
    let app = App::open(shop.settings(), Clock::simulated(night)).await.unwrap();
    let catalog = app.catalog().await.unwrap();
    let mut tx = app.store.read().await.unwrap();
    let member = members::by_external_id(&mut tx, "m1").await.unwrap().unwrap();
    tx.commit().await.unwrap();
    let news = &catalog.campaigns["news"];
    let said = |to: &str| {
        let order = rekindle::rendering::sample::order(&catalog.brand);
        let variables = rekindle::rendering::Variables {
            brand: &catalog.brand,
            member: &member,
            campaign: "news",
            message: uuid::Uuid::nil(),
            tokens: &catalog.tokens,
            track: Default::default(),
            step: "main",
            due_at: night,
            years: None,
            order: Some(&order),
            gift: None,
        };
        catalog.content(news, &news.steps[0], Channel::Sms, to, &variables)
    };
    let text = |text: &str| SmsWords::Text(text.to_owned());
    let iran = said("+989121234567").unwrap();
    assert_eq!(iran.words_for("kavenegar"), Some(&text("Hello Sara Ahmadi\nلغو۱۱")));
    assert_eq!(iran.words_for("smsir"), Some(&text("Hello Sara Ahmadi")));
    assert_eq!(iran.words_for("twilio"), None);
    let america = said("+14155552671").unwrap();
    assert_eq!(america.words_for("twilio"), Some(&text("Hello Sara Ahmadi\nReply STOP to end")));
    assert!(said("+447911123456").unwrap_err().reason.contains("no provider of `sms.sender` is for this number"));
    app.store.close().await;
    shop.close().await;
}

/// A provider that gives everybody the same answer.
async fn double(status: u16, body: &str) -> MockServer {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(status).set_body_raw(body.to_owned(), "application/json");
    Mock::given(wiremock::matchers::any()).respond_with(answer).mount(&server).await;
    server
}

#[tokio::test]
async fn another_provider_takes_over_with_a_form_of_its_own() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kavenegar = double(418, r#"{"return":{"status":418},"entries":null}"#).await;
    let smsir = double(200, r#"{"status":1,"data":{"messageId":7}}"#).await;
    let twilio = double(201, r#"{"sid":"SM1"}"#).await;
    let mut settings = SEVERAL.to_owned();
    for server in [&kavenegar, &smsir, &twilio] {
        settings = settings.replacen("http://127.0.0.1:1\"", &format!("{}\"", server.uri()), 1);
    }
    let shop = several(&settings).await;
    let american =
        "external_id,phone,first_name,sms_consent,joined_at\nm2,+14155552671,Ann,true,2024-05-01T22:00:00Z\n";
    shop.import(Kind::Members, american).await;
    shop.campaign("news", "trigger: { kind: welcome }\nchannels: [sms]\nlimits: { late: always }");
    shop.write(
        "templates/note/sms.pattern.yaml",
        "smsir: { template: 7, values: { NAME: \"{{member.first_name}}\" } }",
    );
    shop.once("2024-05-02T09:00:00Z").await;
    assert_eq!(shop.states().await, ["m1 news main sent -", "m2 news main sent -"]);
    let bodies = async |server: &MockServer| {
        let requests = server.received_requests().await.unwrap();
        requests.iter().map(|request| String::from_utf8(request.body.clone()).unwrap()).collect::<Vec<_>>()
    };
    let pattern = r#"{"mobile":"09121234567","parameters":[{"name":"NAME","value":"Sara Ahmadi"}],"templateId":7}"#;
    assert_eq!(bodies(&smsir).await, [pattern]);
    assert!(bodies(&kavenegar).await.iter().all(|body| body.contains("message=Hello+Sara+Ahmadi%0A")));
    let texts = bodies(&twilio).await;
    assert!(texts.len() == 1 && texts[0].contains("Body=Hello+Ann%0AReply+STOP+to+end"), "{texts:?}");
    shop.close().await;
}

#[tokio::test]
async fn all_is_redirected_to_a_number_that_some_provider_is_for() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    for (phone, fits) in [("+989121234567", true), ("+447911123456", false)] {
        let redirect = format!("{SEVERAL}\nredirect_all_to: {{ email: a@shop.example, phone: \"{phone}\" }}");
        let shop = several(&redirect).await;
        let app = App::open(shop.settings(), Clock::simulated(at("2024-05-01T00:00:00Z"))).await.unwrap();
        let catalog = app.catalog().await.unwrap();
        let refused = rekindle::app::factories(&shop.settings(), &catalog).err().map(|error| error.to_string());
        assert_eq!(refused.is_none(), fits, "{phone}");
        assert!(refused.is_none_or(|why| why.starts_with("redirect_all_to.phone is a number that no provider")));
        app.store.close().await;
        shop.close().await;
    }
}
