//! A report as it is looked at: sentences, and tables of typed cells, of which each format makes what it needs. The
//! texts are English; [`super::words`] has them in other languages.

use chrono::NaiveDate;

use crate::domain::period::Periods;

/// A report.
#[derive(Debug, Clone, PartialEq)]
pub struct Sheet {
    pub title: Text,
    /// What it is about and what it counts, a sentence or two each.
    pub about: Vec<Text>,
    pub tables: Vec<Table>,
    /// What to know when reading it.
    pub notes: Vec<Text>,
    /// The currency of its money (ISO 4217).
    pub currency: String,
}

/// A text of ours with places for values: `{0}` is the first of them. Languages put them in an order of their own.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    pub english: &'static str,
    pub values: Vec<Cell>,
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
    /// A word of ours, or several with values in them.
    Word(Text),
    Count(i64),
    /// In major units of the report's currency.
    Money(f64),
    /// The same with the currency, as a sentence has it.
    Amount(f64),
    /// The same as Money with its sign: what became more, or less.
    Change(f64),
    /// 0 to 1.
    Share(f64),
    /// The same where somebody chose it: with as many decimals as it needs, so that a half is 50 %.
    Chosen(f64),
    Number(f64),
    /// With as many decimals as it has: days of which somebody said how many.
    Length(f64),
    /// How probable what was seen is where there is no effect.
    P(f64),
    Date(NaiveDate),
    /// The period that begins on this day.
    Period(Periods, NaiveDate),
    /// Cannot be computed.
    Nothing,
}

impl Text {
    pub fn new(english: &'static str, values: impl Into<Vec<Cell>>) -> Self {
        Self { english, values: values.into() }
    }
}

impl From<&'static str> for Text {
    fn from(english: &'static str) -> Self {
        Self::new(english, [])
    }
}

impl Table {
    /// The columns that say something. One that says nothing is left out: no row has more than zero in it. The first
    /// names the rows, and a single row says that there is nothing.
    pub fn shown(&self) -> Vec<usize> {
        let nothing = |cell: &Cell| matches!(cell, Cell::Nothing | Cell::Count(0)) || *cell == Cell::Money(0.0);
        let says = |place: &usize| {
            *place == 0
                || self.rows.len() == 1
                || self.rows.iter().any(|row| row.get(*place).is_some_and(|cell| !nothing(cell)))
        };
        (0..self.columns.len()).filter(says).collect()
    }
}

impl Cell {
    pub fn word(english: &'static str) -> Self {
        Self::Word(english.into())
    }

    /// A language by its code, for the commonest of which there are names.
    pub fn language(code: &str) -> Self {
        let known = ["fa", "en"].into_iter().find(|known| *known == code);
        known.map_or_else(|| Self::Name(code.to_owned()), Self::word)
    }

    pub fn money(amount: Option<f64>) -> Self {
        amount.map_or(Self::Nothing, Self::Money)
    }

    pub fn change(amount: Option<f64>) -> Self {
        amount.map_or(Self::Nothing, Self::Change)
    }

    pub fn share(share: Option<f64>) -> Self {
        share.map_or(Self::Nothing, Self::Share)
    }

    pub fn number(number: Option<f64>) -> Self {
        number.map_or(Self::Nothing, Self::Number)
    }

    /// As far as it is one: what a chart draws.
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Count(count) => Some(*count as f64),
            Self::Money(number)
            | Self::Amount(number)
            | Self::Change(number)
            | Self::Share(number)
            | Self::Chosen(number)
            | Self::Number(number)
            | Self::Length(number)
            | Self::P(number) => Some(*number).filter(|number| number.is_finite()),
            Self::Name(_) | Self::Word(_) | Self::Date(_) | Self::Period(..) | Self::Nothing => None,
        }
    }

    /// For programs: every digit, nothing between them, empty where there is nothing.
    pub fn exact(&self) -> String {
        match self {
            Self::Name(text) => text.clone(),
            Self::Word(text) => {
                let mut out = text.english.to_owned();
                for (place, value) in text.values.iter().enumerate() {
                    out = out.replace(&format!("{{{place}}}"), &value.exact());
                }
                out
            }
            Self::Count(count) => count.to_string(),
            Self::Money(number)
            | Self::Amount(number)
            | Self::Change(number)
            | Self::Share(number)
            | Self::Chosen(number)
            | Self::Number(number)
            | Self::Length(number)
            | Self::P(number) => number.to_string(),
            Self::Date(date) => date.to_string(),
            Self::Period(periods, start) => periods.name(*start),
            Self::Nothing => String::new(),
        }
    }
}

/// A part of a whole; nothing of nothing cannot be said.
pub fn ratio(part: i64, whole: i64) -> Option<f64> {
    (whole != 0).then(|| part as f64 / whole as f64)
}
