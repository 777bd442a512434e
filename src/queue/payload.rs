//! The bytes of an envelope: versioned JSON, deflated when large. The version before this one is
//! still read, so that processes can be updated one after the other: senders first, then dispatchers.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::domain::message::{ENVELOPE_VERSION, Envelope, LONGEST_MESSAGE};

/// Larger payloads are compressed: below it, the broker's time is less than ours.
const LARGE: usize = 32 * 1024;

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The other version that is read.
const BEFORE: u8 = ENVELOPE_VERSION - 1;

/// Why bytes are not an envelope. Holds none of them.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    #[error("it is not an envelope: {0}")]
    NotAnEnvelope(String),
    #[error("it has version {0}; this program reads {BEFORE} and {ENVELOPE_VERSION}")]
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
        let mut limited = GzDecoder::new(bytes).take(LONGEST_MESSAGE as u64);
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
    match v {
        ENVELOPE_VERSION => serde_json::from_slice(json).map_err(wrong),
        BEFORE => {
            let envelope = serde_json::from_slice(json).map_err(wrong)?;
            serde_json::from_value(raised(envelope)).map_err(wrong)
        }
        _ => Err(PayloadError::Version(v)),
    }
}

/// An envelope of the version before as one of this version: an SMS was a text, or the pattern of the only
/// provider.
fn raised(mut envelope: Value) -> Value {
    let Some(Value::Object(content)) = envelope.get_mut("content") else { return envelope };
    let words = match content.get("kind").and_then(Value::as_str) {
        Some("sms") => content.remove("text").map(|text| json!({ "text": text })),
        Some("pattern") => {
            let (template, values) = (content.remove("template"), content.remove("values"));
            Some(json!({ "pattern": { "template": template, "values": values } }))
        }
        _ => None,
    };
    if let Some(words) = words {
        content.insert("kind".to_owned(), "sms".into());
        content.insert("forms".to_owned(), json!([{ "words": words }]));
    }
    envelope
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::{Content, Purpose, SmsWords};
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
            meant_for: None,
            only: None,
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
        for version in [0, 1, 4, 9] {
            assert_eq!(decode(format!(r#"{{"v":{version}}}"#).as_bytes()), Err(PayloadError::Version(version)));
        }
        let error = decode(br#"{"v":2,"to":"secret@example.com"}"#).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }

    /// As they were written before the forms of an SMS.
    const OLD: [&str; 3] = [
        r#"{"v":2,"message":"00000000-0000-0000-0000-000000000007","dispatch_no":2,"at":1790000000000,"campaign":"welcome","purpose":"marketing","to":"+989121234567","content":{"kind":"sms","text":"سلام"}}"#,
        r#"{"v":2,"message":"00000000-0000-0000-0000-000000000007","dispatch_no":2,"at":1790000000000,"campaign":"welcome","purpose":"marketing","to":"+989121234567","content":{"kind":"pattern","template":"order-ready","values":[["token","42"],["token10","سارا"]]}}"#,
        r#"{"v":2,"message":"00000000-0000-0000-0000-000000000007","dispatch_no":2,"at":1790000000000,"campaign":"welcome","purpose":"marketing","to":"a@example.com","content":{"kind":"email","from":"Shop <hello@example.com>","to_name":"سارا","return_path":null,"headers":[],"subject":"x","html":"<p>","text":"y"}}"#,
    ];

    fn pattern() -> SmsWords {
        let values = [("token", "42"), ("token10", "سارا")];
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        SmsWords::Pattern { template: "order-ready".to_owned(), values }
    }

    fn sms(content: Content) -> Envelope {
        Envelope { to: "+989121234567".to_owned(), content, ..envelope("<p>") }
    }

    #[test]
    fn the_version_before_is_read_as_it_was_meant() {
        let read = OLD.map(|text| decode(text.as_bytes()).unwrap());
        let old = |envelope: Envelope| Envelope { v: BEFORE, ..envelope };
        assert_eq!(read[0], old(sms(Content::text("سلام"))));
        assert_eq!(read[1], old(sms(Content::sms([(String::new(), pattern())]))));
        assert_eq!(read[1].content.words_for("kavenegar"), Some(&pattern()));
        assert_eq!(read[2], old(envelope("<p>")));
    }

    #[test]
    fn an_sms_has_each_form_once_and_its_providers_with_it() {
        let text = || SmsWords::Text("سلام".to_owned());
        let given = [("a".to_owned(), text()), ("b".to_owned(), pattern()), ("c".to_owned(), text())];
        let sent = sms(Content::sms(given));
        let json = String::from_utf8(encode(&sent)).unwrap();
        let forms = r#"{"kind":"sms","forms":[{"providers":["a","c"],"words":{"text":"سلام"}},{"providers":["b"],"words":{"pattern":{"template":"order-ready","values":[["token","42"],["token10","سارا"]]}}}]}"#;
        assert!(json.ends_with(&format!("{forms}}}")), "{json}");
        let read = decode(json.as_bytes()).unwrap();
        assert_eq!(read, sent);
        assert_eq!(read.content.words_for("c"), Some(&text()));
        assert_eq!(read.content.words_for("b"), Some(&pattern()));
        assert_eq!(read.content.words_for("d"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn a_mutated_envelope_is_refused_or_is_one(
            which in 0_usize..5,
            cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..4),
        ) {
            let mut bytes = match which {
                0..=2 => OLD[which].as_bytes().to_vec(),
                3 => encode(&sms(Content::sms([("a".to_owned(), pattern())]))),
                _ => encode(&envelope(&"سلام ".repeat(8_000))),
            };
            for (at, byte, how) in cuts {
                let at = at.index(bytes.len().max(1));
                match how {
                    0 | 2 if bytes.is_empty() => {}
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    2 => drop(bytes.remove(at)),
                    _ => bytes.truncate(at.max(1)),
                }
            }
            if let Ok(read) = decode(&bytes) {
                // Written again it is of this version.
                let again = Envelope { v: ENVELOPE_VERSION, ..read };
                prop_assert_eq!(decode(&encode(&again)), Ok(again));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), gzip: bool) {
            let mut bytes = bytes;
            if gzip { bytes.splice(0..0, GZIP); }
            prop_assert!(decode(&bytes).is_err());
        }
    }
}
