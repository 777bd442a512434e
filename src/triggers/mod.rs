//! The triggers: one file each, beside its SQL. To add one: its file, its SQL, its line in [`ALL`].

use std::sync::Arc;

use chrono::NaiveDate;
use chrono_tz::{TZ_VARIANTS, Tz};

use crate::domain::Instant;
use crate::domain::brand::Brand;
use crate::domain::calendar::{Calendar, LeapDay, MonthDay, in_calendar, parse_life_date};
use crate::domain::campaign::TriggerKind;
use crate::domain::member::Member;
use crate::domain::occasion::{Bind, Candidate, Query, Rows};

mod anniversary;
mod at_risk;
mod birthday;
mod broadcast;
mod date;
mod occasion;
mod post_purchase;
#[cfg(test)]
mod tests;
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
    TriggerKind {
        name: "occasion",
        decode: |table, brand| occasion::decode(table, brand).map(|t| Arc::new(t) as Arc<_>),
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

/// The same for yearly dates: the condition is on the indexed month-and-day keys, the columns `keys`
/// (such as `m.birth_`) and the calendar's name; a member's keys count in the member's calendar only.
/// `shift` days lie between the key's date and the base instant's. `filed_by_utc` says that the keys
/// are those of an instant's UTC date, which is a day off the local one at most.
fn filled_yearly(sql: &str, rows: Rows, keys: &str, shift: i64, filed_by_utc: bool, brand: &Brand) -> Query {
    let Rows::Base { after, until } = rows else { return filled(sql, rows, "", 0) };
    let slack = if filed_by_utc { 1 } else { 0 };
    let days = dates_of_midnights(after, until);
    let first = *days.start() + chrono::Duration::days(shift - slack);
    let last = *days.end() + chrono::Duration::days(shift + slack);
    let mut terms = Vec::new();
    let mut binds = vec![Bind::Integer(0), Bind::Integer(0)];
    for calendar in [Calendar::Gregorian, Calendar::Persian] {
        // Beside keys of another table it would lead the planner to start from the members.
        let own = if keys.starts_with("m.") {
            format!("COALESCE(m.calendar, '{}') = '{calendar}' AND ", brand.calendar)
        } else {
            String::new()
        };
        for (low, high) in month_day_spans(first, last, calendar) {
            terms.push(format!("{own}{keys}{calendar} BETWEEN ${} AND ${}", binds.len() + 4, binds.len() + 5));
            binds.extend([Bind::Integer(low), Bind::Integer(high)]);
        }
    }
    // The first two placeholders are those of the other forms; they must stand in the text.
    let condition = format!("({}) AND $4 = $5", terms.join(" OR "));
    Query { sql: sql.replace("{rows}", &condition), binds }
}

/// The same for what comes at once to all members of a zone: the condition is on their zone. `None`
/// where it comes to no zone.
fn filled_zones(sql: &str, brand: &Brand, comes: impl Fn(Tz) -> bool) -> Option<Query> {
    // Names come from the zone database itself, so they can stand in the text.
    let zones: Vec<String> =
        TZ_VARIANTS.iter().filter(|zone| comes(**zone)).map(|zone| format!("'{}'", zone.name())).collect();
    let condition = match zones.len() {
        0 => return None,
        all if all == TZ_VARIANTS.len() => "$4 = $5".to_owned(),
        _ => format!("COALESCE(m.timezone, '{}') IN ({}) AND $4 = $5", brand.timezone.name(), zones.join(", ")),
    };
    // The placeholders are those of the other forms; they must stand in the text.
    Some(Query { sql: sql.replace("{rows}", &condition), binds: vec![Bind::Integer(0), Bind::Integer(0)] })
}

/// The dates whose local midnight can lie in (after, until] in some zone: zones are between -12 and
/// +14 hours, and where a zone skipped a day its midnight is the next day's.
fn dates_of_midnights(after: Instant, until: Instant) -> std::ops::RangeInclusive<NaiveDate> {
    let hours = chrono::Duration::hours;
    (after - hours(36)).date_naive()..=(until + hours(14)).date_naive()
}

/// The same for dates that come once, kept in the table of members' dates.
fn filled_dates(sql: &str, rows: Rows, shift: i64) -> Query {
    let Rows::Base { after, until } = rows else { return filled(sql, rows, "", 0) };
    let days = dates_of_midnights(after, until);
    let day = |date: NaiveDate| Bind::Text((date + chrono::Duration::days(shift)).to_string());
    let condition = "d.date >= $4 AND d.date <= $5";
    Query { sql: sql.replace("{rows}", condition), binds: vec![day(*days.start()), day(*days.end())] }
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
        Some(name) if !name.is_empty() => crate::domain::member::parse_attribute(name),
        _ => Err(format!("`{text}` is not an attribute; write it like attributes.renewal")),
    }
}

/// The date that an attribute holds, in either calendar.
fn date_attribute(candidate: &Candidate, name: &str) -> Option<NaiveDate> {
    parse_life_date(candidate.member.attributes.get(name)?).ok()
}

/// The month-and-day numbers of the dates: one span, two across the year's end. A day that a month
/// does not have every year is celebrated on a neighbour, so it belongs to a span that holds one.
fn month_day_spans(first: NaiveDate, last: NaiveDate, calendar: Calendar) -> Vec<(i64, i64)> {
    if last - first >= chrono::Duration::days(360) {
        return vec![(0, 9999)];
    }
    let at = |date| in_calendar(date, calendar).1;
    let low = match at(first) {
        MonthDay { month, day: 1 } => MonthDay { month: if month == 1 { 12 } else { month - 1 }, day: 29 },
        other => other,
    };
    let high = match at(last) {
        MonthDay { month, .. } if at(last + chrono::Duration::days(1)).day == 1 => MonthDay { month, day: 31 },
        other => other,
    };
    let (low, high) = (low.number(), high.number());
    if low <= high { vec![(low, high)] } else { vec![(low, 9999), (0, high)] }
}

/// A date that counts and is not there.
const UNKNOWN: &str = "which is not known";

/// When the member joined, for people.
fn joined(member: &Member) -> String {
    member.joined_at.map_or_else(|| UNKNOWN.to_owned(), |at| at.format("%Y-%m-%d %H:%M UTC").to_string())
}

/// An attribute with its value, for people.
fn attribute(member: &Member, name: &str) -> String {
    let value = member.attributes.get(name).map_or(UNKNOWN, String::as_str);
    format!("attributes.{name}, {value}")
}

/// For people.
fn days_before(days: u64) -> String {
    match days {
        0 => String::new(),
        1 => "a day before ".to_owned(),
        days => format!("{days} days before "),
    }
}

/// The years of a calendar that a span of instants touches, with one to spare on each side.
fn years_between(after: Instant, until: Instant, calendar: Calendar) -> std::ops::RangeInclusive<i32> {
    in_calendar(after.date_naive(), calendar).0 - 1..=in_calendar(until.date_naive(), calendar).0 + 1
}

/// `leap_day`, with its default.
fn decode_leap_day(table: &mut crate::document::Table<'_>) -> Option<LeapDay> {
    table.get_or("leap_day", LeapDay::Before, |value| value.one_of(LeapDay::WORDS))
}
