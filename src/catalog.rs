//! The catalog: campaigns, occasions, templates and provider descriptions as `campaigns apply` stored them,
//! compiled. The store is the truth at run time; files are only read to apply or check them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::document::Problems;
use crate::domain::Instant;
use crate::domain::audience::Audience;
use crate::domain::brand::Brand;
use crate::domain::campaign::{Campaign, Status, Step};
use crate::domain::message::{Channel, Content};
use crate::domain::sms::SmsSize;
use crate::domain::token::TokenKey;
use crate::rendering::headers::Origin;
use crate::rendering::{RenderError, Renderer, Variables};
use crate::store::StoreError;
use crate::store::configuration::CampaignState;
use crate::store::messages::Message;
use crate::transports::sms::Provider;

mod applying;
mod checks;
mod compiling;
pub mod merging;
mod reading;
mod surroundings;
mod wording;

pub use applying::{Version, applied_folder, current_files, note_folder, stored};
pub use reading::Files;
use wording::Wording;

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
    /// Filters in files of their own, with those that they name filled in.
    pub segments: BTreeMap<String, Arc<Audience>>,
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
    #[error(
        "changed both here and in the store: {}\nNothing was applied. `rekindle campaigns diff` shows both; `campaigns \
         pull` brings the store's into the folder, `campaigns apply --ours FILE` takes the folder's",
        .0.join(", ")
    )]
    Conflict(Vec<String>),
    #[error("others change the configuration all the time; try again")]
    Busy,
    #[error("proposal {0} was published or withdrawn meanwhile")]
    Ended(i64),
}

impl Catalog {
    /// What a message of a campaign's step to an address says.
    pub fn content(
        &self,
        campaign: &Campaign,
        step: &Step,
        channel: Channel,
        to: &str,
        variables: &Variables<'_>,
    ) -> Result<Content, RenderError> {
        let wording =
            Wording { renderer: &self.renderer, from: &self.from, routes: &self.brand.sms, providers: &self.providers };
        wording.render(step, channel, campaign.purpose, to, variables)
    }

    /// The same as if this campaign were live.
    pub fn with_live(mut self, campaign: &str) -> Self {
        if let Some(campaign) = self.campaigns.get_mut(campaign) {
            Arc::make_mut(campaign).status = Status::Live;
        }
        self
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

    /// Whether any of a batch's campaigns gives something.
    pub fn gives(&self, batch: &[Message]) -> bool {
        let gives = |campaign: &Arc<Campaign>| campaign.gives();
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
