//! `consents.csv`: `external_id,channel,given,at,source,evidence`, a line of the log each.

use super::members::{moment, parse_flag};
use super::{Cells, Columns, Rows};
use crate::domain::Instant;
use crate::domain::brand::Brand;
use crate::domain::cell::parse_key;
use crate::domain::message::Channel;
use crate::domain::text::tidy;
use crate::store::consents::{self, Consent};
use crate::store::erasure::{self, Named};
use crate::store::members::{self, Upserted};
use crate::store::{Store, StoreError};

pub(super) struct Consents<'a> {
    pub store: &'a Store,
    pub brand: &'a Brand,
    pub now: Instant,
}

/// A line whose member is not looked up yet.
#[derive(Clone)]
pub(super) struct Said {
    member: String,
    /// What makes it the same line.
    identity: String,
    line: Consent,
}

impl Rows for Consents<'_> {
    type Row = Said;
    const REQUIRED: &'static [&'static str] = &["external_id", "channel", "given", "at", "source"];
    const OPTIONAL: &'static [&'static str] = &["evidence"];
    const KEYS: &'static [&'static str] = &["external_id"];
    const TEXTS: &'static [&'static str] = &["evidence"];

    fn decode(&self, cells: &Cells<'_>) -> Option<Said> {
        let member = cells.require("external_id", parse_key);
        let channel = cells.require("channel", |cell| cell.to_ascii_lowercase().parse::<Channel>());
        let given = cells.require("given", parse_flag);
        let at = cells.require("at", |cell| moment(cell, self.brand, self.now));
        let at = at.filter(|at| {
            *at <= self.now || {
                cells.problem("at", "it is in the future; a consent that was not said yet is none");
                false
            }
        });
        let source = cells.require("source", |cell| Ok(tidy(cell)));
        let line = Consent {
            member_id: 0,
            channel: channel?.to_string(),
            at: at?.timestamp_millis(),
            given: given?,
            source: source?,
            evidence: cells.get("evidence").map(tidy),
        };
        let member = member?;
        let identity = format!("{member} {} {} {} {}", line.channel, line.at, line.given, line.source);
        Some(Said { member, identity, line })
    }

    fn key(row: &Said) -> &str {
        &row.identity
    }

    async fn write(&self, rows: Vec<Said>, _: &Columns) -> Result<(Upserted, Vec<(usize, String)>), StoreError> {
        let mut tx = self.store.begin().await?;
        let known = members::keys(&mut tx, rows.iter().map(|row| row.member.clone()).collect()).await?;
        let named: Vec<_> = rows.iter().map(|row| vec![Named::Id(&row.member)]).collect();
        let is_erased = erasure::erased(&mut tx, &named).await?;
        let erased = is_erased.iter().filter(|erased| **erased).count() as u64;
        let (mut lines, mut bad) = (Vec::new(), Vec::new());
        for (index, row) in rows.into_iter().enumerate().filter(|(index, _)| !is_erased[*index]) {
            match known.get(&row.member) {
                Some(id) => lines.push(Consent { member_id: *id, ..row.line }),
                None => bad.push((index, format!("there is no member `{}`; import members first", row.member))),
            }
        }
        let inserted = consents::add(&mut tx, &lines).await?;
        tx.commit().await?;
        Ok((Upserted { inserted, updated: 0, erased }, bad))
    }
}
