//! `at_risk`: nothing bought for a while since an order, or, with `never_bought`, since joining.

use chrono::Duration;

use super::filled;
use crate::document::Table;
use crate::domain::Instant;
use crate::domain::duration;
use crate::domain::member::Brand;
use crate::domain::occasion::{Bind, Candidate, Occasion, Query, Rows, Trigger};

#[derive(Debug)]
pub(super) struct AtRisk {
    after: Duration,
    /// For members without any order, counted from `joined_at`.
    never_bought: bool,
}

pub(super) fn decode(table: &mut Table<'_>) -> Option<AtRisk> {
    table.not_yet(&["rhythm", "probability", "fallback"]);
    let after = table.require("after").and_then(|value| {
        let after = value.parse(duration::parse)?;
        if after < Duration::hours(1) {
            value.problem("nobody is at risk so soon; write at least 1h, such as 60d");
            return None;
        }
        Some(after)
    });
    let never_bought = table.get_or("never_bought", false, |value| value.boolean());
    Some(AtRisk { after: after?, never_bought: never_bought? })
}

impl Trigger for AtRisk {
    fn kind(&self) -> &'static str {
        "at_risk"
    }

    fn query(&self, rows: Rows, _: &Brand) -> Option<Query> {
        let after = self.after.num_milliseconds();
        let mut query = if self.never_bought {
            filled(include_str!("at_risk_never_bought.sql"), rows, "m.joined_at", after)
        } else {
            filled(include_str!("at_risk.sql"), rows, "p.purchased_at", after)
        };
        query.binds.push(Bind::Integer(after));
        Some(query)
    }

    fn occasions(&self, candidate: &Candidate, after: Instant, until: Instant, _: &Brand) -> Vec<Occasion> {
        let (key, since) = match (&candidate.order, candidate.member.joined_at) {
            (Some(order), _) => (order.order_id.clone(), order.purchased_at),
            (None, Some(joined)) if self.never_bought => ("joined".to_owned(), joined),
            _ => return Vec::new(),
        };
        let base = since + self.after;
        (after < base && base <= until).then_some(Occasion { key, base, years: None }).into_iter().collect()
    }

    fn ends_with_any_purchase(&self) -> bool {
        true
    }
}
