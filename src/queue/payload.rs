//! The bytes of an envelope: versioned JSON, deflated when large. The version before this one is
//! still read, so that senders and dispatchers can be updated one after the other.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::domain::message::{ENVELOPE_VERSION, Envelope};

/// Larger payloads are compressed: below it, the broker's time is less than ours.
const LARGE: usize = 32 * 1024;

/// No rendered message is this long; a compressed one that claims to be is not unpacked.
const LONGEST: u64 = 16 * 1024 * 1024;

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Why bytes are not an envelope. Holds none of them.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    #[error("it is not an envelope: {0}")]
    NotAnEnvelope(String),
    #[error("it has version {0}; this program reads up to {ENVELOPE_VERSION}")]
    Version(u8),
}

/// Writes an envelope.
pub fn encode(envelope: &Envelope) -> Vec<u8> {
    // An envelope is text, numbers and lists: it always has a JSON form.
    let json = serde_json::to_vec(envelope).unwrap_or_default();
    if json.len() < LARGE {
        return json;
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(json.len() / 3), Compression::fast());
    match encoder.write_all(&json).and_then(|()| encoder.finish()) {
        Ok(packed) => packed,
        Err(_) => json,
    }
}

/// Reads an envelope.
pub fn decode(bytes: &[u8]) -> Result<Envelope, PayloadError> {
    let unpacked;
    let json = if bytes.starts_with(&GZIP) {
        let mut buffer = Vec::new();
        let mut limited = GzDecoder::new(bytes).take(LONGEST);
        limited.read_to_end(&mut buffer).map_err(|error| PayloadError::NotAnEnvelope(error.to_string()))?;
        unpacked = buffer;
        unpacked.as_slice()
    } else {
        bytes
    };
    #[derive(serde::Deserialize)]
    struct Version {
        v: u8,
    }
    // serde_json's messages name places and types, not values of text fields.
    let wrong = |error: serde_json::Error| {
        PayloadError::NotAnEnvelope(format!("{:?} error at byte {}", error.classify(), error.column()))
    };
    let Version { v } = serde_json::from_slice(json).map_err(wrong)?;
    if v > ENVELOPE_VERSION || v == 0 {
        return Err(PayloadError::Version(v));
    }
    serde_json::from_slice(json).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::{Content, Purpose};
    use proptest::prelude::*;

    fn envelope(text: &str) -> Envelope {
        Envelope {
            v: ENVELOPE_VERSION,
            message: uuid::Uuid::from_u128(7),
            dispatch_no: 2,
            at: 1_790_000_000_000,
            campaign: "welcome".to_owned(),
            purpose: Purpose::Marketing,
            to: "a@example.com".to_owned(),
            content: Content::Email {
                from: "Shop <hello@example.com>".to_owned(),
                to_name: "سارا".to_owned(),
                return_path: None,
                headers: Vec::new(),
                subject: "x".to_owned(),
                html: Some(text.to_owned()),
                text: "y".to_owned(),
            },
        }
    }

    #[test]
    fn envelopes_come_back_as_they_went() {
        for size in [0, 10, 1_000_000] {
            let sent = envelope(&"سلام ".repeat(size / 5));
            let bytes = encode(&sent);
            assert_eq!(decode(&bytes), Ok(sent));
            assert!(bytes.len() < 40_000, "large ones are packed: {}", bytes.len());
        }
    }

    #[test]
    fn what_is_no_envelope_is_refused_without_quoting_it() {
        assert_eq!(decode(br#"{"v":9}"#), Err(PayloadError::Version(9)));
        let error = decode(br#"{"v":1,"to":"secret@example.com"}"#).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), gzip: bool) {
            let mut bytes = bytes;
            if gzip { bytes.splice(0..0, GZIP); }
            prop_assert!(decode(&bytes).is_err());
        }
    }
}
