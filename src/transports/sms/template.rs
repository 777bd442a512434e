//! The small templates of a provider's description: `{to}`, `{value.token?}`. They are read once
//! and checked against the place where they stand, so that a typo is found before anything is sent.

use std::borrow::Cow;

use super::reading::not_known;

/// Which call a template belongs to: it decides what is there to fill in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Text,
    Pattern,
    /// What stands once for each named value of a pattern.
    Each,
    /// What became of messages, by the provider's ids.
    Receipts,
    /// What became of one message, by our own reference.
    Ask,
    /// What came in to a line.
    Inbox,
}

impl Place {
    /// The placeholders that have a value there, beside `base_url` and the credentials.
    const fn slots(self) -> &'static [&'static str] {
        match self {
            Self::Text => &["to", "sender", "reference", "message", "webhook", "text", "coding"],
            Self::Pattern => &["to", "sender", "reference", "message", "webhook", "template", "values", "value.NAME"],
            Self::Each => &["to", "sender", "reference", "message", "webhook", "template", "name", "value"],
            Self::Receipts => &["references"],
            Self::Ask => &["reference", "message"],
            Self::Inbox => &["line"],
        }
    }
}

/// A text with places to fill in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Slot { slot: Slot, optional: bool },
}

/// What can be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Slot {
    BaseUrl,
    Credential(String),
    To,
    Sender,
    /// Our own reference, a whole number.
    Reference,
    /// The message's id.
    Message,
    /// Where the provider reports to; there is none unless its secret is configured.
    Webhook,
    Text,
    /// `0` for a text of GSM 03.38, `2` for any other.
    Coding,
    /// The id of the pattern at the provider.
    Template,
    /// A named value of the pattern.
    Value(String),
    /// All values of the pattern in their order, with `;` between them.
    Values,
    /// The name and the value of which the field stands there.
    EachName,
    EachValue,
    /// The provider's ids, with commas between them.
    References,
    /// The line whose messages are asked for.
    Line,
}

impl Template {
    /// Reads a template; the error says what was expected.
    pub(super) fn parse(text: &str, place: Place, credentials: &[String]) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (inside, after) = after.split_once('}').ok_or("`{` without its closing `}`")?;
            if !before.is_empty() {
                parts.push(Part::Literal(before.to_owned()));
            }
            let (name, optional) = inside.strip_suffix('?').map_or((inside, false), |name| (name, true));
            parts.push(Part::Slot { slot: slot(name, place, credentials)?, optional });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// Fills in. `find` gives what a slot holds, `write` puts it into place (encoded for a URL, or
    /// as it is). `None` where an optional slot is empty; the error is the slot that must not be.
    pub(super) fn fill<'v>(
        &self,
        find: impl Fn(&Slot) -> Option<Cow<'v, str>>,
        write: impl Fn(&Slot, &str, &mut String),
    ) -> Result<Option<String>, &Slot> {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Slot { slot, optional } => match find(slot) {
                    Some(value) => write(slot, &value, &mut out),
                    None if *optional => return Ok(None),
                    None => return Err(slot),
                },
            }
        }
        Ok(Some(out))
    }

    /// Its named values, and whether each one must be given.
    pub(super) fn values(&self) -> impl Iterator<Item = (&str, bool)> {
        self.slots().filter_map(|(slot, optional)| match slot {
            Slot::Value(name) => Some((name.as_str(), !optional)),
            _ => None,
        })
    }

    /// Whether our line must be known.
    pub(super) fn names_line(&self) -> bool {
        self.slots().any(|(slot, optional)| *slot == Slot::Sender && !optional)
    }

    /// Whether this slot is in it.
    pub(super) fn names(&self, slot: &Slot) -> bool {
        self.slots().any(|(own, _)| own == slot)
    }

    /// Whether it holds something by which the provider can know the message again.
    pub(super) fn names_reference(&self) -> bool {
        self.slots().any(|(slot, _)| matches!(slot, Slot::Reference | Slot::Message))
    }

    fn slots(&self) -> impl Iterator<Item = (&Slot, bool)> {
        self.0.iter().filter_map(|part| match part {
            Part::Slot { slot, optional } => Some((slot, *optional)),
            Part::Literal(_) => None,
        })
    }
}

fn slot(name: &str, place: Place, credentials: &[String]) -> Result<Slot, String> {
    if let Some(credential) = name.strip_prefix("credential.") {
        let valid: Vec<&str> = credentials.iter().map(String::as_str).collect();
        return match valid.contains(&credential) {
            true => Ok(Slot::Credential(credential.to_owned())),
            false => Err(not_known("credential", credential, &valid)),
        };
    }
    if let (Some(value), Place::Pattern) = (name.strip_prefix("value."), place) {
        return Ok(Slot::Value(value.to_owned()));
    }
    let slot = match name {
        "base_url" => return Ok(Slot::BaseUrl),
        "to" => Slot::To,
        "sender" => Slot::Sender,
        "reference" => Slot::Reference,
        "message" => Slot::Message,
        "webhook" => Slot::Webhook,
        "text" => Slot::Text,
        "coding" => Slot::Coding,
        "template" => Slot::Template,
        "values" => Slot::Values,
        "name" => Slot::EachName,
        "value" => Slot::EachValue,
        "references" => Slot::References,
        "line" => Slot::Line,
        _ => return Err(unknown(name, place)),
    };
    if place.slots().contains(&name) { Ok(slot) } else { Err(unknown(name, place)) }
}

fn unknown(name: &str, place: Place) -> String {
    let known: Vec<&str> = ["base_url", "credential.NAME"].iter().chain(place.slots()).copied().collect();
    not_known("placeholder", name, &known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str) -> Result<Option<String>, Slot> {
        let template = Template::parse(text, Place::Pattern, &["key".to_owned()]).unwrap();
        let find = |slot: &Slot| match slot {
            Slot::To => Some("0912".into()),
            Slot::Value(name) if name == "a" => Some("x y".into()),
            _ => None,
        };
        template.fill(find, |_, value, out| out.push_str(value)).map_err(Clone::clone)
    }

    #[test]
    fn places_are_filled_in() {
        assert_eq!(fill("to={to}&a={value.a}."), Ok(Some("to=0912&a=x y.".to_owned())));
        assert_eq!(fill("{value.b?}"), Ok(None));
        assert_eq!(fill("{value.b}"), Err(Slot::Value("b".to_owned())));
        assert_eq!(fill("plain"), Ok(Some("plain".to_owned())));
    }

    #[test]
    fn a_typo_is_found_when_the_description_is_read() {
        let check = |text: &str, place, expected: &str| {
            let error = Template::parse(text, place, &["api_key".to_owned()]).unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
        };
        check("{too}", Place::Text, "there is no placeholder `too`; did you mean `to`?");
        check("{credential.apikey}", Place::Text, "there is no credential `apikey`; did you mean `api_key`?");
        check("{value.token}", Place::Text, "there is no placeholder `value.token`; valid here: `base_url`");
        check("{text}", Place::Pattern, "there is no placeholder `text`; ");
        check("{to", Place::Text, "`{` without its closing `}`");
    }
}
