//! The calls of SMS providers: receipts and messages that came in. What a call says is believed only
//! after `signature` has found it to be the provider's.

use std::sync::Arc;

use secrecy::ExposeSecret;
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use super::{signature, sms};
use crate::catalog::{Catalog, CatalogError};
use crate::clock::Clock;
use crate::settings::Settings;
use crate::store::{Store, StoreError};

/// An HTTP request to `/hooks/{provider}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    pub method: String,
    /// The public URL with its query, as the provider called it.
    pub url: String,
    pub headers: Vec<(String, String)>,
    /// Behind the URL's question mark.
    pub query: String,
    pub body: Vec<u8>,
}

/// The HTTP response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub body: String,
}

impl Call {
    /// A header's value, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Names and values of a query or form.
    pub fn pairs(&self, text: &str) -> Vec<(String, String)> {
        form_urlencoded::parse(text.as_bytes()).into_owned().collect()
    }

    /// The fields of a form in the body; none where it is something else.
    pub fn form(&self) -> Vec<(String, String)> {
        let is_form = self
            .header("content-type")
            .is_some_and(|kind| kind.trim().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded"));
        if is_form { form_urlencoded::parse(&self.body).into_owned().collect() } else { Vec::new() }
    }

    /// What it says, as one JSON value: the body's, with the fields of form and query beside those of
    /// an object. The body's own count.
    fn said(&self, with_query: bool) -> Value {
        let mut root = match serde_json::from_slice(&self.body) {
            Ok(list @ Value::Array(_)) => return list,
            Ok(Value::Object(map)) => map,
            _ => Map::new(),
        };
        let query = if with_query { self.pairs(&self.query) } else { Vec::new() };
        for (name, value) in self.form().into_iter().chain(query) {
            root.entry(name).or_insert(Value::String(value));
        }
        Value::Object(root)
    }
}

/// Takes the calls of the configured providers.
pub struct Hooks {
    store: Store,
    clock: Clock,
    settings: Arc<Settings>,
    catalog: Mutex<Option<Arc<Catalog>>>,
}

impl Hooks {
    pub fn new(store: Store, clock: Clock, settings: Arc<Settings>) -> Self {
        Self { store, clock, settings, catalog: Mutex::new(None) }
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
        let Some(configured) = settings.provider(name) else {
            return Ok(answer(404, "there is no such provider"));
        };
        let catalog = self.current().await?;
        let nobody = || answer(404, "this provider calls no webhook");
        let Some(provider) = catalog.providers.get(name) else { return Ok(nobody()) };
        let Some(webhook) = &provider.webhook else { return Ok(nobody()) };
        let secret = configured.credentials.iter().find(|(own, _)| *own == webhook.secret);
        let secret = secret.filter(|(_, secret)| !secret.expose_secret().is_empty());
        let Some((_, secret)) = secret else { return Ok(nobody()) };
        let now = self.clock.now();
        if !signature::is_genuine(webhook.auth, secret.expose_secret(), call, now) {
            tracing::warn!(provider = name, "a webhook call without a right signature or key");
            return Ok(answer(403, "the signature is not right"));
        }
        let said = call.said(signature::covers_query(webhook.auth, call));
        if let Some((receipts, received)) = webhook.read(&said, &provider.delivery) {
            let heard = sms::Heard { provider, settings, brand: &catalog.brand, clock: &self.clock };
            self.record(&heard, &receipts, &received).await?;
        }
        Ok(answer(200, &webhook.answer))
    }

    async fn record(
        &self,
        heard: &sms::Heard<'_>,
        receipts: &[crate::senders::sms::Receipted],
        received: &[crate::senders::sms::Received],
    ) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        heard.receipts(&mut tx, receipts).await?;
        heard.received(&mut tx, received).await?;
        tx.commit().await
    }

    async fn current(&self) -> Result<Arc<Catalog>, CatalogError> {
        let mut known = self.catalog.lock().await;
        let mut tx = self.store.read().await?;
        let catalog = Catalog::current(&mut tx, &self.settings, known.as_ref()).await?;
        tx.commit().await?;
        *known = Some(Arc::clone(&catalog));
        Ok(catalog)
    }
}

fn answer(status: u16, body: &str) -> Answer {
    Answer { status, content_type: "text/plain; charset=utf-8", body: body.to_owned() }
}
