//! The public links of a message: each carries a signed token and names nobody.

use uuid::Uuid;

use crate::domain::token::{TokenKey, TokenUse};

/// Where a person, or a mail program by one click (RFC 8058), ends messages of this one's purpose.
pub fn unsubscribe_url(base_url: &str, tokens: &TokenKey, message: Uuid) -> String {
    format!("{base_url}/u/{}", tokens.token(TokenUse::Unsubscribe, message))
}
