//! `at_risk`: nothing bought for a while since an order, or, with `never_bought`, since joining. The
//! while is one length for all, a multiple of the member's own rhythm, or the time after which the
//! fitted model thinks that the member has left.

use std::sync::Arc;

use chrono::Duration;
use serde::Serialize;

use super::{filled, joined};
use crate::document::{Table, Value};
use crate::domain::Instant;
use crate::domain::brand::Brand;
use crate::domain::duration;
use crate::domain::history::History;
use crate::domain::lifetime::Lifetimes;
use crate::domain::member::Member;
use crate::domain::occasion::{Bind, Candidate, Features, Occasion, Query, Rows, Trigger};

#[derive(Debug, Clone)]
pub(super) enum AtRisk {
    After(Duration),
    /// For members without any order, counted from `joined_at`.
    NeverBought(Duration),
    Rhythm(Rhythm),
    Probability(Probability),
}

/// So many times the median time between the member's visits.
#[derive(Debug, Clone)]
pub(super) struct Rhythm {
    times: f64,
    bounds: Bounds,
    /// For members with fewer than three visits; `None`: nothing.
    fallback: Option<Duration>,
}

/// Until the probability that the member is still a customer falls so low.
#[derive(Debug, Clone)]
pub(super) struct Probability {
    below: f64,
    bounds: Bounds,
    /// For members with one visit, and while no model is fitted; `None`: nothing.
    fallback: Option<Duration>,
    lifetimes: Option<Arc<Lifetimes>>,
}

/// The shortest and the longest lag, in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    floor: i64,
    ceiling: i64,
}

const DAY_MS: i64 = 86_400_000;

/// Beyond a century gaps stand in one row, not in one a day.
const LONGEST_GAP_DAYS: i64 = 36_525;

pub(super) fn decode(table: &mut Table<'_>) -> Option<AtRisk> {
    let ways = ["after", "rhythm", "probability"].map(|key| (key, table.get(key)));
    let never_bought_value = table.get("never_bought");
    let never_bought = never_bought_value.map_or(Some(false), |value| value.boolean());
    let fallback_value = table.get("fallback");
    let fallback = fallback_value.map_or(Some(None), decode_fallback);
    let mut written = ways.into_iter().filter_map(|(key, value)| Some((key, value?)));
    let Some((way, value)) = written.next() else {
        table.value().problem("one of `after`, `rhythm` and `probability` is missing; write `after: 60d`, for example");
        return None;
    };
    if let Some((other, value)) = written.next() {
        value.problem(format!("`{other}` stands beside `{way}`; write one of `after`, `rhythm` and `probability`"));
        return None;
    }
    if way == "after" {
        if let Some(value) = fallback_value {
            value.problem("`fallback` goes with `rhythm` or `probability`; `after` holds for everybody");
        }
        let after = decode_lag(value);
        return Some(if never_bought? { AtRisk::NeverBought(after?) } else { AtRisk::After(after?) });
    }
    if let Some(value) = never_bought_value.filter(|_| never_bought != Some(false)) {
        value.problem(format!("`never_bought` goes with `after`: who never bought has no `{way}`"));
    }
    let mut inner = value.table()?;
    let trigger = if way == "rhythm" {
        let times = inner.require("times").and_then(|value| {
            decode_number(value, |times| times > 0.0 && times <= 1_000.0, "a number above 0, up to 1000, such as 2.5")
        });
        let bounds = decode_bounds(&mut inner, Duration::days(14));
        times
            .zip(bounds)
            .zip(fallback)
            .map(|((times, bounds), fallback)| AtRisk::Rhythm(Rhythm { times, bounds, fallback }))
    } else {
        let below = inner.require("below").and_then(|value| {
            decode_number(value, |below| below > 0.0 && below < 1.0, "a probability between 0 and 1, such as 0.5")
        });
        let bounds = decode_bounds(&mut inner, Duration::days(1));
        below.zip(bounds).zip(fallback).map(|((below, bounds), fallback)| {
            AtRisk::Probability(Probability { below, bounds, fallback, lifetimes: None })
        })
    };
    inner.finish();
    trigger
}

fn decode_lag(value: Value<'_>) -> Option<Duration> {
    let lag = value.parse(duration::parse)?;
    if lag < Duration::hours(1) {
        value.problem("nobody is at risk so soon; write at least 1h, such as 60d");
        return None;
    }
    Some(lag)
}

fn decode_fallback(value: Value<'_>) -> Option<Option<Duration>> {
    if value.text()? == "none" { Some(None) } else { decode_lag(value).map(Some) }
}

fn decode_number(value: Value<'_>, is_valid: fn(f64) -> bool, expected: &str) -> Option<f64> {
    value.parse(|text| {
        let number = crate::domain::text::ascii_digits(text.trim()).parse().ok().filter(|number| is_valid(*number));
        number.ok_or_else(|| format!("`{text}` cannot stand here; write {expected}"))
    })
}

fn decode_bounds(table: &mut Table<'_>, floor: Duration) -> Option<Bounds> {
    let floor = table.get_or("floor", floor, |value| value.parse(duration::parse));
    let ceiling_value = table.get("ceiling");
    let ceiling = ceiling_value.map_or(Some(Duration::days(365)), |value| value.parse(duration::parse));
    let (floor, ceiling) = (floor?, ceiling?);
    if floor > ceiling {
        let place = ceiling_value.unwrap_or(table.value());
        let (floor, ceiling) = (duration::display(floor), duration::display(ceiling));
        place.problem(format!("the ceiling of {ceiling} is below the floor of {floor}"));
        return None;
    }
    Some(Bounds { floor: floor.num_milliseconds(), ceiling: ceiling.num_milliseconds() })
}

impl Bounds {
    fn clamp(self, millis: f64) -> i64 {
        (millis.floor() as i64).clamp(self.floor, self.ceiling)
    }
}

impl Rhythm {
    fn of_gap(&self, gap: i64) -> i64 {
        self.bounds.clamp(self.times * gap as f64)
    }

    /// The SQL for orders whose lag may end in (after, until]: one row for each length of gap in days
    /// for which the lag lies between the bounds, and one each for the rest.
    fn query(&self, after: i64, until: i64) -> Query {
        #[derive(Serialize)]
        struct Span {
            least_gap: i64,
            most_gap: i64,
            low: i64,
            high: i64,
            lag: i64,
        }
        let span = |least_gap: i64, most_gap: i64| {
            let (least, most) = (self.of_gap(least_gap), self.of_gap(most_gap));
            Span { least_gap, most_gap, low: after - most, high: until - least, lag: least }
        };
        let days = |millis: i64| ((millis as f64 / self.times / DAY_MS as f64) as i64).min(LONGEST_GAP_DAYS);
        let (first, last) = (days(self.bounds.floor), days(self.bounds.ceiling));
        let narrow: Vec<Span> = (first..=last).map(|day| span(day * DAY_MS, (day + 1) * DAY_MS - 1)).collect();
        let mut wide = vec![span((last + 1) * DAY_MS, i64::MAX)];
        if first > 0 {
            wide.push(span(0, first * DAY_MS - 1));
        }
        if let Some(lag) = self.fallback.map(|lag| lag.num_milliseconds()) {
            wide.push(Span { least_gap: -1, most_gap: -1, low: after - lag, high: until - lag, lag });
        }
        Query { sql: include_str!("at_risk_rhythm.sql").to_owned(), binds: vec![rows(&narrow), rows(&wide)] }
    }
}

impl Probability {
    fn of_history(&self, lifetimes: &Lifetimes, visits: i64, tenure_days: i64) -> Option<i64> {
        let weeks = lifetimes.model.weeks_until(self.below, visits - 1, tenure_days as f64 / 7.0);
        let lag = weeks.map(|weeks| self.bounds.clamp(weeks * 7.0 * DAY_MS as f64));
        lag.or_else(|| self.fallback.map(|lag| lag.num_milliseconds()))
    }

    /// The SQL for orders whose lag ends in (after, until]: one row for each history that there is.
    fn query(&self, lifetimes: &Lifetimes, after: i64, until: i64) -> Query {
        #[derive(Serialize)]
        struct Span {
            visits: i64,
            tenure_days: i64,
            low: i64,
            high: i64,
            lag: i64,
        }
        let span = |(visits, tenure_days): &(i64, i64)| {
            let lag = self.of_history(lifetimes, *visits, *tenure_days)?;
            Some(Span { visits: *visits, tenure_days: *tenure_days, low: after - lag, high: until - lag, lag })
        };
        let spans: Vec<Span> = lifetimes.histories.iter().filter_map(span).collect();
        Query { sql: include_str!("at_risk_probability.sql").to_owned(), binds: vec![rows(&spans)] }
    }
}

/// Rows for a mark of the SQL; numbers always have a JSON form.
fn rows<T: Serialize>(rows: &[T]) -> Bind {
    Bind::Text(serde_json::to_string(rows).unwrap_or_default())
}

impl AtRisk {
    /// How long after an order with this history it counts as the last one.
    fn lag(&self, history: &History) -> Option<Duration> {
        match self {
            Self::After(after) => Some(*after),
            Self::NeverBought(_) => None,
            Self::Rhythm(rhythm) => {
                let lag = history.gap_ms.map(|gap| Duration::milliseconds(rhythm.of_gap(gap)));
                lag.or(rhythm.fallback)
            }
            Self::Probability(probability) => match &probability.lifetimes {
                Some(lifetimes) => {
                    probability.of_history(lifetimes, history.visits, history.tenure_days).map(Duration::milliseconds)
                }
                None => probability.fallback,
            },
        }
    }

    /// The SQL for orders that had no later one for `lag`.
    fn after(rows: Rows, lag: i64) -> Query {
        let mut query = filled(include_str!("at_risk.sql"), rows, "p.purchased_at", lag);
        query.binds.push(Bind::Integer(lag));
        query
    }
}

impl Trigger for AtRisk {
    fn kind(&self) -> &'static str {
        "at_risk"
    }

    fn counts_from(&self, member: &Member) -> String {
        let days = |span: &Duration| duration::display(*span);
        match self {
            Self::After(after) => format!("an order with no later one for {}", days(after)),
            Self::NeverBought(after) => format!("joining, {}, with no order for {}", joined(member), days(after)),
            Self::Rhythm(Rhythm { times, .. }) => {
                format!("an order with no later one for {times} times the usual time between visits")
            }
            Self::Probability(Probability { below, .. }) => {
                format!("an order after which the probability of another falls below {below}")
            }
        }
    }

    fn query(&self, rows: Rows, _: &Brand) -> Option<Query> {
        let base = match rows {
            Rows::Base { after, until } => Some((after.timestamp_millis(), until.timestamp_millis())),
            _ => None,
        };
        Some(match (self, base) {
            (Self::NeverBought(after), _) => {
                let after = after.num_milliseconds();
                let mut query = filled(include_str!("at_risk_never_bought.sql"), rows, "m.joined_at", after);
                query.binds.push(Bind::Integer(after));
                query
            }
            (Self::After(after), _) => Self::after(rows, after.num_milliseconds()),
            (Self::Rhythm(rhythm), Some((after, until))) => rhythm.query(after, until),
            (Self::Probability(Probability { lifetimes: None, fallback, .. }), _) => {
                Self::after(rows, (*fallback)?.num_milliseconds())
            }
            (Self::Probability(probability), Some((after, until))) => {
                probability.query(probability.lifetimes.as_deref()?, after, until)
            }
            // Few orders: the exact lag of each is computed from its history.
            _ => Self::after(rows, 0),
        })
    }

    fn occasions(&self, candidate: &Candidate, after: Instant, until: Instant, _: &Brand) -> Vec<Occasion> {
        let found = match (self, &candidate.order, &candidate.history) {
            (Self::NeverBought(lag), ..) => candidate.member.joined_at.map(|at| ("joined".to_owned(), at + *lag)),
            (_, Some(order), Some(history)) => self
                .lag(history)
                .map(|lag| order.purchased_at + lag)
                .filter(|base| history.next_at.is_none_or(|next| next > *base))
                .map(|base| (order.order_id.clone(), base)),
            _ => None,
        };
        let found = found.filter(|(_, base)| after < *base && *base <= until);
        found.map(|(key, base)| Occasion { key, base, years: None }).into_iter().collect()
    }

    fn features(&self) -> Features {
        let needs_lifetimes = matches!(self, Self::Probability(_));
        Features { ends_with_any_purchase: true, needs_lifetimes, ..Features::default() }
    }

    fn with_lifetimes(&self, lifetimes: Lifetimes) -> Option<Arc<dyn Trigger>> {
        let Self::Probability(probability) = self else { return None };
        Some(Arc::new(Self::Probability(Probability { lifetimes: Some(Arc::new(lifetimes)), ..probability.clone() })))
    }
}

#[cfg(test)]
mod tests {
    use super::super::ALL;
    use super::*;
    use crate::domain::campaign::Campaign;
    use crate::domain::instant;
    use crate::domain::lifetime::BgNbd;
    use crate::domain::member::samples::{brand, member};
    use crate::domain::purchase::{OrderStatus, Purchase};

    fn parse(trigger: &str) -> Result<Campaign, String> {
        let text = format!("name: c\nchannels: [sms]\ncontent: c\ntrigger: {{ kind: at_risk, {trigger} }}\n");
        Campaign::parse("c.yaml", &text, &brand(), ALL).map_err(|problems| problems.to_string())
    }

    #[test]
    fn one_way_is_chosen_and_its_numbers_make_sense() {
        let check = |trigger: &str, expected: &str| assert_eq!(parse(trigger).err().unwrap_or_default(), expected);
        let ways = "write one of `after`, `rhythm` and `probability`";
        check(
            "fallback: 60d",
            "c.yaml:4:10: one of `after`, `rhythm` and `probability` is missing; write `after: 60d`, for example",
        );
        check("after: 60d, rhythm: { times: 2 }", &format!("c.yaml:4:47: `rhythm` stands beside `after`; {ways}"));
        check(
            "rhythm: { times: 2 }, probability: { below: 0.5 }",
            &format!("c.yaml:4:62: `probability` stands beside `rhythm`; {ways}"),
        );
        check(
            "after: 60d, fallback: none",
            "c.yaml:4:49: `fallback` goes with `rhythm` or `probability`; `after` holds for everybody",
        );
        check("after: 10m", "c.yaml:4:34: nobody is at risk so soon; write at least 1h, such as 60d");
        check(
            "rhythm: { times: 2 }, fallback: 10m",
            "c.yaml:4:59: nobody is at risk so soon; write at least 1h, such as 60d",
        );
        check(
            "rhythm: { times: 2 }, fallback: never",
            "c.yaml:4:59: `never` is not a length of time; write a whole number and a unit: 90s, 30m, 12h, 60d, 2w",
        );
        check(
            "rhythm: { times: 2 }, never_bought: true",
            "c.yaml:4:63: `never_bought` goes with `after`: who never bought has no `rhythm`",
        );
        check("rhythm: { floor: 10d }", "c.yaml:4:35: `times` is missing");
        check(
            "rhythm: { times: 0 }",
            "c.yaml:4:44: `0` cannot stand here; write a number above 0, up to 1000, such as 2.5",
        );
        check(
            "probability: { below: 50% }",
            "c.yaml:4:49: `50%` cannot stand here; write a probability between 0 and 1, such as 0.5",
        );
        check(
            "probability: { below: 1 }",
            "c.yaml:4:49: `1` cannot stand here; write a probability between 0 and 1, such as 0.5",
        );
        check(
            "rhythm: { times: 2, floor: 60d, ceiling: 30d }",
            "c.yaml:4:68: the ceiling of 30d is below the floor of 60d",
        );
        check(
            "probability: { below: 0.5, floor: 400d }",
            "c.yaml:4:40: the ceiling of 365d is below the floor of 400d",
        );
        check(
            "rhythm: { times: 2, below: 0.5 }",
            "c.yaml:4:47: unknown key `below`; valid here: `times`, `floor`, `ceiling`",
        );
        for right in [
            "after: 1h, never_bought: true",
            "rhythm: { times: 2.5, floor: 30d, ceiling: 365d }, fallback: 60d",
            "rhythm: { times: 3 }, never_bought: false",
            "probability: { below: 0.5, floor: 14d, ceiling: 365d }, fallback: none",
        ] {
            check(right, "");
        }
    }

    /// The days from the order to the occasion, for an order with this history.
    fn lag(trigger: &str, model: bool, (visits, tenure_days, gap_days): (i64, i64, Option<f64>)) -> Option<f64> {
        let campaign = parse(trigger).unwrap();
        let cdnow = BgNbd { r: 0.243, alpha: 4.414, a: 0.793, b: 2.426 };
        let informed = campaign.trigger.with_lifetimes(Lifetimes { model: cdnow, histories: Vec::new() });
        let trigger = informed.filter(|_| model).unwrap_or(campaign.trigger);
        let gap_ms = gap_days.map(|days| (days * DAY_MS as f64) as i64);
        let purchased_at = instant(1_700_000_000_000);
        let order = Purchase {
            id: 1,
            member_id: 1,
            order_id: "o".to_owned(),
            purchased_at,
            amount: 1,
            currency: "IRR".to_owned(),
            status: OrderStatus::Paid,
            delivered_at: None,
            items: None,
        };
        let history = Some(History { visits, tenure_days, gap_ms, next_at: None });
        let candidate = Candidate { member: member(), order: Some(order), history, ordinal: 0 };
        let found = trigger.occasions(&candidate, Instant::MIN_UTC, Instant::MAX_UTC, &brand());
        Some((found.first()?.base - purchased_at).num_milliseconds() as f64 / DAY_MS as f64)
    }

    #[test]
    fn each_history_has_its_lag() {
        const REGULAR: (i64, i64, Option<f64>) = (5, 80, Some(20.0));
        for (trigger, model, history, wanted) in [
            ("after: 60d", false, REGULAR, Some(60.0)),
            ("rhythm: { times: 2.5 }", false, REGULAR, Some(50.0)),
            ("rhythm: { times: 2.5, floor: 60d }", false, REGULAR, Some(60.0)),
            ("rhythm: { times: 2.5, ceiling: 30d }", false, REGULAR, Some(30.0)),
            ("rhythm: { times: 2 }", false, (3, 5, Some(1.25)), Some(14.0)),
            ("rhythm: { times: 2 }", false, (3, 800, Some(400.0)), Some(365.0)),
            ("rhythm: { times: 2 }", false, (2, 5, None), None),
            ("rhythm: { times: 2 }, fallback: 45d", false, (2, 5, None), Some(45.0)),
            ("probability: { below: 0.5 }", true, (1, 0, None), None),
            ("probability: { below: 0.5 }, fallback: 45d", true, (1, 0, None), Some(45.0)),
            ("probability: { below: 0.5 }", false, REGULAR, None),
            ("probability: { below: 0.5 }, fallback: 45d", false, REGULAR, Some(45.0)),
            // Right after the second purchase the probability is 0.754 already.
            ("probability: { below: 0.9 }", true, (2, 70, None), Some(1.0)),
            ("probability: { below: 0.001 }", true, (2, 70, None), Some(365.0)),
        ] {
            assert_eq!(lag(trigger, model, history), wanted, "{trigger} {history:?}");
        }
        // (2.426 / 0.793)^(1 / 1.243) × (4.414 + 10) weeks, less (4.414 + 10) weeks.
        let found = lag("probability: { below: 0.5 }", true, (2, 70, None)).unwrap();
        let wanted = ((2.426_f64 / 0.793).powf(1.0 / 1.243) - 1.0) * 14.414 * 7.0;
        assert!((found - wanted).abs() < 1e-6, "{found}, not {wanted}");
    }
}
