//! The demo's many days: what its messages caused is known, and the reports find it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use rekindle::store::Store;
use serde_json::Value;

use crate::support::Folder;

/// The day after the demo's last one.
pub const END: &str = "2026-04-23";

/// What messages cost in it; a number of another country has no price.
const PRICES: &str =
    "prices: { currency: IRR, email_per_thousand: 150000, sms: [{ prefix: \"+98\", per_segment: 1500.5 }] }\n";

/// As many days as a debug build takes in the time that a test has: made once for all tests that look at them.
static YEAR: LazyLock<Result<Year, String>> = LazyLock::new(Year::make);

struct Year {
    demo: PathBuf,
    _project: Folder,
    _remover: Child,
}

impl Year {
    fn make() -> Result<Self, String> {
        let (project, config) = project();
        Ok(Self {
            demo: demo(&config, "year", "200", "1400")?,
            _remover: removed_at_the_end(&project.0),
            _project: project,
        })
    }
}

/// The folder of these days.
pub fn year() -> &'static Path {
    YEAR.as_ref().map_or_else(|said| panic!("{said}"), |year| &year.demo)
}

/// Removes a folder when this process has ended, since nobody drops what is static: its end closes the input.
fn removed_at_the_end(folder: &Path) -> Child {
    let remove = "trap '' INT; cat; rm -rf -- \"$0\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", remove]).arg(folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.spawn().unwrap()
}

/// A project with the settings and campaigns of this one that have an experiment in the demo's year, with prices, and
/// with short templates: in a debug build the real ones take most of the time.
fn project() -> (Folder, PathBuf) {
    let folder = Folder::new();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let copy = |path: &str| {
        let to = folder.0.join("config").join(path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(own.join(path), to).unwrap();
    };
    for path in ["rekindle.yaml", "occasions/iran.yaml", "occasions/world.yaml", "providers/kavenegar.yaml"] {
        copy(path);
    }
    for name in ["birthday", "at-risk", "post-purchase"] {
        copy(&format!("campaigns/{name}.yaml"));
    }
    for content in ["birthday", "at-risk", "at-risk-reminder", "post-purchase"] {
        let to = folder.0.join("templates").join(content);
        std::fs::create_dir_all(&to).unwrap();
        let words = if content == "birthday" { "A gift{{#if gift}}: {{gift.code}}{{/if}}" } else { "A word" };
        let html = format!("<html><body>{words}</body></html>");
        for (part, text) in [("subject.txt", "A word"), ("sms.txt", words), ("email.html", &html)] {
            std::fs::write(to.join(part), text).unwrap();
        }
    }
    let config = folder.0.join("config/rekindle.yaml");
    let settings = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, settings + PRICES).unwrap();
    (folder, config)
}

/// Runs the program; gives what it prints, or why it failed.
fn run(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_rekindle")).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() {
        Ok(text(output.stdout))
    } else {
        Err(format!("{arguments:?}: {}", text(output.stderr)))
    }
}

/// What the program prints.
pub fn rekindle(arguments: &[&str]) -> String {
    run(arguments).unwrap_or_else(|said| panic!("{said}"))
}

/// Lets so many days go by; gives the demo's folder.
fn demo(config: &Path, name: &str, days: &str, members: &str) -> Result<PathBuf, String> {
    let folder = config.parent().unwrap().with_file_name(name);
    let (config, path) = (config.to_str().unwrap(), folder.to_str().unwrap());
    run(&["--config", config, "demo", "--days", days, "--members", members, "--folder", path])?;
    Ok(folder)
}

fn truths(demo: &Path) -> BTreeMap<String, Value> {
    let text = std::fs::read_to_string(demo.join("truth.json")).unwrap();
    let list: Vec<Value> = serde_json::from_str(&text).unwrap();
    list.into_iter().map(|one| (one["campaign"].as_str().unwrap().to_owned(), one)).collect()
}

#[test]
fn every_known_effect_lies_in_its_interval_and_what_has_none_gets_no_verdict() {
    // The intervals are wider than those of a whole year.
    let demo = year();
    let settings = demo.join("rekindle.yaml");
    let truths = truths(demo);
    assert_eq!(truths.keys().collect::<Vec<_>>(), ["at-risk", "birthday", "post-purchase"]);
    for (campaign, truth) in &truths {
        let settings = settings.to_str().unwrap();
        let text = rekindle(&[
            "--config",
            settings,
            "--format",
            "json",
            "report",
            "effect",
            "--campaign",
            campaign,
            "--at",
            END,
        ]);
        let report: Value = serde_json::from_str(&text).unwrap();
        let [one] = &report["comparisons"].as_array().unwrap()[..] else { panic!("{text}") };
        let treated = report["arms"].as_array().unwrap().iter().find(|arm| arm["arm"] == "treated").unwrap();
        assert_eq!(treated["members"], truth["members"], "{campaign}: {text}");
        for number in ["revenue_per_member", "net_per_member"] {
            let [low, high, true_one] =
                [&one[number]["low"], &one[number]["high"], &truth[number]].map(|value| value.as_f64().unwrap());
            assert!(
                low <= true_one && true_one <= high,
                "{campaign}, {number}: {true_one} is outside of {low} to {high}"
            );
        }
        let (verdict, caused) = (one["verdict"].as_str().unwrap(), truth["orders"].as_u64().unwrap());
        if truth["buys"] == 0.0 {
            assert_eq!(caused, 0);
            assert!(!["works", "harms"].contains(&verdict), "{campaign}: {verdict}");
        } else {
            // Who pays in another currency, or was assigned and got nothing, is no part of it.
            let (share, members) = (truth["buys"].as_f64().unwrap(), truth["members"].as_f64().unwrap());
            let found = caused as f64 / members;
            assert!(found > share / 3.0 && found < share * 1.2, "{campaign}: {caused} of {members}");
            assert!(!["harms", "worrying"].contains(&verdict), "{campaign}: {verdict}");
        }
    }
    // Codes were used, and cost something.
    let birthday = &truths["birthday"];
    assert!(birthday["net_per_member"].as_f64().unwrap() < birthday["revenue_per_member"].as_f64().unwrap());
}

#[tokio::test]
async fn members_answer_by_every_door_and_do_the_same_every_time() {
    let (_folder, config) = project();
    let [one, other] = ["one", "other"].map(|name| demo(&config, name, "40", "400").unwrap());
    assert_eq!(truths(&one), truths(&other));
    let heard =
        column(&one, "SELECT kind || ' ' || COUNT(*) FROM events WHERE message_id IS NOT NULL GROUP BY kind").await;
    assert_eq!(
        heard,
        column(&other, "SELECT kind || ' ' || COUNT(*) FROM events WHERE message_id IS NOT NULL GROUP BY kind").await
    );
    for kind in ["opened", "clicked", "delivered"] {
        assert!(heard.iter().any(|row| row.starts_with(kind)), "{kind}: {heard:?}");
    }
    // What was sent before the day is over is not answered before it was sent.
    let early = "SELECT m.campaign FROM events e JOIN messages m ON m.id = e.message_id WHERE e.at < m.sent_at";
    assert_eq!(column(&one, early).await, [] as [String; 0]);
    let refunded = "SELECT order_id FROM purchases WHERE status = 'refunded'";
    assert!(!column(&one, refunded).await.is_empty());
}

async fn column(demo: &Path, sql: &'static str) -> Vec<String> {
    let store = Store::open(&format!("sqlite://{}", demo.join("rekindle.db").display()), 1).await.unwrap();
    let Store::Sqlite { readers: pool, .. } = &store else { unreachable!() };
    let found = sqlx::query_scalar(sql).fetch_all(pool).await.unwrap();
    store.close().await;
    found
}
