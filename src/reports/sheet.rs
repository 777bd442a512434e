//! A report as it is looked at: sentences, and tables of typed cells, of which each format makes what it needs. The
//! texts are English; [`super::words`] has them in other languages.

/// A report.
#[derive(Debug, Clone, PartialEq)]
pub struct Sheet {
    pub title: String,
    /// What it is about and what it counts, a sentence or two each.
    pub about: Vec<String>,
    pub tables: Vec<Table>,
    /// What to know when reading it.
    pub notes: Vec<String>,
    /// The currency of its money (ISO 4217).
    pub currency: String,
}

/// Rows that belong together. The first table of a report is what CSV holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    pub name: &'static str,
    pub columns: Vec<&'static str>,
    pub rows: Vec<Vec<Cell>>,
    pub chart: Option<Chart>,
}

/// How a table is drawn, by the places of its columns: the first of them names what is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chart {
    /// A bar for each row.
    Bars { label: usize, values: Vec<usize> },
    /// A line through the rows, in their order.
    Lines { label: usize, values: Vec<usize> },
    /// A field for each cell, darker for more: rows are named by the first column.
    Heat { values: Vec<usize> },
    /// An interval for each row with the estimate in it, and the line where there is no effect.
    Intervals { label: usize, estimate: usize, low: usize, high: usize },
}

/// A value, with what it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// A name that the shop gave: never translated.
    Name(String),
    /// A word of ours.
    Word(String),
    Count(i64),
    /// In major units of the report's currency.
    Money(f64),
    /// 0 to 1.
    Share(f64),
    Number(f64),
    /// Cannot be computed.
    Nothing,
}

impl Cell {
    pub fn money(amount: Option<f64>) -> Self {
        amount.map_or(Self::Nothing, Self::Money)
    }

    pub fn share(share: Option<f64>) -> Self {
        share.map_or(Self::Nothing, Self::Share)
    }

    pub fn number(number: Option<f64>) -> Self {
        number.map_or(Self::Nothing, Self::Number)
    }

    /// For programs: every digit, nothing between them, empty where there is nothing.
    pub fn exact(&self) -> String {
        match self {
            Self::Name(text) | Self::Word(text) => text.clone(),
            Self::Count(count) => count.to_string(),
            Self::Money(number) | Self::Share(number) | Self::Number(number) => number.to_string(),
            Self::Nothing => String::new(),
        }
    }
}

/// A part of a whole; nothing of nothing cannot be said.
pub fn ratio(part: i64, whole: i64) -> Option<f64> {
    (whole != 0).then(|| part as f64 / whole as f64)
}
