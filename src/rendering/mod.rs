//! Rendering: templates, compiled once, become the content of a message in the member's language.
//!
//! A content is a folder of templates: `subject.txt` (of variants one by its name), `email.html`, `email.txt` (optional: made from
//! the HTML), `sms.txt`, `sms.pattern.yaml` (for providers that hold the text themselves). A locale goes before
//! the ending (`subject.fa.txt`); `fa-IR` falls back to `fa`, then to the file without a locale. What templates
//! may say is in [`variables`], what they may not be in `parse` and `html`.

use std::collections::{BTreeMap, HashSet};

use handlebars::template::TemplateElement;
use handlebars::{Context, Handlebars, Template};

use crate::document::Problem;
use crate::domain::message::{Channel, Content, LONGEST_MESSAGE, SmsWords};

pub mod headers;
mod helpers;
mod html;
pub mod links;
mod marks;
mod names;
mod parse;
mod pattern;
pub mod sample;
mod size;
mod text;
pub mod variables;

pub use helpers::localised;
pub use size::check as check_size;
pub use variables::Variables;

/// Compiled templates.
#[derive(Debug)]
pub struct Renderer {
    /// With HTML escaping, for `email.html`.
    html: Handlebars<'static>,
    /// Without: subjects, text parts and SMS.
    plain: Handlebars<'static>,
    names: HashSet<String>,
    /// What `sms.pattern.yaml` files say; their values are among the plain templates.
    patterns: BTreeMap<String, Vec<pattern::Pattern>>,
    /// Files that are there and are no templates.
    broken: HashSet<String>,
}

/// Why a message cannot be rendered. Names the template and place, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{template}{place}: {reason}")]
pub struct RenderError {
    pub template: String,
    /// `:line:column`, where it is known.
    pub place: String,
    pub reason: String,
}

/// The parts a content can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part<'a> {
    /// Of a mail; by its name there can be several.
    Subject(&'a str),
    Html,
    Text,
    Sms,
    Pattern,
}

/// The subject that a content has where none is named.
const SUBJECT: &str = "subject";

impl<'a> Part<'a> {
    const fn stem_and_ending(self) -> (&'a str, &'static str) {
        match self {
            Self::Subject(name) => (name, "txt"),
            Self::Html => ("email", "html"),
            Self::Text => ("email", "txt"),
            Self::Sms => ("sms", "txt"),
            Self::Pattern => ("sms.pattern", "yaml"),
        }
    }
}

impl Renderer {
    /// Compiles template files, given as path below the templates folder and text. Gives every file
    /// that is not a template as a problem, with `folder` in front of its name.
    pub fn compile(folder: &str, files: &BTreeMap<String, String>) -> (Self, Vec<Problem>) {
        let (names, broken) = (HashSet::new(), HashSet::new());
        let patterns = BTreeMap::new();
        let mut renderer = Self { html: registry(true), plain: registry(false), names, patterns, broken };
        let mut problems = Vec::new();
        for (path, text) in files {
            problems.extend(names::problems(folder, path, text));
            if path.ends_with(".yaml") {
                renderer.add_pattern(folder, path, text, &mut problems);
                continue;
            }
            let is_html = path.ends_with(".html");
            if !is_html && !path.ends_with(".txt") {
                continue;
            }
            let template = match parse::parse(path, text, is_html) {
                Ok(template) => template,
                Err(parse::Fault { line, column, message }) => {
                    renderer.broken.insert(path.clone());
                    let (line, column) = (line as u64, column as u64);
                    problems.push(Problem { file: format!("{folder}/{path}"), line, column, message });
                    continue;
                }
            };
            // Values survive the conversion to text, so it is done once; blocks between table
            // rows do not, so such a template is converted message by message.
            let has_blocks = template.elements.iter().any(|part| matches!(part, TemplateElement::HelperBlock(_)));
            let registry = if is_html { &mut renderer.html } else { &mut renderer.plain };
            registry.register_template(path, template);
            renderer.names.insert(path.clone());
            let text_path = path.strip_suffix(".html").map(|stem| format!("{stem}.txt"));
            if let Some(text_path) = text_path.filter(|text_path| !has_blocks && !files.contains_key(text_path))
                && let Some(made) = text_template(&text_path, text)
            {
                renderer.plain.register_template(&text_path, made);
                renderer.names.insert(text_path);
            }
        }
        (renderer, problems)
    }

    fn add_pattern(&mut self, folder: &str, path: &str, text: &str, problems: &mut Vec<Problem>) {
        let file = format!("{folder}/{path}");
        let patterns = match pattern::parse(&file, text) {
            Ok(patterns) => patterns,
            Err(found) => {
                self.broken.insert(path.to_owned());
                return problems.extend(found.0);
            }
        };
        for pattern in &patterns {
            for (name, text) in &pattern.values {
                let value = value_name(path, &pattern.provider, name);
                match parse::parse(&value, text, false) {
                    Ok(template) => self.plain.register_template(&value, template),
                    Err(fault) => {
                        self.broken.insert(path.to_owned());
                        let message = format!("`{name}` of `{}`: {}", pattern.provider, fault.message);
                        problems.push(Problem { file: file.clone(), line: 0, column: 0, message });
                    }
                }
            }
        }
        self.names.insert(path.to_owned());
        self.patterns.insert(path.to_owned(), patterns);
    }

    /// Whether a content has a pattern for a provider; without a provider, for any.
    pub fn has_pattern(&self, content: &str, provider: Option<&str>) -> bool {
        self.find_pattern(content, provider, None).is_some()
    }

    fn find_pattern(
        &self,
        content: &str,
        provider: Option<&str>,
        locale: Option<&str>,
    ) -> Option<(String, &pattern::Pattern)> {
        let path = self.find(content, Part::Pattern, locale.unwrap_or_default())?;
        let patterns = self.patterns.get(&path)?;
        let found = patterns.iter().find(|pattern| provider.is_none_or(|provider| pattern.provider == provider));
        found.map(|pattern| (path, pattern))
    }

    /// Renders the pattern of a content for a provider, if it has one; without a provider (where SMS are
    /// captured) the first one that is written.
    pub fn pattern(
        &self,
        content: &str,
        provider: Option<&str>,
        variables: &Variables<'_>,
    ) -> Result<Option<SmsWords>, RenderError> {
        let Some((path, pattern)) = self.find_pattern(content, provider, Some(variables.locale())) else {
            return Ok(None);
        };
        let context = variables.context();
        let mut values = Vec::with_capacity(pattern.values.len());
        for (name, _) in &pattern.values {
            let value = self.run(&self.plain, &value_name(&path, &pattern.provider, name), &context)?;
            values.push((name.clone(), value.trim().to_owned()));
        }
        Ok(Some(SmsWords::Pattern { template: pattern.template.clone(), values }))
    }

    /// The files that a content lacks for a channel; empty when it can be rendered.
    pub fn missing(&self, content: &str, subject: Option<&str>, channel: Channel) -> Vec<String> {
        let subject = Part::Subject(subject.unwrap_or(SUBJECT));
        let has = |part| {
            let name = path(content, part, None);
            self.names.contains(&name) || self.broken.contains(&name)
        };
        let wanted: &[Part<'_>] = match channel {
            Channel::Sms => &[Part::Sms],
            Channel::Email if has(Part::Text) && !has(Part::Html) => &[subject],
            Channel::Email => &[subject, Part::Html],
        };
        wanted.iter().filter(|part| !has(**part)).map(|part| path(content, *part, None)).collect()
    }

    /// Whether any file of a content is no template.
    pub fn is_broken(&self, content: &str) -> bool {
        self.broken.iter().any(|name| name.strip_prefix(content).is_some_and(|rest| rest.starts_with('/')))
    }

    /// The languages in which a content has any template; `en` stands for the files without one.
    pub fn locales(&self, content: &str) -> Vec<String> {
        let mut locales = vec!["en".to_owned()];
        for name in self.names.iter().filter_map(|name| name.strip_prefix(content)?.strip_prefix('/')) {
            let parts: Vec<&str> = name.split('.').filter(|part| *part != "pattern").collect();
            if let [_, locale, _] = parts[..]
                && !locales.iter().any(|known| known == locale)
            {
                locales.push(locale.to_owned());
            }
        }
        locales
    }

    /// Renders the text of an SMS.
    pub fn text(&self, content: &str, variables: &Variables<'_>) -> Result<String, RenderError> {
        let text = self.part(content, Part::Sms, variables.locale(), &variables.context())?;
        Ok(text.trim().to_owned())
    }

    /// Renders a mail from this sender, with the content's own subject or the one of this name.
    pub fn mail(
        &self,
        content: &str,
        subject: Option<&str>,
        from: &str,
        variables: &Variables<'_>,
    ) -> Result<Content, RenderError> {
        let context = variables.context();
        let locale = variables.locale();
        let subject = self.part(content, Part::Subject(subject.unwrap_or(SUBJECT)), locale, &context)?;
        let html = self.find(content, Part::Html, locale);
        let html = match html {
            Some(name) => Some((links::harmless(&self.run(&self.html, &name, &context)?), name)),
            None => None,
        };
        let text =
            match (self.find(content, Part::Text, locale), &html) {
                (Some(name), _) => self.run(&self.plain, &name, &context)?,
                (None, Some((html, name))) => text::text_of_html(&marks::unmarked(html))
                    .map_err(|reason| RenderError { template: name.clone(), place: String::new(), reason })?,
                (None, None) => self.part(content, Part::Text, locale, &context)?,
            };
        let html = html.map(|(html, _)| variables.tracked(&html));
        Ok(Content::Email {
            from: from.to_owned(),
            to_name: one_line(&variables.full_name()),
            return_path: None,
            headers: Vec::new(),
            // A subject is one line, whatever the template or a value holds.
            subject: one_line(&subject),
            html,
            text: text.trim().to_owned() + "\n",
        })
    }

    fn part(&self, content: &str, part: Part<'_>, locale: &str, context: &Context) -> Result<String, RenderError> {
        let Some(name) = self.find(content, part, locale) else {
            let template = path(content, part, None);
            return Err(RenderError { template, place: String::new(), reason: "there is no such template".to_owned() });
        };
        self.run(&self.plain, &name, context)
    }

    fn run(&self, registry: &Handlebars<'static>, name: &str, context: &Context) -> Result<String, RenderError> {
        let mut out = size::Bounded::new(LONGEST_MESSAGE);
        let written = registry.render_with_context_to_write(name, context, &mut out);
        let error = |place, reason| RenderError { template: name.to_owned(), place, reason };
        match written {
            Ok(()) => out.text().ok_or_else(|| error(String::new(), "it makes no text".to_owned())),
            Err(_) if out.is_full() => Err(error(String::new(), size::too_large())),
            Err(found) => {
                let place = match (found.line_no, found.column_no) {
                    (Some(line), Some(column)) => format!(":{line}:{column}"),
                    _ => String::new(),
                };
                Err(error(place, plain_reason(&found.reason().to_string())))
            }
        }
    }

    /// The most special template there is for a locale.
    fn find(&self, content: &str, part: Part<'_>, locale: &str) -> Option<String> {
        let mut locale = Some(locale);
        loop {
            let name = path(content, part, locale);
            if self.names.contains(&name) {
                return Some(name);
            }
            let shorter = locale?.rsplit_once('-').map(|(shorter, _)| shorter);
            locale = shorter;
        }
    }
}

fn path(content: &str, part: Part<'_>, locale: Option<&str>) -> String {
    let (stem, ending) = part.stem_and_ending();
    match locale {
        Some(locale) => format!("{content}/{stem}.{locale}.{ending}"),
        None => format!("{content}/{stem}.{ending}"),
    }
}

/// Under which a pattern's value is registered, and named in errors.
fn value_name(path: &str, provider: &str, name: &str) -> String {
    format!("{path} {provider}.{name}")
}

fn registry(escape: bool) -> Handlebars<'static> {
    let mut registry = Handlebars::new();
    registry.set_strict_mode(true);
    if escape {
        // What marks an address is the template's to write.
        registry.register_escape_fn(|value| handlebars::html_escape(&marks::unmarked(value)));
    } else {
        registry.register_escape_fn(handlebars::no_escape);
    }
    helpers::register(&mut registry);
    registry
}

/// The text that a template of HTML makes, as a template.
fn text_template(name: &str, html: &str) -> Option<Template> {
    parse::parse(name, &text::text_of_html(html).ok()?, false).ok()
}

/// A text of several lines in one, without characters that no header holds.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// The library's messages, in this project's words.
fn plain_reason(reason: &str) -> String {
    if let Some(rest) = reason.strip_prefix("Failed to access variable in strict mode ") {
        let name = rest.trim_start_matches("Some(").trim_end_matches(')').trim_matches('"');
        return variables::missing(name);
    }
    // The parser lists its own rules, which tell a writer of templates nothing.
    if reason.starts_with("invalid handlebars syntax") {
        return "a {{…}} is not complete here, or a {{#if …}} has no {{/if}}".to_owned();
    }
    reason.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::calendar::Calendar;
    use crate::domain::member::Member;
    use crate::domain::member::samples::{self, brand};
    use crate::domain::token::TokenKey;
    use crate::domain::track::Track;

    fn member(locale: &str, calendar: Calendar) -> Member {
        Member { locale: Some(locale.to_owned()), calendar: Some(calendar), ..samples::member() }
    }

    fn render(template: &str, locale: &str, calendar: Calendar) -> Result<String, RenderError> {
        let files = BTreeMap::from([("x/sms.txt".to_owned(), template.to_owned())]);
        let (renderer, _) = Renderer::compile("templates", &files);
        let (brand, member) = (brand(), member(locale, calendar));
        let variables = Variables {
            brand: &brand,
            member: &member,
            campaign: "c",
            message: Uuid::nil(),
            tokens: &TokenKey::new([7; 32]),
            track: Track::default(),
            step: "main",
            due_at: "2026-03-21T05:30:00Z".parse().unwrap(),
            years: None,
            order: None,
            gift: None,
        };
        renderer.text("x", &variables)
    }

    use uuid::Uuid;

    #[test]
    fn values_are_written_as_the_member_reads() {
        let check = |template: &str, locale: &str, calendar, expected: &str| {
            assert_eq!(render(template, locale, calendar).as_deref(), Ok(expected), "{template} {locale}");
        };
        check("{{number member.points}}", "en", Calendar::Gregorian, "1,234,567");
        check("{{number member.points}}", "fa", Calendar::Persian, "۱٬۲۳۴٬۵۶۷");
        check("{{date member.joined_at}}", "en", Calendar::Gregorian, "March 21, 2026");
        check("{{date member.joined_at}}", "fa", Calendar::Persian, "۱ فروردین ۱۴۰۵");
        check("{{date \"1405/01/01\"}}", "en", Calendar::Gregorian, "March 21, 2026");
        check("{{date occasion.date}}", "fa-IR", Calendar::Persian, "۱ فروردین ۱۴۰۵");
        check("{{money \"1250000\" \"IRR\"}}", "fa", Calendar::Persian, "۱٬۲۵۰٬۰۰۰ ریال");
        check("{{money \"29.33\" \"USD\"}}", "en", Calendar::Gregorian, "$29.33");
        check(
            "{{default member.title \"x\"}}{{default member.attributes.size \"M\"}}",
            "en",
            Calendar::Gregorian,
            "xM",
        );
        check("{{member.first_name}} {{brand.name}}{{order.id}}", "en", Calendar::Gregorian, "<b>Sara</b> Rose & Co");
    }

    #[test]
    fn an_unknown_variable_is_an_error_that_names_the_near_one() {
        let error = render("Hi\n {{member.frist_name}}", "en", Calendar::Gregorian).unwrap_err();
        assert!(error.to_string().starts_with("x/sms.txt:2:"), "{error}");
        assert!(error.reason.contains("did you mean `member.first_name`"), "{error}");
        let error = render("{{default member.frist_name \"x\"}}", "en", Calendar::Gregorian).unwrap_err();
        assert!(error.reason.contains("did you mean `member.first_name`"), "{error}");
    }

    #[test]
    fn a_broken_template_is_reported_with_its_place() {
        let files = BTreeMap::from([("x/sms.txt".to_owned(), "Hi\n{{#if member.tier}}".to_owned())]);
        let (_, problems) = Renderer::compile("templates", &files);
        assert!(problems[0].to_string().starts_with("templates/x/sms.txt:"), "{}", problems[0]);
    }

    #[test]
    fn html_is_escaped_and_a_text_part_is_made_from_it() {
        let html = "<html><body><div style=\"display:none\">pre</div><h1>Hi {{member.first_name}}</h1>\
            <p>See <a href=\"{{brand.base_url}}\">our shop</a></p></body></html>";
        let files = BTreeMap::from([
            ("x/subject.txt".to_owned(), "For {{member.first_name}}\n".to_owned()),
            ("x/email.html".to_owned(), html.to_owned()),
        ]);
        let (renderer, _) = Renderer::compile("templates", &files);
        assert!(renderer.missing("x", None, Channel::Email).is_empty());
        assert_eq!(renderer.missing("x", None, Channel::Sms), ["x/sms.txt"]);
        let (brand, member) = (brand(), member("en", Calendar::Gregorian));
        let variables = Variables {
            brand: &brand,
            member: &member,
            campaign: "c",
            message: Uuid::nil(),
            tokens: &TokenKey::new([7; 32]),
            track: Track::default(),
            step: "main",
            due_at: "2026-03-21T05:30:00Z".parse().unwrap(),
            years: None,
            order: None,
            gift: None,
        };
        let Content::Email { subject, html: Some(html), text, .. } =
            renderer.mail("x", None, "a@b.c", &variables).unwrap()
        else {
            panic!("an e-mail with HTML")
        };
        assert_eq!(subject, "For <b>Sara</b>");
        assert!(html.contains("Hi &lt;b&gt;Sara&lt;/b&gt;"), "{html}");
        assert!(
            text.contains("Hi <b>Sara</b>") && text.contains("https://rose.example") && !text.contains("pre"),
            "{text}"
        );
    }
}
