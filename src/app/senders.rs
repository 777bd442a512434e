//! The senders that the settings name.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{App, AppError, Pulse};
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::domain::message::{Channel, Purpose};
use crate::queue::Queue;
use crate::sender::SenderRole;
use crate::senders::SenderFactory;
use crate::senders::capture::CaptureFactory;
use crate::senders::sms::{SmsFactory, SmsOptions};
use crate::senders::smtp::{SmtpFactory, SmtpOptions, Tls};
use crate::settings::Settings;

impl App {
    /// Starts a sender of each channel, until `shutdown`.
    pub(super) fn start_senders(
        &self,
        queue: &Arc<dyn Queue>,
        catalog: &Catalog,
        pulse: &Pulse,
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
    let email: Arc<dyn SenderFactory> = match &settings.email.smtp {
        None => Arc::new(capture.clone()),
        Some(smtp) => {
            let mut options = SmtpOptions::new(smtp.host.clone(), smtp.port);
            options.tls = if smtp.starttls { Tls::Starttls } else { Tls::None };
            options.ca_file.clone_from(&smtp.ca_file);
            options.username.clone_from(&smtp.username);
            options.password.clone_from(&smtp.password);
            options.connections = smtp.connections;
            Arc::new(SmtpFactory::new(options)?)
        }
    };
    let sms: Arc<dyn SenderFactory> = match sms_factory(settings, catalog)? {
        None => Arc::new(capture),
        Some(factory) => Arc::new(factory),
    };
    Ok((email, sms))
}

/// The SMS provider that the settings name; none where SMS are captured.
pub(super) fn sms_factory(settings: &Settings, catalog: &Catalog) -> Result<Option<SmsFactory>, AppError> {
    let Some(name) = &settings.sms.provider else { return Ok(None) };
    let Some(provider) = catalog.providers.get(name) else {
        let known: Vec<&str> = catalog.providers.keys().map(String::as_str).collect();
        return Err(AppError::Refused(format!(
            "sms.sender is `{name}`, and no provider has that name; {}",
            crate::document::expected(name, &known)
        )));
    };
    let options = SmsOptions {
        base_url: settings.sms.base_url.clone(),
        credentials: settings.sms.credentials.iter().cloned().collect(),
        lines: settings.sms.lines.clone(),
        public_url: settings.brand.base_url.clone(),
        connections: settings.sms.connections,
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
    Ok(Some(factory))
}

/// A clock that is not the machine's must not make a real server send.
pub(super) fn refuse_simulated_sending(settings: &Settings, clock: &Clock) -> Result<(), AppError> {
    if !clock.is_simulated() {
        return Ok(());
    }
    let elsewhere = settings.email.smtp.as_ref().is_some_and(|smtp| !crate::settings::is_loopback(&smtp.host));
    let provider = settings.sms.provider.is_some()
        && !settings.sms.base_url.as_deref().is_some_and(|url| {
            url.split_once("://").is_some_and(|(_, rest)| {
                let host = rest.split('/').next().unwrap_or_default();
                crate::settings::is_loopback(host.rsplit_once(':').map_or(host, |(host, _)| host))
            })
        });
    if elsewhere || provider {
        return Err(AppError::Refused(
            "a simulated clock (--at, --from) only sends to capture or to this machine; set both senders to capture"
                .to_owned(),
        ));
    }
    Ok(())
}
