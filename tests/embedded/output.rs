//! What the program writes: nothing that a member's name or a file holds steers the terminal of whoever looks, adds
//! a line, or is a formula to a spreadsheet.

use std::process::{Command, Output};

use rekindle::import::Kind;
use rekindle::store::Store;

use crate::support::shop::{PLAIN, Shop, Size};

/// Tells a terminal to write red, goes back, turns the text around, begins a line and a header.
const HOSTILE: &str = "Eva\u{1b}[31m\u{8}\u{202e}\u{9b}2J\u{2066}\r\nBcc: all@example.com\u{7}";

fn run(shop: &Shop, arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_rekindle");
    Command::new(program)
        .args(["--config", "rekindle.yaml"])
        .args(arguments)
        .current_dir(&shop.folder.0)
        .output()
        .unwrap()
}

/// What was printed, on both streams.
fn printed(output: &Output) -> String {
    String::from_utf8([output.stdout.clone(), output.stderr.clone()].concat()).unwrap()
}

fn shop() -> Shop {
    let shop = Shop::new(&Size::default(), PLAIN);
    let settings = format!(
        "store: sqlite://rekindle.db\nbrand: {PLAIN}\nemail: {{ sender: capture, from: a@shop.example }}\n\
         templates: templates\ncampaigns: campaigns\napply: manual\n"
    );
    shop.write("rekindle.yaml", settings);
    let audience = "audience: { field: attributes.note, exists: true }";
    shop.campaign(
        "letter",
        &format!("trigger: {{ kind: broadcast, at: 2024-05-02T10:00:00Z }}\nchannels: [email]\n{audience}"),
    );
    shop
}

/// A member whose texts were stored before anybody cleaned them.
async fn hostile(shop: &Shop) {
    shop.import(Kind::Members, "external_id,email,email_consent,attributes.note\nm1,a@example.com,true,x\n").await;
    let Store::Sqlite { readers: pool, .. } = shop.store().await else { unreachable!() };
    let sql = "UPDATE members SET first_name = $1, last_name = $1, tier = $1, attributes = json_object('note', $1)";
    sqlx::query(sql).bind(HOSTILE).execute(pool).await.unwrap();
}

#[tokio::test]
async fn no_name_steers_a_terminal_or_adds_a_line() {
    let shop = shop();
    hostile(&shop).await;
    shop.once("2024-05-02T10:00:00Z").await;
    for arguments in [
        &["preview", "letter", "--member", "m1"][..],
        &["campaigns", "audience", "letter", "--sample", "10"],
        &["explain", "--member", "m1", "--at", "2024-05-02"],
        &["plan", "--from", "2024-05-02", "--to", "2024-05-03"],
        &["messages"],
        &["explain", "--member", "m\u{1b}[31m\u{202e}"],
        &["campaigns", "pause", "c\u{1b}[31m\u{202e}"],
        &["import", "members", "no\u{1b}[31m.csv"],
        &["--format", "csv", "campaigns", "audience", "letter", "--sample", "10"],
        &["--format", "json", "preview", "letter", "--member", "m1"],
        &["--format", "json", "campaigns", "audience", "letter", "--sample", "10"],
        &["--format", "json", "explain", "--member", "m1", "--at", "2024-05-02"],
    ] {
        let text = printed(&run(&shop, arguments));
        let harmful = |c: char| c != '\n' && c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!text.contains(harmful), "{arguments:?}: {text:?}");
        assert!(text.contains("Bcc") || !text.contains("Eva"), "{arguments:?}: what is there is shown: {text}");
        let is_csv = arguments.contains(&"csv");
        assert!(is_csv || !text.lines().any(|line| line.starts_with("Bcc")), "{arguments:?}: {text}");
    }
    let shown = run(&shop, &["--format", "json", "campaigns", "audience", "letter", "--sample", "10"]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["sample"][0]["first_name"], HOSTILE, "a program gets what is stored");
    shop.close().await;
}

#[tokio::test]
async fn a_damaged_name_is_one_line_in_a_mail_and_the_mail_goes_out() {
    let shop = shop();
    hostile(&shop).await;
    let Store::Sqlite { readers: pool, .. } = shop.store().await else { unreachable!() };
    sqlx::query("UPDATE members SET first_name = $1, last_name = NULL")
        .bind("Eva\r\nBcc: all@example.com")
        .execute(pool)
        .await
        .unwrap();
    shop.once("2024-05-02T10:00:00Z").await;
    assert_eq!(shop.states().await, ["m1 letter main sent -"]);
    let mail = shop.mails().into_values().next().unwrap();
    assert!(
        mail.contains("Hello Eva Bcc: all@example.com") && !mail.lines().any(|line| line.starts_with("Bcc")),
        "{mail}"
    );
    shop.close().await;
}

#[tokio::test]
async fn no_cell_of_csv_is_a_formula_and_an_import_reads_it_as_it_was() {
    let shop = shop();
    let ids = ["=1+1", "+5", "-5+3", "@home", "'t", "-5"];
    let Store::Sqlite { readers: pool, .. } = shop.store().await else { unreachable!() };
    let rows: String = (0..ids.len()).map(|n| format!("m{n},m{n}@example.com,true,x\n")).collect();
    shop.import(Kind::Members, format!("external_id,email,email_consent,attributes.note\n{rows}")).await;
    for (n, id) in ids.iter().enumerate() {
        let sql = "UPDATE members SET first_name = $1 WHERE external_id = $2";
        sqlx::query(sql).bind(id).bind(format!("m{n}")).execute(pool).await.unwrap();
    }
    assert!(run(&shop, &["campaigns", "apply"]).status.success());
    let output = run(&shop, &["--format", "csv", "campaigns", "audience", "letter", "--sample", "10"]);
    assert!(output.status.success(), "{}", printed(&output));
    let mut reader = csv::Reader::from_reader(output.stdout.as_slice());
    let mut rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    rows.sort_by(|one, other| one[0].cmp(&other[0]));
    let names: Vec<String> = rows.iter().map(|row| row[1].to_owned()).collect();
    assert_eq!(names, ["'=1+1", "'+5", "'-5+3", "'@home", "''t", "-5"]);
    let again: String = names.iter().enumerate().map(|(n, name)| format!("m{n},{name}\n")).collect();
    let done = shop.import(Kind::Members, format!("external_id,first_name\n{again}")).await;
    assert_eq!((done.rows, done.unchanged), (6, 6));
    shop.close().await;
}

#[tokio::test]
async fn an_import_says_what_was_repeated_withdrawn_and_set_aside() {
    let shop = shop();
    shop.import(Kind::Members, "external_id,phone,sms_consent\nw,+989121110001,yes\n").await;
    shop.write("members.csv", "external_id,phone,sms_consent\nw,9.12E+09,no\nx,,\nx,,yes\n");
    let output = run(&shop, &["import", "members", "members.csv"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "3 members: 1 new, 1 changed, 0 as they were, 1 rejected.\n\
         1 row repeated the id of a row before; the later one counts.\n\
         1 consent ended by the \"no\" of a rejected row.\n"
    );
    assert!(String::from_utf8(output.stderr).unwrap().contains("members.rejects.csv"));
    let output = run(&shop, &["--format", "json", "import", "members", "members.csv"]);
    let done: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (done["repeated"].as_u64(), done["withdrawn"].as_u64(), done["rejected"].as_u64()),
        (Some(1), Some(0), Some(1))
    );
    // Nobody takes an old file for what the last run set aside.
    shop.write("members.csv", "external_id\nw\n");
    let output = run(&shop, &["import", "members", "members.csv"]);
    assert_eq!((output.status.code(), shop.folder.0.join("members.rejects.csv").exists()), (Some(0), false));
    // A header is quoted, and steers nothing.
    shop.write("members.csv", "external_id,\u{1b}[31mname\n");
    let output = run(&shop, &["import", "members", "members.csv"]);
    assert!(!printed(&output).contains('\u{1b}') && output.status.code() == Some(1));
    shop.close().await;
}

#[tokio::test]
async fn explain_blames_no_server_for_a_mail_that_could_not_be_made() {
    let shop = shop();
    shop.write("templates/note/subject.txt", "x".repeat(2_000));
    shop.import(Kind::Members, "external_id,email,email_consent,attributes.note\nm1,a@example.com,true,x\n").await;
    shop.once("2024-05-02T10:00:00Z").await;
    assert_eq!(shop.states().await, ["m1 letter main failed unbuildable"]);
    let text = printed(&run(&shop, &["explain", "--member", "m1", "--at", "2024-05-03"]));
    assert!(text.contains("failed by email: no message that can be sent could be made of it"), "{text}");
    assert!(!text.contains("server"), "{text}");
    shop.close().await;
}

#[tokio::test]
async fn reports_are_pages_in_the_brands_language_and_nothing_else_is() {
    let shop = shop();
    hostile(&shop).await;
    shop.once("2024-05-02T10:00:00Z").await;
    let page = |more: &[&str]| {
        let output = run(&shop, &[&["report", "loyalty", "--by", "tier", "--format", "html"][..], more].concat());
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let (english, persian) = (page(&[]), page(&["--locale", "fa"]));
    assert!(english.starts_with("<!DOCTYPE html><html lang=\"en\" dir=\"ltr\">"), "{english}");
    assert!(persian.starts_with("<!DOCTYPE html><html lang=\"fa\" dir=\"rtl\">"), "{persian}");
    for text in [&persian, &english] {
        let steers = |c: char| c != '\n' && c.is_control() || matches!(c, '\u{202e}' | '\u{2066}');
        assert!(text.ends_with("</html>\n") && text.contains("Eva\\u{1b}[31m") && !text.contains(steers), "{text}");
    }
    // Before anything is read: there are no settings any more.
    std::fs::remove_file(shop.folder.0.join("rekindle.yaml")).unwrap();
    for arguments in [&["status"][..], &["check"], &["segments", "rfm"], &["messages"]] {
        let output = run(&shop, &[arguments, &["--format", "html"]].concat());
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(
            printed(&output),
            "--format html is for reports: `rekindle report … --format html`\n",
            "{arguments:?}"
        );
    }
}
