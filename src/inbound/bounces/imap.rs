//! A mailbox on an IMAP server (RFC 3501): which mails wait there, reading them, putting them away,
//! waiting for more. The only file that names async-imap.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::io;
use std::time::Duration;

use async_imap::error::Error;
use async_imap::imap_proto::{AttributeValue, MailboxDatum, RequestId, Response, ResponseCode, Status};
use async_imap::{Client, Session};
use data_encoding::BASE64_NOPAD;
use secrecy::ExposeSecret;
use tokio::io::{AsyncRead, AsyncWrite, BufWriter};
use tokio::net::TcpStream;
use tokio::time::timeout;

mod bounded;

use bounded::Bounded;

use super::classify::LARGEST;
use crate::settings::{Encryption, Imap, Then};
use crate::tls::{self, Tls, TlsError};

/// The port for TLS from the first byte.
const PORT: u16 = 993;

/// How long a server is waited for.
const ANSWER: Duration = Duration::from_secs(60);
/// The same for a mail, which may be large.
const MAIL: Duration = Duration::from_secs(300);

/// Mails that are looked at in one search: one answer holds their numbers.
const SEARCHED: u32 = 20_000;
/// Mails that are taken in one go; there may be more.
const TAKEN: usize = 100_000;

/// Why a mailbox cannot be worked on.
#[derive(Debug, thiserror::Error)]
pub enum ImapError {
    #[error("cannot reach the mailbox's server: {0}")]
    Away(String),
    #[error(transparent)]
    Settings(#[from] TlsError),
    /// A certificate, or no encryption at all.
    #[error("{0}")]
    Encryption(String),
    #[error("the mailbox's server refuses `username` and `password`: {0}")]
    Login(String),
    #[error("cannot use the mailbox `{mailbox}`: {reply}")]
    Mailbox { mailbox: String, reply: String },
    /// Anything else that it says no to.
    #[error("the mailbox's server refuses {command}: {reply}")]
    Refused { command: String, reply: String },
}

impl ImapError {
    /// Whether it stays so until a person does something.
    pub const fn is_lasting(&self) -> bool {
        !matches!(self, Self::Away(_))
    }
}

/// What the bytes go through, encrypted or not.
trait Wire: AsyncRead + AsyncWrite + Unpin + Debug + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Debug + Send> Wire for T {}

type Line = Bounded<Box<dyn Wire>>;

/// A mailbox that is open.
pub struct Connection {
    session: Session<Line>,
    then: Then,
    /// How many mails are in it.
    mails: u32,
    /// Whether mails arrived that no search has seen.
    has_news: bool,
    /// IDLE (RFC 2177): says when mail arrives.
    can_idle: bool,
    /// UIDPLUS (RFC 4315): removes the mails that are named, and no others.
    can_expunge: bool,
    /// MOVE (RFC 6851).
    can_move: bool,
}

impl Connection {
    /// Connects, encrypts, logs in, and opens the mailbox.
    pub async fn open(settings: &Imap) -> Result<Self, ImapError> {
        let tls = match settings.tls {
            Encryption::None => None,
            _ => Some(Tls::new(&settings.host, settings.ca_file.as_deref())?),
        };
        let tcp = timeout(ANSWER, TcpStream::connect((settings.host.as_str(), settings.port)));
        let tcp = tcp.await.map_err(|_| silent())?.map_err(|error| broken(&error))?;
        Self::open_on(whole(tcp), settings, tls.as_ref()).await
    }

    /// The same on a wire that is connected.
    async fn open_on(wire: Box<dyn Wire>, settings: &Imap, tls: Option<&Tls>) -> Result<Self, ImapError> {
        let client = greeted(wire, settings, tls).await?;
        let login = client.login(&settings.username, settings.password.expose_secret());
        let session = match timeout(ANSWER, login).await {
            Err(_) => return Err(silent()),
            Ok(Ok(session)) => session,
            Ok(Err((Error::No(reply) | Error::Bad(reply), _))) => {
                // The name is often an address.
                let words = said(&reply).replace(&settings.username, "…");
                return Err(if passes(&reply) { ImapError::Away(words) } else { ImapError::Login(words) });
            }
            Ok(Err((error, _))) => return Err(lost(&error)),
        };
        let then = settings.then.clone();
        let mut opened =
            Self { session, then, mails: 0, has_news: false, can_idle: false, can_expunge: false, can_move: false };
        let capabilities = timeout(ANSWER, opened.session.capabilities()).await.map_err(|_| silent())?;
        let capabilities = capabilities.map_err(|error| lost(&error))?;
        opened.can_idle = capabilities.has_str("IDLE");
        opened.can_expunge = capabilities.has_str("UIDPLUS");
        opened.can_move = capabilities.has_str("MOVE");
        opened.select(&settings.mailbox).await?;
        Ok(opened)
    }

    async fn select(&mut self, mailbox: &str) -> Result<(), ImapError> {
        if let Then::Move(target) = self.then.clone() {
            let status = format!("STATUS {} (UIDNEXT)", quoted(&target));
            self.command(&status, |_| {}).await.map_err(|error| of_mailbox(error, &target))?;
        }
        let mut read_only = false;
        let select = format!("SELECT {}", quoted(mailbox));
        let hear = |answer: &Response<'_>| {
            if let Response::Done { outcome, .. } = answer {
                read_only = outcome.code == Some(ResponseCode::ReadOnly);
            }
        };
        self.command(&select, hear).await.map_err(|error| of_mailbox(error, mailbox))?;
        if read_only {
            let reply = "it can only be read, so no mail could be put away".to_owned();
            return Err(ImapError::Mailbox { mailbox: mailbox.to_owned(), reply });
        }
        Ok(())
    }

    /// The mails that were not put away yet, the oldest first.
    pub async fn waiting(&mut self) -> Result<Vec<u32>, ImapError> {
        // Lets the server look, too, where it does not by itself.
        self.command("NOOP", |_| {}).await?;
        self.has_news = false;
        let wanted = match self.then {
            Then::Seen => "UNSEEN UNDELETED",
            Then::Move(_) if self.can_move => "UNDELETED",
            // Also those that were marked when the line was cut, before they could be removed.
            Then::Delete | Then::Move(_) if self.can_expunge => "ALL",
            Then::Delete | Then::Move(_) => "UNDELETED",
        };
        let mut waiting = BTreeSet::new();
        let mut first = 1;
        while waiting.len() < TAKEN {
            let last = u32::saturating_add(first, SEARCHED - 1);
            let search = match (first, last >= self.mails) {
                (1, true) => format!("UID SEARCH {wanted}"),
                (_, true) => format!("UID SEARCH {first}:* {wanted}"),
                _ => format!("UID SEARCH {first}:{last} {wanted}"),
            };
            let hear = |answer: &Response<'_>| {
                if let Response::MailboxData(MailboxDatum::Search(uids)) = answer {
                    waiting.extend(uids);
                }
            };
            self.command(&search, hear).await?;
            if last >= self.mails {
                break;
            }
            first = last + 1;
        }
        Ok(waiting.into_iter().take(TAKEN).collect())
    }

    /// Begins to read mails, each up to the size that is looked at. They stay unread.
    pub async fn read(&mut self, uids: &[u32]) -> Result<Reading<'_>, ImapError> {
        let tag = self.say(&format!("UID FETCH {} (UID BODY.PEEK[]<0.{LARGEST}>)", set(uids))).await?;
        Ok(Reading { connection: self, tag, asked: uids.iter().copied().collect() })
    }

    /// Marks, deletes or moves mails, as the settings say.
    pub async fn put_away(&mut self, uids: &[u32]) -> Result<(), ImapError> {
        if uids.is_empty() {
            return Ok(());
        }
        let uids = set(uids);
        match self.then.clone() {
            Then::Seen => self.command(&format!("UID STORE {uids} +FLAGS.SILENT (\\Seen)"), |_| {}).await,
            Then::Delete => self.delete(&uids).await,
            Then::Move(target) if self.can_move => {
                self.command(&format!("UID MOVE {uids} {}", quoted(&target)), |_| {}).await
            }
            Then::Move(target) => {
                self.command(&format!("UID COPY {uids} {}", quoted(&target)), |_| {}).await?;
                self.delete(&uids).await
            }
        }
    }

    /// Where the server cannot remove some mails alone they stay marked as deleted: EXPUNGE would remove
    /// what somebody else has marked.
    async fn delete(&mut self, uids: &str) -> Result<(), ImapError> {
        self.command(&format!("UID STORE {uids} +FLAGS.SILENT (\\Deleted)"), |_| {}).await?;
        if self.can_expunge {
            self.command(&format!("UID EXPUNGE {uids}"), |_| {}).await?;
        }
        Ok(())
    }

    /// Waits until mail arrives, if the server can say so, and at most `longest`.
    pub async fn wait(&mut self, longest: Duration) -> Result<(), ImapError> {
        if self.has_news {
            return Ok(());
        }
        if !self.can_idle {
            tokio::time::sleep(longest).await;
            return Ok(());
        }
        let tag = self.say("IDLE").await?;
        // Until the server listens, or says that it does not.
        loop {
            let begun = |answer: &Response<'_>| match answer {
                Response::Continue(_) => Some(Ok(())),
                answer => end("IDLE", &tag, answer).map(|ended| ended.and(Err(closed()))),
            };
            if let Some(begun) = self.hear(ANSWER, begun).await? {
                break begun?;
            }
        }
        let news = async {
            while !self.has_news {
                self.hear(Duration::MAX, |_| ()).await?;
            }
            Ok::<(), ImapError>(())
        };
        timeout(longest, news).await.unwrap_or(Ok(()))?;
        let done = timeout(ANSWER, self.session.run_command_untagged("DONE")).await.map_err(|_| silent())?;
        done.map_err(|error| lost(&error))?;
        self.end_of("IDLE", &tag, |_| {}).await
    }

    /// Says goodbye; how that goes changes nothing.
    pub async fn close(mut self) {
        let _ = timeout(Duration::from_secs(5), self.session.logout()).await;
    }

    /// Runs a command; `hear` gets every answer.
    async fn command(&mut self, command: &str, hear: impl FnMut(&Response<'_>)) -> Result<(), ImapError> {
        let tag = self.say(command).await?;
        self.end_of(command, &tag, hear).await
    }

    async fn end_of(
        &mut self,
        command: &str,
        tag: &RequestId,
        mut hear: impl FnMut(&Response<'_>),
    ) -> Result<(), ImapError> {
        loop {
            let ended = |answer: &Response<'_>| {
                hear(answer);
                end(command, tag, answer)
            };
            if let Some(ended) = self.hear(ANSWER, ended).await? {
                return ended;
            }
        }
    }

    async fn say(&mut self, command: &str) -> Result<RequestId, ImapError> {
        let said = timeout(ANSWER, self.session.run_command(command)).await.map_err(|_| silent())?;
        said.map_err(|error| lost(&error))
    }

    /// The next answer, as `read` sees it. Giving up on it loses nothing.
    async fn hear<T>(&mut self, longest: Duration, read: impl FnOnce(&Response<'_>) -> T) -> Result<T, ImapError> {
        let heard = timeout(longest, self.session.read_response()).await.map_err(|_| silent())?;
        let answer = heard.map_err(|error| broken(&error))?.ok_or_else(closed)?;
        match answer.parsed() {
            Response::MailboxData(MailboxDatum::Exists(mails)) => (self.mails, self.has_news) = (*mails, true),
            Response::Expunge(_) => self.mails = self.mails.saturating_sub(1),
            _ => {}
        }
        Ok(read(answer.parsed()))
    }
}

/// Mails that are being read.
pub struct Reading<'c> {
    connection: &'c mut Connection,
    tag: RequestId,
    /// Those that have not come.
    asked: BTreeSet<u32>,
}

impl Reading<'_> {
    /// The next mail by its number. What the server does not give stays where it is.
    pub async fn next(&mut self) -> Result<Option<(u32, Vec<u8>)>, ImapError> {
        loop {
            let step = |answer: &Response<'_>| match answer {
                // Others change flags, which is told, too.
                Response::Fetch(_, attributes) => mail_of(attributes).map(Some),
                answer => end("UID FETCH", &self.tag, answer).map(|ended| {
                    // Another process may have been faster.
                    if let Err(error) = ended {
                        tracing::info!(%error, "not all mails of the mailbox could be read");
                    }
                    None
                }),
            };
            let Some(step) = self.connection.hear(MAIL, step).await? else { continue };
            if step.as_ref().is_some_and(|(uid, _)| !self.asked.remove(uid)) {
                return Err(ImapError::Away("it gives a mail that was not asked for".to_owned()));
            }
            return Ok(step);
        }
    }
}

fn mail_of(attributes: &[AttributeValue<'_>]) -> Option<(u32, Vec<u8>)> {
    let uid = attributes.iter().find_map(|attribute| match attribute {
        AttributeValue::Uid(uid) => Some(*uid),
        _ => None,
    });
    let mail = attributes.iter().find_map(|attribute| match attribute {
        AttributeValue::BodySection { section: None, data, .. } => data.as_deref(),
        _ => None,
    });
    Some((uid?, mail?.to_vec()))
}

/// A connection that is encrypted as the settings say, and has not logged in.
async fn greeted(mut wire: Box<dyn Wire>, settings: &Imap, tls: Option<&Tls>) -> Result<Client<Line>, ImapError> {
    let host = settings.host.as_str();
    if let (Encryption::Implicit, Some(tls)) = (settings.tls, tls) {
        wire = encrypted(wire, tls, host).await?;
    }
    let mut client = Client::new(Bounded::new(wire));
    let greeting = timeout(ANSWER, client.read_response()).await.map_err(|_| silent())?;
    match greeting.map_err(|error| broken(&error))?.ok_or_else(closed)?.parsed() {
        Response::Data { status: Status::Ok, .. } => {}
        Response::Data { outcome, .. } => return Err(ImapError::Away(text(outcome.information.as_deref()))),
        _ => return Err(ImapError::Away("its greeting is not IMAP".to_owned())),
    }
    let (Encryption::Starttls, Some(tls)) = (settings.tls, tls) else { return Ok(client) };
    match timeout(ANSWER, client.run_command_and_check_ok("STARTTLS", None)).await.map_err(|_| silent())? {
        Ok(()) => {}
        Err(Error::No(_) | Error::Bad(_)) => {
            return Err(ImapError::Encryption(format!(
                "the mailbox's server does not offer STARTTLS, and `tls: starttls` requires it; write `tls: implicit` for port {PORT}"
            )));
        }
        Err(error) => return Err(lost(&error)),
    }
    // Whoever can write into the connection before it is encrypted would be believed afterwards.
    let line = client.into_inner();
    if !line.has_one_answer() {
        return Err(ImapError::Encryption(
            "the mailbox's server says more than its answer to STARTTLS in the clear; somebody on the way may speak for it"
                .to_owned(),
        ));
    }
    Ok(Client::new(Bounded::new(encrypted(line.inner, tls, host).await?)))
}

async fn encrypted(wire: Box<dyn Wire>, tls: &Tls, host: &str) -> Result<Box<dyn Wire>, ImapError> {
    let shaken = timeout(ANSWER, tls.connect(wire)).await.map_err(|_| silent())?;
    let stream = shaken.map_err(|error| broken_at(&error, host))?;
    Ok(whole(stream))
}

/// Sends a command as one: the library writes it piece by piece, and each piece would wait 40 ms for
/// the server's delayed acknowledgement of the one before.
fn whole(wire: impl Wire + 'static) -> Box<dyn Wire> {
    Box::new(BufWriter::new(wire))
}

/// How a command ended, if this is the answer that ends it.
fn end(command: &str, tag: &RequestId, answer: &Response<'_>) -> Option<Result<(), ImapError>> {
    let Response::Done { tag: of, status, outcome } = answer else { return None };
    if of != tag {
        return None;
    }
    if *status == Status::Ok {
        return Some(Ok(()));
    }
    if passes(&format!("{outcome:?}")) {
        return Some(Err(ImapError::Away(text(outcome.information.as_deref()))));
    }
    // Without the numbers and names behind it.
    let words: Vec<&str> = command.split(' ').take(if command.starts_with("UID") { 2 } else { 1 }).collect();
    Some(Err(ImapError::Refused { command: words.join(" "), reply: text(outcome.information.as_deref()) }))
}

fn of_mailbox(error: ImapError, mailbox: &str) -> ImapError {
    match error {
        ImapError::Refused { reply, .. } => ImapError::Mailbox { mailbox: mailbox.to_owned(), reply },
        other => other,
    }
}

/// Whether a refusal is one that passes (RFC 5530): the server lacks something itself, or somebody else has the mailbox.
fn passes(refusal: &str) -> bool {
    let refusal = refusal.to_uppercase();
    ["UNAVAILABLE", "INUSE"].iter().any(|code| refusal.contains(code))
}

/// A server's words, as many as anybody needs.
fn text(reply: Option<&str>) -> String {
    reply.filter(|text| !text.is_empty()).unwrap_or("it does not say why").chars().take(200).collect()
}

/// The words in the library's text of a refusal: `code: …, info: Some("…")`.
fn said(refusal: &str) -> String {
    let words = refusal.split_once("info: Some(\"").and_then(|(_, rest)| rest.strip_suffix("\")"));
    text(words)
}

fn silent() -> ImapError {
    ImapError::Away("it does not answer".to_owned())
}

fn closed() -> ImapError {
    ImapError::Away("the connection was closed".to_owned())
}

fn lost(error: &Error) -> ImapError {
    match error {
        Error::Io(error) => broken(error),
        Error::ConnectionLost => closed(),
        // The library's own words may quote a mail.
        _ => ImapError::Away("its answer is not IMAP".to_owned()),
    }
}

fn broken(error: &io::Error) -> ImapError {
    match error.kind() {
        io::ErrorKind::Other => ImapError::Away("its answer is not IMAP".to_owned()),
        io::ErrorKind::UnexpectedEof => closed(),
        io::ErrorKind::FileTooLarge => ImapError::Away("its answer is larger than any may be".to_owned()),
        _ => ImapError::Away(error.to_string()),
    }
}

fn broken_at(error: &io::Error, host: &str) -> ImapError {
    tls::complaint(error, host, PORT).map_or_else(|| broken(error), ImapError::Encryption)
}

/// Numbers of mails in order, runs of them as `first:last`.
fn set(uids: &[u32]) -> String {
    let runs = uids.chunk_by(|one, next| one.checked_add(1) == Some(*next));
    let written = runs.map(|run| match run {
        [first, .., last] => format!("{first}:{last}"),
        _ => run.iter().map(u32::to_string).collect(),
    });
    written.collect::<Vec<_>>().join(",")
}

/// A mailbox's name as it is said: in quotes, and in the modified UTF-7 of RFC 3501, 5.1.3.
fn quoted(name: &str) -> String {
    let mut out = String::from("\"");
    let is_plain = |c: char| matches!(c, ' '..='~');
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        if is_plain(c) {
            match c {
                '&' => out.push_str("&-"),
                '"' | '\\' => out.extend(['\\', c]),
                _ => out.push(c),
            }
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let end = rest.find(is_plain).unwrap_or(rest.len());
        let units: Vec<u8> = rest[..end].encode_utf16().flat_map(u16::to_be_bytes).collect();
        out.push('&');
        out.push_str(&BASE64_NOPAD.encode(&units).replace('/', ","));
        out.push('-');
        rest = &rest[end..];
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests;
