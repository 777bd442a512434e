//! Bounces are what they are known to be: a corpus in the formats of many servers, and mutations of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rekindle::inbound::bounces::classify::{Action, Heard, Kind, classify};

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

/// Numbers that look random and are the same each time (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit.max(1) as u64).unwrap()
    }
}

/// Damages a mail; may take parts of another.
fn mutated(dice: &mut Dice, mail: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = mail.to_vec();
    let lines = |bytes: &[u8]| bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
    match dice.below(9) {
        0 => {
            for _ in 0..=dice.below(20) {
                let at = dice.below(bytes.len());
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << dice.below(8);
                }
            }
        }
        1 => bytes.truncate(dice.below(bytes.len())),
        2 => {
            let mut lines = lines(&bytes);
            for _ in 0..=dice.below(10) {
                let (a, b) = (dice.below(lines.len()), dice.below(lines.len()));
                lines.swap(a, b);
            }
            bytes = lines.concat();
        }
        3 => {
            let mut lines = lines(&bytes);
            for _ in 0..=dice.below(10) {
                let at = dice.below(lines.len());
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
            let at = dice.below(bytes.len());
            bytes.splice(at..at, other.iter().copied());
        }
        6 => {
            let mut nested = b"From: Ali <ali@example.com>\nTo: x@shop.example\nSubject: Fwd: look\nContent-Type: message/rfc822\n\n".repeat(1 + dice.below(40));
            nested.extend_from_slice(mail);
            bytes = nested;
        }
        7 => {
            let mut depth = Vec::new();
            for level in 0..=dice.below(100) {
                depth.extend_from_slice(
                    format!("Content-Type: multipart/mixed; boundary=n{level}\n\n--n{level}\n").as_bytes(),
                );
            }
            depth.extend_from_slice(mail);
            bytes = depth;
        }
        _ => {
            let at = dice.below(bytes.len());
            let junk: Vec<u8> = (0..dice.below(200)).map(|_| u8::try_from(dice.below(256)).unwrap()).collect();
            bytes.splice(at..at, junk);
        }
    }
    bytes
}

#[test]
fn ten_thousand_damaged_mails_neither_break_anything_nor_suppress_anybody_else() {
    let expected = expected();
    let read = |file: &String| std::fs::read(folder().join(file)).unwrap();
    let corpus: Vec<(&String, Vec<u8>, BTreeSet<String>)> = expected
        .iter()
        .map(|(file, rows)| {
            let suppressed = rows.iter().filter(|row| row.action == Action::Suppress);
            (file, read(file), suppressed.filter_map(|row| row.recipient.clone()).collect())
        })
        .collect();
    let mut dice = Dice(20260901);
    let mut wrong = Vec::new();
    for _ in 0..10_000 {
        let (file, mail, dead) = &corpus[dice.below(corpus.len())];
        let (other, other_mail, other_dead) = &corpus[dice.below(corpus.len())];
        let bytes = mutated(&mut dice, mail, other_mail);
        let found = classify(&bytes);
        assert!(!found.is_empty() && found.len() <= 500);
        for row in found.iter().filter(|row| row.action == Action::Suppress) {
            // An address whose letters were damaged is still that one's place; ingesting verifies who was written to.
            let is_damaged = |address: &str, dead: &str| strsim::levenshtein(address, dead) <= 8;
            let is_dead = |dead: &BTreeSet<String>| {
                row.recipient.as_deref().is_none_or(|address| dead.iter().any(|dead| is_damaged(address, dead)))
            };
            if !is_dead(dead) && !is_dead(other_dead) {
                wrong.push(format!("{file} with {other}: {row:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of 10000:\n{}", wrong.len(), wrong.join("\n"));
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
