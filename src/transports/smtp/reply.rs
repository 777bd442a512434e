//! What the server's answers come to: the verdicts of `domain::smtp_reply` as outcomes, and replies
//! without what nobody should read.

use crate::domain::message::Reason;
pub(super) use crate::domain::smtp_reply::Stage;
use crate::domain::smtp_reply::{Verdict, judge};
use crate::transports::{AWAY, Blame, MISCONFIGURED, Outcome};

/// What a negative reply does to a message. `recipient` is cut out of the text.
pub(super) fn refused(stage: Stage, code: u16, text: &str, recipient: &str) -> Outcome {
    let reply = format!("{}: {code} {}", stage.name(), without_address(text, recipient));
    match judge(stage, code, text) {
        Verdict::Retry => Outcome::Retry { reply, blame: Blame::Nobody },
        Verdict::SlowDown => Outcome::Retry { reply, blame: Blame::Pace },
        Verdict::MailboxFull => Outcome::Retry { reply, blame: Blame::Mailbox },
        Verdict::Away => Outcome::Pause { reply, pause: AWAY },
        Verdict::Misconfigured => Outcome::Pause { reply, pause: MISCONFIGURED },
        Verdict::Reject(reason) => Outcome::Rejected { reason, reply, suppress: false },
        Verdict::Suppress => Outcome::Rejected { reason: Reason::BadRecipient, reply, suppress: true },
    }
}

/// What it means that no answer came: the connection broke or the deadline passed. `sent` is
/// whether all that was written so far left this machine.
pub(super) fn lost(stage: Stage, sent: bool, why: &str) -> Outcome {
    let reply = format!("{}: {why}", stage.name());
    match stage {
        Stage::Connect | Stage::Auth => Outcome::Pause { reply, pause: AWAY },
        // RFC 1047: the server may have taken it.
        Stage::Dot if sent => Outcome::Uncertain { reply },
        Stage::Mail | Stage::Rcpt | Stage::Data | Stage::Dot => Outcome::Retry { reply, blame: Blame::Server },
    }
}

/// The server's name for the mail it took: Postfix and Exim say it.
pub(super) fn reference(text: &str) -> Option<String> {
    let rest = ["queued as ", " id="].iter().find_map(|mark| text.split_once(mark))?.1;
    let id: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').take(64).collect();
    Some(id).filter(|id| !id.is_empty())
}

/// A server's text without addresses and control characters, short enough for a log.
fn without_address(text: &str, recipient: &str) -> String {
    let local = recipient.split('@').next().unwrap_or_default().to_lowercase();
    let edge = |c: char| !c.is_alphanumeric();
    let words = text.split_whitespace().map(|word| {
        let secret = word.contains('@') || word.trim_matches(edge).to_lowercase() == local && !local.is_empty();
        if secret { "<address>" } else { word }
    });
    words.collect::<Vec<_>>().join(" ").chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verdict_has_its_outcome() {
        let check = |stage, code, text: &str, expected: Outcome| {
            assert_eq!(refused(stage, code, text, "sara@example.org"), expected, "{code} {text}");
        };
        let retry = |reply: &str, blame| Outcome::Retry { reply: reply.to_owned(), blame };
        check(Stage::Rcpt, 450, "4.2.1 later", retry("RCPT: 450 4.2.1 later", Blame::Nobody));
        check(Stage::Mail, 421, "4.7.0 slower", retry("MAIL: 421 4.7.0 slower", Blame::Pace));
        check(Stage::Rcpt, 552, "5.2.2 full", retry("RCPT: 552 5.2.2 full", Blame::Mailbox));
        let pause = |reply: &str, pause| Outcome::Pause { reply: reply.to_owned(), pause };
        check(Stage::Connect, 554, "no", pause("connecting: 554 no", AWAY));
        check(Stage::Auth, 535, "5.7.8 no", pause("AUTH: 535 5.7.8 no", MISCONFIGURED));
        let rejected = |reason, reply: &str, suppress| Outcome::Rejected { reason, reply: reply.to_owned(), suppress };
        check(Stage::Rcpt, 550, "5.1.1 sara: no", rejected(Reason::BadRecipient, "RCPT: 550 5.1.1 <address> no", true));
        check(Stage::Dot, 554, "5.7.1 spam", rejected(Reason::Refused, "after the mail: 554 5.7.1 spam", false));
    }

    #[test]
    fn no_answer_is_uncertain_only_when_the_whole_mail_has_left() {
        let check = |stage, sent, expected: &str| {
            let outcome = lost(stage, sent, "the connection closed");
            let found = match &outcome {
                Outcome::Uncertain { .. } => "uncertain".to_owned(),
                Outcome::Retry { blame: Blame::Server, .. } => "retry".to_owned(),
                Outcome::Pause { pause, .. } => format!("pause {}", pause.as_secs()),
                other => format!("{other:?}"),
            };
            assert_eq!(found, expected, "{stage:?} {sent}");
        };
        check(Stage::Connect, true, "pause 30");
        check(Stage::Auth, true, "pause 30");
        check(Stage::Mail, true, "retry");
        check(Stage::Rcpt, true, "retry");
        check(Stage::Data, true, "retry");
        check(Stage::Dot, false, "retry");
        check(Stage::Dot, true, "uncertain");
    }

    #[test]
    fn replies_for_operators_hold_no_address() {
        let check = |text: &str, expected: &str| assert_eq!(without_address(text, "Sara@example.org"), expected);
        check("5.1.1 <sara@example.org>: user unknown", "5.1.1 <address> user unknown");
        check("5.1.1 sara: no such user", "5.1.1 <address> no such user");
        check("sorry, sarah is not here", "sorry, sarah is not here");
        check("forwarded to other@example.net", "forwarded to <address>");
        check(&"x ".repeat(300), &"x ".repeat(100));
    }

    #[test]
    fn the_servers_own_id_is_kept() {
        let check = |text: &str, expected: Option<&str>| assert_eq!(reference(text).as_deref(), expected);
        check("2.0.0 Ok: queued as 4WxYz12abc", Some("4WxYz12abc"));
        check("OK id=1sXyz-0001-Ab", Some("1sXyz-0001-Ab"));
        check("2.0.0 Ok", None);
    }
}
