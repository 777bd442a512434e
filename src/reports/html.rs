//! A report as a page of its own: one file without scripts, pictures or anything from elsewhere, which can be mailed,
//! printed and opened under the strictest policy. Its style is the only thing that a browser is asked to apply.

use data_encoding::BASE64;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::sheet::{Cell, Sheet, Table, Text};
use super::words::{Language, Piece};
use crate::domain::text::is_direction;

mod chart;

const STYLE: &str = include_str!("html/style.css");

/// Who writes: a language, and a currency for the money.
#[derive(Debug, Clone, Copy)]
struct Pen<'a> {
    language: Language,
    currency: &'a str,
}

/// The page of a report of a brand's.
pub fn page(sheet: &Sheet, language: Language, brand: &str) -> String {
    let pen = Pen { language, currency: &sheet.currency };
    let policy = format!("default-src 'none'; style-src 'sha256-{}'", BASE64.encode(&Sha256::digest(STYLE.as_bytes())));
    let tables: Vec<&Table> = sheet.tables.iter().filter(|table| !table.rows.is_empty()).collect();
    // Such a table is printed across.
    let is_wide = tables.iter().any(|table| table.shown().len() > 9);
    let amounts = Text::new("Amounts are in {0}.", [Cell::Name(language.currency(pen.currency).to_owned())]);
    let markup = html! {
        (DOCTYPE)
        html lang=(language) dir=(language.direction()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex, nofollow";
                meta http-equiv="Content-Security-Policy" content=(policy);
                title { (pen.line(&sheet.title)) " · " (isolated(brand)) }
                style { (PreEscaped(STYLE)) }
            }
            body class=[is_wide.then_some("wide")] {
                main {
                    header {
                        p .brand { (name(brand)) }
                        h1 { (pen.text(&sheet.title)) }
                        @for about in &sheet.about { p { (pen.text(about)) } }
                    }
                    @if tables.is_empty() { p { (pen.words("There is nothing to show yet.")) } }
                    @for (place, table) in tables.iter().enumerate() { (section(pen, table, place + 1)) }
                    footer {
                        @for note in &sheet.notes { p { (pen.text(note)) } }
                        @if tables.iter().any(|table| has_money(table)) { p { (pen.text(&amounts)) } }
                    }
                }
            }
        }
    };
    markup.into_string()
}

/// A table with what is drawn of it.
fn section(pen: Pen<'_>, table: &Table, number: usize) -> Markup {
    html! {
        section aria-labelledby={ "h" (number) } {
            h2 id={ "h" (number) } { (pen.words(table.name)) }
            @if let Some(chart) = &table.chart { (chart::figure(pen, table, chart, number)) }
            // What is wider than the screen is scrolled in its box, also by keys.
            div .box role="region" aria-labelledby={ "h" (number) } tabindex="0" { (rows(pen, table)) }
        }
    }
}

fn rows(pen: Pen<'_>, table: &Table) -> Markup {
    let shown = table.shown();
    // The class of a column of numbers.
    let of = |place: &usize| {
        let words = |cell: &Cell| matches!(cell, Cell::Name(_) | Cell::Word(_) | Cell::Date(_) | Cell::Period(..));
        let is_number = *place > 0 && !table.rows.iter().any(|row| row.get(*place).is_some_and(words));
        is_number.then_some("number")
    };
    html! {
        table {
            caption { (pen.words(table.name)) }
            thead {
                tr {
                    @for place in &shown {
                        th scope="col" class=[of(place)] { (pen.language.column(table.columns[*place])) }
                    }
                }
            }
            tbody {
                @for row in &table.rows {
                    tr class=[chart::is_total(row).then_some("all")] {
                        @for place in &shown {
                            @let cell = row.get(*place).unwrap_or(&Cell::Nothing);
                            @if *place == 0 { th scope="row" { (pen.cell(cell)) } }
                            @else { td class=[of(place)] { (pen.cell(cell)) } }
                        }
                    }
                }
            }
        }
    }
}

fn has_money(table: &Table) -> bool {
    table.rows.iter().flatten().any(|cell| matches!(cell, Cell::Money(_) | Cell::Change(_)))
}

impl Pen<'_> {
    fn words(self, english: &'static str) -> &'static str {
        self.language.words(english)
    }

    /// A text of the page, each name kept together whichever way it is written.
    fn text(self, text: &Text) -> Markup {
        html! {
            @for piece in self.language.pieces(text) {
                @match piece {
                    Piece::Words(words) => (words),
                    Piece::Value(cell) => (self.cell(cell)),
                }
            }
        }
    }

    fn cell(self, cell: &Cell) -> Markup {
        match cell {
            Cell::Name(text) => name(text),
            Cell::Word(text) => self.text(text),
            _ => html! { (self.written(cell)) },
        }
    }

    /// The same where no elements can stand: names are kept together by signs.
    fn line(self, text: &Text) -> String {
        let pieces = self.language.pieces(text).into_iter().map(|piece| match piece {
            Piece::Words(words) => words.to_owned(),
            Piece::Value(cell) => self.value(cell),
        });
        pieces.collect()
    }

    fn value(self, cell: &Cell) -> String {
        match cell {
            Cell::Name(text) => isolated(text),
            Cell::Word(text) => self.line(text),
            _ => self.written(cell),
        }
    }

    /// A number, an amount or a date, of which no line ends in the middle.
    fn written(self, cell: &Cell) -> String {
        self.language.cell(cell, self.currency).replace(' ', "\u{a0}")
    }
}

fn name(text: &str) -> Markup {
    html! { bdi { (visible(text)) } }
}

fn isolated(text: &str) -> String {
    format!("\u{2068}{}\u{2069}", visible(text))
}

/// A name with what would turn its letters around, or end its isolation, written out.
fn visible(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_control() || is_direction(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests;
