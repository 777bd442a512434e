//! From the text of a template to its compiled form, and what a template may not be: too large, too deeply
//! nested, or made of what runs out of bounds when it is rendered. Nothing here depends on any member.

use handlebars::Template;
use handlebars::template::{DecoratorTemplate, HelperTemplate, Parameter, TemplateElement};

use super::html::Html;
use super::{helpers, plain_reason};

/// No mail program shows as much: Gmail cuts a mail off at 102 kB.
const MOST_BYTES: usize = 1_000_000;

/// `{{…}}` in one template.
const MOST_TAGS: usize = 2_000;

/// `(` and `[` behind the first `{{`: each may open a helper or a list within another one, and the parser calls itself for
/// each. Whether they do only the parser can say, since a string may hold any of them.
const MOST_BRACKETS: usize = 4_000;

/// Blocks within blocks, branches of one `{{#if}}`, helpers within helpers.
const MOST_DEPTH: usize = 50;

/// `{{#each}}` within `{{#each}}`.
const MOST_EACH: usize = 2;

/// Literal values in a list.
const MOST_VALUES: usize = 100;

/// Backslashes one after the other: looking for what they escape takes the square of their number.
const MOST_BACKSLASHES: usize = 100;

/// The parser and what it makes call themselves once for each level; what is too deep must not end the process
/// before it is refused. A level takes up to 2 kB, in an optimised build more than in another.
const STACK: usize = 32 * 1024 * 1024;

/// Why a text is no template; line and column are 0 where they are not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub line: usize,
    pub column: usize,
    pub message: String,
}

/// Compiles a template. Of HTML, each value is looked at where it stands.
pub(super) fn parse(name: &str, text: &str, is_html: bool) -> Result<Template, Fault> {
    let fault = |message: String| Fault { line: 0, column: 0, message };
    if text.len() > MOST_BYTES {
        return Err(fault(format!("it has {} bytes; a template has at most {MOST_BYTES}", text.len())));
    }
    let tags = text.matches("{{").count();
    if tags > MOST_TAGS {
        return Err(fault(format!("it has {tags} times `{{{{`; a template has them at most {MOST_TAGS} times")));
    }
    let brackets = text.split_once("{{").map_or(0, |(_, rest)| rest.matches(['(', '[']).count());
    if brackets > MOST_BRACKETS {
        return Err(fault(format!(
            "it has {brackets} times `(` or `[`; a template has them at most {MOST_BRACKETS} times"
        )));
    }
    if text.contains(&"\\".repeat(MOST_BACKSLASHES)) {
        return Err(fault(format!("it has {MOST_BACKSLASHES} backslashes in a row")));
    }
    let compile = || {
        let mut template = Template::compile_with_name(text, name.to_owned()).map_err(|error| {
            let (line, column) = error.pos().unwrap_or((0, 0));
            Fault { line, column, message: format!("not a template: {}", plain_reason(&error.reason().to_string())) }
        })?;
        let mut html = is_html.then(Html::default);
        Walk { depth: 0, each: 0, scoped: false, near: (0, 0) }.template(&mut template, &mut html)?;
        Ok(template)
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, compile);
        let thread = thread.map_err(|error| fault(format!("no thread to read it in: {error}")))?;
        thread.join().unwrap_or_else(|_| Err(fault("not a template".to_owned())))
    })
}

/// Looks at every part of a template.
#[derive(Clone, Copy)]
struct Walk {
    depth: usize,
    each: usize,
    /// Names stand for what a block says, a member's attributes for example.
    scoped: bool,
    /// Line and column of the block around.
    near: (usize, usize),
}

impl Walk {
    /// The parts of a template, or of a branch, one after the other.
    fn template(self, template: &mut Template, html: &mut Option<Html>) -> Result<(), Fault> {
        let elements = std::mem::take(&mut template.elements);
        // The library does not say where the branches of `{{else if}}` stand.
        let places = std::mem::take(&mut template.mapping).into_iter().map(Some);
        let mut rest = elements.into_iter().zip(places.chain(std::iter::repeat(None))).peekable();
        while let Some((mut element, place)) = rest.next() {
            let (line, column) = place.as_ref().map_or(self.near, |place| (place.0, place.1));
            let at = |message: String| Fault { line, column, message };
            let next = match rest.peek() {
                Some((TemplateElement::RawString(text), _)) => text.as_str(),
                _ => "",
            };
            match &mut element {
                TemplateElement::RawString(text) => {
                    if let Some(html) = html {
                        *text = html.text(text);
                    }
                }
                TemplateElement::HtmlExpression(_) if html.is_some() => {
                    return Err(at("it would write a value as HTML, whatever the value holds; write {{…}}".to_owned()));
                }
                TemplateElement::HtmlExpression(helper) => self.helper(helper).map_err(at)?,
                TemplateElement::Expression(helper) => {
                    if let Some(mark) = self.value(helper, html, next).map_err(at)? {
                        template.elements.push(TemplateElement::RawString(mark.to_string()));
                        template.mapping.extend(place.clone());
                    }
                }
                TemplateElement::HelperBlock(helper) => self.block(helper, html, (line, column))?,
                TemplateElement::Comment(_) => {}
                other => return Err(at(refused(other))),
            }
            template.elements.push(element);
            template.mapping.extend(place);
        }
        Ok(())
    }

    /// A value; gives the mark that goes before it in HTML.
    fn value(self, helper: &HelperTemplate, html: &mut Option<Html>, next: &str) -> Result<Option<char>, String> {
        self.helper(helper)?;
        let name = helper.name.as_name().unwrap_or_default();
        let mark = html.as_mut().map(|html| html.value(self.written(helper, name), name, next));
        Ok(mark.transpose()?.flatten())
    }

    /// A block with its branches; `near` is where it stands.
    fn block(self, helper: &mut HelperTemplate, html: &mut Option<Html>, near: (usize, usize)) -> Result<(), Fault> {
        let at = |message: String| Fault { line: near.0, column: near.1, message };
        self.helper(helper).map_err(at)?;
        let name = helper.name.as_name().unwrap_or_default();
        let inner = Self {
            depth: self.depth + 1,
            each: self.each + usize::from(name == "each"),
            scoped: self.scoped || matches!(name, "each" | "with"),
            near,
        };
        if inner.depth > MOST_DEPTH {
            return Err(at(format!("more than {MOST_DEPTH} blocks or branches stand within each other")));
        }
        if inner.each > MOST_EACH {
            return Err(at(format!("more than {MOST_EACH} {{{{#each}}}} stand within each other")));
        }
        // Either branch goes on from where the block begins.
        let mut other = html.clone();
        if let Some(branch) = &mut helper.template {
            inner.template(branch, html)?;
        }
        if let Some(branch) = &mut helper.inverse {
            inner.template(branch, &mut other)?;
        }
        if let (Some(html), Some(other)) = (html.as_mut(), other) {
            html.join(&other).map_err(at)?;
        }
        Ok(())
    }

    /// The variable that is written as it is.
    fn written<'a>(self, helper: &HelperTemplate, name: &'a str) -> Option<&'a str> {
        let root = name.strip_prefix("@root.").or_else(|| name.strip_prefix("@root/"));
        let name = root.or_else(|| Some(name).filter(|_| !self.scoped));
        name.filter(|_| helper.params.is_empty() && helper.hash.is_empty())
    }

    /// A helper, or a variable, with what it is given.
    fn helper(self, helper: &HelperTemplate) -> Result<(), String> {
        if self.depth > MOST_DEPTH {
            return Err(format!("more than {MOST_DEPTH} helpers stand within each other"));
        }
        let inner = Self { depth: self.depth + 1, ..self };
        // What it gives would be taken for the name of a helper, where it is one.
        if matches!(helper.name, Parameter::Subexpression(_)) {
            return Err("a helper in parentheses stands alone; write it without them".to_owned());
        }
        let name = helper.name.as_name().unwrap_or_default();
        let is_helper = helper.block || !helper.params.is_empty() || !helper.hash.is_empty();
        if name == "log" || is_helper && !name.is_empty() && !helpers::NAMES.contains(&name) {
            let expected = crate::document::expected(name, helpers::NAMES);
            return Err(format!("there is no helper `{name}`; {expected}"));
        }
        for given in helper.params.iter().chain(helper.hash.values()) {
            match given {
                Parameter::Subexpression(given) => inner.element(given.as_element())?,
                Parameter::Literal(value) if size(value) > MOST_VALUES => {
                    return Err(format!("a list of more than {MOST_VALUES} values"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn element(self, element: &TemplateElement) -> Result<(), String> {
        match element {
            TemplateElement::Expression(helper) => self.helper(helper),
            _ => Ok(()),
        }
    }
}

/// Why an element cannot be in a template at all.
fn refused(element: &TemplateElement) -> String {
    match element {
        TemplateElement::PartialExpression(partial) | TemplateElement::PartialBlock(partial) => {
            format!("`{{{{> {}}}}}`: a template holds no other one", named(partial))
        }
        TemplateElement::DecoratorExpression(decorator) | TemplateElement::DecoratorBlock(decorator) => {
            format!("`{{{{* {}}}}}`: a template defines nothing", named(decorator))
        }
        _ => "not a template: this is not known here".to_owned(),
    }
}

fn named(decorator: &DecoratorTemplate) -> &str {
    decorator.name.as_name().unwrap_or("…")
}

/// The values in a literal.
fn size(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(values) => values.iter().map(size).sum::<usize>() + 1,
        serde_json::Value::Object(values) => values.values().map(size).sum::<usize>() + 1,
        _ => 1,
    }
}
