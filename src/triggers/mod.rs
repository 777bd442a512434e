//! The triggers: one file each, beside its SQL. To add one: its file, its SQL, its line in [`ALL`].

use std::sync::Arc;

use chrono::NaiveDate;

use crate::domain::Instant;
use crate::domain::calendar::{Calendar, LeapDay, in_calendar, parse_date};
use crate::domain::campaign::TriggerKind;
use crate::domain::occasion::{Bind, Candidate, Query, Rows};

mod anniversary;
mod at_risk;
mod birthday;
mod broadcast;
mod date;
mod post_purchase;
mod welcome;

/// Every trigger that a campaign may name.
pub const ALL: &[TriggerKind] = &[
    TriggerKind { name: "welcome", decode: |table, _| welcome::decode(table).map(|t| Arc::new(t) as Arc<_>) },
    TriggerKind { name: "birthday", decode: |table, _| birthday::decode(table).map(|t| Arc::new(t) as Arc<_>) },
    TriggerKind { name: "anniversary", decode: |table, _| anniversary::decode(table).map(|t| Arc::new(t) as Arc<_>) },
    TriggerKind { name: "date", decode: |table, _| date::decode(table).map(|t| Arc::new(t) as Arc<_>) },
    TriggerKind {
        name: "post_purchase",
        decode: |table, brand| post_purchase::decode(table, brand).map(|t| Arc::new(t) as Arc<_>),
    },
    TriggerKind { name: "at_risk", decode: |table, _| at_risk::decode(table).map(|t| Arc::new(t) as Arc<_>) },
    TriggerKind {
        name: "broadcast",
        decode: |table, brand| broadcast::decode(table, brand).map(|t| Arc::new(t) as Arc<_>),
    },
];

/// Fills a trigger's SQL: its `{rows}` mark becomes the condition on the base instant `column`
/// (shifted by `offset` milliseconds), on changed members, or on one member.
fn filled(sql: &str, rows: Rows, column: &str, offset: i64) -> Query {
    let span = |column: &str| format!("{column} > $4 AND {column} <= $5");
    let (condition, after, until) = match rows {
        Rows::Base { after, until } => {
            (span(column), after.timestamp_millis() - offset, until.timestamp_millis() - offset)
        }
        Rows::Changed { after, until } => (span("m.changed"), after, until),
        Rows::Member(id) => (span("m.id"), id - 1, id),
    };
    Query { sql: sql.replace("{rows}", &condition), binds: vec![Bind::Integer(after), Bind::Integer(until)] }
}

/// The same for yearly dates: the condition is on the indexed month-and-day keys of both calendars,
/// the columns `keys` (such as `m.birth_`) and the calendar's name.
/// `shift` days lie between the key's date and the base instant's.
fn filled_yearly(sql: &str, rows: Rows, keys: &str, shift: i64) -> Query {
    let Rows::Base { after, until } = rows else { return filled(sql, rows, "", 0) };
    // Zones, leap days and the UTC date under which an instant is filed move a date by at most
    // two days either way; the exact instant is computed from the row.
    let first = after + chrono::Duration::days(shift - 3);
    let last = until + chrono::Duration::days(shift + 3);
    let mut terms = Vec::new();
    let mut binds = vec![Bind::Integer(0), Bind::Integer(0)];
    for calendar in [Calendar::Gregorian, Calendar::Persian] {
        for (low, high) in month_day_spans(first, last, calendar) {
            terms.push(format!("{keys}{calendar} BETWEEN ${} AND ${}", binds.len() + 4, binds.len() + 5));
            binds.extend([Bind::Integer(low), Bind::Integer(high)]);
        }
    }
    // The first two placeholders are those of the other forms; they must stand in the text.
    let condition = format!("({}) AND $4 = $5", terms.join(" OR "));
    Query { sql: sql.replace("{rows}", &condition), binds }
}

/// The same for dates that come once, kept in the table of members' dates.
fn filled_dates(sql: &str, rows: Rows, shift: i64) -> Query {
    let Rows::Base { after, until } = rows else { return filled(sql, rows, "", 0) };
    let day = |at: Instant, days| Bind::Text((at + chrono::Duration::days(days)).date_naive().to_string());
    let condition = "d.date >= $4 AND d.date <= $5";
    Query { sql: sql.replace("{rows}", condition), binds: vec![day(after, shift - 2), day(until, shift + 2)] }
}

/// Fills the mark `{name}` with a value.
fn named(mut query: Query, name: &str) -> Query {
    query.sql = query.sql.replace("{name}", &format!("${}", query.binds.len() + 4));
    query.binds.push(Bind::Text(name.to_owned()));
    query
}

/// The name of a member's attribute, as `attributes.renewal`.
fn parse_attribute(text: &str) -> Result<String, String> {
    match text.strip_prefix("attributes.") {
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        _ => Err(format!("`{text}` is not an attribute; write it like attributes.renewal")),
    }
}

/// The date that an attribute holds, in either calendar.
fn date_attribute(candidate: &Candidate, name: &str) -> Option<NaiveDate> {
    parse_date(candidate.member.attributes.get(name)?).ok()
}

/// The month-and-day numbers between two instants' dates: one span, two across the year's end.
fn month_day_spans(first: Instant, last: Instant, calendar: Calendar) -> Vec<(i64, i64)> {
    if last - first >= chrono::Duration::days(360) {
        return vec![(0, 9999)];
    }
    let low = in_calendar(first.date_naive(), calendar).1.number();
    let high = in_calendar(last.date_naive(), calendar).1.number();
    if low <= high { vec![(low, high)] } else { vec![(low, 9999), (0, high)] }
}

/// The years of a calendar that a span of instants touches, with one to spare on each side.
fn years_between(after: Instant, until: Instant, calendar: Calendar) -> std::ops::RangeInclusive<i32> {
    in_calendar(after.date_naive(), calendar).0 - 1..=in_calendar(until.date_naive(), calendar).0 + 1
}

/// `leap_day`, with its default.
fn decode_leap_day(table: &mut crate::document::Table<'_>) -> Option<LeapDay> {
    table.get_or("leap_day", LeapDay::Before, |value| value.one_of(LeapDay::WORDS))
}
