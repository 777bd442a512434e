//! What is asked about a message: of which campaign, member, order and step it is.

use crate::domain::campaign::{Campaign, MAIN};

/// A message as the store is asked about it.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    pub campaign: &'a Campaign,
    pub member_id: i64,
    pub purchase_id: Option<i64>,
    pub step: &'a str,
}

impl Subject<'_> {
    pub(super) fn is_later_step(&self) -> bool {
        self.step != MAIN
    }
}
