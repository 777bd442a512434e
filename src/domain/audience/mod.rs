//! Audiences: which members a campaign is for. `all`, `any` and `not` over comparisons of what is
//! known about a member at an instant, checked against the fields' types when they are read.

use std::cmp::Ordering;
use std::sync::Arc;

use chrono::{Duration, NaiveDate};
use chrono_tz::Tz;

use super::Instant;
use super::message::Channel;
use super::rfm::Measure;
use super::words::words;

mod decode;
mod display;
mod known;
mod segments;
#[cfg(test)]
mod tests;

pub use known::{Known, Paid, Value, View, attribute, day, predicted};
pub use segments::Segments;

/// A filter over members.
#[derive(Debug, Clone, PartialEq)]
pub enum Audience {
    /// Every one holds; empty: everybody.
    All(Vec<Audience>),
    /// At least one holds; empty: nobody.
    Any(Vec<Audience>),
    Not(Box<Audience>),
    Compare(Comparison),
    /// Marketing can reach the member: an address with consent that is not suppressed. On any
    /// channel, or on one.
    Reachable(Option<Channel>),
    /// A message of a campaign was sent to the member, ever or in the time before.
    Received(Received),
    /// A filter in a file of its own.
    Segment(Segment),
}

/// One field compared with constants.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    pub field: Field,
    pub operator: Operator,
    /// One value, several for `in` and `not_in`, none for `exists`.
    pub operands: Vec<Operand>,
}

/// What is compared.
#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    /// A column of the member.
    Column(&'static str),
    /// One of the shop's own attributes.
    Attribute(String),
    /// Over the member's valid orders in a span of time.
    Purchases(Aggregate, Span),
    /// A score from 1 to 5.
    Rfm(Measure),
    /// What the models of all customers say of a member who has bought.
    Prediction(Prediction),
}

words! {
    /// What is to be expected of a member.
    Prediction {
        /// The probability that the member is still a customer.
        AliveProbability = "alive_probability",
        /// What the next 52 weeks will bring, discounted, in major units of the brand's currency.
        ExpectedRevenue = "expected_revenue",
    }
}

words! {
    /// What is computed over a member's valid orders. Money is in the brand's currency: orders in
    /// another one add nothing to the sum and the average.
    Aggregate {
        Count = "purchase_count",
        Sum = "purchase_sum",
        Average = "purchase_average",
        First = "first_purchase_at",
        Last = "last_purchase_at",
    }
}

/// Which orders count, of those made by the instant at which is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// Those of so long before.
    Within(Duration),
    /// Those in [since, until).
    Between { since: Option<Instant>, until: Option<Instant> },
}

impl Span {
    /// Every order.
    pub const EVER: Self = Self::Between { since: None, until: None };

    /// Whether an order counts at `at`.
    pub fn holds(self, order: Instant, at: Instant) -> bool {
        let (from, to) = self.bounds(at);
        from.is_none_or(|from| order >= from) && order < to
    }

    /// The first instant that counts at `at`, and the first that no longer does.
    pub fn bounds(self, at: Instant) -> (Option<Instant>, Instant) {
        let after = Duration::milliseconds(1);
        match self {
            Self::Within(length) => (Some(at - length + after), at + after),
            Self::Between { since, until } => (since, until.map_or(at + after, |until| until.min(at + after))),
        }
    }
}

/// A campaign whose messages are asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    pub campaign: String,
    pub within: Option<Duration>,
    /// Line and column where the file names the campaign.
    pub place: (u64, u64),
}

impl Received {
    /// The instant after which a message must have been sent to count at `at`.
    pub fn after(&self, at: Instant) -> Instant {
        self.within.map_or(Instant::MIN_UTC, |within| at - within)
    }
}

/// A filter by its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    pub name: String,
    /// Line and column where the file names it.
    pub place: (u64, u64),
    /// Set by [`Segments::fill`].
    pub filter: Option<Arc<Audience>>,
}

/// How a field is compared. A member who lacks the field fails every comparison but `ne`, `not_in`
/// and `exists: false`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Eq,
    Ne,
    Gt,
    Gte,
    Lt,
    Lte,
    In,
    NotIn,
    Exists(bool),
    /// At least so long ago.
    OlderThan,
    /// Less long ago.
    NewerThan,
}

/// A constant of a comparable type.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    Text(String),
    Number(f64),
    Flag(bool),
    Date(NaiveDate),
    Length(Duration),
}

/// What must be found out about members before a filter can be judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uses {
    pub purchases: bool,
    pub suppressions: bool,
    pub rfm: bool,
    pub predictions: bool,
    /// The campaigns whose messages are asked for.
    pub received: Vec<String>,
}

/// A line of a filter as it stands for one member, for `explain`.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// How many groups it stands in.
    pub depth: usize,
    pub text: String,
    /// Unknown where it is not decided yet.
    pub holds: Option<bool>,
    /// The member's value, where the term compares one; absent when the member lacks it.
    pub value: Option<String>,
}

impl Audience {
    /// Everybody.
    pub const fn everybody() -> Self {
        Self::All(Vec::new())
    }

    /// Whether the member is in the audience; `None` where that hangs on what is not decided yet.
    pub fn verdict(&self, view: &View<'_>) -> Option<bool> {
        match self {
            Self::All(items) => every(items.iter().map(|item| item.verdict(view))),
            Self::Any(items) => every(items.iter().map(|item| item.verdict(view).map(|holds| !holds))).map(|no| !no),
            Self::Not(inner) => inner.verdict(view).map(|holds| !holds),
            Self::Compare(comparison) => Some(comparison.holds(view)),
            Self::Reachable(channel) => {
                let reaches = |channel: &Channel| {
                    let address = view.member.address(*channel);
                    address.is_some() && view.member.consents(*channel) && !view.known.suppressed.contains(channel)
                };
                Some(Channel::ALL.iter().filter(|one| channel.is_none_or(|only| only == **one)).any(reaches))
            }
            Self::Received(asked) => {
                let after = asked.after(view.at);
                let counts = |(campaign, sent): &(&str, Instant)| {
                    *campaign == asked.campaign && *sent > after && *sent <= view.at
                };
                Some(view.known.received.as_ref()?.iter().any(counts))
            }
            Self::Segment(segment) => segment.filter.as_ref()?.verdict(view),
        }
    }

    /// Every line of the filter with what it comes to, groups before what stands in them.
    pub fn terms(&self, view: &View<'_>) -> Vec<Term> {
        let mut terms = Vec::new();
        self.add_terms(view, 0, &mut terms);
        terms
    }

    fn add_terms(&self, view: &View<'_>, depth: usize, terms: &mut Vec<Term>) {
        let mut term = Term { depth, text: String::new(), holds: self.verdict(view), value: None };
        let inner: &[Self] = match self {
            Self::All(items) if items.is_empty() => {
                term.text = self.to_string();
                &[]
            }
            Self::All(items) => {
                term.text = "all of".to_owned();
                items
            }
            Self::Any(items) => {
                term.text = "any of".to_owned();
                items
            }
            Self::Not(inner) => {
                term.text = "not".to_owned();
                std::slice::from_ref(inner)
            }
            Self::Segment(segment) => {
                term.text = self.to_string();
                segment.filter.as_deref().map_or(&[], std::slice::from_ref)
            }
            Self::Compare(comparison) => {
                term.text = comparison.to_string();
                term.value = view.value(comparison).map(|value| value.shown(view));
                &[]
            }
            Self::Reachable(_) | Self::Received(_) => {
                term.text = self.to_string();
                &[]
            }
        };
        terms.push(term);
        for item in inner {
            item.add_terms(view, depth + 1, terms);
        }
    }

    /// What must be found out before it can be judged.
    pub fn uses(&self) -> Uses {
        let mut uses = Uses::default();
        self.visit(&mut |part| match part {
            Self::Compare(Comparison { field: Field::Purchases(..), .. }) => uses.purchases = true,
            Self::Compare(Comparison { field: Field::Rfm(_), .. }) => uses.rfm = true,
            Self::Compare(Comparison { field: Field::Prediction(_), .. }) => uses.predictions = true,
            Self::Reachable(_) => uses.suppressions = true,
            Self::Received(asked) => uses.received.push(asked.campaign.clone()),
            _ => {}
        });
        uses.purchases |= uses.rfm || uses.predictions;
        uses
    }

    /// Shows every part to `see`, those of its segments too.
    fn visit<'a>(&'a self, see: &mut dyn FnMut(&'a Self)) {
        self.visit_own(&mut |part| {
            see(part);
            if let Self::Segment(Segment { filter: Some(filter), .. }) = part {
                filter.visit(see);
            }
        });
    }

    /// All that it says, with the segments that it names: where that is the same, so is the audience.
    pub fn in_full(&self) -> String {
        let mut all = String::new();
        self.visit(&mut |part| {
            all += &part.to_string();
            all.push('\n');
        });
        all
    }

    /// Shows every part that stands in its own file to `see`.
    pub fn visit_own<'a>(&'a self, see: &mut dyn FnMut(&'a Self)) {
        see(self);
        match self {
            Self::All(items) | Self::Any(items) => items.iter().for_each(|item| item.visit_own(see)),
            Self::Not(inner) => inner.visit_own(see),
            Self::Compare(_) | Self::Reachable(_) | Self::Received(_) | Self::Segment(_) => {}
        }
    }
}

/// Whether all hold: one that does not decides, even where others are open.
fn every(verdicts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut all = Some(true);
    for verdict in verdicts {
        match verdict {
            Some(true) => {}
            Some(false) => return Some(false),
            None => all = None,
        }
    }
    all
}

impl Comparison {
    /// Whether it holds for the member of the view.
    pub fn holds(&self, view: &View<'_>) -> bool {
        self.holds_for(view.value(self).as_ref(), view.brand.timezone, view.at)
    }

    /// Whether it holds for a value of the field at an instant; dates are those of a zone's clock.
    pub fn holds_for(&self, value: Option<&Value>, zone: Tz, at: Instant) -> bool {
        let Some(value) = value else {
            return matches!(self.operator, Operator::Ne | Operator::NotIn | Operator::Exists(false));
        };
        let equal = || self.operands.iter().any(|operand| value.compare(operand, zone, at) == Some(Ordering::Equal));
        let is = |wanted: fn(Ordering) -> bool| {
            self.operands.first().and_then(|operand| value.compare(operand, zone, at)).is_some_and(wanted)
        };
        match self.operator {
            Operator::Eq | Operator::In => equal(),
            Operator::Ne | Operator::NotIn => !equal(),
            Operator::Gt | Operator::NewerThan => is(Ordering::is_gt),
            Operator::Gte => is(Ordering::is_ge),
            Operator::Lt => is(Ordering::is_lt),
            Operator::Lte | Operator::OlderThan => is(Ordering::is_le),
            Operator::Exists(wanted) => wanted,
        }
    }
}
