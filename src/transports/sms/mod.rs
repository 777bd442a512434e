//! SMS through a provider's HTTP API. A provider is a description (`description`); `request` makes
//! the call, `reply` judges the answer. Secrets may be part of the URL, so no error of the HTTP
//! library is ever shown as it is.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::{Client, Response, Url, redirect};
use secrecy::{ExposeSecret, SecretString};

use crate::domain::host::is_loopback;
use crate::domain::message::{Envelope, Purpose, Reason};
use crate::domain::sms::{Line, line_for};
use crate::transports::{AWAY, Outcome, Sender, SenderFactory};

mod ask;
mod description;
mod fields;
mod heard;
mod operation;
mod reading;
mod reply;
mod request;
mod template;
#[cfg(test)]
mod tests;

pub use ask::Found;
pub use description::{Codes, Meaning, Provider, Reply, Source, Then};
pub use fields::{Field, ValueRule};
pub use heard::{Ask, Auth, Delivery, Inbound, Poll, Receipt, Receipted, Received, Statuses, Webhook};
pub use operation::{Body, Method, Operation};
pub use request::reference;
pub use template::Template;

/// No provider says more in one answer.
const ANSWER_LIMIT: usize = 64 * 1024;

/// What the settings add to a provider's description.
#[derive(Debug, Clone)]
pub struct SmsOptions {
    /// In place of the description's: for staging and for a test double.
    pub base_url: Option<String>,
    /// By the names that the description gives them.
    pub credentials: BTreeMap<String, SecretString>,
    /// The first one for a message's purpose is used.
    pub lines: Vec<Line>,
    /// The beginning of the web role's public URLs, under which the provider reports to us.
    pub public_url: String,
    /// How many calls may be under way at once.
    pub connections: usize,
    /// The most that one send may take; connecting may take half of it.
    pub timeout: Duration,
}

impl Default for SmsOptions {
    /// No credentials, no lines, eight calls at a time, 20 seconds each.
    fn default() -> Self {
        Self {
            base_url: None,
            credentials: BTreeMap::new(),
            lines: Vec::new(),
            public_url: String::new(),
            connections: 8,
            timeout: Duration::from_secs(20),
        }
    }
}

/// Why a description and the settings do not fit each other.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SmsError {
    #[error("the provider `{provider}` needs the credential `{name}`: add it to `sms.credentials`")]
    CredentialMissing { provider: String, name: String },
    #[error("in `sms.credentials`: {0}")]
    CredentialUnknown(String),
    #[error("the base URL of `{provider}` is not an http(s) address: {error}")]
    BaseUrl { provider: String, error: String },
    #[error("the base URL of `{provider}` leads to another machine without TLS: write https://")]
    InTheClear { provider: String },
    #[error("the credential `{name}` of `{provider}` stands in a URL: write 16 or more letters, digits, - and _")]
    WebhookKey { provider: String, name: String },
    #[error("cannot set up HTTP: {0}")]
    Client(String),
}

/// Opens senders for one provider; they share its connections.
#[derive(Clone)]
pub struct SmsFactory(Arc<Shared>);

struct Shared {
    provider: Provider,
    options: SmsOptions,
    base_url: String,
    local: bool,
    /// Where the provider reports to.
    webhook: Option<String>,
    client: Client,
}

impl SmsFactory {
    /// Checks that description and settings fit. The process's rustls provider must be installed.
    pub fn new(provider: Provider, options: SmsOptions) -> Result<Self, SmsError> {
        for name in &provider.credentials {
            if !options.credentials.contains_key(name) {
                return Err(SmsError::CredentialMissing { provider: provider.name, name: name.clone() });
            }
        }
        let secret = provider.webhook.iter().map(|webhook| &webhook.secret);
        let mut known: Vec<&str> = provider.credentials.iter().chain(secret).map(String::as_str).collect();
        known.dedup();
        if let Some(name) = options.credentials.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(SmsError::CredentialUnknown(reading::not_known("credential", name, &known)));
        }
        let base_url = options.base_url.as_deref().unwrap_or(&provider.base_url).trim_end_matches('/').to_owned();
        let bad = |error: String| SmsError::BaseUrl { provider: provider.name.clone(), error };
        let url = Url::parse(&base_url).map_err(|error| bad(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad(format!("`{}` is another protocol", url.scheme())));
        }
        let local = is_local(&url);
        if is_in_the_clear(&base_url) {
            return Err(SmsError::InTheClear { provider: provider.name });
        }
        let webhook = webhook(&provider, &options, local)?;
        let mut client = Client::builder()
            .timeout(options.timeout)
            .connect_timeout(options.timeout / 2)
            // A redirect would carry the key to another place, and is not an answer anyway.
            .redirect(redirect::Policy::none());
        if local {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| SmsError::Client(cause(&error)))?;
        Ok(Self(Arc::new(Shared { provider, options, base_url, local, webhook, client })))
    }

    /// Whether messages of this purpose can be sent as a text: the provider may want a line for it.
    pub fn has_line(&self, purpose: Purpose) -> bool {
        let wanted = self.0.provider.text.as_ref().is_some_and(Operation::names_line);
        !wanted || line_for(&self.0.options.lines, purpose).is_some()
    }
}

impl SenderFactory for SmsFactory {
    fn name(&self) -> &str {
        &self.0.provider.name
    }

    fn connections(&self) -> usize {
        self.0.options.connections
    }

    fn is_local(&self) -> bool {
        self.0.local
    }

    fn open(&self) -> Box<dyn Sender> {
        Box::new(SmsSender(Arc::clone(&self.0)))
    }
}

struct SmsSender(Arc<Shared>);

impl Sender for SmsSender {
    fn name(&self) -> &str {
        &self.0.provider.name
    }

    fn send<'a>(&'a mut self, envelope: &'a Envelope) -> BoxFuture<'a, Outcome> {
        Box::pin(self.0.send(envelope))
    }

    fn traceable(&self, envelope: &Envelope) -> bool {
        request::operation(&self.0.provider, &envelope.content).is_ok_and(Operation::names_reference)
    }

    /// The connections belong to the factory and close when they have been idle.
    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

impl Shared {
    async fn send(&self, envelope: &Envelope) -> Outcome {
        let unbuildable = |reply| Outcome::Rejected { reason: Reason::Unbuildable, reply, suppress: false };
        let operation = match request::operation(&self.provider, &envelope.content) {
            Ok(operation) => operation,
            Err(why) => return unbuildable(why),
        };
        let request = match request::build(&self.client, &self.provider, operation, &self.account(), envelope) {
            Ok(request) => request,
            Err(why) => return unbuildable(why),
        };
        let answer = match self.client.execute(request).await {
            Ok(answer) => answer,
            Err(error) if error.is_connect() => {
                let reply = format!("cannot reach the provider: {}", self.without_secrets(&cause(&error)));
                return Outcome::Pause { reply, pause: AWAY };
            }
            Err(error) => return self.lost(operation, &error),
        };
        let status = answer.status().as_u16();
        match body(answer).await {
            Ok(body) => reply::judge(&self.provider, envelope.purpose, operation.idempotent, status, &body),
            Err(error) => self.lost(operation, &error),
        }
    }

    fn account(&self) -> request::Account<'_> {
        request::Account {
            base_url: &self.base_url,
            credentials: &self.options.credentials,
            lines: &self.options.lines,
            webhook: self.webhook.as_deref(),
        }
    }

    /// The request is out, an answer did not come.
    fn lost(&self, operation: &Operation, error: &reqwest::Error) -> Outcome {
        let why = match error.is_timeout() {
            true => format!("no answer within {} ms", self.options.timeout.as_millis()),
            false => format!("the answer was lost: {}", self.without_secrets(&cause(error))),
        };
        reply::lost(operation.idempotent, &why)
    }

    /// A second guard: whatever a library says, no credential leaves in it.
    fn without_secrets(&self, text: &str) -> String {
        let secrets =
            self.options.credentials.values().map(ExposeSecret::expose_secret).filter(|secret| !secret.is_empty());
        secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}

fn is_local(url: &Url) -> bool {
    url.host_str().is_some_and(is_loopback)
}

/// Whether a URL, or a template that begins like one, leads to another machine without TLS.
fn is_in_the_clear(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.scheme() == "http" && !is_local(&url))
}

/// The URL under which the provider reports to us; none where nobody could prove that it does, or
/// where it could not reach it.
fn webhook(provider: &Provider, options: &SmsOptions, local: bool) -> Result<Option<String>, SmsError> {
    let Some(webhook) = &provider.webhook else { return Ok(None) };
    let secret = options.credentials.get(&webhook.secret).filter(|secret| !secret.expose_secret().is_empty());
    let Some(secret) = secret else { return Ok(None) };
    let url = format!("{}/hooks/{}", options.public_url.trim_end_matches('/'), provider.name);
    if Url::parse(&url).map_or(true, |url| is_local(&url) && !local) {
        return Ok(None);
    }
    if webhook.auth != Auth::Key {
        return Ok(Some(url));
    }
    let key = secret.expose_secret();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if key.len() < 16 || !key.chars().all(plain) {
        return Err(SmsError::WebhookKey { provider: provider.name.clone(), name: webhook.secret.clone() });
    }
    Ok(Some(format!("{url}?key={key}")))
}

/// At most [`ANSWER_LIMIT`] octets; what is longer is cut and then not understood.
async fn body(mut answer: Response) -> reqwest::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_LIMIT {
            break;
        }
    }
    Ok(body)
}

/// The innermost cause: the outer ones repeat the URL.
fn cause(error: &reqwest::Error) -> String {
    let mut source = error.source();
    while let Some(inner) = source.and_then(std::error::Error::source) {
        source = Some(inner);
    }
    source.map_or_else(|| "the request failed".to_owned(), ToString::to_string)
}
