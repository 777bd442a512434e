//! What commands print: tables for people, JSON and CSV for programs, progress on a terminal. Whatever a name or a
//! text holds, nothing that is printed here steers a terminal, and no cell of CSV is a formula.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use super::Result;
use crate::domain::text::{guarded, is_direction};

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Table,
    Json,
    Csv,
}

/// What `--format` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Printed {
    Table,
    Json,
    Csv,
    /// Reports alone: a page that needs nothing else.
    Html,
}

impl Printed {
    /// As data; a page has none.
    pub(super) const fn format(self) -> Option<Format> {
        match self {
            Self::Table => Some(Format::Table),
            Self::Json => Some(Format::Json),
            Self::Csv => Some(Format::Csv),
            Self::Html => None,
        }
    }
}

/// Prints lines for people.
pub(super) fn say(text: &str) -> Result {
    writeln!(std::io::stdout().lock(), "{}", lines(text))?;
    Ok(())
}

/// Prints a page, which has written out by itself what would harm.
pub(super) fn page(markup: &str) -> Result {
    writeln!(std::io::stdout().lock(), "{markup}")?;
    Ok(())
}

/// A text of several lines with what would steer a terminal, or turn the text around, written out.
fn lines(text: &str) -> Cow<'_, str> {
    written_out(
        text,
        |c| c != '\n' && c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c),
        |c| match c {
            '\t' => "    ".to_owned(),
            _ => c.escape_unicode().to_string(),
        },
    )
}

/// The same for a value that stands within a line.
pub(super) fn one_line(text: &str) -> Cow<'_, str> {
    written_out(text, |c| c.is_control() || is_direction(c), |c| c.escape_default().to_string())
}

fn written_out(text: &str, is_harmful: impl Fn(char) -> bool, write: impl Fn(char) -> String) -> Cow<'_, str> {
    if !text.contains(&is_harmful) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if is_harmful(c) { write(c) } else { c.to_string() }).collect())
}

/// Prints to stderr.
pub(super) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", lines(text));
}

/// Prints one value as JSON.
pub(super) fn json<T: Serialize>(value: &T) -> Result {
    let text = serde_json::to_string_pretty(value).map_err(std::io::Error::other)?;
    // Strings are the only place for such signs, and JSON has its own way to write them.
    let harmful = |c: char| c != '\n' && c.is_control() || is_direction(c);
    say(&written_out(&text, harmful, |c| format!("\\u{:04x}", u32::from(c))))
}

/// Prints rows in a format. `columns` are what people and spreadsheets see; JSON has every field.
pub(super) fn rows<T: Serialize>(
    format: Format,
    items: &[T],
    columns: &[&str],
    cells: impl Fn(&T) -> Vec<String>,
) -> Result {
    match format {
        Format::Json => json(&items),
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(std::io::stdout().lock());
            let header = writer.write_record(columns);
            header.map_err(std::io::Error::other)?;
            for item in items {
                let cells = cells(item);
                let cells = cells.iter().map(|cell| lines(&guarded(cell)).into_owned());
                writer.write_record(cells).map_err(std::io::Error::other)?;
            }
            writer.flush()?;
            Ok(())
        }
        Format::Table => table(columns, &items.iter().map(cells).collect::<Vec<_>>()),
    }
}

/// Prints an aligned table; columns of numbers are aligned right.
pub(super) fn table(columns: &[&str], rows: &[Vec<String>]) -> Result {
    let rows: Vec<Vec<Cow<'_, str>>> = rows.iter().map(|row| row.iter().map(|cell| one_line(cell)).collect()).collect();
    let width = |text: &str| text.width();
    let numeric = |index: usize| {
        rows.iter().all(|row| row.get(index).is_some_and(|cell| cell.chars().all(|c| c.is_ascii_digit() || c == ',')))
            && !rows.is_empty()
    };
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(index, name)| {
            rows.iter().filter_map(|row| row.get(index)).map(|cell| width(cell)).chain([width(name)]).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: Vec<&str>| {
        let mut out = String::new();
        for (index, cell) in cells.iter().enumerate() {
            let gap = " ".repeat(widths[index].saturating_sub(width(cell)));
            if numeric(index) {
                out.push_str(&gap);
                out.push_str(cell);
            } else {
                out.push_str(cell);
                out.push_str(&gap);
            }
            out.push_str("  ");
        }
        out.trim_end().to_owned()
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", line(columns.to_vec()))?;
    writeln!(out, "{}", widths.iter().map(|w| "─".repeat(*w)).collect::<Vec<_>>().join("──"))?;
    for row in &rows {
        writeln!(out, "{}", line(row.iter().map(AsRef::as_ref).collect()))?;
    }
    Ok(())
}

/// Digits in groups of three.
pub(super) fn grouped(number: u64) -> String {
    crate::domain::number::grouped(&number.to_string())
}

/// A number with the word for what is counted: `1 provider`, `2,000 messages`.
pub(super) fn counted(count: usize, what: &str) -> String {
    format!("{} {what}{}", grouped(count as u64), if count == 1 { "" } else { "s" })
}

/// Shows how far long work is: a bar on a terminal, now and then a line elsewhere.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    total: u64,
    shown: u64,
    what: String,
}

impl Progress {
    pub(super) fn new(what: &str, total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total);
            if let Ok(style) = ProgressStyle::with_template("{msg:24} {bar:40} {percent:>3} %  {eta} left") {
                bar.set_style(style);
            }
            bar.set_message(what.to_owned());
            bar
        });
        Self { bar, total, shown: 0, what: what.to_owned() }
    }

    /// Says that `done` of the total is done.
    pub(super) fn at(&mut self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            return;
        }
        let percent = done * 100 / self.total.max(1);
        if percent >= self.shown + 25 {
            self.shown = percent - percent % 25;
            complain(&format!("{}: {} %", self.what, self.shown));
        }
    }

    pub(super) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
