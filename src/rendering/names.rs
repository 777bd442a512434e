//! Names in templates that would never be found: a language in a file's name, or an attribute, in another case than
//! the one in which imports store it.

use crate::document::Problem;
use crate::domain::locale;
use crate::domain::member::parse_attribute;

/// What to rename in a template, and in its text.
pub(super) fn problems(folder: &str, path: &str, text: &str) -> Vec<Problem> {
    let problem = |line, column, message| Problem { file: format!("{folder}/{path}"), line, column, message };
    let mut found = Vec::new();
    let (content, file) = path.rsplit_once('/').unwrap_or(("", path));
    let parts: Vec<&str> = file.split('.').collect();
    if let [stem @ .., language, ending] = &parts[..]
        && let (false, Ok(stored)) = (stem.is_empty(), locale::parse(language))
        && stored != *language
    {
        let name = format!("{}.{stored}.{ending}", stem.join("."));
        found.push(problem(0, 0, format!("members' languages are written `{stored}`; rename it to {content}/{name}")));
    }
    for (number, line) in (1..).zip(text.lines()) {
        for (at, prefix) in line.match_indices("member.attributes.") {
            let rest = &line[at + prefix.len()..];
            let end = rest.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-' | '\u{200c}'));
            let name = &rest[..end.unwrap_or(rest.len())];
            if let Ok(stored) = parse_attribute(name)
                && stored != name
            {
                let column = line[..at].chars().count() as u64 + 1;
                found.push(problem(
                    number,
                    column,
                    format!("attributes are stored in lower case; write `{prefix}{stored}`"),
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_that_are_never_found_are_named_with_what_to_write() {
        let check = |path: &str, text: &str, expected: &[&str]| {
            let found: Vec<String> = super::problems("templates", path, text).iter().map(ToString::to_string).collect();
            assert_eq!(found.len(), expected.len(), "{path}: {found:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert!(found.contains(expected), "{found}");
            }
        };
        check("x/subject.fa-IR.txt", "{{member.attributes.size}} {{default member.attributes.شهر \"\"}}", &[]);
        check("x/email.html", "", &[]);
        check("x/sms.pattern.yaml", "", &[]);
        check("x/subject.fa_IR.txt", "", &["rename it to x/subject.fa-IR.txt"]);
        check("x/sms.pattern.FA.yaml", "", &["rename it to x/sms.pattern.fa.yaml"]);
        check(
            "x/sms.txt",
            "a\nb {{member.attributes.Size}}",
            &["templates/x/sms.txt:2:5: attributes are stored in lower case; write `member.attributes.size`"],
        );
    }
}
