//! Descriptions that are wrong: every problem is found when the file is read.

use super::*;

#[test]
fn a_wrong_description_is_refused_with_line_column_and_mend() {
    let text = r#"
name: x
base_url: x.example.com
credentials: [key]
text:
  method: PUT
  url: "{base_url}/{credential.kay}"
  fields: { to: "{too}" }
  idempotent: maybe
reply:
  code: [return/status]
  codes:
    1: { then: pause, reason: refused, means: x }
    2: { then: reject, means: x, for: 5m }
    3: { then: reject, reason: unknown, means: x }
    4: { then: pause, for: soon, means: x }
  unlisted: { then: retri, means: x }
statsu: x
"#;
    let problems = Provider::parse("x.yaml", text).unwrap_err().to_string();
    let expected = "\
x.yaml:3:11: `x.example.com` is not an address; write https://…
x.yaml:6:11: `PUT` is not known here; did you mean `POST`? Valid here: `GET`, `POST`
x.yaml:7:8: there is no credential `kay`; did you mean `key`? Valid here: `key`
x.yaml:8:17: there is no placeholder `too`; did you mean `to`? Valid here: `base_url`, `credential.NAME`, `to`, \
`sender`, `reference`, `message`, `webhook`, `text`, `coding`
x.yaml:9:15: expected true or false, found `maybe`
x.yaml:11:10: `return/status` is not a place in the answer; write a JSON pointer: /return/status
x.yaml:13:23: unknown key `reason`; valid here: `then`, `means`, `for`
x.yaml:14:34: unknown key `for`; valid here: `then`, `means`, `reason`
x.yaml:15:32: `unknown` is not known here; valid here: `bad_recipient`, `refused`, `message_refused`
x.yaml:16:28: `soon` is not a length of time; write a whole number and a unit: 90s, 30m, 12h, 60d, 2w
x.yaml:17:21: `retri` is not known here; did you mean `retry`? Valid here: `sent`, `retry`, `uncertain`, `pause`, \
`reject`, `suppress_marketing`, `our_fault`
x.yaml:18:1: unknown key `statsu`; valid here: `name`";
    for (found, expected) in problems.lines().zip(expected.lines()) {
        assert!(found.starts_with(expected), "found    {found}\nexpected {expected}");
    }
    assert_eq!(problems.lines().count(), expected.lines().count(), "{problems}");
}

#[test]
fn a_description_that_cannot_work_is_refused() {
    let check = |change: fn(&str) -> String, expected: &str| {
        let error = Provider::parse("x.yaml", &change(KAVENEGAR)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(
        |text| text.replace("    localid: \"{reference}\"\n", ""),
        "this needs `{reference}` or `{message}` in the call",
    );
    check(|text| text.replace("then: sent", "then: retry"), "none of the `codes` means `sent`");
    check(
        |text| text.replace("text:\n", "texts:\n").replace("pattern:\n", "patterns:\n"),
        "neither `text` nor `pattern`",
    );
}
