//! What a line and a provider ask of an SMS: hours, a footer, no links, the rules of a pattern's values.

use rekindle::app::App;
use rekindle::clock::Clock;
use rekindle::import::Kind;

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
