//! Imports: CSV files of members, purchases, suppressions, consents and coupon codes, streamed in batches. Good rows are
//! kept, bad ones go to the rejects file with line and reason. Importing a file twice changes nothing.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::brand::Brand;
use crate::domain::cell;
use crate::domain::member::parse_attribute;
use crate::domain::message::Channel;
use crate::domain::text::{clean, unguarded};
use crate::store::members::Upserted;
use crate::store::{Store, StoreError};

mod consents;
mod coupons;
mod members;
mod purchases;
mod records;
mod rejects;
mod suppressions;

use records::{Record, Records};
use rejects::{Reject, Rejects};

/// Rows written in one transaction.
const BATCH: usize = 2_000;

/// Bytes of the file from which a batch is written before it has so many rows.
const HEAVY: usize = 8 << 20;

/// Columns of a file.
const MOST_COLUMNS: usize = 1_000;

/// Characters of a cell: names and ids, and what may be a text.
const LONGEST_WORD: usize = 200;
const LONGEST_TEXT: usize = 10_000;

/// Rows whose ids are remembered, to say that one stands twice.
const REMEMBERED: usize = 3_500_000;

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
    Consents,
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
    /// Rows with the id of an earlier row of the file; the later one counts. Known of the first 3,500,000 ids.
    pub repeated: u64,
    /// Consents that rejected rows took back: a readable "no" counts, whatever is wrong with its row.
    pub withdrawn: u64,
    /// Rows about somebody who was erased: nothing of them is stored.
    pub erased: u64,
}

impl Imported {
    /// With the number of rows that were there already: those of which nothing else is known.
    const fn with_unchanged(self) -> Self {
        Self { unchanged: self.rows - self.rejected - self.erased - self.inserted - self.updated, ..self }
    }
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
    /// Where bad rows go; created with the first of them. What an earlier import left there is removed.
    pub rejects: PathBuf,
    /// Ends it after the batch that is being written.
    pub stop: &'a CancellationToken,
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

/// The cells of one row, by column, and what is wrong with them. All are cleaned in the same way.
struct Cells<'c> {
    columns: &'c Columns,
    /// Empty where the cell is, or cannot be read.
    row: Vec<String>,
    problems: RefCell<Vec<String>>,
}

impl<'c> Cells<'c> {
    /// Of a damaged row those before the damage.
    fn new<R: Rows>(columns: &'c Columns, record: &[Vec<u8>]) -> Self {
        let mut problems = Vec::new();
        let read = |(name, bytes): (&String, &Vec<u8>)| {
            read_cell(bytes, R::KEYS.contains(&name.as_str()), longest::<R>(name)).unwrap_or_else(|reason| {
                problems.push(format!("{name}{reason}"));
                String::new()
            })
        };
        let row = columns.names.iter().zip(record).map(read).collect();
        Self { columns, row, problems: RefCell::new(problems) }
    }

    /// The cell; `None` where it is empty or the file has no such column.
    fn get(&self, name: &str) -> Option<&str> {
        self.row.get(self.columns.index(name)?).map(String::as_str).filter(|cell| !cell.is_empty())
    }

    /// A cell that `parse` understands.
    fn parse<T>(&self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let parsed = parse(self.get(name)?);
        parsed.map_err(|reason| self.problem(name, &reason)).ok()
    }

    /// The same of a cell that must not be empty.
    fn require<T>(&self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let is_about = |rest: &str| rest.starts_with([' ', ':']);
        let is_known = |problem: &String| problem.strip_prefix(name).is_some_and(is_about);
        if self.get(name).is_none() && !self.problems.borrow().iter().any(is_known) {
            self.problems.borrow_mut().push(format!("{name} is empty"));
        }
        self.parse(name, parse)
    }

    fn problem(&self, name: &str, reason: &str) {
        self.problems.borrow_mut().push(format!("{name}: {reason}"));
    }
}

/// A cell's text, or what follows its column's name in the reason. What only says that there is nothing is empty, but
/// no key; what a spreadsheet has spoilt cannot be read.
fn read_cell(bytes: &[u8], is_key: bool, longest: usize) -> Result<String, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| " is not UTF-8; save the file as CSV in UTF-8")?;
    let text = clean(unguarded(text.trim()));
    if text.contains(char::is_control) {
        return Err(if text.contains('\0') { " holds a zero byte" } else { " holds a control character" }.to_owned());
    }
    if text.len() > longest && text.chars().count() > longest {
        return Err(format!(" is longer than {longest} characters"));
    }
    if let Some(what) = cell::slip(&text) {
        return Err(format!(": `{text}` {what}"));
    }
    if !is_key && cell::is_nothing(&text) {
        return Ok(String::new());
    }
    Ok(text.into_owned())
}

fn longest<R: Rows>(name: &str) -> usize {
    if R::TEXTS.contains(&name) || name.starts_with(ATTRIBUTES) { LONGEST_TEXT } else { LONGEST_WORD }
}

/// How the columns of a member's attributes begin.
const ATTRIBUTES: &str = "attributes.";

/// What differs between kinds of files.
trait Rows {
    type Row: Clone + Send;
    /// Columns that a file of this kind must have.
    const REQUIRED: &'static [&'static str];
    /// Columns that it may have.
    const OPTIONAL: &'static [&'static str];
    /// Columns that say which thing a row is about.
    const KEYS: &'static [&'static str];
    /// Columns that may hold more than a few words.
    const TEXTS: &'static [&'static str] = &[];
    /// Whether it may have columns of attributes.
    const HAS_ATTRIBUTES: bool = false;
    /// Decodes a row; `None`, or a problem of the cells, where it cannot be taken.
    fn decode(&self, cells: &Cells<'_>) -> Option<Self::Row>;
    /// What must stand only once in a batch.
    fn key(row: &Self::Row) -> &str;
    /// What a second row of the same file repeats.
    fn identity(row: &Self::Row) -> String {
        Self::key(row).to_owned()
    }
    /// The consents that a row takes back, though it cannot be taken.
    fn withdrawn(&self, _cells: &Cells<'_>) -> Vec<(String, Channel)> {
        Vec::new()
    }
    /// Writes a batch; rows that turn out bad are given back by position, with the reason.
    async fn write(
        &self,
        rows: Vec<Self::Row>,
        columns: &Columns,
    ) -> Result<(Upserted, Vec<(usize, String)>), StoreError>;
    /// Writes what could only be written once the whole file was read.
    async fn finish(&self, _columns: &Columns) -> Result<Upserted, StoreError> {
        Ok(Upserted::default())
    }
    /// Takes consents back; gives how many were given.
    async fn withdraw(&self, _consents: &[(String, Channel)]) -> Result<u64, StoreError> {
        Ok(0)
    }
}

/// What is to be written next.
struct Batch<Row> {
    rows: Vec<Row>,
    /// Where each stands, and how.
    places: Vec<(u64, Vec<u8>)>,
    weight: usize,
    keys: HashSet<String>,
    withdrawn: Vec<(String, Channel)>,
}

impl<Row> Batch<Row> {
    fn new() -> Self {
        Self {
            rows: Vec::with_capacity(BATCH),
            places: Vec::with_capacity(BATCH),
            weight: 0,
            keys: HashSet::new(),
            withdrawn: Vec::new(),
        }
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= BATCH || self.withdrawn.len() >= BATCH || self.weight > HEAVY
    }
}

/// The ids that stood in the file before, as hashes.
#[derive(Default)]
struct Seen {
    hashes: HashSet<u64>,
    hasher: RandomState,
}

impl Seen {
    fn holds(&mut self, id: &str) -> bool {
        let hash = self.hasher.hash_one(id);
        if self.hashes.len() < REMEMBERED { !self.hashes.insert(hash) } else { self.hashes.contains(&hash) }
    }
}

impl Import<'_> {
    /// Imports the file. `progress` is told how many bytes of it were read.
    pub async fn run(&self, kind: Kind<'_>, progress: &mut (dyn FnMut(u64) + Send)) -> Result<Imported, ImportError> {
        let (store, brand, now) = (self.store, self.brand, self.clock.now());
        match kind {
            Kind::Members => {
                self.stream(members::Members { store, brand, now, names: Mutex::default() }, progress).await
            }
            Kind::Purchases => self.stream(purchases::Purchases { store, brand, now }, progress).await,
            Kind::Coupons { pool } => self.stream(coupons::Coupons { store, pool }, progress).await,
            Kind::Suppressions => self.stream(suppressions::Suppressions { store, brand, now }, progress).await,
            Kind::Consents => self.stream(consents::Consents { store, brand, now }, progress).await,
        }
    }

    /// Imports a file of one kind: its header, its rows, and what they did in the end.
    async fn stream<R: Rows>(&self, rows: R, progress: &mut (dyn FnMut(u64) + Send)) -> Result<Imported, ImportError> {
        let mut records = Records::new(File::open(self.file).map_err(|error| self.unreadable(&error))?);
        let rejects = Rejects::begin(&self.rejects, self.file)?;
        let first = records.next(None).map_err(|error| self.unreadable(&error))?.unwrap_or_default();
        let columns = header::<R>(first).map_err(|reason| ImportError::Header { file: self.name(), reason })?;
        let mut running = Running {
            rows: &rows,
            columns: &columns,
            rejects,
            batch: Batch::new(),
            seen: Seen::default(),
            done: Imported::default(),
        };
        let ended = self.read(&mut records, &mut running, progress).await;
        progress(records.position());
        // Whatever stopped the import, the rows that were set aside by then are there.
        running.rejects.finish().and(ended)?;
        Ok(running.done.with_unchanged())
    }

    /// Takes every row, writes batch by batch, and in the end what needs the whole file.
    async fn read<R: Rows>(
        &self,
        records: &mut Records<File>,
        running: &mut Running<'_, R>,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), ImportError> {
        let columns = Some(running.columns.names.len());
        while let Some(record) = records.next(columns).map_err(|error| self.unreadable(&error))? {
            running.done.rows += 1;
            let judged = judge(running.rows, running.columns, &record);
            if running.batch.is_full() || running.repeats(&judged) {
                running.flush().await?;
                progress(records.position());
                if self.stop.is_cancelled() {
                    return Err(self.stopped(record.line, running.done));
                }
            }
            running.take(judged, record)?;
        }
        running.flush().await?;
        running.finish().await
    }

    fn name(&self) -> String {
        self.file.display().to_string()
    }

    fn unreadable(&self, error: &std::io::Error) -> ImportError {
        ImportError::Unreadable { file: self.name(), reason: error.to_string() }
    }

    /// Why it ends before this line, whose row was read and is not taken.
    fn stopped(&self, line: u64, done: Imported) -> ImportError {
        let done = Imported { rows: done.rows - 1, ..done }.with_unchanged();
        ImportError::Stopped { file: self.name(), line, done }
    }
}

/// An import on its way.
struct Running<'i, R: Rows> {
    rows: &'i R,
    columns: &'i Columns,
    rejects: Rejects<'i>,
    batch: Batch<R::Row>,
    seen: Seen,
    done: Imported,
}

impl<R: Rows> Running<'_, R> {
    /// Whether a row touches what is to be written already.
    fn repeats(&self, judged: &Judged<R::Row>) -> bool {
        let touched = judged.row.iter().map(R::key).chain(judged.withdrawn.iter().map(|(id, _)| id.as_str()));
        touched.filter(|key| self.batch.keys.contains(*key)).count() > 0
    }

    /// Takes a row into the batch, or sets it aside; what it takes back counts all the same.
    fn take(&mut self, judged: Judged<R::Row>, record: Record) -> Result<(), ImportError> {
        let Judged { row, withdrawn, reason } = judged;
        self.batch.keys.extend(withdrawn.iter().map(|(id, _)| id.clone()));
        self.batch.withdrawn.extend(withdrawn);
        let Some(row) = row else {
            self.rejects.add(Reject { line: record.line, reason, raw: record.raw })?;
            self.done.rejected += 1;
            return Ok(());
        };
        self.done.repeated += u64::from(self.seen.holds(&R::identity(&row)));
        self.batch.keys.insert(R::key(&row).to_owned());
        self.batch.weight += record.raw.len();
        self.batch.rows.push(row);
        self.batch.places.push((record.line, record.raw));
        Ok(())
    }

    /// Writes the batch; rows that turn out bad are set aside.
    async fn flush(&mut self) -> Result<(), ImportError> {
        let (rows, columns) = (self.rows, self.columns);
        self.batch.keys.clear();
        self.batch.weight = 0;
        let withdrawn = std::mem::take(&mut self.batch.withdrawn);
        if !withdrawn.is_empty() {
            self.done.withdrawn += again(async || rows.withdraw(&withdrawn).await).await?;
        }
        let decoded = std::mem::take(&mut self.batch.rows);
        let mut places = std::mem::take(&mut self.batch.places);
        if decoded.is_empty() {
            return Ok(());
        }
        let (upserted, bad) = again(async || rows.write(decoded.clone(), columns).await).await?;
        self.done.inserted += upserted.inserted;
        self.done.updated += upserted.updated;
        self.done.erased += upserted.erased;
        for (index, reason) in bad {
            let (line, raw) = std::mem::take(&mut places[index]);
            self.rejects.add(Reject { line, reason, raw })?;
            self.done.rejected += 1;
        }
        Ok(())
    }

    /// Writes what could only be written once the whole file was read.
    async fn finish(&mut self) -> Result<(), ImportError> {
        let (rows, columns) = (self.rows, self.columns);
        let last = again(async || rows.finish(columns).await).await?;
        self.done.inserted += last.inserted;
        self.done.updated += last.updated;
        Ok(())
    }
}

/// What a row brings: itself, or the reason why it is set aside and the consents that it takes back all the same.
struct Judged<Row> {
    row: Option<Row>,
    withdrawn: Vec<(String, Channel)>,
    reason: String,
}

fn judge<R: Rows>(rows: &R, columns: &Columns, record: &Record) -> Judged<R::Row> {
    let cells = Cells::new::<R>(columns, &record.cells);
    let set_aside = |withdrawn, reason| Judged { row: None, withdrawn, reason };
    if let Some(fault) = &record.fault {
        return set_aside(rows.withdrawn(&cells), fault.clone());
    }
    if record.cells.len() != columns.names.len() {
        // Nobody knows which cell is which.
        let reason = format!("the row has {} columns, the header {}", record.cells.len(), columns.names.len());
        return set_aside(Vec::new(), reason);
    }
    match rows.decode(&cells) {
        Some(row) if cells.problems.borrow().is_empty() => {
            Judged { row: Some(row), withdrawn: Vec::new(), reason: String::new() }
        }
        _ => {
            let withdrawn = rows.withdrawn(&cells);
            set_aside(withdrawn, cells.problems.take().join("; "))
        }
    }
}

/// Writes; again where another transaction was in the way, or the database was away for a moment. Writing twice,
/// should the answer to a commit be lost, changes nothing.
async fn again<T>(mut write: impl AsyncFnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
    for wait in AGAIN {
        match write().await {
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, "a batch of the import is tried again");
                tokio::time::sleep(wait).await;
            }
            done => return done,
        }
    }
    write().await
}

fn header<R: Rows>(record: Record) -> Result<Columns, String> {
    if record.line == 0 {
        return Err("the file is empty; its first line names the columns".to_owned());
    }
    if let Some(fault) = record.fault {
        return Err(fault);
    }
    if record.cells.len() > MOST_COLUMNS {
        return Err(format!("the file has {} columns; at most {MOST_COLUMNS} can be read", record.cells.len()));
    }
    let mut names = Vec::new();
    for cell in &record.cells {
        let text = std::str::from_utf8(cell).ok().filter(|text| !text.contains('\0'));
        let text = text.ok_or("the header is not UTF-8; save the file as CSV in UTF-8")?;
        names.push(clean(text).to_lowercase());
    }
    if names.iter().all(String::is_empty) && names.len() == 1 {
        return Err("the file is empty; its first line names the columns".to_owned());
    }
    for index in 0..names.len() {
        let name = names[index].clone();
        let attribute = name.strip_prefix(ATTRIBUTES).filter(|rest| R::HAS_ATTRIBUTES && !rest.is_empty());
        if let Some(attribute) = attribute {
            let attribute = parse_attribute(attribute).map_err(|reason| format!("the column `{name}`: {reason}"))?;
            names[index] = format!("{ATTRIBUTES}{attribute}");
        } else if !R::REQUIRED.contains(&name.as_str()) && !R::OPTIONAL.contains(&name.as_str()) {
            if names.len() == 1 && record.raw.iter().any(|byte| matches!(byte, b';' | b'\t')) {
                return Err("the columns are not separated by commas; save the file as CSV with commas".to_owned());
            }
            let free = R::HAS_ATTRIBUTES.then_some("attributes.*");
            let known: Vec<&str> = R::REQUIRED.iter().chain(R::OPTIONAL).copied().chain(free).collect();
            return Err(format!("unknown column `{name}`; {}", crate::document::expected(&name, &known)));
        }
        if names[..index].contains(&names[index]) {
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
