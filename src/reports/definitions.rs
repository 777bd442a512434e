//! What each number of a report is, under the name that it has in the JSON. The docs say the same at more length.

use serde::Serialize;

use super::cltv::Cltv;
use super::cohorts::Cohorts;
use super::effect::{Arm, Effect};
use super::loyalty::Loyalty;
use super::power::Power;
use super::programme::Programme;
use super::rfm::Rfm;
use crate::domain::period::Unit;

/// A report whose numbers are defined.
pub trait Defined: Serialize {
    /// Its numbers, each with what it is.
    const NUMBERS: &'static [(&'static str, &'static str)];

    /// The rows that it was computed from: how many, and of what.
    fn rows(&self) -> Vec<(i64, &'static str)>;
}

/// A number of a report, explained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    pub metric: &'static str,
    pub definition: &'static str,
    pub rows: Vec<Rows>,
    pub values: Vec<Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rows {
    pub count: i64,
    pub of: &'static str,
}

/// A value, and whose it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Value {
    /// Names and places on the way to it: `parts gmail.com`.
    pub of: String,
    pub value: serde_json::Value,
}

/// What a number is and comes to in a report; else the names of all that are known. A column's name does as well as
/// that in the JSON: `not sent` is `not_sent`.
pub fn explain<T: Defined>(report: &T, metric: &str) -> Result<Explained, Vec<&'static str>> {
    let wanted = metric.trim().to_lowercase().replace([' ', '-'], "_");
    let known = T::NUMBERS.iter().find(|(name, _)| *name == wanted);
    let (metric, definition) = known.ok_or_else(|| T::NUMBERS.iter().map(|(name, _)| *name).collect::<Vec<_>>())?;
    let mut values = Vec::new();
    let json = serde_json::to_value(report).unwrap_or_default();
    find(&json, metric, &mut Vec::new(), &mut values);
    let rows = report.rows().into_iter().map(|(count, of)| Rows { count, of }).collect();
    Ok(Explained { metric, definition, rows, values })
}

/// The keys by which a part of a report is told from its neighbours.
const NAMES: &[&str] =
    &["part", "arm", "against", "start", "tenth", "lift", "recency", "frequency", "recency_before", "frequency_before"];

/// Collects what stands under a key anywhere below.
fn find(json: &serde_json::Value, metric: &str, way: &mut Vec<String>, values: &mut Vec<Value>) {
    match json {
        serde_json::Value::Object(fields) => {
            let named = |name: &&str| match fields.get(*name)? {
                serde_json::Value::String(text) if text.is_empty() => None,
                serde_json::Value::String(text) => Some(text.clone()),
                serde_json::Value::Number(number) => Some(format!("{name} {number}")),
                _ => None,
            };
            let own: Vec<String> = NAMES.iter().filter(|name| **name != metric).filter_map(named).collect();
            let before = way.len();
            way.extend(own);
            for (key, field) in fields {
                if key == metric {
                    values.push(Value { of: way.join(" "), value: field.clone() });
                } else {
                    way.push(key.clone());
                    find(field, metric, way, values);
                    way.pop();
                }
            }
            way.truncate(before);
        }
        serde_json::Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                // What has no name has a place.
                let is_named = NAMES.iter().any(|name| item.get(name).is_some());
                if !is_named {
                    way.push((place + 1).to_string());
                }
                find(item, metric, way, values);
                if !is_named {
                    way.pop();
                }
            }
        }
        _ => {}
    }
}

type Numbers = &'static [(&'static str, &'static str)];

const DAY_OF: &str = "counts of days, campaigns, steps, arms, channels, languages and receivers";

impl Defined for Programme {
    const NUMBERS: Numbers = &[
        ("due", "Messages that fell due in the time: waiting + not_sent + uncertain + sent."),
        ("waiting", "Messages that are planned or on their way."),
        ("not_sent", "Messages that ended without being sent; `because` counts the reasons."),
        ("uncertain", "Messages that were handed to a server whose answer was lost."),
        ("sent", "Messages that a server took, on the channel that they took last."),
        (
            "fell_back",
            "Messages that a server had taken on this channel, and that went on to the next one when it failed.",
        ),
        ("delivered", "Messages of which the receiver's side said that they arrived, once a channel."),
        ("bounced", "Messages that came back, for whatever reason, once a channel."),
        ("complained", "Messages that a member reported as spam, once a channel."),
        ("opened", "Messages that a person opened, once a channel; machines are in `prefetched`."),
        (
            "prefetched",
            "Messages of which a machine loaded a picture or followed a link, whether or not a person did as well.",
        ),
        ("clicked", "Messages in which a person followed a link, once a channel."),
        ("unsubscribed", "Messages after which a member said no, by link, mail or word."),
        (
            "credited_orders",
            "Valid orders whose last touch was such a message: it gave the code that was used, or else was clicked last, within the campaign's goal. Not what was caused.",
        ),
        ("credited_revenue", "What the credited orders came to, refunds taken out."),
        ("codes_used", "Credited orders in which the message's gift was used."),
        ("gift_cost", "What the gifts used in credited orders cost, by `coupon.cost`."),
        ("message_cost", "What the sent messages cost, by the settings' `prices`."),
        ("because", "Messages that were not sent, by reason."),
    ];

    fn rows(&self) -> Vec<(i64, &'static str)> {
        vec![(self.counts_read, DAY_OF)]
    }
}

impl Defined for Effect {
    const NUMBERS: Numbers = &[
        ("within_days", "How long after a message was due an order counts, in days."),
        ("without_experiment", "Messages of that time that came without an experiment: in no comparison."),
        (
            "members",
            "Members (or addresses, with `holdout_by: address`) whose first assigned message was due in the time, and whose time to buy is over.",
        ),
        ("buyers", "Those of them with at least one order that counts."),
        (
            "orders",
            "Orders that count: valid today, in the brand's currency, of at least `min_amount`, after the message was due and within the time to buy.",
        ),
        ("revenue", "What these orders came to."),
        ("gift_cost", "What gifts cost whose codes were used in these orders, once for each code."),
        (
            "message_cost",
            "What the messages cost that the arm's members were sent in the time to buy, by the settings' `prices`.",
        ),
        ("not_yet", "Members whose time to buy is not over: in no other number."),
        ("other_currencies", "Valid orders in other currencies: in no other number."),
        (
            "revenue_per_member",
            "The difference of revenue per member between two arms, those who bought nothing included.",
        ),
        ("net_per_member", "The same of revenue less what gifts and messages cost; the verdict is about it."),
        ("buyers_share", "The difference of the shares that bought; Newcombe's interval, p by the pooled z-test."),
        ("difference", "The mean (or share) of the arm less that of the one it is held against."),
        ("se", "The standard error of the difference, with the variance pooled within the arms."),
        ("low", "The lower end of the 95 % interval."),
        ("high", "The upper end of the 95 % interval."),
        ("p", "How probable a difference at least so large is where there is none, two-sided."),
        ("p_holm", "p, corrected for all comparisons of this number in the report (Holm)."),
        ("always_valid", "An interval that may be looked at every day (asymptotic confidence sequence)."),
        (
            "smallest_detectable",
            "How large a true difference must be to be found in four of five experiments of this size.",
        ),
        ("welch", "The same difference by Welch's test, for comparison with other tools."),
        (
            "verdict",
            "works or harms: the always-valid interval of net_per_member lies above or below zero; promising or worrying: only the fixed one does; else no_difference, or too_few below 100 members or 10 buyers in an arm.",
        ),
    ];

    fn rows(&self) -> Vec<(i64, &'static str)> {
        let sum = |of: fn(&Arm) -> i64| self.arms.iter().map(of).sum();
        vec![
            (sum(|arm| arm.members + arm.not_yet), "members that are assigned"),
            (sum(|arm| arm.orders), "orders that count"),
        ]
    }
}

impl Defined for Loyalty {
    const NUMBERS: Numbers = &[
        ("active_within_days", "Who has a valid order in so many days is a customer (`reports.active_within`)."),
        ("members", "Members who are not deleted, of the segment where one was asked for."),
        ("points", "Of the members' accounts, together."),
        ("customers_at_start", "Members with a valid order in the active time up to the beginning."),
        ("customers_at_end", "Members with a valid order in the active time up to the end."),
        ("new_customers", "Customers at the end who were none at the beginning."),
        (
            "retention",
            "(customers_at_end - new_customers) / customers_at_start; null where there were none at the beginning.",
        ),
        ("churn", "1 - retention; null where there were no customers at the beginning."),
        ("buyers", "Members with a valid order in the time."),
        ("repeat_buyers", "Members with at least two valid orders in the time."),
        ("repeat_rate", "repeat_buyers / buyers; null without buyers."),
        ("orders", "Valid orders of the time, in any currency."),
        ("orders_per_buyer", "orders / buyers; null without buyers."),
        ("revenue", "What orders in the brand's currency came to."),
        ("average_order", "revenue / orders in the brand's currency; null without such orders."),
        (
            "days_between_orders",
            "The median over the time's orders of the days since the member's order before, whenever that was; null where none had one before.",
        ),
        ("other_currencies", "Valid orders in other currencies: counted as orders, and in no amount."),
    ];

    fn rows(&self) -> Vec<(i64, &'static str)> {
        // Each period looks at all of them.
        let members = self.parts.iter().map(|kept| kept.members);
        let members = if self.by.parse::<Unit>().is_ok() { members.max().unwrap_or_default() } else { members.sum() };
        vec![(members, "members"), (self.parts.iter().map(|kept| kept.orders).sum(), "valid orders of the time")]
    }
}

impl Defined for Cohorts {
    const NUMBERS: Numbers = &[
        (
            "members",
            "Of a cohort: members whose first valid order was in its period. Of one of its periods: those of them who bought in it.",
        ),
        ("share", "Those who bought in the period / the cohort's members; null for a cohort of nobody."),
        ("revenue", "What they bought for in the period, in the brand's currency."),
    ];

    fn rows(&self) -> Vec<(i64, &'static str)> {
        vec![(self.cohorts.iter().map(|cohort| cohort.members).sum(), "members whose first order was in the time")]
    }
}

impl Defined for Rfm {
    const NUMBERS: Numbers = &[
        ("recency", "The fifth of all members with orders by the date of the last one: 5 is the latest."),
        ("frequency", "The fifth by the number of orders: 5 is the most."),
        ("recency_before", "The recency at `from`; 0: had not bought by then."),
        ("frequency_before", "The frequency at `from`; 0: had not bought by then."),
        ("members", "Members with these scores, or who went from the ones to the others."),
        ("revenue", "What these members spent so far, in the brand's currency."),
    ];

    fn rows(&self) -> Vec<(i64, &'static str)> {
        vec![(self.grid.iter().map(|square| square.members).sum(), "members with orders")]
    }
}

impl Defined for Cltv {
    const NUMBERS: Numbers = &[
        ("discount", "By how much what comes a year later counts less (`reports.discount`)."),
        ("customers", "Members with a valid order."),
        ("alive", "How many of them are expected to buy again: the sum of their alive_probability (BG/NBD)."),
        (
            "expected_revenue",
            "What they are expected to bring in the next 12 months, discounted (BG/NBD and Gamma-Gamma).",
        ),
        ("share", "Of what all are expected to bring."),
        ("least", "What each customer of the tenth is expected to bring at least."),
    ];

    fn rows(&self) -> Vec<(i64, &'static str)> {
        vec![(self.customers, "customers")]
    }
}

impl Defined for Power {
    const NUMBERS: Numbers = &[
        (
            "within_days",
            "How long after a message orders count, in days: over as long a time before `at` spending is looked at.",
        ),
        ("holdout", "The share that gets nothing."),
        (
            "members",
            "Of the report: members in the audience now. Of a lift: how many it takes in all arms to find it in four of five experiments, two-sided at 5 %.",
        ),
        ("buyers", "Members of the audience who bought in that time."),
        ("revenue_per_member", "What a member of the audience spent in that time, those who bought nothing included."),
        ("deviation", "The standard deviation of what a member spent."),
        ("coming", "How many messages the campaign's plan has for the next 28 days."),
        ("difference", "The lift in money a member."),
        ("weeks", "Until so many members have come, at the pace of the next 28 days."),
    ];

    fn rows(&self) -> Vec<(i64, &'static str)> {
        vec![(i64::try_from(self.members).unwrap_or(i64::MAX), "members of the audience")]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::Instant;
    use crate::domain::experiment::verdict::Because;
    use crate::domain::rfm::Cuts;
    use crate::reports::cltv::Tenth;
    use crate::reports::cohorts::{Cohort, CohortPeriod};
    use crate::reports::effect::{Comparison, Ends, Mean, Part, Test};
    use crate::reports::loyalty::Kept;
    use crate::reports::power::Wanted;
    use crate::reports::programme::{By, Funnel};
    use crate::reports::rfm::{Move, Square};

    #[derive(Serialize)]
    struct Line {
        part: &'static str,
        sent: i64,
        because: std::collections::BTreeMap<&'static str, i64>,
    }

    #[derive(Serialize)]
    struct Report {
        from: &'static str,
        parts: Vec<Line>,
        total: Line,
    }

    impl Defined for Report {
        const NUMBERS: &'static [(&'static str, &'static str)] = &[("sent", "went out"), ("because", "why not")];
        fn rows(&self) -> Vec<(i64, &'static str)> {
            vec![(7, "counts")]
        }
    }

    #[test]
    fn a_number_is_found_wherever_it_stands() {
        let part = |part, sent| Line { part, sent, because: [("held_out", 2)].into() };
        let report = Report { from: "2026-01-01", parts: vec![part("a", 1), part("b", 2)], total: part("", 3) };
        let explained = explain(&report, "Sent").unwrap();
        let values: Vec<(&str, i64)> =
            explained.values.iter().map(|value| (value.of.as_str(), value.value.as_i64().unwrap())).collect();
        assert_eq!(values, [("parts a", 1), ("parts b", 2), ("total", 3)]);
        assert_eq!(explained.rows, [Rows { count: 7, of: "counts" }]);
        assert_eq!(explained.definition, "went out");
        assert_eq!(explain(&report, "because").unwrap().values[2].value["held_out"], 2);
        assert_eq!(explain(&report, "part"), Err(vec!["sent", "because"]));
    }

    /// All keys of a report but those that name it and its parts.
    fn keys(json: &serde_json::Value, found: &mut BTreeSet<String>) {
        match json {
            serde_json::Value::Object(fields) => {
                for (key, field) in fields {
                    found.insert(key.clone());
                    if !matches!(key.as_str(), "because" | "reason" | "cuts") {
                        keys(field, found);
                    }
                }
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
            _ => {}
        }
    }

    /// What says of whom, when and how a report is.
    const STRUCTURE: &[&str] = &[
        "from",
        "to",
        "at",
        "by",
        "currency",
        "parts",
        "part",
        "total",
        "counts_read",
        "campaign",
        "arm",
        "arms",
        "against",
        "comparisons",
        "run",
        "other_runs",
        "warnings",
        "because",
        "reason",
        "start",
        "cohorts",
        "periods",
        "grid",
        "moves",
        "cuts",
        "fitted_at",
        "tenths",
        "tenth",
        "wanted",
        "lift",
    ];

    fn check<T: Defined>(report: &T) {
        let mut found = BTreeSet::new();
        keys(&serde_json::to_value(report).unwrap(), &mut found);
        let defined: BTreeSet<String> = T::NUMBERS.iter().map(|(name, _)| (*name).to_owned()).collect();
        let numbers: BTreeSet<String> =
            found.iter().filter(|key| !STRUCTURE.contains(&key.as_str()) || defined.contains(*key)).cloned().collect();
        assert_eq!(numbers, defined, "left: what the report has; right: what is defined");
    }

    #[test]
    fn every_number_of_every_report_is_defined() {
        let (day, at) = (chrono::NaiveDate::default(), Instant::UNIX_EPOCH);
        let currency = String::new;
        let parts = vec![Funnel::default()];
        let total = Funnel::default();
        check(&Programme { from: day, to: day, by: By::Campaign, currency: currency(), parts, total, counts_read: 0 });
        let mean = || {
            let ends = Ends { low: 0.0, high: 0.0 };
            let welch = Test { se: 0.0, low: 0.0, high: 0.0, p: 0.0 };
            Mean {
                difference: None,
                se: None,
                low: None,
                high: None,
                p: None,
                p_holm: None,
                always_valid: Some(ends),
                smallest_detectable: None,
                welch: Some(welch),
            }
        };
        check(&Effect {
            campaign: None,
            from: None,
            to: at,
            at,
            within_days: 0.0,
            currency: currency(),
            run: None,
            other_runs: Vec::new(),
            without_experiment: 0,
            arms: vec![Arm::default()],
            comparisons: vec![Comparison {
                arm: String::new(),
                against: String::new(),
                revenue_per_member: mean(),
                net_per_member: mean(),
                buyers_share: Part { difference: None, low: None, high: None, p: None, p_holm: None },
                verdict: "",
                because: String::new(),
                reason: Because::NoBuyers,
            }],
            warnings: Vec::new(),
        });
        let parts = vec![Kept::default()];
        let (from, to) = (at, at);
        check(&Loyalty { from, to, active_within_days: 0.0, currency: currency(), by: String::new(), parts });
        let cohort = Cohort { start: day, members: 0, periods: vec![CohortPeriod::default()] };
        check(&Cohorts { from, to, currency: currency(), cohorts: vec![cohort] });
        let (recency, frequency, members) = (0, 0, 0);
        check(&Rfm {
            from,
            at,
            fitted_at: at,
            cuts: Cuts { recency: [0; 4], frequency: [0; 4], monetary: [0; 4] },
            currency: currency(),
            grid: vec![Square { recency, frequency, members, revenue: 0.0 }],
            moves: vec![Move { recency_before: 0, frequency_before: 0, recency, frequency, members }],
        });
        let tenth = Tenth { tenth: 1, customers: 0, expected_revenue: 0.0, share: None, least: 0.0 };
        let tenths = vec![tenth];
        check(&Cltv {
            at,
            currency: currency(),
            discount: 0.0,
            customers: 0,
            alive: 0.0,
            expected_revenue: None,
            tenths,
        });
        let wanted = Wanted { lift: 0.1, difference: None, members: None, weeks: None };
        check(&Power {
            campaign: String::new(),
            at,
            within_days: 0.0,
            currency: currency(),
            holdout: 0.1,
            members: 0,
            buyers: 0,
            revenue_per_member: None,
            deviation: None,
            coming: 0,
            wanted: vec![wanted],
        });
    }
}
