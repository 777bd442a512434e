//! What a campaign earned, or all marketing together: those who got messages against those who were held out, and one
//! variant against another, by intention to treat.

use chrono::Duration;
use serde::Serialize;

use super::sheet::{Cell, Chart, Sheet, Table, Text, ratio};
use super::words::Language;
use crate::domain::brand::Brand;
use crate::domain::calendar::local_date;
use crate::domain::campaign::Campaign;
use crate::domain::experiment::arms::{self, BRAND_HOLDOUT, HOLDOUT};
use crate::domain::experiment::goal::Goal;
use crate::domain::experiment::holm;
use crate::domain::experiment::interval::Interval;
use crate::domain::experiment::means::{Estimate, Means};
use crate::domain::experiment::sample_ratio::{self, SampleRatio};
use crate::domain::experiment::shares::{Share, Shares};
use crate::domain::experiment::verdict::{Because, Evidence, Size, Verdict};
use crate::domain::money::minor_units;
use crate::domain::{Instant, instant};
use crate::store::effect::{self, Asked, Of, Run};
use crate::store::{StoreError, Tx};

/// Of a major unit: what messages cost, and so net.
const MILLIONTHS: f64 = 1_000_000.0;

/// One of so many members in other experiments as well is worth a warning.
const MUCH: i64 = 10;

/// A day in milliseconds.
const DAY: f64 = 86_400_000.0;

/// Whose effect is asked for.
#[derive(Debug, Clone, Copy)]
pub enum Whose<'a> {
    Campaign(&'a Campaign),
    /// All marketing, against those whom the brand holds out; by the names of the campaigns that are marketing.
    Brand(&'a [String]),
}

impl<'a> Whose<'a> {
    /// The campaign's name; the brand has an empty one.
    fn name(self) -> &'a str {
        match self {
            Self::Campaign(campaign) => &campaign.name,
            Self::Brand(_) => "",
        }
    }

    fn goal(self) -> Goal {
        match self {
            Self::Campaign(campaign) => campaign.experiment.goal,
            Self::Brand(_) => Goal::default(),
        }
    }
}

/// An effect in one run of an experiment. Money is in major units of the brand's currency.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Effect {
    /// Absent: all marketing.
    pub campaign: Option<String>,
    /// Members (or addresses) whose first assigned message was due from here on; absent: from the beginning.
    pub from: Option<Instant>,
    /// And before this.
    pub to: Instant,
    /// What was known by then: orders made until then, with their state of today.
    pub at: Instant,
    pub within_days: f64,
    pub currency: String,
    /// Its number; absent where there never was an experiment.
    pub run: Option<i64>,
    pub other_runs: Vec<i64>,
    /// Messages of that time that came without an experiment; they are in no comparison.
    pub without_experiment: i64,
    pub arms: Vec<Arm>,
    pub comparisons: Vec<Comparison>,
    pub warnings: Vec<&'static str>,
}

/// An arm, and what its members bought.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Arm {
    pub arm: String,
    /// Those whose time to buy is over by `at`.
    pub members: i64,
    pub buyers: i64,
    pub orders: i64,
    pub revenue: f64,
    /// Of gifts whose codes were used, and of messages.
    pub gift_cost: f64,
    pub message_cost: f64,
    /// Members whose time is not over: in no other number.
    pub not_yet: i64,
    /// Valid orders in other currencies: in no other number.
    pub other_currencies: i64,
}

/// An arm against another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    pub arm: String,
    pub against: String,
    pub revenue_per_member: Mean,
    /// Revenue less what gifts and messages cost; the verdict is about it.
    pub net_per_member: Mean,
    pub buyers_share: Part,
    pub verdict: &'static str,
    /// The verdict in an English sentence, with its reason.
    pub because: String,
    pub reason: Because,
}

/// A difference of means per member: Student's test with the variance pooled.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mean {
    pub difference: Option<f64>,
    pub se: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub p: Option<f64>,
    /// Corrected for all comparisons of the report (Holm).
    pub p_holm: Option<f64>,
    /// For whoever looks every day.
    pub always_valid: Option<Ends>,
    /// The true difference that would be found in four of five experiments of this size.
    pub smallest_detectable: Option<f64>,
    pub welch: Option<Test>,
}

/// A difference of shares: Newcombe's interval, the pooled z-test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    pub difference: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub p: Option<f64>,
    pub p_holm: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ends {
    pub low: f64,
    pub high: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Test {
    pub se: f64,
    pub low: f64,
    pub high: f64,
    pub p: f64,
}

impl From<Means> for Mean {
    fn from(means: Means) -> Self {
        let pooled = means.pooled;
        Self {
            difference: means.difference,
            se: pooled.map(|test| test.se),
            low: pooled.map(|test| test.interval.low),
            high: pooled.map(|test| test.interval.high),
            p: pooled.map(|test| test.p),
            p_holm: None,
            always_valid: means.always_valid.map(Ends::from),
            smallest_detectable: means.smallest_detectable,
            welch: means.welch.map(Test::from),
        }
    }
}

impl From<Interval> for Ends {
    fn from(Interval { low, high }: Interval) -> Self {
        Self { low, high }
    }
}

impl From<Estimate> for Test {
    fn from(Estimate { se, p, interval: Interval { low, high }, .. }: Estimate) -> Self {
        Self { se, low, high, p }
    }
}

/// Which members count: those whose first assigned message was due in [from, to), in a run, as known at an instant.
#[derive(Debug, Clone, Copy)]
pub struct Period {
    pub from: Option<Instant>,
    pub to: Instant,
    pub at: Instant,
    /// Absent: the latest.
    pub run: Option<i64>,
}

impl Effect {
    /// Reads the sums of the arms and compares them.
    pub async fn read(tx: &mut Tx, whose: Whose<'_>, brand: &Brand, period: Period) -> Result<Self, StoreError> {
        let Period { from, to, at, run } = period;
        let runs = effect::runs(tx, whose.name()).await?;
        let with_arms = runs.iter().filter(|run| !run.arms.is_empty());
        let chosen = with_arms.clone().rfind(|known| run.is_none_or(|run| run == known.run)).cloned();
        let (first, goal) = (from.unwrap_or(Instant::UNIX_EPOCH), whose.goal());
        let arms = match &chosen {
            Some(run) => {
                let asked = Asked {
                    of: of(whose, run, &runs),
                    from: first,
                    to,
                    at,
                    within: goal.within,
                    min_amount: goal.min_amount,
                    currency: &brand.currency,
                };
                effect::arms(tx, &asked).await?
            }
            None => Vec::new(),
        };
        let without_experiment = effect::unassigned(tx, whose.name(), (first, to)).await?;
        let other_runs = with_arms.map(|run| run.run).filter(|run| Some(*run) != chosen.as_ref().map(|run| run.run));
        let unit = minor_units(&brand.currency);
        let mut found = Self {
            campaign: match whose {
                Whose::Campaign(campaign) => Some(campaign.name.clone()),
                Whose::Brand(_) => None,
            },
            from,
            to,
            at,
            within_days: goal.within.num_milliseconds() as f64 / DAY,
            currency: brand.currency.clone(),
            run: chosen.as_ref().map(|run| run.run),
            other_runs: other_runs.collect(),
            without_experiment,
            arms: Vec::new(),
            comparisons: Vec::new(),
            warnings: Vec::new(),
        };
        if let Some(run) = chosen {
            found.warn(tx, whose, &run, first).await?;
            found.compare(&run, arms, unit);
        }
        Ok(found)
    }

    /// What else may have made a difference: another audience on the way, other experiments with the same members.
    async fn warn(&mut self, tx: &mut Tx, whose: Whose<'_>, run: &Run, from: Instant) -> Result<(), StoreError> {
        let Whose::Campaign(campaign) = whose else { return Ok(()) };
        let goal = campaign.experiment.goal;
        let asked = Asked {
            of: Of::Campaign(&campaign.name, run.run),
            from,
            to: self.to,
            at: self.at,
            within: goal.within,
            min_amount: goal.min_amount,
            currency: &self.currency,
        };
        let began = instant(run.started_at).max(from);
        let changed = effect::audience_since(tx, &campaign.name).await?;
        if changed.is_some_and(|changed| changed > began && changed < self.to) {
            self.warnings.push("audience_changed");
        }
        let (members, in_others) = effect::overlap(tx, &campaign.name, run.run, &asked).await?;
        if in_others * MUCH >= members && in_others > 0 {
            self.warnings.push("overlap");
        }
        Ok(())
    }

    fn compare(&mut self, run: &Run, mut arms: Vec<effect::Arm>, unit: f64) {
        let place = |arm: &effect::Arm| run.arms.iter().position(|(name, _)| *name == arm.name);
        arms.sort_by_key(place);
        let sizes: Vec<sample_ratio::Arm> = run
            .arms
            .iter()
            .map(|(name, share)| {
                let members = arms.iter().find(|arm| arm.name == *name).map_or(0, |arm| arm.members + arm.not_yet);
                sample_ratio::Arm { members: members.unsigned_abs(), share: *share }
            })
            .collect();
        let is_sample_ratio_wrong = SampleRatio::test(&sizes).is_some_and(|test| test.is_alarm());
        if is_sample_ratio_wrong {
            self.warnings.push("sample_ratio");
        }
        let (held_out, treated): (Vec<_>, Vec<_>) = arms.iter().partition(|arm| is_held_out(&arm.name));
        let against_nothing = treated.iter().flat_map(|arm| held_out.iter().map(move |other| (*arm, *other)));
        let against_the_first = treated.iter().skip(1).map(|arm| (*arm, treated[0]));
        let pairs = against_nothing.chain(against_the_first);
        let compared = pairs.map(|(arm, other)| self.comparison(arm, other, unit, is_sample_ratio_wrong)).collect();
        self.comparisons = compared;
        self.correct();
        self.arms = arms.into_iter().map(|arm| shown(arm, unit)).collect();
    }

    fn comparison(
        &self,
        arm: &effect::Arm,
        against: &effect::Arm,
        unit: f64,
        is_sample_ratio_wrong: bool,
    ) -> Comparison {
        let revenue = Means::compare(&arm.revenue, &against.revenue, unit);
        let net = Means::compare(&arm.net, &against.net, MILLIONTHS);
        let shares = Shares::compare(share(arm), share(against));
        let evidence = Evidence {
            arm: size(arm),
            against: size(against),
            always_valid: net.always_valid,
            fixed: net.pooled.map(|test| test.interval),
            is_sample_ratio_wrong,
        };
        let reason = Because::of(&evidence, net.smallest_detectable);
        Comparison {
            arm: arm.name.clone(),
            against: against.name.clone(),
            because: Language::English.text(&because(reason, &against.name), &self.currency),
            reason,
            verdict: Verdict::of(&evidence).as_str(),
            revenue_per_member: revenue.into(),
            net_per_member: net.into(),
            buyers_share: Part {
                difference: shares.difference,
                low: shares.interval.map(|interval| interval.low),
                high: shares.interval.map(|interval| interval.high),
                p: shares.p,
                p_holm: None,
            },
        }
    }

    /// Each number's comparisons are a family.
    fn correct(&mut self) {
        type Number = fn(&mut Comparison) -> (Option<f64>, &mut Option<f64>);
        let numbers: [Number; 3] = [
            |one| (one.revenue_per_member.p, &mut one.revenue_per_member.p_holm),
            |one| (one.net_per_member.p, &mut one.net_per_member.p_holm),
            |one| (one.buyers_share.p, &mut one.buyers_share.p_holm),
        ];
        for number in numbers {
            let family: Vec<_> = self.comparisons.iter_mut().map(|one| number(one).0).collect();
            for (one, corrected) in self.comparisons.iter_mut().zip(holm::correct(&family)) {
                *number(one).1 = corrected;
            }
        }
    }

    /// As it is looked at.
    pub fn sheet(&self, brand: &Brand) -> Sheet {
        let campaign = self.campaign.as_ref().map(|name| Cell::Name(name.clone()));
        let title = campaign
            .clone()
            .map_or_else(|| "What all marketing earned".into(), |name| Text::new("What {0} earned", [name]));
        let Some(run) = self.run else {
            let about = campaign.map_or_else(
                || "Marketing has no experiment: nobody is held out, so nothing says what would have been bought without it. Write `holdout: 5%` under `brand` in the settings.".into(),
                |name| Text::new("{0} has no experiment: nobody is held out, so nothing says what would have been bought without it. Write `experiment: { holdout: 10% }` in its file.", [name]),
            );
            return Sheet { title, about: vec![about], tables: vec![], notes: vec![], currency: self.currency.clone() };
        };
        let mut about = vec![self.about(run, brand)];
        about.extend(
            self.comparisons
                .iter()
                .map(|one| Text::new("{0}: {1}", [one.cell(), Cell::Word(because(one.reason, &one.against))])),
        );
        Sheet {
            title,
            about,
            tables: vec![self.compared(), self.divided()],
            notes: self.notes(),
            currency: self.currency.clone(),
        }
    }

    fn about(&self, run: i64, brand: &Brand) -> Text {
        let date = |at| Cell::Date(local_date(brand.timezone, at));
        let last = date(self.to - Duration::milliseconds(1));
        let rest = [last, Cell::Length(self.within_days), date(self.at), Cell::Count(run)];
        match self.from {
            Some(from) => Text::new(
                "Members whose first message was due from {4} to {0}, and what they bought within {1} days, as known at {2}; run {3}.",
                [&rest[..], &[date(from)]].concat(),
            ),
            None => Text::new(
                "Members whose first message was due by {0}, and what they bought within {1} days, as known at {2}; run {3}.",
                rest,
            ),
        }
    }

    /// The comparisons, by what a member brought more after all costs.
    fn compared(&self) -> Table {
        let row = |one: &Comparison| {
            let Mean { difference, low, high, p_holm, always_valid, smallest_detectable, .. } = &one.net_per_member;
            let p = |p: Option<f64>| p.map_or(Cell::Nothing, Cell::P);
            vec![
                one.cell(),
                Cell::word(word(one.verdict)),
                Cell::change(*difference),
                Cell::change(*low),
                Cell::change(*high),
                p(one.net_per_member.p),
                p(*p_holm),
                Cell::change(always_valid.map(|ends| ends.low)),
                Cell::change(always_valid.map(|ends| ends.high)),
                Cell::money(*smallest_detectable),
            ]
        };
        Table {
            name: "what it caused, a member",
            columns: vec![
                "comparison",
                "verdict",
                "caused",
                "at least (95 %)",
                "at most (95 %)",
                "p",
                "p, corrected",
                "at least (looking daily)",
                "at most (looking daily)",
                "would be found",
            ],
            rows: self.comparisons.iter().map(row).collect(),
            chart: Some(Chart::Intervals { label: 0, estimate: 2, low: 3, high: 4 }),
        }
    }

    fn divided(&self) -> Table {
        let row = |arm: &Arm| {
            let cost = arm.gift_cost + arm.message_cost;
            let net = (arm.members > 0).then(|| (arm.revenue - cost) / arm.members as f64);
            vec![
                named(&arm.arm),
                Cell::Count(arm.members),
                Cell::Count(arm.buyers),
                Cell::share(ratio(arm.buyers, arm.members)),
                Cell::Count(arm.orders),
                Cell::Money(arm.revenue),
                Cell::Money(cost),
                Cell::money(net),
                Cell::Count(arm.not_yet),
            ]
        };
        Table {
            name: "the arms",
            columns: vec![
                "arm",
                "members",
                "buyers",
                "share that bought",
                "orders",
                "revenue",
                "cost",
                "net a member",
                "not yet over",
            ],
            rows: self.arms.iter().map(row).collect(),
            chart: Some(Chart::Bars { label: 0, values: vec![3] }),
        }
    }

    fn notes(&self) -> Vec<Text> {
        let mut notes = Vec::new();
        notes.extend(self.warnings.iter().map(|warning| warned(warning).into()));
        let others: i64 = self.arms.iter().map(|arm| arm.other_currencies).sum();
        if others > 0 {
            notes.push(Text::new("{0} orders in other currencies are in no amount.", [Cell::Count(others)]));
        }
        if !self.other_runs.is_empty() {
            let runs = Cell::Count(self.other_runs.len() as i64);
            notes.push(Text::new("Not in here: {0} other runs, with other shares; `--run N` shows one.", [runs]));
        }
        notes
    }
}

impl Comparison {
    fn cell(&self) -> Cell {
        Cell::Word(Text::new("{0} against {1}", [named(&self.arm), named(&self.against)]))
    }
}

fn named(arm: &str) -> Cell {
    arms::named(arm).map_or_else(|| Cell::Name(arm.to_owned()), Cell::word)
}

/// A verdict as people read it.
fn word(verdict: &'static str) -> &'static str {
    match verdict {
        "too_few" => "too few",
        "no_difference" => "no difference",
        _ => verdict,
    }
}

/// A verdict with its reason for people, of a comparison with this arm.
fn because(reason: Because, against: &str) -> Text {
    let between =
        |english, low, high| Text::new(english, [Cell::Amount(low), Cell::Amount(high), Cell::Word(than(against))]);
    match reason {
        Because::TooFew { more_members } => Text::new(
            "Too few to tell: each group needs 100 members and 10 buyers; about {0} more members in all, if they buy as these did.",
            [Cell::Count(i64::try_from(more_members).unwrap_or(i64::MAX))],
        ),
        Because::NoBuyers => {
            "Too few to tell: each group needs 100 members and 10 buyers, and one has no buyers yet.".into()
        }
        Because::Works { low, high } => between(
            "It works: a member brings between {0} and {1} more than {2}. That holds however often one looks.",
            low,
            high,
        ),
        Because::Harms { low, high } => between(
            "It harms: a member brings between {0} and {1} less than {2}. That holds however often one looks.",
            low,
            high,
        ),
        Because::WrongSizes => {
            "Promising, but the groups are not as large as their shares say, by more than chance: find out why before believing it.".into()
        }
        Because::Promising { low, high } => between(
            "Promising: a member brings between {0} and {1} more than {2}, for who looks once. Who looks every day should wait.",
            low,
            high,
        ),
        Because::Worrying { low, high } => between(
            "Worrying: a member brings between {0} and {1} less than {2}, for who looks once. Who looks every day should wait.",
            low,
            high,
        ),
        Because::NoDifference { low, high, detectable } => {
            let values = [Cell::Amount(low), Cell::Amount(high), Cell::Word(than(against)), Cell::Amount(detectable)];
            Text::new(
                "No difference seen: what a member brings more than {2} lies between {0} and {1}. So many members would show a difference of {3} in four of five cases.",
                values,
            )
        }
        Because::Same => "No difference: all members brought the same.".into(),
    }
}

/// A warning for people.
pub fn warned(warning: &str) -> &'static str {
    match warning {
        "sample_ratio" => "Warning: the arms do not have the sizes that they should have; something sorts members.",
        "audience_changed" => {
            "Warning: the campaign's audience became another one on the way; `--from` takes the members since."
        }
        _ => "Warning: a tenth of the members or more were in another campaign's experiment at the same time.",
    }
}

fn is_held_out(arm: &str) -> bool {
    matches!(arm, HOLDOUT | BRAND_HOLDOUT)
}

/// What an arm is compared with, in a sentence.
fn than(against: &str) -> Text {
    match against {
        HOLDOUT => "without it".into(),
        BRAND_HOLDOUT => "without any marketing".into(),
        variant => Text::new("with `{0}`", [Cell::Name(variant.to_owned())]),
    }
}

/// Whose messages divide the members in a run.
fn of<'a>(whose: Whose<'a>, run: &Run, runs: &[Run]) -> Of<'a> {
    match whose {
        Whose::Campaign(campaign) => Of::Campaign(&campaign.name, run.run),
        Whose::Brand(marketing) => {
            let next = runs.iter().find(|other| other.run > run.run);
            let until = next.map_or(i64::MAX, |next| next.started_at);
            Of::Brand { marketing: marketing.to_vec(), from: run.started_at, until }
        }
    }
}

fn size(arm: &effect::Arm) -> Size {
    Size { members: arm.members.unsigned_abs(), buyers: arm.buyers.unsigned_abs() }
}

fn share(arm: &effect::Arm) -> Share {
    Share { count: arm.buyers.unsigned_abs(), members: arm.members.unsigned_abs() }
}

fn shown(arm: effect::Arm, unit: f64) -> Arm {
    Arm {
        members: arm.members,
        buyers: arm.buyers,
        orders: arm.orders,
        revenue: arm.revenue.sum as f64 / unit,
        gift_cost: arm.gifts as f64 / unit,
        message_cost: arm.messages as f64 / MILLIONTHS,
        not_yet: arm.not_yet,
        other_currencies: arm.other_currencies,
        arm: arm.name,
    }
}
