//! `{{default X "text"}}`: the value, or the text where it is empty or missing.

use handlebars::{Context, Handlebars, Helper, HelperResult, Output, RenderContext};
use serde_json::Value;

use super::parameter;

pub(super) fn default(
    helper: &Helper<'_>,
    registry: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    let value = parameter(helper, 0)?;
    let fallback = parameter(helper, 1)?;
    let empty = value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty());
    let chosen = if empty { fallback } else { value };
    let text = match chosen {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    // A helper's output is not escaped by the registry.
    out.write(&registry.get_escape_fn()(&text))?;
    Ok(())
}
