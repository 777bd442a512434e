//! `{{number X}}`: a number grouped and in digits as the member's language writes it.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, RwLock};

use handlebars::{Context, Helper, RenderError};
use icu_decimal::DecimalFormatter;
use icu_decimal::input::Decimal;
use icu_locale_core::Locale;
use serde_json::Value;

use super::{fault, parameter, setting};

pub(super) fn number(helper: &Helper<'_>, context: &Context) -> Result<String, RenderError> {
    let text = match parameter(helper, 0)? {
        Value::Null => return Ok(String::new()),
        Value::String(text) if text.is_empty() => return Ok(String::new()),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err(fault("`number` takes a number".to_owned())),
    };
    localised(&text, setting(context, "@locale")).ok_or_else(|| fault("`number` takes a number".to_owned()))
}

/// A plain decimal as a language writes it; `None` when it is no decimal.
pub(super) fn localised(text: &str, locale: &str) -> Option<String> {
    let decimal: Decimal = text.parse().ok()?;
    Some(formatter(locale)?.format(&decimal).to_string())
}

fn formatter(locale: &str) -> Option<Arc<DecimalFormatter>> {
    static KNOWN: LazyLock<RwLock<HashMap<String, Arc<DecimalFormatter>>>> = LazyLock::new(RwLock::default);
    if let Some(found) = KNOWN.read().ok()?.get(locale) {
        return Some(Arc::clone(found));
    }
    let parsed: Locale = locale.parse().unwrap_or(Locale::UNKNOWN);
    let made = Arc::new(
        DecimalFormatter::try_new(parsed.into(), icu_decimal::options::DecimalFormatterOptions::default()).ok()?,
    );
    let mut known = KNOWN.write().ok()?;
    if known.len() >= super::MOST_LANGUAGES {
        known.clear();
    }
    known.insert(locale.to_owned(), Arc::clone(&made));
    Some(made)
}
