//! What the pages that messages link to do to the store, on every size: looking changes nothing, one click
//! stops, a pause silences, and what was opened or clicked ends the steps that say so. `web_contract!` makes
//! the tests; each gets a [`Size`] with nothing in it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use rekindle::clock::Clock;
use rekindle::domain::message::EventKind;
use rekindle::import::Kind;
use rekindle::rendering::links;
use rekindle::store::suppressions::{self, Suppression};
use rekindle::store::{configuration, events, gauges};
use rekindle::web::Web;
use tower::ServiceExt;
use uuid::Uuid;

use crate::support::contract::contract;
use crate::support::shop::{PLAIN, Shop, Size, at};
use crate::support::until;

contract! {
    web_contract:
    looking_changes_nothing_and_one_click_stops
    a_newer_address_is_stopped_too
    what_a_member_switched_off_comes_back_and_a_bounce_stays
    a_pause_silences_marketing_and_no_import_ends_it
    a_click_ends_the_step_that_says_so
    an_open_ends_the_step_that_says_so
    metrics_say_what_waits
    the_program_serves_the_links_of_its_mails
}

const WELCOME: &str = "trigger: { kind: welcome }\nlimits: { late: always }";
const HEAD: &str = "external_id,email,phone,first_name,email_consent,sms_consent,joined_at\n";
const JOINED: &str = "2024-05-01T10:00:00Z";
const FIRST: &str = "2024-05-01T10:30:00Z";

fn row(id: &str) -> String {
    format!("{id},{id}@example.com,+989121234567,Sara,true,true,{JOINED}\n")
}

/// A shop whose mails link to everything, in which `m1` got one.
async fn greeted(size: &Size, campaign: &str) -> (Shop, Uuid) {
    let shop = Shop::new(size, PLAIN);
    shop.write(
        "templates/note/email.html",
        "<html><body><p>Hello</p><a href=\"https://a.example/x?y=1&amp;z=2\">x</a>\
         <a href=\"{{unsubscribe_url}}\">u</a><a href=\"{{preferences_url}}\">p</a></body></html>",
    );
    shop.campaign("hello", campaign);
    shop.import(Kind::Members, HEAD.to_owned() + &row("m1")).await;
    shop.once(FIRST).await;
    assert_eq!(shop.states().await, ["m1 hello main sent -"]);
    let message = shop.ledger().await[0].id;
    (shop, message)
}

/// The web role on a shop, at an instant.
pub async fn web(shop: &Shop, now: &str) -> Arc<Web> {
    let store = shop.store().await.clone();
    Web::new(shop.settings(), store, Clock::simulated(at(now)), None, None).await.unwrap()
}

/// Asks for a page as a browser would; gives its status and text.
pub async fn ask(web: &Arc<Web>, method: Method, path: &str, body: &str) -> (StatusCode, String) {
    ask_as(web, BROWSER, method, path, body).await
}

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

async fn ask_as(web: &Arc<Web>, agent: &str, method: Method, path: &str, body: &str) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri(path).header(header::USER_AGENT, agent);
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let response = web.public().oneshot(request).await.unwrap();
    let status = response.status();
    let location = response.headers().get(header::LOCATION).map(|value| value.to_str().unwrap().to_owned());
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, location.unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned()))
}

/// The path of a message's page: `u` or `p`.
pub async fn path(shop: &Shop, page: &str, message: Uuid) -> String {
    let mut tx = shop.store().await.read().await.unwrap();
    let key = configuration::token_key(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    if page == "u" { links::unsubscribe_url("", &key, message) } else { links::preferences_url("", &key, message) }
}

/// Every suppression of the member's addresses, as `address reason`.
async fn closed(shop: &Shop) -> Vec<String> {
    let addresses = ["m1@example.com", "new@example.com", "+989121234567"].map(str::to_owned).to_vec();
    let mut tx = shop.store().await.read().await.unwrap();
    let found = suppressions::marketing(&mut tx, addresses).await.unwrap();
    tx.commit().await.unwrap();
    crate::support::shop::sorted(found.into_iter().map(|(address, reason)| format!("{address} {reason}")).collect())
}

/// The kinds of what was heard of a message.
async fn heard(shop: &Shop, message: Uuid) -> Vec<String> {
    let mut tx = shop.store().await.read().await.unwrap();
    let found = events::of_message(&mut tx, message).await.unwrap();
    tx.commit().await.unwrap();
    found.into_iter().map(|event| event.kind).collect()
}

pub async fn looking_changes_nothing_and_one_click_stops(size: Size) {
    let (shop, message) = greeted(&size, WELCOME).await;
    let (web, path) = (web(&shop, FIRST).await, path(&shop, "u", message).await);
    for method in [Method::GET, Method::HEAD] {
        assert_eq!(ask(&web, method, &path, "").await.0, StatusCode::OK);
    }
    assert!(closed(&shop).await.is_empty() && heard(&shop, message).await.is_empty(), "looking changes nothing");
    for _ in 0..2 {
        let (status, page) = ask(&web, Method::POST, &path, "List-Unsubscribe=One-Click").await;
        assert!(status == StatusCode::OK && page.contains("You are unsubscribed"), "{page}");
        assert_eq!(closed(&shop).await, ["m1@example.com unsubscribed"]);
        assert_eq!(heard(&shop, message).await, ["unsubscribed"], "once");
    }
    let (status, _) = ask(&web, Method::POST, &path.replace("/u/", "/u/a"), "List-Unsubscribe=One-Click").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    shop.campaign("next", &format!("{WELCOME}\nchannels: [email]"));
    shop.once("2024-05-01T11:00:00Z").await;
    assert_eq!(shop.states().await, ["m1 hello main sent -", "m1 next main skipped suppressed"]);
    shop.close().await;
}

pub async fn a_newer_address_is_stopped_too(size: Size) {
    let (shop, message) = greeted(&size, WELCOME).await;
    shop.import(Kind::Members, "external_id,email\nm1,New@example.com\n").await;
    let web = web(&shop, FIRST).await;
    ask(&web, Method::POST, &path(&shop, "u", message).await, "").await;
    assert_eq!(closed(&shop).await, ["m1@example.com unsubscribed", "new@example.com unsubscribed"]);
    shop.close().await;
}

pub async fn what_a_member_switched_off_comes_back_and_a_bounce_stays(size: Size) {
    let (shop, message) = greeted(&size, WELCOME).await;
    let (web, path) = (web(&shop, FIRST).await, path(&shop, "p", message).await);
    let save = async |body: &str| {
        let (status, page) = ask(&web, Method::POST, &path, body).await;
        assert!(status == StatusCode::OK && page.contains("Your choice is saved"), "{page}");
        page
    };
    save("sms=on&action=channels").await;
    assert_eq!(closed(&shop).await, ["m1@example.com unsubscribed"]);
    save("action=channels").await;
    assert_eq!(closed(&shop).await, ["+989121234567 unsubscribed", "m1@example.com unsubscribed"]);
    save("email=on&sms=on&action=channels").await;
    assert!(closed(&shop).await.is_empty());
    // A bounce that comes after the member's own wish outranks it.
    save("sms=on&action=channels").await;
    let bounce = |reason: &str| Suppression {
        address: "m1@example.com".to_owned(),
        purpose: "marketing",
        reason: reason.to_owned(),
        created_at: 7,
    };
    shop.write_store(async |tx| assert!(suppressions::insert(tx, &[bounce("bad_recipient")]).await.unwrap() <= 1))
        .await;
    let page = save("email=on&sms=on&action=channels").await;
    assert_eq!(closed(&shop).await, ["m1@example.com bad_recipient"]);
    assert!(page.contains("cannot be switched on here"), "{page}");
    // And a wish that comes after it changes nothing.
    save("action=channels").await;
    shop.write_store(async |tx| assert!(suppressions::insert(tx, &[bounce("unsubscribed")]).await.unwrap() <= 1)).await;
    assert_eq!(closed(&shop).await, ["+989121234567 unsubscribed", "m1@example.com bad_recipient"]);
    assert_eq!(ask(&web, Method::POST, &path, "action=delete").await.0, StatusCode::BAD_REQUEST);
    shop.close().await;
}

pub async fn a_pause_silences_marketing_and_no_import_ends_it(size: Size) {
    let (shop, message) = greeted(&size, WELCOME).await;
    let path = path(&shop, "p", message).await;
    let (_, page) = ask(&web(&shop, FIRST).await, Method::POST, &path, "action=pause").await;
    assert!(page.contains("until May 31, 2024"), "{page}");
    // Asking again does not make it longer.
    let (_, page) = ask(&web(&shop, "2024-05-09T00:00:00Z").await, Method::POST, &path, "action=pause").await;
    assert!(page.contains("until May 31, 2024"), "{page}");
    shop.import(Kind::Members, HEAD.to_owned() + &row("m1").replace("Sara", "Sarah")).await;
    for (name, delay, more) in [("marketing", "24d", ""), ("service", "24d", "purpose: service"), ("later", "31d", "")]
    {
        let trigger = format!("trigger: {{ kind: welcome, delay: {delay} }}\nlimits: {{ late: always }}\n{more}");
        shop.campaign(name, &trigger);
    }
    let planned = shop.plan("2024-05-02T00:00:00Z", "2024-07-01T00:00:00Z").await;
    let planned: Vec<_> = planned
        .iter()
        .map(|planned| (planned.campaign.as_str(), planned.reason.map(|reason| reason.as_str())))
        .collect();
    assert_eq!(planned, [("marketing", Some("suppressed")), ("service", None), ("later", None)]);
    shop.once("2024-05-25T12:00:00Z").await;
    shop.once("2024-06-01T12:00:00Z").await;
    assert_eq!(
        shop.states().await,
        [
            "m1 hello main sent -",
            "m1 later main sent -",
            "m1 marketing main skipped suppressed",
            "m1 service main sent -"
        ]
    );
    let (_, page) = ask(&web(&shop, FIRST).await, Method::POST, &path, "action=resume").await;
    assert!(page.contains("Pause for 30 days"), "{page}");
    shop.close().await;
}

/// A welcome by mail, and a reminder a day later unless the welcome was heard of.
fn reminder(unless: &str, track: &str) -> String {
    format!(
        "{WELCOME}\nchannels: [email]\ntrack: {{ {track}: true }}\nsteps:\n  - {{ id: reminder, after: 1d, unless: [{unless}], content: note }}"
    )
}

/// Where the captured mail's links of one kind lead: `/c/`, `/o/`.
pub fn link_of(shop: &Shop, message: Uuid, page: &str) -> String {
    let mail = shop.mails().remove(&message.to_string()).unwrap();
    let parsed = mail_parser::MessageParser::default().parse(mail.as_bytes()).unwrap();
    let html = parsed.body_html(0).unwrap().into_owned();
    let start = html.find(&format!("https://shop.example{page}")).unwrap_or_else(|| panic!("{page} in {html}"));
    let link = &html[start + "https://shop.example".len()..];
    link[..link.find('"').unwrap()].to_owned()
}

async fn ends_the_reminder(size: Size, unless: &str, track: &str, page: &str, expected: (StatusCode, &str)) {
    let (shop, message) = greeted(&size, &reminder(unless, track)).await;
    shop.import(Kind::Members, HEAD.to_owned() + &row("m2")).await;
    shop.once("2024-05-01T11:00:00Z").await;
    let due = |planned: &rekindle::views::plan::Planned| {
        (planned.member.clone(), planned.reason.map(|reason| reason.as_str()))
    };
    let plan =
        async || shop.plan("2024-05-02T00:00:00Z", "2024-05-03T00:00:00Z").await.iter().map(due).collect::<Vec<_>>();
    let both = [("m1".to_owned(), None), ("m2".to_owned(), None)];
    assert_eq!(plan().await, both, "nobody is taken to have heard it");
    let (link, web) = (link_of(&shop, message, page), web(&shop, "2024-05-01T12:00:00Z").await);
    assert_eq!(ask(&web, Method::HEAD, &link, "").await.0, expected.0);
    assert!(heard(&shop, message).await.is_empty(), "a look at the headers is nobody's");
    // A machine gets what it asks for, and says nothing about the member.
    assert_eq!(ask_as(&web, "Mozilla/5.0", Method::GET, &link, "").await.0, expected.0);
    assert_eq!(heard(&shop, message).await, ["prefetched"]);
    assert_eq!(plan().await, both);
    for _ in 0..2 {
        let (status, text) = ask(&web, Method::GET, &link, "").await;
        assert!(status == expected.0 && text.starts_with(expected.1), "{status} {text}");
    }
    assert_eq!(heard(&shop, message).await.len(), 2, "once");
    assert_eq!(plan().await, [("m1".to_owned(), Some("goal_reached")), ("m2".to_owned(), None)]);
    shop.once("2024-05-02T12:00:00Z").await;
    assert_eq!(
        shop.states().await,
        [
            "m1 hello main sent -",
            "m1 hello reminder skipped goal_reached",
            "m2 hello main sent -",
            "m2 hello reminder sent -"
        ]
    );
    shop.close().await;
}

pub async fn a_click_ends_the_step_that_says_so(size: Size) {
    let leads = (StatusCode::FOUND, "https://a.example/x?y=1&z=2");
    ends_the_reminder(size, "clicked", "clicks", "/c/", leads).await;
}

pub async fn an_open_ends_the_step_that_says_so(size: Size) {
    ends_the_reminder(size, "goal, opened", "opens", "/o/", (StatusCode::OK, "GIF89a")).await;
}

pub async fn metrics_say_what_waits(size: Size) {
    let (shop, _) = greeted(&size, WELCOME).await;
    let web = web(&shop, "2024-05-01T12:40:00Z").await;
    shop.import(Kind::Members, HEAD.to_owned() + &row("m2") + &row("m3")).await;
    shop.once("2024-05-01T10:40:00Z").await;
    shop.campaign("over-its-ceiling", "trigger: { kind: welcome, delay: 1h }\nlimits: { ceiling: 1, late: always }");
    shop.campaign("soon", "trigger: { kind: welcome, delay: 2h }\nlimits: { late: always }");
    shop.pause_all(true).await;
    shop.once("2024-05-01T12:30:00Z").await;
    let mut tx = shop.store().await.read().await.unwrap();
    let all = gauges::read(&mut tx, at("2024-05-01T12:40:00Z"), &[]).await.unwrap();
    assert_eq!((all.ready, all.held, all.queued, all.in_flight, all.uncertain), (3, 1, 0, 0, 0));
    assert_eq!(all.oldest_ready, Some(at("2024-05-01T12:00:00Z")));
    let silent = gauges::read(&mut tx, at("2024-05-01T12:40:00Z"), &["soon".to_owned()]).await.unwrap();
    assert_eq!((silent.ready, silent.oldest_ready), (0, None));
    tx.commit().await.unwrap();
    let request = |path: &str| Request::builder().uri(path).body(Body::empty()).unwrap();
    let ready = web.operations().oneshot(request("/health/ready")).await.unwrap();
    assert_eq!(ready.status(), StatusCode::OK);
    let scraped = web.operations().oneshot(request("/metrics")).await.unwrap();
    let text = axum::body::to_bytes(scraped.into_body(), 1 << 20).await.unwrap();
    let text = String::from_utf8(text.to_vec()).unwrap();
    for line in [
        "rekindle_ready_messages ",
        "rekindle_lag_seconds ",
        "rekindle_held_campaigns ",
        "rekindle_suppressions ",
        "rekindle_planned_total{campaign=\"over-its-ceiling\"} 3\n",
        "rekindle_attempts_total{channel=\"email\",sender=\"capture\",outcome=\"sent\"} ",
        "rekindle_dispatched_total{decision=\"queued\"} ",
        "rekindle_attempt_seconds_bucket{channel=\"email\",sender=\"capture\",le=\"0.1\"} ",
    ] {
        assert!(text.contains(&format!("\n{line}")), "{line} in {text}");
    }
    assert_eq!(ask(&web, Method::GET, "/metrics", "").await.0, StatusCode::NOT_FOUND, "not on the public address");
    shop.close().await;
    until(StatusCode::SERVICE_UNAVAILABLE, async || {
        web.operations().oneshot(request("/health/ready")).await.unwrap().status()
    })
    .await;
}

/// A running program, stopped with this value.
struct Program {
    process: Child,
    address: String,
}

impl Program {
    /// Starts it and waits until it says where it listens.
    fn start(shop: &Shop) -> Self {
        let settings = shop.write("rekindle.yaml", shop.settings_text());
        let mut process = Command::new(env!("CARGO_BIN_EXE_rekindle"))
            .arg("--config")
            .arg(settings)
            .args(["-v", "run"])
            .env_remove("RUST_LOG")
            .env_remove("REKINDLE_LOG")
            .env_remove("REKINDLE_STORE")
            .env_remove("REKINDLE_QUEUE")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).unwrap() > 0, "it ended: {said}");
            said += &line;
            if let Some((_, rest)) = line.split_once("listening address=") {
                break rest.split_whitespace().next().unwrap().to_owned();
            }
        };
        // What it says later is read, so that it never waits for a reader.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { process, address }
    }

    /// Asks over the network; gives the whole answer.
    async fn ask(&self, head: &str, body: &str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(&self.address).await.unwrap();
        let length = body.len();
        let request = format!(
            "{head} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Asks it to stop; gives its exit code.
    fn stop(mut self) -> Option<i32> {
        let asked = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().unwrap();
        assert!(asked.success());
        self.process.wait().unwrap().code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub async fn the_program_serves_the_links_of_its_mails(size: Size) {
    let shop = Shop::new(&size, PLAIN).with_settings("web: { listen: 127.0.0.1:0, metrics: none }\n");
    shop.write("templates/note/email.html", "<html><body><a href=\"{{unsubscribe_url}}\">stop</a></body></html>");
    let campaign = "trigger: { kind: welcome }\nchannels: [email]\nlimits: { late: always }";
    shop.campaign("first", campaign);
    shop.import(Kind::Members, HEAD.to_owned() + &row("m1")).await;
    let program = Program::start(&shop);
    until(vec!["m1 first main sent -".to_owned()], async || shop.states().await).await;
    let message = shop.ledger().await[0].id;
    let path = link_of(&shop, message, "/u/");
    let page = program.ask(&format!("GET {path}"), "").await;
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("<form method=\"post\""), "{page}");
    assert!(closed(&shop).await.is_empty());
    let done = program.ask(&format!("POST {path}"), "List-Unsubscribe=One-Click").await;
    assert!(done.starts_with("HTTP/1.1 200") && !done.to_lowercase().contains("set-cookie"), "{done}");
    assert_eq!(closed(&shop).await, ["m1@example.com unsubscribed"]);
    assert_eq!(heard(&shop, message).await, [EventKind::Unsubscribed.as_str()]);
    assert!(program.ask("GET /health/ready", "").await.starts_with("HTTP/1.1 200"));
    assert_eq!(program.stop(), Some(0), "it stops gracefully");
    shop.campaign("second", campaign);
    let program = Program::start(&shop);
    let expected = ["m1 first main sent -", "m1 second main skipped suppressed"].map(str::to_owned).to_vec();
    until(expected, async || shop.states().await).await;
    assert_eq!(program.stop(), Some(0));
    shop.close().await;
}
