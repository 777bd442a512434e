//! A wire on which no answer of a mailbox's server is larger than it may be. The library behind it holds an answer
//! whole, reads it from its beginning whenever more of it comes, and goes down as deep as its brackets go.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::classify::LARGEST;

/// The longest answer, without the mails in it: numbers of 20,000 mails.
const ANSWER: usize = 256 << 10;
/// The same of all answers to one command.
const ANSWERS: usize = 2 << 20;
/// All mails of an answer, and of all answers to one command.
const MAILS: [u64; 2] = [LARGEST as u64 + 4096, 64 * LARGEST as u64];
/// Brackets in brackets; what we ask for has two.
const DEPTH: usize = 8;

/// Where in an answer the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Text,
    /// Behind `{` and digits.
    Size(u64),
    /// Behind the `}`.
    Sized(u64),
    /// In a literal that has so many bytes left.
    Literal(u64),
}

#[derive(Debug)]
pub(super) struct Bounded<S> {
    pub inner: S,
    at: At,
    depth: usize,
    /// Of the answer that is being read, and of all since something was said: text, and mails.
    answer: (usize, u64),
    answers: (usize, u64),
    /// Answers that are whole, since something was said.
    whole: usize,
}

impl<S> Bounded<S> {
    pub(super) const fn new(inner: S) -> Self {
        Self { inner, at: At::Text, depth: 0, answer: (0, 0), answers: (0, 0), whole: 0 }
    }

    /// Whether one answer came to what was said last, and nothing behind it.
    pub(super) fn has_one_answer(&self) -> bool {
        self.whole == 1 && self.answer == (0, 0)
    }

    /// Takes note of what has come; an error where it is too much.
    fn watch(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while let [byte, more @ ..] = rest {
            if let At::Literal(left) = self.at {
                let here = left.min(rest.len() as u64);
                rest = &rest[usize::try_from(here).unwrap_or(rest.len())..];
                self.at = if left == here { At::Text } else { At::Literal(left - here) };
                continue;
            }
            rest = more;
            self.answer.0 += 1;
            self.answers.0 += 1;
            self.at = match (self.at, byte) {
                (At::Sized(size), b'\n') => {
                    self.answer.1 = self.answer.1.saturating_add(size);
                    self.answers.1 = self.answers.1.saturating_add(size);
                    if size == 0 { At::Text } else { At::Literal(size) }
                }
                (_, b'\n') => {
                    (self.answer, self.depth) = ((0, 0), 0);
                    self.whole += 1;
                    At::Text
                }
                (_, b'{') => At::Size(0),
                (At::Size(size), b'0'..=b'9') => {
                    At::Size(size.saturating_mul(10).saturating_add(u64::from(byte - b'0')))
                }
                (At::Size(size), b'+') => At::Size(size),
                (At::Size(size), b'}') | (At::Sized(size), b'\r') => At::Sized(size),
                _ => At::Text,
            };
            match byte {
                b'(' => self.depth += 1,
                b')' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            let is_large = self.answer.0 > ANSWER || self.answers.0 > ANSWERS;
            if is_large || self.answer.1 > MAILS[0] || self.answers.1 > MAILS[1] || self.depth > DEPTH {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the answer is larger than any may be"));
            }
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        Poll::Ready(self.watch(&buf.filled()[before..]))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        (self.answers, self.whole) = ((0, 0), 0);
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether all of it may come.
    fn passes(pieces: &[&[u8]]) -> bool {
        let mut bounded = Bounded::new(());
        pieces.iter().all(|piece| bounded.watch(piece).is_ok())
    }

    #[test]
    fn an_answer_has_a_largest_size() {
        let line = |size: usize| [vec![b'x'; size].as_slice(), b"\r\n"].concat();
        assert!(passes(&[&line(ANSWER - 2)]) && passes(&[&line(100_000), &line(200_000)]));
        assert!(!passes(&[&line(ANSWER)]));
        assert!(!passes(&[&b"* 1 EXISTS\r\n".repeat(ANSWERS / 12 + 1)]));
        let mail = vec![b'('; LARGEST];
        let head = format!("* 1 FETCH (UID 7 BODY[]<0> {{{LARGEST}}}\r\n");
        assert!(passes(&[head.as_bytes(), &mail, b")\r\n"]));
        assert!(!passes(&[head.as_bytes(), &mail, b" BODY[] {10000000}\r\n"]));
        for size in ["4294967295", "99999999999999999999999", "20000000", "4294967295+"] {
            assert!(!passes(&[format!("* 1 FETCH (BODY[] {{{size}}}\r\n").as_bytes()]), "{size}");
        }
        let nested = |depth: usize| format!("* 1 FETCH {}{}\r\n", "(".repeat(depth), ")".repeat(depth));
        assert!(passes(&[nested(8).as_bytes(), nested(8).as_bytes()]) && !passes(&[nested(9).as_bytes()]));
    }

    #[test]
    fn answers_are_counted_and_the_ends_of_lines_in_mails_are_not() {
        let mut bounded = Bounded::new(());
        bounded.watch(b"a {3}\r").unwrap();
        assert!(!bounded.has_one_answer());
        bounded.watch(b"\n\n\n").unwrap();
        bounded.watch(b"\n").unwrap();
        assert!(!bounded.has_one_answer());
        bounded.watch(b"b {0}\r\n {x} {3} c\r\n").unwrap();
        assert!(bounded.has_one_answer());
        bounded.watch(b"*").unwrap();
        assert!(!bounded.has_one_answer());
        bounded.watch(b"\r\n").unwrap();
        assert!(!bounded.has_one_answer());
    }
}
