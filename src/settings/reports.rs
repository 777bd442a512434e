//! The keys of `reports`: how what is to come is counted.

use crate::document::Value;
use crate::domain::text::ascii_digits;

/// The yearly discount where none is written.
pub(super) const DISCOUNT: f64 = 0.1;

/// The yearly discount, 0 to 1.
pub(super) fn decode(value: Value<'_>) -> Option<f64> {
    let mut table = value.table()?;
    let discount = table.get_or("discount", DISCOUNT, |value| value.parse(parse_discount));
    table.finish();
    discount
}

fn parse_discount(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix(['%', '٪']).and_then(|number| ascii_digits(number.trim()).parse::<f64>().ok());
    percent
        .filter(|percent| (0.0..=100.0).contains(percent))
        .map(|percent| percent / 100.0)
        .ok_or_else(|| format!("`{text}` is not a yearly discount; write it in percent, from 0% to 100%, such as 10%"))
}
