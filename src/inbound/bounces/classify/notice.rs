//! Which words of a notice are about which recipient.

use super::addresses::{addresses, is_list, is_role};
use super::mail::Mail;
use super::returned::Returned;

/// So much of a notice is divided among recipients, in lines.
const MOST_LINES: usize = 2_000;
/// So many recipients of one notice are told apart.
const MOST_RECIPIENTS: usize = 100;

/// Who failed by the words of a notice, each with the words that are about them.
pub(super) fn sections(mail: &Mail, text: &str, returned: &Returned) -> Vec<(String, String)> {
    let own: Vec<String> =
        ["from", "sender", "reply-to", "return-path", "to", "cc", "delivered-to", "x-original-to", "envelope-to"]
            .iter()
            .flat_map(|name| mail.all(name))
            .flat_map(addresses)
            .chain(returned.from.iter().cloned())
            .collect();
    let is_ours = |address: &str| own.iter().any(|other| other.eq_ignore_ascii_case(address)) || is_role(address);
    let lines: Vec<&str> = text.lines().take(MOST_LINES).collect();
    if lines.iter().any(|line| line.to_lowercase().contains("failure reasons")) {
        return reasons_first(&lines, &is_ours);
    }
    // What stands after "the following addresses failed" is the list of them.
    let start = lines.iter().position(|line| announces(&line.to_lowercase())).unwrap_or(0);
    let found = collect(&lines[start..], &is_ours, false);
    if !found.is_empty() {
        return found;
    }
    let found = collect(&lines, &is_ours, false);
    if !found.is_empty() { found } else { collect(&lines, &is_ours, true) }
}

/// Notes says why before it says who.
fn reasons_first(lines: &[&str], is_ours: &dyn Fn(&str) -> bool) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut words = String::new();
    for line in lines {
        words.push_str(line);
        words.push('\n');
        for address in addresses(line).into_iter().filter(|address| !is_ours(address)) {
            if found.len() < MOST_RECIPIENTS && !found.iter().any(|(other, _)| other.eq_ignore_ascii_case(&address)) {
                found.push((address, words.clone()));
            }
            words.clear();
        }
    }
    found
}

/// Phrases before the list of those who failed.
fn announces(line: &str) -> bool {
    #[rustfmt::skip]
    const PHRASES: &[&str] = &[
        "following address", "following recipient", "following user", "following e-mail address",
        "following destination", "had permanent fatal errors", "had transient non-fatal errors",
        "was not delivered to", "not delivered to:", "undeliverable to the following",
        "could not be delivered to", "couldn't be delivered to", "unable to deliver", "did not reach",
        "delivery failed to", "delivery to the following", "failed address", "failed recipient", "recipients:",
        "intended recipient", "folgende", "destinataires suivants", "adresses suivantes", "siguiente",
        "seguinte", "seguenti", "volgende", "следующ",
    ];
    PHRASES.iter().any(|phrase| line.contains(phrase))
}

fn collect(lines: &[&str], is_ours: &dyn Fn(&str) -> bool, with_to: bool) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    // An alias is not dead with whom it stands for: words about it are about the other.
    let mut aliases: Vec<(String, usize)> = Vec::new();
    let mut current: Option<usize> = None;
    for line in lines {
        let trimmed = line.trim_start_matches(|c: char| c.is_whitespace() || c == '>').to_ascii_lowercase();
        let is_other = ["to:", "cc:", "delivered-to:", "envelope-to:"].iter().any(|name| trimmed.starts_with(name));
        if names_no_recipient(&trimmed) || !with_to && is_other {
            continue;
        }
        let mut named = addresses(line).into_iter().filter(|address| !is_ours(address));
        if trimmed.starts_with('(') && (trimmed.contains("expanded from") || trimmed.contains("generated from")) {
            if let Some(at) = current {
                aliases.extend(named.map(|address| (address, at)));
                continue;
            }
            if !with_to {
                continue;
            }
        }
        if let Some(address) = named.next() {
            let is_it = |other: &str| other.eq_ignore_ascii_case(&address);
            let known = found.iter().position(|(other, _)| is_it(other));
            let known = known.or_else(|| aliases.iter().find(|(alias, _)| is_it(alias)).map(|(_, at)| *at));
            current = known.or_else(|| {
                (found.len() < MOST_RECIPIENTS).then(|| {
                    found.push((address, String::new()));
                    found.len() - 1
                })
            });
        }
        if let Some((_, words)) = current.and_then(|at| found.get_mut(at)) {
            words.push_str(line);
            words.push('\n');
        }
        // Several in one line share it.
        for address in named {
            if found.len() < MOST_RECIPIENTS
                && !found.iter().any(|(other, _)| other.eq_ignore_ascii_case(&address))
                && is_list(line)
            {
                found.push((address, format!("{line}\n")));
            }
        }
    }
    found
}

/// Lines whose addresses are of somebody else.
fn names_no_recipient(line: &str) -> bool {
    #[rustfmt::skip]
    const STARTS: &[&str] = &[
        "from:", "sender:", "reply-to:", "subject:", "message-id:", "message id:", "received:", "return-path:",
        "date:", "references:", "in-reply-to:", ">> mail from", "mail from:", "envelope-sender", "x-", "dkim-",
        "list-", "arrival-date", "reporting-mta", "msg-id", "internet message", "feedback-id", "cc:", "bcc:",
    ];
    const INSIDE: &[&str] = &[
        "mail from:",
        "accepting mail from",
        "contact ",
        "please send mail to",
        "assistance",
        "for help",
        "questions",
        "forwarded by",
        "e-mail sent by",
        "message from",
    ];
    STARTS.iter().any(|start| line.starts_with(start)) || INSIDE.iter().any(|part| line.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_to_whom_they_are_about() {
        let mail = Mail::read(b"From: Mailer <mailer-daemon@mx.example>\nTo: shop@example.net\n\n");
        let show = |text: &str| {
            let found = sections(&mail, text, &Returned::default());
            found
                .iter()
                .map(|(a, w)| format!("{a}={}", w.split_whitespace().last().unwrap()))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(
            show("shop@example.net\n<a@x.example>:\nunknown\n<b@x.example>:\nfull"),
            "a@x.example=unknown b@x.example=full"
        );
        assert_eq!(
            show("a@x.example\nb@x.example\n--\nRCPT To:<a@x.example>\nno\nRCPT To:<b@x.example>\nbusy"),
            "a@x.example=no b@x.example=busy"
        );
        assert_eq!(show("see help@y.example\nThe following addresses failed:\na@x.example\nno"), "a@x.example=no");
        assert_eq!(show("To: a@x.example\nSubject: no"), "a@x.example=a@x.example");
        assert_eq!(show("From: q@x.example, contact r@x.example"), "");
        let first = sections(
            &mail,
            "--- Failure Reasons ---\n\nunknown\na@x.example\n\nfull\nb@x.example\n",
            &Returned::default(),
        );
        let words: Vec<_> =
            first.iter().map(|(who, why)| (who.as_str(), why.contains("unknown"), why.contains("full"))).collect();
        assert_eq!(words, [("a@x.example", true, false), ("b@x.example", false, true)]);
    }
}
