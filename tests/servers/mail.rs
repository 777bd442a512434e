//! Mails judged by others: Python's email package for their form, dkimpy for their signatures.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use rekindle::domain::message::{Content, Envelope};
use rekindle::transports::dkim::{self, Signer};
use rekindle::transports::mail;
use serde::Deserialize;

use crate::support::{Folder, email, server};

#[derive(Debug, Deserialize)]
struct Judged {
    signatures: Vec<serde_json::Value>,
    defects: Vec<String>,
    headers: BTreeMap<String, String>,
    parts: Vec<(String, String)>,
}

fn judge(mail: &str, signers: &[Signer]) -> Judged {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/validate_mail.py");
    let records: BTreeMap<String, String> = signers.iter().map(Signer::record).collect();
    let mut python = Command::new(server("REKINDLE_TEST_PYTHON"))
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let asked = serde_json::json!({ "mail": mail, "records": records });
    python.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "validate_mail.py failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Keys as an operator makes them, by openssl.
fn keys() -> Vec<Signer> {
    let folder = Folder::new();
    let made = [
        ("rsa", vec!["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
        ("old", vec!["genrsa", "-traditional", "2048"]),
        ("ed", vec!["genpkey", "-algorithm", "ed25519"]),
    ];
    let signers = made.into_iter().map(|(selector, arguments)| {
        let file = folder.0.join(selector);
        let mut openssl = Command::new("openssl");
        openssl.arg(arguments[0]).arg("-out").arg(&file).args(&arguments[1..]);
        assert!(openssl.stderr(Stdio::null()).status().unwrap().success(), "openssl {arguments:?}");
        Signer::from_pem("example.com", selector, &std::fs::read(file).unwrap()).unwrap()
    });
    signers.collect()
}

fn with_headers(mut envelope: Envelope, more: &[(&str, &str)]) -> Envelope {
    if let Content::Email { headers, .. } = &mut envelope.content {
        headers.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    }
    envelope
}

/// Mails of many shapes.
fn samples() -> Vec<Envelope> {
    let url =
        format!("<https://shop.example/u/{}>, <mailto:unsubscribe+{}@shop.example>", "a".repeat(42), "b".repeat(42));
    let list: &[(&str, &str)] = &[
        ("List-Unsubscribe", &url),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("List-Id", "<marketing.example.com>"),
        ("Feedback-ID", "birthday-gift:marketing:birthday:example-com"),
    ];
    let long = "سلام دوست عزیز ".repeat(200);
    let text = |subject: &str, to_name: &str, html: Option<&str>, text: &str| {
        let mut envelope = email("x");
        if let Content::Email { subject: s, to_name: n, html: h, text: t, .. } = &mut envelope.content {
            (*s, *n, *h, *t) = (subject.to_owned(), to_name.to_owned(), html.map(str::to_owned), text.to_owned());
        }
        with_headers(envelope, list)
    };
    vec![
        text("تولدت مبارک، سارا! 🎂", "سارا رضایی", Some("<html dir=\"rtl\"><p>۲۰٪ تخفیف</p></html>\n"), "سلام\n"),
        text("Plain", "", None, "One line  with  blanks \t \n\n.\n..dots\n\n\n"),
        text("Q & A: \"quotes\", <tags>", "O'Neil, \"Sam\"", Some("<p>a</p>\n"), "a\n"),
        text(&"long subject ".repeat(30), "", Some(&format!("<p>{long}</p>\n")), &format!("{long}\n")),
        text("empty", "", None, "\n"),
        text("trailing", "", None, "a \r\nb\t\r\n"),
        email("<p>without more headers</p>"),
    ]
}

#[test]
fn every_mail_is_well_formed_and_says_what_it_should() {
    for envelope in samples() {
        let Content::Email { subject, headers, html, text, .. } = &envelope.content else { unreachable!() };
        let mail = mail::build(&envelope).unwrap();
        let found = judge(&mail.text, &[]);
        assert_eq!(found.defects, Vec::<String>::new(), "{subject}");
        // A header is folded at its blanks: how many there were is lost.
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(&found.headers["Subject"]), words(subject));
        for (name, value) in headers {
            assert_eq!(words(&found.headers[name]), words(value));
        }
        let kinds: Vec<&str> = found.parts.iter().map(|(kind, _)| kind.as_str()).collect();
        assert_eq!(kinds[0], "text/plain", "the text comes first");
        assert_eq!(kinds.len(), if html.is_some() { 2 } else { 1 });
        let lines = |text: &str| text.replace("\r\n", "\n").trim_end_matches('\n').to_owned();
        assert_eq!(lines(&found.parts[0].1), lines(text));
        if let Some(html) = html {
            assert_eq!(lines(&found.parts[1].1), lines(html));
        }
    }
}

#[test]
fn every_signature_holds_and_none_after_a_change() {
    let keys = keys();
    for envelope in samples() {
        let mail = mail::build(&envelope).unwrap();
        let signed = dkim::sign(&keys, mail.text, envelope.at).unwrap();
        let found = judge(&signed, &keys);
        assert_eq!(found.signatures, [true, true, true], "{:?}", envelope.content);
        assert_eq!(found.defects, Vec::<String>::new());
    }
    let envelope = samples().swap_remove(0);
    let signed = dkim::sign(&keys, mail::build(&envelope).unwrap().text, envelope.at).unwrap();
    let changed = [
        signed.replacen("\r\nTo: ", "\r\nTo: x", 1),
        signed.replacen("\r\nMessage-ID: <", "\r\nMessage-ID: <x", 1),
        signed.replacen("\r\nList-Unsubscribe: <https", "\r\nList-Unsubscribe: <http", 1),
        signed.replacen("\r\nFrom: ", "\r\nFrom: Somebody <x@example.net>\r\nFrom: ", 1),
        format!("{signed}more\r\n"),
    ];
    for mail in changed {
        assert_ne!(mail, signed);
        assert!(!judge(&mail, &keys).signatures.contains(&true.into()), "{mail}");
    }
}
