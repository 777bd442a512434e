//! What is heard of an HTML mail.

use crate::document::Value;

/// What is heard of an HTML mail by ways that its reader does not see: nothing, unless the brand or
/// the campaign wants it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Track {
    /// A picture of one pixel says that it was opened.
    pub opens: bool,
    /// Its links lead through us.
    pub clicks: bool,
}

impl Track {
    /// Reads `{ opens: …, clicks: … }`; what is not said stays as in `default`.
    pub fn decode(value: Value<'_>, default: Self) -> Option<Self> {
        let mut table = value.table()?;
        let opens = table.get_or("opens", default.opens, |value| value.boolean());
        let clicks = table.get_or("clicks", default.clicks, |value| value.boolean());
        table.finish();
        Some(Self { opens: opens?, clicks: clicks? })
    }
}
