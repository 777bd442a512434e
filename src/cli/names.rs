//! Names that were given on the command line, held against those that there are.

use super::{CommandError, Result};
use crate::app::App;
use crate::document::expected;
use crate::store::{Tx, configuration, members};

/// A name that nobody has is no name of which nothing is listed.
pub(super) async fn known(app: &App, tx: &mut Tx, campaign: Option<&str>, member: Option<&str>) -> Result {
    if let Some(name) = campaign {
        let mut names: Vec<String> = configuration::states(tx).await?.into_keys().collect();
        if let Ok(catalog) = app.catalog().await {
            names.extend(catalog.campaigns.keys().cloned());
        }
        if !names.iter().any(|known| known == name) {
            names.sort();
            names.dedup();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let hint = if names.is_empty() { "none was applied yet".to_owned() } else { expected(name, &names) };
            return Err(CommandError::Other(format!("there is no campaign `{name}`; {hint}")));
        }
    }
    match member {
        Some(id) if members::by_external_id(tx, id).await?.is_none() => {
            Err(CommandError::Other(format!("there is no member `{id}`")))
        }
        _ => Ok(()),
    }
}
