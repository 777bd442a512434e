//! A campaign's experiment as its file has it: who is held out, and which variants of the first step there are.

use chrono::NaiveTime;

use super::super::brand::Brand;
use super::super::calendar::parse_time;
use super::super::experiment::arms::{
    Assignment, BRAND_HOLDOUT, HOLDOUT, TREATED, is_held_out_by_brand, parse_share, variant_of,
};
use super::super::experiment::decide::Decide;
use super::super::experiment::goal::Goal;
use super::super::experiment::position;
use super::super::gift::GiftRule;
use super::super::member::{Member, suppression_key};
use super::super::message::Purpose;
use super::super::name;
use super::super::words::words;
use super::steps::{self, Step};
use super::{Campaign, MAIN};
use crate::document::{Table, Value};

words! {
    /// Whom an experiment divides.
    HoldoutBy {
        /// Each member by itself.
        Member = "member",
        /// All who share the address of the campaign's first channel on which the member has one.
        Address = "address",
    }
}

/// What a campaign compares.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// The share that gets nothing, 0 to 1.
    pub holdout: f64,
    pub holdout_by: HoldoutBy,
    /// Of the first step; none: those who are not held out get the step as it is.
    pub variants: Vec<Variant>,
    pub goal: Goal,
    /// When the better variant is chosen by itself.
    pub decide: Option<Decide>,
}

/// A first step that differs from the campaign's own.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    pub name: String,
    /// Of those who are not held out, 0 to 1.
    pub share: f64,
    /// What its members get.
    pub step: Step,
    /// The member's local time before which it does not go out; the message falls due as every other.
    pub send_at: Option<NaiveTime>,
}

/// A variant before it is laid over the first step.
struct Written {
    name: String,
    share: Option<f64>,
    content: Option<(String, (u64, u64))>,
    subject: Option<String>,
    gift: Option<GiftRule>,
    send_at: Option<NaiveTime>,
}

/// An experiment before the first step is known.
#[derive(Default)]
pub(super) struct Decoded {
    experiment: Experiment,
    written: Vec<Written>,
}

impl Default for Experiment {
    fn default() -> Self {
        Self { holdout: 0.0, holdout_by: HoldoutBy::Member, variants: Vec::new(), goal: Goal::default(), decide: None }
    }
}

impl Experiment {
    /// Whether members are divided at all.
    pub fn is_on(&self) -> bool {
        self.holdout > 0.0 || !self.variants.is_empty()
    }

    /// The arms with their shares of all members; none where nobody is divided. Once a variant is `chosen` all who are
    /// not held out get it.
    pub fn arms(&self, chosen: Option<&str>) -> Vec<(&str, f64)> {
        let treated = 1.0 - self.holdout;
        let holdout = (self.holdout > 0.0).then_some((HOLDOUT, self.holdout));
        let others: Vec<(&str, f64)> = match chosen.and_then(|name| self.variant(name)) {
            _ if !self.is_on() => Vec::new(),
            Some(variant) => vec![(&variant.name, treated)],
            None if self.variants.is_empty() => vec![(TREATED, treated)],
            None => self.variants.iter().map(|variant| (variant.name.as_str(), treated * variant.share)).collect(),
        };
        holdout.into_iter().chain(others).collect()
    }

    /// The variant of this name.
    pub fn variant(&self, name: &str) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.name == name)
    }

    /// Reads `experiment`.
    pub(super) fn decode(value: Value<'_>, brand: &Brand) -> Option<Decoded> {
        let mut table = value.table()?;
        let holdout = table.get_or("holdout", 0.0, |value| value.parse(parse_share));
        let holdout_by = table.get_or("holdout_by", HoldoutBy::Member, |value| value.one_of(HoldoutBy::WORDS));
        let goal = table.get_or("goal", Goal::default(), |value| Goal::decode(value, brand));
        let written = table.get_or("variants", Vec::new(), |value| decode_variants(value, brand));
        let decide = table.get_or("decide", None, |value| {
            let decide = Decide::decode(value)?;
            if decide.is_some() && written.as_ref().is_some_and(Vec::is_empty) {
                value.problem("there is nothing to decide: the experiment has no `variants`");
                return None;
            }
            Some(decide)
        });
        table.finish();
        let experiment = Experiment {
            holdout: holdout?,
            holdout_by: holdout_by?,
            variants: Vec::new(),
            goal: goal?,
            decide: decide?,
        };
        Some(Decoded { experiment, written: written? })
    }
}

impl Campaign {
    /// The arm of a member who comes to the question of it now. `chosen` is the variant that by now all get who are not
    /// held out.
    pub fn assignment(&self, member: &Member, brand: &Brand, chosen: Option<&str>) -> Assignment {
        if self.purpose == Purpose::Marketing && is_held_out_by_brand(&member.external_id, brand.holdout) {
            return Assignment::to(BRAND_HOLDOUT);
        }
        let experiment = &self.experiment;
        if !experiment.is_on() {
            return Assignment::default();
        }
        let unit = match experiment.holdout_by {
            HoldoutBy::Member => None,
            HoldoutBy::Address => self.channels.iter().find_map(|channel| suppression_key(member, *channel)),
        };
        let key = unit.as_deref().unwrap_or(&member.external_id);
        if position(&self.name, key) < experiment.holdout {
            return Assignment { arm: Some(HOLDOUT.into()), unit };
        }
        let divided = || {
            let shares = experiment.variants.iter().map(|variant| variant.share);
            experiment.variants.get(variant_of(&self.name, key, shares))
        };
        let variant = chosen.and_then(|name| experiment.variant(name)).or_else(divided);
        Assignment { arm: Some(variant.map_or(TREATED.into(), |variant| variant.name.clone().into())), unit }
    }

    /// What a step says and brings to members of an arm; none where there is no such step.
    pub fn step(&self, id: &str, arm: Option<&str>) -> Option<&Step> {
        self.variant(id, arm).map(|variant| &variant.step).or_else(|| self.steps.iter().find(|step| step.id == id))
    }

    /// The variant of a step that members of an arm get, if it is one.
    pub fn variant(&self, step: &str, arm: Option<&str>) -> Option<&Variant> {
        arm.filter(|_| step == MAIN).and_then(|arm| self.experiment.variant(arm))
    }

    /// Every form in which step `index` goes out.
    pub fn forms(&self, index: usize) -> Vec<&Step> {
        let variants = if index == 0 { self.experiment.variants.as_slice() } else { &[] };
        if variants.is_empty() {
            vec![&self.steps[index]]
        } else {
            variants.iter().map(|variant| &variant.step).collect()
        }
    }
}

impl Decoded {
    /// Lays the variants over the campaign's first step.
    pub(super) fn over(self, first: &Step) -> Experiment {
        let equal = 1.0 / self.written.len().max(1) as f64;
        let variants = self.written.into_iter().map(|written| {
            let mut step = first.clone();
            if let Some((content, content_at)) = written.content {
                (step.content, step.content_at) = (content, content_at);
            }
            step.subject = written.subject;
            step.gift = written.gift.or(step.gift);
            Variant { name: written.name, share: written.share.unwrap_or(equal), step, send_at: written.send_at }
        });
        Experiment { variants: variants.collect(), ..self.experiment }
    }
}

fn decode_variants(value: Value<'_>, brand: &Brand) -> Option<Vec<Written>> {
    let items = value.list()?;
    let decoded: Vec<Option<Written>> = items.iter().map(|item| decode_variant(item, brand)).collect();
    let variants = decoded.into_iter().collect::<Option<Vec<Written>>>()?;
    if variants.len() < 2 {
        value.problem("one variant is compared with nothing; write at least two, or use the campaign's own keys");
        return None;
    }
    for (index, (item, variant)) in items.iter().zip(&variants).enumerate() {
        if variants[..index].iter().any(|other| other.name == variant.name) {
            item.problem(format!("the variant `{}` stands here twice", variant.name));
            return None;
        }
    }
    let shares: Vec<f64> = variants.iter().filter_map(|variant| variant.share).collect();
    if !shares.is_empty() && shares.len() < variants.len() {
        value.problem("some variants have a share and some have none; give each of them one, or none for equal parts");
        return None;
    }
    let sum: f64 = shares.iter().sum();
    if !shares.is_empty() && (sum - 1.0).abs() > 1e-9 {
        let sum = (sum * 1e6).round() / 1e4;
        value.problem(format!("the shares of the variants make {sum} %, and must make 100 % of those not held out"));
        return None;
    }
    Some(variants)
}

fn decode_variant(item: &Value<'_>, brand: &Brand) -> Option<Written> {
    let mut table = item.table()?;
    let name = table.require("name").and_then(|value| value.parse(parse_name));
    let share = table.get_or("share", None, |value| value.parse(parse_share).map(Some));
    let content = table.get_or("content", None, |value| steps::decode_content(value).map(Some));
    let subject = table.get_or("subject", None, |value| value.parse(name::parse).map(Some));
    let gift = table.get_or("gift", None, |value| GiftRule::decode(value, brand).map(Some));
    let send_at = table.get_or("send_at", None, |value| value.parse(parse_time).map(Some));
    finish(table);
    Some(Written { name: name?, share: share?, content: content?, subject: subject?, gift: gift?, send_at: send_at? })
}

fn finish(mut table: Table<'_>) {
    table.not_yet(&["channels", "steps"]);
    table.finish();
}

/// A variant has a name of its own, and none that says something else in reports.
fn parse_name(text: &str) -> Result<String, String> {
    if [HOLDOUT, BRAND_HOLDOUT, TREATED].contains(&text) {
        return Err(format!("`{text}` is what reports call those who are in no variant; choose another name"));
    }
    name::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;
    use crate::domain::member::samples::brand;

    fn read(text: &str) -> Result<Experiment, String> {
        let document = Document::parse("x.yaml", text, None).unwrap();
        let decoded = Experiment::decode(document.root(), &brand());
        let first = Step {
            id: MAIN.to_owned(),
            after: chrono::Duration::zero(),
            unless_goal: false,
            unless_heard: Vec::new(),
            content: "plain".to_owned(),
            content_at: (1, 1),
            subject: None,
            gift: Some(GiftRule::Points(5)),
        };
        document.finish(decoded).map(|decoded| decoded.over(&first)).map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_variant_is_the_first_step_but_for_what_it_says() {
        let text =
            "{ holdout: 20%, variants: [{ name: a }, { name: b, content: warm, subject: warm, gift: { points: 9 } }] }";
        let experiment = read(text).unwrap();
        let said =
            |variant: &Variant| (variant.step.content.clone(), variant.step.subject.clone(), variant.step.gift.clone());
        assert_eq!(said(&experiment.variants[0]), ("plain".to_owned(), None, Some(GiftRule::Points(5))));
        let warm = Some("warm".to_owned());
        assert_eq!(said(&experiment.variants[1]), ("warm".to_owned(), warm, Some(GiftRule::Points(9))));
        assert_eq!(experiment.arms(None), [("holdout", 0.2), ("a", 0.4), ("b", 0.4)]);
        assert_eq!(experiment.arms(Some("b")), [("holdout", 0.2), ("b", 0.8)]);
        assert_eq!(read("{ holdout: 0.25 }").unwrap().arms(None), [("holdout", 0.25), ("treated", 0.75)]);
        assert!(read("{ holdout: 0 }").unwrap().arms(None).is_empty());
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        for (text, expected) in [
            ("{ variants: [{ name: a }] }", "write at least two"),
            ("{ variants: [{ name: a }, { name: a }] }", "stands here twice"),
            ("{ variants: [{ name: a, share: 60% }, { name: b }] }", "some have none"),
            ("{ variants: [{ name: a, share: 60% }, { name: b, share: 50% }] }", "make 110 %"),
            ("{ variants: [{ name: holdout }, { name: b }] }", "choose another name"),
            ("{ holdout: 10%, decide: { after: 10d } }", "nothing to decide"),
            ("{ variants: [{ name: a }, { name: b }], decide: { by: revenue } }", "after"),
            ("{ variants: [{ name: a }, { name: b }], decide: soon }", "none"),
            ("{ variants: [{ name: a, contnet: x }, { name: b }] }", "did you mean `content`"),
            ("{ variants: [{ name: a, channels: [sms] }, { name: b }] }", "not in this version"),
            ("{ holdout: 100% }", "below 100%"),
            ("{ holdout_by: household }", "valid here: `member`, `address`"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected) && error.starts_with("x.yaml:1:"), "{text}: {error}");
        }
    }
}
