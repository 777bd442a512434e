//! The messages of one occasion: the first step and the later ones.

use chrono::Duration;

use super::super::brand::Brand;
use super::super::gift::GiftRule;
use super::super::message::EventKind;
use super::super::track::Track;
use super::super::{duration, name};
use super::MAIN;
use crate::document::Value;

/// One message of an occasion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub id: String,
    /// Counted from the step before.
    pub after: Duration,
    /// Whether the goal (a purchase) ends it.
    pub unless_goal: bool,
    /// What ends it when it was heard of an earlier step: [`EventKind::Opened`], [`EventKind::Clicked`].
    pub unless_heard: Vec<EventKind>,
    /// The folder of its templates.
    pub content: String,
    /// Line and column where the file names it.
    pub content_at: (u64, u64),
    /// Instead of `subject.txt` (and `subject.fa.txt`) the files of this name.
    pub subject: Option<String>,
    /// What the message brings beside its words.
    pub gift: Option<GiftRule>,
}

/// A template folder's name and where it stands.
pub(super) fn decode_content(value: Value<'_>) -> Option<(String, (u64, u64))> {
    let name = value.parse(|text| {
        name::parse(text)
            .map_err(|_| format!("`{text}` cannot be a template folder; write the name of a folder in templates"))
    })?;
    Some((name, value.place()))
}

/// What ends a step: the goal, and what was heard of the steps before it.
fn decode_unless(value: Value<'_>, track: Track, has_mail: bool) -> Option<(bool, Vec<EventKind>)> {
    let (mut goal, mut heard) = (false, Vec::new());
    for item in &value.list()? {
        let (kind, key) = match item.one_of(&[
            ("goal", None),
            ("opened", Some(EventKind::Opened)),
            ("clicked", Some(EventKind::Clicked)),
        ])? {
            None => {
                goal = true;
                continue;
            }
            Some(kind) => (kind, if kind == EventKind::Opened { "opens" } else { "clicks" }),
        };
        if !has_mail {
            item.problem(format!("only mails are heard to be {kind}; add email to `channels`, or remove `{kind}`"));
            return None;
        }
        let is_heard = if kind == EventKind::Opened { track.opens } else { track.clicks };
        if !is_heard {
            item.problem(format!(
                "nothing says whether a mail was {kind}; add `track: {{ {key}: true }}` to the campaign, or remove `{kind}`"
            ));
            return None;
        }
        heard.push(kind);
    }
    Some((goal, heard))
}

pub(super) fn decode(value: Value<'_>, brand: &Brand, track: Track, has_mail: bool) -> Option<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    let mut complete = true;
    for item in value.list()? {
        let Some(mut table) = item.table() else {
            complete = false;
            continue;
        };
        let id_value = table.require("id");
        let id = id_value.and_then(|value| value.parse(name::parse));
        let after = table.require("after").and_then(|value| {
            let after = value.parse(duration::parse)?;
            if after.is_zero() {
                value.problem("a later step comes later; write at least 1s");
                return None;
            }
            Some(after)
        });
        let unless = table.get_or("unless", (false, Vec::new()), |value| decode_unless(value, track, has_mail));
        let content = table.require("content").and_then(decode_content);
        let gift = table.get_or("gift", None, |value| GiftRule::decode(value, brand).map(Some));
        table.not_yet(&["channels"]);
        table.finish();
        let (Some(id), Some(after), Some((unless_goal, unless_heard)), Some((content, content_at)), Some(gift)) =
            (id, after, unless, content, gift)
        else {
            complete = false;
            continue;
        };
        if id == MAIN || steps.iter().any(|step| step.id == id) {
            if let Some(value) = id_value {
                value.problem(format!(
                    "the step id `{id}` is taken; each step needs its own, and the first is `{MAIN}`"
                ));
            }
            complete = false;
            continue;
        }
        steps.push(Step { id, after, unless_goal, unless_heard, content, content_at, subject: None, gift });
    }
    complete.then_some(steps)
}
