//! What an SMTP reply means: a table over the stage of the conversation, the reply code (RFC 5321),
//! the enhanced code (RFC 3463) and, where servers are known to contradict their codes, the words. A
//! wrong suppression loses a customer, so only clear cases suppress.

use std::ops::RangeInclusive;

use super::message::Reason;

/// How far the conversation is: which command a reply answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
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
    /// For operators.
    pub const fn name(self) -> &'static str {
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

/// What a reply means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not now; later perhaps.
    Retry,
    /// The same, and this domain wants less from us.
    SlowDown,
    /// The mailbox is full: it may empty again. A soft bounce.
    MailboxFull,
    /// Never this message.
    Reject(Reason),
    /// The address is dead: never again.
    Suppress,
    /// The server cannot be used at the moment.
    Away,
    /// The server cannot be used until somebody changes a setting.
    Misconfigured,
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
use Verdict::{Away, MailboxFull, Misconfigured, Reject, Retry, SlowDown, Suppress};

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
    "exceeded quota",
    "insufficient mailbox storage",
    "exceeded storage",
    "out of storage",
];
/// Words by which a recipient is known who gets too much from everybody.
const BUSY: &[&str] = &["receiving mail too quickly", "receiving mail at a rate"];
/// Words by which greylisting is known.
const GREYLIST: &[&str] = &["greylisted", "graylisted", "greylisting", "graylisting", "greylist", "graylist"];
/// Words by which a server asks for less.
const SLOWER: &[&str] =
    &["rate limit", "rate limited", "too many", "throttled", "throttling", "too fast", "slow down", "sending rate"];
/// Words by which a refusal of the sender, not of the recipient, is known.
const REPUTATION: &[&str] = &[
    "reputation",
    "blocked",
    "blocklist",
    "blocklisted",
    "blacklisted",
    "denylist",
    "spamhaus",
    "spamcop",
    "barracuda",
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
    "user doesn't exist",
    "no mailbox here by that name",
];

const TABLE: &[Row] = &[
    // Nothing that happens before MAIL concerns a message.
    row(&[Connect], ALL, ANY, &[], Away),
    row(&[Auth], TRANSIENT, ANY, &[], Away),
    row(&[Auth], ALL, ANY, &[], Misconfigured),
    // Authentication is wanted, or what we have is not enough (RFC 4954).
    row(&[], 530..=530, ANY, &[], Misconfigured),
    row(&[], 534..=535, ANY, &[], Misconfigured),
    row(&[], 538..=538, ANY, &[], Misconfigured),
    row(&[], PERMANENT, &[(5, 7, 8..=9)], &[], Misconfigured),
    // Greylisting is for each recipient alone, and is said with 4.7.1, too.
    row(&[], TRANSIENT, ANY, GREYLIST, Retry),
    row(&[Rcpt, Dot], TRANSIENT, &[(4, 2, 2..=2)], &[], MailboxFull),
    row(&[Rcpt, Dot], TRANSIENT, ANY, FULL, MailboxFull),
    // Too many recipients: of one transaction, and ours have one each.
    row(&[], TRANSIENT, &[(4, 5, 3..=3)], &[], Retry),
    row(&[], TRANSIENT, ANY, SLOWER, SlowDown),
    row(&[], 421..=421, ANY, &[], SlowDown),
    row(&[], TRANSIENT, &[(4, 3, 2..=2), (4, 4, 0..=999), (4, 7, 0..=999)], &[], SlowDown),
    row(&[], TRANSIENT, ANY, &[], Retry),
    // A full mailbox empties again; 5.1.1 is said for it, too.
    row(&[Rcpt, Dot], PERMANENT, &[(5, 2, 2..=2)], &[], MailboxFull),
    row(&[Rcpt, Dot], PERMANENT, ANY, FULL, MailboxFull),
    // Gmail says 5.2.1, elsewhere a disabled mailbox, of one that gets too much from everybody.
    row(&[Rcpt, Dot], PERMANENT, ANY, BUSY, Retry),
    // The size and the content, whoever says it.
    row(&[], PERMANENT, &[(5, 2, 3..=3), (5, 3, 4..=4), (5, 6, 0..=999)], &[], Reject(Reason::MessageRefused)),
    // 552 without an enhanced code is the size (RFC 1870), except at RCPT, where it is the quota.
    row(&[Rcpt], 552..=552, &[NONE], &[], MailboxFull),
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

/// What a negative reply means for the message it answers.
pub fn judge(stage: Stage, code: u16, text: &str) -> Verdict {
    deciding(stage, code, text).map_or(Reject(Reason::Refused), |row| TABLE[row].then)
}

/// The first row that fits.
fn deciding(stage: Stage, code: u16, text: &str) -> Option<usize> {
    let lower = text.to_lowercase();
    let enhanced = enhanced(text).unwrap_or((0, 0, 0));
    TABLE.iter().position(|row| {
        (row.stages.is_empty() || row.stages.contains(&stage))
            && row.codes.contains(&code)
            && (row.enhanced.is_empty()
                || row.enhanced.iter().any(|(class, subject, detail)| {
                    (*class, *subject) == (enhanced.0, enhanced.1) && detail.contains(&enhanced.2)
                }))
            && (row.words.is_empty() || row.words.iter().any(|word| says(&lower, word)))
    })
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn word(verdict: Verdict) -> String {
        match verdict {
            Retry => "retry".to_owned(),
            SlowDown => "slow".to_owned(),
            MailboxFull => "full".to_owned(),
            Reject(reason) => reason.to_string(),
            Suppress => "bad_recipient suppress".to_owned(),
            Away => "away".to_owned(),
            Misconfigured => "misconfigured".to_owned(),
        }
    }

    #[test]
    fn each_reply_has_its_verdict_and_each_row_its_reply() {
        let mut decided = BTreeSet::new();
        let mut check = |stage, reply: &str, expected: &str| {
            let (code, text) = reply.split_at(3);
            let (code, text) = (code.parse().unwrap(), text.trim());
            assert_eq!(word(judge(stage, code, text)), expected, "{stage:?} {reply}");
            decided.extend(deciding(stage, code, text));
        };
        check(Connect, "554 no service", "away");
        check(Connect, "421 4.3.2 busy", "away");
        check(Auth, "535 5.7.8 bad credentials", "misconfigured");
        check(Auth, "454 4.7.0 temporary failure", "away");
        check(Mail, "530 5.7.0 authentication required", "misconfigured");
        check(Rcpt, "550 5.7.8 credentials", "misconfigured");
        check(Mail, "421 4.4.2 timeout", "slow");
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
        check(Rcpt, "452 4.2.2 mailbox full", "full");
        check(Rcpt, "451 4.7.1 slow down", "slow");
        check(Rcpt, "552 5.2.2 quota", "full");
        check(Rcpt, "550 5.1.1 mailbox full", "full");
        check(Rcpt, "552 no room", "full");
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
        check(Dot, "421 4.3.0 going down", "slow");
        check(Dot, "451 4.7.1 greylisted", "retry");
        check(Dot, "550 5.6.0 bad content", "message_refused");
        check(Dot, "552 5.2.3 too long", "message_refused");
        check(Dot, "552 too big", "message_refused");
        check(Dot, "554 5.7.1 looks like spam", "refused");
        check(Dot, "554 transaction failed", "refused");
        check(Dot, "500 line too long", "our_fault");
        check(Dot, "550 5.7.1 policy marble", "refused");
        check(Auth, "534 5.7.9 mechanism too weak", "misconfigured");
        check(Mail, "535 5.7.8 credentials expired", "misconfigured");
        check(Mail, "538 encryption required", "misconfigured");
        check(Rcpt, "451 4.3.2 not accepting", "slow");
        check(Dot, "454 4.7.0 anything", "slow");
        check(Rcpt, "450 4.2.0 Too many mails for this domain", "slow");
        check(Rcpt, "450 4.2.0 <sara@example.org>: Recipient address rejected: Greylisted, see http://x", "retry");
        check(Rcpt, "450 this mailbox is full", "full");
        check(Rcpt, "550 5.2.1 The user you are trying to contact is receiving mail at a rate that", "retry");
        check(Data, "550 5.2.1 no", "refused");
        let idle: Vec<usize> = (0..TABLE.len()).filter(|row| !decided.contains(row)).collect();
        assert!(idle.is_empty(), "no reply above is decided by these rows, counted from 0: {idle:?}");
    }

    #[test]
    fn words_are_whole_words() {
        assert!(says("550 listed by rbl.", "rbl"));
        assert!(!says("marble", "rbl"));
    }
}
