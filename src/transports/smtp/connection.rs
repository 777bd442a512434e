//! One SMTP connection and the conversation on it (RFC 5321), with command pipelining where the
//! server offers it (RFC 2920). A refusal does not cost the connection; a lost answer does.

use std::fmt::Write as _;
use std::time::Duration;

use data_encoding::BASE64;
use secrecy::ExposeSecret;
use tokio::net::TcpStream;

use super::exchange::{Broken, Exchange, Reply, Stream};
use super::reply::{self, Stage};
use super::wire::{Unsent, Wire};
use super::{PORT, Shared};
use crate::tls::{self, Tls};
use crate::transports::mail::Mail;
use crate::transports::{AWAY, Blame, MISCONFIGURED, Outcome};

/// QUIT is a courtesy: the answer is not worth more waiting than this.
const GOODBYE: Duration = Duration::from_secs(1);

const RSET: &str = "RSET\r\n";
const DATA: &str = "DATA\r\n";

/// How a message's turn on the connection ended.
#[derive(Debug)]
pub(super) enum Sent {
    /// With an answer; the connection can be used again.
    Done(Outcome),
    /// The connection cannot be used again.
    Closed(Outcome),
}

pub(super) struct Connection {
    exchange: Exchange,
    unsent: Unsent,
    /// What the server said to EHLO, in upper case.
    offers: Vec<String>,
    pipelining: bool,
    size: bool,
    messages: u32,
    /// A transaction was left half-way: it begins with RSET.
    dirty: bool,
}

/// The answer to one command.
enum Answer {
    /// 2yz, and 3yz where the server wants more.
    Yes(Reply),
    No {
        code: u16,
        text: String,
    },
    /// None that can be understood.
    Lost(Broken),
}

impl From<Result<Reply, Broken>> for Answer {
    fn from(heard: Result<Reply, Broken>) -> Self {
        match heard {
            Ok(reply) if reply.code < 400 => Self::Yes(reply),
            Ok(reply) => Self::No { code: reply.code, text: reply.text() },
            Err(broken) => Self::Lost(broken),
        }
    }
}

impl Connection {
    /// Connects, greets, encrypts and authenticates, as the options say.
    pub(super) async fn open(shared: &Shared, stage: &mut Stage) -> Result<Self, Outcome> {
        let options = &shared.options;
        let away = |error: std::io::Error| away(&error.to_string());
        let tcp = TcpStream::connect((options.host.as_str(), options.port)).await.map_err(away)?;
        let unsent = Unsent::default();
        // Otherwise each mail would wait 40 ms for the server's delayed acknowledgement.
        tcp.set_nodelay(true).map_err(away)?;
        let wire = Wire { inner: tcp, unsent: unsent.clone() };
        let wire: Box<dyn Stream> = match (&shared.tls, options.tls) {
            (Some(tls), super::Tls::Implicit) => encrypted(Box::new(wire), tls, &options.host).await?,
            _ => Box::new(wire),
        };
        Self::begin_on(wire, unsent, shared, stage).await
    }

    /// The same on a wire that is connected.
    pub(super) async fn begin_on(
        wire: Box<dyn Stream>,
        unsent: Unsent,
        shared: &Shared,
        stage: &mut Stage,
    ) -> Result<Self, Outcome> {
        let mut connection = Self {
            exchange: Exchange::new(wire),
            unsent,
            offers: Vec::new(),
            pipelining: false,
            size: false,
            messages: 0,
            dirty: false,
        };
        let greeting = connection.answer().await;
        accepted(Stage::Connect, greeting)?;
        connection.greet(shared).await?;
        if let (Some(tls), super::Tls::Starttls) = (&shared.tls, shared.options.tls) {
            if !connection.offers("STARTTLS") {
                let reply = "the mail server does not offer STARTTLS, and `tls: starttls` requires it; ask for its port with TLS, or write `tls: implicit` for port 465".to_owned();
                return Err(Outcome::Pause { reply, pause: MISCONFIGURED });
            }
            let answer = connection.command("STARTTLS\r\n").await;
            accepted(Stage::Connect, answer)?;
            let wire = connection.exchange.into_wire().map_err(|broken| {
                away(&format!(
                    "{broken}, in the clear behind its answer to STARTTLS; somebody on the way may speak for it"
                ))
            })?;
            connection.exchange = Exchange::new(encrypted(wire, tls, &shared.options.host).await?);
            // What was offered in the clear counts for nothing (RFC 3207, 4.2).
            connection.greet(shared).await?;
        }
        connection.pipelining = connection.offers("PIPELINING");
        connection.size = connection.offers("SIZE");
        if shared.credentials.is_some() {
            *stage = Stage::Auth;
            connection.authenticate(shared).await?;
        }
        Ok(connection)
    }

    async fn greet(&mut self, shared: &Shared) -> Result<(), Outcome> {
        let answer = self.command(&format!("EHLO {}\r\n", shared.hello)).await;
        let offers = accepted(Stage::Connect, answer)?;
        self.offers = offers.lines().map(str::to_uppercase).collect();
        Ok(())
    }

    fn offers(&self, name: &str) -> bool {
        self.offers.iter().any(|line| line.split_whitespace().next() == Some(name))
    }

    /// AUTH PLAIN (RFC 4616), or LOGIN where nothing else is offered.
    async fn authenticate(&mut self, shared: &Shared) -> Result<(), Outcome> {
        let Some((name, password)) = &shared.credentials else { return Ok(()) };
        let password = password.expose_secret();
        // `AUTH=` is how servers before RFC 2554 said it.
        let offered = |mechanism: &str| {
            let mut lines = self.offers.iter().filter_map(|line| line.strip_prefix("AUTH"));
            lines.any(|line| line.split([' ', '=']).any(|word| word == mechanism))
        };
        let both = format!("\0{name}\0{password}");
        let [both, user, secret] = [&both, name, password].map(|text| BASE64.encode(text.as_bytes()));
        let commands = if offered("PLAIN") {
            vec![format!("AUTH PLAIN {both}")]
        } else if offered("LOGIN") {
            vec!["AUTH LOGIN".to_owned(), user.clone(), secret.clone()]
        } else {
            let reply = "the mail server offers neither AUTH PLAIN nor AUTH LOGIN here".to_owned();
            return Err(Outcome::Pause { reply, pause: MISCONFIGURED });
        };
        for (index, command) in commands.iter().enumerate() {
            match self.command(&format!("{command}\r\n")).await {
                Answer::Yes(reply) if reply.is_yes() => return Ok(()),
                Answer::Yes(reply) if reply.code == 334 && index + 1 < commands.len() => {}
                // Some servers quote what they do not understand.
                Answer::No { code, text } => {
                    let secrets = [&both, &user, &secret, password].into_iter().filter(|text| !text.is_empty());
                    let text = secrets.fold(text, |text, secret| text.replace(secret, "…"));
                    return Err(reply::refused(Stage::Auth, code, &text, name));
                }
                answer => return accepted(Stage::Auth, answer).map(|_| ()),
            }
        }
        Err(reply::lost(Stage::Auth, true, "the server asks for more than a name and a password"))
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

    /// What it means that no whole answer came.
    pub(super) fn unanswered(&self, stage: Stage, why: &str) -> Outcome {
        match self.exchange.begun() {
            // Its first words did.
            Some(200..300) if stage == Stage::Dot => Outcome::Sent { reference: None },
            begun => reply::lost(stage, begun.is_none() && !self.unsent.get(), why),
        }
    }

    /// Says goodbye and does not wait long for the answer.
    pub(super) async fn quit(&mut self) {
        // Whatever the answer is, the connection is dropped next.
        let _ = tokio::time::timeout(GOODBYE, self.command("QUIT\r\n")).await;
    }

    /// Says something that is answered once.
    async fn command(&mut self, text: &str) -> Answer {
        match self.say(text).await {
            Ok(()) => self.answer().await,
            Err(answer) => answer,
        }
    }

    async fn answer(&mut self) -> Answer {
        self.exchange.hear().await.into()
    }

    /// Says something. Where the server speaks first it has no answer, but may say that it closes (RFC 5321, 3.8).
    async fn say(&mut self, text: &str) -> Result<(), Answer> {
        match self.exchange.say(text).await {
            Err(Broken::Unasked) => Err(match self.answer().await {
                closes @ Answer::No { code: 421, .. } => closes,
                _ => Answer::Lost(Broken::Unasked),
            }),
            said => said.map_err(Answer::Lost),
        }
    }

    /// MAIL, RCPT and DATA. Ends well when the server waits for the mail.
    async fn begin(&mut self, mail: &Mail, stage: &mut Stage) -> Result<(), Sent> {
        let mut from = format!("MAIL FROM:<{}>", mail.from);
        if self.size {
            let _ = write!(from, " SIZE={}", mail.text.len());
        }
        let (from, to) = (format!("{from}\r\n"), format!("RCPT TO:<{}>\r\n", mail.to));
        if self.pipelining {
            let reset = if self.dirty { RSET } else { "" };
            return self.begin_pipelined(&format!("{reset}{from}{to}{DATA}"), mail, stage).await;
        }
        if self.dirty {
            let answer = self.command(RSET).await;
            self.reset(answer)?;
        }
        // A transaction is open from here on until the final dot.
        self.dirty = true;
        for (at, command) in [(Stage::Mail, from.as_str()), (Stage::Rcpt, to.as_str()), (Stage::Data, DATA)] {
            *stage = at;
            match self.command(command).await {
                Answer::Yes(reply) if at == Stage::Data && reply.code == 354 => {}
                Answer::Yes(reply) if at != Stage::Data && reply.is_yes() => {}
                answer => return Err(self.ended(at, answer, mail)),
            }
        }
        Ok(())
    }

    async fn begin_pipelined(&mut self, commands: &str, mail: &Mail, stage: &mut Stage) -> Result<(), Sent> {
        if let Err(answer) = self.say(commands).await {
            return Err(self.ended(Stage::Mail, answer, mail));
        }
        if self.dirty {
            let answer = self.answer().await;
            self.reset(answer)?;
        }
        self.dirty = true;
        // All answers are read even after a refusal: they are on their way.
        let mut refusal = None;
        for at in [Stage::Mail, Stage::Rcpt] {
            *stage = at;
            match self.answer().await {
                Answer::Yes(reply) if reply.is_yes() => {}
                answer @ Answer::No { code, .. } if code != 421 => {
                    refusal.get_or_insert((at, answer));
                }
                // RFC 5321, 3.8: after 421 the server closes.
                answer => return Err(self.ended(at, answer, mail)),
            }
        }
        *stage = Stage::Data;
        let data = self.answer().await;
        let waits = matches!(&data, Answer::Yes(reply) if reply.code == 354);
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

    async fn lone_dot(&mut self) -> bool {
        self.dirty = false;
        !matches!(self.command(".\r\n").await, Answer::Lost(_) | Answer::No { code: 421, .. })
    }

    fn reset(&mut self, answer: Answer) -> Result<(), Sent> {
        match answer {
            Answer::Yes(reply) if reply.is_yes() => {
                self.dirty = false;
                Ok(())
            }
            Answer::Yes(Reply { code, .. }) | Answer::No { code, .. } => {
                Err(Sent::Closed(Outcome::Retry { reply: format!("RSET: {code}"), blame: Blame::Nobody }))
            }
            Answer::Lost(why) => Err(Sent::Closed(reply::lost(Stage::Mail, true, &why.to_string()))),
        }
    }

    /// The mail and its final dot in one write, and the answer that counts.
    async fn body(&mut self, mail: &Mail, stage: &mut Stage) -> Sent {
        // Until the first byte goes, and after an answer that is there before it.
        self.unsent.set(true);
        *stage = Stage::Dot;
        // The final dot ends the transaction, whatever the answer to it is.
        self.dirty = false;
        match self.command(&stuffed(&mail.text)).await {
            Answer::Yes(reply) if reply.is_yes() => {
                Sent::Done(Outcome::Sent { reference: reply::reference(&reply.text()) })
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
            Answer::Yes(reply) => {
                let why = format!("{} is no answer to this", reply.code);
                Sent::Closed(self.unanswered(stage, &why))
            }
            Answer::Lost(why) => Sent::Closed(self.unanswered(stage, &why.to_string())),
        }
    }
}

/// The mail as it goes over the wire: a dot in front of each line that begins with one, and the
/// final dot (RFC 5321, 4.5.2).
fn stuffed(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    // What is written by now, and where a line begins.
    let (mut written, mut line) = (0, 0);
    loop {
        if text[line..].starts_with('.') {
            out.extend([&text[written..line], "."]);
            written = line;
        }
        let Some(end) = text[line..].find('\n') else { break };
        line += end + 1;
    }
    out.push_str(&text[written..]);
    if !text.ends_with("\r\n") {
        out.push_str("\r\n");
    }
    out.push_str(".\r\n");
    out
}

/// Before MAIL: a reply that says yes, or what becomes of the server.
fn accepted(stage: Stage, answer: Answer) -> Result<Reply, Outcome> {
    match answer {
        Answer::Yes(reply) if reply.is_yes() => Ok(reply),
        Answer::Yes(reply) => Err(reply::lost(stage, true, &format!("{} is no answer to this", reply.code))),
        Answer::No { code, text } => Err(reply::refused(stage, code, &text, "")),
        Answer::Lost(why) => Err(reply::lost(stage, true, &why.to_string())),
    }
}

fn away(why: &str) -> Outcome {
    Outcome::Pause { reply: format!("cannot reach the mail server: {why}"), pause: AWAY }
}

/// A certificate that does not convince stays so until somebody acts; a broken connection does not.
async fn encrypted(wire: Box<dyn Stream>, tls: &Tls, host: &str) -> Result<Box<dyn Stream>, Outcome> {
    match tls.connect(wire).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(match tls::complaint(&error, host, PORT) {
            Some(reply) => Outcome::Pause { reply, pause: MISCONFIGURED },
            None => away(&error.to_string()),
        }),
    }
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
