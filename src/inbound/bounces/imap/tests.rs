//! What is said to a mailbox's server, and ten thousand conversations with one whose every answer may be damaged, on a
//! wire in memory.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tokio::io::ReadBuf;

use super::*;

#[test]
fn a_server_that_lacks_something_itself_is_tried_again_soon() {
    let check = |refusal: &str, expected: bool| assert_eq!(passes(refusal), expected, "{refusal}");
    check("code: None, info: Some(\"[UNAVAILABLE] Temporary authentication failure.\")", true);
    check("code: None, info: Some(\"[INUSE] Mailbox is locked\")", true);
    check("code: None, info: Some(\"[AUTHENTICATIONFAILED] Authentication failed.\")", false);
    check("code: None, info: None", false);
}

#[test]
fn names_are_quoted_and_written_in_ascii() {
    let check = |name: &str, expected: &str| assert_eq!(quoted(name), format!("\"{expected}\""), "{name}");
    check("INBOX", "INBOX");
    check("In & out", "In &- out");
    check(r#"a"b\c"#, r#"a\"b\\c"#);
    check("Zurück", "Zur&APw-ck");
    check("برگشتی", "&BigGMQavBjQGKgbM-");
    check("a😀/b", "a&2D3eAA-/b");
    check("???", "???");
}

#[test]
fn runs_of_numbers_are_short() {
    let check = |uids: &[u32], expected: &str| assert_eq!(set(uids), expected);
    check(&[7], "7");
    check(&[1, 2, 3, 5, 8, 9], "1:3,5,8:9");
    check(&[u32::MAX - 1, u32::MAX], "4294967294:4294967295");
}

#[test]
fn a_refusals_words_are_found() {
    assert_eq!(said("code: Some(Alert), info: Some(\"Not \\\"you\\\"\")"), "Not \\\"you\\\"");
    assert_eq!(said("code: None, info: None"), "it does not say why");
}

const CONVERSATIONS: u64 = 10_000;
const PASSWORD: &str = "s3cret";

/// A small generator of numbers (SplitMix64).
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound.max(1) as u64) as usize
    }
}

#[expect(clippy::disallowed_methods, reason = "the seed of a test is no setting")]
fn seed() -> u64 {
    std::env::var("REKINDLE_TEST_SEED").map_or(0, |text| text.parse().unwrap())
}

/// A server with two mails that answers whatever it hears, and may damage what it says.
#[derive(Debug)]
struct Server {
    dice: Dice,
    heard: Vec<u8>,
    out: VecDeque<u8>,
    /// All it ever said.
    said: Vec<u8>,
    stored: Vec<String>,
    /// Polled once without anything to say.
    asked: bool,
}

const SPLINTERS: &[&[u8]] = &[
    b"* SEARCH 7 8\r\n",
    b"* 1 FETCH (UID 7 BODY[]<0> {5}\r\nhello)\r\n",
    b"* 99999 EXISTS\r\n",
    b"* BYE\r\n",
    b"{3}\r\n",
    b"{4294967295}\r\n",
    b"{99999999}",
    b"\r\n",
    b"\n",
    b"\0",
    b"\xff",
    b"(",
    b")",
    b"\"",
    b"*",
    b"+ go\r\n",
    b"A0003 OK\r\n",
    b"* 1 FETCH (BODYSTRUCTURE ((((((((((((((((((((\"a\" \"b\"",
    b"4294967296",
    b"NIL",
    b"* 1 EXPUNGE\r\n",
    b"[READ-ONLY]",
];

impl Server {
    fn say(&mut self, text: &str) {
        let mut text = text.as_bytes().to_vec();
        if self.dice.below(12) == 0 {
            for _ in 0..=self.dice.below(3) {
                let at = self.dice.below(text.len() + 1);
                let splinter = SPLINTERS[self.dice.below(SPLINTERS.len())];
                match self.dice.below(6) {
                    0 if at < text.len() => text[at] ^= 1 << self.dice.below(8),
                    1 if at < text.len() => drop(text.remove(at)),
                    2 => text.truncate(at),
                    3 => drop(text.splice(at..at, text.clone())),
                    4 => drop(text.splice(at..at, splinter.repeat(1 + self.dice.below(100)))),
                    _ => drop(text.splice(at..at, splinter.to_vec())),
                }
            }
        }
        self.said.extend(&text);
        self.out.extend(text);
    }

    fn work(&mut self) {
        while let Some(at) = self.heard.windows(2).position(|window| window == b"\r\n") {
            let line = String::from_utf8(self.heard.drain(..at + 2).collect()).unwrap();
            let (tag, command) = line.trim_end().split_once(' ').unwrap_or(("*", ""));
            let answer = match command.split(' ').next().unwrap_or_default() {
                "CAPABILITY" => "* CAPABILITY IMAP4rev1 UIDPLUS IDLE\r\n",
                "SELECT" => "* FLAGS (\\Seen)\r\n* 2 EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 1] ok\r\n",
                "UID" if command.starts_with("UID SEARCH") => "* SEARCH 7 9\r\n",
                "UID" if command.starts_with("UID FETCH") => {
                    "* 1 FETCH (UID 7 BODY[]<0> {12}\r\nSubject: a\r\n)\r\n* 2 FETCH (UID 9 FLAGS (\\Seen) BODY[]<0> {5}\r\nhello)\r\n"
                }
                "UID" => {
                    self.stored.push(command.to_owned());
                    ""
                }
                _ => "",
            };
            let answer = format!("{answer}{tag} OK done\r\n");
            self.say(&answer);
        }
    }
}

#[derive(Debug)]
struct Memory(Arc<Mutex<Server>>);

impl AsyncRead for Memory {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut server = self.0.lock().unwrap();
        if server.out.is_empty() {
            let waits = std::mem::replace(&mut server.asked, true);
            cx.waker().wake_by_ref();
            return if waits { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        let most = server.dice.below(200) + 1;
        let most = most.min(buf.remaining()).min(server.out.len());
        let piece: Vec<u8> = server.out.drain(..most).collect();
        buf.put_slice(&piece);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut server = self.0.lock().unwrap();
        server.asked = false;
        server.heard.extend(buf);
        server.work();
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn settings(port: u16) -> Imap {
    Imap {
        host: "127.0.0.1".to_owned(),
        port,
        tls: Encryption::None,
        ca_file: None,
        username: "bounces".to_owned(),
        password: PASSWORD.to_owned().into(),
        mailbox: "INBOX".to_owned(),
        then: Then::Seen,
        every: Duration::from_secs(60),
    }
}

/// Reads what waits and puts it away, as a pass does.
async fn pass(wire: Box<dyn Wire>, taken: &mut Vec<(u32, Vec<u8>)>) -> Result<(), ImapError> {
    let mut connection = Connection::open_on(wire, &settings(143), None).await?;
    let waiting = connection.waiting().await?;
    for batch in waiting.chunks(50) {
        let mut reading = connection.read(batch).await?;
        while let Some(mail) = reading.next().await? {
            assert!(batch.contains(&mail.0));
            taken.push(mail);
        }
        let recorded: Vec<u32> = taken.iter().map(|(uid, _)| *uid).filter(|uid| batch.contains(uid)).collect();
        connection.put_away(&recorded).await?;
    }
    Ok(())
}

#[tokio::test]
async fn ten_thousand_damaged_conversations_give_no_mail_that_was_not_sent() {
    let (mut whole, mut broken, mut mails) = (0, 0, 0);
    for number in 0..CONVERSATIONS {
        let number = number + seed().wrapping_mul(CONVERSATIONS);
        let dice = Dice(number.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let mut server = Server {
            dice,
            heard: Vec::new(),
            out: VecDeque::new(),
            said: Vec::new(),
            stored: Vec::new(),
            asked: false,
        };
        server.say("* OK hello\r\n");
        let server = Arc::new(Mutex::new(server));
        let mut taken = Vec::new();
        let passed = pass(Box::new(Memory(Arc::clone(&server))), &mut taken).await;
        let server = server.lock().unwrap();
        for (uid, mail) in &taken {
            let is_there = mail.is_empty() || server.said.windows(mail.len()).any(|window| window == mail);
            assert!(is_there, "conversation {number}: the mail {uid} was never said");
        }
        match passed {
            Ok(()) => whole += 1,
            Err(error) => {
                assert!(!error.to_string().contains(PASSWORD), "{error}");
                broken += 1;
            }
        }
        mails += taken.len();
    }
    assert!(whole > 3_000 && broken > 1_000 && mails > 6_000, "{whole} {broken} {mails}");
}
