//! What YAML says, key by key.

use std::collections::BTreeMap;

use chrono::NaiveTime;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{DAY, HOUR, SECOND};

/// A YAML mapping whose keys are taken out one by one.
pub struct Keys(pub BTreeMap<String, Value>);

impl Keys {
    pub fn read(yaml: &str) -> Keys {
        Keys(serde_saphyr::from_str(yaml).expect("YAML"))
    }

    pub fn get<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        let value = self.0.remove(key)?;
        Some(serde_json::from_value(value).unwrap_or_else(|e| panic!("{key}: {e}")))
    }

    pub fn need<T: DeserializeOwned>(&mut self, key: &str) -> T {
        self.get(key).unwrap_or_else(|| panic!("no {key}"))
    }

    /// Whether the key is there and has this value; `others` are the other values it can have.
    pub fn is(&mut self, key: &str, value: &str, others: &[&str]) -> bool {
        let found: Option<String> = self.get(key);
        let known = found.as_deref().is_none_or(|word| word == value || others.contains(&word));
        assert!(known, "unknown {key}: {found:?}");
        found.as_deref() == Some(value)
    }

    pub fn map(&mut self, key: &str) -> Keys {
        Keys(self.get(key).unwrap_or_default())
    }

    /// Panics where a key is left that is not among the ignored ones.
    pub fn end(self, ignored: &[&str]) {
        for key in self.0.keys() {
            assert!(ignored.contains(&key.as_str()), "unknown key {key}");
        }
    }
}

/// Milliseconds, written `2w`, `60d`, `12h`, `30m` or `90s`.
pub fn span(text: String) -> i64 {
    let (count, unit) = text.split_at(text.len() - 1);
    let unit = match unit {
        "w" => 7 * DAY,
        "d" => DAY,
        "h" => HOUR,
        "m" => 60 * SECOND,
        "s" => SECOND,
        _ => panic!("not a duration: {text}"),
    };
    i64::from(count.parse::<u32>().expect("a duration")) * unit
}

/// A time of day, written `09:00`.
pub fn time_of_day(text: String) -> NaiveTime {
    NaiveTime::parse_from_str(&text, "%H:%M").expect("a time of day")
}

/// A part of one, written `10%` or `0.1`.
pub fn share(value: Value) -> f64 {
    let text = value.to_string();
    let text = text.trim_matches('"');
    let number = |text: &str| text.trim().parse::<f64>().expect("a share");
    let percent = text.strip_suffix('%').map(|percent| number(percent) / 100.0);
    percent.unwrap_or_else(|| number(text))
}

/// An amount in major units as millionths, exactly.
pub fn decimal(text: &str) -> i128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    assert!(fraction.len() <= 6, "too many decimals: {text}");
    let millionths = format!("{whole}{fraction:0<6}");
    millionths.parse().expect("an amount")
}

/// A number or a text of one, as millionths.
pub fn millionths(value: &Value) -> i128 {
    match value {
        Value::String(text) => decimal(text),
        Value::Number(number) => decimal(&number.to_string()),
        other => panic!("not a number: {other}"),
    }
}
