//! A mail that a person wrote.

use super::addresses::address;
use super::kinds;
use super::mail::Mail;
use super::returned::texts;
use crate::domain::text::legible;

/// So much of what a person wrote is kept, in letters.
const LONGEST: usize = 2_000;

/// What a person wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// In lower case.
    pub from: String,
    /// The subject and the person's own words, without what they quote.
    pub text: String,
    /// The Message-IDs of the mails that it answers, without brackets.
    pub answers: Vec<String>,
}

/// What a person wrote, if one did: no server, list, filter or program.
pub fn letter(raw: &[u8]) -> Option<Letter> {
    let mail = Mail::read(raw);
    let automatic = mail.header("auto-submitted").to_ascii_lowercase();
    let precedence = mail.header("precedence").to_ascii_lowercase();
    let is_report = mail.header("content-type").to_ascii_lowercase().starts_with("multipart/report");
    if kinds::is_from_daemon(&mail)
        || kinds::is_bulk(&mail)
        || is_report
        || !automatic.is_empty() && !automatic.starts_with("no")
        || ["bulk", "list", "junk"].contains(&precedence.trim())
    {
        return None;
    }
    let from = address(mail.header("from"))?.to_lowercase();
    let (text, _) = texts(&mail);
    let text = legible(&format!("{}: {text}", mail.decoded("subject")), LONGEST);
    let answers = ["in-reply-to", "references"].iter().flat_map(|name| mail.all(name)).flat_map(|ids| {
        ids.split(['<', '>', ' ', '\t']).filter(|id| id.contains('@')).map(str::to_owned).collect::<Vec<_>>()
    });
    Some(Letter { from, text, answers: answers.take(20).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_persons_words_are_read_and_no_programs() {
        let mail = "From: Sara <Sara@Example.com>\nSubject: Re: A gift\nIn-Reply-To: <1@shop.example>\n\nplease unsubscribe me\n> A gift for you\n";
        let found = letter(mail.as_bytes()).unwrap();
        assert_eq!(found.from, "sara@example.com");
        assert_eq!(found.text, "Re: A gift: please unsubscribe me");
        assert_eq!(found.answers, ["1@shop.example"]);
        for more in ["Auto-Submitted: auto-replied", "List-Id: <x.example>", "Precedence: bulk", "Return-Path: <>"] {
            assert_eq!(letter(format!("{more}\n{mail}").as_bytes()), None, "{more}");
        }
    }
}
