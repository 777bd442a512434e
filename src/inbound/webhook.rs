//! The calls of SMS providers: receipts and messages that came in. What a call says is believed only
//! after `signature` has found it to be the provider's.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use metrics::counter;
use secrecy::ExposeSecret;
use tokio::sync::Mutex;
use tokio::time::Instant;

pub use super::call::Call;
use super::{signature, sms};
use crate::catalog::{Catalog, CatalogError};
use crate::clock::Clock;
use crate::settings::Settings;
use crate::store::{Store, StoreError};
use crate::transports::sms::{Provider, Webhook};

/// A call is held against the providers' files as they were this long ago at most, so that forged ones cost
/// the store nothing.
const FRESH: Duration = Duration::from_secs(10);

/// How often the log says that calls of a provider were not believed.
const WARNED: Duration = Duration::from_secs(60);

/// The HTTP response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub body: String,
}

/// Takes the calls of the configured providers.
pub struct Hooks {
    store: Store,
    clock: Clock,
    settings: Arc<Settings>,
    catalog: Mutex<Option<(Instant, Arc<Catalog>)>>,
    /// By provider: when the log last said that calls were not believed, and how many there were since.
    refused: std::sync::Mutex<BTreeMap<String, (Option<Instant>, u64)>>,
}

impl Hooks {
    pub fn new(store: Store, clock: Clock, settings: Arc<Settings>) -> Self {
        Self { store, clock, settings, catalog: Mutex::new(None), refused: std::sync::Mutex::default() }
    }

    /// Takes one call. 404: no such provider here; 403: not the provider's; 503: try again; else 200,
    /// also for what is of no interest. Taking one twice, or in another order, changes nothing.
    pub async fn receive(&self, provider: &str, call: Call) -> Answer {
        match self.take(provider, &call).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::error!(provider, %error, "a webhook call could not be recorded; the provider will repeat it");
                answer(503, "try again")
            }
        }
    }

    async fn take(&self, name: &str, call: &Call) -> Result<Answer, CatalogError> {
        let settings = &self.settings.sms;
        if settings.provider(name).is_none() {
            return Ok(answer(404, "there is no such provider"));
        }
        // First by what is known already: a forged call costs the store nothing.
        let recent = self.recent().await?;
        if let Err(refused) = self.believe(&recent, name, call) {
            return Ok(refused);
        }
        let catalog = self.current().await?;
        let (provider, webhook) = match self.believe(&catalog, name, call) {
            Ok(found) => found,
            Err(refused) => return Ok(refused),
        };
        let said = call.said(signature::covers_query(webhook.auth, call));
        if let Some((receipts, received)) = webhook.read(&said, &provider.delivery) {
            let heard = sms::Heard { provider, settings, brand: &catalog.brand, clock: &self.clock };
            self.record(&heard, &receipts, &received).await?;
        }
        Ok(answer(200, &webhook.answer))
    }

    /// The provider that a call is genuinely from, and how it calls; else the answer.
    fn believe<'a>(
        &self,
        catalog: &'a Catalog,
        name: &str,
        call: &Call,
    ) -> Result<(&'a Provider, &'a Webhook), Answer> {
        let nobody = || answer(404, "this provider calls no webhook");
        let provider = catalog.providers.get(name).ok_or_else(nobody)?;
        let webhook = provider.webhook.as_ref().ok_or_else(nobody)?;
        let configured = self.settings.sms.provider(name).ok_or_else(nobody)?;
        let secret = configured.credentials.iter().find(|(own, _)| *own == webhook.secret);
        let secret = secret.map(|(_, secret)| secret.expose_secret()).filter(|secret| !secret.is_empty());
        if signature::is_genuine(webhook.auth, secret.ok_or_else(nobody)?, call, self.clock.now()) {
            return Ok((provider, webhook));
        }
        self.refused(name);
        Err(answer(403, "the signature is not right"))
    }

    /// Counts a call that is not believed; the log says so once in a while, whoever calls how often.
    fn refused(&self, name: &str) {
        counter!("rekindle_hook_failures_total", "provider" => name.to_owned()).increment(1);
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let (said, count) = refused.entry(name.to_owned()).or_default();
        *count += 1;
        if said.is_none_or(|said| said.elapsed() >= WARNED) {
            tracing::warn!(provider = name, calls = *count, "webhook calls without a right signature or key");
            (*said, *count) = (Some(Instant::now()), 0);
        }
    }

    async fn record(
        &self,
        heard: &sms::Heard<'_>,
        receipts: &[crate::transports::sms::Receipted],
        received: &[crate::transports::sms::Received],
    ) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        heard.receipts(&mut tx, receipts).await?;
        heard.received(&mut tx, received).await?;
        tx.commit().await
    }

    /// The configuration as it was a moment ago; where the store cannot say more, as it was last.
    async fn recent(&self) -> Result<Arc<Catalog>, CatalogError> {
        let known = self.catalog.lock().await.clone();
        match known {
            Some((at, catalog)) if at.elapsed() < FRESH => Ok(catalog),
            Some((_, catalog)) => Ok(self.current().await.unwrap_or(catalog)),
            None => self.current().await,
        }
    }

    async fn current(&self) -> Result<Arc<Catalog>, CatalogError> {
        let mut known = self.catalog.lock().await;
        let mut tx = self.store.read().await?;
        let before = known.as_ref().map(|(_, catalog)| catalog);
        let catalog = Catalog::current(&mut tx, &self.settings, before).await?;
        tx.commit().await?;
        *known = Some((Instant::now(), Arc::clone(&catalog)));
        Ok(catalog)
    }
}

fn answer(status: u16, body: &str) -> Answer {
    Answer { status, content_type: "text/plain; charset=utf-8", body: body.to_owned() }
}
