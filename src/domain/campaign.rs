//! A campaign as the marketing team configured it: read from YAML, checked whole, immutable.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{Duration, NaiveTime};

use super::Instant;
use super::audience::Audience;
use super::brand::Brand;
use super::calendar::{parse_instant, parse_time};
use super::cron::Cron;
use super::experiment::part_of;
use super::gift::GiftRule;
use super::member::Member;
use super::message::{Channel, Purpose};
use super::occasion::Trigger;
use super::policy::Rules;
use super::track::Track;
use super::words::words;
use super::{duration, name, occasion};
use crate::document::{Document, Problems, Table, Value, expected};

mod experiment;
mod limits;
mod steps;

pub use experiment::{Experiment, HoldoutBy, Variant};
pub use limits::{DEFAULT_CEILING, Limits};
pub use steps::Step;

words! {
    /// Whether a campaign sends.
    Status { Draft = "draft", Live = "live", Paused = "paused" }
}

words! {
    /// How many channels a message goes out on.
    Reach {
        /// The first channel on which the member can be reached.
        First = "first",
        /// The same, and the next one after a failure.
        Fallback = "fallback",
        /// Each channel.
        All = "all",
    }
}

/// The id of a campaign's first step, and the slot of a message that picks one channel.
pub const MAIN: &str = "main";

/// What the team configured.
#[derive(Debug, Clone)]
pub struct Campaign {
    pub name: String,
    pub status: Status,
    pub purpose: Purpose,
    pub trigger: Arc<dyn Trigger>,
    /// Added to an occasion's base instant.
    pub delay: Duration,
    /// Occasions due before it do not exist; default: when the campaign first went live.
    pub starts_at: Option<Instant>,
    /// Occasions due at or after it do not exist.
    pub ends_at: Option<Instant>,
    pub scan: Cron,
    /// The member's local time of day at which messages go out.
    pub send_at: Option<NaiveTime>,
    /// The first step is spread over so much time, by member.
    pub spread: Duration,
    /// What happens to occasions from before the campaign began.
    pub backfill: Option<Backfill>,
    pub audience: Audience,
    /// In order of preference; never empty.
    pub channels: Vec<Channel>,
    pub reach: Reach,
    /// With [`Reach::Fallback`]: an SMS without a receipt for so long has failed.
    pub undelivered_after: Option<Duration>,
    pub limits: Limits,
    /// What is heard of its mails.
    pub track: Track,
    pub experiment: Experiment,
    /// The first one is [`MAIN`] with `after` zero.
    pub steps: Vec<Step>,
}

/// Occasions from before a campaign began that it takes up, the latest of each member, some each day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backfill {
    /// How long before it began.
    pub up_to: Duration,
    pub per_day: i64,
}

/// A trigger that campaigns may name, and how its keys are read.
#[derive(Clone, Copy)]
pub struct TriggerKind {
    pub name: &'static str,
    pub decode: fn(&mut Table<'_>, &Brand) -> Option<Arc<dyn Trigger>>,
}

impl Campaign {
    /// Reads a campaign file; reports everything that is wrong with it.
    pub fn parse(file: &str, text: &str, brand: &Brand, triggers: &[TriggerKind]) -> Result<Self, Problems> {
        let document = Document::parse(file, text, None).map_err(|problem| Problems(vec![problem]))?;
        let decoded = document.root().table().and_then(|table| Self::decode(table, brand, triggers));
        document.finish(decoded)
    }

    fn decode(mut table: Table<'_>, brand: &Brand, triggers: &[TriggerKind]) -> Option<Self> {
        let name = table.require("name").and_then(|value| value.parse(name::parse));
        let status = table.get_or("status", Status::Draft, |value| value.one_of(Status::WORDS));
        let purpose = table.get_or("purpose", Purpose::Marketing, |value| value.one_of(Purpose::WORDS));
        let trigger = table.require("trigger").and_then(|value| decode_trigger(value, brand, triggers));
        let runs = decode_runs(&mut table, brand);
        let schedule = table.get_or("schedule", (default_scan(), None), decode_schedule);
        let audience = table.get_or("audience", Audience::everybody(), |value| Audience::decode(value, brand.timezone));
        let channels = table.require("channels").and_then(decode_channels);
        let reach = table.get_or("reach", Reach::First, |value| value.one_of(Reach::WORDS));
        let undelivered_after = table.get_or("undelivered_after", None, |value| decode_undelivered(value, reach));
        let content = table.require("content").and_then(steps::decode_content);
        let gift = table.get_or("gift", None, |value| GiftRule::decode(value, brand).map(Some));
        let limits = table.get_or("limits", Limits::default(), limits::decode);
        let experiment = table.get_or("experiment", Default::default(), |value| Experiment::decode(value, brand));
        let track = table.get_or("track", brand.track, |value| Track::decode(value, brand.track));
        let has_mail = channels.as_ref().is_none_or(|channels| channels.contains(&Channel::Email));
        let later = table.get_or("steps", Vec::new(), |value| {
            steps::decode(value, brand, track.unwrap_or(Track { opens: true, clicks: true }), has_mail)
        });
        let kind = trigger.as_ref().map(|(trigger, _)| Arc::clone(trigger));
        let spread = table.get_or("spread", Duration::zero(), |value| decode_spread(value, kind.as_deref()));
        let backfill = table.get_or("backfill", None, |value| decode_backfill(value, kind.as_deref()));
        let collapsed = table.get_or("collapse", kind.clone(), |value| decode_collapse(value, kind.as_deref()));
        table.finish();

        let (_, delay) = trigger?;
        let (starts_at, ends_at) = runs?;
        let (scan, send_at) = schedule?;
        let mut steps = vec![first_step(content?, gift?)];
        let experiment = experiment?.over(&steps[0]);
        steps.extend(later?);
        Some(Self {
            name: name?,
            status: status?,
            purpose: purpose?,
            trigger: collapsed??,
            delay,
            starts_at,
            ends_at,
            scan,
            send_at,
            spread: spread?,
            backfill: backfill?,
            audience: audience?,
            channels: channels?,
            reach: reach?,
            undelivered_after: undelivered_after?,
            limits: limits?,
            track: track?,
            experiment,
            steps,
        })
    }

    /// What policy must hold to for this campaign's messages.
    pub fn rules<'b>(&self, brand: &'b Brand) -> Rules<'b> {
        let cap = if self.limits.counts_for_cap { brand.frequency_cap.map(|cap| cap.messages) } else { None };
        Rules {
            purpose: self.purpose,
            quiet_hours: brand.quiet_hours,
            almanac: &brand.almanac,
            cap,
            late: self.limits.late,
        }
    }

    /// The unique-key slots that a step's messages take.
    pub fn slots(&self) -> Vec<&'static str> {
        match self.reach {
            Reach::First | Reach::Fallback => vec![MAIN],
            Reach::All => self.channels.iter().map(|channel| channel.as_str()).collect(),
        }
    }

    /// The channels that a message in a slot may take, in order.
    pub fn channels_of(&self, slot: &str) -> Vec<Channel> {
        match slot.parse::<Channel>() {
            Ok(channel) => vec![channel],
            Err(_) => self.channels.clone(),
        }
    }

    /// Whether any of its steps gives something.
    pub fn gives(&self) -> bool {
        self.all_forms().any(|step| step.gift.is_some())
    }

    /// The pools on which its steps draw.
    pub fn pools(&self) -> BTreeSet<&str> {
        self.all_forms().filter_map(|step| step.gift.as_ref()?.pool()).collect()
    }

    /// Every form in which any of its steps goes out.
    pub fn all_forms(&self) -> impl Iterator<Item = &Step> {
        (0..self.steps.len()).flat_map(|index| self.forms(index))
    }

    /// Position of a step by id.
    pub fn step_index(&self, id: &str) -> Option<usize> {
        self.steps.iter().position(|step| step.id == id)
    }

    /// When each step of a member's occasion that counts from `base` is due.
    pub fn due_instants(&self, base: Instant, member: &Member, brand: &Brand) -> Vec<Instant> {
        let spread = part_of(self.spread, &self.name, &member.external_id);
        self.chain(base + self.delay, spread, member, brand)
    }

    /// When each step is due of an occasion from before the campaign began, taken up at `begins`.
    pub fn late_due_instants(&self, begins: Instant, member: &Member, brand: &Brand) -> Vec<Instant> {
        self.chain(begins, Duration::zero(), member, brand)
    }

    fn chain(&self, begins: Instant, spread: Duration, member: &Member, brand: &Brand) -> Vec<Instant> {
        let afters = self.steps.iter().map(|step| step.after);
        occasion::due_instants(begins, afters, self.send_at, member.zone(brand), spread)
    }

    /// The span of base instants from which step `index` can fall due in (after, until].
    pub fn base_window(&self, index: usize, after: Instant, until: Instant) -> (Instant, Instant) {
        let least: Duration =
            self.steps[..=index].iter().map(|step| step.after).fold(self.delay, |sum, after| sum + after);
        let shift =
            if self.send_at.is_some() { occasion::LONGEST_SHIFT * (index as i32 + 1) } else { Duration::zero() };
        (after - least - shift - self.spread, until - least)
    }
}

fn default_scan() -> Cron {
    #[expect(clippy::expect_used, reason = "a constant that a test reads too")]
    Cron::parse("*/15 * * * *").expect("the default is a valid expression")
}

fn decode_trigger(value: Value<'_>, brand: &Brand, triggers: &[TriggerKind]) -> Option<(Arc<dyn Trigger>, Duration)> {
    let mut table = value.table()?;
    let delay = table.get_or("delay", Duration::zero(), |value| value.parse(duration::parse));
    let kind = table.require("kind")?;
    let word = kind.text()?;
    let Some(found) = triggers.iter().find(|known| known.name == word) else {
        if word == "event" {
            kind.problem(format!("the trigger `{word}` is not in this version"));
        } else {
            let names: Vec<&str> = triggers.iter().map(|known| known.name).collect();
            kind.problem(format!("unknown trigger `{word}`; {}", expected(&word, &names)));
        }
        return None;
    };
    let trigger = (found.decode)(&mut table, brand);
    table.finish();
    Some((trigger?, delay?))
}

/// From when and until when it runs: the end lies behind the beginning.
fn decode_runs(table: &mut Table<'_>, brand: &Brand) -> Option<(Option<Instant>, Option<Instant>)> {
    let instant = |value: Value<'_>| value.parse(|text| parse_instant(text, brand.timezone)).map(Some);
    let starts_at = table.get_or("starts_at", None, instant);
    let ends_at_value = table.get("ends_at");
    let ends_at = ends_at_value.map_or(Some(None), instant);
    if let (Some(value), Some(Some(starts)), Some(Some(ends))) = (ends_at_value, starts_at, ends_at)
        && ends <= starts
    {
        value.problem("`ends_at` is not after `starts_at`, so the campaign would never send");
    }
    Some((starts_at?, ends_at?))
}

fn decode_schedule(value: Value<'_>) -> Option<(Cron, Option<NaiveTime>)> {
    let mut table = value.table()?;
    let scan = table.get_or("scan", default_scan(), |value| value.parse(Cron::parse));
    let send_at = table.get_or("send_at", None, |value| value.parse(parse_time).map(Some));
    table.finish();
    Some((scan?, send_at?))
}

/// After how long without a receipt the next channel is taken, which only `reach: fallback` does.
fn decode_undelivered(value: Value<'_>, reach: Option<Reach>) -> Option<Option<Duration>> {
    if reach.is_some_and(|reach| reach != Reach::Fallback) {
        value.problem("`undelivered_after` needs `reach: fallback`: nothing else takes the next channel");
        return None;
    }
    value.parse(duration::parse).map(Some)
}

/// The step that every campaign has: what it says, where the file names it, and what it brings.
fn first_step((content, content_at): (String, (u64, u64)), gift: Option<GiftRule>) -> Step {
    Step {
        id: MAIN.to_owned(),
        after: Duration::zero(),
        unless_goal: false,
        unless_heard: Vec::new(),
        content,
        content_at,
        subject: None,
        gift,
    }
}

fn decode_spread(value: Value<'_>, trigger: Option<&dyn Trigger>) -> Option<Duration> {
    if trigger.is_some_and(|trigger| !trigger.features().is_for_everybody) {
        value.problem("`spread` is for triggers that come to everybody at once, such as broadcast; remove it");
        return None;
    }
    value.parse(duration::parse)
}

fn decode_backfill(value: Value<'_>, trigger: Option<&dyn Trigger>) -> Option<Option<Backfill>> {
    if trigger.is_some_and(|trigger| trigger.features().is_for_everybody) {
        value.problem("there is nothing to catch up with where everybody is written to at once; remove `backfill`");
        return None;
    }
    let mut table = value.table()?;
    let up_to = table.require("up_to").and_then(decode_span);
    let per_day = table.require("per_day").and_then(|value| value.integer_in(1..=1_000_000_000));
    table.finish();
    Some(Some(Backfill { up_to: up_to?, per_day: per_day? }))
}

/// The trigger that takes orders close to one another as one.
fn decode_collapse(value: Value<'_>, trigger: Option<&dyn Trigger>) -> Option<Option<Arc<dyn Trigger>>> {
    let span = decode_span(value)?;
    let Some(trigger) = trigger else { return Some(None) };
    let collapsed = trigger.collapsed(span);
    if collapsed.is_none() {
        value.problem("`collapse` is for post_purchase with `orders: every`; remove it");
        return None;
    }
    Some(collapsed)
}

/// A length of time that is not zero.
fn decode_span(value: Value<'_>) -> Option<Duration> {
    let span = value.parse(duration::parse)?;
    if span.is_zero() {
        value.problem("nothing lies within no time; write at least 1s, such as 1d");
        return None;
    }
    Some(span)
}

fn decode_channels(value: Value<'_>) -> Option<Vec<Channel>> {
    let items = value.list()?;
    let decoded: Vec<Option<Channel>> = items.iter().map(|item| item.one_of(Channel::WORDS)).collect();
    let channels: Vec<Channel> = decoded.into_iter().collect::<Option<_>>()?;
    if channels.is_empty() {
        value.problem("a campaign needs at least one channel; write [email], [sms] or both in order of preference");
        return None;
    }
    for (index, item) in items.iter().enumerate() {
        if channels[..index].contains(&channels[index]) {
            item.problem(format!("`{}` stands here twice", channels[index]));
            return None;
        }
    }
    Some(channels)
}
