//! What a provider's HTTP answer means for a message: its description's tables first, then what
//! HTTP itself says. An answer that says nothing about whether the message was taken is a lost one.
//! Only the description's own words go into a reply: the provider's may hold the number or the text.

use serde_json::Value;

use super::description::{Codes, Meaning, Provider, Reply, Source, Then};
use super::reading::scalar;
use crate::domain::message::{Purpose, Reason};
use crate::transports::{Blame, MISCONFIGURED, Outcome};

/// The outcome of an answer with this HTTP status and body.
pub(super) fn judge(provider: &Provider, purpose: Purpose, idempotent: bool, status: u16, body: &[u8]) -> Outcome {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let look = |codes| look(codes, status, json.as_ref(), body);
    let reply = &provider.reply;
    // Whether it was taken is for the API to say, not for what stands in front of it.
    if matches!(status, 200..=299 | 500..) && !is_own(reply, status, json.as_ref(), body) {
        return without_code(idempotent, status);
    }
    let (code, meaning) = match look(&reply.call) {
        None => return without_code(idempotent, status),
        Some((source, code)) => match (reply.call.meaning(&code), source) {
            (Some(meaning), _) => (code, meaning),
            (None, Source::Http) => return without_code(idempotent, status),
            (None, _) if status >= 500 || (status < 300 && reply.unlisted.then == Then::Retry) => {
                return lost(idempotent, &format!("HTTP {status} with a code that is not listed"));
            }
            (None, _) => (code, &reply.unlisted),
        },
    };
    if meaning.then != Then::Sent {
        return outcome(meaning, &code, purpose, idempotent);
    }
    if let Some(message) = &reply.message
        && let Some((_, code)) = look(message)
        && let Some(meaning) = message.meaning(&code)
        && meaning.then != Then::Sent
    {
        return outcome(meaning, &code, purpose, idempotent);
    }
    Outcome::Sent { reference: reply.reference.iter().find_map(|pointer| scalar(json.as_ref()?.pointer(pointer)?)) }
}

/// What it means that the answer was lost, or cannot be understood.
pub(super) fn lost(idempotent: bool, why: &str) -> Outcome {
    match idempotent {
        true => {
            Outcome::Retry { reply: format!("{why}; the provider takes the message only once"), blame: Blame::Lost }
        }
        false => Outcome::Uncertain { reply: why.to_owned() },
    }
}

/// Whether the API itself answered, in the form that the description reads; a page of HTML or an empty body
/// in its place comes from a proxy or a failure on the way.
fn is_own(reply: &Reply, status: u16, json: Option<&Value>, body: &[u8]) -> bool {
    let codes = reply.call.code.iter().chain(reply.message.iter().flat_map(|message| &message.code));
    let reads_json = codes.into_iter().any(|source| matches!(source, Source::Pointer(_)));
    match body.trim_ascii_start() {
        [] => status < 300 && reply.reference.is_empty(),
        _ if reads_json || !reply.reference.is_empty() => json.is_some_and(|json| json.is_object() || json.is_array()),
        [first, ..] => *first != b'<',
    }
}

/// An answer without a code comes from something in front of the API: HTTP decides (RFC 9110).
fn without_code(idempotent: bool, status: u16) -> Outcome {
    let reply = format!("HTTP {status} without a code");
    match status {
        // A failure behind the request, or a proxy that lost the API behind it: the message may have been taken.
        200..=299 | 500.. => lost(idempotent, &reply),
        401 | 403 | 407 | 300..=399 => Outcome::Pause { reply, pause: MISCONFIGURED },
        404 | 405 => Outcome::Pause { reply: format!("{reply}: is `base_url` right?"), pause: MISCONFIGURED },
        _ => Outcome::Retry { reply, blame: Blame::Nobody },
    }
}

fn outcome(meaning: &Meaning, code: &str, purpose: Purpose, idempotent: bool) -> Outcome {
    let reply = format!("{code}: {}", meaning.means);
    match meaning.then {
        Then::Sent => Outcome::Sent { reference: None },
        Then::Retry => Outcome::Retry { reply, blame: Blame::Nobody },
        Then::Uncertain => lost(idempotent, &reply),
        Then::Pause(pause) => Outcome::Pause { reply, pause },
        Then::Reject(reason) => Outcome::Rejected { reason, reply, suppress: false },
        Then::SuppressMarketing => {
            Outcome::Rejected { reason: Reason::Refused, reply, suppress: purpose == Purpose::Marketing }
        }
    }
}

/// The code that counts, and where it stands.
fn look<'c>(codes: &'c Codes, status: u16, json: Option<&Value>, body: &[u8]) -> Option<(&'c Source, String)> {
    let found = || codes.code.iter().filter_map(|source| Some((source, code(source, status, json, body)?)));
    // HTTP's success says nothing where the body has a code of its own.
    let own = found().any(|(source, code)| *source != Source::Http && code != "null");
    let counts = |source: &Source, meaning: &Meaning| *source != Source::Http || !own || meaning.then != Then::Sent;
    let listed = found().find(|(source, code)| codes.meaning(code).is_some_and(|meaning| counts(source, meaning)));
    // `null` is a code only where it is listed.
    listed.or_else(|| found().find(|(_, code)| code != "null"))
}

fn code(source: &Source, status: u16, json: Option<&Value>, body: &[u8]) -> Option<String> {
    match source {
        Source::Http => Some(status.to_string()),
        Source::Pointer(pointer) => match json?.pointer(pointer)? {
            Value::Null => Some("null".to_owned()),
            value => scalar(value),
        },
        // `0: Accepted for delivery`.
        Source::Body => {
            let word = std::str::from_utf8(body).ok()?.trim_start().split([':', ' ', '\n', '\r']).next()?;
            scalar(&Value::from(word))
        }
    }
}
