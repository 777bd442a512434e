//! A provider's call to the web role, as it came.

use serde_json::{Map, Value};

/// An HTTP request to `/hooks/{provider}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    pub method: String,
    /// The public URL with its query, as the provider called it.
    pub url: String,
    pub headers: Vec<(String, String)>,
    /// Behind the URL's question mark.
    pub query: String,
    pub body: Vec<u8>,
}

impl Call {
    /// A header's value, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Names and values of a query or form.
    pub fn pairs(&self, text: &str) -> Vec<(String, String)> {
        form_urlencoded::parse(text.as_bytes()).into_owned().collect()
    }

    /// The fields of a form in the body; none where it is something else.
    pub fn form(&self) -> Vec<(String, String)> {
        let is_form = self
            .header("content-type")
            .is_some_and(|kind| kind.trim().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded"));
        if is_form { form_urlencoded::parse(&self.body).into_owned().collect() } else { Vec::new() }
    }

    /// What it says, as one JSON value: the body's, with the fields of form and query beside those of
    /// an object. The body's own count.
    pub(super) fn said(&self, with_query: bool) -> Value {
        let mut root = match serde_json::from_slice(&self.body) {
            Ok(list @ Value::Array(_)) => return list,
            Ok(Value::Object(map)) => map,
            _ => Map::new(),
        };
        let query = if with_query { self.pairs(&self.query) } else { Vec::new() };
        for (name, value) in self.form().into_iter().chain(query) {
            root.entry(name).or_insert(Value::String(value));
        }
        Value::Object(root)
    }
}
