//! A mailbox's server that says what no server should: it takes no memory, loses no mail, and speaks for nobody.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use rekindle::clock::Clock;
use rekindle::inbound::bounces::mailbox::{self, MailboxError};
use rekindle::settings::{Encryption, Imap, Then};

use crate::support::shop::{PLAIN, Shop, Size, at};

/// What a server would say in all, if somebody listened.
const MUCH: usize = 64 << 20;

/// What a server of a test says to each command, by the command's first words; the tag of an answer stands as TAG.
type Says = &'static [(&'static str, &'static str)];

const USUAL: Says = &[
    ("", "* OK hello\r\n"),
    ("LOGIN", "TAG OK done\r\n"),
    ("CAPABILITY", "* CAPABILITY IMAP4rev1\r\nTAG OK done\r\n"),
    ("SELECT", "* 1 EXISTS\r\nTAG OK done\r\n"),
    ("NOOP", "TAG OK done\r\n"),
    ("UID SEARCH", "* SEARCH 7\r\nTAG OK done\r\n"),
    ("UID FETCH", "* 1 FETCH (UID 7 BODY[]<0> {14}\r\nSubject: a\r\n\r\n)\r\nTAG OK done\r\n"),
    ("UID STORE", "TAG OK done\r\n"),
    ("LOGOUT", "* BYE\r\nTAG OK done\r\n"),
];

/// A server that goes on with `flood` after it has said its own answer to `to`, for as long as somebody listens. Ends
/// with what was heard, and how much of the flood went out.
fn serve(own: Says, to: &'static str, flood: &'static [u8]) -> (u16, JoinHandle<(Vec<String>, usize)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        let (mut heard, mut flooded) = (Vec::new(), 0);
        let mut say = |stream: &mut TcpStream, command: &str, tag: &str| {
            let begins = |start: &str| command.starts_with(start) && start.is_empty() == command.is_empty();
            let says = |list: Says| list.iter().find(|(start, _)| begins(start));
            let floods = !flood.is_empty() && begins(to);
            let own = if floods || flood.is_empty() { says(own) } else { None };
            let answer = own.or_else(|| says(USUAL)).map_or("TAG BAD what\r\n", |(_, answer)| answer);
            let mut goes_on = stream.write_all(answer.replace("TAG", tag).as_bytes()).is_ok();
            let piece = flood.repeat(65_536 / flood.len().max(1) + 1);
            while floods && goes_on && flooded < MUCH {
                goes_on = stream.write_all(&piece).is_ok();
                flooded += piece.len();
            }
            goes_on && !floods
        };
        let mut goes_on = say(stream.get_mut(), "", "");
        let mut line = String::new();
        while goes_on {
            line.clear();
            // Nothing more, or no text: somebody shakes hands.
            match stream.read_line(&mut line) {
                Ok(count) if count > 0 => {}
                _ => break,
            }
            let (tag, command) = line.trim_end().split_once(' ').unwrap_or_default();
            heard.push(command.to_owned());
            goes_on = say(stream.get_mut(), command, tag);
        }
        (heard, flooded)
    });
    (port, thread)
}

fn settings(port: u16, tls: Encryption) -> Imap {
    Imap {
        host: "localhost".to_owned(),
        port,
        tls,
        ca_file: None,
        username: "bounces".to_owned(),
        password: "s3cret".to_owned().into(),
        mailbox: "INBOX".to_owned(),
        then: Then::Seen,
        every: std::time::Duration::from_secs(60),
    }
}

async fn work_off(shop: &Shop, settings: &Imap) -> Result<usize, MailboxError> {
    let clock = Clock::simulated(at("2024-05-01T12:00:00Z"));
    mailbox::work_off(settings, shop.store().await, &clock).await.map(|worked| worked.mails)
}

async fn shop() -> Shop {
    let shop = Shop::new(&Size::default(), PLAIN);
    shop.store().await.migrate().await.unwrap();
    shop
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_says_without_an_end_is_given_up_early() {
    let shop = shop().await;
    let (port, server) = serve(&[], "", b"");
    assert_eq!(work_off(&shop, &settings(port, Encryption::None)).await.unwrap(), 1);
    assert!(server.join().unwrap().0.iter().any(|command| command.starts_with("UID STORE 7 ")));

    let open: Says = &[
        ("", "* OK "),
        ("UID SEARCH", "* SEARCH "),
        ("UID FETCH", ""),
        ("NOOP", ""),
        ("LOGIN", ""),
        ("CAPABILITY", ""),
    ];
    let literal: Says = &[("UID FETCH", "* 1 FETCH (UID 7 BODY[]<0> {4294967295}\r\n")];
    let half: Says = &[("UID FETCH", "* 1 FETCH (UID 7 BODY[]<0> {500000000}\r\n")];
    let deep: Says = &[("NOOP", "* 1 FETCH (BODYSTRUCTURE ")];
    let cases: &[(Says, &str, &[u8])] = &[
        (open, "", b"x"),
        (open, "", b"x\r\n* OK y\r\n"),
        (open, "LOGIN", b"* OK [ALERT] z\r\n"),
        (open, "LOGIN", b"x"),
        (open, "CAPABILITY", b"* CAPABILITY A B C D E F\r\n"),
        (open, "NOOP", b"* 1 EXISTS\r\n"),
        (open, "UID SEARCH", b"7 "),
        (open, "UID SEARCH", b"7\r\n* SEARCH "),
        (open, "UID FETCH", b"* 1 FETCH (UID 7 FLAGS ())\r\n"),
        (open, "UID FETCH", b"* 1 FETCH (UID 7 BODY[]<0> {3}\r\nabc)\r\n"),
        (open, "UID FETCH", b"* 1 FETCH (UID 8 BODY[]<0> {3}\r\nabc)\r\n"),
        (open, "UID FETCH", b"* 1 FETCH (BODY[]<0> {3}\r\nabc)\r\n"),
        (literal, "UID FETCH", b"x"),
        (half, "UID FETCH", b"x"),
        (deep, "NOOP", b"("),
    ];
    for (own, to, flood) in cases {
        let (port, server) = serve(own, to, flood);
        let error = work_off(&shop, &settings(port, Encryption::None)).await.unwrap_err();
        let MailboxError::Imap(error) = error else { panic!("{error}") };
        assert!(!error.is_lasting(), "{error}: it is tried again");
        let (heard, flooded) = server.join().unwrap();
        // What lies in the buffers of two sockets was never read.
        assert!(flooded < MUCH / 2, "{to} {}: {flooded}", flood.escape_ascii());
        let stored = heard.iter().any(|command| command.starts_with("UID STORE"));
        assert!(!stored, "nothing is put away that is not whole");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_in_the_clear_counts_for_nothing_once_it_is_encrypted() {
    let shop = shop().await;
    let check = async |own: Says, expected: &str| {
        let (port, server) = serve(own, "", b"");
        let error = work_off(&shop, &settings(port, Encryption::Starttls)).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{own:?}: {error}");
        let (heard, _) = server.join().unwrap();
        let in_the_clear: Vec<_> = heard.iter().filter(|command| command.contains("LOGIN")).collect();
        assert!(in_the_clear.is_empty(), "{heard:?}");
    };
    let more = "more than its answer to STARTTLS in the clear";
    check(&[("STARTTLS", "TAG OK go on\r\n* CAPABILITY IMAP4rev1\r\n")], more).await;
    check(&[("STARTTLS", "TAG OK go on\r\nA0002 OK done\r\nA0003 OK done\r\n")], more).await;
    check(&[("STARTTLS", "TAG OK go on\r\n*")], more).await;
    check(&[("STARTTLS", "* 5 EXISTS\r\nTAG OK go on\r\n")], more).await;
    check(&[("", "* PREAUTH hello\r\n")], "hello").await;
    check(&[("", "* BYE no room\r\n")], "no room").await;
    check(&[("STARTTLS", "TAG NO not now\r\n")], "does not offer STARTTLS").await;
    shop.close().await;
}
