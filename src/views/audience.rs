//! How many members are in a campaign's audience, and some of them.

use serde::Serialize;

use super::ViewError;
use crate::catalog::Catalog;
use crate::domain::Instant;
use crate::domain::calendar::rfc3339;
use crate::store::{Store, audience_sql, members};

/// The audience of a campaign at an instant.
#[derive(Debug, Serialize)]
pub struct Counted {
    pub campaign: String,
    pub at: String,
    /// The filter, as it was configured.
    pub audience: String,
    pub members: i64,
    /// How many members there are in all.
    pub of: i64,
    pub sample: Vec<Sampled>,
}

/// One member of the audience.
#[derive(Debug, Serialize)]
pub struct Sampled {
    pub member: String,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
}

/// Counts a campaign's audience at `at`, and takes up to `sample` of its members.
pub async fn count(
    store: &Store,
    catalog: &Catalog,
    name: &str,
    at: Instant,
    sample: u32,
) -> Result<Counted, ViewError> {
    let campaign = super::campaign(catalog, name)?;
    let mut tx = store.read().await?;
    let filter = audience_sql::compile(&mut tx, &campaign.audience, &catalog.brand, at).await?;
    let counted = Counted {
        campaign: name.to_owned(),
        at: rfc3339(at),
        audience: campaign.audience.to_string(),
        members: audience_sql::count(&mut tx, &filter).await?,
        of: members::count(&mut tx).await?,
        sample: audience_sql::sample(&mut tx, &filter, sample.into()).await?.into_iter().map(Sampled::from).collect(),
    };
    tx.commit().await?;
    Ok(counted)
}

impl From<audience_sql::Sampled> for Sampled {
    fn from(member: audience_sql::Sampled) -> Self {
        Self { member: member.external_id, first_name: member.first_name, last_name: member.last_name }
    }
}
