//! What a server's words and codes mean. The words outrank the codes: real servers say 5.1.1 for a
//! full mailbox and 5.7.1 for an unknown user. A wrong suppression loses a customer, so an address
//! is dead only where words or a code say so and nothing contradicts.

use super::dialogue::{Command, refused};
use super::phrases::{asserts, plain, says};
use super::words::{self, Why};

/// An enhanced status code (RFC 3463).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status(pub u8, pub u16, pub u16);

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// What there is to judge by.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Evidence<'a> {
    /// The `Status` field.
    pub status: &'a str,
    /// What the server said about this recipient.
    pub diagnostic: &'a str,
    /// What the notice says besides, to people.
    pub notice: &'a str,
}

/// Judges a failure: why, and its enhanced code, found or derived.
pub(super) fn judge(evidence: Evidence<'_>) -> (Why, Status) {
    let evidence = Evidence {
        diagnostic: &without_gloss(evidence.diagnostic),
        notice: &without_gloss(evidence.notice),
        ..evidence
    };
    let said = plain(evidence.diagnostic);
    let notice = plain(evidence.notice);
    let field = enhanced(evidence.status);
    let code = enhanced(evidence.diagnostic);
    let reply = reply(evidence.diagnostic);
    let in_notice = || enhanced(evidence.notice).filter(|_| field.is_none() && code.is_none());
    let known: Vec<Status> = [field, code].into_iter().flatten().chain(in_notice()).collect();
    // Whoever said 4xx and never 5xx did not refuse for good.
    let is_passing = reply.map_or_else(
        || !known.is_empty() && known.iter().all(|status| status.0 == 4),
        |reply| reply < 500 && !known.iter().any(|status| status.0 == 5 && Some(*status) == code),
    );
    let command = refused(evidence.diagnostic).or_else(|| refused(evidence.notice));
    // What a server answered says more than what was written around it.
    let answered = plain(&answers(if said.is_empty() { evidence.notice } else { evidence.diagnostic }));
    let why = is_exit_code(evidence.diagnostic)
        .then_some(Why::Temporary)
        .or_else(|| by_words(&answered, words::CLEAR))
        .or_else(|| by_words(&said, words::RULES))
        .or_else(|| by_codes(&known, &notice).filter(|why| !proves(*why) || is_addressed(&known, reply, &said)))
        .or_else(|| (command != Some(Command::Data) && is_unavailable(&said, &known)).then_some(Why::Dead))
        .or_else(|| by_words(&notice, words::RULES))
        .or_else(|| by_words(&said, words::REFUSED))
        .or_else(|| by_words(&notice, words::REFUSED))
        .unwrap_or(if is_passing { Why::Temporary } else { Why::Refused });
    let why = match why {
        Why::Dead | Why::NoDomain | Why::NoMail | Why::Refused if is_passing => Why::Temporary,
        Why::Dead | Why::NoDomain | Why::NoMail | Why::Refused if command == Some(Command::Mail) => Why::Blocked,
        why => why,
    };
    (why, shown(&known, reply, why))
}

/// The code that is shown: the more telling one of field and diagnostic.
fn shown(known: &[Status], reply: Option<u16>, why: Why) -> Status {
    let telling = |status: &&Status| (status.1, status.2) != (0, 0);
    let class = match reply {
        Some(reply) if reply < 500 => 4,
        Some(_) => 5,
        None if matches!(why, Why::Full | Why::Temporary) => 4,
        None => 5,
    };
    known.iter().find(telling).or_else(|| known.first()).copied().unwrap_or(Status(class, 0, 0))
}

/// Without what sendmail adds to every 550 that answers RCPT (`550 5.1.1 <sara@example.com>... User unknown`),
/// where the other server refuses the mail and says nothing of a user.
fn without_gloss(text: &str) -> std::borrow::Cow<'_, str> {
    let is_theirs = |line: &str| line.trim_start().starts_with("<<<");
    let theirs = plain(&text.lines().filter(|line| is_theirs(line)).collect::<Vec<_>>().join("\n"));
    if theirs.is_empty() || by_words(&theirs, words::VAGUE).is_none() || by_words(&theirs, words::CLEAR).is_some() {
        return text.into();
    }
    let is_gloss = |line: &&str| !is_theirs(line) && line.to_lowercase().trim_end().ends_with("... user unknown");
    text.lines().filter(|line| !is_gloss(line)).collect::<Vec<_>>().join("\n").into()
}

/// The lines of a notice in which a server refuses for good.
fn answers(text: &str) -> String {
    let is_answer = |line: &&str| reply(line).is_some_and(|code| code >= 500);
    text.lines().filter(is_answer).collect::<Vec<_>>().join("\n")
}

/// The words of RFC 5321 for a user that is not there, and those of a gateway that asked a directory. Of a
/// whole mail they mean anything.
fn is_unavailable(said: &str, known: &[Status]) -> bool {
    says(said, "requested action not taken: mailbox unavailable")
        || says(said, "address rejected") && known.contains(&Status(5, 1, 0))
}

/// Whether a program that delivers ended badly: by its exit code alone, and not with "no such user".
fn is_exit_code(diagnostic: &str) -> bool {
    let code = diagnostic.to_ascii_lowercase().replace(char::is_whitespace, "");
    code.strip_prefix("x-unix;").and_then(|code| code.parse::<u8>().ok()).is_some_and(|code| code != 67)
}

fn by_words(text: &str, rules: &[(Why, &[&str])]) -> Option<Why> {
    let holds = |why: Why, phrase: &str| if proves(why) { asserts(text, phrase) } else { says(text, phrase) };
    rules.iter().find(|(why, phrases)| phrases.iter().any(|phrase| holds(*why, phrase))).map(|(why, _)| *why)
}

const fn proves(why: Why) -> bool {
    matches!(why, Why::Dead | Why::NoDomain)
}

/// Whether codes are about the address where the words refuse the mail, or the server all mail (521,
/// RFC 7504): servers give every code to what they do not want.
fn is_addressed(known: &[Status], reply: Option<u16>, said: &str) -> bool {
    let refuses = reply == Some(521) || by_words(said, words::REFUSED).is_some();
    !refuses || known.iter().any(|status| (status.0, status.1) == (5, 1))
}

/// By codes that mean one thing. They must agree before an address is dead, and the notice must not
/// name another reason.
fn by_codes(known: &[Status], notice: &str) -> Option<Why> {
    let meanings: Vec<Why> = known.iter().filter_map(|status| meaning(*status)).collect();
    if let Some(other) = meanings.iter().find(|why| !proves(**why)) {
        return Some(*other);
    }
    let dead = meanings.first().copied()?;
    by_words(notice, words::OTHERWISE).or(Some(dead))
}

/// What a code means by itself; `None` where servers use it for anything.
fn meaning(Status(class, subject, detail): Status) -> Option<Why> {
    Some(match (class, subject, detail) {
        (5, 1, 1 | 3 | 6 | 10) | (5, 2, 1) | (5, 7, 13 | 17 | 18) => Why::Dead,
        (5, 1, 2) | (5, 4, 310) => Why::NoDomain,
        (5, 4, 4) | (5, 7, 27) => Why::NoMail,
        (_, 1, 7 | 8) => Why::Blocked,
        (_, 2, 2) => Why::Full,
        (_, 2, 3) | (_, 3, 4) => Why::Blocked,
        (_, 3, 1 | 2) => Why::Temporary,
        (5, 4, 0 | 1) => return None,
        (_, 4, _) => Why::Temporary,
        (5, 5, 0) => return None,
        (5, 5, _) | (5, 6, _) | (_, 7, _) => Why::Blocked,
        (4, _, _) => Why::Temporary,
        _ => return None,
    })
}

/// The first enhanced code of a text. A part of an IP address or a version is none.
pub(super) fn enhanced(text: &str) -> Option<Status> {
    let bytes = text.as_bytes();
    let is_part = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'_' || b == b'/';
    for (at, b) in bytes.iter().enumerate() {
        if !matches!(b, b'4' | b'5') || at > 0 && is_part(bytes[at - 1]) {
            continue;
        }
        let end = bytes[at..].iter().position(|b| !(b.is_ascii_digit() || *b == b'.')).map_or(bytes.len(), |n| at + n);
        let word = text[at..end].trim_end_matches('.');
        if bytes.get(at + word.len()).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_') {
            continue;
        }
        let mut numbers = word.split('.').map(|part| (part.len() <= 3).then(|| part.parse::<u16>().ok()).flatten());
        if let (Some(Some(class)), Some(Some(subject @ 0..=7)), Some(Some(detail)), None) =
            (numbers.next(), numbers.next(), numbers.next(), numbers.next())
            && let Ok(class @ 4..=5) = u8::try_from(class)
        {
            return Some(Status(class, subject, detail));
        }
    }
    None
}

/// The reply code of a text (RFC 5321); of several the last permanent one, else the last.
fn reply(text: &str) -> Option<u16> {
    let bytes = text.as_bytes();
    let mut found: Option<u16> = None;
    for at in 0..bytes.len() {
        let code = bytes.get(at..at + 3).filter(|code| {
            matches!(code[0], b'4' | b'5') && matches!(code[1], b'0'..=b'5' | b'7') && code[2].is_ascii_digit()
        });
        let Some(code) = code else { continue };
        let before = at.checked_sub(1).map(|before| bytes[before]);
        let starts = before.is_none_or(|b| b.is_ascii_whitespace() || b":;(<#[\"'=".contains(&b));
        let ends = bytes.get(at + 3).is_none_or(|b| b.is_ascii_whitespace() || b"-,:;)]\"#".contains(b));
        if !(starts && ends) {
            continue;
        }
        let number = code.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
        if found.is_none_or(|other| number / 100 >= other / 100) {
            found = Some(number);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_and_versions_are_not() {
        let check = |text: &str, expected: &str| {
            assert_eq!(enhanced(text).map(|status| status.to_string()).unwrap_or_default(), expected, "{text}");
        };
        check("550 5.1.1 <x>: unknown", "5.1.1");
        check("550-5.1.1 unknown", "5.1.1");
        check("unknown (#5.7.17)", "5.7.17");
        check("[5.2.2] full", "5.2.2");
        check("smtp;550 5.4.310 DNS", "5.4.310");
        check("no mailbox 5.1.1.", "5.1.1");
        check("host 5.1.1.2 said", "");
        check("version 8.5.1.1 and v5.1.1 and 8.12/5.1.1", "");
        check("5.9.1 4.1", "");
        assert_eq!(reply("<<< 451 later\n550-5.1.1 no"), Some(550));
        assert_eq!(reply("smtp; 450 4.2.0 in 500 ms? 452"), Some(500));
        assert_eq!(reply("port 25, 5501 mails, x550"), None);
    }

    #[test]
    fn words_outrank_codes_and_codes_must_agree() {
        let check = |status: &str, diagnostic: &str, notice: &str, expected: Why| {
            let (why, _) = judge(Evidence { status, diagnostic, notice });
            assert_eq!(why, expected, "{status} | {diagnostic} | {notice}");
        };
        for detail in ["1.1", "1.3", "1.6", "1.10", "2.1", "7.13", "7.17", "7.18"] {
            check(&format!("5.{detail}"), "", "", Why::Dead);
        }
        check("5.1.2", "", "", Why::NoDomain);
        for code in ["5.4.4", "5.7.27"] {
            check(code, "", "", Why::NoMail);
        }
        for code in ["5.1.7", "5.1.8", "5.2.3", "5.3.4", "5.5.1", "5.6.0", "5.7.1", "5.7.26", "5.7.515", "4.7.1"] {
            check(code, "", "", Why::Blocked);
        }
        for code in ["4.2.1", "4.4.7", "5.4.7", "4.3.2", "4.1.1", "5.4.6"] {
            check(code, "", "", Why::Temporary);
        }
        check("4.2.2", "", "", Why::Full);
        check("5.0.0", "", "", Why::Refused);
        check("5.1.0", "", "", Why::Refused);
        check("", "", "", Why::Refused);
        check("5.1.1", "smtp; 550 5.1.1 mailbox full", "", Why::Full);
        check("5.7.1", "smtp; 550 5.7.1 no such user", "", Why::Dead);
        check("5.0.0", "smtp; 550 User unknown", "", Why::Dead);
        check("5.1.1", "smtp; 550 5.7.1 refused", "", Why::Blocked);
        check("5.1.1", "smtp; 450 4.1.1 not now", "", Why::Temporary);
        check("4.1.1", "smtp; 450 4.1.1 User unknown", "", Why::Temporary);
        check("5.1.1", "", "The mailbox is full.", Why::Full);
        check("5.1.1", "", "Listed at zen.spamhaus.org", Why::Blocked);
        check("", "", "The user was not found: user unknown", Why::Dead);
        check("", "550 no", "", Why::Refused);
        check("", "", "<<< 421 busy 4.3.2", Why::Temporary);
    }

    #[test]
    fn what_is_refused_after_mail_from_is_about_the_sender() {
        let check = |status: &str, diagnostic: &str, notice: &str, expected: Why| {
            let (why, _) = judge(Evidence { status, diagnostic, notice });
            assert_eq!(why, expected, "{status} | {diagnostic} | {notice}");
        };
        let unknown = "smtp; 550 5.1.1 User unknown";
        check("5.1.1", unknown, "host mx said: 550 5.1.1 User unknown (in reply to MAIL FROM command)", Why::Blocked);
        check("5.1.1", unknown, ">>> MAIL From:<b@shop.example>\n<<< 550 5.1.1 User unknown", Why::Blocked);
        check("5.1.1", unknown, ">>> RCPT To:<s@example.com>\n<<< 550 5.1.1 User unknown", Why::Dead);
        check("", "550 no such domain (in reply to MAIL FROM command)", "", Why::Blocked);
        check("5.0.0", "smtp; 550 no", "after MAIL FROM:<b@shop.example>: 550 no", Why::Blocked);
        check("", "<<< 550 Access denied\n550 5.1.1 s@example.com... User unknown", "", Why::Blocked);
        check("", "<<< 550 Unknown user\n550 5.1.1 s@example.com... User unknown", "", Why::Dead);
        check("4.1.8", "smtp; 450 later (in reply to MAIL FROM command)", "", Why::Blocked);
        check("5.2.2", "smtp; 552 mailbox full (in reply to MAIL FROM command)", "", Why::Full);
    }

    #[test]
    fn what_a_server_answered_says_more_than_what_is_written_around_it() {
        let check = |status: &str, diagnostic: &str, notice: &str, expected: Why| {
            let (why, _) = judge(Evidence { status, diagnostic, notice });
            assert_eq!(why, expected, "{status} | {diagnostic} | {notice}");
        };
        check("5.5.0", "", "We could not deliver it for policy reasons or others:\n550 unknown user", Why::Dead);
        check("", "s@example.com\n550 unknown user\nAsk the spam filter's administrator, or try later.", "", Why::Dead);
        check("5.1.1", "", "This is the agent at Symantec Email Security.cloud.", Why::Dead);
        check("5.1.1", "x-unix; procmail: Couldn't create \"/var/mail/s\"", "", Why::Temporary);
        check("5.1.1", "", "procmail: Couldn't create \"/var/mail/s\"", Why::Temporary);
        check("5.1.1", "smtp; 550 5.1.1 You are not allowed to post to this mailing list", "", Why::Blocked);
        check("5.1.1", "", "Only members may post: this is a members-only list.", Why::Blocked);
        check("5.5.0", "smtp; 550 Requested action not taken: mailbox unavailable", "", Why::Dead);
        check(
            "5.5.0",
            "smtp; 550 Requested action not taken: mailbox unavailable (in reply to end of DATA command)",
            "",
            Why::Refused,
        );
        check("5.1.0", "smtp; 550 5.1.0 Address rejected.", "", Why::Dead);
        check("5.7.1", "smtp; 550 5.7.1 Address rejected.", "", Why::Blocked);
        check("5.5.0", "smtp; 550 5.5.0 Boite du destinataire archivee. Archived recipient. LPN007_420", "", Why::Dead);
        check("5.1.1", "X-Unix; 255", "", Why::Temporary);
        check("5.1.1", "X-Unix; 67", "", Why::Dead);
        check("5.4.1", "smtp; 550 5.4.1 Recipient address rejected: Access denied. AS(201806281)", "", Why::Dead);
        check("5.4.1", "smtp; 550 5.4.1 Recipient address rejected: Access denied", "", Why::Refused);
        for diagnostic in [
            "X-Postfix; Domain x.example does not accept mail (nullMX)",
            "smtp; 556 5.1.10 Recipient address has null MX",
            "dns; no MX record found for x.example",
        ] {
            check("5.1.2", diagnostic, "", Why::NoMail);
        }
        check("5.7.27", "smtp; 550 5.7.27 Sender address has null MX", "", Why::Blocked);
    }
}
