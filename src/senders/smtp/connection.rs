//! One SMTP connection and the conversation on it (RFC 5321), with command pipelining where the
//! server offers it (RFC 2920). A refusal does not cost the connection; a lost answer does.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::Mechanism;
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::commands::{Data, Ehlo, Mail as MailFrom, Rcpt, Rset};
use lettre::transport::smtp::extension::{Extension, MailParameter};
use lettre::transport::smtp::response::{Response, Severity};
use tokio::net::TcpStream;

use super::Shared;
use super::reply::{self, Stage};
use super::tls::{self, Encrypted};
use super::wire::{Unsent, Wire};
use crate::senders::mail::Mail;
use crate::senders::{AWAY, Blame, MISCONFIGURED, Outcome};

/// QUIT is a courtesy: the answer is not worth more waiting than this.
const GOODBYE: Duration = Duration::from_secs(1);

/// How a message's turn on the connection ended.
pub(super) enum Sent {
    /// With an answer; the connection can be used again.
    Done(Outcome),
    /// The connection cannot be used again.
    Closed(Outcome),
}

pub(super) struct Connection {
    smtp: AsyncSmtpConnection,
    unsent: Unsent,
    pipelining: bool,
    size: bool,
    messages: u32,
    /// A transaction was left half-way: it begins with RSET.
    dirty: bool,
}

/// The answer to one command.
enum Answer {
    Yes(Response),
    No {
        code: u16,
        text: String,
    },
    /// None that can be understood.
    Lost(String),
}

impl From<Result<Response, Error>> for Answer {
    fn from(result: Result<Response, Error>) -> Self {
        match result {
            Ok(response) => Self::Yes(response),
            Err(error) => match error.status() {
                Some(code) => {
                    Self::No { code: code.into(), text: error.source().map(ToString::to_string).unwrap_or_default() }
                }
                None => Self::Lost(why(&error)),
            },
        }
    }
}

impl Connection {
    /// Connects, greets, encrypts and authenticates, as the options say.
    pub(super) async fn open(shared: &Shared, stage: &mut Stage) -> Result<Self, Outcome> {
        let options = &shared.options;
        let away = |why: String| Outcome::Pause { reply: format!("cannot reach the mail server: {why}"), pause: AWAY };
        let tcp =
            TcpStream::connect((options.host.as_str(), options.port)).await.map_err(|error| away(error.to_string()))?;
        let unsent = Unsent::default();
        let wire = Wire::new(tcp, unsent.clone()).map_err(|error| away(error.to_string()))?;
        let wire: Box<dyn AsyncTokioStream> = match &shared.implicit {
            None => Box::new(wire),
            Some(tls) => {
                let stream = tls.connect(wire).await.map_err(|error| match tls::complaint(&error, &options.host) {
                    Some(reply) => Outcome::Pause { reply, pause: MISCONFIGURED },
                    None => away(error.to_string()),
                })?;
                Box::new(Encrypted(Box::new(stream)))
            }
        };
        let connected = AsyncSmtpConnection::connect_with_transport(wire, &shared.hello).await;
        let mut smtp = connected.map_err(|error| failed(Stage::Connect, error))?;

        if let Some(tls) = &shared.upgrade {
            if !smtp.can_starttls() {
                let reply = "the mail server does not offer STARTTLS, and `tls: starttls` requires it; ask for its port with TLS, or write `tls: implicit` for port 465".to_owned();
                return Err(Outcome::Pause { reply, pause: MISCONFIGURED });
            }
            smtp.starttls(tls.clone(), &shared.hello).await.map_err(|error| tls_failed(error, &options.host))?;
        }
        // lettre keeps only the extensions it uses itself; the list after STARTTLS is the one that counts.
        let offers =
            smtp.command(Ehlo::new(shared.hello.clone())).await.map_err(|error| failed(Stage::Connect, error))?;
        let offers = |name: &str| {
            offers.message().any(|line| line.split(' ').next().is_some_and(|word| word.eq_ignore_ascii_case(name)))
        };
        let (pipelining, size) = (offers("PIPELINING"), offers("SIZE"));

        if let Some(credentials) = &shared.credentials {
            *stage = Stage::Auth;
            let known = [Mechanism::Plain, Mechanism::Login];
            let offered =
                |mechanism: &Mechanism| smtp.server_info().supports_feature(Extension::Authentication(*mechanism));
            if !known.iter().any(offered) {
                let reply = "the mail server offers neither AUTH PLAIN nor AUTH LOGIN here".to_owned();
                return Err(Outcome::Pause { reply, pause: MISCONFIGURED });
            }
            smtp.auth(&known, credentials).await.map_err(|error| failed(Stage::Auth, error))?;
        }
        Ok(Self { smtp, unsent, pipelining, size, messages: 0, dirty: false })
    }

    /// Hands one mail over. `stage` is kept current for the case that this is cut off.
    pub(super) async fn send(&mut self, mail: &Mail, stage: &mut Stage) -> Sent {
        *stage = Stage::Mail;
        self.messages += 1;
        match self.begin(mail, stage).await {
            Ok(()) => self.body(mail, stage).await,
            Err(sent) => sent,
        }
    }

    pub(super) fn messages(&self) -> u32 {
        self.messages
    }

    pub(super) fn has_sent_all(&self) -> bool {
        !self.unsent.is_set()
    }

    /// Says goodbye and does not wait long for the answer.
    pub(super) async fn quit(&mut self) {
        // Whatever the answer is, the connection is dropped next.
        let _ = tokio::time::timeout(GOODBYE, self.smtp.quit()).await;
    }

    /// MAIL, RCPT and DATA. Ends well when the server waits for the mail.
    async fn begin(&mut self, mail: &Mail, stage: &mut Stage) -> Result<(), Sent> {
        let size = if self.size { vec![MailParameter::Size(mail.text.len())] } else { Vec::new() };
        let from = MailFrom::new(Some(mail.from.clone()), size);
        let to = Rcpt::new(mail.to.clone(), Vec::new());
        if self.pipelining {
            return self.begin_pipelined(&from, &to, mail, stage).await;
        }
        if self.dirty {
            let answer = self.smtp.command(Rset).await.into();
            self.reset(answer)?;
        }
        // A transaction is open from here on until the final dot.
        self.dirty = true;
        for (at, command) in
            [(Stage::Mail, from.to_string()), (Stage::Rcpt, to.to_string()), (Stage::Data, Data.to_string())]
        {
            *stage = at;
            match self.smtp.command(command).await.into() {
                Answer::Yes(response) if at != Stage::Data || response.has_code(354) => {}
                answer => return Err(self.ended(at, answer, mail)),
            }
        }
        Ok(())
    }

    async fn begin_pipelined(
        &mut self,
        from: &MailFrom,
        to: &Rcpt,
        mail: &Mail,
        stage: &mut Stage,
    ) -> Result<(), Sent> {
        let mut commands = String::with_capacity(256);
        if self.dirty {
            let _ = write!(commands, "{Rset}");
        }
        let _ = write!(commands, "{from}{to}{Data}");
        let mut first = Some(Answer::from(self.smtp.command(commands).await));
        if self.dirty {
            let answer = self.next(&mut first).await;
            self.reset(answer)?;
        }
        self.dirty = true;
        // All answers are read even after a refusal: they are on their way.
        let mut refusal = None;
        for at in [Stage::Mail, Stage::Rcpt] {
            *stage = at;
            match self.next(&mut first).await {
                Answer::Yes(_) => {}
                answer @ Answer::No { code, .. } if code != 421 => {
                    refusal.get_or_insert((at, answer));
                }
                // RFC 5321, 3.8: after 421 the server closes.
                answer => return Err(self.ended(at, answer, mail)),
            }
        }
        *stage = Stage::Data;
        let data = self.next(&mut first).await;
        let waits = matches!(&data, Answer::Yes(response) if response.has_code(354));
        match (refusal, waits) {
            (None, true) => Ok(()),
            (None, false) => Err(self.ended(Stage::Data, data, mail)),
            (Some((at, refusal)), waits) => {
                let outcome = self.ended(at, refusal, mail);
                let open = match data {
                    Answer::Lost(_) | Answer::No { code: 421, .. } => false,
                    // RFC 2920, 3.1: DATA was accepted without a recipient. A lone dot ends it; nobody gets it.
                    Answer::Yes(_) if waits => self.lone_dot().await,
                    _ => true,
                };
                Err(match outcome {
                    Sent::Done(outcome) if !open => Sent::Closed(outcome),
                    other => other,
                })
            }
        }
    }

    /// The next answer; the first one came with the command.
    async fn next(&mut self, first: &mut Option<Answer>) -> Answer {
        match first.take() {
            Some(answer) => answer,
            None => self.smtp.read_response().await.into(),
        }
    }

    async fn lone_dot(&mut self) -> bool {
        self.dirty = false;
        !matches!(self.smtp.command(".\r\n").await.into(), Answer::Lost(_) | Answer::No { code: 421, .. })
    }

    fn reset(&mut self, answer: Answer) -> Result<(), Sent> {
        match answer {
            Answer::Yes(_) => {
                self.dirty = false;
                Ok(())
            }
            Answer::No { code, .. } => {
                Err(Sent::Closed(Outcome::Retry { reply: format!("RSET: {code}"), blame: Blame::Nobody }))
            }
            Answer::Lost(why) => Err(Sent::Closed(reply::lost(Stage::Mail, true, &why))),
        }
    }

    /// The mail and its final dot in one write, and the answer that counts.
    async fn body(&mut self, mail: &Mail, stage: &mut Stage) -> Sent {
        *stage = Stage::Dot;
        // The final dot ends the transaction, whatever the answer to it is.
        self.dirty = false;
        match self.smtp.command(stuffed(&mail.text)).await.into() {
            Answer::Yes(response) if response.code().severity == Severity::PositiveCompletion => {
                Sent::Done(Outcome::Sent { reference: response.first_line().and_then(reply::reference) })
            }
            answer => self.ended(Stage::Dot, answer, mail),
        }
    }

    /// What an answer other than the hoped-for one does to the message and the connection.
    fn ended(&self, stage: Stage, answer: Answer, mail: &Mail) -> Sent {
        match answer {
            Answer::No { code, text } => {
                let outcome = reply::refused(stage, code, &text, mail.to.as_ref());
                if code == 421 { Sent::Closed(outcome) } else { Sent::Done(outcome) }
            }
            Answer::Yes(response) => {
                let why = format!("{} is no answer to this", response.code());
                Sent::Closed(reply::lost(stage, self.has_sent_all(), &why))
            }
            Answer::Lost(why) => Sent::Closed(reply::lost(stage, self.has_sent_all(), &why)),
        }
    }
}

/// The mail as it goes over the wire: a dot in front of each line that begins with one, and the
/// final dot (RFC 5321, 4.5.2).
fn stuffed(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    if text.starts_with('.') {
        out.push('.');
    }
    let mut rest = text;
    while let Some(at) = rest.find("\r\n.") {
        out.push_str(&rest[..at + 2]);
        out.push('.');
        rest = &rest[at + 2..];
    }
    out.push_str(rest);
    if !text.ends_with("\r\n") {
        out.push_str("\r\n");
    }
    out.push_str(".\r\n");
    out
}

fn failed(stage: Stage, error: Error) -> Outcome {
    match Answer::from(Err(error)) {
        Answer::No { code, text } => reply::refused(stage, code, &text, ""),
        Answer::Lost(why) => reply::lost(stage, true, &why),
        Answer::Yes(_) => reply::lost(stage, true, "an unexpected answer"),
    }
}

/// A certificate that does not convince stays so until somebody acts; a broken connection does not.
fn tls_failed(error: Error, host: &str) -> Outcome {
    match io_error(&error).and_then(|cause| tls::complaint(cause, host)) {
        Some(reply) => Outcome::Pause { reply, pause: MISCONFIGURED },
        None => failed(Stage::Connect, error),
    }
}

/// In our words: lettre's text is a chain that begins with "network error".
fn why(error: &Error) -> String {
    match io_error(error) {
        Some(cause) => cause.to_string(),
        None if error.is_response() => "the connection was closed, or the answer was not SMTP".to_owned(),
        None => error.to_string(),
    }
}

fn io_error(error: &Error) -> Option<&io::Error> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return Some(io);
        }
        source = cause.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_stuffed_once() {
        let check = |text: &str, expected: &str| assert_eq!(stuffed(text), expected);
        check("a\r\nb\r\n", "a\r\nb\r\n.\r\n");
        check("a\r\nb", "a\r\nb\r\n.\r\n");
        check(".a\r\n.\r\n..b\r\n", "..a\r\n..\r\n...b\r\n.\r\n");
        check("a.\r\nb.c\r\n", "a.\r\nb.c\r\n.\r\n");
        check("", "\r\n.\r\n");
    }
}
