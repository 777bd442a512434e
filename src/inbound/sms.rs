//! What was heard about SMS, written down: receipts as events on their messages, words of members as
//! opt-outs, opt-ins and answers. Everything here may be done twice, and in any order.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use crate::clock::Clock;
use crate::domain::brand::Brand;
use crate::domain::message::{Channel, EventKind, Purpose};
use crate::domain::reply::Wish;
use crate::domain::{phone, text};
use crate::settings::Sms;
use crate::store::answers::{self, Answer};
use crate::store::events::{self, About, Event};
use crate::store::objections::{self, Objection};
use crate::store::replies::{self, Reply};
use crate::store::suppressions::{self, Suppression};
use crate::store::waiting::{self, Waiting};
use crate::store::{StoreError, Tx, consents, receipts};
use crate::transports::sms::{Delivery, Provider, Receipted, Received};

/// So much of a text is kept, in letters; ten parts of a long SMS are less.
const LONGEST_TEXT: usize = 2_000;
/// The same of who sent it.
const LONGEST_SENDER: usize = 100;

/// The reason of a suppression that the member's own word made, and lifts again.
pub const OPTED_OUT: &str = EventKind::OptedOut.as_str();

/// Whether a provider was given a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    Never,
    /// And another provider after it.
    Before,
    /// And no other provider since.
    Last,
}

/// Whose words are written down.
pub struct Heard<'a> {
    pub provider: &'a Provider,
    pub settings: &'a Sms,
    pub brand: &'a Brand,
    pub clock: &'a Clock,
}

impl Heard<'_> {
    /// Records receipts. One whose message is not known yet waits for it.
    pub async fn receipts(&self, tx: &mut Tx, receipts: &[Receipted]) -> Result<(), StoreError> {
        let now = self.clock.now().timestamp_millis();
        let name = &self.provider.name;
        for receipt in receipts {
            let meaning = self.provider.delivery.iter().find(|(status, _)| *status == receipt.status);
            let kind = match meaning.map(|(_, meaning)| *meaning) {
                Some(Delivery::Delivered) => EventKind::Delivered,
                Some(Delivery::Undelivered) => EventKind::Undelivered,
                Some(Delivery::Blocked) => EventKind::Blocked,
                Some(Delivery::UnderWay) | None => continue,
            };
            let Some(called) = receipt.reference.as_ref().or(receipt.message.as_ref()) else { continue };
            let mut about = None;
            if let Some(own) = receipt.message.as_ref().and_then(|own| own.parse().ok()) {
                about = events::about(tx, own, Some(Channel::Sms)).await?;
            }
            let mut given = self.given(tx, about.as_ref()).await?;
            if given == Given::Never {
                about = None;
                if let Some(reference) = &receipt.reference
                    && let Some(id) = events::by_reference(tx, name, reference).await?
                {
                    about = events::about(tx, id, Some(Channel::Sms)).await?;
                    given = self.given(tx, about.as_ref()).await?;
                }
            }
            // What this provider could not do says nothing about what another one did since.
            let over = given == Given::Before && kind != EventKind::Delivered;
            about = about.filter(|_| !over);
            let blocked = about.as_ref().filter(|_| kind == EventKind::Blocked).and_then(|about| about.address.clone());
            let event = Event {
                key: format!("sms:{name}:{called}:{}", receipt.status),
                message_id: about.as_ref().map(|about| about.id),
                kind: kind.to_string(),
                at: now,
                channel: Channel::Sms.to_string(),
                address: blocked.clone(),
                detail: Some(receipt.status.clone()),
            };
            if let (None, Some(reference), false) = (&about, &receipt.reference, over) {
                let (key, reference) = (event.key.clone(), reference.clone());
                waiting::wait(tx, &[Waiting { key, sender: name.clone(), reference, heard_at: now }]).await?;
            }
            events::record(tx, &[event]).await?;
            if let Some(address) = blocked {
                suppress(tx, address, Purpose::Marketing, kind.as_str(), now).await?;
            }
        }
        Ok(())
    }

    /// Whether the message was this provider's to send: of another one's it has nothing to say.
    async fn given(&self, tx: &mut Tx, about: Option<&About>) -> Result<Given, StoreError> {
        let Some(about) = about else { return Ok(Given::Never) };
        let senders = events::given_to(tx, about.id).await?;
        let ours = |sender: &String| sender.split(", ").any(|name| name == self.provider.name);
        let Some(last) = senders.iter().rposition(ours) else { return Ok(Given::Never) };
        let other = senders[last + 1..].iter().any(|sender| self.settings.provider(sender).is_some());
        Ok(if other { Given::Before } else { Given::Last })
    }

    /// Records messages that came in, and does what they ask for.
    pub async fn received(&self, tx: &mut Tx, received: &[Received]) -> Result<(), StoreError> {
        for message in received {
            // A name or a short number is nobody's that we write to; what it wants, somebody has to find out.
            match number(&message.from, self.provider, self.brand) {
                Some(number) => self.one(tx, &number, message).await?,
                None => self.keep(tx, &message.from, message).await?,
            }
        }
        Ok(())
    }

    /// Keeps what was written for somebody to read.
    async fn keep(&self, tx: &mut Tx, from: &str, message: &Received) -> Result<(), StoreError> {
        let now = self.clock.now();
        let at = message.at.unwrap_or(now).min(now).timestamp_millis();
        let reply = Reply {
            key: format!("sms:{}:in:{}", self.provider.name, self.id(message, at)),
            channel: Channel::Sms.as_str(),
            address: text::legible(from, LONGEST_SENDER),
            text: text::legible(&message.text, LONGEST_TEXT),
            urgent: self.settings.words.is_nearly_stop(&message.text),
            at,
            heard_at: now.timestamp_millis(),
        };
        replies::keep(tx, &[reply]).await
    }

    async fn one(&self, tx: &mut Tx, number: &str, message: &Received) -> Result<(), StoreError> {
        let now = self.clock.now();
        // What the provider dates into the future was said now.
        let at = message.at.unwrap_or(now).min(now).timestamp_millis();
        let wish = self.settings.words.wish(&message.text);
        let kind = match wish {
            Some(Wish::Stop) => EventKind::OptedOut,
            Some(Wish::Start) => EventKind::OptedIn,
            Some(Wish::Help) | None => EventKind::Replied,
        };
        if wish.is_none() {
            self.keep(tx, number, message).await?;
        }
        receipts::lock(tx, number).await?;
        let about = receipts::last_to(tx, number, &self.provider.name).await?;
        for purpose in self.purposes(message.to.as_deref()) {
            let key = format!("sms:{}:in:{}:{purpose}", self.provider.name, self.id(message, at));
            let event = Event {
                key: key.clone(),
                message_id: about,
                kind: kind.to_string(),
                at,
                channel: Channel::Sms.to_string(),
                address: Some(number.to_owned()),
                detail: Some(purpose.to_string()),
            };
            if events::record(tx, &[event]).await?.is_empty() {
                continue;
            }
            let changed = match wish {
                Some(Wish::Stop | Wish::Start) => self.settle(tx, number, purpose, at).await?,
                Some(Wish::Help) => true,
                None => false,
            };
            let (key, text) = match wish {
                Some(Wish::Stop) => (key, &self.settings.replies.stop),
                Some(Wish::Start) => (key, &self.settings.replies.start),
                // However often somebody asks, one answer a day.
                _ => (format!("help:{number}:{purpose}:{}", now.date_naive()), &self.settings.replies.help),
            };
            if let (true, Some(text)) = (changed, text) {
                let answer = Answer {
                    key,
                    id: self.clock.new_id(),
                    address: number.to_owned(),
                    purpose: purpose.to_string(),
                    text: text.clone(),
                    created_at: now.timestamp_millis(),
                    only_by: None,
                };
                answers::insert(tx, &[answer]).await?;
            }
        }
        Ok(())
    }

    /// Brings the suppression of the number, and the objections of the members who have it now, to what it said last
    /// about this purpose, whatever was heard first; whether that changed them.
    async fn settle(&self, tx: &mut Tx, number: &str, purpose: Purpose, at: i64) -> Result<bool, StoreError> {
        let last = receipts::last_wish(tx, number, purpose.as_str()).await?;
        let members = objections::with_number(tx, number).await?;
        // Closed for another reason it stays closed, whatever the member says.
        let closed = suppressions::of_address(tx, number).await?;
        let is_closed = closed.iter().any(|(of, reason)| of == purpose.as_str() && !suppressions::is_own(reason));
        if last.as_deref() == Some(OPTED_OUT) {
            let rows: Vec<Objection> = members
                .into_iter()
                .map(|member_id| Objection {
                    member_id,
                    channel: Channel::Sms,
                    purpose,
                    reason: OPTED_OUT.to_owned(),
                    made_at: at,
                })
                .collect();
            let objected = objections::insert(tx, &rows).await?;
            let closed = suppress(tx, number.to_owned(), purpose, OPTED_OUT, at).await?;
            return Ok(!is_closed && (closed || objected > 0));
        }
        let lifted = objections::lift(tx, members.clone(), Channel::Sms, purpose, at).await?;
        if lifted > 0 && purpose == Purpose::Marketing {
            consents::confirm(tx, members, Channel::Sms, "a word sent back", at).await?;
        }
        // Only what the member closed: never a bounce, a blacklist or an operator's entry.
        let opened = match purpose {
            Purpose::Marketing => suppressions::lift_own(tx, vec![number.to_owned()], at).await? > 0,
            Purpose::Service => suppressions::lift(tx, number, purpose.as_str(), OPTED_OUT).await?,
        };
        Ok(!is_closed && (opened || lifted > 0))
    }

    /// What the provider's line is for; of a line that it does not have, what nobody must be sent unasked.
    fn purposes(&self, line: Option<&str>) -> BTreeSet<Purpose> {
        let digits = |text: &str| {
            let digits: String = text.chars().filter(char::is_ascii_digit).collect();
            digits.trim_start_matches('0').to_owned()
        };
        let line = digits(line.unwrap_or_default());
        let lines = self.settings.provider(&self.provider.name).map_or(&self.settings.lines, |own| &own.lines);
        let own = lines.iter().filter(|own| {
            let own = digits(&own.number);
            // With or without the country's code.
            !own.is_empty() && (own == line || (own.len() > 3 && line.ends_with(&own)))
        });
        let purposes: BTreeSet<Purpose> = own.map(|line| line.purpose).collect();
        if purposes.is_empty() { BTreeSet::from([Purpose::Marketing]) } else { purposes }
    }

    /// The provider's id; without one, what makes a repeated call the same call: all it says, in the
    /// same minute.
    fn id(&self, message: &Received, at: i64) -> String {
        message.id.clone().unwrap_or_else(|| {
            let minute = (at / 60_000).to_string();
            let parts = [&message.from, message.to.as_deref().unwrap_or_default(), &message.text, &minute];
            let mut hash = Sha256::new();
            for part in parts {
                hash.update(part.as_bytes());
                hash.update([0]);
            }
            data_encoding::HEXLOWER.encode(&hash.finalize()[..16])
        })
    }
}

async fn suppress(tx: &mut Tx, address: String, purpose: Purpose, reason: &str, at: i64) -> Result<bool, StoreError> {
    let row = Suppression { address, purpose: purpose.as_str(), reason: reason.to_owned(), created_at: at };
    Ok(suppressions::insert(tx, &[row]).await? > 0)
}

/// A number in E.164, from the way in which the provider writes it, or from another: `+98912…`,
/// `0098912…`, `98912…`, `0912…`.
pub fn number(text: &str, provider: &Provider, brand: &Brand) -> Option<String> {
    let plain = crate::domain::text::ascii_digits(text.trim());
    let parse = |text: &str| phone::parse(text, brand.phone_region).ok();
    if plain.starts_with('+') {
        return parse(&plain);
    }
    // What an outgoing number becomes, undone; `00` is no national `0`.
    let mut rules: Vec<&(String, String)> = provider.numbers.iter().collect();
    rules.sort_by_key(|(_, becomes)| std::cmp::Reverse(becomes.len()));
    let undone = rules.iter().find_map(|(prefix, becomes)| {
        let rest = plain.strip_prefix(becomes.as_str())?;
        parse(&format!("{prefix}{rest}"))
    });
    let international = !plain.starts_with('0') && plain.len() > 10;
    undone.or_else(|| international.then(|| parse(&format!("+{plain}"))).flatten()).or_else(|| parse(&plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::member::samples;

    #[test]
    fn a_number_is_known_again_however_the_provider_writes_it() {
        let kavenegar = Provider::parse("x", include_str!("../../config/providers/kavenegar.yaml")).unwrap();
        let vonage = Provider::parse("x", include_str!("../../config/providers/vonage.yaml")).unwrap();
        let brand = Brand { phone_region: phonenumber::country::Id::US, ..samples::brand() };
        for text in ["09121234567", "00989121234567", "+989121234567", "989121234567", "۰۹۱۲۱۲۳۴۵۶۷"] {
            assert_eq!(number(text, &kavenegar, &brand).as_deref(), Some("+989121234567"), "{text}");
        }
        assert_eq!(number("447911123456", &vonage, &brand).as_deref(), Some("+447911123456"));
        assert_eq!(number("14155550123", &kavenegar, &brand).as_deref(), Some("+14155550123"));
        for text in ["", "3000", "Bank Melli", "+", "0"] {
            assert_eq!(number(text, &kavenegar, &brand), None, "{text}");
        }
    }
}
