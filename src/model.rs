//! `model fit`: what the customers did so far becomes the models that campaigns rest on.

use crate::domain::Instant;
use crate::domain::lifetime::{PurchaseSample, SpendingSample, Unfit};
use crate::store::models::{self, Fitted};
use crate::store::{Store, StoreError};

/// Members read at a time.
const PAGE: i64 = 5_000;

/// Why there is no new model.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

/// Fits the models to the valid purchases before `until`, stores them, and gives them back; spending is looked at in the
/// brand's `currency`. Memory grows with how many different customers there are, at four numbers each.
pub async fn fit(store: &Store, currency: &str, until: Instant, now: Instant) -> Result<Fitted, FitError> {
    // A customer's age is counted to the last day that was looked at.
    let at = until - chrono::Duration::milliseconds(1);
    let (mut purchases, mut spending) = (PurchaseSample::default(), SpendingSample::default());
    let mut after = 0;
    let mut tx = store.read().await?;
    while let Some(page) = models::customers(&mut tx, after, PAGE, at, currency).await? {
        after = page.last;
        for (_, customer) in page.customers {
            purchases.add(customer.repeats, customer.recency_days, customer.age_days);
            spending.add(customer.priced, customer.spent as f64);
        }
    }
    tx.commit().await?;
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let fitted = Fitted {
        fitted_at: now,
        until,
        customers: count(purchases.customers()),
        repeat_customers: count(purchases.repeat_customers()),
        fit: purchases.fit()?,
        currency: currency.to_owned(),
        spenders: count(spending.spenders()),
        spending: spending.fit().map(|fit| fit.model),
    };
    let mut tx = store.begin().await?;
    models::insert(&mut tx, &fitted).await?;
    tx.commit().await?;
    Ok(fitted)
}
