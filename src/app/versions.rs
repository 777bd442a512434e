//! What changes the store's configuration beside its folder: proposals, an earlier version, one changed file.

use std::collections::{BTreeMap, BTreeSet};

use super::{App, AppError, author};
use crate::catalog::{Catalog, CatalogError, Files, Version, applied_folder, current_files, note_folder, stored};
use crate::document::editing::with_key;
use crate::document::expected;
use crate::domain::calendar::rfc3339;
use crate::domain::campaign::Campaign;
use crate::domain::name;
use crate::settings::file_problem;
use crate::store::audit::{self, Deed, Line};
use crate::store::configuration;
use crate::store::versions::{self, Made, Origin, Proposal};
use crate::triggers;
use crate::views::versions::{Kind, differences};
use crate::{document::Problems, files};

/// The text of each changed file by its path; `None` where it goes away.
type Changes = BTreeMap<String, Option<String>>;

/// The folder, and what it was changed from.
pub struct Sides {
    /// The store's files; empty where nothing was applied yet.
    pub store: Files,
    pub folder: Files,
    /// The folder's when it was applied last.
    pub applied: Files,
}

impl App {
    /// The store's files and the folder's.
    pub async fn sides(&self) -> Result<Sides, AppError> {
        let folder = Files::read(&self.settings)?;
        let mut tx = self.store.read().await?;
        let (store, applied) = (current_files(&mut tx).await?, applied_folder(&mut tx).await?);
        tx.commit().await?;
        Ok(Sides { store, folder, applied })
    }

    /// The files of a version.
    pub async fn files_of(&self, version: i64) -> Result<Files, AppError> {
        let mut tx = self.store.read().await?;
        let found = versions::version(&mut tx, version).await?;
        let last = versions::current(&mut tx).await?;
        let Some(found) = found else {
            return Err(AppError::Refused(format!(
                "there is no version {version}; the last one is {last}, and `rekindle campaigns history` lists them"
            )));
        };
        let files = stored(&mut tx, &found.hash).await?;
        tx.commit().await?;
        Ok(files)
    }

    /// Makes an earlier version the store's again, as a new one.
    pub async fn revert(&self, version: i64, message: Option<&str>) -> Result<Version, AppError> {
        let (now, then) = (self.current_files().await?, self.files_of(version).await?);
        let message = message.map_or_else(|| format!("as in version {version}"), str::to_owned);
        self.publish_files((&now, &then), Origin::Revert, message).await
    }

    /// Proposes what the folder has and the store has not. Gives the proposal's number, and the files before and after.
    pub async fn propose(&self, message: &str) -> Result<(i64, Files, Files), AppError> {
        let folder = Files::read(&self.settings)?;
        let mut tx = self.store.begin().await?;
        versions::hold(&mut tx).await?;
        let (base, store) = (versions::current(&mut tx).await?, current_files(&mut tx).await?);
        let (merged, conflicts) = Catalog::merge_files(&mut tx, &folder).await?;
        if !conflicts.is_empty() {
            return Err(CatalogError::Conflict(conflicts).into());
        }
        let changes = changes(&store, &merged);
        if changes.is_empty() {
            return Err(AppError::Refused(
                "the folder has nothing that the store has not; nothing was proposed".into(),
            ));
        }
        let text = serde_json::to_string(&changes).unwrap_or_default();
        let number = versions::propose(&mut tx, base, &text, (&author(), message), self.clock.now()).await?;
        tx.commit().await?;
        Ok((number, store, merged))
    }

    /// A proposal that is open.
    pub async fn proposal(&self, number: i64) -> Result<Proposal, AppError> {
        let mut tx = self.store.read().await?;
        let found = versions::proposal(&mut tx, number).await?;
        tx.commit().await?;
        match found {
            None => Err(AppError::Refused(format!(
                "there is no proposal {number}; `rekindle campaigns proposals --all` lists them"
            ))),
            Some(Proposal { ended_at: Some(_), published: Some(version), .. }) => {
                Err(AppError::Refused(format!("proposal {number} was published before, as version {version}")))
            }
            Some(Proposal { ended_at: Some(_), .. }) => {
                Err(AppError::Refused(format!("proposal {number} was withdrawn")))
            }
            Some(proposal) => Ok(proposal),
        }
    }

    /// The files that a proposal changes, and as it has them.
    pub async fn proposed_files(&self, proposal: &Proposal) -> Result<(Files, Files), AppError> {
        let base = match proposal.base {
            0 => Files::default(),
            version => self.files_of(version).await?,
        };
        let changes: Changes = serde_json::from_str(&proposal.changes)
            .map_err(|error| AppError::Refused(format!("proposal {} cannot be read: {error}", proposal.proposal)))?;
        let mut texts: BTreeMap<String, String> =
            base.texts().into_iter().map(|(path, text)| (path, text.to_owned())).collect();
        for (path, text) in changes {
            match text {
                Some(text) => drop(texts.insert(path, text)),
                None => drop(texts.remove(&path)),
            }
        }
        let changed = Files::from_texts(texts).map_err(|path| {
            AppError::Refused(format!(
                "proposal {} changes `{path}`, which is no file of a configuration",
                proposal.proposal
            ))
        })?;
        Ok((base, changed))
    }

    /// Merges a proposal into the store's files.
    pub async fn publish(&self, number: i64) -> Result<Version, AppError> {
        let proposal = self.proposal(number).await?;
        let (base, changed) = self.proposed_files(&proposal).await?;
        let message = format!("proposal {number}: {}", proposal.message);
        self.publish_files((&base, &changed), Origin::Proposal(number), message).await
    }

    /// Nobody publishes a proposal any more.
    pub async fn withdraw(&self, number: i64) -> Result<(), AppError> {
        self.proposal(number).await?;
        let mut tx = self.store.begin().await?;
        let now = self.clock.now();
        versions::end(&mut tx, number, None, now).await?;
        let (who, detail) = (author(), number.to_string());
        let line = Line { detail: Some(&detail), ..Line::new(&who, Deed::ProposalWithdrawn) };
        audit::add(&mut tx, self.clock.new_id(), &line, now).await?;
        Ok(tx.commit().await?)
    }

    /// Ends a campaign: nothing that falls due from now on is sent.
    pub async fn end_campaign(&self, name: &str) -> Result<Version, AppError> {
        let now = rfc3339(self.clock.now());
        let files = self.current_files().await?;
        let (path, text, _) = self.campaign_file(&files, name)?;
        let text = with_key(&text, "ends_at", &now);
        self.change_file(files, (path, text), format!("{name} ends")).await
    }

    /// Makes a draft of another name from a campaign. The contents stay those of the first one.
    pub async fn duplicate(&self, original: &str, copy: &str) -> Result<Version, AppError> {
        let refused = |why: String| AppError::Refused(format!("cannot name a campaign `{copy}`: {why}"));
        let copy = name::parse(copy).map_err(refused)?;
        let files = self.current_files().await?;
        let (_, text, _) = self.campaign_file(&files, original)?;
        let path = format!("{copy}.yaml");
        if files.campaigns.contains_key(&path) || self.campaign_file(&files, &copy).is_ok() {
            return Err(AppError::Refused(format!("there is a campaign `{copy}` already; nothing was changed")));
        }
        let text = with_key(&with_key(&text, "name", &copy), "status", "draft");
        self.change_file(files, (path, text), format!("{copy} from {original}")).await
    }

    /// Writes the store's files into the folder. What was changed there since it was applied stays, and nothing is
    /// written, unless that is forced. A file that was never applied stays in any case. Gives the paths that were written
    /// or removed.
    pub async fn pull(&self, force: bool) -> Result<Vec<String>, AppError> {
        let store = self.current_files().await?;
        let Sides { folder, applied, .. } = self.sides().await?;
        let (there, before) = (folder.texts(), applied.texts());
        let mut changed = differences(&folder, &store);
        changed.retain(|change| change.kind != Kind::Removed || before.contains_key(&change.file));
        let unsaved = changed.iter().map(|change| &change.file).filter(|path| there.get(*path) != before.get(*path));
        let unsaved: Vec<&str> = unsaved.map(String::as_str).collect();
        if !unsaved.is_empty() && !force {
            return Err(AppError::Refused(format!(
                "changed in the folder since it was applied, and not in the store: {}\nNothing was written. `campaigns \
                 apply` takes these changes; `campaigns pull --force` writes over them",
                unsaved.join(", ")
            )));
        }
        let texts = store.texts();
        for change in &changed {
            let place = Files::place(&self.settings, &change.file);
            let place = place.ok_or_else(|| AppError::Refused(format!("`{}` is no file of a folder", change.file)))?;
            let written = match texts.get(&change.file) {
                Some(text) => place
                    .parent()
                    .map_or(Ok(()), std::fs::create_dir_all)
                    .and_then(|()| files::replace(&place, text.as_bytes())),
                None => std::fs::remove_file(&place),
            };
            written
                .map_err(|error| Problems(vec![file_problem(&place, format!("cannot write this file: {error}"))]))?;
        }
        let mut tx = self.store.begin().await?;
        note_folder(&mut tx, &store, self.clock.now()).await?;
        tx.commit().await?;
        Ok(changed.into_iter().map(|change| change.file).collect())
    }

    async fn current_files(&self) -> Result<Files, AppError> {
        let mut tx = self.store.read().await?;
        if configuration::current_hash(&mut tx).await?.is_none() {
            return Err(CatalogError::NothingApplied.into());
        }
        let files = current_files(&mut tx).await?;
        tx.commit().await?;
        Ok(files)
    }

    async fn change_file(
        &self,
        files: Files,
        (path, text): (String, String),
        message: String,
    ) -> Result<Version, AppError> {
        let mut changed = files.clone();
        changed.campaigns.insert(path, text);
        self.publish_files((&files, &changed), Origin::Command, message).await
    }

    async fn publish_files(
        &self,
        sides: (&Files, &Files),
        origin: Origin,
        message: String,
    ) -> Result<Version, AppError> {
        let made = Made { author: author(), origin, message };
        Ok(Catalog::publish(&self.store, sides, &self.settings, &made, self.clock.now()).await?)
    }

    /// The file of a campaign: its name below its folder, and its text.
    fn campaign_file(&self, files: &Files, name: &str) -> Result<(String, String, Campaign), AppError> {
        let mut known = BTreeSet::new();
        for (path, text) in &files.campaigns {
            let Ok(campaign) = Campaign::parse(path, text, &self.settings.brand, triggers::ALL) else { continue };
            if campaign.name == name {
                return Ok((path.clone(), text.clone(), campaign));
            }
            known.insert(campaign.name);
        }
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        Err(AppError::Refused(format!("there is no campaign `{name}`; {}", expected(name, &known))))
    }
}

fn changes(before: &Files, after: &Files) -> Changes {
    let texts = after.texts();
    let changed = differences(before, after).into_iter().map(|change| change.file);
    changed.map(|path| (path.clone(), texts.get(&path).map(|text| (*text).to_owned()))).collect()
}
