//! `{{default X "text"}}`: the value, or the text where it is empty or missing.

use handlebars::{Context, Helper, RenderError};
use serde_json::Value;

use super::parameter;

pub(super) fn default(helper: &Helper<'_>, _: &Context) -> Result<String, RenderError> {
    let value = parameter(helper, 0)?;
    let fallback = parameter(helper, 1)?;
    let empty = value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty());
    Ok(match if empty { fallback } else { value } {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    })
}
