//! Template helpers: one file each; the list is [`register`].

use handlebars::{Context, Handlebars, Helper, HelperDef, RenderContext, RenderError, RenderErrorReason, ScopedJson};
use serde_json::Value;

mod date;
mod default;
mod money;
mod number;

pub use date::localised;

/// Languages whose ways of writing are kept at hand; members' tags are theirs to make up.
const MOST_LANGUAGES: usize = 200;

/// Every helper: Handlebars' own, but for `log`, which would write values into the log, and ours.
pub(super) const NAMES: &[&str] = &[
    "if", "unless", "each", "with", "lookup", "raw", "eq", "ne", "gt", "gte", "lt", "lte", "and", "or", "not", "len",
    "date", "default", "money", "number",
];

/// Makes every helper known to a registry.
pub(super) fn register(registry: &mut Handlebars<'static>) {
    registry.unregister_helper("log");
    registry.register_helper("date", Box::new(Ours(date::date)));
    registry.register_helper("default", Box::new(Ours(default::default)));
    registry.register_helper("money", Box::new(Ours(money::money)));
    registry.register_helper("number", Box::new(Ours(number::number)));
}

/// What a helper makes of its parameters. The registry writes it: escaped as every other value where it is
/// written into HTML, as it is where another helper is given it.
struct Ours(fn(&Helper<'_>, &Context) -> Result<String, RenderError>);

impl HelperDef for Ours {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        context: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        Ok(ScopedJson::Derived(Value::String((self.0)(helper, context)?)))
    }
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
