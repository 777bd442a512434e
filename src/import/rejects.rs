//! The rejects file of an import: `line,reason,row`. It is of one run: what an earlier one left there goes first,
//! and a file that is anything else is left alone.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::ImportError;
use crate::domain::text::guarded;
use crate::files;

const HEAD: &str = "line,reason,row\n";

/// A row that is not imported.
pub(super) struct Reject {
    pub line: u64,
    pub reason: String,
    pub raw: Vec<u8>,
}

pub(super) struct Rejects<'a> {
    file: &'a Path,
    /// Opened with the first row.
    writer: Option<csv::Writer<File>>,
}

impl<'a> Rejects<'a> {
    /// Takes the place of an earlier run's. `imported` is the file whose rows they are.
    pub(super) fn begin(file: &'a Path, imported: &Path) -> Result<Self, ImportError> {
        let rejects = Self { file, writer: None };
        if file.canonicalize().is_ok_and(|path| imported.canonicalize().is_ok_and(|imported| imported == path)) {
            return Err(rejects.failed(&"it is the file that is imported; name another one with --rejects"));
        }
        let removed = match file.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            // A device, or a link: judged where something is written to it.
            Ok(found) if !found.is_file() => Ok(()),
            // What has another name is not lost with this one.
            Ok(found) if found.nlink() > 1 || is_ours(file)? => std::fs::remove_file(file),
            Ok(_) => Err(io::Error::other("it is there and not of an import; name another file with --rejects")),
        };
        removed.map_err(|error| rejects.failed(&error)).map(|()| rejects)
    }

    pub(super) fn add(&mut self, Reject { line, reason, raw }: Reject) -> Result<(), ImportError> {
        let row = String::from_utf8_lossy(&raw);
        let written = self.writer().and_then(|writer| {
            Ok(writer.write_record([&line.to_string(), guarded(&reason).as_ref(), guarded(row.trim_end()).as_ref()])?)
        });
        written.map_err(|error| self.failed(&error))
    }

    /// Of nobody else, and new: nothing that stands there is followed or overwritten.
    fn writer(&mut self) -> io::Result<&mut csv::Writer<File>> {
        match &mut self.writer {
            Some(writer) => Ok(writer),
            empty => {
                let mut writer = csv::Writer::from_writer(files::create(self.file)?);
                writer.write_record(HEAD.trim_end().split(','))?;
                Ok(empty.insert(writer))
            }
        }
    }

    pub(super) fn finish(&mut self) -> Result<(), ImportError> {
        let flushed = self.writer.as_mut().map_or(Ok(()), csv::Writer::flush);
        flushed.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> ImportError {
        ImportError::Rejects { file: self.file.display().to_string(), reason: error.to_string() }
    }
}

/// Whether a file begins as a rejects file does.
fn is_ours(file: &Path) -> Result<bool, ImportError> {
    let mut head = Vec::new();
    let read = File::open(file).and_then(|file| file.take(HEAD.len() as u64).read_to_end(&mut head));
    read.map_err(|error| ImportError::Rejects { file: file.display().to_string(), reason: error.to_string() })?;
    Ok(head.is_empty() || head == HEAD.as_bytes())
}
