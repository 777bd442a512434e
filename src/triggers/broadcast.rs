//! `broadcast`: once for everybody, at an instant, or at a date and time of each member's clock.

use chrono::NaiveDateTime;

use super::{filled, filled_zones};
use crate::document::Table;
use crate::domain::Instant;
use crate::domain::brand::Brand;
use crate::domain::calendar::{local_instant, parse_instant, parse_local};
use crate::domain::member::Member;
use crate::domain::occasion::{Candidate, Features, Occasion, Query, Rows, Trigger};

#[derive(Debug)]
pub(super) struct Broadcast {
    at: At,
}

#[derive(Debug)]
enum At {
    Instant(Instant),
    /// On the member's clock.
    Local(NaiveDateTime),
}

pub(super) fn decode(table: &mut Table<'_>, brand: &Brand) -> Option<Broadcast> {
    let at = table.require("at")?.parse(|text| match parse_local(text) {
        Ok(local) => Ok(At::Local(local)),
        Err(_) => parse_instant(text, brand.timezone).map(At::Instant),
    });
    Some(Broadcast { at: at? })
}

impl Broadcast {
    fn base(&self, zone: chrono_tz::Tz) -> Instant {
        match self.at {
            At::Instant(at) => at,
            At::Local(local) => local_instant(zone, local),
        }
    }
}

impl Trigger for Broadcast {
    fn kind(&self) -> &'static str {
        "broadcast"
    }

    fn counts_from(&self, _: &Member) -> String {
        match self.at {
            At::Instant(at) => format!("{}", at.format("%Y-%m-%d %H:%M UTC")),
            At::Local(local) => format!("{} on the member's clock", local.format("%Y-%m-%d %H:%M")),
        }
    }

    fn query(&self, rows: Rows, brand: &Brand) -> Option<Query> {
        let sql = include_str!("broadcast.sql");
        let Rows::Base { after, until } = rows else { return Some(filled(sql, rows, "", 0)) };
        filled_zones(sql, brand, |zone| {
            let base = self.base(zone);
            after < base && base <= until
        })
    }

    fn occasions(&self, candidate: &Candidate, after: Instant, until: Instant, brand: &Brand) -> Vec<Occasion> {
        let base = self.base(candidate.member.zone(brand));
        let occasion = Occasion { key: "broadcast".to_owned(), base, years: None };
        (after < base && base <= until).then_some(occasion).into_iter().collect()
    }

    fn features(&self) -> Features {
        Features { is_for_everybody: true, ..Features::default() }
    }
}
