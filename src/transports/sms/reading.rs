//! Small readers: of the values in a description, and of those in an answer.

use std::time::Duration;

use serde_json::Value as Json;

use crate::document::{Value, expected};
use crate::domain::duration;

/// A key that is absent is fine, one that could not be read is not.
pub(super) fn whole<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    match read {
        None => Some(None),
        Some(None) => None,
        Some(value) => Some(value),
    }
}

/// All items, or none where one could not be read; each one reports its problem.
pub(super) fn each<'d, T>(items: Vec<Value<'d>>, read: impl Fn(Value<'d>) -> Option<T>) -> Option<Vec<T>> {
    let read: Vec<Option<T>> = items.into_iter().map(read).collect();
    read.into_iter().collect()
}

/// A table's keys, each with what it holds.
pub(super) fn pairs<'d, T>(value: Value<'d>, read: impl Fn(Value<'d>) -> Option<T>) -> Option<Vec<(String, T)>> {
    let entries: Vec<_> =
        value.table()?.entries().into_iter().map(|(name, value)| Some((name, read(value)?))).collect();
    entries.into_iter().collect()
}

/// A JSON pointer into an answer.
pub(super) fn pointer(value: Value<'_>) -> Option<String> {
    value.parse(|text| match text.starts_with('/') {
        true => Ok(text.to_owned()),
        false => Err(format!("`{text}` is not a place in the answer; write a JSON pointer: /return/status")),
    })
}

/// A length of time.
pub(super) fn length(value: Value<'_>) -> Option<Duration> {
    value.parse(|text| duration::parse(text)?.to_std().map_err(|error| error.to_string()))
}

/// For messages about a name that was written in a description or in the settings.
pub(super) fn not_known(what: &str, found: &str, valid: &[&str]) -> String {
    format!("there is no {what} `{found}`; {}", expected(found, valid))
}

/// A number or a short word, as text. Anything longer is no code and no id.
pub(super) fn scalar(value: &Json) -> Option<String> {
    let text = match value {
        Json::Number(number) => number.to_string(),
        Json::Bool(value) => value.to_string(),
        Json::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    (!text.is_empty() && text.len() <= 100 && text.chars().all(plain)).then_some(text)
}
