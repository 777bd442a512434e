//! DKIM signatures (RFC 6376, RFC 8463): each key that the settings name adds one, RSA-SHA256 or
//! Ed25519-SHA256 as the key is, relaxed/relaxed. The same mail gets the same bytes at every attempt.

use std::fmt::Write as _;

use aws_lc_rs::digest::{Context, SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use data_encoding::BASE64;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

/// What is signed, where a mail has it.
const SIGNED: &[&str] = &[
    "from",
    "to",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "list-id",
    "feedback-id",
];

/// Named once more than they occur, so that nobody can add another one (RFC 6376, 5.4.2).
const OVERSIGNED: &[&str] = &["from", "to", "subject", "date"];

/// Where lines of base 64 are broken.
const LINE: usize = 72;

/// One key with the names under which its public half is published.
pub struct Signer {
    domain: String,
    selector: String,
    key: Key,
}

enum Key {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({}._domainkey.{})", self.selector, self.domain)
    }
}

/// Why a key cannot sign. Never holds a part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DkimError {
    #[error(
        "it holds no private key in PEM form; make one with `openssl genrsa 2048` or `openssl genpkey -algorithm ed25519`"
    )]
    NotPem,
    #[error("its key is neither RSA of 2048 to 4096 bits nor Ed25519 ({0})")]
    Unusable(String),
    #[error("the signature could not be made")]
    Signing,
}

impl Signer {
    /// Reads a private key: PKCS #1 or PKCS #8 for RSA, PKCS #8 for Ed25519.
    pub fn from_pem(domain: &str, selector: &str, pem: &[u8]) -> Result<Self, DkimError> {
        let unusable = |error: aws_lc_rs::error::KeyRejected| DkimError::Unusable(error.to_string());
        let key = match PrivateKeyDer::from_pem_slice(pem).map_err(|_| DkimError::NotPem)? {
            PrivateKeyDer::Pkcs1(der) => {
                Key::Rsa(Box::new(RsaKeyPair::from_der(der.secret_pkcs1_der()).map_err(unusable)?))
            }
            PrivateKeyDer::Pkcs8(der) => {
                let der = der.secret_pkcs8_der();
                match Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
                    Ok(key) => Key::Ed25519(Box::new(key)),
                    Err(_) => Key::Rsa(Box::new(RsaKeyPair::from_pkcs8(der).map_err(unusable)?)),
                }
            }
            _ => return Err(DkimError::Unusable("an elliptic curve of another kind".to_owned())),
        };
        Ok(Self { domain: domain.to_owned(), selector: selector.to_owned(), key })
    }

    /// The name and the text of the TXT record that publishes the key.
    pub fn record(&self) -> (String, String) {
        let (kind, public) = match &self.key {
            Key::Rsa(key) => ("rsa", subject_public_key_info(key.public_key().as_ref())),
            Key::Ed25519(key) => ("ed25519", key.public_key().as_ref().to_vec()),
        };
        let name = format!("{}._domainkey.{}", self.selector, self.domain);
        (name, format!("v=DKIM1; k={kind}; p={}", BASE64.encode(&public)))
    }

    /// The header field for a mail whose signed fields and body hash these are.
    fn field(&self, fields: &[(String, &str)], body_hash: &str, at: i64) -> Result<String, DkimError> {
        let algorithm = match self.key {
            Key::Rsa(_) => "rsa-sha256",
            Key::Ed25519(_) => "ed25519-sha256",
        };
        let mut names = String::new();
        for (name, _) in fields {
            let times = if OVERSIGNED.contains(&name.as_str()) { 2 } else { 1 };
            for _ in 0..times {
                if !names.is_empty() {
                    // A line break may stand behind a colon.
                    let line = names.rsplit('\n').next().unwrap_or_default().len();
                    names.push_str(if line + name.len() > LINE { ":\r\n  " } else { ":" });
                }
                names.push_str(name);
            }
        }
        let mut field = format!(
            "DKIM-Signature: v=1; a={algorithm}; c=relaxed/relaxed; d={};\r\n s={}; t={};\r\n h={names};\r\n bh={body_hash};\r\n b=",
            self.domain,
            self.selector,
            at.div_euclid(1000)
        );
        let mut signed = String::new();
        for (_, field) in fields {
            relaxed_field(field, &mut signed);
            signed.push_str("\r\n");
        }
        relaxed_field(&field, &mut signed);
        let signature = self.sign(signed.as_bytes())?;
        let mut rest = signature.as_str();
        while rest.len() > LINE {
            let _ = write!(field, "{}\r\n  ", &rest[..LINE]);
            rest = &rest[LINE..];
        }
        field.push_str(rest);
        field.push_str("\r\n");
        Ok(field)
    }

    fn sign(&self, data: &[u8]) -> Result<String, DkimError> {
        match &self.key {
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), data, &mut signature)
                    .map_err(|_| DkimError::Signing)?;
                Ok(BASE64.encode(&signature))
            }
            // RFC 8463, 3: the hash is what is signed.
            Key::Ed25519(key) => Ok(BASE64.encode(key.sign(digest(&SHA256, data).as_ref()).as_ref())),
        }
    }
}

/// The mail with a signature of each key in front. `at`: epoch milliseconds.
pub fn sign(signers: &[Signer], mail: String, at: i64) -> Result<String, DkimError> {
    if signers.is_empty() {
        return Ok(mail);
    }
    let (head, body) = mail.split_once("\r\n\r\n").unwrap_or((&mail, ""));
    let fields = signed_fields(head);
    let body_hash = BASE64.encode(hash_of_body(body).as_ref());
    let mut signed = String::with_capacity(mail.len() + signers.len() * 800);
    for signer in signers {
        signed.push_str(&signer.field(&fields, &body_hash, at)?);
    }
    signed.push_str(&mail);
    Ok(signed)
}

/// Name in lower case and text, in the order of [`SIGNED`]. A mail of ours has each of them once.
fn signed_fields(head: &str) -> Vec<(String, &str)> {
    let mut all = Vec::new();
    let mut start = 0;
    for (at, _) in head.match_indices("\r\n").chain([(head.len(), "")]) {
        if !head[at..].starts_with("\r\n ") && !head[at..].starts_with("\r\n\t") {
            let field = &head[start..at];
            let name = field.split(':').next().unwrap_or_default().trim_end().to_ascii_lowercase();
            all.push((name, field));
            start = at + 2;
        }
    }
    SIGNED.iter().filter_map(|name| all.iter().find(|(found, _)| found == name).cloned()).collect()
}

/// RFC 6376, 3.4.2, without the line end.
fn relaxed_field(field: &str, out: &mut String) {
    let (name, value) = field.split_once(':').unwrap_or((field, ""));
    out.push_str(&name.trim_end().to_ascii_lowercase());
    out.push(':');
    let mut first = true;
    for word in value.split([' ', '\t', '\r', '\n']).filter(|word| !word.is_empty()) {
        if !first {
            out.push(' ');
        }
        first = false;
        out.push_str(word);
    }
}

/// SHA-256 of the relaxed body (RFC 6376, 3.4.4).
fn hash_of_body(body: &str) -> aws_lc_rs::digest::Digest {
    let mut hash = Context::new(&SHA256);
    let mut empty_lines = 0;
    for line in body.split("\r\n") {
        let line = line.trim_end_matches([' ', '\t']);
        if line.is_empty() {
            empty_lines += 1;
            continue;
        }
        for _ in 0..std::mem::take(&mut empty_lines) {
            hash.update(b"\r\n");
        }
        let mut rest = line;
        while let Some(at) = rest.find([' ', '\t']) {
            hash.update(&rest.as_bytes()[..at]);
            hash.update(b" ");
            rest = rest[at..].trim_start_matches([' ', '\t']);
        }
        hash.update(rest.as_bytes());
        hash.update(b"\r\n");
    }
    hash.finish()
}

/// A PKCS #1 public key as the SubjectPublicKeyInfo that records hold (RFC 6376, erratum 3017).
fn subject_public_key_info(pkcs1: &[u8]) -> Vec<u8> {
    /// SEQUENCE { OID 1.2.840.113549.1.1.1, NULL }
    const RSA: &[u8] = &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    let bits = tagged(0x03, &[&[0], pkcs1].concat());
    tagged(0x30, &[RSA, &bits].concat())
}

/// One DER value.
fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let mut out = vec![tag];
    match content.len() {
        0..=127 => out.push(u8::try_from(content.len()).unwrap_or_default()),
        _ => {
            out.push(0x80 | u8::try_from(length.len()).unwrap_or_default());
            out.extend_from_slice(length);
        }
    }
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The private key of RFC 8463, A.2, as PKCS #8.
    const RFC_8463: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
        -----END PRIVATE KEY-----\n";

    fn mail() -> String {
        "From: Joe  <joe@football.example.com>\r\nTo: Suzie <suzie@shopping.example.net>\r\nSubject: Is dinner\r\n ready?\r\n\
        Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\nMessage-ID: <20030712040037.46341.5F8J@football.example.com>\r\n\
        X-Other: 1\r\n\r\nHi. \r\n\r\nWe  lost\tthe game.\r\n\r\n\r\n"
            .to_owned()
    }

    #[test]
    fn the_record_is_the_one_of_the_standard() {
        let signer = Signer::from_pem("football.example.com", "brisbane", RFC_8463.as_bytes()).unwrap();
        assert_eq!(
            signer.record(),
            (
                "brisbane._domainkey.football.example.com".to_owned(),
                "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=".to_owned()
            )
        );
    }

    #[test]
    fn the_body_is_hashed_as_the_standard_says() {
        let hash = |body: &str| BASE64.encode(hash_of_body(body).as_ref());
        // RFC 8463, A.3, and RFC 6376, 3.4.4.
        assert_eq!(
            hash("Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n"),
            "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="
        );
        assert_eq!(hash(""), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        assert_eq!(hash("\r\n \r\n"), hash(""));
        assert_eq!(hash(" C \r\nD \t E\r\n\r\n\r\n"), hash(" C\r\nD E"));
    }

    #[test]
    fn a_field_is_unfolded_and_its_blanks_are_one() {
        let mut out = String::new();
        relaxed_field("SubJect :  Is\tdinner\r\n  ready? ", &mut out);
        assert_eq!(out, "subject:Is dinner ready?");
    }

    #[test]
    fn every_key_signs_and_the_mail_stays_as_it_is() {
        let key = |selector: &str| Signer::from_pem("example.com", selector, RFC_8463.as_bytes()).unwrap();
        let signed = sign(&[key("a"), key("b")], mail(), 1_767_225_600_999).unwrap();
        assert!(signed.ends_with(&mail()));
        assert_eq!(signed.matches("DKIM-Signature: ").count(), 2);
        assert!(signed.contains(" s=a; t=1767225600;") && signed.contains(" s=b; "));
        assert!(
            signed.contains("h=from:from:to:to:subject:subject:date:date:message-id;"),
            "what is not there is not signed: {signed}"
        );
        assert!(signed.split("\r\n").all(|line| line.len() <= 78), "{signed}");
        assert_eq!(sign(&[key("a"), key("b")], mail(), 1_767_225_600_999).unwrap(), signed);
        assert_eq!(sign(&[], mail(), 0).unwrap(), mail());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let read = |pem: &str| Signer::from_pem("example.com", "a", pem.as_bytes()).err();
        assert_eq!(read("hello"), Some(DkimError::NotPem));
        assert_eq!(
            read("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n"),
            Some(DkimError::NotPem)
        );
        let broken = RFC_8463.replace("MC4CAQ", "MC4CAg");
        assert!(matches!(read(&broken), Some(DkimError::Unusable(_))));
    }
}
