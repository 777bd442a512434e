//! `model fit`: what the customers did so far becomes the model that campaigns rest on.

use crate::domain::Instant;
use crate::domain::history::utc_day;
use crate::domain::lifetime::{PurchaseSample, Unfit};
use crate::store::models::{self, Fitted};
use crate::store::{Store, StoreError};

/// Customers read at a time.
const PAGE: i64 = 10_000;

/// Why there is no new model.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

/// Fits the model to the valid purchases before `until`, stores it, and gives it back. Memory grows
/// with how many different customers there are, at three numbers each.
pub async fn fit(store: &Store, until: Instant, now: Instant) -> Result<Fitted, FitError> {
    // A customer's age is counted to the last day that was looked at.
    let last_day = utc_day(until - chrono::Duration::milliseconds(1));
    let mut sample = PurchaseSample::default();
    let mut after = 0;
    let mut tx = store.read().await?;
    loop {
        let page = models::last_orders(&mut tx, after, until, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for order in page {
            let first_day = utc_day(order.purchased_at) - order.tenure_days;
            sample.add(order.visits - 1, order.tenure_days, last_day - first_day);
        }
    }
    tx.commit().await?;
    let customers = i64::try_from(sample.customers()).unwrap_or(i64::MAX);
    let repeat_customers = i64::try_from(sample.repeat_customers()).unwrap_or(i64::MAX);
    let fitted = Fitted { fitted_at: now, until, customers, repeat_customers, fit: sample.fit()? };
    let mut tx = store.begin().await?;
    models::insert(&mut tx, &fitted).await?;
    tx.commit().await?;
    Ok(fitted)
}
