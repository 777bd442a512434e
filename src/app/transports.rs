//! The senders that the settings name.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{App, AppError, Pulse};
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::delivery::SenderRole;
use crate::domain::host::is_loopback;
use crate::domain::message::{Channel, Purpose};
use crate::queue::Queue;
use crate::settings::{self, Encryption, Settings};
use crate::transports::SenderFactory;
use crate::transports::capture::CaptureFactory;
use crate::transports::dkim::Signer;
use crate::transports::pool::{Pool, Server};
use crate::transports::sms::{SmsFactory, SmsOptions};
use crate::transports::smtp::{SmtpFactory, SmtpOptions, Tls};

impl App {
    /// Starts a sender of each channel, until `shutdown`. `single_pass`: somebody waits for the queue to be
    /// empty.
    pub(super) fn start_senders(
        &self,
        queue: &Arc<dyn Queue>,
        catalog: &Catalog,
        pulse: &Pulse,
        single_pass: bool,
        shutdown: &CancellationToken,
    ) -> Result<Vec<JoinHandle<()>>, AppError> {
        let (email, sms) = factories(&self.settings, catalog)?;
        let start = |channel, factory| {
            let role = SenderRole {
                store: self.store.clone(),
                queue: Arc::clone(queue),
                clock: self.clock.clone(),
                settings: Arc::clone(&self.settings),
                channel,
                factory,
                single_pass,
                progress: Arc::clone(&pulse.progress),
                recorded: Arc::clone(&pulse.recorded),
            };
            tokio::spawn(role.run(shutdown.clone()))
        };
        Ok(vec![start(Channel::Email, email), start(Channel::Sms, sms)])
    }
}

/// The senders of e-mail and of SMS.
pub type Factories = (Arc<dyn SenderFactory>, Arc<dyn SenderFactory>);

/// The senders of both channels, as the settings say.
pub fn factories(settings: &Settings, catalog: &Catalog) -> Result<Factories, AppError> {
    let capture = CaptureFactory::new(&settings.outbox, settings.sms.lines.clone(), 4);
    let email: Arc<dyn SenderFactory> =
        if settings.email.smtp.is_empty() { Arc::new(capture.clone()) } else { Arc::new(mail_servers(settings)?) };
    let sms: Arc<dyn SenderFactory> = if settings.sms.providers.is_empty() {
        Arc::new(capture)
    } else {
        let redirect = settings.redirect_all_to.as_ref();
        if redirect.is_some_and(|redirect| !settings.brand.sms.cover(&redirect.phone)) {
            return Err(AppError::Refused(
                "redirect_all_to.phone is a number that no provider of sms.sender is for; write another, or add its \
                 beginning to the prefixes of one"
                    .to_owned(),
            ));
        }
        Arc::new(sms_pool(settings, sms_factories(settings, catalog)?))
    };
    Ok((email, sms))
}

/// The keys that sign mail, read from their files.
pub fn signers(settings: &Settings) -> Result<Vec<Signer>, AppError> {
    let read = |key: &settings::Dkim| {
        let refused = |reason: String| {
            AppError::Refused(format!("email.dkim: the key `{}` in {}: {reason}", key.selector, key.key.display()))
        };
        let pem = std::fs::read(&key.key).map_err(|error| refused(error.to_string()))?;
        Signer::from_pem(&key.domain, &key.selector, &pem).map_err(|error| refused(error.to_string()))
    };
    settings.email.dkim.iter().map(read).collect()
}

fn mail_servers(settings: &Settings) -> Result<Pool, AppError> {
    let signers = Arc::new(signers(settings)?);
    let several = settings.email.smtp.len() > 1;
    let server = |smtp: &settings::Smtp| {
        let mut options = SmtpOptions::new(smtp.host.clone(), smtp.port);
        if several {
            options.name = format!("smtp {}:{}", smtp.host, smtp.port);
        }
        options.tls = match smtp.tls {
            Encryption::None => Tls::None,
            Encryption::Starttls => Tls::Starttls,
            Encryption::Implicit => Tls::Implicit,
        };
        options.ca_file.clone_from(&smtp.ca_file);
        options.username.clone_from(&smtp.username);
        options.password.clone_from(&smtp.password);
        options.connections = smtp.connections;
        options.signers = Arc::clone(&signers);
        let factory = Arc::new(SmtpFactory::new(options)?);
        Ok::<_, AppError>(Server { factory, weight: smtp.weight, rate: smtp.rate, prefixes: Vec::new() })
    };
    let servers: Vec<Server> = settings.email.smtp.iter().map(server).collect::<Result<_, _>>()?;
    Ok(Pool::new("smtp", servers))
}

/// Each SMS provider of the settings; none where SMS are captured.
pub(super) fn sms_factories(settings: &Settings, catalog: &Catalog) -> Result<Vec<SmsFactory>, AppError> {
    let mut factories = Vec::new();
    for configured in &settings.sms.providers {
        let name = &configured.name;
        let Some(provider) = catalog.providers.get(name) else {
            let known: Vec<&str> = catalog.providers.keys().map(String::as_str).collect();
            return Err(AppError::Refused(format!(
                "sms.sender is `{name}`, and no provider has that name; {}",
                crate::document::expected(name, &known)
            )));
        };
        let options = SmsOptions {
            base_url: configured.base_url.clone(),
            credentials: configured.credentials.iter().cloned().collect(),
            lines: configured.lines.clone(),
            public_url: settings.brand.base_url.clone(),
            connections: configured.connections,
            ..SmsOptions::default()
        };
        let factory = SmsFactory::new(provider.clone(), options)?;
        for purpose in Purpose::ALL {
            let needed = catalog
                .campaigns
                .values()
                .any(|campaign| campaign.purpose == *purpose && campaign.channels.contains(&Channel::Sms));
            if needed && !factory.has_line(*purpose) {
                return Err(AppError::Refused(format!(
                    "campaigns send {purpose} SMS, and sms.lines has no line for {purpose}; add {{ number: \"…\", purpose: {purpose} }}"
                )));
            }
        }
        factories.push(factory);
    }
    Ok(factories)
}

/// The providers as one sender.
pub(super) fn sms_pool(settings: &Settings, factories: Vec<SmsFactory>) -> Pool {
    let servers = settings.sms.providers.iter().zip(factories).map(|(configured, factory)| {
        let (factory, prefixes) = (Arc::new(factory), configured.prefixes.clone());
        Server { factory, weight: configured.weight, rate: configured.rate, prefixes }
    });
    let names: Vec<&str> = settings.sms.providers.iter().map(|provider| provider.name.as_str()).collect();
    Pool::new(names.join(", "), servers.collect())
}

/// A clock that is not the machine's must not make a real server send.
pub(super) fn refuse_simulated_sending(settings: &Settings, clock: &Clock) -> Result<(), AppError> {
    if !clock.is_simulated() {
        return Ok(());
    }
    let elsewhere = settings.email.smtp.iter().any(|smtp| !is_loopback(&smtp.host));
    let is_local = |url: &str| {
        url.split_once("://").is_some_and(|(_, rest)| {
            let host = rest.split('/').next().unwrap_or_default();
            is_loopback(host.rsplit_once(':').map_or(host, |(host, _)| host))
        })
    };
    let provider = settings.sms.providers.iter().any(|provider| !provider.base_url.as_deref().is_some_and(is_local));
    if elsewhere || provider {
        return Err(AppError::Refused(
            "a simulated clock (--at, --from) only sends to capture or to this machine; set both senders to capture"
                .to_owned(),
        ));
    }
    Ok(())
}
