//! A mail server that misbehaves by dice and keeps a ledger: what it took is written down before it
//! says so.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::support::shop::Dice;

/// Longer than a sender waits for an answer.
const SILENCE: Duration = Duration::from_secs(40);

/// What the server does with one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mood {
    Take,
    TakeSlowly,
    /// Taken; the line is cut instead of saying so.
    TakeAndClose,
    /// Taken, and nothing is said.
    TakeAndHang,
    DropAndClose,
    DropAndHang,
    CloseBeforeMail,
    HangBeforeMail,
    BusyAtRecipient,
    FullAtRecipient,
    BusyAfterMail,
    Leaving,
    UnknownRecipient,
    RefusedAfterMail,
}

/// Of a thousand first attempts, so many in this mood. The rest are taken.
const MOODS: &[(Mood, u64)] = &[
    (Mood::TakeSlowly, 20),
    (Mood::TakeAndClose, 6),
    (Mood::TakeAndHang, 1),
    (Mood::DropAndClose, 5),
    (Mood::DropAndHang, 1),
    (Mood::CloseBeforeMail, 4),
    (Mood::HangBeforeMail, 1),
    (Mood::BusyAtRecipient, 8),
    (Mood::FullAtRecipient, 4),
    (Mood::BusyAfterMail, 6),
    (Mood::Leaving, 2),
    (Mood::UnknownRecipient, 10),
    (Mood::RefusedAfterMail, 6),
];

/// Attempts at one recipient after which it behaves.
const TRICKS: usize = 3;

/// What was taken under one Message-ID.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    pub times: usize,
    /// The codes in its subjects.
    pub codes: BTreeSet<String>,
    /// To whom.
    pub recipients: BTreeSet<String>,
}

#[derive(Default)]
struct Books {
    /// By Message-ID.
    taken: BTreeMap<String, Taken>,
    /// Attempts by recipient.
    attempts: BTreeMap<String, usize>,
    moods: BTreeMap<Mood, usize>,
}

/// The running server.
pub struct Smtp {
    pub address: SocketAddr,
    seed: u64,
    /// How long a mail takes in the middle.
    pace: Duration,
    books: Mutex<Books>,
}

impl Smtp {
    pub async fn start(seed: u64, pace: Duration) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Arc::new(Self { address, seed, pace, books: Mutex::default() });
        let accepting = Arc::clone(&server);
        tokio::spawn(async move {
            while let Ok((line, _)) = listener.accept().await {
                let server = Arc::clone(&accepting);
                // A client that goes away ends its own line only.
                tokio::spawn(async move { drop(server.talk(line).await) });
            }
        });
        server
    }

    /// What was taken, by Message-ID.
    pub fn taken(&self) -> BTreeMap<String, Taken> {
        self.books.lock().unwrap().taken.clone()
    }

    /// What it did how often.
    pub fn summary(&self) -> String {
        let books = self.books.lock().unwrap();
        let moods: Vec<String> = books.moods.iter().map(|(mood, count)| format!("{mood:?} {count}")).collect();
        moods.join(", ")
    }

    /// The mood for the next attempt at a recipient. It hangs on the seed, the address and how many
    /// attempts there were: a refusal for good on the address alone.
    fn mood(&self, recipient: &str) -> Mood {
        let mut books = self.books.lock().unwrap();
        let attempts = books.attempts.entry(recipient.to_owned()).or_default();
        *attempts += 1;
        let mut hasher = DefaultHasher::new();
        (self.seed, recipient, if *attempts > TRICKS { 0 } else { *attempts }).hash(&mut hasher);
        let mut roll = Dice(hasher.finish()).below(1_000);
        let mut mood = Mood::Take;
        for (other, share) in MOODS {
            if roll < *share {
                mood = *other;
                break;
            }
            roll -= share;
        }
        if *attempts > TRICKS {
            mood = Mood::Take;
        }
        *books.moods.entry(mood).or_default() += 1;
        mood
    }

    /// How many different mails there were.
    fn count(&self) -> u64 {
        self.books.lock().unwrap().taken.len() as u64
    }

    fn take(&self, mail: &str, recipient: &str) {
        let header = |name: &str| mail.lines().find_map(|line| line.strip_prefix(name)).expect("a mail has it");
        let id = header("Message-ID: ").trim().to_owned();
        let code = header("Subject: ").split_once('[').and_then(|(_, rest)| rest.split_once(']'));
        let mut books = self.books.lock().unwrap();
        let taken = books.taken.entry(id).or_default();
        taken.times += 1;
        taken.recipients.insert(recipient.to_owned());
        taken.codes.extend(code.map(|(code, _)| code.to_owned()));
    }

    async fn talk(&self, line: TcpStream) -> std::io::Result<()> {
        line.set_nodelay(true)?;
        let (input, mut output) = line.into_split();
        let mut input = BufReader::new(input);
        say(&mut output, "220 chaos ESMTP").await?;
        let (mut command, mut mood, mut recipient) = (String::new(), Mood::Take, String::new());
        loop {
            command.clear();
            if input.read_line(&mut command).await? == 0 {
                return Ok(());
            }
            let verb = command.get(..4).unwrap_or_default().to_uppercase();
            match verb.as_str() {
                "EHLO" => say(&mut output, "250-chaos\r\n250-PIPELINING\r\n250 SIZE 10000000").await?,
                "RCPT" => {
                    mood = self.mood(command.trim());
                    recipient = command.split(['<', '>']).nth(1).unwrap_or_default().to_lowercase();
                    match mood {
                        Mood::BusyAtRecipient => say(&mut output, "451 4.7.1 greylisted, try again").await?,
                        Mood::FullAtRecipient => say(&mut output, "452 4.2.2 mailbox full").await?,
                        Mood::UnknownRecipient => say(&mut output, "550 5.1.1 no such user").await?,
                        Mood::Leaving => return say(&mut output, "421 4.3.2 going down").await,
                        _ => say(&mut output, "250 2.1.5 ok").await?,
                    }
                }
                "DATA" => match mood {
                    Mood::BusyAtRecipient | Mood::FullAtRecipient | Mood::UnknownRecipient => {
                        say(&mut output, "503 5.5.1 no recipient").await?;
                    }
                    Mood::HangBeforeMail => return silence().await,
                    _ => {
                        say(&mut output, "354 go on").await?;
                        if mood == Mood::CloseBeforeMail {
                            return Ok(());
                        }
                        if !self.mail(&mut input, &mut output, mood, &recipient).await? {
                            return Ok(());
                        }
                    }
                },
                "QUIT" => return say(&mut output, "221 bye").await,
                _ => say(&mut output, "250 2.0.0 ok").await?,
            }
        }
    }

    /// Reads a mail up to its final dot and answers; whether the line stays open.
    async fn mail(
        &self,
        input: &mut BufReader<OwnedReadHalf>,
        output: &mut OwnedWriteHalf,
        mood: Mood,
        recipient: &str,
    ) -> std::io::Result<bool> {
        let mut mail = Vec::new();
        while !mail.ends_with(b"\r\n.\r\n") {
            if input.read_until(b'\n', &mut mail).await? == 0 {
                return Ok(false);
            }
        }
        tokio::time::sleep(
            self.pace / 500 * u32::try_from(Dice(mail.len() as u64 ^ self.count()).below(1_000)).unwrap(),
        )
        .await;
        let mail = String::from_utf8_lossy(&mail);
        match mood {
            Mood::BusyAfterMail => say(output, "451 4.3.0 try again later").await?,
            Mood::RefusedAfterMail => say(output, "554 5.7.1 refused by policy").await?,
            Mood::DropAndClose => return Ok(false),
            Mood::DropAndHang => silence().await?,
            _ => self.take(&mail, recipient),
        }
        match mood {
            Mood::TakeAndClose => return Ok(false),
            Mood::TakeAndHang => silence().await?,
            Mood::TakeSlowly => {
                tokio::time::sleep(Duration::from_millis(700)).await;
                say(output, "250 2.0.0 ok").await?;
            }
            Mood::Take => say(output, "250 2.0.0 ok").await?,
            _ => {}
        }
        Ok(true)
    }
}

async fn silence() -> std::io::Result<()> {
    tokio::time::sleep(SILENCE).await;
    Ok(())
}

async fn say(output: &mut OwnedWriteHalf, words: &str) -> std::io::Result<()> {
    output.write_all(format!("{words}\r\n").as_bytes()).await
}
