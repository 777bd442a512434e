//! `{{money AMOUNT CURRENCY}}`: an amount in the member's digits, with the currency's usual name.

use handlebars::{Context, Helper, RenderError};
use serde_json::Value;

use super::{fault, number, parameter, setting};

pub(super) fn money(helper: &Helper<'_>, context: &Context) -> Result<String, RenderError> {
    let (amount, currency) = (parameter(helper, 0)?, parameter(helper, 1)?);
    let amount = match amount {
        Value::Null => return Ok(String::new()),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err(fault("`money` takes an amount and a currency".to_owned())),
    };
    let locale = setting(context, "@locale");
    let Some(written) = number::localised(&amount, locale) else {
        return Err(fault("`money` takes an amount and a currency".to_owned()));
    };
    Ok(with_currency(&written, currency.as_str().unwrap_or_default(), locale))
}

/// The few symbols that everybody knows; other currencies by their code.
fn with_currency(amount: &str, currency: &str, locale: &str) -> String {
    let persian = locale == "fa" || locale.starts_with("fa-");
    match (currency, persian) {
        ("", _) => amount.to_owned(),
        ("IRR", true) => format!("{amount} ریال"),
        ("USD", true) => format!("{amount} دلار"),
        ("EUR", true) => format!("{amount} یورو"),
        ("USD", false) => format!("${amount}"),
        ("EUR", false) => format!("€{amount}"),
        ("GBP", false) => format!("£{amount}"),
        (code, _) => format!("{amount} {code}"),
    }
}
