//! Changes of one key in a text that people wrote: what they wrote beside it stays.

/// The text with a key of the outermost table set to a value, which stands on one line. A key that is not there comes
/// last. Comments of other lines stay.
pub fn with_key(text: &str, key: &str, value: &str) -> String {
    let line = format!("{key}: {value}\n");
    let mut out = String::with_capacity(text.len() + line.len());
    let (mut is_set, mut belongs) = (false, false);
    for old in text.split_inclusive('\n') {
        // What a value has on further lines stands further in, or is a list.
        belongs = belongs && old.starts_with([' ', '\t', '-']);
        if belongs {
            continue;
        }
        if is_key(old, key) {
            belongs = true;
            if !is_set {
                out.push_str(&line);
                is_set = true;
            }
        } else {
            out.push_str(old);
        }
    }
    if !is_set {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        out.push_str(&line);
    }
    out
}

fn is_key(line: &str, key: &str) -> bool {
    let bare = line.strip_prefix(key).or_else(|| line.strip_prefix(&format!("\"{key}\"")));
    bare.is_some_and(|rest| rest.trim_start().starts_with(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_is_set_and_the_rest_stays_as_it_was_written() {
        let cases = [
            ("name: a\nstatus: live # since May\n# end\n", "name: a\nstatus: draft\n# end\n"),
            ("name: a\n", "name: a\nstatus: draft\n"),
            ("name: a", "name: a\nstatus: draft\n"),
            ("", "status: draft\n"),
            ("\"status\" : live\nname: a\n", "status: draft\nname: a\n"),
            ("status:\n  live\nname: a\n", "status: draft\nname: a\n"),
            ("status:\n- a\n- b\nname: a\n", "status: draft\nname: a\n"),
            // Another key, and one within another.
            ("status_of: x\nexperiment:\n  status: y\n", "status_of: x\nexperiment:\n  status: y\nstatus: draft\n"),
            ("status: a\r\nname: b\r\n", "status: draft\nname: b\r\n"),
        ];
        for (text, wanted) in cases {
            assert_eq!(with_key(text, "status", "draft"), wanted, "{text:?}");
        }
    }
}
