//! YAML documents whose problems point at file, line and column. Settings, campaigns and provider
//! descriptions are all read through [`Table`]: it reports every problem of a file in one run,
//! suggests the nearest valid name for a typo, and refuses keys that are not in this version.

pub mod editing;

use std::cell::RefCell;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// One thing that is wrong in a file, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file as the user would name it.
    pub file: String,
    /// First line is 1; 0 when the problem is the file itself.
    pub line: u64,
    /// First column is 1.
    pub column: u64,
    /// What was found, what was expected, what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}", self.file, self.message)
        } else {
            write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
        }
    }
}

/// Problems joined to one error, a line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

/// Reads environment variables named in a document (`${NAME}`); injected, so that tests need none.
pub type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

#[derive(Debug)]
enum Node {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

/// A parsed file and the problems found in it so far.
pub struct Document<'e> {
    file: String,
    root: Spanned<Node>,
    environment: Option<Environment<'e>>,
    problems: RefCell<Vec<Problem>>,
}

impl<'e> Document<'e> {
    /// Parses `text`. Only a document that is not YAML at all fails here.
    pub fn parse(file: &str, text: &str, environment: Option<Environment<'e>>) -> Result<Self, Problem> {
        let root = serde_saphyr::from_str(text).map_err(|error| {
            let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
            let rendered = error.to_string();
            let first = rendered.lines().next().unwrap_or_default();
            // The library repeats the position in front of its message.
            let message = first.splitn(3, ": ").nth(2).unwrap_or(first);
            let message = message.split(", set DuplicateKeyPolicy").next().unwrap_or(message);
            Problem { file: file.to_owned(), line, column, message: format!("not valid YAML: {message}") }
        })?;
        Ok(Self { file: file.to_owned(), root, environment, problems: RefCell::default() })
    }

    /// The document's outermost value.
    pub fn root(&self) -> Value<'_> {
        Value { node: &self.root, document: self }
    }

    /// Ends reading: the decoded value, or everything that was wrong.
    pub fn finish<T>(self, decoded: Option<T>) -> Result<T, Problems> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|p| (p.line, p.column));
        match decoded {
            Some(value) if problems.is_empty() => Ok(value),
            _ => Err(Problems(problems)),
        }
    }

    fn report(&self, at: &serde_saphyr::Location, message: String) {
        self.problems.borrow_mut().push(Problem {
            file: self.file.clone(),
            line: at.line(),
            column: at.column(),
            message,
        });
    }
}

/// A value in a document. Its readers report what is wrong and then return `None`.
#[derive(Clone, Copy)]
pub struct Value<'d> {
    node: &'d Spanned<Node>,
    document: &'d Document<'d>,
}

impl<'d> Value<'d> {
    /// Reports a problem at this value.
    pub fn problem(&self, message: impl Into<String>) {
        self.document.report(&self.node.referenced, message.into());
    }

    /// Its line and column.
    pub fn place(&self) -> (u64, u64) {
        (self.node.referenced.line(), self.node.referenced.column())
    }

    /// A word or number as text, with `${NAME}` read from the environment.
    pub fn text(&self) -> Option<String> {
        match &self.node.value {
            Node::Text(text) => self.expand(text),
            Node::Integer(number) => Some(number.to_string()),
            Node::Float(number) => Some(number.to_string()),
            Node::Bool(value) => Some(value.to_string()),
            _ => self.wrong("text"),
        }
    }

    /// A whole number.
    pub fn integer(&self) -> Option<i64> {
        match &self.node.value {
            Node::Integer(number) => Some(*number),
            Node::Text(text) if text.contains("${") => match self.expand(text)?.trim().parse() {
                Ok(number) => Some(number),
                Err(_) => self.wrong("a whole number"),
            },
            _ => self.wrong("a whole number"),
        }
    }

    /// A whole number in `range`.
    pub fn integer_in(&self, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let number = self.integer()?;
        if range.contains(&number) {
            return Some(number);
        }
        self.problem(format!("{number} is out of range; expected {} to {}", range.start(), range.end()));
        None
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Option<bool> {
        match &self.node.value {
            Node::Bool(value) => Some(*value),
            _ => self.wrong("true or false"),
        }
    }

    /// Any scalar, for values compared with a member's fields.
    pub fn scalar(&self) -> Option<serde_json::Value> {
        match &self.node.value {
            Node::Bool(value) => Some((*value).into()),
            Node::Integer(number) => Some((*number).into()),
            Node::Float(number) => Some((*number).into()),
            Node::Text(text) => Some(self.expand(text)?.into()),
            _ => self.wrong("a single value"),
        }
    }

    /// Text that `parse` understands; its error says what was expected.
    pub fn parse<T, E: fmt::Display>(&self, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        let text = self.text()?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(error.to_string());
                None
            }
        }
    }

    /// One of the listed words.
    pub fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        self.problem(format!("`{text}` is not known here; {}", expected(&text, &names)));
        None
    }

    /// The items of a list.
    pub fn list(&self) -> Option<Vec<Value<'d>>> {
        match &self.node.value {
            Node::List(items) => Some(items.iter().map(|node| Value { node, document: self.document }).collect()),
            _ => self.wrong("a list"),
        }
    }

    /// The keys and values of a mapping; an empty value reads as an empty mapping.
    pub fn table(&self) -> Option<Table<'d>> {
        let entries: &[_] = match &self.node.value {
            Node::Map(entries) => entries,
            Node::Null => &[],
            _ => return self.wrong("a mapping of keys to values"),
        };
        Some(Table { value: *self, entries, asked: Vec::new(), later: Vec::new() })
    }

    /// Whether nothing was written after the key.
    pub fn is_null(&self) -> bool {
        matches!(self.node.value, Node::Null)
    }

    /// Whether this is a mapping.
    pub fn is_table(&self) -> bool {
        matches!(self.node.value, Node::Map(_))
    }

    /// Whether this is a list.
    pub fn is_list(&self) -> bool {
        matches!(self.node.value, Node::List(_))
    }

    fn wrong<T>(&self, expected: &str) -> Option<T> {
        let found = match &self.node.value {
            Node::Null => "nothing".to_owned(),
            Node::Bool(value) => format!("`{value}`"),
            Node::Integer(number) => format!("the number {number}"),
            Node::Float(number) => format!("the number {number}"),
            Node::Text(text) => format!("`{text}`"),
            Node::List(_) => "a list".to_owned(),
            Node::Map(_) => "a mapping".to_owned(),
        };
        self.problem(format!("expected {expected}, found {found}"));
        None
    }

    fn expand(&self, text: &str) -> Option<String> {
        let Some(environment) = self.document.environment else { return Some(text.to_owned()) };
        let mut out = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            out.push_str(&rest[..start]);
            let Some(end) = rest[start..].find('}') else {
                self.problem("`${` without its closing `}`");
                return None;
            };
            let inside = &rest[start + 2..start + end];
            let (name, default) = match inside.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (inside, None),
            };
            match environment(name).or_else(|| default.map(str::to_owned)) {
                Some(value) => out.push_str(&value),
                None => {
                    self.problem(format!(
                        "the environment variable {name} is not set; set it, or write ${{{name}:-default}}"
                    ));
                    return None;
                }
            }
            rest = &rest[start + end + 1..];
        }
        out.push_str(rest);
        Some(out)
    }
}

/// A mapping being read. [`Table::finish`] reports the keys that nobody asked for.
pub struct Table<'d> {
    value: Value<'d>,
    entries: &'d [(Spanned<String>, Spanned<Node>)],
    asked: Vec<&'static str>,
    later: Vec<&'static str>,
}

impl<'d> Table<'d> {
    /// The mapping itself, to report problems that concern it as a whole.
    pub fn value(&self) -> Value<'d> {
        self.value
    }

    /// The value of a key, if it is written.
    pub fn get(&mut self, key: &'static str) -> Option<Value<'d>> {
        self.asked.push(key);
        self.find(key)
    }

    /// The value of a key; reports when it is missing.
    pub fn require(&mut self, key: &'static str) -> Option<Value<'d>> {
        let value = self.get(key);
        if value.is_none() {
            self.value.problem(format!("`{key}` is missing"));
        }
        value
    }

    /// Reads a key with `read`, or takes the default where the key is absent.
    pub fn get_or<T>(&mut self, key: &'static str, default: T, read: impl FnOnce(Value<'d>) -> Option<T>) -> Option<T> {
        match self.get(key) {
            Some(value) => read(value),
            None => Some(default),
        }
    }

    /// Keys that the design names and this version does not have yet.
    pub fn not_yet(&mut self, keys: &[&'static str]) {
        self.later.extend(keys);
    }

    /// All keys with their values, for mappings whose keys are free.
    pub fn entries(&mut self) -> Vec<(String, Value<'d>)> {
        let document = self.value.document;
        self.entries.iter().map(|(key, node)| (key.value.clone(), Value { node, document })).collect()
    }

    /// Reports every key that was not asked for.
    pub fn finish(self) {
        for (key, _) in self.entries {
            let name = key.value.as_str();
            if self.asked.contains(&name) {
                continue;
            }
            let message = if self.later.contains(&name) {
                format!("`{name}` is not in this version; remove it")
            } else {
                format!("unknown key `{name}`; {}", expected(name, &self.asked))
            };
            self.value.document.report(&key.referenced, message);
        }
    }

    fn find(&self, key: &str) -> Option<Value<'d>> {
        let (_, node) = self.entries.iter().find(|(name, _)| name.value == key)?;
        Some(Value { node, document: self.value.document })
    }
}

/// Names that an error lists.
const LISTED: usize = 20;

/// "did you mean …?" for a near miss, else the list of what is valid.
pub fn expected(found: &str, valid: &[&str]) -> String {
    let nearest = valid
        .iter()
        .map(|name| (strsim::damerau_levenshtein(found, name), *name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min();
    let listed = valid.iter().take(LISTED).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let more = valid.len().saturating_sub(LISTED);
    let list = if more > 0 { format!("{listed} and {more} more") } else { listed };
    match nearest {
        // Whoever mistyped a name knows it: a long list would hide the answer.
        Some((_, name)) if more > 0 => format!("did you mean `{name}`?"),
        Some((_, name)) => format!("did you mean `{name}`? Valid here: {list}"),
        None if valid.is_empty() => "no keys are valid here".to_owned(),
        None => format!("valid here: {list}"),
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NodeVisitor;
        impl<'de> Visitor<'de> for NodeVisitor {
            type Value = Node;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a YAML value")
            }
            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }
            fn visit_none<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
                Ok(Node::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
                Ok(Node::Integer(value))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
                Ok(i64::try_from(value).map_or(Node::Float(value as f64), Node::Integer))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
                Ok(Node::Float(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<Node, E> {
                Ok(Node::Text(value.to_owned()))
            }
            fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Node, D::Error> {
                Node::deserialize(inner)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Node::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
                let mut map = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    map.push(entry);
                }
                Ok(Node::Map(map))
            }
        }
        deserializer.deserialize_any(NodeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(String, i64), Problems> {
        let environment = |name: &str| (name == "PORT").then(|| "25".to_owned());
        let document = Document::parse("x.yaml", text, Some(&environment)).map_err(|p| Problems(vec![p]))?;
        let decoded = (|| {
            let mut table = document.root().table()?;
            let name = table.require("name").and_then(|v| v.text());
            let port = table.get_or("port", 1, |v| v.integer_in(1..=99));
            table.not_yet(&["gift"]);
            table.finish();
            Some((name?, port?))
        })();
        document.finish(decoded)
    }

    #[test]
    fn all_problems_are_reported_in_one_run_with_their_place() {
        let check = |text: &str, expected: &str| {
            assert_eq!(read(text).map_err(|e| e.to_string()).unwrap_err(), expected, "{text}");
        };
        check(
            "nmae: a\nport: 100\ngift: x\n",
            "\
x.yaml:1:1: `name` is missing
x.yaml:1:1: unknown key `nmae`; did you mean `name`? Valid here: `name`, `port`
x.yaml:2:7: 100 is out of range; expected 1 to 99
x.yaml:3:1: `gift` is not in this version; remove it",
        );
        check(
            "name: ${NOPE}",
            "x.yaml:1:7: the environment variable NOPE is not set; set it, or write ${NOPE:-default}",
        );
        check("name: [1\nb: 2", "x.yaml:2:2: not valid YAML: illegal placement of ':' indicator");
        check("name: a\nname: b", "x.yaml:2:1: not valid YAML: duplicate mapping key: name");
        check("- a", "x.yaml:1:1: expected a mapping of keys to values, found a list");
        assert_eq!(read("name: ${NOPE:-shop}-${PORT}\nport: ${PORT}").unwrap(), ("shop-25".to_owned(), 25));
    }
}
