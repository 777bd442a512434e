//! Imports: CSV files of members, purchases, suppressions and coupon codes, streamed in batches. Good rows are
//! kept, bad ones go to the rejects file with line and reason. Importing a file twice changes nothing.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use csv::{ByteRecord, ReaderBuilder};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::member::Brand;
use crate::store::members::Upserted;
use crate::store::{Store, StoreError};

mod coupons;
mod members;
mod purchases;
mod suppressions;

/// Rows written in one transaction.
const BATCH: usize = 2_000;

/// How long after each other a batch is tried again.
const AGAIN: [Duration; 5] = [
    Duration::from_millis(50),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// Which kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    Members,
    Purchases,
    Suppressions,
    Coupons {
        /// That of the rows that name none.
        pool: Option<&'a str>,
    },
}

/// What an import did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Imported {
    pub rows: u64,
    pub inserted: u64,
    pub updated: u64,
    pub unchanged: u64,
    pub rejected: u64,
}

/// Why an import cannot begin or go on. What was read before stays imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("cannot read {file}: {reason}")]
    Unreadable { file: String, reason: String },
    /// The first line does not fit the kind of file.
    #[error("{file}:1: {reason}")]
    Header { file: String, reason: String },
    #[error("cannot write rejected rows to {file}: {reason}")]
    Rejects { file: String, reason: String },
    /// Somebody asked it to.
    #[error(
        "stopped before line {line} of {file}: {} rows were read, {} of them new, {} changed, {} rejected; \
         import the file again for the rest",
        .done.rows, .done.inserted, .done.updated, .done.rejected
    )]
    Stopped { file: String, line: u64, done: Imported },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What an import needs to know.
pub struct Import<'a> {
    pub store: &'a Store,
    pub brand: &'a Brand,
    pub clock: &'a Clock,
    pub file: &'a Path,
    /// Where bad rows go; created with the first of them.
    pub rejects: PathBuf,
    /// Ends it after the batch that is being written.
    pub stop: &'a CancellationToken,
}

/// A row that is not imported.
struct Reject {
    line: u64,
    reason: String,
    raw: Vec<u8>,
}

/// The columns of a file, checked against those of its kind.
struct Columns {
    names: Vec<String>,
}

impl Columns {
    fn index(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|column| column == name)
    }

    /// Those of `known` that the file has.
    fn present<'k>(&self, known: &[&'k str]) -> Vec<&'k str> {
        known.iter().copied().filter(|name| self.index(name).is_some()).collect()
    }
}

/// The cells of one row, by column.
struct Cells<'r> {
    columns: &'r Columns,
    row: Vec<&'r str>,
}

impl<'r> Cells<'r> {
    /// The trimmed cell; `None` where it is empty or the file has no such column.
    fn get(&self, name: &str) -> Option<&'r str> {
        let cell = self.row.get(self.columns.index(name)?)?.trim();
        (!cell.is_empty()).then_some(cell)
    }

    /// A cell that must not be empty.
    fn require(&self, name: &str) -> Result<&'r str, String> {
        self.get(name).ok_or_else(|| format!("{name} is empty"))
    }

    /// A cell that `parse` understands.
    fn parse<T>(&self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<Option<T>, String> {
        self.get(name).map(|cell| parse(cell).map_err(|reason| format!("{name}: {reason}"))).transpose()
    }
}

/// What differs between kinds of files.
trait Rows {
    type Row: Clone + Send;
    /// Columns that a file of this kind must have.
    const REQUIRED: &'static [&'static str];
    /// Columns that it may have.
    const OPTIONAL: &'static [&'static str];
    /// Whether columns of any other name may follow this prefix.
    const FREE_PREFIX: Option<&'static str> = None;
    /// Decodes a row.
    fn decode(&self, cells: &Cells<'_>) -> Result<Self::Row, String>;
    /// What must stand only once in a batch.
    fn key(row: &Self::Row) -> &str;
    /// Writes a batch; rows that turn out bad are given back by position, with the reason.
    async fn write(
        &self,
        rows: Vec<Self::Row>,
        columns: &Columns,
    ) -> Result<(Upserted, Vec<(usize, String)>), StoreError>;
}

impl Import<'_> {
    /// Imports the file. `progress` is told how many bytes of it were read.
    pub async fn run(&self, kind: Kind<'_>, progress: &mut (dyn FnMut(u64) + Send)) -> Result<Imported, ImportError> {
        match kind {
            Kind::Members => self.stream(members::Members { store: self.store, brand: self.brand }, progress).await,
            Kind::Purchases => {
                self.stream(purchases::Purchases { store: self.store, brand: self.brand }, progress).await
            }
            Kind::Coupons { pool } => self.stream(coupons::Coupons { store: self.store, pool }, progress).await,
            Kind::Suppressions => {
                let now = self.clock.now().timestamp_millis();
                self.stream(suppressions::Suppressions { store: self.store, brand: self.brand, now }, progress).await
            }
        }
    }

    async fn stream<R: Rows>(&self, rows: R, progress: &mut (dyn FnMut(u64) + Send)) -> Result<Imported, ImportError> {
        let name = self.file.display().to_string();
        let unreadable =
            |error: &dyn std::fmt::Display| ImportError::Unreadable { file: name.clone(), reason: error.to_string() };
        let file = File::open(self.file).map_err(|error| unreadable(&error))?;
        let mut reader =
            ReaderBuilder::new().flexible(true).has_headers(false).from_reader(WithoutMark::new(BufReader::new(file)));
        let mut record = ByteRecord::new();
        if !reader.read_byte_record(&mut record).map_err(|error| unreadable(&error))? {
            return Err(ImportError::Header {
                file: name,
                reason: "the file is empty; its first line names the columns".to_owned(),
            });
        }
        let columns = header::<R>(&record).map_err(|reason| ImportError::Header { file: name.clone(), reason })?;
        let mut done = Imported::default();
        let mut rejects = Rejects { file: &self.rejects, writer: None };
        let mut batch: Vec<(R::Row, u64, Vec<u8>)> = Vec::with_capacity(BATCH);
        let mut keys = HashSet::new();
        loop {
            let more = match reader.read_byte_record(&mut record) {
                Ok(more) => more,
                Err(error) => return Err(unreadable(&error)),
            };
            if !more {
                break;
            }
            let line = record.position().map_or(0, csv::Position::line);
            if record.len() == 1 && record[0].iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            done.rows += 1;
            match decode(&rows, &columns, &record) {
                Ok(row) => {
                    if keys.contains(R::key(&row)) || batch.len() == BATCH {
                        self.flush(&rows, &columns, &mut batch, &mut done, &mut rejects).await?;
                        keys.clear();
                        progress(reader.position().byte());
                        if self.stop.is_cancelled() {
                            rejects.finish()?;
                            let rows = done.rows - 1;
                            return Err(ImportError::Stopped { file: name, line, done: Imported { rows, ..done } });
                        }
                    }
                    keys.insert(R::key(&row).to_owned());
                    batch.push((row, line, raw(&record)));
                }
                Err(reason) => rejects.add(Reject { line, reason, raw: raw(&record) }, &mut done)?,
            }
        }
        self.flush(&rows, &columns, &mut batch, &mut done, &mut rejects).await?;
        progress(reader.position().byte());
        rejects.finish()?;
        done.unchanged = done.rows - done.rejected - done.inserted - done.updated;
        Ok(done)
    }

    async fn flush<R: Rows>(
        &self,
        rows: &R,
        columns: &Columns,
        batch: &mut Vec<(R::Row, u64, Vec<u8>)>,
        done: &mut Imported,
        rejects: &mut Rejects<'_>,
    ) -> Result<(), ImportError> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut decoded = Vec::with_capacity(batch.len());
        let mut places = Vec::with_capacity(batch.len());
        for (row, line, raw) in batch.drain(..) {
            decoded.push(row);
            places.push((line, raw));
        }
        let (upserted, bad) = write(rows, decoded, columns).await?;
        done.inserted += upserted.inserted;
        done.updated += upserted.updated;
        for (index, reason) in bad {
            let (line, raw) = std::mem::take(&mut places[index]);
            rejects.add(Reject { line, reason, raw }, done)?;
        }
        Ok(())
    }
}

/// Writes a batch; again where another transaction was in the way, or the database was away for a moment. Writing
/// it twice, should the answer to a commit be lost, changes nothing.
async fn write<R: Rows>(
    rows: &R,
    batch: Vec<R::Row>,
    columns: &Columns,
) -> Result<(Upserted, Vec<(usize, String)>), StoreError> {
    for again in AGAIN {
        match rows.write(batch.clone(), columns).await {
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, "a batch of the import is tried again");
                tokio::time::sleep(again).await;
            }
            done => return done,
        }
    }
    rows.write(batch, columns).await
}

fn header<R: Rows>(record: &ByteRecord) -> Result<Columns, String> {
    if std::str::from_utf8(record.as_slice()).is_err() {
        return Err("the header is not UTF-8; save the file as CSV in UTF-8".to_owned());
    }
    let names: Vec<String> =
        record.iter().map(|cell| String::from_utf8_lossy(cell).trim().to_ascii_lowercase()).collect();
    for (index, name) in names.iter().enumerate() {
        let free = R::FREE_PREFIX.is_some_and(|prefix| name.len() > prefix.len() && name.starts_with(prefix));
        if !free && !R::REQUIRED.contains(&name.as_str()) && !R::OPTIONAL.contains(&name.as_str()) {
            if names.len() == 1 && name.contains([';', '\t']) {
                return Err("the columns are not separated by commas; save the file as CSV with commas".to_owned());
            }
            let free = R::FREE_PREFIX.map(|_| "attributes.*");
            let known: Vec<&str> = R::REQUIRED.iter().chain(R::OPTIONAL).copied().chain(free).collect();
            return Err(format!("unknown column `{name}`; {}", crate::document::expected(name, &known)));
        }
        if names[..index].contains(name) {
            return Err(format!("the column `{name}` stands here twice"));
        }
    }
    for name in R::REQUIRED {
        if !names.iter().any(|column| column == name) {
            return Err(format!("the column `{name}` is missing"));
        }
    }
    Ok(Columns { names })
}

fn decode<R: Rows>(rows: &R, columns: &Columns, record: &ByteRecord) -> Result<R::Row, String> {
    if record.len() != columns.names.len() {
        return Err(format!("the row has {} columns, the header {}", record.len(), columns.names.len()));
    }
    let mut row = Vec::with_capacity(record.len());
    for (index, cell) in record.iter().enumerate() {
        let text = std::str::from_utf8(cell)
            .map_err(|_| format!("{} is not UTF-8; save the file as CSV in UTF-8", columns.names[index]))?;
        if text.contains('\0') {
            return Err(format!("{} holds a zero byte", columns.names[index]));
        }
        row.push(text);
    }
    rows.decode(&Cells { columns, row })
}

/// The row as CSV again, for the rejects file.
fn raw(record: &ByteRecord) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    // Writing to memory does not fail.
    let _ = writer.write_byte_record(record);
    writer.into_inner().unwrap_or_default()
}

/// The rejects file: `line,reason,row`.
struct Rejects<'a> {
    file: &'a Path,
    writer: Option<csv::Writer<File>>,
}

impl Rejects<'_> {
    fn add(&mut self, reject: Reject, done: &mut Imported) -> Result<(), ImportError> {
        done.rejected += 1;
        let failed = |error: &dyn std::fmt::Display| ImportError::Rejects {
            file: self.file.display().to_string(),
            reason: error.to_string(),
        };
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                let mut writer = csv::Writer::from_path(self.file).map_err(|error| failed(&error))?;
                writer.write_record(["line", "reason", "row"]).map_err(|error| failed(&error))?;
                self.writer.insert(writer)
            }
        };
        let row = String::from_utf8_lossy(&reject.raw);
        writer.write_record([&reject.line.to_string(), &reject.reason, row.trim_end()]).map_err(|error| failed(&error))
    }

    fn finish(&mut self) -> Result<(), ImportError> {
        match &mut self.writer {
            Some(writer) => writer.flush().map_err(|error| ImportError::Rejects {
                file: self.file.display().to_string(),
                reason: error.to_string(),
            }),
            None => Ok(()),
        }
    }
}

/// A reader that skips the byte-order mark with which spreadsheets begin a file.
struct WithoutMark<R> {
    inner: R,
    begun: bool,
}

impl<R: Read> WithoutMark<R> {
    const fn new(inner: R) -> Self {
        Self { inner, begun: false }
    }
}

impl<R: Read> Read for WithoutMark<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.begun {
            return self.inner.read(buffer);
        }
        self.begun = true;
        let mut first = [0_u8; 3];
        let mut have = 0;
        while have < 3 {
            match self.inner.read(&mut first[have..])? {
                0 => break,
                count => have += count,
            }
        }
        let start = if first == [0xef, 0xbb, 0xbf] { &[] } else { &first[..have] };
        // The caller's buffer is larger than three bytes: csv reads in blocks.
        let mut rest = &mut buffer[..];
        rest.write_all(start)?;
        if start.is_empty() { self.inner.read(buffer) } else { Ok(start.len()) }
    }
}
