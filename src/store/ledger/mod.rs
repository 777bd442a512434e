//! The ledger's five transitions: `plan`, `dispatch`, `start`, `end` and `hear`. Nothing else writes a message's state.
//! Each is a function over a batch, in the transaction that it is given, and may be said twice: what has moved on
//! already is left alone.
//!
//! | transition | from | to |
//! |---|---|---|
//! | [`plan`] | nothing, `skipped(outside_audience)`, `queued`, `bounced`, `sent`, `uncertain`, `failed` | `planned` |
//! | [`dispatch`] | `planned` | `queued`, or `planned` later |
//! | [`start`] | `queued` | `sending`: queued, with a claim |
//! | [`end`] | `planned`, `queued`, `sending`, `uncertain` | what the attempt, policy or a person made of it |
//! | [`hear`] | `sent`, `delivered`, `bounced`, `uncertain` | `delivered`, `bounced`, `complained`; `uncertain` → `sent` |
//!
//! A message that is not ended has a row in `pending`: while it is planned in the dispatcher's order, while it is queued
//! with the number of its dispatch, and with a claim once a server may have it.

pub mod dispatch;
pub mod end;
pub mod hear;
mod pending;
pub mod plan;
pub mod start;

pub use pending::Dispatch;

/// The statements of all transitions.
pub fn statements() -> Vec<(&'static str, &'static str, &'static str)> {
    [
        ("ledger/plan", plan::STATEMENTS),
        ("ledger/dispatch", dispatch::STATEMENTS),
        ("ledger/start", start::STATEMENTS),
        ("ledger/end", end::STATEMENTS),
        ("ledger/hear", hear::STATEMENTS),
        ("ledger/pending", pending::STATEMENTS),
    ]
    .into_iter()
    .flat_map(|(file, list)| list.iter().map(move |(name, sql)| (file, *name, *sql)))
    .collect()
}
