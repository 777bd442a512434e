//! The contracts of what attackers cannot do, with nothing installed; and names that look encoded.

use rekindle::domain::message::Content;
use rekindle::transports::mail::build;

use crate::attackers_contract::attackers_contract;
use crate::support::email;
use crate::support::shop::Size;

async fn embedded<F: Future<Output = ()>>(test: impl FnOnce(Size) -> F) {
    test(Size::default()).await;
}

attackers_contract!(embedded);

#[test]
fn what_looks_encoded_is_read_as_it_was_written() {
    let words = [
        "=?utf-8?q?Your_account_is_closed?=",
        "Hi =?utf-8?b?2LPZhNin2YU=?=, سلام",
        "=?us-ascii?Q?=0ABcc:_all@example.com?=",
        "=?x",
        "a =?utf-8?q?b?= =?utf-8?q?c?= ",
    ];
    for words in words.map(str::to_owned).into_iter().chain(["=?".to_owned() + &"سلام ".repeat(40)]) {
        let mut envelope = email("<p>x</p>");
        if let Content::Email { from, to_name, subject, .. } = &mut envelope.content {
            (*from, *to_name) = (format!("{words} <hello@example.com>"), words.clone());
            subject.clone_from(&words);
        }
        let mail = build(&envelope).unwrap();
        let parsed = mail_parser::MessageParser::default().parse(mail.text.as_bytes()).unwrap();
        let name = |who: Option<&mail_parser::Address<'_>>| who.unwrap().first().unwrap().name().unwrap().to_owned();
        assert_eq!(parsed.subject().unwrap().trim(), words.trim());
        assert_eq!(name(parsed.from()).trim(), words.trim());
        assert_eq!(name(parsed.to()).trim(), words.trim());
        assert_eq!(parsed.to().unwrap().first().unwrap().address.as_deref(), Some("sara@example.com"));
        assert_eq!(
            (mail.from.to_string(), mail.to.to_string()),
            ("hello@example.com".into(), "sara@example.com".into())
        );
        let head = mail.text.split("\r\n\r\n").next().unwrap();
        assert!(head.is_ascii() && head.split("\r\n").all(|line| line.len() <= 78), "{head}");
    }
}
