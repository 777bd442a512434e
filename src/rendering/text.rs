//! The text part that a mail's HTML makes. What would take the library more than its size in time or memory is
//! refused first: elements that are not closed and open again in each paragraph, nesting, long rules of CSS.

use std::fmt::Write;
use std::panic::AssertUnwindSafe;

/// Tags of a mail.
const MOST_TAGS: usize = 20_000;

/// Elements that are open at a time.
const MOST_OPEN: usize = 200;

/// The same of elements such as `<b>`, which each paragraph opens again until they are closed.
const MOST_OPEN_AGAIN: usize = 16;

/// Blanks outside of quotes in one tag, so about as many attributes.
const MOST_BLANKS: usize = 500;

/// Cells of tables, of which each row is laid out in each column.
const MOST_CELLS: usize = 5_000;

/// Cells over several rows, which each of these holds once more.
const MOST_OVER_ROWS: usize = 200;

/// How often a byte is looked at in finding the ends of tags, on average: more often where quotes do not close.
const MOST_LOOKS: usize = 10;

/// Rules of CSS that hide something.
const MOST_RULES: usize = 200;

/// Elements without an end.
const VOID: &[&str] =
    &["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"];

const OPEN_AGAIN: &[&str] =
    &["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"];

/// A text part that says what the HTML says, its links written out; or why there is none.
pub(super) fn text_of_html(html: &str) -> Result<String, String> {
    bounded(html)?;
    let html = with_hiding_rules(html);
    let convert = || {
        html2text::config::plain()
            .use_doc_css()
            .no_table_borders()
            .allow_width_overflow()
            .string_from_read(html.as_bytes(), 500)
    };
    // The library is given what mail programs are; should it fail on it, this mail has no text, and others have.
    let laid_out = std::panic::catch_unwind(AssertUnwindSafe(convert)).ok().and_then(Result::ok);
    let laid_out = laid_out.ok_or("no text can be made of it; write a text part, email.txt")?;
    // Layout tables come out padded to their width, with an empty line for each empty row.
    let mut text = String::with_capacity(laid_out.len());
    for line in laid_out.lines().map(str::trim_end) {
        if !line.is_empty() || !(text.is_empty() || text.ends_with("\n\n")) {
            text.push_str(line);
            text.push('\n');
        }
    }
    Ok(text)
}

/// Whether HTML is as large and as nested as mails are.
fn bounded(html: &str) -> Result<(), String> {
    let mut counts = Counts::default();
    let mut looks = 0;
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        let Some(tag) = Tag::read(rest) else { continue };
        looks += tag.text.len();
        if looks > MOST_LOOKS * html.len() {
            return Err("it has quotes that do not close; no text is made of it".to_owned());
        }
        counts.add(&tag);
        counts.check(&tag)?;
    }
    Ok(())
}

/// A tag, as far as it is looked at.
struct Tag<'h> {
    /// In lower case.
    name: String,
    is_end: bool,
    /// What stands between `<` and `>`.
    text: &'h str,
    blanks: usize,
}

impl<'h> Tag<'h> {
    /// The tag that begins behind a `<`; none where no name follows.
    fn read(rest: &'h str) -> Option<Self> {
        let end = rest.strip_prefix('/');
        let name = end.unwrap_or(rest);
        let length = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != ':').unwrap_or(name.len());
        if length == 0 {
            return None;
        }
        let name = name[..length].to_ascii_lowercase();
        let mut tag = Self { name, is_end: end.is_some(), text: rest, blanks: 0 };
        tag.read_on();
        Some(tag)
    }

    /// Looks for the end of the tag, or for more blanks than any tag has.
    fn read_on(&mut self) {
        let rest = self.text;
        let mut quote = None;
        for (at, c) in rest.char_indices() {
            self.text = &rest[..at];
            match (quote, c) {
                (None, '>') => break,
                (None, '"' | '\'') => quote = Some(c),
                (Some(open), c) if open == c => quote = None,
                (None, c) => self.blanks += usize::from(c.is_ascii_whitespace() || c == '/'),
                _ => {}
            }
            if self.blanks > MOST_BLANKS {
                break;
            }
        }
    }

    fn is_one_of(&self, names: &[&str]) -> bool {
        names.contains(&self.name.as_str())
    }
}

/// What was counted of the tags so far.
#[derive(Default)]
struct Counts {
    tags: usize,
    open: usize,
    /// Of those that are open the ones that paragraphs open again.
    again: usize,
    cells: usize,
    over_rows: usize,
}

impl Counts {
    fn add(&mut self, tag: &Tag<'_>) {
        let step = |count: usize| if tag.is_end { count.saturating_sub(1) } else { count + 1 };
        self.tags += 1;
        if !tag.is_one_of(VOID) {
            self.open = step(self.open);
        }
        if tag.is_one_of(OPEN_AGAIN) {
            self.again = step(self.again);
        }
        if !tag.is_end && tag.is_one_of(&["td", "th"]) {
            self.cells += 1;
            self.over_rows += usize::from(tag.text.to_ascii_lowercase().contains("rowspan"));
        }
    }

    /// Whether there are no more of anything than mails have, after this tag.
    fn check(&self, tag: &Tag<'_>) -> Result<(), String> {
        let too = |what: &str, most: usize| {
            Err(format!("it has more than {most} {what}; no text is made of it: write a text part, email.txt"))
        };
        if self.tags > MOST_TAGS {
            return too("tags", MOST_TAGS);
        }
        if self.open > MOST_OPEN {
            return too("elements that are open at a time", MOST_OPEN);
        }
        if self.again > MOST_OPEN_AGAIN {
            return too(&format!("elements such as <{}> that are open at a time", tag.name), MOST_OPEN_AGAIN);
        }
        if self.cells > MOST_CELLS {
            return too("cells of tables", MOST_CELLS);
        }
        if self.over_rows > MOST_OVER_ROWS {
            return too("cells over several rows", MOST_OVER_ROWS);
        }
        if tag.blanks > MOST_BLANKS {
            return too("attributes in a tag", MOST_BLANKS);
        }
        Ok(())
    }
}

/// HTML of whose style sheets only the rules are left that hide something: for a text nothing else counts.
fn with_hiding_rules(html: &str) -> String {
    let lower = html.to_ascii_lowercase();
    let mut out = String::with_capacity(html.len());
    let (mut at, mut rules) = (0, 0);
    while let Some(start) = lower[at..].find("<style").map(|start| at + start) {
        let Some(open) = lower[start..].find('>').map(|end| start + end + 1) else { break };
        let end = lower[open..].find("</style").map_or(html.len(), |end| open + end);
        out.push_str(&html[at..open]);
        for (selectors, body) in simple_rules(&html[open..end]) {
            let hides = body.to_ascii_lowercase().contains("display");
            rules += usize::from(hides);
            if hides && rules <= MOST_RULES {
                let _ = writeln!(out, "{selectors}{{{body}}}");
            }
        }
        at = end;
    }
    out + &html[at..]
}

/// The rules of a style sheet that depend on no medium: selectors of names, classes and ids, and declarations.
fn simple_rules(css: &str) -> Vec<(&str, &str)> {
    let mut rules = Vec::new();
    let mut rest = css;
    while let Some(open) = rest.find('{') {
        let selectors = rest[..open].rsplit(['}', ';']).next().unwrap_or_default();
        // What is said in a comment before it is not part of it.
        let selectors = selectors.rsplit("*/").next().unwrap_or_default().trim();
        let mut depth = 0;
        let end = rest[open..].find(|c| {
            depth += i64::from(c == '{') - i64::from(c == '}');
            depth == 0
        });
        let end = end.map_or(rest.len(), |end| open + end);
        let body = &rest[open + 1..end.max(open + 1)];
        let simple = |selector: &str| {
            selector.split_whitespace().count() <= 3
                && selector.chars().all(|c| c.is_ascii_alphanumeric() || " \t\r\n.#-_*".contains(c))
        };
        if !selectors.is_empty() && !body.contains('{') && selectors.len() < 1_000 && selectors.split(',').all(simple) {
            rules.push((selectors, body));
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_not_said_and_links_are_written_out() {
        let html = "<html><head><style>/* x */ .pre, p.no { display:none } @media (max-width: 9px) { p { display: none } }\
            a > b { display: none } td { color: red }</style></head><body><div class=pre>pre</div><p class=\"no\">no</p>\
            <div style=\"display:none\">inline</div><p>See <a href=\"https://a.example\">our shop</a></p></body></html>";
        let text = text_of_html(html).unwrap();
        assert!(text.contains("See") && text.contains("https://a.example"), "{text}");
        assert!(!text.contains("pre") && !text.contains("no") && !text.contains("inline"), "{text}");
    }

    #[test]
    fn what_would_take_too_long_is_refused_at_once() {
        let start = std::time::Instant::now();
        for (html, says) in [
            ("<div>".repeat(100_000), "open at a time"),
            ("<table><tr><td>".repeat(10_000), "open at a time"),
            ("<p>a".repeat(10_000), "open at a time"),
            ((0..1_000).map(|n| format!("<font color={n}>")).collect(), "such as <font>"),
            ("<br>".repeat(100_000), "tags"),
            ("<a\"".repeat(100_000), "do not close"),
            ((0..6_000).map(|_| "<td></td>").collect(), "cells of tables"),
            ((0..1_000).map(|n| format!("<td rowspan={n}></td>")).collect(), "over several rows"),
            (format!("<p {}>", (0..100_000).map(|n| format!("a{n} ")).collect::<String>()), "attributes"),
        ] {
            let error = text_of_html(&html).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        // Each of these took time by the square of its size, or by a power of its depth.
        let selector = "div ".repeat(20);
        let nested =
            format!("<style>{selector}x{{display:none}}</style>{}x{}", "<div>".repeat(190), "</div>".repeat(190));
        let fonts: String = (0..16).map(|n| format!("<font color={n}>")).collect();
        for html in [
            nested,
            fonts + &"<p>a</p>".repeat(5_000),
            "<style>".to_owned() + &"a{display:none}".repeat(50_000) + "</style><p>x",
            "<style>".repeat(5_000),
            "{".repeat(100_000),
            "<style>".to_owned() + &"{".repeat(100_000),
            "<table><tr><td colspan=4000000000>x<td rowspan=4000000000>y</table>".to_owned(),
            "<ol start=99999999999999999999><li>x</ol><ol start=-9223372036854775808><li>x</ol>".to_owned(),
            format!("<p style=\"{}\">x", "a:b;".repeat(50_000)),
            format!("<p>{}", "&amp;".repeat(100_000)),
        ] {
            let _ = text_of_html(&html);
        }
        assert!(start.elapsed() < std::time::Duration::from_secs(60), "{:?}", start.elapsed());
    }
}
