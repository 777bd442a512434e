//! The naive evaluator: which messages a set of campaigns sends, worked out member by member in
//! memory. It is slow and plain on purpose and shares no code with the library, so that the two can
//! be held against each other.
//!
//! Assumptions: the ledger is empty when the first pass begins, all members and orders were imported
//! before it and none changes, no address is suppressed, nobody is deleted, and every message that may
//! go goes at once. Input that is not understood panics. Instants are epoch milliseconds.

mod audience;
mod brand;
mod calendar;
mod campaign;
mod keys;
mod policy;
mod schedule;
mod shop;
#[cfg(test)]
mod tests;
mod triggers;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

pub use brand::{Brand, DaysOfYear};
pub use campaign::Campaign;
pub use shop::Shop;

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;

/// All that decides who gets what and when.
pub struct World {
    pub brand: Brand,
    pub shop: Shop,
    pub campaigns: Vec<Campaign>,
    /// The audience of each segment.
    pub segments: BTreeMap<String, Value>,
    /// The named days of the occasions' files.
    pub occasions: DaysOfYear,
    /// What `model fit` found.
    pub model: Option<Model>,
    /// How many codes each pool holds.
    pub pools: BTreeMap<String, usize>,
    /// Who objects to marketing by which channel.
    pub objections: BTreeSet<(String, String)>,
}

impl World {
    /// Without segments, occasions, a model and codes.
    pub fn new(brand: Brand, shop: Shop, campaigns: Vec<Campaign>) -> World {
        let (segments, occasions) = (BTreeMap::new(), DaysOfYear::default());
        World {
            brand,
            shop,
            campaigns,
            segments,
            occasions,
            model: None,
            pools: BTreeMap::new(),
            objections: BTreeSet::new(),
        }
    }

    /// With the segments, each a name and the text of its file.
    pub fn with_segments<'a>(mut self, files: impl IntoIterator<Item = (&'a str, &'a str)>) -> World {
        let read = |(name, text): (&str, &str)| (name.to_string(), audience::of_segment(text));
        self.segments = files.into_iter().map(read).collect();
        self
    }
}

/// The four parameters of the BG/NBD model, in weeks.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    pub r: f64,
    pub alpha: f64,
    pub a: f64,
    pub b: f64,
}

/// When the scheduler and the dispatcher are at work.
#[derive(Clone, Copy, Debug)]
pub enum Pass {
    /// At every instant of `[from, to)`; what waits for the end of quiet hours or of a rest day is
    /// waited for, beyond `to` as well. What falls due later is left alone.
    Between(i64, i64),
    /// Once, at an instant, for everything that fell due up to it.
    At(i64),
}

/// One message: what becomes of one step of one occasion of one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    pub member: String,
    pub campaign: String,
    pub step: String,
    pub due_at: i64,
    /// Of the campaign's experiment, once it came to the question of it.
    pub arm: Option<String>,
    pub fate: Fate,
}

impl Expected {
    /// Member, campaign, step, channel and due instant of a message that is sent.
    pub fn sent(self) -> Option<(String, String, String, String, i64)> {
        match self.fate {
            Fate::Sent { channel, .. } => Some((self.member, self.campaign, self.step, channel, self.due_at)),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The moment of sending, and the channel.
    Sent { at: i64, channel: String },
    /// Why it was not sent.
    Ended(&'static str),
    /// It still waits when the last pass ends.
    Waiting,
}

/// Every message that the passes find, by due instant, campaign, member and step.
pub fn evaluate(world: &World, passes: &[Pass]) -> Vec<Expected> {
    for campaign in &world.campaigns {
        campaign.check(world);
    }
    let mut messages = policy::run(world, passes);
    messages.sort_by_cached_key(|message| {
        let Expected { due_at, campaign, member, step, fate, .. } = message.clone();
        (due_at, campaign, member, step, format!("{fate:?}"))
    });
    messages
}
