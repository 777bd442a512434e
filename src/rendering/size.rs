//! How much a message may hold: what a queue hands on and an SMS can be split into.

use std::io::{self, Write};

use super::RenderError;
use crate::domain::message::{Content, LONGEST_MESSAGE, SmsWords};
use crate::domain::sms::SmsSize;

/// What an envelope holds beside the content.
const AROUND: usize = 64 * 1024;

/// A byte in JSON takes at most so many: `\u0000`.
const LONGEST_ESCAPE: usize = 6;

/// The parts of one SMS are numbered by a byte (3GPP TS 23.040, 9.2.3.24.1).
const MOST_SEGMENTS: usize = 255;

/// Takes what is written, up to a number of bytes.
pub(super) struct Bounded {
    bytes: Vec<u8>,
    most: usize,
    full: bool,
}

impl Bounded {
    pub const fn new(most: usize) -> Self {
        Self { bytes: Vec::new(), most, full: false }
    }

    /// Whether more was written than it takes.
    pub const fn is_full(&self) -> bool {
        self.full
    }

    pub fn text(self) -> Option<String> {
        String::from_utf8(self.bytes).ok()
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.most {
            self.full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Counts what is written.
struct Counted(usize);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn too_large() -> String {
    format!("the message is larger than {} MiB", LONGEST_MESSAGE >> 20)
}

/// Refuses what no queue could hand on, and an SMS of more parts than there can be.
pub fn check(template: &str, content: &Content) -> Result<(), RenderError> {
    let refusal = |reason| Err(RenderError { template: template.to_owned(), place: String::new(), reason });
    if let Content::Sms { forms } = content {
        for form in forms {
            let SmsWords::Text(text) = &form.words else { continue };
            let segments = SmsSize::of(text).segments;
            if segments > MOST_SEGMENTS {
                return refusal(format!("the SMS has {segments} segments; one has at most {MOST_SEGMENTS}"));
            }
        }
    }
    // Most are so small that they fit however they are written.
    if length(content) * LONGEST_ESCAPE + AROUND <= LONGEST_MESSAGE {
        return Ok(());
    }
    let mut written = Counted(0);
    let fits = serde_json::to_writer(&mut written, content).is_ok() && written.0 + AROUND <= LONGEST_MESSAGE;
    if fits { Ok(()) } else { refusal(too_large()) }
}

/// The bytes of what a content says.
fn length(content: &Content) -> usize {
    match content {
        Content::Email { from, to_name, subject, html, text, .. } => {
            from.len() + to_name.len() + subject.len() + html.as_ref().map_or(0, String::len) + text.len()
        }
        Content::Sms { forms } => forms.iter().map(|form| words(&form.words)).sum(),
    }
}

fn words(words: &SmsWords) -> usize {
    match words {
        SmsWords::Text(text) => text.len(),
        SmsWords::Pattern { values, .. } => values.iter().map(|(name, value)| name.len() + value.len()).sum(),
    }
}
