//! Senders that send nothing: each mail becomes `email/<message id>.eml`, each SMS a line of JSON
//! in `sms.jsonl`. What would go out is then there to look at, and nothing else need be installed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Serialize;

use crate::domain::message::{Content, Envelope, SmsWords};
use crate::domain::sms::{Line, line_for};
use crate::files;
use crate::transports::{Blame, Outcome, Sender, SenderFactory, mail};

/// A full disk or a missing permission is mended by somebody, not by trying at once.
const PAUSE: Duration = Duration::from_secs(30);

/// Opens senders that write to one folder. Every sender of a factory shares its appender; give one
/// factory to both channels.
#[derive(Debug, Clone)]
pub struct CaptureFactory {
    outbox: Arc<Outbox>,
    connections: usize,
}

impl CaptureFactory {
    /// `folder` is made with the first message. `lines` are written beside each SMS, as the
    /// provider would get them.
    pub fn new(folder: impl Into<PathBuf>, lines: Vec<Line>, connections: usize) -> Self {
        Self { outbox: Arc::new(Outbox { folder: folder.into(), lines, sms: Mutex::default() }), connections }
    }
}

impl SenderFactory for CaptureFactory {
    fn name(&self) -> &str {
        "capture"
    }

    fn connections(&self) -> usize {
        self.connections
    }

    fn is_local(&self) -> bool {
        true
    }

    fn open(&self) -> Box<dyn Sender> {
        Box::new(CaptureSender(Arc::clone(&self.outbox)))
    }
}

struct CaptureSender(Arc<Outbox>);

impl CaptureSender {
    async fn capture(&self, envelope: &Envelope) -> Outcome {
        let file = match &envelope.content {
            Content::Email { .. } => match mail::build(envelope) {
                Ok(mail) => Piece::Mail { name: format!("{}.eml", envelope.message), text: mail.text },
                Err(error) => return error.outcome(),
            },
            Content::Sms { .. } => match self.0.line_of_json(envelope) {
                Ok(line) => Piece::Sms(line),
                Err(error) => return failed(&error),
            },
        };
        let outbox = Arc::clone(&self.0);
        match tokio::task::spawn_blocking(move || outbox.write(file)).await {
            Ok(Ok(())) => Outcome::Sent { reference: None },
            Ok(Err(error)) => failed(&error),
            // Only when the runtime is shutting down.
            Err(error) => Outcome::Retry { reply: format!("capture was cut off: {error}"), blame: Blame::Nobody },
        }
    }
}

impl Sender for CaptureSender {
    fn name(&self) -> &str {
        "capture"
    }

    fn send<'a>(&'a mut self, envelope: &'a Envelope) -> BoxFuture<'a, Outcome> {
        Box::pin(self.capture(envelope))
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

fn failed(error: &io::Error) -> Outcome {
    Outcome::Pause { reply: format!("capture cannot write to the outbox: {error}"), pause: PAUSE }
}

enum Piece {
    Mail { name: String, text: String },
    Sms(String),
}

#[derive(Debug)]
struct Outbox {
    folder: PathBuf,
    lines: Vec<Line>,
    /// `sms.jsonl`, opened with the first SMS.
    sms: Mutex<Option<File>>,
}

/// A line of `sms.jsonl`.
#[derive(Serialize)]
struct SmsLine<'a> {
    message: uuid::Uuid,
    campaign: &'a str,
    to: &'a str,
    /// The number it would go out from; null where none is configured for the purpose.
    line: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<&'a str>,
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    values: serde_json::Map<String, serde_json::Value>,
}

impl Outbox {
    fn line_of_json(&self, envelope: &Envelope) -> io::Result<String> {
        let (text, pattern, values) = match &envelope.content {
            Content::Sms { forms } => match forms.first().map(|form| &form.words) {
                Some(SmsWords::Text(text)) => (Some(text.as_str()), None, &[][..]),
                Some(SmsWords::Pattern { template, values }) => (None, Some(template.as_str()), values.as_slice()),
                None => (None, None, &[][..]),
            },
            Content::Email { .. } => (None, None, &[][..]),
        };
        let line = SmsLine {
            message: envelope.message,
            campaign: &envelope.campaign,
            to: &envelope.to,
            line: line_for(&self.lines, envelope.purpose).map(|line| line.number.as_str()),
            text,
            pattern,
            values: values.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect(),
        };
        Ok(serde_json::to_string(&line)? + "\n")
    }

    fn write(&self, piece: Piece) -> io::Result<()> {
        match piece {
            Piece::Mail { name, text } => self.write_mail(&name, text.as_bytes()),
            Piece::Sms(line) => self.append(line.as_bytes()),
        }
    }

    /// Whole or not at all: who looks into the folder never sees half a mail. A second attempt
    /// writes the same bytes over the first.
    fn write_mail(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let folder = self.folder.join("email");
        let path = folder.join(name);
        match files::write(&path, bytes) {
            // The folder is made when it is missed, not looked for each time.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                files::folder(&folder)?;
                files::write(&path, bytes)
            }
            written => written,
        }
    }

    fn append(&self, line: &[u8]) -> io::Result<()> {
        // A panic elsewhere leaves the file as it was: nothing here is half-done.
        let mut slot = self.sms.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match slot.as_mut() {
            Some(file) => file,
            None => slot.insert(self.open_sms()?),
        };
        let length = file.metadata()?.len();
        let written = file.write_all(line);
        if written.is_err() {
            // Not half a line; and a deleted or broken file is opened again next time.
            let _ = file.set_len(length);
            *slot = None;
        }
        written
    }

    fn open_sms(&self) -> io::Result<File> {
        files::folder(&self.folder)?;
        let mut file = files::keep(&self.folder.join("sms.jsonl"), true)?;
        // A crash may have left half a line; the next one must not join it.
        if file.metadata()?.len() > 0 {
            file.seek(SeekFrom::End(-1))?;
            let mut last = [0];
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
            }
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::sync::atomic::{AtomicU32, Ordering};

    use crate::domain::message::{Purpose, Reason};

    /// A folder of its own, removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("rekindle-capture-{}-{number}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn factory(folder: &Folder) -> CaptureFactory {
        let line = Line::plain("3000", Purpose::Marketing);
        CaptureFactory::new(&folder.0, vec![line], 4)
    }

    fn envelope(content: Content) -> Envelope {
        Envelope {
            at: 1_767_225_600_000,
            campaign: "birthday-gift".to_owned(),
            ..Envelope::new(
                "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
                Purpose::Marketing,
                "+989121234567",
                content,
            )
        }
    }

    fn email() -> Envelope {
        let content = Content::Email {
            from: "Shop <hello@example.com>".to_owned(),
            to_name: String::new(),
            return_path: None,
            headers: Vec::new(),
            subject: "Hi".to_owned(),
            html: None,
            text: ".dot".to_owned(),
        };
        Envelope { to: "sara@example.org".to_owned(), ..envelope(content) }
    }

    fn sms(text: &str) -> Envelope {
        envelope(Content::text(text))
    }

    async fn send(factory: &CaptureFactory, envelope: &Envelope) -> Outcome {
        factory.open().send(envelope).await
    }

    const SENT: Outcome = Outcome::Sent { reference: None };

    #[tokio::test]
    async fn a_mail_is_one_file_with_the_bytes_a_server_would_get() {
        let folder = Folder::new();
        let factory = factory(&folder);
        // Twice, as after a crash: still one file.
        assert_eq!(send(&factory, &email()).await, SENT);
        assert_eq!(send(&factory, &email()).await, SENT);
        let names: Vec<_> = fs::read_dir(folder.0.join("email")).unwrap().map(|f| f.unwrap().file_name()).collect();
        assert_eq!(names, ["01890a5d-ac96-774b-bcce-b302099a8057.eml"]);
        let text = fs::read_to_string(folder.0.join("email").join(&names[0])).unwrap();
        assert_eq!(text, mail::build(&email()).unwrap().text);
    }

    #[tokio::test]
    async fn an_sms_is_a_line_of_json() {
        let folder = Folder::new();
        let factory = factory(&folder);
        assert_eq!(send(&factory, &sms("سلام\nسارا")).await, SENT);
        let words = SmsWords::Pattern {
            template: "order-ready".to_owned(),
            values: vec![("token".to_owned(), "42".to_owned())],
        };
        let mut pattern = envelope(Content::sms([(String::new(), words)]));
        pattern.purpose = Purpose::Service;
        assert_eq!(send(&factory, &pattern).await, SENT);
        let text = fs::read_to_string(folder.0.join("sms.jsonl")).unwrap();
        let head =
            r#""message":"01890a5d-ac96-774b-bcce-b302099a8057","campaign":"birthday-gift","to":"+989121234567""#;
        assert_eq!(
            text,
            format!(
                "{{{head},\"line\":\"3000\",\"text\":\"سلام\\nسارا\"}}\n\
                 {{{head},\"line\":null,\"pattern\":\"order-ready\",\"values\":{{\"token\":\"42\"}}}}\n"
            )
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn many_senders_never_mix_their_lines() {
        let folder = Folder::new();
        let factory = factory(&folder);
        let tasks: Vec<_> = (0..8)
            .map(|task| {
                let factory = factory.clone();
                tokio::spawn(async move {
                    let mut sender = factory.open();
                    for _ in 0..50 {
                        let text = char::from(b'a' + task).to_string().repeat(3000);
                        assert_eq!(sender.send(&sms(&text)).await, SENT);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let text = fs::read_to_string(folder.0.join("sms.jsonl")).unwrap();
        assert_eq!(text.lines().count(), 400);
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = line["text"].as_str().unwrap();
            assert!(text.len() == 3000 && text.chars().all(|c| text.starts_with(c)));
        }
    }

    #[tokio::test]
    async fn what_is_captured_is_for_the_owner_alone_and_goes_through_no_link() {
        let folder = Folder::new();
        let (email, victim) = (folder.0.join("email"), folder.0.join("victim"));
        fs::create_dir_all(&email).unwrap();
        fs::write(&victim, "precious").unwrap();
        let name = "01890a5d-ac96-774b-bcce-b302099a8057.eml";
        for link in [email.join(name), email.join(format!(".{name}.tmp")), folder.0.join("sms.jsonl")] {
            symlink(&victim, link).unwrap();
        }
        assert_eq!(send(&factory(&folder), &self::email()).await, SENT);
        assert!(
            matches!(send(&factory(&folder), &sms("x")).await, Outcome::Pause { reply, .. } if reply.contains("link"))
        );
        fs::remove_file(folder.0.join("sms.jsonl")).unwrap();
        assert_eq!(send(&factory(&folder), &sms("x")).await, SENT);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        for file in [email.join(name), folder.0.join("sms.jsonl")] {
            assert_eq!(fs::symlink_metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
        }
    }

    #[tokio::test]
    async fn half_a_line_of_a_crash_stays_alone() {
        let folder = Folder::new();
        fs::create_dir_all(&folder.0).unwrap();
        fs::write(folder.0.join("sms.jsonl"), "{\"message\":\"01").unwrap();
        assert_eq!(send(&factory(&folder), &sms("x")).await, SENT);
        let text = fs::read_to_string(folder.0.join("sms.jsonl")).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[1].starts_with("{\"message\"") && lines[1].ends_with('}'));
    }

    #[tokio::test]
    async fn an_outbox_that_cannot_be_written_to_pauses_the_sender() {
        let folder = Folder::new();
        // A file where the folder should be: fails for root, too.
        fs::write(&folder.0, "").unwrap();
        let factory = factory(&folder);
        for envelope in [email(), sms("x")] {
            let Outcome::Pause { reply, pause } = send(&factory, &envelope).await else { panic!("not paused") };
            assert!(reply.starts_with("capture cannot write to the outbox: "), "{reply}");
            assert_eq!(pause, PAUSE);
        }
        fs::remove_file(&folder.0).unwrap();
        assert_eq!(send(&factory, &sms("x")).await, SENT);
    }

    #[tokio::test]
    async fn what_no_server_would_take_is_refused_here_too() {
        let folder = Folder::new();
        let mut bad = email();
        if let Content::Email { subject, .. } = &mut bad.content {
            *subject = "Hi\r\nBcc: all@example.com".to_owned();
        }
        let outcome = send(&factory(&folder), &bad).await;
        assert!(matches!(outcome, Outcome::Rejected { reason: Reason::Unbuildable, .. }), "{outcome:?}");
    }
}
