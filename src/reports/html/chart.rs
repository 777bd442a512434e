//! What is drawn of a table. Places along a line are in per cent, so that a drawing is as wide as its page while its
//! letters keep their size. Nothing is told by colour alone: bars are named, lines have their own dashes and marks,
//! fields have their numbers in them.
//!
//! In Persian, what belongs to reading runs from the right: labels stand there, bars grow from there, and the columns of
//! a heat map run as those of the table below it do. What belongs to numbers runs from the left, as numbers themselves
//! are written and as the charts of Iranian banks, papers and the statistical centre are drawn: time, and the line on
//! which an interval lies.

use maud::{Markup, html};

use super::Pen;
use crate::reports::sheet::{Cell, Chart, Table, Text};
use crate::reports::words::Language;

/// Rows that are drawn at the most; the table has all.
const MOST: usize = 30;

/// Which end of a text stands at its place, or its middle.
#[derive(Clone, Copy)]
enum Side {
    Left,
    Middle,
    Right,
}

/// A row that sums up those above it; beside them its bar would make all others small.
pub(super) fn is_total(row: &[Cell]) -> bool {
    row.first() == Some(&Cell::word("all"))
}

/// The drawing with its title and what it shows in words; nothing where there are no values.
pub(super) fn figure(pen: Pen<'_>, table: &Table, chart: &Chart, number: usize) -> Markup {
    let parts = table.rows.iter().filter(|row| table.rows.len() == 1 || !is_total(row));
    let mut rows: Vec<&Vec<Cell>> = parts.collect();
    let is_cut = rows.len() > MOST && !matches!(chart, Chart::Lines { .. });
    if is_cut {
        rows.truncate(MOST);
    }
    let drawing = Drawing { pen, table, rows, number };
    let drawn = match chart {
        Chart::Bars { label, values } => drawing.bars(*label, values),
        Chart::Lines { label, values } => drawing.lines(*label, values),
        Chart::Heat { values } => drawing.heat(values),
        Chart::Intervals { label, estimate, low, high } => drawing.intervals(*label, [*estimate, *low, *high]),
    };
    html! {
        @if let Some(drawn) = drawn {
            figure {
                (drawn)
                @if is_cut {
                    figcaption {
                        (pen.text(&Text::new("Only the first {0} rows are drawn.", [Cell::Count(MOST as i64)])))
                    }
                }
            }
        }
    }
}

struct Drawing<'a> {
    pen: Pen<'a>,
    table: &'a Table,
    rows: Vec<&'a Vec<Cell>>,
    /// Of the table on its page.
    number: usize,
}

impl Drawing<'_> {
    /// A bar under each label, or one for each value.
    fn bars(&self, label: usize, values: &[usize]) -> Option<Markup> {
        const LABEL: f64 = 18.0;
        let most = self.values(values).fold(0.0, f64::max);
        if most <= 0.0 {
            return None;
        }
        let is_one = values.len() == 1;
        let (each, bar) = if is_one { (LABEL + 24.0, 13.0) } else { (30.0, 9.0) };
        let height = |row: f64| row * if is_one { each } else { LABEL + 8.0 + each * values.len() as f64 };
        let length = |value: f64| 100.0 * value.max(0.0) / most;
        let content = html! {
            @for (place, row) in self.rows.iter().enumerate() {
                @let top = height(place as f64);
                (self.at_start(top + 13.0, "strong", &self.short(row.get(label))))
                @for (series, column) in values.iter().enumerate() {
                    @let cell = row.get(*column).unwrap_or(&Cell::Nothing);
                    @let line = if is_one { top } else { top + LABEL + each * series as f64 };
                    @let width = length(cell.value().unwrap_or(0.0));
                    @if !is_one { (self.at_start(line + 13.0, "soft", &self.column(*column))) }
                    (self.at_end(line + 13.0, "", &self.pen.value(cell)))
                    rect .track x="0" width="100%" y=(line + 18.0) height=(bar) rx="2" {}
                    @if width > 0.0 {
                        rect class={ "fill" (series % 3) } x=(per_cent(self.inline_start(width))) width=(per_cent(width))
                            y=(line + 18.0) height=(bar) rx="2" {}
                    }
                }
            }
        };
        let says = self.says("A bar for each row: {0}. The numbers are in the table below.", values);
        let drawn = self.svg("narrow", height(self.rows.len() as f64), &says, &content);
        Some(html! {
            @if is_one { figcaption aria-hidden="true" { @for place in values { (self.column(*place)) } } }
            (drawn)
        })
    }

    /// Lines from left to right, with the numbers of the scale at the left.
    fn lines(&self, label: usize, values: &[usize]) -> Option<Markup> {
        const TOP: f64 = 22.0;
        const BOTTOM: f64 = 210.0;
        let most = self.values(values).fold(0.0, f64::max);
        if self.rows.len() < 2 || most <= 0.0 {
            return None;
        }
        let like = self.rows.iter().flat_map(|row| values.iter().filter_map(|place| row.get(*place)));
        let like = like.clone().find(|cell| cell.value().is_some())?;
        let top = nice(most, matches!(like, Cell::Count(_)));
        let x = |place: usize| 2.0 + 96.0 * place as f64 / (self.rows.len() - 1) as f64;
        let y = |value: f64| BOTTOM - (BOTTOM - TOP) * value / top;
        let last = self.rows.len() - 1;
        let content = html! {
            @for tick in [0.0, top / 2.0, top] {
                line class=(if tick == 0.0 { "axis" } else { "grid" }) x1="0" x2="100%" y1=(round(y(tick))) y2=(round(y(tick))) {}
            }
            @for (series, column) in values.iter().enumerate() { (self.line(*column, series, &x, &y)) }
            @for tick in [top / 2.0, top] {
                (self.text(0.0, y(tick) - 5.0, Side::Left, "soft halo", &self.pen.value(&same(like, tick))))
            }
            @for place in marked(last) {
                @let side = if place == 0 { Side::Left } else if place == last { Side::Right } else { Side::Middle };
                @let at = if place == 0 { 0.0 } else if place == last { 100.0 } else { x(place) };
                (self.text(at, BOTTOM + 18.0, side, "soft", &self.short(self.rows[place].get(label))))
            }
        };
        let says =
            self.says("A line through the rows, from left to right: {0}. The numbers are in the table below.", values);
        let drawn = self.svg("", BOTTOM + 26.0, &says, &content);
        Some(html! {
            figcaption aria-hidden="true" {
                @for (series, column) in values.iter().enumerate() {
                    span {
                        svg width="36" height="12" {
                            line class={ "line" (series % 3) } x1="2" x2="34" y1="6" y2="6" {}
                            (mark(series, "18", 6.0, ""))
                        }
                        (self.column(*column))
                    }
                }
            }
            (drawn)
        })
    }

    /// One of them: it is broken where there is no value.
    fn line(&self, column: usize, series: usize, x: &impl Fn(usize) -> f64, y: &impl Fn(f64) -> f64) -> Markup {
        let points = self.rows.iter().enumerate();
        let points = points.map(|(place, row)| Some((place, row.get(column)?, row.get(column)?.value()?)));
        let points: Vec<_> = points.collect();
        let joined = points.windows(2).filter_map(|pair| match pair {
            [Some(one), Some(other)] => Some((one, other)),
            _ => None,
        });
        html! {
            @for ((from, _, low), (to, _, high)) in joined {
                line class={ "line" (series % 3) } x1=(per_cent(x(*from))) y1=(round(y(*low)))
                    x2=(per_cent(x(*to))) y2=(round(y(*high))) {}
            }
            // With many points the marks would hide the line.
            @if points.len() <= 60 {
                @for (place, cell, value) in points.iter().flatten() {
                    @let named = format!("{}: {}", self.short(self.rows[*place].first()), self.pen.value(cell));
                    (mark(series, &per_cent(x(*place)), y(*value), &named))
                }
            }
        }
    }

    /// Fields in rows and columns, like the cells of the table.
    fn heat(&self, values: &[usize]) -> Option<Markup> {
        const FIELD: f64 = 30.0;
        const LETTER: f64 = 7.6;
        // Of words, which are made of narrower letters than numbers.
        const NARROW: f64 = 6.8;
        let mut known: Vec<f64> = self.values(values).filter(|value| *value > 0.0).collect();
        if known.is_empty() {
            return None;
        }
        // Fifths of the values, so that a few large ones leave the others apart.
        known.sort_by(f64::total_cmp);
        let level = |value: f64| (known.partition_point(|one| *one <= value) * 5).div_ceil(known.len());
        let longest =
            |texts: &mut dyn Iterator<Item = String>| texts.map(|text| text.chars().count()).max().unwrap_or(0);
        let cells = self.rows.iter().flat_map(|row| values.iter().filter_map(|place| row.get(*place)));
        let widest = longest(&mut cells.map(|cell| self.pen.value(cell))) as f64 * LETTER;
        let head = longest(&mut values.iter().map(|place| self.column(*place))) as f64 * NARROW;
        let wide = (widest.max(head) + 12.0).max(44.0);
        let label = longest(&mut self.rows.iter().map(|row| self.short(row.first()))) as f64 * LETTER + 16.0;
        let (width, height) = (label + wide * values.len() as f64, FIELD * (self.rows.len() + 1) as f64);
        // From the side on which lines begin.
        let left = |start: f64, length: f64| if self.is_rtl() { width - start - length } else { start };
        let content = html! {
            @for (number, place) in values.iter().enumerate() {
                @let middle = left(label + wide * number as f64, wide) + wide / 2.0;
                text .soft x=(round(middle)) y="19" text-anchor="middle" { (self.column(*place)) }
            }
            @for (line, row) in self.rows.iter().enumerate() {
                @let top = FIELD * (line + 1) as f64;
                text x=(round(left(0.0, 0.0))) y=(top + 19.0) text-anchor="start" { (self.short(row.first())) }
                @for (number, place) in values.iter().enumerate() {
                    @let cell = row.get(*place).unwrap_or(&Cell::Nothing);
                    @let start = left(label + wide * number as f64, wide);
                    @if let Some(value) = cell.value() {
                        @let level = level(value);
                        rect class={ "heat" (level) } x=(round(start + 1.0)) y=(top + 1.0) width=(round(wide - 2.0))
                            height=(FIELD - 2.0) rx="3" {}
                        text class=(if level > 3 { "on-high" } else { "on-low" }) x=(round(start + wide / 2.0))
                            y=(top + 19.0) text-anchor="middle" { (self.pen.value(cell)) }
                    }
                }
            }
        };
        let says = self.pen.words("A field for each number, darker for more. The numbers are in the table below, too.");
        let [title, desc] = self.ids();
        Some(html! {
            div .box {
                svg .heat role="img" aria-labelledby={ (title) " " (desc) } width=(round(width)) height=(round(height))
                    viewBox={ "0 0 " (round(width)) " " (round(height)) } {
                    title id=(title) { (self.pen.words(self.table.name)) }
                    desc id=(desc) { (says) }
                    (content)
                }
            }
        })
    }

    /// Intervals on one line of numbers, which runs from left to right.
    fn intervals(&self, label: usize, columns: [usize; 3]) -> Option<Markup> {
        const TOP: f64 = 22.0;
        const EACH: f64 = 62.0;
        let of = |row: &Vec<Cell>| {
            let [estimate, low, high] = columns.map(|place| row.get(place).and_then(Cell::value));
            Some((estimate?, low?, high?))
        };
        let found: Vec<_> = self.rows.iter().map(|row| of(row)).collect();
        let ends = || found.iter().flatten().flat_map(|(estimate, low, high)| [*estimate, *low, *high]);
        let (least, most) = (ends().fold(0.0, f64::min), ends().fold(0.0, f64::max));
        if ends().next().is_none() || most <= least {
            return None;
        }
        let x = |value: f64| 3.0 + 94.0 * (value - least) / (most - least);
        let like = |value| self.pen.value(&Cell::Change(value));
        let bottom = TOP + EACH * self.rows.len() as f64;
        let zero = per_cent(x(0.0));
        let content = html! {
            line .axis x1="0" x2="100%" y1=(bottom) y2=(bottom) {}
            line .none x1=(zero) x2=(zero) y1=(TOP - 4.0) y2=(bottom) {}
            (self.text(x(0.0), 12.0, side(x(0.0), 25.0), "soft", self.pen.words("no effect")))
            @for (place, (row, found)) in self.rows.iter().zip(&found).enumerate() {
                @let top = TOP + EACH * place as f64;
                (self.at_start(top + 14.0, "strong halo", &self.short(row.get(label))))
                @if let Some((estimate, low, high)) = found {
                    @let (y, at) = (top + 48.0, x(*estimate));
                    line class="line0" x1=(per_cent(x(*low))) x2=(per_cent(x(*high))) y1=(y) y2=(y) {}
                    @for end in [low, high] {
                        line class="line0" x1=(per_cent(x(*end))) x2=(per_cent(x(*end))) y1=(y - 6.0) y2=(y + 6.0) {}
                    }
                    circle .estimate cx=(per_cent(at)) cy=(y) r="5" {}
                    // Over its dot and under the row's name, so that it meets no other text.
                    (self.text(at, y - 12.0, side(at, 15.0), "halo", &like(*estimate)))
                }
            }
            @if least < 0.0 { (self.text(x(least), bottom + 17.0, Side::Left, "soft", &like(least))) }
            @if most > 0.0 { (self.text(x(most), bottom + 17.0, Side::Right, "soft", &like(most))) }
        };
        let says = self.pen.words(
            "For each row the estimate as a dot, its interval as a bar, and a dashed line where there is no effect. The numbers are in the table below.",
        );
        let drawn = self.svg("narrow", bottom + 24.0, says, &content);
        Some(html! {
            figcaption aria-hidden="true" { (self.pen.words("The dot is the estimate, the bar its interval.")) }
            (drawn)
        })
    }

    /// A drawing as wide as there is room.
    fn svg(&self, class: &str, height: f64, says: &str, content: &Markup) -> Markup {
        let [title, desc] = self.ids();
        html! {
            svg class=[Some(class).filter(|class| !class.is_empty())] role="img" aria-labelledby={ (title) " " (desc) }
                width="100%" height=(round(height)) {
                title id=(title) { (self.pen.words(self.table.name)) }
                desc id=(desc) { (says) }
                (content)
            }
        }
    }

    fn ids(&self) -> [String; 2] {
        ["t", "d"].map(|kind| format!("{kind}{}", self.number))
    }

    fn values(&self, columns: &[usize]) -> impl Iterator<Item = f64> {
        self.rows.iter().flat_map(move |row| columns.iter().filter_map(|place| row.get(*place)?.value()))
    }

    /// What is drawn, with the names of the columns.
    fn says(&self, english: &'static str, columns: &[usize]) -> String {
        let names: Vec<String> = columns.iter().map(|place| self.column(*place)).collect();
        self.pen.line(&Text::new(english, [Cell::Name(names.join(self.pen.words(", ")))]))
    }

    fn column(&self, place: usize) -> String {
        self.table.columns.get(place).map_or_else(String::new, |name| self.pen.language.column(name))
    }

    /// A label; the whole of a long one is in the table.
    fn short(&self, cell: Option<&Cell>) -> String {
        const MOST: usize = 32;
        match cell {
            Some(Cell::Name(text)) if text.chars().count() > MOST => {
                let cut: String = text.chars().take(MOST - 1).collect();
                self.pen.value(&Cell::Name(format!("{cut}…")))
            }
            Some(cell) => self.pen.value(cell),
            None => String::new(),
        }
    }

    fn is_rtl(&self) -> bool {
        self.pen.language == Language::Persian
    }

    /// Where something so long begins, in per cent from the left, if it lies at the side where lines begin.
    fn inline_start(&self, length: f64) -> f64 {
        if self.is_rtl() { 100.0 - length } else { 0.0 }
    }

    fn at_start(&self, y: f64, class: &str, text: &str) -> Markup {
        let (at, side) = if self.is_rtl() { (100.0, Side::Right) } else { (0.0, Side::Left) };
        self.text(at, y, side, class, text)
    }

    fn at_end(&self, y: f64, class: &str, text: &str) -> Markup {
        let (at, side) = if self.is_rtl() { (0.0, Side::Left) } else { (100.0, Side::Right) };
        self.text(at, y, side, class, text)
    }

    /// A text whose side stands at a place. Its start is where its page's lines begin.
    fn text(&self, at: f64, y: f64, side: Side, class: &str, text: &str) -> Markup {
        let anchor = match (side, self.is_rtl()) {
            (Side::Middle, _) => "middle",
            (Side::Left, false) | (Side::Right, true) => "start",
            (Side::Right, false) | (Side::Left, true) => "end",
        };
        let class = Some(class).filter(|class| !class.is_empty());
        html! { text class=[class] x=(per_cent(at)) y=(round(y)) text-anchor=(anchor) { (text) } }
    }
}

/// A point of a line: each line has marks of another shape.
fn mark(series: usize, x: &str, y: f64, named: &str) -> Markup {
    let title = html! { @if !named.is_empty() { title { (named) } } };
    let class = format!("dot{}", series % 3);
    html! {
        svg x=(x) y=(round(y)) width="1" height="1" overflow="visible" {
            @match series % 3 {
                0 => circle class=(class) r="4" { (title) },
                1 => rect class=(class) x="-4" y="-4" width="8" height="8" { (title) },
                _ => path class=(class) d="M0-5 5 4-5 4z" { (title) },
            }
        }
    }
}

/// Which places along a line are named: few, so that they do not touch on a phone.
fn marked(last: usize) -> Vec<usize> {
    if last <= 3 { (0..=last).collect() } else { vec![0, last / 2, last] }
}

/// Which side of a text stands at a place, so that the text does not leave the drawing: its middle, but not where it is
/// nearer to an end than `edge`.
fn side(at: f64, edge: f64) -> Side {
    if at < edge {
        Side::Left
    } else if at > 100.0 - edge {
        Side::Right
    } else {
        Side::Middle
    }
}

/// A value of the same kind, for a scale.
fn same(cell: &Cell, value: f64) -> Cell {
    match cell {
        Cell::Count(_) => Cell::Count(value.round() as i64),
        Cell::Share(_) | Cell::Chosen(_) => Cell::Chosen(value),
        Cell::Money(_) | Cell::Amount(_) | Cell::Change(_) => Cell::Money(value),
        _ => Cell::Number(value),
    }
}

/// The next round number; an even one where half of it is counted.
fn nice(most: f64, is_count: bool) -> f64 {
    let power = 10_f64.powf(most.log10().floor());
    let steps: &[f64] =
        if is_count && power < 10.0 { &[2.0, 4.0, 6.0, 8.0, 10.0] } else { &[1.0, 2.0, 4.0, 5.0, 6.0, 8.0, 10.0] };
    let rounded = steps.iter().map(|step| step * power).find(|rounded| *rounded >= most * (1.0 - 1e-9));
    rounded.unwrap_or(10.0 * power)
}

fn per_cent(at: f64) -> String {
    format!("{:.2}%", at)
}

/// Hundredths are enough for a drawing.
fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
