//! `check`.

use super::output::{self, complain};
use super::{CommandError, Result, Session};
use crate::app::factories;
use crate::catalog::{Catalog, Files};

pub(super) async fn execute(session: &Session) -> Result {
    let settings = session.settings()?;
    let files = Files::read(&settings)?;
    let catalog = match Catalog::compile(&files, &settings) {
        Ok(catalog) => catalog,
        Err(problems) => {
            complain(&problems.to_string());
            let count = problems.0.len();
            complain(&format!("\n{count} problem{} found", if count == 1 { "" } else { "s" }));
            return Err(CommandError::Silent);
        }
    };
    factories(&settings, &catalog)?;
    output::say(&format!(
        "All good: {} campaigns, {} templates, {} providers.",
        catalog.campaigns.len(),
        files.templates.len(),
        catalog.providers.len()
    ))
}
