//! What is done once a night: counts are compared with the messages and added up where days are over, experiments whose time has come are decided, and what
//! is fitted to all customers is fitted anew. The scheduler does it from 03:00 of the brand's clock on, so does `once`, and `rekindle nightly` at any time.

use chrono::NaiveTime;
use serde::Serialize;

use crate::catalog::Catalog;
use crate::credit;
use crate::deciding::{self, Decision};
use crate::domain::brand::Brand;
use crate::domain::calendar::{local_date, local_instant};
use crate::domain::{Instant, instant};
use crate::model::{self, FitError};
use crate::store::daily::{self, Differs};
use crate::store::{Store, StoreError, configuration, rfm, stretches, within};

/// What a night brought.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Night {
    /// Days of campaigns that were counted anew.
    pub days_recounted: i64,
    /// Counts that were not what the messages say; they are now.
    pub differs: Vec<Differs>,
    /// Experiments whose time had come.
    pub decided: Vec<Decision>,
    /// Orders that are credited otherwise than before.
    pub credited: u64,
    /// Members with purchases, by whom RFM scores are cut; absent where nobody has bought.
    pub rfm_members: Option<i64>,
    /// Customers that the models were fitted to; absent where there are none, or too few.
    pub model_customers: Option<i64>,
}

/// Days that are counted anew at once.
const DAYS: i64 = 31;

/// When the night's work begins, on the brand's clock.
const BEGINS: NaiveTime = match NaiveTime::from_hms_opt(3, 0, 0) {
    Some(time) => time,
    None => NaiveTime::MIN,
};

/// Whether a night has come since the work ended last. Where it never did, the first one is waited for.
async fn is_due(store: &Store, brand: &Brand, now: Instant) -> Result<bool, StoreError> {
    let mut tx = store.read().await?;
    let last = last_ended(&mut tx).await?;
    tx.commit().await?;
    let Some(last) = last else {
        let mut tx = store.begin_relaxed().await?;
        configuration::note(&mut tx, ENDED, &now.timestamp_millis().to_string()).await?;
        tx.commit().await?;
        return Ok(false);
    };
    let begins = |date: chrono::NaiveDate| local_instant(brand.timezone, date.and_time(BEGINS));
    let today = local_date(brand.timezone, now);
    let night = if begins(today) <= now { begins(today) } else { begins(today - chrono::Days::new(1)) };
    Ok(last < night)
}

/// Credits orders to messages and, where a night has come, does its work. Gives how many orders are credited otherwise
/// than before.
pub async fn keep_up(store: &Store, catalog: &Catalog, now: Instant) -> Result<u64, StoreError> {
    if is_due(store, &catalog.brand, now).await? {
        return Ok(work(store, catalog, now, &mut |_| {}).await?.credited);
    }
    credit::pass(store, catalog, now).await
}

const ENDED: &str = "nightly";

/// When the work ended last.
pub async fn last_ended(tx: &mut crate::store::Tx) -> Result<Option<Instant>, StoreError> {
    Ok(configuration::noted(tx, ENDED).await?.and_then(|text| text.parse().ok()).map(instant))
}

/// Does it. `told` hears which campaign is counted.
pub async fn work(
    store: &Store,
    catalog: &Catalog,
    now: Instant,
    told: &mut (dyn FnMut(&str) + Send),
) -> Result<Night, StoreError> {
    let credited = credit::pass(store, catalog, now).await?;
    let mut tx = store.read().await?;
    let campaigns = daily::campaigns(&mut tx).await?;
    tx.commit().await?;
    let (mut days_recounted, mut differs) = (0, Vec::new());
    for campaign in campaigns {
        told(&campaign);
        let mut tx = store.read().await?;
        let span = daily::span(&mut tx, &campaign).await?;
        tx.commit().await?;
        let Some((first, last)) = span else { continue };
        // The brand's days are not those of UTC.
        let (mut from, last) = (first - 1, last + 2);
        while from < last {
            let to = (from + DAYS).min(last);
            differs.extend(within(recount(store, &campaign, (from, to))).await?);
            days_recounted += to - from;
            from = to;
        }
        within(add_up(store, &campaign, (first - 1, last), now)).await?;
    }
    for one in &differs {
        let (key, counted, found) = (&one.key, one.counted.n, one.found.n);
        tracing::warn!(
            campaign = key.campaign,
            day = key.day,
            fact = key.fact,
            counted,
            found,
            "a count was not what the messages say"
        );
    }
    metrics::counter!("rekindle_recount_differs_total").increment(differs.len() as u64);
    let decided = deciding::pass(store, catalog, now).await?;
    let rfm = rfm::fit(store, now, &catalog.brand.currency).await?;
    let model = match model::fit(store, &catalog.brand.currency, now, now).await {
        Ok(fitted) => Some(fitted.customers),
        Err(FitError::Unfit(why)) => {
            tracing::info!(%why, "no model of all customers yet");
            None
        }
        Err(FitError::Store(error)) => return Err(error),
    };
    let mut tx = store.begin().await?;
    configuration::note(&mut tx, ENDED, &now.timestamp_millis().to_string()).await?;
    tx.commit().await?;
    let rfm_members = rfm.map(|fitted| fitted.members);
    Ok(Night { days_recounted, differs, decided, credited, rfm_members, model_customers: model })
}

/// Closes the stretches of a campaign that are over: after what differed in them is mended.
async fn add_up(store: &Store, campaign: &str, days: (i64, i64), now: Instant) -> Result<(), StoreError> {
    let mut tx = store.read().await?;
    let over = stretches::to_close(&mut tx, campaign, days, now).await?;
    tx.commit().await?;
    for first in over {
        let mut tx = store.begin_relaxed().await?;
        stretches::close(&mut tx, campaign, first).await?;
        tx.commit().await?;
    }
    Ok(())
}

async fn recount(store: &Store, campaign: &str, days: (i64, i64)) -> Result<Vec<Differs>, StoreError> {
    let mut tx = store.read().await?;
    let differs = daily::compare(&mut tx, campaign, days).await?;
    tx.commit().await?;
    if !differs.is_empty() {
        let mut tx = store.begin().await?;
        daily::mend(&mut tx, &differs);
        tx.commit().await?;
    }
    Ok(differs)
}
