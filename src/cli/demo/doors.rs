//! The doors by which the year's members and their mail servers answer: the web role's pages, the reader of mails that
//! come back, and receipts of SMS. Only the network is left out.

use std::net::Ipv4Addr;
use std::sync::Arc;

use uuid::Uuid;

use super::behaviour::Act;
use crate::app::{App, Pages};
use crate::catalog::Catalog;
use crate::cli::Result;
use crate::domain::Instant;
use crate::domain::token::TokenUse;
use crate::inbound::bounces::ingest::ingest;
use crate::inbound::sms::Heard;
use crate::rendering::links;
use crate::store::events;
use crate::transports::sms::{Delivery, Provider, Receipted};

/// What loads the picture of a mail: a person's mail program, or Apple's proxies, which load all of them
/// when a mail comes.
const PERSON: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.4.0";
const PROXY: &str = "Mozilla/5.0";

/// The doors of an app.
pub(super) struct Doors<'a> {
    app: &'a App,
    catalog: Arc<Catalog>,
    pages: Pages,
    /// Whose words receipts are in, under the name of the sender that writes to the outbox.
    provider: Option<Provider>,
}

impl<'a> Doors<'a> {
    pub async fn open(app: &'a App) -> Result<Self> {
        let catalog = app.applied(None).await?;
        let has_receipts = |provider: &&Provider| status(provider, Delivery::Delivered).is_some();
        let provider = catalog.providers.values().find(has_receipts).cloned();
        let provider = provider.map(|provider| Provider { name: "capture".to_owned(), ..provider });
        Ok(Self { pages: app.pages().await?, catalog, provider, app })
    }

    /// Does about a message what is done through a door, at an instant. To buy is none of them: orders come with
    /// the shop's files.
    pub async fn act(&self, act: Act, message: Uuid, at: Instant) -> Result {
        self.app.clock.set(at);
        let (tokens, base_url) = (&self.catalog.tokens, &self.app.settings.brand.base_url);
        match act {
            Act::Buys => Ok(()),
            Act::Prefetches => {
                self.ask("GET", &format!("/o/{}", tokens.token(TokenUse::Open, message)), message, PROXY).await
            }
            Act::Opens => {
                self.ask("GET", &format!("/o/{}", tokens.token(TokenUse::Open, message)), message, PERSON).await
            }
            Act::Clicks => {
                let url = links::click_url(base_url, tokens, message, base_url);
                self.ask("GET", url.strip_prefix(base_url.as_str()).unwrap_or(&url), message, PERSON).await
            }
            Act::Unsubscribes => {
                self.ask("POST", &format!("/u/{}", tokens.token(TokenUse::Unsubscribe, message)), message, PERSON).await
            }
            Act::Bounces | Act::Complains => self.mail(act, message, at).await,
            Act::Delivered => self.receipt(Delivery::Delivered, message).await,
            Act::Undelivered => self.receipt(Delivery::Undelivered, message).await,
        }
    }

    /// Each message's recipient sits in a network of their own.
    async fn ask(&self, method: &str, path: &str, message: Uuid, agent: &str) -> Result {
        let [.., second, third, last] = *message.as_bytes();
        Ok(self.pages.ask(method, path, Ipv4Addr::new(10, second, third, last), agent).await?)
    }

    /// A mail that comes back to the message's own return path.
    async fn mail(&self, act: Act, message: Uuid, at: Instant) -> Result {
        let mut tx = self.app.store.read().await?;
        let about = events::about(&mut tx, message, None).await?;
        tx.commit().await?;
        let Some(address) = about.and_then(|about| about.address) else { return Ok(()) };
        let token = self.catalog.tokens.token(TokenUse::Return, message);
        let to = format!("bounces+{token}@shop.example");
        let text = if act == Act::Bounces { returned(&to, &address, at) } else { reported(&to, &address, at) };
        ingest(&self.app.store, text.as_bytes(), Some(&to), at).await?;
        Ok(())
    }

    /// A receipt of an SMS, as the provider writes it.
    async fn receipt(&self, meaning: Delivery, message: Uuid) -> Result {
        let Some(provider) = &self.provider else { return Ok(()) };
        let Some(status) = status(provider, meaning) else { return Ok(()) };
        let (settings, clock) = (&self.app.settings, &self.app.clock);
        let heard = Heard { provider, settings: &settings.sms, brand: &settings.brand, clock };
        let receipt = Receipted { reference: None, message: Some(message.to_string()), status: status.to_owned() };
        let mut tx = self.app.store.begin().await?;
        heard.receipts(&mut tx, &[receipt]).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// The first status of a provider that means this.
fn status(provider: &Provider, meaning: Delivery) -> Option<&str> {
    provider.delivery.iter().find(|(_, known)| *known == meaning).map(|(status, _)| status.as_str())
}

/// A delivery status notification (RFC 3464): nobody has that address.
fn returned(to: &str, address: &str, at: Instant) -> String {
    let date = at.to_rfc2822();
    [
        &format!("Date: {date}"),
        "From: Mail Delivery System <MAILER-DAEMON@mx.example.com>",
        &format!("To: {to}"),
        "Subject: Undelivered Mail Returned to Sender",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        "Content-Type: multipart/report; report-type=delivery-status; boundary=\"dsn\"",
        "",
        "--dsn",
        "Content-Type: text/plain; charset=us-ascii",
        "",
        "This is the mail system at host mx.example.com.",
        &format!("<{address}>: 550 5.1.1 User unknown"),
        "",
        "--dsn",
        "Content-Type: message/delivery-status",
        "",
        "Reporting-MTA: dns; mx.example.com",
        "",
        &format!("Final-Recipient: rfc822; {address}"),
        "Action: failed",
        "Status: 5.1.1",
        "Diagnostic-Code: smtp; 550 5.1.1 User unknown",
        "",
        "--dsn--",
        "",
    ]
    .join("\r\n")
}

/// A feedback report (RFC 5965): the mail was called spam.
fn reported(to: &str, address: &str, at: Instant) -> String {
    let date = at.to_rfc2822();
    [
        &format!("Date: {date}"),
        "From: Feedback <fbl@mx.example.com>",
        &format!("To: {to}"),
        "Subject: FW: a message from you",
        "MIME-Version: 1.0",
        "Content-Type: multipart/report; report-type=feedback-report; boundary=\"arf\"",
        "",
        "--arf",
        "Content-Type: text/plain; charset=us-ascii",
        "",
        "This is an email abuse report.",
        "",
        "--arf",
        "Content-Type: message/feedback-report",
        "",
        "Feedback-Type: abuse",
        "User-Agent: Example/1.0",
        "Version: 1",
        &format!("Original-Rcpt-To: {address}"),
        "",
        "--arf",
        "Content-Type: text/rfc822-headers",
        "",
        &format!("To: {address}"),
        "",
        "--arf--",
        "",
    ]
    .join("\r\n")
}
