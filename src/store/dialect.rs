//! What PostgreSQL and SQLite write differently, as marks in the one SQL text, and the values that
//! fill them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::{Encode, Postgres, Sqlite, Type};
use uuid::Uuid;

use super::rows::columns;

/// How a database writes SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Postgres,
    Sqlite,
}

/// Statements as they were written, and expanded.
type Known = RwLock<HashMap<String, Arc<str>>>;

/// Expanded statements that are kept.
const KEPT: usize = 2_000;

impl Dialect {
    /// The text of [`Dialect::expand`], kept for the next time: the same few hundred statements run for ever.
    pub fn statement(self, sql: &str) -> Arc<str> {
        static KNOWN: [LazyLock<Known>; 2] = [const { LazyLock::new(RwLock::default) }; 2];
        let known = &KNOWN[self as usize];
        if let Some(text) = known.read().unwrap_or_else(PoisonError::into_inner).get(sql) {
            return Arc::clone(text);
        }
        let text: Arc<str> = self.expand(sql).into();
        let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
        // Audiences have texts of their own; nobody has so many of them at once.
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(sql.to_owned(), Arc::clone(&text));
        text
    }

    /// Expands the marks in braces:
    ///
    /// - `{rows $1: id UUID, n BIGINT}`: a table `r` of the rows in one parameter ([`super::Rows`]). On PostgreSQL it is
    ///   an array for each column, and what comes after it has higher numbers; a statement has such rows once;
    /// - `{json $1: id UUID, n BIGINT}`: the same of rows that are one JSON text on both;
    /// - `{in $1}`: `IN` a list in one parameter ([`Ids`], [`Texts`]); `{in_uuid $1}` for [`Uuids`];
    /// - `{now}`: the database's time in epoch milliseconds, for leases;
    /// - `{skip_locked t}`: locks on the rows of `t`, for a batch that others may take from at the same time;
    /// - `{lock}`: row locks that wait;
    /// - `{share}`: the same that many may have at once, while nobody has the other one;
    /// - `{bytes column}`: text compared byte by byte, whatever the locale of the database;
    /// - `{lower column}`: the same with `A`-`Z` as `a`-`z`, and no other letter changed;
    /// - `{utf8 column}`: the bytes of a text, which sort alike in every database;
    /// - `{off setting}`: a planner's setting of PostgreSQL, off until the transaction ends;
    /// - `{merge a, b}`: JSON object `a` overlaid with `b`, whose nulls remove keys.
    pub fn expand(self, sql: &str) -> String {
        let sql = &*match self {
            Self::Postgres => numbered(sql),
            Self::Sqlite => Cow::Borrowed(sql),
        };
        let mut out = String::with_capacity(sql.len() + 128);
        let mut rest = sql;
        while let Some(start) = rest.find('{') {
            let Some(length) = rest[start..].find('}') else { break };
            out.push_str(&rest[..start]);
            self.mark(&rest[start + 1..start + length], &mut out);
            rest = &rest[start + length + 1..];
        }
        out.push_str(rest);
        out
    }

    /// A table `r` of the rows in one parameter: `$1: id UUID, n BIGINT`.
    fn rows(self, body: &str) -> String {
        let (parameter, columns) = body.split_once(':').unwrap_or((body, ""));
        let columns = columns.split(',').map(|column| column.trim().split_once(' ').unwrap_or((column.trim(), "")));
        if self == Self::Postgres {
            let first: usize = parameter.trim_start_matches('$').parse().unwrap_or(1);
            let arrays =
                columns.clone().enumerate().map(|(n, (_, kind))| format!("CAST(${} AS {}[])", first + n, kind.trim()));
            let names = columns.map(|(name, _)| name);
            let (arrays, names) = (arrays.collect::<Vec<_>>().join(", "), names.collect::<Vec<_>>().join(", "));
            return format!("unnest({arrays}) AS r({names})");
        }
        let columns = columns.map(|(name, kind)| match kind.trim() {
            "UUID" => format!("unhex(value->>'{name}', '-') AS {name}"),
            "JSONB" => format!("value->'{name}' AS {name}"),
            _ => format!("value->>'{name}' AS {name}"),
        });
        format!("(SELECT {} FROM jsonb_each({parameter})) AS r", columns.collect::<Vec<_>>().join(", "))
    }

    fn mark(self, mark: &str, out: &mut String) {
        let postgres = self == Self::Postgres;
        if let Some(body) = mark.strip_prefix("rows ") {
            *out += &self.rows(body);
        } else if let Some(body) = mark.strip_prefix("json ") {
            *out += &if postgres {
                let (parameter, columns) = body.split_once(':').unwrap_or((body, ""));
                format!("jsonb_to_recordset(CAST({parameter} AS JSONB)) AS r({columns})")
            } else {
                self.rows(body)
            };
        } else if let Some(parameter) = mark.strip_prefix("in ") {
            *out += &if postgres {
                format!("= ANY({parameter})")
            } else {
                format!("IN (SELECT value FROM json_each({parameter}))")
            };
        } else if let Some(parameter) = mark.strip_prefix("in_uuid ") {
            *out += &if postgres {
                format!("= ANY({parameter})")
            } else {
                format!("IN (SELECT unhex(value, '-') FROM json_each({parameter}))")
            };
        } else if let Some(setting) = mark.strip_prefix("off ") {
            *out += &if postgres { format!("set_config('{setting}', 'off', TRUE)") } else { "'off'".to_owned() };
        } else if let Some(table) = mark.strip_prefix("skip_locked ") {
            if postgres {
                *out += &format!("FOR UPDATE OF {table} SKIP LOCKED");
            }
        } else if let Some(column) = mark.strip_prefix("bytes ") {
            *out += &if postgres { format!("{column} COLLATE \"C\"") } else { column.to_owned() };
        } else if let Some(column) = mark.strip_prefix("lower ") {
            *out += &if postgres { format!("LOWER({column} COLLATE \"C\")") } else { format!("LOWER({column})") };
        } else if let Some(column) = mark.strip_prefix("utf8 ") {
            *out += &if postgres { format!("convert_to({column}, 'UTF8')") } else { format!("CAST({column} AS BLOB)") };
        } else if let Some(arguments) = mark.strip_prefix("merge ") {
            let (a, b) = arguments.split_once(',').unwrap_or((arguments, "'{}'"));
            *out += &if postgres { format!("jsonb_strip_nulls({a} || {b})") } else { format!("json_patch({a}, {b})") };
        } else {
            *out += match (mark, postgres) {
                // In a query of its own: it is asked once, not for each row.
                ("now", true) => "(SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT))",
                ("now", false) => "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
                ("lock", true) => "FOR NO KEY UPDATE",
                ("share", true) => "FOR SHARE",
                ("lock" | "share", false) => "",
                _ => unreachable_mark(mark),
            };
        }
    }
}

/// The parameters behind rows, which are as many as they have columns.
fn numbered(sql: &str) -> Cow<'_, str> {
    let Some((_, rest)) = sql.split_once("{rows $") else { return Cow::Borrowed(sql) };
    let rows: usize = rest.split(':').next().and_then(|number| number.parse().ok()).unwrap_or_default();
    let more = columns(sql).count().saturating_sub(1);
    let mut out = String::with_capacity(sql.len() + 16);
    let mut parts = sql.split('$');
    out.extend(parts.next());
    for part in parts {
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: usize = part[..digits].parse().unwrap_or_default();
        let number = if number > rows { number + more } else { number };
        let _ = write!(out, "${number}{}", &part[digits..]);
    }
    Cow::Owned(out)
}

/// A mark that nobody defined makes the statement invalid, which the test of all statements shows.
fn unreachable_mark(mark: &str) -> &'static str {
    tracing::error!(mark, "unknown mark in an SQL text");
    "{unknown mark}"
}

/// A list parameter: an array on PostgreSQL, JSON text on SQLite.
macro_rules! list_parameter {
    ($(#[$meta:meta])* $name:ident($item:ty)) => {
        $(#[$meta])*
        #[derive(Debug, Clone)]
        pub struct $name(pub Vec<$item>);

        impl Type<Postgres> for $name {
            fn type_info() -> sqlx::postgres::PgTypeInfo { <Vec<$item> as Type<Postgres>>::type_info() }
        }
        impl<'q> Encode<'q, Postgres> for $name {
            fn encode_by_ref(&self, buffer: &mut sqlx::postgres::PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
                <Vec<$item> as Encode<'_, Postgres>>::encode_by_ref(&self.0, buffer)
            }
        }
        impl Type<Sqlite> for $name {
            fn type_info() -> sqlx::sqlite::SqliteTypeInfo { <String as Type<Sqlite>>::type_info() }
        }
        impl<'q> Encode<'q, Sqlite> for $name {
            fn encode_by_ref(&self, buffer: &mut <Sqlite as sqlx::Database>::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
                <String as Encode<'_, Sqlite>>::encode(serde_json::to_string(&self.0)?, buffer)
            }
        }
    };
}

list_parameter!(
    /// Keys for `{in $n}`.
    Ids(i64)
);
list_parameter!(
    /// Words for `{in $n}`.
    Texts(String)
);
list_parameter!(
    /// Message ids for `{in_uuid $n}`.
    Uuids(Uuid)
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_expand_for_each_database() {
        let check = |sql: &str, postgres: &str, sqlite: &str| {
            assert_eq!(Dialect::Postgres.expand(sql), postgres);
            assert_eq!(Dialect::Sqlite.expand(sql), sqlite);
        };
        check("SELECT 1", "SELECT 1", "SELECT 1");
        check("x {in $1} AND y", "x = ANY($1) AND y", "x IN (SELECT value FROM json_each($1)) AND y");
        check(
            "FROM {rows $1: id UUID, n BIGINT}",
            "FROM unnest(CAST($1 AS UUID[]), CAST($2 AS BIGINT[])) AS r(id, n)",
            "FROM (SELECT unhex(value->>'id', '-') AS id, value->>'n' AS n FROM jsonb_each($1)) AS r",
        );
        check(
            "SET a = $1, b = $3 FROM {rows $2: id UUID, n BIGINT} WHERE c = $4 OR id IN (SELECT id FROM {rows $2: id UUID, n BIGINT})",
            "SET a = $1, b = $4 FROM unnest(CAST($2 AS UUID[]), CAST($3 AS BIGINT[])) AS r(id, n) WHERE c = $5 \
             OR id IN (SELECT id FROM unnest(CAST($2 AS UUID[]), CAST($3 AS BIGINT[])) AS r(id, n))",
            "SET a = $1, b = $3 FROM (SELECT unhex(value->>'id', '-') AS id, value->>'n' AS n FROM jsonb_each($2)) AS r WHERE c = $4 \
             OR id IN (SELECT id FROM (SELECT unhex(value->>'id', '-') AS id, value->>'n' AS n FROM jsonb_each($2)) AS r)",
        );
    }
}
