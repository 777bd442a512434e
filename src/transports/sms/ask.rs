//! Asks a provider what it heard: receipts, one message by our own reference, what came in.

use std::borrow::Cow;

use reqwest::Request;
use serde_json::Value;
use uuid::Uuid;

use super::heard::{Receipted, Received};
use super::template::Slot;
use super::{Operation, Provider, Shared, SmsFactory, body, cause, request};

/// What the provider says about a message that we ask about by our own reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It has it, and calls it this where it says so.
    Has { reference: Option<String>, status: String },
    /// It says that it never had it.
    HasNot,
    /// It does not say.
    Unclear,
}

impl SmsFactory {
    /// The description by which it works.
    pub fn provider(&self) -> &Provider {
        &self.0.provider
    }

    /// What became of messages, by the provider's own ids; at most as many as one call may ask about.
    /// An error holds no secret.
    pub async fn receipts(&self, references: &[String]) -> Result<Vec<Receipted>, String> {
        let Some((call, receipt, _)) = &self.0.provider.poll.receipts else { return Ok(Vec::new()) };
        let joined = references.join(",");
        let find = |slot: &Slot| matches!(slot, Slot::References).then(|| joined.clone());
        let answer = self.0.asked(call, &find).await?;
        let mut found = receipt.read(&answer, &self.0.provider.delivery);
        // Asked about one, an answer need not repeat which.
        if let ([asked], [one]) = (references, found.as_mut_slice()) {
            one.reference.get_or_insert_with(|| asked.clone());
        }
        Ok(found)
    }

    /// Whether the provider has a message, by our own reference.
    pub async fn ask(&self, message: Uuid) -> Result<Found, String> {
        let Some(ask) = &self.0.provider.poll.ask else { return Ok(Found::Unclear) };
        let reference = request::reference(message).to_string();
        let find = |slot: &Slot| match slot {
            Slot::Reference => Some(reference.clone()),
            Slot::Message => Some(message.to_string()),
            _ => None,
        };
        let answer = self.0.asked(&ask.call, &find).await?;
        let mut found = ask.receipt.read(&answer, &self.0.provider.delivery);
        // An answer about another message, or about several, answers nothing.
        found.retain(|found| found.message.as_ref().is_none_or(|own| *own == reference || *own == message.to_string()));
        let [one] = found.as_slice() else { return Ok(Found::Unclear) };
        Ok(if ask.not_found.contains(&one.status) {
            Found::HasNot
        } else if self.0.provider.delivery.iter().any(|(status, _)| *status == one.status) {
            Found::Has { reference: one.reference.clone(), status: one.status.clone() }
        } else {
            Found::Unclear
        })
    }

    /// What came in to a line and was not fetched before, as far as the provider keeps count of it.
    pub async fn inbox(&self, line: &str) -> Result<Vec<Received>, String> {
        let Some((call, inbound)) = &self.0.provider.poll.inbound else { return Ok(Vec::new()) };
        let find = |slot: &Slot| matches!(slot, Slot::Line).then(|| line.to_owned());
        let answer = self.0.asked(call, &find).await?;
        let mut received = inbound.read(&answer);
        for message in &mut received {
            message.to.get_or_insert_with(|| line.to_owned());
        }
        Ok(received)
    }
}

impl Shared {
    async fn asked(&self, call: &Operation, find: &(dyn Fn(&Slot) -> Option<String> + Sync)) -> Result<Value, String> {
        let request = self.question(call, find)?;
        let failed = |error: reqwest::Error| self.without_secrets(&cause(&error));
        let answer = self.client.execute(request).await.map_err(failed)?;
        let status = answer.status().as_u16();
        let bytes = body(answer).await.map_err(failed)?;
        serde_json::from_slice(&bytes).map_err(|_| format!("HTTP {status} with an answer that is no JSON"))
    }

    fn question(&self, call: &Operation, find: &dyn Fn(&Slot) -> Option<String>) -> Result<Request, String> {
        let account = self.account();
        let find = |slot: &Slot| account.find(slot).or_else(|| find(slot).map(Cow::Owned));
        let missing = |slot: &Slot| match slot {
            Slot::Credential(name) => format!("the credential `{name}` is missing in `sms.credentials`"),
            _ => "the question cannot be asked".to_owned(),
        };
        request::make(&self.client, call, &[], &find, &missing)
    }
}
