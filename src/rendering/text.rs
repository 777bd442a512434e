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
    let (mut tags, mut open, mut again) = (0, 0_usize, 0_usize);
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        let end = rest.strip_prefix('/');
        let name = end.unwrap_or(rest);
        let length = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != ':').unwrap_or(name.len());
        let name = name[..length].to_ascii_lowercase();
        if name.is_empty() {
            continue;
        }
        tags += 1;
        let step = |count: usize| if end.is_some() { count.saturating_sub(1) } else { count + 1 };
        if !VOID.contains(&name.as_str()) {
            open = step(open);
        }
        if OPEN_AGAIN.contains(&name.as_str()) {
            again = step(again);
        }
        let mut quote = None;
        let mut blanks = 0;
        for c in rest.chars() {
            match (quote, c) {
                (None, '>') => break,
                (None, '"' | '\'') => quote = Some(c),
                (Some(open), c) if open == c => quote = None,
                (None, c) => blanks += usize::from(c.is_ascii_whitespace() || c == '/'),
                _ => {}
            }
            if blanks > MOST_BLANKS {
                break;
            }
        }
        let too = |what: &str, most: usize| {
            Err(format!("it has more than {most} {what}; no text is made of it: write a text part, email.txt"))
        };
        if tags > MOST_TAGS {
            return too("tags", MOST_TAGS);
        }
        if open > MOST_OPEN {
            return too("elements that are open at a time", MOST_OPEN);
        }
        if again > MOST_OPEN_AGAIN {
            return too(&format!("elements such as <{name}> that are open at a time"), MOST_OPEN_AGAIN);
        }
        if blanks > MOST_BLANKS {
            return too("attributes in a tag", MOST_BLANKS);
        }
    }
    Ok(())
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
            (format!("<p {}>", (0..100_000).map(|n| format!("a{n} ")).collect::<String>()), "attributes"),
        ] {
            let error = text_of_html(&html).unwrap_err();
            assert!(error.contains(says) && error.contains("email.txt"), "{error}");
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
