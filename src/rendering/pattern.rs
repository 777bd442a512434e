//! `sms.pattern.yaml` of a content: for each provider the id of its own template there, and the values
//! to fill in, each a template.

use crate::document::{Document, Problems};

/// One provider's part of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    pub provider: String,
    /// The id of the template at the provider.
    pub template: String,
    /// Names and templates, as they are written.
    pub values: Vec<(String, String)>,
}

/// Reads a file, in its own order.
pub(super) fn parse(file: &str, text: &str) -> Result<Vec<Pattern>, Problems> {
    let document = Document::parse(file, text, None).map_err(|problem| Problems(vec![problem]))?;
    let read = document.root().table().and_then(|mut table| {
        let patterns = table.entries().into_iter().map(|(provider, value)| {
            let mut table = value.table()?;
            let template = table.require("template").and_then(|value| value.text());
            let values = table.get_or("values", Vec::new(), |value| {
                let entries = value.table()?.entries().into_iter();
                let values: Vec<_> = entries.map(|(name, value)| Some((name, value.text()?))).collect();
                values.into_iter().collect()
            });
            table.finish();
            Some(Pattern { provider, template: template?, values: values? })
        });
        patterns.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>()
    });
    document.finish(read)
}
