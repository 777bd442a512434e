//! What `check` and `apply` hold a configuration to beyond the form of its files: what campaigns name is there, and
//! their templates can be rendered.

use std::collections::BTreeMap;

use super::wording::{Form, Sms, Wording};
use crate::document::{Problem, expected};
use crate::domain::audience::Audience;
use crate::domain::campaign::{Campaign, Step};
use crate::domain::gift::{Gift, GiftRule};
use crate::domain::message::{Channel, Content, SmsWords};
use crate::domain::sms::SmsSize;
use crate::domain::token::TokenKey;
use crate::rendering::{RenderError, Variables, sample};
use crate::settings::Settings;

/// The campaigns whose messages a filter asks for are there.
pub(super) fn received(
    audience: &Audience,
    file: &str,
    campaigns: &BTreeMap<String, Campaign>,
    problems: &mut Vec<Problem>,
) {
    audience.visit_own(&mut |part| {
        let Audience::Received(asked) = part else { return };
        if !campaigns.contains_key(&asked.campaign) {
            let known: Vec<&str> = campaigns.keys().map(String::as_str).collect();
            let (line, column) = asked.place;
            let message = format!(
                "there is no campaign `{}`; {}; one that is over stays known with `status: draft`",
                asked.campaign,
                expected(&asked.campaign, &known)
            );
            problems.push(Problem { file: file.to_owned(), line, column, message });
        }
    });
}

/// What the contents of a campaign are checked with.
pub(super) struct Contents<'a> {
    pub wording: Wording<'a>,
    pub settings: &'a Settings,
    /// The campaign's.
    pub file: &'a str,
}

impl Contents<'_> {
    /// Every template that a campaign needs is there, and names only variables that exist.
    pub fn check(
        &self,
        campaign: &Campaign,
        sizes: &mut BTreeMap<(String, String), SmsSize>,
        problems: &mut Vec<Problem>,
    ) {
        let forms = (0..campaign.steps.len())
            .flat_map(|index| campaign.forms(index).into_iter().map(move |form| (index, form)));
        for (index, step) in forms {
            for channel in &campaign.channels {
                let missing = self.wording.missing(step, *channel);
                let (line, column) = step.content_at;
                for template in &missing {
                    let path = self.settings.templates.join(template);
                    let message =
                        format!("content `{}` needs the template {}, which is missing", step.content, path.display());
                    problems.push(Problem { file: self.file.to_owned(), line, column, message });
                }
                if missing.is_empty() && !self.wording.renderer.is_broken(&step.content) {
                    self.rendering(campaign, (index, step), *channel, sizes, problems);
                }
            }
        }
    }

    /// Renders a step for a made-up member of each language, with every gift that it can bring and without one
    /// where it may go out so.
    fn rendering(
        &self,
        campaign: &Campaign,
        (index, step): (usize, &Step),
        channel: Channel,
        sizes: &mut BTreeMap<(String, String), SmsSize>,
        problems: &mut Vec<Problem>,
    ) {
        let gifts = self.gifts(campaign, (index, step));
        for locale in self.wording.renderer.locales(&step.content) {
            for gift in &gifts {
                let reader = (locale.as_str(), gift.as_ref());
                let (forms, errors) = self.forms(campaign, step, channel, reader);
                problems.extend(self.unsaid(step, channel, reader, &forms));
                measure(&forms, &step.content, &locale, sizes);
                for error in errors {
                    let problem = self.failed(error);
                    if !problems.contains(&problem) {
                        problems.push(problem);
                    }
                }
            }
        }
    }

    /// Every gift that a step can say, and none where it may go out so.
    fn gifts(&self, campaign: &Campaign, (index, step): (usize, &Step)) -> Vec<Option<Gift>> {
        let day = sample::order(&self.settings.brand).purchased_at.date_naive();
        let own = step.gift.as_ref();
        // A step that gives nothing says the last gift that the occasion brought, if it brought any.
        let earlier = (0..index).flat_map(|index| campaign.forms(index)).filter_map(|step| step.gift.as_ref());
        let mut gifts: Vec<Option<Gift>> = match own {
            Some(rule) => vec![Some(sample::gift(rule, day))],
            None => earlier.map(|rule| Some(sample::gift(rule, day))).collect(),
        };
        if own.is_none_or(GiftRule::may_be_missing) {
            gifts.push(None);
        }
        gifts
    }

    /// What a step says to a made-up member of a language, in each form that goes out, and what is wrong with it.
    fn forms(
        &self,
        campaign: &Campaign,
        step: &Step,
        channel: Channel,
        (locale, gift): (&str, Option<&Gift>),
    ) -> (Vec<Content>, Vec<RenderError>) {
        let brand = &self.settings.brand;
        let (member, order) = (sample::member(locale), sample::order(brand));
        let tokens = TokenKey::new([0; 32]);
        let variables = Variables {
            brand,
            member: &member,
            campaign: &campaign.name,
            message: uuid::Uuid::nil(),
            tokens: &tokens,
            track: campaign.track,
            step: &step.id,
            due_at: order.purchased_at + chrono::Duration::days(60),
            years: Some(1),
            order: Some(&order),
            gift,
        };
        match channel {
            Channel::Email => match self.wording.render(step, channel, campaign.purpose, "", &variables) {
                Ok(content) => (vec![content], Vec::new()),
                Err(error) => (Vec::new(), vec![error]),
            },
            Channel::Sms => self.sms(&self.wording.sms(&step.content, campaign.purpose, &variables)),
        }
    }

    /// A step's own coupon whose code is not said in each form.
    fn unsaid(
        &self,
        step: &Step,
        channel: Channel,
        (locale, gift): (&str, Option<&Gift>),
        forms: &[Content],
    ) -> Option<Problem> {
        let has_code = step.gift.as_ref().and(gift).is_some_and(|gift| gift.code.is_some());
        if !has_code || forms.iter().all(|content| says(content, sample::CODE)) {
            return None;
        }
        let (line, column) = step.content_at;
        let message = format!(
            "content `{}` does not say {{{{gift.code}}}} by {channel} in `{locale}`: members would get a coupon and \
             never learn its code",
            step.content
        );
        Some(Problem { file: self.file.to_owned(), line, column, message })
    }

    /// What is wrong with a template, where it stands.
    fn failed(&self, error: RenderError) -> Problem {
        let mut place = error.place.split(':').filter_map(|part| part.parse().ok());
        Problem {
            file: self.settings.templates.join(&error.template).display().to_string(),
            line: place.next().unwrap_or(0),
            column: place.next().unwrap_or(0),
            message: error.reason,
        }
    }

    /// An SMS as each provider gets it, and what is wrong: a template is, or of all providers for some numbers
    /// none takes it.
    fn sms(&self, sms: &Sms<'_>) -> (Vec<Content>, Vec<RenderError>) {
        let (mut forms, mut errors) = (Vec::new(), Vec::new());
        let routes = self.wording.routes;
        for start in routes.starts() {
            let (mut taken, mut refused) = (false, Vec::new());
            for route in routes.of(start) {
                match sms.form(route) {
                    Ok(Form::Words(words)) => {
                        taken = true;
                        forms.push(Content::sms([(route.provider.clone(), words)]));
                    }
                    Ok(Form::Refused(error)) => refused.push(error),
                    Err(error) => {
                        taken = true;
                        errors.push(error);
                    }
                }
            }
            if let (false, Some(first)) = (taken, refused.into_iter().next()) {
                let reason = match start {
                    "" => first.reason,
                    start => format!("{} (and no other provider takes it to {start}…)", first.reason),
                };
                errors.push(RenderError { reason, ..first });
            }
        }
        (forms, errors)
    }
}

/// Keeps the size of the dearest SMS of a content and language: of those with and without a gift, and of those that
/// differ by a line's footer.
fn measure(forms: &[Content], content: &str, locale: &str, sizes: &mut BTreeMap<(String, String), SmsSize>) {
    for text in forms.iter().flat_map(texts) {
        let size = SmsSize::of(text);
        let known = sizes.entry((content.to_owned(), locale.to_owned())).or_insert(size);
        if (size.segments, size.units) > (known.segments, known.units) {
            *known = size;
        }
    }
}

/// The texts of an SMS.
fn texts(content: &Content) -> Vec<&String> {
    let Content::Sms { forms } = content else { return Vec::new() };
    let words = forms.iter().map(|form| &form.words);
    words.filter_map(|words| if let SmsWords::Text(text) = words { Some(text) } else { None }).collect()
}

/// Whether a member reads these words in every form of a message.
fn says(content: &Content, words: &str) -> bool {
    match content {
        Content::Email { html, text, .. } => {
            text.contains(words) && html.as_ref().is_none_or(|html| html.contains(words))
        }
        Content::Sms { forms } => forms.iter().all(|form| match &form.words {
            SmsWords::Text(text) => text.contains(words),
            SmsWords::Pattern { values, .. } => values.iter().any(|(_, value)| value.contains(words)),
        }),
    }
}
