//! Tokens: what stands in the links and return paths of a message. One names a message and what it
//! is for, signed, and says nothing about anybody. Tokens never expire.

use data_encoding::Encoding;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

use super::words::words;

words! {
    /// What a token is good for. One for a link is of no use in a return path.
    TokenUse {
        /// Stops the messages of its purpose to whom it was sent (RFC 8058); shows the preferences.
        Unsubscribe = "unsubscribe",
        /// The return path of a mail (VERP): a bounce to it is about this message.
        Return = "return",
        /// A followed link.
        Click = "click",
        /// A loaded picture.
        Open = "open",
    }
}

/// The secret under which tokens are signed: one for a store, for ever.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenKey([u8; 32]);

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey(…)")
    }
}

/// How much of the signature a token carries: 80 bits, which nobody guesses over a network.
const SIGNATURE: usize = TokenKey::SIGNATURE;

/// RFC 4648's base 32 in lower case, without padding: it survives mail servers and people that change
/// the case of an address, and no letter needs an escape in a URL.
static LETTERS: std::sync::LazyLock<Encoding> = std::sync::LazyLock::new(|| {
    let mut letters = data_encoding::BASE32_NOPAD.specification();
    letters.symbols.make_ascii_lowercase();
    letters.translate.from = ('A'..='Z').collect();
    letters.translate.to = ('a'..='z').collect();
    // The letters are valid: a test reads and writes with them.
    letters.encoding().unwrap_or(data_encoding::BASE32_NOPAD)
});

impl TokenKey {
    /// The bytes of a signature.
    pub const SIGNATURE: usize = 10;

    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// From 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    /// As 64 hexadecimal digits.
    pub fn to_hex(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }

    /// The token of a message: 42 letters and digits.
    pub fn token(&self, used_for: TokenUse, message: Uuid) -> String {
        let signature = self.sign(used_for, message.as_bytes());
        let mut bytes = message.as_bytes().to_vec();
        bytes.extend_from_slice(&signature);
        LETTERS.encode(&bytes)
    }

    /// The message of a token for this use, in whatever case; `None` where we did not sign it.
    pub fn message(&self, used_for: TokenUse, token: &str) -> Option<Uuid> {
        let bytes = LETTERS.decode(token.as_bytes()).ok()?;
        let (message, signature) = bytes.split_at_checked(16)?;
        self.verify(used_for, message, signature).then(|| Uuid::from_slice(message).ok()).flatten()
    }

    /// Signs other bytes for a use, such as a link's target.
    pub fn sign(&self, used_for: TokenUse, bytes: &[u8]) -> [u8; SIGNATURE] {
        let mut signature = [0; SIGNATURE];
        signature.copy_from_slice(&self.mac(used_for, bytes).finalize().into_bytes()[..SIGNATURE]);
        signature
    }

    /// Whether [`Self::sign`] gave this signature. Takes the same time whatever differs.
    pub fn verify(&self, used_for: TokenUse, bytes: &[u8], signature: &[u8]) -> bool {
        signature.len() == SIGNATURE && self.mac(used_for, bytes).verify_truncated_left(signature).is_ok()
    }

    /// What is kept of an id or address that was erased: it is known again, and cannot be read. `kind` keeps a number
    /// that is an id apart from one that is a phone's.
    pub fn mark(&self, kind: &str, value: &str) -> String {
        let mac = self.keyed(&["erased", kind], value.as_bytes());
        data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes()[..20])
    }

    fn mac(&self, used_for: TokenUse, bytes: &[u8]) -> Hmac<Sha256> {
        self.keyed(&[used_for.as_str()], bytes)
    }

    fn keyed(&self, words: &[&str], bytes: &[u8]) -> Hmac<Sha256> {
        // HMAC fills a short key up with zeros.
        let mut block = [0; 64];
        block[..32].copy_from_slice(&self.0);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        for word in words {
            mac.update(word.as_bytes());
            mac.update(&[0]);
        }
        mac.update(bytes);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: Uuid = Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057);

    #[test]
    fn a_token_comes_back_in_whatever_case_and_for_its_use_alone() {
        let key = TokenKey::new([7; 32]);
        let token = key.token(TokenUse::Return, MESSAGE);
        assert_eq!(token.len(), 42);
        assert!(token.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
        assert_eq!(key.message(TokenUse::Return, &token), Some(MESSAGE));
        assert_eq!(key.message(TokenUse::Return, &token.to_uppercase()), Some(MESSAGE));
        assert_eq!(key.message(TokenUse::Unsubscribe, &token), None);
        assert_eq!(TokenKey::new([8; 32]).message(TokenUse::Return, &token), None);
        assert_eq!(key.token(TokenUse::Return, MESSAGE), token, "the same for ever");
    }

    #[test]
    fn what_we_did_not_sign_is_nobodys() {
        let key = TokenKey::new([7; 32]);
        let token = key.token(TokenUse::Click, MESSAGE);
        for place in 0..token.len() {
            let mut other = token.clone().into_bytes();
            other[place] = if other[place] == b'a' { b'b' } else { b'a' };
            assert_eq!(key.message(TokenUse::Click, std::str::from_utf8(&other).unwrap()), None, "at {place}");
        }
        for text in ["", "a", &token[1..], &token[..41], "سلام", &token.repeat(2)] {
            assert_eq!(key.message(TokenUse::Click, text), None, "{text}");
        }
    }

    #[test]
    fn a_key_is_written_and_read() {
        let key = TokenKey::new([0xa5; 32]);
        assert_eq!(TokenKey::from_hex(&key.to_hex()), Some(key.clone()));
        assert_eq!(TokenKey::from_hex("a5"), None);
        assert_eq!(format!("{key:?}"), "TokenKey(…)");
    }
}
