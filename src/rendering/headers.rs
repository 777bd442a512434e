//! The headers that large receivers ask of bulk mail, and the return path by which a bounce finds
//! its message. Added to the rendered content at dispatch, so that a sender only writes them.

use uuid::Uuid;

use super::links::unsubscribe_url;
use crate::domain::message::{Content, Purpose};
use crate::domain::token::{TokenKey, TokenUse};

/// Gmail takes 5 to 15 characters for the sender in `Feedback-ID`.
const FEEDBACK_SENDER: usize = 15;

/// What the headers of a mail are made of beside its campaign.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// `Name <address>`.
    pub from: &'a str,
    /// The mailbox for bounces, without a token.
    pub return_path: Option<&'a str>,
    pub base_url: &'a str,
    pub tokens: &'a TokenKey,
}

impl Origin<'_> {
    /// Completes a rendered e-mail; leaves an SMS alone. `kind` is the campaign's trigger.
    pub fn complete(&self, content: &mut Content, campaign: &str, purpose: Purpose, kind: &str, message: Uuid) {
        let Content::Email { return_path, headers, .. } = content else { return };
        if let Some(address) = self.return_path {
            *return_path = tagged(address, None, &self.tokens.token(TokenUse::Return, message));
        }
        let domain = domain_of(self.from);
        if purpose == Purpose::Marketing {
            let mut ways = format!("<{}>", unsubscribe_url(self.base_url, self.tokens, message));
            let token = || self.tokens.token(TokenUse::Unsubscribe, message);
            let mail = self.return_path.and_then(|address| tagged(address, Some("unsubscribe"), &token()));
            if let Some(mail) = mail {
                ways.push_str(&format!(", <mailto:{mail}>"));
            }
            headers.push(("List-Unsubscribe".to_owned(), ways));
            headers.push(("List-Unsubscribe-Post".to_owned(), "List-Unsubscribe=One-Click".to_owned()));
            // The list is what the link above leaves: all messages of this purpose.
            headers.push(("List-Id".to_owned(), format!("<{purpose}.{domain}>")));
        }
        let sender: String = domain.replace('.', "-").chars().take(FEEDBACK_SENDER).collect();
        let feedback = format!("{campaign}:{purpose}:{kind}:{sender}");
        headers.push(("Feedback-ID".to_owned(), feedback));
    }
}

/// `local+token@domain` (RFC 5233), with another local part where one is given.
fn tagged(address: &str, local: Option<&str>, token: &str) -> Option<String> {
    let (own, domain) = address.split_once('@')?;
    Some(format!("{}+{token}@{domain}", local.unwrap_or(own)))
}

/// The domain of `Name <address>` or of a bare address.
pub fn domain_of(from: &str) -> &str {
    from.rsplit_once('@').map_or("", |(_, domain)| domain.trim_end_matches(['>', ' ']))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: Uuid = Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057);

    fn completed(purpose: Purpose, return_path: Option<&str>) -> (Option<String>, Vec<(String, String)>) {
        let mut content = Content::Email {
            from: String::new(),
            to_name: String::new(),
            return_path: None,
            headers: Vec::new(),
            subject: String::new(),
            html: None,
            text: String::new(),
        };
        let tokens = TokenKey::new([7; 32]);
        let from = "Rose & Co <hello@mail.rose-garden.example>";
        Origin { from, return_path, base_url: "https://rose.example", tokens: &tokens }.complete(
            &mut content,
            "happy",
            purpose,
            "birthday",
            MESSAGE,
        );
        let Content::Email { return_path, headers, .. } = content else { panic!("an e-mail") };
        (return_path, headers)
    }

    #[test]
    fn marketing_can_be_left_by_one_click_and_by_mail() {
        let tokens = TokenKey::new([7; 32]);
        let (leave, back) = (tokens.token(TokenUse::Unsubscribe, MESSAGE), tokens.token(TokenUse::Return, MESSAGE));
        let (return_path, headers) = completed(Purpose::Marketing, Some("bounces@b.example"));
        assert_eq!(return_path, Some(format!("bounces+{back}@b.example")));
        let ways = format!("<https://rose.example/u/{leave}>, <mailto:unsubscribe+{leave}@b.example>");
        let expected = [
            ("List-Unsubscribe", ways.as_str()),
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
            ("List-Id", "<marketing.mail.rose-garden.example>"),
            ("Feedback-ID", "happy:marketing:birthday:mail-rose-garde"),
        ];
        let found: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn without_a_mailbox_for_bounces_the_link_stands_alone_and_service_mail_has_none() {
        let (return_path, headers) = completed(Purpose::Marketing, None);
        assert_eq!(return_path, None);
        assert!(headers[0].1.starts_with("<https://rose.example/u/") && !headers[0].1.contains("mailto"));
        let (_, headers) = completed(Purpose::Service, Some("bounces@b.example"));
        let expected = ("Feedback-ID".to_owned(), "happy:service:birthday:mail-rose-garde".to_owned());
        assert_eq!(headers, [expected]);
    }
}
