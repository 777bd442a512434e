//! What a stranger, another provider or one member's data can do to the rest, on every size: nothing.
//! `attackers_contract!` makes the tests; each gets a [`Size`] with nothing in it.

use rekindle::clock::Clock;
use rekindle::import::Kind;
use rekindle::inbound::webhook::{Call, Hooks};
use rekindle::store::Store;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::contract::contract;
use crate::support::shop::{PLAIN, Shop, Size, at};

contract! {
    attackers_contract:
    one_members_oversized_message_ends_alone
    one_members_message_that_cannot_be_rendered_ends_alone
    an_sms_of_more_parts_than_there_are_is_not_sent
    a_provider_says_nothing_about_what_another_one_sent
    a_providers_word_counts_for_its_own_lines
}

const NOON: &str = "2024-05-02T12:00:00Z";
const WELCOME: &str = "trigger: { kind: welcome }\nlimits: { late: always }";

/// Members who joined this morning, each with a cell of text.
fn members(cells: &[&str]) -> String {
    let head = "external_id,email,phone,first_name,email_consent,sms_consent,joined_at,attributes.a,attributes.b,\
        attributes.c,attributes.d,attributes.e\n";
    let row = |(n, cell): (usize, &&str)| {
        let (n, more) = (n + 1, if cell.is_empty() { ",,,,".to_owned() } else { [*cell; 5].join(",") });
        format!("m{n},m{n}@example.com,+98912123456{n},Sara{n},true,true,2024-05-02T10:00:00Z,{more}\n")
    };
    head.to_owned() + &cells.iter().enumerate().map(row).collect::<String>()
}

async fn ends_alone(size: Size, channel: &str, part: &str, template: &str) {
    let shop = Shop::new(&size, PLAIN);
    shop.write(&format!("templates/note/{part}"), template);
    shop.campaign("hello", &format!("{WELCOME}\nchannels: [{channel}]"));
    shop.import(Kind::Members, members(&["", "x", ""])).await;
    // It ends, and asserts that nothing is left under way.
    shop.once(NOON).await;
    assert_eq!(
        shop.states().await,
        ["m1 hello main sent -", "m2 hello main skipped render_failed", "m3 hello main sent -"],
        "{part}"
    );
    shop.once("2024-05-02T13:00:00Z").await;
    assert_eq!(shop.states().await[1], "m2 hello main skipped render_failed");
    shop.close().await;
}

/// Writes what stands in it 25 times for a member with five attributes.
fn often(text: &str) -> String {
    format!("Hello{{{{#each member.attributes}}}}{{{{#each @root.member.attributes}}}}{text}{{{{/each}}}}{{{{/each}}}}")
}

pub async fn one_members_oversized_message_ends_alone(size: Size) {
    let filler = "x".repeat(700_000);
    ends_alone(size.clone(), "email", "email.html", &format!("<html><body><p>{}</p></body></html>", often(&filler)))
        .await;
    // Each of them would fit; what the queue would be given does not.
    let quotes = "\"".repeat(400_000);
    ends_alone(size.clone(), "email", "email.txt", &often(&quotes)).await;
    ends_alone(size, "email", "email.txt", &often(&filler)).await;
}

pub async fn an_sms_of_more_parts_than_there_are_is_not_sent(size: Size) {
    ends_alone(size, "sms", "sms.txt", &often(&"x".repeat(2_000))).await;
}

pub async fn one_members_message_that_cannot_be_rendered_ends_alone(size: Size) {
    for template in [
        "{{#if member.attributes.a}}{{number member.attributes.a}}{{/if}}",
        "{{#if member.attributes.a}}{{money member.attributes.a \"EUR\"}}{{/if}}",
        "{{#if member.attributes.a}}{{member.attributes.a.b}}{{/if}}",
    ] {
        ends_alone(size.clone(), "email", "email.html", &format!("<html><body><p>x{template}</p></body></html>")).await;
    }
    // So deep that no text is made of it.
    let deep = often(&"<div>".repeat(20));
    ends_alone(size, "email", "email.html", &format!("<html><body>{deep}</body></html>")).await;
}

/// A shop that sends to Iran by one provider, elsewhere by another one.
struct Texting {
    shop: Shop,
    _providers: MockServer,
}

const KEYS: [(&str, &str); 2] = [("kavenegar", "0123456789abcdef"), ("kannel", "fedcba9876543210")];

impl Texting {
    async fn new(size: &Size) -> Self {
        crate::hearing_contract::tls();
        let providers = MockServer::start().await;
        let taken = r#"{"return":{"status":200},"entries":[{"messageid":8792343,"status":1}]}"#;
        let taken = ResponseTemplate::new(200).set_body_raw(taken, "application/json");
        Mock::given(path("/v1/k/sms/send.json")).respond_with(taken).mount(&providers).await;
        let taken = ResponseTemplate::new(202).set_body_raw("0: Accepted for delivery", "text/plain");
        Mock::given(path("/cgi-bin/sendsms")).respond_with(taken).mount(&providers).await;
        let url = providers.uri();
        let settings = format!(
            "sms:\n  sender:\n    - {{ provider: kavenegar, base_url: \"{url}\", credentials: {{ api_key: k, webhook_key: \
             {} }}, lines: [{{ number: \"3000\", purpose: marketing }}, {{ number: \"9000\", purpose: service }}] }}\n    \
             - {{ provider: kannel, prefixes: [\"+44\"], base_url: \"{url}\", credentials: {{ username: u, password: p, \
             webhook_key: {} }}, lines: [{{ number: \"4000\", purpose: marketing }}] }}\n",
            KEYS[0].1, KEYS[1].1
        );
        let shop = Shop::new(size, PLAIN).with_settings(&settings);
        for (name, _) in KEYS {
            let file = format!("{}/config/providers/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
            shop.write(&format!("providers/{name}.yaml"), std::fs::read(file).unwrap());
        }
        shop.campaign("hello", &format!("{WELCOME}\nchannels: [sms]"));
        let rows = "external_id,phone,first_name,sms_consent,joined_at\n\
            m1,+989121234567,Sara,true,2024-05-02T10:00:00Z\nm2,+447911123456,Tom,true,2024-05-02T10:00:00Z\n";
        shop.import(Kind::Members, rows).await;
        shop.once(NOON).await;
        assert_eq!(shop.states().await, ["m1 hello main sent -", "m2 hello main sent -"]);
        Self { shop, _providers: providers }
    }

    /// A genuine call of a provider.
    async fn hears(&self, provider: usize, query: &str) {
        let (name, key) = KEYS[provider];
        let store = self.shop.store().await.clone();
        let hooks = Hooks::new(store, Clock::simulated(at(NOON)), self.shop.settings());
        let query = format!("key={key}&{query}");
        let url = format!("https://shop.example/hooks/{name}?{query}");
        let call = Call { method: "GET".to_owned(), url, query, ..Call::default() };
        assert_eq!(hooks.receive(name, call).await.status, 200);
    }

    /// The first message that went to a member.
    async fn message(&self, member: &str) -> uuid::Uuid {
        self.shop.ledger().await.iter().find(|row| row.member == member).unwrap().id
    }

    async fn rows(&self, sql: &'static str) -> Vec<(String, String)> {
        match self.shop.store().await {
            Store::Postgres(pool) => sqlx::query_as(sql).fetch_all(pool).await.unwrap(),
            Store::Sqlite { readers: pool, .. } => sqlx::query_as(sql).fetch_all(pool).await.unwrap(),
        }
    }
}

pub async fn a_provider_says_nothing_about_what_another_one_sent(size: Size) {
    let texting = Texting::new(&size).await;
    let (of_kavenegar, of_kannel) = (texting.message("m1").await, texting.message("m2").await);
    let both = ["m1 hello main sent -", "m2 hello main sent -"];
    // By our own id: Kannel about Kavenegar's. It waits for nothing either.
    for status in [1, 2, 16] {
        texting.hears(1, &format!("message={of_kavenegar}&dlr={status}")).await;
    }
    // By a reference that is the other one's.
    texting.hears(1, "message=8792343&dlr=2").await;
    assert_eq!(texting.shop.states().await, both);
    texting.shop.once("2024-05-02T13:00:00Z").await;
    assert_eq!(texting.shop.states().await, both);
    // Each about its own.
    texting.hears(1, &format!("message={of_kannel}&dlr=2")).await;
    assert_eq!(texting.shop.states().await, ["m1 hello main sent -", "m2 hello main bounced -"]);
    texting.hears(0, "messageid=8792343&status=10").await;
    assert_eq!(texting.shop.states().await, ["m1 hello main delivered -", "m2 hello main bounced -"]);
    texting.shop.close().await;
}

pub async fn a_providers_word_counts_for_its_own_lines(size: Size) {
    let texting = Texting::new(&size).await;
    const CLOSED: &str = "SELECT address, purpose FROM suppressions ORDER BY address, purpose";
    const ABOUT: &str =
        "SELECT kind, CASE WHEN message_id IS NULL THEN 'nobody' ELSE 'one' END FROM events ORDER BY key";
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    // Kannel has no line 9000: what is said there is about what nobody must be sent unasked.
    texting.hears(1, "id=1&from=%2B989121234567&to=9000&text=stop&at=1714651200").await;
    assert_eq!(texting.rows(CLOSED).await, [pair("+989121234567", "marketing")]);
    // The word is kept, and not as one about a message that Kannel never sent.
    assert_eq!(texting.rows(ABOUT).await, [pair("opted_out", "nobody")]);
    texting.hears(1, "id=2&from=%2B447911123456&to=4000&text=stop&at=1714651200").await;
    texting.hears(0, "messageid=3&from=09121234567&to=9000&message=stop").await;
    let all =
        [pair("+447911123456", "marketing"), pair("+989121234567", "marketing"), pair("+989121234567", "service")];
    assert_eq!(texting.rows(CLOSED).await, all);
    assert_eq!(texting.rows(ABOUT).await.iter().filter(|(_, about)| about == "one").count(), 2);
    texting.shop.close().await;
}
