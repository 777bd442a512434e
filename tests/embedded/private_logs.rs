//! Logs and errors name nobody and hold no secret, whatever is asked of them.

use std::process::{Command, Output};

use crate::support::shop::{PLAIN, Shop, Size};

const MEMBERS: &str = "external_id,email,phone,first_name,last_name,email_consent,sms_consent,joined_at\n\
    m1,marker-address@example.com,+989121230987,Markergiven,Markerfamily,true,true,2024-05-01T09:00:00Z\n\
    m2,no marker-address,,Markergiven,Markerfamily,true,true,2024-05-01T09:00:00Z\n";
const CODES: &str = "code,pool\nMARKERCODE1,june\nMARKERCODE2,june\n";

#[test]
fn nothing_of_a_member_is_logged_even_where_everything_is() {
    let shop = Shop::new(&Size::default(), PLAIN);
    shop.campaign("hello", "trigger: { kind: welcome }\nreach: all\ngift: { coupon: { pool: june, value: 10% } }");
    let words = "Dear {{member.first_name}} {{member.last_name}}: {{gift.code}} {{unsubscribe_url}}";
    shop.write("templates/note/subject.txt", "{{member.first_name}} {{gift.code}}");
    shop.write("templates/note/email.html", format!("<html><table><tr><p>{words}</p><td>{words}</table></html>"));
    shop.write("templates/note/sms.txt", "{{member.first_name}} {{gift.code}}");
    shop.write("rekindle.yaml", shop.settings_text());
    shop.write("members.csv", MEMBERS);
    shop.write("codes.csv", CODES);
    let mut logged = String::new();
    let mut printed = String::new();
    for format in ["text", "json"] {
        for arguments in [
            "migrate",
            "campaigns apply",
            "import members members.csv",
            "gifts import codes.csv",
            "check",
            "plan --from 2024-05-01 --to 2024-05-02",
            "preview hello --member m1",
            "explain --member m1",
            "once --from 2024-05-01 --to 2024-05-02",
            "messages",
            "status",
        ] {
            let output = Command::new(env!("CARGO_BIN_EXE_rekindle"))
                .args(["--config", "rekindle.yaml", "-vv"])
                .args(arguments.split(' '))
                .env("RUST_LOG", "trace,rekindle=trace,handlebars=trace,html5ever=trace,sqlx=trace,[x]=trace")
                .env("REKINDLE_LOG", format)
                .current_dir(&shop.folder.0)
                .output()
                .unwrap();
            logged += &String::from_utf8_lossy(&output.stderr);
            printed += &String::from_utf8_lossy(&output.stdout);
        }
    }
    assert!(printed.contains("Markergiven") && shop.sms()[0]["text"].as_str().unwrap().contains("MARKERCODE"));
    let sent = shop.mails().into_values().next().expect("a mail was sent");
    let token = sent.split("/u/").nth(1).unwrap().chars().take(20).collect::<String>();
    assert!(sent.contains("marker-address") && token.len() == 20);
    for marker in ["marker-address", "9121230987", "arkergiven", "arkerfamily", "MARKERCODE", &token] {
        let line = logged.lines().find(|line| line.to_lowercase().contains(&marker.to_lowercase()));
        assert_eq!(line, None, "{marker}");
    }
}

/// The settings with another store and queue in the environment.
fn check(shop: &Shop, store: &str, queue: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rekindle"))
        .args(["--config", "rekindle.yaml", "status"])
        .env("REKINDLE_STORE", store)
        .env("REKINDLE_QUEUE", queue)
        .current_dir(&shop.folder.0)
        .output()
        .unwrap()
}

#[test]
fn no_error_quotes_a_password() {
    let shop = Shop::new(&Size::default(), PLAIN);
    let text = shop.settings_text();
    shop.write("rekindle.yaml", &text);
    let urls = [
        "shop:s3cret@127.0.0.1:1/shop",
        "postgres:shop:s3cret@127.0.0.1:1/shop",
        "postgres:/shop:s3cret@127.0.0.1:1/shop",
        "postgres//shop:s3cret@127.0.0.1:1/shop",
        "host=127.0.0.1 user=shop password=s3cret",
        "mysql://shop:s3cret@127.0.0.1:1/shop",
        "postgres://shop:s3cret@127.0.0.1:1/shop",
        "postgres://127.0.0.1:1/shop?user=shop&password=s3cret",
        "postgres://shop:s3cret",
        "postgres://shop:s3cret@127.0.0.1:port/shop",
        "amqp:shop:s3cret@127.0.0.1",
        "amqp://shop:s3cret@127.0.0.1:port/x",
        "amqps//shop:s3cret@127.0.0.1",
    ];
    for url in urls {
        for (store, queue) in [(url, "embedded"), ("sqlite://try.db", url)] {
            let output = check(&shop, store, queue);
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert!(!said.contains("s3cret"), "{url}: {said}");
        }
        // The same in the file.
        shop.write("rekindle.yaml", text.replace("sqlite://rekindle.db", &format!("\"{url}\"")));
        let output = Command::new(env!("CARGO_BIN_EXE_rekindle"))
            .args(["--config", "rekindle.yaml", "status"])
            .current_dir(&shop.folder.0)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && !said.contains("s3cret"), "{url}: {said}");
        shop.write("rekindle.yaml", &text);
    }
    // A server's name with more in it than a name.
    for keys in [
        "sender: smtp, smtp: { host: \"smtp://shop:s3cret@mail.example.com\" }",
        "sender: smtp, smtp: { host: \"shop:s3cret@mail.example.com\", tls: implicit, username: a, password: s3cret }",
    ] {
        shop.write("rekindle.yaml", text.replace("sender: capture", keys));
        let output = check(&shop, "sqlite://try.db", "embedded");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("a host name alone") && !said.contains("s3cret"), "{said}");
    }
    let keys = "bounces: { imap: { host: \"imap://shop:s3cret@mail.example.com\", username: a, password: s3cret } }\n";
    shop.write("rekindle.yaml", format!("{text}{keys}"));
    let said = String::from_utf8_lossy(&check(&shop, "sqlite://try.db", "embedded").stderr).into_owned();
    assert!(said.contains("a host name alone") && !said.contains("s3cret"), "{said}");
    for base_url in ["http://shop:s3cret@sms.example.com", "http://sms.example.com?key=s3cret"] {
        let keys =
            format!("sms: {{ sender: kavenegar, base_url: \"{base_url}\", credentials: {{ api_key: s3cret }} }}\n");
        shop.write("rekindle.yaml", format!("{text}{keys}"));
        let said = String::from_utf8_lossy(&check(&shop, "sqlite://try.db", "embedded").stderr).into_owned();
        assert!(said.contains("in the clear") && !said.contains("s3cret"), "{said}");
    }
}
