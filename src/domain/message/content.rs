//! What is sent: a mail, or an SMS in the forms that providers take.

use serde::{Deserialize, Serialize};

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Content {
    Email {
        /// `Name <address>`.
        from: String,
        /// The recipient's name for the `To` header; may be empty.
        to_name: String,
        /// Where it comes back to; absent: to the sender.
        #[serde(default)]
        return_path: Option<String>,
        /// More headers, names and values, in this order.
        #[serde(default)]
        headers: Vec<(String, String)>,
        subject: String,
        /// Without it the mail is text only.
        html: Option<String>,
        text: String,
    },
    /// In the forms that the providers take which may get it.
    Sms { forms: Vec<SmsForm> },
}

/// What some providers are given of an SMS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmsForm {
    /// By name; empty: whoever sends it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<String>,
    pub words: SmsWords,
}

/// The words of an SMS, or where they are found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmsWords {
    Text(String),
    /// A message the provider holds as a template of its own: its id there and the named values.
    Pattern {
        template: String,
        values: Vec<(String, String)>,
    },
}

impl Content {
    /// An SMS that says the same through every provider.
    pub fn text(text: impl Into<String>) -> Self {
        Self::sms([(String::new(), SmsWords::Text(text.into()))])
    }

    /// An SMS of what each provider is given; one without a name is any.
    pub fn sms(given: impl IntoIterator<Item = (String, SmsWords)>) -> Self {
        let mut forms: Vec<SmsForm> = Vec::new();
        for (provider, words) in given {
            let provider = Some(provider).filter(|provider| !provider.is_empty());
            match forms.iter_mut().find(|form| form.words == words) {
                Some(form) => form.providers.extend(provider),
                None => forms.push(SmsForm { providers: provider.into_iter().collect(), words }),
            }
        }
        Self::Sms { forms }
    }

    /// What a provider is given of an SMS, where it has a form for it.
    pub fn words_for(&self, provider: &str) -> Option<&SmsWords> {
        let Self::Sms { forms } = self else { return None };
        let own = |form: &&SmsForm| form.providers.is_empty() || form.providers.iter().any(|own| own == provider);
        forms.iter().find(own).map(|form| &form.words)
    }
}
