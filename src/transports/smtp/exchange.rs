//! What is said on a connection and what is heard: commands go out, replies come in line by line (RFC 5321, 4.2).
//! A server may answer anything, so what is kept of a reply is bounded, and its text need not be UTF-8: the code
//! is what counts.

use std::fmt;
use std::io;
use std::pin::pin;
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What the bytes go through, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// What is kept of one line; RFC 5321 allows 512 octets.
const LINE: usize = 4 << 10;
/// What is kept of one reply.
const REPLY: usize = 64 << 10;
/// What is read of one reply: who goes on talking after that is not listened to.
const MOST: usize = 1 << 20;

/// A server's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub code: u16,
    /// Its lines without their codes.
    text: String,
}

impl Reply {
    /// Whether it says yes: 2yz.
    pub(super) fn is_yes(&self) -> bool {
        (200..300).contains(&self.code)
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.split('\n')
    }

    /// All in one line. Servers repeat the enhanced code in each of theirs.
    pub(super) fn text(&self) -> String {
        let word = self.text.split_whitespace().next().filter(|word| word.contains('.')).unwrap_or("\0");
        let lines = self.lines().enumerate();
        let lines = lines.map(|(index, line)| if index == 0 { line } else { line.strip_prefix(word).unwrap_or(line) });
        lines.map(str::trim).collect::<Vec<_>>().join(" ")
    }
}

/// Why there is no reply that can be understood.
#[derive(Debug)]
pub(super) enum Broken {
    Io(io::Error),
    Closed,
    /// A line without a code, or lines that contradict each other.
    NotSmtp,
    Endless,
    /// It came before anything was asked.
    Unasked,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Closed => write!(f, "the connection was closed"),
            Self::NotSmtp => write!(f, "the answer was not SMTP"),
            Self::Endless => write!(f, "the answer did not end"),
            Self::Unasked => write!(f, "the server answers what it was not asked"),
        }
    }
}

/// A reply that has not come to its end.
#[derive(Default)]
struct Unfinished {
    /// Of the lines before.
    code: Option<u16>,
    text: String,
    /// The beginning of the line that is being read.
    line: Vec<u8>,
    read: usize,
}

pub(super) struct Exchange {
    wire: Box<dyn Stream>,
    /// Read, and not looked at from `at` on.
    ahead: Vec<u8>,
    at: usize,
    reply: Unfinished,
    /// What follows is the rest of a reply that nobody listens to.
    over: bool,
}

impl Exchange {
    pub(super) fn new(wire: Box<dyn Stream>) -> Self {
        Self { wire, ahead: Vec::new(), at: 0, reply: Unfinished::default(), over: false }
    }

    /// The wire, to be encrypted. What was said in the clear behind the last answer would be believed after that.
    pub(super) fn into_wire(self) -> Result<Box<dyn Stream>, Broken> {
        if self.has_more() { Err(Broken::Unasked) } else { Ok(self.wire) }
    }

    /// Says something, if the server is not talking itself.
    pub(super) async fn say(&mut self, text: &str) -> Result<(), Broken> {
        self.be_quiet().await?;
        self.wire.write_all(text.as_bytes()).await.map_err(Broken::Io)?;
        self.wire.flush().await.map_err(Broken::Io)
    }

    /// The next reply.
    pub(super) async fn hear(&mut self) -> Result<Reply, Broken> {
        self.reply = Unfinished::default();
        while !self.over {
            while self.at < self.ahead.len() {
                if let Some(reply) = self.line()? {
                    return Ok(reply);
                }
            }
            self.read().await?;
        }
        Err(Broken::Endless)
    }

    /// The code of a reply whose last line has begun to come: what it says is known, if not why.
    pub(super) fn begun(&self) -> Option<u16> {
        let line = &self.reply.line;
        let (code, is_last) = code_of(line.strip_suffix(b"\r").unwrap_or(line))?;
        let agrees = self.reply.code.is_none_or(|before| before / 100 == code / 100);
        (agrees && is_last && line.len() > 3).then_some(code)
    }

    /// Takes what is there of a line; gives the reply that it ends.
    fn line(&mut self) -> Result<Option<Reply>, Broken> {
        let rest = &self.ahead[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n');
        let piece = &rest[..end.map_or(rest.len(), |end| end + 1)];
        self.at += piece.len();
        let reply = &mut self.reply;
        reply.read += piece.len();
        reply.line.extend(&piece[..piece.len().min(LINE - reply.line.len())]);
        if end.is_some() {
            return self.end_of_line();
        }
        if self.reply.read < MOST {
            return Ok(None);
        }
        self.over = true;
        if self.begun().is_none() { Err(Broken::Endless) } else { self.end_of_line() }
    }

    fn end_of_line(&mut self) -> Result<Option<Reply>, Broken> {
        let reply = &mut self.reply;
        let line = reply.line.trim_ascii_end();
        let (code, is_last) = code_of(line).ok_or(Broken::NotSmtp)?;
        if reply.code.is_some_and(|before| before / 100 != code / 100) {
            return Err(Broken::NotSmtp);
        }
        if reply.text.len() + line.len() < REPLY {
            let words = String::from_utf8_lossy(line.get(4..).unwrap_or_default());
            let words = words.chars().map(|c| if c.is_control() { ' ' } else { c });
            reply.text.extend(reply.code.map(|_| '\n').into_iter().chain(words));
        }
        reply.code = Some(code);
        reply.line.clear();
        if is_last {
            let text = std::mem::take(reply).text;
            return Ok(Some(Reply { code, text }));
        }
        if reply.read < MOST { Ok(None) } else { Err(Broken::Endless) }
    }

    const fn has_more(&self) -> bool {
        self.over || self.at < self.ahead.len()
    }

    /// The server says nothing: an answer before its question is none, and a connection that was closed in between
    /// is seen before anything is said on it.
    async fn be_quiet(&mut self) -> Result<(), Broken> {
        if self.has_more() {
            return Err(Broken::Unasked);
        }
        let mut reading = pin!(self.read());
        match std::future::poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx))).await {
            Poll::Pending => Ok(()),
            Poll::Ready(read) => read.and(Err(Broken::Unasked)),
        }
    }

    /// Reads more; loses nothing where it is dropped.
    async fn read(&mut self) -> Result<(), Broken> {
        let mut piece = [0; LINE];
        let count = self.wire.read(&mut piece).await.map_err(Broken::Io)?;
        self.ahead.clear();
        self.ahead.extend(&piece[..count]);
        self.at = 0;
        if count == 0 { Err(Broken::Closed) } else { Ok(()) }
    }
}

/// The code of a line, and whether the line is the last one of its reply.
fn code_of(line: &[u8]) -> Option<(u16, bool)> {
    let [first @ b'2'..=b'5', second @ b'0'..=b'9', third @ b'0'..=b'9', rest @ ..] = line else { return None };
    let is_last = match rest {
        [] | [b' ', ..] => true,
        [b'-', ..] => false,
        _ => return None,
    };
    let code = [first, second, third].iter().fold(0, |code, digit| code * 10 + u16::from(**digit - b'0'));
    Some((code, is_last))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first reply in bytes that come in pieces of a size, and whether more can be heard.
    async fn heard(bytes: &[u8], size: usize) -> (Result<Reply, Broken>, Option<u16>, usize) {
        let (near, mut far) = tokio::io::duplex(64);
        let bytes = bytes.to_vec();
        let talk = tokio::spawn(async move {
            for piece in bytes.chunks(size) {
                if far.write_all(piece).await.is_err() {
                    return;
                }
            }
        });
        let mut exchange = Exchange::new(Box::new(near));
        let reply = exchange.hear().await;
        let held = exchange.reply.line.capacity() + exchange.reply.text.capacity() + exchange.ahead.capacity();
        let begun = exchange.begun();
        drop(exchange);
        talk.await.unwrap();
        (reply, begun, held)
    }

    #[tokio::test]
    async fn the_code_counts_and_the_text_is_read_as_well_as_it_can_be() {
        for size in [1, 3, 64] {
            let check = async |bytes: &[u8], code: u16, text: &str| {
                let reply = heard(bytes, size).await.0.unwrap();
                assert_eq!((reply.code, reply.text().as_str()), (code, text), "{}", bytes.escape_ascii());
            };
            check(b"250 ok\r\n", 250, "ok").await;
            check(b"250 ok\n", 250, "ok").await;
            check(b"250\r\n", 250, "").await;
            check(b"250 \r\n", 250, "").await;
            check(b"250-a\r\n250-b\n250 c\r\n", 250, "a b c").await;
            check(b"550-5.1.1 no such\r\n550 5.1.1 user\r\n", 550, "5.1.1 no such user").await;
            check(b"550-5.1.1 no\r\n554 user\r\n", 554, "5.1.1 no user").await;
            check(b"550 5.1.1 bo\xeete inconnue\r\n", 550, "5.1.1 bo\u{fffd}te inconnue").await;
            check(b"550 5.1.1 \x83\x86\x81[\x83U\r\n", 550, "5.1.1 \u{fffd}\u{fffd}\u{fffd}[\u{fffd}U").await;
            check(b"550 5.1.1 user\0unknown\x1b[2J\r\n", 550, "5.1.1 user unknown [2J").await;
            check(b"299 ok\r\n", 299, "ok").await;
        }
    }

    #[tokio::test]
    async fn what_is_no_reply_is_not_taken_for_one() {
        for text in [
            "hello\r\n",
            "\r\n",
            " 250 ok\r\n",
            "25 ok\r\n",
            "2500 ok\r\n",
            "250ok\r\n",
            "150 ok\r\n",
            "650 ok\r\n",
            "000 ok\r\n",
            "2x0 ok\r\n",
            "250-a\r\n550 b\r\n",
            "250\r ok\r\n",
            "550-a\r\n250 b\r\n",
            "250-a\r\nb\r\n",
        ] {
            assert!(matches!(heard(text.as_bytes(), 64).await.0, Err(Broken::NotSmtp)), "{text:?}");
        }
        for text in ["", "2", "250", "250-a\r\n", "250-a\r\n250", "250 o", "250-a\r\n250 o"] {
            let (reply, begun, _) = heard(text.as_bytes(), 64).await;
            assert!(matches!(reply, Err(Broken::Closed)), "{text:?}");
            assert_eq!(begun.is_some(), text.ends_with('o'), "{text:?}");
        }
    }

    #[tokio::test]
    async fn what_does_not_end_takes_no_memory() {
        let check = async |line: &[u8], times: usize| {
            let (reply, _, held) = heard(&line.repeat(times), 4096).await;
            assert!(held < 3 * REPLY, "{held}");
            reply
        };
        assert!(matches!(check(b"250-more\r\n", 1 << 17).await, Err(Broken::Endless)));
        assert!(matches!(check(b"250-\r\n", 1 << 18).await, Err(Broken::Endless)));
        assert!(matches!(check(b"x", 1 << 21).await, Err(Broken::Endless)));
        let long = [b"550 5.1.1 unknown ".as_slice(), &vec![b'x'; 1 << 21]].concat();
        let reply = check(&long, 1).await.unwrap();
        assert_eq!((reply.code, reply.text().len()), (550, LINE - 4));
        let long = [b"250 ".as_slice(), &vec![b'\xff'; 100_000], b"\r\n"].concat();
        assert_eq!(check(&long, 1).await.unwrap().code, 250);
        let many = [b"250-AN-EXTENSION\r\n".repeat(10_000).as_slice(), b"250 SIZE\r\n"].concat();
        assert_eq!(check(&many, 1).await.unwrap().code, 250);
    }
}
