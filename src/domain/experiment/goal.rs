//! What an experiment counts as success.

use chrono::Duration;

use crate::document::Value;
use crate::domain::brand::Brand;
use crate::domain::{duration, money};

/// Valid orders of at least an amount, within a time after a message was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Goal {
    pub within: Duration,
    /// In minor units of the brand's currency.
    pub min_amount: i64,
}

impl Default for Goal {
    /// Any order within two weeks.
    fn default() -> Self {
        Self { within: Duration::days(14), min_amount: 0 }
    }
}

impl Goal {
    /// Reads `{ event: purchase, within: 14d, min_amount: 0 }`.
    pub fn decode(value: Value<'_>, brand: &Brand) -> Option<Self> {
        let usual = Self::default();
        let mut table = value.table()?;
        table.get_or("event", (), |value| {
            value.parse(|text| match text {
                "purchase" => Ok(()),
                _ => Err(format!("`{text}` as a goal is not in this version; write `event: purchase`")),
            })
        });
        let within = table.get_or("within", usual.within, |value| {
            let within = value.parse(duration::parse)?;
            if within.is_zero() {
                value.problem("nobody buys within no time; write a span such as 14d");
                return None;
            }
            Some(within)
        });
        let min_amount = table.get_or("min_amount", usual.min_amount, |value| {
            value.parse(|text| money::parse_amount(text, &brand.currency))
        });
        table.finish();
        Some(Self { within: within?, min_amount: min_amount? })
    }
}
