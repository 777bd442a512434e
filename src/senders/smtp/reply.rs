//! What an SMTP reply means for a message: a table over the stage of the conversation, the reply
//! code (RFC 5321), the enhanced code (RFC 3463) and, where servers are known to contradict their
//! codes, the words. A wrong suppression loses a customer, so only clear cases suppress.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::domain::message::Reason;
use crate::senders::Outcome;

/// How long a sender rests when its server is away.
pub(super) const AWAY: Duration = Duration::from_secs(30);
/// How long a sender rests when somebody has to change a setting.
pub(super) const MISCONFIGURED: Duration = Duration::from_secs(5 * 60);

/// How far the conversation is: which command a reply answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Connecting, the greeting, EHLO, STARTTLS.
    Connect,
    Auth,
    Mail,
    Rcpt,
    Data,
    /// The whole mail is on its way.
    Dot,
}

impl Stage {
    const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connecting",
            Self::Auth => "AUTH",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Dot => "after the mail",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Retry,
    Reject(Reason),
    /// Reject, and never write to the address again.
    Suppress,
    Pause(Duration),
}

/// One row: every given condition must hold; an empty one always does. The first row that fits decides.
struct Row {
    stages: &'static [Stage],
    codes: RangeInclusive<u16>,
    /// Class, subject, detail of the enhanced code.
    enhanced: &'static [(u8, u16, RangeInclusive<u16>)],
    words: &'static [&'static str],
    then: Verdict,
}

/// Matches a reply without an enhanced code, too.
const ANY: &[(u8, u16, RangeInclusive<u16>)] = &[];
const ALL: RangeInclusive<u16> = 0..=999;
const TRANSIENT: RangeInclusive<u16> = 400..=499;
const PERMANENT: RangeInclusive<u16> = 500..=599;
/// Class 0 stands for "no enhanced code".
const NONE: (u8, u16, RangeInclusive<u16>) = (0, 0, 0..=0);

use Stage::{Auth, Connect, Data, Dot, Mail, Rcpt};
use Verdict::{Pause, Reject, Retry, Suppress};

const fn row(
    stages: &'static [Stage],
    codes: RangeInclusive<u16>,
    enhanced: &'static [(u8, u16, RangeInclusive<u16>)],
    words: &'static [&'static str],
    then: Verdict,
) -> Row {
    Row { stages, codes, enhanced, words, then }
}

/// Words by which a full mailbox is known whatever its code says.
const FULL: &[&str] = &[
    "mailbox full",
    "mailbox is full",
    "over quota",
    "overquota",
    "quota exceeded",
    "exceeded storage",
    "out of storage",
];
/// Words by which a refusal of the sender, not of the recipient, is known.
const REPUTATION: &[&str] = &[
    "reputation",
    "blocked",
    "blocklist",
    "block list",
    "blacklist",
    "black list",
    "spam",
    "dnsbl",
    "rbl",
    "dmarc",
    "spf",
    "dkim",
    "unsolicited",
    "rate limit",
    "banned",
];
/// Words by which an unknown recipient is known.
const UNKNOWN: &[&str] = &[
    "user unknown",
    "unknown user",
    "no such user",
    "no such recipient",
    "no such mailbox",
    "unknown recipient",
    "user does not exist",
    "recipient does not exist",
    "mailbox does not exist",
    "account does not exist",
    "user not found",
    "recipient not found",
    "mailbox not found",
];

const TABLE: &[Row] = &[
    // Nothing that happens before MAIL concerns a message.
    row(&[Connect], ALL, ANY, &[], Pause(AWAY)),
    row(&[Auth], TRANSIENT, ANY, &[], Pause(AWAY)),
    row(&[Auth], ALL, ANY, &[], Pause(MISCONFIGURED)),
    // Authentication is wanted, or what we have is not enough (RFC 4954).
    row(&[], 530..=530, ANY, &[], Pause(MISCONFIGURED)),
    row(&[], 534..=535, ANY, &[], Pause(MISCONFIGURED)),
    row(&[], 538..=538, ANY, &[], Pause(MISCONFIGURED)),
    row(&[], PERMANENT, &[(5, 7, 8..=9)], &[], Pause(MISCONFIGURED)),
    row(&[], TRANSIENT, ANY, &[], Retry),
    // A full mailbox empties again; 5.1.1 is said for it, too.
    row(&[Rcpt, Dot], PERMANENT, &[(5, 2, 2..=2)], &[], Retry),
    row(&[Rcpt, Dot], PERMANENT, ANY, FULL, Retry),
    // The size and the content, whoever says it.
    row(&[], PERMANENT, &[(5, 2, 3..=3), (5, 3, 4..=4), (5, 6, 0..=999)], &[], Reject(Reason::MessageRefused)),
    // 552 without an enhanced code is the size (RFC 1870), except at RCPT, where it is the quota.
    row(&[Rcpt], 552..=552, &[NONE], &[], Retry),
    row(&[Mail, Data, Dot], 552..=552, &[NONE], &[], Reject(Reason::MessageRefused)),
    // The server does not want us: a reputation is lost, or was never there.
    row(&[], PERMANENT, ANY, REPUTATION, Reject(Reason::Refused)),
    // 5.7.1 is said for an unknown recipient, too.
    row(&[Rcpt, Dot], PERMANENT, &[NONE, (5, 0, 0..=0), (5, 1, 0..=0), (5, 7, 1..=1)], UNKNOWN, Suppress),
    // No recipient is known yet at MAIL: the fault is the sender's.
    row(&[Mail], PERMANENT, &[(5, 7, 0..=999)], &[], Reject(Reason::Refused)),
    row(&[Mail], PERMANENT, ANY, &[], Reject(Reason::OurFault)),
    row(&[], PERMANENT, &[(5, 1, 7..=8), (5, 5, 0..=999)], &[], Reject(Reason::OurFault)),
    row(
        &[Rcpt, Dot],
        PERMANENT,
        &[(5, 1, 1..=3), (5, 1, 6..=6), (5, 1, 10..=10), (5, 2, 1..=1), (5, 7, 13..=13), (5, 7, 17..=18)],
        &[],
        Suppress,
    ),
    row(&[], PERMANENT, &[(5, 7, 0..=999)], &[], Reject(Reason::Refused)),
    // Syntax: we speak wrongly.
    row(&[], 500..=504, ANY, &[], Reject(Reason::OurFault)),
    // 550 says "mailbox unavailable", but large receivers say it for policy, too: not a reason to suppress.
    row(&[Rcpt], PERMANENT, ANY, &[], Reject(Reason::BadRecipient)),
    row(&[], ALL, ANY, &[], Reject(Reason::Refused)),
];

/// What a negative reply does to a message. `recipient` is cut out of the text.
pub(super) fn refused(stage: Stage, code: u16, text: &str, recipient: &str) -> Outcome {
    let lower = text.to_lowercase();
    let enhanced = enhanced(text).unwrap_or((0, 0, 0));
    let fits = |row: &&Row| {
        (row.stages.is_empty() || row.stages.contains(&stage))
            && row.codes.contains(&code)
            && (row.enhanced.is_empty()
                || row.enhanced.iter().any(|(class, subject, detail)| {
                    (*class, *subject) == (enhanced.0, enhanced.1) && detail.contains(&enhanced.2)
                }))
            && (row.words.is_empty() || row.words.iter().any(|word| says(&lower, word)))
    };
    let verdict = TABLE.iter().find(fits).map_or(Reject(Reason::Refused), |row| row.then);
    let reply = format!("{}: {code} {}", stage.name(), without_address(text, recipient));
    match verdict {
        Retry => Outcome::Retry { reply },
        Pause(pause) => Outcome::Pause { reply, pause },
        Reject(reason) => Outcome::Rejected { reason, reply, suppress: false },
        Suppress => Outcome::Rejected { reason: Reason::BadRecipient, reply, suppress: true },
    }
}

/// What it means that no answer came: the connection broke or the deadline passed. `sent` is
/// whether all that was written so far left this machine.
pub(super) fn lost(stage: Stage, sent: bool, why: &str) -> Outcome {
    let reply = format!("{}: {why}", stage.name());
    match stage {
        Connect | Auth => Outcome::Pause { reply, pause: AWAY },
        // RFC 1047: the server may have taken it.
        Dot if sent => Outcome::Uncertain { reply },
        Mail | Rcpt | Data | Dot => Outcome::Retry { reply },
    }
}

/// The server's name for the mail it took: Postfix and Exim say it.
pub(super) fn reference(text: &str) -> Option<String> {
    let rest = ["queued as ", " id="].iter().find_map(|mark| text.split_once(mark))?.1;
    let id: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').take(64).collect();
    Some(id).filter(|id| !id.is_empty())
}

/// The enhanced code at the start of a reply's text.
fn enhanced(text: &str) -> Option<(u8, u16, u16)> {
    let word = text.split_whitespace().next()?;
    let mut parts = word.split('.').map(|part| part.parse::<u16>().ok());
    let code = (parts.next()??, parts.next()??, parts.next()??);
    let class = u8::try_from(code.0).ok().filter(|class| matches!(class, 2 | 4 | 5))?;
    parts.next().is_none().then_some((class, code.1, code.2))
}

/// Whether the words occur as words: "rbl" is not in "marble".
fn says(text: &str, words: &str) -> bool {
    text.match_indices(words).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + words.len()..].chars().next();
        ![before, after].into_iter().flatten().any(char::is_alphanumeric)
    })
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

    fn kind(outcome: &Outcome) -> String {
        match outcome {
            Outcome::Retry { .. } => "retry".to_owned(),
            Outcome::Pause { pause, .. } => format!("pause {}", pause.as_secs()),
            Outcome::Rejected { reason, suppress: false, .. } => reason.to_string(),
            Outcome::Rejected { reason, suppress: true, .. } => format!("{reason} suppress"),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn each_reply_has_its_outcome() {
        let check = |stage, reply: &str, expected: &str| {
            let (code, text) = reply.split_at(3);
            let outcome = refused(stage, code.parse().unwrap(), text.trim(), "sara@example.org");
            assert_eq!(kind(&outcome), expected, "{stage:?} {reply}");
        };
        check(Connect, "554 no service", "pause 30");
        check(Connect, "421 4.3.2 busy", "pause 30");
        check(Auth, "535 5.7.8 bad credentials", "pause 300");
        check(Auth, "454 4.7.0 temporary failure", "pause 30");
        check(Mail, "530 5.7.0 authentication required", "pause 300");
        check(Rcpt, "550 5.7.8 credentials", "pause 300");
        check(Mail, "421 4.4.2 timeout", "retry");
        check(Mail, "451 4.3.0 try later", "retry");
        check(Mail, "452 4.3.1 no space", "retry");
        check(Mail, "550 5.1.8 bad sender", "our_fault");
        check(Mail, "553 5.1.7 bad sender address", "our_fault");
        check(Mail, "550 no", "our_fault");
        check(Mail, "501 syntax", "our_fault");
        check(Mail, "550 5.7.1 not from here", "refused");
        check(Mail, "554 your IP is on a blacklist", "refused");
        check(Mail, "552 5.3.4 too big", "message_refused");
        check(Mail, "552 too big", "message_refused");
        check(Rcpt, "450 4.2.1 greylisted", "retry");
        check(Rcpt, "452 4.5.3 too many recipients", "retry");
        check(Rcpt, "452 4.2.2 mailbox full", "retry");
        check(Rcpt, "451 4.7.1 slow down", "retry");
        check(Rcpt, "552 5.2.2 quota", "retry");
        check(Rcpt, "550 5.1.1 mailbox full", "retry");
        check(Rcpt, "552 no room", "retry");
        for detail in ["1.1", "1.2", "1.3", "1.6", "1.10", "2.1", "7.13", "7.17", "7.18"] {
            check(Rcpt, &format!("550 5.{detail} no"), "bad_recipient suppress");
        }
        check(Rcpt, "550 User unknown in virtual mailbox table", "bad_recipient suppress");
        check(Rcpt, "550 5.7.1 No such user here", "bad_recipient suppress");
        check(Dot, "550 5.1.1 no such user", "bad_recipient suppress");
        check(Rcpt, "550 5.1.1 blocked by spam filter", "refused");
        check(Rcpt, "550 5.7.1 relaying denied", "refused");
        check(Rcpt, "550 5.7.25 no PTR", "refused");
        check(Rcpt, "550 5.7.26 unauthenticated", "refused");
        check(Rcpt, "550 5.7.515 access denied", "refused");
        check(Rcpt, "550 5.1.8 sender", "our_fault");
        check(Rcpt, "550 5.5.1 bad sequence", "our_fault");
        check(Rcpt, "550 mailbox unavailable", "bad_recipient");
        check(Rcpt, "550 5.4.1 access denied", "bad_recipient");
        check(Data, "451 4.3.0 later", "retry");
        check(Data, "503 bad sequence", "our_fault");
        check(Data, "554 no valid recipients", "refused");
        check(Dot, "421 4.3.0 going down", "retry");
        check(Dot, "451 4.7.1 greylisted", "retry");
        check(Dot, "550 5.6.0 bad content", "message_refused");
        check(Dot, "552 5.2.3 too long", "message_refused");
        check(Dot, "552 too big", "message_refused");
        check(Dot, "554 5.7.1 looks like spam", "refused");
        check(Dot, "554 transaction failed", "refused");
        check(Dot, "500 line too long", "our_fault");
        check(Dot, "550 5.7.1 policy marble", "refused");
    }

    #[test]
    fn no_answer_is_uncertain_only_when_the_whole_mail_has_left() {
        let check = |stage, sent, expected: &str| {
            let outcome = lost(stage, sent, "the connection closed");
            let found = match &outcome {
                Outcome::Uncertain { .. } => "uncertain".to_owned(),
                other => kind(other),
            };
            assert_eq!(found, expected, "{stage:?} {sent}");
        };
        check(Connect, true, "pause 30");
        check(Auth, true, "pause 30");
        check(Mail, true, "retry");
        check(Rcpt, true, "retry");
        check(Data, true, "retry");
        check(Dot, false, "retry");
        check(Dot, true, "uncertain");
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
