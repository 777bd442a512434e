//! The configuration in the store: applied, and compiled from there.

use std::sync::Arc;

use serde_json::json;

use super::reading::Files;
use super::{Catalog, CatalogError};
use crate::document::{Problem, Problems};
use crate::domain::Instant;
use crate::domain::campaign::{Campaign, Status};
use crate::domain::experiment::arms;
use crate::settings::Settings;
use crate::store::configuration::{self, Applied};
use crate::store::{Store, Tx};

impl Catalog {
    /// Stores files as the current configuration, after checking them. Gives the compiled catalog
    /// and whether it is another one than before.
    pub async fn apply(
        store: &Store,
        files: &Files,
        settings: &Settings,
        now: Instant,
    ) -> Result<(Self, bool), CatalogError> {
        let mut catalog = Self::compile(files, settings).map_err(CatalogError::Refused)?;
        let mut tx = store.begin().await?;
        catalog.tokens = configuration::token_key(&mut tx).await?;
        let changed = configuration::current_hash(&mut tx).await?.as_deref() != Some(&catalog.hash);
        let applied = |campaign: &Arc<Campaign>| {
            let arms = campaign.experiment.arms(None);
            Applied {
                name: campaign.name.clone(),
                live: campaign.status == Status::Live,
                experiment: json!({ "by": campaign.experiment.holdout_by.as_str(), "arms": arms }).to_string(),
                arms: json!(arms).to_string(),
                audience: campaign.audience.in_full(),
            }
        };
        let campaigns: Vec<Applied> = catalog.campaigns.values().map(applied).collect();
        configuration::apply(&mut tx, &catalog.hash, &files.to_json(), &campaigns, now).await?;
        configuration::divide_brand(&mut tx, &json!(arms::of_brand(catalog.brand.holdout)).to_string(), now).await?;
        tx.commit().await?;
        Ok((catalog, changed))
    }

    /// Compiles what is applied to the store, or gives `known` back where it still is.
    pub async fn current(
        tx: &mut Tx,
        settings: &Settings,
        known: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, CatalogError> {
        let hash = configuration::current_hash(tx).await?.ok_or(CatalogError::NothingApplied)?;
        if let Some(known) = known.filter(|known| known.hash == hash) {
            return Ok(Arc::clone(known));
        }
        let document = configuration::document(tx, &hash).await?.ok_or(CatalogError::NothingApplied)?;
        let files: Files = serde_json::from_str(&document).map_err(|error| {
            CatalogError::Invalid(Problems(vec![Problem {
                file: format!("configuration {hash}"),
                line: 0,
                column: 0,
                message: error.to_string(),
            }]))
        })?;
        Ok(Arc::new(Self { tokens: configuration::token_key(tx).await?, ..Self::compile(&files, settings)? }))
    }
}
