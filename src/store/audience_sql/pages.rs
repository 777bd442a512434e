//! What is expected of members is computed in memory: a filter that asks for it runs over one page of them after the
//! other, so that memory does not grow with their number.

use super::{Bind, Filter};
use crate::domain::audience::{Comparison, Prediction, Value, predicted};
use crate::domain::lifetime::Models;
use crate::store::{Result, Tx, models};

/// Members looked at in one statement, where what is expected of them is asked for.
const PAGE: i64 = 5_000;

/// A comparison that no SQL can decide: it is decided in memory for the customers of a page, and their keys fill its
/// place among the values.
#[derive(Debug, Clone)]
pub(super) struct Predicted<'a> {
    pub place: usize,
    pub prediction: Prediction,
    pub comparison: &'a Comparison,
    pub models: Models,
}

/// The condition on the members of a page, ready to run.
pub(in crate::store) struct Page {
    pub sql: String,
    pub binds: Vec<Bind>,
}

impl Filter<'_> {
    /// The next page, of members with keys greater than `after`; all of them are one where SQL decides everything.
    /// `None` behind the last.
    pub(in crate::store) async fn page(&self, tx: &mut Tx, after: &mut Option<i64>) -> Result<Option<Page>> {
        let Some(first) = *after else { return Ok(None) };
        let (mut sql, mut binds) = (self.sql.clone(), self.binds.clone());
        if self.predicted.is_empty() {
            *after = None;
            return Ok(Some(Page { sql, binds }));
        }
        let page = models::customers(tx, first, PAGE, self.at, &self.brand.currency).await?;
        let Some(page) = page else { return Ok(None) };
        *after = Some(page.last);
        for Predicted { place, prediction, comparison, models } in &self.predicted {
            let value = |customer| predicted(*prediction, models, customer, self.brand).map(Value::Number);
            let holds = |value: Option<Value>| comparison.holds_for(value.as_ref(), self.brand.timezone, self.at);
            // Those who differ from members of whom nothing is known.
            let differing = page.customers.iter().filter(|(_, customer)| holds(value(customer)) != holds(None));
            binds[*place] = Bind::Ids(differing.map(|(member, _)| *member).collect());
        }
        binds.extend([Bind::Integer(first), Bind::Integer(page.last)]);
        sql += &format!(" AND m.id > ${} AND m.id <= ${}", binds.len() - 1, binds.len());
        Ok(Some(Page { sql, binds }))
    }
}
