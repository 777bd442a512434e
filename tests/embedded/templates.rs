//! Templates against members and writers that mean harm: what could run out of bounds is refused by name before
//! anything is sent, and a member's data never becomes HTML, a link of ours, or code.

use std::collections::BTreeMap;

use rekindle::app::App;
use rekindle::clock::Clock;
use rekindle::domain::brand::Brand;
use rekindle::domain::member::Member;
use rekindle::domain::message::{Channel, Content};
use rekindle::domain::token::TokenKey;
use rekindle::domain::track::Track;
use rekindle::rendering::{Renderer, Variables, links, sample};
use uuid::Uuid;

use crate::support::seed;
use crate::support::shop::{Dice, PLAIN, Shop, Size, at};

/// The stack of a thread that dispatches.
const STACK: usize = 2 * 1024 * 1024;

/// Runs on a thread as small as those of the program.
fn on_a_worker<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(STACK).spawn(work).unwrap().join().unwrap()
}

fn brand() -> Brand {
    Shop::new(&Size::default(), PLAIN).settings().brand.clone()
}

fn compile(files: &[(&str, &str)]) -> (Renderer, Vec<String>) {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let (renderer, problems) = Renderer::compile("templates", &files);
    (renderer, problems.iter().map(ToString::to_string).collect())
}

const KEY: [u8; 32] = [7; 32];
const MESSAGE: Uuid = Uuid::from_u128(7);

/// A mail of content `x` to a member.
fn mail(renderer: &Renderer, brand: &Brand, member: &Member) -> Result<Content, String> {
    let (order, tokens) = (sample::order(brand), TokenKey::new(KEY));
    let variables = Variables {
        brand,
        member,
        campaign: "hello",
        message: MESSAGE,
        tokens: &tokens,
        track: Track { opens: true, clicks: true },
        step: "main",
        due_at: at("2024-05-01T12:00:00Z"),
        years: Some(1),
        order: Some(&order),
        gift: None,
    };
    renderer.mail("x", None, "Shop <hello@shop.example>", &variables).map_err(|error| error.to_string())
}

/// The HTML of a mail with this body.
fn html(body: &str, member: &Member) -> String {
    let (renderer, problems) = compile(&[("x/subject.txt", "Hi"), ("x/email.html", body)]);
    assert!(problems.is_empty(), "{body}: {problems:?}");
    let Ok(Content::Email { html: Some(html), .. }) = mail(&renderer, &brand(), member) else { panic!("{body}") };
    html
}

fn member(attributes: &[(&str, &str)]) -> Member {
    let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Member { attributes: attributes.collect(), ..sample::member("en") }
}

#[test]
fn what_could_run_out_of_bounds_is_refused_with_its_place() {
    on_a_worker(|| {
        let check = |path: &str, text: &str, expected: &str| {
            let start = std::time::Instant::now();
            let (_, problems) = compile(&[(path, text)]);
            let shown = &text[..text.len().min(60)];
            assert_eq!(problems.len(), 1, "{path} {shown}: {problems:?}");
            assert!(problems[0].starts_with(&format!("templates/{path}:")), "{problems:?}");
            assert!(problems[0].contains(expected), "{shown}: {} is not {expected}", problems[0]);
            assert!(start.elapsed() < std::time::Duration::from_secs(20), "{shown}: {:?}", start.elapsed());
        };
        for path in ["x/sms.txt", "x/email.html", "x/subject.txt", "x/email.fa.txt"] {
            // What would call itself, and what would write a hundred megabytes.
            check(path, &format!("Hi\n{{{{> {path}}}}}"), ":2:1: `{{> ");
            check(path, "{{> (lookup member \"tier\")}}", "a template holds no other one");
            check(path, "{{#> layout}}x{{/layout}}", "`{{> layout}}`: a template holds no other one");
            check(path, "{{> @partial-block}}", "a template holds no other one");
            check(path, "{{#*inline \"a\"}}{{> a}}{{/inline}}{{> a}}", "`{{* inline}}`: a template defines nothing");
            check(path, "{{#if member.tier}}{{#*inline \"a\"}}x{{/inline}}{{/if}}", "a template defines nothing");
            check(path, "x {{* inline}}", "a template defines nothing");
            // What would write a member's data into the log.
            check(path, "{{log member.email}}", "there is no helper `log`");
            check(path, "{{log}}", "there is no helper `log`");
            check(path, "{{#if (log member.email)}}x{{/if}}", "there is no helper `log`");
            check(path, "{{default member.tier (log member.email)}}", "there is no helper `log`");
            check(
                path,
                "{{#if member.tier}}{{else}}{{log member.email level=\"error\"}}{{/if}}",
                "there is no helper `log`",
            );
            check(path, "{{dat member.joined_at}}", "there is no helper `dat`; did you mean `date`");
            // What a member's data would be taken for.
            check(path, "{{(default member.tier \"x\")}}", "write it without them");
            // What is deeper than the stack.
            for (open, close) in [
                ("{{#if member.tier}}", "{{/if}}"),
                ("{{ ~ # unless member.tier}}", "{{/unless}}"),
                ("{{#if member.tier}}{{else if member.title}}", "{{/if}}"),
                ("{{#with member}}", "{{/with}}"),
            ] {
                let deep = |levels: usize| open.repeat(levels) + &close.repeat(levels);
                check(path, &deep(51), "more than 50 blocks or branches stand within each other");
                check(path, &deep(800), "");
                check(path, &deep(20_000), "a template has them at most 2000 times");
            }
            let branches = format!("{{{{#if member.tier}}}}{}{{{{/if}}}}", "{{else if member.tier}}".repeat(1_900));
            check(path, &branches, "more than 50 blocks or branches");
            let helpers = |levels| format!("{{{{not {}member.tier{}}}}}", "(not ".repeat(levels), ")".repeat(levels));
            check(path, &helpers(60), "more than 50 helpers stand within each other");
            check(path, &helpers(3_900), "more than 50 helpers stand within each other");
            check(path, &helpers(20_000), "20000 times `(` or `[`; a template has them at most 4000 times");
            check(path, &format!("{{{{default {}1{} \"x\"}}}}", "[".repeat(20_000), "]".repeat(20_000)), "");
            check(path, &format!("{{{{default {}", "(a ".repeat(100_000)), "");
            check(path, &"{{#if a}}".repeat(1_999), "");
            check(path, &"{{".repeat(200_000), "a template has them at most 2000 times");
            check(path, &"x".repeat(1_000_001), "it has 1000001 bytes; a template has at most 1000000");
            check(path, &"\\".repeat(900_000), "backslashes in a row");
            let each = "{{#each member.attributes}}".repeat(3) + "x" + &"{{/each}}".repeat(3);
            check(path, &each, "more than 2 {{#each}} stand within each other");
            check(
                path,
                &format!("{{{{#each [{}1]}}}}x{{{{/each}}}}", "1,".repeat(1_000)),
                "a list of more than 100 values",
            );
        }
        // As deep as may be, on the same stack.
        let deep = "{{#if member.tier}}".repeat(50) + "deep" + &"{{/if}}".repeat(50);
        assert!(html(&format!("<p>{deep}</p>"), &member(&[])).contains("deep"));
        let path = format!("{{{{default member{} \"x\"}}}}", ".a".repeat(100_000));
        let (renderer, problems) = compile(&[("x/subject.txt", path.as_str()), ("x/email.txt", "x")]);
        assert!(!problems.is_empty() || mail(&renderer, &brand(), &member(&[])).is_err());
        // Spaces taken away by thousands, a very large block, values looked up.
        html(&format!("<p>{}</p>", " {{~member.tier~}} ".repeat(1_900)), &member(&[]));
        html(&format!("<p>{{{{#if member.tier}}}}{}{{{{/if}}}}</p>", "text ".repeat(100_000)), &member(&[]));
        let found = html(
            "<p>{{lookup member.attributes \"a\"}}{{#with member}}{{tier}}{{/with}}</p>",
            &member(&[("a", "found")]),
        );
        assert!(found.contains("foundgold"), "{found}");
    });
}

#[tokio::test]
async fn check_refuses_such_a_template_before_anything_is_sent() {
    let shop = Shop::new(&Size::default(), PLAIN);
    shop.campaign("hello", "trigger: { kind: welcome }");
    shop.write("templates/note/email.html", "<html>\n<p>{{> note/email.html}}</p></html>");
    let refused = App::open_to_send(shop.settings(), Clock::simulated(at("2024-05-01T12:00:00Z"))).await;
    let refused = refused.map(drop).unwrap_err().to_string();
    assert!(
        refused.contains("note/email.html:2:4: `{{> note/email.html}}`: a template holds no other one"),
        "{refused}"
    );
    shop.close().await;
}

#[test]
fn a_value_stands_where_it_is_escaped_or_is_refused() {
    let check = |body: &str, expected: &str| {
        let (_, problems) = compile(&[("x/email.html", body)]);
        assert!(problems.len() == 1 && problems[0].contains(expected), "{body}: {problems:?}");
    };
    for triple in ["{{{member.first_name}}}", "{{{brand.name}}}", "{{&member.first_name}}", "{{~{member.tier}~}}"] {
        check(&format!("<p>{triple}</p>"), "it would write a value as HTML");
        check(&format!("<p>{{{{#if member.tier}}}}{triple}{{{{/if}}}}</p>"), "it would write a value as HTML");
    }
    check("<p>{{{default member.first_name \"x\"}}}</p>", "it would write a value as HTML");
    check("<p>{{{date member.attributes.a}}}</p>", "it would write a value as HTML");
    for attribute in ["href", "class", "title"] {
        check(
            &format!("<a {attribute}={{{{member.tier}}}}>x</a>"),
            &format!("a value of `{attribute}` stands without quotes"),
        );
        check(&format!("<a {attribute}=a{{{{member.tier}}}}>x</a>"), "stands without quotes");
        check(&format!("<a {attribute} = {{{{date member.attributes.a}}}} >x</a>"), "stands without quotes");
    }
    check("<a {{member.tier}}>x</a>", "among the names of a tag");
    check("<a {{member.tier}}=\"x\">x</a>", "among the names of a tag");
    check("<{{member.tier}}>x", "among the names of a tag");
    check("<{{#if member.tier}}{{member.tier}}{{/if}}>x", "among the names of a tag");
    check("</{{member.tier}}>x", "among the names of a tag");
    check("<b{{member.tier}}>x", "among the names of a tag");
    check("<a onclick=\"f('{{member.tier}}')\">x</a>", "a value cannot stand in `onclick`");
    check("<A ONCLICK='{{member.tier}}'>x</A>", "a value cannot stand in `onclick`");
    check("<iframe srcdoc=\"{{member.tier}}\"></iframe>", "a value cannot stand in `srcdoc`");
    check("<p style=\"color:{{member.attributes.colour}}\">x", "a value cannot stand in `style`");
    check("<style>p { color: {{member.tier}} }</style>", "a value cannot stand in `<style>`");
    check("<script>f('{{member.tier}}')</script>", "a value cannot stand in `<script>`");
    for begun in
        ["title=\"{{else}}href=\"", "href=\"{{else}}href='", "href=\"{{else}}", "{{else}}href=\"", "><!--{{else}}"]
    {
        let body = format!("<a {{{{#if member.tier}}}}{begun}{{{{/if}}}}{{{{member.attributes.u}}}}\">x</a>");
        check(&body, "as the block's branches end");
    }
    html("<p{{#if member.tier}} class=\"a\"{{/if}}>x{{#if member.tier}}<b>{{/if}}</p>", &member(&[]));
    // Where it is text, or a number.
    let evil = "\"'><x-evil a=1>`&";
    let written = html(
        "<html><!-- {{member.attributes.a}} --><p title=\"{{member.attributes.a}}\" class='{{member.attributes.a}}'>\
         {{member.attributes.a}}</p><td style=\"width: {{member.points}}px; height: {{number member.points}}px\" \
         {{#if member.tier}}class=\"x\"{{/if}}>x</td><style>{{#if member.tier}}p { color: red }{{/if}}</style></html>",
        &member(&[("a", evil)]),
    );
    assert!(!written.contains("<x-evil") && written.matches("&lt;x-evil").count() == 4, "{written}");
}

#[test]
fn what_every_helper_writes_is_escaped_once() {
    let evil = member(&[("a", "<x-evil>&"), ("n", "7")]);
    for template in [
        "{{date member.attributes.a}}",
        "{{default member.attributes.a \"x\"}}",
        "{{default member.attributes.none member.attributes.a}}",
        "{{money member.attributes.n member.attributes.a}}",
        "{{lookup member.attributes \"a\"}}",
        "{{#each member.attributes}}{{#unless @last}}{{this}}{{/unless}}{{/each}}",
        "{{#with member.attributes}}{{a}}{{/with}}",
        "{{#with member.attributes as |b|}}{{b.a}}{{/with}}",
        "{{default (date member.attributes.a) \"x\"}}",
        "{{date (default member.attributes.a \"x\")}}",
        "{{default (lookup member.attributes \"a\") \"x\"}}",
        "{{and member.attributes.a member.attributes.a}}{{member.attributes.a}}",
    ] {
        let written = html(&format!("<p>{template}</p>"), &evil);
        assert!(written.contains("&lt;x-evil&gt;&amp;") && !written.contains("<x-evil"), "{template}: {written}");
        assert!(!written.contains("&amp;lt;") && !written.contains("&amp;amp;"), "twice: {template}: {written}");
    }
    let chosen =
        html("<p>{{#if member.attributes.none}}{{else if member.tier}}{{member.attributes.a}}{{/if}}</p>", &evil);
    assert!(chosen.contains("&lt;x-evil&gt;"), "{chosen}");
    let keys = html("<p>{{#each member.attributes}}{{@key}}{{/each}}</p>", &member(&[("<x-evil>", "1")]));
    assert!(keys.contains("&lt;x-evil&gt;"), "{keys}");
    // A member's language is not HTML either.
    let locale = Member { locale: Some("<x-evil>".to_owned()), ..evil };
    assert!(!html("<p>{{member.locale}}{{date member.joined_at}}{{number 7}}</p>", &locale).contains("<x-evil"));
}

/// Where the links of a mail lead; those that are signed as ours after an arrow.
fn links_of(html: &str) -> Vec<String> {
    html.split("href=")
        .skip(1)
        .map(|rest| {
            let quote = rest.chars().next().unwrap();
            let target = rest[1..].split(quote).next().unwrap();
            match target.strip_prefix("https://shop.example/c/").and_then(|rest| rest.split_once("?to=")) {
                Some((token, to)) => format!("-> {}", links::click_target(&TokenKey::new(KEY), token, to).unwrap().1),
                None => target.to_owned(),
            }
        })
        .collect()
}

#[test]
fn only_links_that_the_template_leads_somewhere_are_signed_as_ours() {
    let values =
        [("u", "https://evil.example/"), ("dot", ".evil.example"), ("at", "@evil.example"), ("path", "a/b?c=d")];
    let check = |href: &str, expected: &str| {
        let written = html(&format!("<html><body><a href=\"{href}\">x</a></body></html>"), &member(&values));
        assert_eq!(links_of(&written), [expected], "{href}");
        assert!(!written.contains(['\u{fdd0}', '\u{fdd1}']), "{written}");
    };
    check("https://a.example/{{member.attributes.path}}", "-> https://a.example/a/b?c=d");
    check("https://a.example?to={{member.attributes.u}}", "-> https://a.example?to=https://evil.example/");
    check("https://a.example", "-> https://a.example");
    check(" HTTPS://A.example:8443/x ", "-> HTTPS://A.example:8443/x");
    check("{{brand.base_url}}/{{member.attributes.path}}", "-> https://shop.example/a/b?c=d");
    check("{{brand.base_url}}", "-> https://shop.example");
    check("{{#if member.tier}}https://a.example/{{else}}{{member.attributes.u}}{{/if}}", "-> https://a.example/");
    check("{{#if member.tier}}{{brand.base_url}}/x{{/if}}", "-> https://shop.example/x");
    // A stranger's, whole or in part.
    check("{{member.attributes.u}}", "https://evil.example/");
    check(" {{member.attributes.u}}x", " https://evil.example/x");
    check(
        "{{#unless member.tier}}https://a.example/{{else}}{{member.attributes.u}}{{/unless}}",
        "https://evil.example/",
    );
    check("{{#unless member.tier}}https://a.example/{{/unless}}{{member.attributes.u}}", "https://evil.example/");
    check("{{default member.attributes.u \"https://a.example/\"}}", "https://evil.example/");
    check("{{#with member.attributes}}{{u}}{{/with}}", "https://evil.example/");
    check("https://a{{member.attributes.dot}}/", "https://a.evil.example/");
    check("https://a.example{{member.attributes.at}}/", "https://a.example@evil.example/");
    check("https://a.example:80{{member.attributes.at}}/", "https://a.example:80@evil.example/");
    check("{{brand.base_url}}{{member.attributes.dot}}", "https://shop.example.evil.example");
    check("{{brand.base_url}}{{#if member.tier}}{{member.attributes.at}}{{/if}}", "https://shop.example@evil.example");
    check("https://{{member.attributes.path}}", "https://a/b?c&#x3D;d");
    check("//{{member.attributes.path}}", "//a/b?c&#x3D;d");
    // A value cannot make the mark of our own links.
    let marked = member(&[("u", "\u{fdd0}https://evil.example/")]);
    for href in ["{{member.attributes.u}}", "{{#each member.attributes}}{{this}}{{/each}}", " {{member.attributes.u}}"]
    {
        assert_eq!(links_of(&html(&format!("<a href=\"{href}\">"), &marked))[0].trim(), "https://evil.example/");
    }
    assert_eq!(links_of(&html("<a href=\"\u{fdd0}{{member.attributes.u}}\">", &marked)), ["https://evil.example/"]);
    // Nor does one in the text become a link.
    let text = member(&[("u", "<a href=\"https://evil.example/\">x</a>")]);
    assert!(links_of(&html("<p>{{member.attributes.u}}{{date member.attributes.u}}</p>", &text)).is_empty());
}

#[test]
fn an_address_that_a_value_brings_leads_somewhere_or_nowhere() {
    let check = |value: &str, expected: &str| {
        for (attribute, quote) in [("href", '"'), ("HREF", '\''), ("src", '"'), ("background", '"'), ("action", '\'')] {
            let body = format!("<a {attribute}={quote}{{{{member.attributes.u}}}}{quote}>x</a>");
            let written = html(&body, &member(&[("u", value)]));
            let found = written.split(quote).nth(1).unwrap();
            assert_eq!(found, expected, "{attribute} {value:?}");
        }
    };
    for code in [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        " javascript:x",
        "java\tscript:x",
        "java\nscript:x",
        "\u{1}javascript:x",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:x",
        "javascript&colon;:x",
    ] {
        check(code, "#");
    }
    for address in
        ["https://a.example/x", "HTTP://a.example", "mailto:a@b.example", "tel:+989121234567", "/x", "a/b:c", ""]
    {
        check(address, address);
    }
}

/// What members' fields may hold: HTML, code, addresses, encoded words, controls, and much of it.
const VALUES: &[&str] = &[
    "\"><x-evil onload=1>",
    "'><x-evil>",
    "<x-evil",
    "--><x-evil>",
    "]]><x-evil>",
    "</style><x-evil>",
    "</title><x-evil>",
    "javascript:alert(1)",
    "https://evil.example/",
    ".evil.example",
    "@evil.example/",
    "//evil.example",
    "\u{fdd0}https://evil.example/",
    "\u{fdd1}x",
    "{{member.email}}",
    "{{> x}}",
    "=?utf-8?q?x?=",
    "a\r\nBcc: b@evil.example",
    "\0\u{1b}[31m",
    "\u{202e}abc",
    "سارا",
    "",
    "1",
    "1e400",
    "2024-05-01",
    "1403/02/12",
    "--02-29",
    "&lt;x-evil&gt;",
    "`=`",
];

/// Templates of which mutated ones are made.
const TEMPLATES: &[&str] = &[
    "<html><body><p title=\"{{member.first_name}}\">Hi {{default member.title \"dear\"}}</p>\
     <a href=\"{{brand.base_url}}/x?a={{member.tier}}\">x</a><a href='{{member.attributes.u}}'>y</a></body></html>",
    "<style>.a { display:none }</style><table><tr>{{#each member.attributes}}<td class=\"{{@key}}\">{{this}}</td>{{/each}}</tr></table>",
    "{{#if member.tier}}<b>{{date member.attributes.u}}</b>{{else if member.title}}<i>{{money order.amount member.tier}}</i>{{else}}-{{/if}}",
    "<!--[if mso]><a href=\"{{unsubscribe_url}}\"><![endif]--><img src=\"{{member.attributes.u}}\" alt=\"{{member.full_name}}\">",
    "{{#with member}}{{first_name}} {{number points}}{{/with}} {{lookup member.attributes \"u\"}} {{#unless (eq member.tier \"gold\")}}x{{/unless}}",
];

const PIECES: &[&str] = &[
    "{{",
    "}}",
    "{{{",
    "}}}",
    "{{#if member.tier}}",
    "{{else}}",
    "{{/if}}",
    "{{#each member.attributes}}",
    "{{/each}}",
    "{{this}}",
    "{{@key}}",
    "<",
    ">",
    "\"",
    "'",
    "=",
    "<!--",
    "-->",
    "<a href=\"",
    "<script>",
    "</script>",
    "<style>",
    "</style>",
    "<b ",
    "</",
    "{{member.first_name}}",
    "{{member.attributes.u}}",
    "{{date member.attributes.u}}",
    "{{log member.email}}",
    "{{> x/subject.txt}}",
    "{{~",
    "~}}",
    "{{!--",
    "--}}",
    "\\",
    "(",
    ")",
    "[",
    "]",
    "|",
    "{{&member.tier}}",
    "<div>",
    "</div>",
    "<p>",
    "<font x>",
    "&",
    " href=",
    " src=\"",
    " onclick=\"",
    " style='",
    "/",
    "@root.",
    "../",
    "https://a.example",
    "\u{fdd0}",
    "\u{fdd1}",
    "{{#*inline \"a\"}}",
];

#[test]
fn ten_thousand_mutated_templates_and_hostile_members_write_no_html() {
    on_a_worker(|| {
        let mut dice = Dice(seed(202_613));
        let brand = brand();
        let (mut compiled, mut rendered) = (0, 0);
        for _ in 0..10_000 {
            let mut mutated = |text: &str| {
                let mut text = text.to_owned();
                for _ in 0..dice.below(4) {
                    let place = |dice: &mut Dice, text: &str| {
                        text.floor_char_boundary(dice.below(text.len() as u64 + 1) as usize)
                    };
                    let (a, b) = (place(&mut dice, &text), place(&mut dice, &text));
                    let (from, to) = (a.min(b), a.max(b));
                    match dice.below(5) {
                        0 => text.replace_range(from..to.min(text.ceil_char_boundary(from + 12)), ""),
                        1 => text.insert_str(from, &TEMPLATES[dice.below(5) as usize].repeat(dice.below(2) as usize)),
                        2 => {
                            let piece = text[from..to].to_owned();
                            text.insert_str(to, &piece);
                        }
                        _ => text.insert_str(from, dice.pick::<&str>(PIECES)),
                    }
                }
                text
            };
            let template = mutated(TEMPLATES[compiled % 5]);
            let files = [
                ("x/subject.txt", "{{member.first_name}} {{member.tier}}"),
                ("x/email.html", template.as_str()),
                // Laying out a text takes longest here.
                (if compiled % 10 == 0 { "x/other.txt" } else { "x/email.txt" }, &template),
            ];
            let (renderer, _) = compile(&files);
            compiled += 1;
            if !renderer.missing("x", None, Channel::Email).is_empty() || renderer.is_broken("x") {
                continue;
            }
            let mut value = || Some((*dice.pick(VALUES)).to_owned());
            let attributes = BTreeMap::from([("u".to_owned(), value().unwrap()), (value().unwrap(), value().unwrap())]);
            let member = Member {
                title: value(),
                first_name: value(),
                last_name: value(),
                tier: value(),
                locale: value(),
                attributes,
                ..sample::member("en")
            };
            let Ok(Content::Email { html: Some(html), subject, to_name, .. }) = mail(&renderer, &brand, &member) else {
                continue;
            };
            rendered += 1;
            let told = || format!("{template}\n{member:?}\n{html}");
            assert!(!html.to_ascii_lowercase().contains("<x-evil"), "{}", told());
            assert!(!html.contains(['\u{fdd0}', '\u{fdd1}']), "{}", told());
            for signed in html.split("https://shop.example/c/").skip(1) {
                let (token, rest) = signed.split_once("?to=").unwrap();
                let to = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').next().unwrap();
                let target = links::click_target(&TokenKey::new(KEY), token, to).unwrap().1;
                let host = target.split("//").nth(1).unwrap().split(['/', '?', '#']).next().unwrap();
                assert!(!host.contains("evil"), "{target}\n{}", told());
            }
            assert!(!subject.chars().chain(to_name.chars()).any(char::is_control), "{subject:?} {to_name:?}");
        }
        assert!(rendered > 1_000, "{rendered} of {compiled}");
    });
}
