//! A call of a provider's API: its method, where it goes, what it carries.

use crate::document::{Table, Value};
use crate::domain::words::words;

use super::fields::{Field, ValueRule, takes_any};
use super::reading::{not_known, pairs, whole};
use super::template::{Place, Template};

/// One HTTP call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    pub method: Method,
    pub url: Template,
    pub headers: Vec<(String, Template)>,
    /// User name and password of HTTP basic authentication.
    pub basic: Option<(Template, Template)>,
    pub body: Body,
    pub fields: Vec<(String, Field)>,
    /// What is asked of a pattern's values, by name; `*` is for all others.
    pub rules: Vec<(String, ValueRule)>,
    /// The provider takes the same `{reference}` only once, so that a call whose answer was lost
    /// can be repeated.
    pub idempotent: bool,
}

impl Operation {
    /// The named values that this call uses, and whether each one must be given.
    pub fn values(&self) -> impl Iterator<Item = (&str, bool)> {
        self.templates().flat_map(Template::values)
    }

    /// Whether the call names our line.
    pub fn names_line(&self) -> bool {
        self.templates().any(Template::names_line)
    }

    /// Whether the call carries our own reference, so that the provider can be asked about it.
    pub fn names_reference(&self) -> bool {
        self.templates().any(Template::names_reference)
    }

    /// Whether a pattern's values are what the call takes; the error names the value and its rule.
    pub fn check_values(&self, values: &[(String, String)]) -> Result<(), String> {
        let known: Vec<&str> = self.values().map(|(name, _)| name).collect();
        for (name, value) in values {
            if !takes_any(&self.fields) && !known.contains(&name.as_str()) {
                return Err(not_known("pattern value", name, &known));
            }
            let rule = self.rules.iter().find(|(own, _)| own == name);
            let rule = rule.or_else(|| self.rules.iter().find(|(own, _)| own == "*"));
            if let Some(why) = rule.and_then(|(_, rule)| rule.refuse(name, value)) {
                return Err(why);
            }
        }
        let missing = self.values().find(|(name, needed)| *needed && !values.iter().any(|(given, _)| given == name));
        missing.map_or(Ok(()), |(name, _)| Err(format!("the pattern value `{name}` is missing")))
    }

    fn templates(&self) -> impl Iterator<Item = &Template> {
        let headers = self.headers.iter().map(|(_, template)| template);
        let fields = self.fields.iter().flat_map(|(_, field)| field.templates());
        let basic = self.basic.iter().flat_map(|(user, password)| [user, password]);
        std::iter::once(&self.url).chain(headers).chain(fields).chain(basic)
    }
}

words! {
    /// The HTTP methods that send something.
    Method { Get = "GET", Post = "POST" }
}

words! {
    /// Where the fields go.
    Body {
        /// `application/x-www-form-urlencoded`.
        Form = "form",
        /// An object, as the fields are written.
        Json = "json",
        /// Behind the URL's question mark.
        Query = "query",
    }
}

/// A call that sends, with what is asked of its values.
pub(super) fn operation(value: Value<'_>, place: Place, credentials: &[String]) -> Option<Operation> {
    let mut table = value.table()?;
    let operation = call(&mut table, place, credentials);
    let idempotent = table.get("idempotent").map(|value| Some((value, value.boolean()?)));
    let rules = table.get_or("rules", Vec::new(), |value| {
        let rules: Vec<_> =
            value.table()?.entries().into_iter().map(|(n, v)| Some((n, ValueRule::parse(v)?))).collect();
        rules.into_iter().collect()
    });
    table.finish();
    let idempotent = whole(idempotent)?;
    let mut operation = operation?;
    operation.idempotent = idempotent.is_some_and(|(_, idempotent)| idempotent);
    operation.rules = rules?;
    if let Some((at, true)) = idempotent
        && !operation.names_reference()
    {
        at.problem("this needs `{reference}` or `{message}` in the call: by it the provider knows the message again");
    }
    Some(operation)
}

/// The keys of any call.
pub(super) fn call(table: &mut Table<'_>, place: Place, credentials: &[String]) -> Option<Operation> {
    let template = |value: Value<'_>| value.parse(|text| Template::parse(text, place, credentials));
    let method = table.get_or("method", Method::Post, |value| value.one_of(Method::WORDS));
    let url = table.require("url").filter(|value| {
        let clear = value.text().is_some_and(|text| super::is_in_the_clear(&text));
        if clear {
            value.problem("this leads to another machine without TLS; write https://");
        }
        !clear
    });
    let url = url.and_then(template);
    let headers = table.get_or("headers", Vec::new(), |value| pairs(value, template));
    let basic = table.get("basic").map(|value| {
        let mut basic = value.table()?;
        let user = basic.require("username").and_then(template);
        let password = basic.require("password").and_then(template);
        basic.finish();
        Some((user?, password?))
    });
    let body = table.get_or("body", Body::Form, |value| value.one_of(Body::WORDS));
    let json = body == Some(Body::Json);
    let fields =
        table.get_or("fields", Vec::new(), |value| pairs(value, |value| Field::parse(value, json, place, credentials)));
    Some(Operation {
        method: method?,
        url: url?,
        headers: headers?,
        basic: whole(basic)?,
        body: body?,
        fields: fields?,
        rules: Vec::new(),
        idempotent: false,
    })
}
