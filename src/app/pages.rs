//! The pages that messages link to, asked within this process: for a demo, whose members have no network.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::{App, AppError};
use crate::web::Web;

/// What is served to the members of an app's store, on its clock.
pub struct Pages(Arc<Web>);

impl App {
    /// The pages as `run` would serve them.
    pub async fn pages(&self) -> Result<Pages, AppError> {
        let web = Web::new(Arc::clone(&self.settings), self.store.clone(), self.clock.clone(), None, None);
        Ok(Pages(web.await?))
    }
}

impl Pages {
    /// Asks for a page from an address, with a program that names itself.
    pub async fn ask(&self, method: &str, path: &str, from: Ipv4Addr, agent: &str) -> Result<(), AppError> {
        match self.0.asked(method, path, from, agent).await {
            Some(200..400) => Ok(()),
            status => Err(AppError::Refused(format!("a page that a message links to answers {status:?}"))),
        }
    }
}
