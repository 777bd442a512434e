//! The bytes of a delivery: several envelopes, each versioned JSON behind its length, deflated when large.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::domain::message::{ENVELOPE_VERSION, Envelope, LONGEST_MESSAGE};

/// Larger envelopes are compressed: below it, the broker's time is less than ours.
const LARGE: usize = 32 * 1024;

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What a delivery begins with.
const MARK: &[u8; 4] = b"RKB1";

/// Why bytes are not an envelope, or not a delivery. Holds none of them.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    #[error("it is not a delivery of envelopes: {0}")]
    NotADelivery(&'static str),
    #[error("it is not an envelope: {0}")]
    NotAnEnvelope(String),
    #[error("it has version {0}; this program reads {ENVELOPE_VERSION}")]
    Version(u8),
}

/// Several envelopes on their way into one delivery.
#[derive(Debug)]
pub struct Bundle {
    bytes: Vec<u8>,
    count: usize,
}

impl Default for Bundle {
    fn default() -> Self {
        Self { bytes: MARK.to_vec(), count: 0 }
    }
}

impl Bundle {
    /// How many it carries.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// How long it is by now, in bytes.
    pub fn length(&self) -> usize {
        self.bytes.len()
    }

    /// Adds one.
    pub fn push(&mut self, envelope: &Envelope) {
        self.count += 1;
        let start = self.bytes.len();
        self.bytes.extend([0; 4]);
        // An envelope is text, numbers and lists: it always has a JSON form.
        let _ = serde_json::to_writer(&mut self.bytes, envelope);
        if self.bytes.len() - start - 4 >= LARGE {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            if let Ok(packed) = encoder.write_all(&self.bytes[start + 4..]).and_then(|()| encoder.finish()) {
                self.bytes.truncate(start + 4);
                self.bytes.extend(packed);
            }
        }
        // None is so long ([`LONGEST_MESSAGE`]).
        let length = u32::try_from(self.bytes.len() - start - 4).unwrap_or(u32::MAX);
        self.bytes[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    /// What is published.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads the envelopes of a delivery, each by itself: one that cannot be read holds up no other.
pub fn decode(bytes: &[u8]) -> Result<Vec<Result<Envelope, PayloadError>>, PayloadError> {
    let mut rest = bytes.strip_prefix(MARK).ok_or(PayloadError::NotADelivery("it does not begin as one"))?;
    let mut envelopes = Vec::new();
    while !rest.is_empty() {
        let cut = PayloadError::NotADelivery("it is cut off");
        let Some((length, after)) = rest.split_first_chunk::<4>() else { return Err(cut) };
        let Some((envelope, after)) = after.split_at_checked(u32::from_be_bytes(*length) as usize) else {
            return Err(cut);
        };
        envelopes.push(read(envelope));
        rest = after;
    }
    if envelopes.is_empty() {
        return Err(PayloadError::NotADelivery("it is empty"));
    }
    Ok(envelopes)
}

fn read(bytes: &[u8]) -> Result<Envelope, PayloadError> {
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
    match serde_json::from_slice::<Envelope>(json) {
        Ok(envelope) if envelope.v == ENVELOPE_VERSION => Ok(envelope),
        Ok(Envelope { v, .. }) => Err(PayloadError::Version(v)),
        // Another version may have other fields: then that is what is wrong.
        Err(error) => match serde_json::from_slice(json).map_err(wrong)? {
            Version { v: ENVELOPE_VERSION } => Err(wrong(error)),
            Version { v } => Err(PayloadError::Version(v)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::{Content, Purpose, SmsWords};
    use proptest::prelude::*;

    fn envelope(text: &str) -> Envelope {
        Envelope {
            content: Content::Email {
                from: "Shop <hello@example.com>".to_owned(),
                to_name: "سارا".to_owned(),
                return_path: None,
                headers: Vec::new(),
                subject: "x".to_owned(),
                html: Some(text.to_owned()),
                text: "y".to_owned(),
            },
            ..Envelope::new(uuid::Uuid::from_u128(7), Purpose::Marketing, "a@example.com", Content::text("x"))
        }
    }

    fn sms(content: Content) -> Envelope {
        Envelope::new(uuid::Uuid::from_u128(7), Purpose::Service, "+989121234567", content)
    }

    fn pattern() -> SmsWords {
        let values = [("token", "42"), ("token10", "سارا")];
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        SmsWords::Pattern { template: "order-ready".to_owned(), values }
    }

    fn encode(envelopes: &[&Envelope]) -> Vec<u8> {
        let mut bundle = Bundle::default();
        for envelope in envelopes {
            bundle.push(envelope);
        }
        assert_eq!(bundle.count(), envelopes.len());
        bundle.into_bytes()
    }

    #[test]
    fn envelopes_come_back_as_they_went() {
        let sent = [0, 10, 1_000_000].map(|size| envelope(&"سلام ".repeat(size / 5)));
        let all = [&sent[0], &sent[1], &sent[2], &sms(Content::sms([(String::new(), pattern())]))];
        let bytes = encode(&all);
        let read: Vec<Envelope> = decode(&bytes).unwrap().into_iter().map(Result::unwrap).collect();
        assert_eq!(read.iter().collect::<Vec<_>>(), all);
        assert!(bytes.len() < 40_000, "large ones are packed: {}", bytes.len());
    }

    #[test]
    fn one_that_cannot_be_read_holds_up_no_other() {
        let (first, other, last) = (envelope("<p>"), Envelope { v: 9, ..envelope("<b>") }, sms(Content::text("سلام")));
        let read = decode(&encode(&[&first, &other, &last])).unwrap();
        assert_eq!(read, [Ok(first), Err(PayloadError::Version(9)), Ok(last)]);
    }

    #[test]
    fn what_is_no_envelope_is_refused_without_quoting_it() {
        let part = |json: &str| [MARK.as_slice(), &(json.len() as u32).to_be_bytes(), json.as_bytes()].concat();
        for version in [0, 1, 3, 9] {
            let read = decode(&part(&format!(r#"{{"v":{version}}}"#))).unwrap();
            assert_eq!(read, [Err(PayloadError::Version(version))]);
        }
        let json = format!(r#"{{"v":{ENVELOPE_VERSION},"to":"secret@example.com"}}"#);
        let error = decode(&part(&json)).unwrap().remove(0).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
        let whole = part(&json);
        for (bytes, why) in [
            (&b""[..], "does not begin"),
            (br#"{"v":3}"#, "does not begin"),
            (MARK, "empty"),
            (&whole[..6], "cut off"),
            (&whole[..whole.len() - 1], "cut off"),
        ] {
            let error = decode(bytes).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn an_sms_has_each_form_once_and_its_providers_with_it() {
        let text = || SmsWords::Text("سلام".to_owned());
        let given = [("a".to_owned(), text()), ("b".to_owned(), pattern()), ("c".to_owned(), text())];
        let sent = sms(Content::sms(given));
        let json = String::from_utf8(encode(&[&sent])[8..].to_vec()).unwrap();
        let forms = r#"{"kind":"sms","forms":[{"providers":["a","c"],"words":{"text":"سلام"}},{"providers":["b"],"words":{"pattern":{"template":"order-ready","values":[["token","42"],["token10","سارا"]]}}}]}"#;
        assert!(json.contains(forms), "{json}");
        for (provider, words) in [("a", Some(text())), ("b", Some(pattern())), ("c", Some(text())), ("d", None)] {
            assert_eq!(sent.content.words_for(provider), words.as_ref(), "{provider}");
        }
    }

    proptest! {
        #[test]
        fn damaged_bytes_are_read_as_envelopes_or_refused(
            large: bool,
            cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..4),
        ) {
            let text = if large { "سلام ".repeat(8_000) } else { "<p>".to_owned() };
            let mut bytes = encode(&[&envelope(&text), &sms(Content::sms([("a".to_owned(), pattern())]))]);
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
            for read in decode(&bytes).into_iter().flatten().flatten() {
                prop_assert_eq!(decode(&encode(&[&read])).unwrap(), [Ok(read)]);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), how in 0..3) {
            let mut bytes = bytes;
            if how == 1 { bytes.splice(0..0, *MARK); }
            if how == 2 { bytes = [MARK.as_slice(), &(bytes.len() as u32 + 2).to_be_bytes(), &GZIP, &bytes].concat(); }
            prop_assert!(decode(&bytes).into_iter().flatten().all(|read| read.is_err()));
        }
    }
}
