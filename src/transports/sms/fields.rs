//! The fields of a call: texts in a form or behind a URL, any JSON in a body, and the rules that a
//! provider has for the values of a pattern.

use serde_json::{Map, Number};

use crate::document::{Table, Value};

use super::template::{Place, Slot, Template};

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    Text(Template),
    /// A JSON number, where the text is one.
    Number(Template),
    List(Vec<Field>),
    Table(Vec<(String, Field)>),
    /// A list: this once for each named value of the pattern.
    Each(Box<Field>),
}

/// Fills a template in, for one of the named values where it stands there for each.
pub(super) type Fill<'f> = &'f dyn Fn(&Template, Option<&(String, String)>) -> Result<Option<String>, String>;

impl Field {
    /// Reads a field. A form and a query hold texts alone.
    pub(super) fn parse(value: Value<'_>, json: bool, place: Place, credentials: &[String]) -> Option<Self> {
        let template = |value: Value<'_>| value.parse(|text| Template::parse(text, place, credentials));
        if !json || !(value.is_table() || value.is_list()) {
            return template(value).map(Self::Text);
        }
        if value.is_list() {
            let items: Vec<_> =
                value.list()?.into_iter().map(|item| Self::parse(item, json, place, credentials)).collect();
            return items.into_iter().collect::<Option<_>>().map(Self::List);
        }
        let entries = value.table()?.entries();
        match entries.as_slice() {
            [(name, value)] if name == "number" => template(*value).map(Self::Number),
            [(name, value)] if name == "each" && place == Place::Pattern => {
                Some(Self::Each(Box::new(Self::parse(*value, json, Place::Each, credentials)?)))
            }
            _ => {
                let fields: Vec<_> = entries
                    .into_iter()
                    .map(|(name, value)| Some((name, Self::parse(value, json, place, credentials)?)))
                    .collect();
                fields.into_iter().collect::<Option<_>>().map(Self::Table)
            }
        }
    }

    /// Every template in it.
    pub(super) fn templates(&self) -> Vec<&Template> {
        match self {
            Self::Text(template) | Self::Number(template) => vec![template],
            Self::List(items) => items.iter().flat_map(Self::templates).collect(),
            Self::Table(entries) => entries.iter().flat_map(|(_, field)| field.templates()).collect(),
            Self::Each(field) => field.templates(),
        }
    }

    /// Its JSON, where `fill` fills a template in; `None` where an optional value is missing.
    /// `values` are the pattern's.
    pub(super) fn json(
        &self,
        fill: Fill<'_>,
        values: &[(String, String)],
        each: Option<&(String, String)>,
    ) -> Result<Option<serde_json::Value>, String> {
        Ok(match self {
            Self::Text(template) => fill(template, each)?.map(serde_json::Value::String),
            Self::Number(template) => fill(template, each)?.map(|text| {
                // What is no number is for the provider to refuse, in its own words.
                text.parse::<Number>().map_or(serde_json::Value::String(text), serde_json::Value::Number)
            }),
            Self::List(items) => {
                let items = items.iter().filter_map(|item| item.json(fill, values, each).transpose());
                Some(items.collect::<Result<Vec<_>, _>>()?.into())
            }
            Self::Table(entries) => {
                let mut map = Map::new();
                for (name, field) in entries {
                    if let Some(value) = field.json(fill, values, each)? {
                        map.insert(name.clone(), value);
                    }
                }
                Some(map.into())
            }
            Self::Each(field) => {
                let items = values.iter().filter_map(|value| field.json(fill, values, Some(value)).transpose());
                Some(items.collect::<Result<Vec<_>, _>>()?.into())
            }
        })
    }
}

/// What a provider asks of a value of a pattern.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ValueRule {
    /// At most so many characters.
    pub longest: Option<usize>,
    /// At most so many spaces; then line breaks are not allowed either.
    pub spaces: Option<usize>,
    /// Characters that it must not hold.
    pub without: String,
}

impl ValueRule {
    pub(super) fn parse(value: Value<'_>) -> Option<Self> {
        let mut table: Table<'_> = value.table()?;
        let mut count = |key: &'static str| {
            table.get_or(key, None, |value| value.integer_in(0..=1000).map(|count| usize::try_from(count).ok()))
        };
        let (longest, spaces) = (count("longest"), count("spaces"));
        let without = table.get_or("without", String::new(), |value| value.text());
        table.finish();
        Some(Self { longest: longest?, spaces: spaces?, without: without? })
    }

    /// What is wrong with a value, without the value.
    pub(super) fn refuse(&self, name: &str, value: &str) -> Option<String> {
        let spaces = value.chars().filter(|c| c.is_whitespace()).count();
        let breaks = value.contains(['\n', '\r', '\t']);
        if value.trim().is_empty() {
            return Some(format!("the pattern value `{name}` is empty"));
        }
        if let Some(longest) = self.longest.filter(|longest| value.chars().count() > *longest) {
            return Some(format!("the pattern value `{name}` has more than the {longest} characters that may be"));
        }
        if let Some(most) = self.spaces.filter(|most| spaces > *most || breaks) {
            return Some(match most {
                0 => format!("the pattern value `{name}` holds a space or a line break, where none may be"),
                _ => {
                    format!("the pattern value `{name}` holds a line break, or more than the {most} spaces that may be")
                }
            });
        }
        let wrong = value.chars().find(|c| self.without.contains(*c))?;
        Some(format!("the pattern value `{name}` holds `{wrong}`, which separates the values"))
    }
}

/// Whether a call takes values of any name.
pub(super) fn takes_any(fields: &[(String, Field)]) -> bool {
    fields.iter().any(|(_, field)| match field {
        Field::Each(_) => true,
        Field::Table(entries) => takes_any(entries),
        Field::List(items) => items.iter().any(|item| matches!(item, Field::Each(_))),
        Field::Text(template) | Field::Number(template) => template.names(&Slot::Values),
    })
}
