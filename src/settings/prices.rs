//! The keys of `prices`: what a message costs the shop.

use crate::document::Value;
use crate::domain::brand::Brand;
use crate::domain::message::{Channel, Content, Envelope, SmsWords};
use crate::domain::money;
use crate::domain::sms::SmsSize;

/// What messages cost, in millionths of the major unit of the brand's currency. What has no price costs nothing that is
/// known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prices {
    /// Of a mail.
    email: Option<i64>,
    /// In the order in which they are written.
    sms: Vec<SmsPrice>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct SmsPrice {
    /// Of the number, in E.164; empty: any.
    prefix: String,
    provider: Option<String>,
    per_segment: i64,
}

/// A thousand mails have one price.
const MAILS: i64 = 1_000;

impl Prices {
    /// What a message costs that a sender of this name took. An SMS costs by the segments of its text, one where the
    /// provider holds the text; of several prices the one with the longest prefix is meant.
    pub fn of(&self, envelope: &Envelope, sender: &str) -> Option<i64> {
        if envelope.channel() == Channel::Email {
            return self.email;
        }
        let fits = |price: &&SmsPrice| {
            envelope.to.starts_with(&price.prefix) && price.provider.as_ref().is_none_or(|name| name == sender)
        };
        let price = self.sms.iter().filter(fits).max_by_key(|price| (price.prefix.len(), price.provider.is_some()))?;
        Some(price.per_segment.saturating_mul(segments(&envelope.content, sender)))
    }

    /// Reads `{ currency, email_per_thousand, sms: [{ prefix, provider, per_segment }] }`.
    pub(super) fn decode(value: Value<'_>, brand: Option<&Brand>) -> Option<Self> {
        let mut table = value.table()?;
        let currency = table.require("currency").and_then(|value| {
            let currency = value.parse(money::parse_currency)?;
            if let Some(brand) = brand.filter(|brand| brand.currency != currency) {
                value.problem(format!(
                    "costs are taken off revenue, and that is in {}: write the prices in {} as well",
                    brand.currency, brand.currency
                ));
                return None;
            }
            Some(currency)
        });
        let email = table.get_or("email_per_thousand", None, |value| {
            value.parse(|text| money::parse_millionths(text).map(|price| Some(price / MAILS)))
        });
        let sms = table.get_or("sms", Vec::new(), |value| value.list()?.iter().map(decode_sms).collect());
        table.finish();
        currency?;
        Some(Self { email: email?, sms: sms? })
    }
}

fn decode_sms(item: &Value<'_>) -> Option<SmsPrice> {
    let mut table = item.table()?;
    let prefix = table.get_or("prefix", String::new(), |value| {
        value.parse(|text| {
            let digits = text.strip_prefix('+').unwrap_or_default();
            let is_prefix = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
            if is_prefix {
                Ok(text.to_owned())
            } else {
                Err(format!("`{text}` begins no number; write it like \"+98\""))
            }
        })
    });
    let provider = table.get_or("provider", None, |value| value.text().map(Some));
    let per_segment = table.require("per_segment").and_then(|value| value.parse(money::parse_millionths));
    table.finish();
    Some(SmsPrice { prefix: prefix?, provider: provider?, per_segment: per_segment? })
}

/// How many segments the provider charges.
fn segments(content: &Content, provider: &str) -> i64 {
    match content.words_for(provider) {
        Some(SmsWords::Text(text)) => i64::try_from(SmsSize::of(text).segments).unwrap_or(1),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;
    use crate::domain::member::samples::brand;
    use crate::domain::message::Purpose;

    fn prices(text: &str) -> Result<Prices, String> {
        let document = Document::parse("rekindle.yaml", text, None).unwrap();
        let decoded = Prices::decode(document.root(), Some(&brand()));
        document.finish(decoded).map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_message_costs_what_its_channel_number_provider_and_length_say() {
        let currency = brand().currency;
        let prices = prices(&format!(
            "currency: {currency}\nemail_per_thousand: 1.50\nsms: [{{ per_segment: 0.08 }}, {{ prefix: \"+98\", per_segment: 0.002 }}, \
             {{ prefix: \"+98\", provider: dear, per_segment: 0.01 }}]"
        ))
        .unwrap();
        let cost = |to: &str, content: Content, sender: &str| {
            prices.of(&Envelope::new(uuid::Uuid::nil(), Purpose::Marketing, to, content), sender)
        };
        let mail = Content::Email {
            from: String::new(),
            to_name: String::new(),
            return_path: None,
            headers: Vec::new(),
            subject: String::new(),
            html: None,
            text: String::new(),
        };
        assert_eq!(cost("a@example.com", mail, "smtp"), Some(1_500));
        let long = "a".repeat(161);
        for (to, text, sender, expected) in [
            ("+4917012345", "Hi", "x", 80_000),
            ("+4917012345", long.as_str(), "x", 160_000),
            ("+98912", "Hi", "x", 2_000),
            ("+98912", "Hi", "dear", 10_000),
        ] {
            assert_eq!(cost(to, Content::text(text.to_owned()), sender), Some(expected), "{to} {sender}");
        }
        assert_eq!(
            Prices::default().of(&Envelope::new(uuid::Uuid::nil(), Purpose::Marketing, "+98", Content::text("x")), ""),
            None
        );
    }

    #[test]
    fn prices_in_another_currency_and_prefixes_of_no_number_are_refused() {
        let error = prices("currency: JPY").unwrap_err();
        assert!(error.contains("rekindle.yaml:1:11") && error.contains(&brand().currency), "{error}");
        let error = prices(&format!("currency: {}\nsms: [{{ prefix: 98, per_segment: 1 }}]", brand().currency));
        assert!(error.unwrap_err().contains("write it like \"+98\""));
    }
}
