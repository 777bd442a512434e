//! `welcome`: once for each member, counted from `joined_at`.

use super::{filled, joined};
use crate::document::Table;
use crate::domain::Instant;
use crate::domain::brand::Brand;
use crate::domain::member::Member;
use crate::domain::occasion::{Candidate, Occasion, Query, Rows, Trigger};

#[derive(Debug)]
pub(super) struct Welcome;

pub(super) fn decode(_: &mut Table<'_>) -> Option<Welcome> {
    Some(Welcome)
}

impl Trigger for Welcome {
    fn kind(&self) -> &'static str {
        "welcome"
    }

    fn counts_from(&self, member: &Member) -> String {
        format!("joining, {}", joined(member))
    }

    fn query(&self, rows: Rows, _: &Brand) -> Option<Query> {
        Some(filled(include_str!("welcome.sql"), rows, "m.joined_at", 0))
    }

    fn occasions(&self, candidate: &Candidate, after: Instant, until: Instant, _: &Brand) -> Vec<Occasion> {
        let joined = candidate.member.joined_at.filter(|at| after < *at && *at <= until);
        joined.map(|base| Occasion { key: "joined".to_owned(), base, years: None }).into_iter().collect()
    }
}
