//! The configuration in the store: files are merged into it, and it is compiled from there.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;

use super::merging::{self, Merged};
use super::reading::Files;
use super::{Catalog, CatalogError};
use crate::document::{Problem, Problems};
use crate::domain::Instant;
use crate::domain::campaign::{Campaign, Status};
use crate::domain::experiment::arms;
use crate::settings::Settings;
use crate::store::configuration::{self, Applied};
use crate::store::versions::{self, Made, Origin};
use crate::store::{Store, Tx};

/// How often a version is made anew because somebody else made one meanwhile.
const TRIES: usize = 10;

/// A version that was made, or is the same as before.
#[derive(Debug)]
pub struct Version {
    pub catalog: Catalog,
    /// Its number.
    pub number: i64,
    /// Whether it is another one than before.
    pub changed: bool,
}

/// What a version is made from: the store's configuration, and files that were changed.
struct Sides {
    /// The hash of the store's version; `None` where nothing was applied yet.
    hash: Option<String>,
    current: Files,
    /// What the changed files were before.
    base: Files,
}

impl Catalog {
    /// Merges the files of a folder into the store's, after checking what that makes. What only the folder changed since
    /// it was applied last is taken, what was changed only in the store stays, and of what both changed the folder's is
    /// taken where it is among `ours`: else nothing is.
    pub async fn apply(
        store: &Store,
        folder: &Files,
        ours: &BTreeSet<String>,
        settings: &Settings,
        made: &Made,
        now: Instant,
    ) -> Result<Version, CatalogError> {
        Self::make(store, (None, folder), ours, settings, made, now).await
    }

    /// Makes files that were changed since `base` the store's, in the same way.
    pub async fn publish(
        store: &Store,
        (base, changed): (&Files, &Files),
        settings: &Settings,
        made: &Made,
        now: Instant,
    ) -> Result<Version, CatalogError> {
        Self::make(store, (Some(base), changed), &BTreeSet::new(), settings, made, now).await
    }

    async fn make(
        store: &Store,
        (base, changed): (Option<&Files>, &Files),
        ours: &BTreeSet<String>,
        settings: &Settings,
        made: &Made,
        now: Instant,
    ) -> Result<Version, CatalogError> {
        for _ in 0..TRIES {
            let mut tx = store.read().await?;
            let sides = sides(&mut tx, base).await?;
            tx.commit().await?;
            let (files, conflicts) = merge(&sides, changed, ours);
            if !conflicts.is_empty() {
                return Err(CatalogError::Conflict(conflicts));
            }
            let mut catalog = Self::compile(&files, settings).map_err(CatalogError::Refused)?;
            let mut tx = store.begin().await?;
            versions::hold(&mut tx).await?;
            if configuration::current_hash(&mut tx).await? != sides.hash {
                // Somebody made a version meanwhile.
                continue;
            }
            catalog.tokens = configuration::token_key(&mut tx).await?;
            let is_other = sides.hash.as_deref() != Some(&catalog.hash);
            catalog.write(&mut tx, &files, now).await?;
            let number = if is_other {
                let message = match made.message.as_str() {
                    "" => what_changed(&sides.current, &files),
                    said => said.to_owned(),
                };
                versions::add(&mut tx, &catalog.hash, &Made { message, ..made.clone() }, now).await?
            } else {
                versions::current(&mut tx).await?
            };
            match made.origin {
                Origin::Files => note_folder(&mut tx, changed, now).await?,
                Origin::Proposal(proposal) if !versions::end(&mut tx, proposal, Some(number), now).await? => {
                    return Err(CatalogError::Ended(proposal));
                }
                Origin::Proposal(_) | Origin::Revert | Origin::Command => {}
            }
            tx.commit().await?;
            return Ok(Version { catalog, number, changed: is_other });
        }
        Err(CatalogError::Busy)
    }

    /// Makes it what every process works by.
    async fn write(&self, tx: &mut Tx, files: &Files, now: Instant) -> Result<(), CatalogError> {
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
        let campaigns: Vec<Applied> = self.campaigns.values().map(applied).collect();
        configuration::store(tx, &self.hash, &files.to_json(), now).await?;
        configuration::apply(tx, &self.hash, &campaigns, now).await?;
        configuration::divide_brand(tx, &json!(arms::of_brand(self.brand.holdout)).to_string(), now).await?;
        Ok(())
    }

    /// The files that [`Self::apply`] would make of a folder, and those that both changed: there the store's stay.
    pub async fn merge_files(tx: &mut Tx, folder: &Files) -> Result<(Files, Vec<String>), CatalogError> {
        Ok(merge(&sides(tx, None).await?, folder, &BTreeSet::new()))
    }

    /// What [`Self::apply`] would make of a folder, and the files that both changed: there the store's stay.
    pub async fn merged(tx: &mut Tx, folder: &Files, settings: &Settings) -> Result<(Self, Vec<String>), CatalogError> {
        let (files, conflicts) = Self::merge_files(tx, folder).await?;
        let catalog = Self::compile(&files, settings).map_err(CatalogError::Refused)?;
        Ok((Self { tokens: configuration::token_key(tx).await?, ..catalog }, conflicts))
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
        let files = stored(tx, &hash).await?;
        Ok(Arc::new(Self { tokens: configuration::token_key(tx).await?, ..Self::compile(&files, settings)? }))
    }
}

/// The folder holds these files, all of which are the store's or were merged into them.
pub async fn note_folder(tx: &mut Tx, files: &Files, now: Instant) -> Result<(), CatalogError> {
    configuration::store(tx, &files.hash(), &files.to_json(), now).await?;
    versions::note_folder(tx, &files.hash()).await?;
    Ok(versions::note_conflicts(tx, &[]).await?)
}

/// The store's configuration; empty where nothing was applied yet.
pub async fn current_files(tx: &mut Tx) -> Result<Files, CatalogError> {
    match configuration::current_hash(tx).await? {
        Some(hash) => stored(tx, &hash).await,
        None => Ok(Files::default()),
    }
}

/// A configuration of the store.
pub async fn stored(tx: &mut Tx, hash: &str) -> Result<Files, CatalogError> {
    let document = configuration::document(tx, hash).await?.ok_or(CatalogError::NothingApplied)?;
    serde_json::from_str(&document).map_err(|error| {
        CatalogError::Invalid(Problems(vec![Problem {
            file: format!("configuration {hash}"),
            line: 0,
            column: 0,
            message: error.to_string(),
        }]))
    })
}

/// The files of a folder as they were when it was applied last.
pub async fn applied_folder(tx: &mut Tx) -> Result<Files, CatalogError> {
    match versions::folder(tx).await? {
        Some(hash) => stored(tx, &hash).await,
        None => Ok(Files::default()),
    }
}

async fn sides(tx: &mut Tx, base: Option<&Files>) -> Result<Sides, CatalogError> {
    let (hash, current) = (configuration::current_hash(tx).await?, current_files(tx).await?);
    let base = match base {
        Some(base) => base.clone(),
        None => applied_folder(tx).await?,
    };
    Ok(Sides { hash, current, base })
}

fn merge(sides: &Sides, changed: &Files, ours: &BTreeSet<String>) -> (Files, Vec<String>) {
    let Merged { texts, conflicts } =
        merging::merge(&sides.base.texts(), &sides.current.texts(), &changed.texts(), ours);
    let texts = texts.into_iter().map(|(path, text)| (path, text.to_owned()));
    // They come from files of such paths.
    (Files::from_texts(texts).unwrap_or_default(), conflicts)
}

/// For the history, where nobody said why.
fn what_changed(before: &Files, after: &Files) -> String {
    const NAMED: usize = 3;
    let (before, after) = (before.texts(), after.texts());
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed: Vec<&str> =
        paths.into_iter().filter(|path| before.get(*path) != after.get(*path)).map(String::as_str).collect();
    match changed.len().saturating_sub(NAMED) {
        _ if before.is_empty() => format!("{} files", changed.len()),
        0 => changed.join(", "),
        more => format!("{} and {more} more", changed[..NAMED].join(", ")),
    }
}
