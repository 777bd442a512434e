//! The keys of `reports`: how what is to come is counted.

use chrono::Duration;

use crate::document::Value;
use crate::domain::duration;
use crate::domain::text::ascii_digits;

/// How reports count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reports {
    /// The yearly discount, 0 to 1.
    pub discount: f64,
    /// Who bought so recently is a customer.
    pub active_within: Duration,
}

impl Default for Reports {
    fn default() -> Self {
        Self { discount: 0.1, active_within: Duration::days(365) }
    }
}

pub(super) fn decode(value: Value<'_>) -> Option<Reports> {
    let default = Reports::default();
    let mut table = value.table()?;
    let discount = table.get_or("discount", default.discount, |value| value.parse(parse_discount));
    let active_within = table.get_or("active_within", default.active_within, |value| value.parse(parse_active));
    table.finish();
    Some(Reports { discount: discount?, active_within: active_within? })
}

fn parse_active(text: &str) -> Result<Duration, String> {
    let length = duration::parse(text)?;
    if length >= Duration::days(1) {
        Ok(length)
    } else {
        Err(format!("`{text}` is less than a day; customers do not buy so often"))
    }
}

fn parse_discount(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix(['%', '٪']).and_then(|number| ascii_digits(number.trim()).parse::<f64>().ok());
    percent
        .filter(|percent| (0.0..=100.0).contains(percent))
        .map(|percent| percent / 100.0)
        .ok_or_else(|| format!("`{text}` is not a yearly discount; write it in percent, from 0% to 100%, such as 10%"))
}
