//! The records of a CSV file (RFC 4180), in linear time and bounded memory, however it is damaged.
//!
//! A quoted cell may hold line breaks. But a quote that opens and does not close as it should must not swallow the
//! rows behind it: where the cell does not end, where text follows its closing quote, or where the record has another
//! number of columns than the header, only the line with the quote is set aside, and reading goes on with the next
//! one. Where all of that is right and a line within the cell reads as a row of its own, nobody knows which it is:
//! each of its lines is set aside.

use std::io::{self, Read};

/// Bytes of a record.
pub(super) const LONGEST: usize = 1 << 20;
/// Lines of a record.
pub(super) const MOST_LINES: u64 = 200;

/// Bytes that are read at a time.
const BLOCK: usize = 1 << 16;
/// What is shown of a line that is too long.
const SHOWN: usize = 1_000;

/// A row of the file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// Its first line, from 1.
    pub line: u64,
    /// Of a damaged one those before the damage.
    pub cells: Vec<Vec<u8>>,
    /// As it stands in the file, without the line end.
    pub raw: Vec<u8>,
    /// Why it cannot be taken.
    pub fault: Option<String>,
}

pub(super) struct Records<R> {
    input: R,
    buffer: Vec<u8>,
    /// Where the next record begins in the buffer.
    start: usize,
    /// The number of the line there.
    line: u64,
    /// Bytes before the buffer.
    passed: u64,
    /// So many of the next lines are set aside, for this reason.
    aside: Option<(u64, String)>,
}

impl<R: Read> Records<R> {
    pub(super) const fn new(input: R) -> Self {
        Self { input, buffer: Vec::new(), start: 0, line: 1, passed: 0, aside: None }
    }

    /// How many bytes of the file are behind us.
    pub(super) const fn position(&self) -> u64 {
        self.passed + self.start as u64
    }

    /// The next record of so many columns; blank lines are passed over.
    pub(super) fn next(&mut self, columns: Option<usize>) -> io::Result<Option<Record>> {
        loop {
            if self.start == self.buffer.len() && !self.fill()? {
                return Ok(None);
            }
            let Some((end, next)) = self.line_from(self.start)? else { return self.too_long().map(Some) };
            let aside = match self.aside.take() {
                Some((lines, reason)) => {
                    self.aside = (lines > 1).then(|| (lines - 1, reason.clone()));
                    Some(reason)
                }
                None => None,
            };
            if self.buffer[self.start..end].iter().all(u8::is_ascii_whitespace) {
                self.pass(next, 1);
                continue;
            }
            return self.record(end, next, columns, aside).map(Some);
        }
    }

    /// The record whose first line ends at `end`, and the next line begins at `next`.
    fn record(&mut self, end: usize, next: usize, columns: Option<usize>, aside: Option<String>) -> io::Result<Record> {
        let mut splitter = Splitter::default();
        splitter.line(&self.buffer[self.start..end]);
        let before = splitter.cells.len();
        let mut extent = (end, next, 1);
        let mut fault = aside;
        let mut holds_rows = false;
        while fault.is_none() && splitter.place == Place::Quoted {
            fault = self.extend(&mut splitter, &mut extent, columns, &mut holds_rows)?;
        }
        let fits = columns.is_none_or(|columns| splitter.cells.len() == columns) || extent.2 == 1;
        if fault.is_none() && splitter.place == Place::Broken {
            fault = Some("text stands behind a closing quote; write a quote within a cell twice".to_owned());
        } else if fault.is_none() && !fits {
            fault = Some(unclosed("does not close in its row"));
        }
        if fault.is_none() && holds_rows {
            let last = self.line + extent.2 - 1;
            let reason = format!(
                "lines {} to {last} stand in one quoted cell and read as rows; close the quote, or write the cell in one line",
                self.line
            );
            self.aside = Some((extent.2 - 1, reason.clone()));
            fault = Some(reason);
        }
        let (end, next, lines) = if fault.is_some() { (end, next, 1) } else { extent };
        let mut cells = splitter.cells;
        if fault.is_some() {
            cells.truncate(before);
        }
        let record = Record { line: self.line, cells, raw: self.buffer[self.start..end].to_vec(), fault };
        self.pass(next, lines);
        Ok(record)
    }

    /// Takes one more line into a record with an open quote; gives the fault that shows with it.
    fn extend(
        &mut self,
        splitter: &mut Splitter,
        (end, next, lines): &mut (usize, usize, u64),
        columns: Option<usize>,
        holds_rows: &mut bool,
    ) -> io::Result<Option<String>> {
        if *next == self.buffer.len() && !self.fill()? {
            return Ok(Some(unclosed("does not close before the file ends")));
        }
        let found = if *lines < MOST_LINES { self.line_from(*next)? } else { None };
        let Some((line_end, after)) = found else {
            return Ok(Some(unclosed(&format!("does not close within {MOST_LINES} lines and {LONGEST} bytes"))));
        };
        let line = &self.buffer[*next..line_end];
        splitter.open_cell.push(b'\n');
        splitter.line(line);
        let more = columns.is_some_and(|columns| splitter.cells.len() > columns);
        if splitter.place == Place::Broken || more {
            return Ok(Some(unclosed("does not close in its row")));
        }
        *holds_rows = *holds_rows || columns.is_some_and(|columns| reads_as_row(line, columns));
        (*end, *next, *lines) = (line_end, after, *lines + 1);
        Ok(None)
    }

    /// Where the line that begins at `from` ends, and where the next one begins; `None` where the record becomes too
    /// long with it. Lines end with LF, CR LF or CR.
    fn line_from(&mut self, from: usize) -> io::Result<Option<(usize, usize)>> {
        let mut at = from;
        loop {
            match self.buffer[at..].iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
                Some(found) if at + found - self.start > LONGEST => return Ok(None),
                Some(found) => {
                    let end = at + found;
                    if self.buffer[end] == b'\r' && end + 1 == self.buffer.len() {
                        self.fill()?;
                    }
                    let is_pair = self.buffer[end..].starts_with(b"\r\n");
                    return Ok(Some((end, if is_pair { end + 2 } else { end + 1 })));
                }
                None if self.buffer.len() - self.start > LONGEST => return Ok(None),
                None => {
                    at = self.buffer.len();
                    if !self.fill()? {
                        return Ok(Some((at, at)));
                    }
                }
            }
        }
    }

    /// Passes over a line that is too long, and keeps its beginning.
    fn too_long(&mut self) -> io::Result<Record> {
        let line = self.line;
        let shown = (self.start + SHOWN).min(self.buffer.len());
        let raw = self.buffer[self.start..shown].to_vec();
        self.aside = self.aside.take().filter(|(lines, _)| *lines > 1).map(|(lines, reason)| (lines - 1, reason));
        loop {
            let rest = &self.buffer[self.start..];
            let found = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            match found {
                Some(found) => {
                    self.pass(self.start + found, 0);
                    // Its end is near now.
                    if let Some((_, next)) = self.line_from(self.start)? {
                        self.pass(next, 1);
                    }
                    break;
                }
                None => {
                    self.pass(self.buffer.len(), 0);
                    if !self.fill()? {
                        break;
                    }
                }
            }
        }
        let fault = Some(format!("the line is longer than {LONGEST} bytes; only its beginning is kept here"));
        Ok(Record { line, cells: Vec::new(), raw, fault })
    }

    fn pass(&mut self, to: usize, lines: u64) {
        self.start = to;
        self.line += lines;
        // What was read ahead is moved seldom enough to cost nothing.
        if self.start > BLOCK && self.start * 2 > self.buffer.len() {
            self.passed += self.start as u64;
            self.buffer.drain(..self.start);
            self.start = 0;
        }
    }

    /// Reads on; false at the end of the file.
    fn fill(&mut self) -> io::Result<bool> {
        let read = (&mut self.input).take(BLOCK as u64).read_to_end(&mut self.buffer)?;
        Ok(read > 0)
    }
}

fn unclosed(what: &str) -> String {
    format!("a quote opens in this line and {what}; the lines behind it are read as rows")
}

/// Whether a line has the columns of a row.
fn reads_as_row(line: &[u8], columns: usize) -> bool {
    let mut splitter = Splitter::default();
    splitter.line(line);
    splitter.cells.len() + usize::from(splitter.place != Place::Ended) >= columns
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    /// Before the first sign of a cell.
    #[default]
    Begin,
    Plain,
    Quoted,
    /// Behind a closing quote.
    Closed,
    /// Behind text that stands there.
    Broken,
    /// The line is over, and its last cell.
    Ended,
}

/// Divides lines into cells.
#[derive(Debug, Default)]
struct Splitter {
    cells: Vec<Vec<u8>>,
    open_cell: Vec<u8>,
    place: Place,
}

impl Splitter {
    /// Takes a line, or one more where a quote is open.
    fn line(&mut self, line: &[u8]) {
        let mut bytes = line.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            self.place = match (self.place, byte) {
                (Place::Broken, _) => return,
                (Place::Begin | Place::Plain | Place::Closed, b',') => {
                    self.cells.push(std::mem::take(&mut self.open_cell));
                    Place::Begin
                }
                (Place::Begin, b'"') => {
                    self.open_cell.clear();
                    Place::Quoted
                }
                (Place::Quoted, b'"') if bytes.peek() == Some(&b'"') => {
                    bytes.next();
                    self.open_cell.push(b'"');
                    Place::Quoted
                }
                (Place::Quoted, b'"') => Place::Closed,
                (Place::Closed, b' ' | b'\t') => Place::Closed,
                (Place::Closed, _) => Place::Broken,
                (place, byte) => {
                    self.open_cell.push(byte);
                    if place == Place::Begin && !matches!(byte, b' ' | b'\t') { Place::Plain } else { place }
                }
            };
        }
        if !matches!(self.place, Place::Quoted | Place::Broken) {
            self.cells.push(std::mem::take(&mut self.open_cell));
            self.place = Place::Ended;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `line: cells` or `line! cells before the damage` of each record.
    fn read(text: &str, columns: usize) -> Vec<String> {
        let mut records = Records::new(text.as_bytes());
        let mut found = Vec::new();
        while let Some(record) = records.next(Some(columns)).unwrap() {
            let cells: Vec<String> = record.cells.iter().map(|cell| format!("{}", cell.escape_ascii())).collect();
            let mark = if record.fault.is_some() { '!' } else { ':' };
            found.push(format!("{}{mark} {}", record.line, cells.join("|")));
        }
        assert_eq!(records.position(), text.len() as u64);
        found
    }

    #[test]
    fn lines_are_rows_whatever_ends_them() {
        assert_eq!(read("a,b\nc,d\r\ne,f\rg,h\r\r\n\n  \ni,j", 2), ["1: a|b", "2: c|d", "3: e|f", "4: g|h", "8: i|j"]);
        assert_eq!(read("", 2), Vec::<String>::new());
        assert_eq!(read("\n\n", 1), Vec::<String>::new());
        assert_eq!(read(",\n\"\"\n", 2), ["1: |", "2: "]);
    }

    #[test]
    fn quoted_cells_hold_commas_quotes_and_line_breaks() {
        assert_eq!(read("\"a,b\",\"c \"\"d\"\"\"\n", 2), ["1: a,b|c \\\"d\\\""]);
        assert_eq!(read("m1,\"Eva\nLind\",yes\nm2,Kai,no\n", 3), ["1: m1|Eva\\nLind|yes", "3: m2|Kai|no"]);
        // The third line reads as a row of two columns.
        assert_eq!(read("m1,\"a\r\n\r\nb, c\"\r\nm2,x\r\n", 2), ["1! m1", "3! b| c\\\"", "4: m2|x"]);
        assert_eq!(read("m1, \"a\" ,b\n", 3), ["1: m1|a|b"]);
        // A quote that opens nothing is a sign like others.
        assert_eq!(read("m1,5\" pipe,a \"b\" c\nm2,x,y\n", 3), ["1: m1|5\\\" pipe|a \\\"b\\\" c", "2: m2|x|y"]);
    }

    #[test]
    fn a_quote_that_does_not_close_costs_its_line() {
        assert_eq!(read("a,\"b\nc,d\ne,f\n", 2), ["1! a", "2: c|d", "3: e|f"]);
        assert_eq!(read("a,\"b\nc,\"d\"\ne,f\n", 2), ["1! a", "2: c|d", "3: e|f"]);
        assert_eq!(read("\"a,b\nc,d\n", 2), ["1! ", "2: c|d"]);
        assert_eq!(read("a,\"b\"c\nd,e\n", 2), ["1! a", "2: d|e"]);
        // It closes somewhere, but the columns do not come out.
        assert_eq!(read("a,\"b,x\nc\",d,e\nf,g,h\n", 3), ["1! a", "2: c\\\"|d|e", "3: f|g|h"]);
        // It closes well, and nobody knows whether these were rows.
        assert_eq!(read("a,\"b\nc,d\ne,f\"\ng,h\n", 2), ["1! a", "2! c|d", "3! e|f\\\"", "4: g|h"]);
        assert_eq!(read("\"a\nb\"\nc\n", 1), ["1! ", "2! b\\\"", "3: c"]);
    }

    #[test]
    fn records_are_bounded() {
        let long = "x".repeat(LONGEST + 10);
        assert_eq!(read(&format!("a\n{long}\nb\n"), 1), ["1: a", "2! ", "3: b"]);
        assert_eq!(read(&format!("a\n{long}"), 1), ["1: a", "2! "]);
        let found = read(&format!("\"a\n{long}\nb\n"), 1);
        assert_eq!(found, ["1! ", "2! ", "3: b"]);
        let many = "x\n".repeat(MOST_LINES as usize + 5);
        let found = read(&format!("1,\"a\n{many}\",2\n"), 3);
        assert_eq!((found.len(), found[0].as_str()), (MOST_LINES as usize + 7, "1! 1"));
    }
}
