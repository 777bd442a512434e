//! Whether a webhook call comes from the provider: its signature over the public URL and what the call
//! says, or for providers that sign nothing a secret in the URL. Nothing here says why a call is not
//! believed, and all comparing takes the same time whatever differs.

use std::collections::BTreeMap;

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use ring::hmac;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::webhook::Call;
use crate::domain::Instant;
use crate::senders::sms::Auth;

/// The clocks of two machines may differ by this much, in seconds.
const CLOCKS_APART: i64 = 60;

/// A token that says no end of its own is believed for this long after it was made, in seconds.
const LONGEST: i64 = 24 * 3600;

/// Whether a call is the provider's.
pub fn is_genuine(auth: Auth, secret: &str, call: &Call, now: Instant) -> bool {
    !secret.is_empty()
        && match auth {
            Auth::Key => key(secret, call),
            Auth::Twilio => twilio(secret, call),
            Auth::Vonage => vonage(secret, call, now),
            Auth::Plivo => plivo(secret, call),
            Auth::MessageBird => messagebird(secret, call, now),
        }
}

/// Whether what is believed covers the URL's query, and not the body alone.
pub const fn covers_query(auth: Auth) -> bool {
    !matches!(auth, Auth::Vonage)
}

fn key(secret: &str, call: &Call) -> bool {
    let given = call.pairs(&call.query).into_iter().find(|(name, _)| name == "key");
    // Equal keys sign alike, and signatures are compared in constant time.
    given.is_some_and(|(_, given)| {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, given.as_bytes()), b"key");
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), b"key", tag.as_ref()).is_ok()
    })
}

/// <https://www.twilio.com/docs/usage/webhooks/webhooks-security>: base64 of HMAC-SHA1 over the URL and
/// the sorted names and values of a form.
fn twilio(secret: &str, call: &Call) -> bool {
    let Some(signature) = call.header("x-twilio-signature") else { return false };
    let mut signed = call.url.clone();
    let mut form = call.form();
    // A call with another body is not covered by this signature.
    if form.is_empty() && !call.body.is_empty() {
        return false;
    }
    form.sort();
    form.iter().for_each(|(name, value)| signed.extend([name.as_str(), value.as_str()]));
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    BASE64.decode(signature.trim().as_bytes()).is_ok_and(|tag| hmac::verify(&key, signed.as_bytes(), &tag).is_ok())
}

/// <https://www.plivo.com/docs/messaging/concepts/signature-validation>, version 3: base64 of HMAC-SHA256
/// over the URL with its query sorted, the sorted form and the nonce. Several signatures may be given.
fn plivo(secret: &str, call: &Call) -> bool {
    let signatures = ["x-plivo-signature-v3", "x-plivo-signature-ma-v3"].map(|name| call.header(name));
    let Some(nonce) = call.header("x-plivo-signature-v3-nonce") else { return false };
    let form = if call.method.eq_ignore_ascii_case("POST") { call.form() } else { Vec::new() };
    if form.is_empty() && !call.body.is_empty() {
        return false;
    }
    let base = call.url.split(['?', '#']).next().unwrap_or_default();
    let sorted = |pairs: Vec<(String, String)>| {
        let mut by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in pairs {
            by_name.entry(name).or_default().push(value);
        }
        by_name.values_mut().for_each(|values| values.sort());
        by_name
    };
    let each = |pairs: BTreeMap<String, Vec<String>>, between: &str| {
        let pairs = pairs.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
        pairs.map(|(name, value)| format!("{name}{between}{value}")).collect::<Vec<_>>()
    };
    let query = each(sorted(call.pairs(&call.query)), "=").join("&");
    let form = each(sorted(form), "").concat();
    let mark = if query.is_empty() && form.is_empty() { "" } else { "?" };
    let dot = if query.is_empty() || form.is_empty() { "" } else { "." };
    let signed = format!("{base}{mark}{query}{dot}{form}.{nonce}");
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let given = signatures.into_iter().flatten().flat_map(|header| header.split(','));
    given
        .filter_map(|signature| BASE64.decode(signature.trim().as_bytes()).ok())
        .any(|tag| hmac::verify(&key, signed.as_bytes(), &tag).is_ok())
}

/// <https://developer.vonage.com/messages/concepts/signed-webhooks>: a JWT in `Authorization` whose
/// `payload_hash` is that of the body. The query is not covered, so a call without a body says nothing.
fn vonage(secret: &str, call: &Call, now: Instant) -> bool {
    let token = call.header("authorization").and_then(|header| {
        let (kind, token) = header.split_once(' ')?;
        kind.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    let Some(claims) = token.and_then(|token| claims(secret, token, now)) else { return false };
    !call.body.is_empty() && claims.get("payload_hash").and_then(Value::as_str) == Some(&hash(&call.body))
}

/// <https://developers.messagebird.com/docs/verify-http-requests>: a JWT with the hashes of the URL and
/// of the body.
fn messagebird(secret: &str, call: &Call, now: Instant) -> bool {
    let token = call.header("messagebird-signature-jwt");
    let Some(claims) = token.and_then(|token| claims(secret, token.trim(), now)) else { return false };
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let body = if call.body.is_empty() { None } else { Some(hash(&call.body)) };
    text("iss") == Some("MessageBird")
        && claims.get("exp").is_some()
        && text("url_hash") == Some(&hash(call.url.as_bytes()))
        && text("payload_hash") == body.as_deref()
}

fn hash(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// The claims of a JWT (RFC 7519) that is signed with HMAC (RFC 7518, 3.2) and holds at this time.
fn claims(secret: &str, token: &str, now: Instant) -> Option<Value> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let read = |part: &str| -> Option<Value> {
        serde_json::from_slice(&BASE64URL_NOPAD.decode(part.trim_end_matches('=').as_bytes()).ok()?).ok()
    };
    let algorithm = match read(header)?.get("alg")?.as_str()? {
        "HS256" => hmac::HMAC_SHA256,
        "HS384" => hmac::HMAC_SHA384,
        "HS512" => hmac::HMAC_SHA512,
        // `none` above all.
        _ => return None,
    };
    let tag = BASE64URL_NOPAD.decode(signature.trim_end_matches('=').as_bytes()).ok()?;
    hmac::verify(&hmac::Key::new(algorithm, secret.as_bytes()), signed.as_bytes(), &tag).ok()?;
    let claims = read(claims)?;
    let now = now.timestamp();
    let time = |name: &str| claims.get(name).and_then(Value::as_i64);
    let begun = ["nbf", "iat"].into_iter().filter_map(time).all(|at| at <= now + CLOCKS_APART);
    let holds = match (time("exp"), time("iat")) {
        (Some(end), _) => now <= end.saturating_add(CLOCKS_APART),
        (None, Some(made)) => now <= made.saturating_add(LONGEST),
        (None, None) => false,
    };
    (begun && holds).then_some(claims)
}
