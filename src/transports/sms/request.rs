//! Makes the HTTP request for an envelope from a provider's description. What is wrong with the
//! message or the settings is found here, before anything goes out.

use std::borrow::Cow;
use std::collections::BTreeMap;

use reqwest::{Client, Request, Url};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::description::Provider;
use super::fields::Field;
use super::operation::{Body, Method, Operation};
use super::template::{Slot, Template};
use crate::domain::message::{Content, Envelope, SmsWords};
use crate::domain::sms::{Encoding, Line, SmsSize, line_for};

/// What the settings add to a description.
pub(super) struct Account<'a> {
    pub base_url: &'a str,
    pub credentials: &'a BTreeMap<String, SecretString>,
    pub lines: &'a [Line],
    /// Where the provider reports to.
    pub webhook: Option<&'a str>,
}

/// The call for this kind of content; the error says which one the description lacks.
pub(super) fn operation<'p>(provider: &'p Provider, content: &Content) -> Result<&'p Operation, String> {
    let (operation, name) = match content.words_for(&provider.name) {
        Some(SmsWords::Text(_)) => (&provider.text, "text"),
        Some(SmsWords::Pattern { .. }) => (&provider.pattern, "pattern"),
        None => return Err(format!("the message has no form for `{}`", provider.name)),
    };
    operation.as_ref().ok_or_else(|| format!("the description of `{}` has no `{name}`", provider.name))
}

/// The request that sends an envelope. Its URL may hold a secret: it is never shown.
pub(super) fn build(
    client: &Client,
    provider: &Provider,
    operation: &Operation,
    account: &Account<'_>,
    envelope: &Envelope,
) -> Result<Request, String> {
    let words = envelope.content.words_for(&provider.name);
    let values: &[(String, String)] = match words {
        Some(SmsWords::Pattern { values, .. }) => values,
        _ => &[],
    };
    operation.check_values(values)?;
    let to = number(&provider.numbers, &envelope.to);
    let find = |slot: &Slot| find(slot, account, envelope, words, &to);
    let missing = |slot: &Slot| missing(slot, envelope);
    make(client, operation, values, &find, &missing)
}

/// The request of any call: `find` fills a slot, `missing` says what it means that one is empty.
pub(super) fn make<'v>(
    client: &Client,
    operation: &Operation,
    values: &[(String, String)],
    find: &dyn Fn(&Slot) -> Option<Cow<'v, str>>,
    missing: &dyn Fn(&Slot) -> String,
) -> Result<Request, String> {
    let plain = |_: &Slot, value: &str, out: &mut String| out.push_str(value);
    let fill = |template: &Template, each: Option<&(String, String)>| {
        let find = |slot: &Slot| match (slot, each) {
            (Slot::EachName, Some((name, _))) => Some(Cow::Owned(name.clone())),
            (Slot::EachValue, Some((_, value))) => Some(Cow::Owned(value.clone())),
            _ => find(slot),
        };
        template.fill(find, plain).map_err(missing)
    };
    let url = operation.url.fill(find, write_url).map_err(missing)?.unwrap_or_default();
    // The parser's own error names no part of the text.
    let mut url = Url::parse(&url).map_err(|error| format!("the URL of the description is not one: {error}"))?;
    if super::is_in_the_clear(url.as_str()) {
        return Err("the URL of the description leads to another machine without TLS".to_owned());
    }
    let mut texts = Vec::new();
    if operation.body != Body::Json {
        for (name, field) in &operation.fields {
            let [template] = field.templates()[..] else { continue };
            texts.extend(fill(template, None)?.map(|value| (name.clone(), value)));
        }
    }
    if operation.body == Body::Query {
        url.query_pairs_mut().extend_pairs(&texts);
    }
    let mut request = match operation.method {
        Method::Get => client.get(url),
        Method::Post => client.post(url),
    };
    for (name, template) in &operation.headers {
        if let Some(value) = fill(template, None)? {
            request = request.header(name, value);
        }
    }
    if let Some((user, password)) = &operation.basic {
        request = request.basic_auth(fill(user, None)?.unwrap_or_default(), fill(password, None)?);
    }
    request = match operation.body {
        Body::Form => request.form(&texts),
        Body::Json => {
            request.json(&Field::Table(operation.fields.clone()).json(&fill, values, None)?.unwrap_or_default())
        }
        Body::Query => request,
    };
    request.build().map_err(|_| "the request cannot be made: a header holds what no header can".to_owned())
}

fn find<'a>(
    slot: &Slot,
    account: &Account<'a>,
    envelope: &'a Envelope,
    words: Option<&'a SmsWords>,
    to: &'a str,
) -> Option<Cow<'a, str>> {
    match (slot, words) {
        (Slot::BaseUrl | Slot::Credential(_) | Slot::Webhook, _) => account.find(slot),
        (Slot::To, _) => Some(to.into()),
        (Slot::Sender, _) => line_for(account.lines, envelope.purpose).map(|line| line.number.as_str().into()),
        (Slot::Reference, _) => Some(reference(envelope.message).to_string().into()),
        (Slot::Message, _) => Some(envelope.message.to_string().into()),
        (Slot::Text, Some(SmsWords::Text(text))) => Some(text.into()),
        (Slot::Coding, Some(SmsWords::Text(text))) => Some(match SmsSize::of(text).encoding {
            Encoding::Gsm7 => "0".into(),
            Encoding::Ucs2 => "2".into(),
        }),
        (Slot::Template, Some(SmsWords::Pattern { template, .. })) => Some(template.into()),
        (Slot::Value(name), Some(SmsWords::Pattern { values, .. })) => {
            values.iter().find(|(given, _)| given == name).map(|(_, value)| value.into())
        }
        (Slot::Values, Some(SmsWords::Pattern { values, .. })) => {
            Some(values.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(";").into())
        }
        _ => None,
    }
}

impl<'a> Account<'a> {
    /// What every call can be filled with.
    pub(super) fn find(&self, slot: &Slot) -> Option<Cow<'a, str>> {
        match slot {
            Slot::BaseUrl => Some(self.base_url.into()),
            Slot::Credential(name) => self.credentials.get(name).map(|secret| secret.expose_secret().into()),
            Slot::Webhook => self.webhook.map(Cow::from),
            _ => None,
        }
    }
}

fn missing(slot: &Slot, envelope: &Envelope) -> String {
    match slot {
        Slot::Value(name) => format!("the pattern value `{name}` is missing"),
        Slot::Sender => format!("no line is configured for {} messages: add one to `sms.lines`", envelope.purpose),
        Slot::Credential(name) => format!("the credential `{name}` is missing in `sms.credentials`"),
        _ => "the content does not fit the call".to_owned(),
    }
}

/// Our reference as a whole number: some providers take nothing else. The last 62 bits of a UUIDv7
/// are its random part, and fit a signed 64-bit column.
pub fn reference(message: Uuid) -> u64 {
    message.as_u64_pair().1 & ((1 << 62) - 1)
}

/// An E.164 number as the provider writes it.
fn number(rules: &[(String, String)], number: &str) -> String {
    let rewritten =
        rules.iter().find_map(|(prefix, becomes)| Some(format!("{becomes}{}", number.strip_prefix(prefix.as_str())?)));
    rewritten.unwrap_or_else(|| number.to_owned())
}

/// What is filled into a URL stays one part of it, whatever characters it has (RFC 3986).
fn write_url(slot: &Slot, value: &str, out: &mut String) {
    if *slot == Slot::BaseUrl {
        return out.push_str(value);
    }
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_reference_is_a_positive_number_and_the_same_each_time() {
        let id: Uuid = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        assert_eq!(reference(id), 4_381_636_308_810_498_135);
        assert!(i64::try_from(reference(Uuid::max())).is_ok());
    }

    #[test]
    fn numbers_are_written_as_the_provider_wants_them() {
        let rules = [("+98".to_owned(), "0".to_owned()), ("+".to_owned(), "00".to_owned())];
        assert_eq!(number(&rules, "+989121234567"), "09121234567");
        assert_eq!(number(&rules, "+14155550123"), "0014155550123");
        assert_eq!(number(&[], "+14155550123"), "+14155550123");
    }

    #[test]
    fn what_goes_into_a_url_stays_one_part_of_it() {
        let mut out = String::new();
        write_url(&Slot::To, "a/b?c=ی", &mut out);
        assert_eq!(out, "a%2Fb%3Fc%3D%DB%8C");
    }
}
