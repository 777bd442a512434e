//! Ten thousand conversations with a server whose every reply may be damaged, on a wire in memory. Another reading of
//! the bytes, which shares no code with ours, says what they allow.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use lettre::transport::smtp::extension::ClientId;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::connection::{Connection, Sent};
use super::super::wire::{Unsent, Wire};
use super::*;

const CONVERSATIONS: u64 = 10_000;
const MAILS: usize = 3;

/// A small generator of numbers (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound.max(1) as u64) as usize
    }

    fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }
}

#[expect(clippy::disallowed_methods, reason = "the seed of a test is no setting")]
fn seed() -> u64 {
    std::env::var("REKINDLE_TEST_SEED").map_or(0, |text| text.parse().unwrap())
}

/// What the server has heard and said, and what it says next.
#[derive(Default)]
struct Server {
    dice: Option<Dice>,
    heard: Vec<u8>,
    /// Commands of this group that are not answered.
    in_mail: bool,
    out: VecDeque<u8>,
    /// Of each mail: what was said after RCPT, and after the final dot.
    said: Vec<[Vec<u8>; 2]>,
    /// Polled once without anything to say.
    asked: bool,
}

const REPLIES: &[&str] = &[
    "250 ok\r\n",
    "250 2.0.0 Ok: queued as ABC1\r\n",
    "250-a\r\n250 b\r\n",
    "550 5.1.1 unknown user\r\n",
    "554 5.7.1 spam\r\n",
    "451 4.3.0 later\r\n",
    "421 4.7.0 bye\r\n",
    "452 4.2.2 mailbox full\r\n",
    "354 go\r\n",
    "503 5.5.1 no\r\n",
    "hello\r\n",
    "\r\n",
    "",
];
const SPLINTERS: &[&[u8]] = &[
    b"250 ok\r\n",
    b"550 5.1.1 no\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"250-",
    b"550 ",
    b" ",
    b"-",
    b"2",
    b"5",
    b"\xe9",
    b"\xff\xfe",
    b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
];

impl Server {
    fn answer(&mut self, usual: &str) -> Vec<u8> {
        let Some(dice) = &mut self.dice else { return Vec::new() };
        let reply = if dice.below(8) == 0 { dice.pick(REPLIES) } else { usual };
        let mut reply = reply.as_bytes().to_vec();
        if dice.below(3) == 0 {
            for _ in 0..=dice.below(3) {
                let at = dice.below(reply.len() + 1);
                match dice.below(6) {
                    0 if at < reply.len() => reply[at] ^= 1 << dice.below(8),
                    1 if at < reply.len() => drop(reply.remove(at)),
                    2 => reply.truncate(at),
                    3 => drop(reply.splice(at..at, reply.clone())),
                    4 => {
                        let splinter = dice.pick(SPLINTERS);
                        drop(reply.splice(at..at, splinter.repeat(1 + dice.below(100))));
                    }
                    _ => drop(reply.splice(at..at, dice.pick(SPLINTERS).to_vec())),
                }
            }
        }
        reply
    }

    /// Answers what has come whole.
    fn work(&mut self) {
        loop {
            let end: &[u8] = if self.in_mail { b"\r\n.\r\n" } else { b"\r\n" };
            // A lone dot is a mail, too.
            let lone = self.in_mail && self.heard.starts_with(b".\r\n");
            let at = self.heard.windows(end.len()).position(|window| window == end);
            let length = if lone { Some(3) } else { at.map(|at| at + end.len()) };
            let Some(length) = length else { return };
            let command: Vec<u8> = self.heard.drain(..length).collect();
            let (usual, place) = match &command[..2] {
                _ if self.in_mail => ("250 2.0.0 Ok: queued as ABC1\r\n", Some(1)),
                b"EH" => ("250-mx.test\r\n250-PIPELINING\r\n250 SIZE 1000000\r\n", None),
                b"MA" => {
                    self.said.push(Default::default());
                    ("250 ok\r\n", None)
                }
                b"RC" => ("250 ok\r\n", Some(0)),
                b"DA" => ("354 go on\r\n", None),
                b"QU" => ("221 bye\r\n", None),
                _ => ("250 ok\r\n", None),
            };
            let answer = self.answer(usual);
            // It waits for a mail whenever its answer can be read so.
            self.in_mail = command.starts_with(b"DATA") && answer.windows(3).any(|window| window == b"354");
            if let (Some(place), Some(said)) = (place, self.said.last_mut()) {
                said[place].extend(&answer);
            } else if let Some(said) = self.said.last_mut() {
                // Refusals of the same group: any line of it may be the recipient's.
                said[0].extend(&answer);
            }
            self.out.extend(answer);
        }
    }
}

struct Memory(Arc<Mutex<Server>>);

impl AsyncRead for Memory {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut server = self.0.lock().unwrap();
        if server.out.is_empty() {
            // Who only looks is told that there is nothing; who waits, that it was closed.
            let waits = std::mem::replace(&mut server.asked, true);
            cx.waker().wake_by_ref();
            return if waits { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        let most = buf.remaining().min(server.out.len());
        let pieces = server.dice.as_mut().map_or(1, |dice| 1 + dice.below(64));
        let piece: Vec<u8> = server.out.drain(..most.min(pieces)).collect();
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

/// Whether bytes begin with a reply of this class, read another way: line by line as text, up to the first line that
/// no other one continues.
fn says(bytes: &[u8], class: char) -> bool {
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if !line.starts_with(class) || line.chars().take(3).filter(char::is_ascii_digit).count() < 3 {
            return false;
        }
        match line.chars().nth(3) {
            Some('-') => {}
            Some(' ') | None => return true,
            _ => return line.trim_end_matches([' ', '\t', '\r', '\x0c']).len() == 3,
        }
    }
    false
}

/// Whether some line of the bytes is a refusal for good.
fn refuses(bytes: &[u8]) -> bool {
    let digits = |line: &[u8]| line.len() >= 3 && line[0] == b'5' && line[1..3].iter().all(u8::is_ascii_digit);
    bytes.split(|byte| *byte == b'\n').any(digits)
}

#[tokio::test]
async fn ten_thousand_damaged_conversations_send_nothing_twice_and_close_no_address_by_themselves() {
    let mut kinds = std::collections::BTreeMap::<&str, u32>::new();
    let mail = crate::transports::mail::build(&envelope()).unwrap();
    for number in 0..CONVERSATIONS {
        let number = number + seed().wrapping_mul(CONVERSATIONS);
        let mut server = Server { dice: Some(Dice(number.wrapping_mul(0x2545_f491_4f6c_dd1d))), ..Server::default() };
        let greeting = server.answer("220 mx.test\r\n");
        server.out.extend(greeting);
        let server = Arc::new(Mutex::new(server));
        let shared = Shared {
            options: options(25),
            hello: ClientId::Domain("shop.test".to_owned()),
            credentials: None,
            tls: None,
        };
        let unsent = Unsent::default();
        let wire = Box::new(Wire { inner: Memory(Arc::clone(&server)), unsent: unsent.clone() });
        let mut stage = Stage::Connect;
        let Ok(mut connection) = Connection::begin_on(wire, unsent, &shared, &mut stage).await else {
            *kinds.entry("no connection").or_default() += 1;
            continue;
        };
        for _ in 0..MAILS {
            let before = server.lock().unwrap().said.len();
            let sent = connection.send(&mail, &mut stage).await;
            let (Sent::Done(outcome) | Sent::Closed(outcome)) = &sent;
            let said = server.lock().unwrap().said.get(before).cloned().unwrap_or_default();
            let told = || format!("conversation {number}: {outcome:?} of {}", said.concat().escape_ascii());
            let kind = match outcome {
                Outcome::Sent { .. } => {
                    assert!(says(&said[1], '2'), "{}", told());
                    "sent"
                }
                Outcome::Rejected { suppress: true, .. } => {
                    assert!(refuses(&said[0]) || refuses(&said[1]), "{}", told());
                    "closed"
                }
                Outcome::Rejected { .. } => {
                    assert!(refuses(&said[0]) || refuses(&said[1]), "{}", told());
                    "refused"
                }
                Outcome::Uncertain { .. } => {
                    let known = ['2', '4', '5'].iter().any(|class| says(&said[1], *class));
                    // Three digits at the very end may be the beginning of four.
                    let is_cut = said[1].rsplit(|byte| *byte == b'\n').next().is_some_and(|line| line.len() == 3);
                    assert!(!known || is_cut, "{}", told());
                    "uncertain"
                }
                _ => "again",
            };
            *kinds.entry(kind).or_default() += 1;
            if matches!(sent, Sent::Closed(_)) {
                break;
            }
        }
    }
    for kind in ["sent", "closed", "refused", "uncertain", "again", "no connection"] {
        assert!(kinds.get(kind).is_some_and(|count| *count >= 50), "{kinds:?}");
    }
}
