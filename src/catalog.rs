//! The catalog: campaigns, occasions, templates and provider descriptions as `campaigns apply` stored them,
//! compiled. The store is the truth at run time; files are only read to apply or check them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::document::{Problem, Problems};
use crate::domain::Instant;
use crate::domain::audience::{Audience, Segments};
use crate::domain::brand::Brand;
use crate::domain::campaign::{Campaign, Status};
use crate::domain::message::{Channel, Content};
use crate::domain::sms::SmsSize;
use crate::domain::token::TokenKey;
use crate::files::read_below;
use crate::rendering::headers::Origin;
use crate::rendering::{RenderError, Renderer, Variables};
use crate::settings::{Settings, file_problem};
use crate::store::configuration::{self, Applied, CampaignState};
use crate::store::facts::{Sharing, Surroundings};
use crate::store::gifts::Stock;
use crate::store::messages::Message;
use crate::store::subject::Subject;
use crate::store::{Store, StoreError, Tx};
use crate::transports::sms::Provider;
use crate::triggers;

mod checks;
mod wording;

use wording::Wording;

/// The files of a configuration, by path below their folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    pub campaigns: BTreeMap<String, String>,
    pub occasions: BTreeMap<String, String>,
    pub templates: BTreeMap<String, String>,
    pub providers: BTreeMap<String, String>,
    #[serde(default)]
    pub segments: BTreeMap<String, String>,
}

/// A configuration, compiled.
#[derive(Debug)]
pub struct Catalog {
    /// Names the version.
    pub hash: String,
    pub brand: Brand,
    /// The sender of mails.
    pub from: String,
    /// The mailbox to which mail comes back.
    pub return_path: Option<String>,
    pub campaigns: BTreeMap<String, Arc<Campaign>>,
    pub renderer: Renderer,
    pub providers: BTreeMap<String, Provider>,
    /// How many segments the SMS of each content and language takes for a sample member.
    pub sms_sizes: BTreeMap<(String, String), SmsSize>,
    /// Signs the links and return paths of messages.
    pub tokens: TokenKey,
    /// The campaigns whose messages some audience asks for.
    watched: Arc<BTreeSet<String>>,
}

/// Why there is no catalog.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("nothing was applied to this store yet; run `rekindle campaigns apply`")]
    NothingApplied,
    #[error("what was applied to this store cannot be used by this version:\n{0}")]
    Invalid(#[from] Problems),
    /// What should be applied cannot be used.
    #[error(transparent)]
    Refused(Problems),
}

impl Files {
    /// Reads the folders that the settings name.
    pub fn read(settings: &Settings) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let mut read = |folder: &Path, endings: &[&str], required: bool| {
            let mut files = BTreeMap::new();
            if !required && !folder.exists() {
                return files;
            }
            collect(folder, folder, endings, &mut files, &mut problems);
            files
        };
        let files = Self {
            campaigns: read(&settings.campaigns, &[".yaml", ".yml"], true),
            occasions: read(&settings.occasions, &[".yaml", ".yml"], false),
            templates: read(&settings.templates, &[".txt", ".html", ".mjml", ".pattern.yaml"], true),
            providers: read(&settings.providers, &[".yaml", ".yml"], false),
            segments: read(&settings.segments, &[".yaml", ".yml"], false),
        };
        for path in files.templates.keys().filter(|path| path.ends_with(".mjml")) {
            problems
                .push(file_problem(&settings.templates.join(path), "MJML is not in this version; write email.html"));
        }
        if problems.is_empty() { Ok(files) } else { Err(Problems(problems)) }
    }

    /// The name of exactly these files.
    pub fn hash(&self) -> String {
        let document = self.to_json();
        Sha256::digest(document.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// As one document, for the store.
    pub fn to_json(&self) -> String {
        // Maps of text to text always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn collect(
    root: &Path,
    folder: &Path,
    endings: &[&str],
    files: &mut BTreeMap<String, String>,
    problems: &mut Vec<Problem>,
) {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return problems.push(file_problem(folder, format!("cannot read this folder: {error}"))),
    };
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        // Of editors, and of mounted folders whose files are links into them.
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
            continue;
        }
        if path.is_dir() {
            if path.is_symlink() {
                problems.push(file_problem(&path, "it is a link to a folder, which is not followed"));
            } else {
                collect(root, &path, endings, files, problems);
            }
            continue;
        }
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        if !endings.iter().any(|ending| name.ends_with(ending)) {
            continue;
        }
        match read_below(root, &path) {
            Ok(text) => drop(files.insert(name, text)),
            Err(error) => problems.push(file_problem(&path, format!("cannot read this file: {error}"))),
        }
    }
}

impl Catalog {
    /// Compiles files; reports everything that is wrong with any of them.
    pub fn compile(files: &Files, settings: &Settings) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let shown = |folder: &Path, name: &str| folder.join(name).display().to_string();
        let mut brand = settings.brand.clone();
        let occasions = files.occasions.iter();
        problems.extend(
            brand.almanac.read(occasions.map(|(name, text)| (shown(&settings.occasions, name), text.as_str()))),
        );
        let segments = compile_segments(files, settings, &mut problems);
        let mut campaigns: BTreeMap<String, Campaign> = BTreeMap::new();
        let mut places: BTreeMap<String, String> = BTreeMap::new();
        for (name, text) in &files.campaigns {
            let file = shown(&settings.campaigns, name);
            match Campaign::parse(&file, text, &brand, triggers::ALL) {
                Ok(mut campaign) => {
                    segments.fill(&mut campaign.audience, &file, &mut problems);
                    if let Some(other) = places.insert(campaign.name.clone(), file.clone()) {
                        let message =
                            format!("the name `{}` is taken by {other}; each campaign needs its own", campaign.name);
                        problems.push(Problem { file, line: 0, column: 0, message });
                        continue;
                    }
                    campaigns.insert(campaign.name.clone(), campaign);
                }
                Err(found) => problems.extend(found.0),
            }
        }
        let mut providers = BTreeMap::new();
        for (name, text) in &files.providers {
            match Provider::parse(&shown(&settings.providers, name), text) {
                Ok(provider) => drop(providers.insert(provider.name.clone(), provider)),
                Err(found) => problems.extend(found.0),
            }
        }
        let (renderer, found) = Renderer::compile(&settings.templates.display().to_string(), &files.templates);
        problems.extend(found);
        let mut sms_sizes = BTreeMap::new();
        let wording =
            Wording { renderer: &renderer, from: &settings.email.from, routes: &brand.sms, providers: &providers };
        for campaign in campaigns.values() {
            let contents = checks::Contents { wording, settings, file: &places[&campaign.name] };
            contents.check(campaign, &mut sms_sizes, &mut problems);
        }
        // Where a campaign could not be read, its name is not known either.
        if problems.is_empty() {
            for (file, audience) in segments.read() {
                checks::received(audience, file, &campaigns, &mut problems);
            }
            for campaign in campaigns.values() {
                checks::received(&campaign.audience, &places[&campaign.name], &campaigns, &mut problems);
            }
        }
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        let watched = campaigns.values().flat_map(|campaign| campaign.audience.uses().received).collect();
        let campaigns = campaigns.into_iter().map(|(name, campaign)| (name, Arc::new(campaign))).collect();
        Ok(Self {
            hash: files.hash(),
            brand,
            from: settings.email.from.clone(),
            return_path: settings.email.return_path.clone(),
            campaigns,
            renderer,
            providers,
            sms_sizes,
            // The store has the real one.
            tokens: TokenKey::new([0; 32]),
            watched: Arc::new(watched),
        })
    }

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
        let applied = |campaign: &Arc<Campaign>| Applied {
            name: campaign.name.clone(),
            live: campaign.status == Status::Live,
            experiment: format!("holdout {}", campaign.holdout),
        };
        let campaigns: Vec<Applied> = catalog.campaigns.values().map(applied).collect();
        configuration::apply(&mut tx, &catalog.hash, &files.to_json(), &campaigns, now).await?;
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

    /// What a message of a campaign to an address says.
    pub fn content(
        &self,
        campaign: &Campaign,
        content: &str,
        channel: Channel,
        to: &str,
        variables: &Variables<'_>,
    ) -> Result<Content, RenderError> {
        let wording =
            Wording { renderer: &self.renderer, from: &self.from, routes: &self.brand.sms, providers: &self.providers };
        wording.render(content, channel, campaign.purpose, to, variables)
    }

    /// The campaigns whose messages must wait: they are drafts or paused in their file.
    pub fn silent(&self) -> Vec<String> {
        self.campaigns
            .values()
            .filter(|campaign| campaign.status != Status::Live)
            .map(|campaign| campaign.name.clone())
            .collect()
    }

    /// Of what the headers of a mail are made.
    pub fn origin(&self) -> Origin<'_> {
        Origin {
            from: &self.from,
            return_path: self.return_path.as_deref(),
            base_url: &self.brand.base_url,
            tokens: &self.tokens,
        }
    }

    /// What policy needs to know about a batch of messages at `now`; `stock`, how it looks at gifts.
    pub async fn surroundings(
        &self,
        tx: &mut Tx,
        batch: &[Message],
        now: Instant,
        stock: Stock,
    ) -> Result<Surroundings, StoreError> {
        let sharing = self.sharing(tx, batch).await?;
        self.surroundings_among(tx, batch, now, stock, sharing).await
    }

    /// Who shares an address with a batch's members, as far as policy asks.
    pub async fn sharing(&self, tx: &mut Tx, batch: &[Message]) -> Result<Sharing, StoreError> {
        Sharing::load(tx, &self.subjects(batch), self.brand.frequency_cap.is_some()).await
    }

    /// [`Catalog::surroundings`] where it is known who shares an address.
    pub async fn surroundings_among(
        &self,
        tx: &mut Tx,
        batch: &[Message],
        now: Instant,
        stock: Stock,
        sharing: Sharing,
    ) -> Result<Surroundings, StoreError> {
        let subjects = self.subjects(batch);
        let counts = |name: &str| self.counts_for_cap(name);
        let counted_after = self.brand.frequency_cap.map(|cap| now - cap.per);
        let mut around = Surroundings::load(tx, &subjects, &counts, counted_after, stock, sharing).await?;
        around.audiences.watched = Arc::clone(&self.watched);
        Ok(around)
    }

    fn subjects<'a>(&'a self, batch: &'a [Message]) -> Vec<Subject<'a>> {
        let subject = |message: &'a Message| {
            let campaign = self.campaigns.get(&message.campaign)?;
            let (member_id, purchase_id) = (message.member_id, message.purchase_id);
            Some(Subject { campaign, member_id, purchase_id, step: &message.step })
        };
        batch.iter().filter_map(subject).collect()
    }

    /// Whether any of a batch's campaigns gives something.
    pub fn gives(&self, batch: &[Message]) -> bool {
        let gives = |campaign: &Arc<Campaign>| campaign.steps.iter().any(|step| step.gift.is_some());
        batch.iter().filter_map(|message| self.campaigns.get(&message.campaign)).any(gives)
    }

    /// Whether a campaign's messages count for the frequency cap; one that is gone did count.
    pub fn counts_for_cap(&self, campaign: &str) -> bool {
        self.campaigns.get(campaign).is_none_or(|campaign| campaign.limits.counts_for_cap)
    }
}

/// When a campaign's occasions begin to exist: as configured, else when it first went live.
pub fn starts_at(campaign: &Campaign, state: Option<&CampaignState>) -> Option<Instant> {
    campaign.starts_at.or_else(|| state.and_then(|state| state.first_live_at))
}

/// Every segment file, by the name of the file without its ending.
fn compile_segments(files: &Files, settings: &Settings, problems: &mut Vec<Problem>) -> Segments {
    let mut read = BTreeMap::new();
    for (path, text) in &files.segments {
        let file = settings.segments.join(path).display().to_string();
        let name = path.trim_end_matches(".yaml").trim_end_matches(".yml").to_owned();
        let audience = Audience::parse_segment(&file, text, settings.brand.timezone).unwrap_or_else(|found| {
            problems.extend(found.0);
            Audience::everybody()
        });
        read.insert(name, (file, audience));
    }
    Segments::new(read, problems)
}
