//! Whether a webhook call comes from the provider: its signature over the public URL and what the call
//! says, or for providers that sign nothing a secret in the URL. Nothing here says why a call is not
//! believed, and all comparing takes the same time whatever differs.

use std::collections::BTreeMap;

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use ring::hmac;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::call::Call;
use crate::domain::Instant;
use crate::transports::sms::Auth;

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
pub const fn covers_query(auth: Auth, call: &Call) -> bool {
    !matches!(auth, Auth::Vonage) || call.body.is_empty()
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
/// Where there is none, the fields are signed.
fn vonage(secret: &str, call: &Call, now: Instant) -> bool {
    let token = call.header("authorization").and_then(|header| {
        let (kind, token) = header.split_once(' ')?;
        kind.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    let Some(token) = token else { return vonage_fields(secret, call, now) };
    let Some(claims) = claims(secret, token, now) else { return false };
    !call.body.is_empty() && claims.get("payload_hash").and_then(Value::as_str) == Some(&hash(&call.body))
}

/// <https://developer.vonage.com/getting-started/concepts/signing-messages>: the field `sig` is HMAC over
/// the others, those of the body or, where there is none, of the query, by SHA-256 or SHA-512.
fn vonage_fields(secret: &str, call: &Call, now: Instant) -> bool {
    let Some(fields) = fields(call) else { return false };
    let count = fields.len();
    let mut fields: BTreeMap<String, String> = fields.into_iter().collect();
    let made = fields.get("timestamp").and_then(|made| made.parse::<i64>().ok());
    let tag = fields.remove("sig").and_then(|tag| HEXLOWER_PERMISSIVE.decode(tag.as_bytes()).ok());
    let (Some(made), Some(tag)) = (made, tag) else { return false };
    let algorithm = match tag.len() {
        32 => hmac::HMAC_SHA256,
        64 => hmac::HMAC_SHA512,
        _ => return false,
    };
    let signed: String =
        fields.iter().map(|(name, value)| format!("&{name}={}", value.replace(['&', '='], "_"))).collect();
    // Of a field that comes twice only one would be covered.
    fields.len() + 1 == count
        && (-LONGEST..=CLOCKS_APART).contains(&made.saturating_sub(now.timestamp()))
        && hmac::verify(&hmac::Key::new(algorithm, secret.as_bytes()), signed.as_bytes(), &tag).is_ok()
}

/// The fields of a call, where it has no others than plain ones.
fn fields(call: &Call) -> Option<Vec<(String, String)>> {
    if call.body.is_empty() {
        return Some(call.pairs(&call.query));
    }
    let Ok(Value::Object(map)) = serde_json::from_slice(&call.body) else { return Some(call.form()) };
    let plain = map.into_iter().map(|(name, value)| match value {
        Value::String(text) => Some((name, text)),
        Value::Number(number) => Some((name, number.to_string())),
        _ => None,
    });
    plain.collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Call {
        Call {
            method: method.to_owned(),
            url: url.to_owned(),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            query: url.split_once('?').map(|(_, query)| query.to_owned()).unwrap_or_default(),
            body: body.as_bytes().to_vec(),
        }
    }

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded; charset=utf-8");

    #[test]
    fn twilio_signs_as_its_documentation_shows() {
        let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
        let check = |secret: &str, signature: &str, body: &str, url: &str| {
            let call = call("POST", url, &[FORM, ("X-Twilio-Signature", signature)], body);
            is_genuine(Auth::Twilio, secret, &call, at("2024-05-02T12:00:00Z"))
        };
        let body = "To=%2B18005551212&CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309";
        let signature = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";
        assert!(check("12345", signature, body, url));
        assert!(!check("12346", signature, body, url));
        assert!(!check("12345", signature, &body.replace("1234&", "1235&"), url));
        assert!(!check("12345", signature, body, &url.replace("foo=1", "foo=2")));
        assert!(!check("12345", "", body, url) && !check("12345", "x", body, url) && !check("", signature, body, url));
        // A body that is no form would not be covered.
        let json = call("POST", url, &[("X-Twilio-Signature", signature)], "{}");
        assert!(!is_genuine(Auth::Twilio, "12345", &json, at("2024-05-02T12:00:00Z")));
    }

    #[test]
    fn plivo_signs_as_its_library_does() {
        let hook = "https://shop.example/hooks/plivo";
        for (method, url, body, signature) in [
            (
                "POST",
                format!("{hook}?message=7"),
                "To=1600&Text=STOP+now&From=1415",
                "Q2/4ycxhQTrhihP7XCbDVo6IQN9RoFJ+TSqODoaolgE=",
            ),
            (
                "POST",
                hook.to_owned(),
                "From=1415&Text=%D8%B3%D9%84%D8%A7%D9%85",
                "0KsLpc0gsgHr4zgVSShSERlsu4YklINBYMJISTar/r8=",
            ),
            ("GET", format!("{hook}?b=2&a=1"), "", "zh/eRaNyomKrblzMIReaMh5m9UzdvBc8rF+Spxto568="),
            ("POST", hook.to_owned(), "", "2BxvhSZ0SlhEQOw5m8S1sJXU+T3RtgxEokJsmWoO0zs="),
        ] {
            let both = format!("AAAA, {signature}");
            for (name, given) in [("X-Plivo-Signature-V3", signature), ("x-plivo-signature-ma-v3", both.as_str())] {
                let headers = [FORM, (name, given), ("X-Plivo-Signature-V3-Nonce", "12345")];
                let one = call(method, &url, &headers, body);
                assert!(is_genuine(Auth::Plivo, "tok3n", &one, at("2024-05-02T12:00:00Z")), "{method} {url}");
                let other = Call { url: url.replace("hooks", "hook"), ..one.clone() };
                assert!(!is_genuine(Auth::Plivo, "tok3n", &other, at("2024-05-02T12:00:00Z")));
                let stale = call(method, &url, &headers[..2], body);
                assert!(!is_genuine(Auth::Plivo, "tok3n", &stale, at("2024-05-02T12:00:00Z")));
            }
        }
    }

    #[test]
    fn vonage_covers_the_body_and_nothing_else() {
        let claims = "eyJpYXQiOiAxNzE0NjUxMjAwLCAiaXNzIjogIlZvbmFnZSIsICJwYXlsb2FkX2hhc2giOiAiYTUxZTNhYjdlYWViMjYxY2U5MTIxNWU4NmRkM2VjNmQwOTU1MDRmZmRkNzlmODlmMTI4YWNiYTQ2N2JlMGU1NCIsICJhcGlfa2V5IjogImsifQ";
        let token =
            format!("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.{claims}.avT8VkdsZE7biE7Oluz5ttBH74GQnYFGfrd6xscxGPs");
        let body = r#"{"messageId":"0C","status":"delivered"}"#;
        let check = |token: &str, body: &str, now: &str| {
            let call = call("POST", "https://x/hooks/vonage", &[("authorization", &format!("Bearer {token}"))], body);
            is_genuine(Auth::Vonage, "signs", &call, at(now))
        };
        assert!(check(&token, body, "2024-05-02T12:00:00Z"));
        assert!(!check(&token, &body.replace("delivered", "failed"), "2024-05-02T12:00:00Z"));
        assert!(!check(&token, "", "2024-05-02T12:00:00Z"));
        assert!(!check(&token, body, "2024-05-04T12:00:00Z") && !check(&token, body, "2024-05-02T11:00:00Z"));
        assert!(!check(&format!("eyJhbGciOiJub25lIn0.{claims}."), body, "2024-05-02T12:00:00Z"));
        let with_body = call("POST", "https://x/hooks/vonage?a=b", &[], body);
        assert!(!covers_query(Auth::Vonage, &with_body) && covers_query(Auth::Plivo, &with_body));
    }

    #[test]
    fn vonage_signs_the_fields_of_its_sms_api() {
        const FIELDS: &str = "msisdn=447700900000&to=AcmeInc&messageId=0C&status=failed&err-code=9&client-ref=a%26b%3Dc\
             &message-timestamp=2024-05-02+12%3A00%3A00&timestamp=1714651200&nonce=n1";
        const SHA256: &str = "e5320f91b9b40c907a29de8fcb92ee7797fe11ffbea9aba2aeb020802ab62bb7";
        const SHA512: &str = "35b21be39e1b3b5e48408c6defff549c9239d80cbfc375aea0244877ec964a9f\
            3028defc61b15602314e156f007b98459d28ee8b478b61532ac6e31d7922327a";
        const SHA1: &str = "ef53d6fa4bd2288ad9d83409fc48f4ce21d7f9a0";
        let believed = |call: &Call, now: &str| is_genuine(Auth::Vonage, "signs", call, at(now));
        let noon = "2024-05-02T12:00:00Z";
        let url = |fields: &str| format!("https://x/hooks/vonage?{fields}");
        for sig in [SHA256, SHA512, &SHA256.to_uppercase()] {
            let fields = format!("{FIELDS}&sig={sig}");
            let form = call("POST", "https://x/hooks/vonage", &[FORM], &fields);
            let query = call("GET", &url(&fields), &[], "");
            let map: serde_json::Map<String, Value> =
                form.form().into_iter().map(|(name, value)| (name, Value::String(value))).collect();
            let json = call("POST", "https://x/hooks/vonage", &[], &Value::Object(map.clone()).to_string());
            for one in [&form, &query, &json] {
                assert!(believed(one, noon), "{one:?}");
                assert!(!is_genuine(Auth::Vonage, "sings", one, at(noon)));
                assert!(!believed(one, "2024-05-02T11:58:00Z") && !believed(one, "2024-05-03T12:00:01Z"));
            }
            assert!(covers_query(Auth::Vonage, &query));
            // Another word, a field more, one that comes twice, one that is no plain field, one that is missing.
            for other in [
                fields.replace("failed", "delivered"),
                format!("{fields}&x=1"),
                format!("status=delivered&{fields}"),
                fields.replace("&nonce=n1", ""),
                FIELDS.to_owned(),
            ] {
                assert!(!believed(&call("GET", &url(&other), &[], ""), noon), "{other}");
                assert!(!believed(&call("POST", "https://x/hooks/vonage", &[FORM], &other), noon), "{other}");
            }
            let mut more = map;
            more.insert("x".to_owned(), Value::Array(Vec::new()));
            assert!(!believed(&call("POST", "https://x", &[], &Value::Object(more).to_string()), noon));
            // What stands in the query beside a body is not what was signed.
            assert!(!believed(&call("POST", &url(&fields), &[], "{}"), noon));
        }
        assert!(!believed(&call("GET", &url(&format!("{FIELDS}&sig={SHA1}")), &[], ""), noon));
    }

    /// The vector of MessageBird's own library for Go.
    #[test]
    fn messagebird_covers_url_and_body() {
        let secret = "36efdd1aace2e26cd490f0d951138253bef2f7c6d34d18981da781555cc4cebb";
        let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJNZXNzYWdlQmlyZCIsIm5iZiI6MTYyNTQ3OTIwMCwiZXhwIjoxNjI1NDc5MjYwLCJqdGkiOiI5M2U1NTAwNi1hMGU4LTQ1MjYtYTE5MC1mYTVmZjAwZWExMTYiLCJ1cmxfaGFzaCI6IjQxZjA1ZjBkZGQwYTIyYWIyMDlhYzQ2ZjQ3YzQ1NzJkOWNlZmEyNTdlZDc0YjI0MDA0YmFlNzUzZWNlNmMyNjAiLCJwYXlsb2FkX2hhc2giOiJkZmZkNjAyMWJiMmJkNWIwYWY2NzYyOTA4MDllYzNhNTMxOTFkZDgxYzdmNzBhNGIyODY4OGEzNjIxODI5ODZmIn0._H--TOuYFLpeEH39-rg5E3IHVkjHozBcaKVWPRC5m9I";
        let check = |url: &str, body: &str, now: i64| {
            let call = call("POST", url, &[("MessageBird-Signature-JWT", token)], body);
            is_genuine(Auth::MessageBird, secret, &call, crate::domain::instant(now * 1000))
        };
        let url = "https://example.com/path?bar=1&foo=2";
        assert!(check(url, "Hello, World!", 1_625_479_230));
        assert!(!check(url, "Hello, World?", 1_625_479_230) && !check(url, "", 1_625_479_230));
        assert!(!check("https://example.com/path?bar=9&foo=2", "Hello, World!", 1_625_479_230));
        assert!(!check(url, "Hello, World!", 1_700_000_000) && !check(url, "Hello, World!", 1_625_470_000));
    }
}
