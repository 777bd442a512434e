//! What a message says in the end: its templates rendered, an SMS as each provider and line that may get
//! it want it.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use crate::domain::campaign::Step;
use crate::domain::message::{Channel, Content, Purpose, SmsWords};
use crate::domain::sms::{Route, Routes, line_for};
use crate::rendering::{RenderError, Renderer, Variables, check_size};
use crate::transports::sms::Provider;

/// Renders contents for the configured senders.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wording<'a> {
    pub renderer: &'a Renderer,
    /// The sender of mails.
    pub from: &'a str,
    pub routes: &'a Routes,
    pub providers: &'a BTreeMap<String, Provider>,
}

/// What a message says through one provider.
pub(super) enum Form {
    Words(SmsWords),
    /// Nothing: the provider or its line does not take it. Another may.
    Refused(RenderError),
}

/// An SMS to one member: its text is rendered once for all providers.
pub(super) struct Sms<'a> {
    wording: Wording<'a>,
    content: &'a str,
    purpose: Purpose,
    variables: &'a Variables<'a>,
    text: OnceCell<Result<String, RenderError>>,
}

impl<'a> Wording<'a> {
    /// The files that a step lacks for a channel. A pattern for a provider stands for a text.
    pub fn missing(&self, step: &Step, channel: Channel) -> Vec<String> {
        let content = &step.content;
        let has_pattern = || self.routes.iter().any(|route| self.renderer.has_pattern(content, name(route)));
        match channel {
            Channel::Sms if has_pattern() => Vec::new(),
            _ => self.renderer.missing(content, step.subject.as_deref(), channel),
        }
    }

    /// What a message to an address says.
    pub fn render(
        &self,
        step: &Step,
        channel: Channel,
        purpose: Purpose,
        to: &str,
        variables: &Variables<'_>,
    ) -> Result<Content, RenderError> {
        let content = &step.content;
        if channel == Channel::Email {
            let mail = self.renderer.mail(content, step.subject.as_deref(), self.from, variables)?;
            check_size(&format!("{content}/email.html"), &mail)?;
            return Ok(mail);
        }
        let sms = self.sms(content, purpose, variables);
        let (mut given, mut refused) = (Vec::new(), None);
        for route in self.routes.of(to) {
            match sms.form(route) {
                Ok(Form::Words(words)) => given.push((route.provider.clone(), words)),
                Ok(Form::Refused(error)) | Err(error) => refused = refused.or(Some(error)),
            }
        }
        if given.is_empty() {
            let nobody = || refusal(format!("{content}/sms.txt"), "no provider of `sms.sender` is for this number");
            return Err(refused.unwrap_or_else(nobody));
        }
        let sms = Content::sms(given);
        check_size(&format!("{content}/sms.txt"), &sms)?;
        Ok(sms)
    }

    /// An SMS, to be given its form for each provider.
    pub fn sms<'s>(&self, content: &'s str, purpose: Purpose, variables: &'s Variables<'s>) -> Sms<'s>
    where
        'a: 's,
    {
        Sms { wording: *self, content, purpose, variables, text: OnceCell::new() }
    }
}

impl Sms<'_> {
    /// What a provider is given: its own pattern where the content has one for it, else the text as it goes
    /// out from the provider's line.
    pub fn form(&self, route: &Route) -> Result<Form, RenderError> {
        let Wording { renderer, providers, .. } = self.wording;
        let provider = providers.get(&route.provider);
        let pattern_file = || format!("{}/sms.pattern.yaml", self.content);
        if let Some(pattern) = renderer.pattern(self.content, name(route), self.variables)? {
            let refused = provider.and_then(|provider| check(provider, &pattern).err());
            return Ok(match refused {
                Some(reason) => Form::Refused(refusal(pattern_file(), reason)),
                None => Form::Words(pattern),
            });
        }
        if !renderer.missing(self.content, None, Channel::Sms).is_empty() {
            let reason = format!("there is no pattern for `{}`, and no sms.txt", route.provider);
            return Ok(Form::Refused(refusal(pattern_file(), reason)));
        }
        if let Some(provider) = provider.filter(|provider| provider.text.is_none()) {
            let reason = format!("`{}` takes patterns only, and there is none for it", provider.name);
            return Ok(Form::Refused(refusal(pattern_file(), reason)));
        }
        let text = self.text.get_or_init(|| renderer.text(self.content, self.variables)).clone()?;
        let finished = line_for(&route.lines, self.purpose).map_or(Ok(text.clone()), |line| line.finish(&text));
        let file = format!("{}/sms.txt", self.content);
        Ok(match finished {
            Ok(text) => match check_size(&file, &Content::text(text.clone())) {
                Ok(()) => Form::Words(SmsWords::Text(text)),
                Err(error) => Form::Refused(error),
            },
            Err(reason) => Form::Refused(refusal(file, reason)),
        })
    }
}

/// The values of a pattern are what the provider takes.
fn check(provider: &Provider, pattern: &SmsWords) -> Result<(), String> {
    let SmsWords::Pattern { values, .. } = pattern else { return Ok(()) };
    match &provider.pattern {
        Some(call) => call.check_values(values),
        None => Err(format!("the description of `{}` has no `pattern`", provider.name)),
    }
}

/// A route's provider; none where SMS are captured.
fn name(route: &Route) -> Option<&str> {
    Some(route.provider.as_str()).filter(|name| !name.is_empty())
}

fn refusal(template: String, reason: impl Into<String>) -> RenderError {
    RenderError { template, place: String::new(), reason: reason.into() }
}
