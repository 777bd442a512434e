//! The configuration's versions, to the program itself: the folder and the store change different files, the same one,
//! one takes away what the other edits. Nothing is lost, and a conflict is named.

use std::process::Command;

use rekindle::import::Kind;

use crate::support::shop::{PLAIN, Shop, Size};

/// A shop with two campaigns and some members, whose settings are a file.
struct Versioned(Shop);

/// What a command said.
struct Said {
    well: bool,
    out: String,
    complaint: String,
}

impl Versioned {
    async fn new(settings: &str) -> Self {
        let shop = Shop::new(&Size::default(), PLAIN);
        shop.campaign("spring", "trigger: { kind: broadcast, at: 2030-04-01T10:00:00Z }\nchannels: [email]");
        shop.campaign("summer", "trigger: { kind: broadcast, at: 2030-07-01T10:00:00Z }\nchannels: [email]");
        shop.write("rekindle.yaml", format!("{}{settings}", shop.settings_text()));
        shop.import(Kind::Members, "external_id,email,email_consent\nm1,m1@example.com,true\n").await;
        Self(shop)
    }

    fn command(&self, arguments: &str) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rekindle"));
        command.args(["--config", "rekindle.yaml"]).args(arguments.split(' ')).current_dir(&self.0.folder.0);
        command.env_remove("REKINDLE_STORE").env_remove("RUST_LOG").env("USER", "sara").env_remove("SUDO_USER");
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said { well: output.status.success(), out: text(output.stdout), complaint: text(output.stderr) }
    }

    /// What it says where all is well.
    fn ok(&self, arguments: &str) -> String {
        let said = self.command(arguments);
        assert!(said.well, "{arguments}: {}{}", said.out, said.complaint);
        said.out
    }

    /// What it complains about where it refuses.
    fn refused(&self, arguments: &str) -> String {
        let said = self.command(arguments);
        assert!(!said.well, "{arguments} went well: {}", said.out);
        said.complaint
    }

    fn json(&self, arguments: &str) -> serde_json::Value {
        serde_json::from_str(&self.ok(&format!("--format json {arguments}"))).unwrap()
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.0.folder.0.join(path)).unwrap()
    }

    fn edit(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "{path} has no {from:?}: {text}");
        self.0.write(path, text.replace(from, to));
    }

    /// Status and last day of the campaigns that count.
    fn listed(&self) -> Vec<(String, String)> {
        let rows = self.json("campaigns list");
        let text = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap().to_owned();
        rows.as_array().unwrap().iter().map(|row| (text(row, "name"), text(row, "status"))).collect()
    }

    /// Number, origin and message of each version, the newest first.
    fn history(&self) -> Vec<(i64, String, String)> {
        let rows = self.json("campaigns history");
        let text = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap().to_owned();
        let row = |row: &serde_json::Value| {
            assert_eq!(row["author"], "cli:sara");
            (row["version"].as_i64().unwrap(), text(row, "origin"), text(row, "message"))
        };
        rows.as_array().unwrap().iter().map(row).collect()
    }
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, status)| ((*name).to_owned(), (*status).to_owned())).collect()
}

#[tokio::test]
async fn what_only_the_folder_or_only_the_store_changed_stands() {
    let shop = Versioned::new("apply: manual\n").await;
    shop.ok("migrate");
    assert_eq!(shop.json("campaigns apply -m first")["number"], 1);
    // The store's summer is another one, the folder's spring is.
    shop.ok("campaigns duplicate summer autumn");
    shop.edit("campaigns/spring.yaml", "status: live", "status: paused");
    let applied = shop.json("campaigns apply");
    assert_eq!((&applied["number"], &applied["changed"]), (&3.into(), &true.into()));
    assert_eq!(shop.listed(), pairs(&[("autumn", "draft"), ("spring", "paused"), ("summer", "live")]));
    let history = [(3, "files", "campaigns/spring.yaml"), (2, "command", "autumn from summer"), (1, "files", "first")];
    let history: Vec<(i64, String, String)> =
        history.into_iter().map(|(number, origin, why)| (number, origin.to_owned(), why.to_owned())).collect();
    assert_eq!(shop.history(), history);
    // Said again nothing changes: the folder never had the new one, and takes nothing away.
    assert_eq!(shop.json("campaigns apply")["changed"], false);
    assert_eq!(shop.history().len(), 3);
    // The folder has what the store has when it is pulled.
    assert!(shop.ok("campaigns diff").contains("--- a/campaigns/autumn.yaml\n+++ /dev/null\n"));
    assert_eq!(shop.json("campaigns pull")["files"], serde_json::json!(["campaigns/autumn.yaml"]));
    assert!(shop.read("campaigns/autumn.yaml").contains("name: autumn\n"));
    assert_eq!(shop.ok("campaigns diff"), "Nothing differs between the store and the folder.\n");
    assert_eq!(shop.json("campaigns apply")["changed"], false);
    // From now on it is the folder's to take away.
    std::fs::remove_file(shop.0.folder.0.join("campaigns/autumn.yaml")).unwrap();
    shop.ok("campaigns apply");
    assert_eq!(shop.listed(), pairs(&[("spring", "paused"), ("summer", "live")]));
    shop.0.close().await;
}

#[tokio::test]
async fn what_both_changed_is_named_and_nothing_is_applied_until_somebody_says_whose_it_is() {
    let shop = Versioned::new("apply: manual\n").await;
    shop.ok("migrate");
    shop.ok("campaigns apply");
    shop.ok("campaigns end summer");
    shop.edit("campaigns/summer.yaml", "status: live", "status: paused");
    // What could be applied is not, either: it belongs to the same change.
    shop.edit("campaigns/spring.yaml", "status: live", "status: draft");
    let complaint = shop.refused("campaigns apply");
    assert!(complaint.contains("changed both here and in the store: campaigns/summer.yaml\n"), "{complaint}");
    assert_eq!(shop.history().len(), 2);
    assert_eq!(shop.listed(), pairs(&[("spring", "live"), ("summer", "live")]));
    // To pull would lose what was written here.
    let complaint = shop.refused("campaigns pull");
    assert!(complaint.contains("campaigns/spring.yaml, campaigns/summer.yaml"), "{complaint}");
    assert!(shop.read("campaigns/summer.yaml").contains("status: paused"));
    let complaint = shop.refused("campaigns apply --ours campaigns/sumer.yaml");
    assert!(complaint.contains("did you mean `campaigns/summer.yaml`"), "{complaint}");
    // The folder's, for this file.
    shop.ok("campaigns apply --ours campaigns/summer.yaml");
    assert_eq!(shop.listed(), pairs(&[("spring", "draft"), ("summer", "paused")]));
    // The store's, for the next one.
    shop.ok("campaigns end spring");
    shop.edit("campaigns/spring.yaml", "status: draft", "status: live");
    shop.refused("campaigns apply");
    shop.ok("campaigns pull --force");
    assert!(shop.read("campaigns/spring.yaml").contains("status: draft\n"));
    assert!(shop.read("campaigns/spring.yaml").contains("\nends_at: "));
    assert_eq!(shop.json("campaigns apply")["changed"], false);
    // One takes away what the other edits.
    shop.ok("campaigns end summer");
    std::fs::remove_file(shop.0.folder.0.join("campaigns/summer.yaml")).unwrap();
    assert!(shop.refused("campaigns apply").contains("campaigns/summer.yaml"));
    shop.ok("campaigns pull --force");
    assert!(shop.read("campaigns/summer.yaml").contains("\nends_at: "));
    shop.0.close().await;
}

#[tokio::test]
async fn to_pull_takes_away_nothing_that_was_never_applied() {
    let shop = Versioned::new("apply: manual\n").await;
    shop.ok("migrate");
    // Not even by force, from a store that has nothing yet.
    for pull in ["campaigns pull", "campaigns pull --force"] {
        assert!(shop.refused(pull).contains("nothing was applied to this store yet"));
    }
    shop.ok("campaigns apply");
    shop.0.campaign("new", "trigger: { kind: welcome }\nchannels: [email]");
    shop.edit("campaigns/spring.yaml", "status: live", "status: draft");
    assert!(shop.refused("campaigns pull").contains("not in the store: campaigns/spring.yaml\n"));
    assert_eq!(shop.json("campaigns pull --force")["files"], serde_json::json!(["campaigns/spring.yaml"]));
    assert!(shop.read("campaigns/new.yaml").contains("name: new\n"));
    assert!(shop.read("campaigns/spring.yaml").contains("status: live\n"));
    shop.ok("campaigns apply");
    assert_eq!(shop.listed(), pairs(&[("new", "live"), ("spring", "live"), ("summer", "live")]));
    shop.0.close().await;
}

#[tokio::test]
async fn an_earlier_version_comes_back_as_a_new_one() {
    let shop = Versioned::new("apply: manual\n").await;
    shop.ok("migrate");
    shop.ok("campaigns apply");
    let first = shop.read("campaigns/spring.yaml");
    shop.edit("campaigns/spring.yaml", "status: live", "status: draft");
    shop.ok("campaigns apply");
    assert!(shop.ok("campaigns diff 2").contains("-status: live\n+status: draft\n"));
    assert!(shop.ok("campaigns diff 2 1").contains("-status: draft\n+status: live\n"));
    assert!(shop.refused("campaigns revert 9").contains("there is no version 9; the last one is 2"));
    assert_eq!(shop.json("campaigns revert 1")["version"], 3);
    assert_eq!(shop.listed(), pairs(&[("spring", "live"), ("summer", "live")]));
    // Twice is once.
    assert_eq!(shop.json("campaigns revert 1"), serde_json::json!({ "version": 3, "changed": false }));
    // The folder has not changed since it was applied: it takes nothing back.
    assert_eq!(shop.json("campaigns apply")["changed"], false);
    shop.ok("campaigns pull");
    assert_eq!(shop.read("campaigns/spring.yaml"), first);
    shop.0.close().await;
}

#[tokio::test]
async fn a_proposal_shows_what_it_would_do_and_is_merged_when_it_is_published() {
    let shop = Versioned::new("apply: manual\n").await;
    shop.ok("migrate");
    shop.ok("campaigns apply");
    assert!(shop.refused("campaigns propose").contains("nothing that the store has not"));
    shop.0.campaign("hello", "trigger: { kind: welcome }\nchannels: [email]\naudience: { field: locale, in: [fa] }");
    let proposed = shop.json("campaigns propose -m greet");
    assert_eq!(proposed["proposal"], 1);
    assert_eq!(proposed["changes"][0]["file"], "campaigns/hello.yaml");
    assert_eq!(proposed["changes"][0]["kind"], "added");
    assert_eq!((&proposed["audiences"][0]["members"], &proposed["audiences"][0]["of"]), (&0.into(), &1.into()));
    assert_eq!(proposed["findings"], serde_json::json!([]));
    assert_eq!(shop.listed(), pairs(&[("spring", "live"), ("summer", "live")]));
    // A second one is made of the same version, and the first one is published meanwhile.
    shop.edit("campaigns/spring.yaml", "2030-04-01", "2030-05-01");
    std::fs::remove_file(shop.0.folder.0.join("campaigns/hello.yaml")).unwrap();
    assert_eq!(shop.json("campaigns propose -m later")["proposal"], 2);
    assert_eq!(shop.json("campaigns publish 1")["version"], 2);
    assert!(shop.refused("campaigns publish 1").contains("was published before, as version 2"));
    assert_eq!(shop.json("campaigns publish 2")["version"], 3);
    assert_eq!(shop.listed(), pairs(&[("hello", "live"), ("spring", "live"), ("summer", "live")]));
    assert!(shop.ok("campaigns diff 3").contains("2030-05-01"));
    assert_eq!(shop.history()[0].2, "proposal 2: later");
    // A third one changes what somebody ends meanwhile.
    shop.edit("campaigns/summer.yaml", "2030-07-01", "2030-08-01");
    assert_eq!(shop.json("campaigns propose -m august")["proposal"], 3);
    shop.ok("campaigns end summer");
    assert!(shop.refused("campaigns publish 3").contains("campaigns/summer.yaml"));
    let open = shop.json("campaigns proposals");
    assert_eq!((open.as_array().unwrap().len(), &open[0]["proposal"]), (1, &3.into()));
    shop.ok("campaigns withdraw 3");
    assert!(shop.refused("campaigns publish 3").contains("was withdrawn"));
    assert_eq!(shop.json("campaigns proposals"), serde_json::json!([]));
    let states: Vec<String> = shop
        .json("campaigns proposals --all")
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["state"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(states, ["withdrawn", "published", "published"]);
    shop.0.close().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_proposal_is_shown_and_keeps_it_from_being_published() {
    let shop = Versioned::new("apply: manual\n").await;
    shop.ok("migrate");
    shop.ok("campaigns apply");
    shop.edit("campaigns/spring.yaml", "channels: [email]", "chanels: [email]");
    let proposed = shop.json("campaigns propose");
    let findings = proposed["findings"].as_array().unwrap();
    let is_said = |finding: &serde_json::Value| {
        let text = finding.as_str().unwrap();
        text.starts_with("campaigns/spring.yaml:6:1: ") && text.contains("did you mean `channels`")
    };
    assert!(findings.iter().any(is_said), "{findings:?}");
    assert!(shop.refused("campaigns publish 1").contains("did you mean `channels`"));
    assert_eq!(shop.history().len(), 1);
    assert_eq!(shop.json("campaigns proposals").as_array().unwrap().len(), 1);
    shop.0.close().await;
}

#[tokio::test]
async fn a_process_that_applies_by_itself_goes_on_with_the_stores_where_both_changed() {
    let shop = Versioned::new("apply: auto\n").await;
    shop.ok("once");
    shop.ok("campaigns duplicate spring easter");
    shop.ok("campaigns end summer");
    shop.edit("campaigns/summer.yaml", "status: live", "status: draft");
    // Who only looks judges as it will.
    let said = shop.command("plan --from 2030-06-30 --to 2030-07-02");
    assert!(said.well && said.complaint.contains("judged by what is in the store"), "{}", said.complaint);
    assert!(!said.out.contains("summer"), "{}", said.out);
    let said = shop.command("once");
    assert!(said.well && said.complaint.contains("nothing of the folder was applied"), "{}", said.complaint);
    assert_eq!(shop.json("status")["conflicts"], serde_json::json!(["campaigns/summer.yaml"]));
    assert!(shop.ok("status").contains("campaigns/summer.yaml"));
    assert_eq!(shop.listed(), pairs(&[("easter", "draft"), ("spring", "live"), ("summer", "live")]));
    shop.ok("campaigns apply --ours campaigns/summer.yaml");
    assert_eq!(shop.json("status")["conflicts"], serde_json::json!([]));
    let said = shop.command("once");
    assert!(said.well && !said.complaint.contains("nothing of the folder"), "{}", said.complaint);
    assert_eq!(shop.listed(), pairs(&[("easter", "draft"), ("spring", "live"), ("summer", "draft")]));
    shop.0.close().await;
}

#[tokio::test]
async fn a_campaign_ends_and_is_copied_with_its_comments() {
    let shop = Versioned::new("apply: manual\n").await;
    shop.ok("migrate");
    shop.edit("campaigns/spring.yaml", "status: live", "# Since the shop is open.\nstatus: live # for all");
    shop.ok("campaigns apply");
    assert!(shop.refused("campaigns end sprin").contains("did you mean `spring`"));
    assert!(shop.refused("campaigns duplicate spring summer").contains("there is a campaign `summer` already"));
    assert!(shop.refused("campaigns duplicate spring ../summer").contains("../summer"));
    shop.ok("campaigns end spring");
    shop.ok("campaigns duplicate spring easter");
    shop.ok("campaigns pull");
    let (spring, easter) = (shop.read("campaigns/spring.yaml"), shop.read("campaigns/easter.yaml"));
    assert!(spring.contains("# Since the shop is open.\nstatus: live # for all\n"), "{spring}");
    assert!(
        easter.contains("# Since the shop is open.\nstatus: draft\n") && easter.contains("name: easter\n"),
        "{easter}"
    );
    assert!(spring.lines().filter(|line| line.starts_with("ends_at: ")).count() == 1, "{spring}");
    // Nothing of it is planned any more.
    let planned = shop.json("plan --from 2030-01-01 --to 2031-01-01");
    assert_eq!(planned.as_array().unwrap().iter().filter(|row| row["campaign"] == "spring").count(), 0);
    shop.0.close().await;
}
