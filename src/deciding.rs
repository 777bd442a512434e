//! Chooses the better variant where a campaign says `decide`, once its time has come.

use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;
use crate::domain::brand::Brand;
use crate::domain::campaign::Campaign;
use crate::domain::experiment::decide::{By, Candidate, Decide, winner};
use crate::domain::experiment::verdict::Size;
use crate::domain::{Instant, instant};
use crate::scheduler;
use crate::store::effect::{self, Asked, Of};
use crate::store::{Store, StoreError, Tx, configuration};

/// What was decided about a run, or why nothing was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    pub campaign: String,
    pub run: i64,
    pub at: Instant,
    /// The variant that all get from then on; absent where none is better than every other.
    pub winner: Option<String>,
    pub by: By,
}

fn noted(campaign: &str) -> String {
    format!("decided:{campaign}")
}

/// Decides where it is time. Gives what was decided.
pub async fn pass(store: &Store, catalog: &Catalog, now: Instant) -> Result<Vec<Decision>, StoreError> {
    let mut all = Vec::new();
    for campaign in scheduler::live(catalog) {
        let Some(decide) = campaign.experiment.decide else { continue };
        // All its orders are added up in a snapshot: nobody who writes waits for that.
        let mut tx = store.read().await?;
        let decision = decided(&mut tx, campaign, decide, &catalog.brand, now).await?;
        tx.commit().await?;
        let Some(decision) = decision else { continue };
        let mut tx = store.begin().await?;
        // It was about another run if somebody has chosen meanwhile, or applied another experiment.
        if effect::runs(&mut tx, &campaign.name).await?.last().is_none_or(|run| run.run != decision.run) {
            continue;
        }
        if let Some(variant) = &decision.winner {
            let arms = serde_json::json!(campaign.experiment.arms(Some(variant))).to_string();
            configuration::choose(&mut tx, &campaign.name, variant, &arms, now).await?;
        }
        let text = serde_json::json!(decision).to_string();
        configuration::note(&mut tx, &noted(&campaign.name), &text).await?;
        tx.commit().await?;
        all.push(decision);
    }
    Ok(all)
}

/// What is to be decided about the run that goes on, if its time has come.
async fn decided(
    tx: &mut Tx,
    campaign: &Campaign,
    decide: Decide,
    brand: &Brand,
    now: Instant,
) -> Result<Option<Decision>, StoreError> {
    let runs = effect::runs(tx, &campaign.name).await?;
    let Some(run) = runs.last() else { return Ok(None) };
    let names: Vec<&str> = run
        .arms
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| campaign.experiment.variant(name).is_some())
        .collect();
    // Nobody is assigned before a run begins; after a choice there is one variant.
    if names.len() < 2 || now < instant(run.started_at) + decide.after {
        return Ok(None);
    }
    let Some(first) = effect::first_assigned(tx, &campaign.name, run.run).await? else { return Ok(None) };
    if now < first + decide.after {
        return Ok(None);
    }
    let goal = campaign.experiment.goal;
    let asked = Asked {
        of: Of::Campaign(&campaign.name, run.run),
        from: Instant::UNIX_EPOCH,
        to: now,
        at: now,
        within: goal.within,
        min_amount: goal.min_amount,
        currency: &brand.currency,
    };
    let arms = effect::arms(tx, &asked).await?;
    let candidate = |name: &&str| {
        let arm = arms.iter().find(|arm| arm.name == **name)?;
        let size = Size { members: arm.members.unsigned_abs(), buyers: arm.buyers.unsigned_abs() };
        Some(Candidate { size, net: arm.net })
    };
    let candidates: Option<Vec<Candidate>> = names.iter().map(candidate).collect();
    let place = candidates.and_then(|candidates| winner(&candidates, decide.by));
    Ok(Some(Decision {
        campaign: campaign.name.clone(),
        run: run.run,
        at: now,
        winner: place.map(|place| names[place].to_owned()),
        by: decide.by,
    }))
}

/// What was decided last about the campaigns that say `decide`.
pub async fn latest(tx: &mut Tx, catalog: &Catalog) -> Result<Vec<Decision>, StoreError> {
    let mut all = Vec::new();
    for campaign in scheduler::live(catalog).filter(|campaign| campaign.experiment.decide.is_some()) {
        let text = configuration::noted(tx, &noted(&campaign.name)).await?;
        all.extend(text.and_then(|text| serde_json::from_str::<Decision>(&text).ok()));
    }
    Ok(all)
}
