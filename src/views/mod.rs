//! What people look at, computed once for whoever shows it: data without formatting.

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::document::expected;
use crate::domain::campaign::Campaign;
use crate::domain::member::Member;
use crate::rendering::RenderError;
use crate::store::{StoreError, Tx, members};

pub mod audience;
pub mod explain;
pub mod forecast;
pub mod occasions;
pub mod plan;
pub mod preview;
pub mod status;
pub mod versions;

/// Why there is nothing to look at.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("there is no member `{0}`")]
    NoMember(String),
    /// The hint names those that there are.
    #[error("there is no campaign `{name}`; {hint}")]
    NoCampaign { name: String, hint: String },
    #[error("{campaign} has no step `{step}`; {hint}")]
    NoStep { campaign: String, step: String, hint: String },
    #[error("step `{step}` has no variant `{variant}`; {hint}")]
    NoVariant { step: String, variant: String, hint: String },
    /// What is wrong with the address that a test message should go to.
    #[error("{0}")]
    BadAddress(String),
    #[error(transparent)]
    Render(#[from] RenderError),
}

/// The campaign of a name.
pub fn campaign<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Arc<Campaign>, ViewError> {
    catalog.campaigns.get(name).ok_or_else(|| {
        let known: Vec<&str> = catalog.campaigns.keys().map(String::as_str).collect();
        ViewError::NoCampaign { name: name.to_owned(), hint: expected(name, &known) }
    })
}

/// The member of an external id, or of another name.
async fn member(tx: &mut Tx, id: &str) -> Result<Member, ViewError> {
    members::by_external_id(tx, id).await?.ok_or_else(|| ViewError::NoMember(id.to_owned()))
}
