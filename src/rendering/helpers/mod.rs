//! Template helpers: one file each; the list is [`register`].

use handlebars::{Context, Handlebars, Helper, RenderError, RenderErrorReason};
use serde_json::Value;

mod date;
mod default;
mod money;
mod number;

pub use date::localised;

/// Makes every helper known to a registry.
pub(super) fn register(registry: &mut Handlebars<'static>) {
    registry.register_helper("date", Box::new(date::date));
    registry.register_helper("default", Box::new(default::default));
    registry.register_helper("money", Box::new(money::money));
    registry.register_helper("number", Box::new(number::number));
}

/// A helper's parameter; a variable that does not exist is an error, except among attributes, which
/// differ from member to member.
fn parameter<'a>(helper: &'a Helper<'_>, index: usize) -> Result<&'a Value, RenderError> {
    let Some(parameter) = helper.param(index) else {
        return Err(fault(format!("`{}` needs {} value(s); write {}", helper.name(), index + 1, usage(helper.name()))));
    };
    let path = parameter.relative_path().map(String::as_str).unwrap_or_default();
    if parameter.is_value_missing() && !path.starts_with("member.attributes.") {
        return Err(fault(super::variables::missing(path)));
    }
    Ok(parameter.value())
}

fn usage(name: &str) -> &'static str {
    match name {
        "date" => "{{date member.joined_at}}",
        "default" => "{{default member.first_name \"friend\"}}",
        "money" => "{{money order.amount order.currency}}",
        _ => "{{number member.points}}",
    }
}

fn fault(message: String) -> RenderError {
    RenderErrorReason::Other(message).into()
}

/// A value that the context carries for the helpers.
fn setting<'a>(context: &'a Context, name: &str) -> &'a str {
    context.data().get(name).and_then(Value::as_str).unwrap_or_default()
}
