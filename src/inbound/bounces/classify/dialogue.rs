//! To which command a server said no, where a notice tells it. After MAIL no recipient is known yet:
//! what is refused there is about the sender, whatever the words.

/// A command of SMTP (RFC 5321).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Mail,
    Rcpt,
    Data,
}

use Command::{Data, Mail, Rcpt};

/// The command that the first refusal of a text answers.
pub(super) fn refused(text: &str) -> Option<Command> {
    let lower = text.to_lowercase();
    told(&lower).or_else(|| spoken(&lower))
}

/// `(in reply to MAIL FROM command)`, `after RCPT TO:<…>`.
fn told(lower: &str) -> Option<Command> {
    const NAMES: &[(&str, Command)] = &[
        ("mail from", Mail),
        ("mail command", Mail),
        ("rcpt to", Rcpt),
        ("rcpt command", Rcpt),
        ("end of data", Data),
        ("end-of-data", Data),
        ("data command", Data),
    ];
    const BEFORE: &[&str] = &["reply to", "response to", "answer to", "after", "réponse à", "antwort auf"];
    let text = lower.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_answer = |at: &usize| {
        let before = text[..*at].trim_end_matches(|c: char| !c.is_alphanumeric());
        let before =
            [" pipelined", " smtp", " the"].iter().fold(before, |text, word| text.strip_suffix(word).unwrap_or(text));
        BEFORE.iter().any(|word| before.ends_with(word))
    };
    let first = |(name, command): &(&str, Command)| {
        text.match_indices(name).map(|(at, _)| at).find(is_answer).map(|at| (at, *command))
    };
    NAMES.iter().filter_map(first).min_by_key(|(at, _)| *at).map(|(_, command)| command)
}

/// The lines of a conversation: `>>> MAIL From:<…>`, `<<< 550 …`, whichever way a program marks them.
fn spoken(lower: &str) -> Option<Command> {
    let mut last = None;
    for line in lower.lines() {
        // In whatever language it says who speaks.
        let said = ["<<<", ">>>"].iter().find_map(|mark| line.split_once(mark)).map_or(line, |(_, said)| said);
        let said = ["client:", "server:", "c:", "s:"]
            .iter()
            .fold(marked(said), |text, word| text.strip_prefix(word).map_or(text, marked));
        if said.starts_with("mail from") {
            last = Some(Mail);
        } else if said.starts_with("rcpt to") {
            last = Some(Rcpt);
        } else if said.trim_end() == "data" {
            last = Some(Data);
        } else if is_refusal(said) && last.is_some() {
            return last;
        }
    }
    None
}

/// A line without the signs before it.
fn marked(line: &str) -> &str {
    line.trim_start_matches(|c: char| c.is_whitespace() || "<>-=|:*#".contains(c))
}

fn is_refusal(line: &str) -> bool {
    let bytes = line.as_bytes();
    matches!(bytes, [b'4' | b'5', b'0'..=b'5' | b'7', last, ..] if last.is_ascii_digit())
        && bytes.get(3).is_none_or(|b| matches!(b, b' ' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refused_command_is_found_however_it_is_told() {
        let check = |text: &str, expected: Option<Command>| assert_eq!(refused(text), expected, "{text}");
        check("host mx said: 550 5.1.1 User unknown (in reply to MAIL\n    FROM command)", Some(Mail));
        check("550 no (in reply to RCPT TO command)", Some(Rcpt));
        check("550 no (in reply to end of DATA command)", Some(Data));
        check("SMTP error from remote mail server after MAIL FROM:<b@shop.example> SIZE=9:\n550 no", Some(Mail));
        check("SMTP error from remote mail server after RCPT TO:<s@example.com>:\n550 no", Some(Rcpt));
        check(
            ">>> MAIL From:<b@shop.example> SIZE=9\n<<< 550 5.1.1 User unknown\n550 5.1.1 s... User unknown",
            Some(Mail),
        );
        check(">>> MAIL From:<b@shop.example>\n<<< 250 ok\n>>> RCPT To:<s@example.com>\n<<< 550 no", Some(Rcpt));
        check("Sent <<< MAIL FROM:<b@shop.example>\nReceived >>> 553 unknown user", Some(Mail));
        check("Sent <<< RCPT TO:<s@example.com>\nReceived >>> 550 unknown user", Some(Rcpt));
        check("送信 >>> RCPT TO:<s@example.com>\n受信 <<< 550 no", Some(Rcpt));
        check("C: MAIL FROM:<b@shop.example>\nS: 550 no", Some(Mail));
        check(">>> DATA\n<<< 550 no", Some(Data));
        check("550 no mail from there, after all", None);
        check("The mail from you was received at 9.", None);
    }
}
