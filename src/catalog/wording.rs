//! What a message says in the end: its templates rendered, an SMS as its line and its provider want it.

use crate::domain::message::{Channel, Content, Purpose};
use crate::domain::sms::{Line, line_for};
use crate::rendering::{RenderError, Renderer, Variables};
use crate::senders::sms::Provider;

/// Renders contents for the configured senders.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wording<'a> {
    pub renderer: &'a Renderer,
    /// The sender of mails.
    pub from: &'a str,
    pub lines: &'a [Line],
    /// The provider of SMS; absent where they are captured.
    pub provider: Option<&'a Provider>,
}

impl Wording<'_> {
    /// The files that a content lacks for a channel. A pattern for the provider stands for a text.
    pub fn missing(&self, content: &str, channel: Channel) -> Vec<String> {
        match channel {
            Channel::Sms if self.renderer.has_pattern(content, self.name()) => Vec::new(),
            _ => self.renderer.missing(content, channel),
        }
    }

    /// What a message says. An SMS goes out as the provider's pattern where the content has one for it.
    pub fn render(
        &self,
        content: &str,
        channel: Channel,
        purpose: Purpose,
        variables: &Variables<'_>,
    ) -> Result<Content, RenderError> {
        if channel == Channel::Sms
            && let Some(pattern) = self.renderer.pattern(content, self.name(), variables)?
        {
            self.check(content, &pattern)?;
            return Ok(pattern);
        }
        let rendered = self.renderer.render(content, channel, self.from, variables)?;
        let (Content::Sms { text }, Some(line)) = (&rendered, line_for(self.lines, purpose)) else {
            return Ok(rendered);
        };
        let text = line.finish(text).map_err(|reason| refused(format!("{content}/sms.txt"), reason))?;
        Ok(Content::Sms { text })
    }

    /// The values of a pattern are what the provider takes.
    fn check(&self, content: &str, pattern: &Content) -> Result<(), RenderError> {
        let (Content::Pattern { values, .. }, Some(provider)) = (pattern, self.provider) else { return Ok(()) };
        let checked = match &provider.pattern {
            Some(call) => call.check_values(values),
            None => Err(format!("the description of `{}` has no `pattern`", provider.name)),
        };
        checked.map_err(|reason| refused(format!("{content}/sms.pattern.yaml"), reason))
    }

    fn name(&self) -> Option<&str> {
        self.provider.map(|provider| provider.name.as_str())
    }
}

fn refused(template: String, reason: String) -> RenderError {
    RenderError { template, place: String::new(), reason }
}
