//! What people change by hand, to the program itself: it counts at once, it is refused where it must not be, and the
//! audit log says who did it.

use std::process::Command;

use rekindle::import::Kind;

use crate::support::shop::{PLAIN, Shop, Size};

/// A shop whose letter goes to two members, and what its program says.
struct Desk(Shop);

impl Desk {
    async fn new() -> Self {
        let shop = Shop::new(&Size::default(), PLAIN);
        shop.campaign("letter", "trigger: { kind: broadcast, at: 2030-04-01T10:00:00Z }\nchannels: [email]");
        shop.write("rekindle.yaml", shop.settings_text());
        let members = "m1,m1@example.com,true\nm2,m2@example.com,false\n";
        shop.import(Kind::Members, format!("external_id,email,email_consent\n{members}")).await;
        let desk = Self(shop);
        desk.ok(&["campaigns", "apply", "-m", "first"]);
        desk
    }

    fn run(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rekindle"));
        command.args(["--config", "rekindle.yaml"]).args(arguments).current_dir(&self.0.folder.0);
        command.env_remove("REKINDLE_STORE").env_remove("RUST_LOG").env("USER", "sara").env_remove("SUDO_USER");
        let output = command.output().unwrap();
        let said = if output.status.success() { output.stdout } else { output.stderr };
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let (well, said) = self.run(arguments);
        assert!(well, "{arguments:?}: {said}");
        said
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let (well, said) = self.run(arguments);
        assert!(!well, "{arguments:?} went well: {said}");
        said
    }

    /// Who would get the letter, and why somebody would not.
    fn planned(&self) -> Vec<(String, Option<String>)> {
        let window = ["--from", "2030-04-01", "--to", "2030-04-02", "--include-skipped"];
        let said = self.ok(&[&["--format", "json", "plan"][..], &window].concat());
        let rows: serde_json::Value = serde_json::from_str(&said).unwrap();
        let row = |row: &serde_json::Value| {
            (row["member"].as_str().unwrap().to_owned(), row["reason"].as_str().map(str::to_owned))
        };
        let mut rows: Vec<_> = rows.as_array().unwrap().iter().map(row).collect();
        rows.sort();
        rows
    }

    /// What, about whom or which, and the detail of each line, the oldest first.
    fn audited(&self) -> Vec<String> {
        let rows: serde_json::Value = serde_json::from_str(&self.ok(&["--format", "json", "audit"])).unwrap();
        let row = |row: &serde_json::Value| {
            assert_eq!(row["who"], "cli:sara");
            let text = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
            let about = if row["member"].is_null() { text("campaign") } else { text("member") };
            format!("{} {about} {}", text("what"), text("detail"))
        };
        rows.as_array().unwrap().iter().rev().map(row).collect()
    }
}

fn rows(list: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
    list.iter().map(|(member, reason)| ((*member).to_owned(), reason.map(str::to_owned))).collect()
}

#[tokio::test]
async fn a_pause_a_consent_and_a_closed_address_count_at_once() {
    let desk = Desk::new().await;
    assert_eq!(desk.planned(), rows(&[("m1", None), ("m2", Some("no_consent"))]));
    // A consent has its evidence, and no time that is yet to come.
    assert!(desk.refused(&["members", "consent", "m2", "email", "yes"]).contains("needs its evidence"));
    let future = ["members", "consent", "m2", "email", "no", "--at", "2100-01-01"];
    assert!(desk.refused(&future).contains("is yet to come"));
    assert!(desk.refused(&["members", "consent", "m9", "email", "no"]).contains("there is no member `m9`"));
    let agreed = ["members", "consent", "m2", "email", "yes", "--evidence", "asked on the phone", "--at", "2026-01-01"];
    assert!(desk.ok(&agreed).contains("m2 agreed to email"));
    assert!(desk.ok(&agreed).contains("was known; nothing was changed"));
    assert_eq!(desk.planned(), rows(&[("m1", None), ("m2", None)]));
    assert!(desk.ok(&["members", "show", "m2"]).contains("agreed to email (by_hand): asked on the phone"));
    // No member gets marketing in their pause; it is over by the time of the letter, or is not.
    assert!(desk.refused(&["members", "pause", "m1", "--until", "2001-01-01"]).contains("is over"));
    desk.ok(&["members", "pause", "m1", "--until", "2031-01-01T00:00:00Z"]);
    assert_eq!(desk.planned()[0].0, "m1");
    assert!(desk.planned()[0].1.is_some(), "{:?}", desk.planned());
    assert!(desk.ok(&["members", "resume", "m1"]).contains("again"));
    assert!(desk.ok(&["members", "resume", "m1"]).contains("nothing was changed"));
    assert_eq!(desk.planned()[0], ("m1".to_owned(), None));
    // An address in any writing.
    desk.ok(&["suppressions", "add", "M1@Example.com", "--purpose", "marketing", "--reason", "asked us"]);
    assert!(desk.ok(&["suppressions", "add", "m1@example.com", "--purpose", "marketing"]).contains("closed already"));
    assert_eq!(desk.planned()[0], ("m1".to_owned(), Some("suppressed".to_owned())));
    assert!(desk.ok(&["suppressions", "lift", "m1@example.com"]).contains("it was closed as `asked us`"));
    assert!(desk.ok(&["suppressions", "lift", "m1@example.com"]).contains("was not closed"));
    assert_eq!(desk.planned()[0], ("m1".to_owned(), None));
    assert!(desk.refused(&["suppressions", "add", "m1.example.com"]).contains("not an address"));
    let audited = [
        "version_made - 1: first",
        "consent_given m2 email",
        "member_paused m1 until 2031-01-01T00:00:00Z",
        "member_resumed m1 -",
        "address_closed - email",
        "address_opened - email",
    ];
    assert_eq!(desk.audited(), audited);
    desk.0.close().await;
}

#[tokio::test]
async fn what_a_member_said_is_opened_only_by_who_insists() {
    let desk = Desk::new().await;
    let at = "2025-01-01T00:00:00Z";
    let closed = format!("m1@example.com,marketing,unsubscribed,{at}\nm2@example.com,marketing,complained,{at}\n");
    desk.0.import(Kind::Suppressions, format!("address,purpose,reason,at\n{closed}")).await;
    for address in ["m1@example.com", "m2@example.com"] {
        assert!(desk.refused(&["suppressions", "lift", address]).contains("closed it themselves"), "{address}");
    }
    assert_eq!(desk.planned()[0], ("m1".to_owned(), Some("suppressed".to_owned())));
    // Whose word it was a list does not say: another's consent opens neither.
    for member in ["m1", "m2"] {
        desk.ok(&["members", "consent", member, "email", "yes", "--evidence", "at the till"]);
    }
    assert_eq!(desk.planned(), rows(&[("m1", Some("suppressed")), ("m2", Some("suppressed"))]));
    for address in ["m1@example.com", "m2@example.com"] {
        desk.ok(&["suppressions", "lift", address, "--yes"]);
    }
    assert_eq!(desk.planned(), rows(&[("m1", None), ("m2", None)]));
    desk.0.close().await;
}

#[tokio::test]
async fn the_audit_log_names_nobody_who_was_erased() {
    let desk = Desk::new().await;
    desk.ok(&["members", "pause", "m1"]);
    desk.ok(&["members", "merge", "m2", "INTO", "m1"]);
    desk.ok(&["campaigns", "pause", "letter"]);
    desk.ok(&["campaigns", "resume", "letter"]);
    desk.ok(&["campaigns", "approve", "letter", "--at", "2030-04-01T00:00:00Z"]);
    desk.ok(&["campaigns", "pause", "--all"]);
    desk.ok(&["members", "erase", "m1"]);
    assert!(desk.refused(&["members", "erase", "m1"]).contains("there is no member `m1`"));
    assert!(desk.refused(&["members", "readmit", "m7"]).contains("nobody with the id `m7` was erased"));
    assert!(desk.refused(&["campaigns", "pause", "leter"]).contains("did you mean `letter`"));
    let audited = desk.audited();
    assert!(audited[1].starts_with("member_paused - until "), "{audited:?}");
    let rest = [
        "members_merged - -",
        "campaign_paused letter -",
        "campaign_resumed letter -",
        "campaign_approved letter until 2030-04-02T00:00:00Z",
        "all_paused - -",
        "member_erased - -",
    ];
    assert_eq!(audited[2..], rest);
    // No line holds what named them.
    let said = desk.ok(&["--format", "csv", "audit"]);
    assert!(!said.contains("m1") && !said.contains("m2") && !said.contains('@'), "{said}");
    assert_eq!(desk.ok(&["--format", "csv", "audit", "--campaign", "letter"]).lines().count(), 4);
    desk.ok(&["members", "readmit", "m1"]);
    assert_eq!(desk.audited()[8], "member_readmitted - -");
    desk.0.close().await;
}
