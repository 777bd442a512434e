//! Dates of members from which their occasions count, beside birth and joining: kept by imports, with
//! the keys by which a day's members are found.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use serde::Serialize;

use super::{Ids, Result, Rows, Tx, execute, query, statements};
use crate::domain::calendar::{Calendar, in_calendar};
use crate::domain::instant;

statements! {
    SET = "INSERT INTO member_dates (member_id, name, date, gregorian, persian) \
        SELECT r.member_id, r.name, r.date, r.gregorian, r.persian \
        FROM {rows $1: member_id BIGINT, name TEXT, date TEXT, gregorian BIGINT, persian BIGINT} WHERE TRUE \
        ON CONFLICT (member_id, name) DO UPDATE SET date = excluded.date, gregorian = excluded.gregorian, \
        persian = excluded.persian WHERE member_dates.date <> excluded.date";
    // By the members' key alone: an index by name would lead through the dates of all members.
    CLEAR = "DELETE FROM member_dates WHERE member_id {in $1} AND {bytes name} = $2";
    FIRST_PURCHASES = "SELECT member_id, MIN(purchased_at) FROM purchases \
        WHERE member_id {in $1} AND status = 'paid' GROUP BY member_id";
}

/// The name of the date of a member's first valid order.
pub const FIRST_PURCHASE: &str = "first_purchase";

#[derive(Debug, Serialize)]
struct Row {
    member_id: i64,
    name: String,
    date: String,
    gregorian: i64,
    persian: i64,
}

/// Keeps the dates of the first valid orders of members whose orders changed.
pub(super) async fn keep_first_purchases(tx: &mut Tx, members: &[i64]) -> Result<()> {
    let found = query!(fetch_all, (i64, i64), tx, FIRST_PURCHASES, Ids(members.to_vec()))?;
    let first: HashMap<i64, i64> = found.into_iter().collect();
    let date = |member: &i64| first.get(member).map(|at| instant(*at).date_naive());
    keep(tx, members.iter().map(|member| (*member, FIRST_PURCHASE.to_owned(), date(member))).collect()).await
}

/// Sets dates, and removes those that are no longer one.
pub(super) async fn keep(tx: &mut Tx, dates: Vec<(i64, String, Option<NaiveDate>)>) -> Result<()> {
    let mut set = Vec::new();
    let mut clear: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (member_id, name, date) in dates {
        let Some(date) = date else {
            clear.entry(name).or_default().push(member_id);
            continue;
        };
        let key = |calendar| in_calendar(date, calendar).1.number();
        let (gregorian, persian) = (key(Calendar::Gregorian), key(Calendar::Persian));
        set.push(Row { member_id, name, date: date.to_string(), gregorian, persian });
    }
    if !set.is_empty() {
        execute!(tx, SET, Rows(&set))?;
    }
    for (name, members) in clear {
        execute!(tx, CLEAR, Ids(members), name)?;
    }
    Ok(())
}
