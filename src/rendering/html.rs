//! Where the values of a template stand in its HTML. Values are escaped as text, which keeps them in their place
//! between tags and in quotes; what stands elsewhere is refused. Where a link leads is the template's to say:
//! it is marked by a character that no value can hold.

use super::marks::{FOREIGN, OWN, unmarked};
use super::variables;

/// Attributes that hold addresses.
const ADDRESSES: &[&str] = &[
    "href",
    "src",
    "action",
    "formaction",
    "background",
    "poster",
    "cite",
    "data",
    "srcset",
    "xlink:href",
    "ping",
    "longdesc",
    "manifest",
    "codebase",
    "lowsrc",
    "dynsrc",
];

/// Addresses that we make.
const OURS: &[&str] = &["unsubscribe_url", "preferences_url"];

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// Of a tag.
    Name,
    /// A tag, between attributes.
    Inside,
    Attribute,
    /// Behind an attribute's name.
    After,
    /// Behind its `=`.
    Before,
    /// With the quote that ends it.
    Value(Option<char>),
    Comment,
    /// What is no HTML: the text of `script` and `style`.
    Raw,
}

/// How far a template's HTML has been read.
#[derive(Debug, Clone, Default)]
pub(super) struct Html {
    state: State,
    tag: String,
    attribute: String,
    /// Nothing of the attribute's value may have been written yet.
    begins: bool,
}

impl Html {
    /// Reads on; gives the text with the addresses marked that are the template's own.
    pub fn text(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let text = unmarked(text);
        let mut rest = text.as_str();
        while let Some(c) = rest.chars().next() {
            let (skipped, again) = self.step(c, rest, &mut out);
            if !again {
                out.push_str(&rest[..skipped]);
                rest = &rest[skipped..];
            }
        }
        out
    }

    /// Takes some of the text, or changes the state before the same character.
    fn step(&mut self, c: char, rest: &str, out: &mut String) -> (usize, bool) {
        if self.begin(c) {
            return (0, true);
        }
        match self.state {
            State::Text => return (self.skip_text(rest), false),
            State::Comment => return (self.skip_comment(rest), false),
            State::Raw => return (self.skip_raw(rest), false),
            _ if c == '>' && !matches!(self.state, State::Value(Some(_))) => self.end_tag(),
            State::Name => self.in_name(c),
            State::Attribute => self.in_attribute(c),
            State::After if c == '=' => self.state = State::Before,
            State::Before if is_quote(c) => (self.state, self.begins) = (State::Value(Some(c)), true),
            State::Value(quote) => self.in_value(c, quote, rest, out),
            State::Inside | State::After | State::Before => {}
        }
        (c.len_utf8(), false)
    }

    /// Whether an attribute, or a value without quotes, begins with this character.
    fn begin(&mut self, c: char) -> bool {
        if c == '>' || c.is_ascii_whitespace() {
            return false;
        }
        match self.state {
            State::Inside if c != '/' => (self.state, self.attribute) = (State::Attribute, String::new()),
            State::After if c != '=' => (self.state, self.attribute) = (State::Attribute, String::new()),
            State::Before if !is_quote(c) => (self.state, self.begins) = (State::Value(None), true),
            _ => return false,
        }
        true
    }

    /// How much of the text there is before a tag or a comment; where one begins, its first characters.
    fn skip_text(&mut self, rest: &str) -> usize {
        let Some(start) = rest.find('<') else { return rest.len() };
        if start > 0 {
            return start;
        }
        if rest.starts_with("<!--") {
            self.state = State::Comment;
            return 4;
        }
        // A name may follow as a value: it is none.
        if rest.len() == 1 || rest[1..].starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')) {
            (self.state, self.tag) = (State::Name, String::new());
        }
        1
    }

    /// How much of the text is a comment's.
    fn skip_comment(&mut self, rest: &str) -> usize {
        let Some(end) = rest.find("-->") else { return rest.len() };
        self.state = State::Text;
        end + 3
    }

    /// How much of the text is no HTML, with the `<` of the tag that ends it.
    fn skip_raw(&mut self, rest: &str) -> usize {
        let end = format!("</{}", self.tag);
        let Some(at) = rest.to_ascii_lowercase().find(&end) else { return rest.len() };
        (self.state, self.tag) = (State::Name, String::new());
        at + 1
    }

    fn in_name(&mut self, c: char) {
        if c.is_ascii_whitespace() || c == '/' && !self.tag.is_empty() {
            self.state = State::Inside;
        } else {
            self.tag.push(c.to_ascii_lowercase());
        }
    }

    fn in_attribute(&mut self, c: char) {
        match c {
            _ if c.is_ascii_whitespace() => self.state = State::After,
            '=' if !self.attribute.is_empty() => self.state = State::Before,
            '/' => self.state = State::Inside,
            _ => self.attribute.push(c.to_ascii_lowercase()),
        }
    }

    /// Marks a link's address where it begins, if the template says whose it is.
    fn in_value(&mut self, c: char, quote: Option<char>, rest: &str, out: &mut String) {
        let ends = quote.map_or(c.is_ascii_whitespace(), |quote| c == quote);
        if ends {
            self.state = State::Inside;
        } else if self.begins && !c.is_whitespace() {
            self.begins = false;
            if self.tag == "a" && self.attribute == "href" && says_its_host(rest, quote) {
                out.push(OWN);
            }
        }
    }

    fn end_tag(&mut self) {
        self.state = if matches!(self.tag.as_str(), "script" | "style") { State::Raw } else { State::Text };
    }

    /// A value stands here, of a variable where it is written as it is, else what `name` makes of one; `next` is the
    /// text behind it. Gives the mark that goes before it, or why it cannot stand here.
    pub fn value(&mut self, variable: Option<&str>, name: &str, next: &str) -> Result<Option<char>, String> {
        let State::Value(quote) = self.state else {
            return match self.state {
                State::Text | State::Comment => Ok(None),
                State::Raw => Err(format!("a value cannot stand in `<{}>`, where it is not escaped", self.tag)),
                State::Before => Err(self.unquoted()),
                _ => {
                    Err("a value cannot stand among the names of a tag; write it as an attribute, in quotes".to_owned())
                }
            };
        };
        let Some(quote) = quote else { return Err(self.unquoted()) };
        let is_number = name == "number" || variable.is_some_and(|variable| variables::NUMBERS.contains(&variable));
        let attribute = self.attribute.as_str();
        if attribute == "srcdoc" || attribute.starts_with("on") || attribute == "style" && !is_number {
            return Err(format!("a value cannot stand in `{attribute}`, where it would be read as code"));
        }
        let begins = std::mem::replace(&mut self.begins, false);
        if !begins || !ADDRESSES.contains(&attribute) || variable.is_some_and(|name| OURS.contains(&name)) {
            return Ok(None);
        }
        if variable == Some("brand.base_url") {
            let own = self.tag == "a" && attribute == "href" && next.starts_with(|c| ends_host(c) || c == quote);
            return Ok(Some(if own { OWN } else { FOREIGN }));
        }
        Ok(Some(FOREIGN))
    }

    fn unquoted(&self) -> String {
        format!("a value of `{}` stands without quotes; write {}=\"{{{{…}}}}\"", self.attribute, self.attribute)
    }

    /// Goes on behind a block, of which either branch may have been written.
    pub fn join(&mut self, other: &Self) -> Result<(), String> {
        let place = |html: &Self| match html.state {
            State::Before | State::Value(_) => Some((html.state, html.attribute.clone())),
            State::Comment | State::Raw => Some((html.state, String::new())),
            _ => None,
        };
        if place(self) != place(other) {
            return Err("what follows stands in a tag's value, or not, as the block's branches end".to_owned());
        }
        self.begins |= other.begins;
        Ok(())
    }
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'')
}

fn ends_host(c: char) -> bool {
    matches!(c, '/' | '?' | '#')
}

/// Whether an attribute's value begins with a web address whose host ends in this text.
fn says_its_host(value: &str, quote: Option<char>) -> bool {
    let scheme = ["https://", "http://"]
        .into_iter()
        .find(|scheme| value.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    let Some(rest) = scheme.map(|scheme| &value[scheme.len()..]) else { return false };
    let host = rest.find(|c: char| !c.is_alphanumeric() && !matches!(c, '.' | '-' | '_' | ':')).unwrap_or(rest.len());
    let end = rest[host..].chars().next();
    host > 0
        && end.is_some_and(|c| match quote {
            Some(quote) => ends_host(c) || c == quote,
            None => ends_host(c) || c == '>' || c.is_ascii_whitespace(),
        })
}
