//! Bounces are what they are known to be: a corpus in the formats of many servers, and mutations of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rekindle::inbound::bounces::classify::{Action, Heard, Kind, classify};

use crate::support::shop::Dice;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bounces")
}

/// What each mail of the corpus is, by its file.
fn expected() -> BTreeMap<String, Vec<Heard>> {
    let mut reader = csv::Reader::from_path(folder().join("expected.csv")).unwrap();
    let mut expected: BTreeMap<String, Vec<Heard>> = BTreeMap::new();
    for row in reader.records() {
        let row = row.unwrap();
        let cell = |index: usize| Some(row[index].to_owned()).filter(|text| !text.is_empty());
        let kind = Kind::WORDS.iter().find(|(word, _)| *word == &row[1]).unwrap().1;
        let action = Action::WORDS.iter().find(|(word, _)| *word == &row[5]).unwrap().1;
        let heard = Heard { kind, status: cell(2), recipient: cell(3), message_id: cell(4), action };
        expected.entry(row[0].to_owned()).or_default().push(heard);
    }
    expected
}

fn is_bounce(row: &Heard) -> bool {
    matches!(row.kind, Kind::Hard | Kind::Soft | Kind::Block | Kind::Complaint)
}

fn sorted(mut rows: Vec<Heard>) -> Vec<Heard> {
    rows.sort_by(|a, b| a.recipient.cmp(&b.recipient));
    rows
}

#[test]
#[allow(clippy::print_stdout, reason = "the two numbers are what this measures")]
fn each_mail_of_the_corpus_is_what_it_is() {
    let expected = expected();
    assert!(expected.len() >= 120, "{} files", expected.len());
    let (mut bounces, mut recognised, mut wrong, mut problems) = (0, 0, 0, Vec::new());
    for (file, rows) in &expected {
        let found = classify(&std::fs::read(folder().join(file)).unwrap());
        for row in rows.iter().filter(|row| is_bounce(row)) {
            bounces += 1;
            recognised += usize::from(found.iter().any(|other| is_bounce(other) && other.recipient == row.recipient));
        }
        let suppress = |row: &&Heard| row.action == Action::Suppress;
        wrong += found.iter().filter(suppress).filter(|row| !rows.contains(row)).count();
        if sorted(found.clone()) != sorted(rows.clone()) {
            problems.push(format!("{file}\n  expected {rows:?}\n  found    {found:?}"));
        }
    }
    println!("{recognised} of {bounces} bounces recognised, {wrong} false suppressions");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_file_of_the_corpus_is_expected() {
    let expected = expected();
    for product in std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
    {
        for file in std::fs::read_dir(product).unwrap() {
            let path = file.unwrap().path();
            let name = path.strip_prefix(folder()).unwrap().display().to_string();
            assert!(expected.contains_key(&name), "{name} is not in expected.csv");
        }
    }
}

/// Below the limit; 0 where there is nothing to choose from.
fn below(dice: &mut Dice, limit: usize) -> usize {
    usize::try_from(dice.below(limit.max(1) as u64)).unwrap()
}

fn contains(text: &[u8], what: &str) -> bool {
    text.windows(what.len()).any(|window| window == what.as_bytes())
}

/// The first line that says who wrote a mail.
fn author(mail: &[u8]) -> &[u8] {
    mail.split(|b| *b == b'\n').find(|line| line.starts_with(b"From:")).unwrap_or_default()
}

/// How a mail was damaged.
#[derive(Clone, Copy)]
enum Damage {
    /// Single letters, or what stands between them.
    Bytes,
    /// Whole lines, or the end is missing.
    Lines,
    /// It is another mail.
    Mixed,
}

/// Damages a mail; may take parts of another.
fn mutated(dice: &mut Dice, mail: &[u8], other: &[u8]) -> (Vec<u8>, Damage) {
    let mut bytes = mail.to_vec();
    let lines = |bytes: &[u8]| bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let way = below(dice, 9);
    match way {
        0 => {
            for _ in 0..=below(dice, 20) {
                let at = below(dice, bytes.len());
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << below(dice, 8);
                }
            }
        }
        1 => bytes.truncate(below(dice, bytes.len())),
        2 => {
            let mut lines = lines(&bytes);
            for _ in 0..=below(dice, 10) {
                let (a, b) = (below(dice, lines.len()), below(dice, lines.len()));
                lines.swap(a, b);
            }
            bytes = lines.concat();
        }
        3 => {
            let mut lines = lines(&bytes);
            for _ in 0..=below(dice, 10) {
                let at = below(dice, lines.len());
                if !lines.is_empty() {
                    lines.remove(at);
                }
            }
            bytes = lines.concat();
        }
        // The head of one and the body of another.
        4 => {
            let cut = |mail: &[u8]| mail.windows(2).position(|w| w == b"\n\n").unwrap_or(0);
            bytes = [&mail[..cut(mail)], &other[cut(other)..]].concat();
        }
        5 => {
            let at = below(dice, bytes.len());
            bytes.splice(at..at, other.iter().copied());
        }
        6 => {
            let mut nested = b"From: Ali <ali@example.com>\nTo: x@shop.example\nSubject: Fwd: look\nContent-Type: message/rfc822\n\n".repeat(1 + below(dice, 40));
            nested.extend_from_slice(mail);
            bytes = nested;
        }
        7 => {
            let mut depth = Vec::new();
            for level in 0..=below(dice, 100) {
                depth.extend_from_slice(
                    format!("Content-Type: multipart/mixed; boundary=n{level}\n\n--n{level}\n").as_bytes(),
                );
            }
            depth.extend_from_slice(mail);
            bytes = depth;
        }
        _ => {
            let at = below(dice, bytes.len());
            let junk: Vec<u8> = (0..below(dice, 200)).map(|_| u8::try_from(below(dice, 256)).unwrap()).collect();
            bytes.splice(at..at, junk);
        }
    }
    let damage = match way {
        0 | 8 => Damage::Bytes,
        // Lines of encoded text end anywhere in an address.
        2 | 3 if contains(mail, "base64") || contains(mail, "quoted-printable") => Damage::Bytes,
        // What a person quoted of a server's report came to the head: now the server says it.
        2 | 3 if !contains(author(mail), "MAILER-DAEMON") && contains(author(&bytes), "MAILER-DAEMON") => Damage::Mixed,
        4 | 5 => Damage::Mixed,
        _ => Damage::Lines,
    };
    (bytes, damage)
}

/// Whether a text names an address, not one that it is a part of.
fn is_whole(text: &str, address: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    text.match_indices(address).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + address.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(|c| c.is_ascii_alphanumeric() || c == '-')
    })
}

#[test]
fn ten_thousand_damaged_mails_neither_break_anything_nor_suppress_anybody_else() {
    let corpus: Vec<(String, Vec<u8>, Vec<Heard>)> = expected()
        .into_iter()
        .map(|(file, rows)| {
            let mail = std::fs::read(folder().join(&file)).unwrap();
            (file, mail, rows)
        })
        .collect();
    let mut dice = Dice(crate::support::seed(20_260_901));
    let mut wrong = Vec::new();
    for _ in 0..10_000 {
        let (file, mail, rows) = dice.pick(&corpus);
        let (_, other, _) = dice.pick(&corpus);
        let (bytes, damage) = mutated(&mut dice, mail, other);
        let found = classify(&bytes);
        assert!(!found.is_empty() && found.len() <= 500);
        let named = String::from_utf8_lossy(mail).replace("=\n", "").to_ascii_lowercase();
        let suppressed = found.iter().filter(|row| row.action == Action::Suppress);
        for address in suppressed.filter_map(|row| row.recipient.as_deref()) {
            let has_failed = |row: &Heard| {
                is_bounce(row) && row.recipient.as_deref().is_some_and(|failed| failed.eq_ignore_ascii_case(address))
            };
            // The shop's own addresses are nobody's whom it writes to.
            let is_right = rows.iter().any(has_failed) || address.ends_with("@shop.example");
            let is_made_up = !is_whole(&named, &address.to_ascii_lowercase());
            let is_right = match damage {
                // Nobody has classified it.
                Damage::Mixed => true,
                // An address whose letters were damaged stands where the one that failed stood. Who was
                // written to is for ingesting to know; here it must not be another of the mail's.
                Damage::Bytes => is_right || is_made_up,
                Damage::Lines => is_right,
            };
            if !is_right {
                wrong.push(format!("{file}: {address}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of 10000:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn an_address_that_a_mail_breaks_off_in_is_not_closed() {
    let notice = |encoding: &str, text: &str| {
        format!(
            "Return-Path: <>\nFrom: MAILER-DAEMON@mx.example.com\nSubject: Undelivered Mail\n\
             Content-Transfer-Encoding: {encoding}\n\n{text}"
        )
    };
    let check = |mail: &str, recipient: &str, action: Action| {
        let found = classify(mail.as_bytes()).remove(0);
        assert_eq!((found.kind, found.recipient.as_deref(), found.action), (Kind::Hard, Some(recipient), action));
    };
    let whole = notice("7bit", "Unknown user: sara@example.com\n");
    check(&whole, "sara@example.com", Action::Suppress);
    check(whole.trim_end(), "sara@example.com", Action::Count);
    check(whole.trim_end().strip_suffix("om").unwrap(), "sara@example.c", Action::Count);
    // The same text; its own end is none of the mail's.
    let encoded = notice("base64", "VW5rbm93biB1c2VyOiBzYXJhQGV4YW1wbGUuY29t\n");
    check(&encoded, "sara@example.com", Action::Suppress);
    check(encoded.trim_end(), "sara@example.com", Action::Count);
}

#[test]
fn large_and_repetitive_mails_are_read_in_bounds() {
    let head = "From: MAILER-DAEMON@mx.example.com\nSubject: Undelivered Mail\n";
    let report =
        format!("{head}Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n");
    for (start, repeated) in [
        (head.to_owned() + "\n", "a@example.com "),
        (head.to_owned() + "\n", "a@b.c\n"),
        (head.to_owned() + "\n", "@"),
        (head.to_owned() + "\n", "user unknown … "),
        (head.to_owned(), "X-Failed-Recipients: a@example.com\n"),
        (head.to_owned(), "Subject: =?utf-8?B?2LPZhNin2YU=?=\n "),
        (report.clone(), "Final-Recipient: rfc822;a@example.com\n"),
        (report, "Action: failed\n\n"),
        (format!("{head}Content-Type: multipart/mixed; boundary=b\n\n"), "--b\n\n"),
        (format!("{head}Content-Type: text/html\n\n"), "<p>&amp;"),
        (String::new(), "From x\n"),
        (String::new(), "Content-Type: message/rfc822\n\n"),
    ] {
        let mail = start + &repeated.repeat((11 << 20) / repeated.len());
        let found = classify(mail.as_bytes());
        assert!(!found.is_empty() && found.len() <= 500, "{repeated}");
    }
}
